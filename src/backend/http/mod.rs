//! The HTTP client that all adapters share: one total time limit per call, a
//! bounded body, no credential beyond its origin, and every failure as a
//! [`BackendError`] in the operator's words.

mod answer;
mod fault;
mod said;
mod tls;

use std::fmt;
use std::pin::{Pin, pin};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::time::Sleep;
use url::{Host, Url};

use super::{BackendError, BuildError, Now};
use crate::model::{Clean, TlsSpec};

pub use answer::Answer;

/// The longest body that is read, in bytes.
const BODY_LIMIT: u64 = 64 * MIB;
/// One mebibyte.
const MIB: u64 = 1024 * 1024;
/// How much of an error's body is read for its message, in bytes.
const ERROR_BODY_LIMIT: u64 = 64 * 1024;
/// How many redirects within the origin are followed.
const MAX_REDIRECTS: usize = 3;
/// A connection that does not come about in this time has sent nothing: the endpoint is unreachable.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Below the 5 s after which Node's servers close an idle connection: a
/// request on a connection that is being closed would be lost.
const IDLE_LIMIT: Duration = Duration::from_secs(4);

/// A client for one origin.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    base: Url,
    timeout: Duration,
    body_limit: u64,
    now: Now,
}

/// Without anything that could hold a credential.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Http {
    /// A client for `url`; `timeout` bounds each call that sets no own limit.
    ///
    /// # Errors
    /// [`BuildError`] if the URL is no http(s) URL or holds credentials, or if
    /// a TLS file can't be used.
    pub fn new(url: &str, timeout: Duration, tls: &TlsSpec, now: Now) -> Result<Self, BuildError> {
        let base =
            Url::parse(url).map_err(|e| BuildError::new(format!("the url {url:?} is invalid: {e}")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(BuildError::new(format!("the url {url:?} is not an http or https URL")));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(BuildError::new("the url holds credentials: put them under auth".to_owned()));
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("vigie/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(timeout.min(CONNECT_LIMIT))
            .pool_idle_timeout(IDLE_LIMIT);
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let client = tls::configure(builder, &base, tls)?
            .build()
            .map_err(|e| BuildError::new(format!("no HTTP client can be made: {}", fault::root_cause(&e))))?;
        Ok(Self { client, base, timeout, body_limit: BODY_LIMIT, now })
    }

    /// Where it is, without trailing slash; holds no credentials.
    pub fn url(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// Whether nobody on the way can read what is sent: TLS, or this very machine.
    pub fn is_private(&self) -> bool {
        self.base.scheme() == "https" || is_loopback(&self.base)
    }

    /// Starts a GET of the path made of `segments`, each percent-encoded.
    pub fn get(&self, segments: &[&str]) -> Request<'_> {
        self.request(Method::GET, segments)
    }

    /// Starts a POST to the path made of `segments`, each percent-encoded.
    pub fn post(&self, segments: &[&str]) -> Request<'_> {
        self.request(Method::POST, segments)
    }

    /// Starts a DELETE of the path made of `segments`, each percent-encoded.
    pub fn delete(&self, segments: &[&str]) -> Request<'_> {
        self.request(Method::DELETE, segments)
    }

    fn request(&self, method: Method, segments: &[&str]) -> Request<'_> {
        Request {
            http: self,
            method,
            url: address(&self.base, segments),
            headers: HeaderMap::new(),
            body: None,
            timeout: self.timeout,
            accepts: Accepts::default(),
        }
    }
}

/// The path of `segments`, percent-encoded, as a preview shows it.
pub fn shown_path(segments: &[&str]) -> Clean {
    Url::parse("http://localhost")
        .ok()
        .and_then(|base| address(&base, segments).ok())
        .map_or_else(|| Clean::from(format!("/{}", segments.join("/"))), |url| Clean::line(url.path()))
}

/// `base` with `segments` appended. A segment that a URL would swallow is
/// refused: the request would reach another path.
fn address(base: &Url, segments: &[&str]) -> Result<Url, BackendError> {
    if let Some(bad) = segments.iter().find(|s| matches!(**s, "" | "." | "..")) {
        return Err(BackendError::Unsupported(Clean::from(format!("no URL can hold the name {bad:?}"))));
    }
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    Ok(url)
}

/// Whether the host is this machine by its very name: never through a proxy.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// A request in the making.
pub struct Request<'a> {
    http: &'a Http,
    method: Method,
    url: Result<Url, BackendError>,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    timeout: Duration,
    accepts: Accepts,
}

/// What is taken for an answer beside 2xx.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accepts {
    /// This status.
    status: Option<StatusCode>,
    /// Every status, and a body as far as it came.
    anything: bool,
}

impl Request<'_> {
    /// Adds a query parameter.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        if let Ok(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name, value);
        }
        self
    }

    /// Sets a header. A value that no header can hold is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Carries a bearer token.
    pub fn bearer(self, token: &SecretString) -> Self {
        self.sensitive(AUTHORIZATION, &format!("Bearer {}", token.expose_secret()))
    }

    /// Carries a secret in a header.
    pub fn secret(self, name: HeaderName, secret: &SecretString) -> Self {
        self.sensitive(name, secret.expose_secret())
    }

    fn sensitive(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(true);
            self.headers.insert(name, value);
        } else {
            let message = "the token holds a character that no header can carry".into();
            self.url = Err(BackendError::Credential(message));
        }
        self
    }

    /// Carries `body` as JSON.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => {
                self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                self.body = Some(bytes);
            }
            Err(e) => {
                self.url = Err(BackendError::Unsupported(Clean::from(format!("can't be sent: {e}"))));
            }
        }
        self
    }

    /// Has a limit of its own, from connecting to the last byte.
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Takes `status` for an answer too.
    pub const fn accept(mut self, status: StatusCode) -> Self {
        self.accepts.status = Some(status);
        self
    }

    /// Takes every status for an answer, with the first 64 KiB of its body, and a body that breaks off for what has come of it:
    /// for a system that tells what must not be missed in its refusals too. What it means
    /// otherwise is in [`Answer::fault`].
    pub const fn accept_refusals(mut self) -> Self {
        self.accepts.anything = true;
        self
    }

    /// Sends it and reads the answer.
    ///
    /// # Errors
    /// Any [`BackendError`]; every status outside 2xx that was not accepted.
    pub async fn send(self) -> Result<Answer, BackendError> {
        let limit = self.timeout;
        let secrets = self.secrets();
        // Over a moment before the other: what has come until then is kept where that is wanted.
        let deadline = pin!(tokio::time::sleep(limit));
        let sent = tokio::time::timeout(limit, self.exchange(deadline)).await;
        sent.unwrap_or(Err(BackendError::TimedOut { after: limit })).map_err(|error| error.without(&secrets))
    }

    /// What it carries in confidence: a server that quotes its request in an error must not get it shown.
    fn secrets(&self) -> Vec<SecretString> {
        /// Anything shorter may be a word.
        const SHORTEST: usize = 8;
        let mut secrets = Vec::new();
        for text in self.headers.values().filter(|v| v.is_sensitive()).filter_map(|v| v.to_str().ok()) {
            secrets.push(text.into());
            // Without the scheme, or the name of the cookie.
            let bare = text.rsplit([' ', '=']).next().filter(|bare| bare.len() >= SHORTEST);
            secrets.extend(bare.map(SecretString::from));
        }
        secrets
    }

    async fn exchange(self, deadline: Pin<&mut Sleep>) -> Result<Answer, BackendError> {
        let limit = self.timeout;
        let started = (self.http.now)();
        let mut url = self.url?;
        for _ in 0..=MAX_REDIRECTS {
            let mut request =
                self.http.client.request(self.method.clone(), url.clone()).headers(self.headers.clone());
            if let Some(body) = &self.body {
                request = request.body(body.clone());
            }
            let response = request.send().await.map_err(|e| fault::of(&e, &url))?;
            if let Some(next) = redirect_of(&response, &url, &self.method)? {
                url = next;
                continue;
            }
            let whole = answer::read(response, &url, self.http, self.accepts, started, async {
                deadline.await;
                BackendError::TimedOut { after: limit }
            });
            return whole.await;
        }
        Err(BackendError::Protocol {
            path: Clean::line(url.path()),
            detail: Clean::from(format!("redirected more than {MAX_REDIRECTS} times")),
        })
    }
}

/// Where a redirect leads, if the answer is one that may be followed: within
/// the origin, and without turning a call that changes something into a read.
fn redirect_of(response: &Response, from: &Url, method: &Method) -> Result<Option<Url>, BackendError> {
    let status = response.status();
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(next) = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|location| from.join(location).ok())
    else {
        return Ok(None);
    };
    if next.origin() != from.origin() {
        return Err(BackendError::Redirected(Clean::from(next.origin().ascii_serialization())));
    }
    if *method != Method::GET && !matches!(status.as_u16(), 307 | 308) {
        return Err(BackendError::Refused {
            status: status.as_u16(),
            message: Clean::from(format!("redirected to {}; nothing was done", next.path())),
        });
    }
    Ok(Some(next))
}

#[cfg(test)]
mod tests;
