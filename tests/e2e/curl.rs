//! The README's session by curl works as written.

use std::process::Command;

use crate::service::Serve;
use crate::term::Home;

/// The block of shell after a mark in the README.
fn block(mark: &str) -> String {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once(&format!("<!-- {mark} -->\n```sh\n")).unwrap();
    after.split_once("\n```").unwrap().0.to_owned()
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
