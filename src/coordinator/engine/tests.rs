use std::path::PathBuf;
use std::sync::Mutex;

use chrono::TimeDelta;

use super::*;
use crate::coordinator::{Clock, SystemClock};
use crate::model::{AlertKind, RunState, TaskState};

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

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn tasks(&self) -> PathBuf {
        self.folder.path().join("config").join("tasks.toml")
    }

    fn write(&self, text: &str) {
        std::fs::create_dir_all(self.tasks().parent().unwrap()).unwrap();
        std::fs::write(self.tasks(), text).unwrap();
    }

    fn options(&self) -> Options {
        Options {
            data: self.folder.path().join("data"),
            tasks: self.tasks(),
            scheduling: true,
            linger: None,
            open_on_loopback: false,
        }
    }

    async fn start(&self, clock: SharedClock) -> Engine {
        Engine::start(self.options(), clock).await.unwrap()
    }
}

fn real() -> SharedClock {
    Arc::new(SystemClock)
}

fn me() -> Actor {
    Actor { name: "me".into(), idempotency_key: None }
}

fn with_key(key: &str) -> Actor {
    Actor { name: "me".into(), idempotency_key: Some(key.to_owned()) }
}

fn task(engine: &Engine, id: &str) -> Arc<Task> {
    engine.view().tasks.iter().find(|task| task.id.as_raw() == id).unwrap().clone()
}

fn state(engine: &Engine, id: &str) -> TaskState {
    task(engine, id).state.unwrap()
}

/// Waits until the view is as it should be.
async fn until(engine: &Engine, what: impl Fn(&View) -> bool) -> Arc<View> {
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
    tokio::time::timeout(std::time::Duration::from_secs(30), wait).await.expect("it never came to be")
}

async fn judge(engine: &Engine) {
    Doubt(engine.mailbox.downgrade()).ask().await.unwrap();
}

async fn text(engine: &Engine, run: &Run) -> String {
    let piece = engine.log(run.id.as_ref().unwrap(), 0, 1 << 20).await.unwrap();
    assert!(piece.complete);
    String::from_utf8(piece.bytes).unwrap()
}

async fn runs(engine: &Engine, task: &str) -> Vec<Run> {
    let filter = RunFilter { task: Some(TaskId::new(task)), limit: 100, before: None };
    engine.runs(filter).await.unwrap()
}

#[tokio::test]
async fn the_built_ins_are_there_and_do_what_they_say() {
    let bench = Bench::new();
    let engine = bench.start(real()).await;
    let view = engine.view();
    let ids: Vec<&str> = view.tasks.iter().map(|task| task.id.as_raw()).collect();
    assert_eq!(ids, ["overdue-check", "audit-log-cleanup", "disk-space", "self-backup"]);
    for (id, words) in [
        ("disk-space", " free ("),
        ("overdue-check", "4 tasks checked, 0 overdue, 0 alerts opened"),
        ("audit-log-cleanup", "0 rows from before "),
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
