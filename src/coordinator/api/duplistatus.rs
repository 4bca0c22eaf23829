//! The surface of duplistatus' cron service, at the root: what its clients
//! look at is the same to the byte, its traps are not rebuilt.
//!
//! Different on purpose: errors are JSON throughout, a start of what is
//! started changes nothing, a stop survives reload and restart, a bad file
//! changes nothing, and unknown names leave no trace in `errors`.

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::model::{Clean, Run, RunState, TaskId, Verb};

use super::super::announce::hex;
use super::super::engine::{Actor, HealthView, Refusal};
use super::Api;
use super::problem::Failure;

/// As Express names JSON.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// `GET /health`, in the order of duplistatus' keys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Health<'a> {
    is_running: bool,
    active_tasks: &'a [TaskId],
    #[serde(serialize_with = "times")]
    last_run_times: &'a [(TaskId, DateTime<Utc>)],
    #[serde(serialize_with = "errors")]
    errors: &'a [(TaskId, Clean)],
    /// Beyond duplistatus: why nothing is started now.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a Clean>,
}

/// ISO 8601 with milliseconds and `Z`, as JavaScript writes it.
fn times<S: Serializer>(times: &[(TaskId, DateTime<Utc>)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(times.len()))?;
    for (task, at) in times {
        map.serialize_entry(task, &at.to_rfc3339_opts(SecondsFormat::Millis, true))?;
    }
    map.end()
}

fn errors<S: Serializer>(errors: &[(TaskId, Clean)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(errors.len()))?;
    for (task, error) in errors {
        map.serialize_entry(task, &as_error(error))?;
    }
    map.end()
}

/// JavaScript's `String(error)`.
fn as_error(text: &str) -> String {
    if text.starts_with("Error: ") { text.to_owned() } else { format!("Error: {text}") }
}

/// The answer to a trigger whose run was good.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Succeeded<'a> {
    task_name: &'a str,
    success: bool,
    message: &'a str,
}

/// The answer to one that was not: with status 200 all the same.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    task_name: &'a str,
    success: bool,
    error: String,
}

#[derive(Debug, Serialize)]
struct Message {
    message: String,
}

#[derive(Debug, Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut response = (status, axum::Json(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

fn message(message: String) -> Response {
    json(StatusCode::OK, &Message { message })
}

fn error(status: StatusCode, text: &str) -> Response {
    json(status, &ErrorBody { error: text })
}

/// Any failure in this surface's form.
pub(super) fn failed(failure: &Failure) -> Response {
    failure.head(error(failure.status(), failure.detail()))
}

/// 404, in Express' words.
pub(super) fn nothing_here(request: &Request) -> Response {
    error(StatusCode::NOT_FOUND, &format!("Cannot {} {}", request.method(), request.uri().path()))
}

/// The weak validator of a body.
fn etag(body: &[u8]) -> String {
    let digest = hex(&Sha256::digest(body));
    format!("W/\"{:x}-{}\"", body.len(), digest.get(..30).unwrap_or(&digest))
}

/// Whether the caller has this already, by weak comparison; `no-cache` asks for it anyway.
fn unchanged(headers: &HeaderMap, etag: &str) -> bool {
    let forced = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.contains("no-cache")));
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    !forced
        && headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.trim() == "*" || value.split(',').any(|tag| opaque(tag) == opaque(etag)))
}

pub(super) async fn health(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
) -> Response {
    let known = api.engine.seen_by(&actor).health();
    let HealthView { active, last_success, errors, trouble } = &*known;
    let health = Health {
        is_running: trouble.is_none(),
        active_tasks: active,
        last_run_times: last_success,
        errors,
        problem: trouble.as_ref(),
    };
    let body = match serde_json::to_vec(&health) {
        Ok(body) => body,
        Err(cause) => return error(StatusCode::INTERNAL_SERVER_ERROR, &as_error(&cause.to_string())),
    };
    let etag = etag(&body);
    let tag = [(header::ETAG, etag.as_str())];
    if trouble.is_none() && unchanged(&headers, &etag) {
        return (StatusCode::NOT_MODIFIED, tag).into_response();
    }
    let status = if trouble.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, tag, [(header::CONTENT_TYPE, JSON)], body).into_response()
}

/// The task's name, or this surface's answer to a path that can't be decoded.
type Name = Result<Path<String>, PathRejection>;

fn undecodable(rejection: &PathRejection) -> Response {
    error(StatusCode::BAD_REQUEST, &rejection.body_text())
}

/// Answers when the run has ended. Who goes away leaves the run as it is.
pub(super) async fn trigger(
    State(api): State<Api>,
    name: Name,
    Extension(actor): Extension<Actor>,
) -> Response {
    let name = match name {
        Ok(Path(name)) => name,
        Err(rejection) => return undecodable(&rejection),
    };
    let ended = match api.engine.trigger(&TaskId::new(&name), None, actor).await {
        Ok(Run { id: Some(run), .. }) => api.engine.ended(&run).await,
        Ok(ended) => Ok(ended),
        Err(refusal) => Err(refusal),
    };
    let error_text = match ended {
        Ok(run) if run.state == RunState::Succeeded => {
            let message = run.message.as_deref().unwrap_or("Task executed successfully");
            return json(StatusCode::OK, &Succeeded { task_name: &name, success: true, message });
        }
        Ok(run) if !run.state.is_ended() => {
            as_error("the coordinator has ended; the run goes on, and its end will be known")
        }
        Ok(run) => {
            as_error(&run.message.unwrap_or_else(|| Clean::from(format!("the run was {}", run.state))))
        }
        Err(Refusal::NoTask(_)) => format!("Error: Unknown task: {name}"),
        Err(refusal @ Refusal::Storage(_)) => {
            return error(StatusCode::INTERNAL_SERVER_ERROR, &as_error(&refusal.to_string()));
        }
        Err(refusal) => as_error(&refusal.to_string()),
    };
    json(StatusCode::OK, &Failed { task_name: &name, success: false, error: error_text })
}

/// Schedules a task (again); one that is scheduled stays as it is.
pub(super) async fn start(
    State(api): State<Api>,
    name: Name,
    Extension(actor): Extension<Actor>,
) -> Response {
    let name = match name {
        Ok(Path(name)) => name,
        Err(rejection) => return undecodable(&rejection),
    };
    let sight = api.engine.seen_by(&actor);
    let Ok(task) = sight.task(&TaskId::new(&name)) else {
        let response = error(StatusCode::NOT_FOUND, &format!("Task {name} not found in configuration"));
        return noted(&api, Verb::Resume, &name, &actor, "there is no such task", response).await;
    };
    let started = message(format!("Task {name} started"));
    if sight.health().active.contains(&task.id) {
        return noted(&api, Verb::Resume, &name, &actor, "ok", started).await;
    }
    if task.schedule.is_none() {
        let response = error(StatusCode::CONFLICT, &format!("Task {name} has no schedule: trigger it"));
        return noted(&api, Verb::Resume, &name, &actor, "it has no schedule", response).await;
    }
    match api.engine.resume(&task.id, actor.clone()).await {
        Ok(()) => started,
        Err(refusal) => refused(refusal),
    }
}

/// What comes to nothing never gets to the engine: it is in the audit log all the same, before it is answered.
async fn noted(
    api: &Api,
    verb: Verb,
    task: &str,
    actor: &Actor,
    result: &str,
    response: Response,
) -> Response {
    let noted = api.engine.note_refused(verb.word(), task, "", actor, result.into());
    noted.await.map_or_else(refused, |()| response)
}

/// Stops scheduling a task; one that is not scheduled is not found.
pub(super) async fn stop(State(api): State<Api>, name: Name, Extension(actor): Extension<Actor>) -> Response {
    let name = match name {
        Ok(Path(name)) => name,
        Err(rejection) => return undecodable(&rejection),
    };
    let task = TaskId::new(&name);
    let not_found = || error(StatusCode::NOT_FOUND, &format!("Task {name} not found"));
    if !api.engine.seen_by(&actor).health().active.contains(&task) {
        return noted(&api, Verb::Pause, &name, &actor, "it is not scheduled", not_found()).await;
    }
    match api.engine.pause(&task, actor).await {
        Ok(()) => message(format!("Task {name} stopped")),
        Err(Refusal::NoTask(_)) => not_found(),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Response {
    failed(&Failure::from(refusal))
}

pub(super) async fn reload_config(State(api): State<Api>, Extension(actor): Extension<Actor>) -> Response {
    match api.engine.reload(actor).await {
        Ok(()) => message("Configuration reloaded successfully".to_owned()),
        Err(reload) => {
            let problems: Vec<&str> = reload.problems.iter().map(Clean::as_str).collect();
            error(
                StatusCode::INTERNAL_SERVER_ERROR,
                &format!("Error: Invalid task configuration for {}", problems.join("; ")),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_the_same_to_the_byte() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let render = |health: &HealthView| {
            serde_json::to_string(&Health {
                is_running: true,
                active_tasks: &health.active,
                last_run_times: &health.last_success,
                errors: &health.errors,
                problem: health.trouble.as_ref(),
            })
            .unwrap()
        };
        let mut health = HealthView {
            active: vec!["overdue-backup-check".into(), "audit-log-cleanup".into()],
            ..HealthView::default()
        };
        assert_eq!(
            render(&health),
            r#"{"isRunning":true,"activeTasks":["overdue-backup-check","audit-log-cleanup"],"lastRunTimes":{},"errors":{}}"#
        );
        health.last_success = vec![
            ("overdue-backup-check".into(), at("2026-11-20T07:01:02.709Z")),
            ("audit-log-cleanup".into(), at("2026-11-20T07:01:02.735999Z")),
        ];
        health.errors =
            vec![("a/b é".into(), "exit code 1".into()), ("nope".into(), "Error: Unknown".into())];
        assert_eq!(
            render(&health),
            "{\"isRunning\":true,\"activeTasks\":[\"overdue-backup-check\",\"audit-log-cleanup\"],\
             \"lastRunTimes\":{\"overdue-backup-check\":\"2026-11-20T07:01:02.709Z\",\
             \"audit-log-cleanup\":\"2026-11-20T07:01:02.735Z\"},\
             \"errors\":{\"a/b é\":\"Error: exit code 1\",\"nope\":\"Error: Unknown\"}}"
        );
    }

    #[test]
    fn validators_compare_weakly() {
        let tag = etag(b"body");
        assert!(tag.starts_with("W/\"4-") && tag.ends_with('"'), "{tag}");
        assert_ne!(tag, etag(b"tody"));
        let strong = tag.trim_start_matches("W/");
        for (value, expected) in [
            (tag.as_str(), true),
            (strong, true),
            ("*", true),
            (&format!("\"x\", {tag}"), true),
            ("\"x\"", false),
        ] {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().unwrap())]);
            assert_eq!(unchanged(&headers, &tag), expected, "{value}");
        }
        let forced = HeaderMap::from_iter([
            (header::IF_NONE_MATCH, tag.parse().unwrap()),
            (header::CACHE_CONTROL, "no-cache".parse().unwrap()),
        ]);
        assert!(!unchanged(&forced, &tag));
    }
}
