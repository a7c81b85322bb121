//! What the fault runs and the benchmarks share: a server process that can be killed and measured, a client that speaks
//! the ingest protocol, and the printed figures.

pub mod client;
pub mod events;
pub mod process;

/// Prints a figure for programs; tables for people are printed beside it.
pub fn figure(name: &str, value: f64, unit: &str) {
    println!("figure {name} {value:.3} {unit}");
}

/// Any error: these are command line tools.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;
