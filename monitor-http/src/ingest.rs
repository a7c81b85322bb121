//! Taking events: admission in order of cost, then the body, then the pipeline.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Instant};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, Method, Response, header, request::Parts};
use monitor_core::{
    Counts, EventId, Labelled, Project, Submitted, Total,
    wire::{self, Context, Discarded, Rejection, SimpleForm},
};

use crate::{
    access::bearer,
    answer::{self, Refusal, Taken},
    client::{ClientAddr, client_ip, client_key},
    clock, cors,
    decompress::{Encoding, decompress},
    request::{self, BodyLimits, BodyRef},
    response::Body,
    service::Shared,
    url,
};

/// Where events come in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Endpoint<'a> {
    /// The project that the path names.
    Envelope(&'a str),
    Pixel(&'a str),
    WebSocket(&'a str),
    Simple(SimpleForm),
}

/// How the bytes of a body are read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    Envelope,
    Simple(SimpleForm),
}

/// A sender that was let in.
#[derive(Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) project: &'a Project,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) user_agent: &'a str,
}

/// Longest user agent that is kept, bytes.
const MAX_USER_AGENT: usize = 1_024;
/// Most entries of a client's report of lost events that are counted under their own reason.
const MAX_DISCARDED: usize = 64;
/// Why our SDK gives events up, besides answers.
const KNOWN_REASONS: [&str; 9] =
    ["before_send", "expired", "other", "queue_overflow", "reentrant", "rejected", "repeated", "sdk_error", "too_large"];

impl Shared {
    pub(crate) async fn ingest(
        self: &Arc<Self>,
        endpoint: Endpoint<'_>,
        parts: &mut Parts,
        body: BodyRef<'_>,
    ) -> Result<Response<Body>, Refusal> {
        if parts.method == Method::OPTIONS {
            return Ok(cors::answer_preflight(&parts.headers));
        }
        let (method, allow) = match endpoint {
            Endpoint::Envelope(_) | Endpoint::Simple(_) => (Method::POST, "POST, OPTIONS"),
            Endpoint::Pixel(_) | Endpoint::WebSocket(_) => (Method::GET, "GET, OPTIONS"),
        };
        if parts.method != method {
            return Err(Refusal::MethodNotAllowed(allow));
        }
        match endpoint {
            Endpoint::Envelope(project) => self.post(Some(project), Form::Envelope, parts, body).await,
            Endpoint::Simple(form) => self.post(None, Form::Simple(form), parts, body).await,
            Endpoint::Pixel(project) => {
                let outcome = self.pixel(project, parts).await;
                if let Err(refusal) = &outcome {
                    self.pipeline.counts().count(Labelled::RequestsRefused, refusal.told().code, 1);
                }
                Ok(answer::pixel(&outcome))
            }
            Endpoint::WebSocket(project) => self.web_socket(project, parts),
        }
    }

    async fn post(&self, project: Option<&str>, form: Form, parts: &Parts, mut body: BodyRef<'_>) -> Result<Response<Body>, Refusal> {
        let unfinished = Unfinished(Some(self.pipeline.counts()));
        let outcome = self.receive(project, form, parts, body.as_mut()).await;
        unfinished.finish();
        if let Err(refusal) = &outcome
            && refusal.leaves_a_body()
            // A client that waits for `100 Continue` sends nothing when it is refused.
            && !parts.headers.contains_key(header::EXPECT)
        {
            request::drain(body).await;
        }
        outcome.map(|taken| answer::taken(&taken))
    }

    async fn receive(&self, project: Option<&str>, form: Form, parts: &Parts, body: BodyRef<'_>) -> Result<Taken, Refusal> {
        check_uri(parts, self.config.uri_bytes)?;
        check_length(&parts.headers, self.config.body_bytes)?;
        check_content_type(&parts.headers)?;
        let encoding = encoding(&parts.headers, parts.uri.query())?;
        let sender = self.admit(project, parts)?;
        let _request = self.requests.hold(1)?;

        let limits = BodyLimits {
            bytes: self.config.body_bytes,
            timeout: self.config.body_timeout,
            rate: self.config.body_rate,
            grace: self.config.body_grace,
        };
        let (body, mut hold) = request::read(body, &limits, &self.bodies, &self.closing).await?;
        self.count_body(body.len());
        let text = match encoding {
            Encoding::Identity => Cow::Borrowed(&body[..]),
            encoding => Cow::Owned(decompress(encoding, &body, self.config.decompressed_bytes, &mut hold)?),
        };
        self.submit(form, sender, &text).await
    }

    async fn pixel(&self, project: &str, parts: &Parts) -> Result<Taken, Refusal> {
        check_uri(parts, self.config.uri_bytes.saturating_mul(2))?;
        let sender = self.admit(Some(project), parts)?;
        let _request = self.requests.hold(1)?;
        let data = url::parameter(parts.uri.query(), "d").and_then(url::decode).unwrap_or_default();
        let text = BASE64URL.decode(data.as_bytes()).map_err(|_| Refusal::BadBase64)?;
        let _hold = self.bodies.hold(text.len())?;
        self.count_body(text.len());
        self.submit(Form::Envelope, sender, &text).await
    }

    fn count_body(&self, len: usize) {
        let counts = self.pipeline.counts();
        counts.add(Total::Requests, 1);
        counts.add(Total::RequestBytes, len as u64);
    }

    /// Lets a sender in, or says why not. Nothing of the body was looked at.
    pub(crate) fn admit<'a>(&'a self, project: Option<&str>, parts: &'a Parts) -> Result<Sender<'a>, Refusal> {
        if self.is_closing() {
            return Err(Refusal::ShuttingDown);
        }
        let key = url::parameter(parts.uri.query(), "key").or_else(|| bearer(parts)).filter(|key| is_key(key));
        let opened = self.projects.by_key(key.ok_or(Refusal::MissingKey)?).ok_or(Refusal::UnknownKey)?;
        if project.is_some_and(|project| project != opened.id) {
            return Err(Refusal::WrongProject);
        }
        let origin = parts.headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("null"));
        if !opened.allows_origin(origin) {
            return Err(Refusal::OriginNotAllowed);
        }
        let peer = parts.extensions.get::<ClientAddr>().copied();
        let ip = client_ip(&parts.headers, peer, &self.config.trusted_proxies, self.config.forwarded_header);
        self.check_rates(opened, ip)?;
        if !self.pipeline.transport().is_ready() {
            return Err(Refusal::NotReady);
        }
        Ok(Sender { project: opened, ip, user_agent: user_agent(&parts.headers) })
    }

    /// One request of a client, none or more events of a project.
    pub(crate) fn check_rates(&self, project: &Project, ip: Option<IpAddr>) -> Result<(), Refusal> {
        let now = Instant::now();
        if let Some(rate) = self.project_rates.get(&project.id) {
            rate.take(now, 0)?;
        }
        if let (Some(rates), Some(ip)) = (&self.client_rates, ip) {
            rates.take(client_key(ip), now)?;
        }
        Ok(())
    }

    /// From text to durable events. `Ok` means that all of `accepted` are durable.
    pub(crate) async fn submit(&self, form: Form, sender: Sender<'_>, text: &[u8]) -> Result<Taken, Refusal> {
        let Sender { project, ip, user_agent } = sender;
        let parsed = {
            let mut new_id = || EventId(uuid::Uuid::now_v7().as_u128());
            let mut context = Context { project: &project.id, received: clock::now(), limits: &self.config.limits, new_id: &mut new_id };
            match form {
                Form::Envelope => wire::envelope(text, &mut context)?,
                Form::Simple(form) => wire::simple(form, text, &mut context)?,
            }
        };
        let wire::Parsed { mut envelope, positions, mut rejected, discarded } = parsed;
        if let Some(rate) = self.project_rates.get(&project.id) {
            rate.take(Instant::now(), envelope.events.len() + rejected.len())?;
        }
        envelope.origin.ip = ip;
        envelope.origin.user_agent = user_agent.to_owned();

        let Submitted { accepted, dropped } = self.pipeline.submit(envelope).await?;

        let counts = self.pipeline.counts();
        counts.add(Total::Received, rejected.len() as u64);
        for rejection in &rejected {
            counts.count(Labelled::Rejected, rejection.code, 1);
        }
        count_discarded(counts, &discarded);
        if !dropped.is_empty() {
            let index = |position| positions.get(position).copied().unwrap_or(position);
            let message = "the receiver's rules drop this event";
            rejected.extend(dropped.iter().map(|&(n, code)| Rejection { index: index(n), code, message: message.into() }));
            rejected.sort_by_key(|rejection| rejection.index);
        }
        Ok(Taken { accepted, rejected })
    }
}

/// Counts a client that went away while its request was being worked on. Its events may have become durable; it will ask again.
struct Unfinished<'a>(Option<&'a Arc<Counts>>);

impl Unfinished<'_> {
    fn finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(counts) = self.0
            && !std::thread::panicking()
        {
            counts.count(Labelled::RequestsRefused, "client_abort", 1);
        }
    }
}

const BASE64URL: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

fn is_key(key: &str) -> bool {
    (1..=128).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

pub(crate) fn check_uri(parts: &Parts, most: usize) -> Result<(), Refusal> {
    let len = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    if len > most { Err(Refusal::UriTooLong) } else { Ok(()) }
}

pub(crate) fn check_length(headers: &HeaderMap, most: usize) -> Result<(), Refusal> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(()) };
    // An upstream server may leave several equal ones in.
    if lengths.any(|other| other != first) {
        return Err(Refusal::BadLength);
    }
    let digits = first.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let digits = digits.ok_or(Refusal::BadLength)?;
    match digits.parse::<u64>() {
        Ok(length) if length <= most as u64 => Ok(()),
        _ => Err(Refusal::TooLarge),
    }
}

/// Text or JSON, in UTF-8. Senders that say nothing are believed to mean that.
fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let value = value.to_str().map_err(|_| Refusal::UnsupportedType)?;
    let mut parts = value.split(';');
    let media_type = parts.next().unwrap_or_default().trim();
    if !media_type.is_empty() && !["text/plain", "application/json"].iter().any(|known| media_type.eq_ignore_ascii_case(known)) {
        return Err(Refusal::UnsupportedType);
    }
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    match charset {
        Some(charset) if !["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known)) => Err(Refusal::BadCharset),
        _ => Ok(()),
    }
}

/// What the header says, or the parameter `encoding`: a page that sets the header costs its browser a preflight. Said twice, even the
/// same, is one encoding over the other or a mistake, and neither can be read.
fn encoding(headers: &HeaderMap, query: Option<&str>) -> Result<Encoding, Refusal> {
    let said = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.to_str().ok().and_then(Encoding::parse));
    let asked = url::parameters(query, "encoding").map(|value| url::decode(value).and_then(|value| Encoding::parse(&value)));
    let mut all = said.chain(asked);
    match (all.next(), all.next()) {
        (None, _) => Ok(Encoding::Identity),
        (Some(Some(encoding)), None) => Ok(encoding),
        _ => Err(Refusal::UnsupportedEncoding),
    }
}

fn user_agent(headers: &HeaderMap) -> &str {
    // What is not ASCII is not a user agent that anything could read.
    let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.get(..MAX_USER_AGENT).unwrap_or(text)
}

/// Adds a client's report of lost events to the counts. Reasons become labels, so they are reduced to words.
fn count_discarded(counts: &Counts, discarded: &[Discarded]) {
    for (n, Discarded { reason, count, .. }) in discarded.iter().enumerate() {
        let word: String = reason
            .chars()
            .take(64)
            .map(|c| c.to_ascii_lowercase())
            .map(|c| if matches!(c, 'a'..='z' | '0'..='9') { c } else { '_' })
            .collect();
        let label = if n < MAX_DISCARDED && !word.is_empty() { &word } else { "other" };
        // Anybody who has a page's key can make up reasons. Those of our SDK must not lose their places to them.
        if is_ours(label) {
            counts.count(Labelled::ClientDiscarded, label, (*count).into());
        } else {
            counts.count_strange(Labelled::ClientDiscarded, label, (*count).into());
        }
    }
}

/// Whether our SDK gives events up for this reason: one of its own, or the status of an answer (`http_413`).
fn is_ours(reason: &str) -> bool {
    let is_status = |status: &str| status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    KNOWN_REASONS.contains(&reason) || reason.strip_prefix("http_").is_some_and(is_status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(header::HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn reasons_that_strangers_make_up_take_no_place_from_ours() {
        let counts = Counts::new();
        let lost = |reason: String| Discarded { reason, kind: String::new(), count: 2 };
        (0..300).for_each(|n| count_discarded(&counts, &[lost(format!("Junk {n}"))]));
        count_discarded(&counts, &["queue_overflow", "http_413", "http_abc", ""].map(|reason| lost(reason.into())));
        let counted = |reason| counts.labelled(Labelled::ClientDiscarded, reason);
        assert_eq!([counted("junk_7"), counted("queue_overflow"), counted("http_413"), counted("http_abc")], [2, 2, 2, 0]);
        assert_eq!(counts.sum(Labelled::ClientDiscarded), 608);
    }

    #[test]
    fn text_and_json_in_utf_8_are_taken() {
        let code = |value: &str| check_content_type(&headers(&[(header::CONTENT_TYPE, value)])).map_err(|r| r.told().code);
        for good in ["text/plain", "Application/JSON; Charset=\"UTF-8\"", "text/plain;charset=utf8", "application/json; x=y", ""] {
            assert_eq!(code(good), Ok(()), "{good}");
        }
        assert_eq!(code("multipart/form-data; boundary=x"), Err("unsupported_media_type"));
        assert_eq!(code("text/html"), Err("unsupported_media_type"));
        assert_eq!(code("text/plain; charset=utf-16"), Err("bad_charset"));
    }

    #[test]
    fn lengths_are_checked_before_anything_is_read() {
        let code = |values: &[&str]| {
            let list: Vec<_> = values.iter().map(|value| (header::CONTENT_LENGTH, *value)).collect();
            check_length(&headers(&list), 10).map_err(|refusal| refusal.told().code)
        };
        assert_eq!(code(&[]), Ok(()));
        assert_eq!(code(&["10", "10"]), Ok(()));
        for (bad, expected) in
            [(&["11"][..], "too_large"), (&["99999999999999999999999"], "too_large"), (&["1", "2"], "bad_length"), (&["+1"], "bad_length")]
        {
            assert_eq!(code(bad), Err(expected), "{bad:?}");
        }
    }

    #[test]
    fn two_encodings_are_one_too_many() {
        let twice = headers(&[(header::CONTENT_ENCODING, "gzip"), (header::CONTENT_ENCODING, "gzip")]);
        assert!(matches!(encoding(&twice, None), Err(Refusal::UnsupportedEncoding)));
        assert_eq!(encoding(&headers(&[]), None).unwrap(), Encoding::Identity);
        let once = headers(&[(header::CONTENT_ENCODING, "gzip")]);
        assert_eq!(encoding(&once, Some("key=k")).unwrap(), Encoding::Gzip);
        for query in ["encoding=gzip", "encoding=identity", "encoding=", "encoding=foo"] {
            assert!(matches!(encoding(&once, Some(query)), Err(Refusal::UnsupportedEncoding)), "{query}");
        }
        assert!(matches!(encoding(&headers(&[]), Some("encoding=gzip&encoding=gzip")), Err(Refusal::UnsupportedEncoding)));
    }

    #[test]
    fn an_encoding_can_be_a_parameter() {
        let asked = |query| encoding(&HeaderMap::new(), Some(query)).map_err(|refusal| refusal.told().code);
        assert_eq!(asked("key=k&encoding=gzip"), Ok(Encoding::Gzip));
        assert_eq!(asked("encoding=DEFLATE&key=k"), Ok(Encoding::Deflate));
        assert_eq!(asked("encoding=zst%64"), Ok(Encoding::Zstd));
        for none in ["key=k", "encoding=", "content-encoding=gzip", "encoding"] {
            assert_eq!(asked(none), Ok(Encoding::Identity), "{none}");
        }
        for bad in ["encoding=br", "encoding=gzip,gzip", "encoding=%", "encoding=gzip%00"] {
            assert_eq!(asked(bad), Err("unsupported_encoding"), "{bad}");
        }
    }

    #[test]
    fn reasons_of_clients_become_words_and_all_counts_are_kept() {
        let counts = Counts::new();
        let report = |reason: &str, count| Discarded { reason: reason.into(), kind: String::new(), count };
        let mut discarded = vec![report("Queue Overflow\n", 3), report("", 1)];
        discarded.extend((0..100).map(|n| report(&format!("r{n}"), 1)));
        count_discarded(&counts, &discarded);
        assert_eq!(counts.labelled(Labelled::ClientDiscarded, "queue_overflow_"), 3);
        assert_eq!(counts.labelled(Labelled::ClientDiscarded, "r61"), 1);
        assert_eq!(counts.labelled(Labelled::ClientDiscarded, "r62"), 0);
        assert_eq!(counts.sum(Labelled::ClientDiscarded), 104);
    }

    #[test]
    fn keys_are_words() {
        assert!(is_key("a-B_9"));
        for bad in ["", "a b", "é", "a%20", &"x".repeat(129)] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
