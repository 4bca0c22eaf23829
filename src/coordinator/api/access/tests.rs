use std::net::SocketAddr;
use std::path::PathBuf;

use crate::vault::{KeySource, Vault};
use crate::wire::NewToken;

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    headers
}

fn access(open_on_loopback: bool) -> Access {
    let options = Options {
        data: PathBuf::new(),
        program: std::env::current_exe().unwrap(),
        tasks: PathBuf::new(),
        vault: Vault::new(PathBuf::new(), KeySource::File(PathBuf::new())),
        scheduling: true,
        linger: None,
        open_on_loopback,
        hosts: vec!["ops-1.example".to_owned()],
        tls: None,
    };
    Access::new("secret", Tokens::in_memory(), &options)
}

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn entrance(beyond: bool) -> Entrance {
    let (peer, local): (SocketAddr, SocketAddr) = if beyond {
        (([192, 0, 2, 9], 40_000).into(), ([192, 0, 2, 1], 8667).into())
    } else {
        (([127, 0, 0, 1], 40_000).into(), ([127, 0, 0, 1], 8667).into())
    };
    Entrance { peer, local, beyond }
}

fn ask(
    access: &Access,
    beyond: bool,
    (need, uri): (Need, &str),
    pairs: &[(&'static str, &'static str)],
) -> Result<String, u16> {
    let (uri, headers) = (uri.parse().unwrap(), headers(pairs));
    let asked = Asked { entrance: entrance(beyond), uri: &uri, headers: &headers };
    access
        .caller(&asked, need, NOW)
        .and_then(|caller| caller.may(need).map(|()| caller))
        .map(|caller| caller.name.as_str().to_owned())
        .map_err(|failure| failure.status().as_u16())
}

const HOST: (&str, &str) = ("host", "localhost:8667");
const TOKEN: (&str, &str) = ("authorization", "Bearer secret");
const TASKS: (Need, &str) = (Need::Viewer, "/api/v1/tasks");
const TRIGGER: (Need, &str) = (Need::Operator, "/trigger/x");
const PING: (Need, &str) = (Need::Key, "/ping/k");
const HEALTH: (Need, &str) = (Need::Nothing, "/health");

#[test]
fn who_may_call() {
    for (open, call, pairs, expected) in [
        (false, TASKS, &[HOST, TOKEN][..], Ok("local")),
        (false, TASKS, &[HOST, ("authorization", "bearer  secret")], Ok("local")),
        (false, TASKS, &[HOST], Err(401)),
        (false, TASKS, &[HOST, ("authorization", "Basic secret")], Err(401)),
        (false, TASKS, &[HOST, ("authorization", "Bearer secre")], Err(401)),
        (true, TASKS, &[HOST], Err(401)),
        (false, TRIGGER, &[HOST], Err(401)),
        (true, TRIGGER, &[HOST], Ok("loopback")),
        (true, TRIGGER, &[HOST, ("origin", "https://evil.example")], Err(403)),
        (false, HEALTH, &[HOST], Ok("loopback")),
        (false, PING, &[HOST], Ok("ping")),
        (false, PING, &[("host", "evil.example")], Err(403)),
        (false, PING, &[HOST, ("origin", "https://evil.example")], Err(403)),
        (false, HEALTH, &[("host", "evil.example")], Err(403)),
        (false, HEALTH, &[("host", "x@localhost")], Err(403)),
        (false, HEALTH, &[("host", "ops-1.example")], Err(403)),
        (false, HEALTH, &[], Err(403)),
        (false, HEALTH, &[HOST, ("host", "evil.example")], Err(403)),
        (false, HEALTH, &[HOST, ("host", "127.0.0.1")], Err(403)),
        (false, (Need::Nothing, "http://evil.example/health"), &[HOST], Err(403)),
        (false, (Need::Nothing, "http://[::1]:8667/health"), &[], Ok("loopback")),
        (false, TASKS, &[("host", "evil.example:8667"), TOKEN], Err(403)),
        (false, TASKS, &[HOST, TOKEN, ("origin", "http://127.0.0.1:8667")], Ok("local")),
        (false, TASKS, &[HOST, TOKEN, ("origin", "http://localhost:3000")], Err(403)),
        (false, TASKS, &[HOST, TOKEN, ("origin", "null")], Err(403)),
    ] {
        assert_eq!(ask(&access(open), false, call, pairs), expected.map(str::to_owned), "{call:?} {pairs:?}");
    }
}

#[test]
fn beyond_loopback_only_its_own_names_do_and_nothing_is_open() {
    let named = ("host", "Ops-1.example:8667");
    let addressed = ("host", "192.0.2.1:8667");
    for (call, pairs, expected) in [
        (TASKS, &[named, TOKEN][..], Ok("local")),
        (TASKS, &[addressed, TOKEN], Ok("local")),
        (TASKS, &[("host", "ops-1.example."), TOKEN], Ok("local")),
        (TASKS, &[("host", "192.0.2.2:8667"), TOKEN], Err(403)),
        (TASKS, &[("host", "ops-2.example"), TOKEN], Err(403)),
        (TASKS, &[named, TOKEN, ("origin", "https://ops-1.example:8667")], Ok("local")),
        (TASKS, &[named, TOKEN, ("origin", "http://ops-1.example:8667")], Err(403)),
        (TASKS, &[named, TOKEN, ("origin", "https://ops-1.example")], Err(403)),
        (TASKS, &[named], Err(401)),
        // `open_on_loopback` is on, and never applies there.
        (TRIGGER, &[named], Err(401)),
        (HEALTH, &[named], Ok("anybody")),
        (PING, &[named], Ok("ping")),
    ] {
        assert_eq!(ask(&access(true), true, call, pairs), expected.map(str::to_owned), "{call:?} {pairs:?}");
    }
}

#[tokio::test]
async fn wrong_tokens_are_held_up_and_right_ones_are_not() {
    let access = access(false);
    let wrong =
        || ask(&access, true, TASKS, &[("host", "ops-1.example"), ("authorization", "Bearer vigie_00")]);
    for _ in 0..10 {
        assert_eq!(wrong(), Err(401));
    }
    assert_eq!(wrong(), Err(429));
    assert_eq!(ask(&access, true, TASKS, &[("host", "ops-1.example"), TOKEN]), Ok("local".to_owned()));
    // Who shows none has guessed nothing, and whoever is elsewhere has nothing to do with it.
    assert_eq!(ask(&access, true, TASKS, &[("host", "ops-1.example")]), Err(401));
    assert_eq!(ask(&access, false, TASKS, &[HOST, ("authorization", "Bearer vigie_00")]), Err(401));
    // Not even where nobody has to be known: it would tell which token is right.
    let health = [("host", "ops-1.example"), ("authorization", "Bearer vigie_00")];
    assert_eq!(ask(&access, true, HEALTH, &health), Err(429));
}

#[tokio::test]
async fn a_revoked_and_an_expired_token_say_so() {
    let access = access(false);
    let admin = Actor::here("test");
    let wish = |name: &str, expires_in_s| NewToken {
        name: name.to_owned(),
        role: Role::Viewer,
        teams: std::collections::BTreeSet::new(),
        expires_in_s,
    };
    let kept = access.tokens.create(wish("kept", Some(60)), &admin, NOW).await.unwrap().token;
    let gone = access.tokens.create(wish("gone", None), &admin, NOW).await.unwrap().token;
    access.tokens.revoke("gone", &admin, NOW).await.unwrap();
    let told = |token: &str, need, now| {
        let headers = HeaderMap::from_iter([
            (header::HOST, "localhost".parse().unwrap()),
            (header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap()),
        ]);
        let uri = Uri::from_static("/api/v1/tasks");
        let asked = Asked { entrance: entrance(false), uri: &uri, headers: &headers };
        access
            .caller(&asked, need, now)
            .and_then(|caller| caller.may(need).map(|()| caller))
            .map(|caller| caller.name.as_str().to_owned())
            .map_err(|failure| failure.detail().to_owned())
    };
    assert_eq!(told(&kept, Need::Viewer, NOW), Ok("kept".to_owned()));
    let late = NOW + chrono::TimeDelta::seconds(60);
    assert_eq!(
        told(&kept, Need::Viewer, late).unwrap_err(),
        "the token kept expired at 1970-01-01T00:01:00Z"
    );
    assert_eq!(told(&gone, Need::Viewer, NOW).unwrap_err(), "the token gone is revoked: ask for another");
    assert_eq!(
        told(&kept, Need::Operator, NOW).unwrap_err(),
        "this needs the role operator; kept has the role viewer"
    );
}

#[test]
fn keys_are_bounded_and_each_callers_own() {
    let local = Caller::new("local", Role::Admin, Scope::All);
    assert_eq!(idempotency_key(&headers(&[]), &local), Ok(None));
    let one = headers(&[("idempotency-key", "k1")]);
    assert_eq!(idempotency_key(&one, &local), Ok(Some("k1".to_owned())));
    assert!(idempotency_key(&headers(&[("idempotency-key", "")]), &local).is_err());
    let long = HeaderMap::from_iter([(
        "idempotency-key".parse().unwrap(),
        "k".repeat(MAX_KEY + 1).parse().unwrap(),
    )]);
    assert!(idempotency_key(&long, &local).is_err());
}
