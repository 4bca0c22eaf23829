//! The real service's answers (`tests/fixtures/duplistatus/1.4.2`) through the pure part.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::convert::{self, Given, Told};
use super::memory::Memory;
use super::wire::{Done, Status, Triggered};
use crate::model::{Clean, RunState, Task, TaskId, TaskState, Timing, Verb};
use crate::schedule::{Plan, assess};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/duplistatus/1.4.2/",
            $name,
            ".json"
        ))
    };
}

const CHECK: &str = "overdue-backup-check";
const CLEANUP: &str = convert::CLEANUP;

fn at(time: &str) -> DateTime<Utc> {
    format!("2026-11-20T{time}Z").parse().unwrap()
}

fn status(json: &str) -> Status {
    serde_json::from_str(json).unwrap()
}

/// What one look tells.
fn told(json: &str) -> Told {
    let status = status(json);
    let mut memory = Memory::default();
    memory.learn(&status, at("07:01:03"));
    convert::told(&status, &memory, &Given::default())
}

fn named<'a>(told: &'a Told, name: &str) -> &'a Task {
    told.tasks.iter().find(|task| task.id.as_raw() == name).unwrap_or_else(|| panic!("no task {name}"))
}

fn names(told: &Told) -> Vec<&str> {
    told.tasks.iter().map(|task| task.id.as_raw()).collect()
}

#[test]
fn a_service_that_has_just_started_has_two_tasks_and_no_past() {
    let told = told(fixture!("health-new"));
    assert_eq!(names(&told), [CLEANUP, CHECK]);
    for (name, cron) in [(CHECK, "*/5 * * * *"), (CLEANUP, "0 2 * * *")] {
        let task = named(&told, name);
        assert!(!task.paused && task.state.is_none() && task.last_run.is_none());
        let schedule = task.schedule.as_ref().unwrap();
        assert!(schedule.assumed, "nobody told it");
        assert_eq!(schedule.zone, "UTC");
        assert!(matches!(&schedule.timing, Timing::Cron { expression, .. } if *expression == cron));
        assert!(task.remarks.iter().any(|r| r.contains("since duplistatus started")), "{:?}", task.remarks);
        let plan = Plan::new(schedule).unwrap();
        let facts = task.facts.as_deref().unwrap();
        assert_eq!(facts.since, None);
        let judged = |time| assess(facts, Some(&plan), true, &task.policy, false, at(time));
        assert_eq!(judged("07:01:03").state, TaskState::Healthy, "its first slot has not come");
        // An empty history after its restart is not late, however long it lasts.
        let verdict = judged("23:59:59");
        assert_eq!((verdict.late_since, verdict.problems), (None, vec![]));
        // But a slot that came and went without a trace leaves nothing to call healthy.
        let state = if name == CHECK { TaskState::Unknown } else { TaskState::Healthy };
        assert_eq!(verdict.state, state, "{name}");
    }
    assert!(told.runs.is_empty() && told.degraded.is_none());
}

#[test]
fn successes_are_dated_and_a_mistyped_trigger_is_no_task() {
    let told = told(fixture!("health-after-runs"));
    assert_eq!(names(&told), [CLEANUP, CHECK], "`nope` is only in errors");
    let task = named(&told, CHECK);
    let run = task.last_run.as_ref().unwrap();
    assert_eq!((run.state, run.started, run.duration_ms), (RunState::Succeeded, None, None));
    assert_eq!(run.ended, Some(at("07:01:02.709")));
    let facts = task.facts.as_deref().unwrap();
    assert_eq!((facts.since, facts.last_end), (run.ended, run.ended));
    assert!(!facts.undated_failure);
    assert_eq!(told.runs.len(), 2, "each success is a run of its task");
    // From a success on, lateness counts: 07:05 is the slot, 07:12 is too late.
    let plan = Plan::new(task.schedule.as_ref().unwrap()).unwrap();
    let verdict = assess(facts, Some(&plan), true, &task.policy, false, at("07:12:00"));
    assert_eq!(verdict.late_since, Some(at("07:05:00")));
    assert!(verdict.problems.iter().all(|problem| problem.assumed));
}

#[test]
fn a_stopped_task_is_seen_paused_and_says_what_can_be_done() {
    let told = told(fixture!("health-stopped"));
    let (stopped, active) = (named(&told, CLEANUP), named(&told, CHECK));
    assert!(stopped.paused && !active.paused);
    let refusal = |task: &Task, verb| task.capabilities.refusal(verb).map(ToString::to_string);
    assert_eq!(refusal(stopped, Verb::Pause).as_deref(), Some("already stopped"));
    assert_eq!(refusal(stopped, Verb::Resume), None);
    assert_eq!(refusal(active, Verb::Pause), None);
    assert_eq!(refusal(active, Verb::Resume).as_deref(), Some("already scheduled"));
    assert_eq!(refusal(active, Verb::Trigger), None);
    assert_eq!(refusal(active, Verb::Retry).as_deref(), Some("duplistatus has no retry; use trigger"));
    for &verb in Verb::ALL {
        let allowed = matches!(verb, Verb::Trigger | Verb::Pause);
        assert_eq!(refusal(active, verb).is_none(), allowed, "{verb}");
    }
    assert!(stopped.caution.as_ref().unwrap().contains("deletes audit rows"));
    assert!(stopped.is_destroyed_by(Verb::Trigger.into()) && !stopped.is_destroyed_by(Verb::Pause.into()));
    assert!(!active.is_destroyed_by(Verb::Trigger.into()));
}

#[test]
fn a_scheduled_task_without_code_is_a_task_and_fails() {
    let told = told(fixture!("health-code-less-task"));
    assert_eq!(names(&told), [CLEANUP, "nightly-report", CHECK], "but `a/b é` and `nope` are typos");
    let task = named(&told, "nightly-report");
    assert!(!task.paused);
    assert_eq!(task.schedule, None, "nobody knows it");
    let run = task.last_run.as_ref().unwrap();
    assert_eq!((run.state, run.ended), (RunState::Failed, None));
    assert_eq!(run.message.as_deref(), Some("Error: Unknown task: nightly-report"));
    assert!(task.capabilities.refusal(Verb::Trigger).unwrap().contains("no code"));
    assert!(task.facts.as_deref().unwrap().undated_failure);
    assert!(named(&told, CHECK).paused, "disabled, so stopped, but there");
}

#[test]
fn an_error_is_newer_than_any_success_and_has_no_date() {
    let json = fixture!("health-after-runs").replace("\"nope\"", &format!("{CHECK:?}"));
    let told = told(&json);
    let task = named(&told, CHECK);
    let run = task.last_run.as_ref().unwrap();
    assert_eq!((run.state, run.ended), (RunState::Failed, None));
    let facts = task.facts.as_deref().unwrap();
    assert!(facts.undated_failure && facts.bad_streak == 1);
    let plan = Plan::new(task.schedule.as_ref().unwrap()).unwrap();
    let verdict = assess(facts, Some(&plan), true, &task.policy, false, at("23:00:00"));
    assert_eq!(verdict.late_since, None, "lateness is not computed while it fails");
    assert_eq!(verdict.state, TaskState::Failing);
    assert_eq!(told.runs.iter().filter(|run| run.task.as_raw() == CHECK).count(), 1, "the success stays");
}

#[test]
fn configured_schedules_are_told_and_not_assumed() {
    let given = Given {
        schedules: BTreeMap::from([
            (TaskId::new(CHECK), Some(convert::configured("*/1    *    *  * *"))),
            (TaskId::new(CLEANUP), None),
            (TaskId::new("nightly-report"), Some(convert::configured("*/2 * * * * *"))),
        ]),
    };
    let status = status(fixture!("health-new"));
    let told = convert::told(&status, &Memory::default(), &given);
    assert!(!named(&told, CHECK).schedule.as_ref().unwrap().assumed);
    assert_eq!(named(&told, CLEANUP).schedule, None, "off");
    let report = named(&told, "nightly-report");
    assert!(report.paused && report.schedule.is_some(), "configured here, not scheduled there");
}

#[test]
fn a_time_that_is_none_is_said_and_costs_nothing_else() {
    let told = told(&fixture!("health-after-runs").replace("2026-11-20T07:01:02.709Z", "yesterday"));
    assert_eq!(named(&told, CHECK).last_run, None);
    assert!(named(&told, CLEANUP).last_run.is_some());
    assert!(told.degraded.unwrap().contains("yesterday"));
    let stopped = convert::told(
        &status(&fixture!("health-new").replace("true", "false")),
        &Memory::default(),
        &Given::default(),
    );
    assert!(stopped.degraded.unwrap().contains("not running"));
}

/// A status in which `active` are scheduled and [`CLEANUP`] last succeeded at `success`.
fn cleanup(active: &[&str], success: &str) -> Status {
    Status {
        is_running: true,
        active_tasks: active.iter().map(|name| TaskId::new(name)).collect(),
        last_run_times: BTreeMap::from([(
            TaskId::new(CLEANUP),
            Clean::from(format!("2026-11-20T{success}Z")),
        )]),
        errors: BTreeMap::new(),
    }
}

#[test]
fn what_keeps_running_while_stopped_is_a_leaked_timer() {
    let mut memory = Memory::default();
    let task = |memory: &mut Memory, status: &Status| {
        memory.learn(status, at("12:00:00"));
        let told = convert::told(status, memory, &Given::default());
        named(&told, CLEANUP).clone()
    };
    task(&mut memory, &cleanup(&[CHECK, CLEANUP], "07:00:00"));
    // Stopped, and a run that was in progress then ends: nothing to say.
    let quiet = task(&mut memory, &cleanup(&[CHECK], "07:00:02"));
    assert_eq!(quiet.remarks.len(), 0, "{:?}", quiet.remarks);
    // One run while stopped may be anybody's trigger.
    let once = task(&mut memory, &cleanup(&[CHECK], "07:00:04"));
    assert!(once.remarks[0].contains("triggered by somebody"), "{:?}", once.remarks);
    assert_eq!(once.capabilities.refusal(Verb::Resume), None);
    // Looking twice at the same is no second run, and our own trigger is none either.
    task(&mut memory, &cleanup(&[CHECK], "07:00:04"));
    memory.triggers(&TaskId::new(CLEANUP));
    let own = task(&mut memory, &cleanup(&[CHECK], "07:00:05"));
    assert!(own.remarks[0].contains("triggered by somebody"), "{:?}", own.remarks);
    let leaked = task(&mut memory, &cleanup(&[CHECK], "07:00:06"));
    assert!(leaked.paused && leaked.remarks[0].contains("leaked a timer"), "{:?}", leaked.remarks);
    assert!(leaked.capabilities.refusal(Verb::Resume).unwrap().contains("second timer"));
    // A restart ends it: the history is empty.
    let mut restarted = cleanup(&[CHECK], "07:00:06");
    restarted.last_run_times.clear();
    let clean = task(&mut memory, &restarted);
    assert_eq!(clean.remarks.len(), 0, "{:?}", clean.remarks);
}

#[test]
fn what_was_scheduled_stays_in_sight_when_it_is_stopped() {
    let mut memory = Memory::default();
    memory.learn(&status(fixture!("health-disabled-task-started")), at("07:02:00"));
    let stopped = status(fixture!("health-leaked"));
    memory.learn(&stopped, at("07:03:00"));
    let told = convert::told(&stopped, &memory, &Given::default());
    assert!(named(&told, "nightly-report").paused, "it can be started again");
    memory.forget(&TaskId::new("nightly-report"));
    assert!(!names(&convert::told(&stopped, &memory, &Given::default())).contains(&"nightly-report"));
}

#[test]
fn a_restart_begins_the_wait_for_a_first_run_anew() {
    let mut memory = Memory::default();
    let id = TaskId::new(CLEANUP);
    let ran = cleanup(&[CHECK, CLEANUP], "02:00:01");
    memory.learn(&ran, at("08:00:00"));
    assert_eq!(memory.of(&id).idle_since, None, "it has a past");
    let restarted = Status { last_run_times: BTreeMap::new(), ..ran.clone() };
    for time in ["09:00:00", "09:00:05"] {
        memory.learn(&restarted, at(time));
        assert_eq!(memory.of(&id).idle_since, Some(at("09:00:00")));
    }
    memory.learn(&Status { active_tasks: BTreeSet::new(), ..restarted.clone() }, at("10:00:00"));
    assert_eq!(memory.of(&id).idle_since, None, "a stopped task waits for nothing");
    memory.learn(&restarted, at("11:00:00"));
    assert_eq!(memory.of(&id).idle_since, Some(at("11:00:00")));
    memory.learn(&ran, at("12:00:00"));
    assert_eq!(memory.of(&id).idle_since, None);
}

#[test]
fn names_that_come_and_go_do_not_pile_up() {
    let mut memory = Memory::default();
    for round in 0..20 {
        let names: Vec<String> = (0..100).map(|i| format!("{round}-{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        memory.learn(&cleanup(&names, "07:00:00"), at("08:00:00"));
    }
    let stopped = memory.stopped().count();
    assert!((1..=256).contains(&stopped), "{stopped}");
}

#[test]
fn a_resumed_task_owes_nothing_of_the_time_in_which_it_was_stopped() {
    let mut memory = Memory::default();
    memory.learn(&cleanup(&[CHECK], "00:00:00"), at("08:00:00"));
    let again = cleanup(&[CHECK, CLEANUP], "00:00:00");
    assert!(memory.learn(&again, at("09:00:00")));
    let told = convert::told(&again, &memory, &Given::default());
    assert_eq!(named(&told, CLEANUP).facts.as_deref().unwrap().since, Some(at("09:00:00")));
    assert!(!memory.learn(&again, at("09:00:05")));
}

#[test]
fn a_trigger_is_told_in_numbers() {
    let said = |json: &str, task: &str| {
        let answer: Triggered = serde_json::from_str(json).unwrap();
        (answer.success, convert::triggered(&TaskId::new(task), &answer).map(|m| m.to_string()))
    };
    let (ok, message) = said(fixture!("trigger-overdue-check"), CHECK);
    assert!(ok);
    assert_eq!(message.as_deref(), Some("0 checked, 0 overdue found, 0 notifications sent"));
    let (_, message) = said(fixture!("trigger-overdue-found"), CHECK);
    assert_eq!(message.as_deref(), Some("10 checked, 2 overdue found, 2 notifications sent"));
    let unsent =
        fixture!("trigger-overdue-found").replace("\"notificationsSent\":2", "\"notificationsSent\":0");
    let (ok, message) = said(&unsent, CHECK);
    assert!(ok && message.unwrap().contains("2 overdue found, 0 notifications sent: fewer than overdue"));
    let (ok, message) = said(fixture!("trigger-cleanup"), CLEANUP);
    assert!(ok && message.unwrap().contains("0 also where the clean-up failed"));
    let (ok, _) = said(fixture!("trigger-unknown"), "nope");
    assert!(!ok);
    let done: Done = serde_json::from_str(fixture!("reloaded")).unwrap();
    assert_eq!(done.message, "Configuration reloaded successfully");
}

#[test]
fn another_service_at_the_same_path_is_not_taken_for_it() {
    for json in [
        "{}",
        "[]",
        r#"{"status":"healthy"}"#,
        r#"{"isRunning":true}"#,
        r#"{"isRunning":true,"activeTasks":7}"#,
    ] {
        assert!(serde_json::from_str::<Status>(json).is_err(), "{json}");
    }
}

proptest! {
    /// Whatever the service says and in whatever order: the two known tasks
    /// are there once each, what is active is not paused, and hostile text stays out.
    #[test]
    fn any_history_gives_whole_tasks(
        steps in proptest::collection::vec((any::<[bool; 3]>(), 0u32..60, any::<bool>(), "\\PC{0,12}"), 1..12),
    ) {
        let mut memory = Memory::default();
        for (active, second, fails, name) in steps {
            let mut status = cleanup(&[], &format!("07:00:{second:02}"));
            for (name, on) in [CHECK, CLEANUP, name.as_str()].into_iter().zip(active) {
                if on {
                    status.active_tasks.insert(TaskId::new(name));
                }
            }
            if fails {
                status.errors.insert(TaskId::new(&name), Clean::line("Error: Unknown task: x"));
            }
            memory.learn(&status, at("08:00:00"));
            let told = convert::told(&status, &memory, &Given::default());
            let mut ids: Vec<_> = told.tasks.iter().map(|task| &task.id).collect();
            ids.dedup();
            prop_assert_eq!(ids.len(), told.tasks.len());
            for known in [CHECK, CLEANUP] {
                prop_assert!(names(&told).contains(&known));
            }
            for task in &told.tasks {
                prop_assert_eq!(task.paused, !status.active_tasks.contains(&task.id));
            }
        }
    }
}
