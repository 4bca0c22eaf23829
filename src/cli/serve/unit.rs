//! The systemd unit that `vigie serve --print-unit` prints.

use std::fmt::Write as _;
use std::path::Path;

/// Whose service it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// The machine's: `/etc/systemd/system`.
    System,
    /// A user's own: `~/.config/systemd/user`.
    User,
}

/// The unit of a coordinator that is started by `program` with `arguments`.
///
/// `KillMode=process` leaves the runs to their supervisors when the
/// coordinator is stopped or replaced; `Type=notify` and the watchdog are
/// answered by [`super::service`].
#[must_use]
pub fn text(manager: Manager, program: &Path, arguments: &[String]) -> String {
    let (place, tool, target) = match manager {
        Manager::System => ("/etc/systemd/system/vigie.service", "systemctl", "multi-user.target"),
        Manager::User => ("~/.config/systemd/user/vigie.service", "systemctl --user", "default.target"),
    };
    let mut command = word(&program.display().to_string());
    for argument in arguments {
        let _ = write!(command, " {}", word(argument));
    }
    let lingers = match manager {
        Manager::System => "",
        Manager::User => "# It runs while you are logged in; always: loginctl enable-linger\n",
    };
    format!(
        "# vigie serve --print-unit > {place}\n\
         # {tool} daemon-reload && {tool} enable --now vigie\n\
         {lingers}\
         [Unit]\n\
         Description=vigie, the look-out for scheduled and queued work\n\
         After=network-online.target\n\
         Wants=network-online.target\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type=notify\n\
         NotifyAccess=main\n\
         ExecStart={command}\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         Restart=always\n\
         RestartSec=1s\n\
         WatchdogSec=30s\n\
         # Runs have supervisors of their own, and go on while this is stopped or replaced.\n\
         KillMode=process\n\
         TimeoutStopSec=15s\n\
         UMask=0077\n\
         \n\
         [Install]\n\
         WantedBy={target}\n"
    )
}

/// A word of a command line as systemd reads it (systemd.service(5), "Command lines"):
/// quoted where it must be, `%` and `$` doubled.
fn word(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:@%$[],+".contains(c);
    if !escaped.is_empty() && escaped.chars().all(plain) { escaped } else { format!("\"{escaped}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_systemd_reads_them() {
        for (text, expected) in [
            ("/usr/bin/vigie", "/usr/bin/vigie"),
            ("/srv/my data/v", "\"/srv/my data/v\""),
            ("100%", "100%%"),
            ("$HOME", "$$HOME"),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("", "\"\""),
        ] {
            assert_eq!(word(text), expected);
        }
    }

    #[test]
    fn the_unit_leaves_runs_alone_and_has_a_watchdog() {
        let unit = text(Manager::System, Path::new("/usr/bin/vigie"), &["serve".to_owned()]);
        for line in [
            "ExecStart=/usr/bin/vigie serve",
            "Type=notify",
            "KillMode=process",
            "Restart=always",
            "WatchdogSec=30s",
            "WantedBy=multi-user.target",
        ] {
            assert!(unit.lines().any(|found| found == line), "{line} in\n{unit}");
        }
        let unit = text(Manager::User, Path::new("/usr/bin/vigie"), &[]);
        assert!(unit.contains("WantedBy=default.target\n") && unit.contains("enable-linger"), "{unit}");
    }
}
