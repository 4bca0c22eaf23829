//! The running fleet loop as others hold it, and what it is made of.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use indexmap::IndexMap;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::credentials::{Credentials, Question};
use super::deliver;
use super::journal::Journal;
use super::local::{ASK, Keeper, LocalState};
use super::outbox::Outbox;
use super::poller::Poller;
use super::{LocalPolicy, Places, Setup, StartError, Update, shell};
use crate::backend::{
    self, Accepted, Backend, BackendError, BuildError, Call, Cursor, LogChunk, Polled, RunsQuery,
    Surroundings,
};
use crate::model::{
    AuditEntry, Capabilities, Clean, EndpointName, EndpointSpec, Intent, Kind, LogOf, Receipt, Run, Target,
    TaskId, Trace,
};

/// How many calls that change something one endpoint has at once.
pub(super) const CALLS: usize = 4;
/// How many reads on demand one endpoint has at once.
const READS: usize = 4;
/// How many more may wait.
const MAX_WAITING: usize = 64;
/// How many intents may wait for the journal.
const MAX_INTENTS: usize = 64;
/// How long calls in flight may take once the end has come.
const DRAIN: Duration = Duration::from_secs(3);
/// How long what they leave to be written may take then.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How an endpoint gets its adapter.
pub(super) type Factory = Arc<dyn Fn(&EndpointSpec) -> Result<Arc<dyn Backend>, BuildError> + Send + Sync>;

/// What a test replaces.
pub(super) struct Wiring {
    /// Makes adapters.
    pub factory: Factory,
    /// The program that is a coordinator when it is told `serve`.
    pub program: Option<PathBuf>,
    /// What the end waits for.
    pub tracker: TaskTracker,
}

impl Wiring {
    /// `person`: who answers for what only a person can give, where there is one.
    pub fn real(places: &Places, person: Option<mpsc::Sender<Question>>) -> Self {
        let (data, state, vault) = (places.data.clone(), places.state.clone(), places.vault.clone());
        let tracker = TaskTracker::new();
        let spawn = seen_through(&tracker);
        let factory: Factory = Arc::new(move |spec| {
            let around = Surroundings {
                credentials: Arc::new(Credentials::of(spec, vault.clone(), person.clone())),
                data: Some(data.clone()),
                state: Some(state.clone()),
                now: shell::now,
                spawn: Arc::clone(&spawn),
            };
            backend::build(spec, &around)
        });
        Self { factory, program: std::env::current_exe().ok(), tracker }
    }
}

/// Sees exchanges through: the end waits for what is tracked, and neither a
/// cancelled poll nor a removed endpoint cuts one off.
pub(super) fn seen_through(tracker: &TaskTracker) -> backend::Spawn {
    let tracker = tracker.clone();
    Arc::new(move |work| {
        tracker.spawn(work);
    })
}

/// One endpoint that is looked after.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub spec: Arc<EndpointSpec>,
    pub backend: Arc<dyn Backend>,
    /// Ends the poller's pause.
    pub wake: Arc<Notify>,
    /// Ends whatever is done for it.
    stop: CancellationToken,
    /// Places for calls that change something.
    pub calls: Arc<Semaphore>,
    /// Places for reads on demand.
    reads: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    /// A second look after an action is already on its way.
    pub second_look: Arc<AtomicBool>,
    local: Option<watch::Receiver<LocalState>>,
}

/// What handle, tasks and runtime share.
pub(super) struct Shared {
    pub outbox: Arc<Outbox>,
    pub journal: Journal,
    pub read_only: AtomicBool,
    pub tracker: TaskTracker,
    /// The end has come: nothing new begins.
    pub stop: CancellationToken,
    /// The end's patience is over.
    pub abort: CancellationToken,
    places: Places,
    policy: LocalPolicy,
    wiring: Wiring,
    endpoints: RwLock<IndexMap<EndpointName, Endpoint>>,
    intents: mpsc::Sender<Intent>,
    executor: tokio::runtime::Handle,
}

impl Shared {
    /// Starts `task`; it must end soon after `stop`.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn_on(task, &self.executor);
    }

    /// The endpoint of that name, as it is now.
    pub fn endpoint(&self, name: &EndpointName) -> Option<Endpoint> {
        self.endpoints.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Makes the endpoints those of `specs`. One whose specification is as it
    /// was goes on undisturbed.
    ///
    /// # Errors
    /// With `strict`, the first adapter that can't be made; else that is a failure of its endpoint.
    fn configure(&self, specs: Vec<EndpointSpec>, strict: bool) -> Result<(), StartError> {
        let mut endpoints = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        let mut former = std::mem::take(&mut *endpoints);
        for spec in specs {
            let name = spec.name.clone();
            let same = former.shift_remove(&name).filter(|endpoint| {
                let same = *endpoint.spec == spec;
                if !same {
                    endpoint.stop.cancel();
                }
                same
            });
            let endpoint = match same {
                Some(endpoint) => endpoint,
                None => match (self.wiring.factory)(&spec) {
                    Ok(backend) => self.begin(spec, backend),
                    Err(BuildError(reason)) if strict => {
                        return Err(StartError { endpoint: name, reason });
                    }
                    Err(BuildError(reason)) => {
                        let backend = Arc::new(Unbuilt { kind: spec.kind, url: spec.url.clone(), reason });
                        self.begin(spec, backend)
                    }
                },
            };
            endpoints.insert(name, endpoint);
        }
        for (name, gone) in former {
            gone.stop.cancel();
            self.outbox.silence(&name);
        }
        Ok(())
    }

    /// Starts the poller of an endpoint, and the keeper of its coordinator if it is the local one.
    fn begin(&self, spec: EndpointSpec, backend: Arc<dyn Backend>) -> Endpoint {
        let spec = Arc::new(spec);
        let stop = self.stop.child_token();
        let local = (spec.kind == Kind::Vigie && spec.url.is_none()).then(|| {
            let (sender, receiver) = watch::channel(LocalState::Starting);
            let keeper = Keeper {
                spec: Arc::clone(&spec),
                places: self.places.clone(),
                policy: self.policy,
                program: self.wiring.program.clone(),
                ask: ASK,
                outbox: Arc::clone(&self.outbox),
                state: sender,
            };
            let stop = stop.clone();
            self.spawn(async move {
                stop.run_until_cancelled(keeper.run()).await;
            });
            receiver
        });
        let endpoint = Endpoint {
            backend: Arc::clone(&backend),
            wake: Arc::default(),
            stop: stop.clone(),
            calls: Arc::new(Semaphore::new(CALLS)),
            reads: Arc::new(Semaphore::new(READS)),
            waiting: Arc::default(),
            second_look: Arc::default(),
            local: local.clone(),
            spec: Arc::clone(&spec),
        };
        let poller = Poller {
            speaker: self.outbox.speaker(&spec.name),
            spec,
            backend,
            outbox: Arc::clone(&self.outbox),
            wake: Arc::clone(&endpoint.wake),
            gate: local,
        };
        self.spawn(poller.run(stop));
        endpoint
    }
}

impl Endpoint {
    /// Reads something on demand: within the endpoint's time limit, and never
    /// too many at once.
    ///
    /// # Errors
    /// Why not, in one line.
    async fn read<T>(&self, work: impl Future<Output = Result<T, BackendError>>) -> Result<T, Clean> {
        let limit = self.spec.timeout;
        let work = async {
            let _place = self.reads.acquire().await;
            match shell::contained(tokio::time::timeout(limit, work)).await {
                Ok(Ok(result)) => result.map_err(|error| Clean::from(error.to_string())),
                Ok(Err(_)) => Err(Clean::from(BackendError::TimedOut { after: limit }.to_string())),
                Err(panic) => Err(panic),
            }
        };
        let result = if self.waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING {
            let done = self.stop.run_until_cancelled(work).await;
            done.unwrap_or_else(|| Err("the endpoint is no longer looked after".into()))
        } else {
            Err("too many requests wait for this endpoint".into())
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        result
    }
}

/// The reason for what can't be done at an endpoint that nobody knows.
pub(super) fn no_such(endpoint: &EndpointName) -> Clean {
    Clean::from(format!("there is no endpoint {endpoint}"))
}

/// Talks to the running fleet loop. Cheap to clone; every call returns at once.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    /// Journals the intent, checks it against guard and read-only, and sends
    /// it; one receipt per target and stage comes back as updates.
    pub fn send(&self, intent: Intent) {
        let refused = match self.shared.intents.try_send(intent) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(intent)) => (intent, "too many actions wait for the journal"),
            Err(mpsc::error::TrySendError::Closed(intent)) => (intent, "vigie is about to end"),
        };
        deliver::refuse(&self.shared, &refused.0, &refused.1.into());
    }

    /// Writes receipts to the journal that only a later poll has brought about
    /// (`observed`, see [`crate::fleet::Delta::receipts`]); those that come as
    /// updates are there already.
    pub fn record(&self, receipts: Vec<Receipt>) {
        if !receipts.is_empty() {
            let shared = Arc::clone(&self.shared);
            self.shared.spawn(async move { deliver::record_receipts(&shared, receipts).await });
        }
    }

    /// Polls at once: one endpoint, or all. What an endpoint asked us to wait is waited for.
    pub fn refresh(&self, endpoint: Option<EndpointName>) {
        let endpoints = self.shared.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        match endpoint {
            Some(name) => endpoints.get(&name).into_iter().for_each(|found| found.wake.notify_one()),
            None => endpoints.values().for_each(|found| found.wake.notify_one()),
        }
    }

    /// Fetches runs.
    pub fn fetch_runs(&self, endpoint: EndpointName, query: RunsQuery) {
        let (found, outbox) = (self.shared.endpoint(&endpoint), Arc::clone(&self.shared.outbox));
        self.shared.spawn(async move {
            let result = match found {
                Some(found) => found.read(found.backend.runs(&query)).await,
                None => Err(no_such(&endpoint)),
            };
            outbox.other(Update::Runs { endpoint, query, result });
        });
    }

    /// Fetches what the endpoint tells of one task beyond polls and runs.
    pub fn fetch_trace(&self, endpoint: EndpointName, task: TaskId) {
        let (found, outbox) = (self.shared.endpoint(&endpoint), Arc::clone(&self.shared.outbox));
        self.shared.spawn(async move {
            let result = match found {
                Some(found) => found.read(found.backend.trace(&task)).await,
                None => Err(no_such(&endpoint)),
            };
            outbox.other(Update::Trace { endpoint, task, result });
        });
    }

    /// Fetches the newest lines of the endpoint's own audit log.
    pub fn fetch_audit(&self, endpoint: EndpointName, limit: usize) {
        let (found, outbox) = (self.shared.endpoint(&endpoint), Arc::clone(&self.shared.outbox));
        self.shared.spawn(async move {
            // A system that keeps none is no failure: whoever lists what is kept may pass over it.
            let mut kept = true;
            let result = match found {
                Some(found) => {
                    let read = async {
                        let read = found.backend.audit(limit).await;
                        kept = !matches!(read, Err(BackendError::Unsupported(_)));
                        read
                    };
                    found.read(read).await
                }
                None => Err(no_such(&endpoint)),
            };
            outbox.other(Update::Audit { endpoint, kept, result });
        });
    }

    /// Asks beforehand what an intent would do, target by target: a dry run, where the system has one.
    pub fn foresee(&self, intent: Intent) {
        let shared = Arc::clone(&self.shared);
        self.shared.spawn(async move {
            let mut lines = Vec::with_capacity(intent.targets.len());
            for target in &intent.targets {
                let call = deliver::call(&intent, target);
                lines.push(match shared.endpoint(&target.endpoint) {
                    Some(found) => found.read(found.backend.foresee(&call)).await,
                    None => Err(no_such(&target.endpoint)),
                });
            }
            shared.outbox.other(Update::Foreseen { intent: Box::new(intent), lines });
        });
    }

    /// Fetches a piece of a log.
    pub fn fetch_log(&self, endpoint: EndpointName, of: LogOf, offset: u64) {
        let (found, outbox) = (self.shared.endpoint(&endpoint), Arc::clone(&self.shared.outbox));
        self.shared.spawn(async move {
            let result = match found {
                Some(found) => found.read(found.backend.log(&of, offset)).await,
                None => Err(no_such(&endpoint)),
            };
            outbox.other(Update::Log { endpoint, of, offset, result });
        });
    }

    /// Replaces the endpoints after a change of the configuration. Those that
    /// are as they were go on undisturbed; one whose adapter can't be made is down.
    pub fn configure(&self, endpoints: Vec<EndpointSpec>, read_only: bool) {
        self.shared.read_only.store(read_only, Ordering::Relaxed);
        if self.shared.stop.is_cancelled() {
            return;
        }
        if let Err(error) = self.shared.configure(endpoints, false) {
            tracing::error!(%error, "the endpoints could not be configured");
        }
    }

    /// The request that each target of an intent would cause, for the preview.
    #[must_use]
    pub fn preview(&self, intent: &Intent) -> Vec<Clean> {
        let line = |target: &Target| match self.shared.endpoint(&target.endpoint) {
            Some(endpoint) => endpoint.backend.preview(&deliver::call(intent, target)),
            None => no_such(&target.endpoint),
        };
        intent.targets.iter().map(line).collect()
    }

    /// The endpoint whose coordinator ends with this process, because no other
    /// console holds it: what quitting would stop.
    #[must_use]
    pub fn stops_on_quit(&self) -> Option<EndpointName> {
        let endpoints = self.shared.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        let ends = |endpoint: &Endpoint| {
            let local = endpoint.local.as_ref();
            local.is_some_and(|state| matches!(*state.borrow(), LocalState::Attached { ends_with_us: true }))
        };
        endpoints.iter().find(|(_, endpoint)| ends(endpoint)).map(|(name, _)| name.clone())
    }

    /// How many updates were dropped because nobody took them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.outbox.dropped()
    }
}

/// The updates of a running fleet loop.
#[derive(Debug)]
pub struct Updates {
    outbox: Arc<Outbox>,
}

impl Updates {
    /// The next update; waits. `None` after the end. Nothing is lost if the
    /// future is dropped.
    pub async fn next(&mut self) -> Option<Update> {
        self.outbox.next().await
    }
}

/// A running fleet loop. It ends with [`Runtime::shutdown`], or when this is dropped.
#[derive(Debug)]
pub struct Runtime {
    /// For whoever acts.
    pub handle: Handle,
    /// For whoever listens: one reader.
    pub updates: Updates,
    _stop: DropGuard,
}

impl Runtime {
    /// Starts pollers for every endpoint. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// A backend that can't be built from its configuration.
    pub fn start(setup: Setup) -> Result<Self, StartError> {
        let wiring = Wiring::real(&setup.places, None);
        Self::start_with(setup, wiring)
    }

    /// As [`Runtime::start`], with a person at hand who may be asked for what
    /// is configured nowhere: `person` receives the questions.
    ///
    /// # Errors
    /// A backend that can't be built from its configuration.
    pub fn start_asking(setup: Setup, person: mpsc::Sender<Question>) -> Result<Self, StartError> {
        let wiring = Wiring::real(&setup.places, Some(person));
        Self::start_with(setup, wiring)
    }

    /// Whether the endpoints' adapters can be made, without any network: what is wrong with each.
    #[must_use]
    pub fn check(places: &Places, endpoints: &[EndpointSpec]) -> Vec<StartError> {
        let wiring = Wiring::real(places, None);
        let wrong = |spec: &EndpointSpec| {
            let BuildError(reason) = (wiring.factory)(spec).err()?;
            Some(StartError { endpoint: spec.name.clone(), reason })
        };
        endpoints.iter().filter_map(wrong).collect()
    }

    pub(super) fn start_with(setup: Setup, wiring: Wiring) -> Result<Self, StartError> {
        let (intents, waiting) = mpsc::channel(MAX_INTENTS);
        let shared = Arc::new(Shared {
            outbox: Arc::default(),
            journal: Journal::new(setup.places.journal()),
            read_only: AtomicBool::new(setup.read_only),
            tracker: wiring.tracker.clone(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            places: setup.places,
            policy: setup.local,
            wiring,
            endpoints: RwLock::default(),
            intents,
            executor: tokio::runtime::Handle::current(),
        });
        let stop = shared.stop.clone().drop_guard();
        shared.configure(setup.endpoints, true)?;
        shared.spawn(deliver::run(Arc::clone(&shared), waiting));
        let updates = Updates { outbox: Arc::clone(&shared.outbox) };
        Ok(Self { handle: Handle { shared }, updates, _stop: stop })
    }

    /// Ends every poller and gives back leases; waits for calls in flight for at most 3 s.
    pub async fn shutdown(self) {
        let shared = &self.handle.shared;
        shared.stop.cancel();
        shared.tracker.close();
        if tokio::time::timeout(DRAIN, shared.tracker.wait()).await.is_err() {
            shared.abort.cancel();
            if tokio::time::timeout(LAST_WORDS, shared.tracker.wait()).await.is_err() {
                tracing::warn!("something did not end in time");
            }
        }
        shared.outbox.close();
    }
}

/// Stands for an adapter that can't be made from its configuration.
#[derive(Debug)]
struct Unbuilt {
    kind: Kind,
    url: Option<String>,
    reason: Clean,
}

impl Unbuilt {
    fn error(&self) -> BackendError {
        BackendError::Failed(self.reason.clone())
    }
}

#[async_trait]
impl Backend for Unbuilt {
    fn kind(&self) -> Kind {
        self.kind
    }
    fn url(&self) -> Option<String> {
        self.url.clone()
    }
    fn endpoint_capabilities(&self) -> Capabilities {
        Capabilities::none(&self.reason)
    }
    async fn poll(&self, _: Option<&Cursor>) -> Result<Polled, BackendError> {
        Err(self.error())
    }
    async fn runs(&self, _: &RunsQuery) -> Result<Vec<Run>, BackendError> {
        Err(self.error())
    }
    async fn log(&self, _: &LogOf, _: u64) -> Result<LogChunk, BackendError> {
        Err(self.error())
    }
    async fn trace(&self, _: &TaskId) -> Result<Trace, BackendError> {
        Err(self.error())
    }
    async fn audit(&self, _: usize) -> Result<Vec<AuditEntry>, BackendError> {
        Err(self.error())
    }
    async fn execute(&self, _: &Call) -> Result<Accepted, BackendError> {
        Err(self.error())
    }
    fn preview(&self, _: &Call) -> Clean {
        self.reason.clone()
    }
}
