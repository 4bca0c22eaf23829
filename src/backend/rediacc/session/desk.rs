//! One turn at the session: whoever holds the desk is the only one, in this
//! process and in all others, that reads the token, sends with it and stores
//! the next one.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::header::HeaderName;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::sync::MutexGuard;

use super::budget::Bucket;
use super::envelope::{self, Envelope, Found, Row, bit};
use super::given::{Given, credential, digest, user_hash};
use super::reply::Reply;
use super::store::{Held, Lock, Lost, Note, Store, Stored, Token};
use super::verdict;
use crate::backend::http::{Answer, Http};
use crate::backend::{BackendError, CredentialSource, Now};
use crate::model::{Clean, EndpointName};

const REQUEST_TOKEN: HeaderName = HeaderName::from_static("rediacc-requesttoken");
const USER_EMAIL: HeaderName = HeaderName::from_static("rediacc-useremail");
const USER_HASH: HeaderName = HeaderName::from_static("rediacc-userhash");

/// How sessions of vigie are called in Rediacc's list of them.
const SESSION_NAME: &str = "vigie";
/// The longest life that may be asked for, in hours.
const LIFE_HOURS: u32 = 720;
/// After a renewal that went wrong the next one waits so long.
const RENEW_PAUSE: chrono::TimeDelta = chrono::TimeDelta::minutes(15);
/// After a refused login the same credentials wait so long, so that no account is locked.
const LOGIN_PAUSE: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

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
    given: Option<Arc<Given>>,
    /// What could not be written, or all there is where nothing can be kept.
    unwritten: Option<(String, Stored)>,
    /// Credentials whose login was refused, and until when they rest.
    refused: Option<(String, DateTime<Utc>)>,
    /// A login has said that a second factor is needed.
    needs_code: bool,
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
            let then = if self.last { ", and can't be renewed: make a fresh token for vigie" } else { "" };
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
enum Bearer {
    Own,
    Parent,
}

/// An answer that was heard, its tokens not yet taken.
struct Heard {
    answer: Answer,
    found: Vec<Found>,
    envelope: Result<Envelope, String>,
}

impl Heard {
    fn rows(&self) -> &[Vec<Row>] {
        self.envelope.as_ref().map_or(&[], |envelope| envelope.sets.as_slice())
    }

    fn rotation(&self) -> Option<&SecretString> {
        envelope::rotation(&self.found, self.rows())
    }

    fn fault(&self) -> Option<BackendError> {
        verdict::of(&self.answer, &self.envelope, self.rotation().is_some())
    }

    /// The token was not good: nothing was done, and no other came.
    fn token_refused(&self) -> bool {
        self.rotation().is_none() && matches!(self.fault(), Some(BackendError::Unauthorised(_)))
    }

    /// A fact that the envelope or any row of it tells.
    fn fact(&self, column: &str) -> Option<&Value> {
        let envelope = self.envelope.as_ref().ok()?;
        let in_rows = envelope.sets.iter().flatten().find_map(|row| row.get(column));
        in_rows.or_else(|| envelope.top.get(column)).filter(|value| !value.is_null())
    }

    fn expires(&self) -> Option<DateTime<Utc>> {
        self.fact("tokenExpiration").and_then(Value::as_str).and_then(instant)
    }

    /// Whether the session may do anything. Silence is yes.
    fn authorised(&self) -> bool {
        bit(self.fact("isAuthorized")) != Some(false)
    }

    /// Whether a refused login wants a second factor.
    fn wants_code(&self) -> bool {
        let says = |text: &str| {
            let lower = text.to_ascii_lowercase();
            ["tfa", "2fa", "two-factor", "two factor", "second factor"].iter().any(|w| lower.contains(w))
        };
        let status = self.fact("authenticationStatus").and_then(Value::as_str);
        let text = self.envelope.as_ref().ok().and_then(|envelope| envelope.text.as_deref());
        bit(self.fact("isTFAEnabled")) == Some(true) || status.is_some_and(says) || text.is_some_and(says)
    }

    /// Takes the next token, or notes what the lack of one means.
    fn settle(&self, held: &mut Held, next: Option<SecretString>) {
        match next {
            Some(token) => held.renew(token),
            None if self.fault().is_none_or(|fault| fault.may_have_acted()) => held.unanswered(),
            // A clear no.
            None => held.stayed(),
        }
    }

    fn reply(self) -> Result<Reply, BackendError> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let server_time = self.answer.server_time();
        let sets = self.envelope.map(|envelope| envelope.sets).unwrap_or_default();
        Ok(Reply::new(sets, self.answer.at, self.answer.latency_ms, server_time))
    }
}

/// The turn, with the lock.
pub struct Desk<'a> {
    inner: &'a Inner,
    turn: MutexGuard<'a, Turn>,
    given: Arc<Given>,
    key: String,
    /// `None`: kept in memory only.
    store: Option<Store>,
    stored: Stored,
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

    /// Ends the session at the endpoint.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn revoke(&mut self) -> Result<Reply, BackendError> {
        if self.stored.own.is_none() {
            let now = (self.inner.now)();
            return Ok(Reply::new(Vec::new(), now, 0, None));
        }
        let asked = self.ask("DeleteUserRequest", &json!({}), true).await;
        let heard = asked.map_err(|error| match error {
            error if error.may_have_acted() => BackendError::Broken(Clean::from(format!(
                "{error}; whether the session was revoked is not known: look for {SESSION_NAME:?} in \
                 Rediacc's list of sessions"
            ))),
            error => error,
        })?;
        if !heard.token_refused() && heard.fault().is_some() {
            return heard.reply();
        }
        // Gone, now or before.
        self.stored.own = None;
        self.keep().await?;
        let latency = heard.answer.latency_ms;
        Ok(Reply::new(Vec::new(), heard.answer.at, latency, heard.answer.server_time()))
    }

    /// Sends one request of the own session and stores the token that its answer brings before anything else is looked at.
    async fn ask(&mut self, procedure: &str, body: &Value, acts: bool) -> Result<Heard, BackendError> {
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
    async fn exchange(
        &mut self,
        bearer: Option<Bearer>,
        procedure: &str,
        body: &Value,
        acts: bool,
        login: Option<(&SecretString, &SecretString)>,
    ) -> Result<Heard, BackendError> {
        let http = self.inner.http.clone();
        let mut request = http.post(&["StoredProcedure", procedure]).json(body).accept_refusals();
        if let Some(held) = bearer.and_then(|bearer| self.held(bearer)) {
            request = request.secret(REQUEST_TOKEN, &held.token.0);
        }
        if let Some((email, hash)) = login {
            request = request.secret(USER_EMAIL, email).secret(USER_HASH, hash);
        }
        let note = Note { procedure: procedure.to_owned(), at: (self.inner.now)(), acts };
        if let Some(held) = bearer.and_then(|bearer| self.held(bearer)) {
            held.leave(note);
            self.keep().await?;
        }
        match request.send().await {
            Ok(answer) => {
                let (found, envelope) = envelope::read(&answer.body);
                Ok(Heard { answer, found, envelope })
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

    /// Makes sure of a session, and of one that does not end soon.
    async fn ready(&mut self) -> Result<(), BackendError> {
        let now = (self.inner.now)();
        match &self.stored.own {
            None => self.begin().await,
            Some(own) if !own.authorised => self.authorise().await,
            Some(own) if own.near_its_end(now) && self.can_renew() => {
                let former = own.clone();
                let result = if own.last { Ok(false) } else { self.begin().await.map(|()| true) };
                if matches!(result, Ok(true)) {
                    return Ok(());
                }
                // The one that is there goes on as long as it may, unless a fresh credential is found.
                let last = former.last || matches!(result, Err(BackendError::Unauthorised(_)));
                self.stored.own = Some(Held { renew_after: Some(now + RENEW_PAUSE), last, ..former });
                self.stored.lost = None;
                self.turn.given = None;
                self.keep().await
            }
            Some(_) => Ok(()),
        }
    }

    fn can_renew(&self) -> bool {
        match *self.given {
            Given::Token(_) => self.stored.parent.is_some(),
            Given::Login { .. } => !self.turn.needs_code && self.stored.spent_code.is_none(),
        }
    }

    /// Begins a session: forked from the configured one, or logged in.
    async fn begin(&mut self) -> Result<(), BackendError> {
        match &*Arc::clone(&self.given) {
            Given::Token(token) => self.fork(token).await,
            Given::Login { email, password } => self.log_in(email, password).await,
        }?;
        match &self.stored.own {
            Some(own) if !own.authorised => self.authorise().await,
            _ => Ok(()),
        }
    }

    /// Spends the parent's token for a child, and keeps the parent's next one too.
    async fn fork(&mut self, token: &SecretString) -> Result<(), BackendError> {
        let now = (self.inner.now)();
        self.stored.parent.get_or_insert_with(|| Held::new(token.clone(), now));
        self.inner.bucket().draw(now);
        let body = json!({"childName": SESSION_NAME, "tokenExpirationHours": LIFE_HOURS});
        let heard =
            self.exchange(Some(Bearer::Parent), "ForkAuthenticationRequest", &body, false, None).await?;
        let (parent, child) = family(&heard);
        let child = child.map(|token| Held {
            expires: heard.expires(),
            authorised: heard.authorised(),
            ..Held::new(token, heard.answer.at)
        });
        if let Some(held) = &mut self.stored.parent {
            heard.settle(held, parent);
        }
        let refused = heard.token_refused();
        let came = child.is_some();
        if came {
            self.stored.own = child;
            self.stored.lost = None;
        } else if refused {
            let after = self.stored.parent.as_ref().and_then(|held| held.doubt.clone());
            self.stored.lost.get_or_insert(Lost { at: now, after });
        }
        self.keep_or_remember().await;
        self.notice(&heard);
        if came {
            return Ok(());
        }
        if refused {
            return Err(self.lost(&heard));
        }
        Err(heard.fault().unwrap_or_else(|| missing("ForkAuthenticationRequest")))
    }

    async fn log_in(&mut self, email: &SecretString, password: &SecretString) -> Result<(), BackendError> {
        let now = (self.inner.now)();
        let hash = user_hash(password);
        let attempt = digest(&[email.expose_secret(), hash.expose_secret()]);
        if let Some((_, until)) =
            self.turn.refused.as_ref().filter(|(refused, until)| *refused == attempt && now < *until)
        {
            return Err(BackendError::Unauthorised(Clean::from(format!(
                "the login was refused: not tried again before {} unless e-mail or password change",
                until.format("%H:%M UTC")
            ))));
        }
        let mut code = if self.turn.needs_code { Some(self.code().await?) } else { None };
        loop {
            let mut body = json!({"name": SESSION_NAME, "tokenExpirationHours": LIFE_HOURS});
            if let Some(code) = &code {
                body["tFACode"] = Value::from(code.expose_secret());
            }
            self.inner.bucket().draw(now);
            let heard = self
                .exchange(None, "CreateAuthenticationRequest", &body, false, Some((email, &hash)))
                .await?;
            if let Some(token) = heard.rotation() {
                self.stored.own = Some(Held {
                    expires: heard.expires(),
                    authorised: heard.authorised() && heard.fault().is_none(),
                    ..Held::new(token.clone(), heard.answer.at)
                });
                self.stored.lost = None;
                self.keep_or_remember().await;
                self.notice(&heard);
                return Ok(());
            }
            if code.is_none() && heard.wants_code() {
                self.turn.needs_code = true;
                code = Some(self.code().await?);
                continue;
            }
            self.stored.lost.get_or_insert(Lost { at: now, after: None });
            let fault = heard.fault().unwrap_or_else(|| missing("CreateAuthenticationRequest"));
            if matches!(fault, BackendError::Unauthorised(_) | BackendError::Forbidden(_)) && code.is_none() {
                self.turn.refused = Some((attempt, now + LOGIN_PAUSE));
            }
            return Err(fault);
        }
    }

    /// Gives the second factor to a session that lacks it.
    async fn authorise(&mut self) -> Result<(), BackendError> {
        self.turn.needs_code = true;
        let code = self.code().await?;
        self.inner.bucket().draw((self.inner.now)());
        let body = json!({"tFACode": code.expose_secret()});
        let heard = self.ask("PrivilegeAuthenticationRequest", &body, true).await?;
        if heard.token_refused() {
            self.stored.own = None;
            self.keep().await?;
        }
        if let Some(fault) = heard.fault() {
            return Err(match fault {
                BackendError::Unauthorised(words)
                | BackendError::Forbidden(words)
                | BackendError::Refused { message: words, .. } => BackendError::Unauthorised(Clean::from(
                    format!("the second factor: {words}; each code works once, try again with a new one"),
                )),
                fault => fault,
            });
        }
        if !heard.authorised() {
            return Err(BackendError::Unauthorised(
                "the second factor was not accepted: each code works once, try again with a new one".into(),
            ));
        }
        if let Some(own) = &mut self.stored.own {
            own.authorised = true;
        }
        self.keep().await
    }

    /// A second factor that has not been sent before; noted as sent.
    async fn code(&mut self) -> Result<SecretString, BackendError> {
        let name = &self.inner.name;
        let code = credential(self.inner.credentials.as_ref(), "second_factor").await?.ok_or_else(|| {
            BackendError::Credential(Clean::from(format!(
                "a second factor is needed: run `vigie endpoints test {name}` at a terminal, where it is \
                 asked for"
            )))
        })?;
        let digest = digest(&[&self.key, code.expose_secret().trim()]);
        if self.stored.spent_code.as_ref() == Some(&digest) {
            return Err(BackendError::Credential(Clean::from(format!(
                "the second factor was used before, and each code works once: run `vigie endpoints test \
                 {name}` with a new one"
            ))));
        }
        self.stored.spent_code = Some(digest);
        self.keep().await?;
        Ok(SecretString::from(code.expose_secret().trim()))
    }

    fn own_token(&self) -> Option<Token> {
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
    fn lost(&self, heard: &Heard) -> BackendError {
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
    fn notice(&self, heard: &Heard) {
        if let Ok(envelope) = &heard.envelope
            && !envelope.sets.is_empty()
        {
            self.inner.face().tables = envelope.tables;
        }
    }

    /// Writes what is kept; nothing may be sent if that fails.
    async fn keep(&mut self) -> Result<(), BackendError> {
        self.stored.serial += 1;
        let Some(store) = &self.store else {
            self.turn.unwritten = Some((self.key.clone(), self.stored.clone()));
            return Ok(());
        };
        store.write(&self.stored).await.map_err(|error| unkept(store, &error))?;
        self.turn.unwritten = None;
        self.inner.face().unkept = None;
        Ok(())
    }

    /// Writes what an answer brought; where that fails it is at least not forgotten while we run.
    async fn keep_or_remember(&mut self) {
        if let Err(error) = self.keep().await {
            self.turn.unwritten = Some((self.key.clone(), self.stored.clone()));
            self.inner.face().unkept = Some(Clean::from(format!("{error}: kept in memory only")));
        }
    }
}

/// The next token of the parent, and that of the child: told apart by the columns beside them.
fn family(heard: &Heard) -> (Option<SecretString>, Option<SecretString>) {
    let rows = heard.rows();
    let columns = |found: &Found| found.set.and_then(|set| rows.get(set)?.get(found.row));
    let is_child = |found: &&Found| {
        columns(found)
            .is_some_and(|row| row.contains_key("parentRequestId") || row.contains_key("tokenExpiration"))
    };
    let child =
        heard.found.iter().find(is_child).or_else(|| heard.found.iter().filter(|f| f.set.is_some()).nth(1));
    let place = child.map(|found| (found.set, found.row));
    let parent = heard.found.iter().find(|found| Some((found.set, found.row)) != place);
    (parent.map(|found| found.token.clone()), child.map(|found| found.token.clone()))
}

fn missing(procedure: &str) -> BackendError {
    BackendError::Protocol { path: Clean::line(procedure), detail: "it brought no token".into() }
}

fn unkept(store: &Store, error: &std::io::Error) -> BackendError {
    BackendError::Credential(Clean::from(format!(
        "the session can't be kept in {}: {error}",
        store.path().display()
    )))
}

/// A date with or without a zone; without one it is UTC.
pub fn instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    DateTime::parse_from_rfc3339(text).map(|date| date.to_utc()).ok().or_else(|| {
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
            .map(|date| date.and_utc())
    })
}
