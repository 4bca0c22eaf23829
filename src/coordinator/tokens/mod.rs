//! Tokens: who may call from elsewhere, with which role, on whose tasks.
//!
//! Owns their making, their finding and their end. What is kept of a token is
//! its SHA-256: a caller's token is hashed and its digest looked up, so that
//! neither the database nor the time of an answer tells anything of it. All of
//! them are in memory; a change is on disk, with its line in the audit log,
//! before it is answered. May import: what the coordinator's other rooms may.

mod ledger;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::model::{Clean, Role, Scope};
use crate::wire::{NewToken, TokenInfo, TokenIssued};

use super::domain::{Audit, TokenRow, Write};
use super::engine::{Actor, Engine};

use ledger::Ledger;
pub use ledger::{OpenError, at_rest};
pub(super) use secret::digest_of;

/// How exactly it is known when a token was used last, in milliseconds.
const COARSE_MS: i64 = 60_000;
/// So many tokens that are good at once.
const MAX_TOKENS: usize = 1_000;
/// So many teams of one token.
const MAX_TEAMS: usize = 100;
/// The longest life of a token, and of a replaced one, in seconds: a hundred years.
const MAX_LIFE_S: u64 = 100 * 366 * 24 * 60 * 60;
/// So many calls that wait for changes may be under way with one token.
const MAX_WAITING: usize = 64;
/// Names that the audit log gives to others.
const RESERVED: [&str; 8] = ["local", "loopback", "anybody", "schedule", "here", "ping", "start", "SIGHUP"];
/// The queue of tasks without a team; a team of that name could not be told from it.
const NO_TEAM: &str = "default";

/// A token as it is now.
#[derive(Debug)]
pub struct Token {
    row: TokenRow,
    name: Clean,
    /// When it was used last, in milliseconds, to a minute; 0: never.
    used: AtomicI64,
    /// What of `used` is on disk.
    noted: AtomicI64,
    /// Calls that wait with it.
    waiting: AtomicUsize,
    /// Cancelled once it is revoked.
    revoked: CancellationToken,
}

impl Token {
    /// As it is now. `revoked` lets go whoever waits with it, also since before it changed.
    fn new(row: TokenRow, revoked: CancellationToken) -> Arc<Self> {
        let used = row.last_used.map_or(0, |at| at.timestamp_millis());
        if row.revoked.is_some() {
            revoked.cancel();
        }
        Arc::new(Self {
            name: Clean::line(&row.name),
            row,
            used: AtomicI64::new(used),
            noted: AtomicI64::new(used),
            waiting: AtomicUsize::new(0),
            revoked,
        })
    }

    /// What people call it.
    #[must_use]
    pub const fn name(&self) -> &Clean {
        &self.name
    }

    /// What its bearer may do.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.row.role
    }

    /// Whose tasks its bearer sees and acts on.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.row.scope
    }

    /// Why it is not good at `now`; `None` if it is.
    #[must_use]
    pub fn denied(&self, now: DateTime<Utc>) -> Option<Denied> {
        if self.revoked.is_cancelled() {
            return Some(Denied::Revoked(self.name.clone()));
        }
        let expires = self.row.expires.filter(|at| *at <= now)?;
        Some(Denied::Expired(self.name.clone(), expires))
    }

    /// Returns once it is no longer good: revoked, or expired by the time left at `now`.
    pub async fn ended(&self, now: DateTime<Utc>) {
        let left = self.row.expires.and_then(|at| (at - now).to_std().ok());
        match left {
            None => self.revoked.cancelled().await,
            Some(left) => {
                let _ = tokio::time::timeout(left, self.revoked.cancelled()).await;
            }
        }
    }

    /// Room for one more call that waits, while the guard lives.
    #[must_use]
    pub fn wait(self: &Arc<Self>) -> Option<Waiting> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(Arc::clone(self));
        (before < MAX_WAITING).then_some(waiting)
    }

    /// Notes that it was used. Writes nothing unless a minute has gone by: cores share this line.
    fn touch(&self, now: DateTime<Utc>) {
        let now = now.timestamp_millis();
        if now - self.used.load(Ordering::Relaxed) >= COARSE_MS {
            self.used.store(now, Ordering::Relaxed);
        }
    }

    fn row(&self) -> TokenRow {
        let used = self.used.load(Ordering::Relaxed);
        let last_used = (used > 0).then(|| DateTime::from_timestamp_millis(used)).flatten();
        TokenRow { last_used, ..self.row.clone() }
    }
}

/// A call that waits with a token.
#[derive(Debug)]
pub struct Waiting(Arc<Token>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a token does not let its bearer in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// It is none of this coordinator's.
    Unknown,
    /// Somebody said so.
    Revoked(Clean),
    /// Its time is over.
    Expired(Clean, DateTime<Utc>),
}

/// A change of the tokens that was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// What was asked for can't be.
    #[error("{0}")]
    Unusable(Clean),
    /// There is a good one of that name.
    #[error("there is a token {0} already: rotate or revoke it, or take another name")]
    Taken(Clean),
    /// There is none that is good.
    #[error("there is no token {0} to be changed: vigie token list tells which there are")]
    NoToken(Clean),
    /// It would see more than who makes it.
    #[error("a token of the teams {0} can't make one that sees more")]
    Beyond(Clean),
    /// It could not be written.
    #[error("{0}")]
    Storage(Clean),
}

/// All tokens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    known: RwLock<HashMap<[u8; 32], Arc<Token>>>,
    /// One change after the other.
    ledger: tokio::sync::Mutex<Ledger>,
}

impl Tokens {
    /// The tokens of a running coordinator.
    ///
    /// # Errors
    /// They can't be read.
    pub(super) async fn load(engine: &Engine) -> Result<Self, TokenRefusal> {
        let rows =
            engine.token_rows().await.map_err(|error| TokenRefusal::Storage(error.to_string().into()))?;
        Ok(Self::of(rows, Ledger::Engine(engine.clone())))
    }

    fn of(rows: Vec<TokenRow>, ledger: Ledger) -> Self {
        let known =
            rows.into_iter().map(|row| (row.digest, Token::new(row, CancellationToken::new()))).collect();
        Self(Arc::new(Parts { known: RwLock::new(known), ledger: tokio::sync::Mutex::new(ledger) }))
    }

    /// Of nobody, written nowhere.
    #[cfg(test)]
    pub(super) fn in_memory() -> Self {
        Self::of(Vec::new(), Ledger::Nowhere)
    }

    /// The token with this digest, if it is good at `now`.
    ///
    /// # Errors
    /// Why it lets nobody in.
    pub fn find(&self, digest: &[u8; 32], now: DateTime<Utc>) -> Result<Arc<Token>, Denied> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let token = known.get(digest).cloned().ok_or(Denied::Unknown)?;
        drop(known);
        if let Some(denied) = token.denied(now) {
            return Err(denied);
        }
        token.touch(now);
        Ok(token)
    }

    /// What is known of the tokens that see no more than `by`, by name.
    #[must_use]
    pub fn list(&self, by: &Actor) -> Vec<TokenInfo> {
        let mut tokens: Vec<TokenRow> = self.all().iter().map(|token| token.row()).collect();
        tokens.retain(|row| by.scope.covers(&row.scope));
        tokens.sort_by(|a, b| (&a.name, b.created).cmp(&(&b.name, a.created)));
        tokens.into_iter().map(info).collect()
    }

    /// Makes a token.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn create(
        &self,
        wish: NewToken,
        by: &Actor,
        now: DateTime<Utc>,
    ) -> Result<TokenIssued, TokenRefusal> {
        let ledger = self.0.ledger.lock().await;
        let name = Clean::line(&wish.name);
        let made = self.prepare(wish, by, now);
        let detail = made.as_ref().map_or_else(|_| "".into(), described);
        self.put(&ledger, "create-token", name, detail, made.map(|row| (row, None)), by, now).await
    }

    /// Puts a new token in the place of the one called `name`, which is good for another `grace_s` seconds.
    ///
    /// # Errors
    /// Why not.
    pub async fn rotate(
        &self,
        name: &str,
        grace_s: u64,
        by: &Actor,
        now: DateTime<Utc>,
    ) -> Result<TokenIssued, TokenRefusal> {
        let ledger = self.0.ledger.lock().await;
        let made = self.current(name, by, now).and_then(|old| Ok((old.clone(), life(grace_s)?)));
        let made = made.map(|(old, grace)| {
            let mut row = old.row();
            let until = if grace.is_zero() { None } else { Some(now + grace) };
            let mut before = row.clone();
            before.replaced = Some(now);
            match until {
                // It never gets a longer life than it had.
                Some(until) => before.expires = Some(before.expires.map_or(until, |at| at.min(until))),
                None => before.revoked = Some(now),
            }
            row.expires = row.expires.map(|at| now + (at - row.created));
            row.created = now;
            row.last_used = None;
            (row, Some(before))
        });
        let detail = match grace_s {
            0 => "the old one is revoked".into(),
            grace => Clean::from(format!("the old one is good for another {grace} s")),
        };
        self.put(&ledger, "rotate-token", Clean::line(name), detail, made, by, now).await
    }

    /// Revokes the token called `name`, and those it has replaced: whoever waits with one is let go at once.
    ///
    /// # Errors
    /// Why not. One that could not be written is refused here all the same, until the coordinator ends.
    pub async fn revoke(&self, name: &str, by: &Actor, now: DateTime<Utc>) -> Result<(), TokenRefusal> {
        let ledger = self.0.ledger.lock().await;
        let good: Vec<Arc<Token>> = self
            .all()
            .into_iter()
            .filter(|token| token.row.name == name && by.scope.covers(&token.row.scope))
            .filter(|token| token.denied(now).is_none())
            .collect();
        let mut writes = Vec::new();
        for old in &good {
            let row = TokenRow { revoked: Some(now), ..old.row() };
            writes.push(Write::Token(Box::new(row.clone())));
            self.know(row);
        }
        let name = Clean::line(name);
        let result = if good.is_empty() { Err(TokenRefusal::NoToken(name.clone())) } else { Ok(()) };
        writes.push(audit("revoke-token", name, "".into(), &result, by, now));
        ledger.write(writes).await?;
        result
    }

    /// Notes on disk when tokens were used.
    ///
    /// # Errors
    /// It could not be written.
    pub(super) async fn note_uses(&self) -> Result<(), TokenRefusal> {
        let mut writes = Vec::new();
        for token in self.all() {
            let used = token.used.load(Ordering::Relaxed);
            if token.noted.swap(used, Ordering::Relaxed) != used
                && let Some(at) = DateTime::from_timestamp_millis(used)
            {
                writes.push(Write::TokenUsed(token.row.digest, at));
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.0.ledger.lock().await.write(writes).await
    }

    fn all(&self) -> Vec<Arc<Token>> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn know(&self, row: TokenRow) {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        let revoked = known.get(&row.digest).map(|token| token.revoked.clone()).unwrap_or_default();
        known.insert(row.digest, Token::new(row, revoked));
    }

    /// The good one called `name` that no other has replaced.
    fn current(&self, name: &str, by: &Actor, now: DateTime<Utc>) -> Result<Arc<Token>, TokenRefusal> {
        self.all()
            .into_iter()
            .filter(|token| token.row.name == name && by.scope.covers(&token.row.scope))
            .find(|token| token.row.replaced.is_none() && token.denied(now).is_none())
            .ok_or_else(|| TokenRefusal::NoToken(Clean::line(name)))
    }

    /// The row of a new token, but for its digest.
    fn prepare(&self, wish: NewToken, by: &Actor, now: DateTime<Utc>) -> Result<TokenRow, TokenRefusal> {
        let scope = checked(&wish)?;
        if !by.scope.covers(&scope) {
            return Err(TokenRefusal::Beyond(Clean::from(teams_of(&by.scope).unwrap_or_default())));
        }
        let good: Vec<_> = self.all().into_iter().filter(|token| token.denied(now).is_none()).collect();
        if good.iter().any(|token| token.row.name == wish.name) {
            return Err(TokenRefusal::Taken(Clean::line(&wish.name)));
        }
        if good.len() >= MAX_TOKENS {
            let why = format!("there are {MAX_TOKENS} tokens already: revoke some");
            return Err(TokenRefusal::Unusable(why.into()));
        }
        if wish.expires_in_s == Some(0) {
            return Err(TokenRefusal::Unusable("a token that has expired already is of no use".into()));
        }
        let expires = wish.expires_in_s.map(life).transpose()?.map(|life| now + life);
        Ok(TokenRow {
            digest: [0; 32],
            name: wish.name,
            role: wish.role,
            scope,
            created: now,
            expires,
            last_used: None,
            replaced: None,
            revoked: None,
        })
    }

    /// Gives a row its secret, writes it with what it replaces and the line in the audit log, and knows it then.
    #[expect(clippy::too_many_arguments, reason = "what a change of the tokens consists of")]
    async fn put(
        &self,
        ledger: &Ledger,
        action: &'static str,
        name: Clean,
        detail: Clean,
        made: Result<(TokenRow, Option<TokenRow>), TokenRefusal>,
        by: &Actor,
        now: DateTime<Utc>,
    ) -> Result<TokenIssued, TokenRefusal> {
        let line = audit(action, name, detail, &made, by, now);
        let (mut row, before) = match made {
            Ok(made) => made,
            Err(refusal) => {
                ledger.write(vec![line]).await?;
                return Err(refusal);
            }
        };
        let token = secret::new_token();
        row.digest = digest_of(&token);
        let mut writes = vec![Write::Token(Box::new(row.clone())), line];
        writes.extend(before.iter().map(|before| Write::Token(Box::new(before.clone()))));
        ledger.write(writes).await?;
        if let Some(before) = before {
            self.know(before);
        }
        self.know(row.clone());
        Ok(TokenIssued { token, info: info(row) })
    }
}

/// The scope that a wish comes to, if everything in it can be.
fn checked(wish: &NewToken) -> Result<Scope, TokenRefusal> {
    let unusable = |why: String| Err(TokenRefusal::Unusable(why.into()));
    if !is_name(&wish.name) {
        return unusable(format!(
            "name {:?}: it must be 1 to 64 letters, digits, '.', '_' and '-'",
            Clean::line(&wish.name)
        ));
    }
    if RESERVED.contains(&wish.name.as_str()) {
        return unusable(format!("name {:?}: the audit log calls others so", wish.name));
    }
    if wish.teams.len() > MAX_TEAMS {
        return unusable(format!("teams: at most {MAX_TEAMS}; without any it sees everybody's tasks"));
    }
    if let Some(team) = wish.teams.iter().find(|team| team.trim().is_empty() || team.len() > 128) {
        return unusable(format!("team {:?}: it must have 1 to 128 bytes", Clean::line(team)));
    }
    if wish.teams.contains(NO_TEAM) {
        return unusable(format!("team {NO_TEAM:?}: that is the queue of tasks without a team"));
    }
    let teams: BTreeSet<String> =
        wish.teams.iter().map(|team| Clean::line(team).as_str().to_owned()).collect();
    Ok(if teams.is_empty() { Scope::All } else { Scope::Teams(teams) })
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// A time span that dates can be reckoned with.
fn life(seconds: u64) -> Result<TimeDelta, TokenRefusal> {
    i64::try_from(seconds)
        .ok()
        .filter(|_| seconds <= MAX_LIFE_S)
        .map(TimeDelta::seconds)
        .ok_or_else(|| TokenRefusal::Unusable("a token lives a hundred years at most".into()))
}

fn teams_of(scope: &Scope) -> Option<String> {
    match scope {
        Scope::All => None,
        Scope::Teams(teams) => Some(teams.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
    }
}

/// For the audit log.
fn described(row: &TokenRow) -> Clean {
    let mut text = format!("role {}", row.role);
    if let Some(teams) = teams_of(&row.scope) {
        text.push_str(", teams ");
        text.push_str(&teams);
    }
    if let Some(expires) = row.expires {
        text.push_str(&expires.format(", expires %Y-%m-%d %H:%M UTC").to_string());
    }
    text.into()
}

fn audit<T>(
    action: &'static str,
    target: Clean,
    detail: Clean,
    result: &Result<T, TokenRefusal>,
    by: &Actor,
    at: DateTime<Utc>,
) -> Write {
    let outcome = result.as_ref().map_or_else(|refusal| Clean::from(refusal.to_string()), |_| "ok".into());
    let (actor, from) = (by.name.clone(), by.from.clone());
    Write::Audit(Audit { at, actor, from, action, target, detail, outcome })
}

fn info(row: TokenRow) -> TokenInfo {
    let teams = match row.scope {
        Scope::All => None,
        Scope::Teams(teams) => Some(teams),
    };
    TokenInfo {
        name: Clean::line(&row.name),
        role: row.role,
        teams,
        created: row.created,
        expires: row.expires,
        last_used: row.last_used,
        replaced: row.replaced,
        revoked: row.revoked,
    }
}
