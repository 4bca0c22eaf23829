//! What a command of one system is given on the command line.

use std::path::Path;

use crate::model::{Clean, Command, Input, InputShape, InputSpec, Inputs, Payload};
use crate::runtime::payload;

use super::super::Failure;
use super::line_of;

/// `--set NAME=VALUE` and `--payload FILE`, checked against what the command takes.
///
/// # Errors
/// What is wrong with them, or what is missing, with how it is given.
pub fn read(command: Command, set: &[String], payload: Option<&Path>) -> Result<Inputs, Failure> {
    let mut inputs = Inputs::new();
    for pair in set {
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Failure::usage(format!("--set {:?}: write NAME=VALUE", Clean::line(pair))))?;
        let name = Clean::line(name);
        let value = line_of(&format!("--set {name}"), value)?;
        if inputs.insert(name.clone(), Input::Text(value)).is_some() {
            return Err(Failure::usage(format!("--set {name}: given twice")));
        }
    }
    if let Some(path) = payload {
        let takes = command.spec().inputs.iter().find(|input| input.shape == InputShape::Payload);
        let Some(input) = takes else {
            return Err(Failure::usage(format!("{command} takes no payload")));
        };
        let content = content(path).map_err(|why| Failure::usage(format!("--payload: {why}")))?;
        inputs.insert(Clean::line(input.name), Input::Payload(content));
    }
    command.check(&inputs).map_err(|why| Failure::usage(format!("{why}\n{}", usage(command))))?;
    Ok(inputs)
}

/// The content of a file, or of standard input for `-`.
fn content(path: &Path) -> Result<Payload, String> {
    if path == Path::new("-") {
        return payload::read(std::io::stdin().lock()).map_err(|why| format!("standard input {why}"));
    }
    let name = Clean::from(path.display().to_string());
    let file = std::fs::File::open(path).map_err(|error| format!("{name}: {error}"))?;
    payload::read(file).map_err(|why| format!("{name} {why}"))
}

/// What the command takes, as its end is written on the command line; empty if it takes nothing.
pub fn form(command: Command) -> String {
    let one = |input: &InputSpec| {
        let text = match input.shape {
            InputShape::Line => format!("--set {}=TEXT", input.name),
            InputShape::Words => format!("--set {}='WORD…'", input.name),
            InputShape::Pairs => format!("--set {}='NAME=VALUE…'", input.name),
            InputShape::Duration => format!("--set {}=DURATION", input.name),
            InputShape::Whole(least, most) => format!("--set {}={least}..{most}", input.name),
            InputShape::Word(words) => format!("--set {}={}", input.name, words.join("|")),
            InputShape::Payload => "--payload FILE".to_owned(),
        };
        if input.required { text } else { format!("[{text}]") }
    };
    command.spec().inputs.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn usage(command: Command) -> String {
    let form = form(command);
    if form.is_empty() { "it takes nothing more".to_owned() } else { format!("it takes: {form}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    fn given(command: Command, set: &[&str], payload: Option<&Path>) -> Result<Inputs, String> {
        let set: Vec<String> = set.iter().map(|&pair| pair.to_owned()).collect();
        read(command, &set, payload).map_err(|failure| {
            assert_eq!(failure.exit, Exit::USAGE);
            failure.message
        })
    }

    #[test]
    fn inputs_are_given_by_name_and_checked() {
        let inputs = given(Command::DutyDuckFinish, &["outcome=failure", "message=a=b"], None).unwrap();
        assert_eq!(inputs["message"], Input::Text(Clean::line("a=b")));
        for (set, words) in [
            (&["outcome"][..], "write NAME=VALUE"),
            (&["=x"], "write NAME=VALUE"),
            (&["outcome=success", "outcome=failure"], "outcome: given twice"),
            (&[], "needs outcome: how it ended\nit takes: --set outcome=success|failure|aborted"),
            (&["outcome=success", "x=1"], "takes no \"x\""),
        ] {
            let said = given(Command::DutyDuckFinish, set, None).unwrap_err();
            assert!(said.contains(words), "{set:?}: {said}");
        }
    }

    #[test]
    fn a_payload_comes_from_a_file_and_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("item.json");
        let create = |path: &Path| given(Command::RediaccCreate, &["team=t", "bridge=b"], Some(path));
        assert!(create(&path).unwrap_err().contains("item.json: No such file"));
        for (bytes, words) in [(0, "is empty"), (1024 * 1024 + 1, "is over the limit of 1 MiB")] {
            std::fs::write(&path, vec![b'x'; bytes]).unwrap();
            assert!(create(&path).unwrap_err().contains(words));
        }
        std::fs::write(&path, "abc").unwrap();
        let inputs = create(&path).unwrap();
        let Input::Payload(payload) = &inputs["payload"] else { panic!("{inputs:?}") };
        assert_eq!(payload.content(), Some(b"abc".as_slice()));
        // FIPS 180-2, B.1.
        assert_eq!(
            payload.sha256().as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(given(Command::RediaccRevoke, &[], Some(&path)).unwrap_err().contains("takes no payload"));
        assert!(
            given(Command::RediaccCreate, &["team=t", "bridge=b"], None)
                .unwrap_err()
                .contains("--payload FILE")
        );
    }

    #[test]
    fn what_a_command_takes_is_written_as_it_is_given() {
        assert_eq!(form(Command::RediaccDelete), "");
        assert_eq!(
            form(Command::RediaccCreate),
            "--set team=TEXT --set bridge=TEXT [--set machine=TEXT] [--set priority=1..5] --payload FILE"
        );
    }
}
