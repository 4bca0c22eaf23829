//! What the suite has to know of a system: how an endpoint of it is
//! configured, and what a server of it says when it is well.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use secrecy::SecretString;
use vigie::backend::{Call, CredentialSource, RunsQuery};
use vigie::model::{Deed, EndpointSpec, Kind, LogOf, TaskId};
use vigie::wire::Report;

use crate::raw::{Play, Seen};

/// What one system is to the suite. One value is one server: it may have a state of its own.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Told in failures: the kind, and how it is configured where there is more than one way.
    fn name(&self) -> &'static str;

    /// The kind that it is a subject of.
    fn kind(&self) -> Kind;

    /// Configures an endpoint for a server at `url`.
    fn configure(&self, url: &str) -> EndpointSpec;

    /// Credentials by their names under `auth`. Each secret one is never seen but in a request.
    fn credentials(&self) -> Vec<(&'static str, &'static str)>;

    /// What else must never be seen: what the server itself gives out in confidence.
    fn confidences(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// What a server that is well answers.
    async fn good(&self, seen: &Seen) -> Good;

    /// A task that it has.
    fn task(&self) -> TaskId;

    /// The logs that it has.
    fn logs(&self) -> Vec<LogOf> {
        Vec::new()
    }

    /// Calls for a deed that its kind offers: all ways of asking for it.
    fn calls(&self, deed: Deed) -> Vec<Call>;

    /// What is reported of a run that is carried out elsewhere, where its kind takes that.
    fn reports(&self) -> Vec<Report> {
        Vec::new()
    }

    /// Fields that are maps by names of the system's own choice: no field can be added to them.
    fn maps(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether `route` only rounds off what `ask` is about: the answer stands without it.
    fn spares(&self, _ask: &Ask, _route: &str) -> bool {
        false
    }

    /// Whether a call to `route` changes something there.
    fn acts(&self, route: &str) -> bool {
        !route.starts_with("GET ")
    }

    /// Whether it is known for sure that nothing was done where `route` answers with this status of 500 and more.
    fn surely_undone(&self, _route: &str, _status: u16) -> bool {
        false
    }

    /// Whether `route` has a limit of its own, for work that takes its time.
    fn may_take_long(&self, _route: &str) -> bool {
        false
    }

    /// How many questions a backend of it may be asked before its own budget holds it back.
    fn budget(&self) -> usize {
        usize::MAX
    }

    /// Whether a refusal by `route` is remembered for a while, so that nobody is locked out by trying again.
    fn remembers_refusals(&self, _route: &str) -> bool {
        false
    }

    /// Whether `ask` ends all there is to ask: nothing is read after it, and
    /// where nothing has begun there is nothing to do for it.
    fn ends(&self, _ask: &Ask) -> bool {
        false
    }

    /// Whether what is asked of `route` is seen through to its end although nobody waits for it any more.
    fn sees_through(&self, _route: &str) -> bool {
        false
    }
}

/// An answer of a server that is well.
#[derive(Debug, Clone)]
pub struct Good {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Good {
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    /// With another body.
    pub fn with_body(&self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self.clone() }
    }

    /// With one more header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The head of the answer as it is sent, up to the headers that tell how long its body is.
    fn head(&self) -> String {
        let lines = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("HTTP/1.1 {} X\r\n{}", self.status, lines.collect::<String>())
    }

    pub fn play(&self) -> Play {
        Play::Say(self.bytes(self.body.len()))
    }

    /// The whole answer, which says that its body has so many bytes.
    pub fn bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = format!("{}content-length: {length}\r\n\r\n", self.head()).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// What a backend may be asked.
#[derive(Debug, Clone)]
pub enum Ask {
    /// The first poll: logs in, where that is needed.
    First,
    /// A poll for everything, after a good one.
    Again,
    /// A poll that goes on from a good one.
    Since,
    Runs(RunsQuery),
    Log(LogOf),
    Trace(TaskId),
    Audit,
    Do(Call),
    Foresee(Call),
    Report(TaskId, Report),
}

impl Ask {
    pub const fn is_poll(&self) -> bool {
        matches!(self, Self::First | Self::Again | Self::Since)
    }
}

impl std::fmt::Display for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Do(call) => write!(f, "do {}", call.deed),
            Self::Foresee(call) => write!(f, "foresee {}", call.deed),
            Self::Runs(query) if query.task.is_some() => f.write_str("runs of a task"),
            Self::Runs(_) => f.write_str("runs"),
            Self::Report(_, report) => write!(f, "report {:?}", report.what),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Every deed that there is.
pub fn deeds() -> impl Iterator<Item = Deed> {
    let verbs = vigie::model::Verb::ALL.iter().copied().map(Deed::Verb);
    verbs.chain(vigie::model::Command::ALL.iter().copied().map(Deed::Command))
}

/// Everything that a subject can be asked, whether it offers it or not.
pub fn asks(subject: &dyn Subject) -> Vec<Ask> {
    let task = subject.task();
    let runs = |task| Ask::Runs(RunsQuery { task, limit: 20 });
    let mut asks = vec![
        Ask::First,
        Ask::Again,
        Ask::Since,
        runs(None),
        runs(Some(task.clone())),
        Ask::Trace(task.clone()),
        Ask::Audit,
    ];
    asks.extend(subject.logs().into_iter().map(Ask::Log));
    asks.extend(subject.reports().into_iter().map(|report| Ask::Report(task.clone(), report)));
    let offered =
        deeds().filter(|&deed| (vigie::backend::offers(subject.kind()).acts)(deed).refusal().is_none());
    for call in offered.flat_map(|deed| subject.calls(deed)) {
        asks.push(Ask::Foresee(call.clone()));
        asks.push(Ask::Do(call));
    }
    asks
}

/// A subject's credentials. Its `Debug` shows them: an adapter's must not, whatever it holds.
#[derive(Debug)]
pub struct Secrets(pub BTreeMap<&'static str, &'static str>);

#[async_trait]
impl CredentialSource for Secrets {
    async fn credential(&self, name: &str) -> Result<Option<SecretString>, String> {
        Ok(self.0.get(name).map(|secret| SecretString::from(*secret)))
    }
}

/// What a server behind this one answers to a request: a stand-in is as good a server as there is.
pub async fn relay(base: &str, seen: &Seen) -> Good {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        let roots = rustls::RootCertStore::empty();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each test has a runtime of its own: no connection may outlive it.
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
    });
    let method = seen.method.parse().unwrap();
    let mut request = client.request(method, format!("{base}{}", seen.target)).body(seen.body.clone());
    let ours = ["host", "content-length", "connection"];
    for (name, value) in seen.headers.iter().filter(|(name, _)| !ours.contains(&name.as_str())) {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    let theirs = ["content-length", "connection", "transfer-encoding", "date"];
    let headers = answer
        .headers()
        .iter()
        .filter(|(name, _)| !theirs.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    Good { status: answer.status().as_u16(), headers, body: answer.bytes().await.unwrap().to_vec() }
}
