//! A real Apache Kafka broker: one node in KRaft mode, started from its jars, and Kafka's own console tools.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::AsyncWriteExt,
    process::Command,
    time::{sleep, timeout},
};

use crate::{
    Result,
    process::{Service, free_address},
};

/// What the broker logs, and the line that says that it has started.
const LOGGING: &str = include_str!("../../tests/kafka/log4j2.xml");
const STARTED: &str = "Kafka Server started";
/// Small and quick to start: a broker of a few minutes with some hundred megabytes at most.
const JVM: &[&str] = &["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];
/// What separates the columns of the console consumer here: no text has it.
const SEPARATOR: char = '\u{1f}';
const HEADER_SEPARATOR: char = '\u{1e}';

/// A broker and its data.
pub struct Broker {
    tools: Tools,
    service: Service,
}

/// A message as Kafka's console consumer shows it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// In the order they were written.
    pub headers: Vec<(String, String)>,
    /// Empty when there is none.
    pub key: String,
    /// The payload.
    pub value: String,
}

impl Record {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Broker {
    /// Formats storage in the folder and starts a broker on a free port. The jars are those of `tests/kafka/pom.xml`.
    pub async fn start(jars: &Path, folder: &Path) -> Result<Broker> {
        fs::create_dir_all(folder)?;
        let jars = jars.canonicalize().map_err(|error| format!("{}: {error}", jars.display()))?;
        let folder = folder.canonicalize()?;
        let (address, controller) = (free_address()?, free_address()?);
        fs::write(folder.join("log4j2.xml"), LOGGING)?;
        let settings = folder.join("server.properties");
        fs::write(&settings, properties(address, controller, &folder.join("data")))?;
        let tools = Tools { jars, folder: folder.clone(), address };
        let settings = settings.display().to_string();
        // Any 16 bytes.
        tools.run("kafka.tools.StorageTool", &["format", "--cluster-id", "bW9uaXRvci1raXQtdGVzdA", "--config", &settings], b"").await?;
        let mut args = tools.java("384m");
        args.extend(["kafka.Kafka".to_owned(), settings]);
        let service = Service::start(Path::new("java"), args, STARTED, folder.join("broker.log")).await?;
        Ok(Broker { tools, service })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.tools.address
    }

    /// SIGKILL.
    pub async fn kill(&mut self) -> Result<()> {
        self.service.process.kill().await
    }

    /// Starts it again on the same port and data.
    pub async fn restart(&mut self) -> Result<()> {
        self.service.restart().await
    }

    /// Stops it in order.
    pub async fn stop(&mut self) -> Result<()> {
        self.service.process.terminate()?;
        self.service.process.wait(Duration::from_secs(30)).await?;
        Ok(())
    }

    /// Produces messages with these keys and values, in this order. Neither may hold a line break or a tab.
    pub async fn produce(&self, topic: &str, messages: &[(String, String)]) -> Result<()> {
        let lines: String = messages.iter().map(|(key, value)| format!("{key}\t{value}\n")).collect();
        let args = ["--topic", topic, "--property", "parse.key=true", "--property", "key.separator=\t", "--producer-property", "acks=all"];
        self.tools.run("org.apache.kafka.tools.ConsoleProducer", &args, lines.as_bytes()).await?;
        Ok(())
    }

    /// All messages of a topic, those of each partition in order.
    pub async fn read(&self, topic: &str) -> Result<Vec<Record>> {
        let expected = self.messages(topic).await?;
        if expected == 0 {
            return Ok(Vec::new());
        }
        let (count, separator, headers) =
            (expected.to_string(), format!("key.separator={SEPARATOR}"), format!("headers.separator={HEADER_SEPARATOR}"));
        let mut args = vec!["--topic", topic, "--from-beginning", "--max-messages", &count, "--timeout-ms", "20000"];
        for property in ["print.headers=true", "print.key=true", "print.value=true", "null.literal=", &separator, &headers] {
            args.extend(["--property", property]);
        }
        let text = self.tools.run("org.apache.kafka.tools.consumer.ConsoleConsumer", &args, b"").await?;
        let records: Vec<Record> = text.lines().map(record).collect();
        if records.len() as u64 != expected {
            return Err(format!("{} messages of {topic} were read, it has {expected}", records.len()).into());
        }
        Ok(records)
    }

    /// How many messages a topic has that was never compacted or cut.
    pub async fn messages(&self, topic: &str) -> Result<u64> {
        let text = self.tools.run("org.apache.kafka.tools.GetOffsetShell", &["--topic", topic], b"").await?;
        // topic:partition:end
        let ends = text.lines().filter_map(|line| line.rsplit_once(':')?.1.trim().parse::<u64>().ok());
        Ok(ends.sum())
    }

    /// Messages that a consumer group has not committed yet, of all its topics. A partition for which nothing was ever
    /// committed counts with all its messages.
    pub async fn lag(&self, group: &str) -> Result<u64> {
        let text =
            self.tools.run("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &["--describe", "--group", group], b"").await?;
        lag(&text)
    }

    /// How many members a consumer group has.
    pub async fn members(&self, group: &str) -> Result<usize> {
        let args = ["--describe", "--members", "--group", group];
        let text = self.tools.run("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &args, b"").await?;
        Ok(text.lines().filter(|line| line.split_whitespace().next() == Some(group)).count())
    }

    /// Waits until a group has nothing left to consume; an error when it still has after this time.
    pub async fn drained(&self, group: &str, within: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            let lag = self.lag(group).await?;
            if lag == 0 {
                return Ok(());
            }
            if start.elapsed() > within {
                return Err(format!("{lag} messages are still to be consumed").into());
            }
            sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Has a pipeline or consumer example do one of its commands.
pub async fn command(program: &Path, config: &Path, args: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.arg("--config").arg(config).args(args);
    let output = timeout(Duration::from_secs(60), command.stdin(Stdio::null()).kill_on_drop(true).output()).await??;
    if !output.status.success() {
        return Err(format!("{} {}: {}", program.display(), args.join(" "), String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes the topics, as an operator would: `kafka_pipeline --config … create-topics`.
pub async fn create_topics(pipeline: &Path, config: &Path) -> Result<()> {
    command(pipeline, config, &["create-topics"]).await.map(drop)
}

/// The lag of a `--describe` table: `GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG …`.
fn lag(table: &str) -> Result<u64> {
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let columns = lines.find(|line| line.first() == Some(&"GROUP")).ok_or("the group is unknown")?;
    let column = |name: &str| columns.iter().position(|column| *column == name).ok_or(format!("no column {name}"));
    let (end, lag) = (column("LOG-END-OFFSET")?, column("LAG")?);
    let of_partition = |line: Vec<&str>| -> Option<u64> { line.get(lag)?.parse().ok().or_else(|| line.get(end)?.parse().ok()) };
    Ok(lines.filter_map(of_partition).sum())
}

/// A line of the console consumer: headers, key, value.
fn record(line: &str) -> Record {
    let mut columns = line.splitn(3, SEPARATOR);
    let headers = columns.next().unwrap_or_default().split(HEADER_SEPARATOR);
    let headers = headers.filter_map(|header| header.split_once(':')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let mut text = || columns.next().unwrap_or_default().to_owned();
    Record { headers, key: text(), value: text() }
}

/// Kafka's programs.
struct Tools {
    jars: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
}

impl Tools {
    fn java(&self, heap: &str) -> Vec<String> {
        let mut args: Vec<String> = JVM.iter().map(|arg| (*arg).to_owned()).collect();
        args.push(format!("-Xmx{heap}"));
        args.push(format!("-Dlog4j2.configurationFile={}", self.folder.join("log4j2.xml").display()));
        args.extend(["-cp".to_owned(), self.jars.join("*").display().to_string()]);
        args
    }

    /// Runs a program with this input; its output.
    async fn run(&self, main: &str, args: &[&str], input: &[u8]) -> Result<String> {
        let bootstrap = self.address.to_string();
        let mut command = Command::new("java");
        command.args(self.java("128m")).arg(main);
        if !main.ends_with("StorageTool") {
            command.args(["--bootstrap-server", &bootstrap]);
        }
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("cannot start java: {error}"))?;
        let mut stdin = child.stdin.take().ok_or("no stdin")?;
        // One that ended early says so by its status.
        let _ = stdin.write_all(input).await;
        drop(stdin);
        let output = timeout(Duration::from_secs(60), child.wait_with_output()).await.map_err(|_| format!("{main} took too long"))??;
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let mut log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("tools.log"))?;
        writeln!(log, "{main} {}\n{errors}", args.join(" "))?;
        if !output.status.success() {
            return Err(format!("{main} {}: {text}{errors}", args.join(" ")).into());
        }
        Ok(text.into_owned())
    }
}

/// Settings of a broker that is its own controller.
fn properties(address: SocketAddr, controller: SocketAddr, data: &Path) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners=PLAINTEXT://{address},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{address}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
num.network.threads=2
num.io.threads=2
# After a SIGKILL it is let in again when the session of the one before has ended.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# A group that begins does not wait for more members.
group.initial.rebalance.delay.ms=0
",
        data.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_console_consumer_is_taken_apart() {
        let line = "dlq.reason:no JSON: at 1\u{1e}dlq.topic:a\u{1f}key\u{1f}{\"a\":1}";
        let record = record(line);
        assert_eq!((record.key.as_str(), record.value.as_str()), ("key", "{\"a\":1}"));
        assert_eq!((record.header("dlq.reason"), record.header("dlq.topic"), record.header("x")), (Some("no JSON: at 1"), Some("a"), None));
    }

    #[test]
    fn what_was_never_committed_is_lag() {
        let table = "\nGROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID\nmonitor a 0 5 7 2 - - -\nmonitor a 1 - 4 - - - -\nmonitor a 2 9 9 0 - - -\n";
        assert_eq!(lag(table).unwrap(), 6);
        assert!(lag("Error: no such group").is_err());
    }
}
