//! The cron service of duplistatus alone: nothing secret, and no history.

use std::sync::Arc;

use ::vigie::backend::Call;
use ::vigie::model::{Deed, EndpointSpec, Kind, TaskId, Verb};
use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::super::subject::{Good, Subject, relay};
use crate::raw::Seen;
use crate::stand_ins::duplistatus::{CHECK, CLEANUP, StandIn};
use crate::support::{call, spec};

pub struct Service {
    real: StandIn,
}

/// One task has run and failed, and the other is stopped.
pub fn make() -> BoxFuture<'static, Arc<dyn Subject>> {
    async {
        let real = StandIn::start().await;
        real.inner().fire();
        real.inner().failing = Some("ntfy is out of reach");
        real.inner().fire();
        real.inner().failing = None;
        real.inner().stop(CLEANUP);
        Arc::new(Service { real }) as _
    }
    .boxed()
}

#[async_trait]
impl Subject for Service {
    fn name(&self) -> &'static str {
        "duplistatus"
    }

    fn kind(&self) -> Kind {
        Kind::Duplistatus
    }

    fn configure(&self, url: &str) -> EndpointSpec {
        spec(Kind::Duplistatus, url)
    }

    fn credentials(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    async fn good(&self, seen: &Seen) -> Good {
        relay(&self.real.url, seen).await
    }

    fn task(&self) -> TaskId {
        CHECK.into()
    }

    fn calls(&self, deed: Deed) -> Vec<Call> {
        match deed {
            Deed::Verb(Verb::Resume) => vec![call(deed, Some(CLEANUP))],
            Deed::Verb(Verb::ReloadConfig) => vec![call(deed, None)],
            Deed::Verb(_) => vec![call(deed, Some(CHECK))],
            Deed::Command(_) => Vec::new(),
        }
    }

    /// It throws before it schedules anything; and a reload that fails says which half was loaded.
    fn surely_undone(&self, route: &str, status: u16) -> bool {
        status == 500 && (route.starts_with("POST /start/") || route == "POST /reload-config")
    }

    fn may_take_long(&self, route: &str) -> bool {
        route.starts_with("POST /trigger/")
    }

    fn maps(&self) -> &'static [&'static str] {
        &["lastRunTimes", "errors"]
    }
}
