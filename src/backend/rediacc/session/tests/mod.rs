//! The session over real HTTP, against the stand-in.

mod answers;
mod login;
mod rotation;
#[path = "../../../../../tests/stand_ins/rediacc/mod.rs"]
#[expect(dead_code, reason = "what only the tests of the queue turn")]
mod stand_in;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::backend::{CredentialSource, Now};
use crate::model::{EndpointName, Kind};
use stand_in::{BAD_TOKEN, EMAIL, Lose, PASSWORD, StandIn, World};

const TEAMS: &str = "GetOrganizationTeams";
const FORK: &str = "ForkAuthenticationRequest";
const LOGIN: &str = "CreateAuthenticationRequest";
const PRIVILEGE: &str = "PrivilegeAuthenticationRequest";
const DELETE: &str = "DeleteUserRequest";

/// Names under auth and their values, which a test may change.
#[derive(Debug, Default)]
struct Source {
    values: Mutex<BTreeMap<&'static str, String>>,
    asked: AtomicUsize,
}

impl Source {
    fn set(&self, name: &'static str, value: &str) {
        self.values.lock().unwrap().insert(name, value.to_owned());
    }
}

#[async_trait]
impl CredentialSource for Source {
    async fn credential(&self, name: &str) -> Result<Option<SecretString>, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.values.lock().unwrap().get(name).map(|value| SecretString::from(value.as_str())))
    }
}

/// The tests' clock stands where the stand-in's does at first.
fn now() -> DateTime<Utc> {
    "2026-11-20T07:00:00Z".parse().unwrap()
}

/// A server, a state directory and a configured credential.
struct House {
    server: StandIn,
    state: TempDir,
    source: Arc<Source>,
    running: Arc<Mutex<JoinSet<()>>>,
}

impl House {
    async fn new() -> Self {
        let house = Self::bare().await;
        house.give_fresh_token();
        house
    }

    /// Nothing is configured.
    async fn bare() -> Self {
        Self {
            server: StandIn::start().await,
            state: tempfile::tempdir().unwrap(),
            source: Arc::default(),
            running: Arc::default(),
        }
    }

    async fn with_login() -> Self {
        let house = Self::bare().await;
        house.source.set("email", EMAIL);
        house.source.set("password", PASSWORD);
        house
    }

    fn give_fresh_token(&self) -> String {
        let token = self.world().fresh_token();
        self.source.set("token", &token);
        token
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.server.world()
    }

    fn session(&self) -> Session {
        self.session_at(now, Duration::from_secs(60))
    }

    /// As another process has it: sharing nothing but the state directory.
    fn session_at(&self, now: Now, timeout: Duration) -> Session {
        let url = Some(self.server.url.clone());
        let mut spec = EndpointSpec::new(EndpointName::new("queue"), Kind::Rediacc, url);
        spec.timeout = timeout;
        let running = Arc::clone(&self.running);
        let around = Surroundings {
            credentials: Arc::clone(&self.source) as _,
            data: None,
            state: Some(self.state.path().to_owned()),
            now,
            spawn: Arc::new(move |work: BoxFuture<'static, ()>| {
                running.lock().unwrap().spawn(work);
            }),
        };
        Session::new(&spec, &around).unwrap()
    }

    /// The file of the newest session.
    fn file(&self) -> PathBuf {
        let files = std::fs::read_dir(self.state.path().join("sessions")).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
        files.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
        files.pop().expect("a session is kept")
    }

    fn kept(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap()
    }

    /// Every call carried a good token, and none came while another was answered.
    fn assert_unbroken(&self) {
        let world = self.world();
        assert_eq!((world.refused, world.concurrent), (0, 0), "{:?}", world.calls());
    }
}

async fn teams(session: &Session) -> Result<Reply, BackendError> {
    session.call(TEAMS, json!({}), Purpose::Poll).await
}

/// Something that changes something, as far as the session knows.
async fn act(session: &Session) -> Result<Reply, BackendError> {
    session.call(TEAMS, json!({}), Purpose::Act).await
}
