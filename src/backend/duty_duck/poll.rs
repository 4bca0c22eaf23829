//! One poll: tasks first, then what stands beside them, all within one time limit.

use futures_util::stream::{self, StreamExt as _};
use serde::de::DeserializeOwned;

use super::DutyDuck;
use super::client::{Deadline, List, Read};
use super::convert::{self, Freeze, Permits, brief};
use super::incidents::{self, Open};
use super::memory::Wanted;
use super::reasons::Incidents;
use super::rights::Scope;
use super::wire::{self, LastWins, Listed};
use crate::backend::{BackendError, Polled};
use crate::model::{Alert, AlertKey, AlertKind, Clean, Coverage, Part, Run, Snapshot, TaskId};

/// Requests for runs that are under way at a time.
const AT_ONCE: usize = 4;
/// By creation, oldest first: a row that comes or changes meanwhile moves no other to another page.
const STABLE: [(&str, &str); 2] = [("orderBy", "createdAt"), ("orderDirection", "asc")];
/// No list is longer.
const ALL: usize = usize::MAX;

const TASKS: List<'_> =
    List { scope: Scope::ReadTasks, segments: &["tasks"], params: &STABLE, filtered: false, most: ALL };
const MONITORS: List<'_> = List {
    scope: Scope::ReadHttpMonitors,
    segments: &["http-monitors"],
    params: &[],
    filtered: false,
    most: ALL,
};
/// Those that are open.
pub const ONGOING: List<'_> = List {
    scope: Scope::ReadIncidents,
    segments: &["incidents"],
    params: &[("status", "ongoing"), STABLE[0], STABLE[1]],
    filtered: true,
    most: ALL,
};

/// What a poll has read so far.
struct Gathered {
    tasks: Read<wire::Task>,
    monitors: Read<wire::Monitor>,
    /// `None`: they could not be read.
    incidents: Result<Read<LastWins<wire::Incident>>, Clean>,
    fetched: Vec<Run>,
    /// What could not be read, each in a line.
    problems: Vec<String>,
}

impl DutyDuck {
    /// Reads everything.
    pub(super) async fn look(&self) -> Result<Polled, BackendError> {
        let deadline = self.client.deadline();
        let tasks = self.noted(TASKS.scope, self.client.pages::<wire::Task>(&TASKS, &deadline).await);
        let mut problems = Vec::new();
        let (tasks, forbidden) = match tasks {
            Ok(tasks) => (tasks, None),
            // A token for monitors only is of use too.
            Err(error @ BackendError::Forbidden(_)) => (Read::default(), Some(error)),
            Err(error) => return Err(error),
        };
        let (monitors, incidents, ()) = tokio::join!(
            self.part::<wire::Monitor>(&MONITORS, &deadline),
            self.part::<LastWins<wire::Incident>>(&ONGOING, &deadline),
            self.read_rights(&deadline),
        );
        if let (Some(forbidden), Err(_)) = (&forbidden, &monitors) {
            return Err(forbidden.clone());
        }
        match forbidden {
            Some(error) => problems.push(format!("tasks: {error}")),
            None => problems.extend(unread("tasks", &tasks)),
        }
        let monitors = beside("HTTP monitors", monitors, &mut problems)?.unwrap_or_default();
        let incidents = match beside("incidents", incidents, &mut problems)? {
            Some(incidents) => Ok(incidents),
            None => Err("its incidents can't be read".into()),
        };
        let mut gathered = Gathered { tasks, monitors, incidents, fetched: Vec::new(), problems };
        self.read_runs(&mut gathered, &deadline).await?;
        Ok(self.told(gathered))
    }

    /// A list beside the tasks; not asked for while the token is known to lack the scope.
    async fn part<T: Listed>(&self, list: &List<'_>, deadline: &Deadline) -> Result<Read<T>, BackendError> {
        if let Some(reason) = self.rights().are_told_to_lack(list.scope) {
            return Err(BackendError::Forbidden(reason));
        }
        self.noted(list.scope, self.client.pages(list, deadline).await)
    }

    /// The newest runs of those tasks that run, or have ended a run; then the
    /// last runs of those that nobody has looked at yet, which must not take
    /// all of the time: what is not read now is read by a later poll.
    async fn read_runs(&self, gathered: &mut Gathered, deadline: &Deadline) -> Result<(), BackendError> {
        let Wanted { news, history } = self.memory().wanted(&gathered.tasks.items);
        if news.is_empty() && history.is_empty() {
            return Ok(());
        }
        if let Some(reason) = self.rights().are_told_to_lack(Scope::ReadTaskRuns) {
            gathered.problems.push(format!("runs: {reason}"));
            return Ok(());
        }
        let news = self.read_newest(news, gathered, deadline).await?;
        let history = self.read_newest(history, gathered, &deadline.half()).await?;
        let history = history.filter(|(_, error)| !matches!(error, BackendError::TimedOut { .. }));
        if let Some((id, error)) = news.or(history) {
            gathered.problems.push(format!("runs of {}: {error}", brief(&id.shown())));
        }
        Ok(())
    }

    /// The newest runs of `wanted`; what could not be read first, if any. After
    /// some failures the others would most likely fail as well: at the next poll again.
    async fn read_newest(
        &self,
        wanted: Vec<TaskId>,
        gathered: &mut Gathered,
        deadline: &Deadline,
    ) -> Result<Option<(TaskId, BackendError)>, BackendError> {
        let mut failures = Vec::new();
        let mut reads = stream::iter(wanted)
            .map(|id| async move {
                let read = self.newest(&id, deadline).await;
                (id, read)
            })
            .buffer_unordered(AT_ONCE);
        while failures.len() < AT_ONCE
            && let Some((id, read)) = reads.next().await
        {
            match read {
                Ok(runs) => {
                    let task = gathered.tasks.items.iter().find(|task| task.id == id);
                    self.memory().read(&id, &runs, task.and_then(|task| task.last_status_change_at));
                    gathered.fetched.extend(runs);
                }
                Err(error @ (BackendError::Unauthorised(_) | BackendError::Credential(_))) => {
                    return Err(error);
                }
                Err(error) => failures.push((id, error)),
            }
        }
        Ok(failures.into_iter().next())
    }

    /// The newest two: the one in progress, if there is one, and the one that ended before it.
    async fn newest(&self, id: &TaskId, deadline: &Deadline) -> Result<Vec<Run>, BackendError> {
        let segments = ["tasks", id.as_raw(), "runs"];
        let sent = self.client.send_by(deadline, Scope::ReadTaskRuns, |http| {
            http.get(&segments).query("pageNumber", "1").query("itemsPerPage", "2")
        });
        let page: wire::Page<wire::Run> = self.noted(Scope::ReadTaskRuns, sent.await)?.json()?;
        Ok(page.items.into_iter().map(|run| convert::run(id, run)).collect())
    }

    /// What the token may do, where that is not known or in doubt.
    async fn read_rights(&self, deadline: &Deadline) {
        if !self.rights().are_due(self.client.now()) {
            return;
        }
        // The rest of the poll needs its time too.
        let deadline = &deadline.half();
        let (context, tokens, me) = tokio::join!(
            self.own::<wire::Context>(&["users", "debug-auth-context"], deadline),
            self.own::<wire::Tokens>(&["api-tokens"], deadline),
            self.own::<wire::Me>(&["users", "me"], deadline),
        );
        if let (Err(error), Err(other)) = (&context, &tokens)
            && !(is_no(error) && is_no(other))
        {
            // Not told this time: asked again at the next poll.
            return;
        }
        let (context, me) = (context.ok(), me.ok());
        let id = self.client.token_id();
        let ours = tokens.ok().and_then(|tokens| {
            tokens.api_tokens.into_iter().find(|token| id.as_ref().is_some_and(|id| *id == token.id))
        });
        self.rights().learn(context, ours, me.as_ref(), self.client.now());
    }

    /// What the server tells of the token.
    async fn own<T: DeserializeOwned>(&self, path: &[&str], deadline: &Deadline) -> Result<T, BackendError> {
        self.client.send_by(deadline, Scope::Own, |http| http.get(path)).await?.json()
    }

    /// Puts it all together.
    fn told(&self, gathered: Gathered) -> Polled {
        let Gathered { tasks, monitors, incidents, fetched, problems } = gathered;
        let now = self.client.now();
        let stamp = tasks.stamp.or(monitors.stamp);
        let mut snapshot = Snapshot::unchanged(
            stamp.map_or(now, |stamp| stamp.at),
            stamp.map_or(0, |stamp| stamp.latency_ms),
        );
        snapshot.server_time = stamp.and_then(|stamp| stamp.server_time);
        let coverage =
            if tasks.complete && monitors.complete { Coverage::Complete } else { Coverage::Listed };
        let mut memory = self.memory();
        memory.learn(&tasks.items, &monitors.items, coverage == Coverage::Complete);
        let complete_alerts = incidents.as_ref().is_ok_and(|read| read.complete);
        let mut alerts = Vec::new();
        let unread = match incidents {
            Ok(read) => {
                let read: Vec<wire::Incident> = read.items.into_iter().map(|incident| incident.0).collect();
                alerts = incidents::alerts(&read, &memory.directory, |task, run| memory.ended(task, run));
                memory.open = open(&read, &memory.directory);
                memory.incidents = alerts.iter().map(Alert::key).collect();
                None
            }
            Err(why) => Some(Incidents::Unread(why)),
        };
        let by_task = incidents::by_task(&memory.open);
        let rights = self.rights();
        let mut permits = Permits::new(&rights);
        let none = unread.clone().unwrap_or(Incidents::None);
        let of = |id: &TaskId| if unread.is_some() { &none } else { by_task.get(id).unwrap_or(&none) };
        let mut items = Vec::with_capacity(tasks.items.len() + monitors.items.len());
        for task in tasks.items {
            let incidents = of(&task.id);
            let runs = memory.runs_of(&task);
            items.push(convert::task(task, runs, incidents, &mut permits));
        }
        for monitor in monitors.items {
            let incidents = of(&monitor.id);
            items.push(convert::monitor(monitor, incidents, &mut permits));
        }
        let freeze = Freeze::of(&items, snapshot.server_time.unwrap_or(snapshot.at));
        if let Some(freeze) = &freeze {
            freeze.mark(&mut items);
        }
        let why = match &unread {
            Some(_) => "its incidents can't be read",
            None => "Duty Duck has no open incident of it",
        };
        let (by_state, mut over) = memory.by_state(&items, coverage == Coverage::Complete, why, snapshot.at);
        alerts.extend(by_state);
        match memory.freeze(freeze.as_ref(), tasks.complete) {
            Some(frozen) => alerts.push(frozen),
            None => over.push(FREEZE),
        }
        snapshot.tasks = Part { coverage, items, gone: Vec::new() };
        snapshot.alerts = if complete_alerts { Part::complete(alerts) } else { Part::listed(alerts, over) };
        snapshot.runs = Part::listed(fetched, Vec::new());
        snapshot.degraded = (!problems.is_empty()).then(|| Clean::from(problems.join("; ")));
        snapshot.remarks = rights.remarks(now);
        Polled { snapshot, cursor: None }
    }
}

/// Whether the server says that it does not tell.
const fn is_no(error: &BackendError) -> bool {
    matches!(error, BackendError::Forbidden(_) | BackendError::NotFound(_) | BackendError::Refused { .. })
}

/// What identifies the freeze among the alerts.
const FREEZE: AlertKey = AlertKey { task: None, queue: None, kind: AlertKind::SchedulerSilent };

fn open(incidents: &[wire::Incident], directory: &incidents::Directory) -> Vec<Open> {
    let open = incidents.iter().filter_map(|incident| {
        let task = directory.of(incident)?;
        Some(Open { id: incident.id.clone(), task, taken_by: incidents::taken_by(incident) })
    });
    open.collect()
}

/// A part that is no reason to hold the tasks back, except that nobody is let in at all.
fn beside<T>(
    what: &str,
    read: Result<Read<T>, BackendError>,
    problems: &mut Vec<String>,
) -> Result<Option<Read<T>>, BackendError> {
    match read {
        Ok(read) => {
            problems.extend(unread(what, &read));
            Ok(Some(read))
        }
        Err(error @ (BackendError::Unauthorised(_) | BackendError::Credential(_))) => Err(error),
        Err(error) => {
            problems.push(format!("{what}: {error}"));
            Ok(None)
        }
    }
}

/// What is missing of a list.
fn unread<T>(what: &str, read: &Read<T>) -> Option<String> {
    let count = read.items.len();
    let of = if read.total > count as u64 { format!(" of {}", read.total) } else { String::new() };
    match &read.cut {
        Some(error) => Some(format!("{what}: only {count}{of} read: {error}")),
        None if !read.complete => Some(format!("{what}: only {count}{of} could be read")),
        None => None,
    }
}
