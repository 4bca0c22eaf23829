//! The audit log's chain: each row's hash covers its content and the hash
//! before it, so that a row can't be changed or taken out unseen.

use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use crate::coordinator::announce::hex;
use crate::coordinator::domain::Audit;

use super::DbError;
use super::rows::millis;

/// Of the row that has none before it.
const GENESIS: [u8; 32] = [0; 32];

/// The name in `meta` of the hash that the oldest kept row builds on.
const ANCHOR: &str = "audit_anchor";

/// The hash of a row. Fields are told apart by their lengths.
fn link(before: &[u8], at_ms: i64, texts: [&str; 5]) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(at_ms.to_be_bytes());
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().to_vec()
}

fn newest(connection: &Connection) -> Result<Vec<u8>, DbError> {
    let sql = "SELECT hash FROM audit ORDER BY seq DESC LIMIT 1";
    match connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()? {
        Some(hash) => Ok(hash),
        None => anchor(connection),
    }
}

fn anchor(connection: &Connection) -> Result<Vec<u8>, DbError> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    let text: Option<String> = connection.query_row(sql, [ANCHOR], |row| row.get(0)).optional()?;
    Ok(text.and_then(|text| from_hex(&text)).unwrap_or_else(|| GENESIS.to_vec()))
}

/// Appends a row.
pub(super) fn append(connection: &Connection, audit: &Audit) -> Result<(), DbError> {
    let before = newest(connection)?;
    let at = millis(audit.at);
    let hash = link(&before, at, [&audit.actor, audit.action, &audit.target, &audit.detail, &audit.outcome]);
    let sql = "INSERT INTO audit (at, actor, action, target, detail, outcome, hash) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute(params![
        at,
        audit.actor.as_str(),
        audit.action,
        audit.target.as_str(),
        audit.detail.as_str(),
        audit.outcome.as_str(),
        hash
    ])?;
    Ok(())
}

/// Deletes the rows before an instant, and keeps the chain's anchor. Gives how many.
///
/// Rows go from the oldest on, up to the first that is young enough: a gap in
/// the middle would break the chain.
pub(super) fn clean(connection: &Connection, before_ms: i64) -> Result<u64, DbError> {
    let first_kept: Option<i64> =
        connection.query_row("SELECT min(seq) FROM audit WHERE at >= ?1", [before_ms], |row| row.get(0))?;
    let bound = first_kept.unwrap_or(i64::MAX);
    let last: Option<Vec<u8>> = connection
        .query_row("SELECT hash FROM audit WHERE seq < ?1 ORDER BY seq DESC LIMIT 1", [bound], |row| {
            row.get(0)
        })
        .optional()?;
    let Some(last) = last else { return Ok(0) };
    let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    connection.execute(sql, params![ANCHOR, hex(&last)])?;
    Ok(connection.execute("DELETE FROM audit WHERE seq < ?1", [bound])? as u64)
}

/// Walks the whole chain: how many rows it has, or the first that does not fit.
#[cfg(test)]
pub(super) fn verify(connection: &Connection) -> Result<u64, DbError> {
    let mut before = anchor(connection)?;
    let sql = "SELECT seq, at, actor, action, target, detail, outcome, hash FROM audit ORDER BY seq";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let texts: [String; 5] = [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?];
        let hash: Vec<u8> = row.get(7)?;
        if link(&before, row.get(1)?, texts.each_ref().map(String::as_str)) != hash {
            return Err(DbError::Row(format!("audit row {} does not fit its chain", row.get::<_, i64>(0)?)));
        }
        before = hash;
        count += 1;
    }
    Ok(count)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}
