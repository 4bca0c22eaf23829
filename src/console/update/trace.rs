//! The trace of a task: fetched when it is looked at, again when its row has
//! changed, and never twice between two polls of its endpoint.

use crate::fleet::{Delta, Fleet};
use crate::model::{Clean, EndpointName, TaskId, TaskKey, Trace};

use super::super::effect::Effect;
use super::super::state::{Detail, DetailTab, State};
use super::detail;

/// The tab is looked at: what is not known, or no longer, is asked for.
pub(super) fn look(state: &mut State, fleet: &Fleet) -> Option<Effect> {
    let shown = state.detail.as_mut().filter(|detail| detail.tab == DetailTab::Trace)?;
    ask(shown, fleet, false)
}

/// Asks for the trace where that is of use; `anew`: whatever is known.
pub(super) fn ask(detail: &mut Detail, fleet: &Fleet, anew: bool) -> Option<Effect> {
    let TaskKey { endpoint, task } = detail.about.task()?.clone();
    let poll = fleet.endpoint(&endpoint).and_then(|row| row.last_ok);
    let trace = detail.trace.get_or_insert_default();
    let unknown = trace.told.is_none() && trace.error.is_none();
    if trace.loading || !(unknown || anew || (trace.outdated && trace.poll != poll)) {
        return None;
    }
    trace.loading = true;
    trace.outdated = false;
    trace.poll = poll;
    Some(Effect::FetchTrace { endpoint, task })
}

/// The fleet has changed: what is known of a row that has is no longer true.
pub(super) fn outdate(detail: &mut Detail, delta: &Delta) {
    if let (Some(key), Some(trace)) = (detail.about.task(), &mut detail.trace) {
        trace.outdated |= delta.changed.contains(key);
    }
}

/// The trace has come, or why it can't.
pub(super) fn came(
    state: &mut State,
    fleet: &Fleet,
    endpoint: &EndpointName,
    task: &TaskId,
    result: Result<Trace, Clean>,
) {
    let Some(detail) = &mut state.detail else { return };
    let is_ours = detail.about.task().is_some_and(|key| (&key.endpoint, &key.task) == (endpoint, task));
    let Some(trace) = detail.trace.as_mut().filter(|trace| is_ours && trace.loading) else { return };
    trace.loading = false;
    match result {
        Ok(told) => (trace.told, trace.error) = (Some(told), None),
        Err(reason) => trace.error = Some(reason),
    }
    if detail.tab == DetailTab::Trace {
        state.dirty = true;
        detail::keep_in_view(state, fleet);
    }
}
