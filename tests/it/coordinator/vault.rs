//! Secrets in runs: they get there, and nowhere else.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde_json::json;
use vigie::vault::{SecretName, Vault};

use super::{Home, json, text};

const TOKEN: &str = "t0p-s3cret/hunter2?";
const KEY: &str =
    "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n";

async fn put(vault: &Vault, name: &str, value: &str) {
    let name: SecretName = name.parse().unwrap();
    vault.set(vec![(name, value.into())], super::NOW.parse().unwrap()).await.unwrap();
}

/// Every file below a folder that holds any of these words.
fn holding(folder: &Path, words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, words));
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let hidden = words.iter().filter(|word| {
            bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
        });
        found.extend(hidden.map(|word| format!("{}: {word}", path.display())));
    }
    found
}

#[tokio::test]
async fn a_secret_reaches_its_run_as_a_variable_and_is_seen_nowhere() {
    let script = "umask 077; printf %s \"$TOKEN\" > \"$OUT/token\"; printf %s \"$KEY\" > \"$OUT/key\"; \
                  printf 'begin %.7s' \"$TOKEN\"; sleep 0.5; printf '%s end\\n' \"${TOKEN#???????}\"; \
                  printf %s \"$TOKEN\" | base64; printf 'ada:%s' \"$TOKEN\" | base64; echo \"$KEY\" >&2; \
                  echo 't0p-s3cret%2Fhunter2%3F'; printf 'Prompt: '; sleep 0.5; echo; \
                  printf 'last words %.9s' \"$TOKEN\"; sleep 0.5; printf '%s' \"${TOKEN#?????????}\"; exit 3";
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display();
    // Beside the data: what the task file says is kept there.
    std::fs::write(folder.path().join("script"), script).unwrap();
    let home = Home::new(&format!(
        "[[task]]\nid = \"leaky\"\nteam = \"data\"\ncommand = [\"sh\", \"{out}/script\"]\nenv = {{ OUT = \"{out}\" }}\n\
         secrets = {{ TOKEN = \"data/token\", KEY = \"shared/key\" }}\nretry = {{ count = 1, delay = \"0s\" }}\n"
    ));
    let vault = crate::support::vault(&home.data());
    put(&vault, "data/token", TOKEN).await;
    put(&vault, "shared/key", KEY).await;
    let served = home.serve().await;
    let run = served.start_run("leaky").await;
    let ended = served.until_run(&run, "failed").await;
    // It got them.
    assert_eq!(std::fs::read_to_string(folder.path().join("token")).unwrap(), TOKEN);
    assert_eq!(std::fs::read_to_string(folder.path().join("key")).unwrap(), KEY);
    assert_eq!(ended["message"], "exit code 3: last words [redacted]");
    let log = text(&served.read(&format!("/runs/{run}/log")).await["text"]);
    assert!(log.contains("begin [redacted] end\n") && log.contains("Prompt: \n"), "{log}");

    let mut words = vec![TOKEN.to_owned(), "hunter2".to_owned(), "t0p-s3cret%2Fhunter2%3F".to_owned()];
    words.extend(KEY.lines().map(str::to_owned));
    // Six bits at either end belong to other bytes too.
    words.push(STANDARD.encode(TOKEN)[..24].to_owned());
    words.push(STANDARD.encode(format!("ada:{TOKEN}"))[6..28].to_owned());
    let mut answers = vec![log];
    for path in [
        "/api/v1/tasks",
        "/api/v1/tasks/leaky",
        "/api/v1/runs",
        "/api/v1/alerts",
        "/api/v1/flips",
        "/api/v1/queues",
        "/api/v1/audit",
        "/api/v1/coordinator",
        "/health",
        "/metrics",
    ] {
        let response = served.get(path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        answers.push(response.text().await.unwrap());
    }
    for word in &words {
        for answer in &answers {
            assert!(!answer.contains(word.as_str()), "{word} in {answer}");
        }
    }
    served.stop().await;
    assert_eq!(holding(&home.data(), &words), [] as [String; 0]);
}

#[tokio::test]
async fn a_secret_that_cannot_be_had_fails_the_attempt_and_is_named() {
    let home = Home::new(
        "[[task]]\nid = \"needy\"\nteam = \"data\"\nshell = \"test \\\"$TOKEN\\\" = 't0p-s3cret/hunter2?'\"\n\
         secrets = { TOKEN = \"data/token\" }\n",
    );
    let served = home.serve().await;
    let fails = async |words: &str| {
        let run = served.start_run("needy").await;
        let message = text(&served.until_run(&run, "failed").await["message"]);
        assert!(message.contains(words) && !message.contains("hunter2"), "{message}");
    };
    fails("there is no secret data/token in the vault").await;
    let vault = crate::support::vault(&home.data());
    put(&vault, "data/other", TOKEN).await;
    fails("there is no secret data/token in the vault").await;
    put(&vault, "data/token", TOKEN).await;
    // Without a restart.
    let run = served.start_run("needy").await;
    served.until_run(&run, "succeeded").await;
    let key = home.data().with_file_name("vault.key");
    let good = std::fs::read(&key).unwrap();
    std::fs::write(&key, "nonsense").unwrap();
    fails("is of no use: it is not an age key").await;
    std::fs::remove_file(&key).unwrap();
    fails("the vault's key is missing").await;
    std::fs::write(&key, good).unwrap();
    std::fs::write(vault.file(), "nonsense").unwrap();
    fails("open to everybody").await;
    served.stop().await;
}

#[tokio::test]
async fn work_that_comes_over_the_api_gets_its_own_team_s_secrets_only() {
    let home = Home::new("");
    put(&crate::support::vault(&home.data()), "data/token", TOKEN).await;
    let served = home.serve().await;
    let submit = async |team: &str| {
        let work = json!({
            "shell": "printf %s \"$TOKEN\" | wc -c", "team": team, "secrets": {"TOKEN": "data/token"},
        });
        served.post("/api/v1/runs").json(&work).send().await.unwrap()
    };
    let refused = submit("ops").await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let refused = refused.text().await.unwrap();
    assert!(refused.contains("may use only ops/… and shared/…"), "{refused}");
    let accepted = submit("data").await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    let run = text(&json(accepted).await["run"]);
    let ended = served.until_run(&run, "succeeded").await;
    assert_eq!(text(&ended["message"]).trim(), TOKEN.len().to_string());
    served.stop().await;
}
