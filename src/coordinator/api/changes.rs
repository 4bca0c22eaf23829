//! `/api/v1/changes`: what changed since a cursor, at once or as soon as something does.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{Scope, Task};
use crate::wire::Changes;

use super::super::engine::{Actor, ChangesSince};
use super::super::tokens::Token;
use super::Api;
use super::extract::Params;
use super::problem::Failure;

/// The longest wait for a change, in seconds.
const MAX_WAIT_S: u64 = 60;

/// A place in the order of changes of one coordinator's life. Opaque to callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Which life.
    pub(super) epoch: u64,
    /// How far.
    pub(super) revision: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.revision)
    }
}

impl FromStr for Cursor {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let read = || {
            let (epoch, revision) = text.split_once('-')?;
            Some(Self { epoch: u64::from_str_radix(epoch, 16).ok()?, revision: revision.parse().ok()? })
        };
        read().ok_or_else(|| Failure::bad_parameter(format!("since: {text:?} is not a cursor of this API")))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangesParams {
    since: String,
    #[serde(default)]
    wait_s: u64,
}

/// Answers as soon as there is a change, after `wait_s`, or when the coordinator closes.
pub(super) async fn since(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    token: Option<Extension<Arc<Token>>>,
    Params(params): Params<ChangesParams>,
) -> Result<Json<Changes>, Failure> {
    let from: Cursor = params.since.parse()?;
    if params.wait_s > MAX_WAIT_S {
        return Err(Failure::bad_parameter(format!(
            "wait_s: it must be at most {MAX_WAIT_S}, not {}",
            params.wait_s
        )));
    }
    // Subscribed before the first look, so that no change falls between.
    let mut revisions = api.engine.revisions();
    let mut changes = look(&api, &actor, from)?;
    if params.wait_s > 0 && changes.revision == from.revision {
        let _room = api.waiting.try_acquire().map_err(|_| {
            Failure::busy("too many callers wait for changes; ask again without wait_s, or later")
        })?;
        let _own_room = match &token {
            None => None,
            Some(Extension(token)) => Some(token.wait().ok_or_else(|| {
                Failure::busy("too many calls with this token wait; ask again without wait_s, or later")
            })?),
        };
        let moved = async {
            let mut seen = from.revision;
            // An error means that the engine has ended: what is known is the answer.
            while revisions.wait_for(|revision| *revision > seen).await.is_ok() {
                seen = *revisions.borrow_and_update();
                // Others' changes are no news to whoever does not see them.
                if actor.scope == Scope::All || matters(&look(&api, &actor, from)) {
                    return;
                }
            }
        };
        tokio::select! {
            () = moved => {}
            () = tokio::time::sleep(Duration::from_secs(params.wait_s)) => {}
            () = api.closing.cancelled() => {}
        }
        changes = look(&api, &actor, from)?;
    }
    Ok(Json(answer(&api, &actor, from.epoch, changes)))
}

/// Whether there is something to tell.
fn matters(found: &Result<ChangesSince, Failure>) -> bool {
    found.as_ref().map_or(true, |changes| !changes.tells_nothing())
}

/// What is known after `from`.
fn look(api: &Api, actor: &Actor, from: Cursor) -> Result<ChangesSince, Failure> {
    let view = api.engine.view();
    let known = view.epoch == from.epoch && from.revision <= view.revision;
    known.then(|| api.engine.seen_by(actor).since(from.revision)).flatten().ok_or_else(|| {
        Failure::new(
            StatusCode::GONE,
            "cursor-too-old",
            "the cursor is too old",
            "what changed since is no longer known: read /api/v1/tasks and go on from its cursor".to_owned(),
        )
    })
}

fn answer(api: &Api, actor: &Actor, epoch: u64, changes: ChangesSince) -> Changes {
    Changes {
        cursor: Cursor { epoch, revision: changes.revision }.to_string(),
        now: api.clock.now(),
        tasks: changes.tasks.iter().map(|task| Task::clone(task)).collect(),
        gone: changes.tasks_gone,
        runs: changes.runs,
        queues: changes.queues,
        queues_gone: changes.queues_gone,
        alerts: changes.alerts,
        alerts_gone: changes.alerts_gone,
        file_problems: actor.file_problems(&api.engine.view()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back() {
        for cursor in [
            Cursor { epoch: 0, revision: 0 },
            Cursor { epoch: u64::MAX, revision: 17 },
            Cursor { epoch: 0xbeef, revision: u64::MAX },
        ] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", "-", "1", "x-1", "1-x", "1-1-1", "1--1"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
