//! The calls about a coordinator's tokens: for the command line, which asks a
//! coordinator that is configured, or the one of a data directory.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::super::{BackendError, BuildError, CredentialSource, Now};
use super::path;
use super::session::Locator;
use crate::model::{Clean, EndpointSpec};
use crate::wire::{Done, NewToken, RotateToken, TokenInfo, TokenIssued, Tokens};

/// Asks a coordinator about its tokens, as an admin.
#[derive(Debug)]
pub struct TokenCalls {
    locator: Locator,
}

impl TokenCalls {
    /// For the coordinator of `spec`; without url, for that of the directory `data`.
    ///
    /// # Errors
    /// [`BuildError`] for a URL or TLS file that can't be used.
    pub fn new(
        spec: &EndpointSpec,
        credentials: Arc<dyn CredentialSource>,
        data: Option<PathBuf>,
        now: Now,
    ) -> Result<Self, BuildError> {
        Ok(Self { locator: Locator::new(spec, credentials, data, now)? })
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn list(&self) -> Result<Vec<TokenInfo>, BackendError> {
        let tokens: Tokens = self.locator.send(|session| session.get(&path(&["tokens"]))).await?.json()?;
        Ok(tokens.tokens)
    }

    /// Makes one.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn create(&self, wish: &NewToken) -> Result<TokenIssued, BackendError> {
        self.issue(&["tokens"], wish).await
    }

    /// Puts another in the place of one.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn rotate(&self, name: &str, how: &RotateToken) -> Result<TokenIssued, BackendError> {
        self.issue(&["tokens", name, "rotate"], how).await
    }

    /// Revokes one.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn revoke(&self, name: &str) -> Result<Clean, BackendError> {
        let segments = path(&["tokens", name]);
        let done: Done = self.locator.send(|session| session.delete(&segments)).await?.json()?;
        Ok(done.message)
    }

    async fn issue(
        &self,
        segments: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<TokenIssued, BackendError> {
        let segments = path(segments);
        self.locator.send(|session| session.post(&segments).json(body)).await?.json()
    }
}
