//! What `endpoints add` is told: by options, and where those leave something
//! out, by the person at the terminal.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::{Host, Url};

use crate::config::{NewEndpoint, check_url, is_simple_name};
use crate::model::{Clean, Kind, SecretRef};
use crate::vault::{self, SecretName, Vault};

use super::super::{Failure, tty};
use super::args::AddOptions;

/// The folder of secrets that vigie was given to keep, beside the configuration.
const SECRETS: &str = "secrets";

/// How a source is written.
const FORMS: &str =
    "write env:NAME, file:PATH, command:PROGRAM or vault:TEAM/NAME; plain:TEXT for what is no secret";

/// The endpoint so far.
#[derive(Debug, Default)]
pub struct Draft {
    name: Option<String>,
    kind: Option<Kind>,
    url: Option<String>,
    auth: Vec<(String, SecretRef)>,
    options: Vec<(String, String)>,
    /// Secrets to be kept, by their path below the configuration's folder.
    pub pasted: Vec<(PathBuf, SecretString)>,
}

impl Draft {
    /// What the options say.
    ///
    /// # Errors
    /// One that is not of its form.
    pub fn of(options: &AddOptions) -> Result<Self, Failure> {
        let auth = options.auth.iter().map(|text| {
            let (name, source) = pair("--auth", text)?;
            let (form, rest) = source.split_once(':').unwrap_or((source, ""));
            let source =
                source_of(form, rest).map_err(|why| Failure::usage(format!("--auth {name}: {why}")))?;
            Ok((name.to_owned(), source))
        });
        let values = options
            .option
            .iter()
            .map(|text| pair("--option", text).map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(Self {
            name: options.name.clone(),
            kind: options.kind,
            url: options.url.clone(),
            auth: auth.collect::<Result<_, Failure>>()?,
            options: values.collect::<Result<_, Failure>>()?,
            pasted: Vec::new(),
        })
    }

    /// The endpoint.
    ///
    /// # Errors
    /// What has to be said of it and was not.
    pub fn finish(&self) -> Result<NewEndpoint, Failure> {
        let missing = |what: &str| {
            Failure::usage(format!("{what} is missing: say it, or leave out --yes at a terminal to be asked"))
        };
        Ok(NewEndpoint {
            name: self.name.clone().ok_or_else(|| missing("NAME"))?,
            kind: self.kind.ok_or_else(|| missing("--kind"))?,
            url: self.url.clone(),
            auth: self.auth.clone(),
            options: self.options.clone(),
        })
    }

    /// Asks for what the options leave out. `folder` is the configuration's,
    /// `vault` what may hold secrets, `taken` the names that there are.
    ///
    /// # Errors
    /// Whoever is asked gives up.
    pub async fn complete(&mut self, folder: &Path, vault: &Vault, taken: &[String]) -> Result<(), Failure> {
        let kind = match self.kind {
            Some(kind) => kind,
            None => *self.kind.insert(ask_kind()?),
        };
        let name = match &self.name {
            Some(name) => name.clone(),
            None => self.name.insert(ask_name(kind, taken)?).clone(),
        };
        if self.url.is_none() {
            self.url = ask_url(kind)?;
        }
        if self.auth.is_empty() && !(kind == Kind::Vigie && self.url.is_none()) {
            self.ask_auth(kind, folder, vault, &name).await?;
        }
        Ok(())
    }

    async fn ask_auth(
        &mut self,
        kind: Kind,
        folder: &Path,
        vault: &Vault,
        name: &str,
    ) -> Result<(), Failure> {
        let mut asking = Asking { draft: self, kind, folder, vault, name };
        match kind {
            Kind::Vigie => {
                if tty::yes("Does it want a token?")? {
                    asking.ask("token").await?;
                }
            }
            Kind::DutyDuck => {
                asking.ask("token_id").await?;
                asking.ask("secret_key").await?;
            }
            Kind::Rediacc => {
                if tty::yes("A token that was made for vigie? (Otherwise: e-mail and password.)")? {
                    asking.ask("token").await?;
                } else {
                    asking.ask("email").await?;
                    asking.ask("password").await?;
                }
            }
            Kind::Duplistatus => {
                if tty::yes("Read its web application too (servers, backup jobs, audit log)?")? {
                    let url =
                        ask_url_as("The URL of its web application, such as http://HOST:9666: ", false)?;
                    let is_open = url.as_deref().is_some_and(is_open_way);
                    asking.draft.options.extend(url.map(|url| ("web_url".to_owned(), url)));
                    if is_open
                        && tty::yes(
                            "That is plain HTTP to another machine: the password could be read on the way. Log \
                             in there all the same?",
                        )?
                    {
                        asking.draft.options.push(("plain_http_login".to_owned(), "true".to_owned()));
                    }
                    asking.ask("username").await?;
                    asking.ask("password").await?;
                }
            }
        }
        Ok(())
    }
}

/// Questions about one endpoint's credentials.
struct Asking<'a> {
    draft: &'a mut Draft,
    kind: Kind,
    folder: &'a Path,
    vault: &'a Vault,
    name: &'a str,
}

impl Asking<'_> {
    /// Asks for one name under `auth`.
    async fn ask(&mut self, auth: &str) -> Result<(), Failure> {
        let secret = self.kind.spec().auth.iter().any(|name| name.name == auth && name.secret);
        let reference = if secret { self.source(auth).await? } else { plain(auth)? };
        self.draft.auth.push((auth.to_owned(), reference));
        Ok(())
    }

    /// Where a secret comes from.
    async fn source(&mut self, auth: &str) -> Result<SecretRef, Failure> {
        tty::say(&format!(
            "Where does the {auth} come from? It is never written into the configuration.\n  \
             env NAME             an environment variable\n  \
             file PATH            the first line of a file that only you can read\n  \
             command PROGRAM …    the first line that a program prints\n  \
             vault TEAM/NAME      vigie's own store: vigie vault set TEAM/NAME\n  \
             paste                from you, now: vigie keeps it in a file that only you can read\n"
        ));
        loop {
            let answer = tty::line("> ")?;
            let (form, rest) = answer.split_once(char::is_whitespace).unwrap_or((&answer, ""));
            if form == "paste" {
                if let Some(reference) = self.paste(auth).await? {
                    return Ok(reference);
                }
                continue;
            }
            match source_of(form, rest.trim()) {
                Ok(SecretRef::Plain(_)) | Err(_) if form == "plain" => {
                    tty::say("write env, file, command, vault or paste\n");
                }
                Err(why) => tty::say(&format!("{why}\n")),
                Ok(reference) => {
                    warn(&reference, self.vault).await;
                    return Ok(reference);
                }
            }
        }
    }

    /// A secret that is typed now, if it may be kept.
    async fn paste(&mut self, auth: &str) -> Result<Option<SecretRef>, Failure> {
        let below = Path::new(SECRETS).join(format!("{}.{auth}", self.name));
        let path = self.folder.join(&below);
        if path.exists() {
            let shown = Clean::from(path.display().to_string());
            tty::say(&format!("{shown} is there already: write file {shown}, or another source\n"));
            return Ok(None);
        }
        let secret = tty::secret(&format!("{auth} (it is not shown): ")).await?;
        let question = format!("Keep it in {}, which only you can read?", path.display());
        if !tty::yes(&question)? {
            tty::say("it is forgotten; another source:\n");
            return Ok(None);
        }
        self.draft.pasted.push((below.clone(), secret));
        Ok(Some(SecretRef::File(below)))
    }
}

/// Says what is amiss with a source that should be there by now; it may be made later.
async fn warn(reference: &SecretRef, vault: &Vault) {
    if matches!(reference, SecretRef::Env(_) | SecretRef::File(_) | SecretRef::Vault(_))
        && let Err(why) = vault::resolve(reference, vault).await
    {
        tty::say(&format!("note: {why}\n"));
    }
}

/// `NAME=VALUE`
fn pair<'a>(option: &str, text: &'a str) -> Result<(&'a str, &'a str), Failure> {
    text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        // Not the text: it may be a secret that was put in the wrong place.
        Failure::usage(format!("{option}: write NAME=VALUE"))
    })
}

/// A source by its form and the rest.
///
/// # Errors
/// How to write one.
pub fn source_of(form: &str, rest: &str) -> Result<SecretRef, String> {
    if rest.is_empty() {
        return Err(FORMS.to_owned());
    }
    match form {
        "plain" => Ok(SecretRef::Plain(rest.to_owned())),
        "env" => Ok(SecretRef::Env(rest.to_owned())),
        "file" if rest.starts_with("~/") => Ok(SecretRef::File(rest.into())),
        // In the file, paths are relative to its folder: here, to where we are.
        "file" => std::path::absolute(rest).map(SecretRef::File).map_err(|error| error.to_string()),
        "command" => argv(rest).map(SecretRef::Command),
        "vault" => rest.parse().map(|name: SecretName| SecretRef::Vault(name.to_string())),
        _ => Err(FORMS.to_owned()),
    }
}

/// Words, or a list as in the configuration where one of them has spaces.
fn argv(text: &str) -> Result<Vec<String>, String> {
    if !text.starts_with('[') {
        return Ok(text.split_whitespace().map(str::to_owned).collect());
    }
    serde_json::from_str(text).map_err(|_| "write the list as [\"PROGRAM\", \"ARGUMENT\", …]".to_owned())
}

const fn about(kind: Kind) -> &'static str {
    match kind {
        Kind::Vigie => "vigie's own coordinator, here or elsewhere",
        Kind::Duplistatus => "the cron service of duplistatus, with its web application",
        Kind::DutyDuck => "Duty Duck: tasks that report, and HTTP monitors",
        Kind::Rediacc => "the queue of Rediacc",
    }
}

fn ask_kind() -> Result<Kind, Failure> {
    tty::say("Which system is it?\n");
    for (i, kind) in Kind::ALL.iter().enumerate() {
        tty::say(&format!("  {}  {:<13}{}\n", i + 1, kind.word(), about(*kind)));
    }
    loop {
        let answer = tty::line("> ")?;
        let by_number = answer.parse::<usize>().ok().and_then(|n| Kind::ALL.get(n.checked_sub(1)?)).copied();
        match by_number.or_else(|| answer.parse().ok()) {
            Some(kind) => return Ok(kind),
            None => tty::say("a number or a name of the list\n"),
        }
    }
}

fn ask_name(kind: Kind, taken: &[String]) -> Result<String, Failure> {
    let is_taken = |name: &str| taken.iter().any(|other| other == name);
    let offered = Some(kind.word()).filter(|name| !is_taken(name));
    let question = match offered {
        Some(name) => format!("Its name, shown in every row [{name}]: "),
        None => "Its name, shown in every row: ".to_owned(),
    };
    loop {
        let answer = tty::line(&question)?;
        let name = if answer.is_empty() { offered.unwrap_or_default().to_owned() } else { answer };
        if !is_simple_name(&name) {
            tty::say("1 to 64 letters, digits, dots, hyphens or underscores\n");
        } else if is_taken(&name) {
            tty::say("that is the name of another endpoint\n");
        } else {
            return Ok(name);
        }
    }
}

fn ask_url(kind: Kind) -> Result<Option<String>, Failure> {
    let question = match kind {
        Kind::Vigie => "Its URL, such as https://HOST:8667; nothing for the coordinator of this machine: ",
        Kind::Duplistatus => "The URL of its cron service, such as http://HOST:9667: ",
        Kind::DutyDuck => "Its URL, such as https://HOST: ",
        Kind::Rediacc => "The URL of its API, such as https://www.rediacc.com/api: ",
    };
    ask_url_as(question, kind.spec().url_optional)
}

fn ask_url_as(question: &str, optional: bool) -> Result<Option<String>, Failure> {
    loop {
        let answer = tty::line(question)?;
        if answer.is_empty() && optional {
            return Ok(None);
        }
        match check_url(&answer) {
            Ok(url) => return Ok(Some(url)),
            Err(why) => tty::say(&format!("{why}\n")),
        }
    }
}

/// Whether what is sent there can be read on the way: plain HTTP to another machine.
fn is_open_way(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !is_here
}

/// What is no secret may be written as it is.
fn plain(auth: &str) -> Result<SecretRef, Failure> {
    loop {
        let answer = tty::line(&format!("{auth}: "))?;
        if !answer.is_empty() {
            return Ok(SecretRef::Plain(answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_to_another_machine_is_an_open_way() {
        for (url, is_open) in [
            ("http://ops-2:9666", true),
            ("http://10.0.0.7:9666", true),
            ("https://ops-2", false),
            ("http://localhost:9666", false),
            ("http://127.8.0.1", false),
            ("http://[::1]:9666", false),
        ] {
            assert_eq!(is_open_way(url), is_open, "{url}");
        }
    }

    #[test]
    fn sources_are_read_as_they_are_written_on_the_command_line() {
        let words = |words: &[&str]| SecretRef::Command(words.iter().map(|&word| word.to_owned()).collect());
        for (form, rest, wanted) in [
            ("env", "TOKEN", SecretRef::Env("TOKEN".into())),
            ("file", "/a/b", SecretRef::File("/a/b".into())),
            ("file", "~/b", SecretRef::File("~/b".into())),
            ("plain", "ada", SecretRef::Plain("ada".into())),
            ("vault", "ops/token", SecretRef::Vault("ops/token".into())),
            ("command", "pass show x", words(&["pass", "show", "x"])),
            ("command", "[\"pass\", \"show x\"]", words(&["pass", "show x"])),
        ] {
            assert_eq!(source_of(form, rest).unwrap(), wanted);
        }
        assert!(matches!(source_of("file", "b"), Ok(SecretRef::File(path)) if path.is_absolute()));
        for (form, rest) in [("env", ""), ("hunter2", ""), ("vault", "x"), ("store", "x"), ("command", "[1]")]
        {
            let said = source_of(form, rest).unwrap_err();
            assert!(said.contains("write") && !said.contains("hunter2"), "{said}");
        }
    }
}
