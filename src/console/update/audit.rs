//! The endpoints' own audit logs: read while the journal is looked at, and
//! seldom, since a system may have a budget of requests.

use chrono::{DateTime, TimeDelta, Utc};

use crate::fleet::Fleet;
use crate::model::{AuditEntry, Clean, EndpointName, Health};

use super::super::effect::Effect;
use super::super::state::{Screen, State, keyed};
use super::lists;

/// So many lines of each are fetched.
pub(super) const LINES: usize = 200;
/// The least time between two readings that nobody asked for.
const PAUSE: TimeDelta = TimeDelta::seconds(60);

/// Asks every endpoint that answers and was not asked lately; `anew`: also
/// those that were, and those that keep none as far as is known.
pub(super) fn fetch(state: &mut State, fleet: &Fleet, anew: bool) -> Vec<Effect> {
    if state.screen != Screen::Journal || state.detail.is_some() {
        return Vec::new();
    }
    let now = state.now;
    let answering = fleet.endpoints().filter(|row| matches!(row.health, Health::Up | Health::Degraded));
    let mut effects = Vec::new();
    for row in answering {
        let log = state.audit.entry(row.spec.name.clone()).or_default();
        let due = log.kept && log.asked.is_none_or(|asked| asked + PAUSE <= now);
        if !log.loading && (due || anew) {
            log.loading = true;
            log.asked = Some(now);
            effects.push(Effect::FetchAudit { endpoint: row.spec.name.clone(), limit: LINES });
        }
    }
    effects
}

/// When one of them is to be asked again.
pub(super) fn next_ask(state: &State, fleet: &Fleet) -> Option<DateTime<Utc>> {
    if state.screen != Screen::Journal || state.detail.is_some() {
        return None;
    }
    let logs = state.audit.iter().filter(|(_, log)| log.kept && !log.loading);
    let answering = |name: &EndpointName| {
        fleet.endpoint(name).is_some_and(|row| matches!(row.health, Health::Up | Health::Degraded))
    };
    logs.filter(|(name, _)| answering(name)).filter_map(|(_, log)| Some(log.asked? + PAUSE)).min()
}

/// A log has come, or why it can't.
pub(super) fn came(
    state: &mut State,
    fleet: &Fleet,
    endpoint: &EndpointName,
    kept: bool,
    result: Result<Vec<AuditEntry>, Clean>,
) {
    if fleet.endpoint(endpoint).is_none() {
        return;
    }
    let now = state.now;
    let log = state.audit.entry(endpoint.clone()).or_default();
    log.loading = false;
    log.kept = kept;
    log.asked = Some(now);
    let before = (log.error.take(), std::mem::take(&mut log.lines));
    match result {
        Ok(entries) => log.lines = keyed(entries),
        Err(reason) if kept => {
            // What was read before is as true as it was.
            log.lines.clone_from(&before.1);
            log.error = Some(reason);
        }
        Err(_) => {}
    }
    let changed = before != (log.error.clone(), log.lines.clone());
    if changed && state.screen == Screen::Journal {
        state.dirty = true;
        lists::refresh(state, fleet);
    }
}

/// Forgets the logs of endpoints that are configured no more.
pub(super) fn forget(state: &mut State, fleet: &Fleet) {
    state.audit.retain(|endpoint, _| fleet.endpoint(endpoint).is_some());
}
