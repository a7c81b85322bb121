//! Kafka for Monitor Kit: a sink that produces events, and a consumer that reads them and writes each of them once.
//!
//! # Modules, in the order of an event's way
//!
//! - `config`: what a host says; topics, keys, librdkafka's settings and which of them are refused.
//! - `topics`: creates the topics.
//! - `record`: events to messages and back; `docs/topics.md` is the contract.
//! - `sink`: one batch, many messages; `producer` awaits their reports.
//! - `classify`: what an error of the brokers means for a batch.
//! - `consumer`: messages to batches, with bounds that are the same after a crash.

mod classify;
mod config;
mod consumer;
mod producer;
mod record;
mod sink;
mod topics;

pub use config::{ConfigError, Kafka, KeyStrategy, Partitioner, Topics};
pub use consumer::{DeadMessage, KafkaConsumer, OperateError, Replayed};
pub use sink::KafkaSink;
pub use topics::{CreateError, Created, create_topics};

/// An error and its causes in one line.
pub(crate) fn report(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
