//! A session of Rediacc: procedures called with tokens that are good for one
//! request each, strictly one at a time, across all processes.
//!
//! `envelope` (its JSON, without secrets) → `verdict` (what it means) →
//! `desk` (one exchange: read the token, send, store the next) over `store`
//! (the file and its lock) → [`Session`], which sees each exchange through to
//! its end whatever becomes of who asked. `given` is what the configuration
//! holds, `budget` how much may be asked, `reply` what comes back.

mod begin;
mod budget;
mod desk;
mod envelope;
mod given;
mod heard;
mod reply;
mod store;
mod verdict;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::backend::http::Http;
use crate::backend::{BackendError, BuildError, Spawn, Surroundings};
use crate::model::{Clean, EndpointSpec};

pub use budget::Budget;
use budget::{BURST, Bucket};
use desk::{Desk, Face, Inner, Turn};
pub use envelope::{Row, bit};
pub use reply::Reply;

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A part of a poll: counted. None is begun for which the budget is too low.
    Poll,
    /// A detail that somebody looks at: refused while the budget holds no call.
    Look,
    /// Changes something: counted, but never held back for the budget, and never repeated.
    Act,
}

/// What `GET /health` says, which needs no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHealth {
    /// `healthy`, or what is wrong.
    pub status: Option<Clean>,
    /// The server's version.
    pub version: Option<Clean>,
    /// The server's own clock.
    pub server_time: Option<DateTime<Utc>>,
    /// When the answer had arrived, by our clock.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
}

/// The session of one endpoint.
pub struct Session {
    inner: Arc<Inner>,
    spawn: Spawn,
}

/// Without anything that could hold a secret.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// What is to be done in one turn.
enum Job {
    Call { procedure: &'static str, body: Value, acts: bool },
    Revoke,
}

impl Session {
    /// The session of `spec`. Nothing is read or sent yet.
    ///
    /// # Errors
    /// [`BuildError`] if there is no usable URL or TLS file.
    pub fn new(spec: &EndpointSpec, around: &Surroundings) -> Result<Self, BuildError> {
        let url = spec.url.as_deref().ok_or_else(|| BuildError::new("a url is needed".to_owned()))?;
        let inner = Inner {
            http: Http::new(url, spec.timeout, &spec.tls, around.now)?,
            name: spec.name.clone(),
            timeout: spec.timeout,
            credentials: Arc::clone(&around.credentials),
            state: around.state.clone(),
            now: around.now,
            turn: tokio::sync::Mutex::new(Turn::default()),
            bucket: Mutex::new(Bucket::full((around.now)())),
            face: Mutex::new(Face::default()),
        };
        Ok(Self { inner: Arc::new(inner), spawn: Arc::clone(&around.spawn) })
    }

    /// Where it is; holds no credentials.
    pub fn url(&self) -> String {
        self.inner.http.url()
    }

    /// Calls a procedure. Waits for its turn; once the request has left, the
    /// exchange goes on to its end although the caller may be gone. A caller
    /// that leaves before costs nothing.
    ///
    /// A token that is refused proves that nothing was done: the session is
    /// then begun anew and the call sent once more. A call whose answer is
    /// lost is never sent again.
    ///
    /// # Errors
    /// Any [`BackendError`]: [`BackendError::RateLimited`] if the budget holds
    /// no call for a look, [`BackendError::Unauthorised`] or
    /// [`BackendError::Credential`] if the session is lost, with how to mend it.
    pub async fn call(
        &self,
        procedure: &'static str,
        body: Value,
        purpose: Purpose,
    ) -> Result<Reply, BackendError> {
        let now = (self.inner.now)();
        if purpose != Purpose::Look {
            self.inner.bucket().draw(now);
        } else if !self.inner.bucket().take(now) {
            return Err(BackendError::RateLimited {
                after: Some(self.budget().wait),
                message: Clean::from(format!(
                    "vigie's own budget of {BURST} requests is spent, one more comes every 4 s"
                )),
            });
        }
        self.run(Job::Call { procedure, body, acts: purpose == Purpose::Act }).await
    }

    /// Ends the session at the endpoint and forgets it. None is begun with the
    /// same token again; after a login, none by this process.
    ///
    /// # Errors
    /// Any [`BackendError`]; one that [may have acted](BackendError::may_have_acted)
    /// leaves open whether the session has ended.
    pub async fn revoke(&self) -> Result<(), BackendError> {
        self.inner.bucket().draw((self.inner.now)());
        self.run(Job::Revoke).await.map(drop)
    }

    /// What may be asked now, and when a poll may go on.
    pub fn budget(&self) -> Budget {
        self.inner.bucket().look((self.inner.now)())
    }

    /// What an operator should know: the budget in steps, the session's end, a token that could not be kept.
    pub fn remarks(&self) -> Vec<Clean> {
        let mut remarks = vec![budget_words(self.budget().left)];
        self.inner.face().tell(&mut remarks);
        remarks
    }

    /// The server's own word on itself. Costs no token and no budget.
    ///
    /// # Errors
    /// Any [`BackendError`].
    pub async fn health(&self) -> Result<ServerHealth, BackendError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default, alias = "Status")]
            status: Option<Clean>,
            #[serde(default, alias = "Version")]
            version: Option<Clean>,
            #[serde(default, alias = "Timestamp")]
            timestamp: Option<String>,
        }
        let answer = self.inner.http.get(&["health"]).send().await?;
        let wire: Wire = answer.json()?;
        let server_time = wire.timestamp.as_deref().and_then(heard::instant).or_else(|| answer.server_time());
        let (at, latency_ms) = (answer.at, answer.latency_ms);
        Ok(ServerHealth { status: wire.status, version: wire.version, server_time, at, latency_ms })
    }

    async fn run(&self, job: Job) -> Result<Reply, BackendError> {
        let (mut done, result) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        (self.spawn)(Box::pin(async move {
            let reply = serve(&inner, &job, &mut done).await;
            // Who is gone need not know: what had to be kept is kept.
            done.send(reply).unwrap_or_default();
        }));
        result.await.unwrap_or_else(|_| Err(BackendError::Broken("the exchange was interrupted".into())))
    }
}

/// One job, from waiting for its turn to storing what came of it.
async fn serve(
    inner: &Inner,
    job: &Job,
    done: &mut oneshot::Sender<Result<Reply, BackendError>>,
) -> Result<Reply, BackendError> {
    let left = || BackendError::Unreachable("nobody waits for it any more: it was not sent".into());
    let opening = tokio::time::timeout(inner.timeout, Desk::open(inner));
    let mut desk = tokio::select! {
        () = done.closed() => return Err(left()),
        desk = opening => desk.map_err(|_| inner.no_turn())??,
    };
    let result = match job {
        Job::Revoke => desk.revoke().await,
        Job::Call { procedure, body, acts } => {
            let gone = || done.is_closed();
            match desk.perform(procedure, body, *acts, &gone).await {
                // Whoever made a fresh token has put it where the old one was read from.
                Err(error) if desk.is_lost(&error) && desk.reread_credentials().await? => {
                    drop(desk);
                    desk = tokio::time::timeout(inner.timeout, Desk::open(inner))
                        .await
                        .map_err(|_| inner.no_turn())??;
                    desk.perform(procedure, body, *acts, &gone).await
                }
                result => result,
            }
        }
    };
    desk.close();
    result
}

/// In steps, so that a screen at rest stays silent.
fn budget_words(left: i64) -> Clean {
    const STEP: i64 = 10;
    Clean::from(match left {
        ..=0 => format!("request budget: 0 of {BURST} left, polls wait"),
        1..STEP => format!("request budget: fewer than {STEP} of {BURST} left"),
        _ => format!("request budget: {} of {BURST} left", left / STEP * STEP),
    })
}

impl Inner {
    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn face(&self) -> MutexGuard<'_, Face> {
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
