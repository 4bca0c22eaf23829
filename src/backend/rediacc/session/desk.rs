//! One turn at the session: whoever holds the desk is the only one, in this
//! process and in all others, that reads the token, sends with it and stores
//! the next one.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderName;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::MutexGuard;

use super::budget::Bucket;
use super::envelope;
use super::given::Given;
use super::heard::Heard;
use super::reply::Reply;
use super::store::{Held, Lost, Note, Store, Stored};
use super::verdict;
use crate::backend::http::Http;
use crate::backend::kept::{Lock, Secret};
use crate::backend::{BackendError, CredentialSource, Now};
use crate::model::{Clean, EndpointName};

const REQUEST_TOKEN: HeaderName = HeaderName::from_static("rediacc-requesttoken");
const USER_EMAIL: HeaderName = HeaderName::from_static("rediacc-useremail");
const USER_HASH: HeaderName = HeaderName::from_static("rediacc-userhash");

/// How sessions of vigie are called in Rediacc's list of them.
pub const SESSION_NAME: &str = "vigie";

/// What the exchanges of one endpoint share.
pub struct Inner {
    pub http: Http,
    pub name: EndpointName,
    /// The limit of a request, and of waiting for a turn.
    pub timeout: Duration,
    pub credentials: Arc<dyn CredentialSource>,
    pub state: Option<PathBuf>,
    pub now: Now,
    pub turn: tokio::sync::Mutex<Turn>,
    pub bucket: Mutex<Bucket>,
    pub face: Mutex<Face>,
}

impl Inner {
    /// Waited too long; nothing was sent.
    pub fn no_turn(&self) -> BackendError {
        let limit = crate::model::duration_text(self.timeout.as_secs().max(1));
        BackendError::Unreachable(Clean::from(format!(
            "no turn at the session within {limit}: another vigie is using it; nothing was sent"
        )))
    }
}

/// What this process remembers from turn to turn.
#[derive(Default)]
pub struct Turn {
    /// The credential, once read. Read again when the session is lost.
    pub given: Option<Arc<Given>>,
    /// What could not be written, or all there is where nothing can be kept.
    unwritten: Option<(String, Stored)>,
    /// Credentials whose login was refused, until when they rest, and what was said.
    pub refused: Option<(String, DateTime<Utc>, Clean)>,
    /// A login has said that a second factor is needed.
    pub needs_code: bool,
    /// A login that was ended on request, and when: another process may log in again.
    revoked: Option<(String, DateTime<Utc>)>,
}

/// What the session looks like from outside.
#[derive(Debug, Default)]
pub struct Face {
    expires: Option<DateTime<Utc>>,
    /// The session can't be renewed when it ends.
    last: bool,
    login: bool,
    tables: bool,
    unkept: Option<Clean>,
}

impl Face {
    /// Adds its lines.
    pub fn tell(&self, lines: &mut Vec<Clean>) {
        let sort = if self.login { "logged in" } else { "own session" };
        if let Some(end) = self.expires {
            let end = end.format("%Y-%m-%d %H:%M UTC");
            let then = match (self.last, self.login) {
                (false, _) => "",
                (true, false) => ", and can't be renewed: make a fresh token for vigie",
                (true, true) => ", and can't be renewed: the login was refused",
            };
            lines.push(Clean::from(format!("{sort} until {end}{then}")));
        }
        if self.tables {
            lines.push("answers as of generation 0 (2025-05)".into());
        }
        lines.extend(self.unkept.clone());
    }
}

/// Which token goes with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    Own,
    Parent,
}

/// The turn, with the lock.
pub struct Desk<'a> {
    pub(super) inner: &'a Inner,
    pub(super) turn: MutexGuard<'a, Turn>,
    pub(super) given: Arc<Given>,
    pub(super) key: String,
    /// `None`: kept in memory only.
    store: Option<Store>,
    pub(super) stored: Stored,
    _lock: Option<Lock>,
}

impl<'a> Desk<'a> {
    /// Waits for the turn in this process, then for the lock, and reads what is kept.
    ///
    /// # Errors
    /// [`BackendError::Credential`] if there is no credential, or nothing can be kept.
    pub async fn open(inner: &'a Inner) -> Result<Self, BackendError> {
        let mut turn = inner.turn.lock().await;
        let given = match &turn.given {
            Some(given) => Arc::clone(given),
            None => Arc::new(Given::read(inner.credentials.as_ref()).await?),
        };
        turn.given = Some(Arc::clone(&given));
        let key = given.key(&inner.http.url());
        let store = inner.state.as_deref().map(|state| Store::new(state, &key));
        let (lock, mut stored) = match &store {
            None => (None, Stored::default()),
            Some(store) => {
                let failed = |error| unkept(store, &error);
                (Some(store.lock().await.map_err(failed)?), store.read().await.map_err(failed)?)
            }
        };
        if let Some((_, newer)) =
            turn.unwritten.as_ref().filter(|(of, s)| *of == key && s.serial > stored.serial)
        {
            stored = newer.clone();
        }
        Ok(Self { inner, turn, given, key, store, stored, _lock: lock })
    }

    /// Shows what has come of it.
    pub fn close(self) {
        let mut face = self.inner.face();
        face.expires = self.stored.own.as_ref().and_then(|own| own.expires);
        face.login = matches!(*self.given, Given::Login { .. });
        if self.store.is_none() {
            face.unkept = Some("no state directory: the session is lost when vigie ends".into());
        }
        face.last = self.stored.own.as_ref().is_some_and(|own| own.last);
    }

    /// Whether there is no session to go on with, for want of a good credential.
    pub const fn is_lost(&self, error: &BackendError) -> bool {
        self.stored.own.is_none()
            && matches!(
                error,
                BackendError::Unauthorised(_) | BackendError::Forbidden(_) | BackendError::Credential(_)
            )
    }

    /// Reads the credential again; whether it is another one than before.
    ///
    /// # Errors
    /// [`BackendError::Credential`] if it can't be read.
    pub async fn reread_credentials(&mut self) -> Result<bool, BackendError> {
        // Asked again by the next turn too, if this fails.
        self.turn.given = None;
        let given = Arc::new(Given::read(self.inner.credentials.as_ref()).await?);
        let is_other = given.digest() != self.given.digest();
        self.turn.given = Some(given);
        Ok(is_other)
    }

    /// Calls a procedure with the session, begun anew where need be.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn perform(
        &mut self,
        procedure: &str,
        body: &Value,
        acts: bool,
        gone: &(dyn Fn() -> bool + Sync),
    ) -> Result<Reply, BackendError> {
        if let Some(revoked) = self.revoked() {
            return Err(revoked);
        }
        self.ready().await?;
        for last in [false, true] {
            if gone() {
                return Err(BackendError::Unreachable(
                    "nobody waits for it any more: it was not sent".into(),
                ));
            }
            let sent = self.own_token();
            let heard = self.ask(procedure, body, acts).await?;
            if !heard.token_refused() {
                return heard.reply();
            }
            if last || self.own_token() == sent {
                self.own_is_lost().await?;
            }
            if last {
                return Err(self.lost(&heard));
            }
            self.inner.bucket().draw((self.inner.now)());
            self.ready().await?;
        }
        Err(self.inner.no_turn())
    }

    /// Ends the session at the endpoint, and begins no other with the same credential.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn revoke(&mut self) -> Result<Reply, BackendError> {
        let now = (self.inner.now)();
        let mut reply = Reply::new(Vec::new(), now, 0, None);
        if self.stored.own.is_some() {
            let asked = self.ask("DeleteUserRequest", &json!({}), true).await;
            let heard = asked.map_err(|error| match error {
                error if error.may_have_acted() => BackendError::Broken(Clean::from(format!(
                    "{error}; whether the session was revoked is not known: look for {SESSION_NAME:?} in \
                     Rediacc's list of sessions"
                ))),
                error => error,
            })?;
            // A token that is refused is of a session that has ended before.
            if !heard.token_refused() {
                reply = heard.reply()?;
            }
        }
        match *self.given {
            Given::Token(_) => {
                self.stored = Stored { revoked: Some(now), serial: self.stored.serial, ..Stored::default() }
            }
            Given::Login { .. } => {
                self.stored.own = None;
                self.turn.revoked = Some((self.given.digest(), now));
            }
        }
        self.keep().await?;
        Ok(reply)
    }

    /// The words for a session that was ended on request; `None` if it was not.
    fn revoked(&self) -> Option<BackendError> {
        let in_turn = self.turn.revoked.as_ref().filter(|(of, _)| *of == self.given.digest());
        let at = self.stored.revoked.or_else(|| in_turn.map(|(_, at)| *at))?;
        let mend = match *self.given {
            Given::Token(_) => {
                "to go on, make a fresh token for vigie and put it where auth.token is read from"
            }
            Given::Login { .. } => "vigie logs in again when it is started again",
        };
        let when = at.format("%Y-%m-%d %H:%M UTC");
        Some(BackendError::Credential(Clean::from(format!(
            "vigie's session was revoked on request at {when}: {mend}"
        ))))
    }

    /// Sends one request of the own session and stores the token that its answer brings before anything else is looked at.
    pub(super) async fn ask(
        &mut self,
        procedure: &str,
        body: &Value,
        acts: bool,
    ) -> Result<Heard, BackendError> {
        let heard = self.exchange(Some(Bearer::Own), procedure, body, acts, None).await?;
        if heard.token_refused() && self.adopt_newer().await {
            return Ok(heard);
        }
        if let Some(own) = &mut self.stored.own {
            heard.settle(own, heard.rotation().cloned());
        }
        if heard.rotation().is_some() {
            self.stored.lost = None;
        }
        self.keep_or_remember().await;
        self.notice(&heard);
        Ok(heard)
    }

    /// Notes durably that a request leaves, sends it and hears the answer.
    pub(super) async fn exchange(
        &mut self,
        bearer: Option<Bearer>,
        procedure: &str,
        body: &Value,
        acts: bool,
        login: Option<(&SecretString, &SecretString)>,
    ) -> Result<Heard, BackendError> {
        let http = self.inner.http.clone();
        let mut request = http.post(&["StoredProcedure", procedure]).json(body).accept_refusals();
        let mut sent = Vec::new();
        if let Some(held) = bearer.and_then(|bearer| self.held(bearer)) {
            request = request.secret(REQUEST_TOKEN, &held.token.0);
            sent.push(held.token.0.clone());
        }
        if let Some((email, hash)) = login {
            request = request.secret(USER_EMAIL, email).secret(USER_HASH, hash);
            sent.push(hash.clone());
        }
        let note = Note { procedure: procedure.to_owned(), at: (self.inner.now)(), acts };
        if let Some(held) = bearer.and_then(|bearer| self.held(bearer)) {
            held.leave(note);
            self.keep().await?;
        }
        match request.send().await {
            Ok(answer) => {
                let (found, envelope) = envelope::read(&answer.body);
                Ok(Heard { answer, found, sent, envelope })
            }
            Err(error) => {
                if let Some(held) = bearer.and_then(|bearer| self.held(bearer)) {
                    if error.may_have_acted() {
                        held.unanswered();
                    } else {
                        held.stayed();
                    }
                    self.keep_or_remember().await;
                }
                Err(error)
            }
        }
    }

    const fn held(&mut self, bearer: Bearer) -> Option<&mut Held> {
        match bearer {
            Bearer::Own => self.stored.own.as_mut(),
            Bearer::Parent => self.stored.parent.as_mut(),
        }
    }

    fn own_token(&self) -> Option<Secret> {
        self.stored.own.as_ref().map(|own| own.token.clone())
    }

    /// After a refusal: another process may have renewed the token meanwhile,
    /// where locks do not hold. Whether it has; what it kept is then ours.
    async fn adopt_newer(&mut self) -> bool {
        let Some(store) = &self.store else { return false };
        let Ok(there) = store.read().await else { return false };
        let is_newer = there.own.as_ref().is_some_and(|own| Some(&own.token) != self.own_token().as_ref());
        if is_newer {
            self.stored = there;
        }
        is_newer
    }

    /// The own token was refused: the session is gone.
    async fn own_is_lost(&mut self) -> Result<(), BackendError> {
        let now = (self.inner.now)();
        let after = self.stored.own.take().and_then(|own| own.doubt);
        self.stored.lost.get_or_insert(Lost { at: now, after });
        self.keep().await
    }

    /// The words for a session that can't be gone on with.
    pub(super) fn lost(&self, heard: &Heard) -> BackendError {
        let words = heard.fault().map_or_else(|| "refused".into(), |fault| verdict::said(&fault));
        let when = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC");
        let used = self.stored.parent.as_ref().is_some_and(|parent| parent.used);
        let why = match &self.stored.lost {
            Some(Lost { after: Some(note), .. }) => {
                format!(
                    "the session is lost: the answer to {} at {} never came",
                    note.procedure,
                    when(note.at)
                )
            }
            Some(Lost { at, after: None }) if used => {
                format!(
                    "the session is lost since {}: it has ended, or its token was used elsewhere",
                    when(*at)
                )
            }
            _ => "the token is spent, or has expired".to_owned(),
        };
        let mend = match *self.given {
            Given::Token(_) => "make a fresh token for vigie and put it where auth.token is read from",
            Given::Login { .. } => "the next poll logs in again",
        };
        BackendError::Unauthorised(Clean::from(format!("{words} ({why}; {mend})")))
    }

    /// Notes what an answer tells of the endpoint as such.
    pub(super) fn notice(&self, heard: &Heard) {
        if let Ok(envelope) = &heard.envelope
            && !envelope.sets.is_empty()
        {
            self.inner.face().tables = envelope.tables;
        }
    }

    /// Writes what is kept; nothing may be sent if that fails.
    pub(super) async fn keep(&mut self) -> Result<(), BackendError> {
        self.stored.serial += 1;
        self.stored.url.get_or_insert_with(|| self.inner.http.url());
        let Some(store) = &self.store else {
            self.turn.unwritten = Some((self.key.clone(), self.stored.clone()));
            return Ok(());
        };
        store.write(&self.stored).await.map_err(|error| unkept(store, &error))?;
        self.turn.unwritten = None;
        self.inner.face().unkept = None;
        Ok(())
    }

    /// Forgets sessions of the same endpoint that are over.
    pub(super) async fn sweep(&self) {
        if let Some(store) = &self.store {
            store.sweep(&self.inner.http.url(), (self.inner.now)()).await;
        }
    }

    /// Writes what an answer brought; where that fails it is at least not forgotten while we run.
    pub(super) async fn keep_or_remember(&mut self) {
        if let Err(error) = self.keep().await {
            self.turn.unwritten = Some((self.key.clone(), self.stored.clone()));
            self.inner.face().unkept = Some(Clean::from(format!("{error}: kept in memory only")));
        }
    }
}

fn unkept(store: &Store, error: &std::io::Error) -> BackendError {
    BackendError::Credential(Clean::from(format!(
        "the session can't be kept in {}: {error}",
        store.path().display()
    )))
}
