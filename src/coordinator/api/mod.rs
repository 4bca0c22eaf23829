//! The coordinator over HTTP: the duplistatus surface at the root and the
//! native API under `/api/v1`.
//!
//! Handlers translate: a call into one call of the [`Engine`], its answer into
//! JSON, its refusal into a problem. What they say was done is on disk. Each
//! surface has its own form of errors: `{"error"}` at the root, problem details
//! (RFC 9457) under `/api`.

mod access;
mod changes;
mod coordinator;
mod duplistatus;
mod extract;
mod failed;
mod list;
mod pings;
mod problem;
mod routes;
mod runs;
mod tasks;
#[cfg(test)]
mod tests;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::lease::Leases;
use super::tokens::Tokens;
use super::{Options, SharedClock};

use access::Access;
use problem::Failure;
use routes::{Need, Routes};

/// The size of a request's body, in bytes.
const MAX_BODY: usize = 1 << 20;
/// So many callers may wait for changes at once.
const MAX_WAITING: usize = 256;

/// What the handlers work with. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Api(Arc<Parts>);

/// The inside of [`Api`].
#[derive(Debug)]
pub(super) struct Parts {
    engine: Engine,
    clock: SharedClock,
    leases: Leases,
    /// Cancelled when the coordinator closes: whoever waits is answered.
    closing: CancellationToken,
    access: Access,
    /// Room for callers that wait for changes.
    waiting: Semaphore,
    started: DateTime<Utc>,
    scheduling: bool,
    ends_with_consoles: bool,
}

impl std::ops::Deref for Api {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Api {
    /// For a coordinator whose callers at this machine show `local_token`, others one of `tokens`.
    pub(super) fn new(
        engine: Engine,
        clock: SharedClock,
        leases: Leases,
        closing: CancellationToken,
        options: &Options,
        tokens: Tokens,
        local_token: &str,
    ) -> Self {
        let started = clock.now();
        Self(Arc::new(Parts {
            engine,
            clock,
            leases,
            closing,
            access: Access::new(local_token, tokens, options),
            waiting: Semaphore::new(MAX_WAITING),
            started,
            scheduling: options.scheduling,
            ends_with_consoles: options.linger.is_some(),
        }))
    }
}

/// One of the two ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surface {
    /// `/api/…`: problems are problem details.
    Native,
    /// Everything else: problems are `{"error"}`.
    Duplistatus,
}

impl Surface {
    fn of(uri: &Uri) -> Self {
        let path = uri.path();
        if path == "/api" || path.starts_with("/api/") { Self::Native } else { Self::Duplistatus }
    }

    /// A failure in the form that callers of this surface read.
    fn failed(self, failure: Failure) -> Response {
        match self {
            Self::Native => failure.into_response(),
            Self::Duplistatus => duplistatus::failed(&failure),
        }
    }
}

/// All routes, each behind the access check with what it needs.
pub(super) fn router(api: Api) -> Router {
    routes(api).into_router()
}

fn routes(api: Api) -> Routes {
    use Need::{Admin, AdminOfAll, Key, Nothing, Operator, Viewer, ViewerOfAll};
    Routes::new(api)
        .get("/health", Nothing, duplistatus::health)
        .post("/trigger/{task}", Operator, duplistatus::trigger)
        .post("/start/{task}", Operator, duplistatus::start)
        .post("/stop/{task}", Operator, duplistatus::stop)
        .post("/reload-config", AdminOfAll, duplistatus::reload_config)
        .get("/metrics", ViewerOfAll, coordinator::metrics)
        .get("/ping/{key}", Key, pings::whole)
        .post("/ping/{key}", Key, pings::whole)
        .get("/ping/{key}/", Key, pings::whole)
        .post("/ping/{key}/", Key, pings::whole)
        .get("/ping/{key}/{action}", Key, pings::action)
        .post("/ping/{key}/{action}", Key, pings::action)
        .get("/api/v1/tasks", Viewer, list::tasks)
        .post("/api/v1/tasks", Admin, tasks::define)
        .get("/api/v1/tasks/{id}", Viewer, tasks::one)
        .put("/api/v1/tasks/{id}", Admin, tasks::replace)
        .delete("/api/v1/tasks/{id}", Admin, tasks::remove)
        .get("/api/v1/tasks/{id}/definition", Operator, tasks::definition)
        .post("/api/v1/tasks/{id}/archive", Operator, tasks::archive)
        .post("/api/v1/tasks/{id}/runs", Operator, tasks::trigger)
        .post("/api/v1/tasks/{id}/reports", Operator, tasks::report)
        .post("/api/v1/tasks/{id}/pause", Operator, tasks::pause)
        .post("/api/v1/tasks/{id}/resume", Operator, tasks::resume)
        .post("/api/v1/tasks/{id}/priority", Operator, tasks::priority)
        .get("/api/v1/runs", Viewer, runs::list)
        .post("/api/v1/runs", Operator, runs::submit)
        .get("/api/v1/runs/{id}", Viewer, runs::one)
        .get("/api/v1/runs/{id}/log", Viewer, runs::log)
        .post("/api/v1/runs/{id}/retry", Operator, runs::retry)
        .post("/api/v1/runs/{id}/cancel", Operator, runs::cancel)
        .post("/api/v1/runs/{id}/priority", Operator, runs::priority)
        .get("/api/v1/queues", Viewer, coordinator::queues)
        .get("/api/v1/alerts", Viewer, coordinator::alerts)
        .get("/api/v1/flips", Viewer, coordinator::flips)
        .get("/api/v1/changes", Viewer, changes::since)
        .get("/api/v1/coordinator", Viewer, coordinator::about)
        .get("/api/v1/lease", Viewer, coordinator::lease)
        .post("/api/v1/reload", AdminOfAll, coordinator::reload)
        .get("/api/v1/tokens", Admin, tokens::list)
        .post("/api/v1/tokens", Admin, tokens::create)
        .delete("/api/v1/tokens/{name}", Admin, tokens::revoke)
        .post("/api/v1/tokens/{name}/rotate", Admin, tokens::rotate)
}

async fn wrong_method(request: Request) -> Response {
    match Surface::of(request.uri()) {
        Surface::Native => Failure::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "method not allowed",
            format!("{} does not take {}", request.uri().path(), request.method()),
        )
        .into_response(),
        // As duplistatus does: another method is another path.
        Surface::Duplistatus => duplistatus::nothing_here(&request),
    }
}

async fn nothing_here(request: Request) -> Response {
    match Surface::of(request.uri()) {
        Surface::Native => Failure::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "not found",
            format!("there is nothing at {}", request.uri().path()),
        )
        .into_response(),
        Surface::Duplistatus => duplistatus::nothing_here(&request),
    }
}
