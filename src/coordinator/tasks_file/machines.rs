//! `[machine.NAME]`: what is to be known of machines, and the tasks that name one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::coordinator::domain::{HERE, KnownHosts, Limits, MachineSpec};
use crate::document::{Table, Value, did_you_mean};
use crate::model::Clean;

/// The longest name, in bytes.
const MAX_NAME: usize = 128;
/// The longest that a connection may take.
const MAX_CONNECT: Duration = Duration::from_secs(600);

/// Reads the machines; their limits go where those of `[limits.machine]` are.
pub(super) fn machines(root: &Table<'_>, limits: &mut Limits) -> BTreeMap<String, MachineSpec> {
    let Some(table) = root.table("machine") else { return BTreeMap::new() };
    let mut machines = BTreeMap::new();
    for (name, value) in table.entries() {
        let good = is_name(name, &value);
        let known = value.clone();
        let Some(table) = value.table() else { continue };
        if let Some(limit) = table.integer("limit", 1..=i64::from(u32::MAX)) {
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            if limits.machine.insert(name.to_owned(), limit).is_some() {
                known.problem("has a limit under [limits.machine] too: one of the two");
            }
        }
        let spec = machine(&table, name);
        table.finish();
        if good {
            machines.insert(name.to_owned(), spec);
        }
    }
    table.finish();
    machines
}

fn machine(table: &Table<'_>, name: &str) -> MachineSpec {
    let mut machine = MachineSpec::named(name);
    if let Some(value) = table.get("host")
        && let Some(host) = value.clone().string()
    {
        if !is_host(&host) {
            value.problem(&format!(
                "{host:?} is not a host of ssh: a name, an address or user@host, of letters, digits and `._-@:%`"
            ));
        }
        machine.host = host;
    }
    machine.enabled = table.bool("enabled").unwrap_or(true);
    let second = Duration::from_secs(1);
    let timeout = table.get("connect_timeout").and_then(|value| value.duration_within(second..=MAX_CONNECT));
    machine.connect_timeout = timeout.unwrap_or(machine.connect_timeout);
    let words = [("strict", KnownHosts::Strict), ("accept-new", KnownHosts::AcceptNew)];
    if let Some(policy) = super::choice(table, "known_hosts", &words) {
        machine.known_hosts = policy;
    }
    if let Some(value) = table.get("ssh_config")
        && let Some(path) = value.clone().string().map(PathBuf::from)
    {
        if !path.is_absolute() {
            value.problem("must be an absolute path");
        }
        machine.ssh_config = Some(path);
    }
    machine
}

/// The machine that a task runs on. Whether it is one of those that are defined shows once all are known.
pub(super) fn of_task(table: &Table<'_>) -> Option<Clean> {
    let value = table.get("machine")?;
    let name = value.clone().string()?;
    is_name(&name, &value).then(|| Clean::line(&name))
}

/// Where machines are defined at all, each that a task names is among them.
pub(super) fn check_named(machines: &BTreeMap<String, MachineSpec>, named: &[(Clean, Value<'_>)]) {
    if machines.is_empty() {
        return;
    }
    for (name, value) in named.iter().filter(|(name, _)| !machines.contains_key(name.as_str())) {
        let near = did_you_mean(name, machines.keys().map(String::as_str));
        value.problem(&format!(
            "there is no [machine.{name}], as there is for other machines; it may be empty{near}"
        ));
    }
}

/// Whether a machine may be called so: never anything that ssh could take for an option.
fn is_name(name: &str, value: &Value<'_>) -> bool {
    if name == HERE {
        value.problem("\"local\" is the coordinator's own machine: leave it out");
        return false;
    }
    let good = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !good {
        value.problem(&format!(
            "{name:?} is not a machine: a host of the ssh configuration, of letters, digits, `.`, `_` and `-`, \
             a letter or digit first, at most {MAX_NAME}"
        ));
    }
    good
}

/// What ssh may be given as a host. It stands after `--` all the same.
fn is_host(host: &str) -> bool {
    host.len() <= 255
        && host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && host.chars().all(|c| c.is_ascii_alphanumeric() || "._-@:%".contains(c))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn machines_are_read() {
        let file = parse(
            r#"
            [limits.machine]
            web-1 = 3

            [machine.db-1]
            host = "postgres@db-1.example"
            limit = 2
            connect_timeout = "3s"
            known_hosts = "accept-new"
            ssh_config = "/etc/vigie/ssh_config"
            enabled = false

            [machine.web-1]

            [[task]]
            id = "a"
            command = ["true"]
            machine = "db-1"
            "#,
        )
        .unwrap();
        assert_eq!(file.tasks[0].machine.as_deref(), Some("db-1"));
        assert_eq!(file.limits.machine, [("db-1".to_owned(), 2), ("web-1".to_owned(), 3)].into());
        assert_eq!(
            file.machines["db-1"],
            MachineSpec {
                name: "db-1".into(),
                host: "postgres@db-1.example".to_owned(),
                enabled: false,
                connect_timeout: Duration::from_secs(3),
                known_hosts: KnownHosts::AcceptNew,
                ssh_config: Some("/etc/vigie/ssh_config".into()),
            }
        );
        assert_eq!(file.machines["web-1"], MachineSpec::named("web-1"));
        // Without any section, every host of the ssh configuration will do.
        assert!(parse("[[task]]\nid = \"a\"\nmachine = \"any.host\"\n").is_ok());
    }

    #[test]
    fn missing_and_impossible_machines_are_named_with_their_line() {
        for (text, line, expected) in [
            ("[machine.db-1]\n[[task]]\nid = \"a\"\nmachine = \"db-2\"\n", 4, "there is no [machine.db-2]"),
            ("[machine.db-1]\nhost = \"-oProxyCommand=id\"\n", 2, "is not a host of ssh"),
            ("[machine.db-1]\nhost = \"a b\"\n", 2, "is not a host of ssh"),
            ("[machine.\"-x\"]\n", 1, "is not a machine"),
            ("[machine.local]\n", 1, "leave it out"),
            ("[machine.db-1]\nlimits = 1\n", 2, "did you mean \"limit\""),
            ("[machine.db-1]\nknown_hosts = \"no\"\n", 2, "\"no\" is not one of strict, accept-new"),
            ("[machine.db-1]\nssh_config = \"x\"\n", 2, "must be an absolute path"),
            ("[machine.db-1]\nconnect_timeout = \"1ms\"\n", 2, "must be from 1s to 10m"),
            ("[limits.machine]\ndb-1 = 1\n[machine.db-1]\nlimit = 2\n", 3, "one of the two"),
        ] {
            let found: Vec<(usize, String)> = parse(text)
                .unwrap_err()
                .into_iter()
                .map(|problem| (problem.line, problem.message.to_string()))
                .collect();
            assert!(
                found.iter().any(|(at, message)| *at == line && message.contains(expected)),
                "{text}: {found:?}"
            );
        }
    }
}
