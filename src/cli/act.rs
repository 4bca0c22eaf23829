//! Commands that act: `trigger`, `pause`, `resume`, `retry`, `cancel`,
//! `archive`, `priority`, `reload`. Exit codes: 0 observed or accepted,
//! 1 refused or failed (unknown endpoint or task, forbidden by state or guard),
//! 2 usage or configuration, 3 outcome unknown; over several targets 1 wins
//! over 3 over 0.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::config::Settings;
use crate::fleet::TaskRow;
use crate::model::{
    Arguments, Clean, Deed, EndpointName, Guard, Health, Intent, IntentId, Priority, Receipt, Run, RunId,
    RunState, Stage, Target, TaskId, TaskKey, Verb,
};

use super::args::{ActOptions, Global, How, ReloadOptions, RunActOptions};
use super::session::{self, Session, Step};
use super::{Exit, Failure, complain, print};

/// How long reading the endpoints may take before anything is sent.
const READ_LIMIT: Duration = Duration::from_secs(12);
/// How long `--wait` goes on without news.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// `vigie VERB ENDPOINT/TASK…`
///
/// # Errors
/// What was refused before anything was sent.
pub async fn on_tasks(global: &Global, deed: Deed, options: &ActOptions) -> Result<Exit, Failure> {
    on_targets(global, deed, Arguments::default(), options, None).await
}

/// `vigie VERB ENDPOINT/TASK… [--run ID]`
///
/// # Errors
/// What was refused before anything was sent.
pub async fn on_runs(
    global: &Global,
    deed: Deed,
    priority: Option<Priority>,
    options: &RunActOptions,
) -> Result<Exit, Failure> {
    let arguments = Arguments { priority, ..Arguments::default() };
    on_targets(global, deed, arguments, &options.act, options.run.as_deref()).await
}

async fn on_targets(
    global: &Global,
    deed: Deed,
    arguments: Arguments,
    options: &ActOptions,
    run: Option<&str>,
) -> Result<Exit, Failure> {
    let wanted = options.targets.iter().map(|target| split(target)).collect::<Result<Vec<_>, _>>()?;
    if run.is_some() && wanted.len() > 1 {
        return Err(Failure::usage("--run names one run: give one ENDPOINT/TASK with it"));
    }
    let (paths, settings) = session::configuration(global)?;
    let names: Vec<String> = wanted.iter().map(|(endpoint, _)| endpoint.clone()).collect();
    let specs = session::select(&settings, &names, Exit::FAILED)?;
    let mut session = Session::open(&paths, specs, settings.read_only)?;
    session.settle(READ_LIMIT).await;
    let result = match targets(&session, deed, &wanted, run) {
        Ok(targets) => {
            decide(&mut session, &settings, deed, targets, arguments, options.how, options.wait).await
        }
        Err(failure) => Err(failure),
    };
    session.close().await;
    result
}

/// `vigie reload ENDPOINT`
///
/// # Errors
/// What was refused before anything was sent.
pub async fn reload(global: &Global, options: &ReloadOptions) -> Result<Exit, Failure> {
    let (paths, settings) = session::configuration(global)?;
    let specs = session::select(&settings, std::slice::from_ref(&options.endpoint), Exit::FAILED)?;
    let mut session = Session::open(&paths, specs, settings.read_only)?;
    session.settle(READ_LIMIT).await;
    let endpoint = EndpointName::new(&options.endpoint);
    let refusal = readable(&session, &endpoint).err().or_else(|| {
        session
            .fleet
            .endpoint(&endpoint)
            .and_then(|row| row.capabilities.refusal(Verb::ReloadConfig).cloned())
    });
    let result = if let Some(reason) = refusal {
        Err(Failure::refused(format!("reload-config {endpoint}: {reason}")))
    } else {
        let targets = vec![Target::endpoint(endpoint)];
        decide(
            &mut session,
            &settings,
            Verb::ReloadConfig.into(),
            targets,
            Arguments::default(),
            options.how,
            false,
        )
        .await
    };
    session.close().await;
    result
}

/// `ENDPOINT/TASK` at the first slash.
fn split(target: &str) -> Result<(String, String), Failure> {
    match target.split_once('/') {
        Some((endpoint, task)) if !endpoint.is_empty() && !task.is_empty() => {
            Ok((endpoint.to_owned(), task.to_owned()))
        }
        _ => Err(Failure::usage(format!("{:?} is no target: write ENDPOINT/TASK", Clean::line(target)))),
    }
}

/// The tasks that are named, with the state that they are in now; all that is
/// refused about them at once.
fn targets(
    session: &Session,
    deed: Deed,
    wanted: &[(String, String)],
    run: Option<&str>,
) -> Result<Vec<Target>, Failure> {
    let mut targets: Vec<Target> = Vec::new();
    let mut refusals = Vec::new();
    for (endpoint, task) in wanted {
        match target(session, deed, &EndpointName::new(endpoint), task, run) {
            Ok(target) if targets.contains(&target) => {}
            Ok(target) => targets.push(target),
            Err(reason) => {
                refusals.push(format!("{deed} {}/{}: {reason}", Clean::line(endpoint), Clean::line(task)));
            }
        }
    }
    if refusals.is_empty() { Ok(targets) } else { Err(Failure::refused(refusals.join("\n"))) }
}

fn target(
    session: &Session,
    deed: Deed,
    endpoint: &EndpointName,
    task: &str,
    run: Option<&str>,
) -> Result<Target, Clean> {
    readable(session, endpoint)?;
    let by_id = session.fleet.task(&TaskKey::new(endpoint, &TaskId::new(task)));
    let row = by_id.map_or_else(|| named(session, endpoint, task), Ok)?;
    // What a run may be asked is known only to its endpoint.
    if run.is_none()
        && let Some(reason) = row.task.capabilities.refusal(deed)
    {
        return Err(reason.clone());
    }
    let mut target = Target::task(&row.key, row.state);
    target.run = run.map(RunId::new);
    Ok(target)
}

/// Why nothing can be said of an endpoint's tasks.
fn readable(session: &Session, endpoint: &EndpointName) -> Result<(), Clean> {
    let row = session.fleet.endpoint(endpoint).ok_or_else(|| Clean::from("no such endpoint"))?;
    match (&row.failure, row.health) {
        (Some(failure), _) => Err(failure.reason.clone()),
        (None, Health::Connecting) => Err("the endpoint has not answered in time".into()),
        (None, _) => Ok(()),
    }
}

/// The one task of this name.
fn named<'a>(session: &'a Session, endpoint: &EndpointName, name: &str) -> Result<&'a TaskRow, Clean> {
    let here = || session.fleet.tasks().filter(|row| row.key.endpoint == *endpoint);
    let mut named = here().filter(|row| row.task.name.as_str() == name);
    match (named.next(), named.next()) {
        (Some(row), None) => Ok(row),
        (Some(_), Some(_)) => Err("several tasks have this name: give the id".into()),
        (None, _) => {
            let ids: Vec<String> = here().map(|row| row.key.task.to_string()).collect();
            let near = crate::document::did_you_mean(name, ids.iter().map(String::as_str));
            Err(Clean::from(format!("no such task{near}")))
        }
    }
}

/// Guard, question, sending, and what became of it.
async fn decide(
    session: &mut Session,
    settings: &Settings,
    deed: Deed,
    targets: Vec<Target>,
    arguments: Arguments,
    how: How,
    wait: bool,
) -> Result<Exit, Failure> {
    let intent =
        Intent { id: IntentId(Uuid::now_v7()), deed, targets, arguments, at: session::now(), by: None };
    let calls = session.handle().preview(&intent);
    if how.dry_run {
        for (target, call) in intent.targets.iter().zip(&calls) {
            print(&format!("would {deed} {target}   ({call})\n"))?;
        }
        return Ok(Exit::OK);
    }
    permit(session, settings, &intent, &calls, how)?;
    session.handle().send(intent.clone());
    let receipts = follow(session, &intent, wait).await;
    let Some((reason, refused)) = session.unrecorded.take() else { return conclude(&intent, &receipts) };
    complain(&format!("the journal can't be written: {reason}"));
    if refused != Some(intent.id) {
        return conclude(&intent, &receipts);
    }
    if !how.yes {
        if !std::io::stdin().is_terminal() {
            let message = "nothing was sent, since it can't be recorded: give --yes to act unrecorded";
            return Err(Failure::refused(message));
        }
        ask("", "y", "act unrecorded")?;
    }
    // The same wish under another name: it is meant.
    let meant = Intent { id: IntentId(Uuid::now_v7()), ..intent };
    session.handle().send(meant.clone());
    let receipts = follow(session, &meant, wait).await;
    conclude(&meant, &receipts)
}

/// Prints what became of the intent.
fn conclude(intent: &Intent, receipts: &BTreeMap<Target, Receipt>) -> Result<Exit, Failure> {
    let (exit, done) = verdict(intent, receipts);
    print(&done)?;
    Ok(exit)
}

/// Whether it may be sent: by the guards of its endpoints, and by a yes where that is needed.
fn permit(
    session: &Session,
    settings: &Settings,
    intent: &Intent,
    calls: &[Clean],
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
        let names: Vec<String> =
            guards.filter(|spec| spec.guard == Guard::ReadOnly).map(|spec| spec.name.to_string()).collect();
        return Err(Failure::refused(format!(
            "{deed}: {} is read-only, so nothing is sent",
            names.join(", ")
        )));
    }
    let cautions = cautions(session, intent);
    let dangerous = deed.is_destructive() || !cautions.is_empty() || intent.targets.len() > 1;
    if strictest == Guard::None || !dangerous || how.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let what = format!("{deed} of {} needs a confirmation", count(intent.targets.len()));
        return Err(Failure::refused(format!("{what}, and there is no terminal to ask at: give --yes")));
    }
    let expected =
        if strictest == Guard::Typed { format!("{deed} {}", intent.targets.len()) } else { "y".to_owned() };
    let mut question = String::new();
    for (target, call) in intent.targets.iter().zip(calls) {
        let _ = writeln!(question, "  {deed} {target}   ({call})");
    }
    question.push_str(&cautions);
    ask(&question, &expected, "go on")
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
fn ask(about: &str, expected: &str, to: &str) -> Result<(), Failure> {
    let question = format!("{about}Type {expected} to {to}; anything else leaves everything as it is: ");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), question.as_bytes());
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && answer.trim() == expected { Ok(()) } else { Err(Failure::refused("nothing was sent")) }
}

fn count(targets: usize) -> String {
    if targets == 1 { "1 target".to_owned() } else { format!("{targets} targets") }
}

/// Follows the intent: to the endpoints' answers, or with `wait` to the effect.
async fn follow(session: &mut Session, intent: &Intent, wait: bool) -> BTreeMap<Target, Receipt> {
    let mut receipts: BTreeMap<Target, Receipt> = BTreeMap::new();
    while !intent.targets.iter().all(|target| is_done(session, receipts.get(target), wait)) {
        match session.step().await {
            Step::Ended => break,
            Step::Receipt(receipt) if receipt.intent == intent.id => {
                // The fleet may already know more than the runtime: a poll has shown the effect.
                let known = receipts.get(&receipt.target);
                if known.is_none_or(|known| known.stage <= receipt.stage) {
                    receipts.insert(receipt.target.clone(), receipt);
                }
            }
            _ => {}
        }
        let observed = session
            .fleet
            .receipts()
            .into_iter()
            .filter(|r| r.intent == intent.id && r.stage == Stage::Observed);
        let observed: Vec<Receipt> = observed.cloned().collect();
        receipts.extend(observed.into_iter().map(|receipt| (receipt.target.clone(), receipt)));
    }
    if wait {
        for receipt in receipts.values_mut() {
            finish(session, receipt);
        }
    }
    receipts
}

fn is_done(session: &Session, receipt: Option<&Receipt>, wait: bool) -> bool {
    let Some(receipt) = receipt else { return false };
    match receipt.stage {
        Stage::Failed => true,
        Stage::Sent => false,
        Stage::Accepted => !wait || session::now() - receipt.at > PATIENCE,
        Stage::Unknown => !wait || was_looked_for(session, receipt),
        Stage::Observed => !wait || !is_under_way(session, receipt) || is_silent(session, receipt),
    }
}

/// Whether what was started goes on, as far as is known.
fn is_under_way(session: &Session, receipt: &Receipt) -> bool {
    started_run(session, receipt).is_some_and(|run| !run.state.is_ended())
}

/// Whether the polls since a lost answer would have shown its effect.
fn was_looked_for(session: &Session, receipt: &Receipt) -> bool {
    let row = session.fleet.endpoint(&receipt.target.endpoint);
    let shown = |at| at >= receipt.at + 2 * row.map_or(Duration::ZERO, |row| row.spec.poll);
    row.is_none_or(|row| row.last_ok.is_some_and(shown)) || session::now() - receipt.at > PATIENCE
}

/// Whether nothing has been heard of the endpoint for too long.
fn is_silent(session: &Session, receipt: &Receipt) -> bool {
    let row = session.fleet.endpoint(&receipt.target.endpoint);
    row.is_none_or(|row| row.last_ok.is_none_or(|at| session::now() - at > PATIENCE))
}

/// The run that a trigger or a retry started, where the endpoint names it.
fn started_run<'a>(session: &'a Session, receipt: &Receipt) -> Option<&'a Run> {
    let (key, id) = (receipt.target.key()?, receipt.run.as_ref()?);
    let starts = matches!(receipt.deed, Deed::Verb(Verb::Trigger | Verb::Retry));
    session.fleet.runs_of(&key).into_iter().find(|run| starts && run.id.as_ref() == Some(id))
}

/// What waiting has shown: a run that ended badly is a failure of the command,
/// and an effect that was not seen is not known.
fn finish(session: &Session, receipt: &mut Receipt) {
    if receipt.stage == Stage::Accepted || is_under_way(session, receipt) {
        receipt.stage = Stage::Unknown;
        receipt.message = Some("its end was not seen in time".into());
        return;
    }
    let Some(run) = started_run(session, receipt) else { return };
    let (state, message) = (run.state, run.message.clone());
    let words = message.map_or_else(|| state.to_string(), |message| format!("{state}: {message}"));
    if state == RunState::Succeeded {
        receipt.message = Some(Clean::from(words));
    } else {
        receipt.stage = Stage::Failed;
        receipt.message = Some(Clean::from(format!("the run ended {words}")));
    }
}

/// The exit code, and a line for each target where it was done; the others are complained of.
fn verdict(intent: &Intent, receipts: &BTreeMap<Target, Receipt>) -> (Exit, String) {
    let mut worst = Exit::OK;
    let mut done = String::new();
    for target in &intent.targets {
        let receipt = receipts.get(target);
        let stage = receipt.map_or(Stage::Unknown, |receipt| receipt.stage);
        let message = receipt
            .and_then(|receipt| receipt.message.as_ref())
            .map(|m| format!(": {m}"))
            .unwrap_or_default();
        let run = receipt
            .and_then(|receipt| receipt.run.as_ref())
            .map(ToString::to_string)
            .filter(|run| !message.contains(run.as_str()))
            .map(|run| format!(" (run {run})"))
            .unwrap_or_default();
        let line = format!("{stage} {} {target}{run}{message}", intent.deed);
        match stage {
            Stage::Observed | Stage::Accepted => done.extend([line.as_str(), "\n"]),
            Stage::Failed => complain(&line),
            Stage::Sent | Stage::Unknown => {
                complain(&format!("{line}: it may or may not have been done; vigie status tells"));
            }
        }
        worst = match (stage, worst) {
            (Stage::Failed, _) | (_, Exit::FAILED) => Exit::FAILED,
            (Stage::Unknown | Stage::Sent, _) | (_, Exit::UNKNOWN) => Exit::UNKNOWN,
            _ => Exit::OK,
        };
    }
    (worst, done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_splits_at_the_first_slash() {
        assert_eq!(split("ops/a/b").unwrap(), ("ops".to_owned(), "a/b".to_owned()));
        for bad in ["ops", "/a", "ops/", ""] {
            assert_eq!(split(bad).unwrap_err().exit, Exit::USAGE, "{bad}");
        }
    }

    #[test]
    fn one_wins_over_three_over_zero() {
        let target =
            |task: &str| Target { endpoint: "e".into(), task: Some(task.into()), run: None, seen: None };
        let at = chrono::DateTime::UNIX_EPOCH;
        let intent = Intent {
            id: IntentId(Uuid::nil()),
            deed: Verb::Trigger.into(),
            targets: vec![target("a"), target("b"), target("c")],
            arguments: Arguments::default(),
            at,
            by: None,
        };
        let receipt = |task: &str, stage| Receipt {
            intent: intent.id,
            deed: intent.deed,
            target: target(task),
            stage,
            at,
            sent: at,
            message: None,
            run: None,
            priority: None,
        };
        for (stages, exit) in [
            ([Stage::Observed, Stage::Accepted, Stage::Observed], Exit::OK),
            ([Stage::Observed, Stage::Unknown, Stage::Observed], Exit::UNKNOWN),
            ([Stage::Failed, Stage::Unknown, Stage::Observed], Exit::FAILED),
            ([Stage::Unknown, Stage::Failed, Stage::Observed], Exit::FAILED),
        ] {
            let receipts =
                ["a", "b", "c"].iter().zip(stages).map(|(t, stage)| (target(t), receipt(t, stage))).collect();
            assert_eq!(verdict(&intent, &receipts).0, exit, "{stages:?}");
        }
    }
}
