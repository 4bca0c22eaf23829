//! What is remembered between two polls: the generation, the counts at the last
//! look, the items as last listed. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::convert::NO_TEAM;
use super::wire::{Item, Listing, Marks, Naming, TeamCounts};
use crate::model::{Clean, TaskId};

/// Most items that are asked for at a time: what the server gives by default.
/// Each brings its vault along, so more of them would be megabytes.
pub const MOST: usize = 1_000;
/// The list is read anew after so long though no count has moved.
const LIST_AGE: TimeDelta = TimeDelta::minutes(5);
/// The same, where retries are not counted: one could come and go unseen.
const LIST_AGE_BLIND: TimeDelta = TimeDelta::minutes(1);
/// What seldom changes is read again after so long.
pub const SELDOM: TimeDelta = TimeDelta::minutes(10);
/// Where there is more than one list can hold, finished items are listed if they were made within this.
pub const WINDOW: TimeDelta = TimeDelta::days(1);

/// What is asked for beyond the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Nothing: no count has moved.
    Nothing,
    /// Everything in one list.
    Whole,
    /// What is active or failed in one list, what finished of late in another.
    Split,
}

/// What seldom changes, one call each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seldom {
    /// Who we are there, and what we may do.
    Permissions,
    /// The teams.
    Teams,
    /// The machines.
    Machines,
}

impl Seldom {
    /// In the order in which they are read.
    pub const ALL: [Self; 3] = [Self::Permissions, Self::Teams, Self::Machines];
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Memory {
    /// Which words it uses, once that is known.
    pub naming: Option<Naming>,
    /// Why the dashboard can't be read, and when it was asked for.
    pub no_dashboard: Option<(Clean, DateTime<Utc>)>,
    /// What the dashboard says of the organisation.
    pub organisation: Option<Clean>,
    /// Limits of the plan that are reached.
    pub limits: Vec<Clean>,
    /// Whether the plan has the audit log.
    pub audit_log: Option<bool>,
    /// The counts that the list was read at.
    marks: Option<Marks>,
    /// When the last poll was answered and how long its first call took in milliseconds, if it went well.
    pub read: Option<(DateTime<Utc>, u64)>,
    /// When the list was read.
    listed: Option<DateTime<Utc>>,
    /// One list does not hold all.
    split: bool,
    /// Something was done from here since.
    acted: bool,
    /// Grows with every list: what the cursor is.
    pub round: u64,
    /// Items as last listed.
    pub items: BTreeMap<TaskId, Item>,
    /// Deleted from here since: gone by the server's own word, whatever the next list holds.
    deleted: Vec<TaskId>,
    /// Teams that are known by name.
    pub teams: Vec<Clean>,
    /// How many machines there are.
    pub machines: Option<usize>,
    /// Who we are there.
    pub permissions: Option<Clean>,
    /// What of the list is not shown, in words.
    pub shortened: Option<Clean>,
    seldom: BTreeMap<Seldom, DateTime<Utc>>,
}

impl Memory {
    /// Which list is needed: `counts` as the dashboard tells them now, `whole`
    /// if whoever asks has nothing yet.
    pub fn list(&self, marks: Option<&Marks>, total: Option<u64>, whole: bool, now: DateTime<Utc>) -> List {
        let age = if marks.is_some_and(|marks| marks.with_retries) { LIST_AGE } else { LIST_AGE_BLIND };
        let is_old = self.listed.is_none_or(|listed| now - listed >= age || listed > now);
        let moved = marks.is_none() || marks != self.marks.as_ref();
        if !(whole || self.acted || is_old || moved) {
            return List::Nothing;
        }
        let split = total.map_or(self.split, |total| total >= MOST as u64);
        if split { List::Split } else { List::Whole }
    }

    /// Something was done: the counts are not relied on.
    pub const fn act(&mut self) {
        self.acted = true;
    }

    /// The server says that it has deleted this item.
    pub fn delete(&mut self, task: &TaskId) {
        self.items.remove(task);
        self.deleted.push(task.clone());
    }

    /// An act that began before this list was asked for shows in it.
    pub const fn take_acted(&mut self) -> bool {
        std::mem::replace(&mut self.acted, false)
    }

    /// Within which time those were made that are `missing` from the active
    /// ones and older than the window: what became of them is asked for.
    pub fn older(&self, active: &Listing, from: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let made = || self.missing(active).filter_map(|item| item.created).filter(|made| *made < from);
        Some((made().min()?, made().max()?))
    }

    /// Known not to have ended, and no longer among the active ones.
    pub fn missing<'a>(&'a self, active: &'a Listing) -> impl Iterator<Item = &'a Item> {
        let listed: std::collections::BTreeSet<&TaskId> = active.items.iter().map(|item| &item.id).collect();
        self.items.values().filter(move |item| !item.phase().is_ended() && !listed.contains(&item.id))
    }

    /// Takes in what was listed; what was deleted from here is then gone.
    pub fn learn(&mut self, view: &mut View, marks: Option<Marks>, now: DateTime<Utc>) {
        let deleted = std::mem::take(&mut self.deleted);
        if view.complete {
            self.items.clear();
        } else {
            let is_listed = |id: &TaskId| view.items.iter().any(|item| item.id == *id);
            let gone: Vec<TaskId> = deleted.into_iter().filter(|id| !is_listed(id)).collect();
            view.gone.extend(gone);
        }
        for id in &view.gone {
            self.items.remove(id);
        }
        self.items.extend(view.items.iter().map(|item| (item.id.clone(), item.clone())));
        self.marks = marks;
        self.listed = Some(now);
        self.split = view.split;
        self.shortened.clone_from(&view.shortened);
        self.round += 1;
    }

    /// The next of what seldom changes that is due.
    pub fn due(&self, now: DateTime<Utc>) -> Option<Seldom> {
        let is_due =
            |seldom: &Seldom| self.seldom.get(seldom).is_none_or(|read| now - *read >= SELDOM || *read > now);
        Seldom::ALL.into_iter().find(is_due)
    }

    /// It was asked for.
    pub fn asked(&mut self, seldom: Seldom, now: DateTime<Utc>) {
        self.seldom.insert(seldom, now);
    }
}

/// What the lists hold together.
#[derive(Debug, Default)]
pub struct View {
    /// Each item once, the later word on it.
    pub items: Vec<Item>,
    /// All that belongs in the view is in it: what is missing is gone.
    pub complete: bool,
    /// All that is active or failed is in it.
    pub active_complete: bool,
    /// No longer in the view, where it is not complete.
    pub gone: Vec<TaskId>,
    /// It took two lists.
    pub split: bool,
    /// What is left out, in words.
    pub shortened: Option<Clean>,
    /// What could not be read, in words.
    pub unread: Option<Clean>,
}

impl View {
    /// Of the one list that holds all.
    pub fn whole(listing: Listing) -> Self {
        let unread = unread(listing.unread, listing.items.len());
        let complete = listing.unread == 0;
        Self { items: once(listing.items), complete, active_complete: complete, unread, ..Self::default() }
    }

    /// Of what is active or failed, and of what finished: what was made after
    /// `from`, and at the time of those that were active before.
    ///
    /// Finished items that are older are out of the view, as it is said to be.
    /// What is in none of the lists is gone only if all were whole.
    pub fn split(active: Listing, lists: Vec<Listing>, from: DateTime<Utc>, memory: &Memory) -> Self {
        let (active_cut, finished_cut) = (active.is_cut(MOST), lists.iter().any(|list| list.is_cut(MOST)));
        let mut finished = Listing::default();
        for list in lists {
            finished.items.extend(list.items);
            finished.unread += list.unread;
        }
        let unread = unread(active.unread + finished.unread, active.items.len() + finished.items.len());
        let readable = active.unread + finished.unread == 0;
        let mut shortened = format!(
            "more than {MOST} items: finished ones are listed only if they were made after {}",
            from.format("%Y-%m-%d %H:%M UTC")
        );
        if active_cut {
            shortened = format!(
                "only the first {} active and failed items are listed; {shortened}",
                active.items.len()
            );
        } else if finished_cut {
            shortened = format!(
                "only the first {} of the finished items are listed; {shortened}",
                finished.items.len()
            );
        }
        let mut lost: Vec<Item> = Vec::new();
        if !active_cut && finished_cut {
            // It has ended or is gone; which of the two lies beyond the list.
            let ended = |item: &Item| finished.items.iter().any(|other| other.id == item.id);
            lost.extend(memory.missing(&active).filter(|item| !ended(item)).map(|item| Item {
                status: "UNKNOWN".into(),
                health: Some("no longer active; how it ended lies beyond what is listed".into()),
                can_be_cancelled: Some(false),
                ..item.clone()
            }));
        }
        let is_old = |item: &&Item| item.phase().is_ended() && item.created.is_some_and(|made| made < from);
        let mut items = active.items;
        items.extend(finished.items);
        items.extend(lost);
        let items = once(items);
        let listed: std::collections::BTreeSet<&TaskId> = items.iter().map(|item| &item.id).collect();
        let complete = readable && !active_cut && !finished_cut;
        let gone = if complete {
            Vec::new()
        } else {
            let old = memory.items.values().filter(is_old).filter(|item| !listed.contains(&item.id));
            old.map(|item| item.id.clone()).collect()
        };
        Self {
            complete,
            active_complete: readable && !active_cut,
            gone,
            split: true,
            shortened: Some(Clean::from(shortened)),
            unread,
            items,
        }
    }
}

fn unread(rows: usize, read: usize) -> Option<Clean> {
    (rows > 0).then(|| Clean::from(format!("{rows} of {} items have no id and are left out", rows + read)))
}

/// Each item once: of two with one id the later.
fn once(items: Vec<Item>) -> Vec<Item> {
    let mut seen = std::collections::BTreeSet::new();
    let mut kept: Vec<Item> = items.into_iter().rev().filter(|item| seen.insert(item.id.clone())).collect();
    kept.reverse();
    kept
}

/// Only the teams of `chosen`, if there is a choice.
pub fn chosen(teams: Vec<TeamCounts>, chosen: &[Clean]) -> Vec<TeamCounts> {
    teams.into_iter().filter(|counts| is_chosen(&counts.team, chosen)).collect()
}

/// Whether a team is among those that were chosen.
pub fn is_chosen(team: &str, chosen: &[Clean]) -> bool {
    chosen.is_empty() || chosen.iter().any(|known| known.eq_ignore_ascii_case(team)) || team == NO_TEAM
}
