//! What became of an attempt, as its folder and the machine's processes tell.

use std::io::ErrorKind;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::coordinator::domain::{Lost, Outcome};
use crate::model::Clean;

use super::process::Identity;
use super::records::{Claim, Ended, Folder, Started, VERSION};

/// What became of an attempt.
#[derive(Debug)]
pub(super) enum Found {
    /// It has ended.
    Ended(Outcome),
    /// This supervisor is with it.
    Supervised(Identity),
    /// Its supervisor has gone and the command has not.
    Left {
        /// The command's groups.
        groups: Vec<u32>,
        /// Between SIGTERM and SIGKILL.
        kill_grace: Duration,
        /// What is to be said once it has ended.
        lost: Lost,
    },
    /// It has ended, or never began, and nobody knows how.
    Lost(Lost),
    /// It was not started, and never will be.
    NeverStarted,
    /// Nobody has started it, and that nobody will can't be written down now.
    Untold,
}

/// Looks at an attempt. `whole`: no power cut can have taken anything from its
/// folder, so that what is not there never was; then nobody can start it any
/// more who has not until now.
pub(super) fn look(folder: &Folder, boot: &str, whole: bool, now: DateTime<Utc>) -> Found {
    // Its supervisor may end, and say how, at any moment between two looks.
    let mut untold = false;
    for _ in 0..2 {
        if let Some(ended) = folder.ended() {
            let machine = folder.claim().and_then(|claim| claim.machine);
            return Found::Ended(outcome(ended, machine.is_some()));
        }
        match folder.claim() {
            Some(Claim { supervisor: Some(supervisor), .. }) if supervisor.is_alive(boot) => {
                return Found::Supervised(supervisor);
            }
            None if whole => {
                let void =
                    Claim { version: VERSION, at: now, supervisor: None, kill_grace_ms: 0, machine: None };
                // Where the folder has gone nobody can take it either.
                let taken = folder.take(&void);
                untold = taken.is_err_and(|error| error.kind() != ErrorKind::NotFound);
            }
            Some(_) | None => {}
        }
    }
    let (claim, started) = (folder.claim(), folder.started());
    match claim {
        Some(Claim { supervisor: None, .. }) => Found::NeverStarted,
        None if whole && untold => Found::Untold,
        None if whole => Found::NeverStarted,
        Some(ref claim @ Claim { supervisor: Some(ref supervisor), .. }) => {
            unsupervised(claim, supervisor, started, boot)
        }
        None => Found::Lost(Lost {
            why: "the machine went down when it was about to start: it may have run".into(),
            certain: false,
        }),
    }
}

/// Of one whose supervisor is gone without a word.
fn unsupervised(claim: &Claim, supervisor: &Identity, started: Option<Started>, boot: &str) -> Found {
    let there = claim.machine.as_ref().map(|machine| format!("; it may still run on {machine}"));
    let there = there.unwrap_or_default();
    let groups = supervisor.left(boot);
    let cause = if supervisor.boot == boot { "its supervisor was killed" } else { "the machine went down" };
    let lost = match started {
        None if groups.is_empty() => {
            let at = instant(claim.at);
            let why = format!("{cause} when it was about to start, at {at}: it may have run{there}");
            Lost { why: Clean::from(why), certain: false }
        }
        started => {
            let at = instant(started.map_or(claim.at, |started| started.at));
            let ended = if groups.is_empty() { "" } else { ", and what was left of it was ended" };
            let why = format!("it started at {at}, and {cause} while it ran{ended}{there}");
            Lost { why: Clean::from(why), certain: true }
        }
    };
    if groups.is_empty() {
        return Found::Lost(lost);
    }
    Found::Left { groups, kill_grace: Duration::from_millis(claim.kill_grace_ms), lost }
}

fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// What a record of an end comes to. Of what was carried out `elsewhere` it is
/// the end of ssh, which is 255 where that is its own and not the command's.
fn outcome(ended: Ended, elsewhere: bool) -> Outcome {
    let cut = elsewhere && ended.error.is_none() && matches!(ended.exit_code, None | Some(255));
    let how = match (ended.error, ended.exit_code, ended.signal) {
        (Some(error), _, _) => Some(error),
        (None, Some(0), _) => None,
        (None, Some(code), _) => Some(format!("exit code {code}")),
        (None, None, Some(signal)) => Some(format!("ended by signal {signal}")),
        (None, None, None) => Some("ended without an exit code".to_owned()),
    };
    let message = match (how, ended.last_line) {
        (Some(how), Some(words)) => Some(format!("{how}: {words}")),
        (how, words) => how.or(words),
    };
    let log = ended.log_error.map(|error| format!("its log is not whole: {error}"));
    let message = match (message, log) {
        (Some(message), Some(log)) => Some(format!("{message}; {log}")),
        (message, log) => message.or(log),
    };
    Outcome {
        good: ended.exit_code == Some(0),
        exit_code: ended.exit_code,
        message: message.map(Clean::from),
        at: Some(ended.at),
        stopped: ended.stopped,
        overran: ended.overran_ms.map(Duration::from_millis),
        cut,
    }
}
