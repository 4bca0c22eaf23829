//! Asking Duty Duck: the two headers of the token, pages to their end, and
//! what its text and empty errors mean.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderName;
use secrecy::{ExposeSecret as _, SecretString};

use super::rights::Scope;
use super::wire::{Listed, Page};
use crate::backend::http::{Answer, Http, Request};
use crate::backend::{BackendError, CredentialSource, Now};
use crate::model::Clean;

/// The most rows that a page may hold.
const PER_PAGE: usize = 50;
/// So many pages are read at most: 20 000 rows.
const MAX_PAGES: usize = 400;
/// The least time that a request within a poll gets.
const LEAST: Duration = Duration::from_millis(50);

/// What is sent with every request.
struct Keys {
    id: Option<SecretString>,
    secret: Option<SecretString>,
}

impl Keys {
    fn same(&self, other: &Self) -> bool {
        let told = |secret: &Option<SecretString>| secret.as_ref().map(|s| s.expose_secret().to_owned());
        told(&self.id) == told(&other.id) && told(&self.secret) == told(&other.secret)
    }

    fn sign<'a>(&self, mut request: Request<'a>) -> Request<'a> {
        if let Some(id) = &self.id {
            request = request.secret(HeaderName::from_static("x-api-token-id"), id);
        }
        if let Some(secret) = &self.secret {
            let name = HeaderName::from_static("x-api-token-secret-key");
            request = request.secret(name, secret);
        }
        request
    }
}

/// A client with the token's headers.
pub struct Client {
    http: Http,
    credentials: Arc<dyn CredentialSource>,
    keys: Mutex<Option<Arc<Keys>>>,
    timeout: Duration,
    now: Now,
}

/// Without anything that could hold a credential.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("http", &self.http).finish_non_exhaustive()
    }
}

impl Client {
    /// A client at `http`; `timeout` bounds one request, and all of a poll together.
    pub fn new(http: Http, credentials: Arc<dyn CredentialSource>, timeout: Duration, now: Now) -> Self {
        Self { http, credentials, keys: Mutex::default(), timeout, now }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.http.url()
    }

    /// The shell's clock.
    pub fn now(&self) -> DateTime<Utc> {
        (self.now)()
    }

    /// The time that a poll has from now on.
    pub fn deadline(&self) -> Deadline {
        let limit = chrono::TimeDelta::from_std(self.timeout).unwrap_or(chrono::TimeDelta::MAX);
        let until = self.now().checked_add_signed(limit).unwrap_or(DateTime::<Utc>::MAX_UTC);
        Deadline { until: Some(until), limit: self.timeout, now: self.now }
    }

    /// Time without an end but that of each request.
    pub const fn patience(&self) -> Deadline {
        Deadline { until: None, limit: self.timeout, now: self.now }
    }

    /// The id of the token that was last used.
    pub fn token_id(&self) -> Option<String> {
        let keys = self.keys().clone()?;
        keys.id.as_ref().map(|id| id.expose_secret().to_owned())
    }

    fn keys(&self) -> MutexGuard<'_, Option<Arc<Keys>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the sources again.
    async fn find(&self) -> Result<Arc<Keys>, BackendError> {
        *self.keys() = None;
        let read = async |name| {
            let read = self.credentials.credential(name).await;
            read.map_err(|reason| BackendError::Credential(Clean::from(reason)))
        };
        let keys = Arc::new(Keys { id: read("token_id").await?, secret: read("secret_key").await? });
        *self.keys() = Some(Arc::clone(&keys));
        Ok(keys)
    }

    /// Sends what `make` makes; `scope` is what the token needs for it. After
    /// a 401, which means that nothing was done, the sources are read again,
    /// and if they have changed it is sent once more.
    ///
    /// # Errors
    /// Any [`BackendError`], in words that say what to do.
    pub async fn send(
        &self,
        scope: Scope,
        make: impl for<'a> Fn(&'a Http) -> Request<'a> + Send + Sync,
    ) -> Result<Answer, BackendError> {
        let known = self.keys().clone();
        let keys = match known {
            Some(keys) => keys,
            None => self.find().await?,
        };
        let first = keys.sign(make(&self.http)).send().await.map_err(of_the_token);
        let sent = match first {
            Err(refusal @ BackendError::Unauthorised(_)) => {
                let found = self.find().await?;
                if found.same(&keys) {
                    Err(refusal)
                } else {
                    found.sign(make(&self.http)).send().await.map_err(of_the_token)
                }
            }
            first => first,
        };
        sent.map_err(|error| {
            if matches!(error, BackendError::Credential(_) | BackendError::Unauthorised(_)) {
                // Asked again next time: whoever mends the source need not restart anything.
                *self.keys() = None;
            }
            explained(error, scope)
        })
    }

    /// As [`Client::send`], in the time that is left.
    ///
    /// # Errors
    /// As there; [`BackendError::TimedOut`] where none is left.
    pub async fn send_by(
        &self,
        deadline: &Deadline,
        scope: Scope,
        make: impl for<'a> Fn(&'a Http) -> Request<'a> + Send + Sync,
    ) -> Result<Answer, BackendError> {
        let late = || BackendError::TimedOut { after: deadline.limit };
        let left = deadline.left().ok_or_else(late)?;
        let sent = self.send(scope, |http| make(http).timeout(left)).await;
        sent.map_err(|error| if matches!(error, BackendError::TimedOut { .. }) { late() } else { error })
    }

    /// Reads a list page by page, never page 0: the server's handler panics on it.
    ///
    /// # Errors
    /// Any [`BackendError`] of the first page, and a 401 of any.
    pub async fn pages<T: Listed>(
        &self,
        list: &List<'_>,
        deadline: &Deadline,
    ) -> Result<Read<T>, BackendError> {
        let mut read = Read::default();
        let mut seen = HashSet::new();
        let per_page = PER_PAGE.min(list.most).to_string();
        for number in 1..=MAX_PAGES {
            let page = self.page::<T>(list, &number.to_string(), &per_page, deadline, &mut read).await;
            let page = match page {
                Ok(page) => page,
                Err(error) if number == 1 || matches!(error, BackendError::Unauthorised(_)) => {
                    return Err(error);
                }
                Err(error) => {
                    read.cut = Some(error);
                    return Ok(read);
                }
            };
            let told = if list.filtered {
                page.total_number_of_filtered_results
            } else {
                page.total_number_of_results
            };
            // What an empty page says of a filter is wrong; without a filter it counts other rows.
            if !(page.items.is_empty() && list.filtered) {
                read.total = read.total.max(told.unwrap_or(0));
            }
            let ended = page.items.is_empty();
            let before = read.items.len();
            read.items.extend(page.items.into_iter().filter(|item| seen.insert(item.identity().to_owned())));
            let enough = read.total > 0 && read.items.len() as u64 >= read.total;
            if ended || enough {
                read.complete = read.items.len() as u64 >= read.total;
                return Ok(read);
            }
            // Rows that are all known already: it does not turn the page.
            if read.items.len() == before || read.items.len() >= list.most {
                return Ok(read);
            }
        }
        Ok(read)
    }

    async fn page<T: Listed>(
        &self,
        list: &List<'_>,
        number: &str,
        per_page: &str,
        deadline: &Deadline,
        read: &mut Read<T>,
    ) -> Result<Page<T>, BackendError> {
        let answer = self
            .send_by(deadline, list.scope, |http| {
                let request = http.get(list.segments);
                let request = list.params.iter().fold(request, |r, (name, value)| r.query(name, value));
                request.query("pageNumber", number).query("itemsPerPage", per_page)
            })
            .await?;
        let page = answer.json()?;
        let latency_ms = read.stamp.map_or(answer.latency_ms, |stamp| stamp.latency_ms);
        read.stamp = Some(Stamp { at: answer.at, server_time: answer.server_time(), latency_ms });
        Ok(page)
    }
}

/// A list, and what of it is wanted.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    /// What the token needs for it.
    pub scope: Scope,
    /// Its path.
    pub segments: &'a [&'a str],
    /// Filter and order.
    pub params: &'a [(&'a str, &'a str)],
    /// Whether the parameters leave rows out.
    pub filtered: bool,
    /// So many rows are enough.
    pub most: usize,
}

/// What came of reading a list.
#[derive(Debug)]
pub struct Read<T> {
    /// The rows, each once.
    pub items: Vec<T>,
    /// Whether these are all that there are.
    pub complete: bool,
    /// How many there are, as far as told.
    pub total: u64,
    /// Why reading ended early.
    pub cut: Option<BackendError>,
    /// Of the newest page; the time that the first one took.
    pub stamp: Option<Stamp>,
}

impl<T> Default for Read<T> {
    fn default() -> Self {
        Self { items: Vec::new(), complete: false, total: 0, cut: None, stamp: None }
    }
}

/// When an answer came.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// By our clock.
    pub at: DateTime<Utc>,
    /// By theirs.
    pub server_time: Option<DateTime<Utc>>,
    /// How long it took.
    pub latency_ms: u64,
}

/// Until when something has to be read.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    until: Option<DateTime<Utc>>,
    limit: Duration,
    now: Now,
}

impl Deadline {
    /// One that ends half-way to this one.
    pub fn half(self) -> Self {
        let left = self.left().and_then(|left| chrono::TimeDelta::from_std(left / 2).ok());
        let until = left.and_then(|left| (self.now)().checked_add_signed(left));
        Self { until: until.or(self.until), ..self }
    }

    /// What is left of it; `None` when it is over.
    pub fn left(&self) -> Option<Duration> {
        let Some(until) = self.until else { return Some(self.limit) };
        // A clock that is set back must not give more than the limit.
        let left = (until - (self.now)()).to_std().ok()?.min(self.limit);
        (left >= LEAST).then_some(left)
    }
}

/// A 400 that is about the token's headers is a refusal of the token.
fn of_the_token(error: BackendError) -> BackendError {
    match error {
        BackendError::Refused { status: 400, message } if message.starts_with("Invalid X-Api-Token-") => {
            BackendError::Unauthorised(message)
        }
        other => other,
    }
}

/// The server's text and empty errors, as sentences.
fn explained(error: BackendError, scope: Scope) -> BackendError {
    match error {
        BackendError::Unauthorised(message) => {
            let hint = match message.as_str() {
                "X-Api-Token-Id header is missing" => "set token_id under auth",
                "X-Api-Token-Secret-Key header is missing" => "set secret_key under auth",
                "Invalid X-Api-Token-Id header" => "token_id must be the token's UUID",
                "Invalid X-Api-Token-Secret-Key header" => "secret_key must be 64 hexadecimal digits",
                "API Token is invalid" => "token_id names no token there; it may have been deleted",
                "Invalid API Token secret key" => "secret_key does not belong to token_id",
                "API Token is expired" => {
                    "make a new one in Duty Duck (My account) and put it where token_id and secret_key come from"
                }
                _ => return BackendError::Unauthorised(message),
            };
            BackendError::Unauthorised(Clean::from(format!("{message}: {hint}")))
        }
        // Its own 403 is mostly empty, and stands here as the status' name.
        BackendError::Forbidden(message) if message == "Forbidden" => {
            BackendError::Forbidden(Clean::from(format!("the token, or its user, lacks {scope}")))
        }
        BackendError::Forbidden(message) => {
            BackendError::Forbidden(Clean::from(format!("{message} ({scope} is needed)")))
        }
        BackendError::Server { status, message } if message == "Internal Server Error" => {
            BackendError::Server { status, message: "Duty Duck gives no reason; its own log has it".into() }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_empty_errors_become_sentences() {
        let refused = |message: &str| {
            let error = BackendError::Refused { status: 400, message: message.into() };
            explained(of_the_token(error), Scope::ReadTasks).to_string()
        };
        assert!(refused("Invalid X-Api-Token-Id header").contains("must be the token's UUID"));
        assert!(refused("Invalid X-Api-Token-Secret-Key header").contains("64 hexadecimal digits"));
        assert_eq!(refused("Task is not running"), "refused with status 400: Task is not running");
        for (message, hint) in [
            ("X-Api-Token-Id header is missing", "set token_id"),
            ("X-Api-Token-Secret-Key header is missing", "set secret_key"),
            ("API Token is invalid", "deleted"),
            ("API Token is expired", "make a new one"),
            ("Invalid API Token secret key", "does not belong"),
        ] {
            let said = explained(BackendError::Unauthorised(message.into()), Scope::ReadTasks).to_string();
            assert!(said.contains(message) && said.contains(hint), "{said}");
        }
        let empty = explained(BackendError::Forbidden("Forbidden".into()), Scope::ReadIncidents);
        assert_eq!(empty.to_string(), "not permitted: the token, or its user, lacks readIncidents");
        let text = BackendError::Forbidden("User is not allowed to start this task".into());
        assert_eq!(
            explained(text, Scope::WriteTaskRuns).to_string(),
            "not permitted: User is not allowed to start this task (writeTaskRuns is needed)"
        );
        let empty = BackendError::Server { status: 500, message: "Internal Server Error".into() };
        assert!(explained(empty, Scope::ReadTasks).to_string().contains("its own log has it"));
    }
}
