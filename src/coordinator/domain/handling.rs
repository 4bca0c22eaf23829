//! What operators say of alerts.
//!
//! - An acknowledgement belongs to the episode: owner, note, age. It ends with
//!   the episode, and when that gets more severe; another problem of the task
//!   is an alert of its own, which nobody has taken.
//! - A snooze belongs to the task: its alerts are put off until a time or its
//!   next good run, whichever comes first. One that is more severe than any of
//!   those that were put off breaks through.
//! - A silence is a matcher with an expiry and a comment: what it matches is
//!   silenced, also what is still to come.
//!
//! What is snoozed or silenced is open all the same: it is told, with until
//! when it does not count.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{Alert, AlertKey, Clean, Handling, Scope, Severity, TaskId};
use crate::wire::{FieldProblem, Matcher, Silence};

use super::calls::conflict;
use super::{Definition, Domain, Entry, HERE, NO_TEAM, Refused, Write};

/// How long a snooze without a time holds at most.
const SNOOZE: TimeDelta = TimeDelta::days(7);
/// How long a silence of one task holds where nobody says.
pub const SILENCE: TimeDelta = TimeDelta::hours(1);
/// How long anything may be put off.
const LONGEST: TimeDelta = TimeDelta::days(366);
/// Silences at once at most.
const MOST: usize = 1_000;
/// Why nothing can be taken, or put off.
pub(super) const NO_ALERT: &str = "no alert of it is open";

/// The alerts of a task are put off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snooze {
    /// By whom.
    pub by: Clean,
    /// Until when, if no good run comes before.
    pub until: DateTime<Utc>,
    /// Why.
    pub note: Option<Clean>,
    /// The worst of what was put off: what is more severe breaks through.
    pub severity: Severity,
}

/// Why alerts are quiet: until when, by whom, and with what words.
struct Quiet<'a> {
    until: DateTime<Utc>,
    by: &'a Clean,
    comment: Option<&'a Clean>,
    snoozed: bool,
}

fn unfit(field: &str, detail: impl Into<String>) -> Refused {
    Refused::Unfit(vec![FieldProblem { field: field.to_owned(), detail: Clean::from(detail.into()) }])
}

/// A time that lies ahead, and not too far.
fn ahead(until: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Refused> {
    if until <= now {
        return Err(unfit("until", format!("{} has passed: give a time to come", stamp(until))));
    }
    if until - now > LONGEST {
        return Err(unfit("until", "is more than a year ahead: give one that is nearer"));
    }
    Ok(until)
}

/// An instant in a sentence.
pub(super) fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// What of an alert is on disk: that it is quiet follows from what is kept elsewhere.
fn kept(alert: &Alert) -> (&Clean, Severity, Option<&Clean>, Option<DateTime<Utc>>, Option<&Clean>) {
    let handling = alert.handling.as_deref();
    let (at, note) = (handling.and_then(|h| h.acknowledged_at), handling.and_then(|h| h.note.as_ref()));
    (&alert.summary, alert.severity, alert.acknowledged_by.as_ref(), at, note)
}

impl Domain {
    /// Takes the open alerts of a task, also from whoever had them.
    ///
    /// # Errors
    /// There is no such task, or none of it is open.
    pub fn acknowledge(
        &mut self,
        task: &TaskId,
        by: &Clean,
        note: Option<&Clean>,
        now: DateTime<Utc>,
    ) -> Result<(), Refused> {
        self.entry(task)?;
        let keys = self.alerts_on(Some(task));
        if keys.is_empty() {
            return Err(conflict(NO_ALERT));
        }
        for key in keys {
            let Some(open) = self.alerts.get(&key) else { continue };
            let mut alert = open.clone();
            alert.acknowledged_by = Some(by.clone());
            let handling = alert.handling.get_or_insert_default();
            handling.acknowledged_at = Some(now);
            handling.note = note.cloned();
            self.put_alert(alert);
        }
        Ok(())
    }

    /// Puts the alerts of a task off: until a time or its next good run.
    ///
    /// # Errors
    /// There is no such task, none of it is open, or the time is no good one.
    pub fn snooze(
        &mut self,
        task: &TaskId,
        by: &Clean,
        until: Option<DateTime<Utc>>,
        note: Option<&Clean>,
        now: DateTime<Utc>,
    ) -> Result<(), Refused> {
        self.entry(task)?;
        let until = ahead(until.unwrap_or(now + SNOOZE), now)?;
        let keys = self.alerts_on(Some(task));
        let open = keys.iter().filter_map(|key| self.alerts.get(key));
        let severity = open.map(|alert| alert.severity).min().ok_or_else(|| conflict(NO_ALERT))?;
        if let Some(entry) = self.tasks.get_mut(task) {
            entry.record.snoozed = Some(Snooze { by: by.clone(), until, note: note.cloned(), severity });
            entry.touched = true;
        }
        self.mark(task);
        Ok(())
    }

    /// When the snooze of a task ends by time; one that has ended is forgotten.
    pub(super) fn snooze_of(&mut self, task: &TaskId, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let entry = self.tasks.get_mut(task)?;
        let until = entry.record.snoozed.as_ref()?.until;
        if until > now {
            return Some(until);
        }
        entry.record.snoozed = None;
        entry.touched = true;
        None
    }

    /// Silences what a matcher matches. One with the same matcher goes for it.
    ///
    /// # Errors
    /// The matcher says nothing or names what is not there, or the time is no good one.
    pub fn silence(&mut self, silence: Silence, now: DateTime<Utc>) -> Result<(), Refused> {
        ahead(silence.until, now)?;
        self.flaws_of(&silence.matcher)?;
        let same = |other: &&Silence| other.matcher == silence.matcher;
        let before: Vec<String> = self.silences.values().filter(same).map(|other| other.id.clone()).collect();
        if before.is_empty() && self.silences.len() >= MOST {
            return Err(conflict(format!("there are {MOST} silences already: end some of them")));
        }
        for id in before {
            self.silences.remove(&id);
            self.out.writes.push(Write::SilenceEnded(id));
        }
        self.out.writes.push(Write::Silence(Box::new(silence.clone())));
        self.silences.insert(silence.id.clone(), silence.clone());
        self.silences_changed(&[silence.matcher], now);
        Ok(())
    }

    fn flaws_of(&self, matcher: &Matcher) -> Result<(), Refused> {
        if *matcher == Matcher::default() {
            return Err(unfit("matcher", "says nothing: name a task, a team, a machine or a kind"));
        }
        if let Some(task) = &matcher.task {
            self.entry(task)?;
        }
        let none = |of: &Matcher| !self.tasks.values().any(|entry| fits_task(of, entry.subject()));
        let only = |team: Option<&Clean>, machine: Option<&Clean>| Matcher {
            team: team.cloned(),
            machine: machine.cloned(),
            ..Matcher::default()
        };
        if let Some(team) = matcher.team.as_ref().filter(|team| none(&only(Some(team), None))) {
            return Err(unfit("matcher.team", format!("no task is of the team {team}")));
        }
        if let Some(machine) = matcher.machine.as_ref().filter(|machine| none(&only(None, Some(machine)))) {
            return Err(unfit("matcher.machine", format!("no task runs on {machine}")));
        }
        Ok(())
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// There is none of that id.
    pub fn end_silence(&mut self, id: &str, now: DateTime<Utc>) -> Result<(), Refused> {
        let ended = self.silences.remove(id).ok_or_else(|| Refused::NoSilence(id.to_owned()))?;
        self.out.writes.push(Write::SilenceEnded(ended.id));
        self.silences_changed(&[ended.matcher], now);
        Ok(())
    }

    /// The silences that hold, oldest first.
    #[must_use]
    pub fn silences(&self) -> Vec<Silence> {
        let mut silences: Vec<Silence> = self.silences.values().cloned().collect();
        silences.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        silences
    }

    /// Whether all that a matcher can hold for is of `scope`.
    #[must_use]
    pub fn is_matcher_within(&self, matcher: &Matcher, scope: &Scope) -> bool {
        *scope == Scope::All
            || matcher.task.as_ref().is_some_and(|task| self.is_within(task, scope))
            || matcher.team.as_ref().is_some_and(|team| scope.holds(Some(team)))
    }

    /// Takes out what has expired.
    pub(super) fn expire_silences(&mut self, now: DateTime<Utc>) {
        let over = |silence: &&Silence| silence.until <= now;
        if !self.silences.values().any(|silence| over(&silence)) {
            return;
        }
        let ids: Vec<String> =
            self.silences.values().filter(over).map(|silence| silence.id.clone()).collect();
        let ended: Vec<Silence> = ids.iter().filter_map(|id| self.silences.remove(id)).collect();
        self.out.writes.extend(ids.into_iter().map(Write::SilenceEnded));
        let matchers: Vec<Matcher> = ended.into_iter().map(|silence| silence.matcher).collect();
        self.silences_changed(&matchers, now);
    }

    /// When the first silence expires.
    pub(super) fn silence_wake(&self) -> Option<DateTime<Utc>> {
        self.silences.values().map(|silence| silence.until).min()
    }

    /// What is silenced, and what is told of the tasks that are, may read otherwise.
    fn silences_changed(&mut self, matchers: &[Matcher], now: DateTime<Utc>) {
        self.out.silences_changed = true;
        let keys: Vec<AlertKey> = self.alerts.keys().cloned().collect();
        for key in keys {
            if let Some(alert) = self.alerts.get(&key).cloned() {
                let alert = self.handled(alert, now);
                self.put_alert(alert);
            }
        }
        // Of a kind alone nothing is told at each task.
        for matcher in matchers.iter().filter(|matcher| names_tasks(matcher)) {
            let tasks = self.tasks.iter().filter(|(_, entry)| fits_task(matcher, entry.subject()));
            self.dirty.extend(tasks.map(|(id, _)| id.clone()));
        }
    }

    /// An alert that is or was open, as it is now: with who has it, and whether it is quiet.
    pub(super) fn handled(&self, mut alert: Alert, now: DateTime<Utc>) -> Alert {
        let mut handling = Handling::default();
        alert.acknowledged_by = None;
        // Who took a milder one has not taken this.
        if let Some(open) = self.alerts.get(&alert.key()).filter(|open| alert.severity >= open.severity) {
            alert.acknowledged_by.clone_from(&open.acknowledged_by);
            let taken = open.handling.as_deref();
            handling.acknowledged_at = taken.and_then(|taken| taken.acknowledged_at);
            handling.note = taken.and_then(|taken| taken.note.clone());
        }
        let quiet = self.quiet(&alert, now);
        alert.silenced_until = quiet.as_ref().map(|quiet| quiet.until);
        if let Some(quiet) = quiet {
            handling.silenced_by = Some(quiet.by.clone());
            handling.comment = quiet.comment.cloned();
            handling.snoozed = quiet.snoozed;
        }
        alert.handling = (handling != Handling::default()).then(|| Box::new(handling));
        alert
    }

    /// What keeps an alert quiet for longest.
    fn quiet(&self, alert: &Alert, now: DateTime<Utc>) -> Option<Quiet<'_>> {
        let entry = alert.task.as_ref().and_then(|task| self.tasks.get(task));
        let snooze = entry.and_then(|entry| entry.record.snoozed.as_ref());
        let snooze = snooze.filter(|snooze| snooze.until > now && alert.severity >= snooze.severity);
        let snooze = snooze.map(|snooze| Quiet {
            until: snooze.until,
            by: &snooze.by,
            comment: snooze.note.as_ref(),
            snoozed: true,
        });
        let fit =
            self.silences.values().filter(|silence| fits(&silence.matcher, alert, entry.map(Entry::subject)));
        let silences = fit.filter(|silence| silence.until > now).map(|silence| Quiet {
            until: silence.until,
            by: &silence.by,
            comment: silence.comment.as_ref(),
            snoozed: false,
        });
        silences.chain(snooze).max_by_key(|quiet| quiet.until)
    }

    /// Shows an open alert as it is now, and writes what of it is kept.
    pub(super) fn put_alert(&mut self, alert: Alert) {
        let key = alert.key();
        match self.alerts.get(&key) {
            Some(open) if *open == alert => return,
            Some(open) if kept(open) == kept(&alert) => {}
            Some(_) => self.out.writes.push(Write::AlertChanged(alert.clone())),
            None => self.out.writes.push(Write::AlertOpened(alert.clone())),
        }
        self.alerts.insert(key.clone(), alert.clone());
        self.out.alerts_gone.retain(|gone| *gone != key);
        self.out.alerts.insert(key, alert);
    }

    /// Whether a task has an open alert.
    pub(super) fn is_alerted(&self, task: &TaskId) -> bool {
        let first = AlertKey { task: Some(task.clone()), queue: None, kind: crate::model::AlertKind::ALL[0] };
        self.alerts.range(first..).next().is_some_and(|(key, _)| key.task.as_ref() == Some(task))
    }

    /// What is said of a task whose alerts are silenced, whether or not one is open.
    pub(super) fn silence_remarks<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = Clean> + 'a {
        let here = self.silences.values().filter(|silence| names_tasks(&silence.matcher));
        here.filter(|silence| fits_task(&silence.matcher, entry.subject())).map(|silence| {
            let what =
                silence.matcher.kind.map_or_else(|| "alerts".to_owned(), |kind| format!("{kind} alerts"));
            let comment = silence.comment.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            Clean::from(format!("{what} silenced by {} until {}{comment}", silence.by, stamp(silence.until)))
        })
    }
}

/// Whether a matcher says of which tasks, and not only of which kind.
const fn names_tasks(matcher: &Matcher) -> bool {
    matcher.task.is_some() || matcher.team.is_some() || matcher.machine.is_some()
}

/// What a matcher looks at of a task.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its id.
    pub id: &'a TaskId,
    /// Its team.
    pub team: Option<&'a str>,
    /// Where it runs, if not here.
    pub machine: Option<&'a str>,
}

impl Entry {
    fn subject(&self) -> Subject<'_> {
        let Definition { id, team, machine, .. } = &*self.definition;
        Subject { id, team: team.as_deref(), machine: machine.as_deref() }
    }
}

/// Whether a matcher holds for a task, whatever the kind.
#[must_use]
pub fn fits_task(matcher: &Matcher, task: Subject<'_>) -> bool {
    let is = |wanted: Option<&Clean>, has: &str| wanted.is_none_or(|wanted| wanted.as_str() == has);
    matcher.task.as_ref().is_none_or(|wanted| wanted == task.id)
        && is(matcher.team.as_ref(), task.team.unwrap_or(NO_TEAM))
        && is(matcher.machine.as_ref(), task.machine.unwrap_or(HERE))
}

/// Whether a matcher holds for an alert, of this task if of any.
#[must_use]
pub fn fits(matcher: &Matcher, alert: &Alert, task: Option<Subject<'_>>) -> bool {
    let of_kind = matcher.kind.is_none_or(|kind| kind == alert.kind);
    let there = match (task, &alert.queue) {
        (Some(task), _) => fits_task(matcher, task),
        (None, Some(queue)) => {
            let team = matcher.team.as_ref().is_none_or(|team| team.as_str() == queue.as_raw());
            team && matcher.task.is_none() && matcher.machine.is_none()
        }
        (None, None) => !names_tasks(matcher),
    };
    of_kind && there
}
