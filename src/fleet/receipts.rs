//! Receipts of sent intents: kept beside their rows until a poll shows the effect.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::changes::{delta, plus};
use super::history::moment;
use super::site::{Entry, Site, carried};
use crate::model::{
    Clean, Command, Deed, EndpointName, IntentId, Receipt, Run, RunState, Stage, Target, TaskId, Verb,
};

/// Most receipts that are kept.
pub const MAX_RECEIPTS: usize = 500;
/// How long an ended receipt stays beside its row.
pub const LINGER: TimeDelta = TimeDelta::seconds(10);
/// How long one that nobody confirms stays beside its row.
pub const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// After so long, or two polls, an accepted call should have shown.
const EFFECT_DUE: TimeDelta = TimeDelta::seconds(30);
/// Clocks are read in whole seconds by some systems.
const RESOLUTION: TimeDelta = TimeDelta::seconds(1);

/// What a receipt belongs to: an endpoint, or a task of it.
pub(super) type Place = (EndpointName, Option<TaskId>);

#[derive(Debug)]
struct Tracked {
    receipt: Receipt,
    /// What the endpoint said, before vigie added its own words.
    said: Option<Clean>,
    /// When it came to its stage, as it was noticed here.
    noted: DateTime<Utc>,
    /// Good polls since it was accepted.
    polls: u32,
    /// Whether it is beside its row.
    shown: bool,
    /// The opposite was asked for later, and taken: its effect shows no more.
    overtaken: bool,
}

impl Tracked {
    fn place(&self) -> Place {
        (self.receipt.target.endpoint.clone(), self.receipt.target.task.clone())
    }

    fn is_at(&self, endpoint: &EndpointName, task: Option<&TaskId>) -> bool {
        self.receipt.target.endpoint == *endpoint && self.receipt.target.task.as_ref() == task
    }

    fn leaves(&self) -> DateTime<Utc> {
        plus(self.noted, if self.receipt.stage.is_final() { LINGER } else { PATIENCE })
    }
}

/// See the module's text. Oldest first.
#[derive(Debug, Default)]
pub(super) struct Receipts(VecDeque<Tracked>);

impl Receipts {
    /// Notes how far an intent came at one target; the places whose rows that concerns.
    /// A receipt never goes back: what a poll has shown is not "accepted" again.
    pub fn note(&mut self, receipt: Receipt, now: DateTime<Utc>) -> Vec<Place> {
        let same = |known: &&mut Tracked| {
            known.receipt.intent == receipt.intent && same_target(&known.receipt.target, &receipt.target)
        };
        if let Some(known) = self.0.iter_mut().find(same) {
            if rank(receipt.stage) < rank(known.receipt.stage) || known.receipt.stage.is_final() {
                return Vec::new();
            }
            if known.receipt.stage != receipt.stage {
                known.noted = now;
                known.polls = 0;
            }
            known.said.clone_from(&receipt.message);
            let run = known.receipt.run.take();
            known.receipt = Receipt { run: receipt.run.or(run), ..receipt };
            known.shown = !known.overtaken;
            let newer = known.receipt.clone();
            let places = vec![known.place()];
            self.overtake(&newer);
            return places;
        }
        let said = receipt.message.clone();
        self.overtake(&receipt);
        let tracked = Tracked { receipt, said, noted: now, polls: 0, shown: true, overtaken: false };
        let mut places = vec![tracked.place()];
        self.0.push_back(tracked);
        if self.0.len() > MAX_RECEIPTS
            && let Some(dropped) = self.0.pop_front()
            && dropped.shown
        {
            places.push(dropped.place());
        }
        places
    }

    /// Takes away what was accepted at the same place before, and what `newer` undoes.
    fn overtake(&mut self, newer: &Receipt) {
        if !matches!(newer.stage, Stage::Accepted | Stage::Observed) {
            return;
        }
        for tracked in &mut self.0 {
            let older = &mut tracked.receipt;
            let before = older.intent != newer.intent && older.sent <= newer.sent;
            if before
                && older.stage == Stage::Accepted
                && same_target(&older.target, &newer.target)
                && undoes(newer.deed, older.deed)
            {
                older.message = Some(Clean::from(format!("accepted, then overtaken by {}", newer.deed)));
                tracked.shown = false;
                tracked.overtaken = true;
            }
        }
    }

    /// Looks whether what is known of `site` shows the effects: after a good
    /// poll that arrived at `poll`, or (`None`) after something was learned
    /// between polls. Of `only` one intent, or of all.
    pub fn look(
        &mut self,
        site: &Site,
        only: Option<IntentId>,
        poll: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        moved: &mut Vec<Receipt>,
    ) -> Vec<Place> {
        let mut places = Vec::new();
        let open = |tracked: &&mut Tracked| {
            matches!(tracked.receipt.stage, Stage::Accepted | Stage::Unknown)
                && !tracked.overtaken
                && tracked.receipt.target.endpoint == site.name
                && only.is_none_or(|only| tracked.receipt.intent == only)
        };
        for tracked in self.0.iter_mut().filter(open) {
            let since = poll.filter(|at| *at >= tracked.receipt.at);
            if is_shown(
                site,
                &tracked.receipt,
                since.is_some(),
                since.is_some_and(|at| at > tracked.receipt.at),
            ) {
                tracked.receipt.stage = Stage::Observed;
                tracked.receipt.at = now;
                tracked.receipt.message.clone_from(&tracked.said);
                tracked.noted = now;
                tracked.shown = true;
                moved.push(tracked.receipt.clone());
                places.push(tracked.place());
            } else if since.is_some() && tracked.receipt.stage == Stage::Accepted {
                tracked.polls += 1;
                if nothing_changed(tracked, site, now) {
                    let message = without_effect(tracked.said.as_ref());
                    if tracked.receipt.message.as_ref() != Some(&message) {
                        tracked.receipt.message = Some(message);
                        places.push(tracked.place());
                    }
                }
            }
        }
        places
    }

    /// Takes those whose time is over from their rows.
    pub fn expire(&mut self, now: DateTime<Utc>) -> Vec<Place> {
        let mut places = Vec::new();
        for tracked in self.0.iter_mut().filter(|tracked| tracked.shown && tracked.leaves() <= now) {
            tracked.shown = false;
            places.push(tracked.place());
        }
        places
    }

    /// When [`Receipts::expire`] has something to do.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.0.iter().filter(|tracked| tracked.shown).map(Tracked::leaves).min()
    }

    /// The tasks of `site` that have receipts which their rows don't show: rows that are new.
    pub fn missing_at(&self, site: &Site) -> Vec<Place> {
        let misses =
            |task: &TaskId| site.entries.get(task).is_some_and(|entry| entry.row.receipts.is_empty());
        let here =
            self.0.iter().filter(|tracked| tracked.shown && tracked.receipt.target.endpoint == site.name);
        here.filter(|tracked| tracked.receipt.target.task.as_ref().is_some_and(misses))
            .map(Tracked::place)
            .collect()
    }

    /// Those that stand beside a row, newest last.
    pub fn beside(&self, endpoint: &EndpointName, task: Option<&TaskId>) -> Vec<Receipt> {
        let here = self.0.iter().filter(|tracked| tracked.shown && tracked.is_at(endpoint, task));
        here.map(|tracked| tracked.receipt.clone()).collect()
    }

    /// All, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Receipt> {
        self.0.iter().rev().map(|tracked| &tracked.receipt)
    }
}

/// The state that the operator saw is no part of what a target is.
fn same_target(a: &Target, b: &Target) -> bool {
    (&a.endpoint, &a.task, &a.run) == (&b.endpoint, &b.task, &b.run)
}

/// Whether the effect of `older` is gone once `newer` is done.
const fn undoes(newer: Deed, older: Deed) -> bool {
    let (Deed::Verb(newer), Deed::Verb(older)) = (newer, older) else { return false };
    matches!(
        (newer, older),
        (Verb::Resume, Verb::Pause | Verb::Archive)
            | (Verb::Pause, Verb::Resume)
            | (Verb::Reprioritise, Verb::Reprioritise)
    )
}

/// How far a stage is; `unknown` may still become either end.
const fn rank(stage: Stage) -> u8 {
    match stage {
        Stage::Sent => 0,
        Stage::Accepted => 1,
        Stage::Unknown => 2,
        Stage::Observed | Stage::Failed => 3,
    }
}

fn nothing_changed(tracked: &Tracked, site: &Site, now: DateTime<Utc>) -> bool {
    let two_polls = plus(tracked.noted, delta(site.row.spec.poll.saturating_mul(2)));
    (tracked.polls >= 2 && now >= two_polls) || now >= plus(tracked.noted, EFFECT_DUE)
}

fn without_effect(said: Option<&Clean>) -> Clean {
    match said {
        Some(said) => Clean::from(format!("accepted, but nothing changed ({said})")),
        None => Clean::from("accepted, but nothing changed"),
    }
}

/// Whether what is known shows the effect. `polled`: a good poll has come
/// since; states prove nothing before. `later`: and it arrived after the
/// answer, not in the same instant.
fn is_shown(site: &Site, receipt: &Receipt, polled: bool, later: bool) -> bool {
    // What shows nowhere is taken at the system's word, once it is read again:
    // a lost answer gave no word.
    let by_word = later && receipt.stage == Stage::Accepted;
    let task = receipt.target.task.as_ref();
    let entry = task.and_then(|task| site.entries.get(task)).map(AsRef::as_ref);
    match (receipt.deed, entry) {
        (Deed::Verb(Verb::ReloadConfig), _) => by_word,
        // Of what has no alert yet nothing shows.
        (Deed::Verb(Verb::Silence), Some(entry)) if !is_alerted(site, &entry.row.task.id) => by_word,
        (Deed::Verb(verb), Some(entry)) => shows_verb(verb, site, entry, receipt, polled),
        (Deed::Verb(verb), None) => verb == Verb::Archive && task.is_some() && polled,
        (Deed::Command(command), _) => match command {
            // Nobody starts what runs already, so that it runs shows that it was started.
            Command::DutyDuckStart => entry
                .is_some_and(|entry| shows_run(site, entry, receipt) || (polled && Site::is_active(entry))),
            Command::DutyDuckFinish => entry.is_some_and(|entry| shows_end(site, entry, receipt, polled)),
            Command::RediaccDelete => entry.is_none() && polled,
            Command::VigieSubmit => match &receipt.run {
                Some(run) => site.history.run(run).is_some(),
                None => by_word,
            },
            // An item's one run has the id of the item.
            Command::RediaccCreate => match &receipt.run {
                Some(made) => site.entries.contains_key(made.as_raw()),
                None => by_word,
            },
            Command::DuplistatusCheckNow
            | Command::DuplistatusResetNotifications
            | Command::DuplistatusCollect
            | Command::DutyDuckComment
            | Command::RediaccRevoke => by_word,
        },
    }
}

fn shows_verb(verb: Verb, site: &Site, entry: &Entry, receipt: &Receipt, polled: bool) -> bool {
    let task = &entry.row.task;
    match verb {
        Verb::Trigger | Verb::Retry => shows_run(site, entry, receipt),
        Verb::Pause => polled && task.paused,
        Verb::Resume => polled && !task.paused,
        Verb::Cancel => shows_end(site, entry, receipt, polled),
        Verb::Reprioritise => polled && shows_priority(entry, receipt),
        Verb::Acknowledge => polled && shows_alert(site, &task.id, |alert| alert.acknowledged_by.is_some()),
        Verb::Snooze | Verb::Silence => {
            polled && shows_alert(site, &task.id, |alert| alert.silenced_until.is_some())
        }
        // Shows at no task.
        Verb::ReloadConfig => false,
        Verb::Archive => polled && task.archived,
    }
}

/// The run that the endpoint named, if it moved since the call left; without a name, one since then.
fn shows_run(site: &Site, entry: &Entry, receipt: &Receipt) -> bool {
    // Their clock may be ahead of ours or behind it, within the tolerance or beyond.
    let skew = TimeDelta::milliseconds(site.row.skew_ms.unwrap_or(0));
    let sent = plus(plus(receipt.sent, skew), -RESOLUTION);
    let instants = |run: &Run| [run.queued, run.started, run.ended];
    let since = |run: &Run| instants(run).into_iter().flatten().any(|at| at >= sent);
    let Some(id) = &receipt.run else {
        return carried(&entry.row.task).any(since)
            || site.runs_of(&entry.row.task.id).into_iter().any(|run| moment(run) >= sent);
    };
    // Where a retry goes on in the same run, that one was known before.
    let moved = |run: &Run| since(run) || !run.state.is_ended() || instants(run).iter().all(Option::is_none);
    let named = carried(&entry.row.task).find(|run| run.id.as_ref() == Some(id));
    named.or_else(|| site.history.run(id)).is_some_and(moved)
}

/// The run in question has ended; without a name, none is active.
fn shows_end(site: &Site, entry: &Entry, receipt: &Receipt, polled: bool) -> bool {
    match receipt.target.run.as_ref().or(receipt.run.as_ref()) {
        Some(id) => {
            let carried = carried(&entry.row.task).find(|run| run.id.as_ref() == Some(id));
            let ended = |run: &Run| run.state.is_ended();
            match carried.or_else(|| site.history.run(id)) {
                Some(run) => ended(run) || (polled && !is_listed(entry, id) && !Site::is_active(entry)),
                None => polled,
            }
        }
        None => polled && !Site::is_active(entry),
    }
}

fn is_listed(entry: &Entry, id: &crate::model::RunId) -> bool {
    entry.row.task.active_runs.iter().any(|run| run.id.as_ref() == Some(id))
}

/// The task, or every run that waits, has the priority that was asked for.
fn shows_priority(entry: &Entry, receipt: &Receipt) -> bool {
    let task = &entry.row.task;
    let mut pending =
        task.active_runs.iter().filter(|run| matches!(run.state, RunState::Queued | RunState::Running));
    receipt.priority.is_some()
        && (task.priority == receipt.priority || pending.any(|run| run.priority == receipt.priority))
}

fn is_alerted(site: &Site, task: &TaskId) -> bool {
    site.told.values().any(|alert| alert.task.as_ref() == Some(task))
}

fn shows_alert(site: &Site, task: &TaskId, is: impl Fn(&crate::model::Alert) -> bool) -> bool {
    site.told.values().any(|alert| alert.task.as_ref() == Some(task) && is(alert))
}
