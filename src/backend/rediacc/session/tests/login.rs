//! E-mail, password and a second factor.

use super::*;

#[tokio::test]
async fn login_by_email_and_password() {
    let house = House::with_login().await;
    let session = house.session();
    teams(&session).await.unwrap();
    teams(&house.session()).await.unwrap();
    let world = house.world();
    assert_eq!(world.calls(), [LOGIN, TEAMS, TEAMS], "one login for all processes");
    assert_eq!(world.seen[0].body, json!({"name": "vigie", "tokenExpirationHours": 720}));
    assert_eq!(world.seen[0].token, None);
    drop(world);
    house.assert_unbroken();
    assert_eq!(session.remarks()[1].as_str(), "logged in until 2026-12-20 07:00 UTC");
}

#[tokio::test]
async fn a_lost_login_logs_in_again() {
    let house = House::with_login().await;
    let session = house.session();
    teams(&session).await.unwrap();
    house.world().lose.push_back((TEAMS, Lose::AfterActing));
    teams(&session).await.unwrap_err();
    teams(&session).await.unwrap();
    assert_eq!(house.world().calls(), [LOGIN, TEAMS, TEAMS, TEAMS, LOGIN, TEAMS]);
}

#[tokio::test]
async fn a_second_factor_is_asked_for_only_when_it_is_needed() {
    for code_at_login in [false, true] {
        let house = House::with_login().await;
        house.world().second_factor = Some("123456".to_owned());
        house.world().switches.code_at_login = code_at_login;
        let session = house.session();
        for _ in 0..3 {
            let error = teams(&session).await.unwrap_err();
            assert!(
                matches!(&error, BackendError::Credential(words)
                    if words.contains("a second factor is needed: run `vigie endpoints test queue` at a terminal")),
                "{error:?}"
            );
        }
        assert_eq!(house.world().calls(), [LOGIN], "the account is not knocked at again and again");
        house.source.set("second_factor", "123456");
        teams(&session).await.unwrap();
        teams(&session).await.unwrap();
        let expected: &[&str] =
            if code_at_login { &[LOGIN, LOGIN, TEAMS, TEAMS] } else { &[LOGIN, PRIVILEGE, TEAMS, TEAMS] };
        assert_eq!(house.world().calls(), expected);
        assert_eq!(house.world().seen[1].body["tFACode"], "123456");
        house.assert_unbroken();
    }
}

#[tokio::test]
async fn a_second_factor_is_never_sent_twice() {
    for code_at_login in [false, true] {
        let house = House::with_login().await;
        house.world().second_factor = Some("123456".to_owned());
        house.world().switches.code_at_login = code_at_login;
        house.source.set("second_factor", "999999");
        let error = teams(&house.session()).await.unwrap_err();
        assert!(matches!(error, BackendError::Unauthorised(_)), "{error:?}");
        // Another process, the same code.
        let session = house.session();
        for _ in 0..2 {
            let error = teams(&session).await.unwrap_err();
            let said = error.to_string();
            assert!(said.contains("was used before"), "{said}");
        }
        let is_it = |seen: &&stand_in::Seen| seen.body["tFACode"] == "999999";
        assert_eq!(house.world().seen.iter().filter(is_it).count(), 1);
        let kept = std::fs::read_to_string(house.file()).unwrap();
        assert!(!kept.contains("999999"));
        house.source.set("second_factor", "123456");
        teams(&session).await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_login_rests_until_the_credentials_change() {
    let house = House::with_login().await;
    house.source.set("password", "wrong");
    let session = house.session();
    for _ in 0..3 {
        let error = teams(&session).await.unwrap_err();
        assert!(matches!(error, BackendError::Unauthorised(_)), "{error:?}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
    assert_eq!(house.world().count(LOGIN), 1);
    house.source.set("password", PASSWORD);
    teams(&session).await.unwrap();
    assert_eq!(house.world().count(LOGIN), 2);
}

#[tokio::test]
async fn without_any_credential_it_says_what_to_set() {
    let house = House::bare().await;
    house.source.set("email", EMAIL);
    let error = teams(&house.session()).await.unwrap_err();
    assert!(error.to_string().contains("set auth.token, or auth.email and auth.password"), "{error}");
    assert!(house.world().seen.is_empty());
}

#[tokio::test]
async fn a_revoked_login_is_not_made_again_by_itself() {
    let house = House::with_login().await;
    let session = house.session();
    teams(&session).await.unwrap();
    session.revoke().await.unwrap();
    let words = teams(&session).await.unwrap_err().to_string();
    assert!(words.contains("vigie logs in again when it is started again"), "{words}");
    assert_eq!(house.world().calls(), [LOGIN, TEAMS, DELETE]);
    teams(&house.session()).await.unwrap();
}
