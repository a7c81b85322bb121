//! The settings of a spool.

use std::{path::PathBuf, sync::Arc, time::Duration};

use monitor_core::{Counts, FOR_EVER, Sink};

use super::{Spool, SpoolError};

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Every commit waits for the disk: what was acknowledged survives a power loss (given an honest disk).
    #[default]
    Fsync,
    /// A commit waits for the operating system only: what was acknowledged survives the death of the process,
    /// but up to about 30 s of it are lost with the power.
    Os,
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) dir: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) max_bytes: u64,
    pub(crate) min_free_disk: u64,
    /// `None`: not chosen.
    pub(crate) project_share: Option<f64>,
    pub(crate) projects: Option<usize>,
    pub(crate) max_age: Duration,
    pub(crate) commit_delay: Duration,
    pub(crate) queue_envelopes: usize,
    pub(crate) queue_bytes: u64,
    pub(crate) linger: Duration,
    pub(crate) batch_events: u64,
    pub(crate) batch_bytes: u64,
    pub(crate) retry_min: Duration,
    pub(crate) retry_max: Duration,
    pub(crate) dead_letters: u64,
    pub(crate) dead_letter_bytes: u64,
}

impl Config {
    /// The part of the spool that a project may use.
    pub(crate) fn share(&self) -> f64 {
        self.project_share.unwrap_or(if self.projects == Some(1) { 1.0 } else { 0.5 })
    }
}

/// Sets up a [`Spool`]. Every setting has a default that suits a server; the last call of a setter counts.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let parent = tempfile::tempdir()?; let dir = parent.path().join("spool");
/// use std::{sync::Arc, time::Duration};
/// use monitor_core::{Counts, Transport};
/// use monitor_transport::Spool;
///
/// let spool = Spool::builder(dir)
///     .max_bytes(2 << 30)
///     .linger(Duration::from_millis(200))
///     .open(Vec::new(), Arc::new(Counts::new()))
///     .await?;
/// assert!(spool.is_ready());
/// assert!(spool.close(Duration::from_secs(5)).await);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is stored before `open`"]
pub struct SpoolBuilder {
    config: Config,
}

impl SpoolBuilder {
    pub(crate) fn new(dir: PathBuf) -> SpoolBuilder {
        SpoolBuilder {
            config: Config {
                dir,
                durability: Durability::Fsync,
                max_bytes: 10 << 30,
                min_free_disk: 512 << 20,
                project_share: None,
                projects: None,
                max_age: Duration::from_secs(72 * 3600),
                commit_delay: Duration::from_millis(2),
                queue_envelopes: 10_000,
                queue_bytes: 64 << 20,
                linger: Duration::from_millis(500),
                batch_events: 50_000,
                batch_bytes: 8 << 20,
                retry_min: Duration::from_millis(100),
                retry_max: Duration::from_secs(30),
                dead_letters: 100_000,
                dead_letter_bytes: 256 << 20,
            },
        }
    }

    /// What an acknowledgement means. Default [`Durability::Fsync`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.config.durability = durability;
        self
    }

    /// Most bytes of compressed envelopes that are kept; more is refused as `spool` full. Default 10 GiB.
    /// The files are a little larger than this.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.config.max_bytes = bytes;
        self
    }

    /// Bytes that must stay free on the disk of the spool; below it, envelopes are refused as `disk` full.
    /// Default 512 MiB. 0 turns the check off.
    pub fn min_free_disk(mut self, bytes: u64) -> Self {
        self.config.min_free_disk = bytes;
        self
    }

    /// The part of [`max_bytes`](Self::max_bytes) one project may use, above 0 and up to 1; what is beyond is refused as
    /// `project_share`. Default 0.5, or 1 when there is [only one project](Self::projects).
    pub fn project_share(mut self, share: f64) -> Self {
        self.config.project_share = Some(share);
        self
    }

    /// How many projects there are, if that is known: a single one need not leave room for others.
    pub fn projects(mut self, count: usize) -> Self {
        self.config.projects = Some(count);
        self
    }

    /// Entries that were not delivered within this time are given up and counted as expired. Default 72 h.
    /// What a lane has begun to write is never given up; nor is, in the first hour, what waited for this start, as long as its sink takes what it
    /// is offered.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.config.max_age = age;
        self
    }

    /// How long the first envelope of a group waits for others that share its commit. Default 2 ms, at most 3 ms is sensible.
    pub fn commit_delay(mut self, delay: Duration) -> Self {
        self.config.commit_delay = delay;
        self
    }

    /// Most envelopes and most bytes (compressed) that wait for the writer thread; more is refused as `queue` full.
    /// Default 10,000 and 64 MiB.
    pub fn queue(mut self, envelopes: usize, bytes: u64) -> Self {
        self.config.queue_envelopes = envelopes;
        self.config.queue_bytes = bytes;
        self
    }

    /// How long a lane waits for a batch to fill. Default 500 ms.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.linger = linger;
        self
    }

    /// A batch is complete at this many events, or bytes of JSON, whatever comes first. Default 50,000 and 8 MiB.
    /// One envelope is never cut, so that a batch can be larger by one. While a batch is written and another full one waits, that one is
    /// read, so that two are in memory. What was just committed stays in memory until its batch is formed, up to as many bytes of JSON
    /// again: it need not be decoded.
    pub fn batch(mut self, events: u64, bytes: u64) -> Self {
        self.config.batch_events = events;
        self.config.batch_bytes = bytes;
        self
    }

    /// The first and the longest wait after a failed write; it doubles in between. Default 0.1 s and 30 s.
    pub fn retry(mut self, first: Duration, longest: Duration) -> Self {
        self.config.retry_min = first;
        self.config.retry_max = longest;
        self
    }

    /// Most dead letters, and bytes of them, that are kept; beyond, the oldest are dropped and counted.
    /// Default 100,000 and 256 MiB.
    pub fn keep_dead_letters(mut self, letters: u64, bytes: u64) -> Self {
        self.config.dead_letters = letters;
        self.config.dead_letter_bytes = bytes;
        self
    }

    /// Opens the spool, continues what the last process left, and starts a lane per sink. Must run inside a tokio runtime.
    ///
    /// Creates the directory, for its owner alone, but not its parents. Of sinks that are not given any more, what they did not get
    /// is counted as expired when it is deleted; if they come back before, they get it. The lane of a new sink starts at the oldest entry still there. Without sinks, envelopes are only stored.
    ///
    /// # Errors
    /// The directory cannot be written or is in use, its format is newer, or a setting makes no sense. A damaged database is not an
    /// error: its files are kept beside, what can be read is taken over.
    pub async fn open(self, sinks: Vec<Arc<dyn Sink>>, counts: Arc<Counts>) -> Result<Arc<Spool>, SpoolError> {
        let mut config = self.config;
        config.linger = config.linger.min(FOR_EVER);
        if config.max_age.is_zero() {
            return Err(SpoolError::BadSetting("max_age must be above 0"));
        }
        if !(config.share() > 0.0 && config.share() <= 1.0) {
            return Err(SpoolError::BadSetting("project_share must be above 0 and at most 1"));
        }
        if config.max_bytes == 0 || config.max_bytes > i64::MAX as u64 {
            return Err(SpoolError::BadSetting("max_bytes must be above 0 and fit 63 bits"));
        }
        if config.queue_envelopes == 0 || config.queue_bytes == 0 {
            return Err(SpoolError::BadSetting("the queue must hold at least one envelope"));
        }
        if config.batch_events == 0 || config.batch_bytes == 0 {
            return Err(SpoolError::BadSetting("a batch must hold at least one event"));
        }
        if config.retry_min.is_zero() || config.retry_max < config.retry_min {
            return Err(SpoolError::BadSetting("the first wait of a retry must be above 0 and not exceed the longest"));
        }
        Spool::open(config, sinks, counts).await
    }
}
