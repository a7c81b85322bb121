//! What goes wrong in the shops' scripts.

use std::fmt::Write;

use super::chance::Chance;

/// An error with its cause; all its occurrences have the same fingerprint.
pub(super) struct Issue {
    pub(super) name: &'static str,
    /// `{n}` is a number that differs from one occurrence to the next.
    message: String,
    /// Innermost call first; none for what browsers report without a stack.
    functions: Vec<String>,
    file: &'static str,
    pub(super) mechanism: &'static str,
    /// Only on routes that begin with this.
    pub(super) route: &'static str,
    /// Only in browsers whose header has this.
    pub(super) browser: &'static str,
    /// How often, against the others.
    pub(super) weight: f64,
}

/// What differs from one kind of error to the next.
struct Kind {
    name: &'static str,
    /// `{w}` is a word that tells issues apart.
    message: &'static str,
    mechanism: &'static str,
    stack: bool,
    route: &'static str,
    browser: &'static str,
}

const fn kind(name: &'static str, message: &'static str, mechanism: &'static str) -> Kind {
    Kind { name, message, mechanism, stack: true, route: "", browser: "" }
}

const KINDS: &[Kind] = &[
    kind("TypeError", "Cannot read properties of undefined (reading '{w}')", "onerror"),
    kind("TypeError", "{w}.map is not a function", "onerror"),
    Kind { stack: false, ..kind("TypeError", "Failed to fetch", "onunhandledrejection") },
    kind("ReferenceError", "{w} is not defined", "onerror"),
    Kind { browser: "Firefox", ..kind("TypeError", "can't access property \"{w}\" of null", "onerror") },
    kind("Error", "The {w} of order {n} cannot be loaded", "manual"),
    kind("SyntaxError", "Unexpected token '<', \"<!doctype \"... is not valid JSON", "onunhandledrejection"),
    Kind { browser: "Safari/604", ..kind("TypeError", "undefined is not an object (evaluating 'state.{w}')", "onerror") },
    kind("ChunkLoadError", "Loading chunk {n} failed.", "onunhandledrejection"),
    kind("AbortError", "The {w} was aborted", "onunhandledrejection"),
    Kind { route: "/c", ..kind("RangeError", "Maximum call stack size exceeded", "react") },
    kind("TimeoutError", "No answer from {w} within {n} ms", "onunhandledrejection"),
    Kind { browser: "Safari/604", ..kind("QuotaExceededError", "The quota of {w} has been exceeded", "manual") },
    Kind { route: "/account", ..kind("SecurityError", "The operation on {w} is insecure", "onerror") },
    Kind { stack: false, ..kind("Error", "ResizeObserver loop completed with undelivered notifications.", "onerror") },
];

const WORDS: &[&str] = &[
    "price", "items", "total", "session", "address", "variants", "image", "rating", "stock", "coupon", "currency", "filters", "reviews",
    "banner", "basket", "wishlist", "profile", "payment", "gallery", "search",
];
const ACTIONS: &[&str] = &["render", "update", "load", "add", "submit", "format", "select", "apply", "mount", "fetch"];
const PARTS: &[&str] = &["Cart", "ProductCard", "Gallery", "Checkout", "SearchBox", "Header", "Menu", "Reviews", "Price", "Account"];
const FILES: &[&str] = &["app", "vendor", "checkout", "product", "search"];

/// The issues of a site, the most frequent first, and the one of the bad release last.
pub(super) fn issues(chance: &mut Chance) -> Vec<Issue> {
    let mut list: Vec<_> = (0..60)
        .map(|rank| {
            let kind = &KINDS[rank % KINDS.len()];
            let part = |chance: &mut Chance| format!("{}.{}", chance.one_of(PARTS), chance.one_of(ACTIONS));
            Issue {
                name: kind.name,
                message: kind.message.replace("{w}", chance.one_of(WORDS)),
                functions: if kind.stack { (0..3).map(|_| part(chance)).collect() } else { Vec::new() },
                file: chance.one_of(FILES),
                mechanism: kind.mechanism,
                route: kind.route,
                browser: kind.browser,
                weight: ((rank + 1) as f64).powf(-1.1),
            }
        })
        .collect();
    list.push(Issue {
        name: "TypeError",
        message: "Cannot read properties of undefined (reading 'shippingCost')".into(),
        functions: ["Checkout.total", "Checkout.render", "commit"].map(str::to_owned).to_vec(),
        file: "checkout",
        mechanism: "onerror",
        route: "",
        browser: "",
        weight: 0.0,
    });
    list
}

impl Issue {
    /// The data of one occurrence, a JSON object.
    pub(super) fn data(&self, chance: &mut Chance, domain: &str, release: &str, firefox: bool, crumbs: &str) -> String {
        let message = self.message.replace("{n}", &chance.between(1_000..90_000).to_string());
        let text = |text: &str| serde_json::Value::from(text).to_string();
        // Each release has files of its own; their names have a digit, as those of real builds nearly always do.
        let build = release.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let file = format!("https://cdn.{domain}/assets/{}.4{build:07x}.js", self.file);
        let mut stack = String::new();
        for (n, function) in self.functions.iter().enumerate() {
            // The place follows from the function, and moves with the release.
            let line = function.len() * 7 + release.len() + n;
            // Writing to a String cannot fail.
            let _ = if firefox {
                writeln!(stack, "{function}@{file}:{line}:{}", 20 + n)
            } else {
                write!(stack, "\n    at {function} ({file}:{line}:{})", 20 + n)
            };
        }
        if !firefox {
            stack.insert_str(0, &format!("{}: {message}", self.name));
        }
        format!(
            r#"{{"message":{},"stack":{},"source":"{file}","mechanism":"{}","handled":{},"breadcrumbs":[{crumbs}]}}"#,
            text(&message),
            text(&stack),
            self.mechanism,
            self.mechanism == "manual" || self.mechanism == "react",
        )
    }
}
