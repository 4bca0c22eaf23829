//! `vigie audit verify|export` of a coordinator elsewhere: the rows come over
//! its API, and what was done to them is found from there.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::Connection;

use crate::service::Serve;
use crate::term::{Home, vigie};

/// A home from which `hq` is reached with a token that `home` has given out.
fn away(home: &Home, create: &[&str]) -> Home {
    let (code, token, error) = vigie(home, create);
    assert_eq!(code, 0, "{error}");
    let away = Home::new();
    away.write(Path::new("token"), &token);
    std::fs::set_permissions(away.path().join("token"), Permissions::from_mode(0o600)).unwrap();
    point(&away, home);
    away
}

/// Each start has another port.
fn point(away: &Home, home: &Home) {
    let file = std::fs::read(home.data().join("coordinator.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let config = format!(
        "[[endpoint]]\nname = \"hq\"\nkind = \"vigie\"\nurl = {}\n[endpoint.auth]\ntoken = {{ file = \"{}\" }}\n",
        file["url"],
        away.path().join("token").display()
    );
    away.write(Path::new(".config/vigie/config.toml"), &config);
}

const VERIFY: [&str; 4] = ["audit", "verify", "--endpoint", "hq"];

#[test]
fn an_audit_log_elsewhere_is_exported_and_verified_over_the_api() {
    let home = Home::new();
    let serve = Serve::announced(&home);
    let away = away(&home, &["token", "create", "--name", "auditor", "--role", "viewer"]);
    for _ in 0..3 {
        assert_eq!(vigie(&home, &["token", "revoke", "nobody"]).0, 1);
    }
    let here = vigie(&home, &["audit", "verify"]);
    let there = vigie(&away, &VERIFY);
    assert_eq!(here, there, "the same verdict from both sides");
    assert!(there.0 == 0 && there.1.contains("the newest has the hash"), "{there:?}");
    for format in ["json", "csv"] {
        let here = vigie(&home, &["audit", "export", "-o", format]);
        let there = vigie(&away, &["audit", "export", "-o", format, "--endpoint", "hq"]);
        assert_eq!(here, there);
        assert!(there.1.lines().count() > 3, "{there:?}");
    }
    let none = vigie(&away, &["audit", "export", "-o", "csv", "--since", "2999-01-01", "--endpoint", "hq"]);
    assert_eq!(none.1, "seq,at,by,action,target,details,result,from,hash\n");

    let (code, _, error) = vigie(&away, &["audit", "verify", "--endpoint", "hq", "--data", "x"]);
    assert_eq!(code, 2, "{error}");
    let (code, _, error) = vigie(&away, &["audit", "verify", "--endpoint", "h"]);
    assert!(code == 2 && error.contains("no endpoint"), "{error}");
    drop(serve);

    // One that was killed leaves the newest in the log beside the database.
    let database = home.data().join("coordinator.db");
    let fold = "PRAGMA wal_checkpoint(TRUNCATE)";
    Connection::open(&database).unwrap().query_row(fold, [], |_| Ok(())).unwrap();
    let kept = std::fs::read(&database).unwrap();

    // What is done to the rows behind the coordinator's back is found from elsewhere too.
    for (tampering, words) in [
        ("UPDATE audit SET target = 'somebody' WHERE seq = 3", "broken at row 3"),
        // What would be cleaned out of a text that travels is no better.
        ("UPDATE audit SET target = target || char(27) WHERE seq = 3", "broken at row 3"),
        ("DELETE FROM audit WHERE seq = 2", "row 2 before it is missing"),
        ("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", "broken at"),
        ("UPDATE audit SET hash = (SELECT hash FROM audit WHERE seq = 1) WHERE seq = 2", "broken at row 2"),
    ] {
        Connection::open(&database).unwrap().execute(tampering, []).unwrap();
        let serve = Serve::announced(&home);
        point(&away, &home);
        let (code, _, error) = vigie(&away, &VERIFY);
        assert!(code == 1 && error.contains(words), "{tampering}: {error}");
        drop(serve);
        for beside in ["coordinator.db-wal", "coordinator.db-shm"] {
            let _ = std::fs::remove_file(home.data().join(beside));
        }
        std::fs::write(&database, &kept).unwrap();
    }
}
