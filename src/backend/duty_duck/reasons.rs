//! What Duty Duck offers, and why not where it does not: for the README's
//! table, for greyed actions and for refusals, in the same words.

use super::rights::{Rights, Scope};
use crate::backend::{Offer, Offers, Reads};
use crate::model::{Capabilities, Clean, Command, Deed, Verb};

/// What Duty Duck offers.
pub const OFFERS: Offers = Offers {
    reads: Reads {
        runs: Offer::With("task by task: it has no list over all tasks, and none of a monitor's checks"),
        log: Offer::With("where the server keeps logs of runs: versions after February 2025"),
        queues: Offer::No("Duty Duck has no queue"),
        alerts: Offer::With(
            "its incidents, bad states of which none tells, and the freeze of its own detection",
        ),
        trace: Offer::With("the events of a task's incidents"),
        audit: Offer::No("Duty Duck keeps no audit log"),
    },
    reports: Offer::With("as they happen: it dates what it is told itself, and takes nothing after the fact"),
    acts,
};

const NO_TRIGGER: &str = "Duty Duck only records runs: the task's own wrapper starts the job";
const NO_PAUSE: &str = "Duty Duck can't pause a task, only its HTTP monitors";
const NO_LOCAL: &str = "Duty Duck can't put an incident off; acknowledge it";

/// What it can be asked.
pub const fn acts(deed: Deed) -> Offer {
    match deed {
        Deed::Verb(verb) => match verb {
            Verb::Trigger => Offer::No(NO_TRIGGER),
            Verb::Pause | Verb::Resume => {
                Offer::With("HTTP monitors only; a pause resolves the monitor's open incident")
            }
            Verb::Retry => Offer::No("Duty Duck has no retry: the task's own wrapper starts the job again"),
            Verb::Cancel => Offer::With(
                "finishes the recorded run as aborted; its wrapper stops the job at its next heartbeat",
            ),
            Verb::Reprioritise => Offer::No("Duty Duck has no priorities"),
            Verb::Acknowledge => Offer::With("all open incidents of the task"),
            Verb::Snooze | Verb::Silence => Offer::No(NO_LOCAL),
            Verb::ReloadConfig => Offer::No("Duty Duck has no configuration to read again"),
            Verb::Archive => Offer::With("not while it is running; there is no way back"),
        },
        Deed::Command(Command::DutyDuckStart) => Offer::With("records a run, and starts nothing"),
        Deed::Command(Command::DutyDuckFinish) => Offer::With("records the end of the run in progress"),
        Deed::Command(Command::DutyDuckComment) => Offer::Yes,
        Deed::Command(_) => Offer::No("Duty Duck has no such command"),
    }
}

/// What sort of thing a task of ours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sort {
    /// A task that reports.
    Task,
    /// An HTTP monitor.
    Monitor,
}

/// How far a thing is, as far as actions care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A run is recorded as in progress.
    Running,
    /// A monitor that is switched off.
    Inactive,
    /// Put away.
    Archived,
    /// Anything else.
    Idle,
}

impl Phase {
    /// By Duty Duck's word for the status.
    pub fn of(status: &str) -> Self {
        match status {
            "running" => Self::Running,
            "inactive" => Self::Inactive,
            "archived" => Self::Archived,
            _ => Self::Idle,
        }
    }
}

/// The open incidents of a thing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Incidents {
    /// None.
    None,
    /// Some that nobody has taken.
    Open,
    /// All taken, by these.
    Taken(Clean),
    /// They can't be read.
    Unread(Clean),
}

/// What may be done to a thing.
pub fn capabilities(sort: Sort, phase: Phase, incidents: &Incidents, rights: &Rights) -> Capabilities {
    let why = |deed: Deed| refusal(deed, sort, phase, incidents, rights);
    let commands = [Command::DutyDuckStart, Command::DutyDuckFinish, Command::DutyDuckComment];
    Capabilities::by(|verb| why(verb.into())).with(commands.map(|command| (command, why(command.into()))))
}

/// What may be done to the endpoint as a whole: nothing.
pub fn of_the_endpoint() -> Capabilities {
    Capabilities::by(|verb| {
        Some(match acts(verb.into()) {
            Offer::No(reason) => reason.into(),
            _ => "this is for a task, not for the endpoint".into(),
        })
    })
}

/// Why `deed` may not be done; `None` if it may. The state first, then the token.
pub fn refusal(
    deed: Deed,
    sort: Sort,
    phase: Phase,
    incidents: &Incidents,
    rights: &Rights,
) -> Option<Clean> {
    if let Offer::No(reason) = acts(deed) {
        return Some(match (deed, sort) {
            (Deed::Verb(Verb::Trigger | Verb::Retry), Sort::Monitor) => {
                "Duty Duck checks by itself; it can't be asked for a check".into()
            }
            _ => reason.into(),
        });
    }
    let state = match (deed, sort) {
        (Deed::Verb(Verb::Acknowledge), _) => match incidents {
            Incidents::None => Some("it has no open incident".into()),
            Incidents::Open => None,
            Incidents::Taken(by) => Some(Clean::from(format!("already acknowledged by {by}"))),
            Incidents::Unread(why) => Some(why.clone()),
        },
        (Deed::Command(Command::DutyDuckComment), _) => match incidents {
            Incidents::None => Some("it has no open incident".into()),
            Incidents::Open | Incidents::Taken(_) => None,
            Incidents::Unread(why) => Some(why.clone()),
        },
        (Deed::Verb(Verb::Archive), _) => match phase {
            Phase::Running => {
                Some("Duty Duck archives no task while it is running: cancel or finish the run first".into())
            }
            Phase::Archived => Some("already archived".into()),
            _ => None,
        },
        (Deed::Verb(Verb::Pause | Verb::Resume), Sort::Task) => Some(NO_PAUSE.into()),
        (Deed::Verb(Verb::Pause), Sort::Monitor) => match phase {
            Phase::Inactive => Some("already paused".into()),
            Phase::Archived => Some("it is archived".into()),
            _ => None,
        },
        (Deed::Verb(Verb::Resume), Sort::Monitor) => match phase {
            Phase::Inactive => None,
            Phase::Archived => Some("it is archived".into()),
            _ => Some("it is not paused".into()),
        },
        (_, Sort::Monitor) => Some("a monitor has no runs".into()),
        (Deed::Command(Command::DutyDuckStart), Sort::Task) => match phase {
            Phase::Running => Some("already started".into()),
            Phase::Archived => Some("it is archived".into()),
            _ => None,
        },
        (_, Sort::Task) => (phase != Phase::Running).then(|| "it is not running".into()),
    };
    state.or_else(|| rights.lacks(scope_of(deed, sort)))
}

/// What the token needs for `deed`.
pub const fn scope_of(deed: Deed, sort: Sort) -> Scope {
    match (deed, sort) {
        (Deed::Verb(Verb::Acknowledge), _) => Scope::EditIncidents,
        (Deed::Command(Command::DutyDuckComment), _) => Scope::CommentIncidents,
        (_, Sort::Monitor) => Scope::WriteHttpMonitors,
        (Deed::Verb(Verb::Archive), Sort::Task) => Scope::WriteTasks,
        _ => Scope::WriteTaskRuns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(deed: impl Into<Deed>, sort: Sort, status: &str, incidents: &Incidents) -> String {
        let told = refusal(deed.into(), sort, Phase::of(status), incidents, &Rights::default());
        told.map_or_else(|| "may".to_owned(), |why| why.to_string())
    }

    #[test]
    fn every_refusal_has_its_reason() {
        let none = Incidents::None;
        let taken = Incidents::Taken("Ada Op".into());
        for (deed, sort, status, incidents, expected) in [
            (Deed::Verb(Verb::Trigger), Sort::Task, "healthy", &none, "only records runs"),
            (Verb::Trigger.into(), Sort::Monitor, "up", &none, "checks by itself"),
            (Verb::Pause.into(), Sort::Task, "healthy", &none, "can't pause a task"),
            (Verb::Resume.into(), Sort::Task, "healthy", &none, "can't pause a task"),
            (Verb::Pause.into(), Sort::Monitor, "up", &none, "may"),
            (Verb::Pause.into(), Sort::Monitor, "inactive", &none, "already paused"),
            (Verb::Resume.into(), Sort::Monitor, "inactive", &none, "may"),
            (Verb::Resume.into(), Sort::Monitor, "down", &none, "not paused"),
            (Verb::Pause.into(), Sort::Monitor, "archived", &none, "archived"),
            (Verb::Retry.into(), Sort::Task, "failing", &none, "no retry"),
            (Verb::Cancel.into(), Sort::Task, "running", &none, "may"),
            (Verb::Cancel.into(), Sort::Task, "healthy", &none, "not running"),
            (Verb::Cancel.into(), Sort::Monitor, "up", &none, "no runs"),
            (Verb::Archive.into(), Sort::Task, "running", &none, "while it is running"),
            (Verb::Archive.into(), Sort::Task, "failing", &none, "may"),
            (Verb::Archive.into(), Sort::Task, "archived", &none, "already archived"),
            (Verb::Archive.into(), Sort::Monitor, "up", &none, "may"),
            (Verb::Acknowledge.into(), Sort::Task, "failing", &none, "no open incident"),
            (Verb::Acknowledge.into(), Sort::Task, "failing", &Incidents::Open, "may"),
            (Verb::Acknowledge.into(), Sort::Task, "failing", &taken, "already acknowledged by Ada Op"),
            (Command::DutyDuckComment.into(), Sort::Task, "failing", &taken, "may"),
            (Command::DutyDuckComment.into(), Sort::Monitor, "up", &none, "no open incident"),
            (Command::DutyDuckStart.into(), Sort::Task, "absent", &none, "may"),
            (Command::DutyDuckStart.into(), Sort::Task, "running", &none, "already started"),
            (Command::DutyDuckStart.into(), Sort::Task, "archived", &none, "archived"),
            (Command::DutyDuckFinish.into(), Sort::Task, "running", &none, "may"),
            (Command::DutyDuckFinish.into(), Sort::Task, "due", &none, "not running"),
            (Command::RediaccDelete.into(), Sort::Task, "due", &none, "no such command"),
        ] {
            let said = said(deed, sort, status, incidents);
            assert!(said.contains(expected), "{deed} on {sort:?} {status}: {said}");
        }
    }

    #[test]
    fn a_token_without_the_scope_greys_the_action_and_names_it() {
        let mut rights = Rights::default();
        rights.refused(Scope::WriteTaskRuns);
        let told = capabilities(Sort::Task, Phase::Running, &Incidents::Open, &rights);
        assert!(told.refusal(Verb::Cancel).unwrap().contains("writeTaskRuns"));
        assert!(told.refusal(Command::DutyDuckFinish).unwrap().contains("writeTaskRuns"));
        assert_eq!(told.refusal(Verb::Acknowledge), None);
        assert!(told.refusal(Verb::Archive).unwrap().contains("running"), "the state comes first");
    }

    #[test]
    fn the_endpoint_as_a_whole_can_be_asked_nothing() {
        let told = of_the_endpoint();
        assert!(told.iter().all(|(_, refusal)| refusal.is_some()));
    }
}
