//! The README says what the program does: its lists are derived, not kept by hand.

use std::fmt::Write as _;

use clap::Parser as _;
use vigie::action::{Action, Scope};
use vigie::cli::Args;
use vigie::config::Settings;
use vigie::coordinator::check_tasks;

fn keys_table() -> String {
    let mut table = String::from("| keys | action | what it does |\n|---|---|---|\n");
    for &action in Action::ALL {
        let spec = action.spec();
        let keys: Vec<String> = spec.keys.iter().map(|key| format!("`{key}`")).collect();
        let keys = if keys.is_empty() { "–".to_owned() } else { keys.join(" ") };
        let place = if spec.scope == Scope::Detail { " (in the detail)" } else { "" };
        writeln!(table, "| {keys} | {} | {}{place} |", spec.name, spec.title).unwrap();
    }
    table
}

#[test]
fn the_keys_are_those_of_the_action_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("a test -->\n", "<!-- end of keys -->");
    let from = readme.find(begin).unwrap() + begin.len();
    let to = readme.find(end).unwrap();
    if readme[from..to] != keys_table() && std::env::var_os("VIGIE_BLESS").is_some() {
        std::fs::write(path, format!("{}{}{}", &readme[..from], keys_table(), &readme[to..])).unwrap();
        return;
    }
    assert_eq!(&readme[from..to], keys_table(), "run the tests with VIGIE_BLESS=1 to write it anew");
}

#[test]
fn pictures_that_are_shown_are_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let shown: Vec<&str> = readme
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|p| !p.contains("://"))
        .collect();
    assert!(shown.iter().any(|path| path.starts_with("screenshots/")));
    for path in shown {
        assert!(root.join(path).exists(), "the README shows {path}, which is not there");
    }
}

#[test]
fn the_examples_are_right() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let examples: Vec<&str> =
        readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let (tasks, configurations): (Vec<&str>, Vec<&str>) =
        examples.into_iter().partition(|example| example.contains("[[task]]"));
    assert!(!tasks.is_empty() && !configurations.is_empty());
    let folder = tempfile::tempdir().unwrap();
    for (i, example) in tasks.into_iter().enumerate() {
        let path = folder.path().join(format!("{i}.toml"));
        std::fs::write(&path, example).unwrap();
        assert_eq!(check_tasks(&path).map_err(|error| error.problems), Ok(1));
    }
    for example in configurations {
        let settings = Settings::parse(example, folder.path(), None).unwrap();
        assert_eq!(settings.endpoints.len(), 2);
    }
}

/// The words of a command line, as a shell would read those that the README has.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut is_quoted) = (String::new(), false);
    for c in line.chars().chain([' ']) {
        match c {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.into_iter().filter(|word| !word.is_empty()).take_while(|word| word != "#").collect()
}

#[test]
fn the_commands_are_right() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap().replace("\\\n", " ");
    let shells = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines: Vec<&str> = shells.flat_map(str::lines).filter(|line| line.starts_with("vigie ")).collect();
    assert!(lines.len() > 10, "{lines:?}");
    for line in lines {
        if let Err(error) = Args::try_parse_from(words(line)) {
            panic!("{line}: {error}");
        }
    }
}
