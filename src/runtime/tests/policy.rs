//! The policy of an endpoint: what only a `vigie serve` does.

use chrono::{TimeDelta, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::policy::{Around, Configured, Steward};
use super::*;
use crate::model::{Capabilities, Guard, OptionValue, RetryRule, RunState};

const SECOND: Duration = Duration::from_secs(1);

/// A clock that goes as the paused one of tokio goes.
#[derive(Debug, Clone, Copy)]
struct Clock(DateTime<Utc>, Instant);

impl Clock {
    fn new() -> Self {
        Self(now(), Instant::now())
    }

    fn now(self) -> DateTime<Utc> {
        self.0 + TimeDelta::from_std(self.1.elapsed()).unwrap()
    }
}

/// What comes of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    FailsAgain,
    Recovers,
    Refused,
    Lost,
}

/// An endpoint with one item that has failed.
#[derive(Debug)]
struct Shop {
    clock: Clock,
    item: Mutex<Task>,
    fates: Mutex<VecDeque<Fate>>,
    calls: Mutex<Vec<(Instant, String)>>,
}

impl Shop {
    fn new(clock: Clock, fates: &[Fate]) -> Arc<Self> {
        let item = Task { capabilities: Capabilities::by(|_| None), ..task("x") };
        let (item, calls) = (Mutex::new(item), Mutex::default());
        let shop = Self { clock, item, fates: Mutex::new(fates.iter().copied().collect()), calls };
        shop.fail();
        Arc::new(shop)
    }

    fn fail(&self) {
        let mut item = self.item.lock().unwrap();
        item.state = Some(TaskState::Failing);
        item.retry.attempt += 1;
        let ended = Some(self.clock.now());
        item.last_run = Some(Run { ended, ..Run::bare("x".into(), RunState::Failed) });
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|(_, call)| call.clone()).collect()
    }

    async fn until_calls(&self, count: usize) {
        for _ in 0..10_000 {
            if self.calls.lock().unwrap().len() >= count {
                return;
            }
            tokio::time::sleep(SECOND / 10).await;
        }
        panic!("{:?}, not {count} calls", self.calls());
    }
}

#[async_trait]
impl Backend for Shop {
    fn kind(&self) -> Kind {
        Kind::Rediacc
    }
    fn url(&self) -> Option<String> {
        None
    }
    fn endpoint_capabilities(&self) -> Capabilities {
        Capabilities::none("a shop")
    }
    async fn poll(&self, _: Option<&Cursor>) -> Result<Polled, BackendError> {
        let tasks = Part::complete(vec![self.item.lock().unwrap().clone()]);
        let snapshot = Snapshot { tasks, ..Snapshot::unchanged(self.clock.now(), 1) };
        Ok(Polled { snapshot, cursor: None })
    }
    async fn runs(&self, _: &RunsQuery) -> Result<Vec<Run>, BackendError> {
        Ok(Vec::new())
    }
    async fn trace(&self, _: &TaskId) -> Result<Trace, BackendError> {
        Err(BackendError::Unsupported("a shop".into()))
    }
    async fn audit(&self, _: usize) -> Result<Vec<AuditEntry>, BackendError> {
        Err(BackendError::Unsupported("a shop".into()))
    }
    async fn log(&self, _: &LogOf, _: u64) -> Result<LogChunk, BackendError> {
        Err(BackendError::Unsupported("a shop".into()))
    }
    async fn execute(&self, call: &Call) -> Result<Accepted, BackendError> {
        let task = call.task.as_ref().map(TaskId::as_raw).unwrap_or_default();
        self.calls.lock().unwrap().push((Instant::now(), format!("{} {task}", call.deed)));
        match self.fates.lock().unwrap().pop_front().unwrap_or(Fate::FailsAgain) {
            Fate::FailsAgain => self.fail(),
            Fate::Recovers => self.item.lock().unwrap().state = Some(TaskState::Healthy),
            Fate::Refused => return Err(BackendError::Unreachable("connection refused".into())),
            Fate::Lost => return Err(BackendError::Broken("reset".into())),
        }
        Ok(Accepted::default())
    }
    fn preview(&self, call: &Call) -> Clean {
        Clean::from(call.deed.to_string())
    }
}

/// An endpoint whose failures are tried again twice, 30 s after each, and then run `pager/alarm`.
fn ruled(name: &str) -> EndpointSpec {
    let mut spec = spec(name);
    let retry = RetryRule { count: 2, delay: 30 * SECOND };
    spec.options.insert("policy".to_owned(), OptionValue::Flag(true));
    spec.options.insert("retry".to_owned(), OptionValue::Retry(retry));
    spec.options.insert("failure_action".to_owned(), OptionValue::Text("run:pager/alarm".to_owned()));
    spec
}

/// Shops by the name of their endpoint.
type Shops = Vec<(&'static str, Arc<Shop>)>;

fn wiring(shops: Shops) -> Wiring {
    let factory: Factory = Arc::new(move |spec: &EndpointSpec| {
        let found = shops.iter().find(|(name, _)| spec.name.as_raw() == *name);
        let (_, shop) = found.ok_or_else(|| BuildError("no such shop".into()))?;
        Ok(Arc::clone(shop) as Arc<dyn Backend>)
    });
    Wiring { factory, program: None, tracker: TaskTracker::new() }
}

/// A `vigie serve`, as far as policies go.
struct Served {
    configured: watch::Sender<Configured>,
    stop: CancellationToken,
    done: tokio::task::JoinHandle<()>,
}

impl Served {
    fn start(folder: &Path, clock: Clock, shops: &Shops) -> Self {
        let endpoints = vec![ruled("shop"), spec("pager")];
        let (configured, receiver) = watch::channel(Configured { endpoints, read_only: false });
        let stop = CancellationToken::new();
        let shops = shops.clone();
        let around = Around {
            now: Box::new(move || clock.now()),
            start: Box::new(move |setup| Runtime::start_with(setup, wiring(shops.clone()))),
        };
        let steward = Steward::new(places(folder), around);
        let done = tokio::spawn(steward.run(receiver, stop.clone()));
        Self { configured, stop, done }
    }

    async fn end(self) {
        self.stop.cancel();
        self.done.await.unwrap();
    }
}

/// The shop with its item, and the pager, which is asked for nothing but its alarm.
fn shops(clock: Clock, fates: &[Fate]) -> (Shops, Arc<Shop>, Arc<Shop>) {
    let (shop, pager) = (Shop::new(clock, fates), Shop::new(clock, &[]));
    (vec![("shop", Arc::clone(&shop)), ("pager", Arc::clone(&pager))], shop, pager)
}

fn decided(folder: &Path) -> Vec<(String, String)> {
    let entries = journal::tail(&places(folder).journal(), 1_000).unwrap();
    let intents = entries.into_iter().filter_map(|entry| match entry {
        journal::JournalEntry::Intent(intent) => {
            Some((format!("{} {}", intent.deed, intent.targets[0]), intent.by.unwrap().to_string()))
        }
        journal::JournalEntry::Receipt(_) => None,
    });
    intents.collect()
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_then_the_failure_action_is_done_once_and_all_of_it_is_in_the_journal() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::new());
    let (shops, shop, pager) = shops(clock, &[]);
    let begin = Instant::now();
    let served = Served::start(folder.path(), clock, &shops);
    pager.until_calls(1).await;
    let when: Vec<u64> = shop.calls.lock().unwrap().iter().map(|(at, _)| (*at - begin).as_secs()).collect();
    assert!(when.len() == 2 && (30..40).contains(&when[0]) && (60..80).contains(&when[1]), "{when:?}");
    assert_eq!(
        (shop.calls(), pager.calls()),
        (vec!["retry x".to_owned(); 2], vec!["trigger alarm".to_owned()])
    );
    tokio::time::sleep(3_600 * SECOND).await;
    assert_eq!((shop.calls().len(), pager.calls().len()), (2, 1));
    served.end().await;
    let told = |deed: &str, by: &str| (deed.to_owned(), format!("policy of shop: {by}"));
    let expected = [
        told("retry shop/x", "retry 1 of 2"),
        told("retry shop/x", "retry 2 of 2"),
        told("trigger pager/alarm", "x failed for good after 2 automatic retries"),
    ];
    assert_eq!(decided(folder.path()), expected);
}

#[tokio::test(start_paused = true)]
async fn what_recovers_is_left_alone() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::new());
    let (shops, shop, pager) = shops(clock, &[Fate::Recovers]);
    let served = Served::start(folder.path(), clock, &shops);
    shop.until_calls(1).await;
    tokio::time::sleep(3_600 * SECOND).await;
    assert_eq!((shop.calls().len(), pager.calls().len()), (1, 0));
    served.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_begin_anew() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::new());
    let (shops, shop, pager) = shops(clock, &[]);
    for tries in 1..=2 {
        let served = Served::start(folder.path(), clock, &shops);
        shop.until_calls(tries).await;
        served.end().await;
    }
    for _ in 0..2 {
        let served = Served::start(folder.path(), clock, &shops);
        pager.until_calls(1).await;
        tokio::time::sleep(600 * SECOND).await;
        served.end().await;
    }
    assert_eq!((shop.calls().len(), pager.calls().len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_not_sent_again_and_a_refusal_is() {
    for (fate, calls) in [(Fate::Lost, 1), (Fate::Refused, 2)] {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::new());
        let (shops, shop, pager) = shops(clock, &[fate, fate, fate]);
        let served = Served::start(folder.path(), clock, &shops);
        shop.until_calls(1).await;
        tokio::time::sleep(3_600 * SECOND).await;
        assert_eq!(shop.calls().len(), calls, "{fate:?}");
        assert_eq!(pager.calls().len(), calls - 1, "{fate:?}");
        served.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_on_one_state_directory_one_applies_it_and_the_other_stands_by() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::new());
    let (shops, shop, pager) = shops(clock, &[]);
    let first = Served::start(folder.path(), clock, &shops);
    let second = Served::start(folder.path(), clock, &shops);
    shop.until_calls(1).await;
    assert_eq!(shop.calls().len(), 1);
    first.end().await;
    // The other takes over, with the account of the first.
    pager.until_calls(1).await;
    assert_eq!((shop.calls().len(), pager.calls().len()), (2, 1));
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_configuration_switches_it_off_and_on() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::new());
    let (shops, shop, _) = shops(clock, &[]);
    let served = Served::start(folder.path(), clock, &shops);
    shop.until_calls(1).await;
    let off = vec![spec("shop"), spec("pager")];
    let guarded = vec![EndpointSpec { guard: Guard::ReadOnly, ..ruled("shop") }, spec("pager")];
    let on = || vec![ruled("shop"), spec("pager")];
    for (endpoints, read_only) in [(off, false), (guarded, false), (on(), true)] {
        served.configured.send_replace(Configured { endpoints, read_only });
        tokio::time::sleep(600 * SECOND).await;
        assert_eq!(shop.calls().len(), 1);
    }
    served.configured.send_replace(Configured { endpoints: on(), read_only: false });
    shop.until_calls(2).await;
    served.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recorded_is_not_done() {
    let clock = Clock::new();
    for broken in ["state/journal.jsonl/x", "state/policy/shop.new/x"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(broken)).unwrap();
        let (shops, shop, pager) = shops(clock, &[]);
        let served = Served::start(folder.path(), clock, &shops);
        tokio::time::sleep(600 * SECOND).await;
        assert_eq!((shop.calls().len(), pager.calls().len()), (0, 0), "{broken}");
        served.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn consoles_and_commands_never_apply_it() {
    for local in [LocalPolicy::Child, LocalPolicy::AnswerOnly] {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::new());
        let (shops, shop, pager) = shops(clock, &[]);
        let setup = Setup {
            endpoints: vec![ruled("shop"), spec("pager")],
            read_only: false,
            places: places(folder.path()),
            local,
        };
        let mut runtime = Runtime::start_with(setup, wiring(shops)).unwrap();
        let (mut polls, end) = (0, Instant::now() + 600 * SECOND);
        while let Ok(Some(update)) = tokio::time::timeout_at(end, runtime.updates.next()).await {
            polls += usize::from(matches!(update, Update::Polled { .. }));
        }
        assert!(polls > 100, "{polls}");
        assert_eq!((shop.calls().len(), pager.calls().len()), (0, 0));
        runtime.shutdown().await;
        assert!(!folder.path().join("state/policy").exists());
    }
}
