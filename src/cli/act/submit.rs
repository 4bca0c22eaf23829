//! `vigie submit`: work for a coordinator, the same as `vigie do ENDPOINT submit`.

use crate::config::Settings;
use crate::model::{Arguments, Clean, Command, EndpointSpec, Input, Inputs, Kind, join_words};

use super::super::args::{Global, SubmitOptions};
use super::super::session;
use super::super::{Exit, Failure};
use super::targets::Wanted;
use super::{Wish, act, line_of};

/// `vigie submit [--endpoint NAME] … -- COMMAND…`
///
/// # Errors
/// What was refused before anything was sent.
pub async fn submit(global: &Global, options: &SubmitOptions) -> Result<Exit, Failure> {
    let inputs = inputs(options)?;
    let (_, settings) = session::configuration(global)?;
    let spec = coordinator(&settings, options.endpoint.as_ref())?;
    let wanted = vec![Wanted::endpoint(spec.name.as_raw())];
    let arguments = Arguments { inputs, ..Arguments::default() };
    let (how, wait) = (options.how, options.wait);
    act(global, Wish { deed: Command::VigieSubmit.into(), wanted, run: None, arguments, how, wait }).await
}

/// The endpoint of that name; else the first that is a coordinator.
fn coordinator(settings: &Settings, name: Option<&String>) -> Result<EndpointSpec, Failure> {
    let Some(name) = name else {
        let found = settings.endpoints.iter().find(|spec| spec.kind == Kind::Vigie).cloned();
        return found.ok_or_else(|| {
            let known: Vec<String> =
                settings.endpoints.iter().map(|spec| format!("{} ({})", spec.name, spec.kind)).collect();
            Failure::refused(format!(
                "none of the endpoints is a coordinator of vigie's: {}; add one with: vigie endpoints add",
                known.join(", ")
            ))
        });
    };
    let mut specs = session::select(settings, std::slice::from_ref(name), Exit::FAILED)?;
    let spec = specs.pop().ok_or_else(|| Failure::refused("no such endpoint"))?;
    match spec.kind {
        Kind::Vigie => Ok(spec),
        Kind::Rediacc => Err(Failure::refused(format!(
            "{name} is a Rediacc queue, which takes items of its own: vigie do {name} create \
             --set team=TEAM --set bridge=BRIDGE --payload FILE"
        ))),
        kind => Err(Failure::refused(format!(
            "{name} ({kind}) takes no work: only a coordinator of vigie's does"
        ))),
    }
}

fn inputs(options: &SubmitOptions) -> Result<Inputs, Failure> {
    let words = |words: &[String]| (!words.is_empty()).then(|| join_words(words));
    let (command, shell) = match &options.shell {
        Some(line) => (Some(line.clone()), Some("yes".to_owned())),
        None => (words(&options.command), None),
    };
    let given = [
        ("command", command),
        ("shell", shell),
        ("name", options.name.clone()),
        ("machine", options.machine.clone()),
        ("team", options.team.clone()),
        ("priority", options.priority.map(|priority| priority.to_string())),
        ("retry", options.retry.map(|count| count.to_string())),
        ("retry-delay", options.retry_delay.clone()),
        ("max-runtime", options.max_runtime.clone()),
        ("env", words(&options.env)),
        ("secrets", words(&options.secret)),
        ("cwd", options.cwd.clone()),
    ];
    let mut inputs = Inputs::new();
    for (name, text) in given {
        if let Some(text) = text {
            inputs.insert(Clean::line(name), Input::Text(line_of(name, &text)?));
        }
    }
    Command::VigieSubmit.check(&inputs).map_err(Failure::usage)?;
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Args, Command as Given};
    use crate::model::EndpointName;

    fn read(line: &[&str]) -> Result<Inputs, String> {
        let args = Args::try_parse_from(["vigie", "submit"].iter().chain(line)).map_err(|e| e.to_string())?;
        let Some(Given::Submit(options)) = args.command else { panic!("{args:?}") };
        inputs(&options).map_err(|failure| {
            assert_eq!(failure.exit, Exit::USAGE);
            failure.message
        })
    }

    #[test]
    fn a_line_becomes_inputs_word_for_word() {
        let line = "--name N --machine db-1 --team data --priority 1 --retry 3 --retry-delay 30s --max-runtime 1h \
                    --env A=1 --env B=2 --secret P=data/pg --cwd /tmp";
        let line: Vec<&str> = line.split_whitespace().chain(["--", "sh", "-c", "echo 'a b'\n", ""]).collect();
        let inputs = read(&line).unwrap();
        let text = |name: &str| match inputs.get(name) {
            Some(Input::Text(text)) => text.to_string(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(text("command"), r"sh -c $'echo \'a b\'\n' ''");
        assert_eq!(crate::model::split_words(&text("command")).unwrap(), ["sh", "-c", "echo 'a b'\n", ""]);
        assert_eq!((text("env"), text("secrets")), ("A=1 B=2".to_owned(), "P=data/pg".to_owned()));
        assert_eq!((text("priority"), text("retry-delay")), ("1".to_owned(), "30s".to_owned()));
        assert_eq!(inputs.len(), 11);
        let shell = read(&["--shell", "a | b"]).unwrap();
        assert_eq!(shell["shell"], Input::Text("yes".into()));
        for (line, why) in [
            (&[][..], "required"),
            (&["--shell", "x", "--", "y"], "cannot be used with"),
            (&["--max-runtime", "10", "--", "x"], "not a duration"),
            (&["--env", "A", "--", "x"], "not NAME=VALUE"),
            (&["--retry", "101", "--", "x"], "from 0 to 100"),
            (&["--name", "a\nb", "--", "x"], "must be one line"),
        ] {
            let said = read(line).unwrap_err();
            assert!(said.contains(why), "{line:?}: {said}");
        }
    }

    #[test]
    fn work_goes_to_a_coordinator_only() {
        let spec = |name: &str, kind| EndpointSpec::new(EndpointName::new(name), kind, None);
        let endpoints = vec![
            spec("queue", Kind::Rediacc),
            spec("duck", Kind::DutyDuck),
            spec("a", Kind::Vigie),
            spec("b", Kind::Vigie),
        ];
        let mut settings = Settings { endpoints, ..Settings::default() };
        let find = |settings: &Settings, name: Option<&str>| {
            let name = name.map(str::to_owned);
            let found = coordinator(settings, name.as_ref()).map(|spec| spec.name.to_string());
            found.map_err(|failure| failure.message)
        };
        assert_eq!(find(&settings, None).as_deref(), Ok("a"));
        assert_eq!(find(&settings, Some("b")).as_deref(), Ok("b"));
        assert!(find(&settings, Some("queue")).unwrap_err().contains("vigie do queue create"));
        assert!(find(&settings, Some("duck")).unwrap_err().contains("takes no work"));
        assert!(find(&settings, Some("c")).unwrap_err().contains("no endpoint"));
        settings.endpoints.truncate(2);
        assert!(find(&settings, None).unwrap_err().contains("queue (rediacc), duck (duty-duck)"));
    }
}
