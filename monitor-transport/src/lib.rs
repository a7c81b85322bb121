//! Takes over responsibility for accepted events: a durable spool, and a lane per sink that delivers from it.
//!
//! # What is promised
//!
//! - [`send`](monitor_core::Transport::send) answers `Ok` only when the envelope is committed, with `fsync`. It then survives the death
//!   of the process and, given an honest disk, the loss of power.
//! - Every sink is offered every accepted event, in batches with repeatable ids, until it takes it or refuses it for good. The same id
//!   always stands for the same events in the same order, also after a crash.
//! - An event ends delivered, in the dead letters, expired or quarantined, and is counted as such:
//!   see [`Counts`](monitor_core::Counts).
//! - Nothing here depends on an orderly stop. [`close`](monitor_core::Transport::close) saves time at the next start, nothing else.
//!
//! One envelope that cannot be read, one event that cannot be written, one sink that hangs or panics: each stops nothing but itself.

#![warn(missing_docs)]

mod lane;
mod spool;

pub use spool::{DeadLetter, Durability, Failure, Spool, SpoolBuilder, SpoolError};
