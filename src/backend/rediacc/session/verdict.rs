//! What an answer means: well, or which refusal.

use crate::backend::BackendError;
use crate::backend::http::Answer;
use crate::model::Clean;

use super::envelope::Envelope;

/// What is wrong with an answer; `None`, if it went well. `renewed`: it brought
/// a token, so the one that was sent was good.
pub fn of(answer: &Answer, envelope: &Result<Envelope, String>, renewed: bool) -> Option<BackendError> {
    let envelope = match envelope {
        Ok(envelope) => envelope,
        Err(why) => {
            return Some(answer.fault().unwrap_or_else(|| match answer.json::<serde_json::Value>() {
                Err(unreadable) => unreadable,
                Ok(_) => answer.unlike(why),
            }));
        }
    };
    let status = i64::from(answer.status.as_u16());
    let code = match envelope.failure {
        0 if answer.status.is_success() => return None,
        // A refusal in both, or one whose own code is only a class of the documentation's.
        0 => status,
        code if answer.status.is_success() || (400..600).contains(&code) => code,
        _ => status,
    };
    let words = envelope.text.as_deref().map(Clean::line).or_else(|| answer.fault().map(|f| said(&f)));
    let message = words.unwrap_or_else(|| Clean::from(format!("code {code}, no reason given")));
    Some(refusal(code, message, renewed, answer))
}

/// Codes are HTTP's in the schema of 2026-01; 1 to 7 are those of the documentation of 2025.
fn refusal(code: i64, message: Clean, renewed: bool, answer: &Answer) -> BackendError {
    let after = answer.retry_after();
    match code {
        401 => BackendError::Unauthorised(message),
        // "Authentication or permission": a token that was renewed was good.
        1 if !renewed => BackendError::Unauthorised(message),
        1 | 403 => BackendError::Forbidden(message),
        2 | 404 => BackendError::NotFound(message),
        3 | 6 | 409 => BackendError::Conflict(message),
        4 | 5 => BackendError::Refused { status: 400, message },
        429 => BackendError::RateLimited { after, message },
        503 if after.is_some() => BackendError::RateLimited { after, message },
        7 => BackendError::Server { status: 500, message },
        400..=499 => BackendError::Refused { status: status(code), message },
        500..=599 => BackendError::Server { status: status(code), message },
        _ => BackendError::Failed(message),
    }
}

fn status(code: i64) -> u16 {
    u16::try_from(code).unwrap_or(500)
}

/// The endpoint's words in an error, without what its kind puts before them.
pub fn said(error: &BackendError) -> Clean {
    match error {
        BackendError::Unauthorised(words)
        | BackendError::Forbidden(words)
        | BackendError::NotFound(words)
        | BackendError::Conflict(words)
        | BackendError::Refused { message: words, .. }
        | BackendError::RateLimited { message: words, .. }
        | BackendError::Server { message: words, .. } => words.clone(),
        other => Clean::from(other.to_string()),
    }
}
