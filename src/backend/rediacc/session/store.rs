//! What must not be lost: the tokens of a session, in one file that only its
//! user may read, replaced as a whole, under one lock across all processes.

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::backend::kept::{Kept, Lock, Secret};

/// The longest life of a session: what `tokenExpirationHours` may be.
pub const LIFE: TimeDelta = TimeDelta::hours(720);
/// A session is renewed so long before its end, or in the last quarter of a short life.
const RENEW_BEFORE: TimeDelta = TimeDelta::hours(24);

/// A request that has left, or is about to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// What was called.
    pub procedure: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Whether it changes something.
    pub acts: bool,
}

/// One session with the next token of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// What the next request carries: good for one.
    pub token: Secret,
    /// Since when we have the session.
    pub since: DateTime<Utc>,
    /// When it ends, where the endpoint says.
    #[serde(default)]
    pub expires: Option<DateTime<Utc>>,
    /// False while a second factor is missing.
    pub authorised: bool,
    /// Whether the token has been renewed since we have it.
    #[serde(default)]
    pub used: bool,
    /// The request whose answer is awaited. Found at the start of a call: a process was killed then.
    #[serde(default)]
    pub pending: Option<Note>,
    /// The first request since the last token whose answer never came: the token may be spent.
    #[serde(default)]
    pub doubt: Option<Note>,
    /// Not renewed before that: it went wrong a while ago.
    #[serde(default)]
    pub renew_after: Option<DateTime<Utc>>,
    /// None can follow it: its parent is gone.
    #[serde(default)]
    pub last: bool,
}

impl Held {
    /// A session that has not been used yet.
    pub const fn new(token: SecretString, since: DateTime<Utc>) -> Self {
        Self {
            token: Secret(token),
            since,
            expires: None,
            authorised: true,
            used: false,
            pending: None,
            doubt: None,
            renew_after: None,
            last: false,
        }
    }

    /// A request leaves with the token.
    pub fn leave(&mut self, note: Note) {
        self.doubt = self.doubt.take().or_else(|| self.pending.take());
        self.pending = Some(note);
    }

    /// The answer brought the next token.
    pub fn renew(&mut self, token: SecretString) {
        self.token = Secret(token);
        self.used = true;
        (self.pending, self.doubt) = (None, None);
    }

    /// The answer brought none, or there was none.
    pub fn unanswered(&mut self) {
        self.doubt = self.doubt.take().or_else(|| self.pending.take());
        self.pending = None;
    }

    /// Nothing was sent.
    pub fn stayed(&mut self) {
        self.pending = None;
    }

    /// Whether the end is near enough to go on with another.
    pub fn near_its_end(&self, now: DateTime<Utc>) -> bool {
        let Some(end) = self.expires else { return false };
        let lead = RENEW_BEFORE.min((end - self.since).max(TimeDelta::zero()) / 4);
        now >= end - lead && self.renew_after.is_none_or(|after| now >= after)
    }
}

/// A session that could not be gone on with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// Since when.
    pub at: DateTime<Utc>,
    /// The request whose answer never came, if that is why.
    pub after: Option<Note>,
}

/// What is kept of one endpoint and one configured credential.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stored {
    /// Raised at each writing: the higher one is the newer one.
    pub serial: u64,
    /// Of which endpoint.
    pub url: Option<String>,
    /// The session that does the work: forked from the parent, or logged in.
    pub own: Option<Held>,
    /// The session of the configured token.
    pub parent: Option<Held>,
    /// The digest of the last second factor that was sent: none is sent twice.
    pub spent_code: Option<String>,
    /// Set while there is no session to go on with.
    pub lost: Option<Lost>,
    /// When the session was ended on request.
    pub revoked: Option<DateTime<Utc>>,
    /// When sessions were begun of late, the newest last.
    pub begun: Vec<DateTime<Utc>>,
}

impl Stored {
    /// Whether there is nothing to go on with, and nothing to remember: it is lost, or has come to its end.
    fn is_over(&self, now: DateTime<Utc>) -> bool {
        let has_ended = |held: &Held| held.expires.unwrap_or(held.since + LIFE) <= now;
        self.own.as_ref().is_none_or(has_ended)
            && (self.lost.is_some() || self.parent.as_ref().is_none_or(has_ended))
            && self.revoked.is_none_or(|at| at + LIFE <= now)
    }
}

/// The place of one session.
#[derive(Debug, Clone)]
pub struct Store(Kept);

impl Store {
    /// For the credential that `key` is the digest of, below the state directory.
    pub fn new(state: &Path, key: &str) -> Self {
        Self(Kept::new(state, key))
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.0.path()
    }

    /// Waits for the lock as long as nobody else interrupts.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn lock(&self) -> io::Result<Lock> {
        self.0.lock().await
    }

    /// What is kept; nothing, if there is no file or none that can be
    /// understood: whether the credential is still good, the endpoint knows.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn read(&self) -> io::Result<Stored> {
        let bytes = self.0.read().await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Replaces the file as a whole, and waits until the disk has it.
    ///
    /// # Errors
    /// What the file system says; the old file is then still there.
    pub async fn write(&self, stored: &Stored) -> io::Result<()> {
        self.0.write(&serde_json::to_vec(stored).map_err(io::Error::other)?).await
    }
    /// Removes what is kept of other sessions at `url` that are over: a fresh
    /// token has taken their place. What can't be removed now, can be later.
    pub async fn sweep(&self, url: &str, now: DateTime<Utc>) {
        let is_over = |bytes: &[u8]| {
            serde_json::from_slice::<Stored>(bytes)
                .is_ok_and(|stored| stored.url.as_deref() == Some(url) && stored.is_over(now))
        };
        for other in self.0.others().await {
            other.remove_if(is_over).await.unwrap_or_default();
        }
    }
}
