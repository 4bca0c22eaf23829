//! The duplistatus adapter with its web application, against stand-ins of both
//! on one database.

mod halves;
mod session;
mod told;

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use vigie::backend::{Backend, BackendError, CredentialSource, Cursor, RunsQuery, Surroundings, build};
use vigie::model::{
    Alert, AlertKind, Command, Coverage, EndpointSpec, Kind, OptionValue, Snapshot, Task, TaskId,
};

use crate::stand_ins::duplistatus::StandIn;
use crate::stand_ins::duplistatus_web::{PASSWORD, USERNAME, Web};
use crate::support::{around, call, now, spec};

const SYSTEM: &str = "b3a2d6c859401b3895631803e14da0fa/System";
const USERS: &str = "b3a2d6c859401b3895631803e14da0fa/Users";
const DATABASES: &str = "68a7a507c2f86f884ba8388785f0a295/Databases";
const CONFIG: &str = "4e9f9dc27028fbae8a9ad22550fd63d8/Config";
const NEW: &str = "4e9f9dc27028fbae8a9ad22550fd63d8/New";

thread_local! {
    /// Each test has its own thread: how far its clock is ahead.
    static AHEAD: Cell<TimeDelta> = const { Cell::new(TimeDelta::zero()) };
}

fn clock() -> DateTime<Utc> {
    now() + AHEAD.get()
}

fn wait(time: TimeDelta) {
    AHEAD.set(AHEAD.get() + time);
}

/// A source that can be changed. Its `Debug` shows all: an adapter's must not.
#[derive(Debug)]
struct Keys {
    password: Mutex<Option<String>>,
    asked: Mutex<usize>,
}

#[async_trait]
impl CredentialSource for Keys {
    async fn credential(&self, name: &str) -> Result<Option<SecretString>, String> {
        *self.asked.lock().unwrap() += 1;
        Ok(match name {
            "username" => Some(USERNAME.to_owned().into()),
            "password" => self.password.lock().unwrap().clone().map(SecretString::from),
            other => panic!("{other} is none of its credentials"),
        })
    }
}

/// Both halves, and an adapter for them.
struct Both {
    cron: StandIn,
    web: Web,
    keys: Arc<Keys>,
    spec: EndpointSpec,
    backend: Arc<dyn Backend>,
}

fn keys(password: &str) -> Arc<Keys> {
    Arc::new(Keys { password: Mutex::new(Some(password.to_owned())), asked: Mutex::default() })
}

fn backend(spec: &EndpointSpec, keys: &Arc<Keys>, state: Option<PathBuf>) -> Arc<dyn Backend> {
    let around = Surroundings { now: clock, ..around(Arc::clone(keys) as _, state) };
    build(spec, &around).unwrap()
}

impl Both {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut EndpointSpec)) -> Self {
        let cron = StandIn::start().await;
        let web = Web::start(cron.database()).await;
        let mut spec = spec(Kind::Duplistatus, &cron.url);
        spec.options.insert("web_url".to_owned(), OptionValue::Url(web.url.clone()));
        change(&mut spec);
        let keys = keys(PASSWORD);
        let backend = backend(&spec, &keys, None);
        Self { cron, web, keys, spec, backend }
    }

    /// A poll half a minute after the last: the dashboard is read anew.
    async fn poll(&self) -> Snapshot {
        wait(TimeDelta::seconds(31));
        self.backend.poll(Some(&Cursor("an earlier one".to_owned()))).await.unwrap().snapshot
    }

    fn set_password(&self, password: &str) {
        *self.keys.password.lock().unwrap() = Some(password.to_owned());
    }

    fn logins(&self) -> usize {
        self.web.inner().count("POST /api/auth/login")
    }

    async fn command(&self, command: Command, task: Option<&str>) -> Result<String, BackendError> {
        let accepted = self.backend.execute(&call(command, task)).await?;
        assert!(accepted.observed);
        Ok(accepted.message.unwrap().to_string())
    }

    async fn runs(&self, task: &str) -> Result<Vec<vigie::model::Run>, BackendError> {
        self.backend.runs(&RunsQuery { task: Some(TaskId::new(task)), limit: 10 }).await
    }
}

fn named<'a>(snapshot: &'a Snapshot, id: &str) -> &'a Task {
    snapshot.tasks.items.iter().find(|task| task.id.as_raw() == id).unwrap_or_else(|| panic!("no {id}"))
}

fn alert<'a>(snapshot: &'a Snapshot, task: Option<&str>, kind: AlertKind) -> Option<&'a Alert> {
    assert_eq!(snapshot.alerts.coverage, Coverage::Complete);
    let is = |alert: &&Alert| alert.task.as_ref().map(TaskId::as_raw) == task && alert.kind == kind;
    snapshot.alerts.items.iter().find(is)
}

fn degraded(snapshot: &Snapshot) -> &str {
    snapshot.degraded.as_deref().unwrap_or_default()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}
