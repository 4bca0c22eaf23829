//! The session over real HTTP, against the stand-in.

#[path = "../../../../tests/stand_ins/rediacc/mod.rs"]
mod stand_in;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, join_all};
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::backend::CredentialSource;
use crate::model::{EndpointName, Kind};
use stand_in::{BAD_TOKEN, EMAIL, Lose, PASSWORD, StandIn};

const TEAMS: &str = "GetOrganizationTeams";
const FORK: &str = "ForkAuthenticationRequest";

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
        let token = house.server.world().fresh_token();
        house.source.set("token", &token);
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

    fn session(&self) -> Session {
        self.session_at(now, Duration::from_secs(20))
    }

    /// As another process has it: sharing nothing but the state directory.
    fn session_at(&self, now: crate::backend::Now, timeout: Duration) -> Session {
        let mut spec =
            EndpointSpec::new(EndpointName::new("queue"), Kind::Rediacc, Some(self.server.url.clone()));
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
}

async fn teams(session: &Session) -> Result<Reply, BackendError> {
    session.call(TEAMS, json!({}), Purpose::Poll).await
}

#[tokio::test]
async fn the_first_call_forks_a_session_of_its_own_and_spends_the_given_token() {
    let house = House::new().await;
    let session = house.session();
    let reply = teams(&session).await.unwrap();
    assert_eq!(reply.with("teamName").len(), 2);
    assert_eq!(house.server.world().calls(), [FORK, TEAMS]);
}
