//! How a task reads from outside, and what may be done to it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{Capabilities, Clean, Retry, Run, RunState, Task, TaskId, TaskSource, Verb};
use crate::schedule::Assessment;

use super::added::no_archive;
use super::calls::{ENDS_BY_ITSELF, OUTSIDE_QUEUE, no_pause, no_resume, no_trigger, switched_off};
use super::handling::NO_ALERT;
use super::{Domain, Entry, Work};

/// Active runs of one task that are told; more only count in its queue.
const MAX_TOLD: usize = 32;

/// Why each verb may not be done; `None`: it may.
type Refusals = [Option<&'static str>; Verb::COUNT];

/// Capabilities that some task has or had: there are few, and often those of the task before.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    all: HashMap<Refusals, Capabilities>,
    last: Option<(Refusals, Capabilities)>,
}

impl Spoken {
    fn capabilities(&mut self, refusals: Refusals) -> Capabilities {
        if let Some((_, known)) = self.last.as_ref().filter(|(last, _)| *last == refusals) {
            return known.clone();
        }
        let make = || Capabilities::by(|verb| refusals[verb as usize].map(Clean::line));
        let shared = self.all.entry(refusals).or_insert_with(make).clone();
        self.last = Some((refusals, shared.clone()));
        shared
    }
}

impl Domain {
    /// Tells of a task if it reads otherwise than before.
    pub(super) fn tell_task(&mut self, id: &TaskId, assessment: &Assessment) {
        let Some(entry) = self.tasks.get(id) else { return };
        let refusals = self.refusals(entry);
        // Most tasks may do the same: they share what says so.
        let capabilities = self.spoken.capabilities(refusals);
        let task = self.read(entry, assessment, capabilities);
        if entry.told.as_deref() == Some(&task) {
            return;
        }
        let task = Arc::new(task);
        self.out.tasks_gone.retain(|gone| gone != id);
        self.out.tasks.insert(id.clone(), task.clone());
        if let Some(entry) = self.tasks.get_mut(id) {
            entry.told = Some(task);
        }
    }

    fn read(&self, entry: &Entry, assessment: &Assessment, capabilities: Capabilities) -> Task {
        let definition = &entry.definition;
        let record = &entry.record;
        let active: Vec<Run> = entry
            .active
            .iter()
            .filter_map(|(_, run)| Some(self.runs.get(run)?.row.run.clone()))
            .take(MAX_TOLD)
            .collect();
        let newest = active.last().or(record.last_run.as_deref());
        let bare = Task::bare(definition.id.clone(), definition.name.clone(), capabilities);
        Task {
            ping_key: entry.ping_key().cloned(),
            description: definition.description.clone(),
            class: (definition.source == TaskSource::OneOff).then(|| "one-off".into()),
            source: Some(definition.source),
            state: Some(assessment.state),
            paused: entry.record.paused.is_some() || !definition.enabled,
            archived: entry.record.archived.is_some(),
            priority: definition.built_in().is_none().then(|| record.priority.unwrap_or(definition.priority)),
            team: definition.team.clone(),
            machine: definition.machine.clone(),
            labels: definition.labels.clone(),
            schedule: definition.schedule.clone(),
            after: definition.after.clone(),
            policy: definition.policy,
            next_due: assessment.next_due,
            last_run: record.last_run.as_deref().cloned(),
            retry: Retry {
                attempt: newest.map_or(0, |run| run.attempt),
                max: definition.retry.count,
                next_at: newest.and_then(|run| run.next_at),
            },
            remarks: self.remarks_on(entry),
            active_runs: active,
            ..bare
        }
    }

    fn remarks_on(&self, entry: &Entry) -> Vec<Clean> {
        let mut remarks = Vec::new();
        if let Some(paused) = &entry.record.paused {
            let at = paused.at.format("%Y-%m-%d %H:%M UTC");
            remarks.push(Clean::from(format!("paused by {} since {at}", paused.by)));
        }
        if !entry.definition.enabled {
            remarks.push(switched_off(entry).into());
        }
        if let Some(archived) = &entry.record.archived {
            let at = archived.at.format("%Y-%m-%d %H:%M UTC");
            remarks
                .push(Clean::from(format!("put away by {} since {at}; resume takes it back", archived.by)));
        }
        remarks.extend(self.machine_remark(entry));
        if entry.definition.work == Work::Watched {
            remarks.push("only watched: it has no command here, and tells by pings how it runs".into());
        }
        if let Some(said) = &entry.record.said {
            let at = said.at.format("%Y-%m-%d %H:%M UTC");
            remarks.push(Clean::from(format!("told at {at}, while nothing of it ran: {}", said.words)));
        }
        if let Some(end) = &entry.dark_until {
            remarks.push(Clean::from(format!("blackout until {end}: it starts only by hand")));
        }
        if entry.plan.is_some() && entry.next_slot.is_none() {
            remarks.push("its schedule has no time to come".into());
        }
        remarks.extend(self.waits_for(entry));
        if !self.scheduling && entry.definition.schedule.is_some() {
            remarks
                .push("not scheduled now: this coordinator only answers; start one with: vigie serve".into());
        }
        remarks.extend(self.silence_remarks(entry));
        remarks.extend(self.remarks.iter().cloned());
        remarks
    }

    /// Why each verb may not be done now, in the order of all verbs.
    fn refusals(&self, entry: &Entry) -> Refusals {
        let built_in = entry.definition.built_in().is_some();
        let pending = entry
            .active
            .iter()
            .filter_map(|(_, run)| self.runs.get(run))
            .any(|active| active.row.run.state == RunState::Queued);
        let stoppable = entry
            .active
            .iter()
            .filter_map(|(_, run)| self.runs.get(run))
            .any(|active| active.row.run.state == RunState::Queued || active.stopping.is_none());
        let running = entry
            .active
            .iter()
            .filter_map(|(_, run)| self.runs.get(run))
            .any(|active| active.row.run.state == RunState::Running);
        let alerted = self.is_alerted(&entry.definition.id);
        let refusal = |verb: Verb| -> Option<&'static str> {
            match verb {
                Verb::Trigger => no_trigger(entry),
                Verb::Pause => no_pause(entry),
                Verb::Resume => no_resume(entry),
                Verb::Retry => match &entry.record.last_run {
                    Some(run) if run.state.is_bad() => no_trigger(entry),
                    Some(_) => Some("its last run succeeded"),
                    None => Some("no run of it has failed"),
                },
                Verb::Cancel if entry.active.is_empty() => Some("nothing of it is running or queued"),
                Verb::Cancel if built_in => Some(ENDS_BY_ITSELF),
                Verb::Cancel if !stoppable => Some("it is being stopped already"),
                Verb::Reprioritise if built_in => Some(OUTSIDE_QUEUE),
                Verb::Reprioritise if !pending => Some("no run of it is pending"),
                Verb::Acknowledge | Verb::Snooze if !alerted => Some(NO_ALERT),
                Verb::Cancel
                | Verb::Reprioritise
                | Verb::ReloadConfig
                | Verb::Acknowledge
                | Verb::Snooze
                | Verb::Silence => None,
                Verb::Archive => no_archive(entry, running),
            }
        };
        std::array::from_fn(|i| refusal(Verb::ALL[i]))
    }
}
