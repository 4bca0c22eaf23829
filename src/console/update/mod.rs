//! The console's one update: something happened, so what changes and what is to be done?
//!
//! Pure: the time comes with the message, and everything outside the console
//! is asked for by [`Effect`]s. One file per concern: keys, moving, acting, the
//! detail, overlays, lists, the message line, and when time alone changes something.

mod act;
mod audit;
mod command;
mod detail;
mod input;
mod keys;
mod lists;
mod log;
mod message;
mod navigate;
mod overlay;
mod timer;
mod trace;

#[cfg(test)]
mod tests;

use crate::action::{Action, Key};
use crate::fleet::{Delta, Fleet};
use crate::model::{Clean, EndpointName, Severity};

use super::effect::Effect;
use super::hints;
use super::layout;
use super::msg::{Event, Msg};
use super::state::{About, Look, Overlay, Screen, State};
use navigate::Motion;

pub(super) use act::{choose as chosen, commands, refusal as deed_refusal};
pub(super) use command::takers;
pub use lists::{Entry, endpoint_under_cursor, entries, task_under_cursor};
pub use timer::next_tick;

/// Takes in what happened: changes `state` and `fleet`, and says what is to be
/// done outside. [`State::dirty`] tells whether something shown has changed.
pub fn update(state: &mut State, fleet: &mut Fleet, msg: Msg) -> Vec<Effect> {
    timer::pass(state, fleet, msg.at);
    match msg.event {
        Event::Key(key) => keys::key(state, fleet, key),
        Event::Paste(text) => {
            keys::paste(state, &text);
            Vec::new()
        }
        Event::Resize { width, height } => {
            resize(state, fleet, width, height);
            Vec::new()
        }
        Event::Tick => {
            let delta = fleet.tick(msg.at);
            if state.tasks.refresh(msg.at) {
                state.dirty = true;
                lists::keep_task_in_view(state);
            }
            let mut effects = settle(state, fleet, &delta, None);
            effects.extend(log::tick(state));
            if audit::next_ask(state, fleet).is_some_and(|at| at <= state.now) {
                effects.extend(audit::fetch(state, fleet, false));
            }
            effects
        }
        Event::Configured { endpoints, read_only } => {
            state.dirty |= state.read_only != read_only;
            state.read_only = read_only;
            let delta = fleet.configure(&endpoints, msg.at);
            audit::forget(state, fleet);
            settle(state, fleet, &delta, None)
        }
        Event::Described { endpoint, url, capabilities } => {
            let delta = fleet.describe(&endpoint, url, capabilities);
            settle(state, fleet, &delta, None)
        }
        Event::Polled { endpoint, snapshot } => {
            let recovers = fleet.endpoint(&endpoint).is_some_and(|row| row.failure.is_some());
            let delta = fleet.apply(&endpoint, *snapshot, msg.at);
            let again = if recovers { log::recovered(state, &endpoint) } else { Vec::new() };
            let mut effects = settle(state, fleet, &delta, Some(endpoint));
            effects.extend(again);
            effects
        }
        Event::Failed { endpoint, failure } => {
            let delta = fleet.fail(&endpoint, failure, msg.at);
            settle(state, fleet, &delta, Some(endpoint))
        }
        Event::Receipt(receipt) => {
            let mut delta = fleet.note_receipt(receipt.clone(), msg.at);
            // The runtime has recorded what it told.
            delta.receipts.retain(|other| *other != receipt);
            state.dirty = true;
            // What is known already may show the effect: that is told last.
            message::receipt(state, fleet, &receipt);
            settle(state, fleet, &delta, None)
        }
        Event::Runs { endpoint, task, result } => {
            let (runs, error) = result.map_or_else(|reason| (None, Some(reason)), |runs| (Some(runs), None));
            let delta = runs.map(|runs| fleet.learn_runs(&endpoint, runs, msg.at)).unwrap_or_default();
            let mut effects = settle(state, fleet, &delta, None);
            effects.extend(detail::runs_came(state, fleet, &endpoint, task.as_ref(), error));
            effects
        }
        Event::Log { endpoint, of, offset, result } => {
            log::came(state, fleet, &endpoint, &of, offset, result)
        }
        event => answer(state, fleet, event),
    }
}

/// The rest of what can happen: answers of the shell, and what it says by itself.
fn answer(state: &mut State, fleet: &Fleet, event: Event) -> Vec<Effect> {
    match event {
        Event::Preview { draft, calls } => act::preview(state, &draft, calls),
        Event::Foreseen { draft, lines } => act::foreseen(state, &draft, lines),
        Event::FileRead { path, result } => return command::file_came(state, fleet, &path, result),
        Event::Trace { endpoint, task, result } => trace::came(state, fleet, &endpoint, &task, result),
        Event::Audit { endpoint, kept, result } => audit::came(state, fleet, &endpoint, kept, result),
        Event::Journal(lines) => {
            state.journal = lines.into_iter().map(|line| line.receipt).collect();
            state.dirty = true;
            lists::refresh(state, fleet);
        }
        Event::QuitAsked { stops: None } => return vec![Effect::Quit],
        Event::QuitAsked { stops: Some(endpoint) } => overlay::ask_quit(state, fleet, endpoint),
        Event::Interrupted => return keys::interrupt(state),
        Event::Copied(Ok(text)) | Event::Note(text) => message::say(state, Severity::Info, text),
        Event::Copied(Err(text)) => message::say(state, Severity::Critical, text),
        Event::Unrecorded(reason) => {
            message::keep(state, Severity::Critical, format!("the journal can't be written: {reason}"));
        }
        Event::Problem(text) => message::keep(state, Severity::Critical, text),
        Event::Resumed => state.dirty = true,
        // What becomes of it is told by the receipts that follow.
        Event::Sending { intent } => {
            let targets = std::mem::take(&mut state.memory.sending);
            message::sending(state, intent, targets);
        }
        Event::Restyled { keymap, ascii } => {
            state.keymap = *keymap;
            state.look.ascii = ascii;
            state.dirty = true;
        }
        Event::LocalZone { offset_s, name } => {
            state.look = Look { local_offset_s: offset_s, local_zone: name, ..state.look.clone() };
            state.dirty = true;
        }
        // Taken in `update`.
        Event::Key(_)
        | Event::Paste(_)
        | Event::Resize { .. }
        | Event::Tick
        | Event::Configured { .. }
        | Event::Described { .. }
        | Event::Polled { .. }
        | Event::Failed { .. }
        | Event::Receipt(_)
        | Event::Runs { .. }
        | Event::Log { .. } => {}
    }
    Vec::new()
}

/// Does an action, or says why it can't be done here.
fn dispatch(state: &mut State, fleet: &Fleet, action: Action, key: Option<Key>) -> Vec<Effect> {
    if let Some(reason) = hints::refusal(state, fleet, action) {
        message::say(state, Severity::Warning, Clean::from(format!("{action}: {reason}")));
        return Vec::new();
    }
    if let Some(verb) = action.spec().needs {
        return act::begin(state, fleet, verb.into(), key);
    }
    match action {
        // Each of them needs a capability, and was begun above.
        Action::Trigger
        | Action::Reprioritise
        | Action::Pause
        | Action::Resume
        | Action::Retry
        | Action::Cancel
        | Action::Acknowledge
        | Action::Snooze
        | Action::Silence
        | Action::Archive
        | Action::ReloadConfig => {}
        Action::NewTask => command::new_task(state, fleet),
        Action::MoveDown => navigate::go(state, fleet, Motion::Down),
        Action::MoveUp => navigate::go(state, fleet, Motion::Up),
        Action::PageDown => navigate::go(state, fleet, Motion::PageDown),
        Action::PageUp => navigate::go(state, fleet, Motion::PageUp),
        Action::First => navigate::go(state, fleet, Motion::First),
        Action::Last => navigate::go(state, fleet, Motion::Last),
        Action::Open => return navigate::open(state, fleet),
        Action::Back => navigate::back(state),
        Action::Mark => navigate::mark(state),
        Action::MarkAll => navigate::mark_all(state),
        Action::Filter if log::shown(state).is_some() => log::search(state),
        Action::Filter => navigate::edit_filter(state, fleet),
        Action::Sort => navigate::sort(state, fleet, false),
        Action::ReverseSort => navigate::sort(state, fleet, true),
        Action::Columns => navigate::choose_columns(state),
        Action::NextTab => return detail::next_tab(state, fleet, true),
        Action::PreviousTab => return detail::next_tab(state, fleet, false),
        Action::Log => return open_log(state, fleet),
        Action::Follow => return log::follow(state, fleet),
        Action::FindNext => log::find(state, true),
        Action::FindPrevious => log::find(state, false),
        Action::Copy => return act::copied(state).map(Effect::Copy).into_iter().collect(),
        Action::Board => return navigate::show(state, fleet, Screen::Board),
        Action::Tasks => return navigate::show(state, fleet, Screen::Tasks),
        Action::Runs => return navigate::show(state, fleet, Screen::Runs),
        Action::Endpoints => return navigate::show(state, fleet, Screen::Endpoints),
        Action::Journal => return navigate::show(state, fleet, Screen::Journal),
        Action::NextScreen => return navigate::show(state, fleet, navigate::neighbour(state.screen, 1)),
        Action::PreviousScreen => {
            let steps = Screen::ALL.len() - 1;
            return navigate::show(state, fleet, navigate::neighbour(state.screen, steps));
        }
        Action::Refresh => return overlay::refresh(state, fleet),
        Action::Zone => {
            state.look.utc = !state.look.utc;
            let zone = if state.look.utc { "UTC".to_owned() } else { state.look.local_zone.clone() };
            message::say(state, Severity::Info, format!("times in {zone}"));
        }
        Action::Palette => overlay::open_palette(state),
        Action::Help => {
            state.overlay = Some(Overlay::Help { top: 0 });
            state.dirty = true;
        }
        Action::Redraw => return vec![Effect::Redraw],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Quit => return vec![Effect::AskQuit],
    }
    Vec::new()
}

/// The log of the run, of the task's newest run, or of the endpoint under the cursor.
fn open_log(state: &mut State, fleet: &Fleet) -> Vec<Effect> {
    if let Some(detail) = &state.detail {
        let about = detail.about.clone();
        return log::open(state, fleet, about, None);
    }
    let run = match lists::row(state) {
        Some(super::state::RowKey::Run { run, .. }) if state.screen == Screen::Runs => run.clone(),
        _ => None,
    };
    let task = task_under_cursor(state).map(About::Task);
    match task.or_else(|| endpoint_under_cursor(state).map(About::Endpoint)) {
        Some(about) => log::open(state, fleet, about, run),
        None => Vec::new(),
    }
}

/// The fleet has changed by `delta`: lists, marks, the open detail, the bell.
/// `heard`: the endpoint that told it.
fn settle(state: &mut State, fleet: &Fleet, delta: &Delta, heard: Option<EndpointName>) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !delta.is_empty() {
        state.dirty = true;
        state.tasks.absorb(delta, fleet, state.now);
        for key in &delta.gone {
            state.marks.remove(key);
        }
        lists::follow(state, fleet, delta);
        effects.extend(detail::settle(state, fleet, delta));
        for receipt in &delta.receipts {
            message::receipt(state, fleet, receipt);
        }
        if !delta.receipts.is_empty() {
            effects.push(Effect::Record(delta.receipts.clone()));
        }
    }
    effects.extend(trace::look(state, fleet));
    if !delta.endpoints.is_empty() {
        // One that answers for the first time has not been asked yet.
        effects.extend(audit::fetch(state, fleet, false));
    }
    effects.extend(ring(state, fleet, delta, heard));
    effects
}

/// Rings for episodes that are new and that nobody has taken. What an endpoint
/// tells the first time is not news.
fn ring(state: &mut State, fleet: &Fleet, delta: &Delta, heard: Option<EndpointName>) -> Option<Effect> {
    if !delta.alerts && heard.as_ref().is_none_or(|endpoint| state.memory.heard.contains(endpoint)) {
        return None;
    }
    let now = state.now;
    let mut open = std::collections::HashSet::new();
    let mut rings = false;
    for (endpoint, alert) in fleet.open_alerts() {
        let episode = (endpoint.clone(), alert.key(), alert.since);
        let quiet = alert.acknowledged_by.is_some()
            || alert.silenced_until.is_some_and(|until| until > now)
            || alert.severity == Severity::Info;
        rings |= !quiet && state.memory.heard.contains(endpoint) && !state.memory.episodes.contains(&episode);
        open.insert(episode);
    }
    state.memory.episodes = open;
    state.memory.heard.extend(heard);
    rings.then_some(Effect::Bell)
}

/// The terminal has another size.
fn resize(state: &mut State, fleet: &Fleet, width: u16, height: u16) {
    state.width = width;
    state.height = height;
    state.dirty = true;
    lists::keep_task_in_view(state);
    let page = lists::page(state);
    if let Some(rows) = state.rows.get_mut(&state.screen) {
        rows.top = layout::window(rows.top, rows.position(), rows.keys.len(), page);
    }
    detail::keep_in_view(state, fleet);
}
