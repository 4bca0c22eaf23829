//! What `vigie:submit` is given, as the protocol has it. Pure.

use crate::backend::BackendError;
use crate::model::{Clean, Input, Inputs, Priority, is_for_a_shell, join_words, parse_duration, split_words};
use crate::wire::{RetrySpec, Submission};

/// The request.
///
/// # Errors
/// [`BackendError::Unsupported`] for what the command does not take.
pub fn submission(inputs: &Inputs) -> Result<Submission, BackendError> {
    let text = |name: &str| match inputs.get(name) {
        Some(Input::Text(text)) if !text.trim().is_empty() => Some(text.trim()),
        _ => None,
    };
    let line = |name: &str| text(name).map(Clean::line);
    let command = text("command").ok_or_else(|| unfit("command", "is needed: what runs"))?;
    let for_a_shell = is_for_a_shell(inputs);
    let words = if for_a_shell { Vec::new() } else { words("command", command)? };
    let seconds = |name: &str| text(name).map(|text| seconds(name, text)).transpose();
    let count = text("retry").map(|text| text.parse().map_err(|_| unfit("retry", "must be a whole number")));
    let (count, delay_s) = (count.transpose()?, seconds("retry-delay")?);
    Ok(Submission {
        name: line("name"),
        command: words,
        shell: for_a_shell.then(|| command.to_owned()),
        machine: line("machine"),
        team: line("team"),
        priority: text("priority").map(priority).transpose()?,
        retry: count.map(|count| RetrySpec { count, delay_s, backoff: None }),
        env: text("env").map(|text| pairs("env", text)).transpose()?.unwrap_or_default(),
        secrets: text("secrets").map(|text| pairs("secrets", text)).transpose()?.unwrap_or_default(),
        cwd: text("cwd").map(str::to_owned),
        max_runtime_s: seconds("max-runtime")?,
    })
}

/// The request in a line: what runs is what matters.
pub fn shown(inputs: &Inputs) -> Clean {
    match submission(inputs) {
        Ok(Submission { shell: Some(line), .. }) => Clean::from(format!("POST /api/v1/runs sh -c {line}")),
        Ok(submission) => Clean::from(format!("POST /api/v1/runs {}", join_words(&submission.command))),
        Err(error) => Clean::from(error.to_string()),
    }
}

fn unfit(name: &str, why: &str) -> BackendError {
    BackendError::Unsupported(Clean::from(format!("{name}: {why}")))
}

fn words(name: &str, text: &str) -> Result<Vec<String>, BackendError> {
    split_words(text).map_err(|why| unfit(name, &why))
}

fn pairs(name: &str, text: &str) -> Result<std::collections::BTreeMap<String, String>, BackendError> {
    let pair = |word: String| match word.split_once('=') {
        Some((variable, value)) if !variable.is_empty() => Ok((variable.to_owned(), value.to_owned())),
        _ => Err(unfit(name, "must be NAME=VALUE each")),
    };
    words(name, text)?.into_iter().map(pair).collect()
}

fn seconds(name: &str, text: &str) -> Result<u32, BackendError> {
    let duration = parse_duration(text).map_err(|why| unfit(name, &why))?;
    u32::try_from(duration.as_secs()).map_err(|_| unfit(name, "is longer than can be asked for"))
}

fn priority(text: &str) -> Result<Priority, BackendError> {
    let level = text.parse::<u8>().ok().and_then(|level| Priority::new(level).ok());
    level.ok_or_else(|| unfit("priority", "must be from 1 (highest) to 5"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(pairs: &[(&str, &str)]) -> Inputs {
        pairs.iter().map(|(name, text)| (Clean::line(name), Input::Text(Clean::line(text)))).collect()
    }

    #[test]
    fn inputs_become_the_request() {
        let given = [
            ("command", "pg_dump -f 'a b' shop"),
            ("name", "Dump"),
            ("machine", "db-1"),
            ("team", "data"),
            ("priority", "1"),
            ("retry", "3"),
            ("retry-delay", "1m"),
            ("max-runtime", "1h"),
            ("env", "A=1 B='x y'"),
            ("secrets", "P=data/pg"),
            ("cwd", "/tmp"),
        ];
        let request = submission(&inputs(&given)).unwrap();
        let expected = serde_json::json!({
            "name": "Dump", "command": ["pg_dump", "-f", "a b", "shop"], "shell": null, "machine": "db-1",
            "team": "data", "priority": 1, "retry": {"count": 3, "delay_s": 60, "backoff": null},
            "env": {"A": "1", "B": "x y"}, "secrets": {"P": "data/pg"}, "cwd": "/tmp", "max_runtime_s": 3600,
        });
        assert_eq!(serde_json::to_value(&request).unwrap(), expected);
        assert_eq!(shown(&inputs(&given)), "POST /api/v1/runs pg_dump -f 'a b' shop");
        let shell = [("command", "a | b"), ("shell", "yes")];
        let request = submission(&inputs(&shell)).unwrap();
        assert_eq!((request.shell.as_deref(), request.command.len()), (Some("a | b"), 0));
        assert_eq!(shown(&inputs(&shell)), "POST /api/v1/runs sh -c a | b");
        for (given, why) in [
            (vec![], "command: is needed"),
            (vec![("command", "'a")], "never closed"),
            (vec![("command", "a"), ("env", "A")], "NAME=VALUE"),
            (vec![("command", "a"), ("retry", "x")], "whole number"),
            (vec![("command", "a"), ("max-runtime", "200y")], "not a duration"),
        ] {
            let error = submission(&inputs(&given)).unwrap_err();
            assert!(!error.may_have_acted() && error.to_string().contains(why), "{error}");
        }
    }
}
