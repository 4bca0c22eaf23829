//! The calls about a coordinator's own audit log: all of its rows, and what
//! they are verified by.

use std::sync::Arc;

use super::super::{BackendError, BuildError, CredentialSource, Now};
use super::path;
use super::session::Locator;
use crate::model::EndpointSpec;
use crate::wire::{Audit, AuditEnds};

/// Rows in a page: the most that a coordinator gives.
const PAGE: &str = "1000";

/// Reads a coordinator's audit log from its beginning.
#[derive(Debug)]
pub struct AuditCalls {
    locator: Locator,
}

impl AuditCalls {
    /// For the coordinator of `spec`, which has a URL.
    ///
    /// # Errors
    /// [`BuildError`] for a URL or TLS file that can't be used.
    pub fn new(
        spec: &EndpointSpec,
        credentials: Arc<dyn CredentialSource>,
        now: Now,
    ) -> Result<Self, BuildError> {
        Ok(Self { locator: Locator::new(spec, credentials, None, now)? })
    }

    /// The rows after the one with this number, oldest first; from 0 on.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn after(&self, seq: u64) -> Result<Audit, BackendError> {
        let after = seq.to_string();
        let sent = self
            .locator
            .send(|session| session.get(&path(&["audit"])).query("limit", PAGE).query("after", &after));
        sent.await?.json()
    }

    /// Both ends of it.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn ends(&self) -> Result<AuditEnds, BackendError> {
        self.locator.send(|session| session.get(&path(&["audit", "ends"]))).await?.json()
    }
}
