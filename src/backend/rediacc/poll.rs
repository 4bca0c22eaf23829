//! A poll: the dashboard, and the list of items only where that is needed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::memory::{List, MOST, Memory, SELDOM, Seldom, View, WINDOW, chosen, is_chosen};
use super::offers::Menu;
use super::session::{Purpose, Reply};
use super::wire::{Dashboard, Listing, Naming, Row, TeamCounts, text};
use super::{Rediacc, convert};
use crate::backend::{BackendError, Cursor, Polled};
use crate::model::{Alert, AlertKey, AlertKind, Clean, Part, Snapshot};

/// What is active or failed.
const ACTIVE: &str = "PENDING,ASSIGNED,PROCESSING,CANCELLING,FAILED";
/// What is over and needs nobody.
const FINISHED: &str = "COMPLETED,CANCELLED";
/// Below so many calls polls slow down to what the budget gains meanwhile.
const LOW: i64 = 15;
/// One poll is at most so many calls: the dashboard, and four lists. None is begun that the budget can't see through.
const MOST_CALLS: u32 = 5;
/// For so little a poll waits, rather than being put off.
const PATIENCE: Duration = Duration::from_secs(1);
/// The budget gains a call in so long.
const PER_CALL: Duration = Duration::from_secs(4);
/// How times are written in parameters.
const PARAMETER: &str = "%Y-%m-%d %H:%M:%S";

/// What one poll has read so far.
#[derive(Default)]
struct Read {
    calls: u32,
    latency_ms: Option<u64>,
    at: Option<DateTime<Utc>>,
    server_time: Option<DateTime<Utc>>,
}

impl Read {
    /// The first call's latency, the last one's time.
    fn note(&mut self, reply: &Reply) {
        self.calls += 1;
        self.latency_ms.get_or_insert(reply.latency_ms);
        self.at = Some(reply.at);
        self.server_time = reply.server_time.or(self.server_time);
    }
}

impl Rediacc {
    /// Reads what has changed.
    pub(super) async fn look(&self, since: Option<&Cursor>) -> Result<Polled, BackendError> {
        let wait = self.session.budget().wait_for(MOST_CALLS);
        let known = self.memory().read;
        match known {
            // Who has nothing yet, or is in trouble, keeps the pace of that.
            Some(known) if wait > PATIENCE => return Ok(self.put_off(known, since, wait)),
            Some(_) => tokio::time::sleep(wait).await,
            None => {}
        }
        self.memory().read = None;
        let mut read = Read::default();
        let dashboard = self.dashboard(&mut read).await?;
        let now = (self.now)();
        let whole = since.is_none_or(|Cursor(round)| *round != self.memory().round.to_string());
        let (marks, total) =
            (dashboard.as_ref().and_then(|d| d.marks.as_ref()), dashboard.as_ref().and_then(|d| d.total));
        let list = self.memory().list(marks, total, whole, now);
        let mut snapshot = Snapshot::unchanged(now, 0);
        if list != List::Nothing {
            self.read_items(list, dashboard.as_ref(), &mut read, &mut snapshot).await?;
        }
        self.read_seldom(&mut read, &mut snapshot).await?;
        snapshot.at = read.at.unwrap_or(now);
        snapshot.latency_ms = read.latency_ms.unwrap_or(0);
        snapshot.server_time = read.server_time;
        snapshot.next_poll = self.pause(read.calls);
        snapshot.remarks = self.remarks(snapshot.next_poll.is_some());
        self.memory().read = Some((snapshot.at, snapshot.latency_ms));
        let cursor = Some(Cursor(self.memory().round.to_string()));
        Ok(Polled { snapshot, cursor })
    }

    /// Commands have spent the budget: what is known is as old as it is, and
    /// the endpoint is not to blame.
    fn put_off(&self, known: (DateTime<Utc>, u64), since: Option<&Cursor>, wait: Duration) -> Polled {
        let (at, latency_ms) = known;
        let again = (self.now)() + wait;
        let mut snapshot = Snapshot::unchanged(at, latency_ms);
        snapshot.degraded = Some(Clean::from(format!(
            "the request budget is spent: the next poll is at {}",
            again.format("%H:%M:%S UTC")
        )));
        snapshot.next_poll = Some(wait);
        snapshot.remarks = self.remarks(true);
        Polled { snapshot, cursor: since.cloned() }
    }

    async fn ask(
        &self,
        procedure: &'static str,
        body: Value,
        read: &mut Read,
    ) -> Result<Reply, BackendError> {
        let reply = self.session.call(procedure, body, Purpose::Poll).await?;
        read.note(&reply);
        Ok(reply)
    }

    /// The dashboard by the words of its generation; `None` where it can't be
    /// had, which is asked again after some minutes.
    async fn dashboard(&self, read: &mut Read) -> Result<Option<Dashboard>, BackendError> {
        let now = (self.now)();
        let (naming, asked) = {
            let memory = self.memory();
            (memory.naming, memory.no_dashboard.as_ref().map(|(_, asked)| *asked))
        };
        if asked.is_some_and(|asked| (asked..asked + SELDOM).contains(&now)) {
            return Ok(None);
        }
        let both = [Naming::Organization, Naming::Company];
        let mut refusal = None;
        for naming in both.into_iter().filter(|known| naming.is_none_or(|naming| naming == *known)) {
            match self.ask(naming.dashboard(), json!({}), read).await {
                Ok(reply) => {
                    let dashboard = Dashboard::of(reply.sets());
                    self.memory().meet(&dashboard, dashboard.naming.unwrap_or(naming));
                    return Ok(Some(dashboard));
                }
                Err(error) if is_missing(&error) => {
                    refusal.get_or_insert(error);
                }
                // It is there, but not for us.
                Err(error @ BackendError::Forbidden(_)) => {
                    self.memory().naming = Some(naming);
                    refusal = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        self.memory().no_dashboard = refusal.map(|error| (Clean::from(error.to_string()), now));
        Ok(None)
    }

    /// Asks for the dashboard only to see which generation this is.
    pub(super) async fn learn_naming(&self) -> Result<(), BackendError> {
        self.dashboard(&mut Read::default()).await.map(drop)
    }

    /// The items, and what follows from them.
    async fn read_items(
        &self,
        list: List,
        dashboard: Option<&Dashboard>,
        read: &mut Read,
        snapshot: &mut Snapshot,
    ) -> Result<(), BackendError> {
        let acted = self.memory().take_acted();
        let mut view = match self.view(list, read).await {
            Ok(view) => view,
            Err(error) => {
                if acted {
                    self.memory().act();
                }
                return Err(error);
            }
        };
        let now = read.at.unwrap_or_else(self.now);
        let mut memory = self.memory();
        memory.learn(&mut view, dashboard.and_then(|d| d.marks.clone()), now);
        let counts = dashboard.map(|d| chosen(d.teams.clone(), &self.teams)).unwrap_or_default();
        fill(snapshot, &view, &counts, &memory, now);
        Ok(())
    }

    /// One list where that holds all, else two.
    async fn view(&self, list: List, read: &mut Read) -> Result<View, BackendError> {
        if list == List::Whole {
            let listing = self.listing(json!({ "maxRecords": MOST }), read).await?;
            if !listing.is_cut(MOST) {
                return Ok(View::whole(listing));
            }
        }
        let active = self.listing(json!({ "status": ACTIVE, "maxRecords": MOST }), read).await?;
        let finished = |from: DateTime<Utc>| json!({ "status": FINISHED, "dateFrom": from.format(PARAMETER).to_string(), "maxRecords": MOST });
        let from = read.at.unwrap_or_else(self.now) - WINDOW;
        let mut lists = vec![self.listing(finished(from), read).await?];
        let older = self.memory().older(&active, from);
        if let Some((first, last)) = older {
            let mut body = finished(first);
            // Times are in whole seconds there.
            let last = last.checked_add_signed(TimeDelta::seconds(1)).unwrap_or(last);
            body["dateTo"] = last.format(PARAMETER).to_string().into();
            lists.push(self.listing(body, read).await?);
        }
        Ok(View::split(active, lists, from, &self.memory()))
    }

    async fn listing(&self, body: Value, read: &mut Read) -> Result<Listing, BackendError> {
        let reply = self.ask("GetTeamQueueItems", self.of_teams(body), read).await?;
        Ok(Listing::of(reply.sets()))
    }

    /// The next of what seldom changes, if one is due. That it can't be had is no failure of the poll.
    async fn read_seldom(&self, read: &mut Read, snapshot: &mut Snapshot) -> Result<(), BackendError> {
        let now = (self.now)();
        let (seldom, naming) = {
            let memory = self.memory();
            (memory.due(now), memory.naming.unwrap_or(Naming::Organization))
        };
        let Some(seldom) = seldom else { return Ok(()) };
        if self.session.budget().left < LOW {
            return Ok(());
        }
        let (procedure, body) = match seldom {
            Seldom::Permissions => ("GetRequestAuthenticationStatus", json!({})),
            Seldom::Teams => (naming.teams(), json!({})),
            Seldom::Machines => ("GetTeamMachines", self.of_teams(json!({}))),
        };
        let reply = self.ask(procedure, body, read).await;
        self.memory().asked(seldom, now);
        let reply = match reply {
            Ok(reply) => reply,
            Err(lost @ (BackendError::Unauthorised(_) | BackendError::Credential(_))) => return Err(lost),
            Err(_) => return Ok(()),
        };
        if seldom == Seldom::Permissions {
            // Told without a session, and no reason to fail.
            snapshot.version = self.session.health().await.ok().and_then(|health| health.version);
        }
        let mut memory = self.memory();
        match seldom {
            Seldom::Permissions => {
                memory.permissions = reply.row_with("permissionGroup").and_then(permissions);
            }
            Seldom::Machines => memory.machines = Some(reply.with("machineName").len()),
            Seldom::Teams => {
                let named = reply.with("teamName").iter().filter_map(|row| text(row, "teamName"));
                memory.teams = named.filter(|team| is_chosen(team, &self.teams)).collect();
                memory.teams.sort();
                memory.teams.dedup();
                let items: Vec<_> = memory.items.values().collect();
                // Of those without items nothing is known yet.
                let mut queues = convert::queues(&items, &memory.teams);
                queues.retain(|queue| !items.iter().any(|item| item.queue() == queue.name));
                if snapshot.queues.is_nothing() {
                    snapshot.queues = Part::listed(queues, Vec::new());
                }
            }
        }
        Ok(())
    }

    /// How long to wait where that is longer than the cadence, for the budget's sake.
    fn pause(&self, calls: u32) -> Option<Duration> {
        let budget = self.session.budget();
        if budget.left >= LOW {
            return None;
        }
        let pause = (PER_CALL * calls.max(1)).max(budget.wait_for(MOST_CALLS));
        Some(pause).filter(|pause| *pause > self.cadence)
    }

    fn remarks(&self, slowed: bool) -> Vec<Clean> {
        let mut remarks = self.memory().remarks();
        remarks.extend(self.session.remarks());
        if slowed {
            remarks.push("the request budget is nearly spent: polls are slowed down".into());
        }
        remarks
    }
}

impl Memory {
    /// What a dashboard tells of its organisation.
    fn meet(&mut self, dashboard: &Dashboard, naming: Naming) {
        self.naming = Some(naming);
        self.no_dashboard = None;
        self.organisation = dashboard.organisation.as_ref().map(|name| match &dashboard.plan {
            Some(plan) => Clean::from(format!("{name} ({plan})")),
            None => name.clone(),
        });
        self.audit_log = dashboard.audit_log.or(self.audit_log);
        self.limits.clone_from(&dashboard.limits);
    }

    fn remarks(&self) -> Vec<Clean> {
        let mut remarks: Vec<Clean> = Vec::new();
        let name = self.organisation.as_ref().map(|name| format!(": {name}")).unwrap_or_default();
        remarks.extend(self.naming.map(|naming| {
            Clean::from(match naming {
                Naming::Organization => format!("Rediacc 3.0, organisation{name}"),
                Naming::Company => format!("Rediacc of 2025, company{name}"),
            })
        }));
        let teams = (!self.teams.is_empty()).then(|| counted(self.teams.len(), "team"));
        let machines = self.machines.map(|machines| counted(machines, "machine"));
        let places: Vec<String> = teams.into_iter().chain(machines).collect();
        if !places.is_empty() {
            remarks.push(Clean::from(places.join(", ")));
        }
        remarks.extend(self.permissions.clone());
        if !self.limits.is_empty() {
            remarks.push(Clean::from(format!(
                "limits of the plan that are reached: {}",
                self.limits.join(", ")
            )));
        }
        remarks.extend(self.shortened.clone());
        if let Some((reason, _)) = &self.no_dashboard {
            remarks.push(Clean::from(format!("no dashboard, so every poll reads the whole list: {reason}")));
        }
        remarks
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn permissions(row: &Row) -> Option<Clean> {
    let group = text(row, "permissionGroup")?;
    Some(match text(row, "userEmail") {
        Some(user) => Clean::from(format!("permissions: {group} ({user})")),
        None => Clean::from(format!("permissions: {group}")),
    })
}

/// Whether the server has no such procedure.
fn is_missing(error: &BackendError) -> bool {
    let words = match error {
        BackendError::NotFound(_) => return true,
        BackendError::Refused { message, .. } | BackendError::Server { message, .. } => message,
        BackendError::Failed(words) | BackendError::Conflict(words) => words,
        _ => return false,
    };
    let words = words.to_lowercase();
    words.contains("could not find stored procedure")
        || (words.contains("procedure")
            && ["not found", "unknown", "not exist", "not allowed", "invalid"]
                .iter()
                .any(|w| words.contains(w)))
}

/// What a view proves. Where not all that is active is in it, depths are the system's own counts.
fn fill(snapshot: &mut Snapshot, view: &View, counts: &[TeamCounts], memory: &Memory, now: DateTime<Utc>) {
    let mut menu = Menu::new(memory.naming);
    let tasks = view.items.iter().map(|item| convert::task(item, &mut menu)).collect();
    let items: Vec<_> = view.items.iter().collect();
    let alerts = convert::alerts(&items, now);
    let teams: Vec<Clean> =
        memory.teams.iter().cloned().chain(counts.iter().map(|c| c.team.clone())).collect();
    let mut queues = convert::queues(&items, &teams);
    snapshot.tasks =
        if view.complete { Part::complete(tasks) } else { Part::listed(tasks, view.gone.clone()) };
    if view.active_complete {
        snapshot.queues = Part::complete(queues);
        snapshot.alerts = Part::complete(alerts);
    } else {
        queues = convert::counted(counts);
        snapshot.queues = Part::listed(queues, Vec::new());
        let over = over(view, &alerts);
        snapshot.alerts = Part::listed(alerts, over);
    }
    snapshot.degraded.clone_from(&view.unread);
}

/// Alerts of listed items, and of those that left the view, that are not open any more.
fn over(view: &View, open: &[Alert]) -> Vec<AlertKey> {
    let open: Vec<AlertKey> = open.iter().map(Alert::key).collect();
    let tasks = view.items.iter().map(|item| &item.id).chain(&view.gone);
    let kinds = [AlertKind::Dead, AlertKind::Failed, AlertKind::RetriesExhausted];
    let keys =
        tasks.flat_map(|task| kinds.map(|kind| AlertKey { task: Some(task.clone()), queue: None, kind }));
    keys.filter(|key| !open.contains(key)).collect()
}
