//! The audit log's chain: each row's hash covers its content and the hash
//! before it, so that a row can't be changed, moved or taken out unseen.
//!
//! `meta` holds both ends: `audit_anchor`, the row that the oldest kept one
//! builds on, and `audit_head`, the newest row. Both are `SEQ HASH`; an anchor
//! of before has no `SEQ`. Because of the head, rows can't be cut off the end
//! unseen either. Whoever may write the file and knows all this can write
//! another chain: that is seen only by who has noted a hash elsewhere.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};

use crate::coordinator::announce::hex;
use crate::coordinator::domain::Audit;
use crate::model::Clean;
use crate::wire::AuditRow;

use super::DbError;
use super::rows::millis;

/// Of the row that has none before it.
const GENESIS: [u8; 32] = [0; 32];

/// What a row builds on where the newest one was there and is no longer noted:
/// no row has this hash, so what was done stays seen.
const LOST: [u8; 32] = [0xff; 32];

/// The name in `meta` of the row that the oldest kept row builds on.
const ANCHOR: &str = "audit_anchor";
/// The name in `meta` of the newest row.
const HEAD: &str = "audit_head";

/// What the hash of a row that is written now covers. Rows of form 1 have no
/// source, and their hash does not cover their place.
const FORM: i64 = 2;
/// What begins the hashed bytes of rows of form 2, so that none reads as one of form 1.
const MARK: &[u8] = b"vigie audit 2";

/// A row as it lies there.
struct Kept {
    seq: i64,
    at_ms: i64,
    form: i64,
    actor: String,
    action: String,
    target: String,
    detail: String,
    outcome: String,
    source: String,
    hash: Vec<u8>,
}

const COLUMNS: &str = "seq, at, form, actor, action, target, detail, outcome, source, hash";

impl Kept {
    fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            seq: row.get(0)?,
            at_ms: row.get(1)?,
            form: row.get(2)?,
            actor: row.get(3)?,
            action: row.get(4)?,
            target: row.get(5)?,
            detail: row.get(6)?,
            outcome: row.get(7)?,
            source: row.get(8)?,
            hash: row.get(9)?,
        })
    }

    /// The hash that it must have. Fields are told apart by their lengths. `None`: no row has this form.
    fn link(&self, before: &[u8]) -> Option<Vec<u8>> {
        let mut hash = Sha256::new();
        hash.update(before);
        let mut texts = vec![&self.actor, &self.action, &self.target, &self.detail, &self.outcome];
        match self.form {
            1 if self.source.is_empty() => {}
            2 => {
                hash.update(MARK);
                hash.update(self.seq.to_be_bytes());
                texts.push(&self.source);
            }
            _ => return None,
        }
        hash.update(self.at_ms.to_be_bytes());
        for text in texts {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        Some(hash.finalize().to_vec())
    }

    fn into_row(self) -> AuditRow {
        AuditRow {
            seq: u64::try_from(self.seq).unwrap_or(0),
            at: DateTime::from_timestamp_millis(self.at_ms).unwrap_or_default(),
            by: Clean::line(&self.actor),
            action: Clean::line(&self.action),
            target: Clean::line(&self.target),
            details: Clean::line(&self.detail),
            result: Clean::line(&self.outcome),
            from: Clean::line(&self.source),
            hash: hex(&self.hash),
        }
    }
}

/// A place in the chain: a row's number, where it is known, and its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    seq: Option<i64>,
    hash: Vec<u8>,
}

impl Place {
    fn read(connection: &Connection, name: &str) -> Result<Option<Self>, DbError> {
        let sql = "SELECT value FROM meta WHERE name = ?1";
        let text: Option<String> =
            connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?;
        let Some(text) = text else { return Ok(None) };
        let (seq, hash) = match text.split_once(' ') {
            Some((seq, hash)) => (seq.parse().ok(), hash),
            None => (None, text.as_str()),
        };
        let unreadable = || DbError::Row(format!("{name} of the audit log does not hold a hash"));
        Ok(Some(Self { seq, hash: from_hex(hash).ok_or_else(unreadable)? }))
    }

    fn write(&self, connection: &Connection, name: &str) -> Result<(), DbError> {
        let text = match self.seq {
            Some(seq) => format!("{seq} {}", hex(&self.hash)),
            None => hex(&self.hash),
        };
        let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2) \
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        connection.prepare_cached(sql)?.execute(params![name, text])?;
        Ok(())
    }
}

fn newest(connection: &Connection) -> Result<Option<Place>, DbError> {
    let sql = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";
    let place = |row: &Row<'_>| Ok(Place { seq: Some(row.get(0)?), hash: row.get(1)? });
    Ok(connection.prepare_cached(sql)?.query_row([], place).optional()?)
}

/// Appends a row. Numbers are never used again, whatever was cleaned away.
pub(super) fn append(connection: &Connection, audit: &Audit) -> Result<(), DbError> {
    // What was done to the ends must not keep anybody from writing on: it is seen when the chain is walked.
    let end = |name| Place::read(connection, name).ok().flatten();
    let newest = newest(connection)?;
    let seq = [&newest, &end(HEAD), &end(ANCHOR)].into_iter().flatten().filter_map(|place| place.seq).max();
    let is_begun = newest.is_some() || end(ANCHOR).is_some();
    let before = match end(HEAD) {
        Some(head) => head.hash,
        None => if is_begun { LOST } else { GENESIS }.to_vec(),
    };
    let row = Kept {
        seq: seq.unwrap_or(0) + 1,
        at_ms: millis(audit.at),
        form: FORM,
        actor: audit.actor.as_str().to_owned(),
        action: audit.action.to_owned(),
        target: audit.target.as_str().to_owned(),
        detail: audit.detail.as_str().to_owned(),
        outcome: audit.outcome.as_str().to_owned(),
        source: audit.from.as_str().to_owned(),
        hash: Vec::new(),
    };
    let hash = row.link(&before).unwrap_or_default();
    let sql = format!("INSERT INTO audit ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    connection.prepare_cached(&sql)?.execute(params![
        row.seq,
        row.at_ms,
        row.form,
        row.actor,
        row.action,
        row.target,
        row.detail,
        row.outcome,
        row.source,
        hash
    ])?;
    Place { seq: Some(row.seq), hash }.write(connection, HEAD)
}

/// Deletes the rows before an instant, and keeps the chain's anchor. Gives how many.
///
/// Rows go from the oldest on, up to the first that is young enough: a gap in
/// the middle would break the chain.
pub(super) fn clean(connection: &Connection, before_ms: i64) -> Result<u64, DbError> {
    let first_kept: Option<i64> =
        connection.query_row("SELECT min(seq) FROM audit WHERE at >= ?1", [before_ms], |row| row.get(0))?;
    let bound = first_kept.unwrap_or(i64::MAX);
    let sql = "SELECT seq, hash FROM audit WHERE seq < ?1 ORDER BY seq DESC LIMIT 1";
    let last = connection
        .query_row(sql, [bound], |row| Ok(Place { seq: Some(row.get(0)?), hash: row.get(1)? }))
        .optional()?;
    let Some(last) = last else { return Ok(0) };
    last.write(connection, ANCHOR)?;
    Ok(connection.execute("DELETE FROM audit WHERE seq < ?1", [bound])? as u64)
}

/// A page of rows, newest first, before a row's number.
pub(super) fn page(
    connection: &Connection,
    limit: usize,
    before: Option<u64>,
) -> Result<Vec<AuditRow>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
    let before = before.and_then(|seq| i64::try_from(seq).ok()).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([before, limit], |row| Kept::read(row).map(Kept::into_row))?;
    rows.map(|row| row.map_err(DbError::from)).collect()
}

/// Passes on every row from an instant on, oldest first, for as long as `each` wants more.
pub(super) fn each<E>(
    connection: &Connection,
    since_ms: i64,
    mut each: impl FnMut(AuditRow) -> Result<(), E>,
) -> Result<Result<(), E>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE at >= ?1 ORDER BY seq");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([since_ms])?;
    while let Some(row) = rows.next()? {
        if let Err(error) = each(Kept::read(row)?.into_row()) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// What walking the chain came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every row is as it was written, and none is missing.
    Whole {
        /// How many rows there are.
        rows: u64,
        /// When the oldest was written.
        since: Option<DateTime<Utc>>,
        /// The newest row's hash, in hexadecimal: to be noted elsewhere.
        head: Option<String>,
    },
    /// Something was done to it.
    Broken {
        /// The first row that does not fit; `None`: it is about the end.
        row: Option<u64>,
        /// What does not fit, for people.
        why: String,
        /// Rows before it, which are as they were written.
        good: u64,
    },
}

/// Walks the whole chain, from its anchor to its head.
pub(super) fn verify(connection: &Connection) -> Result<Verdict, DbError> {
    let (anchor, head) = match (Place::read(connection, ANCHOR), Place::read(connection, HEAD)) {
        (Err(DbError::Row(why)), _) | (_, Err(DbError::Row(why))) => return Ok(broken(None, why, 0)),
        (anchor, head) => (anchor?, head?),
    };
    let mut last = anchor.clone().unwrap_or_else(|| Place { seq: Some(0), hash: GENESIS.to_vec() });
    let mut since = None;
    let mut good = 0;
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let row = match Kept::read(row) {
            Ok(row) => row,
            Err(error) => return Ok(broken(row.get(0).ok(), format!("it can't be read: {error}"), good)),
        };
        if row.link(&last.hash).as_deref() != Some(&row.hash) {
            return Ok(broken(Some(row.seq), misfit(&last, &row, good == 0), good));
        }
        if since.is_none() {
            since = DateTime::from_timestamp_millis(row.at_ms);
        }
        last = Place { seq: Some(row.seq), hash: row.hash };
        good += 1;
    }
    let newest = (good > 0 || anchor.is_some()).then_some(&last);
    if let Some(why) = cut_off(head.as_ref(), newest) {
        return Ok(broken(None, why, good));
    }
    Ok(Verdict::Whole { rows: good, since, head: head.map(|head| hex(&head.hash)) })
}

fn broken(row: Option<i64>, why: String, good: u64) -> Verdict {
    Verdict::Broken { row: row.and_then(|seq| u64::try_from(seq).ok()), why, good }
}

/// What is wrong with a row that does not fit the one before it.
fn misfit(before: &Place, row: &Kept, is_first: bool) -> String {
    let missing = before.seq.map(|seq| row.seq - seq - 1).filter(|missing| *missing > 0);
    match (missing, before.seq) {
        (Some(1), Some(seq)) => format!("row {} before it is missing", seq + 1),
        (Some(missing), Some(seq)) => format!("rows {} to {} before it are missing", seq + 1, seq + missing),
        _ if is_first => {
            "it does not fit what the log begins with: it was changed, or rows before it are missing"
                .to_owned()
        }
        _ => "it does not fit the row before it: one of the two was changed, or put where it is".to_owned(),
    }
}

/// What is wrong with the end: the newest row is not the one that was noted.
fn cut_off(head: Option<&Place>, newest: Option<&Place>) -> Option<String> {
    match (head, newest) {
        (None, None) => None,
        (Some(head), Some(newest)) if head.hash == newest.hash => None,
        (None, Some(_)) => Some("the note of which row is the newest is missing".to_owned()),
        (Some(head), newest) => {
            let last = newest.and_then(|newest| newest.seq).unwrap_or(0);
            Some(match head.seq {
                Some(seq) if seq > last => format!("rows {} to {seq}, the newest, are missing", last + 1),
                _ => "the newest row is not the one that was noted".to_owned(),
            })
        }
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests;
