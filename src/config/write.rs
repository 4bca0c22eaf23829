//! Adding an endpoint to the file: its text goes to the end, and nothing
//! before it is touched.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use super::{ConfigError, EXAMPLE, LOCAL, Paths, Settings};
use crate::document::Problem;
use crate::model::{EndpointSpec, Kind, OptionShape, SecretRef};

/// An endpoint as it is to be written. Checked only by [`Addition::prepare`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEndpoint {
    /// Its name.
    pub name: String,
    /// The system that it speaks.
    pub kind: Kind,
    /// Where it is.
    pub url: Option<String>,
    /// Names and sources under `auth`.
    pub auth: Vec<(String, SecretRef)>,
    /// Names and values under `options`, as they are given on a command line:
    /// a text where the kind's option is a text, else TOML.
    pub options: Vec<(String, String)>,
}

impl NewEndpoint {
    /// The coordinator of this machine, under the name that it has by default.
    #[must_use]
    pub fn local() -> Self {
        Self { name: LOCAL.to_owned(), kind: Kind::Vigie, url: None, auth: Vec::new(), options: Vec::new() }
    }

    /// Its table.
    ///
    /// # Errors
    /// The option whose value is no TOML, and what would be.
    fn table(&self) -> Result<Table, String> {
        let mut table = Table::new();
        table.insert("name", text(&self.name));
        table.insert("kind", text(self.kind.word()));
        if let Some(url) = &self.url {
            table.insert("url", text(url));
        }
        if !self.auth.is_empty() {
            let auth: Table = self.auth.iter().map(|(name, from)| (name.as_str(), source(from))).collect();
            table.insert("auth", Item::Table(auth));
        }
        if !self.options.is_empty() {
            let mut options = Table::new();
            for (name, value) in &self.options {
                options.insert(name, Item::Value(option(self.kind, name, value)?));
            }
            table.insert("options", Item::Table(options));
        }
        Ok(table)
    }
}

fn text(text: &str) -> Item {
    Item::Value(Value::from(text))
}

fn source(source: &SecretRef) -> Value {
    let one = |key: &str, value: Value| Value::InlineTable(InlineTable::from_iter([(key, value)]));
    match source {
        SecretRef::Plain(text) => Value::from(text),
        SecretRef::Env(name) => one("env", Value::from(name)),
        SecretRef::File(path) => one("file", Value::from(path.display().to_string())),
        SecretRef::Command(argv) => one("command", argv.iter().map(Value::from).collect()),
        SecretRef::Vault(name) => one("vault", Value::from(name)),
    }
}

/// What the kind does not know is a text: reading it says that it is unknown.
fn option(kind: Kind, name: &str, value: &str) -> Result<Value, String> {
    let shape = kind.spec().options.iter().find(|option| option.name == name).map(|option| option.shape);
    let example = match shape {
        None | Some(OptionShape::Text | OptionShape::Url) => return Ok(Value::from(value)),
        Some(OptionShape::Flag) => "true",
        Some(OptionShape::Retry) => "{ count = 3, delay = \"30s\" }",
        Some(OptionShape::Schedules) => "{ audit-log-cleanup = \"0 2 * * *\" }",
    };
    value.parse().map_err(|_| format!("options.{name}: write it as in the configuration, such as {example}"))
}

/// What keeps an endpoint from being added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The file that is there has to be mended first.
    #[error("nothing was written, since the configuration has to be mended first:\n{0}")]
    Broken(ConfigError),
    /// The endpoint is not right. One sentence for each problem.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
    /// The file has been changed by somebody else since it was read.
    #[error("{} was changed meanwhile: nothing was written, try again", .0.display())]
    Changed(PathBuf),
    /// It can't be written.
    #[error("{} can't be written, and is as it was: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The file with endpoints added, not yet written.
#[derive(Debug)]
pub struct Addition {
    path: PathBuf,
    /// As it was read; `None`: there is no file yet.
    before: Option<Vec<u8>>,
    added: String,
    after: String,
    /// Those that were there.
    names: Vec<String>,
    specs: Vec<EndpointSpec>,
}

impl Addition {
    /// Reads the file and adds `endpoints` at its end; where there is none, to
    /// the commented reference. Writes nothing.
    ///
    /// # Errors
    /// [`AddError::Broken`] or [`AddError::Wrong`].
    pub fn prepare(paths: &Paths, endpoints: &[NewEndpoint]) -> Result<Self, AddError> {
        // A link is written through: the folder that it leads to is where the new file is made.
        let path = std::fs::canonicalize(&paths.config).unwrap_or_else(|_| paths.config.clone());
        let before = match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(AddError::Broken(ConfigError::Unreadable { path, source })),
        };
        let folder = paths.config.parent().unwrap_or_else(|| Path::new(""));
        let read = |text: &str| Settings::parse(text, folder, paths.home.as_deref());
        let broken = |problems| AddError::Broken(ConfigError::Wrong { path: paths.config.clone(), problems });
        let old = before.as_deref().map_or(Ok(EXAMPLE), crate::document::text).map_err(broken)?;
        let settings = read(old).map_err(broken)?;
        let has_any = old.parse::<DocumentMut>().is_ok_and(|document| document.contains_key("endpoint"));
        let all = settings.endpoints.iter().filter(|_| has_any);
        let names = all.map(|spec| spec.name.as_raw().to_owned()).collect();
        let added = fragment(endpoints, old.contains("\r\n")).map_err(|why| AddError::Wrong(vec![why]))?;
        let after = joined(old, &added);
        let settings = read(&after).map_err(|problems| AddError::Wrong(of_endpoint(&problems)))?;
        let is_added = |spec: &&EndpointSpec| endpoints.iter().any(|new| new.name == spec.name.as_raw());
        let specs = settings.endpoints.iter().filter(is_added).cloned().collect();
        Ok(Self { path, before, added, after, names, specs })
    }

    /// The endpoints that are added, as they will be read.
    #[must_use]
    pub fn specs(&self) -> &[EndpointSpec] {
        &self.specs
    }

    /// The names that are written in the file so far.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The text that is added.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.added
    }

    /// Writes the file, whole or not at all, with the rights that it has.
    ///
    /// # Errors
    /// [`AddError::Changed`] or [`AddError::Unwritable`]: the file is as it was.
    pub fn write(self) -> Result<(), AddError> {
        let unwritable = |source| AddError::Unwritable { path: self.path.clone(), source };
        let folder = self.path.parent().unwrap_or_else(|| Path::new(""));
        std::fs::create_dir_all(folder).map_err(unwritable)?;
        let Some(before) = &self.before else {
            return match std::fs::File::create_new(&self.path) {
                Ok(mut file) => file.write_all(self.after.as_bytes()).map_err(unwritable),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    Err(AddError::Changed(self.path))
                }
                Err(source) => Err(unwritable(source)),
            };
        };
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
        let result = replace(&self.path, &beside, before, self.after.as_bytes());
        if !matches!(result, Ok(true)) {
            // It may not even have been made.
            let _ = std::fs::remove_file(&beside);
        }
        match result {
            Ok(true) => Ok(()),
            Ok(false) => Err(AddError::Changed(self.path)),
            Err(source) => Err(unwritable(source)),
        }
    }
}

/// Puts `after` in the place of `path`, by way of `beside`. `false`: it is no longer `before`.
fn replace(path: &Path, beside: &Path, before: &[u8], after: &[u8]) -> io::Result<bool> {
    let mut file = std::fs::File::create_new(beside)?;
    file.set_permissions(std::fs::metadata(path)?.permissions())?;
    file.write_all(after)?;
    file.sync_all()?;
    if std::fs::read(path)? != before {
        return Ok(false);
    }
    std::fs::rename(beside, path)?;
    Ok(true)
}

/// `[[endpoint]]` for each, as text.
fn fragment(endpoints: &[NewEndpoint], crlf: bool) -> Result<String, String> {
    let mut tables = ArrayOfTables::new();
    for endpoint in endpoints {
        tables.push(endpoint.table()?);
    }
    let mut document = DocumentMut::new();
    document.insert("endpoint", Item::ArrayOfTables(tables));
    let text = document.to_string();
    Ok(if crlf { text.replace('\n', "\r\n") } else { text })
}

/// `added` after `old`, which stays as it is.
fn joined(old: &str, added: &str) -> String {
    let end = if old.contains("\r\n") { "\r\n" } else { "\n" };
    let mut text = old.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(end);
    }
    if !text.is_empty() {
        text.push_str(end);
    }
    text.push_str(added);
    text
}

/// What is wrong with what was added, without the line, which nobody has seen.
fn of_endpoint(problems: &[Problem]) -> Vec<String> {
    let one = |problem: &Problem| {
        let path = problem.path.as_str();
        let inner = path.strip_prefix("endpoint").map(|rest| match rest.split_once("].") {
            Some((_, inner)) => inner,
            None => "",
        });
        match inner {
            Some("") => problem.message.to_string(),
            inner => format!("{}: {}", inner.unwrap_or(path), problem.message),
        }
    };
    problems.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::model::OptionValue;

    fn paths_at(config: PathBuf) -> Paths {
        let folder = config.parent().unwrap().to_path_buf();
        Paths {
            explicit: false,
            tasks: folder.join("tasks.toml"),
            themes: folder.join("themes"),
            state: folder.join("state"),
            data: folder.join("data"),
            home: None,
            config,
        }
    }

    fn backups() -> NewEndpoint {
        NewEndpoint {
            name: "backups".to_owned(),
            kind: Kind::Duplistatus,
            url: Some("http://ops-1:9667".to_owned()),
            auth: vec![
                ("username".to_owned(), SecretRef::Plain("ada \"the\" admin".to_owned())),
                ("password".to_owned(), SecretRef::Command(vec!["pass".to_owned(), "show x".to_owned()])),
            ],
            options: vec![
                ("web_url".to_owned(), "http://ops-1:9666".to_owned()),
                ("plain_http_login".to_owned(), "true".to_owned()),
                ("schedules".to_owned(), "{ audit-log-cleanup = \"off\" }".to_owned()),
            ],
        }
    }

    #[test]
    fn every_byte_before_is_the_same_and_the_rights_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let paths = paths_at(path.clone());
        for (i, before) in [
            "",
            "# mine\n",
            "  # odd   spacing\ntheme   =   'vigie-light' # why\n\n\n",
            "[keys]\ntrigger = [\n  'T', # not t\n]\n",
            "ascii = true\r\n[safety]\r\nread_only = true",
            "[[endpoint]]\nname = \"x\"\nkind = \"vigie\"\n[endpoint.tls]\n# nothing yet",
            EXAMPLE,
        ]
        .into_iter()
        .enumerate()
        {
            std::fs::write(&path, before).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            let addition = Addition::prepare(&paths, &[backups()]).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), before, "nothing is written yet");
            let text = addition.text().to_owned();
            let spec = addition.specs()[0].clone();
            addition.write().unwrap();
            let after = std::fs::read_to_string(&path).unwrap();
            assert!(after.starts_with(before), "{i}: {after}");
            assert!(after.ends_with(&text), "{i}: {after}");
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
            let settings = Settings::parse(&after, folder.path(), None).unwrap();
            assert_eq!(settings.endpoints.last(), Some(&spec), "{i}: {after}");
            assert_eq!(spec.auth["username"], SecretRef::Plain("ada \"the\" admin".to_owned()));
            assert_eq!(spec.options["plain_http_login"], OptionValue::Flag(true));
            let files = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(files, 1, "nothing is left beside it");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let paths = paths_at(path.clone());
        let before = "[[endpoint]]\nname = 'backups'\nkind = 'vigie'\n";
        std::fs::write(&path, before).unwrap();
        let said = |endpoint: NewEndpoint| Addition::prepare(&paths, &[endpoint]).unwrap_err().to_string();
        assert_eq!(said(backups()), "name: \"backups\" is already the name of the endpoint at line 2");
        let other = NewEndpoint { name: "other".to_owned(), ..backups() };
        let secret = vec![("password".to_owned(), SecretRef::Plain("hunter2".to_owned()))];
        for (endpoint, words) in [
            (NewEndpoint { name: "a b".to_owned(), ..backups() }, "name: must be 1 to 64 letters"),
            (NewEndpoint { url: None, ..other.clone() }, "\"url\" is missing: where is this duplistatus?"),
            (NewEndpoint { url: Some("ops".to_owned()), ..other.clone() }, "url: not an absolute URL"),
            (NewEndpoint { auth: secret, ..other.clone() }, "auth.password: a secret is never written here"),
            (
                NewEndpoint { options: vec![("plain_http_login".into(), "yes".into())], ..other.clone() },
                "options.plain_http_login: write it as in the configuration, such as true",
            ),
            (
                NewEndpoint { options: vec![("webb_url".into(), "x".into())], ..other },
                "did you mean \"web_url\"?",
            ),
            (
                NewEndpoint { name: "y".to_owned(), ..NewEndpoint::local() },
                "the endpoint at line 1 is the local coordinator already",
            ),
        ] {
            let said = said(endpoint);
            assert!(said.contains(words), "{said}");
            assert!(!said.contains("hunter2") && !said.contains("endpoint["), "{said}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
        for before in ["theem = 1\n", "endpoint = []\n", "\u{0}"] {
            std::fs::write(&path, before).unwrap();
            assert!(Addition::prepare(&paths, &[backups()]).is_err(), "{before}");
        }
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths_at(folder.path().join("sub/config.toml"));
        let first = Addition::prepare(&paths, &[NewEndpoint::local(), backups()]).unwrap();
        let second = Addition::prepare(&paths, &[backups()]).unwrap();
        first.write().unwrap();
        let there = std::fs::read_to_string(&paths.config).unwrap();
        assert!(there.starts_with(EXAMPLE), "a new file is the commented reference");
        assert!(matches!(second.write(), Err(AddError::Changed(_))));
        let other = NewEndpoint { name: "other".to_owned(), ..backups() };
        let third = Addition::prepare(&paths, &[other]).unwrap();
        let edited = there.replace("screen = \"tasks\"", "screen = \"board\"");
        std::fs::write(&paths.config, &edited).unwrap();
        assert!(matches!(third.write(), Err(AddError::Changed(_))));
        assert_eq!(std::fs::read_to_string(&paths.config).unwrap(), edited);
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("dotfiles.toml");
        std::fs::write(&real, "# kept elsewhere\n").unwrap();
        let link = folder.path().join("config.toml");
        symlink(&real, &link).unwrap();
        Addition::prepare(&paths_at(link.clone()), &[backups()]).unwrap().write().unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(std::fs::read_to_string(&real).unwrap().starts_with("# kept elsewhere\n\n[[endpoint]]\n"));
    }
}
