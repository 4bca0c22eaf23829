//! Tokens: each good for one request, stored before anything else, lost and mended.

use std::sync::atomic::AtomicI64;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::*;

/// Hours that a test's clock is ahead; one clock per test.
macro_rules! clock {
    ($name:ident, $ahead:ident) => {
        static $ahead: AtomicI64 = AtomicI64::new(0);
        fn $name() -> DateTime<Utc> {
            now() + TimeDelta::hours($ahead.load(Ordering::SeqCst))
        }
    };
}

#[tokio::test]
async fn the_first_call_forks_a_session_of_its_own_and_keeps_the_parents_next_token_too() {
    let house = House::new().await;
    let given = house.source.values.lock().unwrap()["token"].clone();
    let session = house.session();
    assert_eq!(teams(&session).await.unwrap().with("teamName").len(), 2);
    let world = house.world();
    assert_eq!(world.calls(), [FORK, TEAMS]);
    assert_eq!(world.seen[0].token.as_deref(), Some(given.as_str()));
    assert_eq!(world.seen[0].body, json!({"childName": "vigie", "tokenExpirationHours": 720}));
    let (parent, child) = (&world.sessions[0], &world.sessions[1]);
    assert_eq!(child.parent, Some(parent.id));
    assert_eq!(world.seen[1].session, Some(child.id), "all work is done with the child");
    let kept = house.kept();
    assert_eq!(kept["parent"]["token"], parent.token.as_str());
    assert_eq!(kept["own"]["token"], child.token.as_str());
    assert!(!kept.to_string().contains(&given), "a spent token is not kept");
}

#[tokio::test]
async fn the_next_token_is_stored_before_failure_is_looked_at() {
    for status_is_code in [false, true] {
        let house = House::new().await;
        house.world().switches.status_is_code = status_is_code;
        let session = house.session();
        teams(&session).await.unwrap();
        let before = house.kept()["own"]["token"].clone();
        let error = session.call("GetNoSuchThing", json!({}), Purpose::Poll).await.unwrap_err();
        assert!(
            matches!(&error, BackendError::NotFound(words) if words.contains("GetNoSuchThing")),
            "{error}"
        );
        let after = house.kept()["own"]["token"].clone();
        assert_ne!(before, after);
        assert_eq!(after, house.world().sessions[1].token.as_str());
        teams(&session).await.unwrap();
        house.assert_unbroken();
    }
}

#[tokio::test]
async fn a_token_is_saved_from_an_answer_that_breaks_off() {
    let house = House::new().await;
    let session = house.session();
    teams(&session).await.unwrap();
    house.world().cut.push_back((TEAMS, 200));
    let error = act(&session).await.unwrap_err();
    assert!(matches!(error, BackendError::Broken(_)) && error.may_have_acted(), "{error:?}");
    teams(&session).await.unwrap();
    house.assert_unbroken();
    assert_eq!(house.world().count(FORK), 1);
}

#[tokio::test]
async fn a_token_is_saved_from_an_answer_that_is_not_whole_in_time() {
    let house = House::new().await;
    teams(&house.session()).await.unwrap();
    house.world().cut.push_back((TEAMS, 200));
    house.world().stall = true;
    let error = act(&house.session_at(now, Duration::from_secs(5))).await.unwrap_err();
    assert!(matches!(error, BackendError::TimedOut { .. }), "{error:?}");
    teams(&house.session()).await.unwrap();
    house.assert_unbroken();
    assert_eq!(house.world().count(FORK), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_and_its_folder_are_for_nobody_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let house = House::new().await;
    let folder = house.state.path().join("sessions");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    teams(&house.session()).await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "the session and its lock, nothing half written: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn another_process_goes_on_with_the_session_and_a_fresh_token_starts_anew() {
    let house = House::new().await;
    teams(&house.session()).await.unwrap();
    teams(&house.session()).await.unwrap();
    house.assert_unbroken();
    assert_eq!(house.world().calls(), [FORK, TEAMS, TEAMS]);
    let first = house.file();
    house.give_fresh_token();
    teams(&house.session()).await.unwrap();
    assert_eq!(house.world().count(FORK), 2);
    assert_ne!(house.file(), first);
}

#[tokio::test]
async fn a_fresh_token_sweeps_away_lost_sessions_of_the_same_endpoint_alone() {
    let house = House::new().await;
    teams(&house.session()).await.unwrap();
    let lost = house.file();
    house.world().end_sessions(|_| true);
    teams(&house.session()).await.unwrap_err();
    // Another endpoint's, and one of the same that is good.
    let elsewhere = lost.with_file_name("elsewhere.json");
    std::fs::write(&elsewhere, json!({"url": "http://other/api", "lost": {"at": now()}}).to_string())
        .unwrap();
    house.give_fresh_token();
    teams(&house.session()).await.unwrap();
    let good = house.file();
    assert!(!lost.exists() && elsewhere.exists() && good.exists());
    house.give_fresh_token();
    teams(&house.session()).await.unwrap();
    assert!(good.exists(), "it can be gone on with");
    // One that another process is at work with is left alone.
    house.world().end_sessions(|_| true);
    teams(&house.session()).await.unwrap_err();
    let (ended, lock) = (house.file(), house.file().with_extension("lock"));
    let lock = std::fs::File::open(lock).unwrap();
    lock.lock().unwrap();
    house.give_fresh_token();
    teams(&house.session()).await.unwrap();
    assert!(ended.exists());
}

#[tokio::test]
async fn two_processes_at_once_lose_no_token_and_never_overlap() {
    let house = House::new().await;
    let (one, other) = (house.session(), house.session());
    let calls = (0..20).map(|n| teams(if n % 2 == 0 { &one } else { &other }));
    for result in join_all(calls).await {
        result.unwrap();
    }
    house.assert_unbroken();
    assert_eq!(house.world().count(TEAMS), 20);
    assert_eq!(house.world().count(FORK), 1);
}

#[tokio::test]
async fn a_lock_that_another_holds_is_waited_for_within_the_limit() {
    let house = House::new().await;
    teams(&house.session()).await.unwrap();
    let lock = std::fs::File::open(house.file().with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let hasty = house.session_at(now, Duration::from_millis(60));
    let error = act(&hasty).await.unwrap_err();
    assert!(error.to_string().contains("no turn at the session"), "{error}");
    assert!(!error.may_have_acted());
    assert_eq!(house.world().count(TEAMS), 1, "nothing was sent");
    let patient = house.session();
    let (done, waiting) = (teams(&patient), async {
        tokio::task::yield_now().await;
        drop(lock);
    });
    tokio::join!(done, waiting).0.unwrap();
    house.assert_unbroken();
}

#[tokio::test]
async fn whoever_leaves_in_mid_exchange_loses_no_token() {
    let house = House::new().await;
    let session = Arc::new(house.session());
    teams(&session).await.unwrap();
    house.server.close_gate();
    tokio::select! {
        _ = teams(&session) => panic!("the gate is closed"),
        () = house.server.called(TEAMS, 2) => {}
    }
    house.server.open_gate();
    teams(&session).await.unwrap();
    house.assert_unbroken();
    assert_eq!(house.world().count(TEAMS), 3);
    assert_eq!(house.world().count(FORK), 1);
}

#[tokio::test]
async fn whoever_leaves_before_its_turn_sends_nothing() {
    let house = House::new().await;
    let session = house.session();
    teams(&session).await.unwrap();
    house.server.close_gate();
    let (leave, left) = oneshot::channel::<()>();
    let first = teams(&session);
    let second = async {
        tokio::select! {
            _ = act(&session) => panic!("it is not its turn"),
            _ = left => {}
        }
    };
    let conduct = async {
        house.server.called(TEAMS, 2).await;
        leave.send(()).unwrap();
        tokio::task::yield_now().await;
        house.server.open_gate();
    };
    tokio::join!(first, second, conduct).0.unwrap();
    teams(&session).await.unwrap();
    assert_eq!(house.world().count(TEAMS), 3, "the one that left was never sent");
    house.assert_unbroken();
}

#[tokio::test]
async fn after_a_lost_answer_the_old_token_is_tried_once_and_the_parent_forks_anew() {
    for how in [Lose::BeforeActing, Lose::AfterActing] {
        let house = House::new().await;
        let session = house.session();
        teams(&session).await.unwrap();
        house.world().lose.push_back((TEAMS, how));
        let error = teams(&session).await.unwrap_err();
        assert!(matches!(error, BackendError::Broken(_)), "{error:?}");
        let doubt = house.kept()["own"]["doubt"].clone();
        assert_eq!((&doubt["procedure"], &doubt["acts"]), (&json!(TEAMS), &json!(false)));
        teams(&session).await.unwrap();
        let world = house.world();
        assert_eq!(world.refused, 1, "once, with the old token");
        assert_eq!(world.calls(), [FORK, TEAMS, TEAMS, TEAMS, FORK, TEAMS]);
        drop(world);
        assert_eq!(house.kept()["lost"], json!(null));
    }
}

#[tokio::test]
async fn a_lost_answer_never_repeats_a_call_that_changes_something() {
    let house = House::new().await;
    let session = house.session();
    session.call("GetUserRequests", json!({}), Purpose::Poll).await.unwrap();
    house.world().lose.push_back((TEAMS, Lose::AfterActing));
    let error = act(&session).await.unwrap_err();
    assert!(error.may_have_acted(), "{error:?}");
    for _ in 0..3 {
        session.call("GetUserRequests", json!({}), Purpose::Poll).await.unwrap();
    }
    assert_eq!(house.world().count(TEAMS), 1);
}

#[tokio::test]
async fn no_answer_in_time_leaves_the_token_in_doubt_and_not_more() {
    let house = House::new().await;
    teams(&house.session()).await.unwrap();
    house.server.close_gate();
    let hasty = house.session_at(now, Duration::from_secs(5));
    let error = teams(&hasty).await.unwrap_err();
    assert!(matches!(error, BackendError::TimedOut { .. }), "{error:?}");
    house.server.idle().await;
    house.server.open_gate();
    // The server never came to spend it: once is enough.
    teams(&house.session()).await.unwrap();
    assert_eq!(house.world().count(FORK), 1);
}

#[tokio::test]
async fn a_refused_token_proves_that_nothing_was_done_so_the_call_goes_out_once_more() {
    let house = House::new().await;
    let session = house.session();
    teams(&session).await.unwrap();
    house.world().end_sessions(|s| s.name == "vigie");
    act(&session).await.unwrap();
    assert_eq!(house.world().calls(), [FORK, TEAMS, TEAMS, FORK, TEAMS]);
    assert_eq!(house.world().refused, 1);
}

#[tokio::test]
async fn a_token_that_another_has_renewed_meanwhile_is_read_again() {
    let house = House::new().await;
    let session = house.session();
    teams(&session).await.unwrap();
    house.server.close_gate();
    let file = house.file();
    // A process on another machine, where the lock does not hold, was first.
    house.world().sessions[1].token = "renewed-elsewhere".to_owned();
    let elsewhere = async {
        house.server.called(TEAMS, 2).await;
        let mut kept = house.kept();
        kept["own"]["token"] = json!("renewed-elsewhere");
        std::fs::write(&file, kept.to_string()).unwrap();
        house.server.open_gate();
    };
    tokio::join!(act(&session), elsewhere).0.unwrap();
    let world = house.world();
    assert_eq!((world.count(FORK), world.count(TEAMS), world.refused), (1, 3, 1));
}

#[tokio::test]
async fn a_process_killed_between_sending_and_storing_leaves_word_of_it() {
    for spent in [true, false] {
        let house = House::new().await;
        let session = house.session();
        teams(&session).await.unwrap();
        house.server.close_gate();
        tokio::select! {
            _ = act(&session) => panic!("the gate is closed"),
            () = house.server.called(TEAMS, 2) => {}
        }
        house.running.lock().unwrap().abort_all();
        house.server.idle().await;
        let pending = house.kept()["own"]["pending"].clone();
        assert_eq!(pending, json!({"procedure": TEAMS, "at": "2026-11-20T07:00:00Z", "acts": true}));
        house.server.open_gate();
        drop(session);
        if spent {
            house.world().sessions[1].token = "went-with-the-answer".to_owned();
        }
        let next = house.session();
        next.call("GetUserRequests", json!({}), Purpose::Poll).await.unwrap();
        let world = house.world();
        assert_eq!(world.count(TEAMS), 2, "what the dead process sent is not sent again");
        assert_eq!(world.count(FORK), if spent { 2 } else { 1 });
        drop(world);
        assert_eq!(house.kept()["own"]["pending"], json!(null));
    }
}

#[tokio::test]
async fn a_session_lost_with_its_parent_says_since_when_why_and_how_to_mend_it() {
    let house = House::new().await;
    let session = house.session();
    teams(&session).await.unwrap();
    house.world().lose.push_back((TEAMS, Lose::AfterActing));
    teams(&session).await.unwrap_err();
    house.world().end_sessions(|_| true);
    for _ in 0..2 {
        let error = teams(&session).await.unwrap_err();
        assert!(matches!(error, BackendError::Unauthorised(_)), "{error:?}");
        let words = error.to_string();
        for part in [
            BAD_TOKEN,
            "the session is lost: the answer to GetOrganizationTeams at 2026-11-20 07:00 UTC never came",
            "make a fresh token for vigie and put it where auth.token is read from",
        ] {
            assert!(words.contains(part), "{words}");
        }
    }
    // Mended while we run: the source is asked again.
    house.give_fresh_token();
    teams(&session).await.unwrap();
    teams(&session).await.unwrap();
}

#[tokio::test]
async fn a_session_that_ended_at_the_server_says_so() {
    let house = House::new().await;
    let session = house.session();
    teams(&session).await.unwrap();
    house.world().end_sessions(|_| true);
    let words = teams(&session).await.unwrap_err().to_string();
    assert!(words.contains("the session is lost since 2026-11-20 07:00 UTC"), "{words}");
}

#[tokio::test]
async fn a_token_that_was_spent_before_says_so() {
    let house = House::new().await;
    house.source.set("token", "spent-by-a-browser");
    let words = teams(&house.session()).await.unwrap_err().to_string();
    assert!(words.contains("the token is spent, or has expired; make a fresh token"), "{words}");
    assert!(!words.contains("spent-by-a-browser"));
}

#[tokio::test]
async fn nothing_is_sent_where_the_session_cannot_be_kept() {
    let house = House::new().await;
    std::fs::write(house.state.path().join("sessions"), "in the way").unwrap();
    let error = teams(&house.session()).await.unwrap_err();
    assert!(
        matches!(&error, BackendError::Credential(words) if words.contains("can't be kept")),
        "{error:?}"
    );
    assert!(house.world().seen.is_empty());
}

#[tokio::test]
async fn a_damaged_file_is_no_dead_end() {
    let house = House::new().await;
    teams(&house.session()).await.unwrap();
    std::fs::write(house.file(), "{\"own\":").unwrap();
    let words = teams(&house.session()).await.unwrap_err().to_string();
    assert!(words.contains("make a fresh token"), "{words}");
    house.give_fresh_token();
    teams(&house.session()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_costs_no_token() {
    let house = House::new().await;
    let token = house.source.values.lock().unwrap()["token"].clone();
    let House { server, state, source, running } = house;
    let url = server.url.clone();
    drop(server);
    let mut spec = EndpointSpec::new(EndpointName::new("queue"), Kind::Rediacc, Some(url));
    spec.timeout = Duration::from_secs(60);
    let around = Surroundings {
        credentials: source,
        data: None,
        state: Some(state.path().to_owned()),
        now,
        spawn: Arc::new(move |work| {
            running.lock().unwrap().spawn(work);
        }),
    };
    let session = Session::new(&spec, &around).unwrap();
    let error = teams(&session).await.unwrap_err();
    assert!(matches!(error, BackendError::Unreachable(_)), "{error:?}");
    let files = std::fs::read_dir(state.path().join("sessions")).unwrap().map(|entry| entry.unwrap().path());
    let file = files.into_iter().find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    let kept: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(kept["parent"]["token"], token.as_str());
    assert_eq!((&kept["parent"]["pending"], &kept["parent"]["doubt"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_session_is_renewed_a_day_before_its_end() {
    clock!(clock, AHEAD);
    let house = House::new().await;
    let session = house.session_at(clock, Duration::from_secs(60));
    teams(&session).await.unwrap();
    let until = |session: &Session| session.remarks()[1].to_string();
    assert_eq!(until(&session), "own session until 2026-12-20 07:00 UTC");
    for (hours, forks) in [(695, 1), (697, 2), (698, 2)] {
        AHEAD.store(hours, Ordering::SeqCst);
        house.world().clock = clock();
        teams(&session).await.unwrap();
        assert_eq!(house.world().count(FORK), forks, "after {hours} h");
    }
    assert_eq!(until(&session), "own session until 2027-01-18 08:00 UTC");
    house.assert_unbroken();
}

#[tokio::test]
async fn a_short_life_is_renewed_in_its_last_quarter() {
    clock!(clock, AHEAD);
    let house = House::new().await;
    house.world().switches.longest_life = Some(TimeDelta::hours(8));
    let session = house.session_at(clock, Duration::from_secs(60));
    for (hours, forks) in [(0, 1), (5, 1), (6, 2), (7, 2)] {
        AHEAD.store(hours, Ordering::SeqCst);
        house.world().clock = clock();
        teams(&session).await.unwrap();
        assert_eq!(house.world().count(FORK), forks, "after {hours} h");
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_renewed_goes_on_to_its_end_and_says_so() {
    clock!(clock, AHEAD);
    let house = House::new().await;
    let session = house.session_at(clock, Duration::from_secs(60));
    teams(&session).await.unwrap();
    house.world().end_sessions(|session| session.parent.is_none());
    AHEAD.store(700, Ordering::SeqCst);
    house.world().clock = clock();
    for _ in 0..3 {
        teams(&session).await.unwrap();
    }
    assert_eq!(house.world().count(FORK), 2, "the renewal is not tried at each call");
    let remark = session.remarks()[1].to_string();
    assert_eq!(
        remark,
        "own session until 2026-12-20 07:00 UTC, and can't be renewed: make a fresh token for vigie"
    );
    AHEAD.store(721, Ordering::SeqCst);
    house.world().clock = clock();
    assert!(matches!(teams(&session).await.unwrap_err(), BackendError::Unauthorised(_)));
}

#[tokio::test]
async fn revoking_ends_the_session_and_begins_no_other() {
    let house = House::new().await;
    let session = house.session();
    teams(&session).await.unwrap();
    session.revoke().await.unwrap();
    let active: Vec<bool> = house.world().sessions.iter().map(|session| session.active).collect();
    assert_eq!(active, [true, false], "its parent is not ours to end");
    assert_eq!((&house.kept()["own"], &house.kept()["parent"]), (&Value::Null, &Value::Null));
    for session in [&session, &house.session()] {
        let words = teams(session).await.unwrap_err().to_string();
        assert!(
            words.contains("revoked on request at 2026-11-20 07:00 UTC: to go on, make a fresh"),
            "{words}"
        );
    }
    assert_eq!(house.world().calls(), [FORK, TEAMS, DELETE]);
    house.give_fresh_token();
    teams(&session).await.unwrap();
    assert_eq!(house.world().count(FORK), 2);
    house.assert_unbroken();
}

#[tokio::test]
async fn revoking_before_the_first_call_asks_nothing() {
    let house = House::new().await;
    let session = house.session();
    session.revoke().await.unwrap();
    teams(&session).await.unwrap_err();
    assert!(house.world().seen.is_empty());
}

#[tokio::test]
async fn a_revocation_whose_answer_is_lost_says_so() {
    let house = House::new().await;
    let session = house.session();
    teams(&session).await.unwrap();
    house.world().lose.push_back((DELETE, Lose::AfterActing));
    let error = session.revoke().await.unwrap_err();
    assert!(error.may_have_acted() && error.to_string().contains("is not known"), "{error}");
    session.revoke().await.unwrap();
    assert_eq!(house.kept()["own"], json!(null), "its token is refused: it has ended");
}

#[tokio::test]
async fn sessions_that_are_lost_at_once_are_not_begun_for_ever() {
    clock!(clock, AHEAD);
    let house = House::new().await;
    let session = house.session_at(clock, Duration::from_secs(60));
    let mut last = None;
    for _ in 0..20 {
        house.world().end_sessions(|session| session.name == "vigie");
        last = teams(&session).await.err();
    }
    let error = last.unwrap();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3_600)), "{error:?}");
    assert!(error.to_string().contains("no other before 08:00 UTC"), "{error}");
    assert_eq!(house.world().count(FORK), 10);
    AHEAD.store(2, Ordering::SeqCst);
    teams(&session).await.unwrap();
}

#[tokio::test]
async fn a_token_that_could_not_be_written_is_remembered_while_we_run() {
    let house = House::new().await;
    let session = house.session();
    teams(&session).await.unwrap();
    let in_the_way = house.file().with_extension("new");
    house.server.close_gate();
    let disk = async {
        house.server.called(TEAMS, 2).await;
        std::fs::create_dir(&in_the_way).unwrap();
        house.server.open_gate();
    };
    tokio::join!(act(&session), disk).0.unwrap();
    let remarks = format!("{:?}", session.remarks());
    assert!(remarks.contains("can't be kept in") && remarks.contains("kept in memory only"), "{remarks}");
    let error = teams(&session).await.unwrap_err();
    assert!(error.to_string().contains("can't be kept in"), "{error}");
    assert_eq!(house.world().count(TEAMS), 2, "nothing leaves that could not be noted");
    std::fs::remove_dir(&in_the_way).unwrap();
    teams(&session).await.unwrap();
    assert!(!format!("{:?}", session.remarks()).contains("kept"));
    house.assert_unbroken();
    assert_eq!(house.world().count(FORK), 1);
}
