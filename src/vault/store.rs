//! Values, encrypted at rest: one age file, replaced as a whole.
//!
//! Whoever changes it holds a lock that the operating system keeps, over
//! reading and writing, across processes; whoever only reads needs none.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::Clean;

use super::key::{Closed, Key, KeySource, replace};
use super::name::SecretName;
use super::redact::{MASK, SHORTEST};

/// The file in the data directory.
pub const FILE: &str = "vault.age";
/// What is locked beside it.
const LOCK: &str = "vault.lock";
/// The form of what is in it.
const VERSION: u32 = 1;
/// The longest value, in bytes: as a variable it has to fit into an environment.
pub const LONGEST: usize = 64 * 1024;
/// How often a lock that is taken is tried again, and how many times.
const TRY_AGAIN: (Duration, u32) = (Duration::from_millis(50), 600);

/// Why the vault could not be used. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The key is missing or can't be read.
    #[error("{0}")]
    Key(String),
    /// The key is another vault's.
    #[error(
        "the key from {key} does not open {file}: it is the key of another vault, or the file is damaged"
    )]
    OtherKey {
        /// Where the key is from.
        key: String,
        /// The vault.
        file: Clean,
    },
    /// It is not what was written.
    #[error("{file} is damaged: {why}; put back a copy of it")]
    Damaged {
        /// The vault.
        file: Clean,
        /// What is wrong.
        why: String,
    },
    /// It can't be read or written.
    #[error("{file}: {why}")]
    Io {
        /// The vault, or the lock beside it.
        file: Clean,
        /// The system's word.
        why: String,
    },
    /// There is no such secret.
    #[error("there is no secret {name} in the vault; put it there with: vigie vault set {name}")]
    Missing {
        /// What was asked for.
        name: String,
    },
    /// The value can't be kept.
    #[error("{name}: {why}")]
    Value {
        /// Whose value.
        name: String,
        /// Why.
        why: &'static str,
    },
}

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: SecretName,
    /// When its value was last set.
    pub updated: DateTime<Utc>,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is new.
    Added,
    /// It took another one's place.
    Changed,
    /// It was there already.
    Same,
}

/// The store of one data directory. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vault {
    data: PathBuf,
    key: KeySource,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    secrets: BTreeMap<String, Secret>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    #[serde(serialize_with = "expose", deserialize_with = "hide")]
    value: SecretString,
    updated: DateTime<Utc>,
}

fn expose<S: Serializer>(value: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.expose_secret())
}

fn hide<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// Whether a value can be kept: long enough to be redacted, short enough for an environment.
///
/// # Errors
/// Why not, as what follows a name.
pub fn check_value(value: &str) -> Result<(), &'static str> {
    if value.contains('\0') {
        Err("the value holds a zero byte, which no environment variable can")
    } else if value.trim().len() < SHORTEST {
        Err("the value has fewer than 4 bytes: it could not be kept out of what a run prints")
    } else if value.len() > LONGEST {
        Err("the value has over 64 KiB, which is too much for an environment variable")
    } else if MASK.contains(value.trim()) {
        Err("the value is part of the word that is printed in its stead")
    } else {
        Ok(())
    }
}

impl Vault {
    /// In the data directory `data`, opened by the key from `key`.
    #[must_use]
    pub const fn new(data: PathBuf, key: KeySource) -> Self {
        Self { data, key }
    }

    /// Where it is.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.data.join(FILE)
    }

    /// Where its key comes from.
    #[must_use]
    pub const fn key(&self) -> &KeySource {
        &self.key
    }

    /// The value of a secret.
    ///
    /// # Errors
    /// There is none, or the vault can't be opened.
    pub async fn get(&self, name: &SecretName) -> Result<SecretString, VaultError> {
        self.get_all([name]).await?.pop().ok_or_else(|| missing(name))
    }

    /// The values of several secrets, in their order.
    ///
    /// # Errors
    /// The first that is not there, or the vault can't be opened.
    pub async fn get_all(
        &self,
        names: impl IntoIterator<Item = &SecretName>,
    ) -> Result<Vec<SecretString>, VaultError> {
        let mut content = self.open().await?.unwrap_or_else(Content::new);
        let mut values = Vec::new();
        for name in names {
            let secret = content.secrets.get_mut(&name.to_string()).ok_or_else(|| missing(name))?;
            values.push(secret.value.clone());
        }
        Ok(values)
    }

    /// What is in it, by name; without any vault: nothing.
    ///
    /// # Errors
    /// It can't be opened.
    pub async fn list(&self) -> Result<Vec<Entry>, VaultError> {
        let Some(content) = self.open().await? else { return Ok(Vec::new()) };
        let entries = content.secrets.into_iter().map(|(name, secret)| {
            let name = name.parse().map_err(|why: String| self.damaged(&why))?;
            Ok(Entry { name, updated: secret.updated })
        });
        entries.collect()
    }

    /// Puts values in, all or none. Gives what became of each.
    ///
    /// # Errors
    /// A value that can't be kept, or the vault can't be opened or written: nothing is changed.
    pub async fn set(
        &self,
        values: Vec<(SecretName, SecretString)>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Stored>, VaultError> {
        check_all(&values)?;
        let _lock = self.lock().await?;
        let key = self.key_to_write().await?;
        let mut content = self.read(&key)?.unwrap_or_else(Content::new);
        let stored = values.into_iter().map(|(name, value)| content.put(&name, value, now)).collect();
        self.write(&key, &content)?;
        Ok(stored)
    }

    /// What [`Vault::set`] would do, changing nothing.
    ///
    /// # Errors
    /// As there.
    pub async fn foresee(&self, values: &[(SecretName, SecretString)]) -> Result<Vec<Stored>, VaultError> {
        check_all(values)?;
        let content = self.open().await?.unwrap_or_else(Content::new);
        Ok(values.iter().map(|(name, value)| content.compare(&name.to_string(), value)).collect())
    }

    /// Takes a secret out.
    ///
    /// # Errors
    /// There is none, or the vault can't be opened or written: nothing is changed.
    pub async fn remove(&self, name: &SecretName) -> Result<(), VaultError> {
        let _lock = self.lock().await?;
        let key = self.key_to_read().await?.ok_or_else(|| missing(name))?;
        let mut content = self.read(&key)?.unwrap_or_else(Content::new);
        content.secrets.remove(&name.to_string()).ok_or_else(|| missing(name))?;
        self.write(&key, &content)
    }

    /// Encrypts everything anew, for the key from `to`, or where the key is a
    /// file for a new one in its place. The old one opens nothing afterwards.
    ///
    /// A new key is on disk, beside the old one, before anything is encrypted
    /// for it, and the old one goes last: whenever this is cut off, what is on
    /// disk opens.
    ///
    /// # Errors
    /// There is no vault, it can't be opened or written, or there is no new key.
    pub async fn rotate(&self, to: Option<&KeySource>) -> Result<usize, VaultError> {
        let _lock = self.lock().await?;
        let none = || VaultError::Key(format!("there is no vault at {} yet", self.shown()));
        let old = self.key_to_read().await?.ok_or_else(none)?;
        let content = self.read(&old)?.ok_or_else(none)?;
        match (to, &self.key) {
            (Some(to), _) => {
                let new = to.read().await?.ok_or_else(|| not_there(to))?;
                self.write(&new, &content)?;
            }
            (None, KeySource::File(path)) => {
                let new = Key::generate();
                new.clone().with(&old).save(path)?;
                self.write(&new, &content)?;
                new.first_only().save(path)?;
            }
            (None, source) => {
                return Err(VaultError::Key(format!(
                    "the key comes from {source}, where vigie can't put a new one: make one with age-keygen, and \
                     name it with --to"
                )));
            }
        }
        Ok(content.secrets.len())
    }

    /// Everything; `None` where there is no vault.
    async fn open(&self) -> Result<Option<Content>, VaultError> {
        // Between reading the key and the vault both may have been replaced: look once more.
        for last in [false, true] {
            let Some(key) = self.key_to_read().await? else { return Ok(None) };
            match self.read(&key) {
                Err(VaultError::OtherKey { .. }) if !last => {}
                result => return result,
            }
        }
        Ok(None)
    }

    /// The key of the vault that there is; `None` if there is no vault.
    async fn key_to_read(&self) -> Result<Option<Key>, VaultError> {
        if !self.file().try_exists().map_err(|error| self.failed(&error))? {
            return Ok(None);
        }
        self.key.read().await?.map(Some).ok_or_else(|| not_there(&self.key))
    }

    /// The key to write with: a new one where there is neither a vault nor a key, and it can be kept.
    async fn key_to_write(&self) -> Result<Key, VaultError> {
        if let KeySource::File(path) = &self.key {
            self.check_place(path)?;
        }
        if let Some(key) = self.key_to_read().await? {
            return Ok(key);
        }
        match (self.key.read().await?, &self.key) {
            (Some(key), _) => Ok(key),
            (None, KeySource::File(path)) => {
                let key = Key::generate();
                key.save(path)?;
                Ok(key)
            }
            (None, source) => Err(not_there(source)),
        }
    }

    /// A copy of the data directory must not hold the key with what it opens.
    fn check_place(&self, path: &Path) -> Result<(), VaultError> {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if absolute(path).starts_with(absolute(&self.data)) {
            return Err(VaultError::Key(format!(
                "the vault's key would be inside the data directory, {}, and in every copy of it: name another \
                 place in [vault] key",
                Clean::from(path.display().to_string())
            )));
        }
        Ok(())
    }

    fn read(&self, key: &Key) -> Result<Option<Content>, VaultError> {
        let bytes = match std::fs::read(self.file()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        let text = key.decrypt(&bytes).map_err(|closed| match closed {
            Closed::OtherKey => VaultError::OtherKey { key: self.key.to_string(), file: self.shown() },
            Closed::Damaged(why) => self.damaged(why),
        })?;
        // What serde says of it could hold a piece of a value.
        let content: Content =
            serde_json::from_slice(&text).map_err(|_| self.damaged("it does not hold what vigie writes"))?;
        if content.version != VERSION {
            return Err(self.damaged(&format!("it has form {}, this vigie knows {VERSION}", content.version)));
        }
        Ok(Some(content))
    }

    fn write(&self, key: &Key, content: &Content) -> Result<(), VaultError> {
        // Enough for every value with every character escaped: what grows leaves its old content behind.
        let room = content.secrets.iter().map(|(name, secret)| name.len() + secret.room()).sum::<usize>();
        let mut text = Zeroizing::new(Vec::with_capacity(room * 6 + 128));
        serde_json::to_writer(&mut *text, content)
            .map_err(|_| self.damaged("a value can't be written down"))?;
        let bytes = key.encrypt(&text)?;
        replace(&self.file(), &bytes).map_err(|error| self.failed(&error))
    }

    /// Waits for its turn to change anything. Let go of when it is dropped.
    async fn lock(&self) -> Result<File, VaultError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.data)
            .map_err(|error| self.failed(&error))?;
        let path = self.data.join(LOCK);
        let failed = |why: String| VaultError::Io { file: Clean::from(path.display().to_string()), why };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| failed(error.to_string()))?;
        let (pause, times) = TRY_AGAIN;
        for _ in 0..times {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(pause).await,
                Err(TryLockError::Error(error)) => return Err(failed(error.to_string())),
            }
        }
        Err(failed("another vigie has been changing the vault for 30 seconds".to_owned()))
    }

    fn shown(&self) -> Clean {
        Clean::from(self.file().display().to_string())
    }

    fn damaged(&self, why: &str) -> VaultError {
        VaultError::Damaged { file: self.shown(), why: why.to_owned() }
    }

    fn failed(&self, error: &std::io::Error) -> VaultError {
        VaultError::Io { file: self.shown(), why: error.to_string() }
    }
}

impl Content {
    const fn new() -> Self {
        Self { version: VERSION, secrets: BTreeMap::new() }
    }

    fn put(&mut self, name: &SecretName, value: SecretString, now: DateTime<Utc>) -> Stored {
        let name = name.to_string();
        let stored = self.compare(&name, &value);
        if stored != Stored::Same {
            self.secrets.insert(name, Secret { value, updated: now });
        }
        stored
    }

    fn compare(&self, name: &str, value: &SecretString) -> Stored {
        match self.secrets.get(name) {
            Some(old) if old.value.expose_secret() == value.expose_secret() => Stored::Same,
            Some(_) => Stored::Changed,
            None => Stored::Added,
        }
    }
}

impl Secret {
    fn room(&self) -> usize {
        self.value.expose_secret().len() + 64
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

fn check_all(values: &[(SecretName, SecretString)]) -> Result<(), VaultError> {
    for (name, value) in values {
        check_value(value.expose_secret())
            .map_err(|why| VaultError::Value { name: name.to_string(), why })?;
    }
    Ok(())
}

fn missing(name: &SecretName) -> VaultError {
    VaultError::Missing { name: name.to_string() }
}

fn not_there(source: &KeySource) -> VaultError {
    let what = match source {
        KeySource::File(_) => "is not there",
        KeySource::Env(_) => "is not set",
        KeySource::Command(_) => "gave nothing",
    };
    VaultError::Key(format!("the vault's key is missing: {source} {what}"))
}
