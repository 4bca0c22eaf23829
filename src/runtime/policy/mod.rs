//! What `retry` and `failure_action` of an endpoint's options ask for: retries
//! that vigie makes itself of what failed, where `policy = true`.
//!
//! Only `vigie serve` applies a policy, never a console or a command: two
//! laptops would both retry. Of several on one state directory one applies it,
//! held to that by a lock of the operating system per endpoint; the others
//! stand by. Nothing but [`apply`] gets here, and it is called by `serve` alone.
//!
//! ```text
//! fleet rows ─► ledger (pure): what is due? ─► disk: "sent" ─► journal ─► Handle::send
//!                  ▲                                                         │
//!                  └──────────────── receipts, later polls ◄────────────────┘
//! ```
//!
//! Each failure is answered at most once. What was done is on disk before its
//! request leaves, so that neither a restart nor a crash does it again; a crash
//! in between costs the retry. A lost answer is looked at by later polls, and
//! never repeated.

mod ledger;
mod steward;
mod store;

use chrono::TimeDelta;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Places, shell};
use crate::model::{EndpointName, EndpointSpec, OptionValue, TaskId, TaskKey};

pub(super) use steward::{Around, Steward};

/// The part of the configuration that policies come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configured {
    /// All endpoints: those without a policy may be what a failure action is aimed at.
    pub endpoints: Vec<EndpointSpec>,
    /// Refuse every intent.
    pub read_only: bool,
}

/// Applies the policies of the configuration, as it is and as it changes, until `stop`.
pub async fn apply(configured: watch::Receiver<Configured>, places: Places, stop: CancellationToken) {
    let around = Around { now: Box::new(shell::now), start: Box::new(super::Runtime::start) };
    Steward::new(places, around).run(configured, stop).await;
}

/// What is done about failures of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// At most so many retries of one task.
    count: u32,
    /// So long after the failure.
    delay: TimeDelta,
    /// After the last.
    action: FailureAction,
}

/// What follows the last retry.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FailureAction {
    /// A line in the log.
    Alert,
    /// Nothing.
    Nothing,
    /// Another task is triggered.
    Run(TaskKey),
}

impl Rule {
    /// The rule of an endpoint that has one: off unless `policy = true`.
    fn of(spec: &EndpointSpec) -> Option<Self> {
        if !spec.flag("policy") {
            return None;
        }
        let (count, delay) = match spec.options.get("retry") {
            Some(OptionValue::Retry(retry)) => (retry.count, retry.delay),
            _ => (0, std::time::Duration::ZERO),
        };
        let action = match spec.text("failure_action") {
            Some("none") => FailureAction::Nothing,
            // What is neither is refused where the configuration is read.
            text => text.and_then(run_of).map_or(FailureAction::Alert, FailureAction::Run),
        };
        Some(Self { count, delay: TimeDelta::from_std(delay).unwrap_or(TimeDelta::MAX), action })
    }
}

/// The task of `run:ENDPOINT/TASK`.
fn run_of(text: &str) -> Option<TaskKey> {
    let (endpoint, task) = text.strip_prefix("run:")?.split_once('/')?;
    Some(TaskKey::new(&EndpointName::new(endpoint), &TaskId::new(task)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, RetryRule};

    #[test]
    fn it_is_off_unless_policy_is_true() {
        let mut spec = EndpointSpec::new("rq".into(), Kind::Rediacc, None);
        let retry = RetryRule { count: 3, delay: std::time::Duration::from_secs(30) };
        spec.options.insert("retry".to_owned(), OptionValue::Retry(retry));
        assert_eq!(Rule::of(&spec), None);
        spec.options.insert("policy".to_owned(), OptionValue::Flag(false));
        assert_eq!(Rule::of(&spec), None);
        spec.options.insert("policy".to_owned(), OptionValue::Flag(true));
        let rule = Rule { count: 3, delay: TimeDelta::seconds(30), action: FailureAction::Alert };
        assert_eq!(Rule::of(&spec), Some(rule.clone()));
        for (text, action) in [
            ("alert", FailureAction::Alert),
            ("none", FailureAction::Nothing),
            ("run:local/a/b", FailureAction::Run(TaskKey::new(&"local".into(), &"a/b".into()))),
        ] {
            spec.options.insert("failure_action".to_owned(), OptionValue::Text(text.to_owned()));
            assert_eq!(Rule::of(&spec), Some(Rule { action, ..rule.clone() }));
        }
        spec.options.remove("retry");
        assert_eq!(Rule::of(&spec).map(|rule| rule.count), Some(0));
    }
}
