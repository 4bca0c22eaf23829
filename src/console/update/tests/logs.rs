//! The detail and its log.

use super::*;

#[test]
fn the_detail_fetches_once_and_again_when_a_run_has_ended() {
    let mut desk = Desk::one(&[("one", RUNNING), ("two", HEALTHY)]);
    let fetch = Effect::FetchRuns { endpoint: "a".into(), task: Some("one".into()), limit: 200 };
    assert_eq!(desk.keys("enter"), std::slice::from_ref(&fetch));
    let runs = || Event::Runs {
        endpoint: "a".into(),
        task: Some("one".into()),
        result: Ok(vec![run("one", "one-1", RunState::Running), run("one", "one-0", RunState::Failed)]),
    };
    assert_eq!(desk.event(runs()), []);
    assert_eq!(desk.keys("right j"), []);
    assert_eq!(desk.state.detail.as_ref().unwrap().run, Some("one-0".into()));
    let mut ended = task("one", HEALTHY);
    ended.last_run = Some(run("one", "one-1", RunState::Succeeded));
    assert_eq!(desk.tell("a", vec![ended.clone(), task("two", HEALTHY)], vec![]), [fetch]);
    ended.name = "renamed".into();
    assert_eq!(desk.tell("a", vec![ended, task("two", HEALTHY)], vec![]), [], "once");
    assert_eq!(desk.state.detail.as_ref().unwrap().run, Some("one-0".into()), "the cursor stays on its run");
    desk.poll("a", &[("two", HEALTHY)]);
    assert!(desk.state.detail.is_none());
    assert_eq!(desk.says(), "a/one is gone");
}

#[test]
fn a_log_is_followed_piece_by_piece_with_one_in_flight() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    let ask = |offset| Effect::FetchLog { endpoint: "a".into(), of: of("one-1"), offset };
    assert!(desk.keys("L").contains(&ask(0)));
    assert_eq!(desk.pass(TimeDelta::seconds(1)), [], "one is on its way");
    assert_eq!(desk.event(log(0, "first\nsec", false)), []);
    assert_eq!(lines(&desk), ["first", "sec"]);
    assert_eq!(next_tick(&desk.state, &desk.fleet), Some(desk.now + TimeDelta::milliseconds(500)));
    assert_eq!(desk.pass(TimeDelta::milliseconds(499)), []);
    assert_eq!(desk.pass(TimeDelta::milliseconds(1)), [ask(9)]);
    desk.event(log(0, "stale", false));
    desk.event(Event::Log { endpoint: "a".into(), of: of("other"), offset: 9, result: Err("x".into()) });
    desk.event(Event::Log { endpoint: "b".into(), of: of("one-1"), offset: 9, result: Err("x".into()) });
    assert_eq!(lines(&desk), ["first", "sec"], "answers to other questions are dropped");
    desk.event(log(9, "ond\n", false));
    assert_eq!(lines(&desk), ["first", "second"], "a line that was cut is joined");
    desk.event(log(9, "ond\n", false));
    assert_eq!(lines(&desk), ["first", "second"], "twice is once");
    assert_eq!(desk.pass(TimeDelta::milliseconds(500)), [ask(13)]);
    desk.state.dirty = false;
    desk.event(log(13, "", false));
    assert!(!desk.state.dirty, "nothing new is no frame");
    assert_eq!(desk.pass(TimeDelta::milliseconds(500)), [ask(13)]);
    desk.event(log(13, "end\n", true));
    assert_eq!(desk.pass(TimeDelta::seconds(5)), [], "nothing follows");
    assert_eq!(desk.keys("y"), [Effect::Copy("first\nsecond\nend\n".into())]);
}

#[test]
fn a_long_log_is_bounded_read_on_at_once_and_scrolls() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.keys("L");
    let text = "line\n".repeat(12_000);
    let effects = desk.event(log(0, &text, false));
    assert!(matches!(effects[..], [Effect::FetchLog { offset: 60_000, .. }]));
    let detail = desk.state.detail.as_ref().unwrap();
    let shown = detail.log.as_ref().unwrap();
    assert_eq!((shown.lines.len(), shown.dropped_lines), (10_000, 2_000));
    assert_eq!(detail.top, 10_000 - 18, "the end is followed");
    desk.keys("k");
    assert_eq!(desk.state.detail.as_ref().unwrap().top, 10_000 - 19);
    assert!(!desk.state.detail.as_ref().unwrap().log.as_ref().unwrap().follow);
    desk.event(log(60_000, "more\n", true));
    assert_eq!(desk.state.detail.as_ref().unwrap().top, 10_000 - 20, "what is read stays where it is");
    desk.keys("f");
    assert_eq!(desk.state.detail.as_ref().unwrap().top, 10_000 - 18);
}

#[test]
fn a_log_that_can_not_be_read_is_not_asked_for_for_ever() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.keys("L");
    desk.event(Event::Log {
        endpoint: "a".into(),
        of: of("one-1"),
        offset: 0,
        result: Err("no logs".into()),
    });
    assert_eq!(desk.pass(TimeDelta::seconds(10)), []);
    assert!(desk.keys("R").iter().any(|effect| matches!(effect, Effect::FetchLog { offset: 0, .. })));
}

#[test]
fn a_log_is_read_on_when_its_endpoint_answers_again() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.keys("L");
    desk.event(log(0, "first\n", false));
    desk.pass(TimeDelta::seconds(1));
    let lost = Event::Log { endpoint: "a".into(), of: of("one-1"), offset: 6, result: Err("reset".into()) };
    desk.event(lost);
    assert_eq!(lines(&desk), ["first"], "what was read stays");
    let failure = Failure { health: Health::Down, reason: "reset".into(), tries: 1, next_try: desk.now };
    desk.event(Event::Failed { endpoint: "a".into(), failure });
    assert_eq!(desk.pass(TimeDelta::seconds(10)), []);
    let ask = Effect::FetchLog { endpoint: "a".into(), of: of("one-1"), offset: 6 };
    assert!(desk.poll("a", &[("one", RUNNING)]).contains(&ask));
}
