//! What waits for the writer thread, and the accounts that decide whether there is room for more.

use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use monitor_core::SendError;
use tokio::sync::oneshot;

use super::{
    config::Config,
    entry::Encoded,
    error::Failure,
    fresh::Held,
    table::{Bad, Letter, Seal, Usage},
};

/// An envelope and who waits for it.
pub(crate) struct Append {
    pub(crate) entry: Encoded,
    /// The envelope itself, if there was room to keep it.
    pub(crate) held: Option<Held>,
    pub(crate) done: oneshot::Sender<Result<(), SendError>>,
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Failure>>;

/// What lanes and operators ask of the writer thread. Each waits for the answer before it asks again, so that their number is
/// bounded by the number of lanes and callers.
pub(crate) enum Order {
    Seal {
        lane: usize,
        first: i64,
        last: i64,
        rows: u64,
        bad: Vec<Bad>,
        done: Reply<Seal>,
    },
    Split {
        lane: usize,
        done: Reply<()>,
    },
    Confirm {
        lane: usize,
        last: i64,
        delivered: u64,
        dead: Vec<Letter>,
        done: Reply<()>,
    },
    Requeue {
        lane: String,
        done: Reply<u64>,
    },
    /// The file makes no sense to a reader, who saw that many openings before it read.
    Salvage {
        openings: u64,
        done: Reply<()>,
    },
}

/// What goes into one commit, and what else was asked for.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) appends: Vec<Append>,
    pub(crate) orders: Vec<Order>,
    /// Nothing will come after this.
    pub(crate) stop: bool,
}

/// Bounded by count and by bytes; a full queue refuses.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    appends: VecDeque<Append>,
    /// Bytes of the envelopes in `appends`.
    waiting: u64,
    /// When the first of them came.
    since: Option<Instant>,
    orders: VecDeque<Order>,
    /// The writer sleeps until something comes.
    idle: bool,
    closed: bool,
    stop: bool,
    /// Bytes in the table and on their way into it.
    used: u64,
    projects: Usage,
    /// Length of the last envelope for which the spool had no room; 0 when the last one fitted.
    refused: u64,
    /// Bytes that may still be written before the disk counts as full.
    disk: u64,
    /// The database cannot be written at all.
    broken: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an envelope, or says at once why not.
    pub(crate) fn push(&self, append: Append, config: &Config) -> Result<(), SendError> {
        let len = append.entry.len();
        let mut state = self.lock();
        if state.closed {
            return Err(SendError::Closed);
        }
        if state.disk < len {
            return Err(SendError::Full { what: "disk" });
        }
        if state.appends.len() >= config.queue_envelopes || state.waiting + len > config.queue_bytes {
            return Err(SendError::Full { what: "queue" });
        }
        if state.used + len > config.max_bytes {
            // Room for one that never fits is not waited for.
            state.refused = len.min(config.max_bytes);
            return Err(SendError::Full { what: "spool" });
        }
        let used = state.projects.get(append.entry.project.as_str()).copied().unwrap_or(0);
        if used + len > share(config) {
            return Err(SendError::Full { what: "project_share" });
        }
        state.refused = 0;
        state.used += len;
        match state.projects.get_mut(append.entry.project.as_str()) {
            Some(used) => *used += len,
            None => drop(state.projects.insert(append.entry.project.as_str().into(), len)),
        }
        state.waiting += len;
        state.disk -= len;
        state.since.get_or_insert_with(Instant::now);
        state.appends.push_back(append);
        // While the writer gathers a group it wakes by itself; waking it for every envelope would cost a switch each.
        if state.idle || state.waiting >= GROUP_BYTES {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Hands an order over; gives it back when the writer has ended.
    pub(crate) fn order(&self, order: Order) -> Result<(), Order> {
        let mut state = self.lock();
        if state.stop {
            return Err(order);
        }
        state.orders.push_back(order);
        self.wake.notify_one();
        Ok(())
    }

    /// Waits for the next group: at most `tick` when there is nothing, at most `delay` since the first envelope when there is.
    pub(crate) fn take(&self, tick: Duration, delay: Duration) -> Group {
        let mut state = self.lock();
        if state.appends.is_empty() && state.orders.is_empty() && !state.stop {
            state.idle = true;
            state = self.wake.wait_timeout(state, tick).unwrap_or_else(PoisonError::into_inner).0;
            state.idle = false;
        }
        while let Some(since) = state.since
            && state.orders.is_empty()
            && state.waiting < GROUP_BYTES
            && !state.closed
        {
            let Some(left) = delay.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) else { break };
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut group = Group { orders: mem::take(&mut state.orders).into(), ..Group::default() };
        let mut bytes = 0;
        while bytes < GROUP_BYTES
            && let Some(append) = state.appends.pop_front()
        {
            bytes += append.entry.len();
            group.appends.push(append);
        }
        state.waiting = state.waiting.saturating_sub(bytes);
        if state.appends.is_empty() {
            state.since = None;
        }
        group.stop = state.stop && state.appends.is_empty();
        group
    }

    /// Gives room back: entries that were deleted or never came to be.
    pub(crate) fn release(&self, freed: &Usage) {
        let mut state = self.lock();
        for (project, bytes) in freed {
            state.used = state.used.saturating_sub(*bytes);
            if let Some(used) = state.projects.get_mut(project) {
                *used = used.saturating_sub(*bytes);
                if *used == 0 {
                    state.projects.remove(project);
                }
            }
        }
    }

    /// Takes room for entries that did not come through [`push`](Self::push).
    pub(crate) fn occupy(&self, used: &Usage) {
        let mut state = self.lock();
        for (project, bytes) in used {
            state.used += bytes;
            *state.projects.entry(project.clone()).or_default() += bytes;
        }
    }

    /// Starts the accounts anew from what is in the table; what waits is added.
    pub(crate) fn recount(&self, mut stored: Usage) {
        let mut state = self.lock();
        for append in &state.appends {
            *stored.entry(append.entry.project.as_str().into()).or_default() += append.entry.len();
        }
        state.used = stored.values().sum();
        state.projects = stored;
    }

    /// Bytes that are free below the limit.
    pub(crate) fn room(&self, config: &Config) -> u64 {
        config.max_bytes.saturating_sub(self.lock().used)
    }

    pub(crate) fn used(&self) -> u64 {
        self.lock().used
    }

    /// How many bytes may be written until the disk is looked at again.
    pub(crate) fn set_disk(&self, bytes: u64) {
        self.lock().disk = bytes;
    }

    pub(crate) fn set_broken(&self, broken: bool) {
        self.lock().broken = broken;
    }

    /// Refuses envelopes from now on.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Lets the writer end when it has committed what waits.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.stop = true;
        self.wake.notify_one();
    }

    /// Drops everything that waits: who waits for it learns that nobody answers.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.stop = true;
        state.appends.clear();
        state.orders.clear();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(crate) fn is_ready(&self, config: &Config) -> bool {
        let state = self.lock();
        !state.closed
            && !state.broken
            && state.disk > 0
            && state.used + state.refused.max(1) <= config.max_bytes
            && state.appends.len() < config.queue_envelopes
            && state.waiting < config.queue_bytes
    }
}

/// Bytes that make a group complete.
const GROUP_BYTES: u64 = 1 << 20;

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // a share is in (0, 1]
fn share(config: &Config) -> u64 {
    (config.max_bytes as f64 * config.share()) as u64
}
