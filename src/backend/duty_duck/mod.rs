//! Duty Duck.

use async_trait::async_trait;

use super::http::Http;
use super::offers::{self, Offer, Offers, Reads};
use super::{
    Accepted, Backend, BackendError, BuildError, Call, Cursor, LogChunk, Polled, RunsQuery, Surroundings,
};
use crate::model::{
    AuditEntry, Capabilities, Clean, Deed, EndpointSpec, Kind, LogOf, Run, Snapshot, TaskId, Trace,
};

const NONE: Offer = Offer::No("not read yet");

/// What Duty Duck offers.
pub const OFFERS: Offers = Offers {
    reads: Reads { runs: NONE, log: NONE, queues: NONE, alerts: NONE, trace: NONE, audit: NONE },
    acts,
};

const fn acts(_deed: Deed) -> Offer {
    NONE
}

/// The adapter.
#[derive(Debug)]
pub struct DutyDuck {
    http: Http,
}

impl DutyDuck {
    /// The adapter for `spec`.
    ///
    /// # Errors
    /// [`BuildError`] if there is no usable URL.
    pub fn new(spec: &EndpointSpec, around: &Surroundings) -> Result<Self, BuildError> {
        let url = spec.url.as_deref().ok_or_else(|| BuildError::new("a url is needed".to_owned()))?;
        Ok(Self { http: Http::new(url, spec.timeout, &spec.tls, around.now)? })
    }
}

#[async_trait]
impl Backend for DutyDuck {
    fn kind(&self) -> Kind {
        Kind::DutyDuck
    }

    fn url(&self) -> Option<String> {
        Some(self.http.url())
    }

    fn endpoint_capabilities(&self) -> Capabilities {
        Capabilities::none("not read yet")
    }

    async fn poll(&self, _since: Option<&Cursor>) -> Result<Polled, BackendError> {
        let answer = self.http.get(&["health"]).send().await?;
        Ok(Polled { snapshot: Snapshot::unchanged(answer.at, answer.latency_ms), cursor: None })
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
