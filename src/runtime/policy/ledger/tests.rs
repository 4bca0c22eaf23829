use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::select;

use super::super::FailureAction;
use super::*;
use crate::fleet::Fleet;
use crate::model::{
    Capabilities, Clean, EndpointSpec, Kind, Part, Receipt, Retry, Run, RunState, Snapshot, Stage, Target,
};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_899_600 + seconds, 0).unwrap()
}

fn rule(count: u32) -> Rule {
    Rule { count, delay: TimeDelta::seconds(30), action: FailureAction::Alert }
}

/// What failed at `ended`, after so many retries by its system.
fn failed(id: &str, attempt: u32, ended: Option<i64>) -> Task {
    let run = Run { ended: ended.map(at), ..Run::bare(id.into(), RunState::Failed) };
    Task {
        state: Some(TaskState::Failing),
        retry: Retry { attempt, max: 3, next_at: None },
        last_run: Some(run),
        ..Task::bare(id.into(), id.into(), Capabilities::by(|_| None))
    }
}

fn in_state(id: &str, state: TaskState) -> Task {
    Task { state: Some(state), ..Task::bare(id.into(), id.into(), Capabilities::by(|_| None)) }
}

/// A fleet of one endpoint, and the account of its policy.
struct Bench {
    fleet: Fleet,
    ledger: Ledger,
    rule: Rule,
}

impl Bench {
    fn new(rule: Rule) -> Self {
        let mut fleet = Fleet::default();
        fleet.configure(&[EndpointSpec::new("rq".into(), Kind::Rediacc, None)], at(0));
        Self { fleet, ledger: Ledger::default(), rule }
    }

    /// A poll at that second, and what is to be done then.
    fn poll(&mut self, second: i64, tasks: Vec<Task>) -> Vec<String> {
        let snapshot = Snapshot { tasks: Part::complete(tasks), ..Snapshot::unchanged(at(second), 1) };
        self.fleet.apply(&"rq".into(), snapshot, at(second));
        self.look(second)
    }

    fn look(&mut self, second: i64) -> Vec<String> {
        self.decide(second, 100).steps.iter().map(told).collect()
    }

    fn decide(&mut self, second: i64, room: usize) -> Decision {
        // As after a restart: the account is what the disk has.
        let written = serde_json::to_vec(&self.ledger).unwrap();
        self.ledger = serde_json::from_slice(&written).unwrap();
        self.ledger.decide(&self.rule, self.fleet.tasks(), room, at(second))
    }
}

fn told(step: &Step) -> String {
    match step {
        Step::Retry { task, number } => format!("retry {number} of {task}"),
        Step::GiveUp { task, tries } => format!("give up {task} after {tries}"),
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn what_failed_is_tried_again_after_the_delay_as_often_as_the_rule_says_and_then_given_up_once() {
    let mut bench = Bench::new(rule(2));
    assert_eq!(bench.poll(10, vec![failed("x", 1, Some(0))]), NOTHING);
    assert_eq!(bench.decide(10, 100).wake, Some(at(30)), "30 s after its end, not after it was seen");
    assert_eq!(bench.look(29), NOTHING);
    assert_eq!(bench.look(30), ["retry 1 of x"]);
    assert_eq!(bench.look(31), NOTHING);
    assert_eq!(bench.poll(35, vec![failed("x", 1, Some(0))]), NOTHING, "never twice for one failure");
    assert_eq!(bench.poll(40, vec![in_state("x", TaskState::Queued)]), NOTHING);
    assert_eq!(bench.poll(45, vec![in_state("x", TaskState::Running)]), NOTHING);
    assert_eq!(bench.poll(50, vec![failed("x", 2, Some(48))]), NOTHING);
    assert_eq!(bench.poll(78, vec![failed("x", 2, Some(48))]), ["retry 2 of x"]);
    // It failed so soon that no poll saw it run.
    assert_eq!(bench.poll(85, vec![failed("x", 3, Some(80))]), ["give up x after 2"]);
    assert_eq!(bench.poll(999, vec![failed("x", 3, Some(80))]), NOTHING);
    assert_eq!(bench.poll(1_000, vec![failed("x", 4, Some(999))]), NOTHING, "once per task");
}

#[test]
fn what_had_failed_long_before_it_was_first_seen_is_left_alone_until_it_fails_again() {
    let mut bench = Bench::new(rule(1));
    let day = 86_400;
    assert_eq!(bench.poll(day + 1, vec![failed("x", 0, Some(0)), failed("y", 0, Some(1))]), ["retry 1 of y"]);
    assert_eq!(bench.poll(day + 100, vec![failed("x", 0, Some(0))]), NOTHING);
    // Somebody has tried it again.
    assert_eq!(bench.poll(day + 200, vec![failed("x", 1, Some(day + 150))]), ["retry 1 of x"]);
}

#[test]
fn a_failure_without_a_date_counts_from_when_it_was_first_seen() {
    let mut bench = Bench::new(rule(1));
    assert_eq!(bench.poll(10, vec![failed("x", 0, None)]), NOTHING);
    assert_eq!(bench.poll(39, vec![failed("x", 0, None)]), NOTHING);
    assert_eq!(bench.poll(40, vec![failed("x", 0, None)]), ["retry 1 of x"]);
    // Nothing tells the next failure from this one but that it ran in between.
    assert_eq!(bench.poll(50, vec![in_state("x", TaskState::Running)]), NOTHING);
    assert_eq!(bench.poll(60, vec![failed("x", 0, None)]), ["give up x after 1"]);
}

#[test]
fn nothing_is_tried_that_may_not_be_or_is_not_known_first_hand() {
    let mut bench = Bench::new(rule(3));
    let refused = Task { capabilities: Capabilities::none("the role lacks it"), ..failed("x", 0, Some(0)) };
    assert_eq!(bench.poll(500, vec![refused]), NOTHING);
    for state in TaskState::ALL.iter().filter(|state| **state != TaskState::Failing) {
        let task = Task { state: Some(*state), ..failed("x", 0, Some(0)) };
        assert_eq!(bench.poll(500, vec![task]), NOTHING, "{state}");
    }
    assert!(bench.ledger.is_empty());
    // The evidence is stale by the time.
    bench.poll(501, vec![failed("x", 0, Some(500))]);
    bench.fleet.tick(at(600));
    assert_eq!(bench.look(600), NOTHING);
    assert_eq!(bench.poll(601, vec![failed("x", 0, Some(500))]), ["retry 1 of x"]);
}

#[test]
fn what_its_system_will_not_try_again_is_given_up_early() {
    let mut bench = Bench::new(rule(3));
    let for_good =
        |ended| Task { capabilities: Capabilities::none("given up"), ..failed("x", 3, Some(ended)) };
    assert_eq!(bench.poll(50, vec![failed("x", 2, Some(0))]), ["retry 1 of x"]);
    assert_eq!(bench.poll(60, vec![for_good(55)]), NOTHING);
    assert_eq!(bench.poll(85, vec![for_good(55)]), ["give up x after 1"]);
    assert_eq!(bench.poll(999, vec![for_good(55)]), NOTHING);
}

#[test]
fn a_lost_answer_is_not_repeated_and_a_refusal_is_tried_again_within_the_count() {
    let receipt = |intent: u128, stage, second| Receipt {
        intent: crate::model::IntentId(uuid::Uuid::from_u128(intent)),
        deed: Verb::Retry.into(),
        target: Target { task: Some("x".into()), ..Target::endpoint("rq".into()) },
        stage,
        at: at(second),
        sent: at(second),
        message: Some(Clean::line("so it went")),
        run: None,
        priority: None,
    };
    let mut bench = Bench::new(rule(2));
    assert_eq!(bench.poll(100, vec![failed("x", 0, Some(0))]), ["retry 1 of x"]);
    bench.fleet.note_receipt(receipt(1, Stage::Unknown, 101), at(101));
    for second in [105, 200, 2_000] {
        assert_eq!(bench.poll(second, vec![failed("x", 0, Some(0))]), NOTHING);
    }
    // It had been done after all.
    assert_eq!(bench.poll(2_010, vec![failed("x", 1, Some(2_005))]), NOTHING);
    assert_eq!(bench.poll(2_035, vec![failed("x", 1, Some(2_005))]), ["retry 2 of x"]);
    bench.fleet.note_receipt(receipt(2, Stage::Failed, 2_036), at(2_036));
    bench.ledger.refused(&rule(2), &"x".into(), at(2_036));
    assert_eq!(
        bench.look(2_037),
        ["give up x after 2"],
        "the count is spent, so there is nothing to wait for"
    );

    let mut bench = Bench::new(rule(2));
    assert_eq!(bench.poll(100, vec![failed("x", 0, Some(0))]), ["retry 1 of x"]);
    bench.ledger.refused(&rule(2), &"x".into(), at(101));
    assert_eq!(bench.poll(130, vec![failed("x", 0, Some(0))]), NOTHING);
    assert_eq!(bench.poll(131, vec![failed("x", 0, Some(0))]), ["retry 2 of x"]);
}

#[test]
fn a_task_that_is_gone_for_long_is_forgotten_with_its_count() {
    let mut bench = Bench::new(rule(1));
    assert_eq!(bench.poll(100, vec![failed("x", 0, Some(0))]), ["retry 1 of x"]);
    let day = 86_400;
    assert_eq!(bench.poll(200, vec![]), NOTHING);
    assert_eq!(bench.poll(6 * day, vec![failed("x", 1, Some(300))]), ["give up x after 1"]);
    bench.poll(7 * day, vec![]);
    bench.poll(14 * day - 1, vec![]);
    assert!(!bench.ledger.is_empty());
    bench.poll(14 * day, vec![]);
    assert!(bench.ledger.is_empty());
}

#[test]
fn no_more_is_done_at_once_than_there_is_room_for_and_the_oldest_comes_first() {
    let mut bench = Bench::new(rule(1));
    let tasks = || (0..6).map(|i| failed(&format!("t{i}"), 0, Some(-i))).collect::<Vec<_>>();
    let snapshot = Snapshot { tasks: Part::complete(tasks()), ..Snapshot::unchanged(at(100), 1) };
    bench.fleet.apply(&"rq".into(), snapshot, at(100));
    let told_of = |decision: Decision| decision.steps.iter().map(told).collect::<Vec<_>>();
    assert_eq!(told_of(bench.decide(100, 2)), ["retry 1 of t5", "retry 1 of t4"]);
    assert_eq!(told_of(bench.decide(100, 0)), NOTHING);
    assert_eq!(told_of(bench.decide(100, 9)).len(), 4);
}

proptest! {
    #[test]
    fn never_more_than_the_count_and_never_two_for_one_failure(
        count in 0u32..4,
        steps in proptest::collection::vec((0i64..60, select(vec![0u8, 1, 1, 2, 3]), any::<bool>()), 1..80),
    ) {
        let mut bench = Bench::new(rule(count));
        let (mut now, mut attempt, mut ended, mut moves) = (0, 0, 0, 0);
        let mut done: Vec<((u32, u32), bool, String)> = Vec::new();
        for (seconds, what, refuse) in steps {
            now += seconds;
            let steps = match what {
                // It is seen to run; it fails as before; it fails anew; nobody asks.
                0 => {
                    moves += 1;
                    bench.poll(now, vec![in_state("x", TaskState::Running)])
                }
                1 => bench.poll(now, vec![failed("x", attempt, Some(ended))]),
                2 => {
                    attempt += 1;
                    ended = now;
                    bench.poll(now, vec![failed("x", attempt, Some(ended))])
                }
                _ => bench.look(now),
            };
            prop_assert!(steps.len() <= 1);
            for step in steps {
                prop_assert!(now >= ended + 30 || step.starts_with("give up"));
                prop_assert!(what != 0, "it runs");
                let refused = refuse && step.starts_with("retry");
                if refused {
                    bench.ledger.refused(&rule(count), &"x".into(), at(now));
                }
                done.push(((attempt, moves), refused, step));
            }
        }
        for pair in done.windows(2) {
            let (failure, refused, _) = &pair[0];
            prop_assert!(*refused || *failure != pair[1].0, "twice for one failure: {:?}", pair);
        }
        let retries = done.iter().filter(|(.., step)| step.starts_with("retry")).count();
        prop_assert!(retries <= count as usize);
        prop_assert!(done.iter().filter(|(.., step)| step.starts_with("give up")).count() <= 1);
        prop_assert!(done.iter().skip(retries).all(|(.., step)| step.starts_with("give up")));
    }
}
