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

/// Whether any process of the group is left that can still do something.
pub(super) fn is_alive(pid: u32) -> bool {
    group(pid).is_some_and(|group| test_kill_process_group(group).is_ok()) && !only_zombies(pid)
}

/// Whether what is left of a group has ended and only waits for its parent.
/// Where process 1 adopts orphans and never looks at them, as in many
/// containers, that would be for ever. Elsewhere than on Linux: no telling.
fn only_zombies(pid: u32) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let mut members = processes.filter_map(|entry| {
        let id = entry.ok()?.file_name().to_str()?.parse::<u32>().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace();
        let (state, group) = (fields.next()?.to_owned(), fields.nth(1)?.parse::<u32>().ok()?);
        (group == pid).then_some(state)
    });
    members.all(|state| state == "Z" || state == "X")
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
