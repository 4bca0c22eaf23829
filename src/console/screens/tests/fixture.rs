//! One fleet with something of everything, at one time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};

use crate::console::keymap::Keymap;
use crate::console::state::{AuditLog, Look, RowKey, Screen, State, keyed};
use crate::fleet::{Failure, Fleet};
use crate::model::{
    Alert, AlertKind, AuditEntry, Capabilities, Clean, Command, Dialect, EndpointName, EndpointSpec, Health,
    IntentId, Kind, Part, Priority, Queue, QueueName, Receipt, Retry, Run, RunId, RunState, Schedule,
    Snapshot, Stage, Target, Task, TaskId, TaskKey, TaskState, Timing, Verb,
};

pub fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 20, 9, 41, 0).unwrap()
}

pub fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

pub fn name(text: &str) -> EndpointName {
    EndpointName::new(text)
}

pub fn key(endpoint: &str, task: &str) -> TaskKey {
    TaskKey::new(&name(endpoint), &TaskId::new(task))
}

fn spec(endpoint: &str, kind: Kind) -> EndpointSpec {
    let mut spec = EndpointSpec::new(name(endpoint), kind, Some(format!("http://{endpoint}-1:9667")));
    spec.poll = Duration::from_secs(5);
    spec
}

pub fn task(id: &str, state: TaskState) -> Task {
    let capabilities = Capabilities::by(|verb| match verb {
        Verb::Archive => Some("the role operator may not archive".into()),
        Verb::Retry if state != TaskState::Failing => Some("the last run did not fail".into()),
        Verb::Cancel if state != TaskState::Running => Some("nothing runs or waits".into()),
        _ => None,
    });
    Task {
        state: Some(state),
        paused: state == TaskState::Paused,
        archived: state == TaskState::Archived,
        priority: Some(Priority::default()),
        ..Task::bare(TaskId::new(id), id.into(), capabilities)
    }
}

fn every(task: Task, cron: &str, due_in: i64) -> Task {
    let timing = Timing::Cron { expression: cron.into(), dialect: Dialect::Unix };
    Task {
        schedule: Some(Schedule { timing, zone: "UTC".into(), assumed: false }),
        next_due: Some(ago(-due_in)),
        ..task
    }
}

/// The newest run ended so many seconds ago and took so many milliseconds.
fn ran(task: Task, ended: i64, took: u64, state: RunState) -> Task {
    let mut run = Run::bare(task.id.clone(), state);
    run.ended = Some(ago(ended));
    run.started = Some(ago(ended) - TimeDelta::milliseconds(i64::try_from(took).unwrap()));
    run.duration_ms = Some(took);
    run.exit_code = Some(i32::from(state != RunState::Succeeded));
    run.id = Some(RunId::new(&format!("{}-1", task.id)));
    Task { last_run: Some(run), ..task }
}

fn active(mut task: Task, state: RunState, seconds: i64) -> Task {
    let mut run = Run::bare(task.id.clone(), state);
    run.id = Some(RunId::new(&format!("{}-now", task.id)));
    run.queued = Some(ago(seconds + 1));
    run.started = (state == RunState::Running).then(|| ago(seconds));
    run.machine = Some("prod-01".into());
    run.cause = Some("schedule".into());
    run.attempt = task.retry.attempt;
    task.active_runs.push(run);
    task
}

/// How the runs of a task went: minutes ago, milliseconds, state.
fn history(task: &str, runs: &[(i64, u64, RunState)]) -> Vec<Run> {
    runs.iter()
        .map(|&(minutes, took, state)| {
            let mut run = Run::bare(TaskId::new(task), state);
            run.id = Some(RunId::new(&format!("{task}-{minutes}")));
            run.started = Some(ago(minutes * 60));
            run.ended = Some(ago(minutes * 60) + TimeDelta::milliseconds(i64::try_from(took).unwrap()));
            run.duration_ms = Some(took);
            run.cause = Some("schedule".into());
            run.exit_code = Some(i32::from(state != RunState::Succeeded));
            run.message = (state == RunState::Failed).then(|| "Bridge reported failure".into());
            run
        })
        .collect()
}

fn local() -> Snapshot {
    let healthy = |id: &str, cron: &str, due: i64, ended: i64, took: u64| {
        ran(every(task(id, TaskState::Healthy), cron, due), ended, took, RunState::Succeeded)
    };
    let mut tasks = vec![
        healthy("disk-space", "*/10 * * * *", 540, 60, 8),
        healthy("overdue-check", "*/5 * * * *", 240, 60, 12),
        healthy("audit-log-cleanup", "0 2 * * *", 58_740, 27_660, 1_450),
        healthy("self-backup", "@daily", 51_540, 34_860, 2_300),
        ran(task("report-monthly", TaskState::Paused), 20 * 86_400, 64_000, RunState::Succeeded),
        ran(task("old-import", TaskState::Archived), 90 * 86_400, 1_000, RunState::Aborted),
        task("never-ran", TaskState::Healthy),
    ];
    tasks[4].priority = Priority::new(4).ok();
    for index in 0..12 {
        tasks.push(healthy(&format!("rotate-shard-{index:02}"), "0 * * * *", 1_140, 2_400 + index, 900));
    }
    let bare = Snapshot::unchanged(now(), 3);
    Snapshot { tasks: Part::complete(tasks), version: Some("0.1.0".into()), ..bare }
}

fn backups() -> Snapshot {
    let failing = every(task("overdue-backup-check", TaskState::Failing), "*/5 * * * *", 180);
    let mut failing = ran(failing, 150, 24_000, RunState::Failed);
    failing.last_run.as_mut().unwrap().message = Some("ntfy unreachable · 2 overdue".into());
    failing.capabilities =
        Capabilities::by(|verb| (verb != Verb::Trigger).then(|| "duplistatus has no such action".into()));
    failing.priority = None;
    failing.schedule.as_mut().unwrap().assumed = true;
    let cleanup = every(task("audit-log-cleanup", TaskState::Healthy), "0 2 * * *", 58_740);
    let alert = Alert {
        task: Some(TaskId::new("overdue-backup-check")),
        queue: None,
        kind: AlertKind::Failed,
        severity: AlertKind::Failed.severity(),
        since: ago(150),
        summary: "ntfy unreachable · 2 overdue".into(),
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    };
    Snapshot {
        tasks: Part::complete(vec![failing, ran(cleanup, 27_660, 340, RunState::Succeeded)]),
        alerts: Part::complete(vec![alert]),
        ..Snapshot::unchanged(now(), 31)
    }
}

fn duty() -> Snapshot {
    let late = every(task("nightly-db-dump", TaskState::Late), "0 10 * * *", -2_460);
    let mut late = ran(late, 108_000, 720_000, RunState::Succeeded);
    late.team = Some("data".into());
    let absent = every(task("reindex-search", TaskState::Absent), "0 * * * *", -3_000);
    let absent = ran(absent, 90_000, 40_000, RunState::Succeeded);
    let due =
        ran(every(task("push-metrics", TaskState::Due), "* * * * *", -20), 80, 400, RunState::Succeeded);
    let alert = |id: &str, kind: AlertKind, since: i64, summary: &str| Alert {
        task: Some(TaskId::new(id)),
        queue: None,
        kind,
        severity: kind.severity(),
        since: ago(since),
        summary: summary.into(),
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    };
    let mut taken = alert("reindex-search", AlertKind::Absent, 3_000, "slot 09:00 never ran");
    taken.acknowledged_by = Some("Ana".into());
    Snapshot {
        tasks: Part::complete(vec![late, absent, due]),
        alerts: Part::complete(vec![
            alert("nightly-db-dump", AlertKind::Late, 2_460, "due 09:00 Paris, never started"),
            taken,
        ]),
        ..Snapshot::unchanged(now(), 42)
    }
}

fn fleet_endpoint() -> Snapshot {
    let mut running = every(task("restart-webserver", TaskState::Running), "@hourly", 1_140);
    running.retry = Retry { attempt: 2, max: 3, next_at: None };
    running.priority = Priority::new(1).ok();
    running.team = Some("prod".into());
    running.machine = Some("prod-01".into());
    running.description = Some("Restarts the web servers one by one and waits for each to answer.".into());
    running.remarks = vec!["started late: no free worker for 8m".into()];
    let running = active(ran(running, 3_600, 38_000, RunState::Succeeded), RunState::Running, 12);
    let mut queued = task("sync-repository-eu-central-with-a-long-name", TaskState::Queued);
    queued.priority = Priority::new(2).ok();
    let queued = active(queued, RunState::Queued, 720);
    let over = active(task("übersicht-日本-レポート", TaskState::Running), RunState::Running, 95);
    let queue = Queue {
        name: QueueName::new("prod"),
        depth: 12,
        by_priority: Some([1, 3, 8, 0, 0]),
        running: 2,
        stale: 0,
        oldest_pending: Some(ago(720)),
        oldest_by_priority: None,
    };
    let total =
        Queue { name: QueueName::new("batch"), depth: 4, by_priority: None, running: 0, ..queue.clone() };
    let empty = Queue { name: QueueName::new("idle"), depth: 0, oldest_pending: None, ..total.clone() };
    let ok = RunState::Succeeded;
    let mut runs = history(
        "restart-webserver",
        &[
            (60, 38_000, ok),
            (120, 41_000, ok),
            (180, 72_000, RunState::Failed),
            (240, 36_000, ok),
            (300, 44_000, ok),
            (360, 39_000, ok),
            (420, 95_000, ok),
            (480, 37_000, ok),
        ],
    );
    runs.extend(running.active_runs.clone());
    runs.extend(over.active_runs.clone());
    runs.extend(history("übersicht-日本-レポート", &[(100, 40_000, ok), (200, 42_000, ok)]));
    Snapshot {
        tasks: Part::complete(vec![running, queued, over]),
        runs: Part::listed(runs, Vec::new()),
        queues: Part::complete(vec![queue, total, empty]),
        version: Some("0.1.0".into()),
        ..Snapshot::unchanged(now(), 7)
    }
}

/// Read four minutes ago: what it told then is old.
fn edge() -> Snapshot {
    let rotate = every(task("log-rotate", TaskState::Healthy), "*/10 * * * *", -150);
    let sync = every(task("sync-clock", TaskState::Healthy), "0 * * * *", 1_140);
    Snapshot {
        tasks: Part::complete(vec![
            ran(rotate, 3_600, 3_000, RunState::Succeeded),
            ran(sync, 2_460, 150, RunState::Succeeded),
            ran(task("old-failure", TaskState::Failing), 5_000, 150, RunState::Failed),
        ]),
        ..Snapshot::unchanged(ago(250), 9)
    }
}

fn refused(reason: &str, health: Health, tries: u32) -> Failure {
    Failure { health, reason: reason.into(), tries, next_try: ago(-20) }
}

/// Five endpoints, one of them down for four minutes.
pub fn live() -> Fleet {
    let mut fleet = Fleet::default();
    let specs = [
        spec("local", Kind::Vigie),
        spec("backups", Kind::Duplistatus),
        spec("duty", Kind::Vigie),
        spec("fleet", Kind::Vigie),
        spec("edge", Kind::Vigie),
    ];
    fleet.configure(&specs, ago(7_200));
    fleet.apply(&name("edge"), edge(), ago(250));
    fleet.fail(&name("edge"), refused("connection refused (10.0.0.9:9667)", Health::Down, 6), ago(240));
    for (endpoint, snapshot) in
        [("local", local()), ("backups", backups()), ("duty", duty()), ("fleet", fleet_endpoint())]
    {
        fleet.apply(&name(endpoint), snapshot, now());
    }
    for (seconds, verb, task, stage) in [
        (40, Verb::Trigger, "disk-space", Stage::Sent),
        (30, Verb::Reprioritise, "overdue-check", Stage::Accepted),
        (20, Verb::Pause, "self-backup", Stage::Unknown),
    ] {
        fleet.note_receipt(receipt(seconds, verb, task, stage), now());
    }
    fleet.tick(now());
    fleet
}

fn receipt(seconds: i64, verb: Verb, task: &str, stage: Stage) -> Receipt {
    Receipt {
        intent: IntentId(uuid::Uuid::from_u128(u128::from(seconds.unsigned_abs()))),
        deed: verb.into(),
        target: Target::task(&key("local", task), TaskState::Healthy),
        stage,
        at: ago(seconds - 2),
        sent: ago(seconds),
        message: (stage == Stage::Unknown).then(|| "the answer was lost; the next poll tells".into()),
        run: None,
        priority: (verb == Verb::Reprioritise).then(|| Priority::new(2).unwrap()),
    }
}

/// Everything is well: one endpoint, four healthy tasks.
pub fn quiet() -> Fleet {
    let mut fleet = Fleet::default();
    fleet.configure(&[spec("local", Kind::Vigie)], ago(60));
    let mut snapshot = local();
    snapshot.tasks.items.truncate(4);
    fleet.apply(&name("local"), snapshot, now());
    fleet
}

/// One endpoint that has not answered yet.
pub fn connecting() -> Fleet {
    let mut fleet = Fleet::default();
    fleet.configure(&[spec("local", Kind::Vigie)], ago(1));
    fleet
}

/// One endpoint without tasks, one that refuses our token, one that is gone.
pub fn troubled() -> Fleet {
    let mut fleet = Fleet::default();
    let specs = [spec("local", Kind::Vigie), spec("fleet", Kind::Vigie), spec("edge", Kind::Vigie)];
    fleet.configure(&specs, ago(600));
    let bare = Snapshot::unchanged(now(), 3);
    fleet.apply(&name("local"), Snapshot { tasks: Part::complete(Vec::new()), ..bare }, now());
    let lost = "the session is lost (token used elsewhere); renew it: REDIACC_TOKEN";
    fleet.fail(&name("fleet"), refused(lost, Health::Unauthorised, 1), ago(30));
    fleet.fail(&name("edge"), refused("connection refused (10.0.0.9:9667)", Health::Down, 6), ago(30));
    fleet
}

/// The three systems that vigie speaks to besides itself, as they tell of themselves.
pub fn systems() -> Fleet {
    let mut fleet = Fleet::default();
    let specs =
        [spec("duck", Kind::DutyDuck), spec("rediacc", Kind::Rediacc), spec("backups", Kind::Duplistatus)];
    fleet.configure(&specs, ago(7_200));
    let commands = |kind: Kind, refused: &'static [(Command, &'static str)]| {
        Command::of(kind).map(move |command| {
            let why = refused.iter().find(|(known, _)| *known == command).map(|(_, why)| Clean::line(why));
            (command, why)
        })
    };
    let no = "duty-duck has no such action";
    let capable = Capabilities::by(|verb| (verb == Verb::Trigger).then(|| no.into()));
    let capable =
        capable.with(commands(Kind::DutyDuck, &[(Command::DutyDuckComment, "no incident is open")]));
    let mut late = every(task("5f2c", TaskState::Healthy), "0 0 3 * * *", -24_000);
    (late.name, late.alias) = ("nightly-export".into(), Some("nightly-export-eu".into()));
    late.class = Some("task".into());
    late.remote_state = Some("healthy".into());
    late.judged_within_s = Some(60);
    late.capabilities = capable.clone();
    let mut monitor = ran(task("9a10", TaskState::Failing), 90, 340, RunState::Failed);
    (monitor.name, monitor.class) = ("shop.example.org".into(), Some("http monitor".into()));
    monitor.capabilities = capable;
    let duck = Snapshot {
        tasks: Part::complete(vec![late, monitor]),
        version: Some("0.9".into()),
        remarks: vec![
            "the token may read and write tasks, not HTTP monitors (scopes: tasks:read, tasks:write)".into(),
        ],
        ..Snapshot::unchanged(now(), 42)
    };
    fleet.apply(&name("duck"), duck, now());
    let mut item = task("7e57", TaskState::Queued);
    item.team = Some("Private Team".into());
    item.capabilities = Capabilities::by(|_| None)
        .with(commands(Kind::Rediacc, &[(Command::RediaccDelete, "it is assigned: cancel it first")]));
    let rediacc = Snapshot {
        tasks: Part::complete(vec![active(item, RunState::Queued, 720)]),
        remarks: vec![
            "a session of vigie's own, until 21 Jan 09:00 (24 h without a call end it)".into(),
            "48 of 60 calls are left; one more every 4 s".into(),
        ],
        degraded: Some("the dashboard is not told to this user: the whole queue is read instead".into()),
        ..Snapshot::unchanged(now(), 120)
    };
    let reload = "rediacc has no configuration to read";
    fleet.describe(
        &name("rediacc"),
        Some("https://rediacc.example.org".into()),
        Capabilities::by(|_| Some(reload.into())).with(commands(Kind::Rediacc, &[])),
    );
    fleet.apply(&name("rediacc"), rediacc, now());
    fleet.apply(&name("backups"), backups(), now());
    fleet.note_receipt(receipt(20, Verb::Trigger, "disk-space", Stage::Observed), now());
    fleet.tick(now());
    fleet
}

/// What the endpoints' own audit logs tell, beside the own intents.
pub fn audited(state: &mut State) {
    let entry = |minutes: i64, by: Option<&str>, action: &str, target: Option<&str>| AuditEntry {
        at: ago(minutes * 60),
        by: by.map(Into::into),
        action: action.into(),
        target: target.map(Into::into),
        result: Some("success".into()),
        details: (minutes > 60).then(|| "retention 90 days, 120 rows deleted".into()),
        from: by.map(|_| "10.0.0.7".into()),
    };
    let backups = AuditLog {
        lines: keyed(vec![
            entry(3, Some("ana"), "overdue_check_run", None),
            entry(9, Some("ana"), "login", None),
            entry(461, None, "audit_cleanup", Some("audit-log-cleanup")),
        ]),
        ..AuditLog::default()
    };
    let rediacc = AuditLog {
        lines: keyed(vec![entry(1, Some("maria.longname@example.org"), "QueueItemCreated", Some("7e57"))]),
        ..AuditLog::default()
    };
    let duck = AuditLog { error: Some("timed out after 10s".into()), ..AuditLog::default() };
    let keys = state.rows.entry(Screen::Journal).or_default();
    for (endpoint, log) in [("backups", &backups), ("rediacc", &rediacc)] {
        let told = log.lines.keys().rev().map(|key| RowKey::Told(name(endpoint), key.clone()));
        keys.keys.splice(0..0, told);
    }
    keys.cursor = keys.keys.first().cloned();
    state.audit = [(name("backups"), backups), (name("rediacc"), rediacc), (name("duck"), duck)].into();
}

pub fn look() -> Look {
    Look { ascii: false, utc: true, local_offset_s: 3_600, local_zone: "CET".into() }
}

/// The console on `screen`, its lists as the update would have them.
pub fn state(fleet: &Fleet, screen: Screen, size: (u16, u16)) -> State {
    let mut state = State::new(Keymap::new(&[]), look(), screen, size, now());
    state.tasks.rebuild(fleet, now());
    state.tasks.select_index(0);
    let alerts = fleet.alerts().into_iter().map(|row| RowKey::Alert(row.endpoint, row.alert.key()));
    let runs = fleet.runs(200).into_iter().map(|row| RowKey::Run {
        task: row.key(),
        at: row.run.id.is_none().then(|| row.run.started.or(row.run.ended)).flatten(),
        run: row.run.id,
    });
    let endpoints = fleet.endpoints().map(|row| RowKey::Endpoint(row.spec.name.clone()));
    let entries = fleet.receipts().into_iter().map(|r| RowKey::Entry(r.intent, r.target.clone()));
    for (screen, keys) in [
        (Screen::Board, alerts.collect::<Vec<_>>()),
        (Screen::Runs, runs.collect()),
        (Screen::Endpoints, endpoints.collect()),
        (Screen::Journal, entries.collect()),
    ] {
        let rows = state.rows.entry(screen).or_default();
        rows.cursor = keys.first().cloned();
        rows.keys = keys;
    }
    state
}
