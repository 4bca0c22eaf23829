//! `/api/v1/tasks`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};

use crate::model::{Clean, Run, RunState, Scope, Task, TaskId};
use crate::wire::{Caller, Done, FieldProblem, PriorityRequest, Report, RunAccepted, TriggerRequest};

use super::super::engine::{Actor, Refusal};
use super::Api;
use super::extract::{Body, BodyOrDefault, Id};
use super::openapi::{Accepted, Located};
use super::problem::Failure;

/// Who asks, as this coordinator knows them.
pub(super) fn you(actor: &Actor) -> Caller {
    let teams = match &actor.scope {
        Scope::All => None,
        Scope::Teams(teams) => Some(teams.clone()),
    };
    Caller { name: actor.name.clone(), role: actor.role, teams }
}

pub(super) async fn one(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Task>, Failure> {
    let task = api.engine.seen_by(&actor).task(&TaskId::new(&id))?;
    Ok(Json(Arc::unwrap_or_clone(task)))
}

/// A JSON object with the fields of the task file.
type Object = serde_json::Map<String, serde_json::Value>;

/// 201 for a task that is on disk.
pub(super) async fn define(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Body(task): Body<Object>,
) -> Result<Located<Task>, Failure> {
    let id = api.engine.define(&task, false, actor.clone()).await?;
    defined(&api, &actor, &id, true)
}

/// Another definition for a task of the API, or a new task.
pub(super) async fn replace(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
    Body(mut task): Body<Object>,
) -> Result<Located<Task>, Failure> {
    let named = task.entry("id").or_insert_with(|| id.as_str().into());
    if *named != id.as_str() {
        let field = "id".to_owned();
        let detail = Clean::from(format!("the path says {id:?}: a task keeps its id"));
        return Err(Refusal::Invalid(vec![FieldProblem { field, detail }]).into());
    }
    let is_new = api.engine.view().tasks.get(id.as_str()).is_none();
    let id = api.engine.define(&task, true, actor.clone()).await?;
    defined(&api, &actor, &id, is_new)
}

fn defined(api: &Api, actor: &Actor, id: &TaskId, is_new: bool) -> Result<Located<Task>, Failure> {
    let task = api.engine.seen_by(actor).task(id)?;
    let location = format!("/api/v1/tasks/{}", id.as_raw());
    Ok(Located { location, is_new, body: Arc::unwrap_or_clone(task) })
}

/// What a task of the API was defined as.
pub(super) async fn definition(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Object>, Failure> {
    let id = TaskId::new(&id);
    api.engine.seen_by(&actor).owns(&id)?;
    if let Some(text) = api.engine.definition(&id).await? {
        let object = serde_json::from_str(&text).map_err(|error| Failure::bad_body(error.to_string()))?;
        return Ok(Json(object));
    }
    let known = api.engine.view().tasks.get(&id).is_some();
    let elsewhere =
        || Refusal::Conflict("it was not defined over the API: its definition is in tasks.toml".into());
    Err(if known { elsewhere() } else { Refusal::NoTask(id) }.into())
}

pub(super) async fn remove(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Done>, Failure> {
    api.engine.remove(&TaskId::new(&id), actor).await?;
    Ok(done(format!("{id} is no longer a task")))
}

pub(super) async fn archive(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Done>, Failure> {
    api.engine.archive(&TaskId::new(&id), actor).await?;
    Ok(done(format!("{id} is put away")))
}

pub(super) async fn trigger(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
    BodyOrDefault(request): BodyOrDefault<TriggerRequest>,
) -> Result<Accepted<RunAccepted>, Failure> {
    accepted(api.engine.trigger(&TaskId::new(&id), request.priority, actor).await?)
}

/// 202 for a run that is on disk.
pub(super) fn accepted(run: Run) -> Result<Accepted<RunAccepted>, Failure> {
    let Run { id, task, .. } = run;
    // The engine gives every run an id; one without could not be followed.
    let run = id.ok_or_else(|| {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "no-run-id",
            "the run has no id",
            format!("a run of {task} was started but has no id"),
        )
    })?;
    Ok(Accepted(RunAccepted { run, task }))
}

/// The longest `rid` of a report.
const MAX_RID: usize = 128;

pub(super) async fn report(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
    Body(report): Body<Report>,
) -> Result<Accepted<RunAccepted>, Failure> {
    let rid = &report.rid;
    if rid.is_empty() || rid.len() > MAX_RID || !rid.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::bad_body(format!("rid: it must have 1 to {MAX_RID} visible ASCII characters")));
    }
    let noted = api.engine.report(&TaskId::new(&id), report, actor).await?;
    accepted(Run { id: noted.run, ..Run::bare(noted.task, RunState::Running) })
}

pub(super) async fn pause(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Done>, Failure> {
    api.engine.pause(&TaskId::new(&id), actor).await?;
    Ok(done(format!("{id} is paused")))
}

pub(super) async fn resume(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Done>, Failure> {
    api.engine.resume(&TaskId::new(&id), actor).await?;
    Ok(done(format!("{id} is scheduled again")))
}

pub(super) async fn priority(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
    Body(request): Body<PriorityRequest>,
) -> Result<Json<Done>, Failure> {
    api.engine.reprioritise_task(&TaskId::new(&id), request.priority, actor).await?;
    Ok(done(format!("{id} has priority {}", request.priority)))
}

/// 200 with one line.
pub(super) fn done(message: String) -> Json<Done> {
    Json(Done { message: message.into() })
}
