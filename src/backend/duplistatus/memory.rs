//! What only a second look shows: `/health` has no history, so what a task did
//! between two polls is kept here. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::wire::Status;
use crate::model::{Clean, TaskId};

/// How often a stopped task may have run before its timer counts as leaked: a
/// run that was in progress when it was stopped, or one by another's hand, is none.
const LEAK: u32 = 2;

/// How many tasks are remembered that a status no longer names.
const MAX_ABSENT: usize = 256;

/// What was seen of each task so far.
#[derive(Debug, Default)]
pub struct Memory {
    seen: BTreeMap<TaskId, Seen>,
    read_once: bool,
}

/// What was seen of one task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    active: bool,
    was_scheduled: bool,
    success: Option<Clean>,
    error: Option<Clean>,
    runs_while_stopped: u32,
    own_trigger: bool,
    /// When it was first seen scheduled again after having been stopped.
    pub resumed: Option<DateTime<Utc>>,
    /// Since when it is seen scheduled without that any run of it has ended.
    pub idle_since: Option<DateTime<Utc>>,
}

impl Seen {
    /// Whether it keeps firing although it is stopped.
    pub const fn leaks(&self) -> bool {
        self.runs_while_stopped >= LEAK
    }

    /// How often it ran while it was stopped, other than by our trigger.
    pub const fn runs_while_stopped(&self) -> u32 {
        self.runs_while_stopped
    }

    fn look_for_a_run(&mut self, at: DateTime<Utc>) {
        let idle = self.active && self.success.is_none() && self.error.is_none();
        self.idle_since = idle.then(|| self.idle_since.unwrap_or(at));
    }
}

impl Memory {
    /// Takes in a status that was read at `at`; whether something is
    /// scheduled that was not at the last look.
    pub fn learn(&mut self, status: &Status, at: DateTime<Utc>) -> bool {
        let mut scheduled_anew = false;
        let names: BTreeSet<TaskId> = status.names().chain(self.seen.keys()).cloned().collect();
        for name in names {
            let active = status.active_tasks.contains(&name);
            let success = status.last_run_times.get(&name);
            let error = status.errors.get(&name);
            let Some(seen) = self.seen.get_mut(&name) else {
                // Something that turns up active later was stopped at the first look.
                let resumed = (self.read_once && active).then_some(at);
                scheduled_anew |= resumed.is_some();
                let (success, error) = (success.cloned(), error.cloned());
                let mut seen =
                    Seen { active, was_scheduled: active, success, error, resumed, ..Seen::default() };
                seen.look_for_a_run(at);
                self.seen.insert(name, seen);
                continue;
            };
            // A value that went away is a restart of the service, not a run.
            let ran = (success.is_some() && success != seen.success.as_ref())
                || (error.is_some() && error != seen.error.as_ref());
            if active {
                seen.runs_while_stopped = 0;
                if !seen.active && self.read_once {
                    seen.resumed = Some(at);
                    scheduled_anew = true;
                }
            } else if ran && !seen.own_trigger && !seen.active {
                seen.runs_while_stopped += 1;
            }
            seen.own_trigger &= !ran;
            if seen.success.is_some() && success.is_none() {
                seen.runs_while_stopped = 0;
            }
            seen.active = active;
            seen.was_scheduled |= active;
            seen.success = success.cloned();
            seen.error = error.cloned();
            seen.look_for_a_run(at);
        }
        self.forget_surplus(status);
        self.read_once = true;
        scheduled_anew
    }

    /// Keeps the memory of what is no longer told bounded, whatever names come and go.
    fn forget_surplus(&mut self, status: &Status) {
        let told: BTreeSet<&TaskId> = status.names().collect();
        let mut absent = 0_usize;
        self.seen.retain(|name, seen| {
            absent += usize::from(!told.contains(name));
            told.contains(name) || (seen.was_scheduled || seen.own_trigger) && absent <= MAX_ABSENT
        });
    }

    /// Notes that we trigger `task`: the run that follows is ours.
    pub fn triggers(&mut self, task: &TaskId) {
        self.seen.entry(task.clone()).or_default().own_trigger = true;
    }

    /// Drops a task that the service no longer has.
    pub fn forget(&mut self, task: &TaskId) {
        self.seen.remove(task);
    }

    /// What was seen of `task`.
    pub fn of(&self, task: &TaskId) -> Seen {
        self.seen.get(task).cloned().unwrap_or_default()
    }

    /// Tasks that were scheduled at some time, but are not now: they can be started again.
    pub fn stopped(&self) -> impl Iterator<Item = &TaskId> {
        self.seen.iter().filter(|(_, seen)| !seen.active && seen.was_scheduled).map(|(name, _)| name)
    }
}
