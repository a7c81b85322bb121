//! From outcome to HTTP: the only file that knows status codes.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use monitor_core::{
    QueryError, SendError,
    wire::{FrameError, Rejection},
};
use serde::Serialize;

use crate::{budget::UsedUp, limiter::Wait, response::Body};

/// Why a request is not served. Nothing of it was stored.
#[derive(Debug)]
pub(crate) enum Refusal {
    // The request line and head.
    BadHost,
    NotFound,
    MethodNotAllowed(&'static str),
    UriTooLong,
    HeadTooLarge,
    BadLength,
    // Who sends.
    MissingKey,
    UnknownKey,
    WrongProject,
    OriginNotAllowed,
    RateLimited(Wait),
    // The body.
    TooLarge,
    TooSlow,
    ClientAbort,
    UnsupportedType,
    UnsupportedEncoding,
    BadCharset,
    BadCompression,
    BadBase64,
    Frame(FrameError),
    // WebSockets.
    UpgradeRequired,
    BadUpgrade,
    // Readers.
    Unauthorized(&'static str),
    LoginRefused,
    NoLogin,
    Forbidden,
    CrossSite,
    UnknownHost,
    NotJson,
    BadQuery(String),
    Query(QueryError),
    QueryTimeout,
    NoStore,
    TooManyViewers,
    TooManyExports,
    // Our own state.
    Overloaded,
    NotReady,
    ShuttingDown,
    Send(SendError),
    Internal,
}

/// How a refusal is told.
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    /// A stable word.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: Cow<'static, str>,
    /// Seconds after which to try again.
    pub(crate) retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn told(&self) -> Told {
        use Refusal as R;
        use StatusCode as S;
        let told = |status, code, message: &'static str| (status, code, Cow::Borrowed(message), None);
        let later = |status, code, message: &'static str, after| (status, code, Cow::Borrowed(message), Some(after));
        let (status, code, message, retry_after) = match self {
            R::BadHost => told(S::BAD_REQUEST, "bad_host", "exactly one valid Host header is required"),
            R::NotFound => told(S::NOT_FOUND, "not_found", "there is nothing here"),
            R::MethodNotAllowed(_) => told(S::METHOD_NOT_ALLOWED, "method_not_allowed", "this path takes other methods"),
            R::UriTooLong => told(S::URI_TOO_LONG, "uri_too_long", "the URI is too long"),
            R::HeadTooLarge => told(S::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "the headers are too many or too long"),
            R::BadLength => told(S::BAD_REQUEST, "bad_length", "the Content-Length header is malformed"),
            R::MissingKey => told(S::UNAUTHORIZED, "missing_key", "the request has no well-formed key"),
            R::UnknownKey => told(S::FORBIDDEN, "unknown_key", "the key is not known"),
            R::WrongProject => told(S::FORBIDDEN, "wrong_project", "the key does not open this project"),
            R::OriginNotAllowed => told(S::FORBIDDEN, "origin_not_allowed", "the project does not take events from this origin"),
            R::RateLimited(Wait(wait)) => later(S::TOO_MANY_REQUESTS, "rate_limited", "too many requests or events", seconds(*wait)),
            R::TooLarge => told(S::PAYLOAD_TOO_LARGE, "too_large", "the body is larger than allowed"),
            R::TooSlow => told(S::REQUEST_TIMEOUT, "too_slow", "the body came too slowly"),
            R::ClientAbort => told(S::BAD_REQUEST, "client_abort", "the body ended early"),
            R::UnsupportedType => {
                told(S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "the body must be text/plain or application/json")
            }
            R::UnsupportedEncoding => {
                told(S::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", "the encoding must be one of gzip, deflate and zstd, said once")
            }
            R::BadCharset => told(S::BAD_REQUEST, "bad_charset", "the body must be UTF-8"),
            R::BadCompression => told(S::BAD_REQUEST, "bad_compression", "the body is not what its encoding says"),
            R::BadBase64 => told(S::BAD_REQUEST, "bad_base64", "the parameter d must be base64url"),
            R::Frame(error) => {
                let status = match error {
                    FrameError::TooManyEvents { .. } => S::PAYLOAD_TOO_LARGE,
                    _ => S::BAD_REQUEST,
                };
                (status, error.code(), Cow::Owned(error.to_string()), None)
            }
            R::UpgradeRequired => told(S::UPGRADE_REQUIRED, "upgrade_required", "this path is a WebSocket of version 13"),
            R::BadUpgrade => told(S::BAD_REQUEST, "bad_upgrade", "the WebSocket handshake is malformed"),
            R::Unauthorized(hint) => told(S::UNAUTHORIZED, "unauthorized", hint),
            R::LoginRefused => told(S::UNAUTHORIZED, "login_refused", "name, password or token are not right"),
            R::NoLogin => told(S::NOT_FOUND, "no_login", "nobody can log in here: the host knows its readers in another way"),
            R::Forbidden => told(S::FORBIDDEN, "forbidden", "this needs a larger role"),
            R::NotJson => told(S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "pages must send application/json"),
            R::CrossSite => told(S::FORBIDDEN, "cross_site", "readers must be of the same site"),
            R::UnknownHost => told(
                S::FORBIDDEN,
                "unknown_host",
                "open to everybody, this answers only to an IP address, localhost, or the host of public_url",
            ),
            R::BadQuery(reason) => (S::BAD_REQUEST, "bad_query", Cow::Owned(reason.clone()), None),
            R::Query(QueryError::Invalid(reason)) => (S::BAD_REQUEST, "bad_query", Cow::Owned(reason.clone()), None),
            R::Query(QueryError::NotFound) => told(S::NOT_FOUND, "not_found", "no such project"),
            R::Query(error @ (QueryError::TooExpensive(_) | QueryError::TooLarge)) => {
                (S::UNPROCESSABLE_ENTITY, "too_expensive", Cow::Owned(error.to_string()), None)
            }
            R::Query(QueryError::Unavailable(_)) => later(S::SERVICE_UNAVAILABLE, "unavailable", "the store does not answer; try again", 2),
            R::Query(_) => told(S::INTERNAL_SERVER_ERROR, "store_failed", "the store failed on this question"),
            R::QueryTimeout => later(S::SERVICE_UNAVAILABLE, "unavailable", "the store did not answer in time", 2),
            R::NoStore => told(S::SERVICE_UNAVAILABLE, "unavailable", "no store is installed that could answer"),
            R::TooManyViewers => later(S::SERVICE_UNAVAILABLE, "too_many_viewers", "too many live viewers", 30),
            R::TooManyExports => later(S::SERVICE_UNAVAILABLE, "too_many_exports", "too many exports at the same time", 30),
            R::Overloaded => later(S::SERVICE_UNAVAILABLE, "overloaded", "the receiver is busy", 1),
            R::NotReady => later(S::SERVICE_UNAVAILABLE, "not_ready", "the receiver takes no events at the moment", 5),
            R::ShuttingDown => later(S::SERVICE_UNAVAILABLE, "shutting_down", "the receiver is shutting down", 2),
            R::Send(SendError::Full { what }) => later(S::SERVICE_UNAVAILABLE, full_code(what), "there is no room for more events", 5),
            R::Send(SendError::Closed) => later(S::SERVICE_UNAVAILABLE, "shutting_down", "the receiver is shutting down", 2),
            R::Send(_) => later(S::SERVICE_UNAVAILABLE, "spool_failed", "the events could not be stored", 5),
            R::Internal => told(S::INTERNAL_SERVER_ERROR, "internal", "the receiver failed on this request"),
        };
        Told { status, code, message, retry_after }
    }

    /// Whether the rest of a body may still be on its way, and is worth waiting for so that the connection can be used again.
    pub(crate) fn leaves_a_body(&self) -> bool {
        !matches!(self, Refusal::TooSlow | Refusal::ClientAbort | Refusal::ShuttingDown | Refusal::Internal)
    }

    /// The answer, without the headers that depend on the route.
    pub(crate) fn answer(&self) -> Response<Body> {
        let told = self.told();
        let mut response = json(told.status, &ErrorBody::new(&told));
        let headers = response.headers_mut();
        if let Some(after) = told.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after));
        }
        match self {
            Refusal::MethodNotAllowed(allow) => {
                headers.insert(header::ALLOW, HeaderValue::from_static(allow));
            }
            Refusal::MissingKey | Refusal::Unauthorized(_) | Refusal::LoginRefused => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Refusal::UpgradeRequired => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            // The connection must not be used again: what follows on it may be the rest of this body.
            Refusal::TooSlow | Refusal::ClientAbort | Refusal::BadHost | Refusal::ShuttingDown => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

impl From<FrameError> for Refusal {
    fn from(error: FrameError) -> Refusal {
        Refusal::Frame(error)
    }
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Refusal {
        Refusal::Send(error)
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Refusal {
        Refusal::Query(error)
    }
}

impl From<UsedUp> for Refusal {
    fn from(_: UsedUp) -> Refusal {
        Refusal::Overloaded
    }
}

impl From<Wait> for Refusal {
    fn from(wait: Wait) -> Refusal {
        Refusal::RateLimited(wait)
    }
}

/// Whole seconds, at least one: `Retry-After: 0` invites a loop.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// One metric label per reason, as the transport names them.
fn full_code(what: &str) -> &'static str {
    match what {
        "queue" => "queue_full",
        "disk" => "disk_full",
        "project_share" => "project_share_full",
        _ => "spool_full",
    }
}

/// A refusal as JSON.
pub(crate) fn error(told: &Told) -> impl Serialize {
    ErrorBody::new(told)
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorText<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

#[derive(Serialize)]
struct ErrorText<'a> {
    code: &'static str,
    message: &'a str,
}

impl<'a> ErrorBody<'a> {
    fn new(told: &'a Told) -> ErrorBody<'a> {
        ErrorBody { error: ErrorText { code: told.code, message: &told.message }, status: None, retry_after: None }
    }
}

/// What became of the events of a request that was taken.
#[derive(Debug, Serialize)]
pub(crate) struct Taken {
    /// Events that are durable.
    pub(crate) accepted: usize,
    /// Events that never will be, in ascending order of their position.
    pub(crate) rejected: Vec<Rejection>,
}

/// 202: the accepted events are durable.
pub(crate) fn taken(taken: &Taken) -> Response<Body> {
    json(StatusCode::ACCEPTED, taken)
}

/// The answer to one WebSocket message: the JSON of the POST answer and its status.
pub(crate) fn frame(outcome: &Result<Taken, Refusal>) -> String {
    #[derive(Serialize)]
    struct Frame<'a> {
        status: u16,
        #[serde(flatten)]
        taken: &'a Taken,
    }
    let text = match outcome {
        Ok(taken) => serde_json::to_string(&Frame { status: StatusCode::ACCEPTED.as_u16(), taken }),
        Err(refusal) => {
            let told = refusal.told();
            let body = ErrorBody { status: Some(told.status.as_u16()), retry_after: told.retry_after, ..ErrorBody::new(&told) };
            serde_json::to_string(&body)
        }
    };
    // Numbers and texts always serialise.
    text.unwrap_or_default()
}

/// A JSON document.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(body) {
        Ok(text) => content(status, "application/json", text),
        Err(_) => Refusal::Internal.answer(),
    }
}

/// A document of another type.
pub(crate) fn content(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// 200 with a document.
pub(crate) fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    content(StatusCode::OK, content_type, body)
}

/// 200 with a JSON document.
pub(crate) fn ok_json(body: &impl Serialize) -> Response<Body> {
    json(StatusCode::OK, body)
}

/// The smallest transparent GIF.
const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";

/// What an image beacon gets: the status and headers of the real answer around a picture.
pub(crate) fn pixel(outcome: &Result<Taken, Refusal>) -> Response<Body> {
    let mut response = match outcome {
        Ok(_) => content(StatusCode::ACCEPTED, "image/gif", GIF),
        Err(refusal) => {
            let mut response = refusal.answer();
            // An image tells the page only whether it came: one that comes is decided, one that does not is sent again.
            let status = response.status();
            let decided = status.is_client_error() && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
            if decided {
                *response.body_mut() = Body::full(GIF);
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("image/gif"));
            }
            response
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 204 for a preflight.
pub(crate) fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// 204: it is done, and there is nothing to say about it.
pub(crate) fn done() -> Response<Body> {
    preflight()
}

/// 101: the connection becomes a WebSocket.
pub(crate) fn switching(accept: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// 304: the client's copy is still right.
pub(crate) fn not_modified() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

/// 308 to a path.
pub(crate) fn redirect(to: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, to);
    response
}

/// Sets headers, replacing those of the same name.
pub(crate) fn set(response: &mut Response<Body>, headers: &'static [(HeaderName, &'static str)]) {
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_succeed_later_says_when() {
        let later = [
            Refusal::RateLimited(Wait(Duration::from_millis(1))),
            Refusal::Overloaded,
            Refusal::ShuttingDown,
            Refusal::Send(SendError::Full { what: "disk" }),
            Refusal::Send(SendError::Failed("x".into())),
        ];
        for refusal in later {
            let told = refusal.told();
            assert!(matches!(told.status.as_u16(), 429 | 503), "{}", told.code);
            assert!(told.retry_after.unwrap() >= 1);
            assert!(refusal.answer().headers().contains_key(header::RETRY_AFTER));
        }
    }

    #[test]
    fn a_full_spool_is_told_apart_by_what_is_full() {
        let code = |what| Refusal::Send(SendError::Full { what }).told().code;
        assert_eq!((code("disk"), code("spool"), code("news")), ("disk_full", "spool_full", "spool_full"));
    }

    #[test]
    fn errors_of_the_store_stay_inside() {
        let secret = || "password of ch-3.internal".into();
        for error in [QueryError::Unavailable(secret()), QueryError::Failed(secret())] {
            assert!(!Refusal::Query(error).told().message.contains("internal"));
        }
    }

    #[test]
    fn a_websocket_answer_is_the_post_answer_with_its_status() {
        let rejected = vec![Rejection { index: 3, code: "too_deep", message: "m".into() }];
        let text = frame(&Ok(Taken { accepted: 2, rejected }));
        assert_eq!(text, r#"{"status":202,"accepted":2,"rejected":[{"index":3,"code":"too_deep","message":"m"}]}"#);
        let text = frame(&Err(Refusal::Overloaded));
        assert_eq!(text, r#"{"error":{"code":"overloaded","message":"the receiver is busy"},"status":503,"retry_after":1}"#);
    }
}
