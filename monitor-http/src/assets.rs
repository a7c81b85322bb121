//! Files that were embedded when the crate was built: the dashboard and the browser script.

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use crate::{
    answer::{self, Refusal},
    response::Body,
};

/// One embedded file.
pub(crate) struct Asset {
    /// `dashboard/index.html`, `sdk/monitor.js`.
    path: &'static str,
    /// Hash of the content; weak, because the zipped form has the same.
    etag: &'static str,
    bytes: &'static [u8],
    gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// For pages that show what came from outside: only our own scripts, no frames, no forms. The hash is that of `slash.js`.
static PAGE_HEADERS: [(HeaderName, &str); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self' 'sha256-W3AY/k7NBY/J9CNst5w9+Rh5WKyUKXMXy/mFdKSEbxQ='; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// What other sites embed.
static SHARED_HEADERS: [(HeaderName, &str); 2] =
    [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin")];

const NO_DASHBOARD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Monitor Kit</title></head><body>\
<h1>Monitor Kit is running</h1><p>This build has no dashboard. Run <code>make assets</code> and build again.</p></body></html>";
const NO_SCRIPT: &str = "console.error('This build of Monitor Kit has no browser script: run `make assets` and build again.');";

/// The dashboard's first page.
pub(crate) fn index(request: &HeaderMap) -> Response<Body> {
    dashboard("index.html", request).unwrap_or_else(|_| {
        let mut response = answer::ok("text/html; charset=utf-8", NO_DASHBOARD);
        answer::set(&mut response, &PAGE_HEADERS);
        response
    })
}

/// A file of the dashboard.
pub(crate) fn dashboard(path: &str, request: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let asset = find("dashboard/", path).ok_or(Refusal::NotFound)?;
    // The bundler puts a hash of the content into the names of these.
    let is_immutable = path.starts_with("assets/");
    let mut response = serve(asset, request, if is_immutable { "public, max-age=31536000, immutable" } else { "no-cache" });
    answer::set(&mut response, &PAGE_HEADERS);
    Ok(response)
}

/// The script that pages include.
pub(crate) fn sdk(path: &str, request: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let mut response = match find("sdk/", path) {
        Some(asset) => serve(asset, request, "public, max-age=600"),
        None if path == "monitor.js" => answer::ok("text/javascript; charset=utf-8", NO_SCRIPT),
        None => return Err(Refusal::NotFound),
    };
    answer::set(&mut response, &SHARED_HEADERS);
    Ok(response)
}

fn find(folder: &str, path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path.strip_prefix(folder) == Some(path))
}

fn serve(asset: &'static Asset, request: &HeaderMap, cache: &'static str) -> Response<Body> {
    let has = |name: HeaderName, wanted: &str| {
        let values = request.get_all(name);
        values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|part| part.trim() == wanted)
    };
    let mut response = if has(header::IF_NONE_MATCH, asset.etag) {
        answer::not_modified()
    } else {
        match asset.gzip {
            Some(gzip) if has(header::ACCEPT_ENCODING, "gzip") => {
                let mut response = answer::ok(content_type(asset.path), gzip);
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                response
            }
            _ => answer::ok(content_type(asset.path), asset.bytes),
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, HeaderValue::from_static(asset.etag));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ASSET: Asset = Asset { path: "dashboard/a.js", etag: "W/\"1234\"", bytes: b"plain", gzip: Some(b"zipped") };

    fn ask(headers: &[(HeaderName, &str)]) -> Response<Body> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        serve(&ASSET, &headers, "no-cache")
    }

    #[test]
    fn a_client_that_has_the_file_does_not_get_it_again() {
        for held in ["W/\"1234\"", "\"0\", W/\"1234\""] {
            assert_eq!(ask(&[(header::IF_NONE_MATCH, held)]).status(), 304, "{held}");
        }
        assert_eq!(ask(&[(header::IF_NONE_MATCH, "\"0\"")]).status(), 200);
    }

    #[test]
    fn the_zipped_form_goes_to_those_who_take_it() {
        let encoding = |value| ask(&[(header::ACCEPT_ENCODING, value)]).headers().get(header::CONTENT_ENCODING).cloned();
        assert_eq!(encoding("br, gzip").unwrap(), "gzip");
        assert!(encoding("br").is_none());
    }

    #[test]
    fn the_policy_names_the_hash_of_the_inline_script() {
        use base64::{Engine, engine::general_purpose::STANDARD};
        use sha2::{Digest, Sha256};
        let hash = STANDARD.encode(Sha256::digest(include_str!("slash.js").trim()));
        assert!(PAGE_HEADERS[0].1.contains(&format!("'sha256-{hash}'")), "{hash}");
    }
}
