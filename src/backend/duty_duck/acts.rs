//! What is sent on an operator's behalf. Nothing here is ever sent twice, and
//! PATCH never at all: it replaces a task, and erases what it does not name.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::DutyDuck;
use super::convert::brief;
use super::incidents::{self, Open};
use super::poll::ONGOING;
use super::reasons::{self, Phase, Sort};
use super::rights::Scope;
use super::wire::{self, LastWins};
use crate::backend::http::shown_path;
use crate::backend::offers::{self, Offer};
use crate::backend::{Accepted, BackendError, Call};
use crate::model::{Clean, Command, Deed, TaskId, Verb};
use crate::wire::{Report, Reported};

/// The request that ends a run.
const ABORTED: &str = "aborted";
/// How old a report may be to be passed on.
const LATEST_REPORT: TimeDelta = TimeDelta::seconds(30);

impl DutyDuck {
    /// Sends one call.
    pub(super) async fn act(&self, call: &Call) -> Result<Accepted, BackendError> {
        let offer = reasons::acts(call.deed);
        if matches!(offer, Offer::No(_)) {
            return Err(offers::refused(offer));
        }
        let Some(task) = &call.task else {
            return Err(BackendError::Unsupported("this is for a task, not for the endpoint".into()));
        };
        match (call.deed, self.sort(task, call.deed)) {
            (Deed::Verb(Verb::Pause), Sort::Monitor) => self.toggle(task, Phase::Inactive).await,
            (Deed::Verb(Verb::Resume), Sort::Monitor) => self.toggle(task, Phase::Idle).await,
            (Deed::Verb(Verb::Archive), sort) => self.archive(task, sort).await,
            (Deed::Verb(Verb::Acknowledge), _) => self.acknowledge(task, call).await,
            (Deed::Command(Command::DutyDuckComment), _) => self.comment(task, call).await,
            (Deed::Verb(Verb::Cancel), Sort::Task) => self.cancel(task, call).await,
            (Deed::Command(Command::DutyDuckStart), Sort::Task) => self.start(task).await,
            (Deed::Command(Command::DutyDuckFinish), Sort::Task) => self.finish(task, &ending(call)?).await,
            (Deed::Verb(_), Sort::Task) => {
                Err(BackendError::Unsupported("Duty Duck can't pause a task, only its HTTP monitors".into()))
            }
            _ => Err(BackendError::Unsupported("a monitor has no runs".into())),
        }
    }

    /// What an id stands for; one that no poll has told is what the deed is for.
    fn sort(&self, id: &TaskId, deed: Deed) -> Sort {
        self.memory().thing(id).map_or_else(
            || {
                let of_monitors = matches!(deed, Deed::Verb(Verb::Pause | Verb::Resume));
                if of_monitors { Sort::Monitor } else { Sort::Task }
            },
            |thing| thing.sort,
        )
    }

    /// Sends a call. Those of monitors answer with a word, others with nothing, or `null`.
    async fn post(&self, scope: Scope, segments: &[&str], body: Option<&Value>) -> Result<(), BackendError> {
        let sent = self.client.send(scope, |http| {
            let request = http.post(segments);
            match body {
                Some(body) => request.json(body),
                None => request,
            }
        });
        let answer = self.noted(scope, sent.await)?;
        // A page of some proxy is no yes.
        if scope == Scope::WriteHttpMonitors {
            answer.json::<wire::Done>()?;
        } else if !answer.body.trim_ascii().is_empty() {
            answer.json::<()>()?;
        }
        Ok(())
    }

    async fn cancel(&self, task: &TaskId, call: &Call) -> Result<Accepted, BackendError> {
        if let Some(run) = &call.run {
            let segments = ["tasks", task.as_raw(), "runs", run.as_raw()];
            let sent = self.client.send(Scope::ReadTaskRuns, |http| http.get(&segments)).await;
            let told = sent.and_then(|answer| answer.json::<wire::OneRun>());
            let told = told.map_err(|error| before("the run", error))?.task_run;
            if told.status != "running" {
                return Err(BackendError::Conflict(Clean::from(format!(
                    "run {} is {}: another one may be in progress, which was not meant",
                    brief(&run.shown()),
                    brief(&told.status)
                ))));
            }
        }
        self.finish(task, &json!({"status": ABORTED})).await
    }

    async fn finish(&self, task: &TaskId, ending: &Value) -> Result<Accepted, BackendError> {
        let sent = self.post(Scope::WriteTaskRuns, &["tasks", task.as_raw(), "finish"], Some(ending)).await;
        sent.map_err(not_running)?;
        let message = if ending["status"] == ABORTED {
            "recorded as aborted; its wrapper, if one runs, stops the job at its next heartbeat"
        } else {
            "recorded"
        };
        Ok(done(message))
    }

    async fn start(&self, task: &TaskId) -> Result<Accepted, BackendError> {
        // Without a JSON body it answers 415.
        let body = json!({});
        self.post(Scope::WriteTaskRuns, &["tasks", task.as_raw(), "start"], Some(&body)).await?;
        let silent = self.memory().thing(task).and_then(|thing| thing.heartbeat_s).unwrap_or(30);
        Ok(done(&format!(
            "recorded as started, which runs nothing; after {silent}s without a heartbeat it counts as dead"
        )))
    }

    /// A report of `vigie run`, as it happens: the server dates what it is told itself.
    pub(super) async fn pass_on(&self, task: &TaskId, report: &Report) -> Result<(), BackendError> {
        if self.client.now() - report.at > LATEST_REPORT {
            return Err(BackendError::Unsupported(
                "Duty Duck dates what it is told itself: a report that comes late would be false".into(),
            ));
        }
        let (what, body) = match report.what {
            Reported::Started => ("start", json!({})),
            Reported::Beat => ("heartbeat", json!({})),
            Reported::Ended { exit_code: 0 } => ("finish", json!({"status": "success", "exitCode": 0})),
            Reported::Ended { exit_code } => {
                let message = report.output.as_deref().and_then(last_line);
                let mut body = json!({"status": "failure", "exitCode": exit_code});
                if let Some(message) = message {
                    body["errorMessage"] = message.as_str().into();
                }
                ("finish", body)
            }
        };
        self.post(Scope::WriteTaskRuns, &["tasks", task.as_raw(), what], Some(&body))
            .await
            .map_err(not_running)
    }

    async fn archive(&self, task: &TaskId, sort: Sort) -> Result<Accepted, BackendError> {
        let (scope, place) = match sort {
            Sort::Task => (Scope::WriteTasks, "tasks"),
            Sort::Monitor => (Scope::WriteHttpMonitors, "http-monitors"),
        };
        self.post(scope, &[place, task.as_raw(), "archive"], None).await.map_err(as_conflict)?;
        Ok(Accepted::default())
    }

    async fn monitor(&self, id: &TaskId) -> Result<wire::Monitor, BackendError> {
        let segments = ["http-monitors", id.as_raw()];
        let sent = self.client.send(Scope::ReadHttpMonitors, |http| http.get(&segments)).await;
        Ok(self.noted(Scope::ReadHttpMonitors, sent)?.json::<wire::OneMonitor>()?.monitor)
    }

    /// A toggle turns whatever there is: the state is read just before, and
    /// the effect just after. Whoever comes second from here waits.
    async fn toggle(&self, id: &TaskId, wanted: Phase) -> Result<Accepted, BackendError> {
        let one_at_a_time = self.toggle_of(id);
        let _one_at_a_time = one_at_a_time.lock().await;
        let told = self.monitor(id).await.map_err(|error| before("the monitor", error))?;
        let conflict = match (Phase::of(&told.status), wanted) {
            (Phase::Archived, _) => Some("it is archived"),
            (Phase::Inactive, Phase::Inactive) => Some("already paused"),
            (Phase::Inactive, _) | (_, Phase::Inactive) => None,
            _ => Some("it is not paused"),
        };
        if let Some(reason) = conflict {
            return Err(BackendError::Conflict(reason.into()));
        }
        let sent = self.post(Scope::WriteHttpMonitors, &["http-monitors", id.as_raw(), "toggle"], None).await;
        sent.map_err(as_conflict)?;
        match self.monitor(id).await {
            Ok(told) if (Phase::of(&told.status) == Phase::Inactive) == (wanted == Phase::Inactive) => {
                let message = Some(Clean::from(format!("it is {} now", brief(&told.status))));
                Ok(Accepted { message, run: None, observed: true })
            }
            Ok(told) => Err(BackendError::Failed(Clean::from(format!(
                "the toggle was answered with Done, but the monitor is {}: somebody else may have toggled it \
                 back; look at it before you try again",
                brief(&told.status)
            )))),
            Err(error) => Ok(done(&format!("toggled; its state could not be read after ({error})"))),
        }
    }

    /// The lock of one monitor's toggles.
    fn toggle_of(&self, id: &TaskId) -> Arc<tokio::sync::Mutex<()>> {
        let mut toggles = self.toggles.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Those that nobody holds are made anew when they are needed.
        toggles.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(toggles.entry(id.clone()).or_default())
    }

    /// Its open incidents, read now.
    async fn open_of(&self, task: &TaskId) -> Result<Vec<Open>, BackendError> {
        let deadline = self.client.patience();
        let read = self.client.pages::<LastWins<wire::Incident>>(&ONGOING, &deadline).await;
        let read = self.noted(Scope::ReadIncidents, read).map_err(|error| before("its incidents", error))?;
        let memory = self.memory();
        let open = read.items.iter().filter_map(|incident| {
            let of = memory.directory.of(&incident.0)?;
            let taken_by = incidents::taken_by(&incident.0);
            (of == *task).then(|| Open { id: incident.0.id.clone(), task: of, taken_by })
        });
        Ok(open.collect())
    }

    async fn acknowledge(&self, task: &TaskId, call: &Call) -> Result<Accepted, BackendError> {
        let open = self.open_of(task).await?;
        let (taken, free): (Vec<_>, Vec<_>) = open.into_iter().partition(|open| open.taken_by.is_some());
        if free.is_empty() {
            return Err(BackendError::Conflict(
                match taken.first().and_then(|open| open.taken_by.as_ref()) {
                    Some(by) => Clean::from(format!("already acknowledged by {by}")),
                    None => "it has no open incident".into(),
                },
            ));
        }
        let message = self.each(&free, "acknowledged", Scope::EditIncidents, "acknowledge", None).await?;
        let Some(note) = call.arguments.note.as_ref().filter(|note| !note.trim().is_empty()) else {
            return Ok(done(&message));
        };
        let body = incidents::paragraph(note);
        // The acknowledgement stands, whatever becomes of the note.
        let noted = self.each(&free, "noted", Scope::CommentIncidents, "comment", Some(&body)).await;
        Ok(done(&match noted {
            Ok(_) => message,
            Err(error) => format!("{message}; the note could not be written: {error}"),
        }))
    }

    async fn comment(&self, task: &TaskId, call: &Call) -> Result<Accepted, BackendError> {
        let text = call.text("text").map(str::trim).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| BackendError::Unsupported("text is needed: what to say".into()))?;
        let open = self.open_of(task).await?;
        if open.is_empty() {
            return Err(BackendError::Conflict("it has no open incident".into()));
        }
        let body = incidents::paragraph(text);
        let said = self.each(&open, "commented", Scope::CommentIncidents, "comment", Some(&body)).await?;
        Ok(done(&said))
    }

    /// The same call for several incidents. Those that have closed meanwhile are left out.
    async fn each(
        &self,
        open: &[Open],
        what: &str,
        scope: Scope,
        call: &str,
        body: Option<&Value>,
    ) -> Result<String, BackendError> {
        let mut count = 0;
        for incident in open {
            match self.post(scope, &["incidents", &incident.id, call], body).await {
                Ok(()) => count += 1,
                Err(BackendError::NotFound(_)) => {}
                // Whether all was done can't be said, but some of it was.
                Err(error) if count > 0 && !error.may_have_acted() => {
                    return Ok(format!("{count} of {} incidents {what}; then: {error}", open.len()));
                }
                Err(error) => return Err(error),
            }
        }
        match count {
            0 => Err(BackendError::Conflict("its incidents have closed meanwhile".into())),
            1 => Ok(format!("incident {what}")),
            _ => Ok(format!("{count} incidents {what}")),
        }
    }

    /// The requests that [`DutyDuck::act`] would send.
    pub(super) fn shown(&self, call: &Call) -> Clean {
        let offer = reasons::acts(call.deed);
        let (Some(task), None) = (&call.task, offer.refusal()) else {
            return Clean::line(offer.refusal().unwrap_or("this is for a task, not for the endpoint"));
        };
        let sort = self.sort(task, call.deed);
        let of_task = |what| shown_path(&["tasks", task.as_raw(), what]);
        match (call.deed, sort) {
            (Deed::Verb(Verb::Pause | Verb::Resume), Sort::Monitor) => {
                Clean::from(format!("POST {}", shown_path(&["http-monitors", task.as_raw(), "toggle"])))
            }
            (Deed::Verb(Verb::Archive), Sort::Monitor) => {
                Clean::from(format!("POST {}", shown_path(&["http-monitors", task.as_raw(), "archive"])))
            }
            (Deed::Verb(Verb::Archive), Sort::Task) => Clean::from(format!("POST {}", of_task("archive"))),
            (Deed::Verb(Verb::Acknowledge), _) => self.shown_for_each(task, "acknowledge", true),
            (Deed::Command(Command::DutyDuckComment), _) => self.shown_for_each(task, "comment", false),
            (Deed::Verb(Verb::Cancel), Sort::Task) => {
                Clean::from(format!("POST {} {}", of_task("finish"), json!({"status": ABORTED})))
            }
            (Deed::Command(Command::DutyDuckStart), Sort::Task) => {
                Clean::from(format!("POST {} {{}}", of_task("start")))
            }
            (Deed::Command(Command::DutyDuckFinish), Sort::Task) => match ending(call) {
                Ok(body) => Clean::from(format!("POST {} {body}", of_task("finish"))),
                Err(error) => Clean::from(error.to_string()),
            },
            (Deed::Verb(_), Sort::Task) => "Duty Duck can't pause a task, only its HTTP monitors".into(),
            _ => "a monitor has no runs".into(),
        }
    }

    fn shown_for_each(&self, task: &TaskId, call: &str, only_free: bool) -> Clean {
        let memory = self.memory();
        let wanted = |open: &&Open| open.task == *task && !(only_free && open.taken_by.is_some());
        let lines: Vec<String> = memory
            .open
            .iter()
            .filter(wanted)
            .map(|open| format!("POST {}", shown_path(&["incidents", &open.id, call])))
            .collect();
        if lines.is_empty() {
            return Clean::from(format!("POST /incidents/…/{call} for each open incident"));
        }
        Clean::from(lines.join(", "))
    }
}

/// The last line that says something.
fn last_line(output: &str) -> Option<Clean> {
    output.lines().map(Clean::line).rfind(|line| !line.trim().is_empty())
}

fn done(message: &str) -> Accepted {
    Accepted { message: Some(Clean::line(message)), run: None, observed: false }
}

/// The body of a finish. A contradiction is refused here: the server would
/// answer with an empty 500 from which nobody learns anything.
fn ending(call: &Call) -> Result<Value, BackendError> {
    let unfit = |why: &str| BackendError::Unsupported(Clean::line(why));
    let outcome =
        call.text("outcome").ok_or_else(|| unfit("outcome is needed: success, failure or aborted"))?;
    let code = match call.text("exit-code") {
        None => None,
        Some(text) => {
            let code = text.trim().parse::<i32>();
            Some(code.map_err(|_| unfit("exit-code must be a whole number"))?)
        }
    };
    match (outcome, code) {
        ("success", Some(code)) if code != 0 => {
            return Err(unfit("a success has exit code 0, or none: Duty Duck refuses any other"));
        }
        ("failure", Some(0)) => {
            return Err(unfit("a failure has an exit code other than 0, or none: Duty Duck refuses 0"));
        }
        (ABORTED, Some(_)) => return Err(unfit("an aborted run has no exit code")),
        ("success" | "failure" | ABORTED, _) => {}
        _ => return Err(unfit("outcome must be success, failure or aborted")),
    }
    let mut body = json!({"status": outcome});
    if let Some(code) = code {
        body["exitCode"] = code.into();
    }
    if let Some(message) = call.text("message") {
        body["errorMessage"] = message.into();
    }
    Ok(body)
}

/// Nothing was sent when reading before it fails, however that fails.
fn before(what: &str, error: BackendError) -> BackendError {
    if error.may_have_acted() {
        return BackendError::Failed(Clean::from(format!(
            "nothing was sent, since {what} could not be read just before: {error}"
        )));
    }
    error
}

/// `400 Task is not running` is about the state.
fn not_running(error: BackendError) -> BackendError {
    match error {
        BackendError::Refused { status: 400, message } if message == "Task is not running" => {
            BackendError::Conflict("it is not running".into())
        }
        other => other,
    }
}

/// `400 Monitor is archived and cannot be toggled` is about the state.
fn as_conflict(error: BackendError) -> BackendError {
    match error {
        BackendError::Refused { status: 400, message } => BackendError::Conflict(message),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Arguments, Input, IntentId};

    fn call(inputs: &[(&str, &str)]) -> Call {
        let inputs =
            inputs.iter().map(|(n, text)| (Clean::line(n), Input::Text(Clean::line(text)))).collect();
        Call {
            intent: IntentId(uuid::Uuid::nil()),
            deed: Command::DutyDuckFinish.into(),
            task: Some("t".into()),
            run: None,
            arguments: Arguments { inputs, ..Arguments::default() },
        }
    }

    #[test]
    fn a_contradicting_exit_code_is_refused_before_it_is_sent() {
        for (inputs, expected) in [
            (vec![("outcome", "success")], r#"{"status":"success"}"#),
            (vec![("outcome", "success"), ("exit-code", "0")], r#"{"status":"success","exitCode":0}"#),
            (
                vec![("outcome", "failure"), ("exit-code", "3"), ("message", "disk full")],
                r#"{"status":"failure","exitCode":3,"errorMessage":"disk full"}"#,
            ),
            (vec![("outcome", "failure")], r#"{"status":"failure"}"#),
            (vec![("outcome", "aborted")], r#"{"status":"aborted"}"#),
            (vec![("outcome", "success"), ("exit-code", "3")], "exit code 0"),
            (vec![("outcome", "failure"), ("exit-code", "0")], "other than 0"),
            (vec![("outcome", "aborted"), ("exit-code", "1")], "no exit code"),
            (vec![("outcome", "won")], "success, failure or aborted"),
            (vec![("exit-code", "1")], "outcome is needed"),
            (vec![("outcome", "failure"), ("exit-code", "x")], "whole number"),
        ] {
            let said = match ending(&call(&inputs)) {
                Ok(body) => body.to_string(),
                Err(error) => {
                    assert!(!error.may_have_acted());
                    error.to_string()
                }
            };
            assert!(said.contains(expected), "{inputs:?}: {said}");
        }
    }
}
