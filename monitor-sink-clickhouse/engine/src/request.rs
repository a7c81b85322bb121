//! Reads a request of ClickHouse's HTTP interface: what is a parameter of the interface, what a setting of the engine,
//! what a bound parameter, who is asking.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Method;
use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, ORIGIN};
use hyper::http::request::Parts;

use crate::compress::Coding;
use crate::exception::{Exception, code};

/// Who may ask. The engine has one user.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    /// The user's name, `default` unless chosen otherwise.
    pub user: String,
    /// Without one everybody on this machine may ask.
    pub password: Option<String>,
}

/// A request, but for its body.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// Text of the parameter `query`; the body's text follows it.
    pub query: String,
    /// The current database; the engine's default when `None`.
    pub database: Option<String>,
    /// The output format when the statement names none.
    pub default_format: Option<String>,
    /// Echoed; made when not given.
    pub query_id: Option<String>,
    /// Only statements that change nothing.
    pub readonly: bool,
    /// The result is held back until it is complete, so that an error always comes with its status.
    pub wait_end_of_query: bool,
    /// Settings of the engine for this statement.
    pub settings: Vec<(String, String)>,
    /// Bound parameters: names without `param_`, values in TSV escaping.
    pub parameters: Vec<(String, String)>,
    /// `multipart/form-data`: its boundary.
    pub multipart: Option<String>,
    /// Content coding of the body, outer layer first (HTTP's, then ClickHouse's own).
    pub body_codings: Vec<Coding>,
    /// Content coding of the answer.
    pub answer_coding: Coding,
    http_compression: bool,
    user: Option<String>,
    password: Option<String>,
}

impl Request {
    /// Reads method, URL and headers.
    ///
    /// # Errors
    /// A parameter that is not supported or makes no sense.
    pub(crate) fn read(parts: &Parts) -> Result<Self, Exception> {
        if parts.headers.contains_key(ORIGIN) {
            // No web page is meant to talk to the engine; one that does is up to no good.
            return Err(Exception::new(code::AUTHENTICATION_FAILED, "AUTHENTICATION_FAILED", "requests of web pages are refused"));
        }
        let mut request = Self { readonly: parts.method == Method::GET || parts.method == Method::HEAD, ..Self::default() };
        request.read_headers(&parts.headers)?;
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            request.parameter(&name, value.into_owned())?;
        }
        if request.http_compression && request.answer_coding == Coding::Identity {
            request.answer_coding = header(&parts.headers, ACCEPT_ENCODING.as_str())?.map_or(Coding::Identity, Coding::of_accept);
        }
        Ok(request)
    }

    fn read_headers(&mut self, headers: &HeaderMap) -> Result<(), Exception> {
        if let Some(name) = header(headers, CONTENT_ENCODING.as_str())? {
            let coding = Coding::of_request(name).ok_or_else(|| {
                Exception::not_implemented(format_args!("content encoding {name:?} is not supported: use gzip, deflate, zstd or lz4"))
            })?;
            self.body_codings.push(coding);
        }
        if let Some(kind) = header(headers, CONTENT_TYPE.as_str())?.filter(|kind| kind.to_ascii_lowercase().starts_with("multipart/")) {
            self.multipart = Some(multer::parse_boundary(kind).map_err(Exception::bad_argument)?);
        }
        if let Some(basic) = header(headers, AUTHORIZATION.as_str())? {
            let (user, password) = basic
                .split_once(' ')
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
                .and_then(|(_, value)| BASE64_STANDARD.decode(value.trim()).ok())
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .and_then(|pair| pair.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned())))
                .ok_or_else(|| {
                    Exception::new(code::AUTHENTICATION_FAILED, "AUTHENTICATION_FAILED", "only Basic authentication is supported")
                })?;
            (self.user, self.password) = (Some(user), Some(password));
        }
        for (name, target) in [
            ("x-clickhouse-user", &mut self.user),
            ("x-clickhouse-key", &mut self.password),
            ("x-clickhouse-database", &mut self.database),
            ("x-clickhouse-format", &mut self.default_format),
        ] {
            if let Some(value) = header(headers, name)? {
                *target = Some(value.to_owned());
            }
        }
        Ok(())
    }

    /// Takes one parameter, of the URL or of a form.
    ///
    /// # Errors
    /// It is not supported or makes no sense.
    pub(crate) fn parameter(&mut self, name: &str, value: String) -> Result<(), Exception> {
        match name {
            "query" => self.query.push_str(&value),
            "database" => self.database = Some(value),
            "default_format" => self.default_format = Some(value),
            "user" => self.user = Some(value),
            "password" => self.password = Some(value),
            "query_id" => self.query_id = Some(value).filter(|id| !id.is_empty()),
            // Not handed on: the engine would not let go of it on this connection.
            "readonly" => self.readonly |= value != "0",
            "wait_end_of_query" => self.wait_end_of_query = flag(&value),
            "compress" if flag(&value) => self.answer_coding = Coding::Blocks,
            "decompress" if flag(&value) => self.body_codings.push(Coding::Blocks),
            "enable_http_compression" => self.http_compression = flag(&value),
            "session_id" if !value.is_empty() => {
                return Err(Exception::not_implemented("sessions (session_id) are not supported: send settings with each request"));
            }
            "role" if !value.is_empty() => return Err(Exception::not_implemented("roles are not supported")),
            // Of no meaning here: no sessions, no quotas, checksums are always checked, levels are fixed, errors carry
            // no stack trace, the answer is buffered by `wait_end_of_query`, progress is not reported by headers.
            "compress"
            | "decompress"
            | "session_id"
            | "role"
            | "session_timeout"
            | "session_check"
            | "quota_key"
            | "stacktrace"
            | "buffer_size"
            | "http_zlib_compression_level"
            | "http_native_compression_disable_checksumming_on_decompress"
            | "client_protocol_version"
            | "send_progress_in_http_headers"
            | "http_headers_progress_interval_ms"
            | "cancel_http_readonly_queries_on_client_close" => {}
            _ => match name.strip_prefix("param_") {
                Some(name) => self.parameters.push((name.to_owned(), value)),
                None => self.settings.push((name.to_owned(), value)),
            },
        }
        Ok(())
    }

    /// Checks user and password.
    ///
    /// # Errors
    /// They are not the engine's (code 516, with the same text for both).
    pub(crate) fn authenticate(&self, expected: &Credentials) -> Result<(), Exception> {
        let user = self.user.as_deref().filter(|user| !user.is_empty()).unwrap_or("default");
        let password = self.password.as_deref().unwrap_or_default();
        let correct = match &expected.password {
            Some(expected) => same(password.as_bytes(), expected.as_bytes()),
            None => true,
        };
        if correct && user == expected.user {
            return Ok(());
        }
        let message = "Authentication failed: password is incorrect, or there is no user with such name";
        Err(Exception::new(code::AUTHENTICATION_FAILED, "AUTHENTICATION_FAILED", message))
    }
}

fn flag(value: &str) -> bool {
    !matches!(value, "" | "0" | "false")
}

fn header<'headers>(headers: &'headers HeaderMap, name: &str) -> Result<Option<&'headers str>, Exception> {
    let value = headers.get(name).map(|value| value.to_str()).transpose();
    value.map_err(|_| Exception::bad_argument(format_args!("header {name} is not text")))
}

/// Compares without telling by its time where the first difference is.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, headers: &[(&str, &str)]) -> Result<Request, Exception> {
        let mut builder = hyper::Request::builder().method("POST").uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        Request::read(&builder.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn parameters_settings_and_values_are_told_apart() {
        let request =
            read("/?query=SELECT+%7Bx%3AString%7D&param_x=a%27b&max_threads=1&database=m&readonly=2&compress=1&decompress=1", &[]).unwrap();
        assert_eq!(request.query, "SELECT {x:String}");
        assert_eq!(request.parameters, [("x".to_owned(), "a'b".to_owned())]);
        assert_eq!(request.settings, [("max_threads".to_owned(), "1".to_owned())]);
        assert_eq!(request.database.as_deref(), Some("m"));
        assert!(request.readonly);
        assert_eq!((request.answer_coding, request.body_codings.as_slice()), (Coding::Blocks, &[Coding::Blocks][..]));
    }

    #[test]
    fn only_the_right_user_and_password_get_in() {
        let expected = Credentials { user: "default".into(), password: Some("secret".into()) };
        let check = |uri: &str, headers: &[(&str, &str)], correct: bool| {
            assert_eq!(read(uri, headers).unwrap().authenticate(&expected).is_ok(), correct, "{uri} {headers:?}");
        };
        check("/?user=default&password=secret", &[], true);
        check("/", &[("X-ClickHouse-User", "default"), ("X-ClickHouse-Key", "secret")], true);
        check("/", &[("Authorization", "Basic ZGVmYXVsdDpzZWNyZXQ=")], true);
        check("/", &[], false);
        check("/?password=secre", &[], false);
        check("/?user=root&password=secret", &[], false);
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for (uri, headers) in [
            ("/?session_id=1", &[][..]),
            ("/?role=r", &[]),
            ("/", &[("Content-Encoding", "snappy")]),
            ("/", &[("Authorization", "Bearer x")]),
            ("/", &[("Origin", "http://localhost")]),
        ] {
            assert!(read(uri, headers).is_err(), "{uri} {headers:?}");
        }
    }
}
