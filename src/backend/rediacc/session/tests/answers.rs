//! What answers mean in every generation's clothes, what of them is dropped, and the budget.

use proptest::prelude::*;

use super::stand_in::Switches;
use super::*;

#[tokio::test]
async fn every_generations_clothes_are_understood() {
    let all = Switches {
        pascal: true,
        bits_as_numbers: true,
        tables: true,
        extra_sets: true,
        zoneless: true,
        ..Switches::default()
    };
    for switches in [
        Switches { pascal: true, ..Switches::default() },
        Switches { bits_as_numbers: true, ..Switches::default() },
        Switches { tables: true, ..Switches::default() },
        Switches { extra_sets: true, ..Switches::default() },
        Switches { zoneless: true, ..Switches::default() },
        Switches { token_on_top: true, ..Switches::default() },
        Switches { token_on_top: true, status_is_code: true, ..all.clone() },
        all,
    ] {
        let house = House::new().await;
        house.world().switches = switches.clone();
        let session = house.session();
        for _ in 0..2 {
            let reply = teams(&session).await.unwrap();
            let names: Vec<_> = reply.with("teamName").iter().map(|row| row["teamName"].clone()).collect();
            assert_eq!(names, ["prod", "staging"], "{switches:?}");
            assert_eq!(bit(reply.row_with("isMember").unwrap().get("isMember")), Some(true));
            assert_eq!(reply.sets().len(), 1, "neither the token's set nor empty ones");
            assert!(reply.with("taskId").is_empty());
        }
        house.assert_unbroken();
        let remarks = session.remarks();
        assert!(remarks[1].contains("until 2026-12-20 07:00 UTC"), "{remarks:?}");
        let old = remarks.iter().any(|remark| remark.contains("generation 0"));
        assert_eq!(old, switches.tables, "{remarks:?}");
    }
}

type Is = fn(&BackendError) -> bool;

/// Status, body, what it is, and words that it says.
const REFUSALS: &[(u16, &str, Is, &str)] = &[
    (
        200,
        r#"{"failure":400,"errors":["a","b"]}"#,
        |e| matches!(e, BackendError::Refused { status: 400, .. }),
        "a; b",
    ),
    (200, r#"{"failure":403,"errors":[],"message":"m"}"#, |e| matches!(e, BackendError::Forbidden(_)), "m"),
    (
        200,
        r#"{"failure":404,"resultSets":[{"data":[{"errorMessage":"row"}]}]}"#,
        |e| matches!(e, BackendError::NotFound(_)),
        "row",
    ),
    (200, r#"{"Failure":409,"Errors":["E"]}"#, |e| matches!(e, BackendError::Conflict(_)), "E"),
    (
        200,
        r#"{"failure":500,"errors":"one"}"#,
        |e| matches!(e, BackendError::Server { status: 500, .. }),
        "one",
    ),
    (200, r#"{"failure":2,"message":"m"}"#, |e| matches!(e, BackendError::NotFound(_)), "m"),
    (200, r#"{"failure":3,"message":"m"}"#, |e| matches!(e, BackendError::Conflict(_)), "m"),
    (200, r#"{"failure":4,"message":"m"}"#, |e| matches!(e, BackendError::Refused { .. }), "m"),
    (200, r#"{"failure":5,"message":"m"}"#, |e| matches!(e, BackendError::Refused { .. }), "m"),
    (200, r#"{"failure":6,"message":"m"}"#, |e| matches!(e, BackendError::Conflict(_)), "m"),
    (200, r#"{"failure":7,"message":"m"}"#, |e| matches!(e, BackendError::Server { .. }), "m"),
    (200, r#"{"failure":99}"#, |e| matches!(e, BackendError::Failed(_)), "code 99"),
    (
        200,
        r#"{"failure":1,"message":"m","nextRequestToken":"n"}"#,
        |e| matches!(e, BackendError::Forbidden(_)),
        "m",
    ),
    (403, r#"{"failure":1,"message":"m"}"#, |e| matches!(e, BackendError::Forbidden(_)), "m"),
    (404, r#"{"failure":404,"errors":["E"]}"#, |e| matches!(e, BackendError::NotFound(_)), "E"),
    (409, r#"{"failure":0,"message":"m"}"#, |e| matches!(e, BackendError::Conflict(_)), "m"),
    (
        500,
        "<html><title>Oh no</title></html>",
        |e| matches!(e, BackendError::Server { status: 500, .. }),
        "Oh no",
    ),
    (502, "", |e| matches!(e, BackendError::Server { status: 502, .. }), "Bad Gateway"),
    (
        200,
        "<html><title>Portal</title></html>",
        |e| matches!(e, BackendError::Protocol { .. }),
        "HTML instead of JSON",
    ),
    (200, "[]", |e| matches!(e, BackendError::Protocol { .. }), "not an object"),
    (200, "{}", |e| matches!(e, BackendError::Protocol { .. }), "neither failure nor resultSets"),
    (200, r#"{"failure":0,"resultSets":{}}"#, |e| matches!(e, BackendError::Protocol { .. }), "not a list"),
    (
        200,
        r#"{"failure":0,"resultSets":[{"data":[3]}]}"#,
        |e| matches!(e, BackendError::Protocol { .. }),
        "data[0]",
    ),
    (200, r#"{"failure":"x"}"#, |e| matches!(e, BackendError::Protocol { .. }), "not a number"),
    (200, r#"{"failure":0,"#, |e| matches!(e, BackendError::Protocol { .. }), "EOF"),
];

#[tokio::test]
async fn every_refusal_has_its_class_and_words() {
    for (status, body, is, words) in REFUSALS {
        let house = House::new().await;
        let session = house.session();
        teams(&session).await.unwrap();
        house.world().instead.push_back((TEAMS, *status, Vec::new(), (*body).to_owned()));
        let error = teams(&session).await.unwrap_err();
        assert!(is(&error), "{status} {body}: {error:?}");
        assert!(error.to_string().contains(words), "{status} {body}: {error}");
        if !body.contains("nextRequestToken") {
            // The token was not spent by that, and no session was given up for it.
            teams(&session).await.unwrap();
            assert_eq!(house.world().count(FORK), 1, "{status} {body}");
        }
    }
}

#[tokio::test]
async fn too_many_requests_say_how_long_to_wait() {
    let house = House::new().await;
    let session = house.session();
    teams(&session).await.unwrap();
    for body in ["slow down", r#"{"failure":429,"errors":["slow down"]}"#] {
        let headers = vec![("retry-after", "17".to_owned())];
        house.world().instead.push_back((TEAMS, 429, headers, body.to_owned()));
        let error = teams(&session).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(17)), "{error:?}");
        assert!(error.to_string().contains("slow down"), "{error}");
    }
    teams(&session).await.unwrap();
    house.assert_unbroken();
}

#[tokio::test]
async fn a_401_that_brings_a_token_is_no_lost_session() {
    let house = House::new().await;
    let session = house.session();
    teams(&session).await.unwrap();
    let body = r#"{"failure":401,"errors":["not yours"],"nextRequestToken":"the-next"}"#;
    house.world().instead.push_back((TEAMS, 200, Vec::new(), body.to_owned()));
    let error = act(&session).await.unwrap_err();
    assert!(matches!(&error, BackendError::Unauthorised(words) if words == "not yours"), "{error:?}");
    assert_eq!(house.kept()["own"]["token"], "the-next");
    assert_eq!(house.world().count(TEAMS), 2, "it was heard and refused: not sent again");
}

#[tokio::test]
async fn vault_and_credential_fields_appear_nowhere() {
    let house = House::new().await;
    let session = house.session();
    let nested =
        json!({"note": "kept", "vaultContent": "s3cret-1", "deep": [{"Bridge_Credentials": "s3cret-2"}]});
    let twice = json!({"text": nested.to_string()});
    let row = json!({
        "taskId": "t-1", "vaultContent": "s3cret-3", "VaultStatus": "{\"x\":\"s3cret-4\"}",
        "vaultContentResponse": {"x": "s3cret-5"}, "bridgeCredential": ["s3cret-6"], "requestToken": "s3cret-7",
        "details": nested.to_string(), "again": twice.to_string(), "torn": "{\"vaultContent\":\"s3cret-8",
        "prose": "Vault changed to {\"key\":\"s3cret-9\"}", "plain": "the vault was changed", "json": "{\"a\":1}",
    });
    teams(&session).await.unwrap();
    let body = json!({
        "failure": 0, "vaultOrganization": "s3cret-10", "outputs": {"credential": "s3cret-11"},
        "resultSets": [{"data": [{"nextRequestToken": house.world().sessions[1].token}]}, {"data": [row]}],
    });
    house.world().instead.push_back((TEAMS, 200, Vec::new(), body.to_string()));
    let reply = teams(&session).await.unwrap();
    let row = reply.row_with("taskId").unwrap();
    assert_eq!(row["details"], r#"{"note":"kept","deep":[{}]}"#);
    assert_eq!(
        (&row["prose"], &row["plain"]),
        (&json!("Vault changed to…"), &json!("the vault was changed"))
    );
    assert_eq!(row["json"], r#"{"a":1}"#, "what holds no secret is as it was");
    let error = json!({
        "failure": 400, "errors": ["bad vaultContent {\"k\":\"s3cret-12\"}"], "resultSets": [{"data": [{"vault": "s3cret-13"}]}],
    });
    house.world().instead.push_back((TEAMS, 400, Vec::new(), error.to_string()));
    let error = teams(&session).await.unwrap_err();
    let kept = std::fs::read_to_string(house.file()).unwrap();
    let shown = format!("{reply:?} {error} {error:?} {session:?} {:?} {kept}", session.remarks());
    assert!(!shown.contains("s3cret"), "{shown}");
    let tokens: Vec<String> = house.world().sessions.iter().map(|session| session.token.clone()).collect();
    let shown = format!("{reply:?} {error} {error:?} {session:?} {:?}", session.remarks());
    assert!(tokens.iter().all(|token| !shown.contains(token.as_str())), "{shown}");
}

#[tokio::test]
async fn a_token_that_the_server_quotes_is_not_shown() {
    let house = House::new().await;
    let session = house.session();
    teams(&session).await.unwrap();
    for status in [200, 400, 500] {
        let token = house.world().sessions[1].token.clone();
        for body in [
            json!({"failure": 400, "errors": [format!("token {token} is odd")]}).to_string(),
            format!("<html><title>Error in {token}</title></html>"),
        ] {
            house.world().instead.push_back((TEAMS, status, Vec::new(), body));
            let error = teams(&session).await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains(&token), "{error:?}");
        }
    }
    teams(&session).await.unwrap();
    house.assert_unbroken();
}

#[tokio::test]
async fn the_budget_counts_every_call_refuses_looks_and_never_holds_back_a_command() {
    let house = House::new().await;
    let session = house.session();
    assert_eq!(session.remarks(), ["request budget: 60 of 60 left"]);
    teams(&session).await.unwrap();
    assert_eq!(session.budget().left, 58, "the fork counts too");
    assert_eq!(session.remarks()[0].as_str(), "request budget: 50 of 60 left");
    for _ in 0..58 {
        session.inner.bucket().draw(now());
    }
    assert_eq!(session.remarks()[0].as_str(), "request budget: 0 of 60 left, polls wait");
    let error = session.call(TEAMS, json!({}), Purpose::Look).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(4)), "{error:?}");
    assert_eq!(house.world().count(TEAMS), 1, "nothing was sent");
    act(&session).await.unwrap();
    assert_eq!(session.budget().left, -1);
    assert_eq!(session.budget().wait, Duration::from_secs(8));
}

#[tokio::test]
async fn health_needs_no_session() {
    let house = House::bare().await;
    let health = house.session().health().await.unwrap();
    assert_eq!(health.version.as_deref(), Some("0.4.2"));
    assert_eq!(health.status.as_deref(), Some("healthy"));
    assert_eq!(health.server_time, Some(now()));
    assert_eq!(house.source.asked.load(Ordering::SeqCst), 0);
}

/// JSON with `s3cret` wherever nobody may look, and sometimes as text in text.
fn hiding() -> impl Strategy<Value = Value> {
    let names = prop_oneof![
        Just("vaultContent"),
        Just("VaultStatus"),
        Just("bridgeCredentials"),
        Just("requestToken"),
        Just("name"),
        Just("details"),
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i32>().prop_map(Value::from),
        "[a-z{}\\[\\]\" ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let field = (names.clone(), inner.clone()).prop_map(|(name, value)| {
            let lower = name.to_ascii_lowercase();
            let secret = ["vault", "credential", "token"].iter().any(|word| lower.contains(word));
            (name.to_owned(), if secret { json!({"k": "s3cret", "v": value}) } else { value })
        });
        let object =
            proptest::collection::vec(field, 0..4).prop_map(|fields| fields.into_iter().collect::<Value>());
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::Array),
            object.clone(),
            object.prop_map(|value| Value::from(value.to_string())),
        ]
    })
}

proptest! {
    #[test]
    fn no_secret_survives_the_parsing(row in hiding(), message in hiding()) {
        let message = message.to_string();
        let body = json!({"failure": 400, "message": message, "resultSets": [{"data": [{"row": row}]}]});
        let (_, envelope) = envelope::read(body.to_string().as_bytes());
        let shown = format!("{:?}", envelope.unwrap());
        prop_assert!(!shown.contains("s3cret"), "{shown}");
    }

    /// However an answer is torn, and whatever follows: once the token was there, it is found.
    #[test]
    fn a_token_is_found_in_whatever_came(cut in 0_usize..400, noise in any::<Vec<u8>>()) {
        let body = json!({"failure": 0, "errors": [], "resultSets": [
            {"data": [{"nextRequestToken": "the-next"}]}, {"data": [{"teamName": "x".repeat(300)}]},
        ]}).to_string();
        let end = body.find("the-next\"").unwrap() + "the-next\"".len();
        let mut torn = body.as_bytes()[..cut.min(body.len())].to_vec();
        torn.extend(noise);
        let (found, _) = envelope::read(&torn);
        if cut >= end {
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(secrecy::ExposeSecret::expose_secret(&found[0].token), "the-next");
        }
    }
}
