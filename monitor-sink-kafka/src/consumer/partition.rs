//! One partition while it is assigned to this consumer: what was read, what is being written, what is committed.
//!
//! ```text
//!  read back      read            bounds committed        written         committed
//!  (ids only) ──► filling ──► ready ──► planned ──► writing ──► done ──► …
//! ```
//!
//! Two rules make it exact. The bounds of a chunk are committed *before* it is written, so that whoever comes after a crash forms
//! the same chunk again. The offset behind it is committed only *after* it is written, so that nothing is skipped. At most one
//! chunk is between planned and done.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::consumer::{
    chunk::{Chunk, Raw},
    copies::{Copies, RECENT},
    note::{Again, Note},
    writer::{Lease, Work},
};

/// A message came behind one with a larger offset: the topic was cut, and its offsets stand for other messages now.
#[derive(Debug, thiserror::Error)]
#[error("the offsets of a partition went back")]
pub(crate) struct WentBack;

/// Messages that are read along with others: a partition that is further behind takes turns. Inserts of so many rows are cheap enough.
pub(crate) const FEW: i64 = 2_000;

/// When a chunk is complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) linger: Duration,
}

/// See the module.
pub(crate) struct Partition {
    lease: Lease,
    revoked: Arc<AtomicBool>,
    /// As it is committed; `None` when nothing is.
    committed: Option<i64>,
    note: Note,
    /// Chunks that begin at or below this offset may have been written with other bounds, or by another consumer.
    doubtful: i64,
    /// The last message of the chunk that was open when the partition was assigned, until that chunk is formed again.
    reform: Option<i64>,
    /// The offset that should come next; `None` before the first message.
    next: Option<i64>,
    filling: Chunk,
    ready: VecDeque<Chunk>,
    planned: Option<Chunk>,
    /// The offset behind the chunk that is being written.
    writing: Option<i64>,
    /// The offset behind what is written.
    done: Option<i64>,
    /// With the writer while there is one.
    copies: Option<Box<Copies>>,
    /// The offset behind the messages that waited in the topic, many, when we last heard of its end.
    behind_until: Option<i64>,
    /// The offset that was to come first.
    begins: i64,
    turn: Turn,
    /// When a message came last.
    heard: Instant,
    /// Enough is read for a while.
    full: bool,
    pub(crate) paused: bool,
}

/// Whether a partition that is behind may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Until a chunk is complete.
    Since(Instant),
    /// Others come first that have waited for longer.
    EndedAt(Instant),
}

impl Partition {
    /// Just assigned; offset and note are those that the group has committed.
    pub(crate) fn new(lease: Lease, committed: Option<i64>, note: Note, now: Instant) -> Partition {
        Partition {
            lease,
            revoked: Arc::default(),
            committed,
            note,
            doubtful: note.open.unwrap_or(-1).max(note.again.map_or(-1, |again| again.below - 1)),
            reform: note.open,
            next: None,
            filling: Chunk::default(),
            ready: VecDeque::new(),
            planned: None,
            writing: None,
            done: None,
            copies: Some(Box::default()),
            behind_until: None,
            begins: 0,
            turn: Turn::EndedAt(now),
            heard: now,
            full: false,
            paused: false,
        }
    }

    /// Where to begin to read: before what is committed, so that copies of the latest events are known. `None`: at the beginning.
    pub(crate) fn start(&self) -> Option<i64> {
        let back = i64::try_from(RECENT).unwrap_or(i64::MAX);
        self.committed.map(|committed| committed.saturating_sub(back)).filter(|start| *start > 0)
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Takes the next message. Returns the offsets that should have been written and did not come, if there are any.
    pub(crate) fn take(&mut self, raw: Raw<'_>, limits: Limits, now: Instant) -> Result<Range<i64>, WentBack> {
        if self.next.is_none()
            && raw.offset > 0
            && let Some(copies) = &mut self.copies
        {
            copies.begin(raw.time);
        }
        let expected = self.next.or(self.committed).unwrap_or(raw.offset);
        if self.next.is_some_and(|next| raw.offset < next) {
            return Err(WentBack);
        }
        self.next = Some(raw.offset + 1);
        self.heard = now;
        self.keep(raw, limits, now);
        // What was read back was written.
        Ok(expected.max(self.committed.unwrap_or(expected))..raw.offset)
    }

    fn keep(&mut self, raw: Raw<'_>, limits: Limits, now: Instant) {
        if self.committed.is_some_and(|committed| raw.offset < committed) {
            if let Some(copies) = &mut self.copies {
                copies.remember(raw.payload, raw.time);
            }
            return;
        }
        if self.reform.is_some_and(|last| raw.offset > last) {
            // Its last message is gone, perhaps all of them.
            self.seal(now);
        }
        // Nothing more is known to wait that would be worth waiting for.
        let caught_up = self.behind_until.take_if(|end| raw.offset + 1 >= *end).is_some();
        self.filling.push(raw, now);
        let complete = match self.reform {
            Some(last) => raw.offset >= last,
            None => {
                let many = caught_up && i64::try_from(self.filling.len()).is_ok_and(|len| len >= FEW);
                many || self.filling.len() >= limits.events || self.filling.bytes() >= limits.bytes
            }
        };
        if complete {
            self.seal(now);
        }
    }

    fn seal(&mut self, now: Instant) {
        self.reform = None;
        if let Turn::Since(_) = self.turn {
            self.turn = Turn::EndedAt(now);
        }
        if !self.filling.is_empty() {
            self.ready.push_back(std::mem::take(&mut self.filling));
        }
    }

    /// Hears of the offset behind the topic's last message; `first` is that of its first one.
    pub(crate) fn learn(&mut self, first: i64, end: i64) {
        self.begins = self.start().unwrap_or(first).max(first);
        self.behind_until = Some(end);
        self.behind_until = self.behind().and(Some(end));
    }

    /// How many messages are known to wait in the topic, if they are many.
    pub(crate) fn behind(&self) -> Option<i64> {
        let unread = self.behind_until?.saturating_sub(self.next.unwrap_or(self.begins));
        Some(unread).filter(|unread| *unread >= FEW)
    }

    /// Whether it is being read in its turn, or holds what it read then. One of which nothing comes (it has no leader) holds up nobody.
    pub(crate) fn takes_a_place(&self, patience: Duration, now: Instant) -> bool {
        let reads = matches!(self.turn, Turn::Since(since) if now.duration_since(since.max(self.heard)) < patience);
        reads || !self.ready.is_empty()
    }

    /// Since when it waits for a turn. `None`: it needs none, or has one, or has enough for a while.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        match self.turn {
            Turn::EndedAt(ended) if !self.full => self.behind().map(|_| ended),
            _ => None,
        }
    }

    /// It may be read until a chunk is complete.
    pub(crate) fn give_turn(&mut self, now: Instant) {
        self.turn = Turn::Since(now);
    }

    /// Whether it is read in its turn and has no memory for what comes.
    pub(crate) fn needs_room(&self) -> bool {
        matches!(self.turn, Turn::Since(_)) && !self.filling.has_room()
    }

    /// Fills this chunk, which is empty, next.
    pub(crate) fn furnish(&mut self, spare: Chunk) {
        self.filling = spare;
    }

    /// Whether it should not be read now. `turns`: those that are behind are read in turns.
    pub(crate) fn should_rest(&mut self, turns: bool) -> bool {
        // Not to and fro with each chunk.
        self.full = if self.full { !self.is_hungry() } else { self.is_full() };
        self.full || (turns && self.waits_since().is_some())
    }

    /// Since when something waits that can be written now; `None` when nothing does, or something is being written.
    pub(crate) fn due(&self, limits: Limits, now: Instant) -> Option<Instant> {
        if self.is_busy() {
            return None;
        }
        let filling = self.filling.since().filter(|since| self.reform.is_none() && now.duration_since(*since) >= limits.linger);
        self.ready.front().and_then(Chunk::since).or(filling)
    }

    /// Chooses what is to be written next. Call it when something is [due](Partition::due).
    pub(crate) fn plan(&mut self, now: Instant) {
        if self.ready.is_empty() {
            self.seal(now);
        }
        self.planned = self.ready.pop_front();
    }

    /// How many complete chunks wait.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether something is being written, or is going to be.
    pub(crate) fn is_busy(&self) -> bool {
        self.planned.is_some() || self.writing.is_some()
    }

    /// Bytes of messages that wait.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.filling.bytes() + self.ready.iter().map(Chunk::bytes).sum::<usize>() + self.planned.as_ref().map_or(0, Chunk::bytes)
    }

    /// What is to be committed, if anything.
    pub(crate) fn wish(&self) -> Option<(i64, Note)> {
        let Some((first, last)) = self.planned.as_ref().and_then(Chunk::bounds) else { return self.done() };
        let offset = self.done.or(self.committed).unwrap_or(first);
        Some((offset, Note { open: Some(last), again: self.again(offset) }))
    }

    /// The offset behind what is written, if that is not committed.
    pub(crate) fn done(&self) -> Option<(i64, Note)> {
        self.done.map(|done| (done, Note { open: None, again: self.again(done) }))
    }

    /// What a note says of reading again, as long as the offset is not behind it.
    fn again(&self, offset: i64) -> Option<Again> {
        self.note.again.filter(|again| offset < again.below)
    }

    /// What is committed, to be committed once more as a proof that this consumer may.
    pub(crate) fn proof(&self) -> Option<(i64, Note)> {
        self.committed.map(|committed| (committed, self.note))
    }

    /// The wish, which was asked for at this time, was fulfilled. Returns what is to be written now.
    pub(crate) fn committed(&mut self, offset: i64, note: Note, asked: Instant) -> Option<Work> {
        self.committed = Some(offset);
        self.note = note;
        self.done = None;
        let chunk = self.planned.take()?;
        let (first, last) = chunk.bounds()?;
        self.writing = Some(last + 1);
        Some(Work {
            lease: self.lease.clone(),
            repeated: first <= self.doubtful,
            again: note.again.filter(|again| first < again.below).map(|again| again.number),
            chunk,
            copies: self.copies.take()?,
            proved: asked,
            revoked: Arc::clone(&self.revoked),
        })
    }

    /// The chunk was written.
    pub(crate) fn written(&mut self, copies: Box<Copies>) {
        self.done = self.writing.take();
        self.copies = Some(copies);
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Whether enough is read for a while.
    fn is_full(&self) -> bool {
        self.ready.len() >= 2
    }

    /// Whether more should be read.
    fn is_hungry(&self) -> bool {
        self.ready.is_empty()
    }

    /// Messages that are not dealt with, of those up to this end.
    pub(crate) fn lag(&self, end: i64) -> Option<i64> {
        self.done.or(self.committed).map(|offset| end.saturating_sub(offset).max(0))
    }
}

impl Drop for Partition {
    /// Whoever still writes for it stops.
    fn drop(&mut self) {
        self.revoked.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { events: 3, bytes: 1_000, linger: Duration::from_secs(1) };

    /// Offset and note that were committed, and the bounds and doubt of what is written now.
    type Advance = (i64, Note, Option<(i64, i64, bool)>);

    struct Scene {
        partition: Partition,
        now: Instant,
    }

    impl Scene {
        fn new(committed: Option<i64>, note: Note) -> Scene {
            let lease = Lease { topic: "t".into(), partition: 0, assignment: 1 };
            let now = Instant::now();
            Scene { partition: Partition::new(lease, committed, note, now), now }
        }

        /// Returns how many messages did not come.
        fn take(&mut self, offsets: Range<i64>) -> i64 {
            let mut missing = 0;
            for offset in offsets {
                let gap = self.partition.take(Raw { offset, time: 5, key: b"", payload: b"x" }, LIMITS, self.now).unwrap();
                missing += (gap.end - gap.start).max(0);
            }
            missing
        }

        /// Plans and commits.
        fn advance(&mut self) -> Option<Advance> {
            if self.partition.due(LIMITS, self.now).is_some() {
                self.partition.plan(self.now);
            }
            let (offset, note) = self.partition.wish()?;
            let work = self.partition.committed(offset, note, self.now);
            let bounds = work.and_then(|work| work.chunk.bounds().map(|(first, last)| (first, last, work.repeated)));
            Some((offset, note, bounds))
        }

        fn written(&mut self) {
            self.partition.written(Box::default());
        }
    }

    fn open(last: i64) -> Note {
        Note { open: Some(last), again: None }
    }

    #[test]
    fn bounds_are_committed_before_and_the_offset_after_the_write() {
        let mut scene = Scene::new(None, Note::default());
        scene.take(0..2);
        assert_eq!(scene.advance(), None, "a chunk that is not full waits");
        scene.take(2..5);
        assert_eq!(scene.advance(), Some((0, open(2), Some((0, 2, false)))));
        assert_eq!(scene.advance(), None, "one chunk at a time");
        scene.written();
        assert_eq!(scene.advance(), Some((3, Note::default(), None)));
        scene.now += Duration::from_secs(1);
        assert_eq!(scene.advance(), Some((3, open(4), Some((3, 4, false)))));
        scene.take(5..8);
        scene.written();
        assert_eq!(scene.advance(), Some((5, open(7), Some((5, 7, false)))), "the end of one and the bounds of the next in one commit");
    }

    #[test]
    fn what_was_open_is_formed_again_with_the_same_bounds() {
        let mut scene = Scene::new(Some(10), open(14));
        scene.take(10..13);
        scene.now += Duration::from_secs(9);
        assert_eq!(scene.advance(), None, "it waits for its last message");
        scene.take(13..18);
        assert_eq!(scene.advance(), Some((10, open(14), Some((10, 14, true)))));
        scene.written();
        assert_eq!(scene.advance(), Some((15, open(17), Some((15, 17, false)))));
    }

    #[test]
    fn what_was_open_can_have_lost_messages_to_retention() {
        let mut scene = Scene::new(Some(10), open(12));
        assert_eq!(scene.take(11..12), 1);
        scene.take(14..15);
        assert_eq!(scene.advance(), Some((10, open(11), Some((11, 11, true)))));
        let mut scene = Scene::new(Some(10), open(12));
        assert_eq!(scene.take(20..23), 10);
        assert_eq!(scene.advance(), Some((10, open(22), Some((20, 22, false)))));
    }

    #[test]
    fn what_is_before_the_committed_offset_is_only_remembered() {
        let mut scene = Scene::new(Some(5), Note::default());
        assert_eq!(scene.partition.start(), None);
        assert_eq!(scene.take(0..5), 0);
        assert!(scene.partition.filling.is_empty());
        scene.take(5..8);
        assert_eq!(scene.advance(), Some((5, open(7), Some((5, 7, false)))));
        let start = Scene::new(Some(1_000_000), Note::default()).partition.start();
        assert_eq!(start, Some(1_000_000 - i64::try_from(RECENT).unwrap()));
    }

    #[test]
    fn what_is_read_again_on_purpose_is_doubtful_until_its_end() {
        let replay = Note { open: None, again: Some(Again { below: 4, number: 77 }) };
        let mut scene = Scene::new(Some(0), replay);
        scene.take(0..9);
        assert_eq!(scene.advance(), Some((0, Note { open: Some(2), ..replay }, Some((0, 2, true)))));
        scene.written();
        assert_eq!(scene.advance(), Some((3, Note { open: Some(5), ..replay }, Some((3, 5, true)))));
        scene.written();
        assert_eq!(scene.advance(), Some((6, open(8), Some((6, 8, false)))));
    }

    #[test]
    fn only_what_is_read_again_has_the_number_of_the_command_in_its_id() {
        let again = Some(Again { below: 4, number: 77 });
        let numbers = |open| {
            let mut partition = Scene::new(Some(0), Note { open, again });
            partition.take(0..9);
            let mut numbers = Vec::new();
            for _ in 0..3 {
                partition.partition.plan(partition.now);
                let (offset, note) = partition.partition.wish().unwrap();
                numbers.push(partition.partition.committed(offset, note, partition.now).unwrap().again);
                partition.written();
            }
            numbers
        };
        assert_eq!(numbers(None), [Some(77), Some(77), None]);
        assert_eq!(numbers(Some(2)), [Some(77), Some(77), None], "after a crash in the middle, too");
    }

    #[test]
    fn messages_that_do_not_come_are_told_and_offsets_that_go_back_refused() {
        let mut scene = Scene::new(Some(5), Note::default());
        assert_eq!(scene.take(2..4), 0, "what was written may be gone");
        assert_eq!(scene.take(7..8), 2);
        assert_eq!(scene.take(8..10), 0);
        assert_eq!(scene.take(1_000..1_001), 990);
        assert!(scene.partition.take(Raw { offset: 10, time: 5, key: b"", payload: b"x" }, LIMITS, scene.now).is_err());
        assert_eq!(Scene::new(None, Note::default()).take(50..52), 0, "nobody knows what was before");
    }

    #[test]
    fn reading_pauses_when_two_chunks_wait() {
        let mut scene = Scene::new(None, Note::default());
        scene.take(0..3);
        assert!(!scene.partition.should_rest(false));
        scene.take(3..6);
        assert!(scene.partition.should_rest(false));
        scene.advance();
        assert!(scene.partition.should_rest(false), "one chunk waits");
        scene.written();
        scene.advance();
        assert!(!scene.partition.should_rest(false));
    }

    #[test]
    fn what_waited_in_the_topic_is_written_when_all_of_it_is_read() {
        let limits = Limits { events: 50_000, bytes: 1 << 30, ..LIMITS };
        let mut scene = Scene::new(None, Note::default());
        scene.partition.learn(10, 3_000);
        assert_eq!(scene.partition.behind(), Some(2_990));
        let take = |scene: &mut Scene, offsets: Range<i64>| {
            offsets.for_each(|offset| drop(scene.partition.take(Raw { offset, time: 5, key: b"", payload: b"x" }, limits, scene.now)))
        };
        take(&mut scene, 10..2_999);
        assert_eq!((scene.partition.behind(), scene.partition.due(limits, scene.now)), (None, None));
        take(&mut scene, 2_999..3_001);
        assert!(scene.partition.due(limits, scene.now).is_some());
        assert_eq!(scene.advance().unwrap().2, Some((10, 2_999, false)));
        scene.partition.learn(10, 5_000);
        assert_eq!(scene.partition.behind(), None, "few messages wait no longer than others");
    }

    #[test]
    fn a_turn_lasts_until_a_chunk_is_complete() {
        let mut scene = Scene::new(Some(200_000), Note::default());
        let patience = Duration::from_secs(1);
        scene.partition.learn(0, 1_000_000);
        assert_eq!(scene.partition.behind(), Some(1_000_000 - 200_000 + i64::try_from(RECENT).unwrap()), "with what is read back");
        assert!(scene.partition.should_rest(true) && !scene.partition.should_rest(false));
        assert!(!scene.partition.takes_a_place(patience, scene.now));
        scene.partition.give_turn(scene.now);
        assert!(!scene.partition.should_rest(true) && scene.partition.takes_a_place(patience, scene.now));
        assert_eq!(scene.partition.waits_since(), None);
        scene.now += patience;
        assert!(!scene.partition.takes_a_place(patience, scene.now), "nothing comes");
        scene.take(200_000..200_002);
        assert!(scene.partition.takes_a_place(patience, scene.now));
        scene.take(200_002..200_003);
        assert_eq!(scene.partition.waits_since(), Some(scene.now));
        assert!(scene.partition.should_rest(true) && scene.partition.takes_a_place(patience, scene.now), "it holds a chunk");
        scene.advance();
        assert!(!scene.partition.takes_a_place(patience, scene.now), "the chunk is with the writer");
        let ended = scene.now;
        scene.take(200_003..200_004);
        scene.written();
        scene.now += LIMITS.linger;
        assert!(scene.advance().is_some_and(|(_, _, work)| work == Some((200_003, 200_003, false))));
        assert_eq!(scene.partition.waits_since(), Some(ended), "what came late does not send it to the end of the queue");
    }

    #[test]
    fn a_writer_learns_that_the_partition_is_gone() {
        let mut scene = Scene::new(None, Note::default());
        scene.take(0..3);
        scene.partition.plan(scene.now);
        let (offset, note) = scene.partition.wish().unwrap();
        let work = scene.partition.committed(offset, note, scene.now).unwrap();
        assert_eq!(work.proved, scene.now, "decoding may take long, or the machine sleep");
        assert!(!work.revoked.load(Ordering::SeqCst));
        drop(scene);
        assert!(work.revoked.load(Ordering::SeqCst));
    }
}
