//! `vigie vault set|list|rm|rotate|import`: vigie's own store of secrets. A
//! value comes from standard input or a person, never from the arguments, and
//! is never printed. Whatever changes the store, or fails to, is in the audit
//! log of the data directory. Exit codes: 0 done, 1 refused or failed, 2 usage
//! or configuration.

pub mod args;
mod dotenv;

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::{SecretString, zeroize::Zeroizing};
use serde::Serialize;

use crate::coordinator::audit::{self, Audit};
use crate::model::Clean;
use crate::vault::{Entry, KeySource, LONGEST, SecretName, Stored, Vault, VaultError};

use super::args::{Format, Global};
use super::read::Form;
use super::report::stamp;
use super::{Exit, Failure, complain, endpoints, output, print, session, tty};

use args::{VaultArgs, VaultCommand, VaultImport, VaultRotate};

/// The longest file that is imported, in bytes.
const MAX_IMPORT: u64 = 1024 * 1024;

/// Runs one of them.
///
/// # Errors
/// What is wrong, where, and what to do; never a value.
pub async fn run(global: &Global, args: &VaultArgs) -> Result<Exit, Failure> {
    let (paths, settings) = session::configuration(global)?;
    let data = args.data.clone().unwrap_or_else(|| paths.data.clone());
    let store = Store { vault: session::vault(&paths, settings.vault_key.as_ref(), &data), data };
    match &args.command {
        VaultCommand::Set(options) if options.value.is_some() => Err(Failure::usage(
            "a value is never an argument, where others can see it: type it when you are asked, or pipe it in",
        )),
        VaultCommand::Set(options) => store.set(&options.name).await,
        VaultCommand::List(options) => store.list(options.output).await,
        VaultCommand::Rm(options) => store.remove(&options.name).await,
        VaultCommand::Rotate(options) => store.rotate(options).await,
        VaultCommand::Import(options) => store.import(options).await,
    }
}

/// The store of a data directory.
struct Store {
    vault: Vault,
    data: PathBuf,
}

/// A secret, as the JSON has it.
#[derive(Debug, Default, Serialize)]
struct SecretReport {
    name: String,
    team: String,
    updated: String,
}

impl Store {
    async fn set(&self, name: &str) -> Result<Exit, Failure> {
        let name = named(name)?;
        let value = value(&name).await?;
        let done = self.vault.set(vec![(name.clone(), value)], session::now()).await;
        let detail = done.as_ref().ok().and_then(|stored| stored.first().copied()).map_or("", words);
        self.record("vault-set", &name.to_string(), detail, done.as_ref().err())?;
        done?;
        print(&format!("{name}: {detail}\n"))?;
        Ok(Exit::OK)
    }

    async fn list(&self, format: Format) -> Result<Exit, Failure> {
        let entries = self.vault.list().await?;
        let text = match format {
            Format::Table => table(&entries),
            of => {
                let form = Form { of, now: session::now() };
                form.write("secrets", entries.iter().map(report), &SecretReport::default())?
            }
        };
        print(&text)?;
        Ok(Exit::OK)
    }

    async fn remove(&self, name: &str) -> Result<Exit, Failure> {
        let name = named(name)?;
        let done = self.vault.remove(&name).await;
        self.record("vault-rm", &name.to_string(), "", done.as_ref().err())?;
        done?;
        print(&format!("{name}: taken out\n"))?;
        Ok(Exit::OK)
    }

    async fn rotate(&self, options: &VaultRotate) -> Result<Exit, Failure> {
        let to = options.to.as_deref().map(key_source).transpose()?;
        let done = self.vault.rotate(to.as_ref()).await;
        let target = Clean::from(self.vault.file().display().to_string());
        let place = to.as_ref().unwrap_or_else(|| self.vault.key());
        let detail = format!("for the key from {place}");
        self.record("vault-rotate", target.as_str(), &detail, done.as_ref().err())?;
        let count = done?;
        let mut text = format!("{} encrypted for a new key, from {place}\n", secrets(count));
        if to.is_some() {
            text.push_str(
                "name it in [vault] key or VIGIE_VAULT_KEY now: the one before opens nothing any more\n",
            );
        }
        print(&text)?;
        Ok(Exit::OK)
    }

    async fn import(&self, options: &VaultImport) -> Result<Exit, Failure> {
        let text = read(&options.file)?;
        let shown = Clean::from(options.file.display().to_string());
        let values = dotenv::parse(&text).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(|problem| format!("{shown}: {problem}")).collect();
            Failure::refused(lines.join("\n"))
        })?;
        let values: Vec<(SecretName, SecretString)> = values
            .into_iter()
            .map(|(name, value)| Ok((named(&format!("{}/{name}", options.team))?, value)))
            .collect::<Result<_, Failure>>()?;
        if values.is_empty() {
            return Err(Failure::refused(format!("{shown} has no lines NAME=VALUE")));
        }
        let names: Vec<SecretName> = values.iter().map(|(name, _)| name.clone()).collect();
        let done = if options.dry_run {
            self.vault.foresee(&values).await
        } else {
            let done = self.vault.set(values, session::now()).await;
            let list: Vec<String> = names.iter().map(ToString::to_string).collect();
            self.record("vault-import", &options.team, &list.join(", "), done.as_ref().err())?;
            done
        };
        let stored = done?;
        let mut text = String::new();
        for (name, stored) in names.iter().zip(stored) {
            let _ =
                writeln!(text, "{name}: {}", if options.dry_run { foreseen(stored) } else { words(stored) });
        }
        print(&text)?;
        Ok(Exit::OK)
    }

    /// A row in the audit log. Where that can't be written it is said; what was done is done.
    fn record(
        &self,
        action: &'static str,
        target: &str,
        detail: &str,
        failed: Option<&VaultError>,
    ) -> Result<(), Failure> {
        let row = Audit {
            at: session::now_to_the_millisecond(),
            actor: session::user(),
            from: "here".into(),
            action,
            target: Clean::line(target),
            detail: Clean::line(detail),
            outcome: failed.map_or_else(|| "ok".into(), |error| Clean::from(error.to_string())),
        };
        let Err(error) = audit::record(&self.data, &row) else { return Ok(()) };
        let unrecorded = format!("the audit log could not be written: {error}");
        if failed.is_some() {
            // Why nothing was done is told next.
            complain(&unrecorded);
            return Ok(());
        }
        Err(Failure::refused(format!("it is done, but {unrecorded}")))
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::refused(error.to_string())
    }
}

fn named(text: &str) -> Result<SecretName, Failure> {
    text.parse().map_err(Failure::usage)
}

const fn words(stored: Stored) -> &'static str {
    match stored {
        Stored::Added => "added",
        Stored::Changed => "changed",
        Stored::Same => "as it was",
    }
}

const fn foreseen(stored: Stored) -> &'static str {
    match stored {
        Stored::Added => "would be added",
        Stored::Changed => "would be changed",
        Stored::Same => "is there already",
    }
}

fn secrets(count: usize) -> String {
    if count == 1 { "1 secret".to_owned() } else { format!("{count} secrets") }
}

/// From a person, or from what is piped in.
async fn value(name: &SecretName) -> Result<SecretString, Failure> {
    if tty::is_attended() {
        return tty::secret(&format!("value of {name} (it is not shown): ")).await;
    }
    let bytes = read_at_most(std::io::stdin().lock(), LONGEST as u64 + 2)
        .map_err(|error| Failure::refused(format!("standard input: {error}")))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::refused("the value is not UTF-8"))?;
    Ok(SecretString::from(without_last_break(text)))
}

/// A line by itself is without its end; what has several is as it is, since
/// keys and certificates are read by programs that want their last line ended.
fn without_last_break(text: &str) -> &str {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') { text } else { line }
}

/// All of it, in one piece of memory that is zeroized; more than `limit` is an error.
fn read_at_most(source: impl std::io::Read, limit: u64) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(limit + 1).unwrap_or(0)));
    source.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::other(format!("that is over {} KiB", limit / 1024)));
    }
    Ok(bytes)
}

/// The file to import; `-` is standard input.
fn read(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::refused(format!("{}: {error}", Clean::from(file.display().to_string())))
    };
    let bytes = if file == Path::new("-") {
        read_at_most(std::io::stdin().lock(), MAX_IMPORT)
    } else {
        std::fs::File::open(file).and_then(|file| read_at_most(file, MAX_IMPORT))
    };
    let bytes = bytes.map_err(|error| failed(&error))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| failed(&"it is not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// `file:PATH`, `env:NAME` or `command:PROGRAM`.
fn key_source(text: &str) -> Result<KeySource, Failure> {
    let (form, rest) = text.split_once(':').unwrap_or((text, ""));
    let reference = endpoints::source_of(form, rest).map_err(|why| Failure::usage(format!("--to: {why}")))?;
    KeySource::try_from(&reference).map_err(|why| Failure::usage(format!("--to: {why}")))
}

fn report(entry: &Entry) -> SecretReport {
    SecretReport {
        name: entry.name.to_string(),
        team: entry.name.team().to_owned(),
        updated: stamp(entry.updated),
    }
}

fn table(entries: &[Entry]) -> String {
    use output::Align;

    if entries.is_empty() {
        return "no secrets in the vault\n".to_owned();
    }
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| vec![entry.name.to_string(), entry.name.team().to_owned(), stamp(entry.updated)])
        .collect();
    output::table(&[("NAME", Align::Left), ("TEAM", Align::Left), ("UPDATED", Align::Left)], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_break_that_ends_a_line_is_no_part_of_a_value() {
        for (text, value) in [
            ("hunter2", "hunter2"),
            ("hunter2\n", "hunter2"),
            ("hunter2\r\n", "hunter2"),
            (" hunter2 \n", " hunter2 "),
            ("one\ntwo\n", "one\ntwo\n"),
            ("one\ntwo", "one\ntwo"),
            ("", ""),
        ] {
            assert_eq!(without_last_break(text), value);
        }
    }

    #[test]
    fn what_is_too_long_is_not_cut() {
        assert_eq!(&*read_at_most(&b"1234"[..], 4).unwrap(), b"1234");
        assert!(read_at_most(&b"12345"[..], 4).is_err());
    }
}
