//! The words of the language: what can be filtered and grouped by, and what can be computed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* } others { $($other:ident = $prefix:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            $(#[doc = concat!("`", $prefix, "<word>`.")]
            $other(String),)*
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant => f.write_str($text),)*
                    $($name::$other(word) => write!(f, "{}{word}", $prefix),)*
                }
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<$name, String> {
                match text {
                    $($text => return Ok($name::$variant),)*
                    _ => {}
                }
                $(if let Some(word) = text.strip_prefix($prefix) && !word.is_empty() && word.len() <= 200 {
                    return Ok($name::$other(word.into()));
                })*
                Err(format!(concat!("unknown ", stringify!($name), " {:?}"), text.chars().take(64).collect::<String>()).to_lowercase())
            }
        }
    };
}

words! {
    /// What events can be filtered and grouped by.
    Field {
        /// Event id (filter only).
        Id = "id",
        /// Kind.
        Kind = "kind",
        /// Name.
        Name = "name",
        /// Route of the page.
        Route = "route",
        /// URL of the page.
        Url = "url",
        /// Release of the application.
        Release = "release",
        /// Environment.
        Environment = "environment",
        /// Browser name.
        Browser = "browser",
        /// Browser version.
        BrowserVersion = "browser_version",
        /// Operating system.
        Os = "os",
        /// Version of the operating system.
        OsVersion = "os_version",
        /// Page before this one, without its query.
        Referrer = "referrer",
        /// Title of the page.
        Title = "title",
        /// Name and version of the SDK.
        Sdk = "sdk",
        /// Kind of device.
        Device = "device",
        /// Country.
        Country = "country",
        /// Network connection.
        Connection = "connection",
        /// Language.
        Language = "language",
        /// Session id.
        Session = "session",
        /// Visitor id.
        Visitor = "visitor",
        /// User id.
        User = "user",
        /// Page view id.
        Page = "page",
        /// Group of an error.
        Fingerprint = "fingerprint",
        /// Text of an error or message.
        Message = "message",
        /// HTTP status.
        Status = "status",
        /// HTTP method.
        Method = "method",
        /// Element or URL acted on.
        Target = "target",
        /// Why a request failed.
        Failure = "failure",
        /// Band of a web vital.
        Rating = "rating",
    }
    others {
        Attribute = "attributes.",
        Tag = "tags.",
    }
}

words! {
    /// What can be computed.
    Measure {
        /// Events, as all counts by their weights.
        Count = "count",
        /// Distinct visitors.
        Visitors = "visitors",
        /// Distinct sessions.
        Sessions = "sessions",
        /// Distinct page views (by page id).
        Pages = "pages",
        /// Sum of values.
        Sum = "sum",
        /// Mean of values.
        Avg = "avg",
        /// Smallest value.
        Min = "min",
        /// Largest value.
        Max = "max",
        /// Median of values.
        P50 = "p50",
        /// 75th percentile of values.
        P75 = "p75",
        /// 90th percentile of values.
        P90 = "p90",
        /// 95th percentile of values.
        P95 = "p95",
        /// 99th percentile of values.
        P99 = "p99",
        /// Events per minute of the range, or of the step.
        Rate = "rate",
        /// Histogram of values: `[[lower, upper, count], …]`, upwards.
        Histogram = "histogram",
        /// Events with a failure.
        Failures = "failures",
        /// Share of events with a failure, 0 to 1.
        FailureRate = "failure_rate",
        /// Web vitals in the good band.
        Good = "good",
        /// Web vitals in the middle band.
        NeedsImprovement = "needs_improvement",
        /// Web vitals in the poor band.
        Poor = "poor",
        /// Share of web vitals in the good band, 0 to 1.
        GoodShare = "good_share",
        /// Share of web vitals in the middle band, 0 to 1.
        NeedsImprovementShare = "needs_improvement_share",
        /// Share of web vitals in the poor band, 0 to 1.
        PoorShare = "poor_share",
        /// Time of the first event, ms.
        FirstSeen = "first_seen",
        /// Time of the last event, ms.
        LastSeen = "last_seen",
        /// Name of the latest event.
        AnyName = "any_name",
        /// Message of the latest event.
        AnyMessage = "any_message",
        /// Target of the latest event.
        AnyTarget = "any_target",
    }
    others {
        CountKind = "count:",
        Apdex = "apdex:",
    }
}

impl Measure {
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Measure::CountKind(kind) => kind.parse::<crate::Kind>().map(|_| ()).map_err(|error| error.to_string()),
            Measure::Apdex(_) => match self.apdex_target() {
                Some(_) => Ok(()),
                None => Err("apdex takes its target in ms: apdex:500".into()),
            },
            _ => Ok(()),
        }
    }

    /// The target of an `apdex:<ms>`: a value up to it satisfies, one up to four times of it is tolerated.
    pub fn apdex_target(&self) -> Option<f64> {
        let Measure::Apdex(target) = self else { return None };
        target.parse::<f64>().ok().filter(|target| target.is_finite() && *target > 0.0)
    }
}

macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}
as_text!(Field, Measure, super::Cursor);
