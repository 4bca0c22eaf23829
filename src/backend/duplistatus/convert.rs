//! From the cron service's words to the model's. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::memory::{Memory, Seen};
use super::wire::{Statistics, Status, Triggered};
use crate::backend::Offer;
use crate::model::{
    Capabilities, Clean, Command, Deed, Dialect, Facts, Run, RunState, Schedule, Task, TaskId, Timing, Verb,
};

/// What is known of a task that `/health` does not tell.
struct Known {
    name: &'static str,
    about: &'static str,
    cron: &'static str,
}

/// The two tasks that the service has code for, scheduled or not.
const KNOWN: [Known; 2] = [
    Known { name: CHECK, about: "looks for backups that are overdue, and notifies", cron: "*/5 * * * *" },
    Known { name: CLEANUP, about: "deletes audit rows older than the retention", cron: "0 2 * * *" },
];

/// The task that looks for overdue backups.
pub const CHECK: &str = "overdue-backup-check";

/// The task whose trigger deletes something.
pub const CLEANUP: &str = "audit-log-cleanup";

/// What a run of it does.
const CAUTION: &str = "a run deletes audit rows older than the retention";

/// What the web application is needed for.
pub const NEEDS_WEB: &str = "needs its web app (options.web_url)";

/// Why nothing is collected for a task of the service.
const FOR_JOBS: &str = "it is for backup jobs, which stand here with its web app (options.web_url)";

/// How an error begins that only says that the service has no code for a name.
const NO_CODE: &str = "Error: Unknown task";

/// What the configuration says of an endpoint's tasks.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// By task; `None`: off.
    pub schedules: BTreeMap<TaskId, Option<Schedule>>,
}

/// What a status tells.
#[derive(Debug, Clone)]
pub struct Told {
    /// All tasks that there are.
    pub tasks: Vec<Task>,
    /// The newest success of each task: all the history that there is.
    pub runs: Vec<Run>,
    /// What could not be read.
    pub degraded: Option<Clean>,
}

/// What a status tells, with what was seen before.
pub fn told(status: &Status, memory: &Memory, given: &Given) -> Told {
    // A mistyped trigger leaves its name in `errors` until the service's restart: no task.
    let failing = status.errors.iter().filter(|(_, error)| !error.starts_with(NO_CODE)).map(|(name, _)| name);
    let names: BTreeSet<TaskId> = KNOWN
        .iter()
        .map(|known| TaskId::new(known.name))
        .chain(given.schedules.keys().cloned())
        .chain(status.active_tasks.iter().cloned())
        .chain(status.last_run_times.keys().cloned())
        .chain(failing.cloned())
        .chain(memory.stopped().cloned())
        .collect();
    let mut problems = Vec::new();
    if !status.is_running {
        problems.push("the cron service says that it is not running".to_owned());
    }
    let mut runs = Vec::new();
    let tasks = names
        .into_iter()
        .map(|name| {
            let success = status.last_run_times.get(&name).and_then(|text| {
                let read = DateTime::parse_from_rfc3339(text);
                if read.is_err() {
                    problems.push(format!("lastRunTimes of {name} is no time: {text}"));
                }
                read.ok().map(|time| time.to_utc())
            });
            runs.extend(success.map(|ended| succeeded(&name, ended)));
            let seen = memory.of(&name);
            task(name, success, status, &seen, given)
        })
        .collect();
    let degraded = (!problems.is_empty()).then(|| Clean::from(problems.join("; ")));
    Told { tasks, runs, degraded }
}

fn succeeded(task: &TaskId, ended: DateTime<Utc>) -> Run {
    Run { ended: Some(ended), ..Run::bare(task.clone(), RunState::Succeeded) }
}

fn task(id: TaskId, success: Option<DateTime<Utc>>, status: &Status, seen: &Seen, given: &Given) -> Task {
    let known = KNOWN.iter().find(|known| known.name == id.as_raw());
    let active = status.active_tasks.contains(&id);
    let error = status.errors.get(&id);
    let without_code = known.is_none() && error.is_some_and(|error| error.starts_with(NO_CODE));
    let last_run = match (error, success) {
        // The next success clears the error: it is newer than any success.
        (Some(error), _) => {
            Some(Run { message: Some(error.clone()), ..Run::bare(id.clone(), RunState::Failed) })
        }
        (None, Some(ended)) => Some(succeeded(&id, ended)),
        (None, None) => None,
    };
    let facts = Facts {
        // Without a success on record the service may just have started: nothing can be late.
        // A resumed task owes nothing of the time in which it was stopped.
        since: success.map(|success| seen.resumed.map_or(success, |resumed| resumed.max(success))),
        scheduled_since: seen.idle_since,
        last_end: success,
        bad_streak: u32::from(error.is_some()),
        good_streak: u32::from(error.is_none() && success.is_some()),
        undated_failure: error.is_some(),
        ..Facts::default()
    };
    let name = id.shown();
    let capabilities = capabilities(active, without_code, seen.leaks());
    Task {
        description: known.map(|known| Clean::line(known.about)),
        paused: !active,
        schedule: schedule(&id, known, given),
        last_run,
        remarks: remarks(active, without_code, seen),
        caution: (id.as_raw() == CLEANUP).then(|| Clean::line(CAUTION)),
        facts: Some(Box::new(facts)),
        ..Task::bare(id, name, capabilities)
    }
}

/// As configured here, else the service's default.
fn schedule(id: &TaskId, known: Option<&Known>, given: &Given) -> Option<Schedule> {
    match given.schedules.get(id) {
        Some(told) => told.clone(),
        None => Some(Schedule { assumed: true, ..configured(known?.cron) }),
    }
}

/// A cron text as the service reads it: in UTC, always.
pub fn configured(cron: &str) -> Schedule {
    let timing = Timing::Cron { expression: Clean::line(cron), dialect: Dialect::Unix };
    Schedule { timing, zone: "UTC".into(), assumed: false }
}

fn capabilities(active: bool, without_code: bool, leaks: bool) -> Capabilities {
    Capabilities::by(|verb| {
        let reason = match verb {
            Verb::Trigger if without_code => "duplistatus has no code for a task of this name",
            Verb::Pause if !active => "already stopped",
            Verb::Resume if active => "already scheduled",
            Verb::Resume if leaks => {
                "it still fires though it is stopped: a start would add a second timer; restart duplistatus"
            }
            Verb::Trigger | Verb::Pause | Verb::Resume => return None,
            other => lacks(other),
        };
        Some(Clean::line(reason))
    })
    .with([(Command::DuplistatusCollect, Some(Clean::line(FOR_JOBS)))])
}

/// What the service can be asked.
pub const fn offer(deed: Deed) -> Offer {
    match deed {
        Deed::Verb(Verb::Trigger | Verb::Pause | Verb::Resume | Verb::ReloadConfig) => Offer::Yes,
        Deed::Verb(verb) => Offer::No(lacks(verb)),
        Deed::Command(
            Command::DuplistatusCheckNow
            | Command::DuplistatusResetNotifications
            | Command::DuplistatusCollect,
        ) => Offer::With(NEEDS_WEB),
        Deed::Command(_) => Offer::No("duplistatus has no such command"),
    }
}

/// Why a verb that the service does not have can't be used.
pub const fn lacks(verb: Verb) -> &'static str {
    match verb {
        Verb::Trigger => "trigger is for a task, not for the endpoint",
        Verb::Pause | Verb::Resume => "duplistatus stops and starts tasks, not the endpoint",
        Verb::Retry => "duplistatus has no retry; use trigger",
        Verb::Cancel => "duplistatus can't stop a run that has begun",
        Verb::Reprioritise => "duplistatus has no priorities",
        Verb::Acknowledge | Verb::Snooze | Verb::Silence => "duplistatus keeps no alerts of its tasks",
        Verb::ReloadConfig => "the endpoint reloads as a whole: use reload-config on it",
        Verb::Archive => "duplistatus can't put a task away",
    }
}

fn remarks(active: bool, without_code: bool, seen: &Seen) -> Vec<Clean> {
    let mut remarks = Vec::new();
    if !active && seen.leaks() {
        remarks.push(Clean::line(
            "keeps running though it is stopped: a second start has leaked a timer, which only a restart of \
             duplistatus ends",
        ));
    } else if !active && seen.runs_while_stopped() > 0 {
        remarks.push(Clean::line("ran while it was stopped: triggered by somebody, or by a leaked timer"));
    }
    if seen.idle_since.is_some() {
        remarks.push(Clean::line("no run of it has ended since duplistatus started"));
    }
    if without_code {
        remarks.push(Clean::line("configured in duplistatus, which has no code for it: every run fails"));
    }
    remarks
}

/// What a trigger did, for the operator.
pub fn triggered(task: &TaskId, answer: &Triggered) -> Option<Clean> {
    if let Some(counts) = answer.statistics {
        return Some(counted(counts));
    }
    let message = answer.message.clone()?;
    if task.as_raw() == CLEANUP && message.starts_with("Cleaned up 0 ") {
        // It says so as well when the clean-up itself threw.
        return Some(Clean::from(format!("{message} (duplistatus says 0 also where the clean-up failed)")));
    }
    Some(message)
}

/// What an overdue check counted.
pub fn counted(counts: Statistics) -> Clean {
    let Statistics { checked_backups: checked, overdue_backups_found: overdue, notifications_sent: sent } =
        counts;
    let notifications = if sent == 1 { "notification" } else { "notifications" };
    // It answers with success even when no notifier can be reached.
    let flag = if sent < overdue {
        ": fewer than overdue (told before, switched off, or the notifier can't be reached)"
    } else {
        ""
    };
    Clean::from(format!("{checked} checked, {overdue} overdue found, {sent} {notifications} sent{flag}"))
}
