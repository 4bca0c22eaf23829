//! What is known of the whole fleet: the one in-memory model that console and
//! commands read.
//!
//! Owns applying snapshots under the law of coverage, deltas, health with
//! evidence, lateness where the system does not judge itself, pending receipts,
//! duration series, alerts, and the indexes behind filter and sort. Pure: no
//! clock, no I/O; `now` is an argument. May import: `model`, `schedule`.
//!
//! ```text
//! configure, apply, fail, note_receipt, tick ──▶ Fleet ──▶ rows, alerts, runs, counts
//!                                          └──▶ Delta ──▶ TaskList (filtered and sorted keys)
//! ```
//!
//! Everything is bounded: runs per task and endpoint, durations per task,
//! receipts. When time passes, only what it changes is looked at.

mod alerts;
mod apply;
mod changes;
mod coming;
mod filter;
mod health;
mod history;
mod lateness;
mod list;
mod order;
mod receipts;
mod rows;
mod seat;
mod series;
mod site;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;

pub use changes::Delta;
pub use coming::DueMinute;
pub use filter::{Filter, FilterError, Flag};
pub use health::SKEW_TOLERANCE;
pub use history::{MAX_RUNS_PER_ENDPOINT, MAX_RUNS_PER_TASK};
pub use list::TaskList;
pub use order::{Order, SortKey};
pub use receipts::{LINGER, MAX_RECEIPTS};
pub use rows::{AlertRow, EndpointRow, Failure, QueueRow, RunRow, TaskContext, TaskRow};
pub use series::{MAX_SERIES, took_ms};
pub use summary::{Counts, Worst, worst};

use crate::model::{
    Alert, Capabilities, EndpointName, EndpointSpec, IntentId, Receipt, Run, RunId, Snapshot, Stage, TaskKey,
};
use changes::{Agenda, Changes, Wake};
use lateness::Plans;
use receipts::{Place, Receipts};
use seat::{Seat, Seats};
use site::{Context, Site};

/// The fleet. See the module's text.
#[derive(Debug, Default)]
pub struct Fleet {
    sites: IndexMap<EndpointName, Site>,
    agenda: Agenda,
    plans: Plans,
    seats: Seats,
    receipts: Receipts,
    receipts_wake: Option<DateTime<Utc>>,
}

/// A context over fields of the fleet, beside a borrowed site.
macro_rules! context {
    ($fleet:ident, $changes:expr, $now:ident) => {
        Context {
            now: $now,
            agenda: &mut $fleet.agenda,
            plans: &mut $fleet.plans,
            seats: &mut $fleet.seats,
            changes: $changes,
        }
    };
}

impl Fleet {
    /// Makes the endpoints those of `specs`: unknown ones come in connecting,
    /// missing ones go with their rows, changed ones start anew.
    pub fn configure(&mut self, specs: &[EndpointSpec], now: DateTime<Utc>) -> Delta {
        let mut changes = Changes::default();
        let mut old = std::mem::take(&mut self.sites);
        let order: Vec<EndpointName> = old.keys().cloned().collect();
        for spec in specs {
            let site = match old.swap_remove(&spec.name) {
                Some(site) if site.row.spec == *spec => site,
                changed => {
                    if let Some(site) = changed {
                        site.dismiss(&mut context!(self, &mut changes, now));
                    }
                    changes.endpoint(&spec.name);
                    Site::new(spec, now)
                }
            };
            self.sites.insert(spec.name.clone(), site);
        }
        for (_, site) in old {
            site.dismiss(&mut context!(self, &mut changes, now));
        }
        // Another order of the same endpoints is another order of all rows.
        if !self.sites.keys().eq(&order) {
            self.sites.keys().for_each(|name| changes.endpoint(name));
        }
        changes.finish()
    }

    /// What is said of the endpoint by its backend rather than by a poll.
    pub fn describe(
        &mut self,
        endpoint: &EndpointName,
        url: Option<String>,
        capabilities: Capabilities,
    ) -> Delta {
        let mut changes = Changes::default();
        if let Some(site) = self.sites.get_mut(endpoint)
            && (site.row.url != url || site.row.capabilities != capabilities)
        {
            site.row.url = url;
            site.row.capabilities = capabilities;
            changes.endpoint(endpoint);
        }
        changes.finish()
    }

    /// Applies one answer. Applying it twice changes nothing the second time.
    pub fn apply(&mut self, endpoint: &EndpointName, snapshot: Snapshot, now: DateTime<Utc>) -> Delta {
        let mut changes = Changes::default();
        let at = snapshot.at;
        if let Some(site) = self.sites.get_mut(endpoint) {
            site.apply(snapshot, &mut context!(self, &mut changes, now));
            self.look(endpoint, None, Some(at), now, &mut changes);
        }
        self.pass(now, &mut changes);
        changes.finish()
    }

    /// A poll failed: ages the endpoint's own rows, deletes nothing.
    pub fn fail(&mut self, endpoint: &EndpointName, failure: Failure, now: DateTime<Utc>) -> Delta {
        let mut changes = Changes::default();
        if let Some(site) = self.sites.get_mut(endpoint) {
            site.fail(failure, &mut context!(self, &mut changes, now));
        }
        self.pass(now, &mut changes);
        changes.finish()
    }

    /// Runs fetched on demand: known history, never complete.
    pub fn learn_runs(&mut self, endpoint: &EndpointName, runs: Vec<Run>, now: DateTime<Utc>) -> Delta {
        let mut changes = Changes::default();
        if let Some(site) = self.sites.get_mut(endpoint) {
            site.learn(&runs, &mut context!(self, &mut changes, now));
            changes.runs |= site.history.look_at(runs);
            self.look(endpoint, None, None, now, &mut changes);
        }
        self.pass(now, &mut changes);
        changes.finish()
    }

    /// A receipt from the runtime.
    pub fn note_receipt(&mut self, receipt: Receipt, now: DateTime<Utc>) -> Delta {
        let mut changes = Changes::default();
        let (endpoint, intent) = (receipt.target.endpoint.clone(), receipt.intent);
        let told = receipt.clone();
        let places = self.receipts.note(receipt, now);
        if !places.is_empty() && (told.stage.is_final() || told.stage == Stage::Unknown) {
            changes.receipts.push(told);
        }
        self.show_receipts(places, &mut changes);
        self.look(&endpoint, Some(intent), None, now, &mut changes);
        self.pass(now, &mut changes);
        changes.finish()
    }

    /// Lets time pass: lateness, staleness, receipts that nobody confirms.
    pub fn tick(&mut self, now: DateTime<Utc>) -> Delta {
        let mut changes = Changes::default();
        self.pass(now, &mut changes);
        changes.finish()
    }

    /// When [`Fleet::tick`] has something to do at the earliest.
    #[must_use]
    pub fn next_change(&self) -> Option<DateTime<Utc>> {
        self.agenda.next()
    }

    /// Does what is due by `now`, and nothing else.
    fn pass(&mut self, now: DateTime<Utc>, changes: &mut Changes) {
        let mut touched: BTreeSet<EndpointName> = BTreeSet::new();
        for wake in self.agenda.take_due(now) {
            let mut ctx = context!(self, &mut *changes, now);
            match wake {
                Wake::Evidence(name) => {
                    if let Some(site) = self.sites.get_mut(&name) {
                        site.age(&mut ctx);
                    }
                }
                Wake::Silence(name) => {
                    if let Some(site) = self.sites.get_mut(&name) {
                        site.unsilence(&mut ctx);
                    }
                }
                Wake::Task(key) => {
                    if let Some(site) = self.sites.get_mut(&key.endpoint) {
                        site.judge_again(&key.task, &mut ctx);
                        touched.insert(key.endpoint);
                    }
                }
                Wake::Receipts => {
                    self.receipts_wake = None;
                    let places = self.receipts.expire(now);
                    self.show_receipts(places, changes);
                }
            }
        }
        for name in touched {
            let mut ctx = context!(self, &mut *changes, now);
            if let Some(site) = self.sites.get_mut(&name) {
                site.settle(&mut ctx);
            }
        }
        self.agenda.set(|| Wake::Receipts, &mut self.receipts_wake, self.receipts.next());
    }

    /// Looks for the effects of pending receipts, and puts receipts beside rows that are new.
    fn look(
        &mut self,
        endpoint: &EndpointName,
        only: Option<IntentId>,
        poll: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        changes: &mut Changes,
    ) {
        let Some(site) = self.sites.get(endpoint) else { return };
        let mut places = self.receipts.look(site, only, poll, now, &mut changes.receipts);
        places.extend(self.receipts.missing_at(site));
        self.show_receipts(places, changes);
    }

    /// Brings the receipts beside these rows up to date.
    fn show_receipts(&mut self, places: Vec<Place>, changes: &mut Changes) {
        for (endpoint, task) in places {
            let Some(site) = self.sites.get_mut(&endpoint) else { continue };
            let beside = self.receipts.beside(&endpoint, task.as_ref());
            match task {
                None if site.row.receipts != beside => {
                    site.row.receipts = beside;
                    changes.endpoint(&endpoint);
                }
                Some(task) => {
                    if let Some(entry) = site.entries.get_mut(&task)
                        && entry.row.receipts != beside
                    {
                        entry.row.receipts = beside;
                        changes.change(&entry.row.key);
                    }
                }
                None => {}
            }
        }
    }
}

/// Reading.
impl Fleet {
    /// All endpoints, as configured.
    pub fn endpoints(&self) -> impl Iterator<Item = &EndpointRow> {
        self.sites.values().map(|site| &site.row)
    }

    /// One endpoint.
    #[must_use]
    pub fn endpoint(&self, name: &EndpointName) -> Option<&EndpointRow> {
        self.sites.get(name).map(|site| &site.row)
    }

    /// All tasks, in a stable order (endpoint as configured, then id).
    pub fn tasks(&self) -> impl Iterator<Item = &TaskRow> {
        self.sites.values().flat_map(|site| site.entries.values().map(|entry| &entry.row))
    }

    /// How many tasks there are.
    #[must_use]
    pub fn task_count(&self) -> usize {
        self.sites.values().map(|site| site.entries.len()).sum()
    }

    /// One task.
    #[must_use]
    pub fn task(&self, key: &TaskKey) -> Option<&TaskRow> {
        self.sites.get(&key.endpoint)?.entries.get(&key.task).map(|entry| &entry.row)
    }

    /// One task with its seat.
    fn seated(&self, key: &TaskKey) -> Option<(Seat, &TaskRow)> {
        self.sites.get(&key.endpoint)?.entries.get(&key.task).map(|entry| (entry.seat, &entry.row))
    }

    /// All tasks with their seats, as [`Fleet::tasks`] has them.
    fn all_seated(&self) -> impl Iterator<Item = (Seat, &TaskRow)> {
        self.sites.values().flat_map(|site| site.entries.values().map(|entry| (entry.seat, &entry.row)))
    }

    /// The earliest `limit` minutes with something due after `now`, up to that
    /// of `until`: what is paused or put away is not due.
    #[must_use]
    pub fn due_minutes(&self, now: DateTime<Utc>, until: DateTime<Utc>, limit: usize) -> Vec<DueMinute<'_>> {
        coming::due_minutes(self.sites.values(), now, until, limit)
    }

    /// Open alerts: what counts before what is silenced, worst first, then newest.
    #[must_use]
    pub fn alerts(&self) -> Vec<AlertRow> {
        let mut rows = Vec::new();
        for site in self.sites.values() {
            alerts::collect(site, &mut rows);
        }
        alerts::sort(&mut rows);
        rows
    }

    /// Open alerts with their endpoints, in no order that means anything: for
    /// counting and looking, where [`Self::alerts`] would copy and sort them.
    pub fn open_alerts(&self) -> impl Iterator<Item = (&EndpointName, &Alert)> {
        self.sites.values().flat_map(|site| alerts::open(site).map(move |alert| (&site.name, alert)))
    }

    /// Queues, as told.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueRow> {
        let of_site = |site: &Site| {
            let row = |queue: &crate::model::Queue| QueueRow {
                endpoint: site.name.clone(),
                queue: queue.clone(),
                evidence: site.row.evidence,
            };
            site.queues.values().map(row).collect::<Vec<_>>()
        };
        self.sites.values().flat_map(of_site).collect()
    }

    /// Known runs of the whole fleet, newest first, at most `limit`: those in progress come before all.
    #[must_use]
    pub fn runs(&self, limit: usize) -> Vec<RunRow> {
        let mut runs: Vec<(&Site, &Run)> =
            self.sites.values().flat_map(|site| site.first_runs(limit).map(move |run| (site, run))).collect();
        let order = |(_, a): &(&Site, &Run), (_, b): &(&Site, &Run)| history::newest_first(a, b);
        if limit < runs.len() && limit > 0 {
            runs.select_nth_unstable_by(limit - 1, order);
        }
        runs.truncate(limit);
        runs.sort_by(order);
        let row = |(site, run): (&Site, &Run)| {
            let entry = site.entries.get(&run.task);
            RunRow {
                endpoint: site.name.clone(),
                task_name: entry.map_or_else(|| run.task.shown(), |entry| entry.row.task.name.clone()),
                run: run.clone(),
                task: entry
                    .map_or_else(|| TaskContext::of_endpoint(&site.row), |entry| TaskContext::of(&entry.row)),
            }
        };
        runs.into_iter().map(row).collect()
    }

    /// Known runs of one task, newest first.
    #[must_use]
    pub fn runs_of(&self, key: &TaskKey) -> Vec<&Run> {
        self.sites.get(&key.endpoint).map(|site| site.runs_of(&key.task)).unwrap_or_default()
    }

    /// One run by its id, if it is known.
    #[must_use]
    pub fn run(&self, endpoint: &EndpointName, id: &RunId) -> Option<&Run> {
        self.sites.get(endpoint)?.history.run(id)
    }

    /// Known durations of one task in milliseconds, oldest first: good runs only.
    #[must_use]
    pub fn durations(&self, key: &TaskKey) -> Vec<u64> {
        let entry = self.sites.get(&key.endpoint).and_then(|site| site.entries.get(&key.task));
        entry.map(|entry| entry.series.durations()).unwrap_or_default()
    }

    /// Recent receipts of the whole console, newest first.
    #[must_use]
    pub fn receipts(&self) -> Vec<&Receipt> {
        self.receipts.newest_first().collect()
    }

    /// How many tasks there are of which sort.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.sites.values().fold(Counts::default(), |sum, site| sum.sum(&site.book.counts))
    }

    /// How many tasks of one endpoint there are of which sort.
    #[must_use]
    pub fn counts_of(&self, endpoint: &EndpointName) -> Counts {
        self.sites.get(endpoint).map(|site| site.book.counts).unwrap_or_default()
    }

    /// The worst of the endpoints in `only`, or of all if it is empty; see
    /// [`worst`]. An endpoint that nobody has configured is unknown too.
    #[must_use]
    pub fn worst(&self, only: &[EndpointName], now: DateTime<Utc>) -> Worst {
        if only.iter().any(|name| !self.sites.contains_key(name)) {
            return Worst::Unknown;
        }
        let asked = |name: &EndpointName| only.is_empty() || only.contains(name);
        let alerts = self.alerts();
        worst(
            self.endpoints().filter(|row| asked(&row.spec.name)),
            alerts.iter().filter(|row| asked(&row.endpoint)),
            now,
        )
    }
}
