//! A stand-in for duplistatus' web application (1.4.2), on the database of the
//! cron service's. Its traps are switches: the cookie marked Secure over plain
//! HTTP, tokens that expire, sessions wiped by a restart, an account locked by
//! five bad passwords, users that are no administrators, "N/A" for null, times
//! without zone, runs of blanks in a cron text, a log file that is missing, a
//! dashboard that is empty while the database can't be read, slow checks.
//! Its clock is the cron service's, and so is its `Date`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{any, get, post};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::duplistatus::{CHECK, Inner as Database};

pub const USERNAME: &str = "admin";
pub const PASSWORD: &str = "Duplistatus09";

/// A backup job, as it stands.
pub struct Job {
    pub server: &'static str,
    pub name: &'static str,
    pub last: Option<DateTime<Utc>>,
    pub status: &'static str,
    pub interval: TimeDelta,
    pub monitored: bool,
    pub event: &'static str,
    pub notified: Option<DateTime<Utc>>,
}

/// A session there.
struct Session {
    user: bool,
    token: String,
    token_until: DateTime<Utc>,
}

/// What a test may turn and look at.
pub struct Inner {
    pub database: Arc<Mutex<Database>>,
    pub jobs: Vec<Job>,
    /// How many servers there are, of three.
    pub servers: usize,
    sessions: BTreeMap<String, Session>,
    given: usize,
    pub password: String,
    failed: u32,
    locked_until: Option<DateTime<Utc>>,
    /// The cookie of `/api/csrf` is marked Secure, as in production.
    pub secure_cookie: bool,
    pub is_admin: bool,
    pub must_change_password: bool,
    pub tolerance: &'static str,
    pub retention: u32,
    pub would_delete: u64,
    /// `None`: the file is missing.
    pub log: Option<String>,
    /// The dashboard is empty, since the database can't be read.
    pub unreadable: bool,
    /// The dashboard asks to be left alone.
    pub busy: bool,
    pub no_stored_password: bool,
    pub audit: Vec<Value>,
    /// Requests as `POST /path`, in order.
    pub requests: Vec<String>,
    /// Bodies of what changes something, but for logins.
    pub bodies: Vec<Value>,
}

impl Inner {
    fn new(database: Arc<Mutex<Database>>) -> Self {
        let at = |text: &str| Some(text.parse().unwrap());
        let job = |server, name, last, status| Job {
            server,
            name,
            last,
            status,
            interval: TimeDelta::days(1),
            monitored: true,
            event: "warnings",
            notified: None,
        };
        let jobs = vec![
            job("68a7a507c2f86f884ba8388785f0a295", "Databases", at("2026-11-20T05:33:08.715Z"), "Success"),
            job("4e9f9dc27028fbae8a9ad22550fd63d8", "Config", at("2026-11-20T04:00:00.000Z"), "Error"),
            job("4e9f9dc27028fbae8a9ad22550fd63d8", "New", None, "N/A"),
            job("b3a2d6c859401b3895631803e14da0fa", "System", at("2026-11-17T05:48:08.662Z"), "Success"),
            job("b3a2d6c859401b3895631803e14da0fa", "Users", at("2026-11-20T06:03:08.742Z"), "Warning"),
        ];
        Self {
            database,
            jobs,
            servers: SERVERS.len(),
            sessions: BTreeMap::new(),
            given: 0,
            password: PASSWORD.to_owned(),
            failed: 0,
            locked_until: None,
            secure_cookie: true,
            is_admin: true,
            must_change_password: true,
            tolerance: "2h",
            retention: 90,
            would_delete: 120,
            log: Some("one\ntwo\n".to_owned()),
            unreadable: false,
            busy: false,
            no_stored_password: false,
            audit: Vec::new(),
            requests: Vec::new(),
            bodies: Vec::new(),
        }
    }

    pub fn clock(&self) -> DateTime<Utc> {
        self.database.lock().unwrap().clock
    }

    /// It starts again: nobody is known.
    pub fn restart(&mut self) {
        self.sessions.clear();
    }

    /// Every token that was given is too old.
    pub fn expire_tokens(&mut self) {
        let now = self.clock();
        self.sessions.values_mut().for_each(|session| session.token_until = now);
    }

    /// How many requests began so.
    pub fn count(&self, line: &str) -> usize {
        self.requests.iter().filter(|request| request.starts_with(line)).count()
    }

    fn secret(&mut self) -> String {
        self.given += 1;
        format!("{:064x}", self.given)
    }

    fn note(&mut self, action: &str, status: &str, details: &Value) {
        let timestamp = self.clock().format("%Y-%m-%d %H:%M:%S").to_string();
        let row = json!({
            "id": self.audit.len() + 1, "timestamp": timestamp, "userId": "admin-44da", "username": USERNAME,
            "action": action, "category": "system", "targetType": null, "targetId": null, "details": details,
            "ipAddress": "127.0.0.1", "userAgent": "x", "status": status, "errorMessage": null,
        });
        self.audit.insert(0, row);
    }

    fn tolerance(&self) -> TimeDelta {
        match self.tolerance {
            "1h" => TimeDelta::hours(1),
            "2h" => TimeDelta::hours(2),
            _ => TimeDelta::zero(),
        }
    }

    fn is_overdue(&self, job: &Job) -> bool {
        job.monitored && job.last.is_some_and(|last| self.clock() > last + job.interval + self.tolerance())
    }

    fn check(&mut self) -> Value {
        let overdue = self.jobs.iter().filter(|job| self.is_overdue(job)).count();
        let now = self.clock();
        self.database.lock().unwrap().last_overdue_check = Some(now);
        let statistics = json!({"totalBackupConfigs": self.jobs.len(), "checkedBackups": self.jobs.len(),
            "overdueBackupsFound": overdue, "notificationsSent": 0});
        self.note("overdue_check_manual", "success", &statistics);
        json!({"message": "Overdue backup check completed with next run times recalculated", "statistics": statistics})
    }

    fn dashboard(&self) -> Value {
        let iso = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let or_na = |at: Option<DateTime<Utc>>| at.map_or_else(|| "N/A".to_owned(), iso);
        let checked = or_na(self.database.lock().unwrap().last_overdue_check);
        let servers: Vec<Value> = SERVERS
            .iter()
            .skip(SERVERS.len() - self.servers)
            .filter(|_| !self.unreadable)
            .map(|(id, name, alias, note)| {
                let jobs: Vec<Value> = self
                    .jobs
                    .iter()
                    .filter(|job| job.server == *id)
                    .map(|job| {
                        let expected = job.last.map(|last| last + job.interval);
                        let past = expected.is_some_and(|expected| expected < self.clock());
                        let known = job.last.is_some();
                        json!({
                            "name": job.name, "lastBackupDate": or_na(job.last),
                            "lastBackupId": if known { format!("{}-0", job.name) } else { "N/A".to_owned() },
                            "lastBackupStatus": job.status,
                            "lastBackupDuration": if known { "00:04:38" } else { "N/A" },
                            "lastBackupListCount": if known { json!(9) } else { Value::Null },
                            "backupCount": 52, "statusHistory": ["Success", "Warning", "Success"],
                            "fileCount": 6447, "fileSize": 621_651_575, "storageSize": 1_526_328_420,
                            "uploadedSize": 562_722_746,
                            "warnings": u8::from(job.status == "Warning"), "errors": u8::from(job.status == "Error"),
                            "availableBackups": ["2025-08-04T00:14:55.000Z"],
                            "isBackupOverdue": self.is_overdue(job), "notificationEvent": job.event,
                            "expectedBackupDate": or_na(expected),
                            "expectedBackupElapsed": if past { "2 days" } else { "in the future" },
                            "lastNotificationSent": or_na(job.notified),
                        })
                    })
                    .collect();
                json!({
                    "id": id, "name": name, "server_url": "http://192.168.1.156:8200", "alias": alias, "note": note,
                    "hasPassword": !self.no_stored_password, "backupInfo": jobs, "totalBackupCount": 52,
                    "lastBackupDate": "N/A", "lastBackupStatus": "N/A", "lastOverdueCheck": checked,
                    "haveOverdueBackups": false, "backupNames": [],
                })
            })
            .collect();
        json!({"serversSummary": servers, "overallSummary": {"totalServers": 3}, "chartData": []})
    }
}

const SERVERS: [(&str, &str, &str, &str); 3] = [
    ("68a7a507c2f86f884ba8388785f0a295", "BK-DR-01", "Backup Storage", "Secondary backup destination"),
    ("4e9f9dc27028fbae8a9ad22550fd63d8", "DNS-PROD-01", "", ""),
    ("b3a2d6c859401b3895631803e14da0fa", "FS-PROD-01", "File Storage", "Document and media file storage"),
];

#[derive(Clone)]
struct App {
    inner: Arc<Mutex<Inner>>,
    asked: watch::Sender<usize>,
    /// A check needs a permit to end.
    gate: Arc<Semaphore>,
}

impl App {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

/// The application; ends when dropped.
pub struct Web {
    pub url: String,
    app: App,
    _server: JoinSet<()>,
}

impl Web {
    /// On the database of a cron service.
    pub async fn start(database: Arc<Mutex<Database>>) -> Self {
        Self::start_at(database, "127.0.0.1:0").await
    }

    /// At a certain address.
    pub async fn start_at(database: Arc<Mutex<Database>>, address: &str) -> Self {
        let app = App {
            inner: Arc::new(Mutex::new(Inner::new(database))),
            asked: watch::Sender::new(0),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        };
        let session = Router::new()
            .route("/api/dashboard", get(dashboard))
            .route("/api/servers", get(servers))
            .route("/api/servers/{id}", get(server))
            .route("/api/cron-config", get(cron_config))
            .route("/api/configuration/overdue-tolerance", get(tolerance))
            .route("/api/audit-log/retention", get(retention));
        let login = Router::new()
            .route("/api/cron-config", post(set_cron_config))
            .route("/api/notifications/check-overdue", post(check_now))
            .route("/api/notifications/clear-overdue-timestamps", post(reset))
            .route("/api/backups/collect", post(collect))
            .route("/api/audit-log", get(audit))
            .layer(middleware::from_fn_with_state(app.clone(), needs_login));
        let admin = Router::new()
            .route("/api/application-logs", get(log))
            .route("/api/audit-log/cleanup", post(cleanup))
            .layer(middleware::from_fn_with_state(app.clone(), needs_admin))
            .layer(middleware::from_fn_with_state(app.clone(), needs_login));
        let router = session
            .merge(login)
            .merge(admin)
            .layer(middleware::from_fn_with_state(app.clone(), needs_session))
            .route("/api/ping", get(async || Json(json!({"ok": true}))))
            .route("/api/csrf", get(csrf))
            .route("/api/auth/login", post(log_in))
            .fallback(any(async || StatusCode::NOT_FOUND))
            .layer(middleware::from_fn_with_state(app.clone(), note))
            .with_state(app.clone());
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { url, app, _server: super::serve(listener, router) }
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.app.inner()
    }

    /// From now on a check does not answer before [`Web::open_gate`].
    pub fn close_gate(&self) {
        self.app.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets checks end.
    pub fn open_gate(&self) {
        self.app.gate.add_permits(1_000);
    }

    /// Waits until a request whose line begins with `line` has come.
    pub async fn asked(&self, line: &str) {
        let mut asked = self.app.asked.subscribe();
        while self.inner().count(line) == 0 {
            asked.changed().await.unwrap();
        }
    }
}

async fn note(State(app): State<App>, request: Request, next: Next) -> Response {
    app.inner().requests.push(format!("{} {}", request.method(), request.uri()));
    app.asked.send_modify(|n| *n += 1);
    let mut response = next.run(request).await;
    let date = app.inner().clock().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    response.headers_mut().insert(header::DATE, HeaderValue::from_str(&date).unwrap());
    response
}

fn error(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"error": text}))).into_response()
}

fn session_of(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    cookies.split(';').find_map(|pair| pair.trim().strip_prefix("sessionId=")).map(str::to_owned)
}

fn token_of(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-csrf-token")?.to_str().ok()
}

async fn needs_session(State(app): State<App>, request: Request, next: Next) -> Response {
    let refused = {
        let inner = app.inner();
        let session = session_of(request.headers()).and_then(|id| inner.sessions.get(&id));
        match session {
            None => Some((StatusCode::UNAUTHORIZED, "Invalid or expired session")),
            Some(_) if request.method() == Method::GET => None,
            Some(session) => {
                let good = token_of(request.headers()) == Some(&session.token);
                let expired = session.token_until <= inner.clock();
                (!good || expired).then_some((StatusCode::FORBIDDEN, "Invalid CSRF token"))
            }
        }
    };
    match refused {
        Some((status, text)) => error(status, text),
        None => next.run(request).await,
    }
}

async fn needs_login(State(app): State<App>, request: Request, next: Next) -> Response {
    let known = {
        let inner = app.inner();
        session_of(request.headers())
            .and_then(|id| inner.sessions.get(&id))
            .is_some_and(|session| session.user)
    };
    if known { next.run(request).await } else { error(StatusCode::UNAUTHORIZED, "Authentication required") }
}

async fn needs_admin(State(app): State<App>, request: Request, next: Next) -> Response {
    let admin = app.inner().is_admin;
    if admin {
        next.run(request).await
    } else {
        error(StatusCode::FORBIDDEN, "Administrator access required")
    }
}

/// Asked with a cookie, it keeps to that session, even where it no longer exists: the real one forgets
/// to wait for its own check.
async fn csrf(State(app): State<App>, headers: HeaderMap) -> Response {
    let mut inner = app.inner();
    let now = inner.clock();
    let id = if let Some(id) = session_of(&headers) {
        id
    } else {
        let (id, token) = (inner.secret(), inner.secret());
        let token_until = now + TimeDelta::minutes(30);
        inner.sessions.insert(id.clone(), Session { user: false, token, token_until });
        id
    };
    let fresh = inner.secret();
    let token = match inner.sessions.get_mut(&id) {
        Some(session) => {
            if session.token_until - now <= TimeDelta::minutes(5) {
                session.token = fresh;
                session.token_until = now + TimeDelta::minutes(30);
            }
            session.token.clone()
        }
        None => fresh,
    };
    let secure = if inner.secure_cookie { " Secure;" } else { "" };
    let cookie = format!("sessionId={id}; Path=/; Max-Age=604800;{secure} HttpOnly; SameSite=lax");
    let answer = json!({"token": token, "message": "CSRF token generated successfully"});
    ([(header::SET_COOKIE, cookie)], Json(answer)).into_response()
}

async fn log_in(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let mut inner = app.inner();
    let now = inner.clock();
    let session = session_of(&headers);
    match (session.as_ref().and_then(|id| inner.sessions.get(id)), token_of(&headers)) {
        (_, None) => return error(StatusCode::FORBIDDEN, "CSRF token required"),
        (Some(session), Some(token)) if session.token != token || session.token_until <= now => {
            return error(StatusCode::FORBIDDEN, "Invalid CSRF token");
        }
        _ => {}
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let lock = |text: &str, until: DateTime<Utc>| {
        let minutes = (until - now).num_minutes();
        let body = json!({"error": text, "errorCode": "ACCOUNT_LOCKED", "minutesRemaining": minutes,
            "lockedUntil": until.to_rfc3339_opts(SecondsFormat::Millis, true)});
        (StatusCode::FORBIDDEN, Json(body)).into_response()
    };
    if let Some(until) = inner.locked_until.filter(|until| *until > now) {
        return lock("Account is locked due to too many failed login attempts", until);
    }
    if body["username"] != USERNAME || body["password"] != inner.password.as_str() {
        inner.failed += 1;
        inner.note("login", "failure", &json!({"reason": "Invalid password"}));
        if inner.failed >= 5 {
            let until = now + TimeDelta::minutes(15);
            inner.locked_until = Some(until);
            return lock("Account locked due to too many failed login attempts", until);
        }
        let body = json!({"error": "Invalid username or password", "errorCode": "INVALID_CREDENTIALS"});
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    }
    inner.failed = 0;
    let id = session.filter(|id| inner.sessions.contains_key(id)).unwrap_or_else(|| inner.secret());
    let (is_admin, must_change) = (inner.is_admin, inner.must_change_password);
    if let Some(session) = inner.sessions.get_mut(&id) {
        session.user = true;
    }
    inner.note("login", "success", &json!({"is_admin": is_admin}));
    let cookie = format!("sessionId={id}; Path=/; Max-Age=86400; HttpOnly; SameSite=lax");
    let user = json!({"id": "admin-44da", "username": USERNAME, "isAdmin": is_admin,
        "mustChangePassword": must_change});
    let answer = json!({"success": true, "user": user, "keyChanged": false});
    ([(header::SET_COOKIE, cookie)], Json(answer)).into_response()
}

async fn dashboard(State(app): State<App>) -> Response {
    let inner = app.inner();
    if inner.busy {
        let body = Json(json!({"error": "busy"}));
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "600")], body).into_response();
    }
    Json(inner.dashboard()).into_response()
}

async fn servers() -> Json<Value> {
    let servers = SERVERS
        .iter()
        .map(|(id, name, alias, note)| json!({"id": id, "name": name, "alias": alias, "note": note}));
    Json(servers.collect())
}

async fn server(State(app): State<App>, Path(id): Path<String>) -> Response {
    let inner = app.inner();
    let Some((id, name, ..)) = SERVERS.iter().find(|(known, ..)| *known == id) else {
        return error(StatusCode::NOT_FOUND, "Server not found");
    };
    // Three backups of each job, a day apart; in no order that means anything.
    let backups: Vec<Value> = (0..3_i64)
        .flat_map(|day| inner.jobs.iter().filter(|job| job.server == *id).map(move |job| (day, job)))
        .filter_map(|(day, job)| Some((day, job, job.last? - TimeDelta::days((day + 1) % 3))))
        .map(|(day, job, date)| {
            let status = ["Warning", "Fatal", "Success"][usize::try_from(day).unwrap()];
            json!({
                "id": format!("{}-{}", job.name, (day + 1) % 3), "server_id": id, "name": job.name,
                "date": date.to_rfc3339_opts(SecondsFormat::Millis, true), "status": status,
                "warnings": u8::from(status == "Warning"), "errors": 2 * u8::from(status == "Fatal"), "messages": 15,
                "fileCount": 1, "fileSize": 2, "uploadedSize": 3, "duration": "00:06:35", "duration_seconds": 395,
                "messages_array": null,
            })
        })
        .collect();
    Json(json!({"id": id, "name": name, "backups": backups, "chartData": []})).into_response()
}

async fn cron_config(State(app): State<App>) -> Json<Value> {
    let database = Arc::clone(&app.inner().database);
    let (cron, enabled) = database.lock().unwrap().configured[CHECK];
    Json(json!({"cronExpression": cron, "enabled": enabled}))
}

async fn set_cron_config(State(app): State<App>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(interval) = body["interval"].as_str() else {
        return error(StatusCode::BAD_REQUEST, "Interval is required");
    };
    let set = match interval {
        "disabled" => ("*/5 * * * *", false),
        "1min" => ("*/1    *    *            *     *", true),
        "5min" => ("*/5 * * * *", true),
        "1hour" => ("0 * * * *", true),
        _ => return error(StatusCode::INTERNAL_SERVER_ERROR, "Failed to update cron configuration"),
    };
    app.inner().database.lock().unwrap().configured.insert(CHECK.to_owned(), set);
    Json(json!({"success": true})).into_response()
}

async fn tolerance(State(app): State<App>) -> Json<Value> {
    Json(json!({"overdue_tolerance": app.inner().tolerance}))
}

async fn retention(State(app): State<App>) -> Json<Value> {
    Json(json!({"retentionDays": app.inner().retention}))
}

async fn check_now(State(app): State<App>) -> Json<Value> {
    app.gate.acquire().await.unwrap().forget();
    Json(app.inner().check())
}

async fn reset(State(app): State<App>) -> Json<Value> {
    let message = "Overdue backup notification timestamps cleared successfully";
    let mut inner = app.inner();
    inner.jobs.iter_mut().for_each(|job| job.notified = None);
    inner.note("overdue_notifications_reset", "success", &json!({"message": message}));
    Json(json!({"message": message}))
}

async fn collect(State(app): State<App>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut inner = app.inner();
    inner.bodies.push(body.clone());
    let Some((_, name, ..)) = SERVERS.iter().find(|(id, ..)| body["serverId"] == *id) else {
        return error(StatusCode::NOT_FOUND, "Server not found");
    };
    if inner.no_stored_password {
        return error(StatusCode::NOT_FOUND, "No password stored for this server.");
    }
    let stats = json!({"processed": 4, "skipped": 48, "errors": 0});
    let answer = json!({"success": true, "serverName": name, "serverAlias": "", "stats": stats,
        "backupSettings": {"message": "Backup settings completion handled automatically"}});
    inner.note("backup_collected", "success", &stats);
    Json(answer).into_response()
}

async fn audit(State(app): State<App>, Query(query): Query<BTreeMap<String, String>>) -> Json<Value> {
    let inner = app.inner();
    let limit: usize = query.get("limit").map_or(50, |limit| limit.parse().unwrap());
    let rows: Vec<&Value> = inner.audit.iter().take(limit).collect();
    let total = inner.audit.len();
    Json(json!({"logs": rows, "pagination": {"page": 1, "limit": limit, "total": total, "totalPages": 1}}))
}

async fn log(State(app): State<App>, Query(query): Query<BTreeMap<String, String>>) -> Json<Value> {
    let inner = app.inner();
    assert_eq!(query["file"], "application.log");
    let tail: usize = query["tail"].parse().unwrap();
    let Some(text) = &inner.log else {
        return Json(json!({"error": "Log file not found", "logs": "", "fileSize": 0, "availableFiles": []}));
    };
    let lines: Vec<&str> = text.split('\n').collect();
    let last = lines[lines.len().saturating_sub(tail)..].join("\n");
    Json(json!({"logs": last, "fileSize": text.len(), "lastModified": "2026-11-20T07:19:38.515Z",
        "lineCount": lines.len(), "currentFile": "application.log", "availableFiles": ["application.log"]}))
}

async fn cleanup(State(app): State<App>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut inner = app.inner();
    inner.bodies.push(body.clone());
    let days = body["retentionDays"].as_u64().unwrap_or_else(|| inner.retention.into());
    if !(30..=365).contains(&days) {
        return error(StatusCode::BAD_REQUEST, "Retention days must be between 30 and 365");
    }
    let cutoff = inner.clock() - TimeDelta::days(i64::try_from(days).unwrap());
    if body["dryRun"] != true {
        return Json(json!({"success": true, "deletedCount": inner.would_delete, "retentionDays": days}))
            .into_response();
    }
    Json(json!({"dryRun": true, "wouldDeleteCount": inner.would_delete, "oldestRemaining": "2026-11-20 07:00:28",
        "retentionDays": days, "cutoffDate": cutoff.format("%Y-%m-%d").to_string()}))
    .into_response()
}
