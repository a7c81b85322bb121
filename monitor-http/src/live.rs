//! The live stream: accepted envelopes, to everyone who is looking.
//!
//! A viewer that reads too slowly misses events and is told how many; it never slows the ingest, which only pushes a pointer
//! into a bounded queue. Events are turned into text by the first viewer that wants them, once for all viewers.

use std::{
    collections::VecDeque,
    fmt::Write,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use monitor_core::{Counts, Document, Envelope, Event, Gauge, Kind, Labelled, Observer};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Sends accepted events to live viewers.
///
/// Add it to the observers of the [`Pipeline`](monitor_core::Pipeline) and give it to the
/// [service](crate::HttpServiceBuilder::live).
pub struct LiveHub {
    viewers: Mutex<Viewers>,
    /// Length of the list above, readable without its lock.
    watching: AtomicUsize,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Viewers {
    list: Vec<Arc<Viewer>>,
    closed: bool,
}

/// Most events that wait for one viewer.
const QUEUE_EVENTS: usize = 2_000;
/// Most bytes, roughly, that wait for one viewer: what browsers send at once fits many times.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// A comment is sent after this time, so that proxies and clients see that the stream lives.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

struct Viewer {
    project: String,
    /// All kinds when empty.
    kinds: Vec<Kind>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Accepted>>,
    events: usize,
    bytes: usize,
    dropped: u64,
    closed: bool,
    waker: Option<Waker>,
}

/// An envelope and the texts made of it so far.
struct Accepted {
    envelope: Arc<Envelope>,
    bytes: usize,
    texts: Vec<OnceLock<String>>,
}

impl Accepted {
    fn new(envelope: Arc<Envelope>) -> Accepted {
        // Roughly the JSON text: every event repeats what its envelope says once. Five hundred events with large tags are a hundred times
        // larger here than they were in their request.
        let repeated = serde_json::to_vec(&envelope.origin).map_or(0, |text| text.len());
        let own =
            |event: &Event| event.data.get().len() + event.attributes.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let bytes = envelope.events.iter().map(|event| 1_000 + repeated + own(event)).sum();
        let texts = envelope.events.iter().map(|_| OnceLock::new()).collect();
        Accepted { envelope, bytes, texts }
    }
}

impl Viewer {
    fn wants(&self, event: &Event) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&event.kind)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an envelope, or counts its events as dropped; how many were dropped.
    fn offer(&self, accepted: &Arc<Accepted>) -> u64 {
        let wanted = accepted.envelope.events.iter().filter(|event| self.wants(event)).count();
        if wanted == 0 {
            return 0;
        }
        let mut queue = self.queue();
        // More events than a queue takes still fit an empty one; more bytes never do.
        let has_too_many = queue.events + wanted > QUEUE_EVENTS && !queue.waiting.is_empty();
        let dropped = if has_too_many || queue.bytes + accepted.bytes > QUEUE_BYTES {
            queue.dropped += wanted as u64;
            wanted as u64
        } else {
            queue.events += wanted;
            queue.bytes += accepted.bytes;
            queue.waiting.push_back(accepted.clone());
            0
        };
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        dropped
    }

    fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl LiveHub {
    /// A hub without viewers; it counts what they miss.
    pub fn new(counts: Arc<Counts>) -> Arc<LiveHub> {
        Arc::new(LiveHub { viewers: Mutex::default(), watching: AtomicUsize::new(0), counts })
    }

    fn viewers(&self) -> MutexGuard<'_, Viewers> {
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Viewers at the moment.
    pub fn viewer_count(&self) -> usize {
        self.watching.load(Ordering::Acquire)
    }

    /// Ends all streams, and those that are asked for later.
    pub(crate) fn close(&self) {
        let mut viewers = self.viewers();
        viewers.closed = true;
        viewers.list.iter().for_each(|viewer| viewer.close());
    }

    /// A stream of a project's events, unless there are too many viewers.
    pub(crate) fn watch(self: &Arc<Self>, project: &str, kinds: Vec<Kind>, most: usize) -> Option<Stream> {
        let viewer = Arc::new(Viewer { project: project.to_owned(), kinds, queue: Mutex::default() });
        let mut viewers = self.viewers();
        if viewers.list.len() >= most {
            return None;
        }
        if viewers.closed {
            viewer.close();
        }
        viewers.list.push(viewer.clone());
        self.now_watching(viewers.list.len());
        let mut comments = interval_at(Instant::now() + COMMENT_EVERY, COMMENT_EVERY);
        comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first bytes make the client see at once that it is connected.
        Some(Stream { hub: self.clone(), viewer, comments, hello: true })
    }

    fn now_watching(&self, n: usize) {
        self.watching.store(n, Ordering::Release);
        self.counts.set(Gauge::LiveViewers, "", i64::try_from(n).unwrap_or(i64::MAX));
    }
}

impl Observer for LiveHub {
    fn is_watching(&self) -> bool {
        self.viewer_count() > 0
    }

    fn accepted(&self, envelope: Arc<Envelope>) {
        let viewers = self.viewers();
        let interested: Vec<Arc<Viewer>> =
            viewers.list.iter().filter(|viewer| viewer.project == envelope.origin.project).cloned().collect();
        drop(viewers);
        if interested.is_empty() {
            return;
        }
        let accepted = Arc::new(Accepted::new(envelope));
        let dropped = interested.iter().map(|viewer| viewer.offer(&accepted)).sum();
        self.counts.count(Labelled::LiveDropped, "live", dropped);
    }
}

/// What one viewer reads: the text of server-sent events. Dropping it ends the viewing.
pub(crate) struct Stream {
    hub: Arc<LiveHub>,
    viewer: Arc<Viewer>,
    comments: Interval,
    hello: bool,
}

impl Stream {
    pub(crate) fn poll_text(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if std::mem::take(&mut self.hello) {
            return Poll::Ready(Some(Bytes::from_static(b": connected\n\n")));
        }
        let mut queue = self.viewer.queue();
        let dropped = std::mem::take(&mut queue.dropped);
        let next = queue.waiting.pop_front();
        if let Some(next) = &next {
            queue.events = queue.events.saturating_sub(next.envelope.events.iter().filter(|event| self.viewer.wants(event)).count());
            queue.bytes = queue.bytes.saturating_sub(next.bytes);
        }
        if next.is_none() && dropped == 0 {
            if queue.closed {
                return Poll::Ready(None);
            }
            queue.waker = Some(context.waker().clone());
        }
        drop(queue);

        let mut text = String::new();
        if let Some(accepted) = next {
            self.write_events(&accepted, &mut text);
        }
        // After the events that were queued before the gap began: approximately where it is.
        if dropped > 0 {
            // Writing to a String cannot fail.
            let _infallible = write!(text, "event: dropped\ndata: {{\"count\":{dropped}}}\n\n");
        }
        if !text.is_empty() {
            self.comments.reset();
            return Poll::Ready(Some(text.into()));
        }
        self.comments.poll_tick(context).map(|_| Some(Bytes::from_static(b": live\n\n")))
    }

    fn write_events(&self, accepted: &Accepted, text: &mut String) {
        let Accepted { envelope, texts, .. } = accepted;
        text.push_str("event: events\ndata: [");
        let mut separator = "";
        for (event, document) in envelope.events.iter().zip(texts).filter(|(event, _)| self.viewer.wants(event)) {
            let document = document.get_or_init(|| {
                // JSON text has no raw line breaks but those in `data`, which came from the client and may be laid out.
                let text = serde_json::to_string(&Document::new(&envelope.origin, event)).unwrap_or_else(|_| "null".into());
                if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ") } else { text }
            });
            text.push_str(separator);
            text.push_str(document);
            separator = ",";
        }
        text.push_str("]\n\n");
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut viewers = self.hub.viewers();
        viewers.list.retain(|viewer| !Arc::ptr_eq(viewer, &self.viewer));
        self.hub.now_watching(viewers.list.len());
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use monitor_core::testing;

    use super::*;

    fn hub() -> (Arc<LiveHub>, Arc<Counts>) {
        let counts = Arc::new(Counts::new());
        (LiveHub::new(counts.clone()), counts)
    }

    async fn next(stream: &mut Stream) -> String {
        let text = poll_fn(|context| stream.poll_text(context)).await.unwrap();
        String::from_utf8(text.to_vec()).unwrap()
    }

    async fn watch(hub: &Arc<LiveHub>, project: &str, kinds: &[Kind]) -> Stream {
        let mut stream = hub.watch(project, kinds.to_vec(), 10).unwrap();
        assert_eq!(next(&mut stream).await, ": connected\n\n");
        stream
    }

    #[tokio::test]
    async fn a_viewer_sees_the_events_of_its_project_and_kinds() {
        let (hub, _) = hub();
        let mut all = watch(&hub, "shop", &[]).await;
        let mut clicks = watch(&hub, "shop", &[Kind::Click]).await;
        let mut other = watch(&hub, "other", &[]).await;
        let mut envelope = testing::envelope(1, &["a", "b"]);
        envelope.events[1].kind = Kind::Click;
        hub.accepted(Arc::new(envelope));

        let text = next(&mut all).await;
        let data = text.strip_prefix("event: events\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
        let documents: Vec<Document> = serde_json::from_str(data).unwrap();
        assert_eq!(documents.iter().map(|document| document.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(next(&mut clicks).await.contains(r#""name":"b""#));
        let nothing = tokio::time::timeout(Duration::from_millis(20), next(&mut other)).await;
        assert!(nothing.is_err());
    }

    #[tokio::test]
    async fn a_slow_viewer_is_told_how_many_events_it_missed() {
        let (hub, counts) = hub();
        let mut stream = watch(&hub, "shop", &[]).await;
        for first in 0..(QUEUE_EVENTS as u128 + 5) {
            hub.accepted(Arc::new(testing::envelope(first, &["x"])));
        }
        assert_eq!(counts.labelled(Labelled::LiveDropped, "live"), 5);
        let mut seen = 0;
        let mut missed = String::new();
        while seen < QUEUE_EVENTS {
            let text = next(&mut stream).await;
            seen += text.matches("event: events").count();
            missed.extend(text.find("event: dropped").map(|at| text[at..].to_owned()));
        }
        assert_eq!(missed, "event: dropped\ndata: {\"count\":5}\n\n");
    }

    #[tokio::test]
    async fn a_request_that_grows_in_the_stream_is_left_out_of_it() {
        let (hub, counts) = hub();
        let mut stream = watch(&hub, "shop", &[]).await;
        let mut envelope = testing::envelope(1, &["x"; 500]);
        envelope.origin.tags.extend((0..64).map(|n| (n.to_string(), "y".repeat(4_096))));
        hub.accepted(Arc::new(envelope));
        assert_eq!(next(&mut stream).await, "event: dropped\ndata: {\"count\":500}\n\n");
        assert_eq!(counts.labelled(Labelled::LiveDropped, "live"), 500);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_carries_comments() {
        let (hub, _) = hub();
        let mut stream = watch(&hub, "shop", &[]).await;
        let start = Instant::now();
        assert_eq!(next(&mut stream).await, ": live\n\n");
        assert_eq!(start.elapsed(), COMMENT_EVERY);
    }

    #[tokio::test]
    async fn viewers_are_counted_and_capped_and_end_with_the_hub() {
        let (hub, counts) = hub();
        let mut stream = watch(&hub, "shop", &[]).await;
        assert!(hub.is_watching() && hub.watch("shop", vec![], 1).is_none());
        assert_eq!(counts.gauge(Gauge::LiveViewers, ""), 1);
        hub.close();
        assert!(poll_fn(|context| stream.poll_text(context)).await.is_none());
        drop(stream);
        assert!(!hub.is_watching());
    }

    #[tokio::test]
    async fn line_breaks_in_data_do_not_break_the_stream() {
        let (hub, _) = hub();
        let mut stream = watch(&hub, "shop", &[]).await;
        let mut envelope = testing::envelope(1, &["a"]);
        envelope.events[0].data = serde_json::from_str("{\"a\":\n\r\n1}").unwrap();
        hub.accepted(Arc::new(envelope));
        let text = next(&mut stream).await;
        assert_eq!(text.lines().count(), 3);
    }
}
