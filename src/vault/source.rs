//! Resolving every form of secret reference.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use secrecy::{SecretString, zeroize::Zeroize as _};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::model::{Clean, SecretRef};

use super::{SecretName, Vault};

/// How long a command may take to print a secret.
pub(super) const COMMAND_LIMIT: Duration = Duration::from_secs(10);
/// The longest first line that is read, in bytes.
const MAX_SECRET: u64 = 64 * 1024;

/// Reads the secret that `reference` names; `vault` is the one that is meant by `{ vault = "…" }`.
///
/// # Errors
/// A sentence that names the source and what is wrong, never the secret.
pub async fn resolve(reference: &SecretRef, vault: &Vault) -> Result<SecretString, String> {
    match reference {
        SecretRef::Plain(text) => Ok(SecretString::from(text.clone())),
        SecretRef::Env(name) => from_variable(name, std::env::var_os(name)),
        SecretRef::File(path) => from_file(path).await,
        SecretRef::Command(argv) => from_command(argv, COMMAND_LIMIT).await,
        SecretRef::Vault(name) => {
            let name: SecretName = name.parse()?;
            vault.get(&name).await.map_err(|error| error.to_string())
        }
    }
}

pub(super) fn from_variable(name: &str, value: Option<std::ffi::OsString>) -> Result<SecretString, String> {
    let name = Clean::line(name);
    let value = value.ok_or_else(|| format!("the environment variable {name} is not set"))?;
    let value = value.into_string().map_err(|_| format!("the environment variable {name} is not UTF-8"))?;
    if value.is_empty() {
        return Err(format!("the environment variable {name} is empty"));
    }
    Ok(SecretString::from(value))
}

async fn from_file(path: &Path) -> Result<SecretString, String> {
    let name = Clean::from(path.display().to_string());
    let failed = |error: std::io::Error| format!("the secret's file {name}: {error}");
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let metadata = file.metadata().await.map_err(failed)?;
    if metadata.is_dir() {
        return Err(format!("the secret's file {name} is a folder"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if metadata.is_file() && metadata.permissions().mode() & 0o007 != 0 {
            return Err(format!("the secret's file {name} is open to everybody: chmod 600 {name}"));
        }
    }
    first_line(file).await.map_err(|why| format!("the secret's file {name}: {why}"))
}

pub(super) async fn from_command(argv: &[String], limit: Duration) -> Result<SecretString, String> {
    let (program, arguments) = argv.split_first().ok_or("the secret's command is empty")?;
    // The arguments are not named: one of them may be what opens the store.
    let name = Clean::line(program);
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!("the secret's command {name} is not there"),
            _ => format!("the secret's command {name} can't be started: {error}"),
        })?;
    let output = child.stdout.take().ok_or_else(|| format!("the secret's command {name} has no output"))?;
    let work = async {
        let line = first_line(output).await;
        let status = child.wait().await.map_err(|error| format!("the secret's command {name}: {error}"))?;
        if !status.success() {
            return Err(format!("the secret's command {name} failed ({status})"));
        }
        line.map_err(|why| format!("the secret's command {name} printed nothing usable: {why}"))
    };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(format!(
            "the secret's command {name} printed nothing within {}: does it wait for somebody?",
            crate::model::duration_text(limit.as_secs())
        ))
    })
}

/// Everything up to the first line break; the rest is read and forgotten, so that a writer ends well.
async fn first_line(source: impl AsyncRead + Unpin) -> Result<SecretString, String> {
    let mut bytes = Vec::new();
    let read = source.take(MAX_SECRET).read_to_end(&mut bytes).await;
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let secret = match (read, std::str::from_utf8(line)) {
        (Err(error), _) => Err(error.to_string()),
        (_, Err(_)) => Err("it is not UTF-8".to_owned()),
        (_, Ok("")) => Err("its first line is empty".to_owned()),
        (Ok(_), Ok(_)) if end as u64 == MAX_SECRET => Err("its first line is over 64 KiB".to_owned()),
        (Ok(_), Ok(line)) => Ok(SecretString::from(line)),
    };
    bytes.zeroize();
    secret
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::KeySource;
    use secrecy::ExposeSecret as _;
    use std::ffi::OsString;

    async fn text(reference: SecretRef) -> Result<String, String> {
        let vault = Vault::new("/nowhere".into(), KeySource::Env("VIGIE_NO_SUCH_VARIABLE".to_owned()));
        resolve(&reference, &vault).await.map(|secret| secret.expose_secret().to_owned())
    }

    fn command(argv: &[&str]) -> SecretRef {
        SecretRef::Command(argv.iter().map(|&arg| arg.to_owned()).collect())
    }

    #[tokio::test]
    async fn plain_and_variable() {
        assert_eq!(text(SecretRef::Plain("ada".into())).await.unwrap(), "ada");
        let path = std::env::var("PATH").unwrap();
        assert_eq!(text(SecretRef::Env("PATH".into())).await.unwrap(), path);
        let error = text(SecretRef::Env("VIGIE_NO_SUCH_VARIABLE".into())).await.unwrap_err();
        assert_eq!(error, "the environment variable VIGIE_NO_SUCH_VARIABLE is not set");
        assert!(from_variable("X", Some(OsString::new())).unwrap_err().ends_with("X is empty"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_gives_its_first_line_if_only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (content, mode, wanted) in [
            ("hunter2", 0o600, Ok("hunter2")),
            ("hunter2\r\nsecond", 0o640, Ok("hunter2")),
            ("hunter2", 0o644, Err("is open to everybody: chmod 600 ")),
            ("\nhunter2", 0o600, Err("its first line is empty")),
            ("", 0o600, Err("its first line is empty")),
        ] {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match (text(SecretRef::File(path.clone())).await, wanted) {
                (Ok(secret), Ok(wanted)) => assert_eq!(secret, wanted),
                (Err(error), Err(part)) => {
                    assert!(error.contains(part), "{error}");
                    assert!(!error.contains("hunter2"), "{error}");
                }
                (got, wanted) => panic!("{content:?} {mode:o}: {got:?}, not {wanted:?}"),
            }
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
        assert!(text(SecretRef::File(path.clone())).await.unwrap_err().contains("over 64 KiB"));
        let error = text(SecretRef::File(folder.path().join("none"))).await.unwrap_err();
        assert!(error.contains("none") && error.contains("No such file"), "{error}");
        assert!(text(SecretRef::File(folder.path().into())).await.unwrap_err().contains("is a folder"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_gives_its_first_line() {
        assert_eq!(text(command(&["printf", "hunter2\\nmore"])).await.unwrap(), "hunter2");
        for (argv, part) in [
            (&["sh", "-c", "echo hunter2; exit 3"][..], "failed (exit status: 3)"),
            (&["true"], "its first line is empty"),
            (&["/no/such/program", "hunter2"], "is not there"),
            (&[], "is empty"),
        ] {
            let error = text(command(argv)).await.unwrap_err();
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_that_waits_is_ended() {
        let argv = ["sleep".to_owned(), "1000".to_owned()];
        let error = from_command(&argv, Duration::from_millis(50)).await.unwrap_err();
        assert!(error.contains("printed nothing within"), "{error}");
    }
}
