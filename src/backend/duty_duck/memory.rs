//! What is remembered between polls: runs that a list of tasks does not tell,
//! and what each id stands for.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::convert;
use super::incidents::{self, Directory, Open};
use super::reasons::{Phase, Sort};
use super::wire;
use crate::model::{Alert, AlertKey, Run, RunState, Task, TaskId};

/// So many running tasks are asked for their runs in one poll.
const RUNNING: usize = 20;
/// So many tasks that have ended a run are asked for it in one poll.
const ENDED: usize = 20;

/// Whose newest runs a poll should read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of those in progress, the longest unread first, and of those that have
    /// failed or ended one since the last poll.
    pub news: Vec<TaskId>,
    /// Of those whose last run nobody has read yet, as many as there is room for:
    /// after some polls the last runs of all are known.
    pub history: Vec<TaskId>,
}

/// What an id stands for.
#[derive(Debug, Clone)]
pub struct Thing {
    /// Task or monitor.
    pub sort: Sort,
    /// When its status came.
    pub changed: Option<DateTime<Utc>>,
    /// How long a run of it may be silent, in seconds.
    pub heartbeat_s: Option<i64>,
}

/// The runs of a task, as far as known.
#[derive(Debug, Default)]
struct Kept {
    /// The newest that has ended.
    last: Option<Run>,
    /// In progress.
    active: Vec<Run>,
    /// The status change that they belong to.
    changed: Option<DateTime<Utc>>,
    /// In which poll they were read.
    poll: u64,
}

/// Between polls.
#[derive(Debug, Default)]
pub struct Memory {
    things: HashMap<TaskId, Thing>,
    runs: HashMap<TaskId, Kept>,
    /// Whose newest run should be read, as soon as there is room.
    pending: HashSet<TaskId>,
    /// Which ids are known.
    pub directory: Directory,
    /// Open incidents, by the newest poll that could read them.
    pub open: Vec<Open>,
    /// What they were told as.
    pub incidents: HashSet<AlertKey>,
    /// What was last told by states alone.
    by_state: Vec<Alert>,
    /// The freeze that was last told.
    pub freeze: Option<Alert>,
    polls: u64,
}

impl Memory {
    /// What `id` stands for, if a poll has told.
    pub fn thing(&self, id: &TaskId) -> Option<&Thing> {
        self.things.get(id)
    }

    /// Takes a list of tasks; answers whose runs should be read now.
    pub fn wanted(&mut self, tasks: &[wire::Task]) -> Wanted {
        self.polls += 1;
        let mut running = Vec::new();
        let mut history = Vec::new();
        for task in tasks {
            let phase = Phase::of(&task.status);
            let known = self.things.get(&task.id);
            let moved = known.is_some_and(|known| known.changed != task.last_status_change_at);
            let kept = self.runs.get(&task.id);
            let read_before = kept.map(|kept| kept.changed);
            if phase == Phase::Running {
                running.push((kept.map_or(0, |kept| kept.poll), &task.id));
                self.pending.remove(&task.id);
            } else if phase == Phase::Idle {
                let failed = task.status == "failing" && read_before != Some(task.last_status_change_at);
                let ended = moved && task.previous_status.as_ref().is_some_and(|word| *word == "running");
                let was_active = kept.is_some_and(|kept| !kept.active.is_empty());
                if failed || ended || was_active {
                    self.pending.insert(task.id.clone());
                } else if kept.is_none() && task.previous_status.is_some() {
                    // Without a status before, it has never run.
                    history.push(&task.id);
                }
            }
        }
        running.sort_unstable();
        let mut news: Vec<TaskId> = running.into_iter().take(RUNNING).map(|(_, id)| id.clone()).collect();
        // In the order of the list, so that nobody is left out for ever.
        let ended = tasks.iter().map(|task| &task.id).filter(|id| self.pending.contains(*id));
        let ended: Vec<TaskId> = ended.take(ENDED).cloned().collect();
        let history = history.into_iter().filter(|id| !self.pending.contains(*id));
        let history = history.take(ENDED - ended.len()).cloned().collect();
        news.extend(ended);
        Wanted { news, history }
    }

    /// Takes what was read of a task's runs, newest first.
    pub fn read(&mut self, id: &TaskId, runs: &[Run], changed: Option<DateTime<Utc>>) {
        self.pending.remove(id);
        let poll = self.polls;
        let kept = self.runs.entry(id.clone()).or_default();
        kept.active = runs.iter().filter(|run| run.state == RunState::Running).cloned().collect();
        if let Some(last) = runs.iter().find(|run| run.state.is_ended()) {
            kept.last = Some(last.clone());
        }
        kept.changed = changed;
        kept.poll = poll;
    }

    /// Takes the newest runs that somebody looked at.
    pub fn looked(&mut self, id: &TaskId, runs: &[Run]) {
        let Some(last) = runs.iter().find(|run| run.state.is_ended()) else { return };
        if self.things.contains_key(id) {
            self.runs.entry(id.clone()).or_default().last = Some(last.clone());
        }
    }

    /// The newest run that has ended, and those in progress, of a task as it is now.
    pub fn runs_of(&self, task: &wire::Task) -> (Option<Run>, Vec<Run>) {
        let Some(kept) = self.runs.get(&task.id) else { return (None, Vec::new()) };
        let same = kept.changed == task.last_status_change_at;
        let active = if task.status == "running" && same { kept.active.clone() } else { Vec::new() };
        (kept.last.clone(), active)
    }

    /// The newest run of `task` that has ended, if it is the one of that id.
    pub fn ended(&self, task: &TaskId, run: &str) -> Option<&Run> {
        let last = self.runs.get(task)?.last.as_ref()?;
        last.id.as_ref().is_some_and(|id| id.as_raw() == run).then_some(last)
    }

    /// All that polls told of runs, newest first.
    pub fn all_runs(&self, limit: usize) -> Vec<Run> {
        let mut runs: Vec<&Run> =
            self.runs.values().flat_map(|kept| kept.active.iter().chain(kept.last.as_ref())).collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.started.or(run.ended)));
        runs.into_iter().take(limit).cloned().collect()
    }

    /// Learns what ids stand for. `complete`: what is missing is gone.
    pub fn learn(&mut self, tasks: &[wire::Task], monitors: &[wire::Monitor], complete: bool) {
        if complete {
            self.things.clear();
            self.directory = Directory::default();
        }
        for task in tasks {
            let phase = Phase::of(&task.status);
            self.directory.add(&task.id, task.user_id.as_ref(), phase == Phase::Archived);
            let heartbeat_s = task.heartbeat_timeout_seconds;
            let changed = task.last_status_change_at;
            self.things.insert(task.id.clone(), Thing { sort: Sort::Task, changed, heartbeat_s });
        }
        for monitor in monitors {
            let phase = Phase::of(&monitor.status);
            self.directory.add(&monitor.id, None, phase == Phase::Archived);
            let changed = monitor.last_status_change_at;
            let thing = Thing { sort: Sort::Monitor, changed, heartbeat_s: None };
            self.things.insert(monitor.id.clone(), thing);
        }
        if complete {
            let things = &self.things;
            self.runs.retain(|id, _| things.contains_key(id));
            self.pending.retain(|id| things.contains_key(id));
        }
    }

    /// Alerts on those of `tasks` that are in a bad state of which no incident
    /// tells (`why`), and which of those that were told so are over. Unless
    /// `complete`, what was told of a task that is missing holds.
    pub fn by_state(
        &mut self,
        tasks: &[Task],
        complete: bool,
        why: &str,
        now: DateTime<Utc>,
    ) -> (Vec<Alert>, Vec<AlertKey>) {
        let alert = |task: &Task| {
            let since = self.thing(&task.id).and_then(|thing| thing.changed).unwrap_or(now);
            let key = |kind| AlertKey { task: Some(task.id.clone()), queue: None, kind };
            incidents::by_state(task, since, |kind| self.incidents.contains(&key(kind)), why)
        };
        let mut alerts: Vec<Alert> = tasks.iter().filter_map(alert).collect();
        let before = std::mem::take(&mut self.by_state);
        let listed: HashSet<&TaskId> = tasks.iter().map(|task| &task.id).collect();
        let is_missing = |alert: &&Alert| alert.task.as_ref().is_some_and(|task| !listed.contains(task));
        alerts.extend(before.iter().filter(|alert| !complete && is_missing(alert)).cloned());
        let told: HashSet<AlertKey> = alerts.iter().map(Alert::key).collect();
        let is_over = |key: &AlertKey| !told.contains(key) && !self.incidents.contains(key);
        let over = before.iter().map(Alert::key).filter(is_over).collect();
        self.by_state.clone_from(&alerts);
        (alerts, over)
    }

    /// The freeze to tell: what was found now, or, while not all tasks could be read, what was told last.
    pub fn freeze(&mut self, found: Option<&convert::Freeze>, complete: bool) -> Option<Alert> {
        if found.is_some() || complete {
            self.freeze = found.map(convert::Freeze::alert);
        }
        self.freeze.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, status: &str, changed: &str) -> wire::Task {
        serde_json::from_value(serde_json::json!({
            "id": id, "status": status, "previousStatus": "running",
            "lastStatusChangeAt": format!("2026-11-20T{changed}:00Z"),
        }))
        .unwrap()
    }

    fn run(task: &str, id: &str, state: RunState) -> Run {
        Run { id: Some(id.into()), ..Run::bare(task.into(), state) }
    }

    /// A poll whose reads all succeed, with `state` runs.
    fn poll(memory: &mut Memory, tasks: &[wire::Task], state: RunState) -> Vec<String> {
        let Wanted { mut news, history } = memory.wanted(tasks);
        news.extend(history);
        for id in &news {
            let changed = tasks.iter().find(|task| task.id == *id).unwrap().last_status_change_at;
            memory.read(id, &[run(id.as_raw(), "r", state)], changed);
        }
        memory.learn(tasks, &[], true);
        news.iter().map(|id| id.as_raw().to_owned()).collect()
    }

    #[test]
    fn what_runs_or_has_ended_since_is_asked_for_runs_and_the_rest_once() {
        let mut memory = Memory::default();
        let first =
            [task("h", "healthy", "07:00"), task("f", "failing", "07:00"), task("r", "running", "07:00")];
        assert_eq!(poll(&mut memory, &first, RunState::Failed), ["r", "f", "h"], "the history comes last");
        assert_eq!(poll(&mut memory, &first, RunState::Running), ["r"], "what has ended is known by now");
        let later =
            [task("h", "healthy", "07:05"), task("f", "failing", "07:06"), task("r", "healthy", "07:07")];
        assert_eq!(poll(&mut memory, &later, RunState::Succeeded), ["h", "f", "r"]);
        assert!(poll(&mut memory, &later, RunState::Succeeded).is_empty());
        assert_eq!(memory.all_runs(2).len(), 2);
        let never_ran = wire::Task { previous_status: None, ..task("n", "healthy", "07:00") };
        assert!(poll(&mut memory, &[never_ran], RunState::Succeeded).is_empty(), "there is nothing to read");
    }

    #[test]
    fn the_last_runs_of_all_are_known_after_some_polls_and_news_go_first() {
        let mut memory = Memory::default();
        let mut tasks: Vec<_> = (0..45).map(|n| task(&format!("h{n:02}"), "healthy", "07:00")).collect();
        tasks.push(task("old", "archived", "07:00"));
        tasks.push(task("f", "failing", "07:00"));
        let wanted = memory.wanted(&tasks);
        assert_eq!((wanted.news, wanted.history.len()), (vec!["f".into()], ENDED - 1));
        let counts: Vec<_> = (0..4).map(|_| poll(&mut memory, &tasks, RunState::Succeeded).len()).collect();
        assert_eq!(counts, [20, 20, 6, 0], "each once, and none of what is put away");
    }

    #[test]
    fn reading_runs_is_bounded_and_comes_round_to_everybody() {
        let mut memory = Memory::default();
        let running: Vec<_> = (0..50).map(|n| task(&format!("r{n:02}"), "running", "07:00")).collect();
        let mut seen = HashSet::new();
        for _ in 0..3 {
            let wanted = poll(&mut memory, &running, RunState::Running);
            assert!(wanted.len() <= RUNNING);
            seen.extend(wanted);
        }
        assert_eq!(seen.len(), 50);
        assert!(running.iter().all(|task| memory.runs_of(task).1.len() == 1), "and is remembered");
        let failing: Vec<_> = (0..50).map(|n| task(&format!("f{n:02}"), "failing", "07:00")).collect();
        let counts: Vec<_> = (0..4).map(|_| poll(&mut memory, &failing, RunState::Failed).len()).collect();
        assert_eq!(counts, [20, 20, 10, 0]);
        assert_eq!(memory.runs.len(), 50, "what is gone is forgotten");
    }

    #[test]
    fn an_earlier_run_is_not_shown_as_in_progress() {
        let mut memory = Memory::default();
        poll(&mut memory, &[task("r", "running", "07:00")], RunState::Running);
        assert_eq!(memory.runs_of(&task("r", "running", "07:00")).1.len(), 1);
        assert!(memory.runs_of(&task("r", "running", "07:09")).1.is_empty());
        assert!(memory.runs_of(&task("r", "healthy", "07:00")).1.is_empty());
    }
}
