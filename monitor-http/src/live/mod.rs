//! The live stream: accepted envelopes, to everyone who is looking.
//!
//! A viewer that reads too slowly misses events and is told how many; it never slows the ingest, which only pushes a pointer
//! into a bounded queue. What a viewer filters is filtered when it reads. Events are turned into text by the first viewer that wants
//! them, once for all viewers.
//!
//! There are two ways to look: server-sent events, one stream of [`Text`], and a WebSocket for [`panels`](panel).

mod panel;
mod tally;
mod wish;

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
use futures_util::future::BoxFuture;
use monitor_core::{Counts, Document, Envelope, Event, Gauge, Labelled, Observer};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

pub(crate) use self::wish::{MOST_KINDS, Wish};

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

/// A viewer is asked after this time whether it still may be one: a stream must not outlive the session it was opened with.
const CHECK_EVERY: Duration = Duration::from_secs(30);

/// Asks whether a viewer may still see what it sees.
pub(crate) type IsAllowed = Box<dyn Fn() -> BoxFuture<'static, bool> + Send>;

struct Viewer {
    wish: Wish,
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
    /// Events of an envelope that are of a wanted kind: what it counts for in the queue.
    fn size(&self, accepted: &Accepted) -> usize {
        accepted.envelope.events.iter().filter(|event| self.wish.wants_kind(event)).count()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an envelope, or counts its events as dropped; how many were dropped.
    fn offer(&self, accepted: &Arc<Accepted>) -> u64 {
        let wanted = self.size(accepted);
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

    /// A stream of events for server-sent events, unless there are too many viewers.
    pub(crate) fn watch(self: &Arc<Self>, wish: Wish, most: usize, is_allowed: IsAllowed) -> Option<Text> {
        let every = |time| {
            let mut interval = interval_at(Instant::now() + time, time);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        let watching = self.join(wish, most)?;
        // The first bytes make the client see at once that it is connected.
        Some(Text { watching, comments: every(COMMENT_EVERY), checks: every(CHECK_EVERY), is_allowed, asking: None, hello: true })
    }

    /// Becomes a viewer, unless there are too many.
    fn join(self: &Arc<Self>, wish: Wish, most: usize) -> Option<Watching> {
        let viewer = Arc::new(Viewer { wish, queue: Mutex::default() });
        let mut viewers = self.viewers();
        if viewers.list.len() >= most {
            return None;
        }
        if viewers.closed {
            viewer.close();
        }
        viewers.list.push(viewer.clone());
        self.now_watching(viewers.list.len());
        Some(Watching { hub: self.clone(), viewer })
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
            viewers.list.iter().filter(|viewer| viewer.wish.project == envelope.origin.project).cloned().collect();
        drop(viewers);
        if interested.is_empty() {
            return;
        }
        let accepted = Arc::new(Accepted::new(envelope));
        let dropped = interested.iter().map(|viewer| viewer.offer(&accepted)).sum();
        self.counts.count(Labelled::LiveDropped, "live", dropped);
    }
}

/// One viewer's place. Dropping it ends the viewing.
struct Watching {
    hub: Arc<LiveHub>,
    viewer: Arc<Viewer>,
}

/// What comes next.
struct Piece {
    accepted: Option<Arc<Accepted>>,
    /// Events that were missed after it, of the wanted kinds.
    dropped: u64,
}

impl Watching {
    /// The next envelope with something of a wanted kind, or how much was missed; `None` when the hub is closed.
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        let mut queue = self.viewer.queue();
        let dropped = std::mem::take(&mut queue.dropped);
        let accepted = queue.waiting.pop_front();
        if let Some(accepted) = &accepted {
            queue.events = queue.events.saturating_sub(self.viewer.size(accepted));
            queue.bytes = queue.bytes.saturating_sub(accepted.bytes);
        } else if dropped == 0 {
            if queue.closed {
                return Poll::Ready(None);
            }
            queue.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        // What was missed came after the events that were queued before the gap began: approximately here.
        Poll::Ready(Some(Piece { accepted, dropped }))
    }

    /// The wanted events of an envelope, each with its place in it.
    fn wanted<'a>(&'a self, accepted: &'a Accepted) -> impl Iterator<Item = (usize, &'a Event)> {
        let Envelope { origin, events, .. } = &*accepted.envelope;
        events.iter().enumerate().filter(|(_, event)| self.viewer.wish.wants(origin, event))
    }

    /// Writes the wanted events as a JSON array without line breaks; `false` when there are none.
    fn write_events(&self, accepted: &Accepted, text: &mut String) -> bool {
        let start = text.len();
        for (n, event) in self.wanted(accepted) {
            let Some(document) = accepted.texts.get(n) else { continue };
            let document = document.get_or_init(|| {
                // JSON text has no raw line breaks but those in `data`, which came from the client and may be laid out.
                let text = serde_json::to_string(&Document::new(&accepted.envelope.origin, event)).unwrap_or_else(|_| "null".into());
                if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ") } else { text }
            });
            text.push(if text.len() == start { '[' } else { ',' });
            text.push_str(document);
        }
        if text.len() == start {
            return false;
        }
        text.push(']');
        true
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut viewers = self.hub.viewers();
        viewers.list.retain(|viewer| !Arc::ptr_eq(viewer, &self.viewer));
        self.hub.now_watching(viewers.list.len());
    }
}

/// The text of server-sent events.
pub(crate) struct Text {
    watching: Watching,
    comments: Interval,
    checks: Interval,
    is_allowed: IsAllowed,
    asking: Option<BoxFuture<'static, bool>>,
    hello: bool,
}

impl Text {
    pub(crate) fn poll_text(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if std::mem::take(&mut self.hello) {
            return Poll::Ready(Some(Bytes::from_static(b": connected\n\n")));
        }
        while self.checks.poll_tick(context).is_ready() {
            self.asking = Some((self.is_allowed)());
        }
        match self.asking.as_mut().map(|asking| asking.as_mut().poll(context)) {
            Some(Poll::Ready(true)) => self.asking = None,
            Some(Poll::Ready(false)) => return Poll::Ready(None),
            Some(Poll::Pending) | None => {}
        }
        while let Poll::Ready(piece) = self.watching.poll_next(context) {
            let Some(Piece { accepted, dropped }) = piece else { return Poll::Ready(None) };
            let mut text = String::from("event: events\ndata: ");
            if accepted.is_some_and(|accepted| self.watching.write_events(&accepted, &mut text)) {
                text.push_str("\n\n");
            } else {
                text.clear();
            }
            if dropped > 0 {
                // Writing to a String cannot fail.
                let _infallible = write!(text, "event: dropped\ndata: {{\"count\":{dropped}}}\n\n");
            }
            if !text.is_empty() {
                self.comments.reset();
                return Poll::Ready(Some(text.into()));
            }
        }
        self.comments.poll_tick(context).map(|_| Some(Bytes::from_static(b": live\n\n")))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use monitor_core::{Kind, testing};

    use super::*;

    fn hub() -> (Arc<LiveHub>, Arc<Counts>) {
        let counts = Arc::new(Counts::new());
        (LiveHub::new(counts.clone()), counts)
    }

    fn always() -> IsAllowed {
        Box::new(|| Box::pin(std::future::ready(true)))
    }

    fn wish(project: &str, kinds: &[Kind]) -> Wish {
        Wish::new(project, kinds.to_vec(), &[]).unwrap()
    }

    async fn next(stream: &mut Text) -> String {
        let text = poll_fn(|context| stream.poll_text(context)).await.unwrap();
        String::from_utf8(text.to_vec()).unwrap()
    }

    async fn watch(hub: &Arc<LiveHub>, project: &str, kinds: &[Kind]) -> Text {
        let mut stream = hub.watch(wish(project, kinds), 10, always()).unwrap();
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
        envelope.origin.tags.extend((0..64).map(|n| (n.to_string().into(), "y".repeat(4_096))));
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

    #[tokio::test(start_paused = true)]
    async fn a_viewer_that_is_no_longer_allowed_sees_nothing_more() {
        let (hub, _) = hub();
        let left = Mutex::new(2);
        let is_allowed: IsAllowed = Box::new(move || {
            let mut left = left.lock().unwrap();
            *left -= 1;
            Box::pin(std::future::ready(*left > 0))
        });
        let mut stream = hub.watch(wish("shop", &[]), 10, is_allowed).unwrap();
        let start = Instant::now();
        while poll_fn(|context| stream.poll_text(context)).await.is_some() {}
        assert_eq!(start.elapsed(), 2 * CHECK_EVERY);
    }

    #[tokio::test]
    async fn viewers_are_counted_and_capped_and_end_with_the_hub() {
        let (hub, counts) = hub();
        let mut stream = watch(&hub, "shop", &[]).await;
        assert!(hub.is_watching() && hub.watch(wish("shop", &[]), 1, always()).is_none());
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
