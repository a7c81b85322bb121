//! A real broker that takes encrypted connections of known users only: TLS with SASL, PLAIN and SCRAM.
//!
//! Needs Kafka's jars, see `make kafka`, and a JDK.

// Clippy's exception for tests covers test functions only, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use monitor_core::{Batch, BatchId, Counts, Envelope, Event, EventId, Integration, Kind, Origin, Pipeline, Setup, Sink, Total, testing};
use monitor_sink_kafka::{Kafka, KafkaConsumer, KafkaSink, create_topics};
use tokio::sync::oneshot;

/// The broker; it ends with the test.
struct Broker {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

fn free_address() -> String {
    // Below the ports that the system gives to outgoing connections: one of those would take it before the broker does.
    let mut ports = std::iter::repeat_with(|| fastrand::u16(15_000..32_000)).take(100);
    ports.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).unwrap().local_addr().unwrap().to_string()
}

impl Broker {
    fn start() -> Broker {
        let jars = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kafka/lib");
        assert!(jars.is_dir(), "no Kafka in {}: run `make kafka`", jars.display());
        let classes = format!("{}/*", jars.display());
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let (address, controller) = (free_address(), free_address());
        // A certificate that signs itself is its own authority.
        let store = file("broker.p12").display().to_string();
        let store_of = ["-keystore", &store, "-storepass", "changeit", "-alias", "broker"];
        let key = [
            "-genkeypair",
            "-keyalg",
            "RSA",
            "-dname",
            "CN=127.0.0.1",
            "-ext",
            "san=ip:127.0.0.1",
            "-validity",
            "2",
            "-storetype",
            "PKCS12",
        ];
        run(Command::new("keytool").args(key).args(store_of));
        run(Command::new("keytool").args(["-exportcert", "-rfc", "-file"]).arg(file("ca.pem")).args(store_of));
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required user_anna=\"plain-secret\";";
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let properties = [
            "process.roles=broker,controller".to_owned(),
            "node.id=1".into(),
            format!("listeners=SASL_SSL://{address},CONTROLLER://{controller}"),
            "listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT".into(),
            "inter.broker.listener.name=SASL_SSL".into(),
            "sasl.mechanism.inter.broker.protocol=PLAIN".into(),
            "controller.listener.names=CONTROLLER".into(),
            format!("controller.quorum.voters=1@{controller}"),
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512".into(),
            format!("listener.name.sasl_ssl.plain.sasl.jaas.config={plain}"),
            format!("listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={scram}"),
            format!("ssl.keystore.location={store}"),
            "ssl.keystore.password=changeit".into(),
            "ssl.truststore.type=PEM".into(),
            format!("ssl.truststore.location={}", file("ca.pem").display()),
            format!("log.dirs={}", file("data").display()),
            "offsets.topic.replication.factor=1".into(),
            "offsets.topic.num.partitions=1".into(),
            "group.initial.rebalance.delay.ms=0".into(),
            "auto.create.topics.enable=false".into(),
        ];
        fs::write(
            file("server.properties"),
            properties
                .join("\n")
                .replace("PlainLoginModule required", "PlainLoginModule required username=\"anna\" password=\"plain-secret\""),
        )
        .unwrap();
        let java = || {
            let mut java = Command::new("java");
            java.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &classes]);
            java
        };
        let scram_user = "SCRAM-SHA-512=[name=bert,password=scram-secret]";
        let format = ["kafka.tools.StorageTool", "format", "--cluster-id", "bW9uaXRvci1raXQtdGVzdA", "--add-scram", scram_user, "--config"];
        run(java().args(format).arg(file("server.properties")));
        let log = fs::File::create(file("broker.log")).unwrap();
        let mut broker = java();
        broker.arg("kafka.Kafka").arg(file("server.properties")).stdout(log.try_clone().unwrap()).stderr(log);
        Broker { process: broker.stdin(Stdio::null()).spawn().unwrap(), address, folder }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("broker.log")).unwrap_or_default()
    }
}

fn settings(broker: &Broker, mechanism: &str, user: &str, password: &str) -> [(&'static str, String); 5] {
    [
        ("security.protocol", "sasl_ssl".into()),
        ("ssl.ca.location", broker.ca().display().to_string()),
        ("sasl.mechanism", mechanism.into()),
        ("sasl.username", user.into()),
        ("sasl.password", password.into()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_encrypted_and_only_for_known_users() {
    let broker = Broker::start();
    let plain = settings(&broker, "PLAIN", "anna", "plain-secret");
    let scram = settings(&broker, "SCRAM-SHA-512", "bert", "scram-secret");
    let kafka = |settings: &[(&'static str, String)]| {
        settings.iter().fold(Kafka::new(&broker.address), |kafka, (key, value)| kafka.set(*key, value))
    };
    let created = create_topics(&kafka(&scram), 2, 1).await;
    created.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", std::error::Error::source(&error), broker.log()));

    let batch = |id| {
        let event = Event::new(EventId(id), 1_732_096_800_000, Kind::Track, "x");
        Batch::new(BatchId::new(id.to_string()), vec![Envelope { origin: Origin::new("shop", 1_732_096_800_000), events: vec![event] }])
    };
    KafkaSink::new(kafka(&plain)).unwrap().write(&batch(1)).await.unwrap();
    KafkaSink::new(kafka(&scram)).unwrap().write(&batch(2)).await.unwrap();
    let stranger = settings(&broker, "PLAIN", "anna", "guessed");
    let refused = KafkaSink::new(kafka(&stranger).set("message.timeout.ms", "3000")).unwrap().write(&batch(3)).await;
    assert!(refused.unwrap_err().is_retryable(), "it may be put right");

    let sink = Arc::new(testing::MemorySink::new("memory"));
    let consumer = scram.iter().fold(KafkaConsumer::new(&broker.address), |consumer, (key, value)| consumer.set(*key, value));
    let counts = Arc::new(Counts::new());
    let mut setup = Setup::new(Arc::clone(&counts));
    Box::new(consumer.linger(Duration::from_millis(100)).sink(sink.clone())).install(&mut setup).unwrap();
    let pipeline = Pipeline::new(Vec::new(), Arc::new(testing::MemoryTransport::default()), Vec::new(), Arc::clone(&counts));
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(setup.receivers.pop().unwrap().run(pipeline, Box::pin(async { _ = stopped.await })));
    let begun = Instant::now();
    while counts.total(Total::Consumed) < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{counts:?}\n{}", broker.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    let mut ids: Vec<u128> = sink.events().iter().map(|event| event.id.0).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
}
