//! What ssh says when it can't, turned into what to do. The phrases are those
//! of OpenSSH 8 and 9 (ssh(1), sshconnect.c, and the C library's errors).

use std::io;
use std::time::Duration;

use crate::coordinator::domain::MachineSpec;
use crate::model::{Clean, duration_text};

/// A phrase of ssh, in small letters, and what to do.
type Known = (&'static str, &'static str);

/// The first that fits counts. `{host}` and `{name}` are the machine's.
const KNOWN: &[Known] = &[
    (
        "remote host identification has changed",
        "its host key is not the one in known_hosts: if it was installed anew, take the old one out with \
         `ssh-keygen -R {host}` and connect once by hand; if not, somebody may sit in between",
    ),
    (
        "host key verification failed",
        "its host key is not in known_hosts: connect once by hand with `ssh {host}`, or set \
         known_hosts = \"accept-new\" under [machine.{name}]",
    ),
    (
        "permission denied",
        "it lets nobody in: `ssh -o BatchMode=yes {host} true` must work for the coordinator's user, so with a \
         key that needs no passphrase, or an agent",
    ),
    (
        "could not resolve hostname",
        "ssh knows no such host: add `Host {host}` to the ssh configuration, or set host under [machine.{name}]",
    ),
    ("connection refused", "it refuses connections: does sshd run there, and on that port?"),
    ("timed out", "it does not answer: is it up, and is its ssh port open to this machine?"),
    ("no route to host", "there is no way to it: is it up, and in the same network?"),
    ("network is unreachable", "there is no way to it: is this machine connected?"),
    ("bad configuration option", "the ssh configuration is wrong"),
    ("can't open user config file", "the ssh configuration can't be read"),
    ("bad owner or permissions", "ssh does not trust its configuration: only its owner may write it"),
    ("connection reset", "it closed the connection: look at the log of sshd there"),
    ("connection closed", "it closed the connection: look at the log of sshd there"),
    (
        "too many authentication failures",
        "it was offered too many keys: set IdentitiesOnly and IdentityFile for {host}",
    ),
];

/// Why a call failed, for people: what to do, then ssh's own words.
pub(super) fn mended(machine: &MachineSpec, code: Option<i32>, said: &str) -> Clean {
    let small = said.to_lowercase();
    // The last line that says something; a warning's frame does not.
    let own = said.lines().map(str::trim).rfind(|line| line.chars().any(char::is_alphanumeric)).unwrap_or("");
    let own = own.strip_prefix("ssh: ").unwrap_or(own);
    let known = KNOWN.iter().find(|(phrase, _)| small.contains(phrase));
    let text = match (known, own, code) {
        (Some((_, advice)), own, _) => {
            let advice = advice.replace("{host}", &machine.host).replace("{name}", machine.name.as_str());
            format!("{advice} ({own})")
        }
        (None, "", Some(code)) => format!("ssh ended with exit code {code} and without a word"),
        (None, "", None) => "ssh was ended by a signal".to_owned(),
        (None, own, _) => own.to_owned(),
    };
    Clean::line(&text)
}

/// There is no ssh client, or it can't be started.
pub(super) fn no_ssh(error: &io::Error) -> Clean {
    Clean::from(match error.kind() {
        io::ErrorKind::NotFound => {
            "the program ssh is not on this machine: install the OpenSSH client".to_owned()
        }
        _ => format!("the program ssh can't be started: {error}"),
    })
}

/// It took too long.
pub(super) fn silent(machine: &MachineSpec, limit: Duration) -> Clean {
    Clean::from(format!(
        "no answer from {} within {}: is it up, and is its login quick?",
        machine.host,
        duration_text(limit.as_secs())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_becomes_what_to_do() {
        let mut machine = MachineSpec::named("db");
        machine.host = "db-1.example".to_owned();
        for (said, expected) in [
            (
                "@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@\nHost key verification failed.\n",
                "`ssh-keygen -R db-1.example`",
            ),
            (
                "No ED25519 host key is known for db-1 and you have requested strict checking.\nHost key verification failed.",
                "under [machine.db]",
            ),
            ("me@db-1: Permission denied (publickey).", "BatchMode=yes db-1.example true"),
            ("ssh: Could not resolve hostname db-1: Name or service not known", "`Host db-1.example`"),
            ("ssh: connect to host db-1 port 22: Connection refused", "does sshd run there"),
            ("ssh: connect to host db-1 port 22: Connection timed out", "is it up"),
            ("Connection timed out during banner exchange", "is it up"),
            (
                "vigie: neither of these can be written: /a /b",
                "vigie: neither of these can be written: /a /b",
            ),
            ("", "exit code 255 and without a word"),
        ] {
            let text = mended(&machine, Some(255), said);
            assert!(text.contains(expected), "{said}: {text}");
        }
        assert!(
            mended(&machine, Some(255), "ssh: connect to host x port 1: Connection refused")
                .ends_with("(connect to host x port 1: Connection refused)")
        );
        assert!(no_ssh(&io::ErrorKind::NotFound.into()).contains("install"));
        assert!(silent(&machine, Duration::from_secs(20)).contains("20s"));
    }
}
