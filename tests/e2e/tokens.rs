//! `vigie token`: of a data directory at rest, of one on which a coordinator
//! runs, and of a coordinator elsewhere.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use crate::term::{Home, binary, vigie};

/// A `vigie serve` that is ended whatever happens, and where it listens.
struct Serve(Child, String);

impl Serve {
    fn start(home: &Home) -> Self {
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", "127.0.0.1:0"]).env_clear().envs(home.environment());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self(child, url)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What it printed, where it went well.
fn out((code, out, err): (i32, String, String)) -> String {
    assert_eq!(code, 0, "{out}{err}");
    out
}

fn is_token(text: &str) -> bool {
    text.strip_prefix("vigie_").is_some_and(|rest| {
        rest.len() == 65 && rest.ends_with('\n') && rest.trim_end().bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[test]
fn tokens_of_a_data_directory_at_rest_running_and_elsewhere() {
    let home = Home::new();
    // At rest.
    let token = out(vigie(&home, &["token", "create", "--name", "boss", "--role", "admin"]));
    assert!(is_token(&token), "the token alone: {token}");
    let again = vigie(&home, &["token", "create", "--name", "boss", "--role", "admin"]);
    assert_eq!(again.0, 1);
    assert!(again.2.contains("there is a token boss already"), "{again:?}");

    // While a coordinator runs, which takes it.
    let serve = Serve::start(&home);
    let list = out(vigie(&home, &["token", "list"]));
    assert!(list.contains("boss") && list.contains("admin") && !list.contains(token.trim()), "{list}");
    let viewer =
        ["token", "create", "--name", "ci", "--role", "viewer", "--team", "data", "--expires", "90d"];
    assert!(is_token(&out(vigie(&home, &viewer))));

    // As an admin elsewhere.
    let away = Home::new();
    away.write(std::path::Path::new("token"), &token);
    std::fs::set_permissions(away.path().join("token"), Permissions::from_mode(0o600)).unwrap();
    let config = format!(
        "[[endpoint]]\nname = \"hq\"\nkind = \"vigie\"\nurl = \"{}\"\n[endpoint.auth]\ntoken = {{ file = \"{}\" }}\n",
        serve.1,
        away.path().join("token").display()
    );
    away.write(std::path::Path::new(".config/vigie/config.toml"), &config);
    let json = out(vigie(&away, &["token", "list", "--endpoint", "hq", "-o", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let found = json["tokens"].as_array().unwrap().iter().find(|token| token["name"] == "ci").unwrap();
    assert_eq!((&found["role"], &found["teams"]), (&"viewer".into(), &serde_json::json!(["data"])));
    let next = out(vigie(&away, &["token", "rotate", "ci", "--grace", "1h", "--endpoint", "hq"]));
    assert!(is_token(&next));
    out(vigie(&away, &["token", "revoke", "ci", "--endpoint", "hq"]));
    let gone = vigie(&away, &["token", "revoke", "ci", "--endpoint", "hq"]);
    assert_eq!(gone.0, 1);
    // Its own end, at once.
    out(vigie(&away, &["token", "revoke", "boss", "--endpoint", "hq"]));
    let refused = vigie(&away, &["token", "list", "--endpoint", "hq"]);
    assert_eq!(refused.0, 1);
    assert!(refused.2.contains("boss is revoked"), "{refused:?}");
}

#[test]
fn serve_check_looks_at_how_it_would_be_reached() {
    let home = Home::new();
    let open = vigie(&home, &["serve", "--check", "--listen", "0.0.0.0:8667"]);
    assert_eq!(open.0, 2);
    assert!(open.2.contains("--tls-cert"), "{open:?}");
    let fine = out(vigie(&home, &["serve", "--check"]));
    assert!(fine.contains("it would listen on http://127.0.0.1:8667"), "{fine}");
    let config = "[coordinator]\nlisten = \"0.0.0.0:8667\"\ntls = { cert = \"no.pem\", key = \"no.key\" }\n";
    home.write(std::path::Path::new(".config/vigie/config.toml"), config);
    let missing = vigie(&home, &["serve", "--check"]);
    assert_eq!(missing.0, 2);
    assert!(missing.2.contains("no.pem can't be read"), "{missing:?}");
}
