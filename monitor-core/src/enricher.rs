//! Small computing steps between receiver and spool.

use crate::{Event, Origin};

/// Why events were dropped on which an enricher panicked.
pub(crate) const PANICKED: &str = "enricher_panicked";

/// Adds to events, changes or drops them.
///
/// Implement it to bring your own rule. The pipeline calls [`enrich_origin`](Enricher::enrich_origin) once per request, then
/// [`enrich`](Enricher::enrich) for each event, enrichers in the order they were added. An enricher computes: it never waits,
/// and takes the time from [`Origin::received`] so that a test needs no clock.
///
/// A panic ends what it happened on, and nothing else: an event in `enrich`, all events of the request in `enrich_origin`. They are dropped,
/// counted under the reason `enricher_panicked`, and the sender is told so; the first one is logged with the enricher's name.
pub trait Enricher: Send + Sync {
    /// A stable word for logs.
    fn name(&self) -> &'static str;

    /// Works on what all events of a request share.
    fn enrich_origin(&self, origin: &mut Origin) {
        let _ = origin;
    }

    /// Works on one event.
    fn enrich(&self, event: &mut Event, origin: &Origin) -> Verdict {
        let _ = (event, origin);
        Verdict::Keep
    }
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It goes on.
    Keep,
    /// It ends here, counted under this reason (a stable word).
    Drop(&'static str),
}
