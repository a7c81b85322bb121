//! ClickHouse's HTTP interface on one socket: accepts, authenticates, takes the body in, hands the request to the pool,
//! answers. The only file that writes HTTP answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use crate::answer::{Part, Sink};
use crate::body::Intake;
use crate::exception::{Exception, code};
use crate::library::Stats;
use crate::pool::Pool;
use crate::request::{Credentials, Request};
use crate::run::{self, MAX_STATEMENT};

/// Open TCP connections; more wait in the kernel's queue.
const MAX_SOCKETS: usize = 256;
/// The longest time for a request's headers, and the longest idle time of a kept connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a broken-off body's last piece has to get out before the connection is cut.
const LAST_WORDS: Duration = Duration::from_millis(20);

type Body = UnsyncBoxBody<Bytes, Broken>;

/// Cuts the connection, so that a client sees that the body is not complete.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
struct Broken;

/// What all requests share.
pub(crate) struct Shared {
    /// The engine.
    pub pool: Pool,
    /// Request bodies.
    pub intake: Intake,
    /// Who may ask.
    pub credentials: Credentials,
    /// The engine's version, told in errors.
    pub version: String,
    /// The engine's time zone, told in a header.
    pub timezone: String,
}

/// Serves until `stop` resolves, then lets running requests end within `grace`. `true` when all of them did.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: impl Future<Output = ()>, grace: Duration) -> bool {
    let sockets = Arc::new(Semaphore::new(MAX_SOCKETS));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async { (Arc::clone(&sockets).acquire_owned().await, listener.accept().await) };
        let (slot, accepted) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                // Out of file descriptors, or a client that was gone at once: neither ends the server.
                eprintln!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Without it the answer to a small request may wait 40 ms for an acknowledgement. Failing is only slower.
        let _ = socket.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(handle(&shared, request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(socket), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away is its own business.
            let _ = connection.await;
            drop(slot);
        });
    }
    drop(listener);
    tokio::time::timeout(grace, graceful.shutdown()).await.is_ok()
}

async fn handle(shared: &Arc<Shared>, request: hyper::Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    match parts.uri.path() {
        "/ping" | "/replicas_status" => return plain(StatusCode::OK, "Ok.\n".to_owned()),
        "/" if parts.uri.query().is_none() && parts.method != Method::POST => return plain(StatusCode::OK, "Ok.\n".to_owned()),
        "/" => {}
        path => return plain(StatusCode::NOT_FOUND, format!("There is no handle {path}\n\nUse / or /ping for health checks.\n")),
    }
    let request = match Request::read(&parts) {
        Ok(request) => request,
        Err(exception) => return failed(shared, &exception, ""),
    };
    let id = request.query_id.clone().unwrap_or_else(|| random_letters(32));
    match answer(shared, request, body, &id).await {
        Ok(response) => response,
        Err(exception) => failed(shared, &exception, &id),
    }
}

async fn answer(shared: &Arc<Shared>, mut request: Request, body: Incoming, id: &str) -> Result<Response<Body>, Exception> {
    request.authenticate(&shared.credentials)?;
    let started = Instant::now();
    let mut body = shared.intake.receive(body).await?;
    if let Some(boundary) = request.multipart.take() {
        body = read_form(&mut request, &boundary, body).await?;
    }
    let tag = random_letters(16);
    let (sink, mut parts) = Sink::new(request.answer_coding, tag.clone(), request.wait_end_of_query);
    let coding = request.answer_coding;
    let max_body = shared.intake.max_body();
    shared.pool.run(move |session| run::run(session, &request, body, max_body, sink)).await?;
    let (format, stats) = match parts.recv().await {
        Some(Part::Begin(Ok(begin))) => begin,
        Some(Part::Begin(Err(exception))) => return Err(exception),
        Some(Part::Data(_) | Part::End) | None => return Err(Exception::engine("the statement was given up")),
    };
    let mut response = Response::new(StreamBody::new(frames(parts)).boxed_unsync());
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-clickhouse-query-id", id);
    set("x-clickhouse-summary", &summary(stats, started.elapsed()));
    set("x-clickhouse-server-display-name", "monitor-engine");
    set("x-clickhouse-timezone", &shared.timezone);
    set("x-clickhouse-exception-tag", &tag);
    set("x-clickhouse-format", &format);
    set("content-type", content_type(&format));
    if let Some(coding) = coding.header() {
        set("content-encoding", coding);
    }
    Ok(response)
}

/// The parts of a channel as frames of a body.
fn frames(parts: mpsc::Receiver<Part>) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, Broken>> {
    stream::unfold(Some(parts), |parts| async {
        let mut parts = parts?;
        match parts.recv().await {
            Some(Part::Data(bytes)) => Some((Ok(Frame::data(bytes)), Some(parts))),
            Some(Part::End) => None,
            Some(Part::Begin(_)) | None => {
                tokio::time::sleep(LAST_WORDS).await;
                Some((Err(Broken), None))
            }
        }
    })
}

/// Reads the fields of a form as parameters; its body is used up by that.
async fn read_form(request: &mut Request, boundary: &str, body: crate::body::Body) -> Result<crate::body::Body, Exception> {
    let bytes = tokio::task::spawn_blocking(move || body.read_small(MAX_STATEMENT))
        .await
        .map_err(Exception::engine)?
        .map_err(Exception::bad_argument)?;
    let mut form = multer::Multipart::new(stream::iter([Ok::<_, Infallible>(bytes)]), boundary);
    while let Some(field) = form.next_field().await.map_err(Exception::bad_argument)? {
        if field.file_name().is_some() {
            return Err(Exception::not_implemented("external tables are not supported"));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let value = field.text().await.map_err(Exception::bad_argument)?;
        request.parameter(&name, value)?;
    }
    Ok(crate::body::Body::empty())
}

fn failed(shared: &Shared, exception: &Exception, id: &str) -> Response<Body> {
    let mut response = plain(exception.status(), format!("{exception} (version {} (official build))\n", shared.version));
    let headers = response.headers_mut();
    headers.insert("x-clickhouse-exception-code", HeaderValue::from(exception.code));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-clickhouse-query-id", id);
    }
    if exception.code == code::TOO_MANY_SIMULTANEOUS_QUERIES {
        headers.insert("retry-after", HeaderValue::from_static("1"));
    }
    response
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    response
}

/// The figures in ClickHouse's form: numbers as texts.
fn summary(stats: Stats, elapsed: Duration) -> String {
    serde_json::json!({
        "read_rows": stats.read_rows.to_string(),
        "read_bytes": stats.read_bytes.to_string(),
        "written_rows": stats.written_rows.to_string(),
        "written_bytes": stats.written_bytes.to_string(),
        "total_rows_to_read": "0",
        "result_rows": if stats.written_rows > 0 { stats.written_rows } else { stats.result_rows }.to_string(),
        "result_bytes": if stats.written_rows > 0 { stats.written_bytes } else { stats.result_bytes }.to_string(),
        "elapsed_ns": elapsed.as_nanos().to_string(),
    })
    .to_string()
}

fn content_type(format: &str) -> &'static str {
    match format {
        "JSONEachRow" | "JSONCompactEachRow" | "JSONStringsEachRow" | "JSONLines" | "NDJSON" => "application/x-ndjson; charset=UTF-8",
        _ if format.starts_with("JSON") => "application/json; charset=UTF-8",
        _ if format.starts_with("CSV") => "text/csv; charset=UTF-8",
        _ if format.starts_with("TabSeparated") || format.starts_with("TSV") => "text/tab-separated-values; charset=UTF-8",
        _ if format.starts_with("Pretty") || format == "Vertical" || format == "Values" => "text/plain; charset=UTF-8",
        _ => "application/octet-stream",
    }
}

/// Letters nobody can guess, so that data cannot contain them on purpose.
fn random_letters(count: usize) -> String {
    let mut bytes = vec![0; count];
    // Without randomness the tag is guessable, which spoils the text of an error, not the detection of a broken body.
    let _ = getrandom::fill(&mut bytes);
    bytes.iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}
