//! A real sshd on loopback, with keys of its own, that ends with its test.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Where it is installed on Linux and the BSDs, and on macOS.
const PLACES: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/libexec/sshd"];

pub(crate) struct Sshd {
    pub(crate) dir: TempDir,
    pub(crate) port: u16,
    child: Child,
}

/// Whether there is what these tests need; says so if not.
fn installed() -> Option<&'static str> {
    let sshd = PLACES.into_iter().find(|place| Path::new(place).exists());
    let ssh = Command::new("ssh").arg("-V").stderr(Stdio::null()).status().is_ok();
    if sshd.is_none() || !ssh {
        let line = "SKIPPED: no sshd or no ssh on this machine (Debian: openssh-server, openssh-client)";
        let _ = writeln!(std::io::stderr(), "{line}");
        return None;
    }
    // What Debian's sshd wants when it is root's; a service manager makes it elsewhere.
    let _ = fs::create_dir_all("/run/sshd");
    sshd
}

fn keygen(path: &Path) {
    let done = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
    assert!(done.unwrap().success());
}

/// A port on which nobody listens: only root could, and nobody does.
const NOBODYS_PORT: u16 = 1;

/// A port that is free for the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Sshd {
    /// `None`: there is none here.
    pub(crate) fn start() -> Option<Self> {
        Self::with("")
    }

    /// With more lines in its configuration.
    pub(crate) fn with(more: &str) -> Option<Self> {
        let program = installed()?;
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        keygen(&at("host"));
        keygen(&at("user"));
        fs::copy(at("user.pub"), at("authorized_keys")).unwrap();
        // Somebody else may take the port first.
        for _ in 0..20 {
            let port = free_port();
            if let Some(child) = listen(program, dir.path(), port, more) {
                let sshd = Self { dir, port, child };
                sshd.write_known_hosts();
                return Some(sshd);
            }
        }
        panic!("sshd does not start: {}", fs::read_to_string(at("log")).unwrap_or_default());
    }

    fn write_known_hosts(&self) {
        let key = fs::read_to_string(self.path("host.pub")).unwrap();
        fs::write(self.path("known_hosts"), format!("[127.0.0.1]:{} {key}", self.port)).unwrap();
        let other = fs::read_to_string(self.path("user.pub")).unwrap();
        fs::write(self.path("changed_hosts"), format!("[127.0.0.1]:{} {other}", self.port)).unwrap();
        fs::write(self.path("no_hosts"), "").unwrap();
        let host = |name: &str, port: u16, known: &str| {
            format!(
                "Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {0}\n  IdentitiesOnly yes\n  \
                 UserKnownHostsFile {1}\n  GlobalKnownHostsFile /dev/null\n  RequestTTY force\n  \
                 LocalForward 1 127.0.0.1:1\n",
                self.path("user").display(),
                self.path(known).display()
            )
        };
        let config = [
            host("db-1", self.port, "known_hosts"),
            host("db-2", self.port, "known_hosts"),
            host("changed", self.port, "changed_hosts"),
            host("new", self.port, "no_hosts"),
            host("refused", NOBODYS_PORT, "known_hosts"),
        ];
        fs::write(self.config(), config.concat()).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The ssh configuration that knows it.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("ssh_config")
    }

    /// What `tasks.toml` says of a machine.
    pub(crate) fn machine(&self, name: &str, more: &str) -> String {
        format!("[machine.{name}]\nssh_config = {:?}\n{more}\n", self.config())
    }

    /// The processes of its connections.
    pub(crate) fn connections(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut next = 0;
        while next < found.len() {
            found.extend(
                children(found[next])
                    .into_iter()
                    .filter(|(_, name)| name.starts_with("sshd"))
                    .map(|(pid, _)| pid),
            );
            next += 1;
        }
        found.split_off(1)
    }

    /// Cuts every connection, as a network does.
    pub(crate) fn cut(&self) {
        let connections: Vec<String> = self.connections().iter().map(u32::to_string).collect();
        assert!(!connections.is_empty(), "nothing to cut");
        Command::new("kill").arg("-KILL").args(connections).status().unwrap();
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let mut kill = Command::new("kill");
        kill.args(self.connections().iter().map(u32::to_string)).stderr(Stdio::null());
        let _ = kill.status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn children(parent: u32) -> Vec<(u32, String)> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let (name, fields) = stat.split_once('(')?.1.rsplit_once(") ")?;
            let mut fields = fields.split(' ');
            (fields.next()? != "Z" && fields.next()?.parse() == Ok(parent)).then(|| (pid, name.to_owned()))
        })
        .collect()
}

fn listen(program: &str, dir: &Path, port: u16, more: &str) -> Option<Child> {
    let config = format!(
        "{more}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized_keys\n\
         PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\n\
         SetEnv XDG_STATE_HOME={0}/state\n",
        dir.display()
    );
    fs::write(dir.join("sshd_config"), config).unwrap();
    let log = fs::File::create(dir.join("log")).unwrap();
    let mut child = Command::new(program)
        .args(["-D", "-e", "-f"])
        .arg(dir.join("sshd_config"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    for _ in 0..6_000 {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            let mut banner = String::new();
            if BufReader::new(stream).read_line(&mut banner).is_ok() && banner.starts_with("SSH-") {
                return Some(child);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}
