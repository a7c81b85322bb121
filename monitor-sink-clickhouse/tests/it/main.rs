//! Sink, store and schema against the real engine, served by the helper process.
//!
//! The helper is built on first use and fetches its engine once. To use one that is already built, name it in
//! `MONITOR_ENGINE`.

// Clippy's exception for tests covers test functions only, not what they share.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should panic"
)]

mod engine;
mod proxy;

mod embedded;
mod faults;
mod journey;
mod lists;
mod plan;
mod query;
mod rollup;
mod schema;
mod write;
