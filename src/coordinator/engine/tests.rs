#[path = "../../../tests/stand_ins/leftovers.rs"]
mod leftovers;

use std::path::PathBuf;
use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::coordinator::Clock;
use crate::coordinator::fake_clock::Going;
use crate::model::{AlertKind, RunState, Task, TaskState};
use crate::vault::{KeySource, Vault};

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct Hands(Mutex<DateTime<Utc>>);

impl Hands {
    fn at(text: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(text.parse().unwrap())))
    }

    fn move_on(&self, seconds: i64) {
        *self.0.lock().unwrap() += TimeDelta::seconds(seconds);
    }
}

impl Clock for Hands {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

pub(super) struct Bench {
    folder: tempfile::TempDir,
    clock: Going,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Going::default() }
    }

    fn tasks(&self) -> PathBuf {
        self.folder.path().join("config").join("tasks.toml")
    }

    pub(super) fn write(&self, text: &str) {
        std::fs::create_dir_all(self.tasks().parent().unwrap()).unwrap();
        std::fs::write(self.tasks(), text).unwrap();
    }

    fn vault(&self) -> Vault {
        let key = KeySource::File(self.folder.path().join("vault.key"));
        Vault::new(self.folder.path().join("data"), key)
    }

    pub(super) fn options(&self) -> Options {
        Options {
            data: self.folder.path().join("data"),
            program: std::env::current_exe().unwrap(),
            tasks: self.tasks(),
            vault: self.vault(),
            scheduling: true,
            linger: None,
            open_on_loopback: false,
            hosts: Vec::new(),
            tls: None,
        }
    }

    /// What runs says so in a file, so that nobody has to guess when.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn folder_of(&self, run: &RunId) -> PathBuf {
        self.options().data.join(RUNS).join(format!("{run}.0"))
    }

    /// Waits for a record of a run's supervisor.
    async fn record(&self, run: &RunId, name: &str) -> serde_json::Value {
        loop {
            if let Ok(text) = std::fs::read(self.folder_of(run).join(name)) {
                return serde_json::from_slice(&text).unwrap();
            }
            tokio::task::yield_now().await;
        }
    }

    async fn claimed(&self, run: &RunId) {
        self.record(run, "started").await;
    }

    async fn over(&self, run: &RunId) {
        self.record(run, "ended").await;
    }

    /// Has a supervisor end its run, and waits until it has.
    async fn end_supervisor(&self, run: &RunId) {
        let pid = self.record(run, "claim").await["supervisor"]["pid"].as_i64().unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.over(run).await;
    }

    /// Folders of runs go once their end is in the database.
    async fn nobody_is_left(&self) {
        while std::fs::read_dir(self.options().data.join(RUNS)).unwrap().count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn start(&self) -> Engine {
        self.start_by(Arc::new(self.clock)).await
    }

    async fn start_by(&self, clock: SharedClock) -> Engine {
        Engine::start(self.options(), clock).await.unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        leftovers::end(&self.options().data);
    }
}

pub(super) fn me() -> Actor {
    Actor::here("me")
}

fn with_key(key: &str) -> Actor {
    Actor { idempotency_key: Some(key.to_owned()), ..Actor::here("me") }
}

fn task(engine: &Engine, id: &str) -> Arc<Task> {
    engine.view().tasks.get(id).unwrap().clone()
}

pub(super) fn state(engine: &Engine, id: &str) -> TaskState {
    task(engine, id).state.unwrap()
}

/// Waits until the view is as it should be.
pub(super) async fn until(engine: &Engine, what: impl Fn(&View) -> bool) -> Arc<View> {
    let mut revisions = engine.revisions();
    let wait = async {
        loop {
            revisions.borrow_and_update();
            let view = engine.view();
            if what(&view) {
                return view;
            }
            revisions.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), wait).await.expect("it never came to be")
}

/// Ends without a word, and returns once the database is let go.
async fn crash(engine: Engine) {
    engine.mailbox.send(Message::Crash).await.unwrap();
    engine.mailbox.closed().await;
}

async fn judge(engine: &Engine) {
    Inside(engine.mailbox.downgrade()).doubt().await.unwrap();
}

async fn text(engine: &Engine, run: &Run) -> String {
    let piece = engine.log(run.id.as_ref().unwrap(), 0, 1 << 20).await.unwrap();
    assert!(piece.complete);
    String::from_utf8(piece.bytes).unwrap()
}

async fn runs(engine: &Engine, task: &str) -> Vec<Run> {
    let filter = RunFilter { task: Some(TaskId::new(task)), limit: 100, ..RunFilter::default() };
    engine.runs(filter).await.unwrap()
}

#[tokio::test]
async fn the_built_ins_are_there_and_do_what_they_say() {
    let bench = Bench::new();
    let engine = bench.start().await;
    let view = engine.view();
    let ids: Vec<&str> = view.tasks.iter().map(|task| task.id.as_raw()).collect();
    assert_eq!(ids, ["audit-log-cleanup", "disk-space", "overdue-check", "self-backup"]);
    for (id, words) in [
        ("disk-space", " free ("),
        ("overdue-check", "4 tasks checked, 0 overdue, 0 alerts opened"),
        ("audit-log-cleanup", "audit log: 0 deleted"),
        ("self-backup", " written and verified, "),
    ] {
        let run = engine.trigger(&TaskId::new(id), None, me()).await.unwrap();
        assert_eq!(run.cause.as_deref(), Some("manual"));
        let ended = engine.ended(run.id.as_ref().unwrap()).await.unwrap();
        assert_eq!(ended.state, RunState::Succeeded, "{ended:?}");
        let text = text(&engine, &ended).await;
        assert!(text.contains(words), "{id}: {text}");
        assert_eq!(state(&engine, id), TaskState::Healthy);
    }
    assert_eq!(std::fs::read_dir(bench.folder.path().join("data").join(BACKUPS)).unwrap().count(), 1);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_task_that_is_written_appears_by_itself_and_runs_on_its_schedule() {
    let bench = Bench::new();
    bench.write("");
    let engine = bench.start().await;
    bench.write("[[task]]\nid = \"tick\"\nshell = \"echo tock\"\nevery = \"1s\"\n");
    // By its name: the built-in tasks have schedules of their own.
    let last = |view: &View| {
        let task = view.tasks.iter().find(|task| task.id.as_raw() == "tick");
        task.and_then(|task| task.last_run.clone()).filter(|run| run.state == RunState::Succeeded)
    };
    let view = until(&engine, |view| last(view).is_some()).await;
    let run = last(&view).unwrap();
    assert_eq!(run.cause.as_deref(), Some("schedule"));
    assert_eq!(run.message.as_deref(), Some("tock"));
    assert_eq!(text(&engine, &run).await, "tock\n");
    let health = engine.health();
    assert!(health.active.contains(&TaskId::new("tick")) && !health.last_success.is_empty());
    engine.shutdown().await;
}

#[tokio::test]
async fn a_bad_file_keeps_the_old_tasks_and_lists_each_line() {
    let bench = Bench::new();
    bench.write("[[task]]\nid = \"old\"\nshell = \"true\"\n");
    let engine = bench.start().await;
    let bad = "[[task]]\nid = \"new\"\nmachine = \"-x\"\n\n[[task]]\nid = \"new\"\ncolour = 1\n";
    bench.write(bad);
    let error = engine.reload(me()).await.unwrap_err();
    let file = bench.tasks().display().to_string();
    let begin = |line: usize| format!("{file}: line {line}: ");
    assert_eq!(error.problems.len(), 3, "{error:?}");
    for (problem, line) in error.problems.iter().zip([3, 6, 7]) {
        assert!(problem.starts_with(&begin(line)), "{problem}");
    }
    let view = engine.view();
    assert_eq!(*view.file_problems, *error.problems);
    assert!(task(&engine, "old").remarks[0].contains("is not a machine"));
    assert!(view.tasks.iter().all(|task| task.id.as_raw() != "new"));
    engine.shutdown().await;

    // Nor does a restart lose them.
    let engine = bench.start().await;
    assert_eq!(task(&engine, "old").name, "old");
    assert_eq!(engine.view().file_problems.len(), 3);
    bench.write("");
    let view = until(&engine, |view| view.tasks.len() == 4).await;
    assert!(view.file_problems.is_empty());
    engine.shutdown().await;
}

#[tokio::test]
async fn pauses_and_priorities_survive_a_restart() {
    let bench = Bench::new();
    bench.write("[[task]]\nid = \"a\"\nshell = \"true\"\nevery = \"1h\"\n");
    let engine = bench.start().await;
    engine.pause(&TaskId::new("a"), me()).await.unwrap();
    engine.pause(&TaskId::new("disk-space"), me()).await.unwrap();
    assert!(matches!(engine.pause(&TaskId::new("a"), me()).await, Err(Refusal::Conflict(_))));
    assert!(matches!(engine.pause(&TaskId::new("b"), me()).await, Err(Refusal::NoTask(_))));
    engine.shutdown().await;
    let engine = bench.start().await;
    assert_eq!(state(&engine, "a"), TaskState::Paused);
    assert_eq!(state(&engine, "disk-space"), TaskState::Paused);
    engine.resume(&TaskId::new("a"), me()).await.unwrap();
    assert_eq!(state(&engine, "a"), TaskState::Healthy);
    let flips = engine.flips(10).await.unwrap();
    assert_eq!(flips[0].reason, "resumed by me");
    engine.shutdown().await;
}

#[tokio::test]
async fn retries_run_until_they_are_exhausted() {
    let bench = Bench::new();
    bench.write(
        "[[task]]\nid = \"a\"\nshell = \"echo try $VIGIE_ATTEMPT; exit 7\"\n\
         retry = { count = 2, delay = \"10ms\" }\n",
    );
    let engine = bench.start().await;
    let run = engine.trigger(&TaskId::new("a"), None, me()).await.unwrap();
    let ended = engine.ended(run.id.as_ref().unwrap()).await.unwrap();
    assert_eq!((ended.state, ended.attempt, ended.exit_code), (RunState::Failed, 2, Some(7)));
    assert_eq!(text(&engine, &ended).await, "try 0\n--- attempt 2 ---\ntry 1\n--- attempt 3 ---\ntry 2\n");
    let view = until(&engine, |view| !view.alerts.is_empty()).await;
    assert_eq!(view.alerts.to_vec()[0].kind, AlertKind::RetriesExhausted);
    assert_eq!(engine.health().errors, [(TaskId::new("a"), "exit code 7: try 2".into())]);
    let again = engine.retry(run.id.as_ref().unwrap(), me()).await.unwrap();
    assert_ne!(again.id, run.id);
    engine.shutdown().await;
}

#[tokio::test]
async fn cancelling_ends_what_runs_and_a_shutdown_leaves_it() {
    let bench = Bench::new();
    bench.write("[[task]]\nid = \"a\"\nshell = \"sleep 600\"\n[[task]]\nid = \"b\"\nshell = \"sleep 600\"\n");
    let engine = bench.start().await;
    let a = engine.trigger(&TaskId::new("a"), None, me()).await.unwrap().id.unwrap();
    let b = engine.trigger(&TaskId::new("b"), None, me()).await.unwrap().id.unwrap();
    assert_eq!(engine.run(&a).await.unwrap().state, RunState::Running);
    engine.cancel(&a, me()).await.unwrap();
    let ended = engine.ended(&a).await.unwrap();
    assert_eq!((ended.state, ended.message.as_deref()), (RunState::Aborted, Some("cancelled by me")));
    assert_eq!(engine.cancel(&a, me()).await, Err(Refusal::Conflict("it is over: it was aborted".into())));
    assert!(matches!(engine.cancel(&RunId::new("none"), me()).await, Err(Refusal::NoRun(_))));
    let other = engine.clone();
    bench.claimed(&b).await;
    engine.shutdown().await;
    assert_eq!(other.run(&b).await.unwrap().state, RunState::Running);
    assert!(matches!(other.trigger(&TaskId::new("a"), None, me()).await, Err(Refusal::Storage(_))));

    let engine = bench.start().await;
    assert_eq!(engine.run(&b).await.unwrap().state, RunState::Running);
    engine.cancel(&b, me()).await.unwrap();
    assert_eq!(engine.ended(&b).await.unwrap().state, RunState::Aborted);
    bench.nobody_is_left().await;
    engine.shutdown().await;
}

#[tokio::test]
async fn after_a_crash_what_runs_goes_on_and_its_end_is_picked_up() {
    let bench = Bench::new();
    let (count, gate) = (bench.file("count"), bench.file("gate"));
    let (count_, gate_) = (count.display(), gate.display());
    bench.write(&format!(
        "[limits]\ncoordinator = 1\n[[task]]\nid = \"a\"\n\
         shell = \"echo once >> {count_}; until [ -e {gate_} ]; do sleep 0.01; done; echo whole\"\n\
         [[task]]\nid = \"b\"\nshell = \"true\"\n"
    ));
    let engine = bench.start().await;
    let a = engine.trigger(&TaskId::new("a"), None, me()).await.unwrap().id.unwrap();
    let b = engine.trigger(&TaskId::new("b"), None, me()).await.unwrap().id.unwrap();
    assert_eq!(engine.run(&b).await.unwrap().state, RunState::Queued);
    bench.claimed(&a).await;
    crash(engine).await;
    // It goes on, and has its place: the limit holds.
    let engine = bench.start().await;
    assert_eq!(engine.run(&a).await.unwrap().state, RunState::Running);
    assert_eq!(engine.run(&b).await.unwrap().state, RunState::Queued);
    crash(engine).await;
    // It ends while nobody is there.
    std::fs::write(&gate, "").unwrap();
    bench.over(&a).await;
    let engine = bench.start().await;
    let ended = engine.ended(&a).await.unwrap();
    assert_eq!((ended.state, ended.message.as_deref()), (RunState::Succeeded, Some("whole")));
    assert_eq!(text(&engine, &ended).await, "whole\n");
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "once\n");
    assert_eq!(engine.ended(&b).await.unwrap().state, RunState::Succeeded);
    bench.nobody_is_left().await;
    engine.shutdown().await;
}

#[tokio::test]
async fn a_run_that_was_never_started_waits_again_but_not_after_a_power_cut() {
    for cut in [false, true] {
        let bench = Bench::new();
        bench.write("[[task]]\nid = \"a\"\nshell = \"sleep 600\"\n");
        let clock: SharedClock = Arc::new(bench.clock);
        let engine = bench.start_by(clock.clone()).await;
        let a = engine.trigger(&TaskId::new("a"), None, me()).await.unwrap().id.unwrap();
        bench.claimed(&a).await;
        // As if it had not got that far: its first supervisor is stopped, and its records go.
        crash(engine).await;
        bench.end_supervisor(&a).await;
        // Here, unlike after a real crash, what followed it is still there.
        while Arc::strong_count(&clock) > 1 {
            tokio::task::yield_now().await;
        }
        std::fs::remove_dir_all(bench.folder_of(&a)).unwrap();
        if cut {
            let disk =
                rusqlite::Connection::open(bench.options().data.join(crate::coordinator::db::FILE)).unwrap();
            assert_eq!(disk.execute("UPDATE meta SET value = 'another' WHERE name = 'boot'", []).unwrap(), 1);
        }
        let engine = bench.start().await;
        let run = engine.run(&a).await.unwrap();
        if cut {
            assert_eq!(run.state, RunState::Dead);
            assert!(run.message.unwrap().ends_with("it may have run"));
            assert_eq!(engine.view().alerts.to_vec()[0].kind, AlertKind::Dead);
            assert_eq!(runs(&engine, "a").await.len(), 1, "nothing was started in its stead");
        } else {
            assert_eq!((run.state, run.attempt), (RunState::Running, 0));
            bench.claimed(&a).await;
            engine.cancel(&a, me()).await.unwrap();
            engine.ended(&a).await.unwrap();
        }
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn a_cancelled_run_is_aborted_by_whichever_coordinator_sees_its_end() {
    let bench = Bench::new();
    bench.write("[[task]]\nid = \"a\"\nshell = \"sleep 600\"\n");
    let engine = bench.start().await;
    let a = engine.trigger(&TaskId::new("a"), None, me()).await.unwrap().id.unwrap();
    bench.claimed(&a).await;
    crash(engine).await;
    // The wish was written, and nobody was told any more.
    let disk = rusqlite::Connection::open(bench.options().data.join(crate::coordinator::db::FILE)).unwrap();
    let sql = "UPDATE runs SET stopping = '{\"asked\":\"cancelled by me\"}'";
    assert_eq!(disk.execute(sql, []).unwrap(), 1);
    let engine = bench.start().await;
    let ended = engine.ended(&a).await.unwrap();
    assert_eq!((ended.state, ended.message.as_deref()), (RunState::Aborted, Some("cancelled by me")));
    engine.shutdown().await;
}

#[tokio::test]
async fn lateness_is_told_when_only_time_has_passed() {
    let bench = Bench::new();
    bench.write("[[task]]\nid = \"a\"\nshell = \"true\"\nschedule = \"0 10 * * *\"\ncatch_up = \"once\"\n");
    let clock = Hands::at("2026-03-02T09:59:00Z");
    let engine =
        Engine::start(Options { scheduling: false, ..bench.options() }, clock.clone()).await.unwrap();
    assert_eq!(task(&engine, "a").next_due, Some("2026-03-02T10:00:00Z".parse().unwrap()));
    let mut seen = engine.view().revision;
    for (seconds, state) in [(60, TaskState::Due), (120, TaskState::Late), (240, TaskState::Absent)] {
        clock.move_on(seconds);
        judge(&engine).await;
        let changes = engine.since(seen).unwrap();
        let told = changes.tasks.iter().find(|task| task.id.as_raw() == "a").unwrap();
        assert_eq!(told.state, Some(state));
        let opened =
            changes.alerts.iter().any(|alert| alert.task.as_ref().is_some_and(|id| id.as_raw() == "a"));
        assert_eq!(opened, state != TaskState::Due);
        assert!(changes.revision > seen);
        seen = changes.revision;
    }
    assert!(engine.since(seen).unwrap().tasks.is_empty());
    assert!(engine.since(seen + 1).is_none());
    let flips = engine.flips(100).await.unwrap();
    let of_a: Vec<_> = flips.iter().filter(|flip| flip.task.as_raw() == "a").map(|flip| flip.new).collect();
    assert_eq!(of_a, [TaskState::Absent, TaskState::Late, TaskState::Due]);

    // The check from the database alone sees it too.
    let run = engine.trigger(&TaskId::new("overdue-check"), None, me()).await.unwrap();
    let ended = engine.ended(run.id.as_ref().unwrap()).await.unwrap();
    let told = text(&engine, &ended).await;
    assert!(told.contains("a: absent, was due 2026-03-02 10:00:00 UTC, 6m ago"), "{told}");
    assert!(told.contains(" 2 overdue, 0 alerts opened"), "{told}");
    // An alert that the disk has lost is opened there again.
    let disk = rusqlite::Connection::open(bench.options().data.join(crate::coordinator::db::FILE)).unwrap();
    assert_eq!(disk.execute("DELETE FROM alerts WHERE task = 'a'", []).unwrap(), 2);
    let run = engine.trigger(&TaskId::new("overdue-check"), None, me()).await.unwrap();
    let ended = engine.ended(run.id.as_ref().unwrap()).await.unwrap();
    let told = text(&engine, &ended).await;
    assert!(told.contains("opened: absent a: ") && told.contains(" 2 overdue, 1 alerts opened"), "{told}");
    // One that the engine knows nothing of is said, not passed over.
    let sql = "UPDATE tasks SET record = (SELECT record FROM tasks WHERE id = 'a'), \
               schedule = (SELECT schedule FROM tasks WHERE id = 'a') WHERE id = 'self-backup'";
    assert_eq!(disk.execute(sql, []).unwrap(), 1);
    let run = engine.trigger(&TaskId::new("overdue-check"), None, me()).await.unwrap();
    let ended = engine.ended(run.id.as_ref().unwrap()).await.unwrap();
    assert_eq!(ended.state, RunState::Failed);
    let message = ended.message.unwrap();
    assert!(message.contains("no alert opened: self-backup"), "{message}");
    drop(disk);
    // And who schedules again catches up.
    engine.shutdown().await;
    let engine = bench.start_by(clock).await;
    let run = runs(&engine, "a").await.remove(0);
    assert_eq!(run.cause.as_deref(), Some("catch-up"));
    assert_eq!(engine.ended(run.id.as_ref().unwrap()).await.unwrap().state, RunState::Succeeded);
    engine.shutdown().await;
}

#[tokio::test]
async fn the_nightly_cleanup_bounds_the_history_and_its_logs() {
    let bench = Bench::new();
    bench.write("[[task]]\nid = \"a\"\nshell = \"echo hello\"\n");
    let clock = Hands::at("2026-03-02T01:00:00Z");
    let engine = bench.start_by(clock.clone()).await;
    let first = engine.trigger(&TaskId::new("a"), None, me()).await.unwrap().id.unwrap();
    engine.ended(&first).await.unwrap();
    let log = bench.options().data.join(LOGS).join("task-a").join(format!("{first}.log"));
    assert!(log.exists());
    let disk = rusqlite::Connection::open(bench.options().data.join(crate::coordinator::db::FILE)).unwrap();
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) \
               INSERT INTO runs (seq, id, task, state, ended, attempt) \
               SELECT 1000 + i, 'run-' || i, 'a', 'succeeded', 1772413200000 + i, 0 FROM n";
    assert_eq!(disk.execute(sql, []).unwrap(), 1_200);
    let clean = async || {
        let run = engine.trigger(&TaskId::new("audit-log-cleanup"), None, me()).await.unwrap();
        let ended = engine.ended(run.id.as_ref().unwrap()).await.unwrap();
        assert_eq!(ended.state, RunState::Succeeded, "{ended:?}");
        text(&engine, &ended).await
    };
    assert!(clean().await.contains("runs: 0 deleted, with their logs\n"));
    clock.move_on(91 * 86_400);
    let told = clean().await;
    assert!(
        told.starts_with("what is from before 2026-03-03 01:00:00 UTC goes; ")
            && told.contains("audit log: 2 deleted\n"),
        "{told}"
    );
    assert!(told.contains("runs: 201 deleted, with their logs\n"), "{told}");
    assert!(!log.exists());
    assert!(matches!(engine.run(&first).await, Err(Refusal::NoRun(_))));
    let left: i64 =
        disk.query_row("SELECT count(*) FROM runs WHERE task = 'a'", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1_000);
    drop(disk);
    engine.shutdown().await;
}

#[tokio::test]
async fn the_same_key_is_answered_the_same() {
    let bench = Bench::new();
    bench.write("[[task]]\nid = \"a\"\nshell = \"true\"\n");
    let engine = bench.start().await;
    let id = TaskId::new("a");
    let calls = (0..5).map(|_| engine.trigger(&id, None, with_key("k")));
    let answers = futures_util::future::join_all(calls).await;
    let first = answers[0].clone().unwrap();
    assert!(answers.iter().all(|answer| answer.as_ref() == Ok(&first)));
    engine.ended(first.id.as_ref().unwrap()).await.unwrap();
    engine.shutdown().await;
    let engine = bench.start().await;
    assert_eq!(engine.trigger(&id, None, with_key("k")).await, Ok(first));
    assert!(matches!(engine.pause(&id, with_key("k")).await, Err(Refusal::Conflict(_))));
    assert_eq!(runs(&engine, "a").await.len(), 1);
    engine.shutdown().await;
}

#[tokio::test]
async fn many_calls_at_once_are_all_on_disk_when_they_are_answered() {
    let bench = Bench::new();
    bench.write(
        "[limits]\ncoordinator = 1\n[[task]]\nid = \"a\"\nshell = \"sleep 600\"\nkill_grace = \"1s\"\n",
    );
    let engine = bench.start().await;
    let id = TaskId::new("a");
    let calls = (0..50).map(|_| engine.trigger(&id, None, me()));
    for answer in futures_util::future::join_all(calls).await {
        let run = answer.unwrap();
        assert_eq!(engine.run(run.id.as_ref().unwrap()).await.unwrap().id, run.id);
    }
    let queue = engine.view().queues.to_vec().remove(0);
    assert_eq!((queue.depth, queue.running), (49, 1));
    assert_eq!(task(&engine, "a").active_runs.len(), 32);
    let newest = runs(&engine, "a").await.remove(0).id.unwrap();
    let one = Priority::new(1).unwrap();
    assert_eq!(engine.reprioritise_run(&newest, one, me()).await.unwrap().priority, Some(one));
    engine.reprioritise_task(&id, Priority::new(5).unwrap(), me()).await.unwrap();
    assert_eq!(engine.view().queues.to_vec()[0].by_priority, Some([0, 0, 0, 0, 49]));
    engine.shutdown().await;
    // What waited is kept, and what ran goes on.
    let engine = bench.start().await;
    let queue = engine.view().queues.to_vec().remove(0);
    assert_eq!((queue.depth, queue.running), (49, 1));
    engine.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_written_is_said_and_nothing_starts_until_it_can() {
    let bench = Bench::new();
    let out = bench.file("out");
    bench.write(&format!("[[task]]\nid = \"a\"\nshell = \"echo x > {}\"\n", out.display()));
    let engine = bench.start().await;
    let path = bench.options().data.join(crate::coordinator::db::FILE);
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute_batch("ALTER TABLE audit RENAME TO elsewhere").unwrap();
    let id = TaskId::new("a");
    let refusal = engine.trigger(&id, None, me()).await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Storage(why) if why.contains("audit")), "{refusal:?}");
    assert!(matches!(engine.trigger(&id, None, me()).await, Err(Refusal::Storage(_))));
    // Nothing of it is to be seen, on disk, on the screen or in the world.
    assert!(
        runs(&engine, "a").await.is_empty() && task(&engine, "a").active_runs.is_empty() && !out.exists()
    );
    other.execute_batch("ALTER TABLE elsewhere RENAME TO audit").unwrap();
    let ran = |view: &View| view.tasks.iter().any(|task| task.id.as_raw() == "a" && task.last_run.is_some());
    until(&engine, ran).await;
    assert!(out.exists());
    assert_eq!(runs(&engine, "a").await.len(), 1);
    engine.shutdown().await;
}
