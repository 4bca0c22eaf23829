//! What went wrong with a call, as problem details.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::model::{Clean, Role};
use crate::wire::Problem;

use super::super::engine::{Refusal, ReloadError};
use super::super::tokens::TokenRefusal;

/// The longest detail of what can't be read, in characters.
const MAX_DETAIL: usize = 500;

/// A call that was not done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    status: StatusCode,
    problem: Problem,
    retry_after_s: Option<u32>,
}

impl Failure {
    /// `kind` is the stable word, `title` the same for people, `detail` this case.
    pub(super) fn new(status: StatusCode, kind: &str, title: &str, detail: String) -> Self {
        let problem = Problem {
            kind: kind.to_owned(),
            title: title.to_owned(),
            status: status.as_u16(),
            detail,
            problems: Vec::new(),
        };
        Self { status, problem, retry_after_s: None }
    }

    /// 400: a part of the path, the query or a header can't be read.
    pub(super) fn bad_parameter(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-parameter", "a parameter can't be read", short(detail))
    }

    /// 400: the body is not what the call takes.
    pub(super) fn bad_body(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-body", "the body can't be read", short(detail))
    }

    /// 413.
    pub(super) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "the body is too large",
            "a body may have at most 1 MiB".to_owned(),
        )
    }

    /// 503: no room now.
    pub(super) fn busy(detail: &str) -> Self {
        let mut failure =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many callers", detail.to_owned());
        failure.retry_after_s = Some(1);
        failure
    }

    /// 403: the caller's role does not do.
    pub(super) fn role_needed(needed: Role, name: &Clean, has: Role) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "role-needed",
            "another role is needed",
            format!("this needs the role {needed}; {name} has the role {has}"),
        )
    }

    /// 403: the caller sees only some teams, and this is about all.
    pub(super) fn all_teams_needed(name: &Clean) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "all-teams-needed",
            "a token for all teams is needed",
            format!("this concerns the tasks of all teams; {name} is only for some"),
        )
    }

    /// 429: too many wrong tokens from there.
    pub(super) fn too_many_failures(retry_after_s: u32) -> Self {
        let mut failure = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-failures",
            "too many wrong tokens",
            "too many calls with wrong tokens came from your address; a right one is let in at once"
                .to_owned(),
        );
        failure.retry_after_s = Some(retry_after_s);
        failure
    }

    /// 408: the body took too long.
    pub(super) fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-too-slow",
            "the body took too long",
            "a body has to come within 30 seconds".to_owned(),
        )
    }

    /// The HTTP status.
    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    /// This case, for people.
    pub(super) fn detail(&self) -> &str {
        &self.problem.detail
    }

    /// Adds the headers that go with the failure, whatever the form of its body.
    pub(super) fn head(&self, mut response: Response) -> Response {
        *response.status_mut() = self.status;
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"vigie\""));
        }
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What is quoted of a call is not all of it.
fn short(mut detail: String) -> String {
    if let Some((cut, _)) = detail.char_indices().nth(MAX_DETAIL) {
        detail.truncate(cut);
        detail.push('…');
    }
    detail
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = axum::Json(&self.problem).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        self.head(response)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (status, kind, title) = match &refusal {
            Refusal::NoTask(_) => (StatusCode::NOT_FOUND, "task-not-found", "no such task"),
            Refusal::NoRun(_) => (StatusCode::NOT_FOUND, "run-not-found", "no such run"),
            Refusal::Conflict(_) => (StatusCode::CONFLICT, "conflict", "the state forbids it"),
            Refusal::OtherTeam(_) => (StatusCode::FORBIDDEN, "other-team", "another team's"),
            Refusal::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "bad-task", "this is no task"),
            Refusal::NoSilence(_) => (StatusCode::NOT_FOUND, "silence-not-found", "no such silence"),
            Refusal::Unfit(_) => (StatusCode::UNPROCESSABLE_ENTITY, "bad-value", "this can't be taken"),
            Refusal::NotScheduling => (StatusCode::CONFLICT, "not-scheduling", "nothing is scheduled here"),
            Refusal::Storage(_) => (StatusCode::SERVICE_UNAVAILABLE, "storage", "it could not be written"),
        };
        let mut failure = Self::new(status, kind, title, refusal.to_string());
        // It is tried again each second by itself.
        failure.retry_after_s = matches!(refusal, Refusal::Storage(_)).then_some(1);
        if let Refusal::Invalid(problems) | Refusal::Unfit(problems) = refusal {
            failure.problem.problems = problems;
        }
        failure
    }
}

impl From<TokenRefusal> for Failure {
    fn from(refusal: TokenRefusal) -> Self {
        let (status, kind, title) = match &refusal {
            TokenRefusal::Unusable(_) => (StatusCode::BAD_REQUEST, "bad-body", "the body can't be read"),
            TokenRefusal::Taken(_) => (StatusCode::CONFLICT, "token-taken", "the name is taken"),
            TokenRefusal::NoToken(_) => (StatusCode::NOT_FOUND, "token-not-found", "no such token"),
            TokenRefusal::Beyond(_) => {
                (StatusCode::FORBIDDEN, "all-teams-needed", "a token of more teams is needed")
            }
            TokenRefusal::Storage(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "storage", "it could not be written")
            }
        };
        Self::new(status, kind, title, refusal.to_string())
    }
}

impl From<ReloadError> for Failure {
    fn from(error: ReloadError) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad-tasks-file",
            "nothing was changed: the tasks file has errors",
            error.problems.iter().map(Clean::as_str).collect::<Vec<_>>().join("\n"),
        )
    }
}
