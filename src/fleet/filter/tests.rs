//! The language, and what it lets through.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::fleet::Fleet;
use crate::fleet::tests::build::*;
use crate::model::{Alert, AlertKind, Part, Priority, RunState, Severity, Snapshot, TaskState};

/// Some tasks of every sort at endpoints `prod` and `lab`.
fn sample() -> Fleet {
    let mut fleet = fleet(&["prod", "lab"]);
    let mut dump = task("nightly-db-dump");
    dump.team = Some("data".into());
    dump.machine = Some("db-1".into());
    dump.priority = Priority::new(2).ok();
    dump.state = Some(TaskState::Late);
    dump.next_due = Some(at(400));
    dump.last_run = Some(run("nightly-db-dump", "r1", RunState::Succeeded, -7_200));
    dump.labels = std::sync::Arc::new([("env".into(), "prod".into())].into());
    let mut rotate = task("log-rotate");
    rotate.name = "Rotate the Logs".into();
    rotate.class = Some("http monitor".into());
    rotate.alias = Some("web-7".into());
    rotate.team = Some("night shift".into());
    rotate.priority = Priority::new(4).ok();
    rotate.state = Some(TaskState::Failing);
    let mut report = task("report");
    report.name = "Übersicht".into();
    report.paused = true;
    report.state = Some(TaskState::Paused);
    let failed = Alert {
        task: Some("log-rotate".into()),
        queue: None,
        kind: AlertKind::Failed,
        severity: Severity::Critical,
        since: at(900),
        summary: "exit 1".into(),
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    };
    let snapshot =
        Snapshot { alerts: Part::complete(vec![failed]), ..poll(1_000, vec![dump, rotate, report]) };
    fleet.apply(&name("prod"), snapshot, at(1_000));
    fleet.apply(&name("lab"), poll(1_000, vec![task("disk-space")]), at(1_000));
    fleet
}

fn found(fleet: &Fleet, filter: &str) -> Vec<String> {
    let filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    let rows = fleet.tasks().filter(|row| filter.matches(row, at(1_000)));
    rows.map(|row| row.key.task.to_string()).collect()
}

#[test]
fn terms_let_through_what_they_say() {
    let fleet = sample();
    let (dump, rotate, report, disk) = ("nightly-db-dump", "log-rotate", "report", "disk-space");
    let table: &[(&str, &[&str])] = &[
        ("", &[rotate, dump, report, disk]),
        ("dump", &[dump]),
        ("DUMP", &[dump]),
        ("dsk-spce", &[disk]),
        ("-dsk-spce", &[rotate, dump, report]),
        ("rotte", &[rotate]),
        ("the logs", &[rotate]),
        ("\"the logs\"", &[rotate]),
        ("\"logs the\"", &[]),
        ("übers", &[report]),
        ("ÜBERS", &[report]),
        ("lab", &[disk]),
        ("d", &[rotate, dump, report, disk]),
        ("prod -dump", &[rotate, report]),
        ("state:late", &[dump]),
        ("state:late,failing", &[rotate, dump]),
        ("!state:late,failing", &[report, disk]),
        ("endpoint:lab", &[disk]),
        ("endpoint:=la", &[]),
        ("endpoint:=LAB", &[disk]),
        ("team:data", &[dump]),
        ("team:\"night shift\"", &[rotate]),
        ("team:data,night", &[rotate, dump]),
        ("-team:data", &[rotate, report, disk]),
        ("machine:db", &[dump]),
        ("class:monitor", &[rotate]),
        ("class:=\"HTTP monitor\"", &[rotate]),
        ("alias:=web-7", &[rotate]),
        ("web-7", &[rotate]),
        ("name:rotate", &[rotate]),
        ("id:rotate", &[rotate]),
        ("name:log-rotate", &[]),
        ("label:env", &[dump]),
        ("label:env=prod", &[dump]),
        ("label:env=test", &[]),
        ("p:2", &[dump]),
        ("p:<=2", &[dump]),
        ("p:>2", &[rotate]),
        ("p:2,4", &[rotate, dump]),
        ("age:>2h", &[dump]),
        ("age:<2h", &[]),
        ("late:>5m", &[dump]),
        ("late:>10m", &[]),
        ("late:>=10m", &[dump]),
        ("evidence:fresh endpoint:lab", &[disk]),
        ("evidence:stale", &[]),
        ("is:paused", &[report]),
        ("is:problem", &[rotate, dump]),
        ("/^nightly.*dump$/", &[dump]),
        ("/rotate the/", &[rotate]),
        ("-/o/", &[disk]),
        ("/^LAB$/", &[disk]),
        ("team:data state:failing", &[]),
    ];
    for (filter, expected) in table {
        assert_eq!(found(&fleet, filter), *expected, "{filter}");
    }
}

#[test]
fn a_word_finds_what_has_it_and_what_nearly_has_it() {
    let names = [
        "disk-space",
        "nightly-dump",
        "repository-export-tail",
        "log-rotate",
        "Übersicht der Kosten",
        "db2_backup",
    ];
    let mut fleet = fleet(&["prod"]);
    fleet.apply(&name("prod"), poll(1, names.map(task).to_vec()), at(1));
    for (word, expected) in [
        ("disk", &["disk-space"][..]),
        ("DiSk", &["disk-space"]),
        ("dsk-spce", &["disk-space"]),
        ("dskspc", &["disk-space"]),
        ("dsk", &[]),
        ("kid-", &[]),
        ("dump", &["nightly-dump"]),
        ("nghtly", &["nightly-dump"]),
        ("ndmp", &[]),
        ("umps", &[]),
        ("report", &[]),
        ("repstory", &["repository-export-tail"]),
        ("exprt", &["repository-export-tail"]),
        ("xprt", &[]),
        ("rtate", &["log-rotate"]),
        ("ubersicht", &[]),
        ("übrsicht", &["Übersicht der Kosten"]),
        ("kstn", &["Übersicht der Kosten"]),
        ("bckup", &["db2_backup"]),
        ("prod", &names),
        ("prd-", &[]),
    ] {
        let filter = Filter::parse(word).unwrap();
        let found: Vec<_> = names
            .into_iter()
            .filter(|id| filter.matches(fleet.task(&key("prod", id)).unwrap(), at(1)))
            .collect();
        assert_eq!(found, expected, "{word}");
    }
}

#[test]
fn mistakes_say_where_and_what_would_be_right() {
    for (filter, position, message) in [
        ("stat:late", 0, "there is no stat: to filter by; did you mean state:? Quotes make it a plain word"),
        ("a tema:x", 2, "there is no tema: to filter by; did you mean team:? Quotes make it a plain word"),
        ("state:lat", 0, "\"lat\" is no state; did you mean late?"),
        ("state:failling", 0, "\"failling\" is no state; did you mean failing?"),
        ("team:", 0, "team: needs a value, such as team:data"),
        ("team:a,,b", 0, "team: has an empty value between its commas"),
        ("x p:9", 2, "p:9 can't be read: write p:1, p:1,2 or p:<=2, with priorities 1 to 5"),
        ("age:2h", 0, "age:2h lacks a comparison: write age:>2h or age:<2h"),
        ("age:>2", 0, "\"2\" is not a duration: write 90s, 10m, 1h30m, 2d or 500ms"),
        ("\"open", 0, "the quotation mark is never closed"),
        ("a -", 2, "- turns a term round, as -team:data does: put one behind it"),
        ("is:pausd", 0, "\"pausd\" is no is; did you mean paused?"),
    ] {
        let error = Filter::parse(filter).unwrap_err();
        assert_eq!((error.position, error.message.as_str()), (position, message), "{filter}");
    }
    let error = Filter::parse("/(/").unwrap_err();
    assert!(error.message.starts_with("/(/ can't be read: unclosed group"), "{error}");
    assert!(Filter::parse("/open").is_err());
    assert!(Filter::parse("/(a{1000}){1000}/").is_err(), "a pattern may not take all memory");
    let all = Filter::parse("zzzzzzzzz:1").unwrap_err();
    assert!(all.message.contains("there are state, name"), "{all}");
}

#[test]
fn other_rows_are_filtered_by_what_they_are_and_by_their_task() {
    let fleet = sample();
    let now = at(1_000);
    let holds = |filter: &str| {
        let filter = Filter::parse(filter).unwrap();
        let alerts = fleet.alerts().iter().filter(|row| filter.matches_alert(row, now)).count();
        let runs = fleet.runs(10).iter().filter(|row| filter.matches_run(row, now)).count();
        let endpoints = fleet.endpoints().filter(|row| filter.matches_endpoint(row, now)).count();
        (alerts, runs, endpoints)
    };
    assert_eq!(holds(""), (1, 1, 2));
    assert_eq!(holds("state:failing"), (1, 0, 0));
    assert_eq!(holds("kind:failed severity:critical"), (1, 0, 0));
    assert_eq!(holds("team:night"), (1, 0, 0), "an alert has the team of its task");
    assert_eq!(holds("team:data"), (0, 1, 0), "so has a run");
    assert_eq!(holds("state:succeeded"), (0, 1, 0));
    assert_eq!(holds("state:up"), (0, 0, 2));
    assert_eq!(holds("kind:vigie endpoint:lab"), (0, 0, 1));
    assert_eq!(holds("-is:silenced"), (1, 1, 2));
    assert_eq!(holds("rotate"), (1, 0, 0));
}

#[test]
fn only_ages_depend_on_the_time() {
    assert!(Filter::parse("age:>2h").unwrap().is_timed());
    assert!(Filter::parse("a -late:<5m").unwrap().is_timed());
    assert!(!Filter::parse("state:late team:x /a/").unwrap().is_timed());
    let fleet = sample();
    let filter = Filter::parse("late:>1h").unwrap();
    let row = fleet.task(&key("prod", "nightly-db-dump")).unwrap();
    assert!(!filter.matches(row, at(1_000)));
    assert!(filter.matches(row, at(1_000) + TimeDelta::hours(2)));
}

fn term() -> impl Strategy<Value = String> {
    let value = "[a-zA-Z0-9 ,:=\"/\\\\ü!-]{1,8}";
    let quoted = value.prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    let test = prop_oneof![
        quoted.clone(),
        "[a-z0-9.]{1,8}",
        (
            prop_oneof!["name", "id", "alias", "class", "endpoint", "team", "machine"],
            prop_oneof!["", "="],
            quoted.clone()
        )
            .prop_map(|(key, exact, value)| format!("{key}:{exact}{value}")),
        prop_oneof!["state:late,failing", "is:paused", "evidence:stale", "kind:absent", "severity:info"],
        (quoted.clone(), quoted).prop_map(|(name, value)| format!("label:{name}={value}")),
        "p:(<|<=|>|>=)[1-5]",
        "p:[1-5](,[1-5]){0,3}",
        "(age|late):(<|<=|>|>=)[0-9]{1,5}(s|m|h|d)",
        "/[a-z.\\\\]?[a-z ]{0,5}(\\\\/)?[a-z]/",
    ];
    ("[-!]?", test).prop_map(|(not, test)| format!("{not}{test}"))
}

proptest! {
    #[test]
    fn what_is_displayed_reads_back(terms in proptest::collection::vec(term(), 0..5)) {
        let Ok(filter) = Filter::parse(&terms.join(" ")) else { return Ok(()) };
        let shown = filter.to_string();
        let back = Filter::parse(&shown);
        prop_assert_eq!(back.as_ref().map(ToString::to_string), Ok(shown));
        prop_assert_eq!(back, Ok(filter));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
        let _ = Filter::parse(&text);
    }

    #[test]
    fn a_turned_term_lets_through_the_rest(term in term()) {
        let fleet = sample();
        let plain = term.trim_start_matches(['-', '!']).to_owned();
        prop_assume!(!plain.is_empty());
        let (Ok(yes), Ok(no)) = (Filter::parse(&plain), Filter::parse(&format!("-{plain}"))) else {
            return Ok(());
        };
        for row in fleet.tasks() {
            prop_assert_ne!(yes.matches(row, at(0)), no.matches(row, at(0)));
        }
    }
}
