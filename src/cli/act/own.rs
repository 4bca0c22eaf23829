//! `vigie do`: commands that only one system has.

use std::fmt::Write as _;

use crate::config::Settings;
use crate::model::{Aim, Arguments, Capabilities, Clean, Command, EndpointName, EndpointSpec, Kind, Verb};

use super::super::args::{DoOptions, Global};
use super::super::session::{self, Session};
use super::super::standing::Standing;
use super::super::{Exit, Failure, complain, print};
use super::targets::{Wanted, readable};
use super::{Wish, act, inputs, read_limit};

/// `vigie do ENDPOINT [COMMAND [TASK…]]`
///
/// # Errors
/// What was refused before anything was sent.
pub async fn order(global: &Global, options: &DoOptions) -> Result<Exit, Failure> {
    let (_, settings) = session::configuration(global)?;
    let specs = session::select(&settings, std::slice::from_ref(&options.endpoint), Exit::FAILED)?;
    let Some(spec) = specs.first() else { return Ok(Exit::FAILED) };
    let Some(word) = &options.command else {
        return list(global, &settings, spec.clone(), options).await;
    };
    let command = find(spec, word)?;
    let wanted = wanted(command, options)?;
    let inputs = inputs::read(command, &options.set, options.payload.as_deref())?;
    let arguments = Arguments { inputs, ..Arguments::default() };
    let (how, wait) = (options.how, options.wait);
    act(global, Wish { deed: command.into(), wanted, run: None, arguments, how, wait }).await
}

/// The command of that word, with or without the kind before it.
fn find(spec: &EndpointSpec, word: &str) -> Result<Command, Failure> {
    let kind = spec.kind;
    let own = |command: &Command| command.word() == word || name(*command) == word;
    if let Some(command) = Command::of(kind).find(own) {
        return Ok(command);
    }
    let shown = Clean::line(word);
    if let Ok(verb) = word.parse::<Verb>() {
        let form = if verb == Verb::ReloadConfig {
            format!("vigie reload {}", spec.name)
        } else {
            format!("vigie {} {}/TASK", spoken(verb), spec.name)
        };
        return Err(Failure::usage(format!("{verb} is what many systems can: {form}")));
    }
    let mut message = format!("{} ({kind}) has no command {shown:?}", spec.name);
    let near = crate::document::did_you_mean(word, Command::of(kind).map(name));
    message.push_str(&near);
    for command in Command::of(kind) {
        let _ = write!(message, "\n  {command}   {}", command.spec().title);
    }
    Err(Failure::usage(message))
}

/// Its name without the kind.
fn name(command: Command) -> &'static str {
    command.word().rsplit(':').next().unwrap_or_default()
}

/// A verb as the command line has it.
fn spoken(verb: Verb) -> &'static str {
    match verb {
        Verb::Reprioritise => "priority N",
        Verb::Acknowledge => "ack",
        _ => verb.word(),
    }
}

/// The targets of a command.
fn wanted(command: Command, options: &DoOptions) -> Result<Vec<Wanted>, Failure> {
    let endpoint = &options.endpoint;
    match command.spec().aim {
        Aim::Endpoint if options.tasks.is_empty() => Ok(vec![Wanted::endpoint(endpoint)]),
        Aim::Endpoint => {
            Err(Failure::usage(format!("{command} is for {endpoint} as a whole: it takes no task")))
        }
        Aim::Task if options.tasks.is_empty() => {
            Err(Failure::usage(format!("{command} needs a task: {}", line(endpoint, command))))
        }
        Aim::Task => {
            let wanted = |task: &String| Wanted { endpoint: endpoint.clone(), task: Some(task.clone()) };
            Ok(options.tasks.iter().map(wanted).collect())
        }
    }
}

/// The whole line that gives a command.
fn line(endpoint: &str, command: Command) -> String {
    let mut line = format!("vigie do {endpoint} {}", name(command));
    if command.spec().aim == Aim::Task {
        line.push_str(" TASK");
    }
    let form = inputs::form(command);
    if !form.is_empty() {
        line.extend([" ", &form]);
    }
    line
}

/// `vigie do ENDPOINT`: its commands, what they take, and whether they can be done now.
async fn list(
    global: &Global,
    settings: &Settings,
    spec: EndpointSpec,
    options: &DoOptions,
) -> Result<Exit, Failure> {
    if !options.set.is_empty() || options.payload.is_some() {
        return Err(Failure::usage("--set and --payload are for a command: name one"));
    }
    let (name, kind) = (spec.name.clone(), spec.kind);
    if Command::of(kind).next().is_none() {
        print(&format!("{name} ({kind}) has no commands beyond what many systems can: see vigie --help\n"))?;
        return Ok(Exit::OK);
    }
    let paths = session::paths(global)?;
    let limit = read_limit(std::slice::from_ref(&spec));
    let mut session = Session::open(&paths, vec![spec], settings.read_only)?;
    session.settle(limit).await;
    let unread = readable(&session.fleet, &name).err();
    let text = describe(&session, &name, kind, unread.as_ref());
    session.close().await;
    print(&text)?;
    let Some(reason) = unread else { return Ok(Exit::OK) };
    complain(&format!("{name} could not be read: {reason}"));
    Ok(Exit::UNKNOWN)
}

fn describe(session: &Session, endpoint: &EndpointName, kind: Kind, unread: Option<&Clean>) -> String {
    let mut text = String::new();
    for command in Command::of(kind) {
        let spec = command.spec();
        let _ = writeln!(text, "{command}   {}", spec.title);
        let _ = writeln!(text, "    {}", line(&endpoint.to_string(), command));
        for input in spec.inputs {
            let _ = writeln!(text, "      {:<10} {}", input.name, input.title);
        }
        match unread {
            Some(_) => text.push_str("    now: not known\n"),
            None => {
                let _ = writeln!(text, "    now: {}", standing(session, endpoint, command));
            }
        }
    }
    text
}

/// Whether `command` can be done now, at the endpoint or at how many of its tasks.
fn standing(session: &Session, endpoint: &EndpointName, command: Command) -> Standing {
    let nothing = Capabilities::none("it is not known yet");
    match command.spec().aim {
        Aim::Endpoint => {
            let row = session.fleet.endpoint(endpoint);
            Standing::of_endpoint(row.map_or(&nothing, |row| &row.capabilities), command)
        }
        Aim::Task => {
            let here = session.fleet.tasks().filter(|row| row.key.endpoint == *endpoint);
            Standing::of_tasks(here.map(|row| &row.task.capabilities), command)
        }
    }
}
