//! What operators say of alerts: `/api/v1/tasks/{id}/acknowledge`, `/snooze` and
//! `/silence`, and `/api/v1/silences`.

use axum::extract::State;
use axum::{Extension, Json};

use crate::model::TaskId;
use crate::wire::{Acknowledge, Done, Matcher, NewSilence, PutOff, Silence, SilencePreview, Silences};

use super::super::engine::Actor;
use super::Api;
use super::extract::{Body, BodyOrDefault, Id, Params};
use super::openapi::Created;
use super::problem::Failure;
use super::tasks::done;

pub(super) async fn acknowledge(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
    BodyOrDefault(wish): BodyOrDefault<Acknowledge>,
) -> Result<Json<Done>, Failure> {
    let who = actor.name.clone();
    api.engine.acknowledge(&TaskId::new(&id), wish.note, actor).await?;
    Ok(done(format!("the open alerts of {id} are taken by {who}")))
}

pub(super) async fn snooze(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
    BodyOrDefault(wish): BodyOrDefault<PutOff>,
) -> Result<Json<Done>, Failure> {
    let until = wish.until.map(|until| format!("until {}, or ", until.format("%Y-%m-%d %H:%M UTC")));
    api.engine.snooze(&TaskId::new(&id), wish, actor).await?;
    Ok(done(format!("the alerts of {id} are put off {}until its next good run", until.unwrap_or_default())))
}

pub(super) async fn silence_task(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
    BodyOrDefault(wish): BodyOrDefault<PutOff>,
) -> Result<Json<Done>, Failure> {
    let until = wish.until.map_or_else(
        || "for an hour".to_owned(),
        |until| format!("until {}", until.format("%Y-%m-%d %H:%M UTC")),
    );
    api.engine.silence_task(&TaskId::new(&id), wish, actor).await?;
    Ok(done(format!("the alerts of {id} are silenced {until}")))
}

pub(super) async fn list(State(api): State<Api>, Extension(actor): Extension<Actor>) -> Json<Silences> {
    Json(Silences { silences: actor.silences(&api.engine.view()) })
}

/// What a silence would do.
pub(super) async fn preview(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Params(matcher): Params<Matcher>,
) -> Result<Json<SilencePreview>, Failure> {
    if matcher == Matcher::default() {
        return Err(Failure::bad_parameter("name a task, a team, a machine or a kind".to_owned()));
    }
    Ok(Json(actor.silence_preview(&api.engine.view(), &matcher)))
}

pub(super) async fn silence(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Body(wish): Body<NewSilence>,
) -> Result<Created<Silence>, Failure> {
    Ok(Created(api.engine.silence(wish, actor).await?))
}

pub(super) async fn end(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Done>, Failure> {
    api.engine.end_silence(&id, actor).await?;
    Ok(done(format!("the silence {id} is over")))
}
