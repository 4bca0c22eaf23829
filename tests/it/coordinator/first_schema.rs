//! A database of the first released schema, full of what such a coordinator
//! wrote, is opened by this one: nothing is lost, and every list answers.

use std::fmt::Write as _;
use std::path::Path;

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use vigie::coordinator::audit::{Verdict, verify};

use super::{Home, Served, text};

/// As it was released: nobody may change what is here.
const SCHEMA: &str = include_str!("first_schema.sql");

/// 2026-01-20T09:01:00Z, at which the clock of these tests stands.
const NOW: i64 = 1_768_899_660_000;
const HOUR: i64 = 3_600_000;

const TASKS: i64 = 2_500;
/// So many of them are still in the task file.
const DEFINED: i64 = 40;
const RUNS: i64 = 12_000;
const FLIPS: i64 = 4_000;
const ALERTS: i64 = 3_000;
const AUDIT: i64 = 3_500;
/// So many rows of the audit log were cleaned away.
const CLEANED: i64 = 120;
const ANSWERS: i64 = 2_000;

/// What texts may hold.
const ODD: [&str; 8] = [
    "exit code 1",
    "",
    "it's \"quoted\" \\ and % _ *",
    "çà et là: 日本語 🦀",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "tab\there",
    "null",
];

fn odd(i: i64) -> &'static str {
    ODD[usize::try_from(i).unwrap() % ODD.len()]
}

fn id(i: i64) -> String {
    format!("task-{i:04}")
}

/// The record of a task as the first release wrote it.
fn record(i: i64) -> Value {
    let ended = "2026-01-20T08:00:01Z";
    let bad = i % 10 == 3;
    let run = json!({
        "id": format!("last-{i}"), "task": id(i), "state": if bad { "failed" } else { "succeeded" },
        "remote_state": null, "slot": "2026-01-20T08:00:00Z", "queued": null, "started": "2026-01-20T08:00:00Z",
        "ended": ended, "duration_ms": 1000, "exit_code": i32::from(bad), "message": odd(i), "attempt": 0,
        "priority": null, "next_at": null, "machine": null, "cause": "schedule",
    });
    json!({
        "facts": {
            "since": "2026-01-01T00:00:00Z", "satisfied": "2026-01-20T08:00:00Z",
            "last_start": "2026-01-20T08:00:00Z", "previous_start": null, "last_end": ended,
            "bad_streak": i32::from(bad), "good_streak": i32::from(!bad), "was_failing": false,
            "failing_since": bad.then_some(ended), "undated_failure": false, "running": [], "queued": null,
        },
        "considered": "2026-01-20T08:00:00Z",
        "state": if bad { "failing" } else { "healthy" },
        "paused": (i % 10 == 5).then(|| json!({"at": "2026-01-10T00:00:00Z", "by": "ada"})),
        "priority": (i % 10 == 7).then_some(2),
        "last_run": run,
        "last_success": (!bad).then_some(ended),
        "bad": bad.then_some("failed"),
    })
}

fn policy() -> Value {
    json!({
        "start_window_s": 120, "lateness_window_s": 240, "max_runtime_s": null, "heartbeat_timeout_s": null,
        "min_gap_s": null, "failure_threshold": 1, "recovery_threshold": 1,
    })
}

fn tasks_file() -> String {
    let mut text = String::new();
    for i in 0..DEFINED {
        let _ = writeln!(
            text,
            "[[task]]\nid = \"{}\"\ncommand = [\"true\"]\nschedule = \"0 8 * * *\"\nteam = \"team-{}\"",
            id(i),
            i % 4
        );
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// As the first release chained its rows.
fn link(before: &[u8], at: i64, texts: [&str; 5]) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(at.to_be_bytes());
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().to_vec()
}

/// Fills a database of the first schema.
fn fill(path: &Path) {
    let mut connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    let all = connection.transaction().unwrap();
    all.execute_batch(SCHEMA).unwrap();
    all.pragma_update(None, "user_version", 1).unwrap();
    all.execute("INSERT INTO meta VALUES ('task_file', ?1)", [tasks_file()]).unwrap();
    fill_tasks(&all);
    fill_runs(&all);
    fill_alerts(&all);
    fill_audit(&all);
    for i in 1..=ANSWERS {
        let sql = "INSERT INTO answers (key, action, target, run, at) VALUES (?1, ?2, ?3, ?4, ?5)";
        let run = json!({"id": "run-1", "task": id(1), "state": "succeeded"});
        let run = (i % 2 == 0).then(|| run.to_string());
        let action = if i % 2 == 0 { "trigger" } else { "pause" };
        all.execute(sql, params![format!("key {i}"), action, id(1), run, NOW - i]).unwrap();
    }
    all.commit().unwrap();
}

fn fill_tasks(all: &Connection) {
    let schedule =
        json!({"cron": {"expression": "0 8 * * *", "dialect": "unix"}, "zone": "UTC", "assumed": false});
    for i in 0..TASKS {
        let sql = "INSERT INTO tasks (id, defined, paused, schedule, policy, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let schedule = (i % 10 != 9 || i < DEFINED).then(|| schedule.to_string());
        let record = record(i).to_string();
        all.execute(sql, params![id(i), i < DEFINED, i % 10 == 5, schedule, policy().to_string(), record])
            .unwrap();
    }
}

fn fill_runs(all: &Connection) {
    let none = None::<i64>;
    let run = "INSERT INTO runs (seq, id, task, state, slot, queued, started, ended, duration_ms, exit_code, message, \
               attempt, priority, next_at, cause, pid, start_ticks) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    for i in 1..=RUNS {
        let state = ["succeeded", "failed", "aborted", "dead", "missed"][usize::try_from(i).unwrap() % 5];
        let ended = NOW - (RUNS - i + 10) * 1_000;
        let started = (state != "missed").then_some(ended - 500);
        let code = [None, Some(0), Some(-1), Some(i64::from(i32::MAX))][usize::try_from(i).unwrap() % 4];
        let message = (i % 9 != 0).then(|| odd(i));
        let (task, long) = (id(i % TASKS), if i % 100 == 0 { i64::MAX } else { 500 });
        let values = params![
            i,
            format!("run-{i}"),
            task,
            state,
            Some(ended - 600),
            none,
            started,
            Some(ended),
            long,
            code,
            message,
            i % 3,
            (i % 6 != 0).then_some(i % 6),
            none,
            Some("schedule"),
            none,
            none
        ];
        all.execute(run, values).unwrap();
    }
    // Not ended: one that runs no more, one that nobody knows, one that waits, one between two attempts.
    for (i, state, next, pid) in [
        (1, "running", none, Some(i64::from(i32::MAX - 1))),
        (2, "running", none, none),
        (4, "queued", none, none),
        (6, "queued", Some(NOW + HOUR), none),
    ] {
        let started = (state == "running").then_some(NOW - HOUR);
        let values = params![
            RUNS + i,
            format!("open-{i}"),
            id(i),
            state,
            none,
            Some(NOW - HOUR),
            started,
            none,
            none,
            none,
            None::<&str>,
            0,
            3,
            next,
            Some("manual"),
            pid,
            pid
        ];
        all.execute(run, values).unwrap();
    }
}

fn fill_alerts(all: &Connection) {
    for i in 1..=FLIPS {
        let sql = "INSERT INTO flips (task, old, new, reason, computed, noticed, evidence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let (old, new) = if i % 2 == 0 { ("healthy", "failing") } else { ("late", "absent") };
        let at = NOW - (FLIPS - i) * 60_000;
        all.execute(sql, params![id(i % TASKS), old, new, odd(i), at, at + 3, "fresh"]).unwrap();
    }
    let alert = "INSERT INTO alerts (task, queue, kind, severity, since, summary, closed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    for i in 1..=ALERTS {
        let at = NOW - (ALERTS - i + 5) * 60_000;
        all.execute(alert, params![id(i % TASKS), "", "failed", "critical", at, odd(i), Some(at + 1)])
            .unwrap();
    }
    for i in (3..DEFINED).step_by(10) {
        all.execute(alert, params![id(i), "", "failed", "critical", NOW - HOUR, "exit code 1", None::<i64>])
            .unwrap();
    }
}

fn fill_audit(all: &Connection) {
    let mut before = [0; 32].to_vec();
    for i in 1..=AUDIT {
        let at = NOW - (AUDIT - i) * 60_000;
        let texts =
            [odd(i), "trigger", &id(i % TASKS), "priority 1", if i % 3 == 0 { "ok" } else { odd(i + 1) }];
        before = link(&before, at, texts);
        if i < CLEANED {
            continue;
        }
        if i == CLEANED {
            let sql = "INSERT INTO meta (name, value) VALUES ('audit_anchor', ?1)";
            all.execute(sql, [hex(&before)]).unwrap();
            continue;
        }
        let sql = "INSERT INTO audit (seq, at, actor, action, target, detail, outcome, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let [actor, action, target, detail, outcome] = texts;
        all.execute(sql, params![i, at, actor, action, target, detail, outcome, before]).unwrap();
    }
}

fn count(path: &Path, of: &str) -> i64 {
    Connection::open(path)
        .unwrap()
        .query_row(&format!("SELECT count(*) FROM {of}"), [], |row| row.get(0))
        .unwrap()
}

/// Everything of a list, page by page.
async fn all(served: &Served, list: &str, next: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut query = format!("/{list}?limit=500");
    loop {
        let page = served.read(&query).await;
        let rows = if list == "audit" { "rows" } else { list };
        found.extend(page[rows].as_array().unwrap().iter().cloned());
        query = match &page["next"] {
            Value::Null => return found,
            Value::String(at) => format!("/{list}?limit=500&{next}={at}"),
            at => format!("/{list}?limit=500&{next}={at}"),
        };
    }
}

#[tokio::test]
async fn a_database_of_the_first_schema_is_taken_over_with_all_that_it_holds() {
    let home = Home::new(&tasks_file());
    std::fs::create_dir(home.data()).unwrap();
    let path = home.data().join("coordinator.db");
    fill(&path);
    let served = home.serve().await;

    // What waited ran, what waits longer still does; of what was in progress is told what is known.
    let run = served.until_run("open-4", "succeeded").await;
    assert_eq!(run["cause"], "manual");
    let read = async |id: &str| served.read(&format!("/runs/{id}")).await;
    assert_eq!(read("open-6").await["state"], "queued");
    for id in ["open-1", "open-2"] {
        let run = read(id).await;
        assert_eq!(run["state"], "dead", "{run}");
        assert!(!text(&run["message"]).is_empty());
    }
    // Every run is as it was.
    let runs = all(&served, "runs", "before").await;
    let old: Vec<&Value> = runs.iter().filter(|run| text(&run["id"]).starts_with("run-")).collect();
    assert_eq!(i64::try_from(old.len()).unwrap(), RUNS);
    for (run, i) in old.iter().zip((1..=RUNS).rev()) {
        assert_eq!(run["id"], format!("run-{i}"));
        assert_eq!(run["task"], id(i % TASKS));
        assert_eq!(run["message"].is_null(), i % 9 == 0, "{run}");
        if i % 8 == 3 && i % 9 != 0 {
            assert_eq!(run["message"], odd(3), "{run}");
        }
    }
    let tasks = all(&served, "tasks", "after").await;
    let state =
        |i: i64| tasks.iter().find(|task| task["id"] == id(i)).map(|task| text(&task["state"])).unwrap();
    for (i, expected) in
        [(0, "healthy"), (3, "failing"), (5, "paused"), (6, "queued"), (8, "healthy"), (33, "failing")]
    {
        assert_eq!(state(i), expected, "task {i}");
    }
    assert_eq!(i64::try_from(tasks.len()).unwrap(), DEFINED + 4);
    let seventh = tasks.iter().find(|task| task["id"] == id(7)).unwrap();
    assert_eq!(seventh["priority"], 2);
    let alerts = served.read("/alerts").await;
    let open: Vec<&Value> = alerts["alerts"].as_array().unwrap().iter().collect();
    for i in (3..DEFINED).step_by(10) {
        let alert = open.iter().find(|alert| alert["task"] == id(i) && alert["kind"] == "failed").unwrap();
        assert_eq!(alert["since"], "2026-01-20T08:01:00Z", "the episode goes on");
    }
    let flips = served.read("/flips?limit=1000").await;
    assert_eq!(flips["flips"].as_array().unwrap().len(), 1_000);
    let audit = all(&served, "audit", "before").await;
    assert!(i64::try_from(audit.len()).unwrap() >= AUDIT - CLEANED);
    for path in ["/queues", "/machines", "/coordinator", "/tasks", "/runs/run-3/log", "/tasks/task-0001"] {
        served.read(path).await;
    }
    // A call of before is not made once more.
    let again = served.post(&format!("/api/v1/tasks/{}/runs", id(1))).header("idempotency-key", "key 4");
    let again: Value = again.send().await.unwrap().json().await.unwrap();
    assert_eq!(again["run"], "run-1", "{again}");
    served.stop().await;

    for (of, wanted) in [
        ("tasks", TASKS + 4),
        ("runs WHERE id LIKE 'run-%'", RUNS),
        ("flips WHERE seq <= 4000", FLIPS),
        ("alerts WHERE seq <= 3000", ALERTS),
        ("answers WHERE key LIKE 'key %'", ANSWERS),
    ] {
        assert_eq!(count(&path, of), wanted, "{of}");
    }
    let verdict = verify(&home.data()).unwrap();
    let Verdict::Whole { rows, .. } = verdict else { panic!("{verdict:?}") };
    assert!(i64::try_from(rows).unwrap() >= AUDIT - CLEANED);
}
