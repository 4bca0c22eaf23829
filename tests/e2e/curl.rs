//! The README's sessions by curl and of restoring work as written.

use std::process::Command;

use crate::service::Serve;
use crate::term::{Home, binary, vigie};

/// The block of shell after a mark in the README.
fn block(mark: &str) -> String {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once(&format!("<!-- {mark} -->\n```sh\n")).unwrap();
    after.split_once("\n```").unwrap().0.to_owned()
}

/// What the block after a mark in the README says, as it is written there.
fn session(home: &Home, mark: &str) -> String {
    let script = format!("set -euo pipefail\nvigie() {{ {} \"$@\"; }}\n{}", binary(), block(mark));
    let output = Command::new("timeout")
        .args(["60", "bash", "-c", &script])
        .env_clear()
        .envs(home.environment())
        .current_dir(home.path())
        .output()
        .unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}\n{said}\n{wrong}", output.status);
    said.into_owned()
}

#[test]
fn a_backup_is_restored_as_written() {
    let home = Home::new();
    let done = |args: &[&str]| {
        let (code, out, error) = vigie(&home, args);
        assert_eq!(code, 0, "{args:?}: {out}{error}");
        out
    };
    let serve = Serve::announced(&home);
    done(&["token", "create", "--name", "ci", "--role", "viewer"]);
    done(&["submit", "--wait", "--name", "hello", "--", "echo", "kept words"]);
    let env = home.path().join("env");
    home.write(&env, "PG=t0p-s3cret\n");
    done(&["vault", "import", "--team", "data", env.to_str().unwrap()]);
    done(&["trigger", "local/self-backup", "--wait", "--yes"]);
    done(&["token", "create", "--name", "later", "--role", "viewer"]);
    drop(serve);
    // The disk has gone bad.
    std::fs::write(home.data().join("coordinator.db"), "no database").unwrap();
    std::fs::remove_file(home.data().join("vault.age")).unwrap();

    let said = session(&home, "restoring");
    assert!(said.starts_with("the audit log is whole"), "{said}");
    let _serve = Serve::announced(&home);
    let tokens = done(&["token", "list"]);
    assert!(tokens.contains("ci") && !tokens.contains("later"), "{tokens}");
    assert!(done(&["vault", "list"]).contains("data/PG"));
    let runs = done(&["runs", "-o", "json"]);
    let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
    let ended = |task: &str| {
        let of = |run: &&serde_json::Value| run["task"].as_str().unwrap().starts_with(task);
        runs["runs"].as_array().unwrap().iter().find(of).unwrap()["state"].clone()
    };
    assert_eq!((ended("hello"), ended("self-backup")), ("succeeded".into(), "succeeded".into()));
    assert!(done(&["audit", "export"]).contains("\"action\":\"restore\""));
}

#[test]
fn the_session_by_curl_works_as_written() {
    let home = Home::new();
    let _serve = Serve::announced(&home);
    let script = format!("set -euo pipefail\n{}", block("curl session"));
    let output = Command::new("timeout")
        .args(["300", "bash", "-c", &script])
        .env_clear()
        .envs(home.environment())
        .current_dir(home.path())
        .output()
        .unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}\n{said}\n{wrong}", output.status);
    assert!(said.contains("OK"), "{said}");
    assert!(said.ends_with("\"complete\":true}") && said.contains("\"text\":\"hello\\n\""), "{said}");
}
