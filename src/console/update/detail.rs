//! The open detail: tabs, the cursor over runs, what is fetched for it.

use chrono::{DateTime, Utc};

use crate::fleet::{Delta, Fleet};
use crate::model::{Clean, EndpointName, Run, RunId, Severity, TaskId, TaskKey};

use super::super::effect::Effect;
use super::super::state::{About, Detail, DetailTab, State};
use super::super::{layout, trace as traces};
use super::navigate::Motion;
use super::{log, message, trace};

/// So many runs are fetched for the history.
pub(super) const RUNS_FETCHED: usize = 200;
/// Lines above the runs in the history.
const HISTORY_HEAD: usize = 2;
/// No summary has more lines.
const SUMMARY_LINES: usize = 64;

/// Opens the detail of a task, and fetches its runs; or that of an endpoint.
pub(super) fn open(state: &mut State, fleet: &Fleet, about: About) -> Vec<Effect> {
    if !is_known(fleet, &about) {
        message::say(state, Severity::Warning, format!("{about} is gone"));
        return Vec::new();
    }
    let mut detail = Detail::new(about);
    detail.seen_end = last_end(fleet, &detail.about);
    let effects = fetch_runs(&mut detail).into_iter().collect();
    state.detail = Some(detail);
    state.dirty = true;
    effects
}

fn is_known(fleet: &Fleet, about: &About) -> bool {
    match about {
        About::Task(key) => fleet.task(key).is_some(),
        About::Endpoint(endpoint) => fleet.endpoint(endpoint).is_some(),
    }
}

/// When the newest ended run that is known had ended.
fn last_end(fleet: &Fleet, about: &About) -> Option<DateTime<Utc>> {
    fleet.task(about.task()?)?.task.last_run.as_ref()?.ended
}

fn fetch_runs(detail: &mut Detail) -> Option<Effect> {
    let TaskKey { endpoint, task } = detail.about.task()?.clone();
    detail.runs_loading = true;
    Some(Effect::FetchRuns { endpoint, task: Some(task), limit: RUNS_FETCHED })
}

/// Puts the history's cursor on a run.
pub(super) fn choose(state: &mut State, fleet: &Fleet, run: Option<RunId>) {
    if let Some(detail) = &mut state.detail {
        detail.run = run;
        keep_in_view(state, fleet);
    }
}

/// The known runs of the open detail, newest first.
pub(super) fn runs<'a>(fleet: &'a Fleet, detail: &Detail) -> Vec<&'a Run> {
    detail.about.task().map(|key| fleet.runs_of(key)).unwrap_or_default()
}

/// The row of the history that the cursor is on: the newest, unless another was chosen.
fn cursor(detail: &Detail, runs: &[&Run]) -> usize {
    let chosen = detail.run.as_ref();
    chosen.and_then(|id| runs.iter().position(|run| run.id.as_ref() == Some(id))).unwrap_or(0)
}

/// How many lines of a tab are seen at once.
pub(super) fn page(state: &State, tab: DetailTab) -> usize {
    let rows = layout::detail_rows(state.width, state.height);
    let head = if tab == DetailTab::History { HISTORY_HEAD } else { 0 };
    rows.saturating_sub(head).max(1)
}

/// How many lines the trace that is shown has.
fn trace_lines(state: &State, detail: &Detail) -> usize {
    let cells = layout::detail_cells(state.width, state.height);
    let told = detail.trace.as_ref().and_then(|trace| trace.told.as_ref());
    told.map_or(0, |told| traces::lines(told, cells, state.now, &state.look).len())
}

/// Moves within the detail: over the runs in the history, else through the lines.
pub(super) fn go(state: &mut State, fleet: &Fleet, motion: Motion) {
    let Some(detail) = &state.detail else { return };
    let page = page(state, detail.tab);
    match detail.tab {
        DetailTab::History => {
            let runs = runs(fleet, detail);
            let to = motion.apply(cursor(detail, &runs), runs.len(), page);
            let run = runs.get(to).and_then(|run| run.id.clone());
            choose(state, fleet, run);
            state.dirty = true;
        }
        DetailTab::Summary => {
            // How long it is, only its drawing knows: it shows the end where this goes beyond.
            let top = motion.apply(detail.top, usize::from(u16::MAX), page);
            scroll(state, top.min(SUMMARY_LINES.saturating_sub(page)));
        }
        DetailTab::Trace => {
            let last_top = trace_lines(state, detail).saturating_sub(page);
            let top = motion.apply(detail.top.min(last_top), last_top + 1, page);
            scroll(state, top);
        }
        DetailTab::Log => log::go(state, motion),
    }
}

pub(super) fn scroll(state: &mut State, top: usize) {
    if let Some(detail) = &mut state.detail
        && detail.top != top
    {
        detail.top = top;
        state.dirty = true;
    }
}

/// Keeps the chosen run of the history, or the end of a followed log, in view.
pub(super) fn keep_in_view(state: &mut State, fleet: &Fleet) {
    let Some(detail) = &state.detail else { return };
    let page = page(state, detail.tab);
    let top = match detail.tab {
        DetailTab::Summary => return,
        DetailTab::History => {
            let runs = runs(fleet, detail);
            layout::window(detail.top, Some(cursor(detail, &runs)), runs.len(), page)
        }
        DetailTab::Trace => detail.top.min(trace_lines(state, detail).saturating_sub(page)),
        DetailTab::Log => match &detail.log {
            Some(log) if log.follow => log.lines.len().saturating_sub(page),
            Some(log) => detail.top.min(log.lines.len().saturating_sub(page)),
            None => 0,
        },
    };
    scroll(state, top);
}

/// The tab beside the current one, round and round.
pub(super) fn next_tab(state: &mut State, fleet: &Fleet, forward: bool) -> Vec<Effect> {
    let Some(detail) = &state.detail else { return Vec::new() };
    let all = detail.tabs();
    let at = all.iter().position(|&tab| tab == detail.tab).unwrap_or(0);
    let steps = if forward { 1 } else { all.len() - 1 };
    show_tab(state, fleet, all[(at + steps) % all.len()])
}

/// Shows a tab; log and trace are asked for when they are looked at.
pub(super) fn show_tab(state: &mut State, fleet: &Fleet, tab: DetailTab) -> Vec<Effect> {
    let Some(detail) = &mut state.detail else { return Vec::new() };
    detail.tab = tab;
    detail.top = 0;
    state.dirty = true;
    let effects = match tab {
        DetailTab::Log => log::read(state, fleet),
        DetailTab::Trace => trace::look(state, fleet).into_iter().collect(),
        DetailTab::Summary | DetailTab::History => Vec::new(),
    };
    keep_in_view(state, fleet);
    effects
}

/// Enter within the detail: on to the history, from there to the log of the
/// run; from an endpoint's to the list of its tasks.
pub(super) fn enter(state: &mut State, fleet: &Fleet) -> Vec<Effect> {
    let Some(detail) = &state.detail else { return Vec::new() };
    match (&detail.about, detail.tab) {
        (About::Endpoint(endpoint), DetailTab::Summary) => {
            let endpoint = endpoint.clone();
            super::navigate::show_tasks_of(state, fleet, &endpoint)
        }
        (About::Task(_), DetailTab::Summary) => show_tab(state, fleet, DetailTab::History),
        (About::Task(_), DetailTab::History) => show_tab(state, fleet, DetailTab::Log),
        _ => Vec::new(),
    }
}

/// Reads again what could not be read.
pub(super) fn refresh(state: &mut State, fleet: &Fleet) -> Vec<Effect> {
    let now = state.now;
    let Some(detail) = &mut state.detail else { return Vec::new() };
    let mut effects = Vec::new();
    if !detail.runs_loading {
        effects.extend(fetch_runs(detail));
    }
    log::forgive(detail);
    match detail.tab {
        DetailTab::Log => effects.extend(log::ask(detail, now)),
        DetailTab::Trace => effects.extend(trace::ask(detail, fleet, true)),
        DetailTab::Summary | DetailTab::History => {}
    }
    state.dirty = true;
    effects
}

/// The fleet has changed: closes the detail of what is gone, and fetches
/// the history again when a run has ended.
pub(super) fn settle(state: &mut State, fleet: &Fleet, delta: &Delta) -> Vec<Effect> {
    let Some(detail) = &mut state.detail else { return Vec::new() };
    let went = detail.about.task().is_some_and(|key| delta.gone.contains(key));
    if went || !is_known(fleet, &detail.about) {
        let about = state.detail.take().map(|detail| detail.about.to_string()).unwrap_or_default();
        message::say(state, Severity::Warning, format!("{about} is gone"));
        return Vec::new();
    }
    let mut effects: Vec<Effect> = fetch_ended(detail, fleet).into_iter().collect();
    trace::outdate(detail, delta);
    if detail.tab == DetailTab::Log && detail.log.is_none() {
        effects.extend(log::read(state, fleet));
    }
    keep_in_view(state, fleet);
    effects
}

/// Fetches the history again if a run has ended since; not while it is on its way.
fn fetch_ended(detail: &mut Detail, fleet: &Fleet) -> Option<Effect> {
    let ended = last_end(fleet, &detail.about);
    if ended == detail.seen_end || detail.runs_loading {
        return None;
    }
    detail.seen_end = ended;
    fetch_runs(detail)
}

/// The history has come.
pub(super) fn runs_came(
    state: &mut State,
    fleet: &Fleet,
    endpoint: &EndpointName,
    task: Option<&TaskId>,
    error: Option<Clean>,
) -> Vec<Effect> {
    let Some(detail) = &mut state.detail else { return Vec::new() };
    let of_it = |key: &TaskKey| key.endpoint == *endpoint && Some(&key.task) == task;
    if !detail.about.task().is_some_and(of_it) {
        return Vec::new();
    }
    detail.runs_loading = false;
    detail.runs_error = error;
    state.dirty = true;
    let mut effects: Vec<Effect> = fetch_ended(detail, fleet).into_iter().collect();
    if detail.tab == DetailTab::Log && detail.log.is_none() {
        effects.extend(log::read(state, fleet));
    }
    keep_in_view(state, fleet);
    effects
}
