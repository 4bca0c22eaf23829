//! `/api/v1/audit`: who did what.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::wire::{Audit, AuditEnds};

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
    /// Newest first, before this row.
    before: Option<u64>,
    /// Oldest first, after this row; 0: from the oldest on.
    after: Option<u64>,
}

/// A page. One more is read than shown: that tells whether there is a next page.
pub(super) async fn list(
    State(api): State<Api>,
    Params(params): Params<PageParams>,
) -> Result<Json<Audit>, Failure> {
    let limit = within("limit", params.limit.unwrap_or(PAGE), MAX_PAGE)?;
    let mut rows = match (params.before, params.after) {
        (Some(_), Some(_)) => {
            return Err(Failure::bad_parameter("before and after: one of the two will do".to_owned()));
        }
        (None, Some(after)) => api.engine.audit_after(limit + 1, after).await?,
        (before, None) => api.engine.audit(limit + 1, before).await?,
    };
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.seq);
    Ok(Json(Audit { rows, next }))
}

/// What the rows are verified by.
pub(super) async fn ends(State(api): State<Api>) -> Result<Json<AuditEnds>, Failure> {
    Ok(Json(api.engine.audit_ends().await?))
}
