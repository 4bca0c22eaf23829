//! `/api/v1/audit`: who did what.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::wire::Audit;

use super::Api;
use super::extract::Params;
use super::problem::Failure;
use super::runs::within;

/// How many rows a page has if nobody says.
const PAGE: usize = 100;
/// How many rows a page has at most, whatever is asked for.
const MAX_PAGE: usize = 1_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PageParams {
    limit: Option<usize>,
    before: Option<u64>,
}

/// A page, newest first. One more is read than shown: that tells whether there is a next page.
pub(super) async fn list(
    State(api): State<Api>,
    Params(params): Params<PageParams>,
) -> Result<Json<Audit>, Failure> {
    let limit = within("limit", params.limit.unwrap_or(PAGE), MAX_PAGE)?;
    let mut rows = api.engine.audit(limit + 1, params.before).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.seq);
    Ok(Json(Audit { rows, next }))
}
