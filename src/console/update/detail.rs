//! The open detail: tabs, the cursor over runs, reading and following a log.

use chrono::{DateTime, TimeDelta, Utc};

use crate::fleet::{Delta, Fleet};
use crate::model::{Clean, EndpointName, LogOf, Run, RunId, RunState, Severity, TaskId, TaskKey};

use super::super::effect::Effect;
use super::super::layout;
use super::super::msg::LogPiece;
use super::super::state::{Detail, DetailTab, LogState, State};
use super::message;
use super::navigate::Motion;

/// So many runs are fetched for the history.
pub(super) const RUNS_FETCHED: usize = 200;
/// Lines above the runs in the history.
const HISTORY_HEAD: usize = 2;
/// No summary has more lines.
const SUMMARY_LINES: usize = 64;
/// The pause before more of a log is asked for.
const PAUSE: TimeDelta = TimeDelta::milliseconds(500);
/// A piece of so many bytes was cut by its limit, not by the log's end: the next is asked for at once.
const LARGE_PIECE: usize = 16 * 1024;

/// Opens the detail of a task, and fetches its runs.
pub(super) fn open(state: &mut State, fleet: &Fleet, key: TaskKey) -> Vec<Effect> {
    if fleet.task(&key).is_none() {
        message::say(state, Severity::Warning, format!("{key} is gone"));
        return Vec::new();
    }
    let mut detail = Detail::new(key);
    detail.seen_end = last_end(fleet, &detail.key);
    let effect = fetch_runs(&mut detail);
    state.detail = Some(detail);
    state.dirty = true;
    vec![effect]
}

/// When the newest ended run that is known had ended.
fn last_end(fleet: &Fleet, key: &TaskKey) -> Option<DateTime<Utc>> {
    fleet.task(key)?.task.last_run.as_ref()?.ended
}

fn fetch_runs(detail: &mut Detail) -> Effect {
    detail.runs_loading = true;
    let TaskKey { endpoint, task } = detail.key.clone();
    Effect::FetchRuns { endpoint, task: Some(task), limit: RUNS_FETCHED }
}

/// Puts the history's cursor on a run.
pub(super) fn choose(state: &mut State, fleet: &Fleet, run: Option<RunId>) {
    if let Some(detail) = &mut state.detail {
        detail.run = run;
        keep_run_in_view(state, fleet);
    }
}

/// The runs with ids of the open detail, newest first: those that the cursor can be on.
fn runs<'a>(fleet: &'a Fleet, key: &TaskKey) -> Vec<&'a Run> {
    fleet.runs_of(key)
}

/// The row of the history that the cursor is on: the newest, unless another was chosen.
fn cursor(detail: &Detail, runs: &[&Run]) -> usize {
    let chosen = detail.run.as_ref();
    chosen.and_then(|id| runs.iter().position(|run| run.id.as_ref() == Some(id))).unwrap_or(0)
}

/// How many lines of the current tab are seen at once.
fn page(state: &State, tab: DetailTab) -> usize {
    let rows = layout::detail_rows(state.width, state.height);
    let head = if tab == DetailTab::History { HISTORY_HEAD } else { 0 };
    rows.saturating_sub(head).max(1)
}

/// Moves within the detail: over the runs in the history, else through the lines.
pub(super) fn go(state: &mut State, fleet: &Fleet, motion: Motion) {
    let Some(detail) = &state.detail else { return };
    let page = page(state, detail.tab);
    match detail.tab {
        DetailTab::History => {
            let runs = runs(fleet, &detail.key);
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
        DetailTab::Log => {
            let lines = detail.log.as_ref().map_or(0, |log| log.lines.len());
            let last_top = lines.saturating_sub(page);
            let top = motion.apply(detail.top.min(last_top), last_top + 1, page);
            if let Some(log) = state.detail.as_mut().and_then(|detail| detail.log.as_mut()) {
                log.follow = motion == Motion::Last || (log.follow && top == last_top);
            }
            scroll(state, top);
        }
    }
}

fn scroll(state: &mut State, top: usize) {
    if let Some(detail) = &mut state.detail
        && detail.top != top
    {
        detail.top = top;
        state.dirty = true;
    }
}

/// Keeps the chosen run of the history, or the end of a followed log, in view.
pub(super) fn keep_run_in_view(state: &mut State, fleet: &Fleet) {
    let Some(detail) = &state.detail else { return };
    let page = page(state, detail.tab);
    let top = match detail.tab {
        DetailTab::Summary => return,
        DetailTab::History => {
            let runs = runs(fleet, &detail.key);
            layout::window(detail.top, Some(cursor(detail, &runs)), runs.len(), page)
        }
        DetailTab::Log => match &detail.log {
            Some(log) if log.follow => log.lines.len().saturating_sub(page),
            Some(log) => detail.top.min(log.lines.len().saturating_sub(page)),
            None => 0,
        },
    };
    scroll(state, top);
}

/// The tab beside the current one, round and round.
pub(super) fn next_tab(state: &mut State, fleet: &Fleet, steps: usize) -> Vec<Effect> {
    let Some(detail) = &state.detail else { return Vec::new() };
    let all = DetailTab::ALL;
    let at = all.iter().position(|&tab| tab == detail.tab).unwrap_or(0);
    show_tab(state, fleet, all[(at + steps) % all.len()])
}

/// Shows a tab; the log is asked for when it is first looked at.
pub(super) fn show_tab(state: &mut State, fleet: &Fleet, tab: DetailTab) -> Vec<Effect> {
    let Some(detail) = &mut state.detail else { return Vec::new() };
    detail.tab = tab;
    detail.top = 0;
    state.dirty = true;
    let effects = if tab == DetailTab::Log { read_log(state, fleet) } else { Vec::new() };
    keep_run_in_view(state, fleet);
    effects
}

/// Enter within the detail: on to the history, from there to the log of the run.
pub(super) fn enter(state: &mut State, fleet: &Fleet) -> Vec<Effect> {
    match state.detail.as_ref().map(|detail| detail.tab) {
        Some(DetailTab::Summary) => show_tab(state, fleet, DetailTab::History),
        Some(DetailTab::History) => show_tab(state, fleet, DetailTab::Log),
        Some(DetailTab::Log) | None => Vec::new(),
    }
}

/// Opens the log of `run`, or of the newest or running run, of a task.
pub(super) fn open_log(state: &mut State, fleet: &Fleet, key: TaskKey, run: Option<RunId>) -> Vec<Effect> {
    let mut effects = Vec::new();
    if state.detail.as_ref().is_none_or(|detail| detail.key != key) {
        effects = open(state, fleet, key);
        choose(state, fleet, run);
    }
    effects.extend(show_tab(state, fleet, DetailTab::Log));
    effects
}

/// The run whose log is looked at: the chosen one, else the one that runs, else the newest.
fn logged_run(detail: &Detail, fleet: &Fleet) -> Option<RunId> {
    if detail.run.is_some() {
        return detail.run.clone();
    }
    let row = fleet.task(&detail.key)?;
    let active = &row.task.active_runs;
    let running = active.iter().filter(|run| run.state == RunState::Running).find_map(|run| run.id.clone());
    let newest = || runs(fleet, &detail.key).into_iter().find_map(|run| run.id.clone());
    let last = || row.task.last_run.as_ref().and_then(|run| run.id.clone());
    running.or_else(newest).or_else(last).or_else(|| active.iter().find_map(|run| run.id.clone()))
}

/// Begins the log of the run that is looked at, unless it is already being read.
fn read_log(state: &mut State, fleet: &Fleet) -> Vec<Effect> {
    let now = state.now;
    let Some(detail) = &mut state.detail else { return Vec::new() };
    let Some(run) = logged_run(detail, fleet) else {
        detail.log = None;
        return Vec::new();
    };
    if detail.log.as_ref().is_none_or(|log| log.run != run) {
        detail.log = Some(LogState::new(run));
    }
    ask(detail, now).into_iter().collect()
}

/// Asks for the next piece, unless one is on its way or none will follow.
fn ask(detail: &mut Detail, now: DateTime<Utc>) -> Option<Effect> {
    let log = detail.log.as_mut()?;
    if log.loading || log.complete {
        return None;
    }
    log.loading = true;
    log.asked = Some(now);
    let endpoint = detail.key.endpoint.clone();
    let of = LogOf::Run { task: detail.key.task.clone(), run: log.run.clone() };
    Some(Effect::FetchLog { endpoint, of, offset: log.next_offset })
}

/// The log that is on the screen.
pub(super) fn shown_log(state: &State) -> Option<&LogState> {
    state.detail.as_ref().filter(|detail| detail.tab == DetailTab::Log)?.log.as_ref()
}

/// When the next piece of the log on the screen is to be asked for.
pub(super) fn next_ask(state: &State) -> Option<DateTime<Utc>> {
    let log = shown_log(state).filter(|log| !log.loading && !log.complete && log.error.is_none())?;
    Some(log.asked? + PAUSE)
}

/// Asks for the next piece if it is time.
pub(super) fn tick(state: &mut State) -> Vec<Effect> {
    if next_ask(state).is_none_or(|at| at > state.now) {
        return Vec::new();
    }
    let now = state.now;
    state.detail.as_mut().and_then(|detail| ask(detail, now)).into_iter().collect()
}

/// Turns following on or off.
pub(super) fn follow(state: &mut State, fleet: &Fleet) -> Vec<Effect> {
    let now = state.now;
    let Some(detail) = &mut state.detail else { return Vec::new() };
    let Some(log) = &mut detail.log else { return Vec::new() };
    log.follow = !log.follow;
    log.error = None;
    let effects = ask(detail, now).into_iter().collect();
    state.dirty = true;
    keep_run_in_view(state, fleet);
    effects
}

/// Reads again what could not be read.
pub(super) fn refresh(state: &mut State) -> Vec<Effect> {
    let now = state.now;
    let Some(detail) = &mut state.detail else { return Vec::new() };
    let mut effects = Vec::new();
    if !detail.runs_loading {
        effects.push(fetch_runs(detail));
    }
    if let Some(log) = &mut detail.log {
        log.error = None;
    }
    if detail.tab == DetailTab::Log {
        effects.extend(ask(detail, now));
    }
    state.dirty = true;
    effects
}

/// The endpoint answers again: a log that could not be read is asked for once more.
pub(super) fn recovered(state: &mut State, endpoint: &EndpointName) -> Vec<Effect> {
    let now = state.now;
    let Some(detail) = state.detail.as_mut().filter(|detail| detail.key.endpoint == *endpoint) else {
        return Vec::new();
    };
    let failed = detail.log.as_ref().is_some_and(|log| log.error.is_some());
    if failed && detail.tab == DetailTab::Log { ask(detail, now).into_iter().collect() } else { Vec::new() }
}

/// The fleet has changed: closes the detail of a task that is gone, and
/// fetches the history again when a run has ended.
pub(super) fn settle(state: &mut State, fleet: &Fleet, delta: &Delta) -> Vec<Effect> {
    let Some(detail) = &mut state.detail else { return Vec::new() };
    if delta.gone.contains(&detail.key) || fleet.task(&detail.key).is_none() {
        let key = state.detail.take().map(|detail| detail.key.to_string()).unwrap_or_default();
        message::say(state, Severity::Warning, format!("{key} is gone"));
        return Vec::new();
    }
    let mut effects: Vec<Effect> = fetch_ended(detail, fleet).into_iter().collect();
    if detail.tab == DetailTab::Log && detail.log.is_none() {
        effects.extend(read_log(state, fleet));
    }
    keep_run_in_view(state, fleet);
    effects
}

/// Fetches the history again if a run has ended since; not while it is on its way.
fn fetch_ended(detail: &mut Detail, fleet: &Fleet) -> Option<Effect> {
    let ended = last_end(fleet, &detail.key);
    if ended == detail.seen_end || detail.runs_loading {
        return None;
    }
    detail.seen_end = ended;
    Some(fetch_runs(detail))
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
    if detail.key.endpoint != *endpoint || Some(&detail.key.task) != task {
        return Vec::new();
    }
    detail.runs_loading = false;
    detail.runs_error = error;
    state.dirty = true;
    let mut effects: Vec<Effect> = fetch_ended(detail, fleet).into_iter().collect();
    if detail.tab == DetailTab::Log && detail.log.is_none() {
        effects.extend(read_log(state, fleet));
    }
    keep_run_in_view(state, fleet);
    effects
}

/// A piece of a log has come. One that is not what is waited for is dropped.
pub(super) fn log_came(
    state: &mut State,
    fleet: &Fleet,
    endpoint: &EndpointName,
    run: &RunId,
    offset: u64,
    result: Result<LogPiece, Clean>,
) -> Vec<Effect> {
    let now = state.now;
    let Some(detail) = state.detail.as_mut().filter(|detail| detail.key.endpoint == *endpoint) else {
        return Vec::new();
    };
    let Some(log) = detail.log.as_mut() else { return Vec::new() };
    if log.run != *run || log.next_offset != offset || !log.loading {
        return Vec::new();
    }
    log.loading = false;
    log.asked = Some(now);
    let (mut more, mut news) = (false, true);
    match result {
        Err(reason) => log.error = Some(reason),
        Ok(piece) => {
            more = piece.text.len() >= LARGE_PIECE;
            // Nothing new of a run that goes on, as before: no frame for that.
            news = offset == 0 || !piece.text.is_empty() || piece.complete || log.error.is_some();
            let beyond = log.take(&piece);
            if !log.follow {
                // What is read stays where it is.
                detail.top = detail.top.saturating_sub(beyond);
            }
        }
    }
    let shown = detail.tab == DetailTab::Log;
    let effects = if more && shown { ask(detail, now).into_iter().collect() } else { Vec::new() };
    if shown && news {
        state.dirty = true;
        keep_run_in_view(state, fleet);
    }
    effects
}

impl LogState {
    /// Takes the next piece: joins a line that was cut, drops the oldest lines
    /// beyond the bound, and tells how many those are.
    fn take(&mut self, piece: &LogPiece) -> usize {
        self.error = None;
        self.complete = piece.complete;
        self.next_offset = piece.next_offset;
        self.dropped_bytes = piece.dropped_bytes;
        if piece.text.is_empty() {
            return 0;
        }
        let mut lines = piece.text.split('\n');
        if self.partial
            && let (Some(head), Some(last)) = (lines.next(), self.lines.back_mut())
        {
            *last = Clean::from(format!("{last}{head}"));
        }
        self.lines.extend(lines.map(Clean::line));
        self.partial = !piece.text.ends_with('\n');
        if !self.partial {
            self.lines.pop_back();
        }
        let beyond = self.lines.len().saturating_sub(Self::MAX_LINES);
        self.lines.drain(..beyond);
        self.dropped_lines += beyond;
        beyond
    }
}
