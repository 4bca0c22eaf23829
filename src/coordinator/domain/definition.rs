//! What a task is, as `tasks.toml`, the API or a built-in defines it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Blackout, Clean, Labels, Policy, Priority, QueueName, Schedule, TaskId, TaskSource};

/// The queue of the tasks that have no team.
pub const NO_TEAM: &str = "default";

/// A task that the coordinator itself carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuiltIn {
    /// Recomputes lateness from the database alone.
    OverdueCheck,
    /// Deletes audit rows past their retention.
    AuditLogCleanup,
    /// Fails when a file system that vigie writes to is nearly full.
    DiskSpace,
    /// Backs its own database up.
    SelfBackup,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OverdueCheck, Self::AuditLogCleanup, Self::DiskSpace, Self::SelfBackup];

    /// Its id, which is its name too.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::OverdueCheck => "overdue-check",
            Self::AuditLogCleanup => "audit-log-cleanup",
            Self::DiskSpace => "disk-space",
            Self::SelfBackup => "self-backup",
        }
    }
}

/// A command on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// Added to the coordinator's own environment.
    pub env: BTreeMap<String, String>,
    /// Where it runs; the coordinator's own directory by default.
    pub cwd: Option<PathBuf>,
}

/// What a run of a task does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Nothing here: the task runs elsewhere and is only watched.
    Watched,
    /// A command.
    Command(CommandSpec),
    /// The coordinator's own.
    BuiltIn(BuiltIn),
}

/// When a failed attempt is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryRule {
    /// Retries at most; 0: none.
    pub count: u32,
    /// Before the first retry.
    pub delay: Duration,
    /// Each further delay is so many times the one before; at least 1.
    pub backoff: f64,
    /// Up to this share of a delay is added, 0 to 1.
    pub jitter: f64,
    /// After what.
    pub on: Vec<RetryOn>,
}

impl Default for RetryRule {
    fn default() -> Self {
        Self {
            count: 0,
            delay: Duration::from_secs(30),
            backoff: 1.0,
            jitter: 0.0,
            on: vec![RetryOn::Failed, RetryOn::Overrun, RetryOn::Dead],
        }
    }
}

/// What an attempt ended by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryOn {
    /// A bad exit, or it could not be started.
    Failed,
    /// Its max runtime.
    Overrun,
    /// The coordinator's own end.
    Dead,
}

/// What a bad run causes, once no retry is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureAction {
    /// An alert.
    Alert,
    /// An alert, and a run of another task.
    Run(TaskId),
    /// Nothing but the task's state.
    Nothing,
}

/// What becomes of a slot that comes while a run is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// It is missed.
    Skip,
    /// It waits.
    Queue,
    /// It runs beside it.
    Allow,
}

/// What becomes of the slots that came while nothing scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// They are missed.
    None,
    /// The newest one is run.
    Once,
}

/// A task.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its id.
    pub id: TaskId,
    /// Where it comes from.
    pub source: TaskSource,
    /// Its name; the id by default.
    pub name: Clean,
    /// What it is for.
    pub description: Option<Clean>,
    /// The team that owns it.
    pub team: Option<Clean>,
    /// Where it runs: a host of the ssh configuration; `None`: this machine.
    pub machine: Option<Clean>,
    /// Labels by name.
    pub labels: Labels,
    /// What a run does.
    pub work: Work,
    /// What its pings are sent to, `/ping/KEY`; `None`: a key is made for it.
    pub ping_key: Option<Clean>,
    /// Environment variables whose values are in the vault, by their names there.
    pub secrets: BTreeMap<String, String>,
    /// When it runs; `None`: on demand.
    pub schedule: Option<Schedule>,
    /// The tasks that start it: it runs once each of them has succeeded since
    /// it last started. Only without a schedule.
    pub after: Vec<TaskId>,
    /// When it does not start by itself.
    pub blackout: Vec<Blackout>,
    /// Windows, limits and thresholds.
    pub policy: Policy,
    /// Between SIGTERM and SIGKILL.
    pub kill_grace: Duration,
    /// Of its runs, unless an operator set another.
    pub priority: Priority,
    /// When a failed attempt is tried again.
    pub retry: RetryRule,
    /// What a bad run causes.
    pub failure_action: FailureAction,
    /// What becomes of a slot that comes while a run is active.
    pub overlap: Overlap,
    /// What becomes of the slots that came while nothing scheduled.
    pub catch_up: CatchUp,
    /// Its runs at once at most; one by default, no limit of its own where overlap is allowed.
    pub concurrency: Option<u32>,
    /// Whether it is scheduled at all.
    pub enabled: bool,
}

impl Definition {
    /// A task of which only the id and the work are known.
    #[must_use]
    pub fn new(id: &str, work: Work) -> Self {
        let source = if matches!(work, Work::BuiltIn(_)) { TaskSource::BuiltIn } else { TaskSource::File };
        Self {
            id: TaskId::new(id),
            source,
            name: Clean::line(id),
            description: None,
            team: None,
            machine: None,
            labels: Labels::default(),
            work,
            ping_key: None,
            secrets: BTreeMap::new(),
            schedule: None,
            after: Vec::new(),
            blackout: Vec::new(),
            policy: Policy::default(),
            kill_grace: Duration::from_secs(10),
            priority: Priority::default(),
            retry: RetryRule::default(),
            failure_action: FailureAction::Alert,
            overlap: Overlap::Skip,
            catch_up: CatchUp::None,
            concurrency: None,
            enabled: true,
        }
    }

    /// The queue that its runs wait in: its team's.
    #[must_use]
    pub fn queue(&self) -> QueueName {
        QueueName::new(self.team.as_ref().map_or(NO_TEAM, Clean::as_str))
    }

    /// Its runs at once at most.
    #[must_use]
    pub const fn at_once(&self) -> u32 {
        match (self.concurrency, self.overlap) {
            (Some(limit), _) => limit,
            (None, Overlap::Allow) => u32::MAX,
            (None, _) => 1,
        }
    }

    /// Whether it came over the API, so that the database keeps its definition.
    #[must_use]
    pub const fn is_added(&self) -> bool {
        matches!(self.source, TaskSource::Api | TaskSource::OneOff)
    }

    /// The tasks that it names, each with the field that names it.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &TaskId)> {
        let on_failure = match &self.failure_action {
            FailureAction::Run(task) => Some(("failure_action", task)),
            _ => None,
        };
        self.after.iter().map(|task| ("after", task)).chain(on_failure)
    }

    /// Whether the coordinator itself carries it out, outside limits and queue.
    #[must_use]
    pub const fn built_in(&self) -> Option<BuiltIn> {
        match self.work {
            Work::BuiltIn(which) => Some(which),
            _ => None,
        }
    }
}

/// How many runs there may be at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub coordinator: u32,
    /// Of one team.
    pub team: BTreeMap<String, u32>,
    /// On one machine; [`super::HERE`] is the coordinator's own.
    pub machine: BTreeMap<String, u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { coordinator: 8, team: BTreeMap::new(), machine: BTreeMap::new() }
    }
}
