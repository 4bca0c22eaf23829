//! The house's own rules: which room may use which, how long a file may be,
//! and where no clock may be read. One package has no compiler-checked arrows
//! between folders; this scan is what keeps them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the rooms that it may use. `cli` and `main` may use all.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("action", &["model"]),
    ("document", &["model"]),
    ("schedule", &["model"]),
    ("wire", &["model"]),
    ("fleet", &["model", "schedule"]),
    ("backend", &["model", "wire", "schedule"]),
    ("vault", &["model"]),
    ("config", &["model", "action", "schedule", "document"]),
    ("runtime", &["model", "fleet", "schedule", "action", "backend", "config", "vault", "wire"]),
    ("coordinator", &["model", "schedule", "wire", "vault", "document"]),
    ("console", &["model", "schedule", "fleet", "action", "document"]),
    ("console/shell", &["console", "model", "fleet", "action", "runtime", "config", "backend"]),
    (
        "cli",
        &[
            "model",
            "action",
            "document",
            "schedule",
            "wire",
            "fleet",
            "backend",
            "vault",
            "config",
            "runtime",
            "coordinator",
            "console",
        ],
    ),
];

/// Rooms that must not read a clock, start a task or touch a terminal or a socket.
const PURE: &[&str] =
    &["model", "action", "document", "schedule", "wire", "fleet", "console", "coordinator/domain"];

/// What gives impurity away in a pure room.
const IMPURE: &[&str] = &[
    "Utc::now",
    "Local::now",
    "Instant::now",
    "SystemTime::now",
    "tokio::spawn",
    "spawn_blocking",
    "thread::spawn",
    "std::fs",
    "std::net",
    "tokio::net",
    "reqwest",
    "rusqlite",
    "crossterm",
];

/// Crates that only some rooms may know.
const CRATES: &[(&str, &[&str])] = &[
    ("ratatui", &["console", "console/shell"]),
    ("crossterm", &["console/shell"]),
    ("reqwest", &["backend", "runtime"]),
    ("rusqlite", &["coordinator"]),
    ("axum", &["coordinator"]),
    ("clap", &["cli"]),
    ("color_eyre", &["cli", "console/shell"]),
];

const MAX_LINES: usize = 600;

struct Source {
    /// Path below `src`, with `/`.
    path: String,
    /// The code without its inline tests, which may use what they test with.
    code: String,
}

/// The most specific room of a path: `console/shell` before `console`.
fn room_of(path: &str) -> Option<&'static str> {
    let rooms = ARROWS.iter().map(|(room, _)| *room);
    rooms
        .filter(|room| path.strip_prefix(room).is_some_and(|rest| rest.starts_with('/')))
        .max_by_key(|room| room.len())
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Lines that break an arrow, as `path:line: …`.
fn broken_arrows(source: &Source) -> Vec<String> {
    let Some(room) = room_of(&source.path) else { return Vec::new() };
    let allowed = ARROWS.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, allowed)| allowed);
    let own = room.split('/').next().unwrap_or(room);
    let mut broken = Vec::new();
    for (number, line) in code_lines(&source.code) {
        for (at, _) in line.match_indices("crate::") {
            let used: String =
                line[at + 7..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let is_room = ARROWS.iter().any(|(name, _)| *name == used);
            if is_room && used != own && !allowed.contains(&used.as_str()) {
                broken.push(format!("{}:{number}: {room} may not use {used}: {}", source.path, line.trim()));
            }
        }
        if own == "console"
            && room != "console/shell"
            && line.contains("shell::")
            && !line.contains("mod shell")
        {
            broken.push(format!("{}:{number}: only the shell knows the shell: {}", source.path, line.trim()));
        }
        for (krate, rooms) in CRATES {
            if line.contains(&format!("{krate}::")) && !rooms.contains(&room) && !rooms.contains(&own) {
                broken.push(format!(
                    "{}:{number}: {room} may not know {krate}: {}",
                    source.path,
                    line.trim()
                ));
            }
        }
        let pure = PURE.iter().any(|p| source.path.starts_with(&format!("{p}/"))) && room != "console/shell";
        for word in IMPURE.iter().filter(|_| pure) {
            if line.contains(word) {
                broken.push(format!(
                    "{}:{number}: {room} is pure, without {word}: {}",
                    source.path,
                    line.trim()
                ));
            }
        }
    }
    broken
}

/// Numbered lines without comments.
fn code_lines(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Everything before the inline test module, and how long that is.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    for line in text.lines() {
        if line == "#[cfg(test)]" {
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let below = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.push(Source { code: without_tests(&fs::read_to_string(&path).unwrap()), path: below });
            }
        }
    }
    assert!(found.len() > 20, "the scan found the sources");
    found
}

#[test]
fn arrows_hold() {
    let broken: Vec<String> =
        sources().iter().filter(|s| !is_test_file(&s.path)).flat_map(broken_arrows).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn files_stay_short() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|s| !is_test_file(&s.path))
        .map(|s| (s.code.lines().count(), &s.path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "over {MAX_LINES} lines without tests:\n{}", long.join("\n"));
}

/// The rooms that a room's text says it may import: those in backticks after
/// "May import", up to the end of the clause.
fn told(code: &str) -> Option<BTreeSet<String>> {
    let lines = code.lines().map_while(|line| line.strip_prefix("//!"));
    let text = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    let clause = text.split("May import").nth(1)?.split(['.', ';']).next()?;
    Some(clause.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

#[test]
fn every_folder_is_a_room_whose_text_tells_its_arrows() {
    let sources = sources();
    let folders: BTreeSet<&str> =
        sources.iter().filter_map(|s| s.path.split_once('/')).map(|(room, _)| room).collect();
    for room in folders {
        let arrow = ARROWS.iter().find(|(name, _)| *name == room);
        let (_, allowed) = arrow.unwrap_or_else(|| panic!("src/{room} is in no arrow"));
        if room == "cli" {
            continue;
        }
        let path = format!("{room}/mod.rs");
        let text = sources.iter().find(|s| s.path == path).and_then(|s| told(&s.code));
        let text = text.unwrap_or_else(|| panic!("src/{path} does not say what it may import"));
        assert_eq!(text, allowed.iter().map(|&room| room.to_owned()).collect(), "src/{path}");
    }
}

#[test]
fn a_broken_arrow_is_found() {
    let source = |path: &str, code: &str| Source { path: path.to_owned(), code: code.to_owned() };
    for (path, code, what) in [
        ("model/x.rs", "use crate::fleet::Fleet;", "model may not use fleet"),
        ("backend/a/b.rs", "    crate::coordinator::serve()", "backend may not use coordinator"),
        ("coordinator/api/mod.rs", "use crate::backend::Backend;", "coordinator may not use backend"),
        ("console/update/mod.rs", "use crate::runtime::Handle;", "console may not use runtime"),
        ("console/state.rs", "use super::shell::run;", "only the shell"),
        ("backend/http.rs", "use ratatui::Frame;", "backend may not know ratatui"),
        ("fleet/mod.rs", "let now = chrono::Utc::now();", "fleet is pure"),
        ("coordinator/domain/mod.rs", "use std::fs;", "is pure"),
    ] {
        let broken = broken_arrows(&source(path, &format!("//! Text.\n{code}\n")));
        assert!(
            broken.iter().any(|b| b.contains(what) && b.starts_with(&format!("{path}:2:"))),
            "{path}: {broken:?}"
        );
    }
    for (path, code) in [
        ("fleet/x.rs", "use crate::model::Task; // crate::runtime is not used"),
        ("console/shell/mod.rs", "use crate::runtime::Handle;"),
        ("cli/mod.rs", "use crate::coordinator::Options;"),
        ("model/x.rs", "/// See [`crate::schedule`]."),
    ] {
        let code = code.split(" //").next().unwrap();
        assert_eq!(broken_arrows(&source(path, code)), Vec::<String>::new(), "{path}");
    }
}
