//! Rediacc by e-mail and password: a strict server, whose tokens are good for
//! one request each. A lost token is mended by logging in again.

use std::sync::Arc;

use ::vigie::backend::Call;
use ::vigie::model::{Aim, Clean, Command, Deed, EndpointSpec, Input, Kind, Payload, TaskId, Verb};
use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::super::subject::{Ask, Good, Subject, relay};
use crate::raw::Seen;
use crate::stand_ins::lively;
use crate::stand_ins::rediacc::books::VAULT;
use crate::stand_ins::rediacc::{EMAIL, PASSWORD, StandIn};
use crate::support::{call, now, spec};

pub struct Middleware {
    real: StandIn,
    /// Something that waits, something at work, something that has failed.
    pending: String,
    failed: String,
}

pub fn make() -> BoxFuture<'static, Arc<dyn Subject>> {
    async {
        let real = lively::queue(now()).await;
        let (pending, failed) = {
            let world = real.world();
            let of =
                |status: &str| world.data.items.iter().find(|item| item.status == status).unwrap().id.clone();
            (of("PENDING"), of("FAILED"))
        };
        Arc::new(Middleware { real, pending, failed }) as _
    }
    .boxed()
}

#[async_trait]
impl Subject for Middleware {
    fn name(&self) -> &'static str {
        "rediacc"
    }

    fn kind(&self) -> Kind {
        Kind::Rediacc
    }

    fn configure(&self, url: &str) -> EndpointSpec {
        spec(Kind::Rediacc, &format!("{url}/api"))
    }

    fn credentials(&self) -> Vec<(&'static str, &'static str)> {
        vec![("email", EMAIL), ("password", PASSWORD)]
    }

    /// What is in a vault, and what every token has in it.
    fn confidences(&self) -> Vec<&'static str> {
        vec![VAULT, "-70ke-4n00-"]
    }

    async fn good(&self, seen: &Seen) -> Good {
        relay(self.real.url.trim_end_matches("/api"), seen).await
    }

    fn task(&self) -> TaskId {
        TaskId::new(&self.pending)
    }

    fn calls(&self, deed: Deed) -> Vec<Call> {
        // The generation of 2026 has no call for it.
        if deed == Verb::Reprioritise {
            return Vec::new();
        }
        let id = if deed == Verb::Retry { &self.failed } else { &self.pending };
        let mut call = match deed {
            Deed::Command(command) if command.spec().aim == Aim::Endpoint => call(deed, None),
            _ => call(deed, Some(id)),
        };
        if let Deed::Command(command) = deed {
            for input in command.spec().inputs.iter().filter(|input| input.required) {
                let value = match input.name {
                    "payload" => Input::Payload(Payload::new(b"{\"function\":\"ls\"}".to_vec(), "0f")),
                    "team" => Input::Text("prod".into()),
                    _ => Input::Text("Global Bridges".into()),
                };
                call.arguments.inputs.insert(Clean::line(input.name), value);
            }
        }
        vec![call]
    }

    /// Reads are POSTs too.
    fn acts(&self, route: &str) -> bool {
        ["Cancel", "Retry", "Create", "Delete"].iter().any(|verb| route.contains(&format!("/{verb}")))
            && route.contains("QueueItem")
    }

    fn budget(&self) -> usize {
        15
    }

    fn sees_through(&self, _route: &str) -> bool {
        true
    }

    /// The lists of items tell all that has to be known; counts, names and permissions round it off.
    fn spares(&self, ask: &Ask, route: &str) -> bool {
        // A token that has come is good, whatever became of the rest of the login's answer.
        const BESIDE: [&str; 6] = [
            "/health",
            "/CreateAuthenticationRequest",
            "/GetOrganizationDashboard",
            "/GetOrganizationTeams",
            "/GetTeamMachines",
            "/GetRequestAuthenticationStatus",
        ];
        ask.is_poll() && BESIDE.iter().any(|beside| route.ends_with(beside))
    }

    fn remembers_refusals(&self, route: &str) -> bool {
        route.ends_with("/CreateAuthenticationRequest")
    }

    fn ends(&self, ask: &Ask) -> bool {
        matches!(ask, Ask::Do(call) if call.deed == Command::RediaccRevoke)
    }
}
