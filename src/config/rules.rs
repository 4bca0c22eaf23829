//! What the parts of an endpoint must be together, by its kind.

use std::collections::BTreeMap;

use crate::document::{Table, Value, did_you_mean};
use crate::model::{Clean, Kind};

/// Checks what goes together under one `[[endpoint]]`. What is written wrongly
/// counts as written: it has its own problem.
pub fn check(table: &Table<'_>, kind: Kind) {
    let part = |name: &'static str| table.get(name).filter(Value::is_table).and_then(Value::table);
    let (auth, options) = (part("auth"), part("options"));
    let has = |name: &'static str| auth.as_ref().is_some_and(|auth| auth.get(name).is_some());
    // Told where it is to be mended.
    let say = |message: &str| auth.as_ref().unwrap_or(table).problem(message);
    match kind {
        Kind::Vigie => {}
        Kind::Duplistatus => duplistatus(&has, &say, options.as_ref()),
        Kind::DutyDuck => {
            if !has("token_id") || !has("secret_key") {
                say("duty-duck needs token_id and secret_key under [endpoint.auth]: make an API token there");
            }
        }
        Kind::Rediacc => {
            rediacc(&has, &say);
            if let Some(options) = &options {
                policy(options);
            }
        }
    }
}

fn duplistatus(has: &dyn Fn(&'static str) -> bool, say: &dyn Fn(&str), options: Option<&Table<'_>>) {
    if has("username") != has("password") {
        say("username and password go together: they are for the web app of duplistatus");
    } else if has("username") && options.is_none_or(|options| options.get("web_url").is_none()) {
        say(
            "username and password are for the web app: say where it is, as web_url under [endpoint.options]",
        );
    }
}

fn rediacc(has: &dyn Fn(&'static str) -> bool, say: &dyn Fn(&str)) {
    let (token, login) = (has("token"), has("email") || has("password"));
    if token && login {
        say("rediacc takes either token, or email and password: leave one of them out");
    } else if login && !(has("email") && has("password")) {
        say("email and password go together");
    } else if !token && !login {
        say("rediacc needs token, or email and password, under [endpoint.auth]");
    } else if token && has("second_factor") {
        say("second_factor goes with email and password; a token needs none");
    }
}

fn policy(options: &Table<'_>) {
    if let Some(value) = options.get("failure_action")
        && let Some(text) = value.as_str()
        && !matches!(text, "alert" | "none")
        && run_of(text).is_none()
    {
        value.problem(&format!("{:?} is not one of alert, none, run:ENDPOINT/TASK", Clean::line(text)));
    }
    let on = options.get("policy").filter(Value::is_true);
    if let Some(policy) = on
        && options.get("retry").is_none()
        && options.get("failure_action").is_none()
    {
        policy.problem("there is nothing to apply: write retry or failure_action beside it");
    }
}

/// Endpoint and task of `run:ENDPOINT/TASK`.
fn run_of(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("run:")?
        .split_once('/')
        .filter(|(endpoint, task)| !endpoint.is_empty() && !task.is_empty())
}

/// Checks that what a failure is to start is at an endpoint that is configured; `names` are theirs, with lines.
pub fn check_references(tables: &[Table<'_>], names: &BTreeMap<String, usize>) {
    for table in tables {
        let options = table.get("options").filter(Value::is_table).and_then(Value::table);
        if let Some(value) = options.and_then(|options| options.get("failure_action"))
            && let Some((endpoint, _)) = value.as_str().and_then(run_of)
            && !names.contains_key(endpoint)
        {
            let near = did_you_mean(endpoint, names.keys().map(String::as_str));
            value.problem(&format!("there is no endpoint {:?} here{near}", Clean::line(endpoint)));
        }
    }
}
