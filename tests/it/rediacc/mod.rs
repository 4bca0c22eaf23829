//! The Rediacc adapter against a stand-in of its middleware: what a poll reads,
//! what somebody looks at, what is done.

mod acts;
mod details;
mod items;
mod polls;

use std::cell::Cell;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use tempfile::TempDir;
use vigie::backend::{Accepted, Backend, BackendError, CredentialSource, Cursor, Surroundings, build};
use vigie::model::{Alert, Deed, EndpointSpec, Kind, OptionValue, Queue, Snapshot, Task};

use crate::stand_ins::rediacc::{Data, StandIn};
use crate::support::{around, call, spec};

thread_local! {
    /// A test and all that it spawns run on one thread: this is its clock.
    static CLOCK: Cell<Option<DateTime<Utc>>> = const { Cell::new(None) };
}

fn start() -> DateTime<Utc> {
    "2026-11-20T07:00:00Z".parse().unwrap()
}

fn now() -> DateTime<Utc> {
    CLOCK.get().unwrap_or_else(start)
}

#[derive(Debug)]
struct Token(String);

#[async_trait]
impl CredentialSource for Token {
    async fn credential(&self, name: &str) -> Result<Option<SecretString>, String> {
        Ok((name == "token").then(|| SecretString::from(self.0.as_str())))
    }
}

/// A server with an adapter that looks at it, and where it left off.
struct Rig {
    server: StandIn,
    backend: Arc<dyn Backend>,
    cursor: Option<Cursor>,
    _state: TempDir,
}

impl Rig {
    /// With what `data` makes of the seed.
    async fn with(data: impl FnOnce(&mut Data), options: impl FnOnce(&mut EndpointSpec)) -> Self {
        let server = StandIn::start().await;
        let mut seed = Data::seeded(start());
        data(&mut seed);
        let token = {
            let mut world = server.world();
            world.data = seed;
            world.fresh_token()
        };
        let state = tempfile::tempdir().unwrap();
        let kept = Some(state.path().to_owned());
        let around = Surroundings { now, ..around(Arc::new(Token(token)), kept) };
        let mut spec = spec(Kind::Rediacc, &server.url);
        options(&mut spec);
        let backend = build(&spec, &around).unwrap();
        Self { server, backend, cursor: None, _state: state }
    }

    async fn seeded() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    /// Nothing but two teams and a machine.
    async fn empty() -> Self {
        Self::with(|data| *data = Data::default(), |_| {}).await
    }

    /// Time goes by, there and here.
    fn pass(&self, minutes: i64) {
        let later = now() + TimeDelta::minutes(minutes);
        CLOCK.set(Some(later));
        self.server.world().clock = later;
    }

    async fn try_poll(&mut self) -> Result<Snapshot, BackendError> {
        let polled = self.backend.poll(self.cursor.as_ref()).await?;
        self.cursor = polled.cursor;
        Ok(polled.snapshot)
    }

    async fn poll(&mut self) -> Snapshot {
        self.try_poll().await.unwrap()
    }

    /// The procedures that were called since the last time this was asked.
    fn called(&self) -> Vec<String> {
        let mut world = self.server.world();
        let calls = world.seen.iter().map(|seen| seen.procedure.clone()).collect();
        world.seen.clear();
        calls
    }

    async fn act(&self, deed: impl Into<Deed>, task: &str) -> Result<Accepted, BackendError> {
        self.backend.execute(&call(deed, Some(task))).await
    }
}

fn only(teams: &str) -> impl FnOnce(&mut EndpointSpec) {
    move |spec| drop(spec.options.insert("teams".to_owned(), OptionValue::Text(teams.to_owned())))
}

fn task<'a>(snapshot: &'a Snapshot, id: &str) -> &'a Task {
    let found = snapshot.tasks.items.iter().find(|task| task.id.as_raw() == id);
    found.unwrap_or_else(|| panic!("no {id} among {} tasks", snapshot.tasks.items.len()))
}

fn queue<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Queue {
    snapshot.queues.items.iter().find(|queue| queue.name.as_raw() == name).unwrap()
}

fn alert_of<'a>(snapshot: &'a Snapshot, id: &str) -> Option<&'a Alert> {
    snapshot.alerts.items.iter().find(|alert| alert.task.as_ref().is_some_and(|task| task.as_raw() == id))
}

fn remarks(snapshot: &Snapshot) -> Vec<String> {
    snapshot.remarks.iter().map(ToString::to_string).collect()
}
