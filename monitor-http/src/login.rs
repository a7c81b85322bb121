//! Logging in and out, and telling readers who they are.

use http::{HeaderValue, Response, header, request::Parts};
use monitor_core::Labelled;
use serde::{Deserialize, Serialize};

use crate::{
    ClientAddr,
    access::{COOKIE, Identity, Login, Role},
    answer::{self, Refusal},
    client::client_ip,
    clock,
    reader::{parse, requested_host},
    request::BodyRef,
    response::Body,
    service::Shared,
};

/// Largest login, bytes: more than the longest password, whatever its escapes. Strangers send it, and it is kept while it waits.
const MAX_LOGIN: usize = 8 * 1024;

/// `{"user":"anna","password":"…"}` or `{"token":"…"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

/// How one can log in, for whoever is not known yet.
#[derive(Serialize)]
pub(crate) struct LoginWays {
    password: bool,
    token: bool,
}

/// Who a reader is.
#[derive(Serialize)]
pub(crate) struct Me<'a> {
    name: &'a str,
    /// The role in every project.
    everywhere: Option<Role>,
    projects: Vec<MyProject<'a>>,
    /// When the session or the token ends, ms.
    expires: Option<i64>,
    /// Whether there is a session that `POST /logout` would end.
    can_log_out: bool,
}

#[derive(Serialize)]
struct MyProject<'a> {
    id: &'a str,
    name: &'a str,
    role: Role,
}

impl Shared {
    pub(crate) fn login_ways(&self) -> LoginWays {
        let accounts = self.access.accounts();
        LoginWays {
            password: accounts.is_some_and(crate::access::Accounts::has_users),
            token: accounts.is_some_and(crate::access::Accounts::has_tokens),
        }
    }

    pub(crate) async fn log_in(&self, prefix: &str, parts: &Parts, body: BodyRef<'_>) -> Result<Response<Body>, Refusal> {
        let accounts = self.access.accounts().ok_or(Refusal::NoLogin)?;
        let credentials: Credentials = parse(&self.question(body, MAX_LOGIN).await?)?;
        let login = match credentials {
            Credentials { user: Some(user), password: Some(password), token: None } => Login::Password { user, password },
            Credentials { user: None, password: None, token: Some(token) } => Login::Token(token),
            _ => return Err(Refusal::BadQuery("a login has user and password, or a token".into())),
        };
        let peer = parts.extensions.get::<ClientAddr>().copied();
        let client = client_ip(&parts.headers, peer, &self.config.trusted_proxies, self.config.forwarded_header);
        let (session, identity) = accounts.log_in(login, client, clock::now()).await?;
        // The one before, of whoever that was, would live on without its owner.
        accounts.log_out(parts);
        let mut response = answer::ok_json(&self.describe(&identity, true));
        self.set_cookie(&mut response, prefix, parts, &session, None);
        Ok(response)
    }

    pub(crate) fn log_out(&self, prefix: &str, parts: &Parts) -> Response<Body> {
        if let Some(accounts) = self.access.accounts() {
            accounts.log_out(parts);
        }
        let mut response = answer::done();
        self.set_cookie(&mut response, prefix, parts, "", Some(0));
        response
    }

    /// Whether a request is known by a session and not by something else.
    pub(crate) fn has_session(&self, parts: &Parts) -> bool {
        self.access.accounts().is_some_and(|accounts| accounts.session(parts).is_some())
    }

    pub(crate) fn describe<'a>(&'a self, identity: &'a Identity, can_log_out: bool) -> Me<'a> {
        let entry = |project: &'a monitor_core::Project| {
            let role = identity.role(&project.id)?;
            Some(MyProject { id: &project.id, name: &project.name, role })
        };
        Me {
            name: identity.name(),
            everywhere: identity.role_everywhere(),
            projects: self.projects.iter().filter_map(entry).collect(),
            expires: identity.expires(),
            can_log_out,
        }
    }

    /// A cookie that scripts cannot read and other sites cannot send. It has no end of its own: the session has one, and it is forgotten
    /// with the browser.
    fn set_cookie(&self, response: &mut Response<Body>, prefix: &str, parts: &Parts, value: &str, max_age: Option<u32>) {
        let path = if prefix.is_empty() { "/" } else { prefix };
        let is_https = match &self.config.public_url {
            Some(url) => url.starts_with("https://") || requested_host(parts).starts_with("https://"),
            None => requested_host(parts).starts_with("https://"),
        };
        let secure = if is_https { "; Secure" } else { "" };
        let age = max_age.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
        let cookie = HeaderValue::try_from(format!("{COOKIE}={value}; Path={path}; HttpOnly; SameSite=Strict{secure}{age}"));
        match cookie {
            Ok(mut cookie) => {
                cookie.set_sensitive(true);
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            // A mount path that is no text for headers: logging in cannot work there, and this says so.
            Err(_) => self.pipeline.counts().count(Labelled::RequestsRefused, Refusal::Internal.told().code, 1),
        }
    }
}
