use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::*;
use crate::coordinator::domain::{Answer, Audit, Record, RunRow, Stop, Write};
use crate::coordinator::engine::RunFilter;
use crate::model::{
    Alert, AlertKind, Clean, Dialect, Evidence, Flip, Policy, Priority, Run, RunId, RunState, Schedule,
    TaskId, TaskState, Timing,
};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_790_000_000_123).unwrap()
}

fn open(folder: &tempfile::TempDir) -> (Writer, Reader, std::thread::JoinHandle<()>) {
    let path = folder.path().join(FILE);
    let (writer, thread) = Writer::open(&path).unwrap();
    (writer, Reader::new(&path), thread)
}

fn run(seq: u64, task: &str, state: RunState) -> RunRow {
    let mut run = Run::bare(TaskId::new(task), state);
    run.id = Some(RunId::new(&format!("run-{seq}")));
    run.slot = Some(now());
    run.queued = Some(now());
    run.message = Some("words".into());
    run.priority = Some(Priority::new(2).unwrap());
    run.cause = Some("schedule".into());
    run.ended = state.is_ended().then(now);
    run.exit_code = Some(3);
    run.duration_ms = Some(7);
    RunRow::here(seq, run)
}

fn audit(at: DateTime<Utc>, target: &str) -> Write {
    let (actor, detail, outcome) = ("me".into(), "".into(), "ok".into());
    let from = "here".into();
    Write::Audit(Audit { at, actor, from, action: "trigger", target: Clean::line(target), detail, outcome })
}

fn flip() -> Flip {
    Flip {
        task: TaskId::new("a"),
        old: TaskState::Healthy,
        new: TaskState::Late,
        reason: "why".into(),
        computed: now(),
        noticed: now(),
        evidence: Evidence::Fresh,
        problem: Some(AlertKind::Late),
        run: Some(RunId::new("r")),
    }
}

#[tokio::test]
async fn rows_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, reader, _) = open(&folder);
    let timing = Timing::Cron { expression: "0 3 * * *".into(), dialect: Dialect::Unix };
    let schedule = Some(Schedule { timing, zone: "Europe/Paris".into(), assumed: false });
    let alert = Alert {
        task: Some(TaskId::new("a")),
        queue: None,
        kind: AlertKind::Late,
        severity: AlertKind::Late.severity(),
        since: now(),
        summary: "due, not started".into(),
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    };
    let flip = flip();
    let (ended, queued) = (run(1, "a", RunState::Failed), run(2, "a", RunState::Queued));
    let record = Box::new(Record::new(now()));
    let task = |id| Write::Task {
        id: TaskId::new(id),
        record: record.clone(),
        schedule: schedule.clone(),
        blackout: Vec::new(),
        policy: Policy::default(),
        paused: true,
    };
    let answer = Answer {
        key: "k".to_owned(),
        action: "trigger".to_owned(),
        target: "a".to_owned(),
        run: Some(queued.run.clone()),
        at: now(),
    };
    let writes = vec![
        task("a"),
        task("b"),
        Write::TaskGone(TaskId::new("b")),
        Write::Run(Box::new(ended.clone())),
        Write::Run(Box::new(queued.clone())),
        Write::Stopping(RunId::new("run-2"), Stop::Overrun),
        Write::Boot("this one".to_owned()),
        Write::Flip(flip.clone()),
        Write::AlertOpened(Alert { summary: "old".into(), ..alert.clone() }),
        Write::AlertChanged(alert.clone()),
        Write::Answer(answer.clone()),
        Write::TaskFile("text".to_owned()),
    ];
    writer.write(Arc::new(writes)).await.unwrap();

    let Kept { loaded, task_file: file, boot, processes } = reader.load().await.unwrap();
    assert_eq!((boot.as_deref(), processes), (Some("this one"), Vec::new()));
    assert_eq!(loaded.stopping, BTreeMap::from([(RunId::new("run-2"), Stop::Overrun)]));
    assert_eq!(loaded.runs, std::slice::from_ref(&queued));
    assert_eq!(loaded.last_seq, 2);
    assert_eq!(loaded.alerts, std::slice::from_ref(&alert));
    assert_eq!(file.as_deref(), Some("text"));
    let known = &loaded.tasks[&TaskId::new("a")];
    assert!(known.defined && known.record == record && known.schedule == schedule);
    assert!(!loaded.tasks[&TaskId::new("b")].defined);
    assert_eq!(reader.run(&RunId::new("run-1")).await.unwrap(), Some(ended.run.clone()));
    assert_eq!(reader.flips(None, 10).await.unwrap(), [flip]);
    assert_eq!(reader.answer("k").await.unwrap(), Some(answer));
    assert_eq!(reader.answer("other").await.unwrap(), None);
    let (count, overview) = reader.overview(Some).await.unwrap();
    assert_eq!((count, overview.len()), (1, 1));
    assert!(overview[0].paused && overview[0].facts.queued.is_some());

    let of_a = |before: Option<&str>, limit| RunFilter {
        task: Some(TaskId::new("a")),
        limit,
        before: before.map(RunId::new),
        ..RunFilter::default()
    };
    assert_eq!(reader.runs(of_a(None, 1)).await.unwrap(), [queued.run]);
    assert_eq!(reader.runs(of_a(Some("run-2"), 9)).await.unwrap(), [ended.run]);
    assert!(reader.runs(of_a(Some("no such run"), 9)).await.unwrap().is_empty());

    writer.write(Arc::new(vec![Write::AlertClosed(alert.key(), now())])).await.unwrap();
    assert!(reader.open_alerts().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_group_is_one_commit_and_one_bad_job_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, reader, thread) = open(&folder);
    let good =
        (1..=200).map(|seq| {
            let writer = writer.clone();
            async move {
                writer.write(Arc::new(vec![Write::Run(Box::new(run(seq, "a", RunState::Queued)))])).await
            }
        });
    // An id that is taken: the whole job is undone, its first row too.
    let mut taken = run(999, "a", RunState::Queued);
    taken.run.id = Some(RunId::new("run-998"));
    let bad = writer.write(Arc::new(vec![
        Write::Run(Box::new(run(998, "a", RunState::Queued))),
        Write::Run(Box::new(taken)),
    ]));
    let (good, bad) = tokio::join!(futures_util::future::join_all(good), bad);
    assert!(good.iter().all(Result::is_ok) && bad.is_err());
    let loaded = reader.load().await.unwrap().loaded;
    assert_eq!((loaded.runs.len(), loaded.last_seq), (200, 200));
    // Once nobody can write any more, the thread ends.
    drop(writer);
    thread.join().unwrap();
}

#[tokio::test]
async fn commands_read_and_write_the_audit_log_beside_the_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let verified = || audit::verify(folder.path());
    assert!(verified().unwrap_err().to_string().contains("there is no coordinator's database"));
    // Without a coordinator's database one is made.
    let row = |target: &str| {
        let Write::Audit(row) = audit(now(), target) else { unreachable!() };
        row
    };
    audit::record(folder.path(), &row("first")).unwrap();
    let (writer, reader, thread) = open(&folder);
    for round in 0..20 {
        let (by_coordinator, by_command) = (audit(now(), &format!("a-{round}")), row(&format!("b-{round}")));
        let job = writer.write(Arc::new(vec![by_coordinator]));
        audit::record(folder.path(), &by_command).unwrap();
        job.await.unwrap();
    }
    assert!(matches!(verified().unwrap(), Verdict::Whole { rows: 41, .. }));
    assert!(matches!(reader.verify_audit().await.unwrap(), Verdict::Whole { rows: 41, .. }));
    assert_eq!(reader.audit(3, Some(3)).await.unwrap().len(), 2);
    drop((writer, reader));
    thread.join().unwrap();
    let mut seqs = Vec::new();
    audit::export::<()>(folder.path(), None, |row| {
        seqs.push(row.seq);
        Ok(())
    })
    .unwrap()
    .unwrap();
    assert_eq!(seqs, (1..=41).collect::<Vec<u64>>());
    // One of an earlier version is not touched by reading, nor while a coordinator runs on it.
    let connection = Connection::open(folder.path().join(FILE)).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    assert!(verified().unwrap_err().to_string().contains("earlier vigie"));
    let lock = crate::coordinator::lock::acquire(folder.path()).unwrap();
    let refused = audit::record(folder.path(), &row("c")).unwrap_err().to_string();
    assert!(refused.contains("a coordinator already runs"), "{refused}");
    drop(lock);
}

#[tokio::test]
async fn the_schema_is_made_once_and_a_newer_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let (writer, thread) = Writer::open(&path).unwrap();
    writer.write(Arc::new(vec![audit(now(), "a")])).await.unwrap();
    drop(writer);
    thread.join().unwrap();
    let (writer, thread) = Writer::open(&path).unwrap();
    drop(writer);
    thread.join().unwrap();
    let connection = Connection::open(&path).unwrap();
    assert!(matches!(chain::verify(&connection).unwrap(), Verdict::Whole { rows: 1, .. }));
    let setting = |name| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(setting("journal_mode"), "wal");
    connection.pragma_update(None, "user_version", 99).unwrap();
    let error = Writer::open(&path).unwrap_err().to_string();
    assert!(error.contains("schema 99") && error.contains("newer vigie"), "{error}");
}

#[tokio::test]
async fn nobody_else_can_read_what_is_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let path = folder.path().join(FILE);
    // One that an earlier version made readable.
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (writer, reader, _) = open(&folder);
    writer.write(Arc::new(vec![audit(now(), "a")])).await.unwrap();
    for file in [FILE, "coordinator.db-wal", "coordinator.db-shm"] {
        assert_eq!(mode(&folder.path().join(file)), 0o600, "{file}");
    }
    let (backups, vault) = (folder.path().join("backups"), folder.path().join("vault.age"));
    std::fs::write(&vault, "encrypted").unwrap();
    let backup = back_up(&reader, &vault, &backups, now()).unwrap();
    assert_eq!((mode(&backups), mode(&backup.path)), (0o700, 0o600));
    assert_eq!(mode(&backup.vault.unwrap()), 0o600);
}

#[tokio::test]
async fn backups_are_whole_and_seven_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, reader, _) = open(&folder);
    let (backups, vault) = (folder.path().join("backups"), folder.path().join("vault.age"));
    for seq in 1..=10 {
        writer.write(Arc::new(vec![Write::Run(Box::new(run(seq, "a", RunState::Queued)))])).await.unwrap();
        let days = chrono::TimeDelta::days(i64::try_from(seq).unwrap());
        // From the third on there is a vault.
        if seq == 3 {
            std::fs::write(&vault, "encrypted").unwrap();
        }
        let backup = back_up(&reader, &vault, &backups, now() + days).unwrap();
        assert_eq!(backup.vault.is_some(), seq >= 3);
    }
    let mut names: Vec<_> = std::fs::read_dir(&backups)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 14, "{names:?}");
    let stamp = |day: i64| (now() + chrono::TimeDelta::days(day)).format("%Y%m%dT%H%M%S%3fZ").to_string();
    for (name, wanted) in [
        (&names[0], format!("coordinator-{}.db", stamp(4))),
        (&names[6], format!("coordinator-{}.db", stamp(10))),
        (&names[7], format!("vault-{}.age", stamp(4))),
        (&names[13], format!("vault-{}.age", stamp(10))),
    ] {
        assert_eq!(*name, wanted);
    }
    let copy = Connection::open(backups.join(&names[6])).unwrap();
    let count: i64 = copy.query_row("SELECT count(*) FROM runs", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 10);
    assert_eq!(std::fs::read(backups.join(&names[13])).unwrap(), b"encrypted");
}

/// A copy that began anew with every commit would not end before the writer does.
#[tokio::test]
async fn a_backup_ends_while_the_coordinator_writes() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, reader, _) = open(&folder);
    let rows = |from: u64, count: u64| {
        (from..from + count)
            .map(|seq| Write::Run(Box::new(run(seq, "a", RunState::Queued))))
            .collect::<Vec<_>>()
    };
    writer.write(Arc::new(rows(1, 20_000))).await.unwrap();
    let (backups, vault) = (folder.path().join("backups"), folder.path().join("vault.age"));
    let copying =
        crate::coordinator::shell::blocking(move || back_up(&reader, &vault, &backups, now()).unwrap());
    let mut copying = std::pin::pin!(copying);
    let mut seq = 100_000;
    let backup = loop {
        tokio::select! {
            backup = &mut copying => break backup.unwrap(),
            written = writer.write(Arc::new(rows(seq, 1))) => written.unwrap(),
        }
        seq += 1;
        assert!(seq < 1_000_000, "it never ends");
    };
    let copy = Connection::open(backup.path).unwrap();
    let count: u32 = copy.query_row("SELECT count(*) FROM runs", [], |row| row.get(0)).unwrap();
    assert!(count >= 20_000);
}
