//! `/api/v1/tokens`.

use axum::extract::State;
use axum::{Extension, Json};

use crate::wire::{Done, NewToken, RotateToken, TokenIssued, Tokens};

use super::super::engine::Actor;
use super::Api;
use super::extract::{Body, BodyOrDefault, Id};
use super::openapi::Created;
use super::problem::Failure;
use super::tasks::done;

pub(super) async fn list(State(api): State<Api>, Extension(actor): Extension<Actor>) -> Json<Tokens> {
    Json(Tokens { tokens: api.access.tokens().list(&actor) })
}

pub(super) async fn create(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Body(wish): Body<NewToken>,
) -> Result<Created<TokenIssued>, Failure> {
    let issued = api.access.tokens().create(wish, &actor, api.clock.now()).await?;
    Ok(Created(issued))
}

pub(super) async fn revoke(
    State(api): State<Api>,
    Id(name): Id,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Done>, Failure> {
    api.access.tokens().revoke(&name, &actor, api.clock.now()).await?;
    Ok(done(format!("the token {name} is revoked")))
}

pub(super) async fn rotate(
    State(api): State<Api>,
    Id(name): Id,
    Extension(actor): Extension<Actor>,
    BodyOrDefault(request): BodyOrDefault<RotateToken>,
) -> Result<Created<TokenIssued>, Failure> {
    let grace_s = request.grace_s.unwrap_or(0);
    let issued = api.access.tokens().rotate(&name, grace_s, &actor, api.clock.now()).await?;
    Ok(Created(issued))
}
