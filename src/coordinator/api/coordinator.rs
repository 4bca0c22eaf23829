//! What the coordinator says of itself and of the whole: queues, alerts,
//! flips, leases, reload.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::wire::{Alerts, Coordinator, Done, Flips, Machines, Queues};

use super::super::engine::Actor;
use super::super::tokens::Token;
use super::Api;
use super::extract::Params;
use super::problem::Failure;
use super::runs::within;
use super::tasks::{done, you};

/// How many flips come if nobody says.
const FLIPS: usize = 100;
/// How many flips come at most.
const MAX_FLIPS: usize = 1_000;
/// How often a lease shows that it is alive.
const BEAT: Duration = Duration::from_secs(15);
/// So many consoles at once.
const MAX_CONSOLES: usize = 256;

pub(super) async fn queues(State(api): State<Api>, Extension(actor): Extension<Actor>) -> Json<Queues> {
    Json(Queues { queues: actor.queues(&api.engine.view()) })
}

pub(super) async fn machines(State(api): State<Api>, Extension(actor): Extension<Actor>) -> Json<Machines> {
    Json(Machines { machines: actor.machines(&api.engine.view()) })
}

pub(super) async fn alerts(State(api): State<Api>, Extension(actor): Extension<Actor>) -> Json<Alerts> {
    Json(Alerts { alerts: actor.alerts(&api.engine.view()) })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FlipsParams {
    limit: Option<usize>,
}

pub(super) async fn flips(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Params(params): Params<FlipsParams>,
) -> Result<Json<Flips>, Failure> {
    let limit = within("limit", params.limit.unwrap_or(FLIPS), MAX_FLIPS)?;
    Ok(Json(Flips { flips: api.engine.seen_by(&actor).flips(limit).await? }))
}

pub(super) async fn about(State(api): State<Api>, Extension(actor): Extension<Actor>) -> Json<Coordinator> {
    Json(Coordinator {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        started: api.started,
        scheduling: api.scheduling,
        ends_with_consoles: api.ends_with_consoles,
        consoles: api.leases.count(),
        you: Some(you(&actor)),
    })
}

/// What Prometheus reads: the state, and what was counted.
pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, Failure> {
    let database = api.engine.database_size().await;
    let text = api.engine.metrics().text(&api.engine.view(), api.clock.now(), database);
    // Writing to memory does not fail.
    let text = text.unwrap_or_default();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// Line breaks, now and then, while the console is there, and its token is
/// good. The lease lives in the stream: it goes with the connection.
pub(super) async fn lease(
    State(api): State<Api>,
    token: Option<Extension<Arc<Token>>>,
) -> Result<Response, Failure> {
    if api.leases.count() >= MAX_CONSOLES {
        return Err(Failure::busy("too many consoles are open"));
    }
    let lease = api.leases.take();
    let (closing, now) = (api.closing.clone(), api.clock.now());
    let over = Box::pin(async move {
        let ended = async {
            match token {
                Some(Extension(token)) => token.ended(now).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! { () = ended => {} () = closing.cancelled() => {} }
    });
    let beats = stream::unfold((lease, tokio::time::interval(BEAT), over), async |mut state| {
        let more = tokio::select! {
            _ = state.1.tick() => true,
            () = state.2.as_mut() => false,
        };
        more.then_some((Ok::<_, Infallible>(Bytes::from_static(b"\n")), state))
    });
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(beats)).into_response())
}

pub(super) async fn reload(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Done>, Failure> {
    api.engine.reload(actor).await?;
    Ok(done("the tasks file was read again".to_owned()))
}
