//! How a session begins: forked from the configured one, or logged in; and how it goes on past its end.

use std::sync::Arc;

use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::desk::{Bearer, Desk, SESSION_NAME};
use super::given::{Given, credential, digest, user_hash};
use super::store::{Held, LIFE, Lost};
use super::verdict;
use crate::backend::BackendError;
use crate::model::Clean;

/// After a renewal that went wrong the next one waits so long.
const RENEW_PAUSE: TimeDelta = TimeDelta::minutes(15);
/// After a refused login the same credentials wait so long, so that no account is locked.
const LOGIN_PAUSE: TimeDelta = TimeDelta::minutes(5);
/// No more sessions than this are begun in [`BEGIN_SPAN`]: something else is wrong when each is lost at once,
/// and each stays in Rediacc's list for a month.
const BEGIN_MOST: usize = 10;
/// See [`BEGIN_MOST`].
const BEGIN_SPAN: TimeDelta = TimeDelta::hours(1);

impl Desk<'_> {
    /// Makes sure of a session, and of one that does not end soon.
    pub(super) async fn ready(&mut self) -> Result<(), BackendError> {
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
        let now = (self.inner.now)();
        // What a clock that was set back dates in the future is not of late.
        self.stored.begun.retain(|at| (now - BEGIN_SPAN..=now).contains(at));
        if self.stored.begun.len() >= BEGIN_MOST
            && let Some(oldest) = self.stored.begun.first()
        {
            let again = *oldest + BEGIN_SPAN;
            return Err(BackendError::RateLimited {
                after: (again - now).to_std().ok(),
                message: Clean::from(format!(
                    "{BEGIN_MOST} sessions were begun within an hour and each was lost: no other before {}",
                    again.format("%H:%M UTC")
                )),
            });
        }
        match &*Arc::clone(&self.given) {
            Given::Token(token) => self.fork(token).await,
            Given::Login { email, password } => self.log_in(email, password).await,
        }?;
        self.sweep().await;
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
        let body = json!({"childName": SESSION_NAME, "tokenExpirationHours": LIFE.num_hours()});
        let heard =
            self.exchange(Some(Bearer::Parent), "ForkAuthenticationRequest", &body, false, None).await?;
        let (parent, child) = heard.family();
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
            self.stored.begun.push(now);
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
        if let Some((_, until, said)) =
            self.turn.refused.as_ref().filter(|(refused, until, _)| *refused == attempt && now < *until)
        {
            return Err(BackendError::Unauthorised(Clean::from(format!(
                "the login was refused ({said}): not tried again before {} unless e-mail or password change",
                until.format("%H:%M UTC")
            ))));
        }
        let mut code = if self.turn.needs_code { Some(self.code().await?) } else { None };
        loop {
            let mut body = json!({"name": SESSION_NAME, "tokenExpirationHours": LIFE.num_hours()});
            if let Some(code) = &code {
                body["tFACode"] = Value::from(code.expose_secret());
            }
            self.inner.bucket().draw(now);
            let heard = self
                .exchange(None, "CreateAuthenticationRequest", &body, false, Some((email, &hash)))
                .await?;
            if let Some(token) = heard.rotation() {
                self.stored.begun.push(now);
                self.stored.own = Some(Held {
                    expires: heard.expires(),
                    // What can't be read for the most part says nothing of a second factor.
                    authorised: heard.authorised()
                        && heard.fault().is_none_or(|fault| fault.may_have_acted()),
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
                self.turn.refused = Some((attempt, now + LOGIN_PAUSE, verdict::said(&fault)));
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
}

fn missing(procedure: &str) -> BackendError {
    BackendError::Protocol { path: Clean::line(procedure), detail: "it brought no token".into() }
}
