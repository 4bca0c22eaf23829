//! What opens the vault: age's X25519 identities, from a file, a variable or a
//! command.
//!
//! A source may hold several, one a line, as `age-keygen` writes them (lines
//! with `#` are comments): the first is the one to encrypt for, all of them
//! open. That is how a change of keys survives being cut off.

use std::fmt;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use age::x25519::Identity;
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};

use crate::model::{Clean, SecretRef};

use super::source;
use super::store::VaultError;

/// Where the vault's key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file, which is made when the vault is.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// The first line that a command prints.
    Command(Vec<String>),
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", Clean::from(path.display().to_string())),
            Self::Env(name) => write!(f, "the variable {}", Clean::line(name)),
            // The arguments are not named: one of them may be what opens another store.
            Self::Command(argv) => {
                write!(f, "the command {}", Clean::line(argv.first().map_or("", String::as_str)))
            }
        }
    }
}

impl TryFrom<&SecretRef> for KeySource {
    type Error = String;

    fn try_from(reference: &SecretRef) -> Result<Self, String> {
        match reference {
            SecretRef::File(path) => Ok(Self::File(path.clone())),
            SecretRef::Env(name) => Ok(Self::Env(name.clone())),
            SecretRef::Command(argv) => Ok(Self::Command(argv.clone())),
            SecretRef::Vault(_) => Err("the vault's key can't be in the vault".to_owned()),
            SecretRef::Plain(_) => Err("the vault's key is never written here".to_owned()),
        }
    }
}

impl KeySource {
    /// Reads the key. `None`: its file or variable is not there.
    pub(super) async fn read(&self) -> Result<Option<Key>, VaultError> {
        let text = match self {
            Self::File(path) => match read_file(path) {
                Ok(text) => text,
                Err(ReadError::Missing) => return Ok(None),
                Err(ReadError::Other(why)) => return Err(self.useless(&why)),
            },
            Self::Env(name) => match std::env::var_os(name) {
                None => return Ok(None),
                value => source::from_variable(name, value).map_err(|why| self.useless(&why))?,
            },
            Self::Command(argv) => {
                source::from_command(argv, source::COMMAND_LIMIT).await.map_err(|why| self.useless(&why))?
            }
        };
        text.expose_secret().parse().map(Some).map_err(|why: String| self.useless(&why))
    }

    fn useless(&self, why: &str) -> VaultError {
        VaultError::Key(format!("the vault's key, from {self}, is of no use: {why}"))
    }
}

enum ReadError {
    Missing,
    Other(String),
}

fn read_file(path: &Path) -> Result<SecretString, ReadError> {
    use std::os::unix::fs::PermissionsExt as _;

    let other = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => ReadError::Missing,
        _ => ReadError::Other(error.to_string()),
    };
    let metadata = std::fs::metadata(path).map_err(other)?;
    if metadata.is_file() && metadata.permissions().mode() & 0o007 != 0 {
        let name = Clean::from(path.display().to_string());
        return Err(ReadError::Other(format!("it is open to everybody: chmod 600 {name}")));
    }
    std::fs::read_to_string(path).map(SecretString::from).map_err(other)
}

/// One or more identities.
#[derive(Clone)]
pub struct Key {
    /// The first is the one to encrypt for. Never empty.
    identities: Vec<Identity>,
}

impl Key {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self { identities: vec![Identity::generate()] }
    }

    /// This one first, and then also those of `other`.
    #[must_use]
    pub(super) fn with(mut self, other: &Self) -> Self {
        self.identities.extend(other.identities.iter().cloned());
        self
    }

    /// Only the one that is encrypted for.
    #[must_use]
    pub(super) fn first_only(&self) -> Self {
        Self { identities: self.identities.iter().take(1).cloned().collect() }
    }

    pub(super) fn encrypt(&self, text: &[u8]) -> Result<Vec<u8>, VaultError> {
        let first = self.identities.first().ok_or_else(|| VaultError::Key("there is no key".to_owned()))?;
        // What this can say is about recipients, of which there is one of the one kind.
        age::encrypt(&first.to_public(), text)
            .map_err(|_| VaultError::Key("the key can't encrypt".to_owned()))
    }

    pub(super) fn decrypt(&self, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Closed> {
        use std::io::Read as _;

        use age::DecryptError;

        let closed = |error: DecryptError| match error {
            DecryptError::NoMatchingKeys => Closed::OtherKey,
            DecryptError::UnknownFormat => Closed::Damaged("it is of a newer format of age"),
            DecryptError::InvalidHeader => Closed::Damaged("it does not begin as an age file"),
            DecryptError::InvalidMac => Closed::Damaged("its header was changed"),
            _ => Closed::Damaged("its content was changed, or its end is missing"),
        };
        let decryptor = age::Decryptor::new_buffered(bytes).map_err(closed)?;
        let identities = self.identities.iter().map(|identity| identity as &dyn age::Identity);
        let mut reader = decryptor.decrypt(identities).map_err(closed)?;
        // The text is shorter than what it is encrypted to: nothing is left behind by growing.
        let mut text = Zeroizing::new(Vec::with_capacity(bytes.len()));
        reader.read_to_end(&mut text).map_err(|error| closed(DecryptError::Io(error)))?;
        Ok(text)
    }

    /// Writes it where only its owner can read it: whole or not at all.
    pub(super) fn save(&self, path: &Path) -> Result<(), VaultError> {
        let failed = |error: std::io::Error| {
            let name = Clean::from(path.display().to_string());
            VaultError::Key(format!("the vault's key can't be written to {name}: {error}"))
        };
        let mut text = Zeroizing::new(String::with_capacity(1024));
        text.push_str("# The key of vigie's vault: whoever has it can open the vault.\n");
        for identity in &self.identities {
            text.push_str("# public key: ");
            text.push_str(&identity.to_public().to_string());
            text.push('\n');
            text.push_str(identity.to_string().expose_secret());
            text.push('\n');
        }
        if let Some(folder) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        }
        replace(path, text.as_bytes()).map_err(failed)
    }
}

/// Replaces a file by one that only its owner can read; a crash leaves the old or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = folder.join(name);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&new, path)?;
    std::fs::File::open(folder)?.sync_all()
}

/// Why something does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// It was encrypted for another key.
    OtherKey,
    /// It is not what was written.
    Damaged(&'static str),
}

impl std::str::FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let identities: Vec<Identity> = lines
            .map(|line| line.parse().map_err(|_| "it is not an age key, AGE-SECRET-KEY-1…".to_owned()))
            .collect::<Result<_, String>>()?;
        if identities.is_empty() {
            return Err("it holds no age key, AGE-SECRET-KEY-1…".to_owned());
        }
        Ok(Self { identities })
    }
}

/// Without what is secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("identities", &self.identities.len()).finish()
    }
}
