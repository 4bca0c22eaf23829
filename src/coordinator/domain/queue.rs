//! The order in which pending runs start: strict priority, first come first
//! served within one, never more at once than the limits say.
//!
//! Runs of one task wait in a group, groups of one team on one machine in a
//! lane. What has no room is set aside, a whole lane at a time, until something
//! is freed: to start a run costs no more when thousands wait that may not.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::{Priority, RunId, TaskId};

use super::Limits;

/// Where a run stands in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The lower the sooner.
    pub priority: Priority,
    /// The order of coming.
    pub seq: u64,
}

/// What the limits need to know of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The run.
    pub run: RunId,
    /// Its task.
    pub task: TaskId,
    /// Its queue's name.
    pub queue: String,
    /// The machine that it runs on: [`super::HERE`], or a remote one's name.
    pub machine: String,
    /// How many runs of its task there may be at once.
    pub at_once: u32,
}

/// Runs of one task in one lane.
#[derive(Debug, Clone, Default)]
struct Group {
    waiting: BTreeMap<Place, Claim>,
    /// As it stands in its lane's order; `None` while it is set aside.
    listed: Option<Place>,
}

/// What waits for one team and one machine.
#[derive(Debug, Clone)]
struct Lane {
    team: String,
    machine: String,
    groups: HashMap<TaskId, Group>,
    order: BTreeSet<(Place, TaskId)>,
    /// As it stands in the queue's order; `None` while it is set aside.
    listed: Option<Place>,
    held: bool,
}

/// Runs that could start, and places that are taken.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    places: BTreeMap<Place, (usize, TaskId)>,
    lanes: Vec<Lane>,
    lane_ids: HashMap<(String, String), usize>,
    of_team: HashMap<String, Vec<usize>>,
    of_machine: HashMap<String, Vec<usize>>,
    /// Lanes that may have a run to start, by their best.
    order: BTreeSet<(Place, usize)>,
    /// Lanes in which a task's group is set aside.
    full_tasks: HashMap<TaskId, Vec<usize>>,
    /// Machines on which nothing may start now.
    closed: HashSet<String>,
    taken: u32,
    teams: HashMap<String, u32>,
    tasks: HashMap<TaskId, u32>,
    machines: HashMap<String, u32>,
}

impl Queue {
    /// A run could start.
    pub fn push(&mut self, place: Place, claim: Claim) {
        let id = self.lane(&claim.queue, &claim.machine);
        let task = claim.task.clone();
        self.places.insert(place, (id, task.clone()));
        self.lanes[id].groups.entry(task.clone()).or_default().waiting.insert(place, claim);
        self.offer(id, &task);
    }

    /// A run waits no longer; `None` if it did not.
    pub fn remove(&mut self, place: Place) -> Option<Claim> {
        let (id, task) = self.places.remove(&place)?;
        let claim = self.lanes[id].groups.get_mut(&task)?.waiting.remove(&place);
        self.offer(id, &task);
        claim
    }

    /// Takes the run that starts next, and its place; `None` when nothing may
    /// start now. Other limits than before count once [`Self::reconsider`] was called.
    pub fn start_next(&mut self, limits: &Limits) -> Option<Claim> {
        while self.taken < limits.coordinator {
            let (place, id) = *self.order.first()?;
            let lane = &mut self.lanes[id];
            let of_team = self.teams.get(&lane.team).copied().unwrap_or(0);
            let of_machine = self.machines.get(&lane.machine).copied().unwrap_or(0);
            let full = limits.team.get(&lane.team).is_some_and(|limit| of_team >= *limit)
                || limits.machine.get(&lane.machine).is_some_and(|limit| of_machine >= *limit)
                || self.closed.contains(&lane.machine);
            if full {
                lane.held = true;
                self.list(id);
                continue;
            }
            let (_, task) = lane.order.first()?.clone();
            let group = lane.groups.get_mut(&task)?;
            let at_once = group.waiting.get(&place)?.at_once;
            if self.tasks.get(&task).copied().unwrap_or(0) >= at_once {
                group.listed = None;
                lane.order.remove(&(place, task.clone()));
                let lanes = self.full_tasks.entry(task).or_default();
                if !lanes.contains(&id) {
                    lanes.push(id);
                }
                self.list(id);
                continue;
            }
            let claim = self.remove(place)?;
            self.occupy(&claim);
            return Some(claim);
        }
        None
    }

    /// Counts a run as running.
    pub fn occupy(&mut self, claim: &Claim) {
        self.taken += 1;
        *self.teams.entry(claim.queue.clone()).or_default() += 1;
        *self.tasks.entry(claim.task.clone()).or_default() += 1;
        *self.machines.entry(claim.machine.clone()).or_default() += 1;
    }

    /// A running run has ended: its place is free.
    pub fn release(&mut self, claim: &Claim) {
        self.taken = self.taken.saturating_sub(1);
        release(&mut self.teams, &claim.queue);
        release(&mut self.tasks, claim.task.as_raw());
        release(&mut self.machines, &claim.machine);
        for id in self.full_tasks.remove(&claim.task).into_iter().flatten() {
            self.offer(id, &claim.task);
        }
        let lanes = self.of_team.get(&claim.queue).into_iter().chain(self.of_machine.get(&claim.machine));
        for id in lanes.flatten().copied().collect::<Vec<_>>() {
            self.lanes[id].held = false;
            self.list(id);
        }
    }

    /// Says whether runs may start on a machine. At first they may.
    pub fn set_open(&mut self, machine: &str, open: bool) {
        if !open {
            self.closed.insert(machine.to_owned());
        } else if self.closed.remove(machine) {
            for id in self.of_machine.get(machine).cloned().unwrap_or_default() {
                self.lanes[id].held = false;
                self.list(id);
            }
        }
    }

    /// Looks again at everything that was set aside: the limits are others.
    pub fn reconsider(&mut self) {
        for (task, lanes) in std::mem::take(&mut self.full_tasks) {
            for id in lanes {
                self.offer(id, &task);
            }
        }
        for id in 0..self.lanes.len() {
            self.lanes[id].held = false;
            self.list(id);
        }
    }

    /// Machines that runs wait for, this one among them.
    pub fn wanted_machines(&self) -> impl Iterator<Item = &str> {
        let wanted = |lanes: &Vec<usize>| lanes.iter().any(|id| !self.lanes[*id].groups.is_empty());
        self.of_machine.iter().filter(move |(_, lanes)| wanted(lanes)).map(|(name, _)| name.as_str())
    }

    /// The lane of a team and a machine.
    fn lane(&mut self, team: &str, machine: &str) -> usize {
        let key = (team.to_owned(), machine.to_owned());
        if let Some(id) = self.lane_ids.get(&key) {
            return *id;
        }
        let id = self.lanes.len();
        self.lanes.push(Lane {
            team: team.to_owned(),
            machine: machine.to_owned(),
            groups: HashMap::new(),
            order: BTreeSet::new(),
            listed: None,
            held: false,
        });
        self.of_team.entry(team.to_owned()).or_default().push(id);
        self.of_machine.entry(machine.to_owned()).or_default().push(id);
        self.lane_ids.insert(key, id);
        id
    }

    /// Puts a group where its best run belongs, also one that was set aside.
    fn offer(&mut self, id: usize, task: &TaskId) {
        let lane = &mut self.lanes[id];
        let Some(group) = lane.groups.get_mut(task) else { return };
        let best = group.waiting.first_key_value().map(|(place, _)| *place);
        if group.listed != best {
            if let Some(old) = group.listed {
                lane.order.remove(&(old, task.clone()));
            }
            if let Some(new) = best {
                lane.order.insert((new, task.clone()));
            }
            group.listed = best;
        }
        if best.is_none() {
            lane.groups.remove(task);
        }
        self.list(id);
    }

    /// Puts a lane where its best group belongs.
    fn list(&mut self, id: usize) {
        let lane = &mut self.lanes[id];
        let best = lane.order.first().map(|(place, _)| *place).filter(|_| !lane.held);
        if lane.listed == best {
            return;
        }
        if let Some(old) = lane.listed {
            self.order.remove(&(old, id));
        }
        if let Some(new) = best {
            self.order.insert((new, id));
        }
        lane.listed = best;
    }
}

/// Counts one down, and forgets what has come to nothing.
fn release<K>(counts: &mut HashMap<K, u32>, key: &str)
where
    K: std::borrow::Borrow<str> + Eq + std::hash::Hash,
{
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(run: &str, task: &str, queue: &str, machine: &str, at_once: u32) -> Claim {
        let (queue, machine) = (queue.to_owned(), machine.to_owned());
        Claim { run: RunId::new(run), task: TaskId::new(task), queue, machine, at_once }
    }

    fn place(priority: u8, seq: u64) -> Place {
        Place { priority: Priority::new(priority).unwrap(), seq }
    }

    fn limits(team: &[(&str, u32)], machine: &[(&str, u32)]) -> Limits {
        let map = |limits: &[(&str, u32)]| limits.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        Limits { team: map(team), machine: map(machine), ..Limits::default() }
    }

    #[test]
    fn priority_first_then_the_order_of_coming() {
        let mut queue = Queue::default();
        for (seq, priority) in [(1, 3), (2, 5), (3, 1), (4, 3), (5, 1)] {
            queue
                .push(place(priority, seq), claim(&seq.to_string(), &seq.to_string(), "default", "local", 1));
        }
        let order: Vec<String> = std::iter::from_fn(|| queue.start_next(&Limits::default()))
            .map(|claim| claim.run.as_raw().to_owned())
            .collect();
        assert_eq!(order, ["3", "5", "1", "4", "2"]);
    }

    #[test]
    fn a_full_team_does_not_hold_the_others_up() {
        let limits = limits(&[("data", 1)], &[]);
        let mut queue = Queue::default();
        queue.push(place(1, 1), claim("a", "a", "data", "local", 1));
        queue.push(place(1, 2), claim("b", "b", "data", "local", 1));
        queue.push(place(5, 3), claim("c", "c", "default", "local", 1));
        let first = queue.start_next(&limits).unwrap();
        assert_eq!(first.run, RunId::new("a"));
        assert_eq!(queue.start_next(&limits).unwrap().run, RunId::new("c"));
        assert!(queue.start_next(&limits).is_none());
        queue.release(&first);
        assert_eq!(queue.start_next(&limits).unwrap().run, RunId::new("b"));
    }

    #[test]
    fn a_full_or_closed_machine_does_not_hold_the_others_up() {
        let limits = limits(&[], &[("db-1", 1)]);
        let mut queue = Queue::default();
        queue.set_open("db-2", false);
        for (seq, machine) in [(1, "db-1"), (2, "db-1"), (3, "db-2"), (4, "local")] {
            queue.push(place(1, seq), claim(&seq.to_string(), &seq.to_string(), "default", machine, 1));
        }
        let first = queue.start_next(&limits).unwrap();
        assert_eq!(first.run, RunId::new("1"));
        assert_eq!(queue.start_next(&limits).unwrap().run, RunId::new("4"));
        assert!(queue.start_next(&limits).is_none());
        let mut wanted: Vec<&str> = queue.wanted_machines().collect();
        wanted.sort_unstable();
        assert_eq!(wanted, ["db-1", "db-2"]);
        queue.set_open("db-2", true);
        assert_eq!(queue.start_next(&limits).unwrap().run, RunId::new("3"));
        assert!(queue.start_next(&limits).is_none());
        queue.release(&first);
        assert_eq!(queue.start_next(&limits).unwrap().run, RunId::new("2"));
        assert_eq!(queue.wanted_machines().count(), 0);
    }

    #[test]
    fn other_limits_count_once_they_are_reconsidered() {
        let mut queue = Queue::default();
        for seq in 1..=2 {
            queue.push(place(1, seq), claim(&seq.to_string(), &seq.to_string(), "data", "local", 1));
        }
        let narrow = limits(&[("data", 1)], &[]);
        assert!(queue.start_next(&narrow).is_some() && queue.start_next(&narrow).is_none());
        let wide = limits(&[("data", 2)], &[]);
        queue.reconsider();
        assert!(queue.start_next(&wide).is_some());
    }

    /// Counted, not timed: what may not start is looked at once, not at each start.
    #[test]
    fn a_hundred_thousand_that_may_not_start_are_looked_at_once() {
        let limits = Limits { coordinator: u32::MAX, ..limits(&[("full", 1)], &[]) };
        let mut queue = Queue::default();
        queue.occupy(&claim("x", "x", "full", "local", 1));
        for seq in 0..100_000 {
            queue.push(place(1, seq), claim("w", &format!("t{}", seq % 50_000), "full", "local", 1));
        }
        for seq in 100_000..101_000 {
            queue.push(place(5, seq), claim("r", &format!("r{seq}"), "free", "local", 1));
        }
        for _ in 0..1_000 {
            assert_eq!(queue.start_next(&limits).unwrap().run, RunId::new("r"));
            assert!(queue.order.len() <= 1, "the full lane is set aside");
        }
        assert!(queue.start_next(&limits).is_none());
        assert_eq!(queue.places.len(), 100_000);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push { priority: u8, task: u8, team: u8 },
        Start,
        End(usize),
        Withdraw(usize),
        Open { machine: u8, open: bool },
        Limit(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (1u8..=5, 0u8..4, 0u8..3).prop_map(|(priority, task, team)| Step::Push { priority, task, team }),
            6 => Just(Step::Start),
            4 => (0usize..16).prop_map(Step::End),
            2 => (0usize..16).prop_map(Step::Withdraw),
            1 => (0u8..3, any::<bool>()).prop_map(|(machine, open)| Step::Open { machine, open }),
            1 => (1u32..4).prop_map(Step::Limit),
        ];
        proptest::collection::vec(step, 0..120)
    }

    proptest! {
        /// Against a plain list: what starts is the best that has room, no limit is
        /// ever exceeded, and nothing starts on a machine that is closed.
        #[test]
        fn order_and_limits_hold(steps in steps(), coordinator in 1u32..5, team_limit in 1u32..3) {
            let mut limits = limits(&[("t1", team_limit)], &[("m1", 2)]);
            limits.coordinator = coordinator;
            let mut queue = Queue::default();
            let mut waiting: Vec<(Place, Claim)> = Vec::new();
            let mut running: Vec<Claim> = Vec::new();
            let mut closed: HashSet<String> = HashSet::new();
            for (seq, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push { priority, task, team } => {
                        // A task has one team and one machine.
                        let machine = format!("m{}", task % 3);
                        let claim = claim(&seq.to_string(), &format!("{team}-{task}"), &format!("t{team}"), &machine, 1 + u32::from(task % 2));
                        let place = place(priority, seq as u64);
                        queue.push(place, claim.clone());
                        waiting.push((place, claim));
                    }
                    Step::Start => {
                        let count = |f: &dyn Fn(&Claim) -> bool| {
                            u32::try_from(running.iter().filter(|c| f(c)).count()).unwrap()
                        };
                        let below = |limit: Option<&u32>, count: u32| limit.is_none_or(|limit| count < *limit);
                        let best = waiting
                            .iter()
                            .filter(|(_, c)| {
                                count(&|_| true) < coordinator
                                    && count(&|r| r.task == c.task) < c.at_once
                                    && below(limits.team.get(&c.queue), count(&|r| r.queue == c.queue))
                                    && below(limits.machine.get(&c.machine), count(&|r| r.machine == c.machine))
                                    && !closed.contains(&c.machine)
                            })
                            .min_by_key(|(place, _)| *place)
                            .cloned();
                        let started = queue.start_next(&limits);
                        prop_assert_eq!(started.as_ref(), best.as_ref().map(|(_, c)| c));
                        if let Some((place, claim)) = best {
                            waiting.retain(|(p, _)| *p != place);
                            running.push(claim);
                        }
                    }
                    Step::End(i) if !running.is_empty() => {
                        let ended = running.remove(i % running.len());
                        queue.release(&ended);
                    }
                    Step::Withdraw(i) if !waiting.is_empty() => {
                        let (place, claim) = waiting.remove(i % waiting.len());
                        prop_assert_eq!(queue.remove(place), Some(claim));
                        prop_assert_eq!(queue.remove(place), None);
                    }
                    Step::Open { machine, open } => {
                        let machine = format!("m{machine}");
                        queue.set_open(&machine, open);
                        if open { closed.remove(&machine); } else { closed.insert(machine); }
                    }
                    Step::Limit(limit) => {
                        limits.machine.insert("m1".to_owned(), limit);
                        queue.reconsider();
                    }
                    Step::End(_) | Step::Withdraw(_) => {}
                }
                let wanted: BTreeSet<&str> = queue.wanted_machines().collect();
                let expected: BTreeSet<&str> = waiting.iter().map(|(_, c)| c.machine.as_str()).collect();
                prop_assert_eq!(wanted, expected);
            }
        }
    }
}
