//! Reports that could not be delivered yet: a file each, in the state
//! directory.
//!
//! A file is written once, atomically, and never changed: several processes
//! may put, deliver and remove at once, and the worst of it is a report that
//! is delivered twice, which its receiver takes once. Names begin with the
//! run's id, which begins with the time: the order of names is the order of
//! events. Bounded by [`MAX_FILES`] and [`MAX_BYTES`]; the oldest go first,
//! and are counted.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{EndpointName, TaskId};
use crate::wire::{Report, Reported};

/// So many reports wait at most.
pub const MAX_FILES: usize = 1000;
/// And so many bytes.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// A file that was begun and never finished is of nobody any more after this.
const ABANDONED: Duration = Duration::from_secs(3600);
/// Its length is the number of reports that were dropped and not yet told of.
const DROPPED: &str = "dropped";

/// A report, and where it goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The endpoint; the first that takes reports, if none was named.
    pub endpoint: Option<EndpointName>,
    /// The task.
    pub task: TaskId,
    /// What is said of it.
    pub report: Report,
}

/// A report on disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(PathBuf);

/// The folder of reports that wait.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
}

impl Spool {
    /// In the state directory.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("spool") }
    }

    /// Keeps a report until it is [removed](Spool::remove); makes room first.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put(&self, waiting: &Waiting) -> io::Result<Ticket> {
        let bytes = serde_json::to_vec(waiting)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        self.make_room(bytes.len() as u64);
        let name = name_of(&waiting.report);
        let (unfinished, path) =
            (self.folder.join(format!("{name}.new")), self.folder.join(format!("{name}.json")));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&unfinished, &path));
        if let Err(error) = written {
            // What is left of it is no report.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        // The name too must be on disk; where a folder can't be synced, that is as good as it gets.
        let _ = fs::File::open(&self.folder).and_then(|folder| folder.sync_all());
        Ok(Ticket(path))
    }

    /// What waits, oldest first; nothing, where there is no folder.
    #[must_use]
    pub fn tickets(&self) -> Vec<Ticket> {
        let mut tickets: Vec<Ticket> = self
            .files()
            .into_iter()
            .filter(|(path, _)| is_report(path))
            .map(|(path, _)| Ticket(path))
            .collect();
        tickets.sort_unstable();
        tickets
    }

    /// Reads one. `None` if another process has delivered it meanwhile, or if
    /// it is no report: that is dropped, and counted.
    #[must_use]
    pub fn read(&self, ticket: &Ticket) -> Option<Waiting> {
        let bytes = fs::read(&ticket.0).ok()?;
        let read = serde_json::from_slice(&bytes).ok();
        if read.is_none() {
            self.drop_oldest(ticket);
        }
        read
    }

    /// It was delivered, or never can be.
    pub fn remove(&self, ticket: &Ticket) {
        // If it stays it is delivered once more, which does no harm.
        let _ = fs::remove_file(&ticket.0);
    }

    /// How many were dropped since somebody was last told; from now on nobody is told of them.
    #[must_use]
    pub fn take_dropped(&self) -> u64 {
        let path = self.folder.join(DROPPED);
        let dropped = fs::metadata(&path).map_or(0, |file| file.len());
        if dropped > 0 {
            let _ = fs::remove_file(&path);
        }
        dropped
    }

    fn make_room(&self, wanted: u64) {
        let files = self.files();
        let abandoned = |path: &Path| {
            let modified = fs::metadata(path).and_then(|file| file.modified());
            modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED))
        };
        for (path, _) in files.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "new")) {
            if abandoned(path) {
                let _ = fs::remove_file(path);
            }
        }
        let mut reports: Vec<(PathBuf, u64)> =
            files.into_iter().filter(|(path, _)| is_report(path)).collect();
        reports.sort_unstable();
        let mut bytes: u64 = reports.iter().map(|(_, bytes)| bytes).sum::<u64>() + wanted;
        let mut count = reports.len() + 1;
        for (path, size) in reports {
            if count <= MAX_FILES && bytes <= MAX_BYTES {
                break;
            }
            self.drop_oldest(&Ticket(path));
            count -= 1;
            bytes = bytes.saturating_sub(size);
        }
    }

    fn drop_oldest(&self, ticket: &Ticket) {
        if fs::remove_file(&ticket.0).is_err() {
            return;
        }
        // A byte each: appending needs no reading, and no lock.
        let counted =
            OpenOptions::new().create(true).append(true).mode(0o600).open(self.folder.join(DROPPED));
        if let Err(error) = counted.and_then(|mut file| file.write_all(b".")) {
            tracing::warn!(%error, "a report was dropped that could not be counted");
        }
    }

    fn files(&self) -> Vec<(PathBuf, u64)> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    tracing::warn!(%error, "reports that wait can't be listed");
                }
                return Vec::new();
            }
        };
        entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.path(), entry.metadata().ok().filter(fs::Metadata::is_file)?.len()))
            })
            .collect()
    }
}

fn is_report(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// One name per report; those of one run in the order of its events.
fn name_of(report: &Report) -> String {
    let step = match report.what {
        Reported::Started => "1-started".to_owned(),
        Reported::Beat => format!("2-beat-{}", report.at.timestamp_millis()),
        Reported::Ended { .. } => "3-ended".to_owned(),
    };
    let rid: String = report.rid.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("{rid}-{step}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use chrono::DateTime;

    use super::*;

    fn waiting(rid: &str, what: Reported, output: Option<String>) -> Waiting {
        let report = Report {
            rid: rid.to_owned(),
            what,
            at: DateTime::UNIX_EPOCH,
            output,
            machine: Some("db-1".into()),
        };
        Waiting { endpoint: None, task: "dump".into(), report }
    }

    #[test]
    fn what_waits_is_read_back_in_order_private_and_whole() {
        let state = tempfile::tempdir().unwrap();
        let spool = Spool::new(state.path());
        assert_eq!(spool.tickets(), []);
        let ended = waiting("b", Reported::Ended { exit_code: 3 }, Some("\u{fffd}x".to_owned()));
        for item in [&ended, &waiting("b", Reported::Started, None), &waiting("a", Reported::Started, None)] {
            spool.put(item).unwrap();
        }
        // Others' leftovers are no reports.
        fs::write(state.path().join("spool/c-3-ended.new"), "{").unwrap();
        let tickets = spool.tickets();
        let read: Vec<Waiting> = tickets.iter().map(|ticket| spool.read(ticket).unwrap()).collect();
        assert_eq!(read[0].report.rid, "a");
        assert_eq!((read[1].report.what.clone(), &read[2]), (Reported::Started, &ended));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&tickets[0].0), mode(&state.path().join("spool"))), (0o600, 0o700));
        spool.remove(&tickets[0]);
        assert_eq!((spool.read(&tickets[0]), spool.tickets().len()), (None, 2));
        // The same report is the same file.
        spool.put(&ended).unwrap();
        assert_eq!((spool.tickets().len(), spool.take_dropped()), (2, 0));
    }

    #[test]
    fn the_spool_is_bounded_and_drops_the_oldest_counted() {
        let state = tempfile::tempdir().unwrap();
        let spool = Spool::new(state.path());
        for i in 0..MAX_FILES + 3 {
            // As put does, without waiting for a disk each time.
            let path = state.path().join(format!("spool/{i:06}-3-ended.json"));
            if i == 0 {
                fs::create_dir(state.path().join("spool")).unwrap();
            }
            fs::write(
                path,
                serde_json::to_vec(&waiting(&format!("{i:06}"), Reported::Started, None)).unwrap(),
            )
            .unwrap();
        }
        spool.put(&waiting("zz", Reported::Started, None)).unwrap();
        let tickets = spool.tickets();
        assert_eq!(tickets.len(), MAX_FILES);
        assert_eq!(spool.read(&tickets[0]).unwrap().report.rid, "000004", "the oldest went");
        assert_eq!((spool.take_dropped(), spool.take_dropped()), (4, 0), "told once");
        let big = "x".repeat(usize::try_from(MAX_BYTES).unwrap() - 1000);
        spool.put(&waiting("zzz", Reported::Ended { exit_code: 0 }, Some(big))).unwrap();
        let left: u64 =
            spool.files().iter().filter(|(path, _)| is_report(path)).map(|(_, bytes)| bytes).sum();
        assert!(left <= MAX_BYTES && spool.tickets().len() < MAX_FILES, "{left}");
    }

    #[test]
    fn what_is_no_report_is_dropped_and_a_disk_that_is_full_is_said() {
        let state = tempfile::tempdir().unwrap();
        let spool = Spool::new(state.path());
        let ticket = spool.put(&waiting("a", Reported::Started, None)).unwrap();
        fs::write(&ticket.0, "{\"half").unwrap();
        assert_eq!((spool.read(&ticket), spool.take_dropped(), spool.tickets().len()), (None, 1, 0));
        let in_the_way = tempfile::NamedTempFile::new().unwrap();
        assert!(Spool::new(in_the_way.path()).put(&waiting("a", Reported::Started, None)).is_err());
    }
}
