//! duplistatus with its web application: both halves behind one address.

use std::sync::Arc;

use ::vigie::backend::Call;
use ::vigie::model::{Command, Deed, EndpointSpec, Kind, LogOf, OptionValue, TaskId, Verb};
use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::super::subject::{Good, Subject, relay};
use crate::raw::Seen;
use crate::stand_ins::duplistatus::{CHECK, CLEANUP, StandIn};
use crate::stand_ins::duplistatus_web::{PASSWORD, USERNAME, Web};
use crate::support::{call, spec};

const JOB: &str = "b3a2d6c859401b3895631803e14da0fa/Users";

pub struct Both {
    cron: StandIn,
    web: Web,
}

pub fn make() -> BoxFuture<'static, Arc<dyn Subject>> {
    async {
        let cron = StandIn::start().await;
        cron.inner().fire();
        cron.inner().stop(CLEANUP);
        let web = Web::start(cron.database()).await;
        // Every field of every thing is spoiled in turn: one thing of each sort is enough.
        web.inner().jobs.retain(|job| job.name == "Users");
        web.inner().servers = 1;
        Arc::new(Both { cron, web }) as _
    }
    .boxed()
}

#[async_trait]
impl Subject for Both {
    fn name(&self) -> &'static str {
        "duplistatus with its web app"
    }

    fn kind(&self) -> Kind {
        Kind::Duplistatus
    }

    fn configure(&self, url: &str) -> EndpointSpec {
        let mut spec = spec(Kind::Duplistatus, url);
        spec.options.insert("web_url".to_owned(), OptionValue::Url(url.to_owned()));
        spec
    }

    fn credentials(&self) -> Vec<(&'static str, &'static str)> {
        vec![("username", USERNAME), ("password", PASSWORD)]
    }

    async fn good(&self, seen: &Seen) -> Good {
        let base = if seen.target.starts_with("/api/") { &self.web.url } else { &self.cron.url };
        relay(base, seen).await
    }

    fn task(&self) -> TaskId {
        JOB.into()
    }

    fn logs(&self) -> Vec<LogOf> {
        vec![LogOf::Endpoint]
    }

    fn calls(&self, deed: Deed) -> Vec<Call> {
        match deed {
            Deed::Verb(Verb::Resume) => vec![call(deed, Some(CLEANUP))],
            Deed::Verb(Verb::ReloadConfig) => vec![call(deed, None)],
            Deed::Verb(Verb::Trigger) => vec![call(deed, Some(CHECK)), call(deed, Some(CLEANUP))],
            Deed::Verb(_) => vec![call(deed, Some(CHECK))],
            Deed::Command(Command::DuplistatusCollect) => vec![call(deed, Some(JOB))],
            Deed::Command(_) => vec![call(deed, None)],
        }
    }

    fn acts(&self, route: &str) -> bool {
        !route.starts_with("GET ") && route != "POST /api/auth/login"
    }

    /// A login: a refusal that nobody hears would be asked for again.
    fn sees_through(&self, route: &str) -> bool {
        ["GET /api/csrf", "POST /api/auth/login"].contains(&route)
    }

    fn surely_undone(&self, route: &str, status: u16) -> bool {
        status == 500 && (route.starts_with("POST /start/") || route == "POST /reload-config")
    }

    fn may_take_long(&self, route: &str) -> bool {
        ["POST /trigger/", "POST /api/notifications/", "POST /api/backups/"]
            .iter()
            .any(|p| route.starts_with(p))
    }

    fn maps(&self) -> &'static [&'static str] {
        &["lastRunTimes", "errors"]
    }
}
