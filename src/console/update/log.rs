//! Reading a log piece by piece, following its end, and looking for something in it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::action::{Code, Key};
use crate::fleet::Fleet;
use crate::model::{Clean, EndpointName, LogOf, RunId, RunState, Severity};

use super::super::effect::Effect;
use super::super::format::occurrences;
use super::super::msg::LogPiece;
use super::super::state::{About, Detail, DetailTab, LogState, Search, State};
use super::navigate::Motion;
use super::{detail, message};

/// The pause before more of a run's log is asked for.
const PAUSE: TimeDelta = TimeDelta::milliseconds(500);
/// The pause before more of an endpoint's own log is asked for: nobody waits for its next line.
const LONG_PAUSE: TimeDelta = TimeDelta::seconds(5);
/// A piece of so many bytes was cut by its limit, not by the log's end: the next is asked for at once.
const LARGE_PIECE: usize = 16 * 1024;

/// Opens the log of an endpoint, or of `run`, or of the newest or running run, of a task.
pub(super) fn open(state: &mut State, fleet: &Fleet, about: About, run: Option<RunId>) -> Vec<Effect> {
    let mut effects = Vec::new();
    if state.detail.as_ref().is_none_or(|detail| detail.about != about) {
        effects = detail::open(state, fleet, about);
        detail::choose(state, fleet, run);
    }
    effects.extend(detail::show_tab(state, fleet, DetailTab::Log));
    effects
}

/// Whose log is looked at.
fn looked_at(detail: &Detail, fleet: &Fleet) -> Option<LogOf> {
    match &detail.about {
        About::Endpoint(_) => Some(LogOf::Endpoint),
        About::Task(key) => {
            let run = logged_run(detail, fleet)?;
            Some(LogOf::Run { task: key.task.clone(), run })
        }
    }
}

/// The run whose log is looked at: the chosen one, else the one that runs, else the newest.
fn logged_run(detail: &Detail, fleet: &Fleet) -> Option<RunId> {
    if detail.run.is_some() {
        return detail.run.clone();
    }
    let row = fleet.task(detail.about.task()?)?;
    let active = &row.task.active_runs;
    let running = active.iter().filter(|run| run.state == RunState::Running).find_map(|run| run.id.clone());
    let newest = || detail::runs(fleet, detail).into_iter().find_map(|run| run.id.clone());
    let last = || row.task.last_run.as_ref().and_then(|run| run.id.clone());
    running.or_else(newest).or_else(last).or_else(|| active.iter().find_map(|run| run.id.clone()))
}

/// Begins the log that is looked at, unless it is already being read.
pub(super) fn read(state: &mut State, fleet: &Fleet) -> Vec<Effect> {
    let now = state.now;
    let Some(detail) = &mut state.detail else { return Vec::new() };
    let Some(of) = looked_at(detail, fleet) else {
        detail.log = None;
        return Vec::new();
    };
    if detail.log.as_ref().is_none_or(|log| log.of != of) {
        detail.log = Some(LogState::new(of));
    }
    ask(detail, now).into_iter().collect()
}

/// Asks for the next piece, unless one is on its way or none will follow.
pub(super) fn ask(detail: &mut Detail, now: DateTime<Utc>) -> Option<Effect> {
    let log = detail.log.as_mut()?;
    if log.loading || log.complete {
        return None;
    }
    log.loading = true;
    log.asked = Some(now);
    let endpoint = detail.about.endpoint().clone();
    Some(Effect::FetchLog { endpoint, of: log.of.clone(), offset: log.next_offset })
}

/// What went wrong is tried again; and an endpoint's own log never is complete for good.
pub(super) fn forgive(detail: &mut Detail) {
    if let Some(log) = &mut detail.log {
        log.error = None;
        log.complete &= log.of != LogOf::Endpoint;
    }
}

/// The log that is on the screen.
pub(super) fn shown(state: &State) -> Option<&LogState> {
    state.detail.as_ref().filter(|detail| detail.tab == DetailTab::Log)?.log.as_ref()
}

fn shown_mut(state: &mut State) -> Option<&mut LogState> {
    state.detail.as_mut().filter(|detail| detail.tab == DetailTab::Log)?.log.as_mut()
}

/// When the next piece of the log on the screen is to be asked for.
pub(super) fn next_ask(state: &State) -> Option<DateTime<Utc>> {
    let log = shown(state).filter(|log| !log.loading && !log.complete && log.error.is_none())?;
    Some(log.asked? + if log.of == LogOf::Endpoint { LONG_PAUSE } else { PAUSE })
}

/// Asks for the next piece if it is time.
pub(super) fn tick(state: &mut State) -> Vec<Effect> {
    if next_ask(state).is_none_or(|at| at > state.now) {
        return Vec::new();
    }
    let now = state.now;
    state.detail.as_mut().and_then(|detail| ask(detail, now)).into_iter().collect()
}

/// Moves through the lines; the end is followed from where it is reached.
pub(super) fn go(state: &mut State, motion: Motion) {
    let Some(detail) = &state.detail else { return };
    let page = detail::page(state, DetailTab::Log);
    let last_top = detail.log.as_ref().map_or(0, |log| log.lines.len()).saturating_sub(page);
    let top = motion.apply(detail.top.min(last_top), last_top + 1, page);
    if let Some(log) = shown_mut(state) {
        log.follow = motion == Motion::Last || (log.follow && top == last_top);
    }
    detail::scroll(state, top);
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
    detail::keep_in_view(state, fleet);
    effects
}

/// The endpoint answers again: a log that could not be read is asked for once more.
pub(super) fn recovered(state: &mut State, endpoint: &EndpointName) -> Vec<Effect> {
    let now = state.now;
    let Some(detail) = state.detail.as_mut().filter(|detail| detail.about.endpoint() == endpoint) else {
        return Vec::new();
    };
    let failed = detail.log.as_ref().is_some_and(|log| log.error.is_some());
    if failed && detail.tab == DetailTab::Log { ask(detail, now).into_iter().collect() } else { Vec::new() }
}

/// A piece of a log has come. One that is not what is waited for is dropped.
pub(super) fn came(
    state: &mut State,
    fleet: &Fleet,
    endpoint: &EndpointName,
    of: &LogOf,
    offset: u64,
    result: Result<LogPiece, Clean>,
) -> Vec<Effect> {
    let now = state.now;
    let Some(detail) = state.detail.as_mut().filter(|detail| detail.about.endpoint() == endpoint) else {
        return Vec::new();
    };
    let Some(log) = detail.log.as_mut() else { return Vec::new() };
    if log.of != *of || log.next_offset != offset || !log.loading {
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
        detail::keep_in_view(state, fleet);
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

    /// The lines that have what is looked for, counted as [`Search::found`] is.
    #[must_use]
    pub fn matches(&self) -> Vec<usize> {
        let Some(search) = &self.search else { return Vec::new() };
        let has = |line: &Clean| !occurrences(line, &search.input.text).is_empty();
        let found = self.lines.iter().enumerate().filter(|(_, line)| has(line));
        found.map(|(index, _)| index + self.dropped_lines).collect()
    }
}

// --- looking for something ---------------------------------------------------

/// Begins to type what is looked for.
pub(super) fn search(state: &mut State) {
    if let Some(log) = shown_mut(state) {
        let search = log.search.get_or_insert_default();
        search.editing = true;
        search.input.cursor = search.input.text.chars().count();
        state.dirty = true;
    }
}

/// Whether keys go into what is looked for.
pub(super) fn is_searching(state: &State) -> bool {
    shown(state).and_then(|log| log.search.as_ref()).is_some_and(|search| search.editing)
}

/// Ends the search, if there is one; whether there was.
pub(super) fn end_search(state: &mut State) -> bool {
    let ended = shown_mut(state).and_then(|log| log.search.take()).is_some();
    state.dirty |= ended;
    ended
}

/// A key while what is looked for is typed.
pub(super) fn search_key(state: &mut State, key: Key) {
    let Some(search) = shown_mut(state).and_then(|log| log.search.as_mut()) else { return };
    match key {
        Key { code: Code::Esc, ctrl: false, alt: false } => {
            end_search(state);
        }
        Key { code: Code::Enter | Code::Backspace, ctrl: false, alt: false }
            if search.input.text.is_empty() =>
        {
            end_search(state);
        }
        Key { code: Code::Enter, ctrl: false, alt: false } => {
            search.editing = false;
            state.dirty = true;
        }
        Key { code: Code::Down, ctrl: false, alt: false } => find(state, true),
        Key { code: Code::Up, ctrl: false, alt: false } => find(state, false),
        key => {
            let before = search.input.clone();
            search.input.key(key);
            let (changed, moved) = (search.input.text != before.text, search.input != before);
            state.dirty |= moved;
            if changed {
                find_as_typed(state);
            }
        }
    }
}

/// Text is pasted into what is looked for.
pub(super) fn search_paste(state: &mut State, text: &str) {
    if let Some(Search { input, .. }) = shown_mut(state).and_then(|log| log.search.as_mut()) {
        input.insert(text);
        find_as_typed(state);
    }
}

/// The first match from where the operator looks on, else from the beginning.
fn find_as_typed(state: &mut State) {
    let Some(detail) = &state.detail else { return };
    let Some(log) = shown(state) else { return };
    let from = log.search.as_ref().and_then(|search| search.found).unwrap_or(detail.top + log.dropped_lines);
    let matches = log.matches();
    let found = matches.iter().find(|&&at| at >= from).or_else(|| matches.first()).copied();
    show_found(state, found);
}

/// The next match, or the one before, round and round.
pub(super) fn find(state: &mut State, forward: bool) {
    let Some(log) = shown(state) else { return };
    let Some(search) = &log.search else { return };
    let matches = log.matches();
    let from = search.found.unwrap_or(0);
    let next = if forward {
        matches.iter().find(|&&at| at > from).or_else(|| matches.first())
    } else {
        matches.iter().rev().find(|&&at| at < from).or_else(|| matches.last())
    };
    let next = next.copied();
    if next.is_none() {
        let text = format!("no line has {:?}", search.input.text);
        message::say(state, Severity::Warning, text);
    }
    show_found(state, next);
}

/// Puts a line that was found into the middle of what is seen, unless it is in view.
fn show_found(state: &mut State, found: Option<usize>) {
    let page = detail::page(state, DetailTab::Log);
    let top = state.detail.as_ref().map_or(0, |detail| detail.top);
    let Some(log) = shown_mut(state) else { return };
    if let Some(search) = &mut log.search {
        search.found = found.or(search.found);
    }
    let Some(line) = found.and_then(|found| found.checked_sub(log.dropped_lines)) else {
        state.dirty = true;
        return;
    };
    log.follow = false;
    let last_top = log.lines.len().saturating_sub(page);
    let top = top.min(last_top);
    let in_view = (top..top + page).contains(&line);
    let top = if in_view { top } else { line.saturating_sub(page / 2).min(last_top) };
    detail::scroll(state, top);
    state.dirty = true;
}
