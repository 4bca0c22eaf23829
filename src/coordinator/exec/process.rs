//! Processes and their groups: who they are, whether they still are, and how
//! they are ended.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde::{Deserialize, Serialize};

use crate::coordinator::domain::Process;

/// How often a group that was asked to end is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// How long what a killed coordinator of an earlier version left has between SIGTERM and SIGKILL.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);

/// A process, so that it can be known again: its number may be another's by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) pid: u32,
    /// When the kernel says that it started, in clock ticks since boot; 0 where there is no telling.
    pub(super) start_ticks: u64,
    /// Which boot of the machine; empty where there is no telling.
    pub(super) boot: String,
}

impl Identity {
    /// Of a process that is there.
    pub(super) fn of(pid: u32, boot: &str) -> Self {
        let start_ticks = stat(pid).map_or(0, |stat| stat.start_ticks);
        Self { pid, start_ticks, boot: boot.to_owned() }
    }

    /// Whether it still runs. Elsewhere than on Linux there is no telling: no.
    pub(super) fn is_alive(&self, boot: &str) -> bool {
        self.start_ticks != 0
            && self.boot == boot
            && stat(self.pid).is_some_and(|stat| stat.start_ticks == self.start_ticks && !stat.is_over())
    }

    /// The groups that are left in the session that it led, once it is gone
    /// itself. As long as there are any, nobody else gets its number.
    pub(super) fn left(&self, boot: &str) -> Vec<u32> {
        if self.boot != boot || stat(self.pid).is_some_and(|stat| !stat.is_over()) {
            return Vec::new();
        }
        let of_session = all().filter(|stat| stat.session == self.pid && !stat.is_over());
        let mut groups: Vec<u32> = of_session.map(|stat| stat.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

/// This boot of the machine, as Linux numbers it (random(4)). Elsewhere: empty.
pub(super) fn boot() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// A line of `/proc/PID/stat` (proc(5)), as far as it matters here.
#[derive(Debug)]
struct Stat {
    state: u8,
    group: u32,
    session: u32,
    start_ticks: u64,
}

impl Stat {
    /// Whether it has ended, and only waits for its parent.
    const fn is_over(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// The name in field 2 may hold anything, so fields are counted after its end.
fn stat(pid: u32) -> Option<Stat> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let group = fields.nth(1)?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(15)?.parse().ok()?;
    Some(Stat { state, group, session, start_ticks })
}

/// All processes that there are.
fn all() -> impl Iterator<Item = Stat> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten();
    processes.filter_map(|entry| stat(entry.ok()?.file_name().to_str()?.parse().ok()?))
}

fn id(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn test(group: u32) -> bool {
    id(group).is_some_and(|group| test_kill_process_group(group).is_ok())
}

/// Signals a group. That there is none (any more) is fine.
pub(super) fn signal(group: u32, signal: Signal) {
    if let Some(group) = id(group) {
        let _ = kill_process_group(group, signal);
    }
}

/// Whether any process of the group is left that can still do something. One
/// that has ended and waits for its parent can't: where process 1 adopts
/// orphans and never looks at them, as in many containers, it waits for ever.
/// Elsewhere than on Linux: no telling them apart.
pub(super) fn is_alive(group: u32) -> bool {
    if !test(group) {
        return false;
    }
    let mut members = all().filter(|stat| stat.group == group).peekable();
    members.peek().is_none() || members.any(|stat| !stat.is_over())
}

/// Returns once nothing of the group is left; never, if it stays.
pub(super) async fn gone(group: u32) {
    while is_alive(group) {
        tokio::time::sleep(LOOK).await;
    }
}

/// Ends groups: SIGTERM, and SIGKILL after the grace.
pub(super) async fn end_all(groups: &[u32], grace: Duration) {
    futures_util::future::join_all(groups.iter().map(|group| end(*group, grace))).await;
}

/// Ends a group: SIGTERM, and SIGKILL after the grace.
async fn end(group: u32, grace: Duration) {
    signal(group, Signal::TERM);
    if tokio::time::timeout(grace, gone(group)).await.is_err() {
        signal(group, Signal::KILL);
        gone(group).await;
    }
}

/// A supervisor that is no child of ours.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(super) struct Other {
    handle: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Other {
    /// `None`: it is gone.
    pub(super) fn find(identity: &Identity, boot: &str) -> Option<Self> {
        use rustix::process::{PidfdFlags, pidfd_open};
        let handle = pidfd_open(id(identity.pid)?, PidfdFlags::empty()).ok()?;
        #[expect(
            deprecated,
            reason = "an `OwnedFd` that is never given away is all that its successor demands"
        )]
        let handle = tokio::io::unix::AsyncFd::with_interest(handle, tokio::io::Interest::READABLE).ok()?;
        // Asked once the handle is had: whatever it stands for is what is still there now.
        identity.is_alive(boot).then_some(Self { handle })
    }

    /// Returns once it has ended.
    pub(super) async fn ended(&self) {
        let _ = self.handle.readable().await;
    }

    /// Has it end its run.
    pub(super) fn terminate(&self) {
        let _ = rustix::process::pidfd_send_signal(self.handle.get_ref(), Signal::TERM);
    }
}

/// Elsewhere than on Linux a process can't be known again.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(super) struct Other;

#[cfg(not(target_os = "linux"))]
impl Other {
    pub(super) fn find(_: &Identity, _: &str) -> Option<Self> {
        None
    }

    pub(super) async fn ended(&self) {}

    pub(super) fn terminate(&self) {}
}

/// Ends the process groups that a killed coordinator of an earlier version
/// left, which had no supervisors, if they verifiably are the same.
pub(crate) async fn end_leftovers(processes: impl IntoIterator<Item = Process>) {
    let left: Vec<u32> = processes
        .into_iter()
        .filter(|process| {
            process.start_ticks != 0
                && stat(process.pid).is_some_and(|stat| stat.start_ticks == process.start_ticks)
        })
        .map(|process| process.pid)
        .collect();
    end_all(&left, LEFTOVER_GRACE).await;
}
