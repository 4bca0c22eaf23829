//! `disk-space`: is there room for what vigie writes?

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::{Context, Failure, LogWriter};

const GIB: u64 = 1 << 30;

/// Too little: under 5 % and under 1 GiB.
const fn is_low(free: u64, total: u64) -> bool {
    free < GIB && (free as u128) * 20 < total as u128
}

pub(super) fn run(context: &Context, log: &mut LogWriter) -> Result<(), Failure> {
    let folders = [
        context.data.clone(),
        context.data.join(super::super::engine::LOGS),
        context.data.join(super::super::engine::BACKUPS),
    ];
    let mut low = Vec::new();
    for (device, path) in by_device(&folders) {
        let stat = rustix::fs::statvfs(&path)
            .map_err(|error| Failure(format!("can't look at {}: {error}", path.display())))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let total = stat.f_blocks.saturating_mul(stat.f_frsize);
        let line = format!(
            "{} (device {device}): {} of {} free ({})",
            path.display(),
            size(free),
            size(total),
            percent(free, total)
        );
        log.line(&line)?;
        if is_low(free, total) {
            low.push(format!("{} has only {} ({}) left", path.display(), size(free), percent(free, total)));
        }
    }
    if low.is_empty() {
        return Ok(());
    }
    Err(Failure(format!("{}: make room, under 5 % and 1 GiB writing will soon fail", low.join("; "))))
}

/// One folder per file system, of those that are there.
fn by_device(folders: &[PathBuf]) -> Vec<(u64, PathBuf)> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for folder in folders {
        if let Ok(metadata) = std::fs::metadata(folder)
            && found.iter().all(|(device, _)| *device != metadata.dev())
        {
            found.push((metadata.dev(), folder.clone()));
        }
    }
    found
}

fn size(bytes: u64) -> String {
    let tenths = |unit: u64| {
        let tenths = u128::from(bytes) * 10 / u128::from(unit);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    if bytes >= GIB { format!("{} GiB", tenths(GIB)) } else { format!("{} MiB", tenths(1 << 20)) }
}

fn percent(free: u64, total: u64) -> String {
    let tenths = u128::from(free) * 1_000 / u128::from(total.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_is_both_relative_and_absolute() {
        for (free, total, low) in [
            (10 * GIB, 1_000 * GIB, false),
            (GIB / 2, 2 * GIB, false),
            (GIB - 1, 100 * GIB, true),
            (GIB, 100 * GIB, false),
            (50, 1_000, false),
            (49, 1_000, true),
            (0, 0, false),
        ] {
            assert_eq!(is_low(free, total), low, "{free} of {total}");
        }
    }

    #[test]
    fn sizes_for_people() {
        assert_eq!(size(3 * GIB / 2), "1.5 GiB");
        assert_eq!(size(700 << 20), "700.0 MiB");
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(0, 0), "0.0 %");
    }

    #[test]
    fn one_line_per_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let same = folder.path().join("inner");
        std::fs::create_dir(&same).unwrap();
        let gone = folder.path().join("gone");
        let found = by_device(&[folder.path().to_owned(), same, gone]);
        assert_eq!(found.len(), 1);
    }
}
