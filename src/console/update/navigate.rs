//! Moving: the cursor, the screens, marks, filter, order.

use crate::fleet::Fleet;
use crate::model::{EndpointName, Health, Severity};

use super::super::effect::Effect;
use super::super::state::{About, DetailTab, Overlay, RowKey, Screen, State};
use super::{audit, detail, lists, log, message};

/// A step of the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Motion {
    Down,
    Up,
    PageDown,
    PageUp,
    First,
    Last,
}

impl Motion {
    /// Where `from` gets to among `len` rows, `page` of which are seen at once.
    pub(super) fn apply(self, from: usize, len: usize, page: usize) -> usize {
        let last = len.saturating_sub(1);
        let page = page.saturating_sub(1).max(1);
        match self {
            Self::Down => from.saturating_add(1),
            Self::Up => from.saturating_sub(1),
            Self::PageDown => from.saturating_add(page),
            Self::PageUp => from.saturating_sub(page),
            Self::First => 0,
            Self::Last => last,
        }
        .min(last)
    }
}

/// Moves whatever moves here: the open detail, else the list.
pub(super) fn go(state: &mut State, fleet: &Fleet, motion: Motion) {
    if state.detail.is_some() {
        detail::go(state, fleet, motion);
    } else {
        go_list(state, motion);
    }
}

/// Moves the cursor of the list, whatever lies beside it.
pub(super) fn go_list(state: &mut State, motion: Motion) {
    let page = lists::page(state);
    if state.screen == Screen::Tasks {
        let Some(from) = state.tasks.cursor_index() else { return };
        let to = motion.apply(from, state.tasks.len(), page);
        if to != from {
            state.tasks.select_index(to);
            state.dirty = true;
        }
        lists::keep_task_in_view(state);
    } else if let Some(rows) = state.rows.get_mut(&state.screen) {
        let Some(from) = rows.position() else { return };
        let to = motion.apply(from, rows.keys.len(), page);
        if to != from {
            rows.select(to, page);
            state.dirty = true;
        }
    }
}

/// Shows a screen; what was open over the last one is closed. Opening the runs
/// asks every endpoint that answers for its newest, opening the journal for its audit log.
pub(super) fn show(state: &mut State, fleet: &Fleet, screen: Screen) -> Vec<Effect> {
    state.detail = None;
    state.filter.editing = false;
    state.screen = screen;
    state.dirty = true;
    lists::refresh(state, fleet);
    if screen == Screen::Journal {
        return audit::fetch(state, fleet, false);
    }
    if screen != Screen::Runs {
        return Vec::new();
    }
    let answering = fleet.endpoints().filter(|row| matches!(row.health, Health::Up | Health::Degraded));
    answering
        .map(|row| Effect::FetchRuns {
            endpoint: row.spec.name.clone(),
            task: None,
            limit: detail::RUNS_FETCHED,
        })
        .collect()
}

/// The screen `steps` further in their order, round and round.
pub(super) fn neighbour(screen: Screen, steps: usize) -> Screen {
    let all = Screen::ALL;
    let at = all.iter().position(|&other| other == screen).unwrap_or(0);
    all[(at + steps) % all.len()]
}

/// Enter: the detail of the row's task or endpoint.
pub(super) fn open(state: &mut State, fleet: &Fleet) -> Vec<Effect> {
    if state.detail.is_some() {
        return detail::enter(state, fleet);
    }
    let row = if state.screen == Screen::Tasks { None } else { lists::row(state).cloned() };
    match row {
        Some(RowKey::Endpoint(endpoint)) => detail::open(state, fleet, About::Endpoint(endpoint)),
        Some(RowKey::Alert(endpoint, alert)) if alert.task.is_none() => {
            show(state, fleet, Screen::Endpoints);
            let page = lists::page(state);
            let rows = state.rows.entry(Screen::Endpoints).or_default();
            let wanted = RowKey::Endpoint(endpoint);
            if let Some(index) = rows.keys.iter().position(|key| *key == wanted) {
                rows.select(index, page);
            }
            Vec::new()
        }
        Some(RowKey::Run { task, run, .. }) => {
            let mut effects = detail::open(state, fleet, About::Task(task));
            if run.is_some() {
                detail::choose(state, fleet, run);
                effects.extend(detail::show_tab(state, fleet, DetailTab::History));
            }
            effects
        }
        Some(RowKey::Told(..)) => {
            let Some(key) = lists::task_told(state, fleet) else {
                message::say(state, Severity::Info, "that line is about no task that is listed");
                return Vec::new();
            };
            detail::open(state, fleet, About::Task(key))
        }
        _ => match lists::task_under_cursor(state) {
            Some(key) => detail::open(state, fleet, About::Task(key)),
            None => Vec::new(),
        },
    }
}

/// The tasks of one endpoint, by a filter.
pub(super) fn show_tasks_of(state: &mut State, fleet: &Fleet, endpoint: &EndpointName) -> Vec<Effect> {
    let effects = show(state, fleet, Screen::Tasks);
    state.filter.input.set(&format!("endpoint:{}", endpoint.as_raw()));
    apply_filter(state);
    effects
}

/// Esc: closes the innermost of what is open, then unmarks, then clears the filter.
/// Overlays and the filter being typed take their own Esc before.
pub(super) fn back(state: &mut State) {
    if log::end_search(state) {
        // The log stays.
    } else if state.overlay.take().is_some() || state.detail.take().is_some() {
        state.dirty = true;
    } else if state.screen == Screen::Tasks && !state.marks.is_empty() {
        state.marks.clear();
        state.dirty = true;
    } else if state.screen == Screen::Tasks && !state.filter.input.text.is_empty() {
        clear_filter(state);
    } else if state.message.take().is_some() {
        state.dirty = true;
    }
}

/// Marks or unmarks the row under the cursor, and moves on.
pub(super) fn mark(state: &mut State) {
    if let Some(key) = state.tasks.cursor().cloned() {
        if !state.marks.remove(&key) {
            state.marks.insert(key);
        }
        state.dirty = true;
        go_list(state, Motion::Down);
    }
}

/// Marks all that match; none, if all that match are marked.
pub(super) fn mark_all(state: &mut State) {
    let matching: Vec<_> = (0..state.tasks.len()).filter_map(|i| state.tasks.get(i).cloned()).collect();
    if matching.iter().all(|key| state.marks.contains(key)) {
        state.marks.clear();
    } else {
        state.marks.extend(matching);
    }
    state.dirty = true;
}

/// Begins to type a filter.
pub(super) fn edit_filter(state: &mut State, fleet: &Fleet) {
    if state.screen != Screen::Tasks {
        show(state, fleet, Screen::Tasks);
    }
    state.filter.editing = true;
    state.filter.input.cursor = state.filter.input.text.chars().count();
    state.dirty = true;
}

/// Takes the filter as typed; where it can't be read, the last good one stays.
pub(super) fn apply_filter(state: &mut State) {
    state.filter.error = state.tasks.set_filter(&state.filter.input.text, state.now).err();
    state.dirty = true;
    lists::keep_task_in_view(state);
}

/// No filter.
pub(super) fn clear_filter(state: &mut State) {
    state.filter.input.set("");
    state.filter.editing = false;
    apply_filter(state);
}

/// Opens the choice of columns.
pub(super) fn choose_columns(state: &mut State) {
    state.overlay = Some(Overlay::Columns { selected: 0 });
    state.dirty = true;
}

/// Sorts by the next column, or turns the order round.
pub(super) fn sort(state: &mut State, fleet: &Fleet, reverse: bool) {
    let order = if reverse { state.tasks.order().reversed() } else { state.tasks.order().next() };
    state.tasks.set_order(order, fleet);
    lists::keep_task_in_view(state);
    let turned = if order.reversed { ", turned round" } else { "" };
    message::say(state, Severity::Info, format!("sorted by {}{turned}", order.key.word()));
}
