//! How do I write events somewhere else? Implement `Sink`; batching, retries and dead letters are done for you.
//!
//! ```text
//! cargo run --example custom_sink
//! curl --json '{"v":1,"events":[{"kind":"track","name":"hello"}]}' 'http://127.0.0.1:8080/api/shop/events?key=demo-key'
//! ```

use std::{
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use monitor_kit::{Batch, Document, Monitor, Project, Sink, WriteError, http::Server};

/// Appends each event as a line of JSON.
struct LinesFile {
    path: PathBuf,
    /// Ids of batches that are in the file already: a batch can be offered again.
    last: Mutex<Option<String>>,
}

#[monitor_kit::async_trait]
impl Sink for LinesFile {
    fn name(&self) -> &str {
        "lines"
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() == Some(batch.id().as_str()) {
            return Ok(());
        }
        let mut lines = Vec::new();
        for (origin, event) in batch.events() {
            // An event that cannot be written is rejected: its lane isolates it and keeps it as a dead letter.
            serde_json::to_writer(&mut lines, &Document::new(origin, event)).map_err(WriteError::rejected)?;
            lines.push(b'\n');
        }
        // A full disk may have room later: the same batch comes again.
        let mut file = std::fs::File::options().create(true).append(true).open(&self.path).map_err(WriteError::retryable)?;
        file.write_all(&lines).and_then(|()| file.sync_data()).map_err(WriteError::retryable)?;
        *last = Some(batch.id().to_string());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sink = LinesFile { path: "events.ndjson".into(), last: Mutex::default() };
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
