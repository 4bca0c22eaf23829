//! `vigie audit export|verify`: a coordinator's own log, on disk whether it
//! runs or not, or over its API (`--endpoint`). Over the API the rows are
//! verified here, by both ends of the chain, and no word of the coordinator is
//! taken for it. Exit codes: 0 done, for `verify` 1 where something was done to
//! the log, 2 usage, 3 it could not be read.

use std::io::{self, BufWriter, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::backend::AuditCalls;
use crate::coordinator::audit;
use crate::model::parse_duration;
use crate::runtime::Credentials;
use crate::wire::audit::{Place, Verdict, Walk, from_hex};
use crate::wire::{AuditEnds, AuditPlace, AuditRow};

use super::super::args::Global;
use super::super::report::stamp;
use super::super::{Exit, Failure, complain, output, print, session};
use super::args::{self, AuditExport, AuditVerify, ExportFormat};

/// So often a walk begins anew because rows were cleaned away under it.
const WALKS: usize = 3;

/// Where a log is read.
enum Source {
    /// On disk.
    Data(PathBuf),
    /// Over the API of a coordinator.
    Api(Box<AuditCalls>),
}

impl Source {
    fn open(global: &Global, place: &args::AuditPlace) -> Result<Self, Failure> {
        let Some(name) = &place.endpoint else {
            let data = place.data.clone().map_or_else(|| session::paths(global).map(|paths| paths.data), Ok);
            return data.map(Self::Data);
        };
        let (paths, settings) = session::configuration(global)?;
        let spec = session::coordinator(&settings, name, "such a log")?;
        let places = session::places(&paths);
        if spec.url.is_none() {
            return Ok(Self::Data(places.data));
        }
        let credentials = Arc::new(Credentials::of(&spec, places.vault, None));
        let calls = AuditCalls::new(&spec, credentials, session::now);
        calls.map(|calls| Self::Api(Box::new(calls))).map_err(|error| Failure::usage(error.to_string()))
    }
}

fn unread(error: impl std::fmt::Display) -> Failure {
    Failure { message: format!("the audit log can't be read: {error}"), exit: Exit::UNKNOWN }
}

/// Prints every row, oldest first, as they are read: a log of any length takes no more memory.
///
/// # Errors
/// Usage; it can't be read or written.
pub async fn export(global: &Global, options: &AuditExport) -> Result<Exit, Failure> {
    let since = options.since.as_deref().map(|text| instant(text, session::now())).transpose()?;
    let source = Source::open(global, &options.place)?;
    let mut sheet = Sheet::new(options.output);
    let written = match source {
        Source::Data(data) => audit::export(&data, since, |row| sheet.write(&row)).map_err(unread)?,
        Source::Api(calls) => pages(&calls, since, &mut sheet).await?,
    };
    match written.and_then(|()| sheet.finish()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::refused(format!("standard output can't be written: {error}")))
        }
        _ => Ok(Exit::OK),
    }
}

/// Every row from `since` on, page by page.
async fn pages(
    calls: &AuditCalls,
    since: Option<DateTime<Utc>>,
    sheet: &mut Sheet,
) -> Result<io::Result<()>, Failure> {
    let mut after = 0;
    loop {
        let page = calls.after(after).await.map_err(unread)?;
        for row in page.rows.iter().filter(|row| since.is_none_or(|since| row.at >= since)) {
            if let Err(error) = sheet.write(row) {
                return Ok(Err(error));
            }
        }
        match page.next {
            Some(next) if next > after => after = next,
            _ => return Ok(Ok(())),
        }
    }
}

/// Rows as they are printed.
enum Sheet {
    /// A line for each.
    Json(BufWriter<io::Stdout>),
    /// The header comes with the first of them, or at the end.
    Csv(Box<csv::Writer<io::Stdout>>, bool),
}

impl Sheet {
    fn new(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Json => Self::Json(BufWriter::new(io::stdout())),
            ExportFormat::Csv => Self::Csv(Box::new(csv::Writer::from_writer(io::stdout())), false),
        }
    }

    fn write(&mut self, row: &AuditRow) -> io::Result<()> {
        match self {
            Self::Json(out) => {
                serde_json::to_writer(&mut *out, row)?;
                io::Write::write_all(out, b"\n")
            }
            Self::Csv(out, is_begun) => {
                header(out, is_begun)?;
                let (seq, at) = (row.seq.to_string(), stamp(row.at));
                let texts = [&row.by, &row.action, &row.target, &row.details, &row.result, &row.from];
                let cells = texts.into_iter().map(|text| output::csv_text(text.as_str()));
                Ok(out.write_record([seq, at].into_iter().chain(cells).chain([row.hash.clone()]))?)
            }
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Json(out) => io::Write::flush(out),
            Self::Csv(out, is_begun) => header(out, is_begun).and_then(|()| out.flush()),
        }
    }
}

fn header(out: &mut csv::Writer<io::Stdout>, is_begun: &mut bool) -> io::Result<()> {
    if !std::mem::replace(is_begun, true) {
        out.write_record(["seq", "at", "by", "action", "target", "details", "result", "from", "hash"])?;
    }
    Ok(())
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
pub async fn verify(global: &Global, options: &AuditVerify) -> Result<Exit, Failure> {
    let verdict = match Source::open(global, &options.place)? {
        Source::Data(data) => audit::verify(&data).map_err(unread)?,
        Source::Api(calls) => walked(&calls).await?,
    };
    match verdict {
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

/// Walks the chain over the API, up to the row that is the newest at the beginning.
async fn walked(calls: &AuditCalls) -> Result<Verdict, Failure> {
    let mut ends = calls.ends().await.map_err(unread)?;
    for _ in 1..WALKS {
        let verdict = walk(calls, &ends).await?;
        if matches!(verdict, Verdict::Whole { .. }) {
            return Ok(verdict);
        }
        // What was cleaned away meanwhile is not missing.
        let now = calls.ends().await.map_err(unread)?;
        if now.anchor == ends.anchor {
            return Ok(verdict);
        }
        ends = now;
    }
    walk(calls, &ends).await
}

async fn walk(calls: &AuditCalls, ends: &AuditEnds) -> Result<Verdict, Failure> {
    let place = |end: &Option<AuditPlace>| end.as_ref().map(Place::try_from).transpose();
    let (anchor, head) = match (place(&ends.anchor), place(&ends.head)) {
        (Ok(anchor), Ok(head)) => (anchor, head),
        (Err(why), _) | (_, Err(why)) => return Ok(Walk::from(None).broken(None, why)),
    };
    let last = head.as_ref().and_then(|head| head.seq);
    let mut walk = Walk::from(anchor);
    let mut after = 0;
    loop {
        let page = calls.after(after).await.map_err(unread)?;
        for row in &page.rows {
            let link = row.link();
            if last.is_some_and(|last| link.seq > last) {
                return Ok(walk.end(head.as_ref()));
            }
            let Some(hash) = from_hex(&row.hash) else {
                return Ok(walk.broken(Some(link.seq), "its hash is none".to_owned()));
            };
            if let Err(broken) = walk.step(&link, hash) {
                return Ok(broken);
            }
        }
        match page.next {
            Some(next) if next > after => after = next,
            _ => return Ok(walk.end(head.as_ref())),
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
