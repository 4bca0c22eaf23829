//! `vigie vault` and `vigie audit`: the store of secrets and the coordinator's own log, from the command line.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::term::{Home, Term, binary};

const TOKEN: &str = "t0p-s3cret-hunter2";

/// Runs it with something on its standard input. Gives exit code, and both outputs.
fn vigie(home: &Home, args: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(binary())
        .args(args)
        .env_clear()
        .envs(home.environment())
        .env("USER", "ada")
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that refuses without reading closes it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn done(home: &Home, args: &[&str], input: &str) -> String {
    let (code, out, err) = vigie(home, args, input);
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}: {out}");
    assert!(!out.contains("hunter2"), "{out}");
    out
}

fn refused(home: &Home, args: &[&str], input: &str, code: i32, words: &str) {
    let (found, out, err) = vigie(home, args, input);
    assert_eq!(found, code, "{args:?}: {out}{err}");
    assert!(err.contains(words) && !format!("{out}{err}").contains("hunter2"), "{args:?}: {out}{err}");
}

/// Files below a folder that hold a word.
fn holding(folder: &Path, word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, word));
        } else if std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(word.len()).any(|part| part == word.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn secrets_are_put_in_listed_and_taken_out_and_never_shown() {
    let home = Home::new();
    assert_eq!(done(&home, &["vault", "list"], ""), "no secrets in the vault\n");
    assert_eq!(done(&home, &["vault", "set", "data/pg"], &format!("{TOKEN}\n")), "data/pg: added\n");
    assert_eq!(done(&home, &["vault", "set", "data/pg"], TOKEN), "data/pg: as it was\n");
    assert_eq!(done(&home, &["vault", "set", "ops/token"], "other-hunter2\n"), "ops/token: added\n");
    let env = "# of the shop\nexport API_KEY='hunter2-api'\nDSN=\"postgres://ada:hunter2@db-1/shop\"\n";
    home.write(&home.path().join("shop.env"), env);
    let import = ["vault", "import", "shop.env", "--team", "data", "--dry-run"];
    assert_eq!(done(&home, &import, ""), "data/API_KEY: would be added\ndata/DSN: would be added\n");
    assert_eq!(done(&home, &import[..5], ""), "data/API_KEY: added\ndata/DSN: added\n");
    assert_eq!(
        done(&home, &["vault", "import", "-", "--team", "data"], env),
        "data/API_KEY: as it was\ndata/DSN: as it was\n"
    );
    let report: Value = serde_json::from_str(&done(&home, &["vault", "list", "-o", "json"], "")).unwrap();
    let names: Vec<&str> =
        report["secrets"].as_array().unwrap().iter().map(|secret| secret["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["data/API_KEY", "data/DSN", "data/pg", "ops/token"]);
    let text = done(&home, &["vault", "rotate"], "");
    assert!(
        text.starts_with("4 secrets encrypted for a new key, from ") && text.contains("vault.key"),
        "{text}"
    );
    assert_eq!(done(&home, &["vault", "rm", "ops/token"], ""), "ops/token: taken out\n");

    refused(&home, &["vault", "set", "pg"], TOKEN, 2, "write TEAM/NAME");
    refused(&home, &["vault", "set", "data/x"], "abc\n", 1, "fewer than 4 bytes");
    refused(&home, &["vault", "set", "data/x", TOKEN], "", 2, "a value is never an argument");
    refused(&home, &["vault", "get", "data/pg"], "", 2, "unrecognized subcommand");
    refused(&home, &["vault", "rm", "data/none"], "", 1, "there is no secret data/none");
    refused(
        &home,
        &["vault", "import", "-", "--team", "data"],
        "hunter2\n",
        1,
        "line 1: it is not NAME=VALUE",
    );
    refused(&home, &["vault", "import", "none.env", "--team", "data"], "", 1, "none.env: No such file");
    std::fs::remove_file(home.path().join("shop.env")).unwrap();
    assert_eq!(holding(home.path(), "hunter2"), [] as [String; 0]);

    // All of it is in the audit log, what was refused too; and the log is whole.
    let exported = done(&home, &["audit", "export"], "");
    let rows: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<(&str, &str)> =
        rows.iter().map(|row| (row["action"].as_str().unwrap(), row["result"].as_str().unwrap())).collect();
    assert_eq!(shown[0], ("vault-set", "ok"));
    assert!(shown.contains(&("vault-import", "ok")) && shown.contains(&("vault-rotate", "ok")), "{shown:?}");
    assert!(
        shown.iter().any(|row| row.0 == "vault-rm" && row.1.contains("no secret data/none")),
        "{shown:?}"
    );
    assert!(rows.iter().all(|row| row["by"] == "ada" && row["from"] == "here"), "{exported}");
    let csv = done(&home, &["audit", "export", "-o", "csv", "--since", "1h"], "");
    assert_eq!(csv.lines().count(), rows.len() + 1);
    assert!(csv.starts_with("seq,at,by,action,target,details,result,from,hash\n1,"), "{csv}");
    let verdict = done(&home, &["audit", "verify"], "");
    let newest = rows.last().unwrap()["hash"].as_str().unwrap();
    assert!(verdict.starts_with(&format!("the audit log is whole: {} rows", rows.len())), "{verdict}");
    assert!(verdict.contains(newest), "{verdict}");
    refused(&home, &["audit", "export", "--since", "yesterday"], "", 2, "such as 24h");
    refused(&home, &["audit", "verify", "--data", "nowhere"], "", 3, "there is no coordinator's database");
}

#[test]
fn a_value_is_typed_without_being_shown() {
    let home = Home::new();
    let mut term = Term::vigie(&home, &["vault", "set", "data/pg"], 80, 24);
    term.wait_for("value of data/pg (it is not shown):");
    term.keys(&format!("{TOKEN}\r"));
    term.wait_for("data/pg: added");
    assert_eq!(term.end(), 0);
    assert!(!String::from_utf8_lossy(&term.raw()).contains("hunter2"));
}

#[test]
fn secrets_that_tasks_name_are_checked() {
    let home = Home::new();
    let text = "[[task]]\nid = \"dump\"\nteam = \"data\"\nshell = \"true\"\nsecrets = { A = \"data/a\", B = \"shared/b\" }\n";
    home.write(&home.tasks(), text);
    refused(&home, &["serve", "--check"], "", 2, "task dump: there is no secret data/a in the vault");
    done(&home, &["vault", "set", "data/a"], TOKEN);
    refused(&home, &["serve", "--check"], "", 2, "there is no secret shared/b in the vault");
    done(&home, &["vault", "set", "shared/b"], TOKEN);
    done(&home, &["serve", "--check"], "");
}
