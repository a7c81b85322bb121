//! How a part of the system adds itself to a host.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{BoxError, Counts, Enricher, Receiver, Sink, Store};

/// A part that installs itself: a database, a set of enrichers, a receiver.
///
/// Implement it when your part consists of more than one piece, for example a sink and the store that reads it back.
pub trait Integration {
    /// A stable word for errors and logs.
    fn name(&self) -> &'static str;

    /// Adds the pieces. Runs once, inside the host's runtime, before anything is received. It must not wait for
    /// the network: a part whose server is absent reports that when it is used.
    fn install(self: Box<Self>, setup: &mut Setup) -> Result<(), BoxError>;
}

/// What integrations add to. The host's builder reads it when all are installed.
#[non_exhaustive]
pub struct Setup {
    /// Where integrations count.
    pub counts: Arc<Counts>,
    /// Run in this order, after the built-in ones.
    pub enrichers: Vec<Box<dyn Enricher>>,
    /// Each gets a lane of its own.
    pub sinks: Vec<Arc<dyn Sink>>,
    /// Answers queries; the last one installed wins.
    pub store: Option<Arc<dyn Store>>,
    /// Started with the pipeline.
    pub receivers: Vec<Box<dyn Receiver>>,
    /// Closed in reverse order, after the lanes.
    pub services: Vec<Arc<dyn Service>>,
}

impl Setup {
    /// Nothing installed yet.
    pub fn new(counts: Arc<Counts>) -> Setup {
        Setup { counts, enrichers: Vec::new(), sinks: Vec::new(), store: None, receivers: Vec::new(), services: Vec::new() }
    }
}

/// Something that runs beside the pipeline and has to be stopped: a supervised process, a connection pool.
#[async_trait]
pub trait Service: Send + Sync {
    /// Stops in an orderly way within the time, at once after it.
    async fn close(&self, within: Duration);
}
