mod added;
mod after;
mod calls;
mod clock;
mod failing;
mod graph;
mod handling;
mod machines;
mod model;
mod moments;
mod rest;
mod runs;
mod slots;
mod watching;

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{AlertKind, Dialect, Flip, Priority, Schedule, TaskState, Timing, Verb};

pub(super) fn at(text: &str) -> DateTime<Utc> {
    format!("2026-03-02T{text}Z").parse().unwrap()
}

fn work() -> Work {
    Work::Command(CommandSpec { argv: vec!["true".to_owned()], env: BTreeMap::new(), cwd: None })
}

pub(super) fn every(id: &str, seconds: u32) -> Definition {
    let schedule = Schedule { timing: Timing::Every { seconds }, zone: "UTC".into(), assumed: false };
    Definition { schedule: Some(schedule), ..Definition::new(id, work()) }
}

fn cron(id: &str, expression: &str) -> Definition {
    let timing = Timing::Cron { expression: expression.into(), dialect: Dialect::Unix };
    let schedule = Schedule { timing, zone: "UTC".into(), assumed: false };
    Definition { schedule: Some(schedule), ..Definition::new(id, work()) }
}

pub(super) fn on_demand(id: &str) -> Definition {
    Definition::new(id, work())
}

/// A domain, with a disk that only remembers, and that checks every row.
pub(super) struct Bench {
    pub(super) domain: Domain,
    pub(super) now: DateTime<Utc>,
    pub(super) rows: BTreeMap<u64, Run>,
    pub(super) carriers: BTreeMap<u64, Carrier>,
    pub(super) flips: Vec<Flip>,
    pub(super) open: BTreeMap<AlertKey, Alert>,
    pub(super) started: Vec<(RunId, u32)>,
    pub(super) stopped: Vec<RunId>,
    pub(super) probed: Vec<String>,
    pub(super) asked: Vec<RunId>,
    pub(super) ended_there: Vec<RunId>,
    pub(super) records: BTreeMap<TaskId, Remembered>,
    pub(super) stopping: BTreeMap<RunId, Stop>,
    pub(super) silences: BTreeMap<String, Silence>,
}

use crate::model::Run;

impl Bench {
    pub(super) fn new(definitions: Vec<Definition>, now: DateTime<Utc>) -> Self {
        Self::restarted(definitions, now, Loaded::default(), true)
    }

    pub(super) fn restarted(
        definitions: Vec<Definition>,
        now: DateTime<Utc>,
        loaded: Loaded,
        scheduling: bool,
    ) -> Self {
        let carriers = loaded.runs.iter().map(|row| (row.seq, row.carrier.clone())).collect();
        let rows = loaded.runs.iter().map(|row| (row.seq, row.run.clone())).collect();
        let open = loaded.alerts.iter().map(|alert| (alert.key(), alert.clone())).collect();
        let records = loaded.tasks.clone();
        let stopping = loaded.stopping.clone();
        let silences = loaded.silences.iter().map(|silence| (silence.id.clone(), silence.clone())).collect();
        // Each start has a seed of its own, so that no id comes twice.
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&u64::from_le_bytes([1; 8]).wrapping_add(loaded.last_seq).to_le_bytes());
        let mut domain = Domain::new(seed, scheduling);
        domain.load(loaded, definitions, Limits { coordinator: 2, ..Limits::default() }, now);
        let mut bench = Self {
            domain,
            now,
            rows,
            carriers,
            flips: Vec::new(),
            open,
            started: Vec::new(),
            stopped: Vec::new(),
            probed: Vec::new(),
            asked: Vec::new(),
            ended_there: Vec::new(),
            records,
            stopping,
            silences,
        };
        bench.settle();
        bench
    }

    /// What a coordinator that is killed now leaves.
    pub(super) fn left(&self) -> Loaded {
        let runs = self.rows.iter().filter(|(_, run)| !run.state.is_ended());
        Loaded {
            stopping: self.stopping.clone(),
            fates: BTreeMap::new(),
            tasks: self.records.clone(),
            runs: runs
                .map(|(seq, run)| RunRow {
                    seq: *seq,
                    run: run.clone(),
                    carrier: self.carriers.get(seq).cloned().unwrap_or_default(),
                })
                .collect(),
            alerts: self.open.values().cloned().collect(),
            silences: self.silences.values().cloned().collect(),
            last_seq: self.rows.keys().max().copied().unwrap_or(0),
            restored: None,
        }
    }

    pub(super) fn settle(&mut self) -> Batch {
        let batch = self.domain.settle(self.now);
        for write in &batch.writes {
            match write {
                Write::Run(row) => {
                    let before = self.rows.insert(row.seq, row.run.clone()).map(|run| run.state);
                    assert!(legal(before, row.run.state), "{before:?} to {:?}", row.run.state);
                    assert_eq!(row.run.state.is_ended(), row.run.ended.is_some());
                    self.carriers.insert(row.seq, row.carrier.clone());
                }
                Write::Flip(flip) => {
                    assert!(flip.old != flip.new || flip.problem.is_some());
                    assert!(flip.computed <= flip.noticed);
                    self.flips.push(flip.clone());
                }
                Write::AlertOpened(alert) => assert!(self.open.insert(alert.key(), alert.clone()).is_none()),
                Write::AlertChanged(alert) => assert!(self.open.insert(alert.key(), alert.clone()).is_some()),
                Write::AlertClosed(key, _) => assert!(self.open.remove(key).is_some()),
                Write::Task { id, record, schedule, blackout, policy, paused } => {
                    let known = Remembered {
                        record: record.clone(),
                        schedule: schedule.clone(),
                        blackout: blackout.clone(),
                        policy: *policy,
                        defined: true,
                        paused: *paused,
                    };
                    self.records.insert(id.clone(), known);
                }
                Write::Noted { run, last_beat, marks } => {
                    let row = self.rows.values_mut().find(|row| row.id.as_ref() == Some(run)).unwrap();
                    row.last_beat = *last_beat;
                    row.marks.clone_from(marks);
                }
                Write::Stopping(run, stop) => drop(self.stopping.insert(run.clone(), stop.clone())),
                Write::Silence(silence) => {
                    drop(self.silences.insert(silence.id.clone(), (**silence).clone()));
                }
                Write::SilenceEnded(id) => assert!(self.silences.remove(id).is_some()),
                Write::TaskGone(id) => self.records.get_mut(id).unwrap().defined = false,
                _ => {}
            }
        }
        for effect in &batch.effects {
            match effect {
                Effect::Start { run, attempt, .. } => self.started.push((run.clone(), *attempt)),
                Effect::Stop(run) => self.stopped.push(run.clone()),
                Effect::Probe(machine) => self.probed.push(machine.name.to_string()),
                Effect::Ask { run, .. } => self.asked.push(run.clone()),
                Effect::EndThere { run, .. } => self.ended_there.push(run.clone()),
            }
        }
        assert!(self.domain.next_wake().is_none_or(|wake| wake > self.now));
        batch
    }

    /// Lets time pass up to `to`, looking whenever something is due.
    pub(super) fn until(&mut self, to: DateTime<Utc>) {
        while let Some(wake) = self.domain.next_wake().filter(|wake| *wake <= to) {
            self.now = wake;
            self.settle();
        }
        self.now = to;
        self.settle();
    }

    pub(super) fn finish(&mut self, run: &RunId, good: bool) {
        let message = Some(if good { "fine".into() } else { "exit code 1".into() });
        self.domain.finished(
            run,
            Outcome { good, exit_code: Some(i32::from(!good)), message, ..Outcome::default() },
            self.now,
        );
        self.settle();
    }

    pub(super) fn trigger(&mut self, task: &str) -> RunId {
        let run = self.domain.trigger(&TaskId::new(task), None, self.now).unwrap();
        self.settle();
        run
    }

    pub(super) fn run(&self, id: &RunId) -> &Run {
        self.rows.values().find(|run| run.id.as_ref() == Some(id)).unwrap()
    }

    pub(super) fn of(&self, task: &str) -> Vec<&Run> {
        self.rows.values().filter(|run| run.task.as_raw() == task).collect()
    }

    pub(super) fn state(&self, task: &str) -> TaskState {
        self.task(task).state.unwrap()
    }

    pub(super) fn task(&self, task: &str) -> &Task {
        self.domain.told().find(|told| told.id.as_raw() == task).unwrap()
    }

    pub(super) fn running(&self) -> Vec<RunId> {
        self.domain.running().filter_map(|active| active.row.run.id.clone()).collect()
    }

    pub(super) fn alerts(&self) -> Vec<AlertKind> {
        self.open.keys().map(|key| key.kind).collect()
    }
}
