//! Who the client is: the peer of the connection, or what a trusted proxy says about it.
//!
//! `X-Forwarded-For` is a list to which every proxy appends the address it was called from. Only the entries that
//! trusted proxies appended are facts; everything left of them is the client's own text. So the list is walked from the right,
//! and the first address that is not a trusted proxy is the client.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use http::{HeaderMap, header};

use crate::config::ForwardedHeader;

/// The address of the connection's other end, as a request extension.
///
/// [`Server`](crate::Server) inserts it. In other servers insert it yourself, for example in axum:
///
/// ```
/// # use std::net::SocketAddr;
/// use axum::extract::{ConnectInfo, Request};
/// use monitor_http::ClientAddr;
///
/// async fn client_addr(mut request: Request, next: axum::middleware::Next) -> axum::response::Response {
///     if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() {
///         request.extensions_mut().insert(ClientAddr(peer));
///     }
///     next.run(request).await
/// }
/// ```
///
/// Without it events have no address, and there is no limit per client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr(pub SocketAddr);

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, `127.0.0.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is not an address, or its prefix length is too large.
#[derive(Debug)]
pub struct ParseNetworkError(String);

impl fmt::Display for ParseNetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a network like 10.0.0.0/8", self.0)
    }
}

impl std::error::Error for ParseNetworkError {}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Network, ParseNetworkError> {
        let parse = || {
            let (address, prefix) = match text.split_once('/') {
                Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
                None => (text, None),
            };
            let address: IpAddr = address.parse().ok()?;
            let bits = if address.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.unwrap_or(bits);
            (prefix <= bits).then_some(Network { address, prefix })
        };
        parse().ok_or_else(|| ParseNetworkError(text.to_owned()))
    }
}

impl Network {
    /// Whether the address lies in the range. An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |network: u128, address: u128, bits: u32| {
            let shift = bits - u32::from(self.prefix);
            shift >= bits || network >> shift == address >> shift
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => same(u32::from(network).into(), u32::from(address).into(), 32),
            (IpAddr::V6(network), IpAddr::V6(address)) => same(network.into(), address.into(), 128),
            _ => false,
        }
    }
}

/// Most entries of a forwarded list that are looked at, from the right.
const MAX_HOPS: usize = 20;

/// The client's address.
pub(crate) fn client_ip(headers: &HeaderMap, peer: Option<ClientAddr>, trusted: &[Network], from: ForwardedHeader) -> Option<IpAddr> {
    let mut client = peer?.0.ip().to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(client) {
        return Some(client);
    }
    let name = match from {
        ForwardedHeader::XForwardedFor => http::HeaderName::from_static("x-forwarded-for"),
        ForwardedHeader::Forwarded => header::FORWARDED,
    };
    // What is no text spoils its own hop, not those that a proxy wrote beside it.
    let lines: Vec<Cow<'_, str>> = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(',')).take(MAX_HOPS);
    for hop in hops {
        let hop = match from {
            ForwardedHeader::XForwardedFor => parse_hop(hop),
            ForwardedHeader::Forwarded => forwarded_for(hop).and_then(parse_hop),
        };
        // `unknown` or nonsense: what is left of it was said by nobody we know.
        let Some(address) = hop else { break };
        client = address;
        if !is_trusted(client) {
            break;
        }
    }
    Some(client)
}

/// The value of `for=` in one element of a `Forwarded` header.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address with or without port, brackets and zone.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let address = match hop.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if hop.matches(':').count() == 1 => hop.split_once(':')?.0,
        None => hop,
    };
    let address = address.split_once('%').map_or(address, |(address, _zone)| address);
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// What counts as one client: an IPv6 user has a whole /64.
pub(crate) fn client_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, trusted: &[&str], lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", http::HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let peer = ClientAddr(SocketAddr::new(peer.parse().unwrap(), 1));
        client_ip(&headers, Some(peer), &trusted, ForwardedHeader::XForwardedFor).unwrap().to_string()
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says() {
        assert_eq!(client("192.0.2.9", &[], &["1.1.1.1"]), "192.0.2.9");
        assert_eq!(client("192.0.2.9", &["10.0.0.0/8"], &["1.1.1.1"]), "192.0.2.9");
    }

    #[test]
    fn behind_trusted_proxies_the_client_is_the_rightmost_untrusted_hop() {
        let trusted = &["10.0.0.0/8", "fd00::/8"];
        for (lines, expected) in [
            (&["1.1.1.1, 192.0.2.7"][..], "192.0.2.7"),
            (&["1.1.1.1", "192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            (&["1.1.1.1, 192.0.2.7:4711"], "192.0.2.7"),
            (&["[2001:db8::7]:4711"], "2001:db8::7"),
            (&["fe80::1%eth0"], "fe80::1"),
            (&["192.0.2.7, unknown"], "10.0.0.1"),
            (&["1.1.1.1", "\u{ff}, 192.0.2.7"], "192.0.2.7"),
            (&["192.0.2.7", "\u{ff}"], "10.0.0.1"),
            (&["192.0.2.7, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["::ffff:192.0.2.7"], "192.0.2.7"),
            (&[""], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", trusted, lines), expected, "{lines:?}");
        }
        assert_eq!(client("::ffff:10.0.0.1", trusted, &["192.0.2.7"]), "192.0.2.7");
    }

    #[test]
    fn a_long_list_is_read_to_its_bound_only() {
        let list = vec!["10.0.0.3"; 50].join(", ");
        assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], &[&format!("192.0.2.7, {list}")]), "10.0.0.3");
    }

    #[test]
    fn forwarded_elements_are_read_by_their_for_parameter() {
        let mut headers = HeaderMap::new();
        headers.append("forwarded", "for=1.1.1.1, proto=https;For=\"[2001:db8::7]:80\";by=x".parse().unwrap());
        headers.append("x-forwarded-for", "6.6.6.6".parse().unwrap());
        let peer = Some(ClientAddr("10.0.0.1:1".parse().unwrap()));
        let trusted = ["10.0.0.1".parse().unwrap()];
        assert_eq!(client_ip(&headers, peer, &trusted, ForwardedHeader::Forwarded), Some("2001:db8::7".parse().unwrap()));
    }

    #[test]
    fn networks_are_checked_when_they_are_read() {
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/-1", "x"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("1.2.3.4".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
    }

    #[test]
    fn an_ipv6_client_is_its_64_bit_prefix() {
        let key = |text: &str| client_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
