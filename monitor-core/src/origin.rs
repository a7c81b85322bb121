//! What all events of one request share: who sent them, from which page, session and device.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::Attributes;

/// The sender of one request. Unknown text is empty, so that the store needs no nulls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Origin {
    /// The project the ingest key belongs to; never taken from the body.
    pub project: String,
    /// When the receiver had read the request, ms since the Unix epoch.
    pub received: i64,
    /// The client's clock when it sent the request, ms; `None` when it did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<i64>,
    /// 1 for the first send; higher when the events may have arrived before.
    pub attempt: u32,
    /// Which SDK sent it.
    #[serde(skip_serializing_if = "Agent::is_empty")]
    pub sdk: Agent,
    /// The page the events happened on.
    pub page: Page,
    /// Id of the session.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// Id of the visitor (a browser, over its sessions).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub visitor: String,
    /// Id of the signed-in user, as the host page set it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Version of the monitored application.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub release: String,
    /// `production`, `staging` …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub environment: String,
    /// What the page said about its device.
    pub device: Device,
    /// Browser, from the user agent.
    #[serde(skip_serializing_if = "Agent::is_empty")]
    pub browser: Agent,
    /// Operating system, from the user agent.
    #[serde(skip_serializing_if = "Agent::is_empty")]
    pub os: Agent,
    /// ISO 3166 code of the country.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub country: String,
    /// The client's address; truncated by the IP enricher before anything is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The `User-Agent` header.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
    /// Set by the host page for all its events.
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    pub tags: Attributes,
}

impl Origin {
    /// An origin of which only the project and the time of arrival (ms since the Unix epoch) are known.
    pub fn new(project: impl Into<String>, received: i64) -> Origin {
        Origin { project: project.into(), received, attempt: 1, ..Origin::default() }
    }
}

/// A page view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Page {
    /// Id of this page view.
    pub id: String,
    /// Full URL, scrubbed.
    pub url: String,
    /// The URL with its variable parts removed: `/product/:id`.
    pub route: String,
    /// Where the visitor came from.
    pub referrer: String,
    /// Title of the document.
    pub title: String,
}

/// What the page knows about its device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Device {
    /// `desktop`, `mobile`, `tablet`, `tv`, `console`, `bot`; from the user agent.
    pub kind: String,
    /// `1920x1080`, CSS pixels.
    pub screen: String,
    /// `1280x720`, CSS pixels.
    pub viewport: String,
    /// BCP 47 tag.
    pub language: String,
    /// `4g`, `wifi` …
    pub connection: String,
    /// IANA name.
    pub timezone: String,
}

/// A program and its version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Agent {
    /// Name.
    pub name: String,
    /// Version, as far as it is known.
    pub version: String,
}

impl Agent {
    /// A named agent.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Agent {
        Agent { name: name.into(), version: version.into() }
    }

    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        self.name.is_empty() && self.version.is_empty()
    }
}
