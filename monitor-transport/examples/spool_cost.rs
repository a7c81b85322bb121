//! What a request costs in the spool: CPU time per envelope of 10 events of about 750 bytes, stored and delivered.
//!
//! `cargo run --release -p monitor-transport --example spool_cost [envelopes] [senders]`
#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use monitor_core::{Batch, Counts, Envelope, Event, EventId, Kind, Origin, Sink, Total, Transport, WriteError};
use monitor_transport::Spool;

struct Nowhere;

#[async_trait]
impl Sink for Nowhere {
    fn name(&self) -> &str {
        "nowhere"
    }

    async fn write(&self, _: &Batch) -> Result<(), WriteError> {
        Ok(())
    }
}

/// CPU time of this process so far, in µs; from Linux' accounting, in steps of 10 ms.
fn cpu() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |field: usize| -> Result<f64, Box<dyn Error>> { Ok(fields.get(field).ok_or("no such field")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) * 10_000.0)
}

fn envelope(n: u128) -> Result<Envelope, Box<dyn Error>> {
    let mut origin = Origin::new("shop", 1_732_096_800_500);
    origin.page.url = "https://shop.example/cart?step=2".into();
    origin.user_agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36".into();
    let mut events = Vec::new();
    for i in 0..10 {
        let id = EventId(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) ^ i);
        let mut event = Event::new(id, 1_732_096_800_123, Kind::Error, "TypeError");
        event.attributes.insert("target".into(), format!("#item-{}", n % 1000));
        let stack: String = (0..6)
            .map(|frame| format!("at fn{}_{frame} (https://shop.example/assets/app.{:08x}.js:1:{})\\n", i, n, 1000 * frame + 7))
            .collect();
        event.data = serde_json::value::RawValue::from_string(format!(
            r#"{{"message":"x is undefined","stack":"{stack}","session":"{:032x}"}}"#,
            id.0
        ))?;
        events.push(event);
    }
    Ok(Envelope { origin, events })
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u128 = arguments.next().map_or(Ok(50_000), |text| text.parse())?;
    let senders: u128 = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let envelopes: Vec<Envelope> = (0..64).map(envelope).collect::<Result<_, _>>()?;
    let bytes = serde_json::to_vec(envelopes.first().ok_or("none")?)?.len();
    for (name, sinks) in [("store", Vec::new()), ("store_and_deliver", vec![Arc::new(Nowhere) as Arc<dyn Sink>])] {
        let dir = tempfile::tempdir_in(std::env::current_dir()?)?;
        let counts = Arc::new(Counts::new());
        let spool = Spool::builder(dir.path()).project_share(1.0).open(sinks, counts.clone()).await?;
        let (wall, before) = (Instant::now(), cpu()?);
        let tasks: Vec<_> = (0..senders)
            .map(|sender| {
                let (spool, envelopes) = (spool.clone(), envelopes.clone());
                tokio::spawn(async move {
                    let mut latest = Vec::new();
                    for n in (0..count).filter(|n| n % senders == sender) {
                        let Some(envelope) = envelopes.get(usize::try_from(n % 64).unwrap_or(0)) else { continue };
                        let start = Instant::now();
                        spool.send(envelope.clone()).await?;
                        latest.push(start.elapsed());
                    }
                    Ok::<_, monitor_core::SendError>(latest)
                })
            })
            .collect();
        let mut latency = Vec::new();
        for task in tasks {
            latency.extend(task.await??);
        }
        let sent = wall.elapsed();
        spool.flush(Duration::from_secs(120)).await;
        let used = cpu()? - before;
        latency.sort_unstable();
        let at = |part: usize| latency.get(latency.len() * part / 100).copied().unwrap_or_default();
        println!(
            "{name}: {count} envelopes of 10 events, {bytes} B of JSON; sent in {sent:.2?}, {} commits, p50 {:.2?}, p99 {:.2?}",
            counts.total(Total::SpoolCommits),
            at(50),
            at(99)
        );
        println!("figure spool.{name}.cpu_us_per_envelope {:.1} us", used / count as f64);
        spool.close(Duration::from_secs(10)).await;
    }
    Ok(())
}
