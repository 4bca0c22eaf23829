//! What knowing a large fleet costs: reading an answer, applying it, filtering.

mod synthetic;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use vigie::fleet::{Fleet, TaskList};
use vigie::model::{Part, Snapshot};
use vigie::wire::Tasks;

const TASKS: usize = 100_000;

/// Polls that bring nothing new: one endpoint's 5 000 tasks, told again.
fn apply(criterion: &mut Criterion) {
    let mut fleet = synthetic::fleet(TASKS);
    let names = synthetic::endpoints(TASKS);
    let same = synthetic::snapshot(0, TASKS);
    let mut group = criterion.benchmark_group("apply");
    group.bench_function("unchanged-5000-of-100000", |bench| {
        bench.iter_batched(
            || same.clone(),
            |snapshot| fleet.apply(&names[0], snapshot, synthetic::now()),
            BatchSize::LargeInput,
        );
    });
    let nothing = Snapshot::unchanged(synthetic::now(), 12);
    group.bench_function("nothing-told", |bench| {
        bench.iter(|| fleet.apply(&names[0], nothing.clone(), synthetic::now()));
    });
    group.finish();
}

/// A filter typed over every task, and taken away.
fn filter(criterion: &mut Criterion) {
    let fleet = synthetic::fleet(TASKS);
    let mut list = TaskList::default();
    list.rebuild(&fleet, synthetic::now());
    let mut group = criterion.benchmark_group("filter-100000");
    for (what, text) in
        [("state", "state:late,failing"), ("words", "sync 0991"), ("regex", "/9{2}1$/"), ("all", "sync")]
    {
        group.bench_function(what, |bench| {
            bench.iter_batched_ref(
                || list.clone(),
                |list| list.set_filter(black_box(text), synthetic::now()),
                BatchSize::LargeInput,
            );
        });
    }
    let mut narrow = list.clone();
    if narrow.set_filter("state:late,failing", synthetic::now()).is_ok() {
        group.bench_function("clear", |bench| {
            bench.iter_batched_ref(
                || narrow.clone(),
                |list| list.set_filter("", synthetic::now()),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn parse(bytes: &[u8]) -> Option<Tasks> {
    serde_json::from_slice(bytes).ok()
}

/// A full poll from bytes to rows, beside what reading the bytes alone takes.
fn ingest(criterion: &mut Criterion) {
    const ROWS: usize = 5_000;
    let tasks = synthetic::snapshot(0, ROWS).tasks.items;
    let answer = Tasks {
        cursor: "1".to_owned(),
        now: synthetic::now(),
        tasks,
        queues: Vec::new(),
        alerts: Vec::new(),
        runs: Vec::new(),
        file_problems: Vec::new(),
        you: None,
    };
    let Ok(bytes) = serde_json::to_vec(&answer) else { return };
    let names = synthetic::endpoints(ROWS);
    let apply = |fleet: &mut Fleet, answer: Tasks| {
        let base = Snapshot::unchanged(answer.now, 12);
        let snapshot = Snapshot { tasks: Part::complete(answer.tasks), ..base };
        fleet.apply(&names[0], snapshot, synthetic::now())
    };
    let mut group = criterion.benchmark_group("ingest-5000");
    group.throughput(Throughput::Bytes(u64::try_from(bytes.len()).unwrap_or(0)));
    group.bench_function("serde_json-alone", |bench| bench.iter(|| parse(black_box(&bytes))));
    let mut known = synthetic::fleet(ROWS);
    group.bench_function("same-again", |bench| {
        bench.iter(|| parse(black_box(&bytes)).map(|answer| apply(&mut known, answer)));
    });
    let specs = synthetic::fleet(ROWS).endpoints().map(|row| row.spec.clone()).collect::<Vec<_>>();
    group.bench_function("first", |bench| {
        bench.iter_batched_ref(
            || {
                let mut fleet = Fleet::default();
                fleet.configure(&specs, synthetic::now());
                fleet
            },
            |fleet| parse(black_box(&bytes)).map(|answer| apply(fleet, answer)),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    apply(&mut criterion);
    filter(&mut criterion);
    ingest(&mut criterion);
    criterion.final_summary();
}
