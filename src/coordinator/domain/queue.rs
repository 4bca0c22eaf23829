//! The order in which pending runs start: strict priority, first come first
//! served within one, never more at once than the limits say.

use std::collections::{BTreeMap, HashMap};

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
    /// How many runs of its task there may be at once.
    pub at_once: u32,
}

/// Runs that could start, and places that are taken.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    ready: BTreeMap<Place, Claim>,
    taken: u32,
    teams: HashMap<String, u32>,
    tasks: HashMap<TaskId, u32>,
}

impl Queue {
    /// A run could start.
    pub fn push(&mut self, place: Place, claim: Claim) {
        self.ready.insert(place, claim);
    }

    /// A run waits no longer; `None` if it did not.
    pub fn remove(&mut self, place: Place) -> Option<Claim> {
        self.ready.remove(&place)
    }

    /// Takes the run that starts next, and its place; `None` when nothing may start now.
    pub fn start_next(&mut self, limits: &Limits) -> Option<Claim> {
        if self.taken >= limits.coordinator {
            return None;
        }
        let place =
            self.ready.iter().find(|(_, claim)| self.has_room(claim, limits)).map(|(place, _)| *place)?;
        let claim = self.ready.remove(&place)?;
        self.occupy(&claim);
        Some(claim)
    }

    fn has_room(&self, claim: &Claim, limits: &Limits) -> bool {
        let of_team = self.teams.get(&claim.queue).copied().unwrap_or(0);
        let of_task = self.tasks.get(&claim.task).copied().unwrap_or(0);
        of_task < claim.at_once && limits.team.get(&claim.queue).is_none_or(|limit| of_team < *limit)
    }

    /// Counts a run as running.
    pub fn occupy(&mut self, claim: &Claim) {
        self.taken += 1;
        *self.teams.entry(claim.queue.clone()).or_default() += 1;
        *self.tasks.entry(claim.task.clone()).or_default() += 1;
    }

    /// A running run has ended: its place is free.
    pub fn release(&mut self, task: &TaskId, queue: &str) {
        self.taken = self.taken.saturating_sub(1);
        release(&mut self.teams, queue);
        release(&mut self.tasks, task.as_raw());
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

    fn claim(run: &str, task: &str, queue: &str, at_once: u32) -> Claim {
        Claim { run: RunId::new(run), task: TaskId::new(task), queue: queue.to_owned(), at_once }
    }

    fn place(priority: u8, seq: u64) -> Place {
        Place { priority: Priority::new(priority).unwrap(), seq }
    }

    #[test]
    fn priority_first_then_the_order_of_coming() {
        let mut queue = Queue::default();
        for (seq, priority) in [(1, 3), (2, 5), (3, 1), (4, 3), (5, 1)] {
            queue.push(place(priority, seq), claim(&seq.to_string(), &seq.to_string(), "default", 1));
        }
        let order: Vec<String> = std::iter::from_fn(|| queue.start_next(&Limits::default()))
            .map(|claim| claim.run.as_raw().to_owned())
            .collect();
        assert_eq!(order, ["3", "5", "1", "4", "2"]);
    }

    #[test]
    fn a_full_team_does_not_hold_the_others_up() {
        let limits = Limits { team: BTreeMap::from([("data".to_owned(), 1)]), ..Limits::default() };
        let mut queue = Queue::default();
        queue.push(place(1, 1), claim("a", "a", "data", 1));
        queue.push(place(1, 2), claim("b", "b", "data", 1));
        queue.push(place(5, 3), claim("c", "c", "default", 1));
        assert_eq!(queue.start_next(&limits).unwrap().run, RunId::new("a"));
        assert_eq!(queue.start_next(&limits).unwrap().run, RunId::new("c"));
        assert!(queue.start_next(&limits).is_none());
        queue.release(&TaskId::new("a"), "data");
        assert_eq!(queue.start_next(&limits).unwrap().run, RunId::new("b"));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push { priority: u8, task: u8, team: u8 },
        Start,
        End(usize),
        Withdraw(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (1u8..=5, 0u8..4, 0u8..3).prop_map(|(priority, task, team)| Step::Push { priority, task, team }),
            3 => Just(Step::Start),
            2 => (0usize..16).prop_map(Step::End),
            1 => (0usize..16).prop_map(Step::Withdraw),
        ];
        proptest::collection::vec(step, 0..120)
    }

    proptest! {
        /// Against a plain list: what starts is the best that has room, and no limit is ever exceeded.
        #[test]
        fn order_and_limits_hold(steps in steps(), coordinator in 1u32..5, team_limit in 1u32..3) {
            let limits = Limits {
                coordinator,
                team: BTreeMap::from([("t1".to_owned(), team_limit)]),
                ..Limits::default()
            };
            let mut queue = Queue::default();
            let mut waiting: Vec<(Place, Claim)> = Vec::new();
            let mut running: Vec<Claim> = Vec::new();
            for (seq, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push { priority, task, team } => {
                        // A task has one team.
                        let claim = claim(&seq.to_string(), &format!("{team}-{task}"), &format!("t{team}"), 1 + u32::from(task % 2));
                        let place = place(priority, seq as u64);
                        queue.push(place, claim.clone());
                        waiting.push((place, claim));
                    }
                    Step::Start => {
                        let count = |f: &dyn Fn(&Claim) -> bool| running.iter().filter(|c| f(c)).count();
                        let best = waiting
                            .iter()
                            .filter(|(_, c)| {
                                running.len() < coordinator as usize
                                    && count(&|r| r.task == c.task) < c.at_once as usize
                                    && (c.queue != "t1" || count(&|r| r.queue == "t1") < team_limit as usize)
                            })
                            .min_by_key(|(place, _)| *place)
                            .cloned();
                        let started = queue.start_next(&limits);
                        prop_assert_eq!(started.as_ref(), best.as_ref().map(|(_, c)| c));
                        if let Some((place, claim)) = best {
                            waiting.retain(|(p, _)| *p != place);
                            running.push(claim);
                        }
                        prop_assert!(running.len() <= coordinator as usize);
                        prop_assert!(running.iter().filter(|c| c.queue == "t1").count() <= team_limit as usize);
                    }
                    Step::End(i) if !running.is_empty() => {
                        let ended = running.remove(i % running.len());
                        queue.release(&ended.task, &ended.queue);
                    }
                    Step::Withdraw(i) if !waiting.is_empty() => {
                        let (place, claim) = waiting.remove(i % waiting.len());
                        prop_assert_eq!(queue.remove(place), Some(claim));
                    }
                    Step::End(_) | Step::Withdraw(_) => {}
                }
            }
        }
    }
}
