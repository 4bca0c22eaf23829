//! From a data directory to a running engine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::coordinator::db::{self, DbError, Kept, Reader, Writer};
use crate::coordinator::domain::{BuiltIn, Definition, Domain, Fate, Loaded, Process};
use crate::coordinator::exec::{self, Executor, InProgress, Logs, end_leftovers};
use crate::coordinator::machines::Ssh;
use crate::coordinator::metrics::Metrics;
use crate::coordinator::tasks_file::{self, TaskFile};
use crate::coordinator::{Options, SharedClock, builtin, private, shell};
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
    let open = path.clone();
    let opened = shell::blocking(move || Writer::open(&open)).await.unwrap_or(Err(DbError::Closed));
    let (writer, thread) = opened.map_err(|error| failed("can't open", &path, &error))?;
    let reader = Reader::new(&path);
    let Kept { mut loaded, processes, task_file: known_file, boot: known_boot } =
        reader.load().await.map_err(|error| failed("can't read", &path, &error))?;
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

    let seen = watch_file::print(&options.tasks);
    let kept = reader.definitions().await.map_err(|error| failed("can't read", &path, &error))?;
    let added = added(kept);
    let ids = added.iter().map(|definition| definition.id.clone()).collect();
    let (file, text, problems) = task_file(&options.tasks, known_file.as_deref(), &ids).await;
    let now = clock.now();
    let epoch = u64::from_le_bytes(random());
    let mut domain = Domain::new(random(), options.scheduling);
    let definitions = builtin::definitions().into_iter().chain(file.tasks).chain(added).collect();
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
    for run in over {
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

/// The file as it is now; if that is bad, as it was when it was last taken,
/// so that a restart loses no task to a slip of the pen. A file that is not
/// there has no tasks.
async fn task_file(
    path: &Path,
    known: Option<&str>,
    added: &BTreeSet<TaskId>,
) -> (TaskFile, Option<String>, Vec<Clean>) {
    let problems = match file::read_file(path).await {
        Ok(text) => match tasks_file::parse_beside(&text, added) {
            Ok(file) => return (file, Some(text), Vec::new()),
            Err(problems) => tasks_file::shown(path, &problems),
        },
        Err(problem) => vec![problem],
    };
    for problem in &problems {
        tracing::warn!(%problem, "the task file is not taken");
    }
    let before = known.and_then(|text| tasks_file::parse_beside(text, added).ok()).unwrap_or_default();
    (before, None, problems)
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

fn failed(what: &str, path: &Path, error: &dyn std::fmt::Display) -> StartError {
    StartError(Clean::from(format!("{what} {}: {error}", path.display())))
}

fn random<const N: usize>() -> [u8; N] {
    rand::random()
}
