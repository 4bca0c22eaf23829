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
mod pings;
mod problem;
mod runs;
mod tasks;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, Uri};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::lease::Leases;
use super::{Options, SharedClock};

use access::Access;
use problem::Failure;

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
    /// For a coordinator at `address` whose callers show `token`.
    pub(super) fn new(
        engine: Engine,
        clock: SharedClock,
        leases: Leases,
        closing: CancellationToken,
        options: &Options,
        address: SocketAddr,
        token: &str,
    ) -> Self {
        let started = clock.now();
        Self(Arc::new(Parts {
            engine,
            clock,
            leases,
            closing,
            access: Access::new(token, address, options.open_on_loopback),
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

/// All routes, behind the access check.
pub(super) fn router(api: Api) -> Router {
    Router::new()
        .route("/health", get(duplistatus::health))
        .route("/trigger/{task}", post(duplistatus::trigger))
        .route("/start/{task}", post(duplistatus::start))
        .route("/stop/{task}", post(duplistatus::stop))
        .route("/reload-config", post(duplistatus::reload_config))
        .route("/metrics", get(coordinator::metrics))
        .route("/ping/{key}", get(pings::whole).post(pings::whole))
        .route("/ping/{key}/", get(pings::whole).post(pings::whole))
        .route("/ping/{key}/{action}", get(pings::action).post(pings::action))
        .route("/api/v1/tasks", get(tasks::list))
        .route("/api/v1/tasks/{id}", get(tasks::one))
        .route("/api/v1/tasks/{id}/runs", post(tasks::trigger))
        .route("/api/v1/tasks/{id}/reports", post(tasks::report))
        .route("/api/v1/tasks/{id}/pause", post(tasks::pause))
        .route("/api/v1/tasks/{id}/resume", post(tasks::resume))
        .route("/api/v1/tasks/{id}/priority", post(tasks::priority))
        .route("/api/v1/runs", get(runs::list))
        .route("/api/v1/runs/{id}", get(runs::one))
        .route("/api/v1/runs/{id}/log", get(runs::log))
        .route("/api/v1/runs/{id}/retry", post(runs::retry))
        .route("/api/v1/runs/{id}/cancel", post(runs::cancel))
        .route("/api/v1/runs/{id}/priority", post(runs::priority))
        .route("/api/v1/queues", get(coordinator::queues))
        .route("/api/v1/alerts", get(coordinator::alerts))
        .route("/api/v1/flips", get(coordinator::flips))
        .route("/api/v1/changes", get(changes::since))
        .route("/api/v1/coordinator", get(coordinator::about))
        .route("/api/v1/lease", get(coordinator::lease))
        .route("/api/v1/reload", post(coordinator::reload))
        .method_not_allowed_fallback(wrong_method)
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(api.clone(), access::guard))
        .with_state(api)
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
