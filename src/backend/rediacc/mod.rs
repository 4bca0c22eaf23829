//! Rediacc.

mod session;

use async_trait::async_trait;

use super::offers::{self, Offer, Offers, Reads};
use super::{
    Accepted, Backend, BackendError, BuildError, Call, Cursor, LogChunk, Polled, RunsQuery, Surroundings,
};
use crate::model::{
    AuditEntry, Capabilities, Clean, Deed, EndpointSpec, Kind, LogOf, Run, Snapshot, TaskId, Trace,
};
use session::Session;

const NONE: Offer = Offer::No("not read yet");

/// What Rediacc offers.
pub const OFFERS: Offers = Offers {
    reads: Reads { runs: NONE, log: NONE, queues: NONE, alerts: NONE, trace: NONE, audit: NONE },
    acts,
};

const fn acts(_deed: Deed) -> Offer {
    NONE
}

/// The adapter.
#[derive(Debug)]
pub struct Rediacc {
    session: Session,
}

impl Rediacc {
    /// The adapter for `spec`.
    ///
    /// # Errors
    /// [`BuildError`] if there is no usable URL.
    pub fn new(spec: &EndpointSpec, around: &Surroundings) -> Result<Self, BuildError> {
        Ok(Self { session: Session::new(spec, around)? })
    }
}

#[async_trait]
impl Backend for Rediacc {
    fn kind(&self) -> Kind {
        Kind::Rediacc
    }

    fn url(&self) -> Option<String> {
        Some(self.session.url())
    }

    fn endpoint_capabilities(&self) -> Capabilities {
        Capabilities::none("not read yet")
    }

    async fn poll(&self, _since: Option<&Cursor>) -> Result<Polled, BackendError> {
        let health = self.session.health().await?;
        let mut snapshot = Snapshot::unchanged(health.at, health.latency_ms);
        (snapshot.version, snapshot.server_time) = (health.version, health.server_time);
        snapshot.remarks = self.session.remarks();
        Ok(Polled { snapshot, cursor: None })
    }

    async fn runs(&self, _query: &RunsQuery) -> Result<Vec<Run>, BackendError> {
        Err(offers::refused(OFFERS.reads.runs))
    }

    async fn log(&self, _of: &LogOf, _offset: u64) -> Result<LogChunk, BackendError> {
        Err(offers::refused(OFFERS.reads.log))
    }

    async fn trace(&self, _task: &TaskId) -> Result<Trace, BackendError> {
        Err(offers::refused(OFFERS.reads.trace))
    }

    async fn audit(&self, _limit: usize) -> Result<Vec<AuditEntry>, BackendError> {
        Err(offers::refused(OFFERS.reads.audit))
    }

    async fn execute(&self, call: &Call) -> Result<Accepted, BackendError> {
        Err(offers::refused(acts(call.deed)))
    }

    fn preview(&self, call: &Call) -> Clean {
        Clean::line(acts(call.deed).refusal().unwrap_or_default())
    }
}
