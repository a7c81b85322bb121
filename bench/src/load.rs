//! Senders at a steady rate, as browsers are: they send an envelope again with the same ids when it was not answered.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, Interval, interval_at, sleep},
};

use crate::{Result, client::Client, ledger::Ledger};

/// Events of one envelope.
const EVENTS: usize = 10;
const CONNECTIONS: u64 = 20;

/// Senders that run until they are stopped.
///
/// An envelope that was not answered is sent again, to any of the receivers and with the next attempt number, most of the
/// time; some are given up.
pub struct Load {
    shared: Arc<Shared>,
    senders: Vec<JoinHandle<Result<()>>>,
}

struct Shared {
    receivers: Vec<SocketAddr>,
    /// Of 1,000 answers this many get lost on their way.
    lost: u16,
    ledger: Ledger,
    stop: AtomicBool,
    repeated: AtomicU64,
    refused: AtomicU64,
}

/// What was sent.
pub struct Sent {
    shared: Arc<Shared>,
}

impl Load {
    /// `lost` of 1,000 answers are not heard by the sender, who then repeats what was accepted.
    pub fn start(receivers: &[SocketAddr], events_per_second: u64, lost: u16) -> Load {
        let shared = Arc::new(Shared {
            receivers: receivers.to_vec(),
            lost,
            ledger: Ledger::default(),
            stop: AtomicBool::new(false),
            repeated: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let pause = Duration::from_micros(1_000_000 * CONNECTIONS * EVENTS as u64 / events_per_second);
        // One after the other: a fault that comes between two sends of all would meet none.
        let start = |n: u64| Instant::now() + pause.mul_f64(n as f64 / CONNECTIONS as f64);
        let senders = (0..CONNECTIONS).map(|n| tokio::spawn(send(shared.clone(), n as usize, interval_at(start(n), pause)))).collect();
        Load { shared, senders }
    }

    /// The events so far.
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// Waits for the envelopes under way.
    pub async fn stop(self) -> Sent {
        self.shared.stop.store(true, Ordering::Relaxed);
        for sender in self.senders {
            // A sender that failed has sent less; the comparison asks for a minimum.
            let _ = sender.await;
        }
        Sent { shared: self.shared }
    }
}

impl Sent {
    /// All events.
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// Envelopes sent again.
    pub fn repeated(&self) -> u64 {
        self.shared.repeated.load(Ordering::Relaxed)
    }

    /// Sends that were not answered with 202.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

async fn send(shared: Arc<Shared>, n: usize, mut tick: Interval) -> Result<()> {
    let mut clients: Vec<Client> = shared.receivers.iter().copied().map(Client::new).collect();
    let count = clients.len();
    while !shared.stop.load(Ordering::Relaxed) {
        tick.tick().await;
        let batch = shared.ledger.issue(EVENTS)?;
        let mut attempt = 1;
        let mut to = n % count;
        loop {
            let client = clients.get_mut(to).ok_or("no receiver")?;
            if shared.ledger.send(client, attempt, &batch).await {
                if fastrand::u16(..1_000) >= shared.lost {
                    break;
                }
            } else {
                shared.refused.fetch_add(1, Ordering::Relaxed);
                if fastrand::u8(..10) == 0 || attempt > 60 {
                    break;
                }
            }
            sleep(Duration::from_millis(fastrand::u64(50..400))).await;
            attempt += 1;
            to = fastrand::usize(..count);
            shared.repeated.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}
