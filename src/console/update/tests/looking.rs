//! What is fetched because it is looked at: traces, audit logs, endpoints' own logs; and searching.

use super::*;
use crate::model::{AuditEntry, Event as Happened, Trace};

fn trace(events: i64) -> Trace {
    let event = |n| Happened {
        at: t0() - TimeDelta::minutes(n),
        what: Clean::from(format!("event {n}")),
        by: Some("bridge".into()),
        details: None,
    };
    Trace { facts: vec![("health".into(), "HEALTHY".into())], events: (0..events).map(event).collect() }
}

fn traced(result: Result<Trace, Clean>) -> Event {
    Event::Trace { endpoint: "a".into(), task: "one".into(), result }
}

fn is_fetch(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::FetchTrace { .. }))
}

#[test]
fn a_trace_is_fetched_when_looked_at_and_when_its_row_changes_once_per_poll() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    assert!(!is_fetch(&desk.keys("enter right")), "not before it is looked at");
    let fetch = Effect::FetchTrace { endpoint: "a".into(), task: "one".into() };
    assert_eq!(desk.keys("right"), std::slice::from_ref(&fetch));
    assert_eq!(desk.keys("left right"), [], "it is on its way");
    desk.event(traced(Ok(trace(3))));
    assert_eq!(desk.keys("left right"), [], "it is known");
    desk.now += TimeDelta::seconds(5);
    assert!(!is_fetch(&desk.poll("a", &[("one", HEALTHY)])), "nothing has changed");
    desk.now += TimeDelta::seconds(5);
    assert!(is_fetch(&desk.poll("a", &[("one", RUNNING)])), "the row has");
    desk.event(traced(Ok(trace(4))));
    // A receipt changes the row between two polls: it waits for the next one.
    let receipt = Receipt {
        intent: IntentId(Uuid::from_u128(1)),
        deed: Verb::Cancel.into(),
        target: Target::task(&TaskKey::new(&"a".into(), &"one".into()), RUNNING),
        stage: Stage::Sent,
        at: desk.now,
        sent: desk.now,
        message: None,
        run: None,
        priority: None,
    };
    assert!(!is_fetch(&desk.event(Event::Receipt(receipt))));
    desk.now += TimeDelta::seconds(5);
    assert!(is_fetch(&desk.poll("a", &[("one", RUNNING)])), "the poll after it");
    desk.event(traced(Ok(trace(5))));
    assert!(is_fetch(&desk.keys("R")), "asked for");
    assert!(!is_fetch(&desk.keys("R")), "one at a time");
}

#[test]
fn where_there_is_no_trace_the_reason_is_told_and_what_was_told_stays() {
    let mut desk = Desk::one(&[("one", HEALTHY), ("two", HEALTHY)]);
    desk.keys("enter right right");
    desk.event(Event::Trace { endpoint: "a".into(), task: "two".into(), result: Ok(trace(1)) });
    desk.event(traced(Err("duplistatus tells no more of its tasks".into())));
    let state = |desk: &Desk| desk.state.detail.as_ref().unwrap().trace.clone().unwrap();
    assert!(state(&desk).told.is_none(), "of another task");
    assert_eq!(state(&desk).error.as_deref(), Some("duplistatus tells no more of its tasks"));
    assert_eq!(desk.keys("y"), [], "nothing to copy");
    assert!(is_fetch(&desk.keys("R")));
    desk.event(traced(Ok(trace(40))));
    assert_eq!(state(&desk).error, None);
    desk.keys("G");
    let lines = 40 + 2;
    assert_eq!(desk.state.detail.as_ref().unwrap().top, lines - 18, "to its last line and no further");
    desk.keys("k");
    assert_eq!(desk.state.detail.as_ref().unwrap().top, lines - 19);
    let [Effect::Copy(text)] = &desk.keys("y")[..] else { panic!() };
    assert!(text.starts_with("health: HEALTHY\n2026-01-20T09:00:10Z event 0 by bridge\n"), "{text}");
    desk.keys("R");
    desk.event(traced(Err("timed out".into())));
    assert_eq!(state(&desk).told.unwrap().events.len(), 40, "what was told stays");
}

fn entry(minutes: i64, action: &str, target: Option<&str>) -> AuditEntry {
    AuditEntry {
        at: t0() - TimeDelta::minutes(minutes),
        by: Some("ana@example.org".into()),
        action: action.into(),
        target: target.map(Into::into),
        result: Some("success".into()),
        details: None,
        from: None,
    }
}

fn audited(endpoint: &str, result: Result<Vec<AuditEntry>, Clean>) -> Event {
    Event::Audit { endpoint: endpoint.into(), kept: true, result }
}

fn asked(effects: &[Effect]) -> Vec<&str> {
    let endpoint = |effect: &'_ Effect| match effect {
        Effect::FetchAudit { endpoint, limit: 200 } => Some(endpoint.clone()),
        _ => None,
    };
    effects.iter().filter_map(endpoint).map(|name| if name.as_raw() == "a" { "a" } else { "b" }).collect()
}

#[test]
fn audit_logs_are_fetched_while_the_journal_is_looked_at_and_seldom() {
    let mut desk =
        Desk::new(&[("a", Guard::Confirm, &[("one", HEALTHY)]), ("b", Guard::Confirm, &[("two", HEALTHY)])]);
    assert_eq!(asked(&desk.keys("8")), ["a", "b"]);
    assert!(asked(&desk.keys("R")).is_empty(), "both are on their way");
    desk.event(audited("a", Ok(vec![entry(3, "LOGIN", None)])));
    desk.event(Event::Audit { endpoint: "b".into(), kept: false, result: Err("vigie keeps none".into()) });
    assert!(asked(&desk.keys("2 8")).is_empty(), "not again at once");
    assert!(asked(&desk.pass(TimeDelta::seconds(59))).is_empty());
    assert!(next_tick(&desk.state, &desk.fleet).unwrap() <= desk.now + TimeDelta::seconds(1));
    assert_eq!(asked(&desk.pass(TimeDelta::seconds(1))), ["a"], "what keeps none is not asked by itself");
    desk.event(audited("a", Ok(vec![entry(3, "LOGIN", None)])));
    assert_eq!(asked(&desk.keys("R")), ["a", "b"], "asked for, both");
    desk.event(audited("a", Ok(vec![])));
    desk.keys("2");
    assert!(asked(&desk.pass(TimeDelta::minutes(10))).is_empty(), "not looked at");
}

#[test]
fn the_journal_merges_own_intents_and_audit_logs_by_time() {
    let mut desk =
        Desk::new(&[("a", Guard::Confirm, &[("one", HEALTHY)]), ("b", Guard::Confirm, &[("two", HEALTHY)])]);
    let receipt = Receipt {
        intent: IntentId(Uuid::from_u128(1)),
        deed: Verb::Trigger.into(),
        target: Target::task(&TaskKey::new(&"a".into(), &"one".into()), HEALTHY),
        stage: Stage::Observed,
        at: t0(),
        sent: t0() - TimeDelta::minutes(5),
        message: None,
        run: None,
        priority: None,
    };
    desk.event(Event::Journal(vec![JournalLine { receipt }]));
    desk.keys("8");
    let twice = vec![entry(1, "LOGIN", None), entry(7, "RUN", Some("one")), entry(7, "RUN", Some("one"))];
    desk.event(audited("a", Ok(twice)));
    desk.event(audited("b", Ok(vec![entry(3, "EDIT", Some("nobody"))])));
    let told = |desk: &Desk| -> Vec<String> {
        let word = |entry: &Entry<'_>| match entry {
            Entry::Own(receipt) => format!("own {}", receipt.deed),
            Entry::Told(endpoint, _, entry) => format!("{endpoint} {}", entry.action),
        };
        entries(&desk.state, &desk.fleet).iter().map(word).collect()
    };
    assert_eq!(told(&desk), ["a LOGIN", "b EDIT", "own trigger", "a RUN", "a RUN"]);
    // The cursor stays on its line when others come in above it.
    desk.keys("G k");
    let cursor = desk.state.rows[&Screen::Journal].cursor.clone();
    assert!(matches!(&cursor, Some(RowKey::Told(endpoint, _)) if endpoint.as_raw() == "a"));
    let more = vec![
        entry(0, "LOGOUT", None),
        entry(1, "LOGIN", None),
        entry(7, "RUN", Some("one")),
        entry(7, "RUN", Some("one")),
    ];
    desk.event(audited("a", Ok(more)));
    assert_eq!(desk.state.rows[&Screen::Journal].cursor, cursor);
    desk.state.dirty = false;
    desk.event(audited("b", Ok(vec![entry(3, "EDIT", Some("nobody"))])));
    assert!(!desk.state.dirty, "the same again");
    // Enter goes to the task where it is listed.
    assert_eq!(desk.keys("y"), [Effect::Copy("one".into())]);
    desk.keys("enter");
    assert_eq!(desk.state.detail.as_ref().unwrap().about.to_string(), "a/one");
    desk.keys("esc g j j enter");
    assert!(desk.state.detail.is_none());
    assert_eq!(desk.says(), "that line is about no task that is listed");
    // A reading that fails leaves what was read.
    desk.event(audited("b", Err("timed out".into())));
    assert_eq!(told(&desk).len(), 6);
    assert_eq!(desk.state.audit["b"].error.as_deref(), Some("timed out"));
    // One that is configured no more is forgotten.
    desk.event(Event::Configured { endpoints: vec![], read_only: false });
    assert!(desk.state.audit.is_empty());
}

#[test]
fn an_endpoint_that_answers_first_while_the_journal_is_open_is_asked_then() {
    let mut desk = Desk::new(&[]);
    desk.keys("8");
    let spec = EndpointSpec::new("a".into(), Kind::Vigie, Some("http://x".into()));
    assert!(asked(&desk.event(Event::Configured { endpoints: vec![spec], read_only: false })).is_empty());
    assert_eq!(asked(&desk.poll("a", &[("one", HEALTHY)])), ["a"]);
}

fn own_log(offset: u64, text: &str) -> Event {
    Event::Log {
        endpoint: "a".into(),
        of: LogOf::Endpoint,
        offset,
        result: Ok(LogPiece {
            text: Clean::text(text),
            next_offset: offset + text.len() as u64,
            dropped_bytes: 0,
            complete: true,
        }),
    }
}

#[test]
fn an_endpoint_has_a_detail_with_its_own_log() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    desk.keys("7");
    let ask = |offset| Effect::FetchLog { endpoint: "a".into(), of: LogOf::Endpoint, offset };
    assert_eq!(desk.keys("L"), [ask(0)]);
    desk.event(own_log(0, "started\nlistening\n"));
    assert_eq!(lines(&desk), ["started", "listening"]);
    assert_eq!(desk.pass(TimeDelta::seconds(10)), [], "that is all, it said");
    assert!(desk.keys("R").contains(&ask(18)), "but more may have come");
    // Its summary is beside; Enter goes on to its tasks. What is about tasks is refused.
    desk.keys("left t");
    assert_eq!(desk.says(), "trigger: an endpoint is chosen, not a task");
    assert_eq!(desk.keys("y"), [Effect::Copy("a".into())]);
    desk.keys("enter");
    assert_eq!((desk.state.screen, desk.state.filter.input.text.as_str()), (Screen::Tasks, "endpoint:a"));
    // Where it has none, the reason stands there.
    desk.keys("7 enter right");
    let none =
        Event::Log { endpoint: "a".into(), of: LogOf::Endpoint, offset: 0, result: Err("no log".into()) };
    desk.event(none);
    let log = desk.state.detail.as_ref().unwrap().log.as_ref().unwrap();
    assert_eq!(log.error.as_deref(), Some("no log"));
    desk.event(Event::Configured { endpoints: vec![], read_only: false });
    assert!(desk.state.detail.is_none());
    assert_eq!(desk.says(), "a is gone");
}

#[test]
fn a_log_is_searched_as_one_types_and_from_match_to_match() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.keys("L");
    let level = |n: u32| if n % 20 == 5 { "ERROR" } else { "ok" };
    let text = (0..60).fold(String::new(), |text, n| {
        text + &format!(
            "{} line {n}
",
            level(n)
        )
    });
    desk.event(log(0, &text, true));
    assert_eq!(desk.keys("/ e r r o r"), [], "as one types");
    let found = |desk: &Desk| {
        let detail = desk.state.detail.as_ref().unwrap();
        let log = detail.log.as_ref().unwrap();
        (log.search.as_ref().and_then(|search| search.found), detail.top, log.follow)
    };
    assert_eq!(found(&desk), (Some(45), 42, false), "in view, so nothing moves");
    desk.keys("enter n");
    assert_eq!(found(&desk), (Some(5), 0, false), "round to the first, in view");
    desk.keys("n");
    assert_eq!(found(&desk), (Some(25), 16, false), "in the middle");
    desk.keys("N N");
    assert_eq!(found(&desk).0, Some(45));
    desk.keys("t x");
    assert!(sent(&desk.effects).len() <= 1, "keys act again once it is no longer typed");
    desk.keys("esc");
    desk.keys("esc");
    assert!(desk.state.detail.is_some(), "the search goes first");
    desk.keys("esc");
    assert!(desk.state.detail.is_none());

    desk.keys("L");
    desk.event(log(0, &text, true));
    desk.keys("/ z z enter n");
    assert_eq!(desk.says(), "no line has \"zz\"");
    desk.keys("/ ctrl-u enter");
    assert_eq!(found(&desk).0, None, "nothing to look for ends it");
    desk.keys("n");
    assert_eq!(desk.says(), "find-next: nothing is looked for");
    desk.keys("/");
    desk.event(Event::Paste("line 2".into()));
    assert!(found(&desk).0.is_some());
}
