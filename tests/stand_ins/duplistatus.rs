//! A stand-in for duplistatus' cron service (1.4.2), traps included: a second
//! start leaks a timer, a stop takes only the newest, a trigger answers 200 for
//! failures, a reload may load half, errors may be HTML, a restart forgets.
//! Time stands still: timers fire when a test says so.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{get, post};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub const CHECK: &str = "overdue-backup-check";
pub const CLEANUP: &str = "audit-log-cleanup";

/// What a test may turn and look at.
pub struct Inner {
    /// Cron text and whether it is enabled, by task; `"bad"` is an invalid text.
    pub configured: BTreeMap<String, (&'static str, bool)>,
    /// What `/health` shows as active, in the order of starting.
    active: Vec<String>,
    /// Every timer that fires, leaked ones among them.
    timers: Vec<String>,
    last_run_times: BTreeMap<String, DateTime<Utc>>,
    errors: BTreeMap<String, String>,
    pub clock: DateTime<Utc>,
    /// Overdue backups, and notifications that go out for them.
    pub overdue: (u64, u64),
    /// Why the overdue check throws, if it does.
    pub failing: Option<&'static str>,
    /// Requests as `POST /path`, in order.
    pub requests: Vec<String>,
    /// How often `/health` answered 304.
    pub not_modified: usize,
    /// Kept in the database that the web application reads too.
    pub last_overdue_check: Option<DateTime<Utc>>,
}

impl Inner {
    fn new() -> Self {
        let mut inner = Self {
            configured: BTreeMap::from([
                (CHECK.to_owned(), ("*/5 * * * *", true)),
                (CLEANUP.to_owned(), ("0 2 * * *", true)),
            ]),
            active: Vec::new(),
            timers: Vec::new(),
            last_run_times: BTreeMap::new(),
            errors: BTreeMap::new(),
            clock: "2026-11-20T07:00:00Z".parse().unwrap(),
            overdue: (0, 0),
            failing: None,
            requests: Vec::new(),
            not_modified: 0,
            last_overdue_check: None,
        };
        inner.load().unwrap();
        inner
    }

    /// Starts what is enabled, up to the first bad text.
    fn load(&mut self) -> Result<(), String> {
        for name in self.active.drain(..) {
            if let Some(newest) = self.timers.iter().rposition(|timer| *timer == name) {
                self.timers.remove(newest);
            }
        }
        for (name, (cron, enabled)) in self.configured.clone() {
            if cron == "bad" {
                return Err(format!("Error: Invalid task configuration for {name}"));
            }
            if enabled {
                self.start(&name);
            }
        }
        Ok(())
    }

    /// As the real one: the second start of a task forgets the first timer, which fires on.
    pub fn start(&mut self, name: &str) {
        self.timers.push(name.to_owned());
        if !self.active.iter().any(|active| active == name) {
            self.active.push(name.to_owned());
        }
    }

    /// Stops the newest timer; whether there was one.
    pub fn stop(&mut self, name: &str) -> bool {
        let Some(at) = self.active.iter().position(|active| active == name) else { return false };
        self.active.remove(at);
        let newest = self.timers.iter().rposition(|timer| timer == name).unwrap();
        self.timers.remove(newest);
        true
    }

    /// Every timer fires once.
    pub fn fire(&mut self) {
        for name in self.timers.clone() {
            self.run(&name);
        }
    }

    fn run(&mut self, name: &str) -> Value {
        self.clock += TimeDelta::seconds(1);
        let result = match (name, self.failing) {
            (CHECK, Some(error)) => Err(error.to_owned()),
            (CHECK, None) => Ok(json!({
                "taskName": name, "success": true, "message": "Task executed successfully",
                "statistics": {"totalBackupConfigs": 10, "checkedBackups": 10,
                    "overdueBackupsFound": self.overdue.0, "notificationsSent": self.overdue.1},
            })),
            (CLEANUP, _) => Ok(json!({
                "taskName": name, "success": true,
                "message": "Cleaned up 3 audit log entries older than 90 days",
            })),
            _ => Err(format!("Error: Unknown task: {name}")),
        };
        match result {
            Ok(answer) => {
                if name == CHECK {
                    self.last_overdue_check = Some(self.clock);
                }
                self.last_run_times.insert(name.to_owned(), self.clock);
                self.errors.remove(name);
                answer
            }
            Err(error) => {
                self.errors.insert(name.to_owned(), error.clone());
                json!({"taskName": name, "success": false, "error": error})
            }
        }
    }

    /// Forgets everything and starts what is configured.
    pub fn restart(&mut self) {
        self.active.clear();
        self.timers.clear();
        self.last_run_times.clear();
        self.errors.clear();
        self.load().unwrap();
    }

    fn health(&self) -> String {
        let times: BTreeMap<_, _> = self
            .last_run_times
            .iter()
            .map(|(name, time)| (name, time.to_rfc3339_opts(SecondsFormat::Millis, true)))
            .collect();
        json!({"isRunning": true, "activeTasks": self.active, "lastRunTimes": times, "errors": self.errors})
            .to_string()
    }
}

#[derive(Clone)]
struct App {
    inner: Arc<Mutex<Inner>>,
    asked: watch::Sender<usize>,
    /// A trigger needs a permit to end.
    gate: Arc<Semaphore>,
}

/// The service; ends when dropped.
pub struct StandIn {
    pub url: String,
    app: App,
    _server: JoinSet<()>,
}

impl StandIn {
    pub async fn start() -> Self {
        let app = App {
            inner: Arc::new(Mutex::new(Inner::new())),
            asked: watch::Sender::new(0),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        };
        let router = Router::new()
            .route("/health", get(health))
            .route("/trigger/{task}", post(trigger))
            .route("/start/{task}", post(start))
            .route("/stop/{task}", post(stop))
            .route("/reload-config", post(reload))
            .fallback(cannot)
            .method_not_allowed_fallback(cannot)
            .layer(middleware::from_fn_with_state(app.clone(), note))
            .with_state(app.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { url, app, _server: super::serve(listener, router) }
    }

    /// The database that the web application shares with it.
    pub fn database(&self) -> Arc<Mutex<Inner>> {
        Arc::clone(&self.app.inner)
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.app.inner.lock().unwrap()
    }

    /// From now on a trigger does not answer before [`StandIn::open_gate`].
    pub fn close_gate(&self) {
        self.app.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets triggers end.
    pub fn open_gate(&self) {
        self.app.gate.add_permits(1_000);
    }

    /// Waits until a request whose line begins with `line` has come.
    pub async fn asked(&self, line: &str) {
        let mut asked = self.app.asked.subscribe();
        while !self.inner().requests.iter().any(|request| request.starts_with(line)) {
            asked.changed().await.unwrap();
        }
    }

    /// The calls so far that change something.
    pub fn posts(&self) -> Vec<String> {
        self.inner().requests.iter().filter(|line| line.starts_with("POST")).cloned().collect()
    }
}

async fn note(State(app): State<App>, request: Request, next: Next) -> Response {
    app.inner.lock().unwrap().requests.push(format!("{} {}", request.method(), request.uri()));
    app.asked.send_modify(|n| *n += 1);
    next.run(request).await
}

async fn health(State(app): State<App>, headers: HeaderMap) -> Response {
    let mut inner = app.inner.lock().unwrap();
    let body = inner.health();
    let mut hash = DefaultHasher::new();
    body.hash(&mut hash);
    let tag = format!("W/\"{:x}-{:x}\"", body.len(), hash.finish());
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        inner.not_modified += 1;
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let kind = "application/json; charset=utf-8".to_owned();
    ([(header::ETAG, tag), (header::CONTENT_TYPE, kind)], body).into_response()
}

async fn trigger(State(app): State<App>, Path(task): Path<String>) -> Json<Value> {
    app.gate.acquire().await.unwrap().forget();
    let answer = app.inner.lock().unwrap().run(&task);
    Json(answer)
}

async fn start(State(app): State<App>, Path(task): Path<String>) -> Response {
    let mut inner = app.inner.lock().unwrap();
    match inner.configured.get(&task) {
        // Names that every JavaScript object has, and bad cron texts, throw.
        _ if task == "toString" || task == "__proto__" => thrown(),
        Some(("bad", _)) => thrown(),
        None => error(StatusCode::NOT_FOUND, &format!("Task {task} not found in configuration")),
        Some(_) => {
            inner.start(&task);
            Json(json!({"message": format!("Task {task} started")})).into_response()
        }
    }
}

async fn stop(State(app): State<App>, Path(task): Path<String>) -> Response {
    if app.inner.lock().unwrap().stop(&task) {
        return Json(json!({"message": format!("Task {task} stopped")})).into_response();
    }
    error(StatusCode::NOT_FOUND, &format!("Task {task} not found"))
}

async fn reload(State(app): State<App>) -> Response {
    let loaded = app.inner.lock().unwrap().load();
    match loaded {
        Ok(()) => Json(json!({"message": "Configuration reloaded successfully"})).into_response(),
        Err(what) => error(StatusCode::INTERNAL_SERVER_ERROR, &what),
    }
}

async fn cannot(request: Request) -> Response {
    let text = format!("Cannot {} {}", request.method(), request.uri().path());
    (StatusCode::NOT_FOUND, page(&text)).into_response()
}

fn thrown() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, page("Internal Server Error")).into_response()
}

fn error(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"error": text}))).into_response()
}

fn page(text: &str) -> Html<String> {
    Html(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Error</title></head><body>\n<pre>{text}</pre>\n</body></html>"
    ))
}
