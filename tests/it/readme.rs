//! The README says what the program does: its lists are derived, not kept by hand.

use std::fmt::Write as _;

use clap::Parser as _;
use vigie::action::{Action, Scope};
use vigie::backend::{Offer, Offers, offers};
use vigie::cli::Args;
use vigie::config::Settings;
use vigie::coordinator::check_tasks;
use vigie::model::{Command, Deed, Kind, Verb};

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

/// What stands between two marks of the README is `derived`; with `VIGIE_BLESS` it is written anew.
fn is_derived(begin: &str, end: &str, derived: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let from = readme.find(begin).unwrap() + begin.len();
    let to = readme.find(end).unwrap();
    if readme[from..to] != *derived && std::env::var_os("VIGIE_BLESS").is_some() {
        std::fs::write(path, format!("{}{derived}{}", &readme[..from], &readme[to..])).unwrap();
        return;
    }
    assert_eq!(&readme[from..to], derived, "run the tests with VIGIE_BLESS=1 to write it anew");
}

/// Both tables in one test, since each writes the whole file.
#[test]
fn the_tables_are_those_of_the_code() {
    is_derived(
        "<!-- keys: checked against the action table by a test -->\n",
        "<!-- end of keys -->",
        &keys_table(),
    );
    is_derived(
        "<!-- offers: checked against the adapters by a test -->\n",
        "<!-- end of offers -->",
        &offers_table(),
    );
}

/// Numbered notes: the same words have the same number.
#[derive(Default)]
struct Notes(Vec<&'static str>);

impl Notes {
    fn cell(&mut self, offer: Offer) -> String {
        let (mark, note) = match offer {
            Offer::Yes => return "✓".to_owned(),
            Offer::With(note) => ("✓", note),
            Offer::No(reason) => ("–", reason),
        };
        let known = self.0.iter().position(|known| *known == note);
        let number = known.unwrap_or_else(|| {
            self.0.push(note);
            self.0.len() - 1
        });
        format!("{mark} <sup>{}</sup>", number + 1)
    }
}

type Read = fn(&Offers) -> Offer;

/// What each system offers, with what is not there and why.
fn offers_table() -> String {
    let kinds: Vec<Offers> = Kind::ALL.iter().map(|&kind| offers(kind)).collect();
    let mut notes = Notes::default();
    let mut table = String::from("| |");
    for kind in Kind::ALL {
        write!(table, " `{kind}` |").unwrap();
    }
    writeln!(table, "\n|---|{}", "---|".repeat(Kind::ALL.len())).unwrap();
    let mut row = |name: &str, cells: Vec<String>| {
        writeln!(table, "| {name} | {} |", cells.join(" | ")).unwrap();
    };
    let reads: [(&str, Read); 6] = [
        ("runs of the past", |offers| offers.reads.runs),
        ("logs", |offers| offers.reads.log),
        ("queues", |offers| offers.reads.queues),
        ("alerts of its own", |offers| offers.reads.alerts),
        ("a trace of each task", |offers| offers.reads.trace),
        ("an audit log", |offers| offers.reads.audit),
    ];
    for (name, read) in reads {
        row(name, kinds.iter().map(|offers| notes.cell(read(offers))).collect());
    }
    for &verb in Verb::ALL {
        let action = Action::ALL.iter().find(|action| action.spec().name == verb.word()).unwrap();
        let name = format!("**{verb}**: {}", action.spec().title);
        row(&name, kinds.iter().map(|offers| notes.cell((offers.acts)(Deed::Verb(verb)))).collect());
    }
    for &command in Command::ALL {
        let spec = command.spec();
        // Nobody looks for another system's command here: it has no reason to be missing.
        let cell = |(&kind, offers): (&Kind, &Offers)| {
            if kind == spec.kind { notes.cell((offers.acts)(Deed::Command(command))) } else { String::new() }
        };
        let cells = Kind::ALL.iter().zip(&kinds).map(cell).collect();
        row(&format!("`{command}`: {}", spec.title), cells);
    }
    table.push('\n');
    for (i, note) in notes.0.iter().enumerate() {
        writeln!(table, "{}. {note}.", i + 1).unwrap();
    }
    table
}

/// Each kind's column says what its own adapter says, and has no hole.
#[test]
fn the_table_of_systems_says_why_something_is_missing() {
    let table = offers_table();
    let (rows, notes) = table.split_once("\n\n").unwrap();
    assert_eq!(rows.lines().count(), 2 + 6 + Verb::ALL.len() + Command::ALL.len());
    let widths: Vec<usize> = rows.lines().map(|line| line.matches('|').count()).collect();
    assert!(widths.iter().all(|width| *width == Kind::ALL.len() + 2), "{rows}");
    let missing = rows.matches('–').count();
    assert_eq!(rows.matches("– <sup>").count(), missing, "each is explained");
    let unlike: std::collections::BTreeSet<&str> =
        notes.lines().filter_map(|line| line.split_once(". ").map(|(_, note)| note)).collect();
    assert_eq!(unlike.len(), notes.lines().count(), "no reason is given twice");
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
        assert!(!settings.endpoints.is_empty(), "{example}");
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
