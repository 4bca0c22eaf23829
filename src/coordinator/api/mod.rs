//! The coordinator over HTTP: the duplistatus surface at the root and the
//! native API under `/api/v1`.
//!
//! Handlers translate: a call into one call of the [`Engine`], its answer into
//! JSON, its refusal into a problem. What they say was done is on disk. Each
//! surface has its own form of errors: `{"error"}` at the root, problem details
//! (RFC 9457) under `/api`.

mod access;
mod audit;
mod changes;
mod coordinator;
mod duplistatus;
mod extract;
mod failed;
mod handling;
mod list;
mod openapi;
mod pings;
mod problem;
mod routes;
mod runs;
mod tasks;
#[cfg(test)]
mod tests;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
use routes::{List, Need, Routes};

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
    /// Calls so far.
    calls: AtomicU64,
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
            calls: AtomicU64::new(0),
            scheduling: options.scheduling,
            ends_with_consoles: options.linger.is_some(),
        }))
    }
}

impl Parts {
    /// The name of a call that has come: unique, also over restarts.
    fn next_call(&self) -> String {
        let count = self.calls.fetch_add(1, Ordering::Relaxed);
        format!("{:x}-{count:x}", self.started.timestamp_millis())
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
    routes(Routes::new(api)).into_router()
}

/// Every route, with what its callers need and what it is for.
fn routes<L: List>(list: L) -> L {
    coordinator_routes(work_routes(root_routes(list)))
}

/// Outside of the native API.
fn root_routes<L: List>(list: L) -> L {
    use Need::{AdminOfAll, Key, Nothing, Operator, ViewerOfAll};
    list
        .get("/health", Nothing, duplistatus::health)
        .about("Whether it serves, and what its tasks came to; with an `ETag`")
        .post("/trigger/{task}", Operator, duplistatus::trigger)
        .about("Run a task, and wait for its end, as duplistatus does")
        .post("/start/{task}", Operator, duplistatus::start)
        .about("Schedule a task again, as duplistatus does")
        .post("/stop/{task}", Operator, duplistatus::stop)
        .about("Stop scheduling a task, as duplistatus does")
        .post("/reload-config", AdminOfAll, duplistatus::reload_config)
        .about("Read the task file again, as duplistatus does")
        .get("/metrics", ViewerOfAll, coordinator::metrics)
        .about("The state and what was counted, for Prometheus")
        .get("/ping/{key}", Key, pings::whole)
        .about("A run is over, and good")
        .post("/ping/{key}", Key, pings::whole)
        .about("A run is over, and good")
        .get("/ping/{key}/", Key, pings::whole)
        .about("A run is over, and good")
        .post("/ping/{key}/", Key, pings::whole)
        .about("A run is over, and good")
        .get("/ping/{key}/{action}", Key, pings::action)
        .about("A run starts (`start`), has failed (`fail`), says something (`log`), or is over with an exit status")
        .post("/ping/{key}/{action}", Key, pings::action)
        .about("A run starts (`start`), has failed (`fail`), says something (`log`), or is over with an exit status")
}

/// Of tasks and runs.
fn work_routes<L: List>(list: L) -> L {
    use Need::{Admin, Operator, Viewer};
    list.get("/api/v1/tasks", Viewer, list::tasks)
        .about("All tasks, queues and open alerts, and the newest runs")
        .post("/api/v1/tasks", Admin, tasks::define)
        .about("Define a task, by the fields of tasks.toml")
        .get("/api/v1/tasks/{id}", Viewer, tasks::one)
        .about("A task, as it is now")
        .put("/api/v1/tasks/{id}", Admin, tasks::replace)
        .about("Define a task anew that was defined here")
        .delete("/api/v1/tasks/{id}", Admin, tasks::remove)
        .about("Take a task away that was defined here")
        .get("/api/v1/tasks/{id}/definition", Operator, tasks::definition)
        .about("A task as it was defined here")
        .post("/api/v1/tasks/{id}/archive", Operator, tasks::archive)
        .about("Put a task away that was defined or submitted here")
        .post("/api/v1/tasks/{id}/runs", Operator, tasks::trigger)
        .about("Run a task")
        .post("/api/v1/tasks/{id}/reports", Operator, tasks::report)
        .about("Tell of a run that is carried out elsewhere")
        .post("/api/v1/tasks/{id}/pause", Operator, tasks::pause)
        .about("Stop scheduling a task")
        .post("/api/v1/tasks/{id}/resume", Operator, tasks::resume)
        .about("Schedule a task again")
        .post("/api/v1/tasks/{id}/priority", Operator, tasks::priority)
        .about("Set the priority of a task's pending runs, and of those to come")
        .post("/api/v1/tasks/{id}/acknowledge", Operator, handling::acknowledge)
        .about("Take the open alerts of a task")
        .post("/api/v1/tasks/{id}/snooze", Operator, handling::snooze)
        .about("Put the alerts of a task off, until a time or its next good run")
        .post("/api/v1/tasks/{id}/silence", Operator, handling::silence_task)
        .about("Silence the alerts of a task for a while")
        .get("/api/v1/runs", Viewer, runs::list)
        .about("Runs, newest first, page by page")
        .post("/api/v1/runs", Operator, runs::submit)
        .about("Submit work that is wanted once")
        .get("/api/v1/runs/{id}", Viewer, runs::one)
        .about("A run, as it is now")
        .get("/api/v1/runs/{id}/log", Viewer, runs::log)
        .about("A piece of what a run has written")
        .post("/api/v1/runs/{id}/retry", Operator, runs::retry)
        .about("Run again what has ended badly")
        .post("/api/v1/runs/{id}/cancel", Operator, runs::cancel)
        .about("Take a run out of its queue, or stop it")
        .post("/api/v1/runs/{id}/priority", Operator, runs::priority)
        .about("Set the priority of a pending run")
}

/// Of the coordinator as a whole.
fn coordinator_routes<L: List>(list: L) -> L {
    use Need::{Admin, AdminOfAll, Operator, Viewer, ViewerOfAll};
    list.get("/api/v1/queues", Viewer, coordinator::queues)
        .about("Queues with their depths")
        .get("/api/v1/machines", Viewer, coordinator::machines)
        .about("Machines with their health and depths, the coordinator's own first")
        .get("/api/v1/alerts", Viewer, coordinator::alerts)
        .about("Open alerts, oldest first")
        .get("/api/v1/silences", Viewer, handling::list)
        .about("The silences that hold now, oldest first")
        .post("/api/v1/silences", Operator, handling::silence)
        .about("Silence the alerts that a matcher matches, also those to come, until a time")
        .get("/api/v1/silences/preview", Viewer, handling::preview)
        .about("The tasks and the open alerts that a silence would hold for")
        .delete("/api/v1/silences/{id}", Operator, handling::end)
        .about("End a silence")
        .get("/api/v1/flips", Viewer, coordinator::flips)
        .about("Transitions of states, newest first")
        .get("/api/v1/audit", ViewerOfAll, audit::list)
        .about("Who did what, newest first, page by page; with `after`, oldest first")
        .get("/api/v1/audit/ends", ViewerOfAll, audit::ends)
        .about("What the oldest row of the audit log builds on, and its newest row: to verify the rows by")
        .get("/api/v1/changes", Viewer, changes::since)
        .about("What changed since a cursor, at once or as soon as something does")
        .get("/api/v1/coordinator", Viewer, coordinator::about)
        .about("What the coordinator says of itself and of its caller")
        .get("/api/v1/lease", Viewer, coordinator::lease)
        .about("A stream that never ends: a console is there while it is open")
        .post("/api/v1/reload", AdminOfAll, coordinator::reload)
        .about("Read the task file again")
        .get("/api/v1/tokens", Admin, tokens::list)
        .about("Tokens, without what is secret of them")
        .post("/api/v1/tokens", Admin, tokens::create)
        .about("Make a token")
        .delete("/api/v1/tokens/{name}", Admin, tokens::revoke)
        .about("Revoke a token")
        .post("/api/v1/tokens/{name}/rotate", Admin, tokens::rotate)
        .about("Replace a token by a new one of its name")
        .get("/api/v1/openapi.json", Viewer, openapi::document)
        .about("This description")
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
