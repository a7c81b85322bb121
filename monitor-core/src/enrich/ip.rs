//! Makes client addresses anonymous before anything is stored.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Enricher, Origin};

/// Truncates the client's address, see [`IpPolicy`].
#[derive(Clone, Debug, Default)]
pub struct IpAddress {
    policy: IpPolicy,
}

/// What is kept of a client's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpPolicy {
    /// Nothing.
    Discard,
    /// The first 24 bits of IPv4, 48 of IPv6: enough for a region, too little for a person.
    #[default]
    Truncate,
    /// All of it.
    Keep,
}

impl IpAddress {
    /// Keeps as much as the policy says; [`IpPolicy::Truncate`] by default.
    pub fn new(policy: IpPolicy) -> IpAddress {
        IpAddress { policy }
    }
}

impl Enricher for IpAddress {
    fn name(&self) -> &'static str {
        "ip"
    }

    fn enrich_origin(&self, origin: &mut Origin) {
        origin.ip = match self.policy {
            IpPolicy::Discard => None,
            IpPolicy::Truncate => origin.ip.map(|ip| truncate(ip.to_canonical())),
            IpPolicy::Keep => origin.ip,
        };
    }
}

fn truncate(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & !0 << 8)),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !0 << 80)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_truncated_by_default() {
        for (given, expected) in
            [("203.0.113.77", "203.0.113.0"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"), ("::ffff:203.0.113.77", "203.0.113.0")]
        {
            let mut origin = Origin::new("shop", 0);
            origin.ip = Some(given.parse().unwrap());
            IpAddress::default().enrich_origin(&mut origin);
            assert_eq!(origin.ip.unwrap().to_string(), expected);
        }
    }

    #[test]
    fn discarding_leaves_nothing() {
        let mut origin = Origin::new("shop", 0);
        origin.ip = Some("203.0.113.77".parse().unwrap());
        IpAddress::new(IpPolicy::Discard).enrich_origin(&mut origin);
        assert_eq!(origin.ip, None);
    }
}
