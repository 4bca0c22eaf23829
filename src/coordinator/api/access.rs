//! Who may call: this machine only, from no foreign web page, with the token.

use std::net::SocketAddr;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use crate::model::{Clean, Role, Scope};

use super::super::engine::Actor;
use super::super::serve::is_local;
use super::problem::Failure;
use super::{Api, MAX_BODY, Surface, pings};

/// The longest idempotency key, in bytes.
const MAX_KEY: usize = 255;
/// So much of a body that is too large is read away, so that the caller hears why.
const MAX_DISCARDED: usize = 8 * MAX_BODY;

/// The rules of one coordinator.
#[derive(Debug)]
pub(super) struct Access {
    /// The token's digest: comparing digests tells nothing of the token through its time.
    token: [u8; 32],
    address: SocketAddr,
    open_on_loopback: bool,
}

impl Access {
    /// The rules of a coordinator at `address` (loopback) whose callers show `token`.
    pub(super) fn new(token: &str, address: SocketAddr, open_on_loopback: bool) -> Self {
        Self { token: Sha256::digest(token).into(), address, open_on_loopback }
    }

    /// The name of the caller.
    fn caller(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Clean, Failure> {
        self.host(uri, headers)?;
        self.origin(headers)?;
        let presented = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| <[u8; 32]>::from(Sha256::digest(token.trim())));
        if presented.is_some_and(|digest| digest == self.token) {
            return Ok("local".into());
        }
        if pings::is_ping(method, uri) {
            return Ok("ping".into());
        }
        let looks = matches!(*method, Method::GET | Method::HEAD) && uri.path() == "/health";
        let open = self.open_on_loopback && Surface::of(uri) == Surface::Duplistatus;
        if looks || open {
            return Ok("loopback".into());
        }
        let detail = match presented {
            Some(_) => {
                "this is not the token of this coordinator; it changes with every start: read coordinator.json again"
            }
            None => {
                "send `Authorization: Bearer TOKEN`; the token is in coordinator.json in the data directory"
            }
        };
        Err(Failure::new(StatusCode::UNAUTHORIZED, "unauthorised", "a token is needed", detail.to_owned()))
    }

    /// A name that some DNS server points at this machine is no name of it.
    fn host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
        let named = headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let authority = uri.authority().cloned().or_else(|| named?.parse::<Authority>().ok());
        let local = |authority: &Authority| {
            !authority.as_str().contains('@') && is_local(authority.host(), self.address.ip())
        };
        if authority.as_ref().is_some_and(local) {
            return Ok(());
        }
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            "foreign-host",
            "not the name of this machine",
            format!("the Host must be localhost or a loopback address, not {:?}", named.unwrap_or_default()),
        ))
    }

    /// A web page of another origin may not call, whatever it asks for.
    fn origin(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let own = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok()).is_some_and(|uri| {
            uri.scheme_str() == Some("http")
                && uri.port_u16().unwrap_or(80) == self.address.port()
                && uri.host().is_some_and(|host| is_local(host, self.address.ip()))
        });
        if own {
            return Ok(());
        }
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            "foreign-origin",
            "not from another web page",
            "calls from web pages of another origin are refused".to_owned(),
        ))
    }
}

/// The key that makes a repeated call one call.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= MAX_KEY => Ok(Some(key.to_owned())),
        _ => Err(Failure::bad_parameter(format!(
            "Idempotency-Key: it must have 1 to {MAX_KEY} visible ASCII characters"
        ))),
    }
}

/// Before every handler: finds the [`Actor`], or answers why not.
pub(super) async fn guard(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let surface = Surface::of(request.uri());
    let caller = api.access.caller(request.method(), request.uri(), request.headers());
    let actor = caller.and_then(|name| {
        let ping = pings::is_ping(request.method(), request.uri());
        if !ping && request.body().size_hint().lower() > MAX_BODY as u64 {
            return Err(Failure::too_large());
        }
        let idempotency_key = idempotency_key(request.headers())?;
        Ok(Actor { name, role: Role::Admin, scope: Scope::All, from: "loopback".into(), idempotency_key })
    });
    let response = match actor {
        Ok(actor) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        Err(failure) => {
            if failure.status() == StatusCode::PAYLOAD_TOO_LARGE {
                discard(request).await;
            }
            surface.failed(failure)
        }
    };
    api.engine.metrics().answered(response.status().as_u16());
    response
}

/// Reads a body away. A caller that asks first (`Expect`) never sends it.
async fn discard(request: Request<Body>) {
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let mut data = request.into_body().into_data_stream();
    let mut left = MAX_DISCARDED;
    while let Some(Ok(piece)) = data.next().await {
        match left.checked_sub(piece.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn ask(open: bool, call: (&str, &str), pairs: &[(&'static str, &'static str)]) -> Result<Clean, u16> {
        Access::new("secret", ([127, 0, 0, 1], 8667).into(), open)
            .caller(&call.0.parse().unwrap(), &call.1.parse().unwrap(), &headers(pairs))
            .map_err(|failure| failure.status().as_u16())
    }

    const HOST: (&str, &str) = ("host", "localhost:8667");
    const TOKEN: (&str, &str) = ("authorization", "Bearer secret");

    #[test]
    fn who_may_call() {
        let tasks = ("GET", "/api/v1/tasks");
        let trigger = ("POST", "/trigger/x");
        for (open, call, pairs, expected) in [
            (false, tasks, &[HOST, TOKEN][..], Ok("local")),
            (false, tasks, &[HOST, ("authorization", "bearer  secret")], Ok("local")),
            (false, tasks, &[HOST], Err(401)),
            (false, tasks, &[HOST, ("authorization", "Basic secret")], Err(401)),
            (false, tasks, &[HOST, ("authorization", "Bearer secre")], Err(401)),
            (true, tasks, &[HOST], Err(401)),
            (false, trigger, &[HOST], Err(401)),
            (true, trigger, &[HOST], Ok("loopback")),
            (true, trigger, &[HOST, ("origin", "https://evil.example")], Err(403)),
            (false, ("GET", "/health"), &[HOST], Ok("loopback")),
            (false, ("GET", "/ping/k"), &[HOST], Ok("ping")),
            (false, ("POST", "/ping/k/start"), &[HOST], Ok("ping")),
            (false, ("DELETE", "/ping/k"), &[HOST], Err(401)),
            (false, ("GET", "/ping/k"), &[("host", "evil.example")], Err(403)),
            (false, ("GET", "/ping/k"), &[HOST, ("origin", "https://evil.example")], Err(403)),
            (false, ("POST", "/health"), &[HOST], Err(401)),
            (false, ("GET", "/health"), &[("host", "evil.example")], Err(403)),
            (false, ("GET", "/health"), &[("host", "x@localhost")], Err(403)),
            (false, ("GET", "/health"), &[], Err(403)),
            (false, ("GET", "http://evil.example/health"), &[HOST], Err(403)),
            (false, ("GET", "http://[::1]:8667/health"), &[], Ok("loopback")),
            (false, tasks, &[("host", "evil.example:8667"), TOKEN], Err(403)),
            (false, tasks, &[HOST, TOKEN, ("origin", "http://127.0.0.1:8667")], Ok("local")),
            (false, tasks, &[HOST, TOKEN, ("origin", "http://localhost:3000")], Err(403)),
            (false, tasks, &[HOST, TOKEN, ("origin", "null")], Err(403)),
        ] {
            assert_eq!(ask(open, call, pairs), expected.map(Clean::from), "{call:?} {pairs:?}");
        }
    }

    #[test]
    fn keys_are_bounded() {
        assert_eq!(idempotency_key(&headers(&[])), Ok(None));
        assert_eq!(idempotency_key(&headers(&[("idempotency-key", "k1")])), Ok(Some("k1".to_owned())));
        assert!(idempotency_key(&headers(&[("idempotency-key", "")])).is_err());
        let long = HeaderMap::from_iter([(
            "idempotency-key".parse().unwrap(),
            "k".repeat(MAX_KEY + 1).parse().unwrap(),
        )]);
        assert!(idempotency_key(&long).is_err());
    }
}
