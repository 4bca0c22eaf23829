//! What can go wrong with an endpoint, in the operator's words.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::model::{Clean, Health};

/// Why a request brought no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No connection: refused, no route, unknown host.
    #[error("{0}")]
    Unreachable(Clean),
    /// No answer within the limit.
    #[error("no answer within {}", crate::model::duration_text(after.as_secs().max(1)))]
    TimedOut {
        /// The limit.
        after: Duration,
    },
    /// The connection broke after the request had left.
    #[error("the connection broke: {0}")]
    Broken(Clean),
    /// TLS could not be agreed on.
    #[error("TLS: {0}")]
    Tls(Clean),
    /// 401, or a session that is lost.
    #[error("the credentials are refused: {0}")]
    Unauthorised(Clean),
    /// A credential could not be read, or has expired.
    #[error("{0}")]
    Credential(Clean),
    /// 403: known, but not permitted.
    #[error("not permitted: {0}")]
    Forbidden(Clean),
    /// 404.
    #[error("not found: {0}")]
    NotFound(Clean),
    /// 409, or a state that forbids it.
    #[error("refused: {0}")]
    Conflict(Clean),
    /// Another 4xx: the request itself was refused.
    #[error("refused with status {status}: {message}")]
    Refused {
        /// The status.
        status: u16,
        /// What the endpoint said.
        message: Clean,
    },
    /// 429, or 503 with `Retry-After`.
    #[error("too many requests: {message}")]
    RateLimited {
        /// How long to wait, where the endpoint says.
        after: Option<Duration>,
        /// What the endpoint said.
        message: Clean,
    },
    /// 5xx.
    #[error("the endpoint failed with status {status}: {message}")]
    Server {
        /// The status.
        status: u16,
        /// What the endpoint said.
        message: Clean,
    },
    /// It answers 200 and says that it failed.
    #[error("{0}")]
    Failed(Clean),
    /// Not what the protocol says: HTML, wrong types, truncated JSON.
    #[error("unexpected answer at {path}: {detail}")]
    Protocol {
        /// Where in the answer, as a JSON path or a request path.
        path: Clean,
        /// What is wrong.
        detail: Clean,
    },
    /// The body is over the limit.
    #[error("the answer is over the limit of {limit_mib} MiB")]
    TooLarge {
        /// The limit in MiB.
        limit_mib: u64,
    },
    /// A redirect that would leave the origin.
    #[error("redirected to another origin ({0}): set the url to where the endpoint really is")]
    Redirected(Clean),
    /// The system has nothing of the kind.
    #[error("{0}")]
    Unsupported(Clean),
}

/// An adapter can't be made from its endpoint's configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(pub Clean);

impl BuildError {
    /// Because of `reason`.
    pub(super) fn new(reason: String) -> Self {
        Self(Clean::from(reason))
    }
}

impl BackendError {
    /// Without any of `secrets` in its text.
    pub(super) fn without(mut self, secrets: &[SecretString]) -> Self {
        for text in self.texts() {
            for secret in secrets.iter().map(SecretString::expose_secret) {
                if !secret.is_empty() && text.contains(secret) {
                    *text = Clean::from(text.replace(secret, "(hidden)"));
                }
            }
        }
        self
    }

    /// What of it may quote the endpoint.
    fn texts(&mut self) -> Vec<&mut Clean> {
        match self {
            Self::Unreachable(text)
            | Self::Broken(text)
            | Self::Tls(text)
            | Self::Unauthorised(text)
            | Self::Credential(text)
            | Self::Forbidden(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::Failed(text)
            | Self::Redirected(text)
            | Self::Unsupported(text)
            | Self::Refused { message: text, .. }
            | Self::RateLimited { message: text, .. }
            | Self::Server { message: text, .. } => vec![text],
            Self::Protocol { path, detail } => vec![path, detail],
            Self::TimedOut { .. } | Self::TooLarge { .. } => Vec::new(),
        }
    }

    /// Whether a request that changes something may have had its effect all the same.
    #[must_use]
    pub const fn may_have_acted(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. }
                | Self::Broken(_)
                | Self::Protocol { .. }
                | Self::TooLarge { .. }
                | Self::Server { .. }
        )
    }

    /// How long the endpoint asks us to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { after, .. } => *after,
            _ => None,
        }
    }

    /// What a failed poll makes of the endpoint's health.
    #[must_use]
    pub const fn health(&self) -> Health {
        match self {
            Self::Unauthorised(_) | Self::Credential(_) | Self::Forbidden(_) => Health::Unauthorised,
            _ => Health::Down,
        }
    }
}
