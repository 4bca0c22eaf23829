use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::model::SecretRef;

fn now() -> DateTime<Utc> {
    "2026-03-02T10:00:00Z".parse().unwrap()
}

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn key(&self) -> std::path::PathBuf {
        self.0.path().join("state/vault.key")
    }

    fn vault(&self) -> Vault {
        self.vault_with(KeySource::File(self.key()))
    }

    fn vault_with(&self, key: KeySource) -> Vault {
        Vault::new(self.0.path().join("data"), key)
    }
}

async fn set(vault: &Vault, of: &str, value: &str) -> Result<Stored, VaultError> {
    Ok(vault.set(vec![(name(of), SecretString::from(value))], now()).await?[0])
}

async fn get(vault: &Vault, of: &str) -> Result<String, String> {
    vault
        .get(&name(of))
        .await
        .map(|value| value.expose_secret().to_owned())
        .map_err(|error| error.to_string())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn values_come_back_and_are_encrypted_at_rest() {
    let home = Home::new();
    let vault = home.vault();
    assert_eq!(vault.list().await.unwrap(), []);
    assert!(get(&vault, "data/pg").await.unwrap_err().contains("vigie vault set data/pg"));
    assert_eq!(set(&vault, "data/pg", "hunter2").await, Ok(Stored::Added));
    assert_eq!(set(&vault, "ops/token", "tïcket\n\"x\"").await, Ok(Stored::Added));
    let later = now() + TimeDelta::days(1);
    let values = vec![(name("data/pg"), "hunter2".into()), (name("ops/token"), "other".into())];
    assert_eq!(vault.foresee(&values).await, Ok(vec![Stored::Same, Stored::Changed]));
    assert_eq!(get(&vault, "ops/token").await.unwrap(), "tïcket\n\"x\"");
    assert_eq!(vault.set(values, later).await, Ok(vec![Stored::Same, Stored::Changed]));
    assert_eq!(get(&vault, "ops/token").await.unwrap(), "other");
    let entries = vault.list().await.unwrap();
    let shown: Vec<_> = entries.iter().map(|entry| (entry.name.to_string(), entry.updated)).collect();
    assert_eq!(shown, [("data/pg".to_owned(), now()), ("ops/token".to_owned(), later)]);
    let bytes = std::fs::read(vault.file()).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1"));
    for word in [&b"hunter2"[..], b"other", b"data/pg"] {
        assert!(!bytes.windows(word.len()).any(|window| window == word));
    }
    assert_eq!((mode(&vault.file()), mode(&home.key())), (0o600, 0o600));
    assert_eq!(vault.remove(&name("data/pg")).await, Ok(()));
    assert!(matches!(vault.remove(&name("data/pg")).await, Err(VaultError::Missing { .. })));
    assert!(get(&vault, "data/pg").await.is_err());
    // Nothing is left of how it was written.
    let mut left: Vec<_> = std::fs::read_dir(home.0.path().join("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["vault.age", "vault.lock"]);
}

#[tokio::test]
async fn every_form_of_reference_reaches_the_store() {
    let home = Home::new();
    let vault = home.vault();
    set(&vault, "ops/token", "hunter2").await.unwrap();
    let read = async |reference: SecretRef| {
        resolve(&reference, &vault).await.map(|value| value.expose_secret().to_owned())
    };
    assert_eq!(read(SecretRef::Vault("ops/token".into())).await.unwrap(), "hunter2");
    assert!(read(SecretRef::Vault("ops/other".into())).await.unwrap_err().contains("no secret ops/other"));
    assert!(read(SecretRef::Vault("token".into())).await.unwrap_err().contains("write TEAM/NAME"));
    assert_eq!(read(SecretRef::Plain("ada".into())).await.unwrap(), "ada");
}

#[tokio::test]
async fn a_wrong_or_missing_key_or_a_damaged_file_is_said_and_nothing_is_overwritten() {
    let home = Home::new();
    let vault = home.vault();
    set(&vault, "data/pg", "hunter2").await.unwrap();
    let (key, file) = (std::fs::read(home.key()).unwrap(), std::fs::read(vault.file()).unwrap());
    let other = {
        let other = Home::new();
        set(&other.vault(), "data/pg", "hunter2").await.unwrap();
        std::fs::read(other.key()).unwrap()
    };
    let flipped = |at: usize| {
        let mut bytes = file.clone();
        bytes[at] ^= 1;
        bytes
    };
    // In the header every byte is a letter of base64: another one, never a byte that is none.
    let reworded = |at: usize| {
        let mut bytes = file.clone();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        bytes
    };
    let last = file.len() - 1;
    let mac = file.windows(5).position(|window| window == b"\n--- ").unwrap() + 10;
    for (with_key, with_file, part) in [
        (None, file.clone(), "the vault's key is missing: "),
        (Some(other), file.clone(), "it is the key of another vault"),
        (Some(b"hunter2".to_vec()), file.clone(), "is of no use: it is not an age key"),
        (Some(b"# nothing\n".to_vec()), file.clone(), "is of no use: it holds no age key"),
        (Some(key.clone()), flipped(last), "is damaged: its content was changed"),
        (Some(key.clone()), file[..last].to_vec(), "is damaged"),
        (Some(key.clone()), file[..20].to_vec(), "is damaged"),
        (Some(key.clone()), Vec::new(), "is damaged"),
        (Some(key.clone()), flipped(3), "is damaged"),
        (Some(key.clone()), reworded(mac), "is damaged: its header was changed"),
    ] {
        match &with_key {
            Some(key) => {
                std::fs::write(home.key(), key).unwrap();
                std::fs::set_permissions(home.key(), std::fs::Permissions::from_mode(0o600)).unwrap();
            }
            None => std::fs::remove_file(home.key()).unwrap(),
        }
        std::fs::write(vault.file(), &with_file).unwrap();
        for error in [
            vault.get(&name("data/pg")).await.map(drop).unwrap_err(),
            vault.list().await.map(drop).unwrap_err(),
            set(&vault, "data/pg", "s3cret").await.map(drop).unwrap_err(),
            vault.remove(&name("data/pg")).await.unwrap_err(),
            vault.rotate(None).await.map(drop).unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(error.contains(part) && !error.contains("hunter2"), "{part}: {error}");
        }
        assert_eq!(std::fs::read(vault.file()).unwrap(), with_file);
        assert_eq!(std::fs::read(home.key()).ok(), with_key);
    }
    std::fs::write(vault.file(), &file).unwrap();
    assert_eq!(get(&vault, "data/pg").await.unwrap(), "hunter2");
    std::fs::set_permissions(home.key(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(get(&vault, "data/pg").await.unwrap_err().contains("open to everybody: chmod 600"));
}

#[tokio::test]
async fn the_key_comes_from_a_file_a_variable_or_a_command() {
    let home = Home::new();
    set(&home.vault(), "data/pg", "hunter2").await.unwrap();
    let script = "grep AGE-SECRET-KEY \"$0\"".to_owned();
    let command = |script: String| {
        KeySource::Command(vec!["sh".to_owned(), "-c".to_owned(), script, home.key().display().to_string()])
    };
    let by_command = home.vault_with(command(script));
    assert_eq!(get(&by_command, "data/pg").await.unwrap(), "hunter2");
    assert_eq!(set(&by_command, "data/pg", "other").await, Ok(Stored::Changed));
    let failing = home.vault_with(command("exit 3".to_owned()));
    assert!(get(&failing, "data/pg").await.unwrap_err().contains("the command sh, is of no use"));
    let none = home.vault_with(KeySource::Env("VIGIE_NO_SUCH_VARIABLE".to_owned()));
    let error = get(&none, "data/pg").await.unwrap_err();
    assert_eq!(error, "the vault's key is missing: the variable VIGIE_NO_SUCH_VARIABLE is not set");
    // Only a file can be made.
    let elsewhere = Home::new();
    let none = elsewhere.vault_with(KeySource::Env("VIGIE_NO_SUCH_VARIABLE".to_owned()));
    assert!(set(&none, "data/pg", "hunter2").await.is_err() && !none.file().exists());
    let inside = KeySource::File(elsewhere.0.path().join("data/keys/vault.key"));
    let error = set(&elsewhere.vault_with(inside), "data/pg", "hunter2").await.unwrap_err();
    assert!(error.to_string().contains("inside the data directory"), "{error}");
    for reference in [SecretRef::Vault("a/b".into()), SecretRef::Plain("x".into())] {
        assert!(KeySource::try_from(&reference).is_err());
    }
}

#[tokio::test]
async fn a_change_of_keys_is_safe_wherever_it_is_cut_off() {
    let home = Home::new();
    let vault = home.vault();
    assert!(vault.rotate(None).await.unwrap_err().to_string().contains("no vault"));
    set(&vault, "data/pg", "hunter2").await.unwrap();
    let (old_key, old_file) = (std::fs::read(home.key()).unwrap(), std::fs::read(vault.file()).unwrap());
    assert_eq!(vault.rotate(None).await, Ok(1));
    let (new_key, new_file) = (std::fs::read(home.key()).unwrap(), std::fs::read(vault.file()).unwrap());
    assert!(new_key != old_key && new_file != old_file);
    assert_eq!(get(&vault, "data/pg").await.unwrap(), "hunter2");
    // The steps in between: both keys, with what either encrypted.
    let both = [new_key.clone(), old_key.clone()].concat();
    for file in [&old_file, &new_file] {
        std::fs::write(home.key(), &both).unwrap();
        std::fs::write(vault.file(), file).unwrap();
        assert_eq!(get(&vault, "data/pg").await.unwrap(), "hunter2");
        // Whatever comes next goes on from there.
        assert_eq!(set(&vault, "data/pg", "hunter3").await, Ok(Stored::Changed));
        assert_eq!(vault.rotate(None).await, Ok(1));
        assert_eq!(get(&vault, "data/pg").await.unwrap(), "hunter3");
        let lines = std::fs::read_to_string(home.key()).unwrap();
        assert_eq!(lines.matches("AGE-SECRET-KEY-").count(), 1);
    }
    std::fs::write(home.key(), &old_key).unwrap();
    assert!(get(&vault, "data/pg").await.unwrap_err().contains("key of another vault"));

    // A key that vigie can't replace is replaced by one that is named.
    std::fs::write(home.key(), &new_key).unwrap();
    std::fs::write(vault.file(), &new_file).unwrap();
    let other = home.0.path().join("other.key");
    std::fs::write(&other, &old_key).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
    let by_command = home.vault_with(KeySource::Command(vec![
        "tail".into(),
        "-1".into(),
        home.key().display().to_string(),
    ]));
    assert!(by_command.rotate(None).await.unwrap_err().to_string().contains("--to"));
    assert_eq!(by_command.rotate(Some(&KeySource::File(other.clone()))).await, Ok(1));
    assert!(get(&vault, "data/pg").await.is_err());
    assert_eq!(get(&home.vault_with(KeySource::File(other)), "data/pg").await.unwrap(), "hunter2");
}

#[tokio::test]
async fn changes_at_the_same_time_are_all_there() {
    let home = Home::new();
    let vault = home.vault();
    set(&vault, "data/first", "hunter2").await.unwrap();
    let changes = (0..20).map(|i| {
        let vault = vault.clone();
        async move { set(&vault, &format!("data/n{i}"), "hunter2").await }
    });
    for stored in futures_util::future::join_all(changes).await {
        assert_eq!(stored, Ok(Stored::Added));
    }
    assert_eq!(vault.list().await.unwrap().len(), 21);
}

#[test]
fn values_that_could_not_be_kept_secret_are_refused() {
    for (value, good) in [
        ("hunter2", true),
        ("abcd", true),
        ("abc", false),
        ("  abc  ", false),
        ("", false),
        ("redacted", false),
        ("a\0bcdef", false),
    ] {
        assert_eq!(check_value(value).is_ok(), good, "{value:?}");
    }
    assert!(check_value(&"x".repeat(LONGEST)).is_ok());
    assert!(check_value(&"x".repeat(LONGEST + 1)).is_err());
}

#[test]
fn a_task_may_use_its_own_team_s_secrets_and_shared_ones() {
    for (secret, team, may) in [
        ("data/pg", Some("data"), true),
        ("data/pg", Some("ops"), false),
        ("data/pg", None, false),
        ("shared/smtp", Some("ops"), true),
        ("shared/smtp", None, true),
        ("default/x", None, true),
        ("default/x", Some("ops"), false),
    ] {
        assert_eq!(name(secret).is_for(team), may, "{secret} {team:?}");
        assert_eq!(name(secret).check_for(team).is_ok(), may);
    }
    let error = name("data/pg").check_for(Some("ops")).unwrap_err();
    assert!(error.contains("ops/…") && error.contains("shared/…"), "{error}");
}

#[test]
fn names_have_a_team() {
    for (text, good) in [
        ("data/pg", true),
        ("data science/PG_PASSWORD-2.b", true),
        ("pg", false),
        ("/pg", false),
        ("data/", false),
        ("data/a/b", false),
        (" data/pg", false),
        ("data/p g", false),
        ("data/-x", false),
        ("da\nta/x", false),
    ] {
        assert_eq!(text.parse::<SecretName>().is_ok(), good, "{text:?}");
    }
}

#[tokio::test]
async fn nothing_secret_is_in_a_debug_form() {
    let home = Home::new();
    let vault = home.vault();
    set(&vault, "data/pg", "hunter2").await.unwrap();
    let key: Key = std::fs::read_to_string(home.key()).unwrap().parse().unwrap();
    assert_eq!(format!("{key:?}"), "Key { identities: 1 }");
    assert!(!format!("{:?}", vault.get(&name("data/pg")).await.unwrap()).contains("hunter2"));
}
