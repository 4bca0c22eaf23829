//! Commands that act: the verbs that all systems share, and `do`, for what
//! only one of them has. Exit codes: 0 observed or accepted, 1 refused or
//! failed (unknown endpoint or task, forbidden by state or guard), 2 usage or
//! configuration, 3 outcome unknown; over several targets 1 wins over 3 over 0.

mod ask;
mod follow;
mod inputs;
mod own;
mod submit;
mod targets;

use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::config::Settings;
use crate::model::{
    Arguments, Clean, Deed, EndpointSpec, Intent, IntentId, MAX_LINE, Priority, Target, Verb,
};

use super::args::{ActOptions, Global, How, NoteOptions, PutOffOptions, ReloadOptions, RunActOptions};
use super::session::{self, Session};
use super::{Exit, Failure, complain, tty};

pub use own::order;
pub use submit::submit;

use targets::Wanted;

/// How much longer than one read reading the endpoints may take before anything is sent.
const READ_MARGIN: Duration = Duration::from_secs(2);

/// What is asked for on the command line, before anything is known of its targets.
struct Wish {
    deed: Deed,
    wanted: Vec<Wanted>,
    /// Only this run of the one task.
    run: Option<String>,
    arguments: Arguments,
    how: How,
    /// Until the effect is seen.
    wait: bool,
}

/// `vigie VERB ENDPOINT/TASK…`
///
/// # Errors
/// What was refused before anything was sent.
pub async fn on_tasks(global: &Global, verb: Verb, options: &ActOptions) -> Result<Exit, Failure> {
    act(global, wish(verb, options, Arguments::default())?).await
}

/// `vigie VERB ENDPOINT/TASK… [--run ID]`
///
/// # Errors
/// What was refused before anything was sent.
pub async fn on_runs(
    global: &Global,
    verb: Verb,
    priority: Option<Priority>,
    options: &RunActOptions,
) -> Result<Exit, Failure> {
    let arguments = Arguments { priority, ..Arguments::default() };
    let wish = Wish { run: options.run.clone(), ..wish(verb, &options.act, arguments)? };
    if wish.run.is_some() && wish.wanted.len() > 1 {
        return Err(Failure::usage("--run names one run: give one ENDPOINT/TASK with it"));
    }
    act(global, wish).await
}

/// `vigie ack ENDPOINT/TASK… [--note TEXT]`
///
/// # Errors
/// What was refused before anything was sent.
pub async fn acknowledge(global: &Global, options: &NoteOptions) -> Result<Exit, Failure> {
    act(global, wish(Verb::Acknowledge, &options.act, noted(options)?)?).await
}

/// `vigie snooze|silence ENDPOINT/TASK… [--note TEXT] [--for DURATION]`
///
/// # Errors
/// What was refused before anything was sent.
pub async fn put_off(global: &Global, verb: Verb, options: &PutOffOptions) -> Result<Exit, Failure> {
    let arguments = Arguments { until: until(options.duration)?, ..noted(&options.note)? };
    act(global, wish(verb, &options.note.act, arguments)?).await
}

/// `vigie reload ENDPOINT`
///
/// # Errors
/// What was refused before anything was sent.
pub async fn reload(global: &Global, options: &ReloadOptions) -> Result<Exit, Failure> {
    let wish = Wish {
        deed: Verb::ReloadConfig.into(),
        wanted: vec![Wanted::endpoint(&options.endpoint)],
        run: None,
        arguments: Arguments::default(),
        how: options.how,
        wait: false,
    };
    act(global, wish).await
}

fn wish(verb: Verb, options: &ActOptions, arguments: Arguments) -> Result<Wish, Failure> {
    let wanted = options.targets.iter().map(|target| Wanted::split(target)).collect::<Result<Vec<_>, _>>()?;
    Ok(Wish { deed: verb.into(), wanted, run: None, arguments, how: options.how, wait: options.wait })
}

fn noted(options: &NoteOptions) -> Result<Arguments, Failure> {
    let note = options.note.as_deref().map(|text| line_of("--note", text)).transpose()?;
    Ok(Arguments { note, ..Arguments::default() })
}

/// A text that is sent as it stands.
///
/// # Errors
/// It is no single line, or has characters that are never sent.
fn line_of(name: &str, text: &str) -> Result<Clean, Failure> {
    let line = Clean::line(text);
    if line.as_str() != text {
        return Err(Failure::usage(format!(
            "{name}: must be one line of at most {MAX_LINE} plain characters"
        )));
    }
    if text.trim().is_empty() {
        return Err(Failure::usage(format!("{name}: is empty")));
    }
    Ok(line)
}

/// The end of what lasts for `duration` from now on.
fn until(duration: Option<Duration>) -> Result<Option<chrono::DateTime<chrono::Utc>>, Failure> {
    let Some(duration) = duration else { return Ok(None) };
    let end = TimeDelta::from_std(duration)
        .ok()
        .and_then(|for_so_long| session::now().checked_add_signed(for_so_long));
    end.map(Some).ok_or_else(|| Failure::usage("--for: that is longer than time goes"))
}

/// How long reading these may take.
fn read_limit(specs: &[EndpointSpec]) -> Duration {
    specs.iter().map(|spec| spec.timeout).max().unwrap_or_default() + READ_MARGIN
}

/// Reads the endpoints, and goes on with what they tell.
async fn act(global: &Global, wish: Wish) -> Result<Exit, Failure> {
    let (paths, settings) = session::configuration(global)?;
    let names: Vec<String> = wish.wanted.iter().map(|wanted| wanted.endpoint.clone()).collect();
    let specs = session::select(&settings, &names, Exit::FAILED)?;
    let limit = read_limit(&specs);
    let mut session = Session::open(&paths, specs, settings.read_only)?;
    session.settle(limit).await;
    let result = match targets::resolve(&session.fleet, &wish) {
        Ok(targets) => decide(&mut session, &settings, wish, targets).await,
        Err(failure) => Err(failure),
    };
    session.close().await;
    result
}

/// Guard, question, sending, and what became of it.
async fn decide(
    session: &mut Session,
    settings: &Settings,
    wish: Wish,
    targets: Vec<Target>,
) -> Result<Exit, Failure> {
    let Wish { deed, arguments, how, wait, .. } = wish;
    let intent =
        Intent { id: IntentId(Uuid::now_v7()), deed, targets, arguments, at: session::now(), by: None };
    if how.dry_run {
        ask::tell(session, &intent).await?;
        return Ok(Exit::OK);
    }
    ask::permit(session, settings, &intent, how).await?;
    session.handle().send(intent.clone());
    let receipts = follow::follow(session, &intent, wait).await;
    let Some((reason, refused)) = session.unrecorded.take() else {
        return follow::conclude(&intent, &receipts);
    };
    complain(&format!("the journal can't be written: {reason}"));
    if refused != Some(intent.id) {
        return follow::conclude(&intent, &receipts);
    }
    if !how.yes {
        if !tty::is_attended() {
            let message = "nothing was sent, since it can't be recorded: give --yes to act unrecorded";
            return Err(Failure::refused(message));
        }
        ask::ask("", "y", "act unrecorded")?;
    }
    // The same wish under another name: it is meant.
    let meant = Intent { id: IntentId(Uuid::now_v7()), ..intent };
    session.handle().send(meant.clone());
    let receipts = follow::follow(session, &meant, wait).await;
    follow::conclude(&meant, &receipts)
}
