//! What is counted and measured while it happens, and how that and the state
//! read for Prometheus (the text format of `OpenMetrics` 1.0).

use std::fmt;
use std::sync::atomic::AtomicU64;

use chrono::{DateTime, Utc};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::model::{Run, RunState, TaskState};
use crate::wire::MachineHealth;

use super::domain::{Batch, Write};
use super::engine::View;

/// Upper bounds of delays, in seconds.
const DELAYS: [f64; 10] = [0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3_600.0];
/// Upper bounds of what a commit takes, in seconds.
const COMMITS: [f64; 8] = [0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByQueue {
    queue: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPriority {
    queue: String,
    priority: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMachine {
    machine: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMachinePriority {
    machine: String,
    priority: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
    severity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCode {
    code: u16,
}

/// So many queues and machines are told of by name, in the order of their names; anybody who may submit work can
/// name new ones, and each is a series for ever where it is kept.
const NAMED: usize = 500;

/// What is counted since the start. Cheap to clone: all clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    runs: Family<ByState, Counter>,
    starts: Histogram,
    notices: Histogram,
    commits: Histogram,
    refused_commits: Counter,
    requests: Family<ByCode, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            runs: Family::default(),
            starts: Histogram::new(DELAYS),
            notices: Histogram::new(DELAYS),
            commits: Histogram::new(COMMITS),
            refused_commits: Counter::default(),
            requests: Family::default(),
        }
    }
}

impl Metrics {
    /// What a step at `at` has come to, once it is on disk.
    pub(super) fn count(&self, batch: &Batch, writes: &[Write], at: DateTime<Utc>) {
        for run in batch.runs.values() {
            if run.state.is_ended() {
                self.runs.get_or_create(&ByState { state: run.state.word() }).inc();
            } else if let Some(delay) = start_delay(run, at) {
                self.starts.observe(delay);
            }
        }
        for write in writes {
            if let Write::Flip(flip) = write {
                self.notices.observe(seconds(flip.computed, flip.noticed));
            }
        }
    }

    /// A commit took so many seconds; `written`: it is on disk.
    pub(super) fn committed(&self, seconds: f64, written: bool) {
        self.commits.observe(seconds);
        if !written {
            self.refused_commits.inc();
        }
    }

    /// A call was answered.
    pub(super) fn answered(&self, code: u16) {
        self.requests.get_or_create(&ByCode { code }).inc();
    }

    /// All of it, and the state in `view`, as Prometheus reads it. `database`: its size in bytes.
    ///
    /// # Errors
    /// None in practice: it is written to memory.
    pub(super) fn text(&self, view: &View, now: DateTime<Utc>, database: u64) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("vigie");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", version);
        state(&mut registry, view, now);
        let of = Gauge::<u64, AtomicU64>::default();
        of.set(database);
        registry.register_with_unit("database_size", "The database with its log", Unit::Bytes, of);
        if let Some(resident) = resident() {
            let of = Gauge::<u64, AtomicU64>::default();
            of.set(resident);
            registry.register_with_unit("resident_memory", "Memory of the coordinator", Unit::Bytes, of);
        }
        registry.register("runs", "Runs that have ended, by how", self.runs.clone());
        let delay = "From slot or request to the start of the first attempt";
        registry.register_with_unit("start_delay", delay, Unit::Seconds, self.starts.clone());
        let notice = "From the computed instant of a flip to its notice";
        registry.register_with_unit("notice_delay", notice, Unit::Seconds, self.notices.clone());
        registry.register_with_unit("commit", "What commits take", Unit::Seconds, self.commits.clone());
        let refused = "Commits that the disk did not take";
        registry.register("commits_refused", refused, self.refused_commits.clone());
        registry.register("http_requests", "Answered calls, by status", self.requests.clone());
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// Tasks by state, queues, and open alerts.
fn state(registry: &mut Registry, view: &View, now: DateTime<Utc>) {
    let tasks = Family::<ByState, Gauge>::default();
    for state in TaskState::ALL {
        tasks.get_or_create(&ByState { state: state.word() }).set(0);
    }
    for task in &view.tasks {
        let state = task.state.unwrap_or(TaskState::Unknown);
        tasks.get_or_create(&ByState { state: state.word() }).inc();
    }
    registry.register("tasks", "Tasks by state", tasks);
    let depth = Family::<ByPriority, Gauge>::default();
    let running = Family::<ByQueue, Gauge>::default();
    let oldest = Family::<ByQueue, Gauge>::default();
    for queue in view.queues.iter().take(NAMED) {
        let name = queue.name.as_raw().to_owned();
        for (priority, count) in (1..).zip(queue.by_priority.into_iter().flatten()) {
            depth.get_or_create(&ByPriority { queue: name.clone(), priority }).set(signed(count));
        }
        running.get_or_create(&ByQueue { queue: name.clone() }).set(signed(queue.running));
        let age = queue.oldest_pending.map_or(0, |since| (now - since).num_seconds().max(0));
        oldest.get_or_create(&ByQueue { queue: name }).set(age);
    }
    registry.register("queue_depth", "Pending runs", depth);
    registry.register("queue_running", "Runs in progress", running);
    registry.register_with_unit(
        "queue_oldest_pending",
        "Age of the oldest pending run",
        Unit::Seconds,
        oldest,
    );
    let count = Gauge::<i64>::default();
    count.set(i64::try_from(view.queues.len()).unwrap_or(i64::MAX));
    registry.register("queues", "Queues, those beyond the 500 that are told of by name among them", count);
    machines(registry, view, now);
    let alerts = Family::<ByKind, Gauge>::default();
    let silenced = Family::<ByKind, Gauge>::default();
    for alert in &view.alerts {
        let labels = ByKind { kind: alert.kind.word(), severity: alert.severity.word() };
        let is_silenced = alert.silenced_until.is_some_and(|until| until > now);
        let of = if is_silenced { &silenced } else { &alerts };
        of.get_or_create(&labels).inc();
    }
    registry.register("alerts", "Open alerts that are neither silenced nor snoozed", alerts);
    registry.register("alerts_silenced", "Open alerts that are silenced or snoozed", silenced);
}

/// Machines: whether they can be reached, and what runs and waits there.
fn machines(registry: &mut Registry, view: &View, now: DateTime<Utc>) {
    let depth = Family::<ByMachinePriority, Gauge>::default();
    let running = Family::<ByMachine, Gauge>::default();
    let reachable = Family::<ByMachine, Gauge>::default();
    let oldest = Family::<ByMachine, Gauge>::default();
    for machine in view.machines.iter().take(NAMED) {
        let name = machine.name.as_str().to_owned();
        let of = ByMachine { machine: name.clone() };
        for (priority, count) in (1..).zip(machine.by_priority) {
            depth.get_or_create(&ByMachinePriority { machine: name.clone(), priority }).set(signed(count));
        }
        running.get_or_create(&of).set(signed(machine.running));
        // Of one that was never asked, or is switched off, nothing is told.
        match machine.health {
            MachineHealth::Reachable => drop(reachable.get_or_create(&of).set(1)),
            MachineHealth::Unreachable => drop(reachable.get_or_create(&of).set(0)),
            MachineHealth::Unknown | MachineHealth::Off => {}
        }
        let age = machine.oldest_pending.map_or(0, |since| (now - since).num_seconds().max(0));
        oldest.get_or_create(&of).set(age);
    }
    registry.register("machine_depth", "Pending runs by machine and priority", depth);
    registry.register("machine_running", "Runs in progress by machine", running);
    let reached = "Whether a machine can be reached (1) or not (0)";
    registry.register("machine_reachable", reached, reachable);
    let waits = "Age of the oldest pending run of a machine";
    registry.register_with_unit("machine_oldest_pending", waits, Unit::Seconds, oldest);
    let count = Gauge::<i64>::default();
    count.set(i64::try_from(view.machines.len()).unwrap_or(i64::MAX));
    registry.register(
        "machines",
        "Machines, those beyond the 500 that are told of by name among them",
        count,
    );
}

/// How long the first attempt of a run that starts at `at` has waited, in seconds.
fn start_delay(run: &Run, at: DateTime<Utc>) -> Option<f64> {
    let starts = run.state == RunState::Running && run.attempt == 0 && run.started == Some(at);
    let wanted = run.slot.or(run.queued)?;
    starts.then(|| seconds(wanted, at))
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).to_std().unwrap_or_default().as_secs_f64()
}

/// Resident memory in bytes, by `VmRSS` in `/proc/self/status` (proc(5)); `None` elsewhere than on Linux.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// From now on.
    #[expect(clippy::disallowed_methods, reason = "the coordinator's one place that measures itself")]
    pub(super) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Seconds since.
    pub(super) fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
