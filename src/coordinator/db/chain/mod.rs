//! The audit log's chain: each row's hash covers its content and the hash
//! before it, so that a row can't be changed, moved or taken out unseen.
//!
//! `meta` holds both ends: `audit_anchor`, the row that the oldest kept one
//! builds on, and `audit_head`, the newest row. Both are `SEQ HASH`; an anchor
//! of before has no `SEQ`. Because of the head, rows can't be cut off the end
//! unseen either. Whoever may write the file and knows all this can write
//! another chain: that is seen only by who has noted a hash elsewhere.

use chrono::DateTime;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::coordinator::domain::Audit;
use crate::model::Clean;
pub use crate::wire::audit::Verdict;
use crate::wire::audit::{AuditRow, Link, Place, Walk, from_hex, hex};

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

    /// What of it its hash covers.
    fn link(&self) -> Link<'_> {
        Link {
            seq: self.seq,
            at_ms: self.at_ms,
            form: self.form,
            texts: [&self.actor, &self.action, &self.target, &self.detail, &self.outcome],
            source: &self.source,
        }
    }

    /// As it travels. Where a text is not as vigie writes it, no hash fits: what it became must not be taken for it.
    fn into_row(self) -> AuditRow {
        let at = DateTime::from_timestamp_millis(self.at_ms);
        let mut row = AuditRow {
            seq: u64::try_from(self.seq).unwrap_or(0),
            at: at.unwrap_or_default(),
            by: Clean::line(&self.actor),
            action: Clean::line(&self.action),
            target: Clean::line(&self.target),
            details: Clean::line(&self.detail),
            result: Clean::line(&self.outcome),
            from: Clean::line(&self.source),
            form: self.form,
            hash: hex(&self.hash),
        };
        let (told, kept) = (row.link(), self.link());
        if told.texts != kept.texts || told.source != kept.source || told.seq != kept.seq || at.is_none() {
            row.form = 0;
        }
        row
    }
}

/// One of the two ends, by its name.
fn read_place(connection: &Connection, name: &str) -> Result<Option<Place>, DbError> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    let text: Option<String> =
        connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?;
    let Some(text) = text else { return Ok(None) };
    let (seq, hash) = match text.split_once(' ') {
        Some((seq, hash)) => (seq.parse().ok(), hash),
        None => (None, text.as_str()),
    };
    let unreadable = || DbError::Row(format!("{name} of the audit log does not hold a hash"));
    Ok(Some(Place { seq, hash: from_hex(hash).ok_or_else(unreadable)? }))
}

fn write_place(place: &Place, connection: &Connection, name: &str) -> Result<(), DbError> {
    let text = match place.seq {
        Some(seq) => format!("{seq} {}", hex(&place.hash)),
        None => hex(&place.hash),
    };
    let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute(params![name, text])?;
    Ok(())
}

/// What the oldest row builds on, and the newest row as it was noted.
pub(super) fn ends(connection: &Connection) -> Result<(Option<Place>, Option<Place>), DbError> {
    Ok((read_place(connection, ANCHOR)?, read_place(connection, HEAD)?))
}

fn newest(connection: &Connection) -> Result<Option<Place>, DbError> {
    let sql = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";
    let place = |row: &Row<'_>| Ok(Place { seq: Some(row.get(0)?), hash: row.get(1)? });
    Ok(connection.prepare_cached(sql)?.query_row([], place).optional()?)
}

/// Appends a row. Numbers are never used again, whatever was cleaned away.
pub(super) fn append(connection: &Connection, audit: &Audit) -> Result<(), DbError> {
    // What was done to the ends must not keep anybody from writing on: it is seen when the chain is walked.
    let end = |name| read_place(connection, name).ok().flatten();
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
    let hash = row.link().hash(&before).unwrap_or_default();
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
    write_place(&Place { seq: Some(row.seq), hash }, connection, HEAD)
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
    write_place(&last, connection, ANCHOR)?;
    Ok(connection.execute("DELETE FROM audit WHERE seq < ?1", [bound])? as u64)
}

/// A page of rows, oldest first, after a row's number.
pub(super) fn page_after(
    connection: &Connection,
    limit: usize,
    after: u64,
) -> Result<Vec<AuditRow>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([after, limit], |row| Kept::read(row).map(Kept::into_row))?;
    rows.map(|row| row.map_err(DbError::from)).collect()
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

/// Walks the whole chain, from its anchor to its head.
pub(super) fn verify(connection: &Connection) -> Result<Verdict, DbError> {
    let (anchor, head) = match ends(connection) {
        Err(DbError::Row(why)) => return Ok(Walk::from(None).broken(None, why)),
        ends => ends?,
    };
    let mut walk = Walk::from(anchor);
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut row = match Kept::read(row) {
            Ok(row) => row,
            Err(error) => return Ok(walk.broken(row.get(0).ok(), format!("it can't be read: {error}"))),
        };
        let hash = std::mem::take(&mut row.hash);
        if let Err(broken) = walk.step(&row.link(), hash) {
            return Ok(broken);
        }
    }
    Ok(walk.end(head.as_ref()))
}

#[cfg(test)]
mod tests;
