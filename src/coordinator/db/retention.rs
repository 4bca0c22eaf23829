//! What of the history is old enough to go: found by readers, deleted by the
//! writer a piece at a time, so that nobody waits long behind it.
//!
//! Runs and flips go when they are past the retention and not among a task's
//! newest [`KEPT`]; beyond its newest [`MOST`] they go however young they are,
//! so that a task of every second fills no disk. A task that is no longer
//! defined keeps nothing beyond the retention. Closed alerts go the same way, all
//! tasks together. What has not ended never goes.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::model::{RunId, TaskId};

use super::{DbError, Reader};

/// Rows of a task that stay, however old.
pub const KEPT: u32 = 1_000;
/// Rows of a task that stay at most, however young.
pub const MOST: u32 = 100_000;
/// Rows of one piece.
const PIECE: u32 = 200;

/// A table of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Runs that have ended.
    Runs,
    /// Flips.
    Flips,
    /// Alerts that are closed.
    Alerts,
}

/// Rows of one table that are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Old {
    /// The table.
    pub table: History,
    /// Their places in it.
    pub seqs: Vec<i64>,
    /// Runs among them: their logs go with them.
    pub runs: Vec<(TaskId, RunId)>,
}

impl History {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Runs, Self::Flips, Self::Alerts];

    /// What it is called in sentences.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Flips => "flips",
            Self::Alerts => "closed alerts",
        }
    }

    const fn table(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Flips => "flips",
            Self::Alerts => "alerts",
        }
    }

    /// The column that says when a row was over.
    const fn over(self) -> &'static str {
        match self {
            Self::Runs => "ended",
            Self::Flips => "noticed",
            Self::Alerts => "closed",
        }
    }
}

/// Rows that stay.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Rows over before this instant, in milliseconds, are old.
    before_ms: i64,
    kept: u32,
    most: u32,
    piece: u32,
}

/// Whose history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A task that is defined.
    Task(TaskId),
    /// A task that is no longer defined.
    Gone(TaskId),
    /// Everything.
    All,
}

impl Reader {
    /// Whose rows of `table` are looked at each for itself.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn owners(&self, table: History) -> Result<Vec<Owner>, DbError> {
        if table == History::Alerts {
            return Ok(vec![Owner::All]);
        }
        self.read(owners).await
    }

    /// The next piece of what is to go of `table`, oldest first; `None` when
    /// all is gone that was over before an instant in milliseconds.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn old(&self, table: History, owner: Owner, before_ms: i64) -> Result<Option<Old>, DbError> {
        self.read(move |connection| {
            let bounds = Bounds { before_ms, kept: KEPT, most: MOST, piece: PIECE };
            let old = find(connection, table, &owner, bounds)?;
            Ok((!old.seqs.is_empty()).then_some(old))
        })
        .await
    }
}

fn owners(connection: &Connection) -> Result<Vec<Owner>, DbError> {
    let mut tasks = connection.prepare_cached("SELECT id, defined FROM tasks ORDER BY id")?;
    let mut rows = tasks.query([])?;
    let mut owners = Vec::new();
    while let Some(row) = rows.next()? {
        let task = TaskId::new(&row.get::<_, String>(0)?);
        owners.push(if row.get(1)? { Owner::Task(task) } else { Owner::Gone(task) });
    }
    Ok(owners)
}

fn find(connection: &Connection, table: History, owner: &Owner, bounds: Bounds) -> Result<Old, DbError> {
    let mut old = Old { table, seqs: Vec::new(), runs: Vec::new() };
    let (task, kept) = match owner {
        Owner::Task(task) => (Some(task.as_raw()), bounds.kept),
        Owner::Gone(task) => (Some(task.as_raw()), 0),
        Owner::All => (None, bounds.kept),
    };
    let (name, over) = (table.table(), table.over());
    let of_task = if task.is_some() { "task = ?1" } else { "?1 IS NULL" };
    let nth = format!("SELECT seq FROM {name} WHERE {of_task} ORDER BY seq DESC LIMIT 1 OFFSET ?2");
    let mut nth = connection.prepare_cached(&nth)?;
    let mut beyond = |count: u32| nth.query_row(params![task, count], |row| row.get::<_, i64>(0)).optional();
    let Some(aged) = beyond(kept)? else { return Ok(old) };
    let crowded = beyond(bounds.most)?.unwrap_or(i64::MIN);
    let id = if table == History::Runs { "id" } else { "NULL" };
    let sql = format!(
        "SELECT seq, task, {id} FROM {name} WHERE {of_task} AND seq <= ?2 AND {over} IS NOT NULL \
         AND ({over} < ?3 OR seq <= ?4) ORDER BY seq LIMIT ?5"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![task, aged, bounds.before_ms, crowded, bounds.piece])?;
    while let Some(row) = rows.next()? {
        old.seqs.push(row.get(0)?);
        if let Some(run) = row.get::<_, Option<String>>(2)? {
            old.runs.push((TaskId::new(&row.get::<_, String>(1)?), RunId::new(&run)));
        }
    }
    Ok(old)
}

/// Deletes them. Gives how many there were.
pub(super) fn delete(connection: &Connection, old: &Old) -> Result<u64, DbError> {
    let sql = format!("DELETE FROM {} WHERE seq = ?1", old.table.table());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut count = 0;
    for seq in &old.seqs {
        count += statement.execute([seq])? as u64;
    }
    Ok(count)
}

/// Forgets what was submitted once, was taken out, and has neither run nor flip left.
pub(super) fn forget(connection: &Connection) -> Result<u64, DbError> {
    let spent = "source = 'gone' AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.task = definitions.id) \
                 AND NOT EXISTS (SELECT 1 FROM flips WHERE flips.task = definitions.id)";
    let tasks =
        format!("DELETE FROM tasks WHERE defined = 0 AND id IN (SELECT id FROM definitions WHERE {spent})");
    connection.execute(&tasks, [])?;
    Ok(connection.execute(&format!("DELETE FROM definitions WHERE {spent}"), [])? as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: i64 = 10;
    const YOUNG: i64 = 1_000;

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut connection).unwrap();
        for (task, defined) in [("a", true), ("b", true), ("gone", false)] {
            let sql = "INSERT INTO tasks (id, defined, paused, policy, record) VALUES (?1, ?2, 0, '', '')";
            connection.execute(sql, params![task, defined]).unwrap();
        }
        connection
    }

    fn run(connection: &Connection, task: &str, ended: Option<i64>) -> i64 {
        let sql =
            "INSERT INTO runs (id, task, state, ended, attempt) VALUES (hex(randomblob(8)), ?1, '', ?2, 0)";
        connection.execute(sql, params![task, ended]).unwrap();
        connection.last_insert_rowid()
    }

    fn bounds(kept: u32, most: u32) -> Bounds {
        Bounds { before_ms: 100, kept, most, piece: 3 }
    }

    /// Deletes piece by piece, and gives what is left.
    fn clean(connection: &Connection, table: History, bounds: Bounds) -> Vec<i64> {
        let owners = if table == History::Alerts { vec![Owner::All] } else { owners(connection).unwrap() };
        for owner in owners {
            loop {
                let old = find(connection, table, &owner, bounds).unwrap();
                assert!(old.seqs.len() <= bounds.piece as usize);
                assert_eq!(old.runs.len(), if table == History::Runs { old.seqs.len() } else { 0 });
                if old.seqs.is_empty() {
                    break;
                }
                assert_eq!(delete(connection, &old).unwrap(), old.seqs.len() as u64);
            }
        }
        let sql = format!("SELECT seq FROM {} ORDER BY seq", table.table());
        let mut statement = connection.prepare(&sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn the_newest_stay_and_what_has_not_ended() {
        let connection = database();
        let of_a: Vec<i64> = (0..10).map(|i| run(&connection, "a", (i != 1).then_some(OLD))).collect();
        let of_b = run(&connection, "b", Some(OLD));
        let of_gone = [run(&connection, "gone", Some(OLD)), run(&connection, "gone", Some(YOUNG))];
        let left = clean(&connection, History::Runs, bounds(4, 100));
        assert_eq!(left, [of_a[1], of_a[6], of_a[7], of_a[8], of_a[9], of_b, of_gone[1]]);
    }

    #[test]
    fn what_is_young_goes_only_beyond_the_most() {
        let connection = database();
        let of_a: Vec<i64> = (0..10).map(|_| run(&connection, "a", Some(YOUNG))).collect();
        assert_eq!(clean(&connection, History::Runs, bounds(4, 10)), of_a);
        assert_eq!(clean(&connection, History::Runs, bounds(4, 6)), of_a[4..]);
    }

    #[test]
    fn flips_and_closed_alerts_go_too() {
        let connection = database();
        for at in [OLD, OLD, OLD, YOUNG] {
            let sql = "INSERT INTO flips (task, old, new, reason, computed, noticed, evidence) \
                       VALUES ('a', '', '', '', ?1, ?1, '')";
            connection.execute(sql, [at]).unwrap();
        }
        assert_eq!(clean(&connection, History::Flips, bounds(2, 100)), [3, 4]);
        for (kind, closed) in [("1", Some(OLD)), ("2", None), ("3", Some(OLD)), ("4", Some(YOUNG))] {
            let sql = "INSERT INTO alerts (task, queue, kind, severity, since, summary, closed) \
                       VALUES ('a', '', ?1, '', 1, '', ?2)";
            connection.execute(sql, params![kind, closed]).unwrap();
        }
        assert_eq!(clean(&connection, History::Alerts, bounds(1, 100)), [2, 4]);
    }
}
