//! Reading, beside the writer: connections of their own, off the async threads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};

use crate::coordinator::domain::{Answer, Loaded, Process, Remembered, RunRow, Stop};
use crate::coordinator::engine::RunFilter;
use crate::model::{
    Alert, Blackout, Facts, Flip, Policy, Run, RunId, RunState, RunningFact, Schedule, TaskId, TaskSource,
};

use crate::wire::Silence;

use super::DbError;
use super::rows::{
    ALERT_COLUMNS, FLIP_COLUMNS, RUN_COLUMNS, from_json, read_alert, read_flip, read_run, read_silence, word,
};

/// Idle connections that are kept.
const KEPT: usize = 4;

/// Reads the database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

/// Everything that a coordinator takes over at its start.
#[derive(Debug)]
pub struct Kept {
    /// Tasks, runs that have not ended, open alerts.
    pub loaded: Loaded,
    /// Processes of runs in progress that a coordinator of an earlier version started, which kept no records.
    pub processes: Vec<(RunId, Process)>,
    /// The task file that was last taken.
    pub task_file: Option<String>,
    /// The boot of the machine that the newest rows are of; an earlier version kept none.
    pub boot: Option<String>,
}

/// A task as the database alone knows it.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Its id.
    pub id: TaskId,
    /// Its facts, the active runs among them.
    pub facts: Facts,
    /// Its schedule.
    pub schedule: Option<Schedule>,
    /// When it does not start by itself.
    pub blackout: Vec<Blackout>,
    /// Its windows and limits.
    pub policy: Policy,
    /// Whether it is not scheduled.
    pub paused: bool,
}

impl Reader {
    /// Of the database at `path`, which exists.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: Arc::new(path.to_owned()), idle: Arc::default() }
    }

    /// The size of the database with its log, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        let of = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let mut log = self.path.as_os_str().to_owned();
        log.push("-wal");
        of(&self.path) + of(Path::new(&log))
    }

    /// Runs `query` on a thread that may wait.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let reader = self.clone();
        crate::coordinator::shell::blocking(move || reader.read_here(query)).await.ok_or(DbError::Closed)?
    }

    /// Runs `query` on this thread.
    pub(super) fn read_here<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = if let Some(connection) = idle {
            connection
        } else {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&*self.path, flags)?;
            connection.busy_timeout(super::PATIENCE)?;
            connection.set_prepared_statement_cache_capacity(super::STATEMENTS);
            connection
        };
        let result = query(&connection);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(connection);
        }
        result
    }

    /// Everything that a coordinator takes over at its start.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn load(&self) -> Result<Kept, DbError> {
        self.read(|connection| {
            Ok(Kept {
                loaded: load(connection)?,
                processes: processes(connection)?,
                task_file: kept(connection, "task_file")?,
                boot: kept(connection, "boot")?,
            })
        })
        .await
    }

    /// The tasks that came over the API, in the order of coming.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn definitions(&self) -> Result<Vec<(TaskId, TaskSource, String)>, DbError> {
        self.read(|connection| {
            let sql = "SELECT id, source, text FROM definitions WHERE source <> 'gone' ORDER BY seq";
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            let mut definitions = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, source): (String, String) = (row.get(0)?, row.get(1)?);
                definitions.push((TaskId::new(&id), word(&source)?, row.get(2)?));
            }
            Ok(definitions)
        })
        .await
    }

    /// What a task of the API was defined as; `None` for any other.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn definition(&self, id: &TaskId) -> Result<Option<String>, DbError> {
        let id = id.clone();
        self.read(move |connection| {
            let sql = "SELECT text FROM definitions WHERE id = ?1 AND source <> 'gone'";
            Ok(connection.prepare_cached(sql)?.query_row([id.as_raw()], |row| row.get(0)).optional()?)
        })
        .await
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn runs(&self, filter: RunFilter) -> Result<Vec<Run>, DbError> {
        self.read(move |connection| runs(connection, &filter)).await
    }

    /// One run.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn run(&self, id: &RunId) -> Result<Option<Run>, DbError> {
        let id = id.clone();
        self.read(move |connection| {
            let sql = format!("SELECT {RUN_COLUMNS} FROM runs WHERE id = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([id.as_raw()])?;
            rows.next()?.map(|row| read_run(row).map(|row| row.run)).transpose()
        })
        .await
    }

    /// The newest run that those who carry it out elsewhere call `rid`: of one task, or of any.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn run_of_rid(&self, task: Option<&TaskId>, rid: &str) -> Result<Option<RunRow>, DbError> {
        let (task, rid) = (task.cloned(), rid.to_owned());
        self.read(move |connection| {
            let of_task = if task.is_some() { "AND task = ?2" } else { "AND ?2 IS NULL" };
            let sql = format!(
                "SELECT {RUN_COLUMNS} FROM runs WHERE rid = ?1 AND rid <> '' {of_task} ORDER BY seq DESC LIMIT 1"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![rid, task.as_ref().map(TaskId::as_raw)])?;
            rows.next()?.map(read_run).transpose()
        })
        .await
    }

    /// Flips, newest first; only those of these tasks, if any are given.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn flips(&self, of: Option<Arc<[TaskId]>>, limit: usize) -> Result<Vec<Flip>, DbError> {
        self.read(move |connection| {
            let of = of.as_deref().map(ids).transpose()?;
            let which =
                if of.is_some() { newest_of("flips", "") } else { "?2 IS NULL AND seq < ?3".to_owned() };
            let sql = format!("SELECT {FLIP_COLUMNS} FROM flips WHERE {which} ORDER BY seq DESC LIMIT ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![limit, of, i64::MAX])?;
            let mut flips = Vec::new();
            while let Some(row) = rows.next()? {
                flips.push(read_flip(row)?);
            }
            Ok(flips)
        })
        .await
    }

    /// Open alerts, oldest first.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn open_alerts(&self) -> Result<Vec<Alert>, DbError> {
        self.read(open_alerts).await
    }

    /// What a call with this key was answered.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn answer(&self, key: &str) -> Result<Option<Answer>, DbError> {
        let key = key.to_owned();
        self.read(move |connection| {
            let sql = "SELECT action, target, run, at FROM answers WHERE key = ?1";
            let found: Option<(String, String, Option<String>, i64)> = connection
                .query_row(sql, [&key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .optional()?;
            let Some((action, target, run, at)) = found else { return Ok(None) };
            let run = run.as_deref().map(from_json).transpose()?;
            let at = chrono::DateTime::from_timestamp_millis(at).unwrap_or_default();
            Ok(Some(Answer { key, action, target, run, at }))
        })
        .await
    }

    /// Looks at every defined task as the database alone knows it: how many there are, and what was made of them.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn overview<T: Send + 'static>(
        &self,
        look: impl FnMut(Overview) -> Option<T> + Send + 'static,
    ) -> Result<(usize, Vec<T>), DbError> {
        self.read(|connection| overview(connection, look)).await
    }
}

const TASKS: &str = "SELECT id, defined, paused, schedule, policy, record, blackout FROM tasks ORDER BY id";

fn remembered(connection: &Connection) -> Result<BTreeMap<TaskId, Remembered>, DbError> {
    let mut statement = connection.prepare(TASKS)?;
    let mut rows = statement.query([])?;
    let mut tasks = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (id, known) = read_task(row)?;
        tasks.insert(id, known);
    }
    Ok(tasks)
}

fn read_task(row: &Row<'_>) -> Result<(TaskId, Remembered), DbError> {
    let text = |column| -> Result<Option<&str>, DbError> {
        row.get_ref(column)?.as_str_or_null().map_err(|error| DbError::Row(error.to_string()))
    };
    let known = Remembered {
        record: from_json(text(5)?.unwrap_or_default())?,
        schedule: text(3)?.map(from_json).transpose()?,
        blackout: from_json(text(6)?.unwrap_or_default())?,
        policy: from_json(text(4)?.unwrap_or_default())?,
        defined: row.get(1)?,
        paused: row.get(2)?,
    };
    Ok((TaskId::new(text(0)?.unwrap_or_default()), known))
}

/// Runs that have not ended, in the order of coming.
fn open_runs(connection: &Connection) -> Result<Vec<RunRow>, DbError> {
    let sql = format!("SELECT {RUN_COLUMNS} FROM runs WHERE ended IS NULL ORDER BY seq");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(read_run(row)?);
    }
    Ok(runs)
}

fn load(connection: &Connection) -> Result<Loaded, DbError> {
    let (tasks, runs) = (remembered(connection)?, open_runs(connection)?);
    let last: Option<i64> = connection.query_row("SELECT max(seq) FROM runs", [], |row| row.get(0))?;
    let last_seq = last.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0);
    let alerts = open_alerts(connection)?;
    let stopping = stopping(connection)?;
    let silences = silences(connection)?;
    let restored =
        kept(connection, super::backup::MARK)?.and_then(|ms| super::rows::instant(ms.parse().ok()));
    Ok(Loaded { tasks, runs, stopping, alerts, silences, last_seq, restored, ..Loaded::default() })
}

fn silences(connection: &Connection) -> Result<Vec<Silence>, DbError> {
    let mut statement = connection.prepare("SELECT id, matcher, by, at, until, comment FROM silences")?;
    let mut rows = statement.query([])?;
    let mut silences = Vec::new();
    while let Some(row) = rows.next()? {
        silences.push(read_silence(row)?);
    }
    Ok(silences)
}

fn stopping(connection: &Connection) -> Result<BTreeMap<RunId, Stop>, DbError> {
    let sql = "SELECT id, stopping FROM runs WHERE ended IS NULL AND stopping IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut stopping = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (id, why): (String, String) = (row.get(0)?, row.get(1)?);
        stopping.insert(RunId::new(&id), from_json(&why)?);
    }
    Ok(stopping)
}

fn processes(connection: &Connection) -> Result<Vec<(RunId, Process)>, DbError> {
    let sql = "SELECT id, pid, start_ticks FROM runs WHERE ended IS NULL AND pid IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut processes = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, ticks): (String, i64) = (row.get(0)?, row.get(2)?);
        let start_ticks = u64::try_from(ticks).unwrap_or(0);
        processes.push((RunId::new(&id), Process { pid: row.get(1)?, start_ticks }));
    }
    Ok(processes)
}

/// Something that there is one of.
fn kept(connection: &Connection, name: &str) -> Result<Option<String>, DbError> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    Ok(connection.query_row(sql, [name], |row| row.get(0)).optional()?)
}

fn open_alerts(connection: &Connection) -> Result<Vec<Alert>, DbError> {
    let sql = format!("SELECT {ALERT_COLUMNS} FROM alerts WHERE closed IS NULL ORDER BY since, seq");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        alerts.push(read_alert(row)?);
    }
    Ok(alerts)
}

/// Ids as the JSON that a query takes.
fn ids(tasks: &[TaskId]) -> Result<String, DbError> {
    let raw: Vec<&str> = tasks.iter().map(TaskId::as_raw).collect();
    serde_json::to_string(&raw).map_err(|error| DbError::Row(error.to_string()))
}

/// The condition for the newest `?1` rows before `?3` of each of the tasks `?2` that `only` lets pass: through the
/// index on tasks, so that rare rows are found without looking at all.
fn newest_of(table: &str, only: &str) -> String {
    format!(
        "seq IN (SELECT found.seq FROM json_each(?2) AS own JOIN {table} AS found ON found.seq IN \
         (SELECT seq FROM {table} WHERE task = own.value AND seq < ?3 {only} ORDER BY seq DESC LIMIT ?1))"
    )
}

fn runs(connection: &Connection, filter: &RunFilter) -> Result<Vec<Run>, DbError> {
    let before = match &filter.before {
        None => i64::MAX,
        // A run that is not there has nothing before it.
        Some(run) => connection
            .prepare_cached("SELECT seq FROM runs WHERE id = ?1")?
            .query_row([run.as_raw()], |row| row.get(0))
            .optional()?
            .unwrap_or(0),
    };
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    // One task is one of those that are asked for, or there would be nothing to read.
    let of = filter.of.as_deref().filter(|_| filter.task.is_none()).map(ids).transpose()?;
    // Of a task, its own runs are looked through: their states are in the index.
    let which = match (&filter.task, filter.state, &of) {
        (None, None, None) => "?2 IS NULL AND seq < ?3 AND ?4 IS NULL".to_owned(),
        (None, Some(_), None) => "?2 IS NULL AND seq < ?3 AND state = ?4".to_owned(),
        (Some(_), None, _) => "task = ?2 AND seq < ?3 AND ?4 IS NULL".to_owned(),
        (Some(_), Some(_), _) => "task = ?2 AND seq < ?3 AND +state = ?4".to_owned(),
        (None, None, Some(_)) => format!("{} AND ?4 IS NULL", newest_of("runs", "")),
        (None, Some(_), Some(_)) => newest_of("runs", "AND +state = ?4"),
    };
    let sql = format!("SELECT {RUN_COLUMNS} FROM runs WHERE {which} ORDER BY seq DESC LIMIT ?1");
    let task = filter.task.as_ref().map(|task| task.as_raw().to_owned());
    let state = filter.state.map(RunState::word);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![limit, task.or(of), before, state])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(read_run(row)?.run);
    }
    Ok(runs)
}

/// One task after the other, so that no more than one of them is in memory.
fn overview<T>(
    connection: &Connection,
    mut look: impl FnMut(Overview) -> Option<T>,
) -> Result<(usize, Vec<T>), DbError> {
    let mut active: BTreeMap<TaskId, Vec<Run>> = BTreeMap::new();
    for row in open_runs(connection)? {
        active.entry(row.run.task.clone()).or_default().push(row.run);
    }
    let mut statement = connection.prepare(TASKS)?;
    let mut rows = statement.query([])?;
    let (mut count, mut found) = (0, Vec::new());
    while let Some(row) = rows.next()? {
        let (id, known) = read_task(row)?;
        if !known.defined {
            continue;
        }
        count += 1;
        let mut facts = known.record.facts;
        for run in active.remove(&id).unwrap_or_default() {
            match run.started {
                Some(started) => {
                    let last_beat = run.last_beat;
                    facts.running.push(RunningFact { id: run.id, started, last_beat });
                }
                None if facts.queued.is_none() => {
                    let since = run.queued.unwrap_or_default();
                    facts.queued = Some(crate::model::QueuedFact { since, slot: run.slot });
                }
                None => {}
            }
        }
        let Remembered { schedule, blackout, policy, paused, .. } = known;
        found.extend(look(Overview { id, facts, schedule, blackout, policy, paused }));
    }
    Ok((count, found))
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;
    use rusqlite::trace::{TraceEvent, TraceEventCodes};

    use super::*;

    /// With ten tasks that have so many ended runs, flips and closed alerts each, and one of each open.
    fn database(of_each: u32) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut connection).unwrap();
        let numbers = format!(
            "WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM n LIMIT {})",
            of_each * 10
        );
        let record = serde_json::to_string(&crate::coordinator::domain::Record::new(
            chrono::DateTime::from_timestamp_millis(0).unwrap(),
        ));
        let (record, policy) = (record.unwrap(), serde_json::to_string(&Policy::default()).unwrap());
        let filled = format!(
            "INSERT INTO tasks (id, defined, paused, policy, record)
                 SELECT 'task-' || i, 1, 0, '{policy}', '{record}' FROM (
                     WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM n LIMIT 10) SELECT i FROM n);
             {numbers} INSERT INTO runs (id, task, state, ended, attempt, rid)
                 SELECT 'run-' || i, 'task-' || (i % 10), iif(i % 3, 'succeeded', 'failed'), i, 0, 'rid-' || i FROM n;
             INSERT INTO runs (id, task, state, attempt, pid, start_ticks) SELECT 'open-' || id, id, 'running', 0, 1, 1 FROM tasks;
             {numbers} INSERT INTO flips (task, old, new, reason, computed, noticed, evidence)
                 SELECT 'task-' || (i % 10), 'healthy', 'late', '', i, i, 'fresh' FROM n;
             {numbers} INSERT INTO alerts (task, queue, kind, severity, since, summary, closed)
                 SELECT 'task-' || (i % 10), '', 'late', 'warning', i, '', iif(i < 10, NULL, i) FROM n;
             {numbers} INSERT INTO answers (key, action, target, at) SELECT 'key-' || i, '', '', i FROM n;"
        );
        connection.execute_batch(&filled).unwrap();
        connection
    }

    type Steps = Arc<Mutex<BTreeMap<String, i32>>>;

    /// What the virtual machine had to do for each read of a start and of the API.
    fn steps(of_each: u32) -> BTreeMap<String, i32> {
        let mut connection = database(of_each);
        let steps = Steps::default();
        let seen = steps.clone();
        let note = move |event: TraceEvent<'_>| {
            if let TraceEvent::Profile(statement, _) = event {
                let step = statement.get_status(StatementStatus::VmStep);
                *seen.lock().unwrap().entry(statement.sql().into_owned()).or_default() += step;
            }
        };
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(note)).unwrap();
        assert_eq!(load(&connection).unwrap().runs.len(), 10);
        assert_eq!(processes(&connection).unwrap().len(), 10);
        assert_eq!(overview(&connection, Some).unwrap().1.len(), 10);
        kept(&connection, "task_file").unwrap();
        let task = Some(TaskId::new("task-1"));
        let all = RunFilter { limit: 20, ..RunFilter::default() };
        let filters = [
            RunFilter { before: Some(RunId::new("run-450")), ..all.clone() },
            RunFilter { task: task.clone(), ..all.clone() },
            RunFilter { state: Some(RunState::Failed), ..all.clone() },
            RunFilter { state: Some(RunState::Dead), ..all.clone() },
            RunFilter { task, state: Some(RunState::Failed), ..all.clone() },
            all,
        ];
        for filter in filters {
            let found = runs(&connection, &filter).unwrap();
            assert_eq!(found.len(), if filter.state == Some(RunState::Dead) { 0 } else { 20 }, "{filter:?}");
        }
        let reader = Reader { path: Arc::default(), idle: Arc::new(Mutex::new(vec![connection])) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            assert!(reader.run(&RunId::new("run-7")).await.unwrap().is_some());
            assert!(reader.run_of_rid(Some(&TaskId::new("task-7")), "rid-7").await.unwrap().is_some());
            assert_eq!(reader.flips(None, 20).await.unwrap().len(), 20);
            assert_eq!(reader.open_alerts().await.unwrap().len(), 10);
            assert!(reader.answer("key-7").await.unwrap().is_some());
        });
        drop(reader);
        std::mem::take(&mut *steps.lock().unwrap())
    }

    /// Ten million runs on disk make no read and no start longer than the rows that they give.
    #[test]
    fn no_read_grows_with_the_history() {
        let (few, many) = (steps(80), steps(1_600));
        assert!(few.len() > 10 && few.len() == many.len(), "{few:?}");
        for (sql, few) in few {
            let many = many[&sql];
            assert!(
                many <= few + few / 2 + 100,
                "{few} steps with a short history, {many} with a long one: {sql}"
            );
        }
    }
}
