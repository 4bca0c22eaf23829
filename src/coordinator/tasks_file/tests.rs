use std::fmt::Write as _;

use super::*;
use crate::model::Timing;

/// Problems as `line: message begins`.
fn problems(text: &str) -> Vec<(usize, String)> {
    parse(text)
        .unwrap_err()
        .into_iter()
        .map(|problem| (problem.line, problem.message.as_str().to_owned()))
        .collect()
}

#[test]
fn a_task_needs_only_an_id() {
    let file = parse("[[task]]\nid = \"a\"\n").unwrap();
    assert_eq!(file.tasks, [Definition::new("a", Work::Watched)]);
    assert_eq!(file.limits, Limits::default());
    assert_eq!(parse("").unwrap(), TaskFile::default());
}

#[test]
fn every_field_is_read() {
    let file = parse(
        r#"
        [limits]
        coordinator = 3
        team = { data = 1 }
        machine = { "db-1" = 2 }

        [[task]]
        id = "nightly-dump"
        name = "Nightly dump"
        description = "All of it"
        team = "data"
        labels = { env = "prod" }
        command = ["pg_dump", "shop"]
        env = { PGHOST = "db" }
        cwd = "/tmp"
        schedule = "0 3 * * *"
        zone = "Europe/Paris"
        start_window = "60s"
        lateness_window = "5m"
        max_runtime = "1h"
        kill_grace = "500ms"
        heartbeat_timeout = "40s"
        min_gap = "10m"
        failure_threshold = 2
        recovery_threshold = 3
        priority = 2
        retry = { count = 3, delay = "30s", backoff = 2.0, jitter = 0.5, on = ["failed"] }
        failure_action = "run:cleaner"
        overlap = "queue"
        catch_up = "once"
        concurrency = 2
        enabled = false

        [[task]]
        id = "cleaner"
        shell = "rm -f /tmp/x | true"
        every = "10m"
        failure_action = "none"
        "#,
    )
    .unwrap();
    let [dump, cleaner] = file.tasks.as_slice() else { panic!("{:?}", file.tasks) };
    assert_eq!(file.limits.coordinator, 3);
    assert_eq!(file.limits.team["data"], 1);
    assert_eq!(file.limits.machine["db-1"], 2);
    assert_eq!(dump.name, "Nightly dump");
    assert_eq!(dump.queue().as_raw(), "data");
    assert_eq!(dump.schedule.as_ref().unwrap().zone, "Europe/Paris");
    let Work::Command(command) = &dump.work else { panic!("{:?}", dump.work) };
    assert_eq!(command.argv, ["pg_dump", "shop"]);
    assert_eq!(command.env["PGHOST"], "db");
    assert_eq!(command.cwd.as_deref(), Some(Path::new("/tmp")));
    let policy = dump.policy;
    assert_eq!(
        (policy.start_window_s, policy.lateness_window_s, policy.max_runtime_s),
        (60, 300, Some(3_600))
    );
    assert_eq!((policy.heartbeat_timeout_s, policy.min_gap_s), (Some(40), Some(600)));
    assert_eq!((policy.failure_threshold, policy.recovery_threshold), (2, 3));
    assert_eq!(dump.kill_grace, Duration::from_millis(500));
    assert_eq!(dump.priority.level(), 2);
    assert_eq!((dump.retry.count, dump.retry.on.as_slice()), (3, [RetryOn::Failed].as_slice()));
    assert_eq!(dump.failure_action, FailureAction::Run(TaskId::new("cleaner")));
    assert_eq!((dump.overlap, dump.catch_up, dump.concurrency), (Overlap::Queue, CatchUp::Once, Some(2)));
    assert!(!dump.enabled);
    let Work::Command(command) = &cleaner.work else { panic!("{:?}", cleaner.work) };
    assert_eq!(command.argv, ["/bin/sh", "-c", "rm -f /tmp/x | true"]);
    assert_eq!(cleaner.schedule.as_ref().unwrap().timing, Timing::Every { seconds: 600 });
    assert_eq!(cleaner.failure_action, FailureAction::Nothing);
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let found = problems(
        "[[task]]\nid = \"a b\"\n\n[[task]]\nid = \"x\"\ncomand = [\"true\"]\nschedule = \"99 * * * *\"\n\
         [[task]]\nid = \"x\"\npriority = 9\noverlap = \"skp\"\n",
    );
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 6, 7, 9, 10, 11], "{found:?}");
    assert!(found[1].1.contains("did you mean \"command\"?"), "{found:?}");
    assert!(found[5].1.contains("did you mean \"skip\"?"), "{found:?}");
}

#[test]
fn what_is_refused_says_why() {
    for (line, words) in [
        ("machine = \"local\"", "is the coordinator's own machine: leave it out"),
        ("machine = \"-oProxyCommand=x\"", "\"-oProxyCommand=x\" is not a machine"),
        ("secrets = { A = \"x/b\" }", "there is no command here"),
        ("shell = \"x\"\nsecrets = { A = \"b\" }", "write TEAM/NAME"),
        ("shell = \"x\"\nsecrets = { A = \"ops/b\" }", "may use only default/… and shared/…"),
        ("shell = \"x\"\nteam = \"data\"\nsecrets = { A = \"ops/b\" }", "may use only data/… and shared/…"),
        (
            "shell = \"x\"\nteam = \"data\"\nsecrets = { \"A B\" = \"data/b\" }",
            "not the name of an environment",
        ),
        (
            "shell = \"x\"\nteam = \"data\"\nenv = { A = \"1\" }\nsecrets = { A = \"data/b\" }",
            "A is in env too",
        ),
        ("ping_key = \"short\"", "16 to 128 letters"),
        ("ping_key = \"sixteen bytes or more, with blanks\"", "16 to 128 letters"),
        (
            "ping_key = \"0123456789abcdef\"\n[[task]]\nid = \"b\"\nping_key = \"0123456789abcdef\"",
            "a task above",
        ),
        ("ping_key = \"the-id-of-a-task\"\n[[task]]\nid = \"the-id-of-a-task\"", "the id of a task"),
        ("windows = []", "say when it must not start with blackout"),
        ("schedule = \"@daily\"\nevery = \"1m\"", "there is a schedule too"),
        ("zone = \"UTC\"", "there is none"),
        ("dialect = \"unix\"", "there is none"),
        ("every = \"100ms\"", ""),
        ("every = \"1500ms\"", "whole seconds"),
        ("schedule = \"0 3 * * *\"\nzone = \"Europe/Pariss\"", "Europe/Paris"),
        ("command = \"true\"", "for a line of shell use shell"),
        ("command = []", "must begin with a program"),
        ("command = [\"true\"]\nshell = \"true\"", "one of the two"),
        ("shell = \"\"", "is empty"),
        ("cwd = \"somewhere\"", "absolute path"),
        ("cwd = \"/some\\u0000where\"", "NUL"),
        ("command = [\"echo\", \"\\u0000\"]", "NUL"),
        ("shell = \"echo \\u0000\"", "NUL"),
        ("shell = \"x\"\nenv = { \"A=B\" = \"1\" }", "\"A=B\" is not the name of an environment variable"),
        ("shell = \"x\"\nenv = { \"\" = \"1\" }", "is not the name of an environment variable"),
        ("shell = \"x\"\nenv = { A = \"\\u0000\" }", "NUL"),
        ("name = \"\"", "is empty"),
        ("retry = { delay = \"1s\" }", "nothing of count"),
        ("retry = { count = 1, on = [\"failure\"] }", "did you mean \"failed\"?"),
        ("retry = { count = 1, jiter = 1 }", "did you mean \"jitter\"?"),
        ("failure_action = \"run:nobody\"", "there is no task \"nobody\""),
        ("failure_action = \"run:a\"", "for ever"),
        (
            "failure_action = \"run:b\"\n[[task]]\nid = \"b\"",
            "names a task that has no command here: it is only watched, and can't be started",
        ),
        ("failure_action = \"mail\"", "alert, none, run:TASK"),
        ("concurrency = 0", ""),
    ] {
        let found = problems(&format!("[[task]]\nid = \"a\"\n{line}\n"));
        assert!(found.iter().any(|(at, message)| *at >= 3 && message.contains(words)), "{line}: {found:?}");
    }
    let built_in = problems("[[task]]\nid = \"disk-space\"\n");
    assert!(built_in[0].1.contains("is a built-in task"), "{built_in:?}");
    let circle =
        "[[task]]\nid=\"a\"\nfailure_action=\"run:b\"\n[[task]]\nid=\"b\"\nfailure_action=\"run:a\"\n";
    assert_eq!(problems(circle).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 6]);
    assert_eq!(problems("[[task]]\nid = \n")[0].0, 2);
    let shown = shown(Path::new("/etc/tasks.toml"), &parse("[[tsk]]\nid = \"a\"\n").unwrap_err());
    assert!(shown[0].starts_with("/etc/tasks.toml: line 1: tsk"), "{shown:?}");
}

/// The reference that users read.
const EXAMPLE: &str = include_str!("../../../tasks.example.toml");

#[test]
fn the_reference_is_the_defaults() {
    let file = parse(EXAMPLE).unwrap();
    assert_eq!(
        file,
        TaskFile { tasks: vec![Definition::new("example", Work::Watched)], ..TaskFile::default() }
    );
}

#[test]
fn the_examples_of_the_reference_parse_and_show_every_field() {
    let example = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let text: String = EXAMPLE.lines().map(example).collect();
    let file = parse(&text).unwrap();
    let ids: Vec<&str> = file.tasks.iter().map(|task| task.id.as_raw()).collect();
    assert_eq!(ids, ["example", "sync", "extract", "load", "report"]);
    assert_eq!(file.tasks[4].after, ["extract".into(), "load".into()]);
    // What the reader asks for is what there is; what it asks for only to refuse it is not.
    let document = Document::parse("[[task]]\nid = \"a\"\n").unwrap();
    let table = document.root().tables("task").remove(0);
    let _ = task(&table, "a");
    let _ = ping_key(&table, &mut BTreeSet::new());
    let refused = |key: &str| {
        parse(&format!("[[task]]\nid = \"a\"\n{key} = {{}}\n"))
            .err()
            .is_some_and(|problems| problems.iter().all(|problem| !problem.message.contains("must be")))
    };
    for key in table.known().into_iter().filter(|key| !refused(key)) {
        assert!(text.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
    }
}

/// Each of these is refused as a whole; the snapshot has what is said of it, to the word.
const BAD: &[&str] = &[
    "[[task]]\nid = \n",
    "[[task]\nid = \"a\"\n",
    "[task]\nid = \"a\"\n",
    "[[tasks]]\nid = \"a\"\n",
    "[limit]\ncoordinator = 1\n",
    "[limits]\ncoordinator = 0\nteam = { data = \"two\" }\nteem = {}\n",
    "[[task]]\nname = \"no id\"\n",
    "[[task]]\nid = \"a b\"\n",
    "[[task]]\nid = \"self-backup\"\n",
    "[[task]]\nid = \"a\"\n[[task]]\nid = \"a\"\n",
    "[[task]]\nid = 7\n",
    "[[task]]\nid = \"a\"\ncomand = [\"true\"]\n",
    "[[task]]\nid = \"a\"\ncommand = \"true\"\n",
    "[[task]]\nid = \"a\"\ncommand = []\n",
    "[[task]]\nid = \"a\"\ncommand = [\"true\"]\nshell = \"true\"\n",
    "[[task]]\nid = \"a\"\nshell = \" \"\n",
    "[[task]]\nid = \"a\"\nshell = \"true\"\nenv = { A = 1 }\ncwd = \"tmp\"\n",
    "[[task]]\nid = \"a\"\nschedule = \"0 3 * *\"\n",
    "[[task]]\nid = \"a\"\nschedule = \"99 * * * *\"\n",
    "[[task]]\nid = \"a\"\nschedule = \"@dayly\"\n",
    "[[task]]\nid = \"a\"\nschedule = \"30 2 30 2 *\"\n",
    "[[task]]\nid = \"a\"\nschedule = \"0 0 31 4,6,9,11 *\"\ndialect = \"quartz\"\n",
    "[[task]]\nid = \"a\"\nschedule = \"0 0 0 29 2 * 2027\"\n",
    "[[task]]\nid = \"a\"\nschedule = \"0 3 * * *\"\nzone = \"Europe/Pariss\"\n",
    "[[task]]\nid = \"a\"\nschedule = \"0 3 30 2 *\"\nzone = \"Nowhere\"\ndialect = \"unixx\"\n",
    "[[task]]\nid = \"a\"\nzone = \"UTC\"\ndialect = \"unix\"\n",
    "[[task]]\nid = \"a\"\nschedule = \"@daily\"\nevery = \"1h\"\n",
    "[[task]]\nid = \"a\"\nevery = \"10\"\n[[task]]\nid = \"b\"\nevery = \"100ms\"\n",
    "[[task]]\nid = \"a\"\nevery = \"1500ms\"\n",
    "[[task]]\nid = \"a\"\npriority = 6\nconcurrency = 0\nfailure_threshold = 0\n",
    "[[task]]\nid = \"a\"\nstart_window = 120\nlateness_window = \"400d\"\nmax_runtime = \"soon\"\n",
    "[[task]]\nid = \"a\"\noverlap = \"skp\"\ncatch_up = \"always\"\nenabled = \"yes\"\n",
    "[[task]]\nid = \"a\"\nretry = { delay = \"1s\", jiter = 1 }\n",
    "[[task]]\nid = \"a\"\nretry = { count = 101, backoff = 0.5, jitter = 2, on = [\"failure\"] }\n",
    "[[task]]\nid = \"a\"\nfailure_action = \"mail\"\n",
    "[[task]]\nid = \"cleaner\"\n[[task]]\nid = \"a\"\nfailure_action = \"run:cleaners\"\n",
    "[[task]]\nid = \"a\"\nfailure_action = \"run:b\"\n[[task]]\nid = \"b\"\nfailure_action = \"run:a\"\n",
    "[[task]]\nid = \"a\"\nshell = \"true\"\nafter = \"a\"\n",
    "[[task]]\nid = \"a\"\nshell = \"true\"\nafter = [\"extract\", 1, \"extract\"]\n[[task]]\nid = \"extracts\"\n",
    "[[task]]\nid = \"a\"\nshell = \"x\"\nafter = \"c\"\n[[task]]\nid = \"b\"\nshell = \"x\"\nafter = \"a\"\n[[task]]\nid = \"c\"\nshell = \"x\"\nafter = [\"b\"]\n",
    "[[task]]\nid = \"a\"\nshell = \"x\"\nafter = \"b\"\nfailure_action = \"run:b\"\n[[task]]\nid = \"b\"\n",
    "[[task]]\nid = \"a\"\nafter = []\nevery = \"1h\"\n",
    "[[task]]\nid = \"a\"\nwindows = []\n",
    "[[task]]\nid = \"a\"\nblackout = [{ from = \"22\", to = \"24:30\" }, { from = \"06:00\" }]\n",
    "[[task]]\nid = \"a\"\nblackout = [{ from = \"06:00\", to = \"06:00\", days = [\"sunday\"], zone = \"Europe/Pari\", til = 1 }]\n",
    "[[task]]\nid = \"a\"\nblackout = [{ from = \"00:00\", to = \"24:00\" }]\n",
];

#[test]
fn bad_files_are_refused_as_a_whole_with_every_line_and_what_to_do() {
    let mut told = String::new();
    for text in BAD {
        let problems = parse(text).expect_err(text);
        assert!(!problems.is_empty(), "{text}");
        told.push_str(text);
        for problem in problems {
            assert!(problem.line >= 1 && problem.line <= text.lines().count() + 1, "{text}");
            writeln!(told, "  => {problem}").unwrap();
        }
        told.push('\n');
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_check_of_a_file_tells_all_of_it_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasks.toml");
    assert_eq!(check(&path).unwrap(), 0);
    std::fs::write(&path, "[[task]]\nid = \"a\"\nschedule = \"30 2 30 2 *\"\nafter = \"b\"\n").unwrap();
    let problems = check(&path).unwrap_err().problems;
    assert!(problems.iter().all(|problem| problem.contains("tasks.toml: line ")), "{problems:?}");
    assert!(problems.len() >= 3, "{problems:?}");
    std::fs::write(&path, "[[task]]\nid = \"a\"\n").unwrap();
    assert_eq!(check(&path).unwrap(), 1);
}

#[test]
fn a_task_reads_the_same_from_json_and_from_the_file() {
    let json = serde_json::json!({
        "id": "a", "shell": "true", "schedule": "0 3 * * *", "zone": "Europe/Paris", "priority": 2, "team": "data",
        "retry": {"count": 3, "delay": "30s", "backoff": 2.0, "on": ["failed"]}, "env": {"A": "b\nc"},
        "blackout": [{"from": "22:00", "to": "06:00", "days": ["sat"]}], "labels": {"x y": "z"}
    });
    let text = r#"
        [[task]]
        id = "a"
        shell = "true"
        schedule = "0 3 * * *"
        zone = "Europe/Paris"
        priority = 2
        team = "data"
        retry = { count = 3, delay = "30s", backoff = 2.0, on = ["failed"] }
        env = { A = "b\nc" }
        blackout = [{ from = "22:00", to = "06:00", days = ["sat"] }]
        labels = { "x y" = "z" }
    "#;
    let of_file = parse(text).unwrap().tasks.remove(0);
    assert_eq!(from_json(json.as_object().unwrap()).unwrap(), of_file);
    let mut kept = json.clone();
    kept.as_object_mut().unwrap().remove("id");
    let kept = from_kept(&"a".into(), crate::model::TaskSource::Api, &kept.to_string()).unwrap();
    assert_eq!(kept.source, crate::model::TaskSource::Api);
    assert_eq!(Definition { source: of_file.source, ..kept }, of_file);
}
