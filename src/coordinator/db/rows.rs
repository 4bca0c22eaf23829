//! The domain's changes as rows, and rows as what they stand for.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Row, params};
use serde::de::DeserializeOwned;

use crate::coordinator::domain::{Answer, Carrier, RunRow, Write};
use crate::model::{
    Alert, AlertKey, AlertKind, Clean, Flip, Handling, Priority, QueueName, Run, RunId, RunMark, TaskId,
};

use crate::wire::Silence;

use super::{DbError, chain, tokens};

/// How long an answer is kept for its idempotency key.
const ANSWERS_KEPT: TimeDelta = TimeDelta::hours(24);

/// As instants are kept.
pub(super) const fn millis(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

pub(super) fn opt_millis(at: Option<DateTime<Utc>>) -> Option<i64> {
    at.map(millis)
}

pub(super) fn instant(ms: Option<i64>) -> Option<DateTime<Utc>> {
    ms.and_then(DateTime::from_timestamp_millis)
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|error| DbError::Row(error.to_string()))
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, DbError> {
    serde_json::from_str(text).map_err(|error| DbError::Row(error.to_string()))
}

pub(super) fn word<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, DbError> {
    text.parse().map_err(|error: T::Err| DbError::Row(error.to_string()))
}

/// Makes one change.
pub(super) fn apply(connection: &Connection, write: &Write) -> Result<(), DbError> {
    match write {
        Write::Task { id, record, schedule, blackout, policy, paused } => {
            let schedule = schedule.as_ref().map(json).transpose()?;
            let sql = "INSERT INTO tasks (id, defined, paused, schedule, policy, record, blackout) \
                       VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6) \
                       ON CONFLICT (id) DO UPDATE SET defined = 1, paused = excluded.paused, \
                       schedule = excluded.schedule, policy = excluded.policy, record = excluded.record, \
                       blackout = excluded.blackout";
            connection.prepare_cached(sql)?.execute(params![
                id.as_raw(),
                paused,
                schedule,
                json(policy)?,
                json(record)?,
                json(blackout)?
            ])?;
        }
        Write::TaskGone(id) => {
            connection.execute("UPDATE tasks SET defined = 0 WHERE id = ?1", [id.as_raw()])?;
        }
        Write::Run(row) => write_run(connection, row)?,
        Write::Stopping(run, why) => {
            let sql = "UPDATE runs SET stopping = ?2 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute(params![run.as_raw(), json(why)?])?;
        }
        Write::Noted { run, last_beat, marks } => {
            let sql = "UPDATE runs SET last_beat = ?2, marks = ?3 WHERE id = ?1";
            let values = params![run.as_raw(), opt_millis(*last_beat), marks_text(marks)];
            connection.prepare_cached(sql)?.execute(values)?;
        }
        Write::Boot(boot) => keep(connection, "boot", boot)?,
        Write::Flip(flip) => write_flip(connection, flip)?,
        Write::AlertOpened(alert) => write_alert(connection, OPEN_ALERT, alert)?,
        Write::AlertRestated(alert) => {
            let sql = format!("{OPEN_ALERT} ON CONFLICT (task, queue, kind) WHERE closed IS NULL DO NOTHING");
            write_alert(connection, &sql, alert)?;
        }
        Write::AlertChanged(alert) => change_alert(connection, alert)?,
        Write::AlertClosed(key, at) => {
            let sql = "UPDATE alerts SET closed = ?4 WHERE task = ?1 AND queue = ?2 AND kind = ?3 AND closed IS NULL";
            let (task, queue, kind) = alert_key(key);
            connection.prepare_cached(sql)?.execute(params![task, queue, kind, millis(*at)])?;
        }
        Write::Silence(silence) => write_silence(connection, silence)?,
        Write::SilenceEnded(id) => {
            connection.prepare_cached("DELETE FROM silences WHERE id = ?1")?.execute([id])?;
        }
        Write::Audit(audit) => chain::append(connection, audit)?,
        Write::Answer(answer) => write_answer(connection, answer)?,
        Write::TaskFile(text) => keep(connection, "task_file", text)?,
        Write::Restored => {
            connection.execute("DELETE FROM meta WHERE name = ?1", [super::backup::MARK])?;
        }
        Write::Token(token) => tokens::write(connection, token)?,
        Write::TokenUsed(digest, at) => tokens::used(connection, digest, *at)?,
        Write::Defined { id, source, text, at } => {
            let sql = "INSERT INTO definitions (id, source, text, at) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT (id) DO UPDATE SET source = excluded.source, text = excluded.text, at = excluded.at";
            let source = source.word();
            connection.prepare_cached(sql)?.execute(params![id.as_raw(), source, text, millis(*at)])?;
        }
        Write::Undefined(id) => {
            let once =
                "UPDATE definitions SET source = 'gone', text = '' WHERE id = ?1 AND source = 'one-off'";
            connection.prepare_cached(once)?.execute([id.as_raw()])?;
            let stays = "DELETE FROM definitions WHERE id = ?1 AND source = 'api'";
            connection.prepare_cached(stays)?.execute([id.as_raw()])?;
        }
    }
    Ok(())
}

fn write_flip(connection: &Connection, flip: &Flip) -> Result<(), DbError> {
    let sql = "INSERT INTO flips (task, old, new, reason, computed, noticed, evidence, problem, run) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    connection.prepare_cached(sql)?.execute(params![
        flip.task.as_raw(),
        flip.old.word(),
        flip.new.word(),
        flip.reason.as_str(),
        millis(flip.computed),
        millis(flip.noticed),
        flip.evidence.word(),
        flip.problem.map(AlertKind::word),
        flip.run.as_ref().map(RunId::as_raw),
    ])?;
    Ok(())
}

fn marks_text(marks: &[RunMark]) -> String {
    marks.iter().map(|mark| mark.word()).collect::<Vec<_>>().join(" ")
}

/// Keeps something that there is one of.
fn keep(connection: &Connection, name: &str, value: &str) -> Result<(), DbError> {
    let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute([name, value])?;
    Ok(())
}

const OPEN_ALERT: &str = "INSERT INTO alerts \
    (task, queue, kind, severity, since, summary, acknowledged_by, acknowledged, note) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

fn change_alert(connection: &Connection, alert: &Alert) -> Result<(), DbError> {
    let sql = "UPDATE alerts SET severity = ?4, since = ?5, summary = ?6, acknowledged_by = ?7, \
               acknowledged = ?8, note = ?9 \
               WHERE task = ?1 AND queue = ?2 AND kind = ?3 AND closed IS NULL";
    write_alert(connection, sql, alert)
}

/// What of an alert is kept, in the order of [`OPEN_ALERT`]: that it is quiet is kept elsewhere.
fn write_alert(connection: &Connection, sql: &str, alert: &Alert) -> Result<(), DbError> {
    let key = alert.key();
    let (task, queue, kind) = alert_key(&key);
    let handling = alert.handling.as_deref();
    connection.prepare_cached(sql)?.execute(params![
        task,
        queue,
        kind,
        alert.severity.word(),
        millis(alert.since),
        alert.summary.as_str(),
        alert.acknowledged_by.as_deref(),
        opt_millis(handling.and_then(|handling| handling.acknowledged_at)),
        handling.and_then(|handling| handling.note.as_deref()),
    ])?;
    Ok(())
}

fn write_silence(connection: &Connection, silence: &Silence) -> Result<(), DbError> {
    let sql = "INSERT OR REPLACE INTO silences (id, matcher, by, at, until, comment) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let Silence { id, matcher, by, at, until, comment } = silence;
    let values = params![id, json(matcher)?, by.as_str(), millis(*at), millis(*until), comment.as_deref()];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// A row of `id, matcher, by, at, until, comment`.
pub(super) fn read_silence(row: &Row<'_>) -> Result<Silence, DbError> {
    let (matcher, by): (String, String) = (row.get(1)?, row.get(2)?);
    Ok(Silence {
        id: row.get(0)?,
        matcher: from_json(&matcher)?,
        by: Clean::line(&by),
        at: instant(row.get(3)?).unwrap_or_default(),
        until: instant(row.get(4)?).unwrap_or_default(),
        comment: row.get::<_, Option<String>>(5)?.as_deref().map(Clean::line),
    })
}

fn write_run(connection: &Connection, row: &RunRow) -> Result<(), DbError> {
    let run = &row.run;
    let id = run.id.as_ref().ok_or_else(|| DbError::Row("a run without an id".to_owned()))?;
    let sql = "INSERT INTO runs (seq, id, task, state, slot, queued, started, ended, duration_ms, exit_code, message, \
               attempt, priority, next_at, cause, machine, rid, last_beat, marks) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) \
               ON CONFLICT (seq) DO UPDATE SET state = excluded.state, slot = excluded.slot, \
               queued = excluded.queued, started = excluded.started, \
               ended = excluded.ended, duration_ms = excluded.duration_ms, exit_code = excluded.exit_code, \
               message = excluded.message, attempt = excluded.attempt, priority = excluded.priority, \
               next_at = excluded.next_at, machine = excluded.machine, last_beat = excluded.last_beat, \
               marks = excluded.marks, pid = NULL, start_ticks = NULL, stopping = NULL";
    connection.prepare_cached(sql)?.execute(params![
        i64::try_from(row.seq).unwrap_or(i64::MAX),
        id.as_raw(),
        run.task.as_raw(),
        run.state.word(),
        opt_millis(run.slot),
        opt_millis(run.queued),
        opt_millis(run.started),
        opt_millis(run.ended),
        run.duration_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
        run.exit_code,
        run.message.as_deref(),
        run.attempt,
        run.priority.map(Priority::level),
        opt_millis(run.next_at),
        run.cause.as_deref(),
        run.machine.as_deref(),
        row.is_elsewhere().then(|| row.rid().unwrap_or_default()),
        opt_millis(run.last_beat),
        marks_text(&run.marks),
    ])?;
    Ok(())
}

fn write_answer(connection: &Connection, answer: &Answer) -> Result<(), DbError> {
    let old = millis(answer.at - ANSWERS_KEPT);
    connection.prepare_cached("DELETE FROM answers WHERE at < ?1")?.execute([old])?;
    let run = answer.run.as_ref().map(json).transpose()?;
    let sql = "INSERT OR REPLACE INTO answers (key, action, target, run, at) VALUES (?1, ?2, ?3, ?4, ?5)";
    let at = millis(answer.at);
    connection.prepare_cached(sql)?.execute(params![answer.key, answer.action, answer.target, run, at])?;
    Ok(())
}

fn alert_key(key: &AlertKey) -> (&str, &str, &'static str) {
    (
        key.task.as_ref().map_or("", TaskId::as_raw),
        key.queue.as_ref().map_or("", QueueName::as_raw),
        key.kind.word(),
    )
}

/// The columns of [`read_run`], in order.
pub(super) const RUN_COLUMNS: &str = "seq, id, task, state, slot, queued, started, ended, duration_ms, exit_code, \
                                      message, attempt, priority, next_at, cause, machine, rid, last_beat, marks";

/// A row of [`RUN_COLUMNS`].
pub(super) fn read_run(row: &Row<'_>) -> Result<RunRow, DbError> {
    let id: String = row.get(1)?;
    let task: String = row.get(2)?;
    let state: String = row.get(3)?;
    let mut run = Run::bare(TaskId::new(&task), word(&state)?);
    run.id = Some(RunId::new(&id));
    run.slot = instant(row.get(4)?);
    run.queued = instant(row.get(5)?);
    run.started = instant(row.get(6)?);
    run.ended = instant(row.get(7)?);
    run.duration_ms = row.get::<_, Option<i64>>(8)?.and_then(|ms| u64::try_from(ms).ok());
    run.exit_code = row.get(9)?;
    run.message = row.get::<_, Option<String>>(10)?.map(Clean::from);
    run.attempt = row.get(11)?;
    run.priority = row.get::<_, Option<u8>>(12)?.and_then(|level| Priority::new(level).ok());
    run.next_at = instant(row.get(13)?);
    run.cause = row.get::<_, Option<String>>(14)?.map(Clean::from);
    run.machine = row.get::<_, Option<String>>(15)?.map(Clean::from);
    run.last_beat = instant(row.get(17)?);
    let marks: String = row.get(18)?;
    run.marks = marks.split_ascii_whitespace().map(word).collect::<Result<_, _>>()?;
    let carrier = match row.get::<_, Option<String>>(16)? {
        None => Carrier::Here,
        Some(rid) => Carrier::Elsewhere { rid: Some(rid).filter(|rid| !rid.is_empty()) },
    };
    let seq: i64 = row.get(0)?;
    Ok(RunRow { seq: u64::try_from(seq).unwrap_or(0), run, carrier })
}

/// The columns of [`read_flip`], in order.
pub(super) const FLIP_COLUMNS: &str = "task, old, new, reason, computed, noticed, evidence, problem, run";

/// A row of [`FLIP_COLUMNS`].
pub(super) fn read_flip(row: &Row<'_>) -> Result<Flip, DbError> {
    let texts: [String; 5] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(6)?];
    Ok(Flip {
        task: TaskId::new(&texts[0]),
        old: word(&texts[1])?,
        new: word(&texts[2])?,
        reason: Clean::line(&texts[3]),
        computed: instant(row.get(4)?).unwrap_or_default(),
        noticed: instant(row.get(5)?).unwrap_or_default(),
        evidence: word(&texts[4])?,
        problem: row.get::<_, Option<String>>(7)?.as_deref().map(word).transpose()?,
        run: row.get::<_, Option<String>>(8)?.as_deref().map(RunId::new),
    })
}

/// The columns of [`read_alert`], in order.
pub(super) const ALERT_COLUMNS: &str =
    "task, queue, kind, severity, since, summary, acknowledged_by, acknowledged, note";

/// A row of [`ALERT_COLUMNS`].
pub(super) fn read_alert(row: &Row<'_>) -> Result<Alert, DbError> {
    let texts: [String; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
    let summary: String = row.get(5)?;
    let said = |column| row.get::<_, Option<String>>(column).map(|text| text.as_deref().map(Clean::line));
    let acknowledged_by = said(6)?;
    let taken = Handling { acknowledged_at: instant(row.get(7)?), note: said(8)?, ..Handling::default() };
    Ok(Alert {
        task: (!texts[0].is_empty()).then(|| TaskId::new(&texts[0])),
        queue: (!texts[1].is_empty()).then(|| QueueName::new(&texts[1])),
        kind: word(&texts[2])?,
        severity: word(&texts[3])?,
        since: instant(row.get(4)?).unwrap_or_default(),
        summary: Clean::line(&summary),
        handling: acknowledged_by.is_some().then(|| Box::new(taken)),
        acknowledged_by,
        silenced_until: None,
    })
}
