//! `/api/v1/tasks`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};

use crate::model::{Run, RunState, Task, TaskId};
use crate::wire::{Done, PriorityRequest, Report, RunAccepted, Tasks, TriggerRequest};

use super::super::engine::{Actor, Refusal, RunFilter};
use super::Api;
use super::changes::Cursor;
use super::extract::{Body, BodyOrDefault, Id};
use super::problem::Failure;

/// How many of the newest runs come with all tasks.
const NEWEST_RUNS: usize = 200;

/// Everything, and the cursor to go on from. The cursor is taken first: what
/// changes while runs are read comes again with the next changes.
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Tasks>, Failure> {
    let view = api.engine.view();
    let newest = RunFilter { limit: NEWEST_RUNS, ..RunFilter::default() };
    let runs = api.engine.runs(newest).await?;
    Ok(Json(Tasks {
        cursor: Cursor { epoch: view.epoch, revision: view.revision }.to_string(),
        now: api.clock.now(),
        tasks: view.tasks.iter().map(|task| Task::clone(task)).collect(),
        queues: view.queues.clone(),
        alerts: view.alerts.clone(),
        runs,
        file_problems: view.file_problems.clone(),
    }))
}

pub(super) async fn one(State(api): State<Api>, Id(id): Id) -> Result<Json<Task>, Failure> {
    let view = api.engine.view();
    let found = view.tasks.iter().find(|task| task.id.as_raw() == id);
    Ok(Json(found.map(|task| Task::clone(task)).ok_or_else(|| Refusal::NoTask(TaskId::new(&id)))?))
}

pub(super) async fn trigger(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
    BodyOrDefault(request): BodyOrDefault<TriggerRequest>,
) -> Result<(StatusCode, Json<RunAccepted>), Failure> {
    accepted(api.engine.trigger(&TaskId::new(&id), request.priority, actor).await?)
}

/// 202 for a run that is on disk.
pub(super) fn accepted(run: Run) -> Result<(StatusCode, Json<RunAccepted>), Failure> {
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
    Ok((StatusCode::ACCEPTED, Json(RunAccepted { run, task })))
}

/// The longest `rid` of a report.
const MAX_RID: usize = 128;

pub(super) async fn report(
    State(api): State<Api>,
    Id(id): Id,
    Body(report): Body<Report>,
) -> Result<(StatusCode, Json<RunAccepted>), Failure> {
    let rid = &report.rid;
    if rid.is_empty() || rid.len() > MAX_RID || !rid.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::bad_body(format!("rid: it must have 1 to {MAX_RID} visible ASCII characters")));
    }
    let noted = api.engine.report(&TaskId::new(&id), report).await?;
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
