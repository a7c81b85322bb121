//! What parsing and each enricher cost, in process, without network and disk: the part of the receiver's cost that is computing.
//!
//! Repeatable enough to compare two versions; for instruction counts run it under `valgrind --tool=callgrind` with `--rounds 1`.

use std::{hint::black_box, time::Instant};

use clap::Parser;
use monitor_bench::{Result, events, figure};
use monitor_core::{
    Enricher, EventId, enrich,
    wire::{self, Context, Limits},
};

/// Measures parsing and enriching, µs per event.
#[derive(Parser)]
struct Args {
    /// Rounds over 500 envelopes of 10 events; the fastest counts.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    fastrand::seed(7);
    let bodies: Vec<_> = (0..500)
        .map(|n| {
            let list: Vec<_> = (0..10).map(|seq| events::event(n * 10 + seq, seq as usize, "bench")).collect();
            events::envelope(&events::Visit::random(), 1, &list)
        })
        .collect();
    let per_event = |start: Instant| start.elapsed().as_secs_f64() * 1e6 / (bodies.len() * 10) as f64;
    let limits = Limits::default();
    let parse = |body: &str| {
        let mut new_id = || EventId(0);
        let mut context = Context { project: "shop", received: events::now(), limits: &limits, new_id: &mut new_id };
        wire::envelope(body.as_bytes(), &mut context)
    };

    let enrichers: Vec<Box<dyn Enricher>> = enrich::standard();
    let mut parsing = f64::INFINITY;
    let mut enriching = vec![f64::INFINITY; enrichers.len()];
    for _ in 0..args.rounds {
        let start = Instant::now();
        let mut envelopes = Vec::with_capacity(bodies.len());
        for body in &bodies {
            envelopes.push(black_box(parse(body)?).envelope);
        }
        parsing = parsing.min(per_event(start));
        for (enricher, fastest) in enrichers.iter().zip(&mut enriching) {
            let start = Instant::now();
            for envelope in &mut envelopes {
                enricher.enrich_origin(&mut envelope.origin);
                for event in &mut envelope.events {
                    let _ = black_box(enricher.enrich(event, &envelope.origin));
                }
            }
            *fastest = fastest.min(per_event(start));
        }
    }
    figure("core.parse_us_per_event", parsing, "us");
    for (enricher, cost) in enrichers.iter().zip(&enriching) {
        figure(&format!("core.{}_us_per_event", enricher.name()), *cost, "us");
    }
    Ok(())
}
