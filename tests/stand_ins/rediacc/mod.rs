//! A stand-in for Rediacc's middleware (schema 3.0.0), traps included: tokens
//! that are good for one request, families of sessions, rotation on refusals
//! too, a second request of a session at the same time rejected, answers that
//! are lost with the token spent, keys and bits of older generations.
//! Time stands still: the clock is what a test sets.
//!
//! This file is the transport and the sessions; what the queue does is in `procedures`.

pub mod books;
mod procedures;
mod world;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use books::Data;

/// The one user.
pub const EMAIL: &str = "ana@example.org";
/// Their password.
pub const PASSWORD: &str = "correct horse";
/// What the server says of a token that is not good.
pub const BAD_TOKEN: &str = "Invalid request credential or verification data.";

/// The rows of a result set.
pub type Set = Vec<Value>;
/// One procedure: what it does with its parameters, and the sets that it selects after the token's.
pub type Procedure = fn(&mut World, &Value) -> Result<Vec<Set>, Failure>;

/// A refusal; the token is renewed all the same.
#[derive(Debug, Clone)]
pub struct Failure {
    pub code: i64,
    pub error: String,
}

impl Failure {
    pub fn new(code: i64, error: impl Into<String>) -> Self {
        Self { code, error: error.into() }
    }
}

/// How answers look.
#[derive(Debug, Clone, Default)]
pub struct Switches {
    /// `TaskId` for `taskId`.
    pub pascal: bool,
    /// 0 and 1 for false and true.
    pub bits_as_numbers: bool,
    /// Generation 0: `tables` for `resultSets`.
    pub tables: bool,
    /// Empty sets among the others.
    pub extra_sets: bool,
    /// No date keeps its zone.
    pub zoneless: bool,
    /// Refusals have their code as HTTP status too.
    pub status_is_code: bool,
    /// Tokens come at the top of the envelope.
    pub token_on_top: bool,
    /// A login wants its second factor at once, instead of by a call of its own.
    pub code_at_login: bool,
    /// Sessions live at most so long.
    pub longest_life: Option<TimeDelta>,
}

/// An answer that never comes: the token is spent, the socket dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lose {
    /// Before anything was done.
    BeforeActing,
    /// After it was done.
    AfterActing,
}

/// An answer said instead of acting: procedure, status, headers, body.
pub type Instead = (&'static str, u16, Vec<(&'static str, String)>, String);

/// A session at the server.
#[derive(Debug, Clone)]
pub struct Login {
    pub id: u64,
    pub name: String,
    pub parent: Option<u64>,
    /// What the next request must carry.
    pub token: String,
    pub expires: DateTime<Utc>,
    pub authorised: bool,
    pub active: bool,
    busy: bool,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub procedure: String,
    pub body: Value,
    pub token: Option<String>,
    /// The session whose good token it carried.
    pub session: Option<u64>,
}

/// What a test may turn and look at.
pub struct World {
    pub switches: Switches,
    /// Loses the answers to these calls, in order: a procedure's name and how.
    pub lose: VecDeque<(&'static str, Lose)>,
    /// Breaks these answers off after so many bytes.
    pub cut: VecDeque<(&'static str, usize)>,
    /// What is broken off goes on without end, and without another byte.
    pub stall: bool,
    /// Answers said instead of acting, in order. The token stays good.
    pub instead: VecDeque<Instead>,
    pub clock: DateTime<Utc>,
    /// The second factor that is wanted, if any. Each is good for one use.
    pub second_factor: Option<String>,
    pub sessions: Vec<Login>,
    pub seen: Vec<Seen>,
    /// Requests that came while another of the same session was being answered.
    pub concurrent: usize,
    /// Requests with a token that was not good.
    pub refused: usize,
    /// What the procedures work on.
    pub data: Data,
    /// Who calls.
    pub caller: Option<u64>,
    tokens: u64,
}

fn upper_first(key: &str) -> String {
    let (first, rest) = key.split_at(1);
    first.to_ascii_uppercase() + rest
}

fn is_date(text: &str) -> bool {
    text.len() >= 20 && DateTime::parse_from_rfc3339(text).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[derive(Clone)]
struct App {
    world: Arc<Mutex<World>>,
    arrived: watch::Sender<usize>,
    /// A call needs a permit to go on after its token was taken.
    gate: Arc<Semaphore>,
}

/// The service; ends when dropped.
pub struct StandIn {
    /// With `/api`, as it is configured.
    pub url: String,
    app: App,
    _server: JoinSet<()>,
}

impl StandIn {
    pub async fn start() -> Self {
        let app = App {
            world: Arc::new(Mutex::new(World::new())),
            arrived: watch::Sender::new(0),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        let shared = app.clone();
        server.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let app = shared.clone();
                open.spawn(async move {
                    let service = service_fn(move |request| answer(app.clone(), request.map(Body::new)));
                    // An error of the service drops the socket: that is how answers are lost.
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, app, _server: server }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.app.world.lock().unwrap()
    }

    /// From now on a call is not answered before [`StandIn::open_gate`].
    pub fn close_gate(&self) {
        self.app.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets calls go on.
    pub fn open_gate(&self) {
        self.app.gate.add_permits(100_000);
    }

    /// Waits until `n` calls of a procedure have come.
    pub async fn called(&self, procedure: &str, n: usize) {
        let mut arrived = self.app.arrived.subscribe();
        let come = arrived.wait_for(|_| self.world().count(procedure) >= n);
        tokio::time::timeout(Duration::from_secs(60), come).await.unwrap().unwrap();
    }

    /// Waits until no session has a call in work.
    pub async fn idle(&self) {
        let mut moved = self.app.arrived.subscribe();
        let idle = moved.wait_for(|_| self.world().sessions.iter().all(|session| !session.busy));
        tokio::time::timeout(Duration::from_secs(60), idle).await.unwrap().unwrap();
    }
}

/// Ends a session's being busy, also where its client has gone.
struct Busy(App, usize);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.world.lock().unwrap().sessions[self.1].busy = false;
        self.0.arrived.send_modify(|_| ());
    }
}

async fn answer(app: App, request: Request<Body>) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if parts.method == Method::GET && path == "/api/health" {
        let clock = app.world.lock().unwrap().clock;
        return Ok(say(
            StatusCode::OK,
            &json!({
                "status": "healthy", "version": "0.4.2", "environment": "production", "instanceName": "api-1",
                "timestamp": clock.to_rfc3339_opts(SecondsFormat::Secs, true),
                "uptime": {"days": 2, "hours": 3, "minutes": 4}, "database": {"status": "healthy"},
            }),
        ));
    }
    let Some(name) = path.strip_prefix("/api/StoredProcedure/").filter(|_| parts.method == Method::POST)
    else {
        return Ok(say(StatusCode::NOT_FOUND, &json!({"error": "Not Found"})));
    };
    let bytes = to_bytes(body, 1 << 20).await.map_err(io::Error::other)?;
    let body: Value = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    let token = parts.headers.get("rediacc-requesttoken").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let admitted = arrive(&app, name, &body, token.as_deref());
    app.arrived.send_modify(|n| *n += 1);
    if name == "CreateAuthenticationRequest" {
        let mut world = app.world.lock().unwrap();
        let result = world.log_in(&parts.headers, &body);
        return if taken(&mut world, name).is_some() {
            Err(io::Error::other("lost"))
        } else {
            Ok(shown(&world, None, result))
        };
    }
    let n = match admitted {
        Ok(n) => n,
        Err(response) => {
            app.gate.acquire().await.map_err(io::Error::other)?.forget();
            return Ok(*response);
        }
    };
    let busy = Busy(app.clone(), n);
    app.gate.acquire().await.map_err(io::Error::other)?.forget();
    let (response, lost) = {
        let mut world = app.world.lock().unwrap();
        let lost = taken(&mut world, name);
        let next = world.token();
        world.sessions[n].token.clone_from(&next);
        if lost == Some(Lose::BeforeActing) {
            (None, lost)
        } else {
            let result = world.act(n, name, &body);
            let cut = world.cut.iter().position(|(procedure, _)| *procedure == name);
            let cut = cut.and_then(|at| world.cut.remove(at)).map(|(_, bytes)| bytes);
            let response = shown(&world, Some(next), result);
            (Some((response, cut.map(|bytes| (bytes, world.stall)))), lost)
        }
    };
    drop(busy);
    match (response, lost) {
        (Some((response, None)), None) => Ok(response),
        (Some((response, Some((bytes, stall)))), None) => Ok(cut_off(response, bytes, stall).await),
        _ => Err(io::Error::other("the answer is lost")),
    }
}

/// The answer up to so many bytes, then the connection breaks, or nothing more comes.
async fn cut_off(response: Response<Body>, bytes: usize, stall: bool) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let whole = to_bytes(body, 1 << 26).await.unwrap();
    let begin = whole.slice(..bytes.min(whole.len()));
    let stream =
        futures_util::stream::unfold(Some(Ok(begin)), move |next: Option<io::Result<_>>| async move {
            let item = next?;
            if stall && item.is_err() {
                std::future::pending::<()>().await;
            }
            // Let what is there leave before the connection goes.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            let after = item.is_ok().then(|| Err(io::Error::other("cut")));
            Some((item, after))
        });
    Response::from_parts(parts, Body::from_stream(stream))
}

/// Notes a request, and lets it in if its token is good and its session idle.
fn arrive(app: &App, name: &str, body: &Value, token: Option<&str>) -> Result<usize, Box<Response<Body>>> {
    let mut world = app.world.lock().unwrap();
    let admitted = world.admit(token);
    let session = admitted.map(|n| world.sessions[n].id);
    world.seen.push(Seen {
        procedure: name.to_owned(),
        body: body.clone(),
        token: token.map(str::to_owned),
        session,
    });
    if let Some(at) = world.instead.iter().position(|(procedure, ..)| *procedure == name) {
        let (_, status, headers, body) = world.instead.remove(at).unwrap();
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        return Err(Box::new(response.body(Body::from(body)).unwrap()));
    }
    let Some(n) = admitted else {
        if name != "CreateAuthenticationRequest" {
            world.refused += 1;
        }
        return Err(Box::new(shown(&world, None, Err(Failure::new(401, BAD_TOKEN)))));
    };
    if world.sessions[n].busy {
        world.concurrent += 1;
        let twice = Failure::new(401, "Another request of this session is being processed.");
        return Err(Box::new(shown(&world, None, Err(twice))));
    }
    world.sessions[n].busy = true;
    Ok(n)
}

/// Whether the answer to this call is to be lost.
fn taken(world: &mut World, name: &str) -> Option<Lose> {
    let at = world.lose.iter().position(|(procedure, _)| *procedure == name)?;
    world.lose.remove(at).map(|(_, how)| how)
}

fn shown(world: &World, token: Option<String>, result: Result<Vec<Set>, Failure>) -> Response<Body> {
    let code = result.as_ref().err().map(|failure| failure.code);
    let status = code
        .filter(|_| world.switches.status_is_code)
        .and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok())
        .unwrap_or(StatusCode::OK);
    say(status, &world.envelope(token, result))
}

fn say(status: StatusCode, body: &Value) -> Response<Body> {
    let response =
        Response::builder().status(status).header("content-type", "application/json; charset=utf-8");
    response.body(Body::from(body.to_string())).unwrap()
}
