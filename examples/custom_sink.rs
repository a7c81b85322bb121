//! How do I write events somewhere else? Implement `Sink`; batching, retries and dead letters are done for you.
//!
//! ```text
//! cargo run --example custom_sink
//! curl --json '{"v":1,"events":[{"kind":"track","name":"hello"}]}' 'http://127.0.0.1:8080/api/shop/events?key=demo-key'
//! ```

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use monitor_kit::{Batch, Document, Monitor, Project, Sink, WriteError, http::Server};

/// Appends each event as a line of JSON, and after the events of a batch a line with its id. A batch is offered again until it is confirmed,
/// also by the next process: this line tells that it is there as a whole, and what has no such line is cut off and written again. The
/// file is for nothing else.
///
/// So each batch is in the file once. A sink that must not have an event twice either, which a client may send in two requests, looks for
/// the ids of events as well, in particular where `Batch::is_repeated`.
pub(crate) struct LinesFile(Mutex<Complete>);

/// The file, and what of it is complete.
struct Complete {
    file: File,
    bytes: u64,
    /// The id of the last batch: an older one is not offered again.
    last: Option<String>,
}

impl LinesFile {
    pub(crate) fn open(path: impl AsRef<Path>) -> io::Result<LinesFile> {
        let file = File::options().create(true).read(true).append(true).open(path)?;
        let mut complete = Complete { file: file.try_clone()?, bytes: 0, last: None };
        let (mut lines, mut line, mut read) = (BufReader::new(file), Vec::new(), 0);
        while lines.read_until(b'\n', &mut line)? > 0 {
            read += line.len() as u64;
            let id = line.strip_prefix(br#"{"batch":""#).and_then(|rest| rest.strip_suffix(b"\"}\n"));
            if let Some(id) = id {
                (complete.bytes, complete.last) = (read, Some(String::from_utf8_lossy(id).into_owned()));
            }
            line.clear();
        }
        Ok(LinesFile(Mutex::new(complete)))
    }
}

impl Complete {
    fn append(&mut self, lines: &[u8], id: &str) -> io::Result<()> {
        // What an attempt left that failed half-way.
        self.file.set_len(self.bytes)?;
        let end = format!("{{\"batch\":\"{id}\"}}\n");
        // The end must not be on the disk before what it ends.
        for part in [lines, end.as_bytes()] {
            self.file.write_all(part)?;
            self.file.sync_data()?;
        }
        self.bytes += (lines.len() + end.len()) as u64;
        self.last = Some(id.to_owned());
        Ok(())
    }
}

#[monitor_kit::async_trait]
impl Sink for LinesFile {
    fn name(&self) -> &str {
        "lines"
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        let mut complete = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if complete.last.as_deref() == Some(batch.id().as_str()) {
            return Ok(());
        }
        let mut lines = Vec::new();
        for (origin, event) in batch.events() {
            // An event that cannot be written is rejected: its lane isolates it and keeps it as a dead letter.
            serde_json::to_writer(&mut lines, &Document::new(origin, event)).map_err(WriteError::rejected)?;
            lines.push(b'\n');
        }
        // A full disk may have room later: the same batch comes again.
        complete.append(&lines, batch.id().as_str()).map_err(WriteError::retryable)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sink = LinesFile::open("events.ndjson")?;
    let monitor = Monitor::builder().project(Project::new("shop", "demo-key")).sink(Arc::new(sink)).build().await?;
    let server = Server::bind("127.0.0.1:8080").await?;
    eprintln!("listening on http://{}, writing to events.ndjson", server.local_addr()?);
    let ended = async {
        // Without a handler for Ctrl-C the example just ends, which is safe, too.
        let _ = tokio::signal::ctrl_c().await;
    };
    server.serve(monitor.service().ingest(), ended).await;
    monitor.shutdown(Duration::from_secs(20)).await;
    Ok(())
}
