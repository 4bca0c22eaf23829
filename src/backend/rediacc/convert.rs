//! From Rediacc's rows to the model. Pure.
//!
//! An item of the queue is a task with one run: what it was put there for is
//! done once, in up to four attempts that the server makes itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::offers::Menu;
use super::wire::{Item, TeamCounts};
use crate::model::{
    Alert, AlertKind, Clean, Labels, Priority, Queue, QueueName, Retry, Run, RunId, RunState, Task, TaskState,
};

/// The server tries so often again, then gives up.
pub const MAX_RETRIES: u32 = 3;
/// Its bridge may be silent for so long before the item is stale: `staleThresholdMinutes` by default.
const STALE_AFTER: TimeDelta = TimeDelta::minutes(10);
/// So long an item may wait before it is called stale: the web console's own mark.
const PENDING_AFTER: TimeDelta = TimeDelta::hours(6);
/// The queue of what belongs to no team.
pub const NO_TEAM: &str = "default";
/// What a reason contains after which the server does not try again.
const PERMANENT: [&str; 3] = ["Bridge reported failure", "Task permanently failed", "Fatal error"];

/// Where an item is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// PENDING.
    Waits,
    /// PENDING, and never to be tried again: out of retries or failed for good.
    GivenUp,
    /// ASSIGNED or PROCESSING.
    Works,
    /// CANCELLING.
    Stops,
    /// COMPLETED.
    Done,
    /// FAILED.
    Failed,
    /// CANCELLED.
    Cancelled,
    /// A status that nobody knows yet.
    Unknown,
}

impl Phase {
    /// Whether nothing more will happen to it by itself.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// Whether it waits in its queue.
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Waits | Self::GivenUp)
    }

    /// Whether a bridge has it.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Works | Self::Stops)
    }
}

impl Item {
    /// Where it is on its way.
    pub fn phase(&self) -> Phase {
        match self.status.to_ascii_uppercase().as_str() {
            "PENDING" if self.is_given_up() => Phase::GivenUp,
            "PENDING" => Phase::Waits,
            "ASSIGNED" | "PROCESSING" => Phase::Works,
            "CANCELLING" => Phase::Stops,
            "COMPLETED" => Phase::Done,
            "FAILED" => Phase::Failed,
            "CANCELLED" => Phase::Cancelled,
            _ => Phase::Unknown,
        }
    }

    /// Pending, but dead in practice: nothing takes it up again.
    fn is_given_up(&self) -> bool {
        self.permanently_failed || (self.retries >= MAX_RETRIES && self.reason.is_some())
    }

    /// Failed, and no retry of the server will follow.
    fn is_exhausted(&self) -> bool {
        self.permanently_failed
            || self.retries >= MAX_RETRIES
            || self.reason.as_ref().is_some_and(|reason| PERMANENT.iter().any(|text| reason.contains(text)))
    }

    fn is_healthy_as(&self, word: &str) -> bool {
        self.health.as_ref().is_some_and(|health| health.eq_ignore_ascii_case(word))
    }

    /// At work, and its bridge has been silent for too long.
    pub fn is_stale(&self) -> bool {
        self.phase().is_running() && self.is_healthy_as("STALE")
    }

    /// Waiting for too long, by the server's own word.
    pub fn waits_too_long(&self) -> bool {
        self.phase().is_pending() && (self.is_healthy_as("STALE_PENDING") || self.is_healthy_as("STALE"))
    }

    /// The first eight characters of its id: what the web console shows of it.
    pub fn short_id(&self) -> Clean {
        Clean::from(self.id.as_raw().chars().take(8).collect::<String>())
    }

    /// Its queue: its team.
    pub fn queue(&self) -> QueueName {
        self.team.as_deref().map_or_else(|| QueueName::new(NO_TEAM), QueueName::new)
    }

    /// Since when it waits, or waited: since its last retry, else since it was made.
    fn queued(&self) -> Option<DateTime<Utc>> {
        match self.phase() {
            Phase::Waits | Phase::GivenUp => self.retried.max(self.created),
            _ => self.created,
        }
    }

    /// When it ended. Cancelled ones have no answer of a bridge to go by.
    fn ended(&self) -> Option<DateTime<Utc>> {
        let by_length = plus(self.created, self.total_s).or_else(|| plus(self.assigned, self.processing_s));
        match self.phase() {
            Phase::Done | Phase::Failed => self.answered.or(by_length),
            Phase::Cancelled => by_length.or(self.answered),
            _ => None,
        }
    }

    /// Since when the problem holds that `kind` tells of.
    fn since(&self, kind: AlertKind) -> Option<DateTime<Utc>> {
        match kind {
            AlertKind::Dead => self.answered.max(self.assigned)?.checked_add_signed(STALE_AFTER),
            AlertKind::QueueStalled => self.created?.checked_add_signed(PENDING_AFTER),
            _ => self.ended().or(self.retried).or(self.created),
        }
    }
}

fn plus(from: Option<DateTime<Utc>>, seconds: Option<u64>) -> Option<DateTime<Utc>> {
    from?.checked_add_signed(TimeDelta::try_seconds(i64::try_from(seconds?).ok()?)?)
}

/// The item as a task. Its name is what people know it by: the machine that it
/// is for (else its team), and the short form of its id.
pub fn task(item: &Item, menu: &mut Menu) -> Task {
    let phase = item.phase();
    let place = item.machine.as_ref().or(item.team.as_ref());
    let name = place.map_or_else(|| item.short_id(), |place| format!("{place} {}", item.short_id()).into());
    let (ended, active_runs): (Vec<Run>, Vec<Run>) =
        run(item).into_iter().partition(|run| run.state.is_ended());
    Task {
        alias: Some(item.short_id()),
        class: Some("queue item".into()),
        state: Some(state(phase)),
        remote_state: Some(item.status.clone()),
        archived: phase == Phase::Cancelled,
        priority: item.priority,
        team: item.team.clone(),
        machine: item.machine.clone(),
        labels: labels(item),
        active_runs,
        last_run: ended.into_iter().next(),
        retry: Retry { attempt: item.retries, max: MAX_RETRIES, next_at: None },
        remarks: remarks(item),
        ..Task::bare(item.id.clone(), name, menu.of(item))
    }
}

/// A cancelled item is put away: nobody waits for it any more, and it neither failed nor went well.
const fn state(phase: Phase) -> TaskState {
    match phase {
        Phase::Waits => TaskState::Queued,
        Phase::Works | Phase::Stops => TaskState::Running,
        Phase::Done => TaskState::Healthy,
        Phase::Failed | Phase::GivenUp => TaskState::Failing,
        Phase::Cancelled => TaskState::Archived,
        Phase::Unknown => TaskState::Unknown,
    }
}

/// The item's one run; its id is the item's. `None` while nobody knows what its status means.
pub fn run(item: &Item) -> Option<Run> {
    let phase = item.phase();
    let state = match phase {
        Phase::Unknown => return None,
        Phase::Waits | Phase::GivenUp => RunState::Queued,
        Phase::Works | Phase::Stops => RunState::Running,
        Phase::Done => RunState::Succeeded,
        Phase::Failed => RunState::Failed,
        Phase::Cancelled => RunState::Aborted,
    };
    // What waits again is not at work, though it was assigned before.
    let started = if phase.is_pending() { None } else { item.assigned };
    let ended = item.ended();
    let took =
        item.processing_s.filter(|_| phase.is_ended() && started.is_some()).map(|s| s.saturating_mul(1_000));
    let measured = || u64::try_from((ended? - started?).num_milliseconds()).ok();
    Some(Run {
        id: Some(RunId::new(item.id.as_raw())),
        remote_state: Some(item.status.clone()),
        queued: item.queued(),
        started,
        ended,
        duration_ms: took.or_else(measured),
        message: item.reason.clone().filter(|_| phase != Phase::Done),
        attempt: item.retries,
        priority: item.priority,
        machine: item.machine.clone(),
        ..Run::bare(item.id.clone(), state)
    })
}

fn labels(item: &Item) -> Labels {
    let named = [("bridge", &item.bridge), ("region", &item.region), ("created-by", &item.created_by)];
    let told = named.into_iter().filter_map(|(name, value)| Some((Clean::line(name), value.clone()?)));
    Arc::new(told.collect::<BTreeMap<Clean, Clean>>())
}

/// What its health says beyond its status, and what its retries mean.
fn remarks(item: &Item) -> Vec<Clean> {
    let phase = item.phase();
    let mut remarks = Vec::new();
    if item.is_stale() {
        remarks.push(Clean::line("stale: no update from its bridge for more than 10 min"));
    } else if item.waits_too_long() {
        remarks.push(Clean::line("stale: it has waited for hours, and no bridge has taken it"));
    } else if let Some(health) = &item.health
        && !is_plain(health)
    {
        remarks.push(Clean::from(format!("health: {health}")));
    }
    if phase == Phase::GivenUp {
        remarks.push(Clean::line(
            "given up though it is pending: no bridge takes it up again; cancel or delete it, and create it anew",
        ));
    } else if phase == Phase::Failed && item.is_exhausted() {
        remarks.push(Clean::line("failed for good: the server does not try it again by itself"));
    }
    if phase.is_running() && item.retries > 0 {
        let reason = item.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        remarks.push(Clean::from(format!("retry {} of {MAX_RETRIES}{reason}", item.retries)));
    }
    remarks
}

/// Health words that say no more than the status.
fn is_plain(health: &Clean) -> bool {
    const PLAIN: [&str; 9] = [
        "PENDING",
        "ACTIVE",
        "ASSIGNED",
        "PROCESSING",
        "CANCELLING",
        "COMPLETED",
        "FAILED",
        "CANCELLED",
        "UNKNOWN",
    ];
    PLAIN.iter().any(|word| health.eq_ignore_ascii_case(word))
}

/// The problems of the items, as alerts: the system itself keeps none. None begins after `now`.
pub fn alerts(items: &[&Item], now: DateTime<Utc>) -> Vec<Alert> {
    let own = items.iter().filter_map(|item| of_item(item, now));
    let mut stalled: BTreeMap<QueueName, Vec<&Item>> = BTreeMap::new();
    for item in items.iter().filter(|item| item.phase() == Phase::Waits && item.waits_too_long()) {
        stalled.entry(item.queue()).or_default().push(item);
    }
    own.chain(stalled.into_iter().map(|(queue, items)| of_queue(queue, &items, now))).collect()
}

fn of_item(item: &Item, now: DateTime<Utc>) -> Option<Alert> {
    let reason = item.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let (kind, summary) = match item.phase() {
        Phase::Works | Phase::Stops if item.is_stale() => (
            AlertKind::Dead,
            format!(
                "no bridge update for more than {} min ({})",
                STALE_AFTER.num_minutes(),
                item.bridge.as_deref().unwrap_or("its bridge is not named")
            ),
        ),
        Phase::GivenUp => (
            AlertKind::RetriesExhausted,
            format!("pending, but given up after {} of {MAX_RETRIES} retries{reason}", item.retries),
        ),
        Phase::Failed if item.is_exhausted() => (
            AlertKind::RetriesExhausted,
            format!("failed for good after {} of {MAX_RETRIES} retries{reason}", item.retries),
        ),
        Phase::Failed => (AlertKind::Failed, format!("failed{reason}")),
        _ => return None,
    };
    Some(Alert { task: Some(item.id.clone()), ..alert(kind, item.since(kind), now, summary) })
}

fn of_queue(queue: QueueName, items: &[&Item], now: DateTime<Utc>) -> Alert {
    let kind = AlertKind::QueueStalled;
    let since = items.iter().filter_map(|item| item.since(kind)).min();
    let summary = match items.len() {
        1 => "1 item waits for too long: no bridge takes it".to_owned(),
        more => format!("{more} items wait for too long: no bridge takes them"),
    };
    Alert { queue: Some(queue), ..alert(kind, since, now, summary) }
}

fn alert(kind: AlertKind, since: Option<DateTime<Utc>>, now: DateTime<Utc>, summary: String) -> Alert {
    Alert {
        task: None,
        queue: None,
        kind,
        severity: kind.severity(),
        since: since.unwrap_or(now).min(now),
        summary: Clean::from(summary),
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    }
}

/// The queues of the teams. `teams` are those that are known besides the
/// items': their queues are empty. Complete only if all that is active is among the items.
pub fn queues(items: &[&Item], teams: &[Clean]) -> Vec<Queue> {
    let known = teams.iter().map(|team| (QueueName::new(team), Tally::default()));
    let mut tallies: BTreeMap<QueueName, Tally> = known.collect();
    for item in items {
        let phase = item.phase();
        // A team whose items have all ended has a queue as well, if it is a team.
        if phase.is_pending() || phase.is_running() || item.team.is_some() {
            tallies.entry(item.queue()).or_default().add(item, phase);
        }
    }
    tallies.into_iter().map(|(name, tally)| tally.queue(name)).collect()
}

/// The queues by the system's own counts, where the list of items is cut.
pub fn counted(teams: &[TeamCounts]) -> Vec<Queue> {
    let queue = |counts: &TeamCounts| Queue {
        name: QueueName::new(&counts.team),
        depth: counts.pending,
        by_priority: None,
        running: counts.active,
        stale: counts.stale,
        oldest_pending: None,
        oldest_by_priority: None,
    };
    teams.iter().map(queue).collect()
}

#[derive(Default)]
struct Tally {
    by_priority: [u64; Priority::COUNT],
    without_priority: u64,
    running: u64,
    stale: u64,
    oldest: Option<DateTime<Utc>>,
}

impl Tally {
    fn add(&mut self, item: &Item, phase: Phase) {
        self.running += u64::from(phase.is_running());
        self.stale += u64::from(item.is_stale() || item.waits_too_long());
        if phase.is_pending() {
            match item.priority {
                Some(priority) => self.by_priority[priority.index()] += 1,
                None => self.without_priority += 1,
            }
            self.oldest = [self.oldest, item.created].into_iter().flatten().min();
        }
    }

    /// On a plan without priorities there is only a total.
    fn queue(self, name: QueueName) -> Queue {
        Queue {
            name,
            depth: self.by_priority.iter().sum::<u64>() + self.without_priority,
            by_priority: (self.without_priority == 0).then_some(self.by_priority),
            running: self.running,
            stale: self.stale,
            oldest_pending: self.oldest,
            oldest_by_priority: None,
        }
    }
}
