//! Who may call: from where, under which name, with which token, and what they may do.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use tracing::Instrument as _;

use crate::model::{Clean, Role, Scope};

use crate::coordinator::Options;
use crate::coordinator::api::failed::{Failed, Verdict};
use crate::coordinator::api::problem::Failure;
use crate::coordinator::api::routes::Need;
use crate::coordinator::api::{Api, MAX_BODY, Surface};
use crate::coordinator::engine::Actor;
use crate::coordinator::http::Entrance;
use crate::coordinator::serve::is_local;
use crate::coordinator::tokens::{Denied, Token, Tokens, digest_of};

/// The longest idempotency key, in bytes.
const MAX_KEY: usize = 255;
/// So much of a body that is too large is read away, so that the caller hears why.
const MAX_DISCARDED: usize = 8 * MAX_BODY;
/// How long a body may take to come.
pub(super) const BODY_TIME: Duration = Duration::from_secs(30);

/// The rules of one coordinator.
#[derive(Debug)]
pub(super) struct Access {
    /// The digest of the token in `coordinator.json`: comparing digests tells nothing of the token
    /// through its time.
    local: [u8; 32],
    tokens: Tokens,
    failed: Failed,
    /// Names beyond loopback.
    hosts: Vec<String>,
    open_on_loopback: bool,
}

/// Who calls.
#[derive(Debug)]
struct Caller {
    name: Clean,
    role: Role,
    scope: Scope,
    /// With which token, unless it is this machine's own.
    token: Option<Arc<Token>>,
}

impl Caller {
    /// Whether it may do what a route is for.
    fn may(&self, need: Need) -> Result<(), Failure> {
        let needed = need.role().unwrap_or(Role::Viewer);
        if !self.role.covers(needed) {
            return Err(Failure::role_needed(needed, &self.name, self.role));
        }
        if matches!(need, Need::AdminOfAll | Need::ViewerOfAll) && self.scope != Scope::All {
            return Err(Failure::all_teams_needed(&self.name));
        }
        Ok(())
    }

    fn new(name: &str, role: Role, scope: Scope) -> Self {
        Self { name: name.into(), role, scope, token: None }
    }
}

impl From<Arc<Token>> for Caller {
    fn from(token: Arc<Token>) -> Self {
        let (name, role, scope) = (token.name().clone(), token.role(), token.scope().clone());
        Self { name, role, scope, token: Some(token) }
    }
}

impl Access {
    /// The rules of a coordinator whose callers at this machine show `local`, others one of `tokens`.
    pub(super) fn new(local: &str, tokens: Tokens, options: &Options) -> Self {
        Self {
            local: digest_of(local),
            tokens,
            failed: Failed::default(),
            hosts: options.hosts.clone(),
            open_on_loopback: options.open_on_loopback,
        }
    }

    /// Who may call from elsewhere.
    pub(super) const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Who calls, if they may come in at all and do what needs `need`.
    fn caller(&self, call: &Asked<'_>, need: Need, now: DateTime<Utc>) -> Result<Caller, Failure> {
        self.host(call)?;
        self.origin(call)?;
        let presented = presented(call.headers).map(digest_of);
        match &presented {
            Some(digest) if *digest == self.local => Ok(Caller::new("local", Role::Admin, Scope::All)),
            Some(digest) => match self.tokens.find(digest, now) {
                Ok(token) => Ok(token.into()),
                Err(denied) => self.without(call, need, Some(denied), now),
            },
            None => self.without(call, need, None, now),
        }
    }

    /// Who calls without a token that is good.
    fn without(
        &self,
        call: &Asked<'_>,
        need: Need,
        denied: Option<Denied>,
        now: DateTime<Utc>,
    ) -> Result<Caller, Failure> {
        if denied == Some(Denied::Unknown) {
            let address = call.entrance.peer.ip();
            match self.failed.count(address, now) {
                Verdict::Told => {}
                Verdict::Noted => tracing::warn!(%address, "a call with a wrong token"),
                Verdict::Wait(seconds) => return Err(Failure::too_many_failures(seconds)),
            }
        }
        if self.open_on_loopback && !call.entrance.beyond && Surface::of(call.uri) == Surface::Duplistatus {
            return Ok(Caller::new("loopback", Role::Admin, Scope::All));
        }
        if need.role().is_none() {
            // Whoever may be anybody sees nobody's tasks.
            return Ok(if need == Need::Key {
                Caller::new("ping", Role::Viewer, Scope::Teams(std::collections::BTreeSet::new()))
            } else if call.entrance.beyond {
                Caller::new("anybody", Role::Viewer, Scope::Teams(std::collections::BTreeSet::new()))
            } else {
                Caller::new("loopback", Role::Viewer, Scope::All)
            });
        }
        Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "unauthorised",
            "a token is needed",
            why(denied, call.entrance.beyond),
        ))
    }

    /// A name that some DNS server points at this machine is no name of it.
    fn host(&self, call: &Asked<'_>) -> Result<(), Failure> {
        let named = call.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let parsed;
        let authority = if let Some(authority) = call.uri.authority() {
            Some(authority)
        } else {
            parsed = named.and_then(|named| named.parse::<Authority>().ok());
            parsed.as_ref()
        };
        let own = |authority: &Authority| {
            !authority.as_str().contains('@') && self.is_own(authority.host(), &call.entrance)
        };
        // Who reads the other of two names would think of another machine.
        let is_one = call.headers.get_all(header::HOST).iter().nth(1).is_none();
        if is_one && authority.is_some_and(own) {
            return Ok(());
        }
        let names = if call.entrance.beyond {
            "one of `hosts` in [coordinator], or the address"
        } else {
            "localhost or a loopback address"
        };
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            "foreign-host",
            "not the name of this machine",
            format!("the Host must be {names}, not {:?}", named.unwrap_or_default()),
        ))
    }

    fn is_own(&self, host: &str, entrance: &Entrance) -> bool {
        is_local(host, entrance.local.ip())
            || (entrance.beyond && {
                let name = host.strip_suffix('.').unwrap_or(host);
                self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
            })
    }

    /// A web page of another origin may not call, whatever it asks for.
    fn origin(&self, call: &Asked<'_>) -> Result<(), Failure> {
        let Some(origin) = call.headers.get(header::ORIGIN) else { return Ok(()) };
        let (scheme, port) = if call.entrance.beyond { ("https", 443) } else { ("http", 80) };
        let own = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok()).is_some_and(|uri| {
            uri.scheme_str() == Some(scheme)
                && uri.port_u16().unwrap_or(port) == call.entrance.local.port()
                && uri.host().is_some_and(|host| self.is_own(host, &call.entrance))
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

/// What of a call tells whether it may be made.
struct Asked<'a> {
    entrance: Entrance,
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

/// The bearer token.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Why a caller is not let in, and what to do.
fn why(denied: Option<Denied>, beyond: bool) -> String {
    match denied {
        Some(Denied::Revoked(name)) => format!("the token {name} is revoked: ask for another"),
        Some(Denied::Expired(name, at)) => {
            format!("the token {name} expired at {}", at.format("%Y-%m-%dT%H:%M:%SZ"))
        }
        Some(Denied::Unknown) if beyond => {
            "this is no token of this coordinator: vigie token create makes one".to_owned()
        }
        Some(Denied::Unknown) => {
            "this is not the token of this coordinator; it changes with every start: read \
                                  coordinator.json again, or take one that vigie token create has made"
                .to_owned()
        }
        None if beyond => "send `Authorization: Bearer TOKEN`; vigie token create makes one".to_owned(),
        None => {
            "send `Authorization: Bearer TOKEN`; the token is in coordinator.json in the data directory, \
                 and vigie token create makes others"
                .to_owned()
        }
    }
}

/// The key that makes a repeated call one call: of one caller, since nobody is to learn of others' calls by it.
fn idempotency_key(headers: &HeaderMap, caller: &Caller) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= MAX_KEY => Ok(Some(match &caller.token {
            Some(token) => format!("{}:{key}", token.name()),
            None => key.to_owned(),
        })),
        _ => Err(Failure::bad_parameter(format!(
            "Idempotency-Key: it must have 1 to {MAX_KEY} visible ASCII characters"
        ))),
    }
}

/// A route's door: the coordinator's rules, and what the route needs.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    /// The coordinator.
    pub(super) api: Api,
    /// What the route needs.
    pub(super) need: Need,
    /// The route's path, with `{placeholders}`: what stands in their places may be a secret.
    pub(super) path: &'static str,
}

/// Under which the log's lines about a call are found: every answer has one.
const CALL_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Before every handler: finds the [`Actor`] and the body, or answers why not.
pub(super) async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let id = gate.api.next_call();
    let call = tracing::info_span!("call", %id, method = %request.method(), path = gate.path);
    let mut response = guarded(&gate, request, next).instrument(call.clone()).await;
    let status = response.status();
    gate.api.engine.metrics().answered(status.as_u16());
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        call.in_scope(|| tracing::error!("a call could not be answered"));
    } else {
        call.in_scope(|| tracing::debug!(status = status.as_u16(), "answered"));
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(CALL_ID, id);
    }
    response
}

async fn guarded(gate: &Gate, mut request: Request, next: Next) -> Response {
    let surface = Surface::of(request.uri());
    match admit(gate, &mut request).await {
        Err(failure) => {
            if failure.status() == StatusCode::PAYLOAD_TOO_LARGE {
                discard(request).await;
            }
            surface.failed(failure)
        }
        // What changes something was let in when it came; who reads is let go with their token.
        Ok(Some(token)) if matches!(*request.method(), Method::GET | Method::HEAD) => {
            let now = gate.api.clock.now();
            request.extensions_mut().insert(Arc::clone(&token));
            tokio::select! {
                biased;
                response = next.run(request) => response,
                () = token.ended(now) => surface.failed(no_longer(&token, gate.api.clock.now())),
            }
        }
        Ok(_) => next.run(request).await,
    }
}

/// 401 for a token that was good when the call came.
fn no_longer(token: &Token, now: DateTime<Utc>) -> Failure {
    let denied = token.denied(now);
    Failure::new(StatusCode::UNAUTHORIZED, "unauthorised", "a token is needed", why(denied, true))
}

/// Puts the [`Actor`] and the whole body into the request. Gives the token that it came with.
async fn admit(gate: &Gate, request: &mut Request) -> Result<Option<Arc<Token>>, Failure> {
    // Every connection says where it came in; a request without is nobody's.
    let entrance = request.extensions().get::<Entrance>().copied().ok_or_else(|| {
        Failure::new(
            StatusCode::FORBIDDEN,
            "no-entrance",
            "from nowhere",
            "it came by no connection".to_owned(),
        )
    })?;
    let asked = Asked { entrance, uri: request.uri(), headers: request.headers() };
    let caller = gate.api.access.caller(&asked, gate.need, gate.api.clock.now())?;
    let from = Clean::from(entrance.peer.ip().to_canonical().to_string());
    if let Err(failure) = caller.may(gate.need) {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        return Err(note_forbidden(gate, (&method, &path), &caller, from, failure).await);
    }
    let idempotency_key = idempotency_key(request.headers(), &caller)?;
    if gate.need != Need::Key && !request.body().is_end_stream() {
        if request.body().size_hint().lower() > MAX_BODY as u64 {
            return Err(Failure::too_large());
        }
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = Body::from(whole(body).await?);
    }
    let Caller { name, role, scope, token } = caller;
    request.extensions_mut().insert(Actor { name, role, scope, from, idempotency_key });
    Ok(token)
}

/// What somebody who is known was not allowed to change is in the audit log. Gives what they are told.
async fn note_forbidden(
    gate: &Gate,
    (method, path): (&Method, &str),
    caller: &Caller,
    from: Clean,
    failure: Failure,
) -> Failure {
    if matches!(*method, Method::GET | Method::HEAD) {
        return failure;
    }
    let (name, role, scope) = (caller.name.clone(), caller.role, caller.scope.clone());
    let actor = Actor { name, role, scope, from, idempotency_key: None };
    let why = Clean::line(failure.detail());
    let noted = gate.api.engine.note_refused("call", path, method.as_str(), &actor, why);
    noted.await.err().map_or(failure, Failure::from)
}

/// The body, within its bounds of size and time: who sends it drop by drop holds up nobody else.
async fn whole(body: Body) -> Result<Bytes, Failure> {
    tokio::time::timeout(BODY_TIME, gather(body)).await.unwrap_or_else(|_| Err(Failure::too_slow()))
}

async fn gather(body: Body) -> Result<Bytes, Failure> {
    let mut data = body.into_data_stream();
    let mut first = Bytes::new();
    let mut all = Vec::new();
    let mut length = 0;
    while let Some(piece) = data.next().await {
        let piece = piece.map_err(|error| Failure::bad_body(error.to_string()))?;
        length += piece.len();
        if length > MAX_DISCARDED {
            return Err(Failure::too_large());
        }
        // What is too much is read away, so that the caller hears why.
        if length <= MAX_BODY {
            if first.is_empty() {
                first = piece;
            } else {
                if all.is_empty() {
                    all.extend_from_slice(&first);
                }
                all.extend_from_slice(&piece);
            }
        }
    }
    if length > MAX_BODY {
        return Err(Failure::too_large());
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

/// Reads a body away. A caller that asks first (`Expect`) never sends it.
async fn discard(request: Request<Body>) {
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let read = async {
        let mut data = request.into_body().into_data_stream();
        let mut left = MAX_DISCARDED;
        while let Some(Ok(piece)) = data.next().await {
            match left.checked_sub(piece.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Who takes longer than for a whole body does not hear why.
    let _ = tokio::time::timeout(BODY_TIME, read).await;
}

#[cfg(test)]
mod tests;
