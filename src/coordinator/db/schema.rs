//! The schema, and the way to it from every earlier one.

use rusqlite::Connection;

use super::DbError;

/// Each step leads from the version that is its index to the next one.
const STEPS: &[&str] = &[STEP_1, STEP_2, STEP_3];

const STEP_1: &str = "
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Tasks that are or were defined. `record`: what is remembered, as JSON.
CREATE TABLE tasks (
    id       TEXT PRIMARY KEY,
    defined  INTEGER NOT NULL,
    paused   INTEGER NOT NULL,
    schedule TEXT,
    policy   TEXT NOT NULL,
    record   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The history. `seq` is the order of coming.
CREATE TABLE runs (
    seq         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    task        TEXT NOT NULL,
    state       TEXT NOT NULL,
    slot        INTEGER,
    queued      INTEGER,
    started     INTEGER,
    ended       INTEGER,
    duration_ms INTEGER,
    exit_code   INTEGER,
    message     TEXT,
    attempt     INTEGER NOT NULL,
    priority    INTEGER,
    next_at     INTEGER,
    cause       TEXT,
    pid         INTEGER,
    start_ticks INTEGER
) STRICT;
CREATE INDEX runs_of_task ON runs (task, seq);
CREATE INDEX runs_not_ended ON runs (seq) WHERE ended IS NULL;

CREATE TABLE flips (
    seq      INTEGER PRIMARY KEY,
    task     TEXT NOT NULL,
    old      TEXT NOT NULL,
    new      TEXT NOT NULL,
    reason   TEXT NOT NULL,
    computed INTEGER NOT NULL,
    noticed  INTEGER NOT NULL,
    evidence TEXT NOT NULL
) STRICT;

-- Episodes. One open alert per task, queue and kind ('' stands for none).
CREATE TABLE alerts (
    seq      INTEGER PRIMARY KEY,
    task     TEXT NOT NULL,
    queue    TEXT NOT NULL,
    kind     TEXT NOT NULL,
    severity TEXT NOT NULL,
    since    INTEGER NOT NULL,
    summary  TEXT NOT NULL,
    closed   INTEGER
) STRICT;
CREATE UNIQUE INDEX alerts_open ON alerts (task, queue, kind) WHERE closed IS NULL;

-- Append-only; each row's hash covers the one before. What is cleaned away
-- leaves its last hash in `meta` as `audit_anchor`.
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    target  TEXT NOT NULL,
    detail  TEXT NOT NULL,
    outcome TEXT NOT NULL,
    hash    BLOB NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);

-- What calls with an idempotency key were answered. `run`: as JSON.
CREATE TABLE answers (
    key    TEXT PRIMARY KEY,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    run    TEXT,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_at ON answers (at);
";

/// So that the old flips of a task are found without looking at all.
const STEP_2: &str = "
CREATE INDEX flips_of_task ON flips (task, seq);
";

/// Where runs are carried out, and what callers may do.
const STEP_3: &str = "
ALTER TABLE runs ADD COLUMN machine TEXT;
-- Why a run in progress is being stopped, as JSON.
ALTER TABLE runs ADD COLUMN stopping TEXT;

-- When a task does not start by itself, as JSON.
ALTER TABLE tasks ADD COLUMN blackout TEXT NOT NULL DEFAULT '[]';
-- `rid`: how whoever carries a run out elsewhere calls it, '' if not at all; NULL: it is carried out here.
-- `marks`: words, a space between them.
ALTER TABLE runs ADD COLUMN rid TEXT;
ALTER TABLE runs ADD COLUMN last_beat INTEGER;
ALTER TABLE runs ADD COLUMN marks TEXT NOT NULL DEFAULT '';
CREATE INDEX runs_of_rid ON runs (rid, task) WHERE rid IS NOT NULL AND rid <> '';
-- The failure that a flip tells of, and of which run.
-- A task's runs of one state are told apart without looking them up; those of a state are found in all.
DROP INDEX runs_of_task;
CREATE INDEX runs_of_task ON runs (task, seq, state);
CREATE INDEX runs_of_state ON runs (state);
ALTER TABLE flips ADD COLUMN problem TEXT;
ALTER TABLE flips ADD COLUMN run TEXT;

-- Who may call. Only the SHA-256 of a token is kept. `teams`: as JSON; NULL: everybody's.
-- After a rotation the replaced token stands beside its successor, with the same name.
CREATE TABLE tokens (
    digest    BLOB PRIMARY KEY,
    name      TEXT NOT NULL,
    role      TEXT NOT NULL,
    teams     TEXT,
    created   INTEGER NOT NULL,
    expires   INTEGER,
    last_used INTEGER,
    replaced  INTEGER,
    revoked   INTEGER
) STRICT, WITHOUT ROWID;
-- Tasks that came over the API, in the order of coming. `text`: what they are, as JSON.
-- `source` is a task's source, or 'gone' for what was submitted once and was taken out:
-- the row in `tasks` goes with the last of its runs.
CREATE TABLE definitions (
    seq    INTEGER PRIMARY KEY,
    id     TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    text   TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT;

-- Who took an episode, when, and with what words.
ALTER TABLE alerts ADD COLUMN acknowledged_by TEXT;
ALTER TABLE alerts ADD COLUMN acknowledged INTEGER;
ALTER TABLE alerts ADD COLUMN note TEXT;
-- Alerts that are silenced until a time; what is over is deleted. `matcher`: as JSON.
CREATE TABLE silences (
    id      TEXT PRIMARY KEY,
    matcher TEXT NOT NULL,
    by      TEXT NOT NULL,
    at      INTEGER NOT NULL,
    until   INTEGER NOT NULL,
    comment TEXT
) STRICT, WITHOUT ROWID;

-- `source`: from where. `form`: what a row's hash covers; 2 covers its source and its number too.
-- The newest row is noted in `meta` as `audit_head`, so that none is cut off unseen.
ALTER TABLE audit ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN form INTEGER NOT NULL DEFAULT 1;
INSERT INTO meta (name, value)
    SELECT 'audit_head', seq || ' ' || lower(hex(hash)) FROM audit ORDER BY seq DESC LIMIT 1;
INSERT OR IGNORE INTO meta (name, value)
    SELECT 'audit_head', value FROM meta WHERE name = 'audit_anchor';
";

/// The version that the database has, and the one that is known here.
///
/// # Errors
/// What `SQLite` says.
pub(super) fn version(connection: &Connection) -> Result<(i64, i64), DbError> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    Ok((connection.pragma_query_value(None, "user_version", |row| row.get(0))?, known))
}

/// Brings the schema up to date, in one transaction.
///
/// # Errors
/// [`DbError::Newer`] when it is ahead of this program.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), DbError> {
    migrate_to(connection, STEPS.len())
}

/// Brings the schema to a version.
pub(super) fn migrate_to(connection: &mut Connection, steps: usize) -> Result<(), DbError> {
    let known = i64::try_from(steps).unwrap_or(i64::MAX);
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(DbError::Newer { found, known });
    }
    for step in STEPS[..steps].iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    if found < known {
        transaction.pragma_update(None, "user_version", known)?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_earlier_schema_leads_to_the_newest_and_keeps_its_rows() {
        let shape = |connection: &Connection| -> Vec<String> {
            let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name";
            let mut statement = connection.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let mut newest = Connection::open_in_memory().unwrap();
        migrate(&mut newest).unwrap();
        for version in 1..STEPS.len() {
            let mut old = Connection::open_in_memory().unwrap();
            for step in &STEPS[..version] {
                old.execute_batch(step).unwrap();
            }
            old.pragma_update(None, "user_version", i64::try_from(version).unwrap()).unwrap();
            old.execute("INSERT INTO meta (name, value) VALUES ('a', 'b')", []).unwrap();
            migrate(&mut old).unwrap();
            assert_eq!(shape(&old), shape(&newest));
            let kept: String = old.query_row("SELECT value FROM meta", [], |row| row.get(0)).unwrap();
            assert_eq!(kept, "b");
        }
    }
}
