//! An accept loop for hosts that have no HTTP server of their own.
//!
//! HTTP/1.1 only: browsers reach it through a proxy that ends TLS, and proxies speak HTTP/1.1 to what is behind them. Every
//! connection has a deadline for its head, for a stalled write and for being idle; there is a cap on all connections, and one on those of a client.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use monitor_core::Labelled;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, ToSocketAddrs},
    sync::watch,
    task::JoinSet,
    time::{Sleep, sleep, timeout},
};

use monitor_core::FOR_EVER;

use crate::{
    ClientAddr, Config, HttpService,
    budget::{Place, Places, UsedUp},
    response::Body,
};

/// Limits of connections.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Most connections; 8,192. More are closed at once.
    pub connections: usize,
    /// Most connections of one client (an IPv4 address, an IPv6 /64); 1,024. Trusted proxies are not limited.
    pub connections_per_client: usize,
    /// A head must be complete after this time, and an idle connection ends after it; 10 s.
    pub head_timeout: Duration,
    /// A client that takes nothing of its answer for this time is dropped; 30 s.
    pub write_timeout: Duration,
    /// A connection ends after this many requests; 10,000.
    pub requests_per_connection: u32,
    /// How long open requests may take after the shutdown began; 20 s.
    pub grace: Duration,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            connections: 8_192,
            connections_per_client: 1_024,
            head_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            requests_per_connection: 10_000,
            grace: Duration::from_secs(20),
        }
    }
}

/// A listening socket and its limits.
pub struct Server {
    listener: TcpListener,
    config: ServerConfig,
}

impl Server {
    /// Listens. Connections are accepted when [`serve`](Server::serve) runs.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Server> {
        Ok(Server::from_listener(TcpListener::bind(address).await?))
    }

    /// Uses a socket that listens already.
    pub fn from_listener(listener: TcpListener) -> Server {
        Server { listener, config: ServerConfig::default() }
    }

    /// Limits of connections.
    pub fn config(mut self, config: ServerConfig) -> Server {
        self.config = config;
        self
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` resolves, then [closes](HttpService::close) the service and all its clones, lets requests that were read
    /// completely be answered, and returns: `true` when all connections had ended in time, `false` when some were cut off.
    ///
    /// It installs no signal handler; pass a future that waits for the signals your program listens to.
    pub async fn serve(self, service: HttpService, shutdown: impl Future<Output = ()>) -> bool {
        let Server { listener, config } = self;
        let grace = config.grace;
        let (stop, stopped) = watch::channel(false);
        let accepting = Accepting {
            places: Places::new(config.connections, config.connections_per_client),
            http: http(&config, &service.shared().config),
            config,
            service: service.clone(),
            stopped,
        };
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => accepting.take(stream, peer, &mut connections),
                    Err(error) => {
                        // Too many open files, mostly: it passes when connections end.
                        tracing::warn!(%error, "a connection could not be accepted");
                        sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        drop(listener);
        service.close();
        stop.send_replace(true);
        let all_ended = async {
            while connections.join_next().await.is_some() {}
            service.closed(grace).await
        };
        let in_time = timeout(grace, all_ended).await.unwrap_or(false);
        connections.abort_all();
        in_time
    }
}

/// hyper with all its limits set. Its timeouts do nothing without a timer.
fn http(server: &ServerConfig, service: &Config) -> http1::Builder {
    // What hyper limits includes the request line; the service looks at line and headers separately.
    let head = service.head_bytes.saturating_add(service.uri_bytes.saturating_mul(2));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(server.head_timeout.min(FOR_EVER))
        .max_headers(service.headers)
        .max_header_size(head)
        .max_buf_size(head.saturating_mul(2).max(64 * 1024))
        .half_close(false);
    http
}

struct Accepting {
    places: Arc<Places>,
    http: http1::Builder,
    config: ServerConfig,
    service: HttpService,
    stopped: watch::Receiver<bool>,
}

impl Accepting {
    fn take(&self, stream: TcpStream, peer: SocketAddr, connections: &mut JoinSet<()>) {
        let Ok(place) = self.place(peer.ip()) else {
            self.service.shared().pipeline.counts().count(Labelled::RequestsRefused, "too_many_connections", 1);
            return;
        };
        // Answers are one small write; without it they would wait for the client's acknowledgement.
        let _without_it_slower = stream.set_nodelay(true);
        let io = TokioIo::new(Guarded::new(stream, self.config.write_timeout));
        let service = self.service.clone();
        let most = self.config.requests_per_connection;
        let served = AtomicU32::new(0);
        let answer = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ClientAddr(peer));
            let is_last = served.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= most;
            let answer = hyper::service::Service::call(&service, request);
            async move {
                let mut response: Response<Body> = answer.await?;
                if is_last {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        let connection = self.http.serve_connection(io, answer).with_upgrades();
        let mut stopped = self.stopped.clone();
        connections.spawn(async move {
            let _place = place;
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => Some(ended),
                _ = stopped.wait_for(|stopped| *stopped) => None,
            };
            let ended = match ended {
                Some(ended) => ended,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    /// A proxy has as many connections as it needs: it brings many clients.
    fn place(&self, ip: IpAddr) -> Result<Place, UsedUp> {
        let is_proxy = self.service.shared().config.trusted_proxies.iter().any(|network| network.contains(ip));
        self.places.take((!is_proxy).then_some(ip))
    }
}

/// Most bytes that are read and forgotten before a connection is closed.
const LINGER_BYTES: usize = 4 * 1024 * 1024;
/// Longest time for that.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// A connection that ends when its client takes nothing of its answer, and that is closed so that the client can read the answer.
///
/// Closing a socket that has unread bytes resets the connection, and a reset can overtake the answer. So after our side has said that
/// it is done, the rest of what the client sends is read and forgotten for a while.
struct Guarded {
    stream: TcpStream,
    write_timeout: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    lingering: Option<(usize, Pin<Box<Sleep>>)>,
}

impl Guarded {
    fn new(stream: TcpStream, write_timeout: Duration) -> Guarded {
        Guarded { stream, write_timeout, stalled: None, lingering: None }
    }

    fn guard<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.write_timeout)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.guard(context, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.guard(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.guard(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Guarded { stream, lingering, .. } = &mut *self;
        if lingering.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
        }
        let (read, time) = lingering.get_or_insert_with(|| (0, Box::pin(sleep(LINGER_TIME))));
        if time.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut piece = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut piece);
            match ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Ok(()) => *read += buffer.filled().len(),
                // The client is gone: there is nobody left to be polite to.
                Err(_) => return Poll::Ready(Ok(())),
            }
            if *read > LINGER_BYTES {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
