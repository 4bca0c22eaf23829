//! What stands before sending: guards, the dry run of the system itself, and the question.

use std::fmt::Write as _;

use crate::config::Settings;
use crate::model::{Clean, Guard, Input, Intent};

use super::super::args::How;
use super::super::session::{Session, Step};
use super::super::{Failure, print, tty};
use super::read_limit;

/// A line for each target: what would be sent, and what it would do.
///
/// # Errors
/// Standard output can't be written.
pub async fn tell(session: &mut Session, intent: &Intent) -> Result<(), Failure> {
    let text = describe(session, intent, "would ").await;
    print(&text)
}

/// Whether it may be sent: by the guards of its endpoints, and by a yes where that is needed.
///
/// # Errors
/// Why not.
pub async fn permit(
    session: &mut Session,
    settings: &Settings,
    intent: &Intent,
    how: How,
) -> Result<(), Failure> {
    let deed = intent.deed;
    if settings.read_only {
        return Err(Failure::refused(format!("{deed}: read-only, so nothing is sent")));
    }
    let guards =
        intent.targets.iter().filter_map(|target| session.specs().iter().find(|s| s.name == target.endpoint));
    let strictest = guards.clone().map(|spec| spec.guard).max().unwrap_or(Guard::Confirm);
    if strictest == Guard::ReadOnly {
        let mut names: Vec<String> =
            guards.filter(|spec| spec.guard == Guard::ReadOnly).map(|spec| spec.name.to_string()).collect();
        names.dedup();
        let names = names.join(", ");
        return Err(Failure::refused(format!("{deed}: {names} is read-only, so nothing is sent")));
    }
    let cautions = cautions(session, intent);
    let dangerous = deed.is_destructive() || !cautions.is_empty() || intent.targets.len() > 1;
    if strictest == Guard::None || !dangerous || how.yes {
        return Ok(());
    }
    if !tty::is_attended() {
        let what = format!("{deed} of {} needs a confirmation", count(intent.targets.len()));
        return Err(Failure::refused(format!("{what}, and there is no terminal to ask at: give --yes")));
    }
    let expected =
        if strictest == Guard::Typed { format!("{deed} {}", intent.targets.len()) } else { "y".to_owned() };
    let question = describe(session, intent, "  ").await;
    ask(&format!("{question}{cautions}"), &expected, "go on")
}

/// Each call on a line, with what the system itself says that it would do, and with what it takes.
async fn describe(session: &mut Session, intent: &Intent, before: &str) -> String {
    let calls = session.handle().preview(intent);
    let foreseen = foresee(session, intent).await;
    let mut text = String::new();
    for (i, (target, call)) in intent.targets.iter().zip(&calls).enumerate() {
        let _ = writeln!(text, "{before}{} {target}   ({call})", intent.deed);
        match foreseen.get(i) {
            Some(Ok(Some(line))) => {
                let _ = writeln!(text, "    {line}");
            }
            Some(Err(reason)) => {
                let _ = writeln!(text, "    what it would do can't be told: {reason}");
            }
            Some(Ok(None)) | None => {}
        }
    }
    for (name, input) in &intent.arguments.inputs {
        let _ = match input {
            Input::Text(value) => writeln!(text, "    {name}: {value}"),
            // Its digest and length.
            Input::Payload(payload) => writeln!(text, "    {name}: {payload:?}"),
        };
    }
    text
}

/// What the systems themselves say that the intent would do, target by target;
/// empty if they do not say it in time.
async fn foresee(session: &mut Session, intent: &Intent) -> Vec<Result<Option<Clean>, Clean>> {
    let limit = read_limit(session.specs());
    session.handle().foresee(intent.clone());
    let answer = async {
        loop {
            match session.step().await {
                Step::Foreseen(id, lines) if id == intent.id => return lines,
                Step::Ended => return Vec::new(),
                _ => {}
            }
        }
    };
    tokio::time::timeout(limit, answer)
        .await
        .unwrap_or_else(|_| vec![Err("no answer in time".into()); intent.targets.len()])
}

/// What running the targets destroys, a line each.
fn cautions(session: &Session, intent: &Intent) -> String {
    let mut lines = String::new();
    for target in &intent.targets {
        let row = target.key().and_then(|key| session.fleet.task(&key));
        if let Some(row) = row.filter(|row| row.task.is_destroyed_by(intent.deed))
            && let Some(caution) = &row.task.caution
        {
            let _ = writeln!(lines, "  {target}: {caution}");
        }
    }
    lines
}

/// Asks at the terminal.
///
/// # Errors
/// The answer was not `expected`.
pub fn ask(about: &str, expected: &str, to: &str) -> Result<(), Failure> {
    let question = format!("{about}Type {expected} to {to}; anything else leaves everything as it is: ");
    match tty::line(&question) {
        Ok(answer) if answer == expected => Ok(()),
        _ => Err(Failure::refused("nothing was sent")),
    }
}

fn count(targets: usize) -> String {
    if targets == 1 { "1 target".to_owned() } else { format!("{targets} targets") }
}
