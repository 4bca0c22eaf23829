//! One snapshot out of the two halves. Pure: what each told last, whether it
//! tells now, and when, are arguments.
//!
//! A half that can't be read now keeps its rows, marked with when they were
//! read: what was good there is unknown, what was bad stays so.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::convert::{self, CHECK, Given};
use super::cron::{self, Look};
use super::web::{self, Half, Known, Settings};
use crate::backend::{BackendError, Cursor, Polled};
use crate::model::{
    Alert, AlertKey, AlertKind, Clean, Part, Run, Severity, Snapshot, Task, TaskId, TaskState,
};

/// What was told so far.
#[derive(Debug, Default)]
pub struct Join {
    /// Tasks that are known to exist.
    listed: BTreeSet<TaskId>,
    /// Since when each alert is open.
    open: BTreeMap<AlertKey, DateTime<Utc>>,
    /// What the last answer was made of: the same again says nothing new.
    made_of: Option<MadeOf>,
}

/// What tells one answer from another.
#[derive(Debug, PartialEq, Eq)]
struct MadeOf {
    cron: Option<u64>,
    cron_is_live: bool,
    web: Option<DateTime<Utc>>,
    web_is_live: bool,
    settings: Settings,
    user: Option<web::User>,
}

/// Both halves, as they are put together.
struct Halves<'a> {
    cron: Option<&'a cron::View>,
    /// Why the cron service can't be read now.
    cron_failed: Option<&'a Clean>,
    web: Option<(&'a web::View, &'a Known)>,
    now: DateTime<Utc>,
}

/// The schedules that the web application tells: the overdue check's. Off is no schedule.
pub fn schedules(settings: &Settings) -> Given {
    let told = settings.cron.iter().map(|cron| {
        let schedule = cron.enabled.then(|| convert::configured(&web::convert::tidy(&cron.cron_expression)));
        (TaskId::new(CHECK), schedule)
    });
    Given { schedules: told.collect() }
}

impl Join {
    /// The cron service has answered; the web application may have.
    pub fn with_cron(
        &mut self,
        look: &Look,
        cron: Option<&cron::View>,
        web: Option<&(web::View, Known)>,
        since: Option<&Cursor>,
    ) -> Polled {
        let mut snapshot = Snapshot::unchanged(look.at, look.latency_ms);
        snapshot.server_time = look.server_time;
        let halves =
            Halves { cron, cron_failed: None, web: web.map(|(view, known)| (view, known)), now: look.at };
        self.fill(&mut snapshot, &halves, since);
        Polled { snapshot, cursor: look.cursor.clone() }
    }

    /// The cron service can't be read, the web application can; `None` if it has told nothing yet.
    pub fn without_cron(
        &mut self,
        why: &BackendError,
        cron: Option<&cron::View>,
        web: &web::View,
        known: &Known,
        since: Option<&Cursor>,
    ) -> Option<Polled> {
        let web::Seen { at, theirs, latency_ms } = web.half.as_ref().and(web.seen)?;
        let mut snapshot = Snapshot::unchanged(at, latency_ms);
        snapshot.server_time = theirs;
        let why = Clean::from(why.to_string());
        let halves = Halves { cron, cron_failed: Some(&why), web: Some((web, known)), now: at };
        self.fill(&mut snapshot, &halves, since);
        Some(Polled { snapshot, cursor: since.cloned() })
    }

    fn fill(&mut self, snapshot: &mut Snapshot, halves: &Halves<'_>, since: Option<&Cursor>) {
        let made_of = halves.made_of();
        let same = since.is_some() && self.made_of.as_ref() == Some(&made_of);
        self.made_of = Some(made_of);
        let (jobs, told) = halves.jobs();
        if !same {
            snapshot.tasks = self.tasks(halves, jobs);
            let runs: Vec<Run> = halves.cron.map(|cron| cron.told.runs.clone()).unwrap_or_default();
            snapshot.runs = Part::listed(runs, Vec::new());
        }
        snapshot.alerts = Part::complete(self.alerts(halves, told));
        snapshot.degraded = halves.degraded();
        snapshot.remarks = halves.remarks();
    }

    /// Everything there is where both halves tell; else what is known.
    fn tasks(&mut self, halves: &Halves<'_>, jobs: Vec<Task>) -> Part<Task, TaskId> {
        let mut items: Vec<Task> = match (halves.cron, halves.cron_failed) {
            (Some(cron), None) => cron.told.tasks.iter().map(|task| halves.annotated(task)).collect(),
            (Some(cron), Some(why)) => {
                cron.told.tasks.iter().map(|task| aged(task, cron.read, "the cron service", why)).collect()
            }
            (None, _) => Vec::new(),
        };
        items.extend(jobs);
        let names: BTreeSet<TaskId> = items.iter().map(|task| task.id.clone()).collect();
        let gone = std::mem::replace(&mut self.listed, names);
        if halves.is_whole() {
            return Part::complete(items);
        }
        let gone = gone.into_iter().filter(|id| !self.listed.contains(id)).collect();
        Part::listed(items, gone)
    }

    /// Every alert that is open now, since when it was first seen where its own facts don't tell.
    fn alerts(&mut self, halves: &Halves<'_>, told: Vec<Alert>) -> Vec<Alert> {
        let mut alerts = halves.alerts();
        for alert in &mut alerts {
            alert.since = *self.open.get(&alert.key()).unwrap_or(&alert.since);
        }
        self.open = alerts.iter().map(|alert| (alert.key(), alert.since)).collect();
        alerts.extend(told);
        alerts
    }
}

impl Halves<'_> {
    fn made_of(&self) -> MadeOf {
        let view = self.web.map(|(view, _)| view);
        MadeOf {
            cron: self.cron.map(|cron| cron.serial),
            cron_is_live: self.cron_failed.is_none(),
            web: view.and_then(|view| view.half.as_ref()).map(|half| half.seen.at),
            web_is_live: view.is_some_and(|view| view.failure.is_none()),
            settings: view.map(|view| view.settings.clone()).unwrap_or_default(),
            user: self.web.and_then(|(_, known)| known.user.clone()),
        }
    }

    /// Whether all that there is was read.
    fn is_whole(&self) -> bool {
        let web = self.web.is_none_or(|(view, _)| view.half.is_some() && view.failure.is_none());
        web && self.cron.is_some() && self.cron_failed.is_none()
    }

    fn half(&self) -> Option<(&web::View, &Half)> {
        let (view, _) = self.web?;
        Some((view, view.half.as_ref()?))
    }

    /// The backup jobs with their alerts; marked, where they can't be read now.
    fn jobs(&self) -> (Vec<Task>, Vec<Alert>) {
        let Some((view, half)) = self.half() else { return Default::default() };
        let tolerance = view.settings.tolerance.as_deref().and_then(web::convert::tolerance);
        let (tasks, alerts) = web::convert::jobs(&half.servers, tolerance, half.theirs());
        match &view.failure {
            None => (tasks, alerts),
            Some((why, _)) => {
                (tasks.iter().map(|task| aged(task, half.seen.at, "the web app", why)).collect(), alerts)
            }
        }
    }

    /// A task of the cron service with what the web application adds.
    fn annotated(&self, task: &Task) -> Task {
        let mut task = task.clone();
        if task.id.as_raw() == CHECK
            && let Some((view, half)) = self.half()
        {
            if view.settings.cron.as_ref().is_some_and(|cron| !cron.enabled) {
                task.remarks.push(OFF.into());
            }
            if let Some(last) = half.last_check() {
                task.remarks.push(Clean::from(format!("last overdue check {}", stamp(last))));
            }
        }
        task
    }

    fn degraded(&self) -> Option<Clean> {
        let mut parts: Vec<String> = Vec::new();
        if let Some(why) = self.cron_failed {
            parts.push(format!("the cron service can't be read: {why}"));
        } else if let Some(cron) = self.cron {
            parts.extend(cron.half_loaded.iter().map(|(half, _)| half.to_string()));
            parts.extend(cron.told.degraded.iter().map(ToString::to_string));
        }
        if let Some((view, _)) = self.web {
            parts.extend(view.failure.iter().map(|(why, _)| format!("the web app can't be read: {why}")));
            parts
                .extend(view.settings.problem.iter().map(|why| format!("its settings can't be read: {why}")));
        }
        (!parts.is_empty()).then(|| Clean::from(parts.join("; ")))
    }

    fn remarks(&self) -> Vec<Clean> {
        let mut remarks = Vec::new();
        let Some((view, known)) = self.web else { return remarks };
        if let Some(user) = &known.user {
            let role = if user.is_admin { "administrator" } else { "no administrator" };
            remarks.push(Clean::from(format!("web app: signed in as {} ({role})", user.username)));
            if user.must_change_password {
                remarks.push(Clean::from(format!(
                    "duplistatus wants the password of {} changed: it is a first one",
                    user.username
                )));
            }
        }
        match view.half.as_ref().map(Half::last_check) {
            Some(Some(last)) => remarks.push(Clean::from(format!("last overdue check {}", stamp(last)))),
            Some(None) => remarks.push("no overdue check has run yet".into()),
            None => {}
        }
        if view.settings.cron.as_ref().is_some_and(|cron| !cron.enabled) {
            remarks.push(OFF.into());
        }
        remarks
    }

    /// What this adapter itself finds, at most one of a kind per task.
    fn alerts(&self) -> Vec<Alert> {
        let mut alerts = Vec::new();
        if let Some(why) = self.cron_failed {
            let read = self.cron.map(|cron| format!(" since {}", stamp(cron.read))).unwrap_or_default();
            alerts.push(self.alert(None, AlertKind::EndpointDown, Severity::Critical, format!(
                "the cron service can't be read{read} ({why}): nobody looks for overdue backups while it is \
                 down; start it (npm run cron:start)"
            )));
            return alerts;
        }
        let Some(cron) = self.cron else { return alerts };
        for task in &cron.leaking {
            let text = "it keeps firing though it is stopped: a second start has leaked a timer that neither \
                        stop nor reload ends; restart duplistatus' cron service";
            let kind = AlertKind::TooOften;
            alerts.push(self.alert(Some(task.clone()), kind, kind.severity(), text.to_owned()));
        }
        let silences: Vec<(Severity, DateTime<Utc>, String)> =
            [self.half_loaded(), self.lost(), self.silent()].into_iter().flatten().collect();
        let worst = silences.iter().map(|(severity, ..)| *severity).min();
        let first = silences.iter().map(|(_, since, _)| *since).min();
        if let Some((severity, since)) = worst.zip(first) {
            let texts: Vec<String> = silences.into_iter().map(|(.., text)| text).collect();
            let alert = self.alert(None, AlertKind::SchedulerSilent, severity, texts.join("; "));
            alerts.push(Alert { since, ..alert });
        }
        alerts
    }

    /// Our own reload broke off.
    fn half_loaded(&self) -> Option<(Severity, DateTime<Utc>, String)> {
        let (half, since) = self.cron?.half_loaded.as_ref()?;
        let text = format!(
            "{half}: that task and those after it are no longer scheduled; mend its configuration in duplistatus \
             and reload again"
        );
        Some((Severity::Critical, *since, text))
    }

    /// The overdue check is to be scheduled, and is not; nobody stopped it from here.
    fn lost(&self) -> Option<(Severity, DateTime<Utc>, String)> {
        let cron = self.cron?;
        let (view, _) = self.half()?;
        let enabled = view.failure.is_none() && view.settings.cron.as_ref()?.enabled;
        if !enabled || cron.half_loaded.is_some() {
            return None;
        }
        let id = TaskId::new(CHECK);
        if cron.active.contains(&id) || cron.stopped.contains(&id) {
            return None;
        }
        let text = format!(
            "{CHECK} is enabled in duplistatus but not scheduled: a reload broke off half-way, or somebody stopped \
             it; reload the configuration, or resume it"
        );
        Some((Severity::Warning, self.now, text))
    }

    /// The overdue check has not run when it should have, by its own record.
    fn silent(&self) -> Option<(Severity, DateTime<Utc>, String)> {
        let (cron, (view, half)) = (self.cron?, self.half()?);
        let settings = view.settings.cron.as_ref().filter(|cron| cron.enabled && view.failure.is_none())?;
        let id = TaskId::new(CHECK);
        // Stopped on purpose: that is shown, and no silence.
        if cron.stopped.contains(&id) {
            return None;
        }
        let last = half.last_check()?;
        let schedule = convert::configured(&web::convert::tidy(&settings.cron_expression));
        let due = web::convert::check_due(&schedule, last)?;
        if half.theirs() <= due {
            return None;
        }
        let elsewhere =
            cron.told.runs.iter().any(|run| run.task == id && run.ended.is_some_and(|end| end > due));
        let why = if elsewhere {
            "the cron service says that it ran, but the web app knows nothing of it: do both use the same database?"
        } else {
            "nobody is told of overdue backups; look at the cron service, or check now (duplistatus:check-now)"
        };
        let text = format!(
            "the overdue check last ran {} though it is due by {:?}: {why}",
            stamp(last),
            schedule.text().as_str(),
        );
        Some((Severity::Critical, due, text))
    }

    fn alert(&self, task: Option<TaskId>, kind: AlertKind, severity: Severity, summary: String) -> Alert {
        Alert {
            task,
            queue: None,
            kind,
            severity,
            since: self.now,
            summary: Clean::from(summary),
            acknowledged_by: None,
            silenced_until: None,
            handling: None,
        }
    }
}

/// Of the overdue check.
const OFF: &str = "the overdue check is switched off in duplistatus: nobody is told of overdue backups";

fn stamp(at: DateTime<Utc>) -> impl std::fmt::Display {
    at.format("%Y-%m-%d %H:%M UTC")
}

/// A task as it was when its half could last be read. What was bad stays so;
/// of the rest nobody knows.
fn aged(task: &Task, read: DateTime<Utc>, half: &str, why: &Clean) -> Task {
    let mut task = task.clone();
    let failing = task.facts.as_ref().is_some_and(|facts| facts.undated_failure) && !task.paused;
    let bad = task.state.is_some_and(TaskState::is_problem);
    if !failing && !bad {
        task.state = Some(if task.paused { TaskState::Paused } else { TaskState::Unknown });
        task.facts = None;
    }
    task.remarks.insert(0, Clean::from(format!("as of {}: {half} can't be read ({why})", stamp(read))));
    task
}
