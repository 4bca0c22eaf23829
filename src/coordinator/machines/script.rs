//! What the remote shell reads. Nothing of a script is run before all of it has
//! come: each is functions, and one call in its last line.

use std::fmt::Write as _;

use crate::coordinator::domain::Whereabouts;
use crate::coordinator::exec::Launch;
use crate::model::{Clean, RunId};

const COMMON: &str = include_str!("common.sh");
const START: &str = include_str!("start.sh");
const ASK: &str = include_str!("ask.sh");
const END: &str = include_str!("end.sh");
const PROBE: &str = include_str!("probe.sh");

/// What a machine says that is fit to run something.
pub(super) const READY: &str = "vigie ready";

/// Starts a command, passes its output on, and ends with its exit code.
///
/// # Errors
/// What a shell can't be told: a NUL byte, or a variable whose name is none for it.
pub(super) fn start(launch: &Launch, run: &RunId, attempt: u32) -> Result<String, Clean> {
    let mut command = String::new();
    if let Some(cwd) = &launch.cwd {
        let Some(cwd) = cwd.to_str() else { return Err("its cwd is not UTF-8".into()) };
        let missing = quoted(&format!("vigie: its cwd {cwd} is not there, or can't be entered"))?;
        let _ = writeln!(
            command,
            "  cd -- {} 2>/dev/null || {{ printf '%s\\n' {missing}; exit 127; }}",
            quoted(cwd)?
        );
    }
    for (name, value) in &launch.env {
        if !is_variable(name) {
            let name = Clean::line(name);
            return Err(Clean::from(format!("env: {name:?} is not the name of a variable of a shell there")));
        }
        let value = quoted(value).map_err(|why| Clean::from(format!("env: {name}: {why}")))?;
        let _ = writeln!(command, "  export {name}={value}");
    }
    command.push_str("  set --");
    for argument in &launch.argv {
        let _ = write!(command, " {}", quoted(argument)?);
    }
    // Last, so that nothing of the command is taken for a place to fill in.
    Ok(with_key(START, run, attempt).replace("@COMMAND@", &command))
}

/// Tells what became of an attempt: see [`fate`].
pub(super) fn ask(run: &RunId, attempt: u32) -> String {
    with_key(ASK, run, attempt)
}

/// Ends the process group of an attempt.
pub(super) fn end(run: &RunId, attempt: u32, kill: bool) -> String {
    let (mark, signal) = if kill { ("kill", "KILL") } else { ("stop", "TERM") };
    with_key(END, run, attempt).replace("@MARK@", mark).replace("@SIGNAL@", signal)
}

/// Tells whether the machine is fit to run something: see [`READY`].
pub(super) fn probe() -> String {
    format!("{COMMON}{PROBE}").replace("@READY@", READY)
}

fn with_key(script: &str, run: &RunId, attempt: u32) -> String {
    let safe: String = run.as_raw().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("{COMMON}{script}").replace("@KEY@", &format!("{safe}-{attempt}"))
}

/// What [`ask`] was answered; `None`: that was no answer.
pub(super) fn fate(said: &str) -> Option<Whereabouts> {
    // What a login prints comes before it.
    let words: Vec<&str> = said.lines().last()?.split_whitespace().collect();
    match words.as_slice() {
        ["vigie", "ended", code] => code.parse().ok().map(Whereabouts::Ended),
        ["vigie", "running"] => Some(Whereabouts::Running),
        ["vigie", "never"] => Some(Whereabouts::NeverStarted),
        ["vigie", "gone"] => Some(Whereabouts::Gone),
        _ => None,
    }
}

/// A word of a shell that stands for exactly this text.
fn quoted(text: &str) -> Result<String, Clean> {
    if text.contains('\0') {
        return Err("holds a NUL byte".into());
    }
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// As POSIX has it: letters, digits and underscores, no digit first.
fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
