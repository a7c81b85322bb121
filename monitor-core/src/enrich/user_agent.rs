//! Browser, operating system and kind of device from the `User-Agent` header.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use woothee::parser::Parser;

use crate::{Agent, Enricher, Origin};

/// Fills in `browser`, `os` and `device.kind`. Results are kept by header text, at most 4,096 of them.
#[derive(Default)]
pub struct UserAgent {
    parser: Parser,
    known: Mutex<HashMap<String, Arc<Parsed>>>,
}

#[derive(Debug, PartialEq)]
struct Parsed {
    browser: Agent,
    os: Agent,
    device: &'static str,
}

/// Some thousand different headers cover nearly all traffic; beyond that the memory is emptied and fills again.
const MOST_KNOWN: usize = 4_096;
/// Longer headers are cut: no browser sends them.
const LONGEST: usize = 512;

/// Browsers inside apps, which pretend to be the browser they are built on: the token that gives each away.
const IN_APP: &[(&str, &str)] = &[
    ("MicroMessenger/", "WeChat"),
    ("DingTalk/", "DingTalk"),
    ("AlipayClient/", "Alipay"),
    ("Quark/", "Quark"),
    ("UCBrowser/", "UC Browser"),
    ("FBAV/", "Facebook"),
    ("Instagram ", "Instagram"),
];

impl Enricher for UserAgent {
    fn name(&self) -> &'static str {
        "user_agent"
    }

    fn enrich_origin(&self, origin: &mut Origin) {
        if origin.user_agent.is_empty() {
            return;
        }
        if origin.user_agent.len() > LONGEST {
            origin.user_agent.truncate(origin.user_agent.floor_char_boundary(LONGEST));
        }
        let parsed = self.lookup(&origin.user_agent);
        origin.browser = parsed.browser.clone();
        origin.os = parsed.os.clone();
        origin.device.kind = parsed.device.into();
    }
}

impl UserAgent {
    fn lookup(&self, header: &str) -> Arc<Parsed> {
        if let Some(parsed) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(header) {
            return parsed.clone();
        }
        let parsed = Arc::new(self.parse(header));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(header.to_owned(), parsed.clone());
        parsed
    }

    fn parse(&self, header: &str) -> Parsed {
        let found = self.parser.parse(header).unwrap_or_default();
        let known = |text: &str| if text == "UNKNOWN" { String::new() } else { text.to_owned() };
        let mut browser = Agent::new(known(found.name), short(&known(found.version)));
        if let Some((name, version)) = IN_APP.iter().find_map(|(token, name)| Some((name, header.split_once(token)?.1))) {
            let version: String = version.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            browser = Agent::new(*name, short(&version));
        }
        let tablet = header.contains("iPad") || (header.contains("Android") && !header.contains("Mobile"));
        let device = match found.category {
            "crawler" => "bot",
            "smartphone" | "mobilephone" if tablet => "tablet",
            "smartphone" | "mobilephone" => "mobile",
            "pc" => "desktop",
            "appliance" => "console",
            _ => "",
        };
        Parsed { browser, os: Agent::new(known(found.os), known(&found.os_version)), device }
    }
}

/// Major and minor version: more only multiplies the groups.
fn short(version: &str) -> String {
    let end = version.match_indices('.').nth(1).map_or(version.len(), |(at, _)| at);
    version.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, browser: &str, version: &str, os: &str, device: &str) {
        let mut origin = Origin::new("shop", 0);
        origin.user_agent = header.into();
        UserAgent::default().enrich_origin(&mut origin);
        let found = (origin.browser.name.as_str(), origin.browser.version.as_str(), origin.os.name.as_str(), origin.device.kind.as_str());
        assert_eq!(found, (browser, version, os, device), "{header}");
    }

    #[test]
    fn common_browsers_are_known() {
        check(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.8078.73 Safari/537.36",
            "Chrome",
            "156.0",
            "Linux",
            "desktop",
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
            "Safari",
            "18.1",
            "iPhone",
            "mobile",
        );
        check(
            "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
            "Chrome",
            "130.0",
            "Android",
            "tablet",
        );
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
            "Firefox",
            "132.0",
            "Windows 10",
            "desktop",
        );
        check("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot", "", "", "bot");
        check(
            "Mozilla/5.0 (Linux; Android 14; Pixel 8 Mobile) AppleWebKit/537.36 Chrome/116.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.47.2560",
            "WeChat",
            "8.0",
            "Android",
            "mobile",
        );
        check("curl/8.5.0", "HTTP Library", "curl", "", "");
        check("", "", "", "", "");
    }

    #[test]
    fn the_memory_is_bounded() {
        let enricher = UserAgent::default();
        for n in 0..MOST_KNOWN * 2 + 5 {
            enricher.lookup(&n.to_string());
        }
        assert!(enricher.known.lock().unwrap().len() <= MOST_KNOWN);
    }
}
