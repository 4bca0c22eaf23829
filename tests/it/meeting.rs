//! Adapter and coordinator meet: the real coordinator on port 0, found by its
//! file, seen and driven through the real adapters.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vigie::backend::{Accepted, Backend, BackendError, Cursor, RunsQuery};
use vigie::coordinator::{Ended, Options, Server, SystemClock, bind};
use vigie::model::{
    Coverage, EndpointName, EndpointSpec, Kind, Priority, RunState, Snapshot, Task, TaskId, TaskState, Verb,
};

use crate::support::{build, build_with, call, spec};

const TASKS: &str = r#"
[[task]]
id = "hello"
shell = "echo hello from here"
schedule = "0 3 29 2 *"

[[task]]
id = "fails"
shell = "echo it broke >&2; exit 3"

[[task]]
id = "slow"
command = ["sleep", "600"]
overlap = "queue"
"#;

/// A coordinator in a directory of its own.
struct Home {
    dir: TempDir,
    running: Option<(JoinHandle<Ended>, CancellationToken)>,
    url: String,
}

impl Home {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("tasks.toml"), TASKS).unwrap();
        let mut home = Self { dir, running: None, url: String::new() };
        home.start().await;
        home
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn tasks(&self) -> PathBuf {
        self.dir.path().join("tasks.toml")
    }

    #[expect(clippy::disallowed_methods, reason = "the shell of this test")]
    async fn start(&mut self) {
        let options = Options {
            data: self.data(),
            program: env!("CARGO_BIN_EXE_vigie").into(),
            tasks: self.tasks(),
            vault: crate::support::vault(&self.data()),
            scheduling: true,
            linger: None,
            open_on_loopback: true,
            hosts: Vec::new(),
            tls: None,
        };
        let shutdown = CancellationToken::new();
        let listener = bind(Some("127.0.0.1:0"), None, false).await.unwrap();
        let server = Server::open(listener, options, Arc::new(SystemClock), shutdown.clone()).await.unwrap();
        self.url.clone_from(&server.announced().url);
        self.running = Some((tokio::spawn(server.run()), shutdown));
    }

    async fn stop(&mut self) {
        let (server, shutdown) = self.running.take().unwrap();
        shutdown.cancel();
        server.await.unwrap();
    }

    fn backend(&self) -> Arc<dyn Backend> {
        let spec = EndpointSpec::new(EndpointName::new("local"), Kind::Vigie, None);
        build_with(&spec, &Arc::default(), Some(self.data()))
    }
}

/// What a console would know: the tasks of all snapshots so far.
struct Watch {
    backend: Arc<dyn Backend>,
    cursor: Option<Cursor>,
    tasks: Vec<Task>,
}

impl Watch {
    async fn new(backend: &Arc<dyn Backend>) -> Self {
        let mut watch = Self { backend: Arc::clone(backend), cursor: None, tasks: Vec::new() };
        let first = watch.poll().await;
        assert_eq!(first.tasks.coverage, Coverage::Complete);
        watch
    }

    async fn poll(&mut self) -> Snapshot {
        let polled = self.backend.poll(self.cursor.as_ref()).await.unwrap();
        self.cursor = polled.cursor;
        let part = &polled.snapshot.tasks;
        let complete = part.coverage == Coverage::Complete;
        self.tasks.retain(|known| {
            !complete && !part.gone.contains(&known.id) && part.items.iter().all(|new| new.id != known.id)
        });
        self.tasks.extend(part.items.iter().cloned());
        polled.snapshot
    }

    fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id.as_raw() == id)
    }

    /// Polls until `enough` holds of the task.
    async fn until(&mut self, id: &str, enough: impl Fn(&Task) -> bool) -> Task {
        for _ in 0..100 {
            if let Some(task) = self.task(id).filter(|task| enough(task)) {
                return task.clone();
            }
            self.poll().await;
        }
        panic!("{id} never came to it: {:#?}", self.task(id));
    }

    async fn act(&self, verb: Verb, task: &str) -> Result<Accepted, BackendError> {
        self.backend.execute(&call(verb, Some(task))).await
    }
}

fn ended(state: RunState) -> impl Fn(&Task) -> bool {
    move |task| task.active_runs.is_empty() && task.last_run.as_ref().is_some_and(|run| run.state == state)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trigger_is_seen_to_run_and_to_end_and_leaves_its_output() {
    let mut home = Home::new().await;
    let mut watch = Watch::new(&home.backend()).await;
    assert_eq!(watch.backend.url().as_ref(), Some(&home.url));
    for built_in in ["overdue-check", "audit-log-cleanup", "disk-space", "self-backup"] {
        assert!(watch.task(built_in).is_some_and(|task| task.schedule.is_some()), "{built_in}");
    }
    let mut trigger = call(Verb::Trigger, Some("hello"));
    trigger.arguments.priority = Some(Priority::new(1).unwrap());
    let run = watch.backend.execute(&trigger).await.unwrap().run.unwrap();
    let again = watch.backend.execute(&trigger).await.unwrap();
    assert_eq!(again.run.as_ref(), Some(&run), "the same intent twice is one run");
    let task = watch.until("hello", ended(RunState::Succeeded)).await;
    assert_eq!(task.last_run.unwrap().id.as_ref(), Some(&run));
    let runs = watch.backend.runs(&RunsQuery { task: Some(TaskId::new("hello")), limit: 10 }).await.unwrap();
    assert_eq!(runs.len(), 1);
    let of = crate::support::log_of("hello", run.as_raw());
    let log = watch.backend.log(&of, 0).await.unwrap();
    assert!(log.complete && log.text.contains("hello from here"), "{log:?}");
    let rest = watch.backend.log(&of, log.next_offset).await.unwrap();
    assert_eq!(rest.text.as_str(), "");
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verb_has_its_effect() {
    let mut home = Home::new().await;
    let mut watch = Watch::new(&home.backend()).await;
    watch.act(Verb::Pause, "hello").await.unwrap();
    watch.until("hello", |task| task.paused).await;
    watch.act(Verb::Resume, "hello").await.unwrap();
    watch.until("hello", |task| !task.paused).await;

    let conflict = watch.act(Verb::Retry, "fails").await.unwrap_err();
    assert!(matches!(conflict, BackendError::Conflict(_)), "it never ran: {conflict:?}");
    watch.act(Verb::Trigger, "fails").await.unwrap();
    let failed = watch.until("fails", ended(RunState::Failed)).await;
    assert_eq!(failed.state, Some(TaskState::Failing));
    assert_eq!(failed.last_run.as_ref().unwrap().exit_code, Some(3));
    let retried = watch.act(Verb::Retry, "fails").await.unwrap().run.unwrap();
    watch
        .until("fails", |task| {
            ended(RunState::Failed)(task) && task.last_run.as_ref().unwrap().id.as_ref() == Some(&retried)
        })
        .await;

    watch.act(Verb::Trigger, "slow").await.unwrap();
    watch.until("slow", |task| task.active_runs.iter().any(|run| run.state == RunState::Running)).await;
    let second = watch.act(Verb::Trigger, "slow").await.unwrap().run.unwrap();
    let mut priority = call(Verb::Reprioritise, Some("slow"));
    priority.arguments.priority = Some(Priority::new(2).unwrap());
    watch.backend.execute(&priority).await.unwrap();
    let pending = |task: &Task| {
        let run = task.active_runs.iter().find(|run| run.id.as_ref() == Some(&second))?;
        (run.state == RunState::Queued).then_some(run.priority?.level())
    };
    watch.until("slow", |task| pending(task) == Some(2)).await;
    let cancelled = watch.act(Verb::Cancel, "slow").await.unwrap();
    assert_eq!(cancelled.message, Some("2 runs cancelled".into()), "the pending one first");
    watch.until("slow", ended(RunState::Aborted)).await;
    assert!(matches!(watch.act(Verb::Cancel, "slow").await, Err(BackendError::Conflict(_))));

    fs::write(home.tasks(), format!("{TASKS}\n[[task]]\nid = \"new\"\nshell = \"true\"\n")).unwrap();
    watch.backend.execute(&call(Verb::ReloadConfig, None)).await.unwrap();
    watch.until("new", |_| true).await;
    fs::write(home.tasks(), "[[task]]\nid = \"new\"\nshel = \"true\"\n").unwrap();
    let refused = watch.backend.execute(&call(Verb::ReloadConfig, None)).await.unwrap_err();
    assert!(!refused.may_have_acted() && refused.to_string().contains("shel"), "{refused:?}");

    let unknown = watch.act(Verb::Trigger, "no such task").await.unwrap_err();
    assert!(matches!(unknown, BackendError::NotFound(_)), "{unknown:?}");
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_life_of_the_coordinator_is_found_within_one_poll() {
    let mut home = Home::new().await;
    let mut watch = Watch::new(&home.backend()).await;
    watch.act(Verb::Pause, "hello").await.unwrap();
    watch.until("hello", |task| task.paused).await;
    home.stop().await;
    let gone = watch.backend.poll(watch.cursor.as_ref()).await.unwrap_err();
    assert_eq!(gone, BackendError::Unreachable("no coordinator runs here".into()));
    home.start().await;
    let snapshot = watch.poll().await;
    assert_eq!(snapshot.tasks.coverage, Coverage::Complete, "the cursor was of another life");
    assert!(watch.task("hello").unwrap().paused, "and a pause outlasts it");
    assert_eq!(watch.backend.url().as_ref(), Some(&home.url));
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_duplistatus_adapter_drives_the_duplistatus_surface() {
    let mut home = Home::new().await;
    let backend = build(&spec(Kind::Duplistatus, &home.url));
    let first = backend.poll(None).await.unwrap();
    let unchanged = backend.poll(first.cursor.as_ref()).await.unwrap();
    assert!(unchanged.snapshot.tasks.is_nothing(), "its ETag works");
    let accepted = backend.execute(&call(Verb::Trigger, Some("hello"))).await.unwrap();
    assert!(accepted.observed);
    let failed = backend.execute(&call(Verb::Trigger, Some("fails"))).await.unwrap_err();
    assert!(matches!(failed, BackendError::Failed(_)), "{failed:?}");
    let polled = backend.poll(first.cursor.as_ref()).await.unwrap().snapshot;
    let state = |name: &str| {
        let task = polled.tasks.items.iter().find(|task| task.id.as_raw() == name);
        task.and_then(|task| task.last_run.as_ref()).map(|run| run.state)
    };
    assert_eq!(state("hello"), Some(RunState::Succeeded));
    assert_eq!(state("fails"), Some(RunState::Failed));
    backend.execute(&call(Verb::Pause, Some("audit-log-cleanup"))).await.unwrap();
    backend.execute(&call(Verb::Resume, Some("audit-log-cleanup"))).await.unwrap();
    home.stop().await;
}
