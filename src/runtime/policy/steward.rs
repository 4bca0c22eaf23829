//! Looks after the endpoints that have a policy: follows them, and does what
//! their ledgers decide.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ledger::{Ledger, Step};
use super::store::{Store, StoreError};
use super::{Configured, FailureAction, Rule};
use crate::fleet::Fleet;
use crate::model::{
    Arguments, Clean, EndpointName, EndpointSpec, Evidence, Guard, Intent, IntentId, Receipt, Stage, Target,
    TaskId, TaskKey, TaskState, Verb,
};
use crate::runtime::{LocalPolicy, Places, Runtime, Setup, StartError, Update};

/// So many automatic calls of one endpoint are on their way at once.
const AT_ONCE: usize = 4;
/// How often one who stands by looks whether he is needed.
const STAND_BY: TimeDelta = TimeDelta::seconds(15);
/// The pause after a ledger could not be written.
const UNWRITABLE: TimeDelta = TimeDelta::seconds(30);

/// What a test replaces.
pub struct Around {
    /// The clock.
    pub now: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// Starts the fleet loop.
    pub start: Box<dyn Fn(Setup) -> Result<Runtime, StartError> + Send + Sync>,
}

/// See the module's text.
pub struct Steward {
    places: Places,
    around: Around,
    wards: BTreeMap<EndpointName, Ward>,
    /// Why a policy is not applied here, as it was logged.
    said: BTreeMap<EndpointName, Clean>,
    /// When to look again whether one can be.
    again: Option<DateTime<Utc>>,
    fleet: Fleet,
    runtime: Option<Runtime>,
}

impl fmt::Debug for Steward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steward").field("wards", &self.wards.keys()).finish_non_exhaustive()
    }
}

/// An endpoint in our charge.
struct Ward {
    spec: EndpointSpec,
    rule: Rule,
    ledger: Ledger,
    store: Store,
    in_flight: BTreeMap<IntentId, Step>,
    wake: Option<DateTime<Utc>>,
    /// Nothing is done before: the ledger could not be written.
    held: Option<DateTime<Utc>>,
}

enum Event {
    Update(Update),
    Time,
    Configured,
    End,
}

impl Steward {
    pub fn new(places: Places, around: Around) -> Self {
        Self {
            places,
            around,
            wards: BTreeMap::new(),
            said: BTreeMap::new(),
            again: None,
            fleet: Fleet::default(),
            runtime: None,
        }
    }

    /// Applies the policies until `stop`.
    pub async fn run(mut self, mut configured: watch::Receiver<Configured>, stop: CancellationToken) {
        let mut event = Event::Configured;
        loop {
            match event {
                Event::End => break,
                Event::Update(update) => self.take_in(update).await,
                Event::Time => {
                    let now = self.now();
                    self.fleet.tick(now);
                    if self.again.is_some_and(|again| again <= now) {
                        let current = configured.borrow().clone();
                        self.take_charge(&current).await;
                    }
                }
                Event::Configured => {
                    let current = configured.borrow_and_update().clone();
                    self.take_charge(&current).await;
                }
            }
            self.act().await;
            event = self.next(&mut configured, &stop).await;
        }
        if let Some(runtime) = self.runtime {
            runtime.shutdown().await;
        }
    }

    fn now(&self) -> DateTime<Utc> {
        (self.around.now)()
    }

    /// What happens next. Nothing is lost: what it waits on is taken up again.
    async fn next(
        &mut self,
        configured: &mut watch::Receiver<Configured>,
        stop: &CancellationToken,
    ) -> Event {
        let pause = self.wake().map(|at| (at - self.now()).to_std().unwrap_or(Duration::ZERO));
        let update = async {
            match &mut self.runtime {
                Some(runtime) => match runtime.updates.next().await {
                    Some(update) => update,
                    None => pending().await,
                },
                None => pending().await,
            }
        };
        let time = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => pending().await,
            }
        };
        let changed = async {
            if configured.changed().await.is_err() {
                pending::<()>().await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => Event::End,
            () = changed => Event::Configured,
            update = update => Event::Update(update),
            () = time => Event::Time,
        }
    }

    /// When time alone brings something to do.
    fn wake(&self) -> Option<DateTime<Utc>> {
        let wards = self.wards.values().filter_map(|ward| ward.held.or(ward.wake));
        wards.chain(self.again).chain(self.fleet.next_change()).min()
    }

    /// Makes the wards those that have a policy, as far as they are free to be ours.
    async fn take_charge(&mut self, configured: &Configured) {
        let now = self.now();
        let wanted: Vec<(&EndpointSpec, Rule)> =
            configured.endpoints.iter().filter_map(|spec| Some((spec, Rule::of(spec)?))).collect();
        self.wards
            .retain(|_, ward| !configured.read_only && wanted.iter().any(|(spec, _)| **spec == ward.spec));
        self.said.retain(|name, _| wanted.iter().any(|(spec, _)| spec.name == *name));
        self.again = None;
        for (spec, rule) in wanted {
            if self.wards.contains_key(&spec.name) {
                continue;
            }
            if configured.read_only || spec.guard == Guard::ReadOnly {
                self.say(&spec.name, "read-only: its policy is not applied".into());
                continue;
            }
            match Store::open(&self.places.state, spec).await {
                Ok((store, ledger)) => {
                    self.said.remove(&spec.name);
                    self.enter(spec.clone(), rule, store, ledger);
                }
                Err(why) => {
                    let why = match why {
                        StoreError::Taken => {
                            "another vigie serve applies its policy: this one stands by".into()
                        }
                        StoreError::Wrong(why) => Clean::from(format!("its policy can't be applied: {why}")),
                    };
                    self.say(&spec.name, why);
                    self.again = now.checked_add_signed(STAND_BY);
                }
            }
        }
        self.follow(configured, now);
    }

    fn enter(&mut self, spec: EndpointSpec, rule: Rule, store: Store, ledger: Ledger) {
        tracing::info!(
            endpoint = %spec.name, retries = rule.count, delay_s = rule.delay.num_seconds(),
            "its policy is applied here: what fails is tried again"
        );
        let (in_flight, wake, held) = (BTreeMap::new(), None, None);
        self.wards.insert(spec.name.clone(), Ward { spec, rule, ledger, store, in_flight, wake, held });
    }

    /// Logs why a policy is not applied, once.
    fn say(&mut self, endpoint: &EndpointName, why: Clean) {
        if self.said.get(endpoint) != Some(&why) {
            tracing::warn!(%endpoint, "{why}");
            self.said.insert(endpoint.clone(), why);
        }
    }

    /// Polls the wards, and the endpoints that their failure actions are aimed at.
    fn follow(&mut self, configured: &Configured, now: DateTime<Utc>) {
        let aims = |name: &EndpointName| {
            self.wards
                .values()
                .any(|ward| matches!(&ward.rule.action, FailureAction::Run(key) if key.endpoint == *name))
        };
        let needed = |spec: &&EndpointSpec| self.wards.contains_key(&spec.name) || aims(&spec.name);
        let specs: Vec<EndpointSpec> = configured.endpoints.iter().filter(needed).cloned().collect();
        self.fleet.configure(&specs, now);
        if self.runtime.is_none() && !specs.is_empty() {
            let setup = Setup {
                endpoints: Vec::new(),
                read_only: false,
                places: self.places.clone(),
                local: LocalPolicy::AnswerOnly,
            };
            match (self.around.start)(setup) {
                Ok(runtime) => self.runtime = Some(runtime),
                Err(error) => tracing::error!(%error, "policies can't be applied"),
            }
        }
        if let Some(runtime) = &self.runtime {
            // One whose adapter can't be made is an endpoint that is down.
            runtime.handle.configure(specs, false);
        }
    }

    async fn take_in(&mut self, update: Update) {
        let now = self.now();
        match update {
            Update::Described { endpoint, url, capabilities } => {
                self.fleet.describe(&endpoint, url, capabilities);
            }
            Update::Polled { endpoint, snapshot } => {
                let observed = self.fleet.apply(&endpoint, *snapshot, now).receipts;
                if let Some(runtime) = &self.runtime {
                    runtime.handle.record(observed);
                }
            }
            Update::Failed { endpoint, failure } => {
                if failure.tries == 1 {
                    tracing::warn!(%endpoint, "can't be read, so its policy rests: {}", failure.reason);
                }
                self.fleet.fail(&endpoint, failure, now);
            }
            Update::Receipt(receipt) => self.note(receipt, now).await,
            Update::Unrecorded { reason, .. } => {
                tracing::error!("the journal can't be written, so no policy is applied: {reason}");
            }
            Update::Note(note) => tracing::info!("{note}"),
            Update::Runs { .. }
            | Update::Log { .. }
            | Update::Trace { .. }
            | Update::Audit { .. }
            | Update::Foreseen { .. } => {}
        }
    }

    /// What became of an automatic call.
    async fn note(&mut self, receipt: Receipt, now: DateTime<Utc>) {
        self.fleet.note_receipt(receipt.clone(), now);
        let Receipt { intent, stage, target, deed, message, .. } = receipt;
        if stage == Stage::Sent {
            return;
        }
        let found = self.wards.values_mut().find_map(|ward| Some((ward.in_flight.remove(&intent)?, ward)));
        let Some((step, ward)) = found else { return };
        let said = message.map_or_else(String::new, |message| format!(": {message}"));
        match (stage, step) {
            (Stage::Failed, Step::Retry { task, .. }) => {
                tracing::warn!(%target, "the automatic retry was refused{said}");
                ward.ledger.refused(&ward.rule, &task, now);
                if let Err(reason) = ward.store.save(&ward.ledger).await {
                    let endpoint = &ward.spec.name;
                    tracing::error!(%endpoint, "the account of its policy can't be written: {reason}");
                }
            }
            (Stage::Failed, Step::GiveUp { .. }) => {
                tracing::error!(%target, "the failure action was refused{said}");
            }
            (Stage::Unknown, _) => {
                tracing::warn!(%target, "the answer to the automatic {deed} was lost; it is not sent again{said}");
            }
            _ => tracing::info!(%target, "automatic {deed} accepted{said}"),
        }
    }

    /// Does what is due.
    async fn act(&mut self) {
        let now = self.now();
        let mut sent = Vec::new();
        for (name, ward) in &mut self.wards {
            ward.held = ward.held.filter(|held| *held > now);
            ward.wake = None;
            let evidence = self.fleet.endpoint(name).map(|row| row.evidence);
            if ward.held.is_some() || !matches!(evidence, Some(Evidence::Fresh | Evidence::Skewed)) {
                continue;
            }
            let before = ward.ledger.clone();
            let room = AT_ONCE.saturating_sub(ward.in_flight.len());
            let rows = self.fleet.tasks().filter(|row| row.key.endpoint == *name);
            let decision = ward.ledger.decide(&ward.rule, rows, room, now);
            ward.wake = decision.wake;
            if ward.ledger == before {
                continue;
            }
            // First what is done, then the doing: whatever happens in between, nothing is done twice.
            if let Err(reason) = ward.store.save(&ward.ledger).await {
                tracing::error!(endpoint = %name, "nothing is tried again, since the account of it can't be written: {reason}");
                ward.ledger = before;
                ward.held = now.checked_add_signed(UNWRITABLE);
                continue;
            }
            for step in decision.steps {
                if let Some(intent) = ward.intend(&step, now) {
                    ward.in_flight.insert(intent.id, step);
                    sent.push(intent);
                }
            }
        }
        if let Some(runtime) = &self.runtime {
            for intent in sent {
                runtime.handle.send(intent);
            }
        }
    }
}

impl Ward {
    /// The intent of a step; none where only the log is told.
    fn intend(&self, step: &Step, now: DateTime<Utc>) -> Option<Intent> {
        let endpoint = &self.spec.name;
        let (verb, target, cause) = match step {
            Step::Retry { task, number } => {
                let count = self.rule.count;
                tracing::info!(%endpoint, %task, "automatic retry {number} of {count}");
                let target = Target::task(&TaskKey::new(endpoint, task), TaskState::Failing);
                (Verb::Retry, target, format!("retry {number} of {count}"))
            }
            Step::GiveUp { task, tries } => self.give_up(task, *tries)?,
        };
        Some(Intent {
            id: IntentId(Uuid::now_v7()),
            deed: verb.into(),
            targets: vec![target],
            arguments: Arguments::default(),
            at: now,
            by: Some(Clean::from(format!("policy of {endpoint}: {cause}"))),
        })
    }

    fn give_up(&self, task: &TaskId, tries: u32) -> Option<(Verb, Target, String)> {
        let endpoint = &self.spec.name;
        match &self.rule.action {
            FailureAction::Nothing => None,
            FailureAction::Alert => {
                tracing::error!(%endpoint, %task, "failed for good after {}", retries(tries));
                None
            }
            FailureAction::Run(key) => {
                tracing::warn!(%endpoint, %task, "failed for good after {}: runs {key}", retries(tries));
                let target = Target {
                    endpoint: key.endpoint.clone(),
                    task: Some(key.task.clone()),
                    run: None,
                    seen: None,
                };
                Some((Verb::Trigger, target, format!("{task} failed for good after {}", retries(tries))))
            }
        }
    }
}

/// `1 automatic retry`, `2 automatic retries`.
fn retries(count: u32) -> String {
    format!("{count} automatic {}", if count == 1 { "retry" } else { "retries" })
}
