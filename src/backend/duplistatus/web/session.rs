//! The session with the web application: a cookie and a CSRF token. Logs in
//! when there is none, once at a time over all processes, and never twice with
//! a password that was refused: five bad ones lock the account for everybody.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{COOKIE, HeaderName, SET_COOKIE};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::account::{Account, Keep, Pass};
use super::wire::{Csrf, LoggedIn, Refusal, User};
use crate::backend::http::{Answer, Http, Request};
use crate::backend::kept::Secret;
use crate::backend::{BackendError, CredentialSource, Now, Spawn, Surroundings};
use crate::model::Clean;

/// The name of the cookie.
const COOKIE_NAME: &str = "sessionId=";
/// The header that carries the token.
const TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
/// A token lives 30 minutes; from 25 on, another one is given.
const TOKEN_AGE: TimeDelta = TimeDelta::minutes(25);
/// How long an account is locked where the refusal does not say.
const LOCK: TimeDelta = TimeDelta::minutes(15);

/// The session, made when it is needed.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    http: Http,
    /// Whether the password may go over this connection.
    may_send: bool,
    credentials: Arc<dyn CredentialSource>,
    now: Now,
    spawn: Spawn,
    /// Held while somebody logs in: one at a time.
    held: Arc<tokio::sync::Mutex<Held>>,
    /// What others may know without waiting.
    known: Mutex<Known>,
}

struct Held {
    pass: Option<Arc<Pass>>,
    count: u64,
    keep: Keep,
}

/// What is known of the session.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Who is signed in.
    pub user: Option<User>,
    /// Why nobody is; `None` before the first attempt, too.
    pub why_not: Option<Clean>,
}

/// Only the place: nothing that could hold a secret, however its source prints itself.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("url", &self.0.http.url()).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Login<'a> {
    username: &'a str,
    password: &'a str,
}

/// What a login came to, beyond the transport.
enum Verdict {
    /// The cookie is the session's.
    In(User, SecretString),
    Bad(Clean),
    Locked {
        until: DateTime<Utc>,
        by_us: bool,
    },
}

impl Session {
    /// A session with `http`; `plain` permits a login that can be read on the way.
    pub fn new(http: Http, plain: bool, around: &Surroundings) -> Self {
        let may_send = plain || http.is_private();
        let held = Held { pass: None, count: 0, keep: Keep::new(around.state.clone()) };
        Self(Arc::new(Inner {
            may_send,
            credentials: Arc::clone(&around.credentials),
            now: around.now,
            spawn: Arc::clone(&around.spawn),
            held: Arc::new(tokio::sync::Mutex::new(held)),
            known: Mutex::default(),
            http,
        }))
    }

    /// The client, for what needs no session.
    pub fn http(&self) -> &Http {
        &self.0.http
    }

    /// Who is signed in, or why nobody is.
    pub fn known(&self) -> Known {
        self.0.known().clone()
    }

    /// Reads something. A session that is lost is made anew, once.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn read(
        &self,
        make: impl for<'a> Fn(&'a Http) -> Request<'a> + Send + Sync,
    ) -> Result<Answer, BackendError> {
        let pass = self.pass(None).await?;
        match self.admitted(&make, &pass).send().await {
            Err(BackendError::Unauthorised(_)) => {
                let pass = self.pass(Some(pass.serial)).await?;
                self.admitted(&make, &pass).send().await
            }
            other => other,
        }
    }

    /// Sends what changes something. It is sent once more only after an answer
    /// that proves that nothing was done: the session or the token is not known there.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn write(
        &self,
        make: impl for<'a> Fn(&'a Http) -> Request<'a> + Send + Sync,
    ) -> Result<Answer, BackendError> {
        let pass = self.pass(None).await?;
        let old = (self.0.now)() - pass.token_since >= TOKEN_AGE;
        let pass = if old { self.renewed(&pass).await? } else { pass };
        let send = async |pass: &Pass| self.admitted(&make, pass).secret(TOKEN, &pass.token.0).send().await;
        let again = match send(&pass).await {
            Err(BackendError::Unauthorised(_)) => self.pass(Some(pass.serial)).await?,
            Err(BackendError::Forbidden(why)) if why.contains("CSRF") => self.renewed(&pass).await?,
            other => return other,
        };
        send(&again).await
    }

    fn admitted<'a>(&'a self, make: &impl Fn(&'a Http) -> Request<'a>, pass: &Pass) -> Request<'a> {
        make(&self.0.http).secret(COOKIE, &pass.cookie.0)
    }

    /// What lets us in; not the one of the login `dead`.
    async fn pass(&self, dead: Option<u64>) -> Result<Arc<Pass>, BackendError> {
        let mut held = Arc::clone(&self.0.held).lock_owned().await;
        if let Some(pass) = &held.pass
            && dead != Some(pass.serial)
            && pass.is_young((self.0.now)())
        {
            return Ok(Arc::clone(pass));
        }
        let dead = held.pass.take();
        // Seen through to its end: a refusal that nobody hears would be asked for again.
        let (tell, told) = oneshot::channel();
        let inner = Arc::clone(&self.0);
        (self.0.spawn)(Box::pin(async move {
            let result = inner.log_in(held, dead.as_deref()).await;
            // Whoever asked may have gone.
            drop(tell.send(result));
        }));
        told.await.unwrap_or_else(|_| Err(BackendError::Broken("the login was given up".into())))
    }

    /// The same session with another token; another session where it is lost.
    async fn renewed(&self, pass: &Pass) -> Result<Arc<Pass>, BackendError> {
        let mut held = self.0.held.lock().await;
        match &held.pass {
            Some(current) if current.serial == pass.serial => {
                if current.token != pass.token {
                    return Ok(Arc::clone(current));
                }
            }
            _ => {
                drop(held);
                return self.pass(Some(pass.serial)).await;
            }
        }
        let answer = self.0.http.get(&["api", "csrf"]).secret(COOKIE, &pass.cookie.0).send().await?;
        let token = Secret(token_of(&answer)?);
        let stays = cookie(&answer).is_none_or(|cookie| Secret(cookie) == pass.cookie);
        if !stays || token == pass.token {
            drop(held);
            return self.pass(Some(pass.serial)).await;
        }
        let renewed = Arc::new(Pass { token, token_since: answer.at, ..pass.clone() });
        held.pass = Some(Arc::clone(&renewed));
        held.keep.renew(&renewed).await;
        Ok(renewed)
    }
}

impl Inner {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn log_in(
        &self,
        mut held: OwnedMutexGuard<Held>,
        dead: Option<&Pass>,
    ) -> Result<Arc<Pass>, BackendError> {
        let result = self.admission(&mut held.keep, dead).await;
        *self.known() = match &result {
            Ok(pass) => Known { user: Some(pass.user.clone()), why_not: None },
            Err(error) => Known { user: None, why_not: Some(Clean::from(error.to_string())) },
        };
        held.count += 1;
        let pass = Arc::new(Pass { serial: held.count, ..result? });
        held.pass = Some(Arc::clone(&pass));
        Ok(pass)
    }

    /// The session that another process has kept, or one of a login.
    async fn admission(&self, keep: &mut Keep, dead: Option<&Pass>) -> Result<Pass, BackendError> {
        if !self.may_send {
            return Err(BackendError::Credential(Clean::from(format!(
                "no login to {}: over plain HTTP to another machine, whoever is on the way could read the \
                 password and the session; use https, or set options.plain_http_login = true to take that risk",
                self.http.url()
            ))));
        }
        let username = self.credential("username").await?;
        let password = self.credential("password").await?;
        let account = Account {
            url: self.http.url(),
            username: username.expose_secret(),
            password: password.expose_secret(),
        };
        let name = Clean::line(account.username);
        let open = keep.open(&account).await;
        let now = (self.now)();
        if let Some(pass) = open.session(dead, now) {
            return Ok(pass);
        }
        if let Some(until) = open.locked_until(now) {
            return Err(locked(&name, until));
        }
        if open.was_refused(now) {
            return Err(not_again("Invalid username or password"));
        }
        // Without a cookie: asked with a dead one, it gives a token that is good for nothing.
        let answer = self.http.get(&["api", "csrf"]).send().await?;
        let cookie = cookie(&answer).ok_or_else(|| BackendError::Protocol {
            path: "/api/csrf".into(),
            detail: "no sessionId cookie in the answer".into(),
        })?;
        let at = answer.at;
        let token = token_of(&answer)?;
        // The application may quote what it refuses.
        let quoted = [password.clone(), token.clone(), value_of(&cookie)];
        let verdict = self.verdict(&account, cookie, &token).await;
        match verdict.map_err(|error| error.without(&quoted))? {
            Verdict::In(user, cookie) => {
                let (cookie, token) = (Secret(cookie), Secret(token));
                let pass = Pass { serial: 0, cookie, token, token_since: at, since: at, user };
                open.let_in(&pass).await;
                Ok(pass)
            }
            Verdict::Bad(why) => {
                open.refused(true, None, at).await;
                Err(not_again(&why).without(&quoted))
            }
            Verdict::Locked { until, by_us } => {
                open.refused(by_us, Some(until), at).await;
                Err(locked(&name, until))
            }
        }
    }

    async fn credential(&self, name: &str) -> Result<SecretString, BackendError> {
        match self.credentials.credential(name).await {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(BackendError::Credential(Clean::from(format!(
                "the web app needs username and password under auth: {name} is not configured"
            )))),
            Err(why) => Err(BackendError::Credential(Clean::from(why))),
        }
    }

    async fn verdict(
        &self,
        account: &Account<'_>,
        asked: SecretString,
        token: &SecretString,
    ) -> Result<Verdict, BackendError> {
        let answer = self
            .http
            .post(&["api", "auth", "login"])
            .secret(COOKIE, &asked)
            .secret(TOKEN, token)
            .json(&Login { username: account.username, password: account.password })
            .accept_refusals()
            .send()
            .await?;
        if answer.status.is_success() {
            // A body that breaks off is no proof that we are in.
            if let Some(fault) = answer.fault() {
                return Err(fault);
            }
            let cookie = cookie(&answer).unwrap_or(asked);
            let answer: LoggedIn = answer.json()?;
            return if answer.success {
                Ok(Verdict::In(answer.user, cookie))
            } else {
                Err(BackendError::Failed("the login did not succeed, and no reason was given".into()))
            };
        }
        let fault = answer.fault();
        // Also where a proxy refuses in its own words.
        let Ok(refusal) = answer.json::<Refusal>() else {
            return Err(fault.unwrap_or_else(|| BackendError::Failed("the login was refused".into())));
        };
        match refusal.error_code.as_deref() {
            Some("INVALID_CREDENTIALS") => Ok(Verdict::Bad(refusal.error)),
            Some("ACCOUNT_LOCKED") => {
                let told = refusal.locked_until.as_deref().and_then(|t| DateTime::parse_from_rfc3339(t).ok());
                let minutes = refusal.minutes_remaining.map(|minutes| TimeDelta::minutes(minutes.into()));
                // By its own clock: what that differs from ours is taken off.
                let ahead = answer.server_time().map_or(TimeDelta::zero(), |theirs| theirs - answer.at);
                let until =
                    told.map_or_else(|| answer.at + minutes.unwrap_or(LOCK), |until| until.to_utc() - ahead);
                // "Account is locked …" never looks at the password.
                let by_us = refusal.error.starts_with("Account locked");
                Ok(Verdict::Locked { until, by_us })
            }
            _ => Err(fault.unwrap_or(BackendError::Unauthorised(refusal.error))),
        }
    }
}

/// `sessionId=…` of the answer, whatever it is marked with: the mark Secure
/// comes over plain HTTP too, and whether we may send at all is decided before.
fn cookie(answer: &Answer) -> Option<SecretString> {
    let pairs = answer.headers(SET_COOKIE.as_str()).filter_map(|line| line.split(';').next());
    let mut ours = pairs.map(str::trim).filter(|pair| pair.starts_with(COOKIE_NAME));
    ours.find(|pair| pair.len() > COOKIE_NAME.len()).map(|pair| SecretString::from(pair.to_owned()))
}

/// The token of `/api/csrf`.
fn token_of(answer: &Answer) -> Result<SecretString, BackendError> {
    let Csrf { token } = answer.json()?;
    if token.is_empty() {
        return Err(BackendError::Protocol { path: "/api/csrf token".into(), detail: "it is empty".into() });
    }
    Ok(SecretString::from(token))
}

/// The part of a cookie that is secret.
fn value_of(cookie: &SecretString) -> SecretString {
    SecretString::from(cookie.expose_secret().trim_start_matches(COOKIE_NAME).to_owned())
}

fn not_again(why: &str) -> BackendError {
    BackendError::Unauthorised(Clean::from(format!(
        "{why}; this password is not tried again for a day, since five bad ones lock the account: change \
         auth.password, or what it reads from"
    )))
}

fn locked(username: &Clean, until: DateTime<Utc>) -> BackendError {
    BackendError::Unauthorised(Clean::from(format!(
        "the account {username} is locked until {} after bad passwords; nothing is tried before",
        until.format("%H:%M UTC")
    )))
}
