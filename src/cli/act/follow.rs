//! What becomes of an intent: its receipts, and what waiting shows.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;

use crate::model::{Clean, Command, Deed, Intent, Receipt, Run, RunState, Stage, Target, Verb};

use super::super::session::{self, Session, Step};
use super::super::{Exit, Failure, complain, print};

/// How long `--wait` goes on without news.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// Prints what became of the intent.
///
/// # Errors
/// Standard output can't be written.
pub fn conclude(intent: &Intent, receipts: &BTreeMap<Target, Receipt>) -> Result<Exit, Failure> {
    let (exit, done) = verdict(intent, receipts);
    print(&done)?;
    Ok(exit)
}

/// Follows the intent: to the endpoints' answers, or with `wait` to the effect.
pub async fn follow(session: &mut Session, intent: &Intent, wait: bool) -> BTreeMap<Target, Receipt> {
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
    let id = receipt.run.as_ref()?;
    if receipt.deed == Command::VigieSubmit {
        // Its task is known by its run only.
        let endpoint = &receipt.target.endpoint;
        let active = session.fleet.tasks().filter(|row| row.key.endpoint == *endpoint);
        let mut told = active.flat_map(|row| row.task.active_runs.iter().chain(&row.task.last_run));
        return told.find(|run| run.id.as_ref() == Some(id)).or_else(|| session.fleet.run(endpoint, id));
    }
    let key = receipt.target.key()?;
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
    use uuid::Uuid;

    use super::*;
    use crate::model::{Arguments, IntentId};

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
