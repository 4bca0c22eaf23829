//! What pings and reports tell of runs that are carried out elsewhere.
//!
//! A sign belongs to the run of its `rid`. Without one it belongs to the run
//! that was started without one, else to the only one that is open. An end
//! without a start is a whole run. Several runs may be open at once, each by
//! itself; a start without `rid` closes the one before that has none, whose end
//! nobody told. Reports carry their own times and may come late, twice and out
//! of order; pings count when they come.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Clean, Run, RunId, RunMark, RunState, Scope, TaskId};

use super::judge::lapse;
use super::marks::{Noticed, heartbeat_timeout, overrun_at, silent_at};
use super::sign::{Heard, Noted, REPORT, Sign, Via, Whose};
use super::{Active, Bad, Carrier, Domain, Entry, MAX_PENDING, Overlap, Refused, RunRow, Said, Work};

/// Ended runs that are remembered here; older ones are looked up on disk.
const REMEMBERED: usize = 1_024;
/// A ping with the `rid` of one so long before is the same, sent again.
const SENT_AGAIN: TimeDelta = TimeDelta::seconds(60);
/// A report that comes within this time was not held up.
const PROMPT: TimeDelta = TimeDelta::seconds(5);
/// One that was held up, or could not be heard, has so long to be followed by those after it.
const CATCHING_UP: TimeDelta = TimeDelta::seconds(30);

/// Runs elsewhere that have ended lately, by task and `rid`.
#[derive(Debug, Default)]
pub(super) struct Recent {
    rows: HashMap<(TaskId, String), RunRow>,
    order: VecDeque<(TaskId, String)>,
}

impl Recent {
    fn put(&mut self, row: RunRow) {
        let Some(rid) = row.rid() else { return };
        let key = (row.run.task.clone(), rid.to_owned());
        if self.rows.insert(key.clone(), row).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.rows.remove(&oldest);
        }
    }

    fn get(&self, task: &TaskId, rid: &str) -> Option<&RunRow> {
        self.rows.get(&(task.clone(), rid.to_owned()))
    }
}

impl Domain {
    /// Takes a sign of a run that is carried out elsewhere.
    ///
    /// # Errors
    /// There is no such task, or its runs are the coordinator's own.
    pub fn hear(&mut self, whose: &Whose, mut heard: Heard, now: DateTime<Utc>) -> Result<Noted, Refused> {
        let id = match whose {
            Whose::Task(id) => id.clone(),
            Whose::Key(key) => self.task_of_key(key).ok_or_else(|| Refused::NoTask(TaskId::new("")))?,
        };
        let entry = self.tasks.get(&id).ok_or_else(|| Refused::NoTask(id.clone()))?;
        if entry.definition.built_in().is_some() {
            return Err(Refused::Conflict("the coordinator carries it out itself: nobody else can".into()));
        }
        heard.at = heard.at.min(now);
        // Each sign is judged by itself, so that none hides what came before it.
        if self.dirty.contains(&id) || entry.wake.is_some_and(|wake| wake <= now) {
            self.dirty.remove(&id);
            self.judge(&id, now);
        }
        let noted = if heard.rid.is_none() && self.runs_here(&id) {
            // The command itself pings: how its run ends is seen here.
            self.heard_of_own(&id, &heard, now)
        } else {
            match heard.sign {
                Sign::Started => self.heard_start(&id, &heard, now),
                Sign::Beat => self.heard_beat(&id, &heard, now),
                Sign::Ended { good, exit_code } => self.heard_end(&id, &heard, (good, exit_code), now),
                Sign::Logged => self.heard_words(&id, &heard, now),
            }
        };
        self.mark(&id);
        Ok(noted)
    }

    /// Whether a task is defined, and one of these.
    #[must_use]
    pub fn is_within(&self, task: &TaskId, scope: &Scope) -> bool {
        self.tasks.get(task).is_some_and(|entry| scope.holds(entry.definition.team.as_deref()))
    }

    fn runs_here(&self, id: &TaskId) -> bool {
        self.active_of(id)
            .any(|active| !active.row.is_elsewhere() && active.row.run.state == RunState::Running)
    }

    fn active_of(&self, id: &TaskId) -> impl Iterator<Item = &Active> {
        let runs = self.tasks.get(id).into_iter().flat_map(|entry| &entry.active);
        runs.filter_map(|(_, run)| self.runs.get(run))
    }

    /// The newest open run elsewhere with this `rid`, or with none.
    fn open(&self, id: &TaskId, rid: Option<&str>) -> Option<RunId> {
        let open = self.active_of(id).filter(|active| active.row.is_elsewhere() && active.row.rid() == rid);
        open.last().and_then(|active| active.row.run.id.clone())
    }

    /// The open run that a sign is about.
    fn open_for(&self, id: &TaskId, heard: &Heard) -> Option<RunId> {
        let exact = self.open(id, heard.rid.as_deref());
        if exact.is_some() || heard.rid.is_some() {
            return exact;
        }
        let mut open = self.active_of(id).filter(|active| active.row.is_elsewhere());
        let only = open.next().and_then(|active| active.row.run.id.clone());
        only.filter(|_| open.next().is_none())
    }

    /// The ended run with the `rid` of a sign.
    fn ended_before(&self, id: &TaskId, heard: &Heard) -> Option<RunRow> {
        let recent = self.recent.get(id, heard.rid.as_deref()?).cloned();
        let on_disk = || heard.known.as_deref().filter(|row| row.run.task == *id && row.run.state.is_ended());
        recent.or_else(|| on_disk().cloned())
    }

    fn heard_of_own(&mut self, id: &TaskId, heard: &Heard, now: DateTime<Utc>) -> Noted {
        let own = self.active_of(id).find(|active| !active.row.is_elsewhere()).map(|active| &active.row.run);
        let run = own.and_then(|run| run.id.clone());
        let watched = self.tasks.get(id).is_some_and(|e| e.definition.policy.heartbeat_timeout_s.is_some());
        if let Some(run) = run.as_ref().filter(|_| watched) {
            self.beat(run, heard.at, now);
        }
        Noted { task: id.clone(), run, keeps_output: false }
    }

    fn heard_start(&mut self, id: &TaskId, heard: &Heard, now: DateTime<Utc>) -> Noted {
        let open = self.open(id, heard.rid.as_deref());
        if let Some(run) = open {
            let started = self.runs.get(&run).and_then(|active| active.row.run.started);
            let same = heard.rid.is_some() && started.is_some_and(|at| heard.at - at <= SENT_AGAIN);
            if heard.via == Via::Report || same {
                self.started_earlier(&run, heard.at);
                return Noted { task: id.clone(), run: Some(run), keeps_output: true };
            }
            self.end_unheard(&run, "its end was never told: it started again", None, heard.at);
        } else if let Some(row) = self.ended_before(id, heard).filter(|_| heard.via == Via::Report) {
            let run = row.run.id.clone();
            self.fill_start(id, row, heard.at, now);
            return Noted { task: id.clone(), run, keeps_output: false };
        }
        let run = self.open_run(id, heard, now);
        Noted { task: id.clone(), run, keeps_output: true }
    }

    fn heard_beat(&mut self, id: &TaskId, heard: &Heard, now: DateTime<Utc>) -> Noted {
        if let Some(run) = self.open_for(id, heard) {
            self.beat(&run, heard.at, now);
            return Noted { task: id.clone(), run: Some(run), keeps_output: true };
        }
        if let Some(row) = self.ended_before(id, heard) {
            return Noted { task: id.clone(), run: row.run.id, keeps_output: false };
        }
        // Its start was not told yet: it goes on since now at the latest.
        let run = self.open_run(id, heard, now);
        if let Some(run) = &run {
            self.beat(run, heard.at, now);
        }
        Noted { task: id.clone(), run, keeps_output: true }
    }

    fn heard_words(&mut self, id: &TaskId, heard: &Heard, now: DateTime<Utc>) -> Noted {
        if let Some(run) = self.open_for(id, heard) {
            // Words are a beat only for a task whose beats somebody counts on.
            if self.tasks.get(id).is_some_and(|e| e.definition.policy.heartbeat_timeout_s.is_some()) {
                self.beat(&run, heard.at, now);
            }
            return Noted { task: id.clone(), run: Some(run), keeps_output: true };
        }
        let last = self.ended_before(id, heard).and_then(|row| row.run.id).or_else(|| {
            let entry = self.tasks.get(id).filter(|entry| entry.definition.work == Work::Watched)?;
            entry.record.last_run.as_ref()?.id.clone()
        });
        if let (None, Some(words), Some(entry)) = (&last, &heard.words, self.tasks.get_mut(id)) {
            // There is no log that they could stand in.
            entry.record.said = Some(Said { at: heard.at, words: words.clone() });
            entry.touched = true;
        }
        Noted { task: id.clone(), keeps_output: last.is_some(), run: last }
    }

    fn heard_end(
        &mut self,
        id: &TaskId,
        heard: &Heard,
        end: (bool, Option<i32>),
        now: DateTime<Utc>,
    ) -> Noted {
        if let Some(run) = self.open_for(id, heard) {
            self.end_elsewhere(&run, heard, end, now);
            return Noted { task: id.clone(), run: Some(run), keeps_output: true };
        }
        if let Some(row) = self.ended_before(id, heard) {
            let state = if end.0 { RunState::Succeeded } else { RunState::Failed };
            let soon = row.run.ended.is_some_and(|ended| heard.at - ended <= SENT_AGAIN);
            let run = row.run.id.clone();
            if heard.via == Via::Report && row.run.state == RunState::Dead {
                self.fill_end(id, row, heard, end);
                return Noted { task: id.clone(), run, keeps_output: true };
            }
            if heard.via == Via::Report || (soon && row.run.state == state) {
                return Noted { task: id.clone(), run, keeps_output: false };
            }
        }
        let run = self.whole_run(id, heard, end, now);
        Noted { task: id.clone(), run, keeps_output: true }
    }
}

/// Runs that are carried out elsewhere, from their coming to their end.
impl Domain {
    /// A run has started, at the time of the sign.
    fn open_run(&mut self, id: &TaskId, heard: &Heard, now: DateTime<Utc>) -> Option<RunId> {
        self.give_up_lost(id, now);
        let run = self.new_run(id, heard, now)?;
        let run_id = run.id.clone()?;
        let mut active = self.come_in(id, heard, run)?;
        if heard.via == Via::Report && now - heard.at > PROMPT {
            active.excused_until = Some(now + CATCHING_UP);
        }
        let row = active.row.clone();
        self.adopt(active);
        self.note_run(&row);
        self.notice_start(id, &run_id, heard.at, now);
        Some(run_id)
    }

    /// An end without a start: all that is known is that it ran.
    fn whole_run(
        &mut self,
        id: &TaskId,
        heard: &Heard,
        end: (bool, Option<i32>),
        now: DateTime<Utc>,
    ) -> Option<RunId> {
        let run = self.new_run(id, heard, now)?;
        let run_id = run.id.clone()?;
        let mut active = self.come_in(id, heard, run)?;
        active.row.run.started = None;
        active.late_start = None;
        active.row.run.marks.clear();
        self.adopt(active);
        self.end_elsewhere(&run_id, heard, end, now);
        Some(run_id)
    }

    fn new_run(&mut self, id: &TaskId, heard: &Heard, now: DateTime<Utc>) -> Option<Run> {
        let entry = self.tasks.get_mut(id)?;
        let slot = entry.unanswered(heard.at).filter(|_| entry.definition.work == Work::Watched);
        entry.record.satisfy(slot);
        entry.touched = true;
        let mut run = Run::bare(id.clone(), RunState::Running);
        run.id = Some(self.ids.next(now));
        run.slot = slot;
        run.started = Some(heard.at);
        run.machine.clone_from(&heard.machine);
        run.cause = Some(heard.via.cause().into());
        Some(run)
    }

    fn come_in(&mut self, id: &TaskId, heard: &Heard, mut run: Run) -> Option<Active> {
        let entry = self.tasks.get_mut(id)?;
        let cause = heard.via.cause();
        entry.reason = Some(Clean::from(format!("run started ({cause})")));
        let late = run.slot.and_then(|slot| entry.late_by(slot, heard.at).map(|_| slot));
        let late = late.map(|slot| Clean::from(format!("started {} late", lapse(slot, heard.at))));
        if let Some(late) = &late {
            run.marks.push(RunMark::StartedLate);
            run.message = Some(late.clone());
            entry.reason = Some(Clean::from(format!("run started ({cause}), {late}")));
        }
        let definition = entry.definition.clone();
        let carrier = Carrier::Elsewhere { rid: heard.rid.clone() };
        Some(Active {
            row: RunRow { seq: self.take_seq(), run, carrier },
            definition,
            stopping: None,
            waiting_since: None,
            resting_since: None,
            asleep: TimeDelta::zero(),
            late_start: late,
            excused_until: None,
        })
    }

    /// Counts a start for how often the task starts.
    pub(super) fn notice_start(&mut self, id: &TaskId, run: &RunId, at: DateTime<Utc>, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get_mut(id) else { return };
        let policy = entry.definition.policy;
        entry.touched = true;
        if let Some(gap) = entry.record.start(at, &policy) {
            self.mark_run(run, &Noticed::too_often(&policy, gap, at), now);
        }
    }

    fn beat(&mut self, id: &RunId, at: DateTime<Utc>, now: DateTime<Utc>) {
        let Some(active) = self.runs.get_mut(id) else { return };
        let policy = active.definition.policy;
        let run = &mut active.row.run;
        if run.last_beat >= Some(at) {
            return;
        }
        run.last_beat = Some(at);
        // Found again: should it be lost once more, that is another loss.
        if silent_at(&policy, run) > Some(now) {
            run.marks.retain(|mark| *mark != RunMark::HeartbeatLost);
        }
        self.note_marks(id);
    }

    /// The start of an open run was told late, or was only known by a beat.
    fn started_earlier(&mut self, id: &RunId, at: DateTime<Utc>) {
        let Some(active) = self.runs.get_mut(id) else { return };
        let before = active.row.run.started;
        if before.is_none_or(|started| at >= started) {
            return;
        }
        active.row.run.started = Some(at);
        let row = active.row.clone();
        if let Some(entry) = self.tasks.get_mut(&row.run.task) {
            entry.move_start(before, at);
        }
        self.note_run(&row);
    }

    /// The end of a run was told.
    fn end_elsewhere(&mut self, id: &RunId, heard: &Heard, end: (bool, Option<i32>), now: DateTime<Utc>) {
        let (good, exit_code) = end;
        let Some(active) = self.runs.get_mut(id) else { return };
        let (definition, asleep) = (active.definition.clone(), active.asleep);
        let run = &mut active.row.run;
        let task = run.task.clone();
        let ended = run.started.map_or(heard.at, |started| started.max(heard.at));
        run.exit_code = exit_code;
        run.machine = run.machine.take().or_else(|| heard.machine.clone());
        let words = last_words(end, heard.words.clone());
        run.message = match (words, active.late_start.clone()) {
            (Some(words), Some(late)) => Some(Clean::from(format!("{words}; {late}"))),
            (words, late) => words.or(late),
        };
        let (run, whole) = (run.clone(), run.started.is_none());
        let over = overrun_at(&definition.policy, &run, asleep).filter(|at| *at <= ended);
        if let Some(at) = over.filter(|_| !run.is_marked(RunMark::Overran)) {
            self.mark_run(id, &Noticed::overrun(&definition.policy, &run, at), now);
        }
        if let Some(entry) = self.tasks.get(&task).filter(|_| definition.work == Work::Watched) {
            let passed = entry.plan.as_ref().and_then(|plan| plan.previous(ended));
            let passed = passed.filter(|slot| run.started.is_some_and(|started| *slot > started));
            let covered = passed.filter(|_| definition.overlap != Overlap::Allow);
            // One beyond the schedule that ends well shortly before a slot has done that one's work.
            let early =
                entry.unanswered(ended).filter(|slot| good && run.slot.is_none() && Some(*slot) > covered);
            self.cover_up_to(&task, covered);
            if let (Some(early), Some(active)) = (early, self.runs.get_mut(id)) {
                active.row.run.slot = Some(early);
            }
        }
        let (state, bad) =
            if good { (RunState::Succeeded, None) } else { (RunState::Failed, Some(Bad::Failed)) };
        let row = self.end_run(id, state, bad, ended);
        if let Some(row) = row {
            if whole {
                self.notice_whole(&row, ended, now);
            }
            self.recent.put(row);
        }
        self.act_on(&task, &definition, bad, now);
    }

    /// A run that is known by its end alone started then, at the latest.
    fn notice_whole(&mut self, row: &RunRow, at: DateTime<Utc>, now: DateTime<Utc>) {
        let Some(entry) = self.tasks.get_mut(&row.run.task) else { return };
        let policy = entry.definition.policy;
        if let (Some(gap), Some(id)) = (entry.record.start(at, &policy), &row.run.id) {
            let noticed = Noticed::too_often(&policy, gap, at);
            let mut row = row.clone();
            row.run.marks.push(noticed.mark);
            self.rewrite(&row);
            self.flip_run(&row.run.task, id, &noticed, now);
        }
    }

    /// Ends a run whose end nobody told. `bad`: what it counts as.
    fn end_unheard(&mut self, id: &RunId, why: &str, bad: Option<Bad>, at: DateTime<Utc>) {
        let Some(active) = self.runs.get_mut(id) else { return };
        active.row.run.message = Some(Clean::line(why));
        let (definition, task) = (active.definition.clone(), active.row.run.task.clone());
        let ended = active.row.run.started.map_or(at, |started| started.max(at));
        if let Some(row) = self.end_run(id, RunState::Dead, bad, ended) {
            self.recent.put(row);
        }
        // What it causes is not dated back.
        let now = self.latest.map_or(at, |latest| latest.max(at));
        self.act_on(&task, &definition, bad, now);
    }

    /// A new run shows that those without their heartbeat are over; and there is an end to how many may be open.
    fn give_up_lost(&mut self, id: &TaskId, now: DateTime<Utc>) {
        let elsewhere = || self.active_of(id).filter(|active| active.row.is_elsewhere());
        let lost: Vec<(RunId, DateTime<Utc>)> = elsewhere()
            .filter(|active| active.row.run.is_marked(RunMark::HeartbeatLost))
            .filter_map(|active| Some((active.row.run.id.clone()?, active.row.run.last_beat.unwrap_or(now))))
            .collect();
        let room = MAX_PENDING - 1;
        let left = elsewhere().count() - lost.len();
        let beyond: Vec<RunId> = elsewhere()
            .filter(|active| !active.row.run.is_marked(RunMark::HeartbeatLost))
            .filter_map(|active| active.row.run.id.clone())
            .take(left.saturating_sub(room))
            .collect();
        for (run, last_beat) in lost {
            self.end_unheard(
                &run,
                "its heartbeat was lost, and another run started",
                Some(Bad::Dead),
                last_beat,
            );
        }
        for run in beyond {
            let why = format!("its end was never told, and {room} runs have started since");
            self.end_unheard(&run, &why, None, now);
        }
    }

    /// Closes a run here, on somebody's word; whatever carries it out goes on.
    pub(super) fn let_go(&mut self, id: &RunId, why: &Clean, now: DateTime<Utc>) {
        let Some(active) = self.runs.get_mut(id) else { return };
        let text = format!("{why}: closed here only, its process runs elsewhere and is not touched");
        active.row.run.message = Some(Clean::from(text));
        if let Some(row) = self.end_run(id, RunState::Aborted, Some(Bad::Failed), now) {
            self.recent.put(row);
        }
    }

    /// Takes over a run that went on elsewhere while no coordinator was there:
    /// what it told meanwhile comes late, or was lost.
    pub(super) fn go_on(&mut self, mut active: Active, now: DateTime<Utc>) {
        let run = &active.row.run;
        if run.last_beat.is_some() || run.cause.as_deref() == Some(REPORT) {
            let timeout = heartbeat_timeout(&active.definition.policy);
            let beats = run.last_beat.map(|_| timeout);
            active.excused_until = Some(now + beats.max(Some(CATCHING_UP)).unwrap_or(CATCHING_UP));
        }
        self.adopt(active);
    }

    /// The start of a run that has ended is told.
    fn fill_start(&mut self, id: &TaskId, mut row: RunRow, at: DateTime<Utc>, now: DateTime<Utc>) {
        let (before, ended) = (row.run.started, row.run.ended);
        if before.or(ended).is_some_and(|known| at >= known) && before.is_some() {
            return;
        }
        let at = ended.map_or(at, |ended| at.min(ended));
        row.run.started = Some(at);
        row.run.duration_ms = ended.and_then(|ended| u64::try_from((ended - at).num_milliseconds()).ok());
        let Some(entry) = self.tasks.get_mut(id) else { return };
        entry.move_start(before.or(ended), at);
        if row.run.slot.is_none() && entry.definition.work == Work::Watched {
            row.run.slot = entry.unanswered(at);
            entry.record.satisfy(row.run.slot);
        }
        let policy = entry.definition.policy;
        if row.run.slot.is_some_and(|slot| entry.late_by(slot, at).is_some()) {
            row.run.marks.push(RunMark::StartedLate);
        }
        let over = overrun_at(&policy, &row.run, TimeDelta::zero())
            .filter(|over| ended.is_some_and(|ended| *over <= ended));
        let over = over.filter(|_| !row.run.is_marked(RunMark::Overran));
        if let (Some(over), Some(run)) = (over, row.run.id.clone()) {
            let noticed = Noticed::overrun(&policy, &row.run, over);
            row.run.marks.push(noticed.mark);
            self.flip_run(id, &run, &noticed, now);
        }
        self.rewrite(&row);
    }

    /// The end of a run that was given up is told after all.
    fn fill_end(&mut self, id: &TaskId, mut row: RunRow, heard: &Heard, end: (bool, Option<i32>)) {
        let run = &mut row.run;
        let ended = run.started.map_or(heard.at, |started| started.max(heard.at));
        run.state = if end.0 { RunState::Succeeded } else { RunState::Failed };
        run.exit_code = end.1;
        run.ended = Some(ended);
        run.duration_ms = run.started.and_then(|at| u64::try_from((ended - at).num_milliseconds()).ok());
        run.message = last_words(end, heard.words.clone());
        let bad = (!end.0).then_some(Bad::Failed);
        if let Some(entry) = self.tasks.get_mut(id)
            && entry.record.facts.last_end.is_none_or(|last| last <= ended)
        {
            let policy = entry.definition.policy;
            entry.record.count(bad, &policy, ended);
            entry.record.last_run = Some(Box::new(row.run.clone()));
            entry.touched = true;
        }
        self.rewrite(&row);
    }

    /// Writes a run that has ended once more.
    fn rewrite(&mut self, row: &RunRow) {
        if let Some(entry) = self.tasks.get_mut(&row.run.task) {
            if entry.record.last_run.as_ref().is_some_and(|last| last.id == row.run.id) {
                entry.record.last_run = Some(Box::new(row.run.clone()));
            }
            entry.touched = true;
        }
        self.recent.put(row.clone());
        self.note_run(row);
    }
}

impl Entry {
    /// A start that was thought to be at `from` was earlier.
    fn move_start(&mut self, from: Option<DateTime<Utc>>, to: DateTime<Utc>) {
        let facts = &mut self.record.facts;
        if facts.last_start.is_some() && facts.last_start == from {
            facts.last_start = Some(to).max(facts.previous_start);
        } else if facts.previous_start.is_some() && facts.previous_start == from {
            facts.previous_start = Some(to);
        }
        self.touched = true;
    }
}

/// How it ended, in one line.
fn last_words((good, exit_code): (bool, Option<i32>), words: Option<Clean>) -> Option<Clean> {
    let how = match exit_code {
        _ if good => None,
        Some(code) => Some(format!("exit code {code}")),
        None => Some("told as failed".to_owned()),
    };
    match (how, words) {
        (Some(how), Some(words)) => Some(Clean::from(format!("{how}: {words}"))),
        (how, words) => how.map(Clean::from).or(words),
    }
}
