//! `/api/v1/runs`.

use axum::extract::State;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{Run, RunId, RunState, TaskId};
use crate::wire::{Done, Log, PriorityRequest, RunAccepted, Runs, Submission};

use super::super::engine::{Actor, LogPiece, RunFilter};
use super::Api;
use super::extract::{Body, Id, Params};
use super::openapi::Accepted;
use super::problem::Failure;
use super::tasks::{accepted, done};

/// How many runs a page has if nobody says.
const PAGE: usize = 50;
/// How many runs a page has at most, whatever is asked for.
const MAX_PAGE: usize = 500;
/// The size of a piece of a log, in bytes.
const LOG_PIECE: usize = 256 * 1024;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PageParams {
    task: Option<TaskId>,
    state: Option<RunState>,
    limit: Option<usize>,
    before: Option<RunId>,
}

/// A page, newest first. One more is read than shown: that tells whether there is a next page.
pub(super) async fn list(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Params(params): Params<PageParams>,
) -> Result<Json<Runs>, Failure> {
    let limit = within("limit", params.limit.unwrap_or(PAGE), MAX_PAGE)?;
    let filter = RunFilter {
        task: params.task,
        state: params.state,
        limit: limit + 1,
        before: params.before,
        of: None,
    };
    let mut runs = api.engine.seen_by(&actor).runs(filter).await?;
    let more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| more).and_then(|run| run.id.as_ref()).map(|id| id.as_raw().to_owned());
    Ok(Json(Runs { runs, next }))
}

/// Work that is wanted once.
pub(super) async fn submit(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Body(submission): Body<Submission>,
) -> Result<Accepted<RunAccepted>, Failure> {
    accepted(api.engine.submit(&submission, actor).await?)
}

/// At least 1; more than `most` is `most`.
pub(super) fn within(name: &str, count: usize, most: usize) -> Result<usize, Failure> {
    if count == 0 {
        return Err(Failure::bad_parameter(format!("{name}: it must be at least 1")));
    }
    Ok(count.min(most))
}

pub(super) async fn one(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Run>, Failure> {
    Ok(Json(api.engine.seen_by(&actor).run(&RunId::new(&id)).await?))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogParams {
    #[serde(default)]
    offset: u64,
}

pub(super) async fn log(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
    Params(params): Params<LogParams>,
) -> Result<Json<Log>, Failure> {
    let piece = api.engine.seen_by(&actor).log(&RunId::new(&id), params.offset, LOG_PIECE).await?;
    Ok(Json(readable(piece)))
}

/// A piece as text. A character that the end of the piece cuts in two is left
/// for the next piece, unless there will be none.
fn readable(piece: LogPiece) -> Log {
    let LogPiece { mut bytes, mut next_offset, dropped_bytes, complete } = piece;
    if !complete {
        let cut = bytes.utf8_chunks().last().map_or(0, |chunk| {
            let tail = chunk.invalid();
            // Only what could still become a character is an unfinished one.
            if std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none()) {
                tail.len()
            } else {
                0
            }
        });
        bytes.truncate(bytes.len() - cut);
        next_offset -= cut as u64;
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    Log { text, next_offset, dropped_bytes, complete }
}

pub(super) async fn retry(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
) -> Result<Accepted<RunAccepted>, Failure> {
    accepted(api.engine.retry(&RunId::new(&id), actor).await?)
}

pub(super) async fn cancel(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Done>, Failure> {
    let run = api.engine.cancel(&RunId::new(&id), actor).await?;
    Ok(done(if run.state.is_ended() {
        format!("run {id} of {} is {}", run.task, run.state)
    } else {
        format!("run {id} of {} is being ended", run.task)
    }))
}

pub(super) async fn priority(
    State(api): State<Api>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
    Body(request): Body<PriorityRequest>,
) -> Result<Json<Done>, Failure> {
    let run = api.engine.reprioritise_run(&RunId::new(&id), request.priority, actor).await?;
    Ok(done(format!("run {id} of {} has priority {}", run.task, request.priority)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8], complete: bool) -> (String, u64) {
        let piece = LogPiece {
            bytes: bytes.to_vec(),
            next_offset: 100 + bytes.len() as u64,
            dropped_bytes: 0,
            complete,
        };
        let log = readable(piece);
        (log.text, log.next_offset)
    }

    #[test]
    fn a_character_is_never_cut_in_two() {
        assert_eq!(text(b"done", false), ("done".to_owned(), 104));
        assert_eq!(text("café".as_bytes(), false), ("café".to_owned(), 105));
        assert_eq!(text(b"caf\xc3", false), ("caf".to_owned(), 103));
        assert_eq!(text(b"\xf0\x9f\x98", false), (String::new(), 100));
        assert_eq!(text(b"caf\xc3", true), ("caf\u{fffd}".to_owned(), 104));
        // Not the beginning of anything: replaced, or a reader would wait for ever.
        assert_eq!(text(b"a\xffb\xff", false), ("a\u{fffd}b\u{fffd}".to_owned(), 104));
        assert_eq!(text(b"", false), (String::new(), 100));
    }
}
