//! Tokens on disk.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, params};

use crate::coordinator::domain::TokenRow;
use crate::model::Scope;

use super::rows::{from_json, instant, json, millis, opt_millis, word};
use super::{DbError, Reader};

/// How long a token that is no longer good is still listed.
const KEPT: TimeDelta = TimeDelta::days(90);

/// Writes a token as it is now, and forgets those that were long ago.
pub(super) fn write(connection: &Connection, token: &TokenRow) -> Result<(), DbError> {
    let old = millis(token.created - KEPT);
    let sql = "DELETE FROM tokens WHERE min(coalesce(revoked, expires), coalesce(expires, revoked)) < ?1";
    connection.prepare_cached(sql)?.execute([old])?;
    let teams = match &token.scope {
        Scope::All => None,
        Scope::Teams(teams) => Some(json(teams)?),
    };
    let sql = "INSERT INTO tokens (digest, name, role, teams, created, expires, last_used, replaced, revoked) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
               ON CONFLICT (digest) DO UPDATE SET expires = excluded.expires, last_used = excluded.last_used, \
               replaced = excluded.replaced, revoked = excluded.revoked";
    connection.prepare_cached(sql)?.execute(params![
        token.digest.as_slice(),
        token.name,
        token.role.word(),
        teams,
        millis(token.created),
        opt_millis(token.expires),
        opt_millis(token.last_used),
        opt_millis(token.replaced),
        opt_millis(token.revoked),
    ])?;
    Ok(())
}

/// Notes when a token was used.
pub(super) fn used(connection: &Connection, digest: &[u8; 32], at: DateTime<Utc>) -> Result<(), DbError> {
    let sql = "UPDATE tokens SET last_used = ?2 WHERE digest = ?1";
    connection.prepare_cached(sql)?.execute(params![digest.as_slice(), millis(at)])?;
    Ok(())
}

impl Reader {
    /// Every token that is kept, oldest first.
    ///
    /// # Errors
    /// What can't be read.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, DbError> {
        self.read(tokens).await
    }
}

fn tokens(connection: &Connection) -> Result<Vec<TokenRow>, DbError> {
    let sql = "SELECT digest, name, role, teams, created, expires, last_used, replaced, revoked \
               FROM tokens ORDER BY created, digest";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next()? {
        let teams: Option<String> = row.get(3)?;
        let scope = match teams {
            None => Scope::All,
            Some(teams) => Scope::Teams(from_json::<BTreeSet<String>>(&teams)?),
        };
        tokens.push(TokenRow {
            digest: row.get(0)?,
            name: row.get(1)?,
            role: word(&row.get::<_, String>(2)?)?,
            scope,
            created: instant(row.get(4)?).unwrap_or_default(),
            expires: instant(row.get(5)?),
            last_used: instant(row.get(6)?),
            replaced: instant(row.get(7)?),
            revoked: instant(row.get(8)?),
        });
    }
    Ok(tokens)
}
