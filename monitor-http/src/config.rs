//! What a host can set. Every number has a default that suits a receiver which is open to the internet.

use std::time::Duration;

use monitor_core::wire::Limits;

use crate::client::Network;

/// Limits and addresses of the service.
///
/// ```
/// let mut config = monitor_http::Config::default();
/// config.body_bytes = 256 * 1024;
/// config.trusted_proxies = vec!["10.0.0.0/8".parse()?];
/// # Ok::<(), monitor_http::ParseNetworkError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// What a request may contain.
    pub limits: Limits,
    /// Longest URI, bytes; 8 KiB. The pixel carries its envelope in the URI and may use twice as much.
    pub uri_bytes: usize,
    /// Largest header block without the request line, bytes; 16 KiB.
    pub head_bytes: usize,
    /// Most headers; 100.
    pub headers: usize,
    /// Largest body as sent, bytes; 1 MiB. Also the largest WebSocket message.
    pub body_bytes: usize,
    /// Largest body after decompression, bytes; 5 MiB.
    pub decompressed_bytes: usize,
    /// A body must be complete after this time; 15 s.
    pub body_timeout: Duration,
    /// Slowest body, bytes per second; 1,024.
    pub body_rate: u32,
    /// How long a body may be slower than `body_rate` at its start; 5 s.
    pub body_grace: Duration,
    /// Most bytes of bodies held at the same time, over all requests; 64 MiB. More are refused with 503.
    pub in_flight_bytes: usize,
    /// Most ingest requests at the same time; 4,096. More are refused with 503.
    pub requests: usize,
    /// Most ingest requests per second of one client (an IPv4 address, an IPv6 /64), `None` for no limit; 1,000.
    /// Twice as many may come at once.
    pub requests_per_second_per_client: Option<u32>,
    /// Most clients whose rate is remembered; 100,000 (about 10 MiB). The longest unseen are forgotten first.
    pub remembered_clients: usize,
    /// Proxies that are believed when they say who the client is; none.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they say it; `X-Forwarded-For`.
    pub forwarded_header: ForwardedHeader,
    /// Most WebSockets at the same time; 1,024.
    pub web_sockets: usize,
    /// Most WebSockets of one client; 32.
    pub web_sockets_per_client: usize,
    /// A WebSocket is pinged after this time without a message, and closed after three times as long; 30 s.
    pub web_socket_idle: Duration,
    /// Most live viewers at the same time; 256.
    pub live_viewers: usize,
    /// Most queries at the same time; 32. Others wait for their turn.
    pub queries: usize,
    /// Most exports at the same time; 4. More are refused with 503.
    pub exports: usize,
    /// Longest time for a query, waiting included; 30 s.
    pub query_timeout: Duration,
    /// Where the service is reachable, for the DSNs that the dashboard shows: `https://example.com/monitor`.
    /// Made from the request when unset.
    pub public_url: Option<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            limits: Limits::default(),
            uri_bytes: 8 * 1024,
            head_bytes: 16 * 1024,
            headers: 100,
            body_bytes: 1024 * 1024,
            decompressed_bytes: 5 * 1024 * 1024,
            body_timeout: Duration::from_secs(15),
            body_rate: 1_024,
            body_grace: Duration::from_secs(5),
            in_flight_bytes: 64 * 1024 * 1024,
            requests: 4_096,
            requests_per_second_per_client: Some(1_000),
            remembered_clients: 100_000,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            web_sockets: 1_024,
            web_sockets_per_client: 32,
            web_socket_idle: Duration::from_secs(30),
            live_viewers: 256,
            queries: 32,
            exports: 4,
            query_timeout: Duration::from_secs(30),
            public_url: None,
        }
    }
}

/// The header that trusted proxies set. Only one is read: a proxy that sets one passes the other on as the client wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}
