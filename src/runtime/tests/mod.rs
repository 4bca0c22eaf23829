//! The fleet loop against adapters that do as they are told, and real servers.
#![expect(clippy::disallowed_methods, reason = "tests read clocks and start servers")]

mod acting;
mod coordinator;
mod ending;
mod loopback;
mod policy;
mod polling;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use tempfile::TempDir;
use tokio::time::Instant;

use super::handle::{Factory, Wiring};
use super::*;
use crate::backend::{Accepted, Backend, BackendError, BuildError, Call, Cursor, Polled};
use crate::model::{Arguments, Health, Intent, IntentId, Kind, Part, Run, Target, Task, TaskState, Verb};
use crate::vault::KeySource;

/// A task of which only the id matters.
pub fn task(id: &str) -> Task {
    serde_json::from_value(serde_json::json!({"id": id, "name": id, "actions": {}})).unwrap()
}

/// An answer that says that there are these tasks and no others.
pub fn snapshot(tasks: &[&str]) -> Snapshot {
    let mut snapshot = Snapshot::unchanged(DateTime::UNIX_EPOCH, 1);
    snapshot.tasks = Part::complete(tasks.iter().map(|id| task(id)).collect());
    snapshot
}

/// A failed poll.
pub fn failure(reason: &str) -> Failure {
    Failure { health: Health::Down, reason: reason.into(), tries: 1, next_try: DateTime::UNIX_EPOCH }
}

/// An intent on (endpoint, task) pairs.
pub fn intent(verb: Verb, targets: &[(&str, &str)]) -> Intent {
    let target = |(endpoint, task): &(&str, &str)| Target {
        endpoint: (*endpoint).into(),
        task: Some((*task).into()),
        run: None,
        seen: Some(TaskState::Healthy),
    };
    Intent {
        id: IntentId(uuid::Uuid::now_v7()),
        deed: verb.into(),
        targets: targets.iter().map(target).collect(),
        arguments: Arguments::default(),
        at: DateTime::UNIX_EPOCH,
        by: None,
    }
}

/// What an adapter does when it is asked.
#[derive(Debug, Clone)]
enum Step {
    Good,
    Bad(BackendError),
    Hang,
    Break,
    /// A call: said yes, and the effect is in the answer.
    Observed,
    /// An answer after so long.
    Slow(Duration),
    /// An exchange that may not be cut off.
    Through(Arc<ending::Exchange>),
}

/// An adapter that does as it is told, and then well for ever.
#[derive(Debug, Default)]
struct Fake {
    polls: Mutex<VecDeque<Step>>,
    calls: Mutex<VecDeque<Step>>,
    pushes: bool,
    /// The pause that every answer asks for.
    next_poll: Option<Duration>,
    /// When polls began.
    began: Mutex<Vec<Instant>>,
    cursors: Mutex<Vec<Option<Cursor>>>,
    polling: AtomicUsize,
    calling: AtomicUsize,
    most_calling: AtomicUsize,
    called: Mutex<Vec<(Instant, Call)>>,
    /// The journal as it was when each call came.
    journal: Option<PathBuf>,
    recorded: Mutex<Vec<bool>>,
}

impl Fake {
    fn polling(steps: impl IntoIterator<Item = Step>) -> Arc<Self> {
        Arc::new(Self { polls: Mutex::new(steps.into_iter().collect()), ..Self::default() })
    }

    fn began(&self) -> Vec<Instant> {
        self.began.lock().unwrap().clone()
    }

    /// The pauses between the beginnings of polls.
    fn gaps(&self) -> Vec<Duration> {
        self.began().windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

async fn play(step: Step) -> Result<bool, BackendError> {
    match step {
        Step::Good => Ok(false),
        Step::Observed => Ok(true),
        Step::Bad(error) => Err(error),
        Step::Hang => std::future::pending().await,
        Step::Break => panic!("index out of bounds"),
        Step::Slow(time) => {
            tokio::time::sleep(time).await;
            Ok(false)
        }
        Step::Through(exchange) => {
            exchange.go().await;
            Ok(false)
        }
    }
}

#[async_trait]
impl Backend for Fake {
    fn kind(&self) -> Kind {
        Kind::Duplistatus
    }
    fn url(&self) -> Option<String> {
        Some("http://fake".to_owned())
    }
    fn pushes(&self) -> bool {
        self.pushes
    }
    fn endpoint_capabilities(&self) -> Capabilities {
        Capabilities::none("a fake")
    }
    async fn poll(&self, since: Option<&Cursor>) -> Result<Polled, BackendError> {
        struct Done<'a>(&'a AtomicUsize);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        assert_eq!(self.polling.fetch_add(1, Ordering::SeqCst), 0, "two polls in flight");
        let _done = Done(&self.polling);
        self.began.lock().unwrap().push(Instant::now());
        self.cursors.lock().unwrap().push(since.cloned());
        let step = self.polls.lock().unwrap().pop_front().unwrap_or(Step::Good);
        play(step).await?;
        let number = self.began.lock().unwrap().len();
        let snapshot = Snapshot { next_poll: self.next_poll, ..snapshot(&["one"]) };
        Ok(Polled { snapshot, cursor: Some(Cursor(number.to_string())) })
    }
    async fn runs(&self, query: &RunsQuery) -> Result<Vec<Run>, BackendError> {
        let step = self.calls.lock().unwrap().pop_front().unwrap_or(Step::Good);
        play(step).await?;
        let task = query.task.clone().unwrap_or_else(|| "one".into());
        Ok(vec![Run::bare(task, crate::model::RunState::Running)])
    }
    async fn trace(&self, task: &TaskId) -> Result<Trace, BackendError> {
        let step = self.calls.lock().unwrap().pop_front().unwrap_or(Step::Good);
        play(step).await?;
        Ok(Trace { facts: vec![("task".into(), task.shown())], events: Vec::new() })
    }
    async fn audit(&self, _: usize) -> Result<Vec<AuditEntry>, BackendError> {
        Err(BackendError::Unsupported("a fake keeps no audit log".into()))
    }
    async fn log(&self, _: &LogOf, offset: u64) -> Result<LogChunk, BackendError> {
        Ok(LogChunk { text: "line".into(), next_offset: offset + 4, dropped_bytes: 0, complete: true })
    }
    async fn execute(&self, call: &Call) -> Result<Accepted, BackendError> {
        self.called.lock().unwrap().push((Instant::now(), call.clone()));
        if let Some(path) = &self.journal {
            let entries = journal::tail(path, 1_000).unwrap();
            let intended = |entry: &journal::JournalEntry| matches!(entry, journal::JournalEntry::Intent(intent) if intent.id == call.intent);
            self.recorded.lock().unwrap().push(entries.iter().any(intended));
        }
        let now = self.calling.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_calling.fetch_max(now, Ordering::SeqCst);
        let step = self.calls.lock().unwrap().pop_front().unwrap_or(Step::Good);
        let observed = play(step).await;
        self.calling.fetch_sub(1, Ordering::SeqCst);
        Ok(Accepted { message: Some("done".into()), run: Some("r1".into()), observed: observed? })
    }
    fn preview(&self, call: &Call) -> Clean {
        Clean::from(format!("POST /{}", call.deed))
    }
}

/// An endpoint that is polled every 5 s with 10 s of patience.
fn spec(name: &str) -> EndpointSpec {
    EndpointSpec::new(name.into(), Kind::Duplistatus, Some("http://fake".to_owned()))
}

fn places(folder: &Path) -> Places {
    Places {
        data: folder.join("data"),
        state: folder.join("state"),
        tasks: folder.join("tasks.toml"),
        vault: Vault::new(folder.join("data"), KeySource::File(folder.join("vault.key"))),
    }
}

/// A running fleet loop over fakes.
struct World {
    runtime: Runtime,
    folder: TempDir,
}

impl World {
    /// One endpoint per fake, by name.
    fn new(fakes: &[(&str, &Arc<Fake>)]) -> Self {
        Self::with(fakes, tempfile::tempdir().unwrap(), |_| ())
    }

    fn with(fakes: &[(&str, &Arc<Fake>)], folder: TempDir, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup {
            endpoints: fakes.iter().map(|(name, _)| spec(name)).collect(),
            read_only: false,
            places: places(folder.path()),
            local: LocalPolicy::Child,
        };
        change(&mut setup);
        let fakes: Vec<(EndpointName, Arc<Fake>)> =
            fakes.iter().map(|(name, fake)| ((*name).into(), Arc::clone(fake))).collect();
        let factory: Factory = Arc::new(move |spec: &EndpointSpec| {
            let found = fakes.iter().find(|(name, _)| *name == spec.name);
            let (_, fake) = found.ok_or_else(|| BuildError("no such fake".into()))?;
            Ok(Arc::clone(fake) as Arc<dyn Backend>)
        });
        let runtime = Runtime::start_with(
            setup,
            Wiring { factory, program: None, tracker: tokio_util::task::TaskTracker::new() },
        )
        .unwrap();
        Self { runtime, folder }
    }

    /// Ends the loop before its folder goes: what is still being journalled would make the folder anew.
    async fn end(self) {
        self.runtime.shutdown().await;
    }

    async fn next(&mut self) -> Update {
        self.runtime.updates.next().await.unwrap()
    }

    /// The next update that `pick` wants; the others are passed over.
    async fn wait<T>(&mut self, mut pick: impl FnMut(Update) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.next().await) {
                return found;
            }
        }
    }

    async fn failed(&mut self, name: &str) -> Failure {
        self.wait(|update| match update {
            Update::Failed { endpoint, failure } if endpoint.as_raw() == name => Some(failure),
            _ => None,
        })
        .await
    }

    async fn polled(&mut self, name: &str) -> Snapshot {
        self.wait(|update| match update {
            Update::Polled { endpoint, snapshot } if endpoint.as_raw() == name => Some(*snapshot),
            _ => None,
        })
        .await
    }

    /// The next receipt at a stage from which nothing more comes from here.
    async fn receipt(&mut self) -> Receipt {
        use crate::model::Stage;
        self.wait(|update| match update {
            Update::Receipt(receipt) if receipt.stage != Stage::Sent => Some(receipt),
            _ => None,
        })
        .await
    }
}
