use super::*;

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn wish(name: &str, teams: &[&str]) -> NewToken {
    NewToken {
        name: name.to_owned(),
        role: Role::Operator,
        teams: teams.iter().map(|team| (*team).to_owned()).collect(),
        expires_in_s: None,
    }
}

fn later(seconds: i64) -> DateTime<Utc> {
    NOW + TimeDelta::seconds(seconds)
}

fn here() -> Actor {
    Actor::here("test")
}

#[tokio::test]
async fn a_token_is_found_by_its_digest_and_is_nowhere_itself() {
    let tokens = Tokens::in_memory();
    let issued = tokens.create(wish("ci", &["data"]), &here(), NOW).await.unwrap();
    assert!(issued.token.starts_with("vigie_") && issued.token.len() == 6 + 64, "{}", issued.token.len());
    assert!(!format!("{issued:?} {tokens:?}").contains(&issued.token));
    let found = tokens.find(&digest_of(&issued.token), NOW).unwrap();
    assert_eq!((found.name().as_str(), found.role()), ("ci", Role::Operator));
    assert!(found.scope().holds(Some("data")) && !found.scope().holds(None));
    assert_eq!(tokens.find(&digest_of("vigie_00"), NOW).unwrap_err(), Denied::Unknown);
}

#[tokio::test]
async fn wishes_that_cannot_be_are_refused() {
    let tokens = Tokens::in_memory();
    tokens.create(wish("ci", &[]), &here(), NOW).await.unwrap();
    for (wish, part) in [
        (wish("", &[]), "1 to 64"),
        (wish("a b", &[]), "1 to 64"),
        (wish(&"x".repeat(65), &[]), "1 to 64"),
        (wish("local", &[]), "others"),
        (wish("x", &["default"]), "without a team"),
        (wish("x", &[""]), "1 to 128"),
        (wish("ci", &[]), "already"),
        (NewToken { expires_in_s: Some(u64::MAX), ..wish("x", &[]) }, "a hundred years"),
        (NewToken { expires_in_s: Some(0), ..wish("x", &[]) }, "expired already"),
        (wish("SIGHUP", &[]), "the audit log calls others so"),
    ] {
        let refusal = tokens.create(wish, &here(), NOW).await.unwrap_err().to_string();
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[tokio::test]
async fn nobody_makes_or_sees_a_token_that_sees_more_than_they_do() {
    let tokens = Tokens::in_memory();
    let scoped = Actor { scope: Scope::Teams(BTreeSet::from(["data".to_owned()])), ..here() };
    tokens.create(wish("all", &[]), &here(), NOW).await.unwrap();
    tokens.create(wish("own", &["data"]), &scoped, NOW).await.unwrap();
    for teams in [&[][..], &["ops"], &["data", "ops"]] {
        let refusal = tokens.create(wish("more", teams), &scoped, NOW).await.unwrap_err();
        assert!(matches!(refusal, TokenRefusal::Beyond(_)), "{refusal}");
    }
    let names: Vec<_> = tokens.list(&scoped).into_iter().map(|info| info.name).collect();
    assert_eq!(names, [Clean::line("own")]);
    assert_eq!(tokens.revoke("all", &scoped, NOW).await, Err(TokenRefusal::NoToken("all".into())));
    assert!(tokens.rotate("all", 0, &scoped, NOW).await.is_err());
    assert_eq!(tokens.list(&here()).len(), 2);
}

#[tokio::test]
async fn a_rotated_token_is_good_until_its_grace_is_over() {
    let tokens = Tokens::in_memory();
    let first =
        tokens.create(NewToken { expires_in_s: Some(1_000), ..wish("ci", &[]) }, &here(), NOW).await.unwrap();
    let second = tokens.rotate("ci", 60, &here(), later(100)).await.unwrap();
    assert_eq!(second.info.expires, Some(later(1_100)), "as long as the first was made for");
    let good = |token: &str, at| tokens.find(&digest_of(token), at).map(drop);
    assert_eq!((good(&first.token, later(159)), good(&second.token, later(159))), (Ok(()), Ok(())));
    assert_eq!(good(&first.token, later(160)), Err(Denied::Expired("ci".into(), later(160))));

    let third = tokens.rotate("ci", 0, &here(), later(200)).await.unwrap();
    assert_eq!(good(&second.token, later(200)), Err(Denied::Revoked("ci".into())));
    assert_eq!(good(&third.token, later(200)), Ok(()));
    assert_eq!(tokens.rotate("no", 0, &here(), NOW).await.unwrap_err(), TokenRefusal::NoToken("no".into()));
}

#[tokio::test]
async fn revoking_lets_go_whoever_waits_with_it_and_those_it_has_replaced() {
    let tokens = Tokens::in_memory();
    let first = tokens.create(wish("ci", &[]), &here(), NOW).await.unwrap().token;
    let held = tokens.find(&digest_of(&first), NOW).unwrap();
    let second = tokens.rotate("ci", 600, &here(), NOW).await.unwrap().token;
    let again = tokens.find(&digest_of(&second), NOW).unwrap();
    tokens.revoke("ci", &here(), NOW).await.unwrap();
    held.ended(NOW).await;
    again.ended(NOW).await;
    for token in [first, second] {
        assert_eq!(tokens.find(&digest_of(&token), NOW).unwrap_err(), Denied::Revoked("ci".into()));
    }
    assert_eq!(tokens.revoke("ci", &here(), NOW).await, Err(TokenRefusal::NoToken("ci".into())));
    // The name is free again.
    tokens.create(wish("ci", &[]), &here(), NOW).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_at_its_time_for_those_who_wait() {
    let tokens = Tokens::in_memory();
    let issued =
        tokens.create(NewToken { expires_in_s: Some(60), ..wish("ci", &[]) }, &here(), NOW).await.unwrap();
    let token = tokens.find(&digest_of(&issued.token), NOW).unwrap();
    assert!(tokio::time::timeout(std::time::Duration::from_secs(59), token.ended(NOW)).await.is_err());
    token.ended(later(59)).await;
}

#[tokio::test]
async fn one_token_does_not_take_all_the_room_for_waiting() {
    let tokens = Tokens::in_memory();
    let issued = tokens.create(wish("ci", &[]), &here(), NOW).await.unwrap();
    let token = tokens.find(&digest_of(&issued.token), NOW).unwrap();
    let held: Vec<_> = (0..MAX_WAITING).map(|_| token.wait().unwrap()).collect();
    assert!(token.wait().is_none());
    drop(held);
    assert!(token.wait().is_some());
}

#[tokio::test]
async fn on_disk_there_is_the_digest_alone_and_it_outlives_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let open = async || at_rest(data.path()).await.unwrap();
    let tokens = open().await;
    let issued = tokens.create(wish("ci", &["data"]), &here(), later(5)).await.unwrap();
    let old = tokens.create(wish("old", &[]), &here(), later(6)).await.unwrap();
    tokens.revoke("old", &here(), later(7)).await.unwrap();
    tokens.find(&digest_of(&issued.token), later(100)).unwrap();
    tokens.note_uses().await.unwrap();
    assert!(matches!(at_rest(data.path()).await, Err(OpenError::Lock(_))), "nobody else meanwhile");
    let before = tokens.list(&here());
    drop(tokens);

    let again = open().await;
    assert_eq!(again.list(&here()), before);
    assert_eq!(before[0].last_used, Some(later(100)));
    let found = again.find(&digest_of(&issued.token), later(200)).unwrap();
    assert_eq!(found.scope(), &Scope::Teams(BTreeSet::from(["data".to_owned()])));
    assert_eq!(again.find(&digest_of(&old.token), later(200)).unwrap_err(), Denied::Revoked("old".into()));
    drop(again);
    for file in std::fs::read_dir(data.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in [&issued.token, &old.token] {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
        }
    }
}
