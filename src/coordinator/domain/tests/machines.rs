//! Machines: asked, down, cut off.

use super::*;

fn on_machine(id: &str, machine: &str) -> Definition {
    Definition { machine: Some(machine.into()), ..on_demand(id) }
}

impl Bench {
    fn answer(&mut self, machine: &str, answer: Result<(), &str>) {
        self.domain.machine_answered(machine, answer.map_err(Clean::line), self.now);
        self.settle();
    }

    fn machine(&self, name: &str) -> crate::wire::Machine {
        self.domain.told_machines().into_iter().find(|machine| machine.name == name).unwrap()
    }

    fn cut(&mut self, run: &RunId) {
        let message = Some("exit code 255: Broken pipe".into());
        let outcome = Outcome { exit_code: Some(255), message, cut: true, ..Outcome::default() };
        self.domain.finished(run, outcome, self.now);
        self.settle();
    }

    fn learn(&mut self, run: &RunId, told: Whereabouts) {
        self.domain.told_of(run, told, self.now);
        self.settle();
    }
}

#[test]
fn a_machine_is_asked_before_a_run_starts_there_and_one_that_is_down_holds_up_its_own_runs() {
    use crate::wire::MachineHealth::{Reachable, Unknown, Unreachable};
    let mut bench = Bench::new(vec![on_machine("a", "db-1"), on_demand("b")], at("10:00:00"));
    assert_eq!(bench.machine("db-1").health, Unknown);
    let a = bench.trigger("a");
    assert_eq!((bench.run(&a).state, bench.probed.as_slice()), (RunState::Queued, &["db-1".to_owned()][..]));
    assert_eq!(bench.run(&a).machine.as_deref(), Some("db-1"));
    bench.answer("db-1", Err("it refuses connections"));
    let told = bench.machine("db-1");
    assert_eq!((told.health, told.since, told.depth), (Unreachable, Some(at("10:00:00")), 1));
    assert_eq!(told.oldest_by_priority, [None, None, Some(at("10:00:00")), None, None]);
    let remark = &bench.task("a").remarks[0];
    assert_eq!(
        remark.as_str(),
        "db-1 can't be reached since 2026-03-02 10:00 UTC, and its runs wait: it refuses connections"
    );
    // Others do not wait.
    let b = bench.trigger("b");
    assert_eq!(bench.run(&b).state, RunState::Running);
    assert_eq!((bench.machine(HERE).running, bench.machine(HERE).health), (1, Reachable));
    // Asked again after a pause that grows, and never in a storm.
    let mut times = Vec::new();
    while times.len() < 12 {
        let wake = bench.domain.next_wake().unwrap();
        bench.until(wake);
        if bench.probed.len() > 1 + times.len() {
            times.push(bench.now);
            bench.answer("db-1", Err("it refuses connections"));
        }
    }
    let pauses: Vec<i64> = times.windows(2).map(|pair| (pair[1] - pair[0]).num_seconds()).collect();
    assert!(pauses.first() < Some(&5) && pauses.iter().all(|pause| (1..=300).contains(pause)), "{pauses:?}");
    assert!(pauses.last() >= Some(&150), "{pauses:?}");
    assert_eq!(bench.alerts(), [AlertKind::QueueStalled]);
    let summary = bench.open.values().next().unwrap().summary.clone();
    assert!(summary.contains("db-1 can't be reached"), "{summary}");
    // It never started, so nothing of it has failed.
    assert_eq!((bench.run(&a).state, bench.run(&a).attempt), (RunState::Queued, 0));
    let wake = bench.domain.next_wake().unwrap();
    bench.until(wake + TimeDelta::minutes(5));
    bench.answer("db-1", Ok(()));
    assert_eq!(bench.run(&a).state, RunState::Running);
    assert_eq!((bench.machine("db-1").health, bench.machine("db-1").running), (Reachable, 1));
    assert!(bench.open.is_empty() && bench.task("a").remarks.is_empty());
}

#[test]
fn a_machine_that_has_answered_is_not_asked_before_every_run() {
    let mut bench = Bench::new(vec![on_machine("a", "db-1")], at("10:00:00"));
    let first = bench.trigger("a");
    bench.answer("db-1", Ok(()));
    bench.finish(&first, true);
    bench.until(at("10:00:20"));
    let second = bench.trigger("a");
    assert_eq!((bench.run(&second).state, bench.probed.len()), (RunState::Running, 1));
    bench.finish(&second, true);
    bench.until(at("10:02:00"));
    assert_eq!(bench.probed.len(), 1, "nothing is asked for which there is no work");
    let third = bench.trigger("a");
    assert_eq!((bench.run(&third).state, bench.probed.len()), (RunState::Queued, 2));
}

#[test]
fn a_machine_that_is_switched_off_starts_nothing_and_is_not_asked() {
    let mut bench = Bench::new(vec![on_machine("a", "db-1")], at("10:00:00"));
    let off = |enabled| {
        BTreeMap::from([("db-1".to_owned(), MachineSpec { enabled, ..MachineSpec::named("db-1") })])
    };
    bench.domain.set_machines(off(false));
    let run = bench.trigger("a");
    assert!(bench.probed.is_empty());
    assert!(bench.task("a").remarks[0].contains("switched off"));
    assert_eq!(bench.machine("db-1").health, crate::wire::MachineHealth::Off);
    bench.domain.set_machines(off(true));
    bench.settle();
    bench.answer("db-1", Ok(()));
    assert_eq!(bench.run(&run).state, RunState::Running);
}

#[test]
fn a_run_whose_connection_was_cut_is_asked_about() {
    let retry = RetryRule { count: 1, delay: Duration::from_secs(5), ..RetryRule::default() };
    let mut bench = Bench::new(vec![Definition { retry, ..on_machine("a", "db-1") }], at("10:00:00"));
    let start = |bench: &mut Bench| {
        let run = bench.trigger("a");
        bench.answer("db-1", Ok(()));
        assert_eq!(bench.run(&run).state, RunState::Running);
        bench.cut(&run);
        bench.answer("db-1", Ok(()));
        assert_eq!(bench.asked.last(), Some(&run));
        run
    };
    // The command's own 255.
    let run = start(&mut bench);
    bench.learn(&run, Whereabouts::Ended(255));
    let ended = bench.run(&run);
    assert_eq!(ended.attempt, 1, "it failed, and is tried again");
    bench.domain.cancel(&run, &"x".into(), bench.now).unwrap();
    bench.settle();
    // It went on there, and ended well.
    let run = start(&mut bench);
    bench.learn(&run, Whereabouts::Running);
    assert_eq!(bench.run(&run).state, RunState::Running);
    let asked = bench.asked.len();
    bench.until(bench.now + TimeDelta::seconds(2));
    assert_eq!(bench.asked.len(), asked + 1);
    bench.learn(&run, Whereabouts::Ended(0));
    assert_eq!((bench.run(&run).state, bench.run(&run).exit_code), (RunState::Succeeded, Some(0)));
    assert!(bench.run(&run).message.as_deref().unwrap().contains("was lost meanwhile"));
    // It never started: it waits again, and has not failed.
    let run = start(&mut bench);
    bench.learn(&run, Whereabouts::NeverStarted);
    assert_eq!((bench.run(&run).state, bench.run(&run).attempt), (RunState::Queued, 0));
    assert!(bench.run(&run).started.is_none());
    bench.until(bench.now + TimeDelta::seconds(10));
    bench.answer("db-1", Ok(()));
    assert_eq!(bench.run(&run).state, RunState::Running);
    bench.finish(&run, true);
    // It is gone: that may be tried again.
    let run = start(&mut bench);
    bench.learn(&run, Whereabouts::Gone);
    assert_eq!((bench.run(&run).state, bench.run(&run).attempt), (RunState::Queued, 1));
}

#[test]
fn a_run_is_asked_about_where_it_was_started_though_its_task_is_on_another_machine_by_now() {
    for now_on in [Some("db-2"), None] {
        let mut bench = Bench::new(vec![on_machine("a", "db-1"), on_demand("b")], at("10:00:00"));
        let run = bench.trigger("a");
        bench.answer("db-1", Ok(()));
        assert_eq!(bench.run(&run).state, RunState::Running);
        let elsewhere = Definition { machine: now_on.map(Clean::line), ..on_demand("a") };
        let mut loaded = bench.left();
        let cut = Outcome { exit_code: Some(255), cut: true, ..Outcome::default() };
        loaded.fates.insert(run.clone(), Fate::Ended(cut));
        let mut bench = Bench::restarted(vec![elsewhere, on_demand("b")], at("10:00:10"), loaded, true);
        assert_eq!(bench.probed, ["db-1"], "{now_on:?}");
        bench.answer("db-1", Ok(()));
        assert_eq!(bench.asked, std::slice::from_ref(&run));
        bench.learn(&run, Whereabouts::Ended(0));
        assert_eq!(bench.run(&run).state, RunState::Succeeded, "{now_on:?}");
        // The next one is where the task is now.
        let next = bench.trigger("a");
        assert_eq!(bench.run(&next).machine.as_deref(), now_on);
    }
}

#[test]
fn what_waits_is_told_where_it_will_run() {
    let mut bench = Bench::new(vec![on_machine("a", "db-1")], at("10:00:00"));
    let run = bench.trigger("a");
    bench.domain.replace(vec![on_machine("a", "db-2")], Limits::default(), bench.now);
    bench.settle();
    bench.answer("db-2", Ok(()));
    assert_eq!(
        (bench.run(&run).state, bench.run(&run).machine.as_deref()),
        (RunState::Running, Some("db-2"))
    );
}

#[test]
fn a_run_that_may_still_run_there_is_dead_and_never_started_again_by_itself() {
    let retry = RetryRule { count: 3, ..RetryRule::default() };
    let mut bench = Bench::new(vec![Definition { retry, ..on_machine("a", "db-1") }], at("10:00:00"));
    let run = bench.trigger("a");
    bench.answer("db-1", Ok(()));
    bench.cut(&run);
    while bench.run(&run).state == RunState::Running {
        assert!(bench.now < at("10:11:00"));
        bench.answer("db-1", Err("it does not answer"));
        let wake = bench.domain.next_wake().unwrap();
        bench.until(wake);
    }
    assert_eq!(bench.now, at("10:10:00"));
    assert_eq!((bench.run(&run).state, bench.started.len()), (RunState::Dead, 1));
    assert!(bench.run(&run).message.as_deref().unwrap().contains("it may still run there"));
}

#[test]
fn a_run_that_is_adrift_can_be_cancelled() {
    let mut bench = Bench::new(vec![on_machine("a", "db-1")], at("10:00:00"));
    let run = bench.trigger("a");
    bench.answer("db-1", Ok(()));
    bench.cut(&run);
    bench.answer("db-1", Ok(()));
    bench.learn(&run, Whereabouts::Running);
    bench.domain.cancel(&run, &"cancelled by me".into(), bench.now).unwrap();
    bench.settle();
    assert_eq!(bench.asked.len(), 2, "at once");
    bench.learn(&run, Whereabouts::Running);
    assert_eq!(bench.ended_there, std::slice::from_ref(&run));
    bench.until(bench.now + TimeDelta::seconds(1));
    bench.learn(&run, Whereabouts::Ended(143));
    assert_eq!(bench.run(&run).state, RunState::Aborted);
    // And one that can't be asked about.
    let run = bench.trigger("a");
    bench.cut(&run);
    bench.domain.cancel(&run, &"cancelled by me".into(), bench.now).unwrap();
    bench.settle();
    bench.answer("db-1", Err("it does not answer"));
    assert_eq!(bench.run(&run).state, RunState::Aborted);
    assert!(bench.run(&run).message.as_deref().unwrap().contains("it may still run there"));
}

#[test]
fn depth_and_oldest_are_told_per_priority_team_and_machine() {
    let mut bench = Bench::new(
        vec![
            Definition { overlap: Overlap::Queue, team: Some("x".into()), ..on_machine("a", "db-1") },
            Definition { team: Some("x".into()), ..on_demand("b") },
        ],
        at("10:00:00"),
    );
    let first = bench.trigger("a");
    bench.until(at("10:00:10"));
    bench.trigger("a");
    bench.trigger("b");
    let two = Priority::new(2).unwrap();
    bench.domain.reprioritise_run(&first, two).unwrap();
    bench.settle();
    let queue = bench.domain.queues().iter().find(|queue| queue.name.as_raw() == "x").unwrap().clone();
    assert_eq!((queue.depth, queue.running, queue.by_priority), (2, 1, Some([0, 1, 1, 0, 0])));
    assert_eq!(queue.oldest_pending, Some(at("10:00:00")));
    let oldest = [None, Some(at("10:00:00")), Some(at("10:00:10")), None, None];
    assert_eq!(queue.oldest_by_priority, Some(oldest));
    let machine = bench.machine("db-1");
    assert_eq!((machine.depth, machine.running, machine.by_priority), (2, 0, [0, 1, 1, 0, 0]));
    assert_eq!(machine.oldest_by_priority, oldest);
    assert_eq!(bench.machine(HERE).running, 1);
}
