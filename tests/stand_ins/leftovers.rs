//! Runs outlive their coordinator; those of a test end with it.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Ends every run of a data directory that goes on.
pub fn end(data: &Path) {
    let folders = std::fs::read_dir(data.join("runs")).into_iter().flatten().flatten();
    let going_on = folders.map(|folder| folder.path()).filter(|folder| !folder.join("ended").exists());
    let claims = going_on.filter_map(|folder| std::fs::read(folder.join("claim")).ok());
    for claim in claims.filter_map(|claim| serde_json::from_slice::<serde_json::Value>(&claim).ok()) {
        let pid = claim["supervisor"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        if let Some(supervisor) = pid.and_then(Pid::from_raw) {
            // It may have ended just now.
            let _ = kill_process(supervisor, Signal::TERM);
        }
    }
}
