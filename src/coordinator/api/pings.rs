//! `/ping/KEY`: how jobs that run elsewhere tell of themselves, as clients of
//! healthchecks.io's ping API do (`/start`, `/fail`, `/log`, an exit status,
//! `rid`); its words and statuses are the same. Only keys, no slugs.
//!
//! The key is the right to call: no token. A body is output of the run: its
//! first 100 kB are kept, as there, and the rest is read away.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use crate::coordinator::domain::Sign;

use super::super::engine::{Ping, Refusal};
use super::Api;
use super::access::BODY_TIME;

/// So much of a body is kept, in bytes.
const KEPT: usize = 100_000;
/// So much of a body is read at most, in bytes.
const MAX_READ: usize = 64 << 20;
/// What answers say of [`KEPT`]: clients cut their output by it.
const LIMIT: HeaderValue = HeaderValue::from_static("100000");
/// An answer is for once.
const NEVER: HeaderValue = HeaderValue::from_static("no-cache, no-store, must-revalidate");

/// `/ping/KEY`: it is over, and good.
pub(super) async fn whole(
    State(api): State<Api>,
    key: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let key = key.map(|Path(key)| key).unwrap_or_default();
    take(&api, key, Sign::Ended { good: true, exit_code: None }, request).await
}

/// `/ping/KEY/ACTION`: `start`, `fail`, `log`, or an exit status.
pub(super) async fn action(
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    let Ok(Path((key, action))) = path else { return text(StatusCode::NOT_FOUND, "not found") };
    match sign(&action) {
        Ok(sign) => take(&api, key, sign, request).await,
        Err((status, words)) => text(status, words),
    }
}

fn sign(action: &str) -> Result<Sign, (StatusCode, &'static str)> {
    match action {
        "start" => Ok(Sign::Started),
        "fail" => Ok(Sign::Ended { good: false, exit_code: None }),
        "log" => Ok(Sign::Logged),
        _ if action.is_empty() || !action.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err((StatusCode::NOT_FOUND, "not found"))
        }
        code => match code.parse::<u8>() {
            Ok(code) => Ok(Sign::Ended { good: code == 0, exit_code: Some(code.into()) }),
            Err(_) => Err((StatusCode::BAD_REQUEST, "invalid url format")),
        },
    }
}

async fn take(api: &Api, key: String, sign: Sign, request: Request) -> Response {
    let rid = match rid(request.uri()) {
        Ok(rid) => rid,
        Err(words) => return text(StatusCode::BAD_REQUEST, words),
    };
    let output = match tokio::time::timeout(BODY_TIME, head(request.into_body())).await {
        Ok(Ok(output)) => output,
        Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, "the body could not be read"),
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
    };
    let ping = Ping { key, sign, rid, at: api.clock.now(), output };
    match api.engine.ping(ping).await {
        Ok(_) => text(StatusCode::OK, "OK"),
        Err(Refusal::NoTask(_)) => text(StatusCode::NOT_FOUND, "not found"),
        Err(refusal @ Refusal::Storage(_)) => text(StatusCode::SERVICE_UNAVAILABLE, &refusal.to_string()),
        Err(refusal) => text(StatusCode::CONFLICT, &refusal.to_string()),
    }
}

/// The `rid` of the query, in the one form that UUIDs are compared by. Other parameters are others' business.
fn rid(uri: &Uri) -> Result<Option<String>, &'static str> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let Some(rid) = pairs.filter_map(|pair| pair.strip_prefix("rid=")).next_back() else { return Ok(None) };
    let good = rid.len() == 36;
    let parsed = uuid::Uuid::try_parse(rid).ok().filter(|_| good);
    parsed.map(|uuid| Some(uuid.to_string())).ok_or("invalid uuid format")
}

/// The beginning of a body; the rest is read away.
async fn head(body: Body) -> Result<Vec<u8>, axum::Error> {
    let mut data = body.into_data_stream();
    let (mut kept, mut read) = (Vec::new(), 0_usize);
    while let Some(piece) = data.next().await {
        let piece = piece?;
        let room = KEPT.saturating_sub(kept.len()).min(piece.len());
        kept.extend_from_slice(&piece[..room]);
        read = read.saturating_add(piece.len());
        if read > MAX_READ {
            break;
        }
    }
    Ok(kept)
}

fn text(status: StatusCode, words: &str) -> Response {
    let mut response = (status, words.to_owned()).into_response();
    let headers = response.headers_mut();
    headers.insert("ping-body-limit", LIMIT);
    headers.insert(header::CACHE_CONTROL, NEVER);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_action_tells() {
        let ended = |good, exit_code| Ok(Sign::Ended { good, exit_code });
        for (action, told) in [
            ("start", Ok(Sign::Started)),
            ("log", Ok(Sign::Logged)),
            ("fail", ended(false, None)),
            ("0", ended(true, Some(0))),
            ("1", ended(false, Some(1))),
            ("255", ended(false, Some(255))),
            ("256", Err(400)),
            ("99999999999999999999", Err(400)),
            ("-1", Err(404)),
            ("", Err(404)),
            ("START", Err(404)),
            ("stop", Err(404)),
        ] {
            assert_eq!(sign(action).map_err(|(status, _)| status.as_u16()), told, "{action:?}");
        }
    }

    #[test]
    fn a_rid_is_a_uuid() {
        const RID: &str = "6bbea0f5-6a5c-4d3e-9a7c-0c2f0e7a1b22";
        let ask = |query: &str| rid(&format!("/ping/k{query}").parse().unwrap());
        assert_eq!(ask(""), Ok(None));
        assert_eq!(ask("?create=1"), Ok(None));
        assert_eq!(ask(&format!("?rid={RID}")), Ok(Some(RID.to_owned())));
        assert_eq!(ask(&format!("?a=b&rid={}", RID.to_uppercase())), Ok(Some(RID.to_owned())));
        for bad in ["?rid=", "?rid=1", "?rid=6bbea0f56a5c4d3e9a7c0c2f0e7a1b22", "?rid=%20"] {
            assert_eq!(ask(bad), Err("invalid uuid format"), "{bad}");
        }
    }
}
