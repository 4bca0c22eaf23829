//! `tasks.toml`: text in; tasks and limits, or every problem at once, out. The
//! tasks of the API are read by the same reader ([`from_json`]).

mod object;
mod secrets;
mod when;

mod beside;
mod machines;
mod pieces;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::document::{Document, Problem, Table, Value, did_you_mean};
use crate::model::{Clean, Labels, Policy, Priority, TaskId};

use super::domain::{
    Beside, BuiltIn, CatchUp, CommandSpec, Definition, FailureAction, Limits, Links, MachineSpec,
    ONLY_WATCHED, Overlap, RetryOn, RetryRule, Work,
};
use super::engine::ReloadError;

pub use beside::is_apart;
pub use secrets::{NamedSecret, of as secrets};

/// The longest id, in bytes.
const MAX_ID: usize = 128;
/// The longest time that may be set anywhere.
const MAX_TIME: Duration = Duration::from_secs(366 * 86_400);

pub use object::{from_json, from_kept, from_submission};

/// What a task file says.
#[derive(Debug, Default, PartialEq)]
pub struct TaskFile {
    /// Tasks in the file's order.
    pub tasks: Vec<Definition>,
    /// How many runs there may be at once.
    pub limits: Limits,
    /// Machines by name; where there are none, tasks may name any host of the ssh configuration.
    pub machines: BTreeMap<String, MachineSpec>,
}

/// Reads a task file.
///
/// # Errors
/// Everything that is wrong with it, by line.
pub fn parse(text: &str) -> Result<TaskFile, Vec<Problem>> {
    parse_beside(text, &Beside::default())
}

/// Reads a task file, beside tasks of the API: their ids and keys are taken, and
/// what it names must not lead back to itself through them.
///
/// # Errors
/// Everything that is wrong with it, by line.
pub fn parse_beside(text: &str, beside: &Beside) -> Result<TaskFile, Vec<Problem>> {
    let read = pieces::parse(text, &beside::ids(beside)).filter(|file| is_apart(file, beside));
    read.map_or_else(|| parse_whole(text, beside), Ok)
}

fn parse_whole(text: &str, beside: &Beside) -> Result<TaskFile, Vec<Problem>> {
    let added = beside::ids(beside);
    let document = Document::parse(text)?;
    let file = {
        let root = document.root();
        let mut limits = root.table("limits").map(limits).unwrap_or_default();
        let machines = machines::machines(&root, &mut limits);
        let mut gathered = Gathered::new(&added);
        let mut asides = Vec::new();
        for table in root.tables("task") {
            asides.push(gathered.take(table));
        }
        let tasks = gathered.tasks;
        check_names(&tasks, &asides, beside);
        for (value, key) in asides.iter().filter_map(|aside| aside.key.as_ref()) {
            if gathered.ids.contains(key) {
                value.problem("is the id of a task, which anybody may know: take another key");
            }
            beside::check_key(value, key, &tasks, beside);
        }
        let placed = asides.into_iter().filter_map(|aside| aside.machine);
        machines::check_named(&machines, &placed.collect::<Vec<_>>());
        root.finish();
        TaskFile { tasks, limits, machines }
    };
    if document.has_problems() { Err(document.into_problems()) } else { Ok(file) }
}

/// What the tables of tasks have come to so far.
struct Gathered<'a> {
    added: &'a BTreeSet<TaskId>,
    ids: BTreeSet<String>,
    /// Keys for pings.
    keys: BTreeSet<String>,
    tasks: Vec<Definition>,
    /// Words that many tasks have in common, and labels: each is in memory once.
    words: BTreeSet<Clean>,
    labels: BTreeSet<Labels>,
}

/// What can be checked of a task only once all are known.
struct Aside<'a> {
    task: TaskId,
    key: Option<(Value<'a>, String)>,
    machine: Option<(Clean, Value<'a>)>,
    names: Vec<Name<'a>>,
}

impl<'g> Gathered<'g> {
    const fn new(added: &'g BTreeSet<TaskId>) -> Self {
        Self {
            added,
            ids: BTreeSet::new(),
            keys: BTreeSet::new(),
            tasks: Vec::new(),
            words: BTreeSet::new(),
            labels: BTreeSet::new(),
        }
    }

    fn take<'a>(&mut self, table: Table<'a>) -> Aside<'a> {
        let id = id(&table, &mut self.ids, self.added);
        let (mut task, names) = task(&table, id.as_deref().unwrap_or("?"));
        let key = ping_key(&table, &mut self.keys);
        task.ping_key = key.as_ref().map(|(_, key)| Clean::line(key));
        let machine = task.machine.clone().zip(table.get("machine"));
        table.finish();
        let names = if id.is_some() { names } else { Vec::new() };
        let aside = Aside { task: task.id.clone(), key, machine, names };
        if id.is_some() {
            self.share(&mut task);
            self.tasks.push(task);
        }
        aside
    }

    fn share(&mut self, task: &mut Definition) {
        let zone = task.schedule.as_mut().map(|schedule| &mut schedule.zone);
        for word in [task.team.as_mut(), task.machine.as_mut(), zone].into_iter().flatten() {
            share(&mut self.words, word);
        }
        share(&mut self.labels, &mut task.labels);
    }
}

/// Puts the known one of two that are equal in its place.
fn share<T: Ord + Clone>(known: &mut BTreeSet<T>, value: &mut T) {
    match known.get(value) {
        Some(same) => value.clone_from(same),
        None => drop(known.insert(value.clone())),
    }
}

/// Reads the task file at `path` without a coordinator, and gives how many
/// tasks it has; a file that is not there has none.
///
/// # Errors
/// Everything that is wrong with it, each with file and line.
pub fn check(path: &Path) -> Result<usize, ReloadError> {
    match std::fs::read(path) {
        Ok(bytes) => match crate::document::text(&bytes).and_then(parse) {
            Ok(file) => Ok(file.tasks.len()),
            Err(problems) => Err(ReloadError { problems: shown(path, &problems) }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => {
            Err(ReloadError { problems: vec![Clean::from(format!("{}: {error}", path.display()))] })
        }
    }
}

/// Problems of a file, as they are shown: file, line, cause.
#[must_use]
pub fn shown(path: &Path, problems: &[Problem]) -> Vec<Clean> {
    problems.iter().map(|problem| Clean::from(format!("{}: {problem}", path.display()))).collect()
}

fn limits(table: Table<'_>) -> Limits {
    let many = 1..=i64::from(u32::MAX);
    let counts = |key: &'static str| -> BTreeMap<String, u32> {
        let Some(table) = table.table(key) else { return BTreeMap::new() };
        let entries = table.entries();
        entries
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), count(value.integer(many.clone())?))))
            .collect()
    };
    let limits = Limits {
        coordinator: table
            .integer("coordinator", many.clone())
            .map_or_else(|| Limits::default().coordinator, count),
        team: counts("team"),
        machine: counts("machine"),
    };
    table.finish();
    limits
}

/// For what was read within the range of `u32`.
fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The one task of a table that stands alone. What it names need not be there.
fn read_one(table: Table<'_>) -> Option<Definition> {
    let id = id(&table, &mut BTreeSet::new(), &BTreeSet::new());
    let (mut task, _) = task(&table, id.as_deref().unwrap_or("?"));
    task.ping_key = ping_key(&table, &mut BTreeSet::new()).map(|(_, key)| key.into());
    table.finish();
    id.map(|_| task)
}

/// The id, if it is a good one that nobody has yet.
fn id(table: &Table<'_>, taken: &mut BTreeSet<String>, added: &BTreeSet<TaskId>) -> Option<String> {
    let value = table.need("id")?;
    let id = value.clone().string()?;
    let good = id.len() <= MAX_ID
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !good {
        value.problem(&format!(
            "{id:?} is not an id: letters, digits, `.`, `_` and `-`, a letter or digit first, at most {MAX_ID}"
        ));
        return None;
    }
    if is_built_in(&id) {
        value.problem(&format!("{id:?} is a built-in task of the coordinator: choose another id"));
        return None;
    }
    if added.contains(id.as_str()) {
        value.problem(&format!(
            "there is a task {id:?} that was defined over the API: choose another id, or DELETE /api/v1/tasks/{id} first"
        ));
        return None;
    }
    if !taken.insert(id.clone()) {
        value.problem(&format!("there is a task {id:?} above: ids are unique"));
        return None;
    }
    Some(id)
}

/// The shortest and the longest key for pings, in bytes.
const PING_KEY: std::ops::RangeInclusive<usize> = 16..=128;

/// The key for pings, if it is a good one that no task above has.
fn ping_key<'a>(table: &Table<'a>, taken: &mut BTreeSet<String>) -> Option<(Value<'a>, String)> {
    let value = table.get("ping_key")?;
    let key = value.clone().string()?;
    if !PING_KEY.contains(&key.len()) || !key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
        let (least, most) = (PING_KEY.start(), PING_KEY.end());
        value.problem(&format!(
            "must be {least} to {most} letters, digits, `_` and `-` that nobody guesses: say what uuidgen prints"
        ));
        return None;
    }
    if !taken.insert(key.clone()) {
        value.problem("is the key of a task above: each task has its own");
        return None;
    }
    Some((value, key))
}

/// Another task that a field names, to be checked once all are known.
struct Name<'a> {
    field: &'static str,
    value: Value<'a>,
    task: TaskId,
}

/// The task, as far as it can be read; whether that is far enough shows in the document's problems.
fn task<'a>(table: &Table<'a>, id: &str) -> (Definition, Vec<Name<'a>>) {
    let mut task = Definition::new(id, work(table));
    if let Some(name) = text(table, "name") {
        task.name = name;
    }
    task.description = text(table, "description");
    task.team = text(table, "team");
    task.machine = machines::of_task(table);
    task.secrets = secrets::read(table, &task);
    task.labels = labels(table);
    let mut names = when::read(table, &mut task);
    task.policy = policy(table);
    if let Some(grace) = time(table, "kill_grace", Duration::ZERO) {
        task.kill_grace = grace;
    }
    if let Some(level) = table.integer("priority", 1..=5) {
        task.priority =
            u8::try_from(level).ok().and_then(|level| Priority::new(level).ok()).unwrap_or_default();
    }
    if let Some(retry) = table.table("retry") {
        task.retry = retry_rule(&retry);
        retry.finish();
    }
    if let Some(overlap) = choice(
        table,
        "overlap",
        &[("skip", Overlap::Skip), ("queue", Overlap::Queue), ("allow", Overlap::Allow)],
    ) {
        task.overlap = overlap;
    }
    if let Some(catch_up) = choice(table, "catch_up", &[("none", CatchUp::None), ("once", CatchUp::Once)]) {
        task.catch_up = catch_up;
    }
    task.concurrency = table.integer("concurrency", 1..=i64::from(u32::MAX)).map(count);
    task.enabled = table.bool("enabled").unwrap_or(true);
    names.extend(failure_action(table, &mut task.failure_action));
    (task, names)
}

fn text(table: &Table<'_>, key: &'static str) -> Option<Clean> {
    let value = table.get(key)?;
    let text = value.clone().string()?;
    let clean = Clean::line(text.trim());
    if clean.is_empty() {
        value.problem("is empty: say something, or leave it out");
        return None;
    }
    Some(clean)
}

fn work(table: &Table<'_>) -> Work {
    let command = table.get("command");
    let shell = table.get("shell");
    let env = env(table);
    let cwd = cwd(table);
    if let (Some(_), Some(shell)) = (&command, &shell) {
        shell.problem("there is a command too: one of the two");
    }
    let argv = match (command, shell) {
        (Some(command), _) => {
            if command.as_str().is_some() {
                command
                    .problem("is a list, [\"program\", \"argument\"]; for a line of shell use shell = \"…\"");
                return Work::Watched;
            }
            let argv = command.clone().strings().unwrap_or_default();
            if argv.first().is_none_or(String::is_empty) {
                command.problem("must begin with a program");
            }
            for word in &argv {
                passable(&command, word);
            }
            argv
        }
        (None, Some(shell)) => {
            let line = shell.clone().string().unwrap_or_default();
            if line.trim().is_empty() {
                shell.problem("is empty: say what to run, or leave it out for a task that is only watched");
            }
            passable(&shell, &line);
            vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
        }
        (None, None) => return Work::Watched,
    };
    Work::Command(CommandSpec { argv, env, cwd })
}

fn env(table: &Table<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let entries = table.table("env").map(|table| table.entries()).unwrap_or_default();
    for (name, value) in entries {
        if name.is_empty() || name.contains(['=', '\0']) {
            value.problem(&format!("{name:?} is not the name of an environment variable"));
        }
        let place = value.clone();
        if let Some(text) = value.string() {
            passable(&place, &text);
            env.insert(name.to_owned(), text);
        }
    }
    env
}

/// A system call takes no text with a NUL byte.
fn passable(place: &Value<'_>, text: &str) {
    if text.contains('\0') {
        place.problem("has a NUL byte, which no command can be given");
    }
}

fn cwd(table: &Table<'_>) -> Option<PathBuf> {
    let value = table.get("cwd")?;
    let text = value.clone().string()?;
    passable(&value, &text);
    let path = PathBuf::from(text);
    if !path.is_absolute() {
        value.problem("must be an absolute path");
    }
    Some(path)
}

fn labels(table: &Table<'_>) -> Labels {
    let labels = table.string_map("labels").unwrap_or_default();
    Arc::new(labels.iter().map(|(name, value)| (Clean::line(name), Clean::line(value))).collect())
}

fn policy(table: &Table<'_>) -> Policy {
    let second = Duration::from_secs(1);
    let seconds = |key: &'static str, least: Duration| {
        time(table, key, least).map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX))
    };
    let threshold = |key: &'static str| table.integer(key, 1..=1_000).map(count);
    let usual = Policy::default();
    Policy {
        start_window_s: seconds("start_window", second).unwrap_or(usual.start_window_s),
        lateness_window_s: seconds("lateness_window", second).unwrap_or(usual.lateness_window_s),
        max_runtime_s: seconds("max_runtime", second),
        heartbeat_timeout_s: seconds("heartbeat_timeout", second),
        min_gap_s: seconds("min_gap", second),
        failure_threshold: threshold("failure_threshold").unwrap_or(usual.failure_threshold),
        recovery_threshold: threshold("recovery_threshold").unwrap_or(usual.recovery_threshold),
    }
}

fn time(table: &Table<'_>, key: &'static str, least: Duration) -> Option<Duration> {
    table.get(key)?.duration_within(least..=MAX_TIME)
}

fn retry_rule(table: &Table<'_>) -> RetryRule {
    let usual = RetryRule::default();
    let words = [("failed", RetryOn::Failed), ("overrun", RetryOn::Overrun), ("dead", RetryOn::Dead)];
    let on = table
        .get("on")
        .and_then(Value::list)
        .map(|list| list.into_iter().filter_map(|value| one_of(&value, &words)).collect());
    if table.get("count").is_none() {
        table.problem("says nothing of count: how many retries at most");
    }
    RetryRule {
        count: table.integer("count", 0..=100).map_or(usual.count, count),
        delay: time(table, "delay", Duration::ZERO).unwrap_or(usual.delay),
        backoff: table.number("backoff", 1.0..=100.0).unwrap_or(usual.backoff),
        jitter: table.number("jitter", 0.0..=1.0).unwrap_or(usual.jitter),
        on: on.unwrap_or(usual.on),
    }
}

fn choice<T: Clone>(table: &Table<'_>, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
    one_of(&table.get(key)?, words)
}

fn one_of<T: Clone>(value: &Value<'_>, words: &[(&'static str, T)]) -> Option<T> {
    let text = value.clone().string()?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| meaning.clone());
    if found.is_none() {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let near = did_you_mean(&text, known.iter().copied());
        value.problem(&format!("{text:?} is not one of {}{near}", known.join(", ")));
    }
    found
}

fn failure_action<'a>(table: &Table<'a>, action: &mut FailureAction) -> Option<Name<'a>> {
    let value = table.get("failure_action")?;
    let text = value.clone().string()?;
    match (text.as_str(), text.strip_prefix("run:")) {
        ("alert", _) => *action = FailureAction::Alert,
        ("none", _) => *action = FailureAction::Nothing,
        (_, Some(task)) => {
            let task = TaskId::new(task);
            *action = FailureAction::Run(task.clone());
            return Some(Name { field: "failure_action", value, task });
        }
        _ => {
            let near = did_you_mean(&text, ["alert", "none"]);
            value.problem(&format!("{text:?} is not one of alert, none, run:TASK{near}"));
        }
    }
    None
}

/// The tasks that are named must be there, and must not start each other in a circle.
fn check_names(tasks: &[Definition], asides: &[Aside<'_>], beside: &Beside) {
    if asides.iter().all(|aside| aside.names.is_empty()) {
        return;
    }
    let ids: BTreeSet<&str> = tasks.iter().map(|task| task.id.as_raw()).collect();
    let links = Links::of(tasks.iter().chain(beside.added.iter().map(|task| &**task)));
    let watched = watched(tasks);
    for (task, name) in asides.iter().flat_map(|aside| aside.names.iter().map(|name| (&aside.task, name))) {
        let target = name.task.as_raw();
        if !ids.contains(target) && !is_built_in(target) {
            let near = did_you_mean(target, ids.iter().copied());
            name.value.problem(&format!("there is no task {target:?}{near}"));
        } else if let Some(circle) = links.circle(task, name.field, &name.task) {
            name.value.problem(&circle);
        } else if name.field != "after" && watched.contains(&name.task) {
            name.value.problem(ONLY_WATCHED);
        }
    }
}

/// Those that have no command here.
fn watched(tasks: &[Definition]) -> BTreeSet<&TaskId> {
    tasks.iter().filter(|task| task.work == Work::Watched).map(|task| &task.id).collect()
}

fn is_built_in(id: &str) -> bool {
    BuiltIn::ALL.iter().any(|built_in| built_in.id() == id)
}

#[cfg(test)]
mod tests;
