//! Which partitions are read while much waits in the topics.
//!
//! What costs the store most is how many inserts there are. A consumer that is behind and reads all of its partitions at once fills all of
//! their chunks a little; one that reads a few of them fills few chunks, well. So partitions that are behind take turns: each is read until a
//! chunk of it is complete, and then those that have waited for longer come first. Partitions of which only little waits are always read.

use std::time::{Duration, Instant};

use crate::consumer::partition::Partition;

/// How long a partition in its turn is waited for when nothing comes.
const PATIENCE: Duration = Duration::from_secs(1);

/// Gives turns away. Returns whether partitions without one should rest: not when what waits would not fill a single chunk.
pub(crate) fn give(partitions: &mut [&mut Partition], places: usize, chunk: usize, now: Instant) -> bool {
    let behind: i64 = partitions.iter().filter_map(|partition| partition.behind()).sum();
    if usize::try_from(behind).is_ok_and(|behind| behind < chunk) {
        return false;
    }
    let taken = partitions.iter().filter(|partition| partition.takes_a_place(PATIENCE, now)).count();
    let mut waiting: Vec<(Instant, &mut Partition)> =
        partitions.iter_mut().filter_map(|partition| Some((partition.waits_since()?, &mut **partition))).collect();
    waiting.sort_by_key(|(since, _)| *since);
    waiting.into_iter().take(places.saturating_sub(taken)).for_each(|(_, partition)| partition.give_turn(now));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::{
        chunk::Raw,
        note::Note,
        partition::{FEW, Limits},
        writer::Lease,
    };

    const LIMITS: Limits = Limits { events: 5_000, bytes: 1 << 30, linger: Duration::from_secs(1) };

    struct Scene {
        partitions: Vec<Partition>,
        next: Vec<i64>,
        now: Instant,
    }

    impl Scene {
        /// Partitions of which so many messages wait.
        fn new(waiting: &[i64]) -> Scene {
            let now = Instant::now();
            let partition = |(id, end): (i32, &i64)| {
                let lease = Lease { topic: "t".into(), partition: id, assignment: 1 };
                let mut partition = Partition::new(lease, None, Note::default(), now);
                partition.learn(0, *end);
                partition
            };
            Scene { partitions: (0..).zip(waiting).map(partition).collect(), next: vec![0; waiting.len()], now }
        }

        /// Those that are read, with two places.
        fn reads(&mut self) -> Vec<usize> {
            let turns = give(&mut self.partitions.iter_mut().collect::<Vec<_>>(), 2, LIMITS.events, self.now);
            (0..self.partitions.len()).filter(|n| !self.partitions[*n].should_rest(turns)).collect()
        }

        fn take(&mut self, n: usize, messages: i64) {
            self.now += Duration::from_millis(1);
            for offset in self.next[n]..self.next[n] + messages {
                self.partitions[n].take(Raw { offset, time: 5, key: b"", payload: b"x" }, LIMITS, self.now).unwrap();
            }
            self.next[n] += messages;
        }

        fn write(&mut self, n: usize) {
            self.partitions[n].plan(self.now);
            let (offset, note) = self.partitions[n].wish().unwrap();
            self.partitions[n].committed(offset, note, self.now).unwrap();
        }
    }

    #[test]
    fn each_partition_that_is_behind_has_its_turn() {
        let mut scene = Scene::new(&[9_000, 9_000, 9_000, FEW - 1]);
        let first = scene.reads();
        assert_eq!((first.len(), first.contains(&3)), (3, true), "{first:?}");
        let (a, b) = (first[0], first[1]);
        let c = (0..3).find(|n| !first.contains(n)).unwrap();
        scene.take(a, 5_000);
        assert_eq!(scene.reads(), [b, 3], "its chunk waits for a writer");
        scene.write(a);
        let mut expected = vec![b, c, 3];
        expected.sort_unstable();
        assert_eq!(scene.reads(), expected);
        scene.take(b, 5_000);
        scene.write(b);
        let mut expected = vec![a, c, 3];
        expected.sort_unstable();
        assert_eq!(scene.reads(), expected);
    }

    #[test]
    fn all_are_read_when_little_waits() {
        assert_eq!(Scene::new(&[FEW, FEW, 0, 10]).reads(), [0, 1, 2, 3]);
        let mut scene = Scene::new(&[4_000, 4_000, 4_000]);
        assert_eq!(scene.reads().len(), 2);
        for n in scene.reads() {
            scene.take(n, 4_000);
        }
        assert_eq!(scene.reads().len(), 3);
    }

    #[test]
    fn those_of_which_nothing_comes_hold_up_nobody() {
        let mut scene = Scene::new(&[9_000; 4]);
        assert_eq!(scene.reads().len(), 2);
        scene.now += PATIENCE;
        assert_eq!(scene.reads(), [0, 1, 2, 3]);
    }
}
