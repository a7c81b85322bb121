//! The scene of the tests: a directory, a spool with short times, sinks that do what they are told.
#![allow(dead_code)] // each test binary uses a part

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use monitor_core::{Batch, Counts, Envelope, Sink, Transport, WriteError, testing};
use monitor_transport::{Spool, SpoolBuilder};

pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A spool that hurries and does not mind a full disk.
pub(crate) fn builder(dir: &Path) -> SpoolBuilder {
    Spool::builder(dir)
        .min_free_disk(0)
        .project_share(1.0)
        .commit_delay(Duration::ZERO)
        .linger(Duration::from_millis(5))
        .retry(Duration::from_millis(1), Duration::from_millis(20))
}

pub(crate) async fn open(dir: &Path, sinks: &[&Arc<dyn Sink>]) -> (Arc<Spool>, Arc<Counts>) {
    let counts = Arc::new(Counts::new());
    let spool = builder(dir).open(sinks.iter().map(|sink| Arc::clone(sink)).collect(), counts.clone()).await.unwrap();
    (spool, counts)
}

/// An envelope of two events with ids `10 * n` and `10 * n + 1`.
pub(crate) fn pair(n: u128) -> Envelope {
    testing::envelope(10 * n, &["a", "b"])
}

pub(crate) async fn send_all(spool: &Spool, numbers: impl IntoIterator<Item = u128>) {
    for n in numbers {
        spool.send(pair(n)).await.unwrap();
    }
}

pub(crate) fn ids(batches: &[Batch]) -> Vec<u128> {
    batches.iter().flat_map(|batch| batch.events().map(|(_, event)| event.id.0).collect::<Vec<_>>()).collect()
}

pub(crate) fn pairs(numbers: impl IntoIterator<Item = u128>) -> Vec<u128> {
    numbers.into_iter().flat_map(|n| [10 * n, 10 * n + 1]).collect()
}

/// What a killed process leaves: the files as they are at one moment, without the lock.
pub(crate) fn leave(dir: &Path, to: &Path) -> PathBuf {
    fs::create_dir_all(to).unwrap();
    let (database, log) = (dir.join("spool.db"), dir.join("spool.db-wal"));
    // The log may grow meanwhile, which is what a kill in the middle of a write looks like; if the database changes or the log
    // starts anew, the two copies are of different moments.
    let moment = || {
        let mut head = [0; 32];
        let _ = fs::File::open(&log).and_then(|mut log| log.read_exact(&mut head));
        (fs::metadata(&database).unwrap().modified().unwrap(), head)
    };
    loop {
        let before = moment();
        for file in [&database, &log] {
            let copy = to.join(file.file_name().unwrap());
            let _ = fs::remove_file(&copy);
            if file.exists() {
                fs::copy(file, copy).unwrap();
            }
        }
        if moment() == before {
            return to.to_owned();
        }
    }
}

pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}

/// Takes what it is given, then does not return while it is held.
#[derive(Default)]
pub(crate) struct Holding {
    pub(crate) offered: Mutex<Vec<Batch>>,
    pub(crate) held: AtomicBool,
}

#[async_trait]
impl Sink for Holding {
    fn name(&self) -> &str {
        "main"
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        self.offered.lock().unwrap().push(batch.clone());
        while self.held.load(SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }
}

pub(crate) fn holding() -> Arc<Holding> {
    Arc::new(Holding { held: AtomicBool::new(true), ..Holding::default() })
}
