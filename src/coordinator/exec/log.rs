//! The log of a run: bounded on disk, head and tail kept, what falls out
//! between them counted.
//!
//! Each task has a folder, and keeps the logs of its newest thousand runs.
//! `<run>.log` holds the first bytes. Beyond them two segments take turns,
//! `<run>.log.0` and `<run>.log.1`: when one is full the other, older one goes.
//! Each begins with the place (8 bytes, big-endian) that its first byte has in
//! the whole output, so a log can be read, also while it is written, without
//! knowing anything else. Places count every byte that was ever captured.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use memchr::memrchr;

use crate::coordinator::engine::LogPiece;
use crate::coordinator::private;
use crate::model::{RunId, TaskId};

/// Bytes kept from the beginning.
pub(crate) const HEAD: u64 = 512 * 1024;
/// Bytes in one of the two segments of the tail.
pub(crate) const SEGMENT: u64 = 256 * 1024;
/// The place that a segment begins with.
const HEADER: u64 = 8;
/// Logs that a task keeps.
const KEPT: usize = 1_000;
/// The longest last line that is remembered.
const LAST_LINE: usize = 400;

/// The folder of all logs.
#[derive(Debug, Clone)]
pub struct Logs {
    folder: PathBuf,
}

impl Logs {
    /// In `folder`, which exists.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder of a task's logs. Ids are checked where they are read;
    /// whatever else came here would not leave the folder.
    fn of(&self, task: &TaskId) -> PathBuf {
        self.folder.join(format!("task-{}", safe(task.as_raw())))
    }

    /// The first file of a run's log.
    pub(super) fn head(&self, task: &TaskId, run: &RunId) -> PathBuf {
        self.of(task).join(format!("{}.log", safe(run.as_raw())))
    }

    /// Deletes all but a task's newest logs; gives how many. Run ids begin with
    /// their time, so names are in order.
    ///
    /// # Errors
    /// What the file system says.
    pub fn prune(&self, task: &TaskId) -> io::Result<usize> {
        let mut heads: Vec<PathBuf> = std::fs::read_dir(self.of(task))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        let old = heads.len().saturating_sub(KEPT);
        if old > 0 {
            heads.sort();
        }
        for head in heads.iter().take(old) {
            delete(head)?;
        }
        Ok(old)
    }

    /// Deletes the logs of these runs, and the folders that are empty without them.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove(&self, runs: &[(TaskId, RunId)]) -> io::Result<()> {
        for (task, run) in runs {
            delete(&self.head(task, run))?;
            // One that is not empty stays.
            let _ = std::fs::remove_dir(self.of(task));
        }
        Ok(())
    }

    /// Opens the log of a run for more.
    ///
    /// # Errors
    /// What the file system says.
    pub fn append(&self, task: &TaskId, run: &RunId) -> io::Result<LogWriter> {
        LogWriter::open(self.head(task, run))
    }

    /// Appends output that comes piece by piece from elsewhere: each piece ends its line.
    /// The first piece of a run's log deletes old logs of its task, now and then.
    ///
    /// # Errors
    /// What the file system says.
    pub fn add(&self, task: &TaskId, run: &RunId, bytes: &[u8]) -> io::Result<()> {
        let mut log = self.append(task, run)?;
        let first = log.head_len == 0;
        log.append(bytes)?;
        if !bytes.ends_with(b"\n") {
            log.append(b"\n")?;
        }
        // Ids end in random digits.
        if first && run.as_raw().ends_with("00") {
            self.prune(task)?;
        }
        Ok(())
    }

    /// Has the logs of these runs on disk, through a power cut too, as far as they are written.
    ///
    /// # Errors
    /// What the file system says.
    pub fn sync(&self, runs: &[(TaskId, RunId)]) -> io::Result<()> {
        let heads: BTreeSet<PathBuf> = runs.iter().map(|(task, run)| self.head(task, run)).collect();
        let mut folders = BTreeSet::from([self.folder.as_path()]);
        for head in &heads {
            folders.extend(head.parent());
            for path in [head.clone(), segment_path(head, 0), segment_path(head, 1)] {
                match File::open(path) {
                    Ok(file) => file.sync_data()?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        folders.into_iter().try_for_each(|folder| File::open(folder)?.sync_all())
    }

    /// Puts `bytes` in the place of what the log of a run has.
    ///
    /// # Errors
    /// What the file system says; the log is then as it was, or empty.
    pub fn replace(&self, task: &TaskId, run: &RunId, bytes: &[u8]) -> io::Result<()> {
        let path = self.head(task, run);
        if path.exists() {
            delete(&path)?;
        }
        self.add(task, run, bytes)
    }

    /// At most `limit` bytes from place `offset` on. What was dropped is
    /// passed over, with a line that says so in its stead. `complete` is left
    /// for whoever knows whether the run has ended.
    ///
    /// # Errors
    /// What the file system says; a log that was never begun is empty.
    pub fn read(&self, task: &TaskId, run: &RunId, offset: u64, limit: usize) -> io::Result<LogPiece> {
        let path = self.head(task, run);
        let mut piece =
            LogPiece { bytes: Vec::new(), next_offset: offset, dropped_bytes: 0, complete: false };
        let mut head = match File::open(&path) {
            Ok(head) => head,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(piece),
            Err(error) => return Err(error),
        };
        let head_len = head.metadata()?.len();
        read_into(&mut piece, &mut head, 0, 0, head_len, limit)?;
        let mut end = head_len;
        for segment in segments(&path) {
            piece.dropped_bytes += segment.start.saturating_sub(end);
            // A segment that went away meanwhile was dropped: the next read says so.
            let Ok(mut file) = File::open(&segment.path) else { continue };
            if piece.next_offset >= end && piece.next_offset < segment.start && piece.bytes.len() < limit {
                let note = format!("\n[{} bytes dropped]\n", segment.start - piece.next_offset);
                piece.bytes.extend_from_slice(note.as_bytes());
                piece.next_offset = segment.start;
            }
            read_into(&mut piece, &mut file, HEADER, segment.start, segment.len, limit)?;
            end = segment.start + segment.len;
        }
        Ok(piece)
    }
}

/// Deletes the files of one log, as far as there are any.
fn delete(head: &Path) -> io::Result<()> {
    for path in [segment_path(head, 0), segment_path(head, 1), head.to_owned()] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// An id as a name of a file.
pub(super) fn safe(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

/// Appends what `file` has from the piece's place on: `len` bytes from place
/// `start`, which are at `at` in the file.
fn read_into(
    piece: &mut LogPiece,
    file: &mut File,
    at: u64,
    start: u64,
    len: u64,
    limit: usize,
) -> io::Result<()> {
    let room = limit.saturating_sub(piece.bytes.len()) as u64;
    let (from, end) = (piece.next_offset, start + len);
    if from < start || from >= end || room == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::Start(at + from - start))?;
    let read = file.take(room.min(end - from)).read_to_end(&mut piece.bytes)?;
    piece.next_offset += read as u64;
    Ok(())
}

struct Segment {
    path: PathBuf,
    index: u8,
    start: u64,
    len: u64,
}

fn segment_path(head: &Path, index: u8) -> PathBuf {
    head.with_extension(format!("log.{index}"))
}

/// The segments that there are, in order.
fn segments(head: &Path) -> Vec<Segment> {
    let mut found: Vec<Segment> = [0, 1]
        .into_iter()
        .filter_map(|index| {
            let path = segment_path(head, index);
            let mut file = File::open(&path).ok()?;
            let mut start = [0; 8];
            file.read_exact(&mut start).ok()?;
            let len = file.metadata().ok()?.len().saturating_sub(HEADER);
            Some(Segment { path, index, start: u64::from_be_bytes(start), len })
        })
        .collect();
    found.sort_by_key(|segment| segment.start);
    found
}

/// Adds what there is room for.
fn extend(line: &mut Vec<u8>, bytes: &[u8]) {
    let room = LAST_LINE.saturating_sub(line.len()).min(bytes.len());
    line.extend_from_slice(&bytes[..room]);
}

#[derive(Debug)]
struct Tail {
    file: File,
    index: u8,
    start: u64,
    len: u64,
}

/// Writes the log of one run.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    head: File,
    head_len: u64,
    tail: Option<Tail>,
    /// The last line that was not empty, cut.
    last: Vec<u8>,
    /// The line that is not at its end yet, cut.
    line: Vec<u8>,
}

impl LogWriter {
    /// Opens a log for more, by its first file.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            private::folder(folder)?;
        }
        let head = private::append(&path)?;
        let head_len = head.metadata()?.len();
        let mut writer = Self { path, head, head_len, tail: None, last: Vec::new(), line: Vec::new() };
        if let Some(newest) = segments(&writer.path).pop() {
            let file = private::append(&newest.path)?;
            writer.tail = Some(Tail { file, index: newest.index, start: newest.start, len: newest.len });
        }
        Ok(writer)
    }

    /// Appends output.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.remember(bytes);
        self.append(bytes)
    }

    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.head_len < HEAD {
            let room = usize::try_from(HEAD - self.head_len).unwrap_or(usize::MAX).min(bytes.len());
            let (first, rest) = bytes.split_at(room);
            self.head.write_all(first)?;
            self.head_len += first.len() as u64;
            bytes = rest;
        }
        while !bytes.is_empty() {
            if self.tail.as_ref().is_none_or(|tail| tail.len >= SEGMENT) {
                self.next_segment()?;
            }
            let Some(tail) = &mut self.tail else { return Ok(()) };
            let room = usize::try_from(SEGMENT - tail.len).unwrap_or(usize::MAX).min(bytes.len());
            let (first, rest) = bytes.split_at(room);
            tail.file.write_all(first)?;
            tail.len += first.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Appends a line of the coordinator's own, which is none of the run's last words.
    ///
    /// # Errors
    /// What the file system says.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.append(format!("{text}\n").as_bytes())
    }

    fn next_segment(&mut self) -> io::Result<()> {
        let (index, start) = match &self.tail {
            None => (0, self.head_len),
            Some(tail) => (1 - tail.index, tail.start + tail.len),
        };
        let path = segment_path(&self.path, index);
        // A new file, not an emptied one: whoever reads the old one goes on reading it.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private::append(&path)?;
        file.write_all(&start.to_be_bytes())?;
        self.tail = Some(Tail { file, index, start, len: 0 });
        Ok(())
    }

    /// Remembers the last words. Looks at what comes from its end, so that much of it costs little.
    pub(super) fn remember(&mut self, bytes: &[u8]) {
        let Some(at) = memrchr(b'\n', bytes) else {
            extend(&mut self.line, bytes);
            return;
        };
        let (mut whole, rest) = (&bytes[..at], &bytes[at + 1..]);
        loop {
            let Some(before) = memrchr(b'\n', whole) else {
                // It ends the line that was begun before.
                extend(&mut self.line, whole);
                if !self.line.trim_ascii().is_empty() {
                    std::mem::swap(&mut self.last, &mut self.line);
                }
                break;
            };
            let line = &whole[before + 1..];
            if !line.trim_ascii().is_empty() {
                self.last.clear();
                extend(&mut self.last, line);
                break;
            }
            whole = &whole[..before];
        }
        self.line.clear();
        extend(&mut self.line, rest);
    }

    /// The last words: the last line that is not empty.
    #[must_use]
    pub fn last_line(&self) -> Option<String> {
        let line = if self.line.trim_ascii().is_empty() { &self.last } else { &self.line };
        let text = String::from_utf8_lossy(line.trim_ascii()).into_owned();
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn task() -> TaskId {
        TaskId::new("a")
    }

    fn all(logs: &Logs, run: &RunId, step: usize) -> (Vec<u8>, LogPiece) {
        let mut bytes = Vec::new();
        let mut offset = 0;
        loop {
            let piece = logs.read(&task(), run, offset, step).unwrap();
            if piece.next_offset == offset {
                return (bytes, piece);
            }
            offset = piece.next_offset;
            bytes.extend_from_slice(&piece.bytes);
        }
    }

    /// A file that can't be synced shows that it would be.
    #[test]
    fn what_was_told_with_a_ping_is_on_disk_once_it_is_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path().to_owned());
        let (none, run, other) = (RunId::new("none"), RunId::new("r"), RunId::new("s"));
        let of = |run: &RunId| (task(), run.clone());
        logs.add(&task(), &run, b"words").unwrap();
        logs.sync(&[of(&run), of(&none), of(&run)]).unwrap();
        std::os::unix::fs::symlink("/dev/null", logs.head(&task(), &other)).unwrap();
        assert!(logs.sync(&[of(&run), of(&other)]).is_err());
    }

    #[test]
    fn head_and_tail_are_kept_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path().to_owned());
        let run = RunId::new("r");
        let line = |i: u64| format!("line {i:>10}\n");
        let total: u64 = 200_000;
        let mut writer = logs.append(&task(), &run).unwrap();
        for i in 0..total / 2 {
            writer.write(line(i).as_bytes()).unwrap();
        }
        // Another attempt goes on where the one before ended.
        drop(writer);
        let mut writer = logs.append(&task(), &run).unwrap();
        for i in total / 2..total {
            writer.write(line(i).as_bytes()).unwrap();
        }
        let (bytes, piece) = all(&logs, &run, 10_000);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with(&line(0)) && text.ends_with(&line(total - 1)));
        let kept = text.len() as u64 - format!("\n[{} bytes dropped]\n", piece.dropped_bytes).len() as u64;
        assert_eq!(kept + piece.dropped_bytes, total * 16);
        assert!(text.contains(&format!("\n[{} bytes dropped]\n", piece.dropped_bytes)));
        assert!(kept > HEAD + SEGMENT && kept <= HEAD + 2 * SEGMENT);
        for entry in std::fs::read_dir(logs.of(&task())).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let on_disk: u64 =
            std::fs::read_dir(logs.of(&task())).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(on_disk <= HEAD + 2 * (SEGMENT + HEADER), "{on_disk}");
        assert_eq!(writer.last_line().unwrap(), line(total - 1).trim());
    }

    #[test]
    fn the_last_words_are_found_however_they_come() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"one\n\ntwo \n \n\nthree\n\n  \nfo".as_slice();
        let expected = |end: usize| {
            let text = String::from_utf8_lossy(&text[..end]).into_owned();
            text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
        };
        for step in 1..=text.len() {
            let run = RunId::new(&step.to_string());
            let mut writer = Logs::new(folder.path().to_owned()).append(&task(), &run).unwrap();
            let mut end = 0;
            for piece in text.chunks(step) {
                writer.write(piece).unwrap();
                end += piece.len();
                assert_eq!(writer.last_line(), expected(end), "{step} {end}");
            }
        }
    }

    #[test]
    fn a_task_keeps_its_newest_logs() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path().to_owned());
        for i in 0..KEPT + 3 {
            let run = RunId::new(&format!("{i:05}"));
            logs.append(&task(), &run).unwrap().line("x").unwrap();
        }
        assert_eq!(logs.prune(&task()).unwrap(), 3);
        assert_eq!(logs.prune(&task()).unwrap(), 0);
        assert!(logs.read(&task(), &RunId::new("00002"), 0, 9).unwrap().bytes.is_empty());
        assert_eq!(logs.read(&task(), &RunId::new("00003"), 0, 9).unwrap().bytes, b"x\n");
        let mut rest: Vec<_> = (2..KEPT + 3).map(|i| (task(), RunId::new(&format!("{i:05}")))).collect();
        let newest = rest.split_off(KEPT);
        logs.remove(&rest).unwrap();
        assert_eq!(logs.read(&task(), &newest[0].1, 0, 9).unwrap().bytes, b"x\n");
        logs.remove(&newest).unwrap();
        assert!(!logs.of(&task()).exists());
    }

    #[test]
    fn a_short_log_is_whole_and_grows() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path().to_owned());
        let run = RunId::new("r");
        assert_eq!(logs.read(&task(), &run, 0, 100).unwrap().bytes, b"");
        let mut writer = logs.append(&task(), &run).unwrap();
        writer.write(b"one\ntw").unwrap();
        let piece = logs.read(&task(), &run, 0, 100).unwrap();
        assert_eq!((piece.bytes.as_slice(), piece.next_offset), (b"one\ntw".as_slice(), 6));
        assert_eq!(writer.last_line().as_deref(), Some("tw"));
        writer.write(b"o\n\n").unwrap();
        assert_eq!(logs.read(&task(), &run, 6, 100).unwrap().bytes, b"o\n\n");
        assert_eq!(logs.read(&task(), &run, 2, 3).unwrap().bytes, b"e\nt");
        assert_eq!(logs.read(&task(), &run, 99, 3).unwrap().next_offset, 99);
        writer.line("--- attempt 2 ---").unwrap();
        assert_eq!(
            writer.last_line().as_deref(),
            Some("two"),
            "the coordinator's own words are not the run's"
        );
    }
}
