//! Duty Duck, stood in for: tasks of every status, runs with logs, incidents, monitors.

use std::sync::Arc;

use ::vigie::backend::Call;
use ::vigie::model::{Clean, Command, Deed, EndpointSpec, Input, Kind, LogOf, TaskId, Verb};
use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::super::subject::{Ask, Good, Subject, relay};
use crate::raw::Seen;
use crate::stand_ins::duty_duck::{SECRET_KEY, StandIn, TOKEN_ID};
use crate::support::{call, log_of, spec};

pub struct Duck {
    real: StandIn,
}

/// Later versions' logs included.
pub fn make() -> BoxFuture<'static, Arc<dyn Subject>> {
    async {
        let real = StandIn::start().await;
        real.inner().switches.keeps_logs = true;
        Arc::new(Duck { real }) as _
    }
    .boxed()
}

impl Duck {
    fn id(&self, name: &str) -> String {
        self.real.inner().id_of(name)
    }
}

#[async_trait]
impl Subject for Duck {
    fn name(&self) -> &'static str {
        "duty-duck"
    }

    fn kind(&self) -> Kind {
        Kind::DutyDuck
    }

    fn configure(&self, url: &str) -> EndpointSpec {
        spec(Kind::DutyDuck, url)
    }

    fn credentials(&self) -> Vec<(&'static str, &'static str)> {
        vec![("token_id", TOKEN_ID), ("secret_key", SECRET_KEY)]
    }

    /// What a monitor sends.
    fn confidences(&self) -> Vec<&'static str> {
        vec!["of-the-monitor"]
    }

    async fn good(&self, seen: &Seen) -> Good {
        relay(&self.real.url, seen).await
    }

    /// One that runs: a call for it needs no other state.
    fn task(&self) -> TaskId {
        self.id("report").as_str().into()
    }

    fn logs(&self) -> Vec<LogOf> {
        let run = self.real.inner().runs[0].id.clone();
        vec![log_of(&self.id("report"), &run)]
    }

    fn calls(&self, deed: Deed) -> Vec<Call> {
        let on = |name: &str| call(deed, Some(&self.id(name)));
        let with = |mut call: Call, inputs: &[(&str, &str)]| {
            let inputs = inputs.iter().map(|(n, text)| (Clean::line(n), Input::Text(Clean::line(text))));
            call.arguments.inputs = inputs.collect();
            call
        };
        match deed {
            Deed::Verb(Verb::Pause) => vec![on("https://shop.example/health")],
            Deed::Verb(Verb::Resume) => vec![on("https://old.example/")],
            Deed::Verb(Verb::Archive) => vec![on("report"), on("https://shop.example/health")],
            Deed::Verb(Verb::Cancel) => {
                let run = self.real.inner().runs.last().map(|run| run.id.as_str().into());
                vec![on("import"), Call { run, ..on("import") }]
            }
            Deed::Verb(Verb::Acknowledge) => vec![on("report"), on("https://api.example/")],
            Deed::Command(Command::DutyDuckStart) => vec![on("nightly-db-dump")],
            Deed::Command(Command::DutyDuckFinish) => vec![with(
                on("import"),
                &[("outcome", "failure"), ("exit-code", "3"), ("message", "disk full")],
            )],
            Deed::Command(Command::DutyDuckComment) => vec![with(on("report"), &[("text", "on it")])],
            _ => Vec::new(),
        }
    }

    fn maps(&self) -> &'static [&'static str] {
        &["records"]
    }

    /// What the token may do is good to know, and no more; a trace without incidents says so.
    fn spares(&self, ask: &Ask, route: &str) -> bool {
        let of_the_token = route.starts_with("GET /users/") || route == "GET /api-tokens";
        match ask {
            Ask::Trace(_) => route == "GET /incidents",
            ask => ask.is_poll() && of_the_token,
        }
    }
}
