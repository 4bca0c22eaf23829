//! What is kept of one account over all processes, in a file that only its user may read.
//!
//! The session, since each login leaves a session and a row in the audit log
//! there: a `vigie status` every minute would make 1,440 a day. And which
//! password was refused, since five bad ones lock the account for everybody.
//! The password itself is told by a salted, slow digest alone.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::wire::User;
use crate::backend::kept::{Kept, Lock, Secret};

/// How often the digest is taken.
const ROUNDS: u32 = 1_024;
/// Bytes of salt.
const SALT: usize = 16;
/// So long a refusal counts: the password may have been made the right one over there. One try
/// a day locks nobody out.
const LAPSES: TimeDelta = TimeDelta::days(1);
/// A session lives 24 hours.
const SESSION_AGE: TimeDelta = TimeDelta::hours(23);
/// So long another process is waited for that logs in with this account.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// Who would log in where, and with what.
pub struct Account<'a> {
    /// The web application.
    pub url: String,
    /// The name.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
}

/// What lets us in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pass {
    /// Which login of this process it comes from.
    #[serde(skip)]
    pub serial: u64,
    /// `sessionId=…`.
    pub cookie: Secret,
    /// For what changes something.
    pub token: Secret,
    /// When that was given.
    pub token_since: DateTime<Utc>,
    /// When the session began.
    pub since: DateTime<Utc>,
    /// Who is signed in.
    pub user: User,
}

impl Pass {
    /// Whether the session still lives, as far as its age tells.
    pub fn is_young(&self, now: DateTime<Utc>) -> bool {
        now - self.since < SESSION_AGE
    }
}

/// What is in the file; in memory alone, where there is no place for one.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    /// Of both digests.
    salt: String,
    /// The digest of the password that was let in, and what it brought.
    session: Option<(String, Pass)>,
    /// The digest of the password that was refused, and when.
    refused: Option<(String, DateTime<Utc>)>,
    /// Until when the account is locked.
    locked_until: Option<DateTime<Utc>>,
}

/// What is kept of the account that is configured now.
#[derive(Default)]
pub struct Keep {
    /// Below it is the file.
    state: Option<PathBuf>,
    /// Names the account: a digest of where and who.
    key: String,
    stored: Stored,
}

impl Keep {
    /// Kept below `state`; in memory, if there is none.
    pub fn new(state: Option<PathBuf>) -> Self {
        Self { state, ..Self::default() }
    }

    /// Reads what is kept of `account`, and lets no other process at it meanwhile. A file that can't be used
    /// costs only what other processes know.
    pub async fn open(&mut self, account: &Account<'_>) -> Open<'_> {
        let key = key(account);
        if key != self.key {
            (self.key, self.stored) = (key, Stored::default());
        }
        let file = self.lock().await;
        if self.stored.salt.is_empty() {
            self.stored.salt = hex(&rand::random::<[u8; SALT]>());
        }
        let proof = digest(&self.stored.salt, account);
        Open { stored: &mut self.stored, proof, file }
    }

    /// Another token for the session that is kept.
    pub async fn renew(&mut self, pass: &Pass) {
        let file = self.lock().await;
        // Another process may have begun another session.
        if let Some((_, kept)) = &mut self.stored.session
            && kept.cookie == pass.cookie
        {
            *kept = pass.clone();
            write(file.as_ref(), &self.stored).await;
        }
    }

    async fn lock(&mut self) -> Option<(Kept, Lock)> {
        let kept = Kept::new(self.state.as_deref()?, &self.key);
        let locked = async {
            let lock = tokio::time::timeout(LOCK_LIMIT, kept.lock()).await??;
            Ok::<_, std::io::Error>((lock, kept.read().await?))
        };
        match locked.await {
            Ok((lock, bytes)) => {
                if let Some(stored) = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
                    self.stored = stored;
                }
                Some((kept, lock))
            }
            Err(error) => {
                unkept(&kept, &error);
                None
            }
        }
    }
}

/// What is kept, in the hands of one process.
pub struct Open<'a> {
    stored: &'a mut Stored,
    /// The digest of the password that is configured.
    proof: String,
    file: Option<(Kept, Lock)>,
}

impl Open<'_> {
    /// The session that this very password has brought, if it is not the `dead` one or an older one.
    pub fn session(&self, dead: Option<&Pass>, now: DateTime<Utc>) -> Option<Pass> {
        let (proof, pass) = self.stored.session.as_ref()?;
        let lives = dead.is_none_or(|dead| pass.cookie != dead.cookie && pass.since >= dead.since);
        (*proof == self.proof && lives && pass.is_young(now)).then(|| pass.clone())
    }

    /// Whether this very password was refused lately.
    pub fn was_refused(&self, now: DateTime<Utc>) -> bool {
        let refused = self.stored.refused.as_ref();
        refused.is_some_and(|(proof, at)| *proof == self.proof && (now - *at).abs() < LAPSES)
    }

    /// Until when nothing is to be tried.
    pub fn locked_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.stored.locked_until.filter(|until| now < *until && *until - now < LAPSES)
    }

    /// It was let in.
    pub async fn let_in(self, pass: &Pass) {
        self.stored.locked_until = None;
        self.stored.refused.take_if(|(proof, _)| *proof == self.proof);
        self.stored.session = Some((self.proof, pass.clone()));
        write(self.file.as_ref(), self.stored).await;
    }

    /// The password was refused; or the account is locked, be it by this password or not.
    pub async fn refused(self, by_us: bool, locked_until: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        self.stored.locked_until = locked_until;
        if by_us {
            self.stored.refused = Some((self.proof, now));
        }
        write(self.file.as_ref(), self.stored).await;
    }
}

async fn write(file: Option<&(Kept, Lock)>, stored: &Stored) {
    let Some((kept, _lock)) = file else { return };
    let written = match serde_json::to_vec(stored) {
        Ok(bytes) => kept.write(&bytes).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = written {
        unkept(kept, &error);
    }
}

fn unkept(kept: &Kept, error: &std::io::Error) {
    let path = kept.path();
    tracing::warn!(path = %path.display(), %error, "duplistatus' session is not kept: other processes log in anew");
}

fn key(account: &Account<'_>) -> String {
    let name = Sha256::digest(format!("{}\n{}", account.url, account.username));
    format!("duplistatus-{}", &hex(&name)[..32])
}

fn digest(salt: &str, account: &Account<'_>) -> String {
    let mut digest = Sha256::digest(format!("{salt}\n{}\n{}", account.username, account.password));
    for _ in 1..ROUNDS {
        digest = Sha256::digest(digest);
    }
    hex(&digest)
}

fn hex(bytes: &[u8]) -> String {
    let digits = b"0123456789abcdef";
    let pairs = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    pairs.map(|digit| char::from(digits[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn account(password: &str) -> Account<'_> {
        Account { url: "http://h".to_owned(), username: "admin", password }
    }

    fn keep(folder: &Path) -> Keep {
        Keep::new(Some(folder.to_owned()))
    }

    fn pass(cookie: &str, since: DateTime<Utc>) -> Pass {
        let user = serde_json::from_str(r#"{"username": "admin", "isAdmin": true}"#).unwrap();
        let secret = |text: &str| Secret(text.to_owned().into());
        Pass { serial: 3, cookie: secret(cookie), token: secret("t0ken"), token_since: since, since, user }
    }

    #[tokio::test]
    async fn a_refused_password_is_known_again_and_not_legible() {
        let now = at("2026-11-20T07:00:00Z");
        let folder = tempfile::tempdir().unwrap();
        keep(folder.path()).open(&account("hunter2")).await.refused(true, None, now).await;
        let mut other = keep(folder.path());
        assert!(other.open(&account("hunter2")).await.was_refused(now));
        assert!(!other.open(&account("hunter3")).await.was_refused(now));
        assert!(!other.open(&account("hunter2")).await.was_refused(now + LAPSES), "one try a day");
        for file in std::fs::read_dir(folder.path().join("sessions")).unwrap() {
            let file = file.unwrap();
            assert!(!std::fs::read_to_string(file.path()).unwrap().contains("hunter"));
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
        // Another password that is let in does not make this one good; it itself does.
        other.open(&account("hunter3")).await.let_in(&pass("a", now)).await;
        assert!(other.open(&account("hunter2")).await.was_refused(now));
        other.open(&account("hunter2")).await.let_in(&pass("a", now)).await;
        assert!(!keep(folder.path()).open(&account("hunter2")).await.was_refused(now));
        // Without a place it is known here alone.
        let mut here = Keep::default();
        here.open(&account("x")).await.refused(true, None, now).await;
        assert!(here.open(&account("x")).await.was_refused(now));
    }

    #[tokio::test]
    async fn a_session_is_kept_for_the_very_password_that_brought_it() {
        let now = at("2026-11-20T07:00:00Z");
        let folder = tempfile::tempdir().unwrap();
        let mine = pass("sessionId=1", now);
        keep(folder.path()).open(&account("a")).await.let_in(&mine).await;
        let mut other = keep(folder.path());
        let open = other.open(&account("a")).await;
        let again = open.session(None, now).unwrap();
        assert_eq!((&again.cookie, &again.token, &again.user), (&mine.cookie, &mine.token, &mine.user));
        assert!(open.session(None, now + SESSION_AGE).is_none(), "too old");
        assert!(open.session(Some(&mine), now).is_none(), "dead");
        assert!(open.session(Some(&pass("sessionId=0", now - LAPSES)), now).is_some(), "a newer one");
        assert!(open.session(Some(&pass("sessionId=2", now + LAPSES)), now).is_none(), "an older one");
        drop(open);
        assert!(other.open(&account("b")).await.session(None, now).is_none(), "another password");
        let elsewhere = Account { url: "http://i".to_owned(), ..account("a") };
        assert!(other.open(&elsewhere).await.session(None, now).is_none(), "another place");
        // A renewed token is for that session only.
        let renewed = Pass { token: Secret("n3w".to_owned().into()), ..mine.clone() };
        other.open(&account("a")).await;
        other.renew(&renewed).await;
        other.renew(&Pass { cookie: Secret("sessionId=9".to_owned().into()), ..mine }).await;
        let kept = keep(folder.path()).open(&account("a")).await.session(None, now).unwrap();
        assert_eq!((kept.token, kept.cookie), (renewed.token, renewed.cookie));
        // What can't be understood is as if it were not there.
        let file = Kept::new(folder.path(), &key(&account("a"))).path();
        std::fs::write(file, "{").unwrap();
        assert!(keep(folder.path()).open(&account("a")).await.session(None, now).is_none());
    }
}
