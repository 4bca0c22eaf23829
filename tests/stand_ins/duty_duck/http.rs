//! Its routes: statuses, text bodies and empty bodies as the real one answers.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{App, Incident, Inner, TOKEN_ID, Task, json as of};

const STATUSES: [&str; 7] = ["healthy", "failing", "running", "due", "late", "absent", "archived"];

pub fn router(app: App) -> Router {
    Router::new()
        .route("/tasks", get(tasks))
        .route("/tasks/{id}", get(task).patch(patch))
        .route("/tasks/{id}/start", post(start))
        .route("/tasks/{id}/heartbeat", post(heartbeat))
        .route("/tasks/{id}/finish", post(finish))
        .route("/tasks/{id}/archive", post(archive))
        .route("/tasks/{id}/runs", get(runs))
        .route("/tasks/{id}/runs/{run}", get(run))
        .route("/tasks/{id}/runs/{run}/logs", get(logs))
        .route("/incidents", get(incidents))
        .route("/incidents/{id}/events", get(events))
        .route("/incidents/{id}/acknowledge", post(acknowledge))
        .route("/incidents/{id}/comment", post(comment))
        .route("/http-monitors", get(monitors))
        .route("/http-monitors/{id}", get(monitor))
        .route("/http-monitors/{id}/toggle", post(toggle))
        .route("/http-monitors/{id}/archive", post(archive_monitor))
        .route("/users/debug-auth-context", get(context))
        .route("/users/me", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/api-tokens", get(tokens))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(middleware::from_fn_with_state(app.clone(), door))
        .with_state(app)
}

fn text(status: u16, words: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), words.to_owned()).into_response()
}

fn empty(status: u16) -> Response {
    StatusCode::from_u16(status).unwrap().into_response()
}

fn body(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Closes the connection without an answer, as a handler that panics does.
fn hang_up() -> ! {
    std::panic::resume_unwind(Box::new("hung up"))
}

/// Notes the request, and lets in who shows the token.
async fn door(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, content) = request.into_parts();
    let content = to_bytes(content, usize::MAX).await.unwrap();
    let (refused, now, stalled) = {
        let mut inner = app.inner();
        inner.requests.push(format!("{} {}", parts.method, parts.uri));
        inner.bodies.push(String::from_utf8_lossy(&content).into_owned());
        let path = parts.uri.path();
        let broken = inner.switches.broken.iter().find(|(prefix, _)| path.starts_with(prefix));
        let broken = broken.map(|(_, status)| empty(*status));
        let stalled = inner.switches.stalled.iter().any(|prefix| path.starts_with(prefix));
        (refusal(&inner, &parts.headers).or(broken), inner.now(), stalled)
    };
    app.asked.send_modify(|n| *n += 1);
    if stalled {
        std::future::pending::<()>().await;
    }
    let mut answer = match refused {
        Some(refused) => refused,
        None => next.run(Request::from_parts(parts, Body::from(content))).await,
    };
    let date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    answer.headers_mut().insert(header::DATE, HeaderValue::from_str(&date).unwrap());
    answer
}

fn refusal(inner: &Inner, headers: &HeaderMap) -> Option<Response> {
    let told = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let Some(id) = told("x-api-token-id") else { return Some(text(401, "X-Api-Token-Id header is missing")) };
    let Some(key) = told("x-api-token-secret-key") else {
        return Some(text(401, "X-Api-Token-Secret-Key header is missing"));
    };
    if id.len() != 36 {
        return Some(text(400, "Invalid X-Api-Token-Id header"));
    }
    if key.len() % 2 == 1 || !key.chars().all(|c| c.is_ascii_hexdigit()) {
        return Some(text(400, "Invalid X-Api-Token-Secret-Key header"));
    }
    if id != TOKEN_ID {
        return Some(text(401, "API Token is invalid"));
    }
    if inner.token_expires <= inner.now() {
        return Some(text(401, "API Token is expired"));
    }
    (key != inner.secret_key).then(|| text(401, "Invalid API Token secret key"))
}

impl Inner {
    fn may(&self, scope: &str) -> bool {
        let reporter = self.roles.iter().all(|role| *role == "Reporter");
        (self.scopes.is_empty() || self.scopes.contains(&scope))
            && (scope.starts_with("read") || scope == "commentIncidents" || !reporter)
    }
}

/// Query parameters, repeated ones too.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(raw: Option<String>) -> Self {
        Self(form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    fn number(&self, name: &str, default: usize) -> usize {
        self.all(name).first().map_or(default, |text| text.parse().unwrap())
    }

    /// The page of `rows`, and what the window function makes of the filtered
    /// total: nothing, where the page is empty.
    fn page<T>(&self, rows: Vec<T>, default: usize) -> (Vec<T>, usize) {
        let number = self.number("pageNumber", 1);
        if number == 0 {
            hang_up();
        }
        let per_page = self.number("itemsPerPage", default).min(50);
        let total = rows.len();
        let page: Vec<T> = rows.into_iter().skip((number - 1) * per_page).take(per_page).collect();
        let told = if page.is_empty() { 0 } else { total };
        (page, told)
    }
}

fn listed(rows: &[String], all: usize, filtered: usize) -> Response {
    let rows = rows.join(",");
    body(format!(
        "{{\"items\":[{rows}],\"totalNumberOfResults\":{all},\"totalNumberOfFilteredResults\":{filtered}}}"
    ))
}

async fn tasks(State(app): State<App>, RawQuery(raw): RawQuery) -> Response {
    let query = Query::read(raw);
    let mut inner = app.inner();
    if !inner.may("readTasks") {
        return empty(403);
    }
    let include = query.all("include");
    if let Some(bad) = include.iter().find(|word| !STATUSES.contains(word)) {
        return text(
            400,
            &format!(
                "Failed to deserialize query string: include[0]: unknown variant `{bad}`, expected one of …"
            ),
        );
    }
    if inner.switches.grows && query.number("pageNumber", 1) == 2 {
        inner.switches.grows = false;
        inner.add("newcomer", None);
    }
    let mut rows: Vec<Task> = inner.tasks.clone();
    rows.retain(|task| include.is_empty() || include.contains(&task.status.as_str()));
    match query.all("orderBy").first().copied().unwrap_or("lastStatusChangeAt") {
        "createdAt" => rows.sort_by_key(|task| task.created),
        "name" => rows.sort_by_key(|task| task.name.clone()),
        _ => rows.sort_by_key(|task| task.changed),
    }
    if query.all("orderDirection").first() != Some(&"asc") {
        rows.reverse();
    }
    let (mut page, filtered) = query.page(rows, 10);
    if inner.switches.loses_last_row {
        page.pop();
    }
    let rows: Vec<String> = page.iter().map(|task| of::task(task).to_string()).collect();
    listed(&rows, inner.tasks.len(), filtered)
}

async fn task(State(app): State<App>, Path(id): Path<String>) -> Response {
    let mut inner = app.inner();
    if !inner.may("readTasks") {
        return empty(403);
    }
    inner.find(&id).map_or_else(|| empty(404), |task| body(json!({"task": of::task(task)}).to_string()))
}

/// A replacement: what is not named is erased, and a failing task is healthy.
async fn patch(State(app): State<App>, Path(id): Path<String>) -> Response {
    let mut inner = app.inner();
    let Some(task) = inner.find(&id) else { return empty(404) };
    (task.cron, task.zone, task.next_due, task.description) = (None, None, None, None);
    task.windows = (120, 240);
    task.status = "healthy".to_owned();
    empty(200)
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

async fn start(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    content: String,
) -> Response {
    if !is_json(&headers) {
        return text(415, "Expected request with `Content-Type: application/json`");
    }
    let options: Value = serde_json::from_str(&content).unwrap();
    let mut inner = app.inner();
    if !inner.may("writeTaskRuns") {
        return text(403, "User is not allowed to start this task");
    }
    match inner.find(&id).map(|task| task.status.clone()).as_deref() {
        None => return text(404, "Task not found"),
        Some("archived") => return text(409, "Task has been archived and can no longer be updated."),
        Some("running") if options["abortPreviousRunningTask"] != true => {
            return text(409, "Task already started");
        }
        Some(_) => {}
    }
    if inner.switches.start_fails {
        return empty(500);
    }
    inner.start(&id);
    empty(201)
}

async fn heartbeat(State(app): State<App>, Path(id): Path<String>) -> Response {
    let mut inner = app.inner();
    if !inner.may("writeTaskRuns") {
        return empty(403);
    }
    let now = inner.now();
    let Some(task) = inner.find(&id).cloned() else { return text(404, "Task not found") };
    let running = inner.runs.iter_mut().find(|run| run.task == task.id && run.status == "running");
    let Some(run) = running else { return text(400, "Task is not running") };
    run.beat = Some(now);
    empty(200)
}

async fn finish(State(app): State<App>, Path(id): Path<String>, content: String) -> Response {
    let mut inner = app.inner();
    if !inner.may("writeTaskRuns") {
        return empty(403);
    }
    let Some(status) = inner.find(&id).map(|task| task.status.clone()) else {
        return text(404, "Task not found");
    };
    let Ok(told) = serde_json::from_str::<Value>(&content) else { return text(422, "no JSON") };
    let (code, error) = (told["exitCode"].as_i64(), told["errorMessage"].as_str());
    let ended = match (told["status"].as_str(), code) {
        _ if status != "running" => return text(400, "Task is not running"),
        (Some("success"), None | Some(0)) => "finished",
        (Some("failure"), None) => "failed",
        (Some("failure"), Some(code)) if code != 0 => "failed",
        (Some("aborted"), _) => "aborted",
        (Some("success" | "failure"), _) => return empty(500),
        _ => return text(422, "Failed to deserialize the JSON body into the target type: status"),
    };
    inner.finish(&id, ended, code, error);
    empty(200)
}

async fn archive(State(app): State<App>, Path(id): Path<String>) -> Response {
    let mut inner = app.inner();
    if !inner.may("writeTasks") {
        return empty(403);
    }
    match inner.find(&id).map(|task| task.status.clone()).as_deref() {
        None => empty(404),
        Some("running") => text(409, "Cannot archive a task while it is running"),
        Some("archived") => text(409, "The task is already archived"),
        Some(_) => {
            inner.change(&id, "archived");
            empty(200)
        }
    }
}

async fn runs(State(app): State<App>, Path(id): Path<String>, RawQuery(raw): RawQuery) -> Response {
    let query = Query::read(raw);
    let mut inner = app.inner();
    if !inner.may("readTaskRuns") {
        return empty(403);
    }
    let Some(task) = inner.find(&id).map(|task| task.id.clone()) else { return empty(404) };
    let statuses = query.all("includeStatuses");
    let mut rows: Vec<_> = inner.runs.iter().filter(|run| run.task == task).cloned().collect();
    let all = rows.len();
    rows.retain(|run| statuses.is_empty() || statuses.contains(&run.status.as_str()));
    rows.sort_by_key(|run| std::cmp::Reverse(run.started));
    let (page, filtered) = query.page(rows, 15);
    let page: Vec<Value> = page.iter().map(of::run).collect();
    body(json!({"runs": page, "totalRuns": all, "totalFilteredRuns": filtered}).to_string())
}

async fn run(State(app): State<App>, Path((_, run)): Path<(String, String)>) -> Response {
    let inner = app.inner();
    let found = inner.runs.iter().find(|known| known.id == run);
    found.map_or_else(|| empty(404), |run| body(json!({"taskRun": of::run(run)}).to_string()))
}

async fn logs(
    State(app): State<App>,
    Path((_, run)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
) -> Response {
    let query = Query::read(raw);
    let inner = app.inner();
    let run = inner.runs.iter().find(|known| known.id == run);
    let Some(run) = run.filter(|_| inner.switches.keeps_logs) else { return empty(404) };
    let (limit, offset) = (query.number("limit", 200).min(500), query.number("offset", 0));
    let lines: Vec<Value> = run
        .logs
        .iter()
        .enumerate()
        .skip(offset)
        .take(limit)
        .map(|(index, line)| {
            json!({"severityText": "INFO", "severityNumber": 9, "body": line,
                "timestamp": "2026-11-20T07:12:26.506723393Z", "index": index})
        })
        .collect();
    body(json!({"totalNumberOfLogs": run.logs.len(), "logs": lines}).to_string())
}

async fn incidents(State(app): State<App>, RawQuery(raw): RawQuery) -> Response {
    let query = Query::read(raw);
    let inner = app.inner();
    if !inner.may("readIncidents") {
        return empty(403);
    }
    let statuses = query.all("status");
    let status = |incident: &Incident| if incident.resolved.is_some() { "resolved" } else { "ongoing" };
    let mut rows: Vec<Incident> = inner.incidents.clone();
    rows.retain(|incident| statuses.is_empty() || statuses.contains(&status(incident)));
    rows.sort_by_key(|incident| incident.created);
    if query.all("orderDirection").first() != Some(&"asc") {
        rows.reverse();
    }
    let (page, filtered) = query.page(rows, 10);
    let rows: Vec<String> = page.iter().map(of::incident).collect();
    listed(&rows, inner.incidents.len(), filtered)
}

async fn events(State(app): State<App>, Path(id): Path<String>, RawQuery(raw): RawQuery) -> Response {
    let query = Query::read(raw);
    let inner = app.inner();
    let Some(incident) = inner.incidents.iter().find(|incident| incident.id == id) else { return empty(404) };
    let (page, _) = query.page(incident.events.clone(), 10);
    let items: Vec<Value> = page.iter().map(|event| of::event(incident, event)).collect();
    body(json!({"items": items}).to_string())
}

impl Inner {
    /// The user does something to an incident.
    fn note(&mut self, id: &str, kind: &str, payload: Value) -> Option<&mut Incident> {
        let now: DateTime<Utc> = self.now();
        let incident = self.incidents.iter_mut().find(|incident| incident.id == id)?;
        incident.events.push((now, kind.to_owned(), payload, true));
        Some(incident)
    }
}

async fn acknowledge(State(app): State<App>, Path(id): Path<String>) -> Response {
    let mut inner = app.inner();
    if !inner.may("editIncidents") {
        return empty(403);
    }
    match inner.note(&id, "acknowledged", json!({"Acknowledged": {"userId": super::USER}})) {
        None => empty(404),
        Some(incident) => {
            incident.acknowledged = true;
            body("null".to_owned())
        }
    }
}

async fn comment(State(app): State<App>, Path(id): Path<String>, content: String) -> Response {
    let Ok(told) = serde_json::from_str::<Value>(&content) else { return text(422, "no JSON") };
    if !told["payload"]["editorjsData"].is_object() {
        return text(422, "payload: missing field `editorjsData`");
    }
    let mut inner = app.inner();
    if !inner.may("commentIncidents") {
        return empty(403);
    }
    let payload = json!({"Comment": told["payload"]});
    inner.note(&id, "comment", payload).map_or_else(|| empty(404), |_| body("null".to_owned()))
}

async fn monitors(State(app): State<App>, RawQuery(raw): RawQuery) -> Response {
    let query = Query::read(raw);
    let inner = app.inner();
    if !inner.may("readHttpMonitors") {
        return empty(403);
    }
    let (page, filtered) = query.page(inner.monitors.clone(), 10);
    let rows: Vec<String> = page.iter().map(|monitor| of::monitor(monitor).to_string()).collect();
    listed(&rows, inner.monitors.len(), filtered)
}

async fn monitor(State(app): State<App>, Path(id): Path<String>) -> Response {
    let inner = app.inner();
    let found = inner.monitors.iter().find(|monitor| monitor.id == id);
    found.map_or_else(
        || empty(404),
        |found| body(json!({"monitor": of::monitor(found), "ongoingIncident": null}).to_string()),
    )
}

/// Turns it, whatever it is, and ends its incidents.
fn turn(inner: &mut Inner, id: &str) {
    let now = inner.now();
    let monitor = inner.monitors.iter_mut().find(|monitor| monitor.id == id).unwrap();
    let on = monitor.status == "inactive";
    monitor.status = if on { "unknown" } else { "inactive" }.to_owned();
    monitor.next_ping = on.then(|| now + TimeDelta::seconds(1));
    monitor.changed = now;
    inner.resolve(id);
}

async fn toggle(State(app): State<App>, Path(id): Path<String>) -> Response {
    let held = app.inner().switches.holds_toggle;
    if held {
        app.open.subscribe().wait_for(|open| *open).await.unwrap();
    }
    let mut inner = app.inner();
    if !inner.may("writeHttpMonitors") {
        return empty(403);
    }
    match inner.monitors.iter().find(|monitor| monitor.id == id).map(|monitor| monitor.status.as_str()) {
        None => return empty(404),
        Some("archived") => return text(400, "Monitor is archived and cannot be toggled"),
        Some(_) => turn(&mut inner, &id),
    }
    if inner.switches.toggled_back {
        turn(&mut inner, &id);
    }
    let lost = inner.switches.toggle_loses_answer;
    drop(inner);
    if lost {
        hang_up();
    }
    body("\"Done\"".to_owned())
}

async fn archive_monitor(State(app): State<App>, Path(id): Path<String>) -> Response {
    let mut inner = app.inner();
    if !inner.may("writeHttpMonitors") {
        return empty(403);
    }
    let Some(monitor) = inner.monitors.iter_mut().find(|monitor| monitor.id == id) else { return empty(404) };
    monitor.status = "archived".to_owned();
    body("\"Done\"".to_owned())
}

async fn context(State(app): State<App>) -> Response {
    let inner = app.inner();
    if !inner.switches.tells_scopes {
        return empty(404);
    }
    body(
        json!({"active_organization_id": "11111111-1111-4111-8111-111111111111", "active_user_id": super::USER,
            "active_organization_roles": inner.roles, "restricted_to_scopes": inner.scopes})
        .to_string(),
    )
}

async fn tokens(State(app): State<App>) -> Response {
    let inner = app.inner();
    if !inner.switches.tells_scopes {
        return empty(403);
    }
    let other = json!({"id": "b471b3ea-f783-4bf0-9b2b-1a9b0613179d", "label": "other", "scopes": ["readTasks"],
        "expiresAt": "2027-01-01T00:00:00Z", "createdAt": "2026-11-20T07:11:58.844404Z"});
    let ours = json!({"id": TOKEN_ID, "organizationId": "11111111-1111-4111-8111-111111111111",
        "userId": super::USER, "label": "vigie", "scopes": inner.scopes, "expiresAt": inner.token_expires,
        "createdAt": "2026-11-20T07:11:58.844404Z"});
    body(json!({"apiTokens": [other, ours]}).to_string())
}
