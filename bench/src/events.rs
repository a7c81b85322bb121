//! Events as a busy shop sends them: about 750 bytes each, of the kinds and in the shares that browsers produce.

use std::{fmt::Write, time::SystemTime};

/// Now, ms since the Unix epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Who looks at which page: what all events of an envelope have in common. It is kept when the envelope is sent again.
#[derive(Clone, Debug)]
pub struct Visit {
    page: u16,
    product: u32,
    session: u32,
    visitor: u32,
    user: u32,
    release: u8,
}

impl Visit {
    /// One of the visits that are going on.
    pub fn random() -> Visit {
        Visit {
            page: fastrand::u16(..),
            product: fastrand::u32(..5_000),
            session: fastrand::u32(..20_000),
            visitor: fastrand::u32(..10_000),
            user: fastrand::u32(..5_000),
            release: fastrand::u8(..8),
        }
    }
}

/// An envelope with these events (JSON texts).
pub fn envelope(visit: &Visit, attempt: u32, events: &[String]) -> String {
    let now = now();
    let Visit { page, product, session, visitor, user, release } = visit;
    format!(
        r##"{{"v":1,"sdk":{{"name":"monitor-kit.browser","version":"0.1.0"}},"sent_at":{now},"attempt":{attempt},"page":{{"id":"0190c0ffee000000000000000000{page:04x}","url":"https://shop.example/product/{product}?ref=home","route":"/product/:id","referrer":"https://search.example/","title":"Mug, striped"}},"session":{{"id":"s{session}","visitor":"v{visitor}","user":{{"id":"u{user}"}}}},"release":"shop@1.4.{release}","environment":"production","device":{{"screen":"1920x1080","viewport":"1280x720","language":"en-GB","connection":"4g","timezone":"Europe/Paris"}},"tags":{{"tenant":"acme"}},"events":[{}]}}"##,
        events.join(",")
    )
}

/// One event with this id; about 750 bytes. `mark` comes back in its data.
pub fn event(id: u128, seq: usize, mark: &str) -> String {
    let now = now();
    match fastrand::u8(..10) {
        0 => error(id, seq, now, mark),
        1..=4 => {
            let (name, value) =
                [("LCP", 2_300.0), ("INP", 120.0), ("CLS", 0.08), ("FCP", 1_100.0), ("TTFB", 400.0)][usize::from(fastrand::u8(..5))];
            let value = value * (0.5 + fastrand::f64());
            format!(
                r##"{{"id":"{id:032x}","seq":{seq},"time":{now},"kind":"vital","name":"{name}","value":{value:.4},"attributes":{{"rating":"good","target":"main > section#hero > img.product","navigation_type":"navigate"}},"data":{{"mark":"{mark}","id":"v5-{now}-{id:x}","delta":{value:.4},"attribution":{{"element":"main > section#hero > img.product","url":"https://cdn.shop.example/images/products/striped-mug-1280.avif","timeToFirstByte":412.3,"resourceLoadDelay":120.4,"resourceLoadDuration":610.9,"elementRenderDelay":88.1,"phases":{}}}}}}}"##,
                filler(200)
            )
        }
        5..=7 => format!(
            r##"{{"id":"{id:032x}","seq":{seq},"time":{now},"kind":"request","name":"fetch","value":{:.1},"attributes":{{"method":"GET","status":"200","target":"https://api.shop.example/v2/products/search"}},"data":{{"mark":"{mark}","url":"https://api.shop.example/v2/products/search?q=mug&page=2&size=24","request_size":0,"response_size":18234,"timing":{}}}}}"##,
            fastrand::f64() * 400.0,
            filler(340)
        ),
        _ => format!(
            r##"{{"id":"{id:032x}","seq":{seq},"time":{now},"kind":"click","name":"click","attributes":{{"target":"main > section.actions > button#add-to-cart"}},"data":{{"mark":"{mark}","x":{},"y":{},"path":{}}}}}"##,
            fastrand::u16(..1_920),
            fastrand::u16(..1_080),
            filler(440)
        ),
    }
}

fn error(id: u128, seq: usize, now: i64, mark: &str) -> String {
    let stack = "TypeError: Cannot read properties of undefined (reading 'price')\\n    at Cart.total (https://shop.example/assets/app.4f2a91.js:10:2214)\\n    at Cart.render (https://shop.example/assets/app.4f2a91.js:12:90)\\n    at commit (https://shop.example/assets/vendor.77ab01.js:2:40211)";
    format!(
        r##"{{"id":"{id:032x}","seq":{seq},"time":{now},"kind":"error","name":"TypeError","data":{{"mark":"{mark}","message":"Cannot read properties of undefined (reading 'price')","stack":"{stack}","source":"https://shop.example/assets/app.4f2a91.js","line":10,"column":2214,"mechanism":"onerror","handled":false,"breadcrumbs":[{{"time":{now},"category":"click","message":"button#add-to-cart"}},{{"time":{now},"category":"request","message":"GET /v2/products 200"}}]}}}}"##
    )
}

/// A JSON array of numbers of about this many bytes.
fn filler(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 8);
    text.push('[');
    while text.len() < bytes {
        if text.len() > 1 {
            text.push(',');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{}", fastrand::u16(1_000..));
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_json_of_about_750_bytes() {
        let events: Vec<_> = (0..200).map(|n| event(n, 0, "0123456789abcdef")).collect();
        let bytes: usize = events.iter().map(String::len).sum();
        assert!((650..850).contains(&(bytes / 200)), "{}", bytes / 200);
        let parsed: serde_json::Value = serde_json::from_str(&envelope(&Visit::random(), 1, &events)).unwrap();
        assert_eq!(parsed["events"].as_array().unwrap().len(), 200);
    }

    #[test]
    fn an_envelope_that_is_sent_again_keeps_its_session() {
        let visit = Visit::random();
        let first: serde_json::Value = serde_json::from_str(&envelope(&visit, 1, &[])).unwrap();
        let again: serde_json::Value = serde_json::from_str(&envelope(&visit, 2, &[])).unwrap();
        assert_eq!((&first["session"], &first["page"]), (&again["session"], &again["page"]));
        assert_eq!(again["attempt"], 2);
    }
}
