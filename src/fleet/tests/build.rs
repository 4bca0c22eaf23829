//! Small fleets for tests.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::fleet::{Failure, Fleet};
use crate::model::{
    Capabilities, EndpointName, EndpointSpec, Facts, Health, Kind, Part, Run, RunId, RunState, Schedule,
    Snapshot, Task, TaskId, TaskKey, TaskState, Timing,
};

/// 2026-01-20 09:00:00 UTC plus so many seconds.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_899_600, 0).unwrap() + TimeDelta::seconds(seconds)
}

pub fn name(text: &str) -> EndpointName {
    EndpointName::new(text)
}

pub fn key(endpoint: &str, task: &str) -> TaskKey {
    TaskKey::new(&name(endpoint), &TaskId::new(task))
}

/// Polled every 5 s with a timeout of 10 s.
pub fn spec(endpoint: &str) -> EndpointSpec {
    let mut spec = EndpointSpec::new(name(endpoint), Kind::Vigie, None);
    spec.poll = Duration::from_secs(5);
    spec.timeout = Duration::from_secs(10);
    spec
}

/// A fleet of these endpoints at second 0, connecting.
pub fn fleet(endpoints: &[&str]) -> Fleet {
    let mut fleet = Fleet::default();
    let specs: Vec<EndpointSpec> = endpoints.iter().map(|endpoint| spec(endpoint)).collect();
    fleet.configure(&specs, at(0));
    fleet
}

/// A task that its system calls healthy.
pub fn task(id: &str) -> Task {
    let capabilities = Capabilities::by(|_| None);
    Task { state: Some(TaskState::Healthy), ..Task::bare(TaskId::new(id), id.into(), capabilities) }
}

/// Every ten minutes: slots at second 0, 600, 1200, … of the tests' time.
pub fn every_ten_minutes() -> Schedule {
    Schedule { timing: Timing::Every { seconds: 600 }, zone: "UTC".into(), assumed: false }
}

/// A task that is judged here: due every ten minutes, last run at second 0 for 5 s.
pub fn judged(id: &str) -> Task {
    let mut task = task(id);
    task.state = None;
    task.schedule = Some(every_ten_minutes());
    task.facts = Some(Box::new(Facts {
        since: Some(at(-3_600)),
        satisfied: Some(at(0)),
        last_start: Some(at(0)),
        last_end: Some(at(5)),
        good_streak: 1,
        ..Facts::default()
    }));
    task
}

/// A run with an id; ended ones took 2 s.
pub fn run(task: &str, id: &str, state: RunState, started: i64) -> Run {
    let mut run = Run::bare(TaskId::new(task), state);
    run.id = Some(RunId::new(id));
    run.started = Some(at(started));
    if state.is_ended() {
        run.ended = Some(at(started + 2));
        run.duration_ms = Some(2_000);
    }
    run
}

/// All tasks of an endpoint, read at `seconds`.
pub fn poll(seconds: i64, tasks: Vec<Task>) -> Snapshot {
    Snapshot { tasks: Part::complete(tasks), ..Snapshot::unchanged(at(seconds), 3) }
}

/// The first failed poll.
pub fn refused(seconds: i64) -> Failure {
    Failure { health: Health::Down, reason: "connection refused".into(), tries: 1, next_try: at(seconds + 5) }
}
