//! Tasks of the API, work that is submitted once, and putting away.

use super::*;
use crate::model::TaskSource;

fn submit(bench: &mut Bench, stem: &str) -> (TaskId, RunId) {
    let run = bench.domain.submit(on_demand("one-off"), stem, "{}", bench.now).unwrap();
    bench.settle();
    (bench.run(&run).task.clone(), run)
}

#[test]
fn what_is_submitted_once_ends_as_a_task_and_goes_after_the_retention() {
    let mut bench = Bench::new(vec![on_demand("a")], at("10:00:00"));
    let (task, run) = submit(&mut bench, "Pg dump: Shop!");
    let (stem, digits) = task.as_raw().rsplit_once('-').unwrap();
    assert_eq!(stem, "pg-dump--shop");
    assert!(digits.len() == 6 && digits.chars().all(|c| c.is_ascii_hexdigit()), "{digits}");
    assert_eq!(bench.task(task.as_raw()).class.as_deref(), Some("one-off"));
    bench.finish(&run, true);
    assert_eq!(bench.state(task.as_raw()), TaskState::Healthy);
    let (other, run) = submit(&mut bench, "");
    assert!(other.as_raw().starts_with("task-"), "{other}");
    bench.until(at("12:00:00"));
    bench.finish(&run, false);
    assert_eq!(bench.state(other.as_raw()), TaskState::Failing);
    // Another file takes nothing of it away.
    bench.domain.replace(vec![on_demand("b")], Limits::default(), bench.now);
    let ids: Vec<&str> = bench.domain.order.iter().map(TaskId::as_raw).collect();
    assert_eq!(ids, ["b", task.as_raw(), other.as_raw()]);
    assert_eq!(bench.domain.retire_one_offs(at("11:00:00"), bench.now), 1);
    let batch = bench.settle();
    assert!(batch.tasks_gone.contains(&task) && !batch.tasks_gone.contains(&other));
    assert!(batch.writes.contains(&Write::Undefined(task.clone())));
    // What has not ended stays, however old.
    let (_, _) = submit(&mut bench, "x");
    assert_eq!(bench.domain.retire_one_offs(at("23:00:00"), bench.now), 1);
    bench.settle();
    assert!(bench.open.is_empty(), "what went takes its alerts along");
}

#[test]
fn putting_away_needs_a_task_of_the_api_that_does_not_run() {
    let me: Clean = "me".into();
    let mut bench = Bench::new(vec![on_demand("a"), on_demand("b")], at("10:00:01"));
    let id = TaskId::new("nightly");
    let nightly = every("nightly", 3_600);
    bench.domain.define(nightly.clone(), "{}", false, bench.now).unwrap();
    bench.settle();
    assert_eq!(bench.task("nightly").source, Some(TaskSource::Api));
    let refusal = |bench: &Bench, task: &str| bench.task(task).capabilities.refusal(Verb::Archive).cloned();
    assert!(refusal(&bench, "a").unwrap().contains("tasks.toml"));
    assert_eq!(refusal(&bench, "nightly"), None);
    assert!(bench.domain.archive(&TaskId::new("a"), &me, bench.now).is_err());
    let first = bench.trigger("nightly");
    let second = bench.trigger("nightly");
    assert!(refusal(&bench, "nightly").unwrap().contains("in progress"));
    assert!(bench.domain.archive(&id, &me, bench.now).is_err());
    bench.domain.cancel(&second, &me, bench.now).unwrap();
    bench.settle();
    bench.finish(&first, false);
    assert_eq!(bench.alerts(), [AlertKind::Failed]);
    bench.domain.archive(&id, &me, bench.now).unwrap();
    bench.settle();
    // Nothing of it is due, late or open; it survives restarts so.
    bench.until(at("15:00:00"));
    assert_eq!((bench.state("nightly"), bench.of("nightly").len()), (TaskState::Archived, 2));
    assert!(bench.open.is_empty() && bench.task("nightly").archived && !bench.task("nightly").paused);
    let added = Definition { source: TaskSource::Api, ..nightly.clone() };
    let mut bench = Bench::restarted(vec![on_demand("a"), added], at("16:30:00"), bench.left(), true);
    assert_eq!(bench.state("nightly"), TaskState::Archived);
    bench.domain.resume(&id, &me, bench.now).unwrap();
    bench.until(at("17:00:00"));
    assert_eq!(bench.state("nightly"), TaskState::Running);
    // A new definition takes one back too.
    let run = bench.running().remove(0);
    bench.finish(&run, true);
    bench.until(at("17:00:01"));
    bench.domain.archive(&id, &me, bench.now).unwrap();
    bench.domain.define(every("nightly", 1_800), "{}", true, bench.now).unwrap();
    bench.settle();
    assert_eq!(
        (bench.state("nightly"), bench.task("nightly").next_due),
        (TaskState::Healthy, Some(at("17:30:00")))
    );
}

#[test]
fn what_others_name_stays_and_circles_are_refused() {
    let mut bench = Bench::new(vec![on_demand("a")], at("10:00:00"));
    let after = |id: &str, named: &str| Definition { after: vec![TaskId::new(named)], ..on_demand(id) };
    bench.domain.define(after("b", "a"), "{}", false, bench.now).unwrap();
    bench.domain.define(after("c", "b"), "{}", false, bench.now).unwrap();
    let refused = bench.domain.remove(&TaskId::new("b"), bench.now).unwrap_err();
    assert_eq!(refused, Refused::Conflict("c names it in its after: change that first".into()));
    let Err(Refused::Invalid(flaws)) = bench.domain.define(after("b", "c"), "{}", true, bench.now) else {
        panic!()
    };
    assert_eq!(flaws[0].field, "after");
    assert!(flaws[0].detail.contains("in a circle") && flaws[0].detail.contains("c -> b -> c"), "{flaws:?}");
    bench.settle();
    let run = bench.trigger("a");
    bench.finish(&run, true);
    let b = bench.running().remove(0);
    bench.finish(&b, true);
    assert_eq!(bench.of("c")[0].cause.as_deref(), Some("after b"));
    // The file may take its own away: who waits for it says so.
    bench.domain.replace(Vec::new(), Limits::default(), bench.now);
    bench.domain.doubt_everything();
    bench.settle();
    assert!(bench.task("b").remarks.iter().any(|remark| remark.contains("a (there is no such task)")));
    bench.domain.remove(&TaskId::new("c"), bench.now).unwrap();
    bench.domain.remove(&TaskId::new("b"), bench.now).unwrap();
    bench.settle();
    assert!(bench.domain.order.is_empty());
}
