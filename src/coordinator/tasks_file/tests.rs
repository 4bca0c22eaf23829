use super::*;

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
        ("machine = \"db-1\"", "remote machines are not built yet"),
        ("secrets = { A = \"b\" }", "store of secrets is not built yet"),
        ("windows = []", "windows are not built yet"),
        ("ping_key = \"short\"", "16 to 128 letters"),
        ("ping_key = \"sixteen bytes or more, with blanks\"", "16 to 128 letters"),
        (
            "ping_key = \"0123456789abcdef\"\n[[task]]\nid = \"b\"\nping_key = \"0123456789abcdef\"",
            "a task above",
        ),
        ("ping_key = \"the-id-of-a-task\"\n[[task]]\nid = \"the-id-of-a-task\"", "the id of a task"),
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
        ("name = \"\"", "is empty"),
        ("retry = { delay = \"1s\" }", "nothing of count"),
        ("retry = { count = 1, on = [\"failure\"] }", "did you mean \"failed\"?"),
        ("retry = { count = 1, jiter = 1 }", "did you mean \"jitter\"?"),
        ("failure_action = \"run:nobody\"", "there is no task \"nobody\""),
        ("failure_action = \"run:a\"", "for ever"),
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
    assert_eq!(file.tasks.len(), 2);
    for field in [
        "name",
        "description",
        "team",
        "labels",
        "ping_key",
        "command",
        "shell",
        "env",
        "cwd",
        "schedule",
        "every",
        "zone",
        "dialect",
        "enabled",
        "overlap",
        "catch_up",
        "priority",
        "concurrency",
        "max_runtime",
        "kill_grace",
        "retry",
        "failure_action",
        "start_window",
        "lateness_window",
        "heartbeat_timeout",
        "min_gap",
        "failure_threshold",
        "recovery_threshold",
    ] {
        assert!(text.lines().any(|line| line.starts_with(&format!("{field} = "))), "{field}");
    }
}
