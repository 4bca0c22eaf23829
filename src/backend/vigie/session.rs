//! Where the coordinator is and what lets us in: from the configuration, or
//! from the file that the coordinator of a data directory leaves there.

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use super::super::http::{Answer, Http, Request};
use super::super::{BackendError, BuildError, CredentialSource, Now};
use crate::model::{Clean, EndpointSpec};
use crate::wire::{COORDINATOR_FILE, CoordinatorFile};

/// Finds the coordinator, and finds it again after it has moved.
pub struct Locator {
    source: Source,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    session: Option<Arc<Session>>,
    /// Where it was last, also while nobody answers there.
    url: Option<String>,
}

/// Only the place: nothing that could hold a token, however its source prints itself.
impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locator").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// Where to look.
enum Source {
    /// At a configured URL, with the token of the configuration.
    Configured { http: Http, credentials: Arc<dyn CredentialSource> },
    /// In a data directory; each new coordinator has another port and token.
    Local { file: PathBuf, spec: Box<EndpointSpec>, now: Now },
}

/// A coordinator as found.
pub struct Session {
    http: Http,
    token: Option<SecretString>,
}

impl Session {
    /// A GET with the token.
    pub fn get(&self, segments: &[&str]) -> Request<'_> {
        self.admit(self.http.get(segments))
    }

    /// A POST with the token.
    pub fn post(&self, segments: &[&str]) -> Request<'_> {
        self.admit(self.http.post(segments))
    }

    /// A DELETE with the token.
    pub fn delete(&self, segments: &[&str]) -> Request<'_> {
        self.admit(self.http.delete(segments))
    }

    fn admit<'a>(&self, request: Request<'a>) -> Request<'a> {
        match &self.token {
            Some(token) => request.bearer(token),
            None => request,
        }
    }

    fn same(&self, other: &Self) -> bool {
        let token = |session: &Self| session.token.as_ref().map(|t| t.expose_secret().to_owned());
        self.http.url() == other.http.url() && token(self) == token(other)
    }
}

impl Locator {
    /// For `spec`; `data` is where a coordinator leaves its file.
    ///
    /// # Errors
    /// [`BuildError`] for a URL or TLS file that can't be used, or if there is neither URL nor directory.
    pub fn new(
        spec: &EndpointSpec,
        credentials: Arc<dyn CredentialSource>,
        data: Option<PathBuf>,
        now: Now,
    ) -> Result<Self, BuildError> {
        let source = match (&spec.url, data) {
            (Some(url), _) => {
                Source::Configured { http: Http::new(url, spec.timeout, &spec.tls, now)?, credentials }
            }
            (None, Some(data)) => {
                Source::Local { file: data.join(COORDINATOR_FILE), spec: Box::new(spec.clone()), now }
            }
            (None, None) => return Err(BuildError::new("a url is needed".to_owned())),
        };
        Ok(Self { source, current: Mutex::default() })
    }

    /// Where it is, as far as known.
    pub fn url(&self) -> Option<String> {
        match &self.source {
            Source::Configured { http, .. } => Some(http.url()),
            Source::Local { .. } => self.current().url.clone(),
        }
    }

    /// Sends what `make` makes of the session. If the coordinator has moved or
    /// its token has changed, looks for it again and sends once more: both
    /// failures mean that nothing was done.
    ///
    /// # Errors
    /// Any [`BackendError`]; [`BackendError::Unreachable`] where no coordinator
    /// runs, [`BackendError::Credential`] where the token can't be read.
    pub async fn send(
        &self,
        make: impl for<'a> Fn(&'a Session) -> Request<'a> + Send + Sync,
    ) -> Result<Answer, BackendError> {
        let session = match self.cached() {
            Some(session) => session,
            None => self.find(None).await?,
        };
        let error = match make(&session).send().await {
            Err(error @ (BackendError::Unreachable(_) | BackendError::Unauthorised(_))) => error,
            Err(error) => {
                // Whatever listens there now may be another, and a token that can't be sent
                // may have been mended: the next call looks anew.
                if matches!(self.source, Source::Local { .. }) || matches!(error, BackendError::Credential(_))
                {
                    self.forget();
                }
                return Err(error);
            }
            Ok(answer) => return Ok(answer),
        };
        let found = self.find(Some(&session)).await?;
        if found.same(&session) {
            self.forget();
            return Err(error);
        }
        make(&found).send().await
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached(&self) -> Option<Arc<Session>> {
        self.current().session.clone()
    }

    fn forget(&self) {
        self.current().session = None;
    }

    /// Reads the source again.
    async fn find(&self, old: Option<&Session>) -> Result<Arc<Session>, BackendError> {
        // Whatever happens now, what is cached is no good.
        self.forget();
        let session = match &self.source {
            Source::Configured { http, credentials } => {
                let token = credentials
                    .credential("token")
                    .await
                    .map_err(|reason| BackendError::Credential(Clean::from(reason)))?;
                Session { http: http.clone(), token }
            }
            Source::Local { file, spec, now } => {
                let found = read(file).await?;
                // A client keeps its connections: a new one only for a new place.
                let http = match old.map(|old| &old.http).filter(|http| http.url() == found.url) {
                    Some(http) => http.clone(),
                    None => Http::new(&found.url, spec.timeout, &spec.tls, *now)
                        .map_err(|BuildError(reason)| BackendError::Unreachable(reason))?,
                };
                Session { http, token: Some(SecretString::from(found.token)) }
            }
        };
        let session = Arc::new(session);
        *self.current() = Current { session: Some(Arc::clone(&session)), url: Some(session.http.url()) };
        Ok(session)
    }
}

async fn read(file: &std::path::Path) -> Result<CoordinatorFile, BackendError> {
    let bytes = tokio::fs::read(file).await.map_err(|error| {
        BackendError::Unreachable(if error.kind() == ErrorKind::NotFound {
            "no coordinator runs here".into()
        } else {
            Clean::from(format!("{} can't be read: {error}", file.display()))
        })
    })?;
    // Without the decoder's words: they could quote the token.
    serde_json::from_slice(&bytes).map_err(|_| {
        BackendError::Unreachable(Clean::from(format!("{} is not what a coordinator writes", file.display())))
    })
}
