//! F04: whatever the order of sends, outages, kills and restarts, everything acknowledged is delivered, nothing else is, in order,
//! and the same batch id always stands for the same events.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation
)] // a test may fail loudly

mod common;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use common::*;
use monitor_core::{Batch, Counts, Sink, Transport, WriteError, testing};
use monitor_transport::Spool;
use proptest::{collection::vec, prelude::*};

#[derive(Clone, Debug)]
enum Action {
    Send(usize),
    Down,
    Up,
    /// The next batch is written, but the process dies before it is confirmed.
    Stick,
    Wait,
    Kill,
    Restart,
    Flush,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (1usize..5).prop_map(Action::Send),
        1 => Just(Action::Down),
        2 => Just(Action::Up),
        1 => Just(Action::Stick),
        2 => Just(Action::Wait),
        2 => Just(Action::Kill),
        1 => Just(Action::Restart),
        1 => Just(Action::Flush),
    ]
}

/// Lives on when the process of the spool "dies", as a database would.
#[derive(Default)]
struct World {
    down: AtomicBool,
    sticky: AtomicBool,
    taken: Mutex<Vec<(String, Vec<u128>)>>,
}

#[async_trait]
impl Sink for World {
    fn name(&self) -> &str {
        "main"
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        if self.down.load(SeqCst) {
            return Err(WriteError::retryable("down"));
        }
        let entry = (batch.id().to_string(), ids(std::slice::from_ref(batch)));
        self.taken.lock().unwrap().push(entry);
        while self.sticky.load(SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

async fn start(dir: &std::path::Path, world: &Arc<World>) -> Arc<Spool> {
    builder(dir).linger(Duration::from_millis(1)).batch(4, 1 << 20).open(vec![world.clone()], Arc::new(Counts::new())).await.unwrap()
}

async fn play(actions: Vec<Action>) {
    let home = tempfile::tempdir().unwrap();
    let world = Arc::new(World::default());
    let mut dirs = 0;
    let mut dir = home.path().join("0");
    let mut spool = start(&dir, &world).await;
    let mut acknowledged = Vec::new();
    let mut next = 0;
    for action in actions {
        match action {
            Action::Send(events) => {
                spool.send(testing::envelope(next, &vec!["x"; events])).await.unwrap();
                acknowledged.extend(next..next + events as u128);
                next += events as u128;
            }
            Action::Down => world.down.store(true, SeqCst),
            Action::Up => world.down.store(false, SeqCst),
            Action::Stick => world.sticky.store(true, SeqCst),
            Action::Wait => tokio::time::sleep(Duration::from_millis(4)).await,
            Action::Flush => drop(spool.flush(Duration::from_millis(20)).await),
            Action::Restart => {
                spool.close(Duration::from_millis(30)).await;
                world.sticky.store(false, SeqCst);
                eventually("the directory is free", || std::fs::File::open(dir.join("spool.lock")).unwrap().try_lock().is_ok()).await;
                spool = start(&dir, &world).await;
            }
            Action::Kill => {
                // The files as they are; what the old process does afterwards does not count, so it must not reach the world.
                world.down.store(true, SeqCst);
                dirs += 1;
                let next = home.path().join(dirs.to_string());
                leave(&dir, &next);
                let old = std::mem::replace(&mut spool, start(&next, &world).await);
                dir = next;
                old.close(Duration::from_millis(10)).await;
                world.sticky.store(false, SeqCst);
                world.down.store(false, SeqCst);
            }
        }
    }
    world.down.store(false, SeqCst);
    world.sticky.store(false, SeqCst);
    assert!(spool.flush(SOON).await, "everything is delivered in the end");
    eventually("the entries are deleted", || spool.bytes() == 0).await;
    assert!(spool.close(SOON).await);

    let taken = world.taken.lock().unwrap();
    let mut known: HashMap<&str, &[u128]> = HashMap::new();
    let mut first = Vec::new();
    for (id, events) in taken.iter() {
        match known.get(id.as_str()) {
            Some(before) => assert_eq!(before, events, "batch {id} came back with other events"),
            None => {
                known.insert(id, events);
                first.extend(events.iter().copied());
            }
        }
    }
    // Every event is in one batch only, in the order it was acknowledged: a sink that knows the ids stores it exactly once.
    assert_eq!(first, acknowledged);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn f04_every_sequence_of_faults_keeps_the_promise(actions in vec(action(), 1..25)) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(play(actions));
    }
}
