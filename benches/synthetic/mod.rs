//! Fleets of any size with something of everything, the same each time.

use chrono::{DateTime, TimeDelta, Utc};
use vigie::fleet::Fleet;
use vigie::model::{
    Capabilities, Dialect, EndpointName, EndpointSpec, Kind, Part, Priority, Run, RunId, RunState, Schedule,
    Snapshot, Task, TaskId, TaskState, Timing,
};

/// Tasks per endpoint.
const PER_ENDPOINT: usize = 5_000;

pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_899_660, 0).unwrap_or_default()
}

/// The names of the endpoints that hold `tasks` tasks.
pub fn endpoints(tasks: usize) -> Vec<EndpointName> {
    (0..tasks.div_ceil(PER_ENDPOINT)).map(|n| EndpointName::new(&format!("site-{n:02}"))).collect()
}

fn task(n: usize) -> Task {
    let id = TaskId::new(&format!("job-{n:06}"));
    let state = match n % 100 {
        0 => TaskState::Failing,
        1 => TaskState::Late,
        2 => TaskState::Paused,
        _ => TaskState::Healthy,
    };
    let seconds = |n: usize| TimeDelta::seconds(i64::try_from(n).unwrap_or(0));
    let mut run = Run::bare(
        id.clone(),
        if state == TaskState::Failing { RunState::Failed } else { RunState::Succeeded },
    );
    run.id = Some(RunId::new(&format!("run-{n:06}")));
    run.started = Some(now() - seconds(60 + n % 3_000));
    run.ended = Some(now() - seconds(50 + n % 3_000));
    run.duration_ms = Some(10_000);
    let timing = Timing::Cron { expression: "*/10 * * * *".into(), dialect: Dialect::Unix };
    let capabilities = Capabilities::by(|_| None);
    Task {
        state: Some(state),
        paused: state == TaskState::Paused,
        priority: Some(Priority::default()),
        team: Some(["data", "web", "ops"][n % 3].into()),
        schedule: Some(Schedule { timing, zone: "UTC".into(), assumed: false }),
        next_due: Some(now() + seconds(30 + n % 86_000)),
        last_run: Some(run),
        ..Task::bare(id, format!("sync-repository-{n:06}").as_str().into(), capabilities)
    }
}

/// The whole answer of the endpoint number `endpoint`.
pub fn snapshot(endpoint: usize, tasks: usize) -> Snapshot {
    let first = endpoint * PER_ENDPOINT;
    let items = (first..tasks.min(first + PER_ENDPOINT)).map(task).collect();
    Snapshot { tasks: Part::complete(items), ..Snapshot::unchanged(now(), 12) }
}

/// A fleet of `tasks` tasks, every endpoint read just now.
pub fn fleet(tasks: usize) -> Fleet {
    let mut fleet = Fleet::default();
    let names = endpoints(tasks);
    let specs: Vec<EndpointSpec> =
        names.iter().map(|name| EndpointSpec::new(name.clone(), Kind::Vigie, None)).collect();
    fleet.configure(&specs, now());
    for (index, name) in names.iter().enumerate() {
        fleet.apply(name, snapshot(index, tasks), now());
    }
    fleet
}
