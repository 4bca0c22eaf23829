//! From a data directory to a running engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use crate::coordinator::db::{self, DbError, Kept, Reader, Writer};
use crate::coordinator::domain::{Beside, BuiltIn, Definition, Domain, Fate, Loaded, Process};
use crate::coordinator::exec::{self, Executor, InProgress, Logs, end_leftovers};
use crate::coordinator::machines::Ssh;
use crate::coordinator::metrics::Metrics;
use crate::coordinator::tasks_file::{self, TaskFile};
use crate::coordinator::{Options, SharedClock, builtin, private, shell};
use crate::document::Problem;
use crate::model::{Clean, Run, RunId, RunState, TaskId, TaskSource};

use super::actor::Actor;
use super::message::Inside;
use super::shared::Shared;
use super::{BACKUPS, Engine, LOGS, RUNS, StartError, file, watch_file};

/// Calls that may wait; who comes later waits to hand over.
const MAILBOX: usize = 1_024;
/// Ends and beginnings of runs that may wait to be noticed.
const EVENTS: usize = 256;

pub(super) async fn start(options: Options, clock: SharedClock) -> Result<Engine, StartError> {
    for folder in [options.data.join(LOGS), options.data.join(RUNS), options.data.join(BACKUPS)] {
        private::folder(&folder).map_err(|error| failed("can't create", &folder, &error))?;
    }
    let path = options.data.join(db::FILE);
    // Both take a while where tasks are many, and neither waits for the other.
    let (disk, (seen, file)) = tokio::join!(Disk::open(&path), read_tasks(&options.tasks));
    let Disk { writer, thread, reader, kept, added } = disk?;
    let Kept { mut loaded, processes, task_file: known_file, boot: known_boot } = kept;
    let beside = beside(&added, &loaded);
    let (file, text, problems) = task_file(&options.tasks, file, known_file.as_deref(), &beside);
    let (events_in, events) = mpsc::channel(EVENTS);
    let logs = Logs::new(options.data.join(LOGS));
    let runs = options.data.join(RUNS);
    let executor = Executor::new(&options.program, &runs, logs.clone(), clock.clone(), events_in.clone());
    let boot = exec::boot();
    let in_progress = in_progress(&loaded, &processes);
    end_leftovers(processes.into_iter().map(|(_, process)| process)).await;
    let (survey, of) = (executor.clone(), in_progress.clone());
    // Of a backup's runs the folders are somebody else's, or gone since.
    let whole = known_boot.as_ref() == Some(&boot) && loaded.restored.is_none();
    loaded.fates = shell::blocking(move || survey.survey(&of, whole)).await.unwrap_or_default();
    let (going_on, over) = part(in_progress, &loaded.fates);

    let now = clock.now();
    let epoch = u64::from_le_bytes(random());
    let mut domain = Domain::new(random(), options.scheduling);
    let definitions = builtin::definitions().into_iter().chain(file.tasks).chain(added);
    domain.set_machines(file.machines);
    domain.load(loaded, definitions, file.limits, now);
    domain.set_remarks(file::remarks(&problems));

    let (mailbox, messages) = mpsc::channel(MAILBOX);
    let shared = Arc::new(Shared::new(epoch, now));
    let metrics = Metrics::default();
    let context = builtin::Context {
        clock: clock.clone(),
        reader: reader.clone(),
        writer: writer.clone(),
        logs: logs.clone(),
        data: options.data.clone(),
        engine: Inside(mailbox.downgrade()),
    };
    let mut actor = Actor {
        domain,
        clock,
        writer,
        thread,
        executor: executor.clone(),
        vault: options.vault.clone(),
        ssh: Ssh::new(&options.data),
        events_in,
        context,
        shared: shared.clone(),
        metrics: metrics.clone(),
        tasks: options.tasks.clone(),
        problems,
        owed: Vec::new(),
        new_boot: (known_boot.as_ref() != Some(&boot)).then_some(boot),
        new_text: text.filter(|text| Some(text) != known_file.as_ref()),
        waiting: std::collections::HashMap::new(),
        answered: std::collections::VecDeque::new(),
    };
    for run in going_on {
        executor.adopt(run);
    }
    // What came of loading is on disk, and shown, before anybody asks.
    actor.step(Vec::new()).await.map_err(|error| failed("can't write", &path, &error))?;
    // Of one that may go on elsewhere, what is known is needed until it is over there too.
    for run in over.into_iter().filter(|run| !actor.domain.is_adrift(&run.run)) {
        executor.forget(&run.run, run.number);
    }
    let watching = watch_file::start(&options.tasks, seen, mailbox.downgrade());
    shell::spawn(actor.run(messages, events, watching));
    Ok(Engine { mailbox, shared, reader, logs, metrics })
}

/// Runs that a supervisor may be with: not the built-ins', which ended with
/// their coordinator, nor those that one of an earlier version started.
fn in_progress(loaded: &Loaded, processes: &[(RunId, Process)]) -> Vec<InProgress> {
    let rows = loaded.runs.iter().filter(|row| row.run.state == RunState::Running && !row.is_elsewhere());
    let runs = rows.filter_map(|row| {
        let Run { id, task, attempt, .. } = row.run.clone();
        Some(InProgress { run: id?, task, number: attempt })
    });
    runs.filter(|run| BuiltIn::ALL.iter().all(|built_in| built_in.id() != run.task.as_raw()))
        .filter(|run| processes.iter().all(|(of, _)| *of != run.run))
        .collect()
}

/// Those that go on, and those whose end is known.
fn part(runs: Vec<InProgress>, fates: &BTreeMap<RunId, Fate>) -> (Vec<InProgress>, Vec<InProgress>) {
    let begun = runs.into_iter().filter(|run| fates.get(&run.run) != Some(&Fate::NeverStarted));
    begun.partition(|run| fates.get(&run.run) == Some(&Fate::GoesOn))
}

/// The database, and what is in it.
struct Disk {
    writer: Writer,
    thread: JoinHandle<()>,
    reader: Reader,
    kept: Kept,
    /// Tasks of the API.
    added: Vec<Definition>,
}

impl Disk {
    async fn open(path: &Path) -> Result<Self, StartError> {
        let open = path.to_owned();
        let opened = shell::blocking(move || Writer::open(&open)).await.unwrap_or(Err(DbError::Closed));
        let (writer, thread) = opened.map_err(|error| failed("can't open", path, &error))?;
        let reader = Reader::new(path);
        let unreadable = |error| failed("can't read", path, &error);
        let kept = reader.load().await.map_err(unreadable)?;
        let added = added(reader.definitions().await.map_err(unreadable)?);
        Ok(Self { writer, thread, reader, kept, added })
    }
}

/// A task file's text, and what it says; or why there is none.
type Read = Result<(String, Result<TaskFile, Vec<Problem>>), Clean>;

/// The task file as though there were no tasks of the API, and what it was known by before it was read.
async fn read_tasks(path: &Path) -> (watch_file::Print, Read) {
    let seen = watch_file::print(path);
    let text = match file::read_file(path).await {
        Ok(text) => text,
        Err(problem) => return (seen, Err(problem)),
    };
    let read = shell::blocking(move || {
        let file = tasks_file::parse(&text);
        (text, file)
    });
    (seen, read.await.ok_or_else(|| "the task file could not be read".into()))
}

/// The file as it is now; if that is bad, as it was when it was last taken,
/// so that a restart loses no task to a slip of the pen. A file that is not
/// there has no tasks.
fn task_file(
    path: &Path,
    read: Read,
    known: Option<&str>,
    beside: &Beside,
) -> (TaskFile, Option<String>, Vec<Clean>) {
    let parse = |text: &str| tasks_file::parse_beside(text, beside);
    let read = read.map(|(text, alone)| {
        // Few files stand beside tasks of the API, and fewer meet them.
        let is_apart = alone.as_ref().is_ok_and(|file| tasks_file::is_apart(file, beside));
        let file = if is_apart { alone } else { parse(&text) };
        (text, file)
    });
    let problems = match read {
        Ok((text, Ok(file))) => return (file, Some(text), Vec::new()),
        Ok((_, Err(problems))) => tasks_file::shown(path, &problems),
        Err(problem) => vec![problem],
    };
    for problem in &problems {
        tracing::warn!(%problem, "the task file is not taken");
    }
    (known.and_then(|text| parse(text).ok()).unwrap_or_default(), None, problems)
}

/// The tasks of the API. One that this version can't read stays where it is, and is said.
fn added(kept: Vec<(TaskId, TaskSource, String)>) -> Vec<Definition> {
    let mut added = Vec::with_capacity(kept.len());
    for (id, source, text) in kept {
        match tasks_file::from_kept(&id, source, &text) {
            Ok(definition) => added.push(definition),
            Err(problem) => {
                tracing::error!(task = %id, %problem, "a task that was defined over the API is not taken");
            }
        }
    }
    added
}

/// What the task file has to live beside.
fn beside(added: &[Definition], loaded: &Loaded) -> Beside {
    let defined = loaded.tasks.iter().filter(|(_, known)| known.defined);
    let made =
        defined.filter_map(|(id, known)| Some((known.record.ping_key.as_ref()?.to_string(), id.clone())));
    let own = added.iter().filter_map(|task| Some((task.ping_key.as_ref()?.to_string(), task.id.clone())));
    Beside { added: added.iter().cloned().map(Arc::new).collect(), keys: made.chain(own).collect() }
}

fn failed(what: &str, path: &Path, error: &dyn std::fmt::Display) -> StartError {
    StartError(Clean::from(format!("{what} {}: {error}", path.display())))
}

fn random<const N: usize>() -> [u8; N] {
    rand::random()
}
