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
