//! The coordinator over real HTTP: a server on port 0, a real database, a real client.

#![expect(clippy::disallowed_methods, reason = "a test is the shell of what it tests")]

mod access;
mod audit;
mod duplistatus;
mod first_schema;
mod handling;
mod lifecycle;
pub(crate) mod machines;
mod native;
mod operation;
mod restore;
mod tasks_api;
mod vault;
mod watching;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vigie::coordinator::{Clock, Ended, Options, ServeError, Server, TlsFiles, bind};
use vigie::wire::CoordinatorFile;

/// Longer than anything here takes: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A time at which no built-in task is due, and which stands still.
const NOW: &str = "2026-01-20T09:01:00.000Z";

#[derive(Debug)]
struct StandingClock(DateTime<Utc>);

impl Clock for StandingClock {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

/// A data directory and a tasks file, and a client for the coordinators on it.
struct Home {
    dir: TempDir,
    linger: Option<Duration>,
    open_on_loopback: bool,
    clock: Arc<dyn Clock>,
    /// The certificate that it shows beyond loopback.
    tls: Option<TlsFiles>,
}

impl Home {
    fn new(tasks: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(StandingClock(NOW.parse().unwrap()));
        let home = Self { dir, linger: None, open_on_loopback: false, clock, tls: None };
        home.write_tasks(tasks);
        home
    }

    fn write_tasks(&self, text: &str) {
        std::fs::write(self.dir.path().join("tasks.toml"), text).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    async fn open(&self, shutdown: &CancellationToken) -> Result<Server, ServeError> {
        self.open_at(bind(Some("127.0.0.1:0"), None, false).await.unwrap(), shutdown).await
    }

    async fn open_at(
        &self,
        listener: TcpListener,
        shutdown: &CancellationToken,
    ) -> Result<Server, ServeError> {
        let options = Options {
            data: self.data(),
            program: env!("CARGO_BIN_EXE_vigie").into(),
            tasks: self.dir.path().join("tasks.toml"),
            vault: crate::support::vault(&self.data()),
            scheduling: true,
            linger: self.linger,
            open_on_loopback: self.open_on_loopback,
            hosts: Vec::new(),
            tls: self.tls.clone(),
        };
        Server::open(listener, options, self.clock.clone(), shutdown.clone()).await
    }

    async fn serve(&self) -> Served {
        let shutdown = CancellationToken::new();
        let server = self.open(&shutdown).await.unwrap();
        let (file, beyond) = (server.announced().clone(), server.beyond());
        Served { file, beyond, client: client(), shutdown, running: tokio::spawn(server.run()) }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        crate::stand_ins::leftovers::end(&self.data());
    }
}

fn client() -> Client {
    // An adapter in another test of this binary may have installed it: the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

/// A coordinator that runs, and a client that knows its token.
struct Served {
    file: CoordinatorFile,
    /// Where other machines find it, if they may.
    beyond: Option<SocketAddr>,
    client: Client,
    shutdown: CancellationToken,
    running: JoinHandle<Ended>,
}

impl Served {
    /// A call without token.
    fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.file.url))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.bare(Method::GET, path).bearer_auth(&self.file.token)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.bare(Method::POST, path).bearer_auth(&self.file.token)
    }

    /// The JSON at a path of the native API.
    async fn read(&self, path: &str) -> Value {
        let response = self.get(&format!("/api/v1{path}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// Starts a run of a task, and returns its id.
    async fn start_run(&self, task: &str) -> String {
        let response = self.post(&format!("/api/v1/tasks/{task}/runs")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        text(&json(response).await["run"])
    }

    /// Waits, by changes, until `seen` finds what it looks for among everything and then each change.
    async fn until<T>(&self, mut seen: impl FnMut(&Value) -> Option<T>) -> T {
        let story = async {
            let mut answer = self.read("/tasks").await;
            loop {
                if let Some(found) = seen(&answer) {
                    return found;
                }
                let cursor = text(&answer["cursor"]);
                answer = self.read(&format!("/changes?since={cursor}&wait_s=30")).await;
            }
        };
        tokio::time::timeout(PATIENCE, story).await.expect("what was waited for never came")
    }

    /// Waits until a run is in a state.
    async fn until_run(&self, run: &str, state: &str) -> Value {
        self.until(|answer| {
            let found = answer["runs"].as_array()?.iter().find(|found| found["id"] == run)?;
            (found["state"] == state).then(|| found.clone())
        })
        .await
    }

    /// Ends it.
    async fn stop(self) -> Ended {
        self.shutdown.cancel();
        self.ended().await
    }

    /// Waits for its end.
    async fn ended(self) -> Ended {
        tokio::time::timeout(PATIENCE, self.running).await.expect("the coordinator never ended").unwrap()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}

async fn json(response: Response) -> Value {
    response.json().await.unwrap()
}

/// A problem's status and kind; its media type and its own status agree.
async fn problem(request: RequestBuilder) -> (u16, String, String) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body = json(response).await;
    assert_eq!(body["status"], status);
    (status, text(&body["type"]), text(&body["detail"]))
}
