//! Process groups: who they are, and how they are ended.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::coordinator::domain::Process;

/// How often a group that was asked to end is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long what a killed coordinator left has between SIGTERM and SIGKILL.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);

fn group(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Signals a group. That there is none (any more) is fine.
pub(super) fn signal(pid: u32, signal: Signal) {
    if let Some(group) = group(pid) {
        let _ = kill_process_group(group, signal);
    }
}

/// Whether any process of the group is left.
pub(super) fn is_alive(pid: u32) -> bool {
    group(pid).is_some_and(|group| test_kill_process_group(group).is_ok())
}

/// Returns once nothing of the group is left; never, if it stays.
pub(super) async fn gone(pid: u32) {
    while is_alive(pid) {
        tokio::time::sleep(LOOK).await;
    }
}

/// The identity of a running process. Elsewhere than on Linux there is no
/// telling, and what a killed coordinator left is not touched.
pub(super) fn identify(pid: u32) -> Process {
    Process { pid, start_ticks: start_ticks(pid).unwrap_or(0) }
}

/// Field 22 of `/proc/PID/stat` (proc(5)): the start in clock ticks since boot.
/// The name in field 2 may hold anything, so fields are counted after its end.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

/// Ends the process groups that a killed coordinator left, if they verifiably are the same.
pub(crate) async fn end_leftovers(processes: impl IntoIterator<Item = Process>) {
    let left: Vec<u32> = processes
        .into_iter()
        .filter(|process| process.start_ticks != 0 && start_ticks(process.pid) == Some(process.start_ticks))
        .map(|process| process.pid)
        .collect();
    for pid in &left {
        signal(*pid, Signal::TERM);
    }
    let all_gone = async {
        for pid in &left {
            gone(*pid).await;
        }
    };
    if tokio::time::timeout(LEFTOVER_GRACE, all_gone).await.is_err() {
        for pid in left {
            signal(pid, Signal::KILL);
        }
    }
}
