//! The real server's answers (`tests/fixtures/duty-duck`) through the pure part.

use chrono::{DateTime, TimeDelta, Utc};

use super::convert::{self, Freeze, LAG_S, Permits};
use super::incidents;
use super::reasons::Incidents;
use super::rights::Rights;
use super::wire;
use crate::model::{AlertKind, Clean, Dialect, Run, RunState, Task, TaskId, TaskState, Timing, Verb};
use crate::schedule::Plan;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/duty-duck/", $name, ".json"))
    };
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn page<T: wire::Listed>(text: &str) -> Vec<T> {
    serde_json::from_str::<wire::Page<T>>(text).unwrap().items
}

fn told(task: wire::Task) -> Task {
    let rights = Rights::default();
    convert::task(task, (None, Vec::new()), &Incidents::None, &mut Permits::new(&rights))
}

fn with(status: &str, more: &serde_json::Value) -> Task {
    let mut json = serde_json::json!({"id": "u", "userId": "dump", "status": status});
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    told(serde_json::from_value(json).unwrap())
}

fn monitor(status: &str, more: &serde_json::Value) -> Task {
    let mut json = serde_json::json!({"id": "m", "url": "https://h.example/x", "status": status});
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let rights = Rights::default();
    let told: wire::Monitor = serde_json::from_value(json).unwrap();
    convert::monitor(told, &Incidents::None, &mut Permits::new(&rights))
}

#[test]
fn a_task_of_the_real_server_is_read_whole() {
    let mut tasks: Vec<wire::Task> = page(fixture!("tasks-page"));
    let task = told(tasks.remove(1));
    assert_eq!(task.id.as_raw(), "0ddca17e-cc4b-459c-8d99-558db7506162");
    assert_eq!(task.alias.as_deref(), Some("nightly-db-dump"));
    assert_eq!((task.name.as_str(), task.description.as_deref()), ("Nightly DB dump", Some("pg_dump")));
    assert_eq!((task.state, task.remote_state.as_deref()), (Some(TaskState::Healthy), Some("healthy")));
    assert_eq!(task.labels.get("env").map(Clean::as_str), Some("prod"));
    let schedule = task.schedule.as_ref().unwrap();
    assert_eq!((schedule.text().as_str(), schedule.zone.as_str()), ("0 3 * * *", "Europe/Paris"));
    assert!(matches!(schedule.timing, Timing::Cron { dialect: Dialect::Quartz, .. }));
    assert_eq!(task.next_due, Some(at("2026-11-21T02:00:00Z")));
    let policy = task.policy;
    assert_eq!(
        (policy.start_window_s, policy.lateness_window_s, policy.heartbeat_timeout_s),
        (120, 240, Some(30))
    );
    assert_eq!(task.judged_within_s, Some(LAG_S));
    let unscheduled = told(tasks.remove(0));
    assert_eq!((unscheduled.schedule, unscheduled.judged_within_s), (None, None));
}

#[test]
fn every_status_is_mapped_and_an_unknown_word_is_kept() {
    for (word, state) in [
        ("healthy", TaskState::Healthy),
        ("failing", TaskState::Failing),
        ("running", TaskState::Running),
        ("due", TaskState::Due),
        ("late", TaskState::Late),
        ("absent", TaskState::Absent),
        ("archived", TaskState::Archived),
        ("dozing", TaskState::Unknown),
    ] {
        let due = serde_json::json!({"cronSchedule": "0 3 * * *", "nextDueAt": "2026-11-21T02:00:00Z"});
        let task = with(word, &due);
        assert_eq!((task.state, task.remote_state.as_deref()), (Some(state), Some(word)));
        let archived = state == TaskState::Archived;
        assert_eq!(task.archived, archived, "archived ones are marked");
        assert_eq!(task.next_due.is_none(), archived, "and due no more");
    }
}

#[test]
fn the_day_of_week_is_read_as_quartz_does_and_the_next_due_time_is_trusted() {
    // Captured from the real server: text as stored, and the next due time that it told.
    for (text, stored, next) in [
        ("0 3 * * 1", "0 3 * * 1", "2026-11-22T03:00:00Z"),
        ("0 3 * * 7", "0 3 * * 7", "2026-11-21T03:00:00Z"),
        ("0 3 * * MON", "0 3 * * MON", "2026-11-23T03:00:00Z"),
        ("0 3 1 * *", "0 3 1 * *", "2026-12-01T03:00:00Z"),
        ("0 3 * * 1-5", "0 3 * * 1-5", "2026-11-22T03:00:00Z"),
        // Six fields are five and a year: the seconds are cut off when they are stored.
        ("0 3 * * * 2027", "0 0 3 * * * 2027", "2027-01-01T03:00:00Z"),
        // As another version may store them.
        ("30 0 3 * * SUN", "30 0 3 * * SUN", "2026-11-22T03:00:30Z"),
    ] {
        let told = "2031-01-01T00:00:00Z";
        let task = with("healthy", &serde_json::json!({"cronSchedule": text, "nextDueAt": told}));
        let schedule = task.schedule.unwrap();
        assert_eq!((schedule.text().as_str(), schedule.zone.as_str()), (stored, "UTC"));
        let plan = Plan::new(&schedule).unwrap();
        assert_eq!(plan.next(at("2026-11-20T08:00:00Z")), Some(at(next)), "{text}");
        assert_eq!(task.next_due, Some(at(told)), "as told, whatever the text says");
    }
}

#[test]
fn runs_have_exit_code_message_heartbeat_and_duration() {
    let id = TaskId::new("t");
    let runs: Vec<Run> =
        page::<wire::Run>(fixture!("runs-failed")).into_iter().map(|run| convert::run(&id, run)).collect();
    assert_eq!((runs[0].state, runs[0].exit_code), (RunState::Failed, Some(3)));
    assert_eq!((runs[0].message.as_deref(), runs[0].duration_ms), (Some("disk full"), Some(28)));
    assert_eq!((runs[1].state, runs[1].remote_state.as_deref()), (RunState::Aborted, Some("aborted")));
    let running = page::<wire::Run>(fixture!("runs-running")).remove(0);
    let running = convert::run(&id, running);
    assert_eq!((running.state, running.ended), (RunState::Running, None));
    assert_eq!(running.last_beat, Some(at("2026-11-20T07:12:26.440332Z")));
    let dead = serde_json::json!({
        "id": "r", "status": "dead", "startedAt": "2026-11-20T07:00:00Z", "completedAt": "2026-11-20T07:01:00Z",
        "lastHeartbeatAt": "2026-11-20T07:00:20Z",
    });
    let dead = convert::run(&id, serde_json::from_value(dead).unwrap());
    assert_eq!(dead.state, RunState::Dead);
    assert_eq!(dead.message.as_deref(), Some("no heartbeat after 2026-11-20 07:00:20 UTC"));
    for (word, ended, code, state) in [
        ("finished", true, Some(0), RunState::Succeeded),
        ("resting", false, None, RunState::Running),
        ("melted", true, Some(7), RunState::Failed),
        ("melted", true, None, RunState::Succeeded),
    ] {
        let run = serde_json::json!({
            "id": "r", "status": word, "completedAt": ended.then_some("2026-11-20T07:00:00Z"), "exitCode": code,
        });
        let run = convert::run(&id, serde_json::from_value(run).unwrap());
        assert_eq!((run.state, run.remote_state.as_deref()), (state, Some(word)));
    }
}

#[test]
fn monitors_are_tasks_of_their_own_class() {
    let mut real: Vec<wire::Monitor> = page(fixture!("http-monitors"));
    let rights = Rights::default();
    let task = convert::monitor(real.remove(0), &Incidents::None, &mut Permits::new(&rights));
    assert_eq!((task.class.as_deref(), task.name.as_str()), (Some("http monitor"), "http://127.0.0.1:9/"));
    assert!(task.paused && task.next_due.is_none());
    assert_eq!(task.schedule.unwrap().text(), "every 1m");
    assert_eq!(task.capabilities.refusal(Verb::Resume), None);
    for (word, state) in [
        ("unknown", TaskState::Unknown),
        ("inactive", TaskState::Paused),
        ("up", TaskState::Healthy),
        ("recovering", TaskState::Failing),
        ("suspicious", TaskState::Failing),
        ("down", TaskState::Failing),
        ("archived", TaskState::Archived),
        ("orbiting", TaskState::Unknown),
    ] {
        let task = monitor(word, &serde_json::json!({}));
        assert_eq!((task.state, task.remote_state.as_deref()), (Some(state), Some(word)));
    }
    let suspicious = monitor(
        "suspicious",
        &serde_json::json!({"statusCounter": 1, "downtimeConfirmationThreshold": 3, "errorKind": "timeout",
            "lastPingAt": "2026-11-20T07:00:00Z"}),
    );
    assert_eq!(suspicious.remarks[0], "not confirmed yet: 1 of 3 bad checks in a row");
    let last = suspicious.last_run.unwrap();
    assert_eq!((last.state, last.message.as_deref()), (RunState::Failed, Some("no answer in time")));
    let up = monitor(
        "up",
        &serde_json::json!({"errorKind": "none", "lastHttpCode": 204, "lastPingAt": "2026-11-20T07:00:00Z"}),
    );
    let last = up.last_run.unwrap();
    assert_eq!((last.state, last.message.as_deref()), (RunState::Succeeded, Some("HTTP 204")));
}

#[test]
fn what_may_be_secret_in_a_monitors_url_is_not_shown() {
    for (url, shown) in [
        ("https://ada:pw@h.example/x?token=abc#frag", "https://h.example/x?…"),
        ("https://h.example/x", "https://h.example/x"),
        ("no url?token=abc", "no url"),
    ] {
        let task = monitor("up", &serde_json::json!({"url": url}));
        assert_eq!(task.name, shown);
    }
}

fn failing(alias: &str, due: &str) -> Task {
    let more =
        serde_json::json!({"id": alias, "userId": alias, "cronSchedule": "* * * * *", "nextDueAt": due});
    with("failing", &more)
}

#[test]
fn one_failing_task_past_its_due_time_is_named_as_what_freezes_the_detection() {
    let now = at("2026-11-20T07:20:00Z");
    let mut tasks = vec![
        with(
            "healthy",
            &serde_json::json!({"cronSchedule": "* * * * *", "nextDueAt": "2026-11-20T07:01:00Z"}),
        ),
        failing("failcron", "2026-11-20T07:15:00Z"),
        // Within the lag of the collector, in the future, without a schedule: no culprits.
        failing("just-now", "2026-11-20T07:19:45Z"),
        failing("later", "2026-11-21T07:00:00Z"),
        with("failing", &serde_json::json!({"nextDueAt": "2026-11-20T07:00:00Z"})),
        monitor("down", &serde_json::json!({"intervalSeconds": 60, "nextPingAt": "2026-11-20T07:00:00Z"})),
    ];
    let freeze = Freeze::of(&tasks, now).unwrap();
    assert_eq!(freeze.culprits.len(), 1);
    let alert = freeze.alert();
    assert_eq!((alert.kind, &alert.task), (AlertKind::SchedulerSilent, &None));
    assert_eq!(alert.since, at("2026-11-20T07:15:00Z"));
    for words in [
        "failcron freezes all detection: archive it, or let its wrapper start it",
        "since 2026-11-20 07:15:00 UTC",
    ] {
        assert!(alert.summary.contains(words), "{}", alert.summary);
    }
    freeze.mark(&mut tasks);
    assert!(tasks[1].remarks[0].contains("stops Duty Duck's detection"));
    assert_eq!(tasks.iter().filter(|task| !task.remarks.is_empty()).count(), 1);
    // By the server's clock: a minute earlier nothing is wrong yet.
    assert_eq!(Freeze::of(&tasks, at("2026-11-20T07:15:20Z")), None);
    let many: Vec<Task> =
        (0..5).map(|n| failing(&format!("t{n}"), &format!("2026-11-20T07:0{n}:00Z"))).collect();
    let alert = Freeze::of(&many, now).unwrap().alert();
    assert!(
        alert.summary.contains("t0, t1, t2 and 2 more freeze all detection: archive them"),
        "{}",
        alert.summary
    );
    assert!(Freeze::of(&many, DateTime::<Utc>::MIN_UTC + TimeDelta::seconds(1)).is_none());
}

#[test]
fn a_bad_state_of_which_no_incident_tells_has_its_alert_all_the_same() {
    let now = at("2026-11-20T07:20:00Z");
    let due = serde_json::json!({"cronSchedule": "0 7 * * *", "nextDueAt": "2026-11-20T07:00:00Z"});
    let told = |task: &Task, incidents: &[AlertKind]| {
        let alert = incidents::by_state(task, now, |kind| incidents.contains(&kind), "nobody says");
        alert.map(|alert| {
            assert_eq!((&alert.task, alert.since), (&Some(task.id.clone()), now));
            (alert.kind, alert.summary.to_string())
        })
    };
    let ended = |state, code| {
        let run = Run { exit_code: code, ..Run::bare("u".into(), state) };
        Task { last_run: Some(run), ..with("failing", &due) }
    };
    for (task, kind, words) in [
        (with("failing", &due), AlertKind::Failed, "its run failed; by its state, since nobody says"),
        (ended(RunState::Failed, Some(3)), AlertKind::Failed, "its run failed with exit code 3; by"),
        (ended(RunState::Dead, None), AlertKind::Dead, "its run sends no heartbeat any more; by"),
        (with("late", &due), AlertKind::Late, "did not start in time (due 2026-11-20 07:00:00 UTC); by"),
        (with("absent", &due), AlertKind::Absent, "has not run at all (due 2026-11-20 07:00:00 UTC); by"),
        (monitor("down", &serde_json::json!({})), AlertKind::Failed, "it is down; by"),
    ] {
        let (found, summary) = told(&task, &[]).unwrap();
        assert_eq!(found, kind);
        assert!(summary.starts_with(words), "{summary}");
        assert_eq!(told(&task, &[kind]), None, "the incident's alert is the one");
    }
    for fine in ["healthy", "running", "due", "archived", "dozing"] {
        assert_eq!(told(&with(fine, &due), &[]), None, "{fine}");
    }
    assert_eq!(told(&monitor("suspicious", &serde_json::json!({})), &[]), None, "not confirmed yet");
}
