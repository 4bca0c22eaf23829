//! An answer as it was heard: its tokens, its facts, and what it means.

use chrono::{DateTime, NaiveDateTime, Utc};
use secrecy::SecretString;
use serde_json::Value;

use super::envelope::{self, Envelope, Found, Row, bit};
use super::reply::Reply;
use super::store::Held;
use super::verdict;
use crate::backend::BackendError;
use crate::backend::http::Answer;

/// An answer that was heard, its tokens not yet taken.
pub struct Heard {
    /// The answer.
    pub answer: Answer,
    /// Its tokens.
    pub found: Vec<Found>,
    /// What went with the request in confidence.
    pub sent: Vec<SecretString>,
    /// Its envelope, or why it is none.
    pub envelope: Result<Envelope, String>,
}

impl Heard {
    fn rows(&self) -> &[Vec<Row>] {
        self.envelope.as_ref().map_or(&[], |envelope| envelope.sets.as_slice())
    }

    pub fn rotation(&self) -> Option<&SecretString> {
        envelope::rotation(&self.found, self.rows())
    }

    /// What is wrong with it, without what was sent or came in confidence, should the endpoint quote it.
    pub fn fault(&self) -> Option<BackendError> {
        let fault = verdict::of(&self.answer, &self.envelope, self.rotation().is_some())?;
        let found = self.found.iter().map(|found| found.token.clone());
        Some(fault.without(&self.sent.iter().cloned().chain(found).collect::<Vec<_>>()))
    }

    /// The token was not good: nothing was done, and no other came.
    pub fn token_refused(&self) -> bool {
        self.rotation().is_none() && matches!(self.fault(), Some(BackendError::Unauthorised(_)))
    }

    /// A fact that the envelope or any row of it tells.
    fn fact(&self, column: &str) -> Option<&Value> {
        let envelope = self.envelope.as_ref().ok()?;
        let in_rows = envelope.sets.iter().flatten().find_map(|row| row.get(column));
        in_rows.or_else(|| envelope.top.get(column)).filter(|value| !value.is_null())
    }

    pub fn expires(&self) -> Option<DateTime<Utc>> {
        self.fact("tokenExpiration").and_then(Value::as_str).and_then(instant)
    }

    /// Whether the session may do anything. Silence is yes.
    pub fn authorised(&self) -> bool {
        bit(self.fact("isAuthorized")) != Some(false)
    }

    /// Whether a refused login wants a second factor.
    pub fn wants_code(&self) -> bool {
        let says = |text: &str| {
            let lower = text.to_ascii_lowercase();
            ["tfa", "2fa", "two-factor", "two factor", "second factor"].iter().any(|w| lower.contains(w))
        };
        let status = self.fact("authenticationStatus").and_then(Value::as_str);
        let text = self.envelope.as_ref().ok().and_then(|envelope| envelope.text.as_deref());
        bit(self.fact("isTFAEnabled")) == Some(true) || status.is_some_and(says) || text.is_some_and(says)
    }

    /// Takes the next token, or notes what the lack of one means.
    pub fn settle(&self, held: &mut Held, next: Option<SecretString>) {
        match next {
            Some(token) => held.renew(token),
            None if self.fault().is_none_or(|fault| fault.may_have_acted()) => held.unanswered(),
            // A clear no.
            None => held.stayed(),
        }
    }

    pub fn reply(self) -> Result<Reply, BackendError> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let server_time = self.answer.server_time();
        let sets = self.envelope.map(|envelope| envelope.sets).unwrap_or_default();
        Ok(Reply::new(sets, self.answer.at, self.answer.latency_ms, server_time))
    }

    /// The next token of the parent, and that of the child: told apart by the columns beside them.
    pub fn family(&self) -> (Option<SecretString>, Option<SecretString>) {
        let rows = self.rows();
        let columns = |found: &Found| found.set.and_then(|set| rows.get(set)?.get(found.row));
        let is_child = |found: &&Found| {
            columns(found)
                .is_some_and(|row| row.contains_key("parentRequestId") || row.contains_key("tokenExpiration"))
        };
        let child =
            self.found.iter().find(is_child).or_else(|| self.found.iter().filter(|f| f.set.is_some()).nth(1));
        let place = child.map(|found| (found.set, found.row));
        let parent = self.found.iter().find(|found| Some((found.set, found.row)) != place);
        (parent.map(|found| found.token.clone()), child.map(|found| found.token.clone()))
    }
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
