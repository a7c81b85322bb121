//! Pages of every origin send events, so every answer of the ingest can be read by every origin, and none carries credentials:
//! what keeps others out is the project's list of origins, checked by the receiver and not by the browser.

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use crate::{
    answer::{self, preflight},
    response::Body,
};

static READABLE: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Retry-After"),
    (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
];

static PREFLIGHT: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
    (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    (header::VARY, "Origin, Access-Control-Request-Headers"),
];

/// What is allowed when a preflight does not ask for anything, or for nonsense.
const USUAL_HEADERS: &str = "authorization, content-encoding, content-type";
/// Longest list of header names that is reflected, bytes.
const MAX_REFLECTED: usize = 1_024;

/// Lets pages of other origins read the answer.
pub(crate) fn make_readable(response: &mut Response<Body>) {
    answer::set(response, &READABLE);
}

/// The answer to a preflight. The headers it asks for are allowed as they are: an SDK that adds one must not need a new receiver.
pub(crate) fn answer_preflight(request: &HeaderMap) -> Response<Body> {
    let mut response = preflight();
    answer::set(&mut response, &PREFLIGHT);
    let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|asked| is_name_list(asked));
    let allowed = asked.cloned().unwrap_or(HeaderValue::from_static(USUAL_HEADERS));
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    // A receiver in a company network, sending pages on the internet.
    if request.contains_key("access-control-request-private-network") {
        headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
    }
    response
}

fn is_name_list(value: &HeaderValue) -> bool {
    let is_name = |name: &str| HeaderName::from_bytes(name.trim().as_bytes()).is_ok();
    value.len() <= MAX_REFLECTED && value.to_str().is_ok_and(|names| names.split(',').all(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed_headers(asked: Option<&str>) -> String {
        let mut request = HeaderMap::new();
        if let Some(asked) = asked {
            request.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, asked.parse().unwrap());
        }
        answer_preflight(&request).headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().to_owned()
    }

    #[test]
    fn asked_headers_are_allowed_and_nonsense_is_not_reflected() {
        assert_eq!(allowed_headers(Some("x-new, Content-Type")), "x-new, Content-Type");
        let long = vec!["x"; 1_000].join(",");
        for nonsense in [None, Some("a b"), Some("x,,y"), Some("<script>"), Some(&long)] {
            assert_eq!(allowed_headers(nonsense), USUAL_HEADERS, "{nonsense:?}");
        }
    }

    #[test]
    fn no_answer_carries_credentials() {
        let mut response = answer_preflight(&HeaderMap::new());
        make_readable(&mut response);
        assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }
}
