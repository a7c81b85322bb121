//! What the fault runs and the benchmarks share: processes that can be killed and measured, a client that speaks the ingest
//! protocol, a load with its ledger, a Kafka broker, a proxy that makes faults, and the printed figures.

pub mod client;
pub mod engine;
pub mod events;
pub mod fill;
pub mod kafka;
pub mod ledger;
pub mod load;
pub mod process;
pub mod proxy;
pub mod send;
pub mod traffic;

/// Prints a figure for programs; tables for people are printed beside it.
pub fn figure(name: &str, value: f64, unit: &str) {
    println!("{}", figure_line(name, value, unit));
}

/// The line of [`figure`].
pub fn figure_line(name: &str, value: f64, unit: &str) -> String {
    format!("figure {name} {value:.3} {unit}")
}

/// Any error: these are command line tools.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

/// An error with its causes, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
