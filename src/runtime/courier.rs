//! Delivers reports of runs that are carried out elsewhere, now or out of the [spool](super::spool).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::credentials::Credentials;
use super::handle::seen_through;
use super::spool::{Spool, Waiting};
use super::{Places, shell};
use crate::backend::{self, Backend, BackendError, Surroundings};
use crate::model::{Clean, EndpointName, EndpointSpec};

/// So many of the spool are tried at once: what is refused there must not take all the time.
const BATCH: usize = 200;

/// Why a report did not get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// For people.
    pub reason: Clean,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a report that did not get there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The endpoint is away: it waits, and so does everything for this endpoint.
    Away,
    /// Something must be mended first, such as a token: it waits likewise.
    Barred,
    /// It may be taken later, as when its task is made: it waits, others need not.
    Later,
    /// It never will be taken.
    Refused,
}

/// What became of those in the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Delivered.
    pub delivered: usize,
    /// Refused for good, and removed.
    pub refused: usize,
}

/// Knows the endpoints, and brings them reports.
#[derive(Debug)]
pub struct Courier {
    endpoints: Vec<EndpointSpec>,
    places: Places,
    backends: BTreeMap<EndpointName, Arc<dyn Backend>>,
    tracker: TaskTracker,
}

impl Courier {
    /// For these endpoints.
    #[must_use]
    pub fn new(endpoints: Vec<EndpointSpec>, places: Places) -> Self {
        Self { endpoints, places, backends: BTreeMap::new(), tracker: TaskTracker::new() }
    }

    /// Brings one report to its endpoint.
    ///
    /// # Errors
    /// Why it is not there, and what becomes of it.
    pub async fn deliver(&mut self, waiting: &Waiting) -> Result<(), Undelivered> {
        let spec = self.endpoint(waiting.endpoint.as_ref())?.clone();
        let backend = self.backend(&spec)?;
        backend.report(&waiting.task, &waiting.report).await.map_err(|error| Undelivered {
            reason: Clean::from(format!("{}: {error}", spec.name)),
            fate: fate(&error),
        })
    }

    /// Brings what waits in the spool, oldest first. An endpoint that is away
    /// is tried once.
    pub async fn deliver_all(&mut self, spool: &Spool) -> Round {
        let mut round = Round::default();
        let mut away: BTreeSet<Option<EndpointName>> = BTreeSet::new();
        let mut tried = 0;
        for ticket in spool.tickets() {
            let Some(waiting) = spool.read(&ticket) else { continue };
            if away.contains(&waiting.endpoint) {
                continue;
            }
            tried += 1;
            if tried > BATCH {
                break;
            }
            match self.deliver(&waiting).await {
                Ok(()) => {
                    round.delivered += 1;
                    spool.remove(&ticket);
                }
                Err(Undelivered { fate: Fate::Refused, reason }) => {
                    round.refused += 1;
                    tracing::warn!(%reason, task = %waiting.task, "a report that waited is refused");
                    spool.remove(&ticket);
                }
                Err(Undelivered { fate: Fate::Later, .. }) => {}
                Err(Undelivered { fate: Fate::Away | Fate::Barred, .. }) => {
                    away.insert(waiting.endpoint);
                }
            }
        }
        round
    }

    fn endpoint(&self, name: Option<&EndpointName>) -> Result<&EndpointSpec, Undelivered> {
        let known = || {
            let names: Vec<&str> = self.endpoints.iter().map(|spec| spec.name.as_raw()).collect();
            names.join(", ")
        };
        let (found, missing) = match name {
            Some(name) => (
                self.endpoints.iter().find(|spec| spec.name == *name),
                format!("no endpoint {name}; there are: {}", known()),
            ),
            None => (
                self.endpoints.iter().find(|spec| backend::offers(spec.kind).reports.refusal().is_none()),
                format!("none of the endpoints takes reports of runs; there are: {}", known()),
            ),
        };
        let spec = found.ok_or_else(|| Undelivered { reason: Clean::from(missing), fate: Fate::Barred })?;
        match backend::offers(spec.kind).reports.refusal() {
            None => Ok(spec),
            Some(reason) => {
                let reason = Clean::from(format!("{}: {reason}", spec.name));
                Err(Undelivered { reason, fate: Fate::Refused })
            }
        }
    }

    fn backend(&mut self, spec: &EndpointSpec) -> Result<Arc<dyn Backend>, Undelivered> {
        if let Some(backend) = self.backends.get(&spec.name) {
            return Ok(Arc::clone(backend));
        }
        let around = Surroundings {
            credentials: Arc::new(Credentials::of(spec, self.places.vault.clone(), None)),
            data: Some(self.places.data.clone()),
            state: Some(self.places.state.clone()),
            now: shell::now,
            spawn: seen_through(&self.tracker),
        };
        let backend = backend::build(spec, &around).map_err(|error| Undelivered {
            reason: Clean::from(format!("{}: {error}", spec.name)),
            fate: Fate::Barred,
        })?;
        self.backends.insert(spec.name.clone(), Arc::clone(&backend));
        Ok(backend)
    }
}

const fn fate(error: &BackendError) -> Fate {
    match error {
        BackendError::Unreachable(_)
        | BackendError::TimedOut { .. }
        | BackendError::Broken(_)
        | BackendError::RateLimited { .. }
        | BackendError::Server { .. }
        | BackendError::Protocol { .. }
        | BackendError::TooLarge { .. } => Fate::Away,
        BackendError::Tls(_)
        | BackendError::Redirected(_)
        | BackendError::Unauthorised(_)
        | BackendError::Credential(_)
        | BackendError::Forbidden(_) => Fate::Barred,
        BackendError::NotFound(_) => Fate::Later,
        BackendError::Conflict(_)
        | BackendError::Refused { .. }
        | BackendError::Failed(_)
        | BackendError::Unsupported(_) => Fate::Refused,
    }
}
