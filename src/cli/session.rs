//! What every command shares: reading the configuration, and a fleet that
//! follows the endpoints for as long as the command runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use tokio::sync::mpsc;

use crate::config::{Overrides, Paths, Settings};
use crate::fleet::{EndpointRow, Fleet};
use crate::model::{
    AuditEntry, Clean, EndpointName, EndpointSpec, Health, IntentId, Kind, Receipt, Run, SecretRef,
};
use crate::runtime::{Handle, LocalPolicy, Places, Question, Runtime, Setup, Update};
use crate::vault::{KeySource, Vault};

use super::args::Global;
use super::{Exit, Failure};

/// Until when a coordinator of this machine may be on its way up.
const LOCAL_GRACE: Duration = Duration::from_secs(8);

/// Now. The command line is a shell: here it reads its clock.
#[expect(clippy::disallowed_methods, reason = "the one place where commands read the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// One variable of the process.
pub fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

/// Where everything is, for these arguments.
///
/// # Errors
/// There is no home directory.
pub fn paths(global: &Global) -> Result<Paths, Failure> {
    Paths::resolve(global.config.as_deref(), &variable).map_err(|error| Failure::usage(error.to_string()))
}

/// What command line and environment lay over the file.
///
/// # Errors
/// A value that can't be.
pub fn overrides(global: &Global) -> Result<Overrides, Failure> {
    if let Some(screen) = &global.screen {
        crate::config::check_screen(screen).map_err(|why| Failure::usage(format!("--screen: {why}")))?;
    }
    let environment = Overrides::from_env(&variable).map_err(|error| Failure::usage(error.to_string()))?;
    let line = Overrides {
        theme: global.theme.clone(),
        screen: global.screen.clone(),
        read_only: global.read_only.then_some(true),
        ascii: global.ascii.then_some(true),
    };
    Ok(line.or(environment))
}

/// Paths and settings for these arguments.
///
/// # Errors
/// Everything that is wrong with the configuration, with lines.
pub fn configuration(global: &Global) -> Result<(Paths, Settings), Failure> {
    let paths = paths(global)?;
    let settings =
        Settings::load(&paths, &overrides(global)?).map_err(|error| Failure::usage(error.to_string()))?;
    Ok((paths, settings))
}

/// Now, as the coordinator's database keeps it.
#[must_use]
pub fn now_to_the_millisecond() -> DateTime<Utc> {
    now().trunc_subsecs(3)
}

/// Who gives a command, for the audit log: the user's name, or number.
#[must_use]
pub fn user() -> Clean {
    let name = ["USER", "LOGNAME"].into_iter().filter_map(variable).find(|name| !name.is_empty());
    match name {
        Some(name) => Clean::line(&name.to_string_lossy()),
        None => Clean::from(format!("user {}", rustix::process::geteuid().as_raw())),
    }
}

/// The variable that holds the vault's key.
const VAULT_KEY: &str = "VIGIE_VAULT_KEY";

/// The vault of a data directory. Its key comes from the environment, else from
/// where the configuration says, else from a file in the state directory.
#[must_use]
pub fn vault(paths: &Paths, configured: Option<&SecretRef>, data: &Path) -> Vault {
    let named = variable(VAULT_KEY).filter(|value| !value.is_empty());
    let configured = configured.and_then(|reference| KeySource::try_from(reference).ok());
    let key = match (named, configured) {
        (Some(_), _) => KeySource::Env(VAULT_KEY.to_owned()),
        (None, Some(source)) => source,
        // Where both are one directory, as on macOS, the key lies beside it: whoever copies the one has not the other.
        (None, None) if paths.state.starts_with(data) => {
            KeySource::File(data.with_file_name("vigie-vault.key"))
        }
        (None, None) => KeySource::File(paths.state.join("vault.key")),
    };
    Vault::new(data.to_owned(), key)
}

/// Where the configuration says that the vault's key is, as far as it can be read.
#[must_use]
pub fn vault_key(paths: &Paths) -> Option<SecretRef> {
    Settings::load(paths, &Overrides::default()).ok().and_then(|settings| settings.vault_key)
}

/// Where the fleet loop keeps and finds its files.
#[must_use]
pub fn places(paths: &Paths) -> Places {
    Places {
        data: paths.data.clone(),
        state: paths.state.clone(),
        tasks: paths.tasks.clone(),
        vault: vault(paths, vault_key(paths).as_ref(), &paths.data),
    }
}

/// The endpoints that are asked for by name; all, if none is.
///
/// # Errors
/// A name that is not configured, with the nearest.
pub fn select(settings: &Settings, names: &[String], exit: Exit) -> Result<Vec<EndpointSpec>, Failure> {
    if names.is_empty() {
        return Ok(settings.endpoints.clone());
    }
    let mut chosen: Vec<EndpointSpec> = Vec::new();
    for name in names {
        let spec = settings.endpoints.iter().find(|spec| spec.name.as_raw() == name).ok_or_else(|| {
            let known: Vec<&str> = settings.endpoints.iter().map(|spec| spec.name.as_raw()).collect();
            let near = crate::document::did_you_mean(name, known.iter().copied());
            let message =
                format!("no endpoint {:?}; there are: {}{near}", Clean::line(name), known.join(", "));
            Failure { message, exit }
        })?;
        if !chosen.iter().any(|other| other.name == spec.name) {
            chosen.push(spec.clone());
        }
    }
    Ok(chosen)
}

/// The one endpoint of that name, which has to be a coordinator of vigie's own. `why`: what only those have.
///
/// # Errors
/// There is none, or it is of another kind.
pub fn coordinator(settings: &Settings, name: &str, why: &str) -> Result<EndpointSpec, Failure> {
    let mut specs = select(settings, &[name.to_owned()], Exit::USAGE)?;
    specs.pop().filter(|spec| spec.kind == Kind::Vigie).ok_or_else(|| {
        Failure::usage(format!("{:?} is no vigie coordinator: only those have {why}", Clean::line(name)))
    })
}

/// A fleet that follows its endpoints.
pub struct Session {
    runtime: Runtime,
    /// What is known.
    pub fleet: Fleet,
    specs: Vec<EndpointSpec>,
    /// Notes of the runtime, for standard error.
    pub notes: Vec<Clean>,
    /// Why the journal can't be written, and which intent was not sent for that.
    pub unrecorded: Option<(Clean, Option<IntentId>)>,
    started: DateTime<Utc>,
    /// What was known of each endpoint when waiting began anew.
    known: BTreeMap<EndpointName, Heard>,
}

/// The last good poll, and how many have failed since.
type Heard = (Option<DateTime<Utc>>, Option<u32>);

/// What a step brought beyond changing the fleet.
#[derive(Debug)]
pub enum Step {
    /// Nothing more.
    Fleet,
    /// A receipt.
    Receipt(Receipt),
    /// Runs that were asked for.
    Runs(EndpointName, Result<Vec<Run>, Clean>),
    /// Lines of an audit log that was asked for.
    Audit {
        /// Whose.
        endpoint: EndpointName,
        /// Newest first, or why not.
        result: Result<Vec<AuditEntry>, Clean>,
        /// Whether the endpoint keeps one.
        kept: bool,
    },
    /// What an intent would do, target by target.
    Foreseen(IntentId, Vec<Result<Option<Clean>, Clean>>),
    /// The runtime has ended.
    Ended,
}

impl Session {
    /// Starts polling the endpoints.
    ///
    /// # Errors
    /// An endpoint that can't be set up.
    pub fn open(paths: &Paths, specs: Vec<EndpointSpec>, read_only: bool) -> Result<Self, Failure> {
        Self::begin(paths, specs, read_only, None)
    }

    /// As [`Session::open`], read-only, with a person who may be asked for
    /// what is configured nowhere.
    ///
    /// # Errors
    /// An endpoint that can't be set up.
    pub fn open_asking(
        paths: &Paths,
        specs: Vec<EndpointSpec>,
        person: mpsc::Sender<Question>,
    ) -> Result<Self, Failure> {
        Self::begin(paths, specs, true, Some(person))
    }

    fn begin(
        paths: &Paths,
        specs: Vec<EndpointSpec>,
        read_only: bool,
        person: Option<mpsc::Sender<Question>>,
    ) -> Result<Self, Failure> {
        let started = now();
        let mut fleet = Fleet::default();
        fleet.configure(&specs, started);
        let (endpoints, places) = (specs.clone(), places(paths));
        let setup = Setup { endpoints, read_only, places, local: LocalPolicy::AnswerOnly };
        let runtime = match person {
            Some(person) => Runtime::start_asking(setup, person),
            None => Runtime::start(setup),
        };
        let runtime = runtime.map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self {
            runtime,
            fleet,
            specs,
            notes: Vec::new(),
            unrecorded: None,
            started,
            known: BTreeMap::new(),
        })
    }

    /// For sending and fetching.
    pub const fn handle(&self) -> &Handle {
        &self.runtime.handle
    }

    /// Takes the next update into the fleet.
    pub async fn step(&mut self) -> Step {
        let Some(update) = self.runtime.updates.next().await else { return Step::Ended };
        let at = now();
        match update {
            Update::Described { endpoint, url, capabilities } => {
                self.fleet.describe(&endpoint, url, capabilities);
            }
            Update::Polled { endpoint, snapshot } => {
                let observed = self.fleet.apply(&endpoint, *snapshot, at).receipts;
                self.runtime.handle.record(observed.clone());
                if let Some(receipt) = observed.into_iter().next_back() {
                    return Step::Receipt(receipt);
                }
            }
            Update::Failed { endpoint, failure } => {
                self.fleet.fail(&endpoint, failure, at);
            }
            Update::Receipt(receipt) => {
                self.fleet.note_receipt(receipt.clone(), at);
                return Step::Receipt(receipt);
            }
            Update::Runs { endpoint, result, .. } => return Step::Runs(endpoint, result),
            Update::Audit { endpoint, result, kept } => return Step::Audit { endpoint, result, kept },
            Update::Foreseen { intent, lines } => return Step::Foreseen(intent.id, lines),
            Update::Log { .. } | Update::Trace { .. } => {}
            Update::Unrecorded { reason, refused } => self.unrecorded = Some((reason, refused)),
            Update::Note(note) => self.notes.push(note),
        }
        Step::Fleet
    }

    /// Follows until every endpoint has answered or failed, at most for `limit`.
    pub async fn settle(&mut self, limit: Duration) {
        let settled = async {
            while !self.is_settled() {
                if matches!(self.step().await, Step::Ended) {
                    break;
                }
            }
        };
        // What was read by then is printed; the rest says `connecting`.
        let _ = tokio::time::timeout(limit, settled).await;
    }

    /// What was heard so far does not settle anything.
    pub fn wait_anew(&mut self) {
        self.started = now();
        self.known = self.fleet.endpoints().map(|row| (row.spec.name.clone(), heard(row))).collect();
    }

    fn is_settled(&self) -> bool {
        let waited = (now() - self.started).to_std().unwrap_or_default();
        self.fleet.endpoints().all(|row| match row.health {
            _ if self.known.get(&row.spec.name) == Some(&heard(row)) => false,
            Health::Connecting => false,
            // One that is only now being started refuses connections at first.
            Health::Down => !is_local(&row.spec) || waited > LOCAL_GRACE,
            Health::Up | Health::Degraded | Health::Unauthorised => true,
        })
    }

    /// The endpoints, as configured.
    pub fn specs(&self) -> &[EndpointSpec] {
        &self.specs
    }

    /// Ends polling, and what was started only for this command.
    pub async fn close(self) {
        for note in &self.notes {
            super::complain(note.as_str());
        }
        self.runtime.shutdown().await;
    }
}

fn heard(row: &EndpointRow) -> Heard {
    (row.last_ok, row.failure.as_ref().map(|failure| failure.tries))
}

const fn is_local(spec: &EndpointSpec) -> bool {
    matches!(spec.kind, Kind::Vigie) && spec.url.is_none()
}
