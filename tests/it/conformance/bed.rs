//! A patient: a server that falls ill on demand, a backend that asks it, and a
//! fleet that learns what the backend brings.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use vigie::backend::{Backend, BackendError, Cursor, Polled, build};
use vigie::fleet::{Failure, Fleet};
use vigie::model::{EndpointName, EndpointSpec, Evidence, Health};

use super::subject::{Ask, Good, Secrets, Subject};
use crate::raw::{Play, Raw, Seen};
use crate::support::{around, now};

/// What is wrong with a server.
#[derive(Clone)]
pub enum Ail {
    /// The same for every request; the server behind it never sees them.
    Fixed(Play),
    /// The good answer, spoiled.
    Spoiled(Arc<Spoil>),
}

type Spoil = dyn Fn(&Seen, Good) -> Play + Send + Sync;

impl Ail {
    pub fn spoiled(spoil: impl Fn(&Seen, Good) -> Play + Send + Sync + 'static) -> Self {
        Self::Spoiled(Arc::new(spoil))
    }

    /// The good answer with another body.
    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self::spoiled(move |_, good| good.with_body(body.clone()).play())
    }
}

/// An illness, and the only route that has it if it is not all of them.
struct Illness {
    route: Option<String>,
    ail: Ail,
}

/// `POST /path`, without the query.
pub fn route(seen: &Seen) -> String {
    seen.line().split('?').next().unwrap().to_owned()
}

/// See the module.
pub struct Bed {
    pub subject: Arc<dyn Subject>,
    pub server: Arc<Raw>,
    pub backend: Arc<dyn Backend>,
    pub fleet: Fleet,
    name: EndpointName,
    illness: Arc<Mutex<Option<Illness>>>,
    cursor: Option<Cursor>,
    /// Where sessions are kept.
    _state: TempDir,
}

/// What a backend brought.
#[derive(Debug)]
pub struct Said {
    /// As `Debug` shows it, without the ids that go back to their system as they came.
    pub shown: String,
    /// Of a poll: that a part could not be read.
    pub degraded: bool,
}

impl Bed {
    /// A patient in good health.
    pub async fn new(subject: Arc<dyn Subject>) -> Self {
        Self::with(subject, None, |_| ()).await
    }

    /// With a limit for each read.
    pub async fn patient(subject: Arc<dyn Subject>, timeout: Duration) -> Self {
        Self::with(subject, None, |spec| spec.timeout = timeout).await
    }

    pub async fn with(
        subject: Arc<dyn Subject>,
        tls: Option<TlsAcceptor>,
        adjust: impl FnOnce(&mut EndpointSpec),
    ) -> Self {
        let illness: Arc<Mutex<Option<Illness>>> = Arc::default();
        let (shared, well) = (Arc::clone(&illness), Arc::clone(&subject));
        let server = Raw::start_with(tls, move |seen, _| {
            let ail = shared.lock().unwrap().as_ref().and_then(|illness| {
                let here = illness.route.as_ref().is_none_or(|ill| *ill == route(&seen));
                here.then(|| illness.ail.clone())
            });
            let well = Arc::clone(&well);
            async move {
                match ail {
                    Some(Ail::Fixed(play)) => play,
                    Some(Ail::Spoiled(spoil)) => {
                        let good = well.good(&seen).await;
                        spoil(&seen, good)
                    }
                    None => well.good(&seen).await.play(),
                }
            }
            .boxed()
        })
        .await;
        let state = tempfile::tempdir().unwrap();
        let mut spec = subject.configure(&server.url);
        spec.timeout = Duration::from_secs(300);
        spec.poll = Duration::from_secs(1);
        adjust(&mut spec);
        let secrets = Secrets(subject.credentials().into_iter().collect());
        let backend = build(&spec, &around(Arc::new(secrets), Some(state.path().to_owned()))).unwrap();
        let mut fleet = Fleet::default();
        fleet.configure(std::slice::from_ref(&spec), now());
        fleet.describe(&spec.name, backend.url(), backend.endpoint_capabilities());
        Self {
            subject,
            server: Arc::new(server),
            backend,
            fleet,
            name: spec.name,
            illness,
            cursor: None,
            _state: state,
        }
    }

    /// From now on `route`, or every one, is ill.
    pub fn falls_ill(&self, route: Option<&str>, ail: Ail) {
        *self.illness.lock().unwrap() = Some(Illness { route: route.map(str::to_owned), ail });
    }

    pub fn is_healed(&self) {
        *self.illness.lock().unwrap() = None;
    }

    /// What must have gone before `ask`.
    pub async fn prepare(&mut self, ask: &Ask) {
        if !matches!(ask, Ask::First) {
            let mut polled = self.ask(&Ask::First).await;
            // A busy machine may be slower than a patient's limit.
            for _ in 0..30 {
                let late = polled.as_ref().is_err_and(|error| {
                    matches!(error, BackendError::TimedOut { .. }) || error.to_string().contains("within")
                });
                if !late {
                    break;
                }
                polled = self.ask(&Ask::First).await;
            }
            assert!(polled.is_ok(), "{}: {polled:?}", self.subject.name());
        }
    }

    /// The routes that `ask` takes to a server that is well, in order.
    pub async fn routes(&mut self, ask: &Ask) -> Vec<String> {
        self.prepare(ask).await;
        let before = self.server.seen().len();
        let answer = self.ask(ask).await;
        let mut routes: Vec<String> = Vec::new();
        for route in self.server.seen()[before..].iter().map(route) {
            if !routes.contains(&route) {
                routes.push(route);
            }
        }
        assert!(answer.is_ok() || routes.is_empty(), "{}: {ask}: {answer:?}", self.subject.name());
        routes
    }

    /// Asks, and lets the fleet learn from a poll. Whatever comes is looked through.
    pub async fn ask(&mut self, ask: &Ask) -> Result<Said, BackendError> {
        let result = match ask {
            Ask::First | Ask::Again => self.poll(None).await,
            Ask::Since => self.poll(self.cursor.clone()).await,
            Ask::Runs(query) => self.backend.runs(query).await.map(|runs| {
                let raw = runs.iter().flat_map(|run| {
                    [Some(&run.task).map(|id| format!("{id:?}")), run.id.as_ref().map(|id| format!("{id:?}"))]
                });
                (without(format!("{runs:?}"), raw.flatten()), false)
            }),
            Ask::Log(of) => self.backend.log(of, 0).await.map(|log| {
                assert!(log.text.chars().all(|c| c == '\n' || !c.is_control()), "{log:?}");
                (format!("{log:?}"), false)
            }),
            Ask::Trace(task) => self.backend.trace(task).await.map(|trace| (format!("{trace:?}"), false)),
            Ask::Audit => self.backend.audit(50).await.map(|lines| (format!("{lines:?}"), false)),
            Ask::Do(call) => self.backend.execute(call).await.map(|accepted| {
                let raw = accepted.run.iter().map(|id| format!("{id:?}"));
                (without(format!("{accepted:?}"), raw), false)
            }),
            Ask::Report(task, report) => {
                self.backend.report(task, report).await.map(|()| ("taken".to_owned(), false))
            }
            Ask::Foresee(call) => self.backend.foresee(call).await.map(|line| (format!("{line:?}"), false)),
        };
        let name = self.subject.name();
        let told = match &result {
            Ok((shown, _)) => shown.clone(),
            Err(error) => format!("{error} {error:?}"),
        };
        for mark in
            [r"\u{1b}", r"\u{7}", r"\u{9b}", r"\u{202e}", r"\0", "\u{1b}", "\u{7}", "\u{202e}", "\u{9b}"]
        {
            assert!(!told.contains(mark), "{name}: {ask}: {mark:?} got through: {told}");
        }
        self.is_discreet(&told);
        self.is_discreet(&format!("{:?}", self.backend));
        result.map(|(shown, degraded)| Said { shown, degraded })
    }

    /// No credential is in `text`: none that is configured, none that the server gave out, and none that it was sent.
    pub fn is_discreet(&self, text: &str) {
        const CARRY: [&str; 6] = ["authorization", "token", "hash", "cookie", "csrf", "secret"];
        let known = self.subject.kind().spec().auth;
        let is_secret = |name: &str| known.iter().any(|auth| auth.name == name && auth.secret);
        let configured = self.subject.credentials().into_iter().filter(|(name, _)| is_secret(name));
        let mut secrets: Vec<String> = configured.map(|(_, secret)| secret.to_owned()).collect();
        secrets.extend(self.subject.confidences().iter().map(ToString::to_string));
        for (name, value) in self.server.seen().iter().flat_map(|seen| &seen.headers) {
            let public =
                self.subject.credentials().iter().any(|(name, plain)| plain == value && !is_secret(name));
            if CARRY.iter().any(|word| name.contains(word)) && !public {
                secrets.push(value.strip_prefix("Bearer ").unwrap_or(value).to_owned());
            }
        }
        // What is shorter was no secret of a server that is well.
        for secret in secrets.into_iter().filter(|secret| secret.len() > 4) {
            assert!(!text.contains(&secret), "{}: {secret} is shown: {text}", self.subject.name());
        }
    }

    async fn poll(&mut self, since: Option<Cursor>) -> Result<(String, bool), BackendError> {
        let at = now();
        match self.backend.poll(since.as_ref()).await {
            Ok(Polled { snapshot, cursor }) => {
                let ids = snapshot.tasks.items.iter().map(|task| format!("{:?}", task.id));
                let runs = snapshot
                    .tasks
                    .items
                    .iter()
                    .flat_map(|task| task.active_runs.iter().chain(&task.last_run));
                let runs: Vec<_> = runs.chain(&snapshot.runs.items).collect();
                let run_ids = runs.iter().filter_map(|run| run.id.as_ref()).map(|id| format!("{id:?}"));
                let of_runs = runs.iter().map(|run| format!("{:?}", run.task));
                let queues = snapshot.queues.items.iter().map(|queue| format!("{:?}", queue.name));
                let alerts = snapshot.alerts.items.iter().flat_map(|alert| {
                    [
                        alert.task.as_ref().map(|id| format!("{id:?}")),
                        alert.queue.as_ref().map(|id| format!("{id:?}")),
                    ]
                });
                let gone = snapshot.tasks.gone.iter().map(|id| format!("{id:?}"));
                let gone_queues = snapshot.queues.gone.iter().map(|id| format!("{id:?}"));
                let raw = ids.chain(run_ids).chain(of_runs).chain(queues).chain(alerts.flatten());
                let raw: Vec<_> = raw.chain(gone).chain(gone_queues).collect();
                let shown = without(format!("{snapshot:?}"), raw.into_iter());
                let degraded = snapshot.degraded.is_some();
                self.cursor = cursor;
                self.fleet.apply(&self.name, snapshot, now());
                self.fleet.tick(now());
                Ok((shown, degraded))
            }
            Err(error) => {
                let reason = error.to_string().as_str().into();
                let failure = Failure { health: error.health(), reason, tries: 1, next_try: at };
                self.fleet.fail(&self.name, failure, now());
                Err(error)
            }
        }
    }

    /// Everything that the fleet knows there, each thing by its identity.
    pub fn known(&self) -> Vec<String> {
        let tasks = self.fleet.tasks().map(|row| format!("task {}", row.key.task));
        let queues = self.fleet.queues().into_iter().map(|row| format!("queue {}", row.queue.name));
        tasks.chain(queues).collect()
    }

    pub fn health(&self) -> Health {
        self.fleet.endpoint(&self.name).unwrap().health
    }

    pub fn evidence(&self) -> Evidence {
        self.fleet.endpoint(&self.name).unwrap().evidence
    }

    /// Healed, it is read as if nothing had been.
    pub async fn recovers(&mut self, known: &[String]) {
        self.is_healed();
        let polled = self.ask(&Ask::Again).await;
        let name = self.subject.name();
        assert!(polled.is_ok(), "{name} does not recover: {polled:?}");
        assert_eq!(self.health(), Health::Up, "{name}: {polled:?}");
        assert_eq!(self.evidence(), Evidence::Fresh, "{name}");
        assert!(self.fleet.tasks().all(|row| row.evidence == Evidence::Fresh), "{name}: all rows are fresh");
        assert_eq!(self.known(), known, "{name}: no row is lost");
    }
}

/// `text` without these pieces: ids as their system gave them.
fn without(mut text: String, raw: impl Iterator<Item = String>) -> String {
    let mut raw: Vec<String> = raw.collect();
    raw.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
    raw.dedup();
    for piece in raw {
        text = text.replace(&piece, "");
    }
    text
}
