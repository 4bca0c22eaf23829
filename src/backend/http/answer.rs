//! An answer, read within bounds, and what its status means.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::{Accepts, BackendError, ERROR_BODY_LIMIT, Http, MIB, fault, said};
use crate::model::Clean;

/// What a call brought back: a status that its caller takes for an answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Vec<u8>,
    /// When it had arrived, by our clock.
    pub at: DateTime<Utc>,
    /// From sending to the last byte, in milliseconds.
    pub latency_ms: u64,
    headers: HeaderMap,
    path: Clean,
    /// Why the body is not whole.
    cut: Option<BackendError>,
}

impl Answer {
    /// A header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Every header of that name, as far as they are text.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// The endpoint's own clock: the `Date` header.
    pub fn server_time(&self) -> Option<DateTime<Utc>> {
        self.header(DATE.as_str()).and_then(http_date)
    }

    /// It is not what the protocol says, for the reason `why`.
    pub fn unlike(&self, why: &str) -> BackendError {
        BackendError::Protocol { path: self.path.clone(), detail: said::short(why) }
    }

    /// What is wrong with an answer that was taken although it is none: a status outside 2xx,
    /// or else a body that broke off.
    pub fn fault(&self) -> Option<BackendError> {
        if self.status.is_success() {
            return self.cut.clone();
        }
        let known = self.body.len().min(usize::try_from(ERROR_BODY_LIMIT).unwrap_or(usize::MAX));
        Some(refused(self.status, &self.headers, &self.body[..known], self.at, &self.path))
    }

    /// How long the endpoint asks us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.header(RETRY_AFTER.as_str()).and_then(|text| retry_after(text, self.at))
    }

    /// The body, decoded.
    ///
    /// # Errors
    /// [`BackendError::Protocol`] with the place in the JSON, or with the page's own words if it is HTML.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, BackendError> {
        serde_json::from_slice(&self.body).map_err(|error| self.undecodable::<T>(&error))
    }

    /// Why the body is no `T`. Decodes it once more, since keeping the path costs time.
    fn undecodable<T: DeserializeOwned>(&self, error: &serde_json::Error) -> BackendError {
        let whole =
            |detail: String| BackendError::Protocol { path: self.path.clone(), detail: Clean::from(detail) };
        if let Some(packing) = packing(&self.headers) {
            return whole(format!("it is compressed ({packing}), which was not asked for"));
        }
        if let Err(error) = std::str::from_utf8(&self.body) {
            return whole(format!("it is no UTF-8 from byte {} on", error.valid_up_to()));
        }
        if said::is_html(self.header(CONTENT_TYPE.as_str()), &self.body) {
            let page = said::message(None, &self.body).unwrap_or_else(|| "no text".into());
            return whole(format!("HTML instead of JSON: {page}"));
        }
        let mut reader = serde_json::Deserializer::from_slice(&self.body);
        let place = serde_path_to_error::deserialize::<_, T>(&mut reader).err().map(|e| e.path().to_string());
        let path = match place.as_deref() {
            None | Some(".") => self.path.clone(),
            Some(place) => Clean::from(format!("{} {place}", self.path)),
        };
        // It may quote what came, however long that is.
        BackendError::Protocol { path, detail: said::short(&error.to_string()) }
    }
}

/// Reads the body within its limit, and makes every status that is no answer an error.
/// `late` ends when there is no more time, with the words for that.
pub async fn read(
    mut response: Response,
    url: &Url,
    http: &Http,
    accepts: Accepts,
    started: DateTime<Utc>,
    late: impl Future<Output = BackendError>,
) -> Result<Answer, BackendError> {
    let status = response.status();
    if status.is_success() || accepts.status == Some(status) {
        let mut body = Vec::new();
        let cut = tokio::select! {
            read = read_body(&mut response, http.body_limit, accepts.anything, &mut body) => read.err(),
            late = late => Some(late),
        };
        if let (false, Some(error)) = (accepts.anything, &cut) {
            return Err(error.clone());
        }
        let at = (http.now)();
        let latency_ms = u64::try_from((at - started).num_milliseconds()).unwrap_or(0);
        let headers = std::mem::take(response.headers_mut());
        return Ok(Answer { status, body, at, latency_ms, headers, path: Clean::line(url.path()), cut });
    }
    let mut body = Vec::new();
    // The status alone is an answer: a body that breaks off only costs the message.
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = usize::try_from(ERROR_BODY_LIMIT).unwrap_or(usize::MAX).saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    let at = (http.now)();
    if accepts.anything {
        let latency_ms = u64::try_from((at - started).num_milliseconds()).unwrap_or(0);
        let (headers, path) = (std::mem::take(response.headers_mut()), Clean::line(url.path()));
        return Ok(Answer { status, body, at, latency_ms, headers, path, cut: None });
    }
    Err(refused(status, response.headers(), &body, at, url.path()))
}

/// Reads into `body` up to `limit`; what came before a failure is kept there.
/// With `anything` the beginning is read of what is known to be too long.
async fn read_body(
    response: &mut Response,
    limit: u64,
    anything: bool,
    body: &mut Vec<u8>,
) -> Result<(), BackendError> {
    let too_large = || BackendError::TooLarge { limit_mib: limit.div_ceil(MIB) };
    if response.content_length().is_some_and(|length| length > limit) {
        if anything && let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
        }
        return Err(too_large());
    }
    while let Some(chunk) = response.chunk().await.map_err(|e| fault::of_body(&e))? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(())
}

/// What an answer whose status is no answer means, in the endpoint's words.
fn refused(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: DateTime<Utc>,
    path: &str,
) -> BackendError {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let readable = packing(headers).is_none();
    let message = readable
        .then(|| said::message(text(CONTENT_TYPE), body))
        .flatten()
        .unwrap_or_else(|| Clean::line(status.canonical_reason().unwrap_or("no reason given")));
    let wait = text(RETRY_AFTER).and_then(|text| retry_after(text, now));
    refusal(status, wait, message, path)
}

/// How the body is compressed, if it is: nobody here asks for that, and nobody unpacks it.
fn packing(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .filter(|packing| !packing.is_empty() && !packing.eq_ignore_ascii_case("identity"))
}

/// What a status that is no answer means.
fn refusal(status: StatusCode, wait: Option<Duration>, message: Clean, path: &str) -> BackendError {
    match status.as_u16() {
        401 => BackendError::Unauthorised(message),
        403 => BackendError::Forbidden(message),
        404 => BackendError::NotFound(message),
        409 => BackendError::Conflict(message),
        429 => BackendError::RateLimited { after: wait, message },
        503 if wait.is_some() => BackendError::RateLimited { after: wait, message },
        status @ 400..=499 => BackendError::Refused { status, message },
        status @ 500..=599 => BackendError::Server { status, message },
        status => BackendError::Protocol {
            path: Clean::line(path),
            detail: Clean::from(format!("status {status} makes no sense here")),
        },
    }
}

/// `Retry-After`: seconds, or a date in the future.
fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    http_date(text).map(|date| (date - now).to_std().unwrap_or(Duration::ZERO))
}

/// A date as RFC 9110 writes it.
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_in_seconds_or_as_a_date() {
        let now = "2026-11-20T07:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("0", Some(0)),
            (" 17 ", Some(17)),
            ("Fri, 20 Nov 2026 07:01:02 GMT", Some(62)),
            ("Fri, 20 Nov 2026 06:00:00 GMT", Some(0)),
            ("soon", None),
            ("-3", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn every_status_has_a_meaning() {
        for code in 300..=999_u16 {
            let status = StatusCode::from_u16(code).unwrap();
            let error = refusal(status, None, "m".into(), "/p");
            assert_eq!(
                error.may_have_acted(),
                !(400..=499).contains(&code),
                "{code}: only a clear no is a no ({error:?})"
            );
        }
        let wait = Some(Duration::from_secs(9));
        for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
            assert_eq!(refusal(status, wait, "m".into(), "/p").retry_after(), wait);
        }
    }
}
