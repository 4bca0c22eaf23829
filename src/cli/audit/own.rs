//! `vigie audit export|verify`: the coordinator's own log, on disk, whether it
//! runs or not. Exit codes: 0 done, for `verify` 1 where something was done to
//! the log, 2 usage, 3 it could not be read.

use std::io::{self, BufWriter, ErrorKind};
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::coordinator::audit::{self, Verdict};
use crate::model::parse_duration;
use crate::wire::AuditRow;

use super::super::args::Global;
use super::super::report::stamp;
use super::super::{Exit, Failure, complain, output, print, session};
use super::args::{AuditExport, AuditVerify, ExportFormat};

fn data(global: &Global, named: Option<&PathBuf>) -> Result<PathBuf, Failure> {
    match named {
        Some(data) => Ok(data.clone()),
        None => Ok(session::paths(global)?.data),
    }
}

fn unread(error: impl std::fmt::Display) -> Failure {
    Failure { message: format!("the audit log can't be read: {error}"), exit: Exit::UNKNOWN }
}

/// Prints every row, oldest first, as they are read: a log of any length takes no more memory.
///
/// # Errors
/// Usage; it can't be read or written.
pub fn export(global: &Global, options: &AuditExport) -> Result<Exit, Failure> {
    let data = data(global, options.data.as_ref())?;
    let since = options.since.as_deref().map(|text| instant(text, session::now())).transpose()?;
    let out = BufWriter::new(io::stdout().lock());
    let written = match options.output {
        ExportFormat::Json => json(&data, since, out),
        ExportFormat::Csv => csv(&data, since, out),
    };
    match written? {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::refused(format!("standard output can't be written: {error}")))
        }
        _ => Ok(Exit::OK),
    }
}

/// A line for each row.
fn json(
    data: &std::path::Path,
    since: Option<DateTime<Utc>>,
    mut out: impl io::Write,
) -> Result<io::Result<()>, Failure> {
    let line = |row: AuditRow| {
        serde_json::to_writer(&mut out, &row)?;
        out.write_all(b"\n")
    };
    let written = audit::export(data, since, line).map_err(unread)?;
    Ok(written.and_then(|()| out.flush()))
}

fn csv(
    data: &std::path::Path,
    since: Option<DateTime<Utc>>,
    out: impl io::Write,
) -> Result<io::Result<()>, Failure> {
    let mut writer = csv::Writer::from_writer(out);
    let header = ["seq", "at", "by", "action", "target", "details", "result", "from", "hash"];
    if let Err(error) = writer.write_record(header) {
        return Ok(Err(error.into()));
    }
    let line = |row: AuditRow| {
        let (seq, at) = (row.seq.to_string(), stamp(row.at));
        let texts = [&row.by, &row.action, &row.target, &row.details, &row.result, &row.from];
        let cells = texts.into_iter().map(|text| output::csv_text(text.as_str()));
        writer.write_record([seq, at].into_iter().chain(cells).chain([row.hash]))
    };
    let written = audit::export(data, since, line).map_err(unread)?;
    Ok(written.map_err(io::Error::from).and_then(|()| writer.flush()))
}

/// RFC 3339, a date (UTC), or how long ago.
fn instant(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let ago = parse_duration(text).ok().and_then(|ago| TimeDelta::from_std(ago).ok());
    ago.and_then(|ago| now.checked_sub_signed(ago)).ok_or_else(|| {
        Failure::usage(format!(
            "--since {text:?}: write a time such as 2026-03-02T10:00:00Z, a day such as 2026-03-02, or how long ago, \
             such as 24h"
        ))
    })
}

/// Walks the chain, and says whether every row is as it was written.
///
/// # Errors
/// It can't be read.
pub fn verify(global: &Global, options: &AuditVerify) -> Result<Exit, Failure> {
    let data = data(global, options.data.as_ref())?;
    match audit::verify(&data).map_err(unread)? {
        Verdict::Whole { rows, since, head } => {
            let count = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
            let since = since.map_or_else(String::new, |since| format!(" since {}", stamp(since)));
            let head = head.map_or_else(String::new, |head| format!("; the newest has the hash {head}"));
            print(&format!("the audit log is whole: {count}{since}{head}\n"))?;
            Ok(Exit::OK)
        }
        Verdict::Broken { row, why, good } => {
            let place = row.map_or_else(|| "its end".to_owned(), |row| format!("row {row}"));
            complain(&format!(
                "the audit log is broken at {place}: {why}; the {good} before are as they were written"
            ));
            Ok(Exit::FAILED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_when() {
        let now: DateTime<Utc> = "2026-03-02T10:00:00Z".parse().unwrap();
        for (text, wanted) in [
            ("2026-03-01T08:00:00+01:00", "2026-03-01T07:00:00Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("24h", "2026-03-01T10:00:00Z"),
        ] {
            assert_eq!(instant(text, now).unwrap(), wanted.parse::<DateTime<Utc>>().unwrap());
        }
        assert!(instant("yesterday", now).unwrap_err().message.contains("24h"));
    }
}
