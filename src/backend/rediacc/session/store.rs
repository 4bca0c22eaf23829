//! What must not be lost: the tokens of a session, in one file that only its
//! user may read, replaced as a whole, under one lock across all processes.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::AsyncWriteExt as _;

/// The folder of the sessions below the state directory.
const FOLDER: &str = "sessions";
/// The pause between two looks at a lock that another process holds.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// A session is renewed so long before its end, or in the last quarter of a short life.
const RENEW_BEFORE: TimeDelta = TimeDelta::hours(24);

/// A token. Shown by nothing; written to its file only.
#[derive(Clone)]
pub struct Token(pub SecretString);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::from(text)))
    }
}

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
    pub token: Token,
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
            token: Token(token),
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
        self.token = Token(token);
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

/// The lock over reading, sending and storing. Given back when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The place of one session.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    key: String,
}

impl Store {
    /// For the credential that `key` is the digest of, below the state directory.
    pub fn new(state: &Path, key: &str) -> Self {
        Self { folder: state.join(FOLDER), key: key.to_owned() }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.key))
    }

    /// Waits for the lock as long as nobody else interrupts.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn lock(&self) -> io::Result<Lock> {
        self.make_folder().await?;
        // Never removed: two processes would lock two files.
        let file = private().open(self.folder.join(format!("{}.lock", self.key))).await?.into_std().await;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// What is kept; nothing, if there is no file or none that can be
    /// understood: whether the credential is still good, the endpoint knows.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn read(&self) -> io::Result<Stored> {
        match tokio::fs::read(self.path()).await {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Stored::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file as a whole, and waits until the disk has it.
    ///
    /// # Errors
    /// What the file system says; the old file is then still there.
    pub async fn write(&self, stored: &Stored) -> io::Result<()> {
        self.make_folder().await?;
        let temporary = self.folder.join(format!("{}.new", self.key));
        let bytes = serde_json::to_vec(stored).map_err(io::Error::other)?;
        let written = async {
            let mut file = private().truncate(true).open(&temporary).await?;
            file.write_all(&bytes).await?;
            file.sync_all().await?;
            tokio::fs::rename(&temporary, self.path()).await?;
            File::open(&self.folder)?.sync_all()
        };
        written.await
    }

    async fn make_folder(&self) -> io::Result<()> {
        let mut builder = tokio::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        builder.mode(0o700);
        builder.create(&self.folder).await?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            if tokio::fs::metadata(&self.folder).await?.permissions().mode() & 0o777 != 0o700 {
                tokio::fs::set_permissions(&self.folder, std::fs::Permissions::from_mode(0o700)).await?;
            }
        }
        Ok(())
    }
}

/// A file that only its user may read.
fn private() -> tokio::fs::OpenOptions {
    let mut options = tokio::fs::OpenOptions::new();
    options.create(true).write(true);
    #[cfg(unix)]
    options.mode(0o600);
    options
}
