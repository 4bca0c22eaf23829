//! Machines: whether they can be reached, as a fact, and what follows from it.
//!
//! A machine is asked whether it is there when there is work for it and no
//! fresh word of it, and again after a pause that grows with each failure. As
//! long as it does not answer, its runs wait, and nobody else's. A run whose
//! connection was cut is adrift: it counts as running until its machine tells
//! what became of it, or has been silent for too long.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Clean, RunId, TaskId};
use crate::wire::{Machine as Told, MachineHealth};

use super::{Active, Domain, Effect, Entry, Lost, Outcome};

/// What the coordinator's own machine is called.
pub const HERE: &str = "local";

/// So long a machine that has answered is believed to be there.
const FRESH: TimeDelta = TimeDelta::seconds(30);
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(2);
/// The longest pause between two tries.
const LAST_PAUSE: TimeDelta = TimeDelta::minutes(5);
/// So long a run whose connection was cut is waited for.
const ADRIFT: TimeDelta = TimeDelta::minutes(10);
/// How often a machine is asked about a run that still runs there, at most and at least.
const ASK: (TimeDelta, TimeDelta) = (TimeDelta::seconds(1), TimeDelta::seconds(30));

/// How a host's key is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KnownHosts {
    /// It must be in the user's `known_hosts`.
    #[default]
    Strict,
    /// A host that is new is written down there; a key that has changed is refused.
    AcceptNew,
}

/// A machine, as `tasks.toml` defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    /// Its name.
    pub name: Clean,
    /// What ssh calls it: a host of its configuration.
    pub host: String,
    /// Whether runs start there.
    pub enabled: bool,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How its key is checked.
    pub known_hosts: KnownHosts,
    /// Another configuration file than the user's own.
    pub ssh_config: Option<PathBuf>,
}

impl MachineSpec {
    /// One of which only the name is known: a host of the user's ssh configuration.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: Clean::line(name),
            host: name.to_owned(),
            enabled: true,
            connect_timeout: Duration::from_secs(10),
            known_hosts: KnownHosts::Strict,
            ssh_config: None,
        }
    }
}

/// What a machine tells of a run whose connection was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// It has ended, with this exit code.
    Ended(i32),
    /// It still runs.
    Running,
    /// Its command was never started there.
    NeverStarted,
    /// It was started, is not there any more, and nobody knows how it ended.
    Gone,
    /// The machine did not answer, and why.
    Unknown(Clean),
}

/// What is known of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Health {
    Unknown,
    Reachable { since: DateTime<Utc>, seen: DateTime<Utc> },
    Unreachable { since: DateTime<Utc>, error: Clean, failures: u32, next: DateTime<Utc> },
}

/// A machine with what is known of it.
#[derive(Debug)]
pub(super) struct Machine {
    spec: Arc<MachineSpec>,
    health: Health,
    /// An answer is awaited.
    probing: bool,
    /// Something went wrong since it last answered.
    doubted: bool,
}

impl Machine {
    const fn new(spec: Arc<MachineSpec>) -> Self {
        Self { spec, health: Health::Unknown, probing: false, doubted: false }
    }

    fn is_open(&self, now: DateTime<Utc>) -> bool {
        let fresh = matches!(self.health, Health::Reachable { seen, .. } if (now - seen).abs() <= FRESH);
        self.spec.enabled && fresh && !self.doubted
    }

    /// When it is to be asked whether it is there; `None` while that is not wanted.
    fn due(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if !self.spec.enabled || self.probing || self.is_open(now) {
            return None;
        }
        match self.health {
            // A clock that was set back must not make it wait for ever.
            Health::Unreachable { next, .. } if next - now <= LAST_PAUSE => Some(next),
            _ => Some(now),
        }
    }

    /// Why its runs wait.
    fn remark(&self) -> Option<Clean> {
        let name = &self.spec.name;
        if !self.spec.enabled {
            return Some(Clean::from(format!(
                "{name} is switched off in tasks.toml (enabled = false): its runs wait"
            )));
        }
        match &self.health {
            Health::Unreachable { since, error, .. } => {
                let since = since.format("%Y-%m-%d %H:%M UTC");
                Some(Clean::from(format!(
                    "{name} can't be reached since {since}, and its runs wait: {error}"
                )))
            }
            _ => None,
        }
    }
}

/// A run whose connection was cut.
#[derive(Debug)]
pub(super) struct Adrift {
    machine: String,
    /// Since when nothing is known of it.
    since: DateTime<Utc>,
    /// How its connection ended.
    outcome: Outcome,
    asking: bool,
    /// When its machine is asked next, and how long it waits after that.
    next: DateTime<Utc>,
    pause: TimeDelta,
    /// Its group was told to end.
    told_to_end: bool,
}

/// All machines, and the runs that are adrift.
#[derive(Debug, Default)]
pub(super) struct Machines {
    declared: BTreeMap<String, Arc<MachineSpec>>,
    known: BTreeMap<String, Machine>,
    adrift: BTreeMap<RunId, Adrift>,
    /// When one of them is looked at next.
    wake: Option<DateTime<Utc>>,
}

impl Machines {
    pub(super) const fn wake(&self) -> Option<DateTime<Utc>> {
        self.wake
    }

    fn spec(&self, name: &str) -> Arc<MachineSpec> {
        self.declared.get(name).cloned().unwrap_or_else(|| Arc::new(MachineSpec::named(name)))
    }

    fn known(&mut self, name: &str) -> &mut Machine {
        let spec = self.spec(name);
        self.known.entry(name.to_owned()).or_insert_with(|| Machine::new(spec))
    }
}

/// Where a run is carried out.
pub(super) fn machine_of(active: &Active) -> &str {
    active.definition.machine.as_ref().map_or(HERE, Clean::as_str)
}

impl Domain {
    /// The machines that the task file defines; others are known by their names alone.
    pub fn set_machines(&mut self, specs: BTreeMap<String, MachineSpec>) {
        self.machines.declared = specs.into_iter().map(|(name, spec)| (name, Arc::new(spec))).collect();
        let names: Vec<String> = self.machines.known.keys().cloned().collect();
        for name in names {
            let spec = self.machines.spec(&name);
            let machine = self.machines.known(&name);
            if machine.spec != spec {
                *machine = Machine { probing: machine.probing, ..Machine::new(spec) };
                self.mark_machine(&name);
            }
        }
        self.out.machines_changed = true;
    }

    /// Why nothing can be carried out on a machine of that name: where machines are defined, only those are known.
    pub(super) fn no_machine(&self, name: &Clean) -> Option<Clean> {
        let declared = &self.machines.declared;
        (!declared.is_empty() && !declared.contains_key(name.as_str())).then(|| {
            Clean::from(format!("there is no [machine.{name}] in tasks.toml, as there is for other machines"))
        })
    }

    /// What is to be known of a machine in order to run something there.
    #[must_use]
    pub fn machine_spec(&self, name: &str) -> Arc<MachineSpec> {
        self.machines.spec(name)
    }

    /// A machine has answered, or has not.
    pub fn machine_answered(&mut self, name: &str, answer: Result<(), Clean>, now: DateTime<Utc>) {
        let share = self.ids.share();
        let machine = self.machines.known(name);
        machine.probing = false;
        let before = machine.remark();
        machine.health = match (answer, &machine.health) {
            (Ok(()), Health::Reachable { since, .. }) => Health::Reachable { since: *since, seen: now },
            (Ok(()), _) => Health::Reachable { since: now, seen: now },
            (Err(error), health) => {
                let (since, failures) = match health {
                    Health::Unreachable { since, failures, .. } => (*since, failures.saturating_add(1)),
                    _ => (now, 1),
                };
                Health::Unreachable { since, error, failures, next: now + pause(failures, share) }
            }
        };
        machine.doubted = false;
        if machine.remark() != before {
            self.mark_machine(name);
        }
        self.out.machines_changed = true;
    }

    /// The connection to a run's machine ended, and not with the run's own exit code.
    pub(super) fn cut_off(&mut self, id: &RunId, outcome: Outcome, now: DateTime<Utc>) {
        let Some(active) = self.runs.get_mut(id) else { return };
        let machine = machine_of(active).to_owned();
        let words = outcome.message.as_deref().unwrap_or("no word");
        let message =
            format!("the connection to {machine} ended ({words}): it is asked what became of the run");
        active.row.run.message = Some(Clean::from(message));
        let (run, task) = (active.row.run.clone(), active.row.run.task.clone());
        self.machines.known(&machine).doubted = true;
        let adrift = Adrift {
            machine,
            since: now,
            outcome,
            asking: false,
            next: now,
            pause: ASK.0,
            told_to_end: false,
        };
        self.machines.adrift.insert(id.clone(), adrift);
        self.tell_run(run);
        self.mark(&task);
    }

    /// Whether it is being found out what became of a run elsewhere.
    #[must_use]
    pub fn is_adrift(&self, run: &RunId) -> bool {
        self.machines.adrift.contains_key(run)
    }

    /// A machine has told what became of a run, or has not.
    pub fn told_of(&mut self, id: &RunId, fate: Whereabouts, now: DateTime<Utc>) {
        let Some(mut adrift) = self.machines.adrift.remove(id) else { return };
        let Some(active) = self.runs.get(id) else { return };
        let machine = adrift.machine.clone();
        match fate {
            Whereabouts::Ended(code) if adrift.outcome.exit_code == Some(code) => {
                self.finished(id, adrift.outcome, now);
            }
            Whereabouts::Ended(code) => {
                let message = Clean::from(format!(
                    "exit code {code}; the connection to {machine} was lost meanwhile, and output with it"
                ));
                self.finished(
                    id,
                    Outcome {
                        good: code == 0,
                        exit_code: Some(code),
                        message: Some(message),
                        ..Outcome::default()
                    },
                    now,
                );
            }
            Whereabouts::Running => {
                adrift.asking = false;
                adrift.since = now;
                adrift.next = now + adrift.pause;
                adrift.pause = (adrift.pause * 2).min(ASK.1);
                if active.stopping.is_some() && !std::mem::replace(&mut adrift.told_to_end, true) {
                    let (run, attempt) = (id.clone(), active.row.run.attempt);
                    let (spec, grace) = (self.machine_spec(&machine), self.grace_of(id));
                    self.out.effects.push(Effect::EndThere { run, attempt, machine: spec, grace });
                    adrift.pause = ASK.0;
                }
                self.machines.adrift.insert(id.clone(), adrift);
                self.say(id, &format!("the connection to {machine} was lost; it still runs there"));
            }
            Whereabouts::NeverStarted => {
                let words = adrift.outcome.message.as_deref().unwrap_or("the connection ended");
                let why = Clean::from(format!("a run could not be started there: {words}"));
                self.not_started(id, now);
                self.machine_answered(&machine, Err(why), now);
            }
            Whereabouts::Gone => {
                let why = Clean::from(format!(
                    "it is not on {machine} any more, and nobody knows how it ended: \
                     {machine} was restarted, or somebody killed it"
                ));
                self.give_up(id, Lost { why, certain: true }, now);
            }
            Whereabouts::Unknown(error) => {
                adrift.asking = false;
                self.machines.adrift.insert(id.clone(), adrift);
                self.machine_answered(&machine, Err(error), now);
            }
        }
    }

    fn grace_of(&self, id: &RunId) -> Duration {
        self.runs.get(id).map_or(Duration::ZERO, |active| active.definition.kill_grace)
    }

    /// Tells what a run that is adrift does.
    fn say(&mut self, id: &RunId, message: &str) {
        let Some(active) = self.runs.get_mut(id) else { return };
        let message = Some(Clean::line(message));
        if active.row.run.message != message {
            active.row.run.message = message;
            let run = active.row.run.clone();
            self.mark(&run.task.clone());
            self.tell_run(run);
        }
    }

    /// Asks machines that there is work for whether they are there, lets runs
    /// start where they are, and asks about those that are adrift.
    pub(super) fn tend_machines(&mut self, now: DateTime<Utc>) {
        self.drop_the_lost(now);
        let mut wanted: BTreeSet<String> =
            self.queue.wanted_machines().filter(|name| *name != HERE).map(str::to_owned).collect();
        wanted.extend(self.machines.adrift.values().map(|adrift| adrift.machine.clone()));
        let mut wake = self.machines.adrift.values().map(|adrift| adrift.since + ADRIFT).min();
        for name in wanted {
            let machine = self.machines.known(&name);
            match machine.due(now).filter(|_| !self.closing) {
                Some(at) if at <= now => {
                    machine.probing = true;
                    self.out.effects.push(Effect::Probe(machine.spec.clone()));
                }
                at => wake = wake.into_iter().chain(at).min(),
            }
            let open = machine.is_open(now);
            self.queue.set_open(&name, open);
            if open {
                wake = wake.into_iter().chain(self.ask_about(&name, now)).min();
            }
        }
        self.machines.wake = wake;
    }

    /// Asks a machine about its runs that are adrift; gives when to ask next.
    fn ask_about(&mut self, name: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let spec = self.machine_spec(name);
        let mut wake = None;
        for (id, adrift) in &mut self.machines.adrift {
            if adrift.machine != name || adrift.asking {
                continue;
            }
            let Some(active) = self.runs.get(id) else { continue };
            let urgent = active.stopping.is_some() && !adrift.told_to_end;
            if adrift.next <= now || urgent {
                adrift.asking = true;
                let (run, attempt) = (id.clone(), active.row.run.attempt);
                self.out.effects.push(Effect::Ask { run, attempt, machine: spec.clone() });
            } else {
                wake = wake.into_iter().chain([adrift.next]).min();
            }
        }
        wake
    }

    /// Runs that nothing can be learnt of any more: because it took too long, or
    /// because they were to be stopped and can't be.
    fn drop_the_lost(&mut self, now: DateTime<Utc>) {
        let lost: Vec<RunId> = self
            .machines
            .adrift
            .iter()
            .filter(|(id, adrift)| {
                let Some(active) = self.runs.get(*id) else { return true };
                let machine = self.machines.known.get(&adrift.machine);
                let down =
                    machine.is_some_and(|machine| matches!(machine.health, Health::Unreachable { .. }));
                now - adrift.since >= ADRIFT || (active.stopping.is_some() && down && !adrift.asking)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in lost {
            let Some(adrift) = self.machines.adrift.remove(&id) else { continue };
            let why = Clean::from(format!(
                "the connection to {0} was lost, and {0} can't be asked: it may still run there",
                adrift.machine
            ));
            self.give_up(&id, Lost { why, certain: false }, now);
        }
    }

    /// Judges the tasks anew whose runs wait for a machine, or run there.
    fn mark_machine(&mut self, name: &str) {
        let tasks: BTreeSet<TaskId> = self
            .runs
            .values()
            .filter(|active| machine_of(active) == name)
            .map(|active| active.row.run.task.clone())
            .collect();
        self.dirty.extend(tasks);
    }

    /// Why the runs of a task wait, where it is for their machine.
    pub(super) fn machine_remark(&self, entry: &Entry) -> Option<Clean> {
        let name = entry.definition.machine.as_ref().filter(|_| !entry.active.is_empty())?;
        self.machines.known.get(name.as_str())?.remark()
    }

    /// All machines, this one first, as they read from outside.
    #[must_use]
    pub fn told_machines(&self) -> Vec<Told> {
        let mut names: BTreeSet<&str> = self.machines.declared.keys().map(String::as_str).collect();
        names.extend(self.machine_names.iter().map(Clean::as_str));
        names.extend(self.depths.machines());
        names.extend(self.limits.machine.keys().map(String::as_str));
        names.remove(HERE);
        std::iter::once(HERE).chain(names).map(|name| self.told_machine(name)).collect()
    }

    fn told_machine(&self, name: &str) -> Told {
        let mut told = Told::bare(Clean::line(name));
        let known = self.machines.known.get(name);
        let spec = known.map(|machine| &machine.spec).or_else(|| self.machines.declared.get(name));
        told.host = (name != HERE).then(|| spec.map_or(name, |spec| &spec.host)).map(Clean::line);
        told.limit = self.limits.machine.get(name).copied();
        if name == HERE {
            told.health = MachineHealth::Reachable;
        } else if spec.is_some_and(|spec| !spec.enabled) {
            told.health = MachineHealth::Off;
        }
        match known.map(|machine| &machine.health).filter(|_| told.health == MachineHealth::Unknown) {
            Some(Health::Reachable { since, seen }) => {
                told.health = MachineHealth::Reachable;
                (told.since, told.seen) = (Some(*since), Some(*seen));
            }
            Some(Health::Unreachable { since, error, next, .. }) => {
                told.health = MachineHealth::Unreachable;
                (told.since, told.error, told.next_try) = (Some(*since), Some(error.clone()), Some(*next));
            }
            Some(Health::Unknown) | None => {}
        }
        if let Some(tally) = self.depths.machine(name) {
            told.running = tally.running();
            told.depth = tally.depth();
            told.by_priority = tally.by_priority();
            told.oldest_by_priority = tally.oldest_by_priority();
            told.oldest_pending = tally.oldest();
        }
        told
    }
}

/// The pause after so many failures: it doubles up to a cap, and half of it is chance.
fn pause(failures: u32, share: f64) -> TimeDelta {
    let doubled = FIRST_PAUSE * 2_i32.saturating_pow(failures.saturating_sub(1).min(16));
    let ms = doubled.min(LAST_PAUSE).num_milliseconds();
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "five minutes fit")]
    let part = (ms as f64 * (0.5 + share / 2.0)) as i64;
    TimeDelta::milliseconds(part)
}
