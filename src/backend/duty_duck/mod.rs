//! Duty Duck: tasks that report their runs, HTTP monitors, and incidents of both.
//!
//! `wire` (its JSON) → `convert` and `incidents` (pure, to the model) → `poll`,
//! `details` and `acts` (the calls, all through `client`). `rights` is what
//! the token may do, `memory` what is kept between polls, `reasons` what is
//! offered and why not.

mod acts;
mod client;
mod convert;
mod details;
mod incidents;
mod memory;
mod poll;
mod reasons;
mod rights;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::http::Http;
use super::offers;
use super::{
    Accepted, Backend, BackendError, BuildError, Call, Cursor, LogChunk, Polled, RunsQuery, Surroundings,
};
use crate::model::{AuditEntry, Capabilities, Clean, EndpointSpec, Kind, LogOf, Run, TaskId, Trace};
use crate::wire::Report;
use client::Client;
use memory::Memory;
use rights::{Rights, Scope};

pub use reasons::OFFERS;

/// The adapter.
#[derive(Debug)]
pub struct DutyDuck {
    client: Client,
    rights: Mutex<Rights>,
    memory: Mutex<Memory>,
    /// Held by monitor from reading its state until its toggle is verified.
    toggles: Mutex<HashMap<TaskId, Arc<tokio::sync::Mutex<()>>>>,
}

impl DutyDuck {
    /// The adapter for `spec`.
    ///
    /// # Errors
    /// [`BuildError`] if there is no usable URL.
    pub fn new(spec: &EndpointSpec, around: &Surroundings) -> Result<Self, BuildError> {
        let url = spec.url.as_deref().ok_or_else(|| BuildError::new("a url is needed".to_owned()))?;
        let http = Http::new(url, spec.timeout, &spec.tls, around.now)?;
        let client = Client::new(http, Arc::clone(&around.credentials), spec.timeout, around.now);
        Ok(Self { client, rights: Mutex::default(), memory: Mutex::default(), toggles: Mutex::default() })
    }

    fn rights(&self) -> MutexGuard<'_, Rights> {
        self.rights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from an answer what the token may do, and says when it ended, where it has.
    fn noted<T>(&self, scope: Scope, result: Result<T, BackendError>) -> Result<T, BackendError> {
        let mut rights = self.rights();
        match result {
            Ok(answer) => {
                rights.granted(scope);
                Ok(answer)
            }
            Err(BackendError::Forbidden(message)) => {
                rights.refused(scope);
                Err(BackendError::Forbidden(message))
            }
            Err(BackendError::Unauthorised(message)) => {
                rights.lost();
                let ended = rights.expires().filter(|end| *end <= self.client.now());
                Err(BackendError::Unauthorised(match ended {
                    Some(end) => Clean::from(format!("{message} (it ended {})", convert::instant(end))),
                    None => message,
                }))
            }
            Err(other) => Err(other),
        }
    }
}

#[async_trait]
impl Backend for DutyDuck {
    fn kind(&self) -> Kind {
        Kind::DutyDuck
    }

    fn url(&self) -> Option<String> {
        Some(self.client.url())
    }

    fn endpoint_capabilities(&self) -> Capabilities {
        reasons::of_the_endpoint()
    }

    async fn poll(&self, _since: Option<&Cursor>) -> Result<Polled, BackendError> {
        self.look().await
    }

    async fn runs(&self, query: &RunsQuery) -> Result<Vec<Run>, BackendError> {
        self.read_runs_of(query).await
    }

    async fn log(&self, of: &LogOf, offset: u64) -> Result<LogChunk, BackendError> {
        self.read_log(of, offset).await
    }

    async fn trace(&self, task: &TaskId) -> Result<Trace, BackendError> {
        self.read_trace(task).await
    }

    async fn audit(&self, _limit: usize) -> Result<Vec<AuditEntry>, BackendError> {
        Err(offers::refused(OFFERS.reads.audit))
    }

    async fn execute(&self, call: &Call) -> Result<Accepted, BackendError> {
        self.act(call).await
    }

    async fn report(&self, task: &TaskId, report: &Report) -> Result<(), BackendError> {
        self.pass_on(task, report).await
    }

    fn preview(&self, call: &Call) -> Clean {
        self.shown(call)
    }
}

#[cfg(test)]
mod tests;
