//! The scripts, read by this machine's own shells, without any ssh.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use super::*;

/// The shells that are there: `sh` always is.
fn shells() -> Vec<Vec<&'static str>> {
    let known: [&[&str]; 5] = [&["sh"], &["dash"], &["bash", "--posix"], &["busybox", "sh"], &["ksh"]];
    let is_there = |shell: &&[&str]| {
        let name = shell[0];
        std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join(name).exists())
    };
    known.iter().copied().filter(is_there).map(<[&str]>::to_vec).collect()
}

/// A remote home.
struct There {
    home: tempfile::TempDir,
    shell: Vec<&'static str>,
}

impl There {
    fn each() -> impl Iterator<Item = Self> {
        shells().into_iter().map(|shell| Self { home: tempfile::tempdir().unwrap(), shell })
    }

    fn run() -> RunId {
        RunId::new("0199-abc")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.shell[0]);
        command.args(&self.shell[1..]).arg("-s").env("HOME", self.home.path()).current_dir(self.home.path());
        command.env_remove("XDG_STATE_HOME").env("TMPDIR", self.home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn spawn(&self, script: &str) -> Child {
        let mut child = self.command().spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        child
    }

    fn read(&self, script: &str) -> Output {
        self.spawn(script).wait_with_output().unwrap()
    }

    fn start(&self, launch: &Launch) -> Output {
        self.read(&script::start(launch, &Self::run(), 0).unwrap())
    }

    fn fate(&self) -> Option<Whereabouts> {
        let said = self.read(&script::ask(&Self::run(), 0));
        script::fate(&String::from_utf8(said.stdout).unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn until(&self, mut what: impl FnMut() -> bool) {
        for _ in 0..6_000 {
            if what() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{:?}: it never came to be", self.shell);
    }
}

fn shell(line: &str) -> Launch {
    Launch { argv: vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()], ..Launch::default() }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn arguments_environment_and_folder_arrive_byte_for_byte() {
    for there in There::each() {
        let nasty = "it's \"so\"\n$HOME `id` \\ é\u{1f600} @COMMAND@ @KEY@ \t*";
        let folder = there.file("a folder's\nname");
        fs::create_dir(&folder).unwrap();
        let mut launch = shell("printf '%s|' \"$1\" \"$SECRET\" \"$(pwd)\"; umask >&2");
        launch.argv.extend(["sh".to_owned(), nasty.to_owned()]);
        launch.env = BTreeMap::from([("SECRET".to_owned(), nasty.to_owned())]);
        launch.cwd = Some(folder.clone());
        let output = there.start(&launch);
        let expected = format!("{nasty}|{nasty}|{}|", folder.canonicalize().unwrap().display());
        assert!(stdout(&output).starts_with(&expected), "{:?}: {}", there.shell, stdout(&output));
        assert!(!stdout(&output).ends_with("077\n"), "the umask is the user's own");
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
        assert_eq!(there.fate(), Some(Whereabouts::Ended(0)));
    }
}

#[test]
fn exit_codes_are_exact_and_are_written_down() {
    for (line, code) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143)]
    {
        for there in There::each() {
            assert_eq!(there.fate(), Some(Whereabouts::NeverStarted));
            let output = there.start(&shell(line));
            assert_eq!(output.status.code(), Some(code), "{:?}: {line}: {output:?}", there.shell);
            assert_eq!(there.fate(), Some(Whereabouts::Ended(code)));
        }
    }
}

#[test]
fn what_is_not_there_says_so() {
    for there in There::each() {
        let launch = Launch { argv: vec!["no-such-program-anywhere".to_owned()], ..Launch::default() };
        let output = there.start(&launch);
        assert!(matches!(output.status.code(), Some(126 | 127)), "{output:?}");
        assert!(stdout(&output).contains("no-such-program-anywhere"), "{output:?}");
        let mut launch = shell("true");
        launch.cwd = Some(PathBuf::from("/nowhere/at/all"));
        let output = there.read(&script::start(&launch, &There::run(), 1).unwrap());
        assert_eq!(
            (output.status.code(), stdout(&output).as_str()),
            (Some(127), "vigie: its cwd /nowhere/at/all is not there, or can't be entered\n")
        );
    }
    assert_eq!(script::start(&shell("a\0b"), &There::run(), 0).unwrap_err(), "holds a NUL byte");
    let launch = Launch { env: BTreeMap::from([("a.b".to_owned(), String::new())]), ..shell("true") };
    assert!(script::start(&launch, &There::run(), 0).unwrap_err().contains("\"a.b\""));
}

#[test]
fn an_attempt_is_started_once() {
    for there in There::each() {
        let launch = shell("echo once");
        assert_eq!(stdout(&there.start(&launch)), "once\n");
        let again = there.start(&launch);
        assert_eq!((again.status.code(), stdout(&again).as_str()), (Some(255), ""));
        assert_eq!(String::from_utf8_lossy(&again.stderr), "vigie: it was started here before\n");
        assert_eq!(there.fate(), Some(Whereabouts::Ended(0)));
    }
}

#[test]
fn a_script_that_is_cut_runs_nothing() {
    for there in There::each() {
        let launch = shell(&format!("echo ran > {}", there.file("ran").display()));
        let whole = script::start(&launch, &There::run(), 0).unwrap();
        for cut in [whole.len() / 2, whole.len() - "vigie_main\n".len(), whole.len() - 3] {
            let _ = there.read(&whole[..cut]);
            assert!(!there.file("ran").exists(), "{:?}: cut at {cut}", there.shell);
        }
        assert_eq!(there.fate(), Some(Whereabouts::NeverStarted));
    }
}

#[test]
fn ending_ends_the_whole_group_also_what_ignores_sigterm() {
    for there in There::each() {
        let pids = there.file("pids");
        let line = format!(
            "(trap '' TERM; echo $$ >> {0}; while :; do sleep 1; done) & echo ready >> {0}; wait",
            pids.display()
        );
        let child = there.spawn(&script::start(&shell(&line), &There::run(), 0).unwrap());
        there.until(|| fs::read_to_string(&pids).is_ok_and(|text| text.lines().count() == 2));
        assert_eq!(there.fate(), Some(Whereabouts::Running));
        assert!(there.read(&script::end(&There::run(), 0, false)).status.success());
        // The first process goes, its child stays, and so does the run.
        assert_eq!(there.fate(), Some(Whereabouts::Running));
        assert!(there.read(&script::end(&There::run(), 0, true)).status.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(143), "{:?}: {output:?}", there.shell);
        assert_eq!(there.fate(), Some(Whereabouts::Ended(143)));
        let leader =
            fs::read_to_string(&pids).unwrap().lines().find_map(|line| line.parse::<u32>().ok()).unwrap();
        there.until(|| !alive(leader));
    }
}

/// Whether any process of a group does something yet.
fn alive(group: u32) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { return false };
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[2] == group.to_string() && fields[0] != "Z"
    })
}

#[test]
fn what_is_ended_before_it_starts_never_starts() {
    for there in There::each() {
        assert!(there.read(&script::end(&There::run(), 0, false)).status.success());
        let output = there.start(&shell("echo ran"));
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(143), ""));
    }
}

#[test]
fn a_command_lives_on_without_its_reader() {
    for there in There::each() {
        let done = there.file("done");
        let line = format!(
            "echo first; until [ -e {0} ]; do sleep 0.05; done; i=0; while [ $i -lt 9000 ]; do echo 0123456789 0123456789; i=$((i+1)); done; echo 5 > {1}; exit 5",
            there.file("go").display(),
            done.display()
        );
        let mut child = there.spawn(&script::start(&shell(&line), &There::run(), 0).unwrap());
        let mut output = child.stdout.take().unwrap();
        let mut first = [0; 6];
        io::Read::read_exact(&mut output, &mut first).unwrap();
        assert_eq!(&first, b"first\n");
        // As sshd does when a connection is gone.
        drop(output);
        fs::write(there.file("go"), "").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(5), "{:?}", there.shell);
        assert!(done.exists());
        assert_eq!(there.fate(), Some(Whereabouts::Ended(5)));
    }
}

#[test]
fn output_is_whole_and_does_not_wait_for_what_is_left_behind() {
    for there in There::each() {
        let line = "head -c 3000000 /dev/zero | tr '\\0' x; (trap '' HUP; sleep 600) & echo $!";
        let output = there.start(&shell(line));
        assert_eq!(output.status.code(), Some(0));
        let text = stdout(&output);
        let (body, pid) = text.trim_end().split_at(3_000_000);
        assert!(body.bytes().all(|byte| byte == b'x'));
        Command::new("kill").args(["-KILL", pid]).status().unwrap();
    }
}

#[test]
fn one_that_was_killed_with_its_shell_is_gone() {
    for there in There::each() {
        let pid = there.file("pid");
        let line = format!("echo $$ > {}.new; mv {0}.new {0}; exec sleep 600", pid.display());
        let mut child = there.spawn(&script::start(&shell(&line), &There::run(), 0).unwrap());
        there.until(|| pid.exists());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(there.fate(), Some(Whereabouts::Running), "{:?}: its command lives on", there.shell);
        let leader = fs::read_to_string(&pid).unwrap();
        Command::new("kill").args(["-KILL", leader.trim()]).status().unwrap();
        there.until(|| !Path::new(&format!("/proc/{}/exe", leader.trim())).exists());
        there.until(|| {
            there.fate() == Some(Whereabouts::Gone) || there.fate() == Some(Whereabouts::NeverStarted)
        });
    }
}

#[test]
fn a_machine_is_asked_whether_it_is_fit() {
    for there in There::each() {
        let output = there.read(&script::probe());
        assert_eq!(stdout(&output).trim_end(), script::READY, "{:?}: {output:?}", there.shell);
        let mut child = there.command().env("HOME", "/proc").env("TMPDIR", "/proc").spawn().unwrap();
        child.stdin.take().unwrap().write_all(script::probe().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("can be written"), "{output:?}");
    }
}

#[test]
fn nothing_secret_and_nothing_of_the_command_is_an_argument_of_ssh() {
    let data = tempfile::tempdir().unwrap();
    let ssh = Ssh::new(data.path());
    let mut machine = MachineSpec::named("db-1");
    machine.ssh_config = Some("/etc/other".into());
    let launch = Launch {
        env: BTreeMap::from([("A".to_owned(), "hunter22".to_owned())]),
        redact: vec!["hunter22".to_owned()],
        ..shell("echo hi")
    };
    let there = ssh.launch(&machine, launch, &There::run(), 2).unwrap();
    assert_eq!(there.redact, ["hunter22"]);
    assert!(there.env.is_empty() && there.cwd.is_none());
    let line = there.argv.join(" ");
    assert!(!line.contains("hunter22") && !line.contains("echo hi"), "{line}");
    assert!(
        line.starts_with("ssh -T -x -F /etc/other -o BatchMode=yes -o StrictHostKeyChecking=yes "),
        "{line}"
    );
    assert!(line.contains("-o ControlMaster=no"), "a run must not hold the connection of others: {line}");
    assert!(line.ends_with(" -- db-1 exec /bin/sh -s"), "{line}");
    let script = there.stdin.unwrap();
    assert!(script.contains("hunter22") && script.contains("0199-abc-2"));
    let elsewhere = there.elsewhere.unwrap();
    assert!(elsewhere.terminate.1.contains("kill -s TERM") && elsewhere.kill.1.contains("kill -s KILL"));
    let opens = ssh.argv(&machine, Share::Opens).join(" ");
    assert!(opens.contains("ControlMaster=auto") && opens.contains("ControlPersist=90"), "{opens}");
}
