//! A task's success starts those that come after it; a blackout holds back
//! what would start by itself.

use chrono::{DateTime, Utc};

use crate::model::{Clean, Run, TaskId};

use super::{Claim, Domain, Entry, MAX_PENDING, Overlap};

/// How the remark begins that tells of the tasks that start a task; how far they are follows a semicolon.
pub const AFTER: &str = "starts after the success of ";

/// Why runs are started by hand, in a blackout too.
const BY_HAND: [&str; 3] = ["manual", "retry", "submitted"];

fn is_by_hand(run: &Run) -> bool {
    run.cause.as_deref().is_some_and(|cause| BY_HAND.contains(&cause))
}

impl Domain {
    /// A run of a task is over: those that come after it may start, and what they wait for reads otherwise.
    pub(super) fn ended(&mut self, task: &TaskId, good: bool, now: DateTime<Utc>) {
        for follower in self.followers.get(task).cloned().unwrap_or_default() {
            if let Some(entry) = self.tasks.get_mut(&follower)
                && good
                && !entry.is_paused()
                && entry.record.succeeded.insert(task.clone())
            {
                entry.touched = true;
            }
            self.follow(&follower, now);
            self.mark(&follower);
        }
        self.follow(task, now);
    }

    /// Starts a task if all that it comes after have succeeded since its own
    /// last start. While a run of it is active, what succeeds counts for one
    /// run after that, unless it may overlap.
    pub(super) fn follow(&mut self, id: &TaskId, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get_mut(id) else { return };
        let definition = entry.definition.clone();
        let room = match definition.overlap {
            Overlap::Skip => entry.active.is_empty(),
            Overlap::Queue | Overlap::Allow => entry.active.len() < MAX_PENDING,
        };
        let ready = !definition.after.is_empty()
            && definition.after.iter().all(|task| entry.record.succeeded.contains(task));
        if !self.scheduling || !ready || !room || entry.is_paused() {
            return;
        }
        entry.record.succeeded.clear();
        entry.touched = true;
        let cause = format!("after {}", listed(&definition.after));
        self.enqueue(id, None, &cause, None, now);
    }

    /// What a task that comes after others waits for.
    pub(super) fn waits_for(&self, entry: &Entry) -> Option<Clean> {
        let after = &entry.definition.after;
        if after.is_empty() {
            return None;
        }
        let missing = after.iter().filter(|task| !entry.record.succeeded.contains(*task));
        let missing: Vec<String> = missing
            .map(|task| {
                let id = task.as_raw();
                let Some(of) = self.tasks.get(task) else { return format!("{id} (there is no such task)") };
                let last = of.record.last_run.as_ref().filter(|run| run.state.is_bad());
                last.map_or_else(|| id.to_owned(), |run| format!("{id} (its last run: {})", run.state))
            })
            .collect();
        let waits = match missing.as_slice() {
            [] => "all of them have, and it starts once it may".to_owned(),
            missing => format!("waits for {}", missing.join(", ")),
        };
        Some(Clean::from(format!("{AFTER}{}; {waits}", listed(after))))
    }

    /// Holds a run back that would start by itself in a blackout: its place is free again, and it waits for the end.
    pub(super) fn hold(&mut self, claim: &Claim, now: DateTime<Utc>) -> bool {
        let Some(active) = self.runs.get_mut(&claim.run) else { return false };
        let Some(entry) = self.tasks.get(&claim.task) else { return false };
        let Some(end) = entry.blackouts.end(now).filter(|_| !is_by_hand(&active.row.run)) else {
            return false;
        };
        let until = entry.blackouts.clock(end);
        self.queue.release(claim);
        active.waiting_since = None;
        active.resting_since = Some(now);
        active.row.run.next_at = Some(end);
        active.row.run.message = Some(Clean::from(format!("held back by a blackout until {until}")));
        let row = active.row.clone();
        self.note_run(&row);
        self.mark(&claim.task);
        true
    }
}

fn listed(tasks: &[TaskId]) -> String {
    tasks.iter().map(TaskId::as_raw).collect::<Vec<_>>().join(", ")
}
