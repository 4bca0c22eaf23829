//! What several of these tests need.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use uuid::Uuid;
use vigie::backend::{Backend, BuildError, Call, CredentialSource, Surroundings, build as build_backend};
use vigie::model::{Arguments, Deed, EndpointName, EndpointSpec, IntentId, Kind, LogOf, TaskId};

/// The credential of every configured endpoint here: must never be seen where it is not sent on purpose.
pub const TOKEN: &str = "t0p-s3cret";

/// A source whose token can be changed, and that counts how often it is asked.
/// Its `Debug` shows the token: an adapter's must not, whatever it holds.
#[derive(Debug)]
pub struct Tokens {
    pub token: Mutex<Result<Option<String>, String>>,
    pub asked: AtomicUsize,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { token: Mutex::new(Ok(Some(TOKEN.to_owned()))), asked: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl CredentialSource for Tokens {
    async fn credential(&self, name: &str) -> Result<Option<SecretString>, String> {
        assert_eq!(name, "token");
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.token.lock().unwrap().clone().map(|token| token.map(SecretString::from))
    }
}

/// The tests' clock is the real one.
#[expect(clippy::disallowed_methods, reason = "the clock that a shell would pass on")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The timers' clock, which a test may have stand still.
#[expect(clippy::disallowed_methods, reason = "the clock that a runtime has")]
pub fn instant() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// An endpoint of `kind` at `url`, with generous limits.
pub fn spec(kind: Kind, url: &str) -> EndpointSpec {
    let mut spec = EndpointSpec::new(EndpointName::new("it"), kind, Some(url.to_owned()));
    spec.timeout = Duration::from_secs(60);
    spec
}

#[expect(clippy::disallowed_methods, reason = "the runtime of a test is its shell")]
fn spawn(work: BoxFuture<'static, ()>) {
    drop(tokio::spawn(work));
}

/// What a shell gives an adapter. Its sessions are kept beside the data.
pub fn around(credentials: Arc<dyn CredentialSource>, data: Option<PathBuf>) -> Surroundings {
    let state = data.clone();
    Surroundings { credentials, data, state, now, spawn: Arc::new(spawn) }
}

/// The vault of a data directory, with its key beside it.
pub fn vault(data: &std::path::Path) -> vigie::vault::Vault {
    let key = vigie::vault::KeySource::File(data.with_file_name("vault.key"));
    vigie::vault::Vault::new(data.to_owned(), key)
}

/// The log of a run.
pub fn log_of(task: &str, run: &str) -> LogOf {
    LogOf::Run { task: task.into(), run: run.into() }
}

pub fn try_build(spec: &EndpointSpec) -> Result<Arc<dyn Backend>, BuildError> {
    build_backend(spec, &around(Arc::new(Tokens::default()), None))
}

pub fn build(spec: &EndpointSpec) -> Arc<dyn Backend> {
    try_build(spec).unwrap()
}

/// With a source of its own, or a data directory.
pub fn build_with(spec: &EndpointSpec, tokens: &Arc<Tokens>, data: Option<PathBuf>) -> Arc<dyn Backend> {
    let tokens: Arc<dyn CredentialSource> = Arc::clone(tokens) as _;
    build_backend(spec, &around(tokens, data)).unwrap()
}

/// A call on a task, or on the endpoint.
pub fn call(deed: impl Into<Deed>, task: Option<&str>) -> Call {
    Call {
        intent: IntentId(Uuid::new_v4()),
        deed: deed.into(),
        task: task.map(TaskId::new),
        run: None,
        arguments: Arguments::default(),
    }
}
