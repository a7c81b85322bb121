//! The built-in enrichers, one per file. They compute; what needs data or a network is brought by the host.

mod clock;
mod fingerprint;
mod ip;
mod scrub;
mod user_agent;
mod validity;

use crate::Enricher;

pub use clock::Clock;
pub use fingerprint::Fingerprint;
pub use ip::{IpAddress, IpPolicy};
pub use scrub::Scrub;
pub use user_agent::UserAgent;
pub use validity::Validity;

/// All of them with their defaults, in the order that keeps secrets out of what the later ones derive.
pub fn standard() -> Vec<Box<dyn Enricher>> {
    vec![
        Box::new(Scrub::default()),
        Box::new(IpAddress::default()),
        Box::new(Clock::default()),
        Box::new(Validity::default()),
        Box::new(UserAgent::default()),
        Box::new(Fingerprint),
    ]
}
