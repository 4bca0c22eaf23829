//! `GET /api/v1/tasks`: everything at once, a piece at a time so that it takes
//! no room beside the tasks themselves; with parameters, a page of what matches.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt as _, stream};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;

use crate::model::{Task, TaskId, TaskState};
use crate::wire::{TaskPage, Tasks};

use super::super::engine::{Actor, RunFilter, View};
use super::Api;
use super::changes::Cursor;
use super::extract::Params;
use super::openapi::{Answer, Operation};
use super::problem::Failure;
use super::runs::within;
use super::tasks::you;

/// How many of the newest runs come with all tasks.
const NEWEST_RUNS: usize = 200;
/// How many tasks a page has if nobody says.
const PAGE: usize = 100;
/// How many tasks a page has at most, whatever is asked for.
const MAX_PAGE: usize = 1_000;
/// Tasks that are written at once.
const PIECE: usize = 128;

#[derive(Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TasksParams {
    /// Words, commas between them.
    state: Option<String>,
    team: Option<String>,
    machine: Option<String>,
    q: Option<String>,
    limit: Option<usize>,
    after: Option<TaskId>,
}

/// All of [`Tasks`], or a [`TaskPage`].
#[derive(Debug)]
pub(super) struct Listed(Response);

impl IntoResponse for Listed {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answer for Listed {
    fn tell(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.either::<Tasks, TaskPage>("everything; with parameters, a page", schemas);
    }
}

/// Everything, and the cursor to go on from; or a page.
pub(super) async fn tasks(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Params(params): Params<TasksParams>,
) -> Result<Listed, Failure> {
    let view = api.engine.view();
    if params != TasksParams::default() {
        return Ok(Listed(Json(page(&api, &view, &actor, &params)?).into_response()));
    }
    // The cursor is of the view: what changes while runs are read comes again with the next changes.
    let newest = RunFilter { limit: NEWEST_RUNS, ..RunFilter::default() };
    let runs = api.engine.seen_by(&actor).runs(newest).await?;
    let rest = Tasks {
        cursor: Cursor { epoch: view.epoch, revision: view.revision }.to_string(),
        now: api.clock.now(),
        tasks: Vec::new(),
        queues: actor.queues(&view),
        alerts: actor.alerts(&view),
        runs,
        file_problems: actor.file_problems(&view),
        you: Some(you(&actor)),
    };
    let body = Body::from_stream(pieces(view, actor, &rest).map(Ok::<_, Infallible>));
    Ok(Listed(([(header::CONTENT_TYPE, "application/json")], body).into_response()))
}

fn page(api: &Api, view: &View, actor: &Actor, params: &TasksParams) -> Result<TaskPage, Failure> {
    let limit = within("limit", params.limit.unwrap_or(PAGE), MAX_PAGE)?;
    let wanted = Wanted::new(params)?;
    let from = match &params.after {
        Some(after) => view.tasks.after(after),
        None => view.tasks.iter(),
    };
    // One more than is shown tells whether there is a next page.
    let theirs = |task: &&Arc<Task>| actor.sees(task) && wanted.fits(task);
    let mut tasks: Vec<&Arc<Task>> = from.filter(theirs).take(limit + 1).collect();
    let more = tasks.len() > limit;
    tasks.truncate(limit);
    let next = tasks.last().filter(|_| more).map(|task| task.id.clone());
    Ok(TaskPage {
        now: api.clock.now(),
        tasks: tasks.into_iter().map(|task| Arc::unwrap_or_clone(actor.read(view, task))).collect(),
        next,
    })
}

/// What a page is of.
#[derive(Debug)]
struct Wanted<'a> {
    states: Vec<TaskState>,
    team: Option<&'a str>,
    machine: Option<&'a str>,
    /// In lower case.
    text: Option<String>,
}

impl<'a> Wanted<'a> {
    fn new(params: &'a TasksParams) -> Result<Self, Failure> {
        let words = params.state.iter().flat_map(|words| words.split(','));
        let states = words.map(|word| {
            word.parse().map_err(|_| {
                let all: Vec<&str> = TaskState::ALL.iter().map(|state| state.word()).collect();
                Failure::bad_parameter(format!("state: {word:?} is not one of {}", all.join(", ")))
            })
        });
        Ok(Self {
            states: states.collect::<Result<_, _>>()?,
            team: params.team.as_deref(),
            machine: params.machine.as_deref(),
            text: params.q.as_ref().map(|text| text.to_lowercase()),
        })
    }

    fn fits(&self, task: &Task) -> bool {
        let of_state = self.states.is_empty() || task.state.is_some_and(|state| self.states.contains(&state));
        let same = |wanted: Option<&str>, is: Option<&str>| wanted.is_none_or(|wanted| is == Some(wanted));
        of_state
            && same(self.team, task.team.as_deref())
            && same(self.machine, task.machine.as_deref())
            && self.text.as_ref().is_none_or(|text| {
                contains(task.id.as_raw(), text)
                    || contains(task.name.as_str(), text)
                    || task.description.as_ref().is_some_and(|words| contains(words.as_str(), text))
            })
    }
}

/// Whether a text contains another that is in lower case.
fn contains(text: &str, lower: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(lower);
    }
    let (text, lower) = (text.as_bytes(), lower.as_bytes());
    let Some(first) = lower.first() else { return true };
    let upper = first.to_ascii_uppercase();
    // Compared only where it may begin.
    let begins = |part: &[u8]| part.first().is_some_and(|byte| byte == first || *byte == upper);
    text.windows(lower.len()).any(|part| begins(part) && part.eq_ignore_ascii_case(lower))
}

/// The answer `rest` with the tasks of the view in their place.
fn pieces(view: Arc<View>, actor: Actor, rest: &Tasks) -> impl stream::Stream<Item = Bytes> + use<> {
    const PLACE: &str = "\"tasks\":[";
    // Writing to memory does not fail.
    let whole = serde_json::to_string(rest).unwrap_or_default();
    let (head, tail) = whole.split_at(whole.find(PLACE).map_or(whole.len(), |at| at + PLACE.len()));
    let head = stream::iter([Bytes::copy_from_slice(head.as_bytes())]);
    let tail = stream::iter([Bytes::copy_from_slice(tail.as_bytes())]);
    let tasks =
        stream::unfold((view, actor, None::<TaskId>, true), async |(view, actor, last, mut first)| {
            let mut bytes = Vec::new();
            let mut newest = None;
            let from = match &last {
                Some(last) => view.tasks.after(last),
                None => view.tasks.iter(),
            };
            for task in from.filter(|task| actor.sees(task)).take(PIECE) {
                if !std::mem::take(&mut first) {
                    bytes.push(b',');
                }
                let _ = serde_json::to_writer(&mut bytes, &actor.read(&view, task));
                newest = Some(task.id.clone());
            }
            // The tasks of others have their turn.
            tokio::task::yield_now().await;
            newest.map(|newest| (Bytes::from(bytes), (view, actor, Some(newest), first)))
        });
    head.chain(tasks).chain(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_whatever_their_case() {
        for (text, part, found) in [
            ("Nightly dump", "DUMP", true),
            ("Nightly dump", "dumps", false),
            ("", "a", false),
            ("a", "", true),
            ("", "", true),
            ("aab", "AB", true),
            ("nightly", "lyx", false),
            ("night é", "\u{e9}", true),
            ("night", "\u{e9}", false),
            ("Été à Paris", "ÉTÉ", true),
            ("Été", "ete", false),
        ] {
            assert_eq!(contains(text, &part.to_lowercase()), found, "{text:?} {part:?}");
        }
    }

    #[test]
    fn a_state_that_is_none_is_named_with_those_that_are() {
        let params = TasksParams { state: Some("late,lost".into()), ..TasksParams::default() };
        let failure = Wanted::new(&params).unwrap_err();
        assert!(failure.detail().contains("\"lost\" is not one of") && failure.detail().contains("absent"));
        let params = TasksParams { state: Some("late,absent".into()), ..TasksParams::default() };
        assert_eq!(Wanted::new(&params).unwrap().states, [TaskState::Late, TaskState::Absent]);
    }
}
