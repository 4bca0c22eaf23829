//! Cadence, backoff, isolation.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn refused() -> Step {
    Step::Bad(BackendError::Unreachable("connection refused".into()))
}

#[tokio::test(start_paused = true)]
async fn polls_come_at_the_cadence_with_a_little_jitter_and_go_on_from_the_cursor() {
    let fake = Fake::polling([]);
    let world = World::new(&[("a", &fake)]);
    tokio::time::sleep(60 * SECOND).await;
    let gaps = fake.gaps();
    assert!((10..=14).contains(&gaps.len()), "{gaps:?}");
    for gap in &gaps {
        // The timer rounds up to a millisecond, twice.
        assert!((4_500..=5_505).contains(&gap.as_millis()), "{gap:?}");
    }
    let distinct: std::collections::BTreeSet<&Duration> = gaps.iter().collect();
    assert!(distinct.len() > 3, "no jitter: {gaps:?}");
    let cursors = fake.cursors.lock().unwrap().clone();
    assert_eq!((&cursors[0], &cursors[2]), (&None, &Some(Cursor("2".to_owned()))));
    drop(world);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_described_before_it_is_polled() {
    let fake = Fake::polling([]);
    let mut world = World::new(&[("a", &fake)]);
    let Update::Described { url, .. } = world.next().await else { panic!("not described first") };
    assert_eq!(url.as_deref(), Some("http://fake"));
    assert!(matches!(world.next().await, Update::Polled { .. }));
    assert!(matches!(world.next().await, Update::Polled { .. }), "described again without a change");
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_with_their_number_and_the_next_try_and_end_never() {
    let fake = Fake::polling((0..9).map(|_| refused()));
    let mut world = World::new(&[("a", &fake)]);
    for tries in 1..=9 {
        let told = world.failed("a").await;
        assert_eq!((told.tries, told.health), (tries, Health::Down));
        assert_eq!(told.reason, "connection refused");
        assert!(told.next_try <= now() + chrono::TimeDelta::seconds(61));
    }
    world.polled("a").await;
    for (i, gap) in fake.gaps().iter().take(9).enumerate() {
        let ceiling = (5 * SECOND * 2u32.pow(u32::try_from(i).unwrap())).min(60 * SECOND);
        assert!(*gap >= pace::GAP && *gap <= ceiling + SECOND / 10, "{i}: {gap:?}");
    }
    // And it is the first failure again, not the tenth.
    fake.polls.lock().unwrap().push_back(refused());
    assert_eq!(world.failed("a").await.tries, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_poll_keeps_the_cursor() {
    let fake = Fake::polling([Step::Good, refused()]);
    let mut world = World::new(&[("a", &fake)]);
    world.failed("a").await;
    world.polled("a").await;
    let cursors = fake.cursors.lock().unwrap().clone();
    assert_eq!(cursors[1..3], [Some(Cursor("1".to_owned())), Some(Cursor("1".to_owned()))]);
}

#[tokio::test(start_paused = true)]
async fn what_the_endpoint_asks_for_is_obeyed_even_when_the_operator_is_impatient() {
    let limited = BackendError::RateLimited { after: Some(30 * SECOND), message: "slow down".into() };
    let fake = Fake::polling([Step::Bad(limited)]);
    let mut world = World::new(&[("a", &fake)]);
    world.failed("a").await;
    for _ in 0..20 {
        world.runtime.handle.refresh(None);
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(fake.began().len(), 1);
    world.polled("a").await;
    assert!(fake.gaps()[0] >= 30 * SECOND, "{:?}", fake.gaps());
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_nearly_spent_slows_polling_whoever_is_impatient() {
    let fake = Arc::new(Fake { next_poll: Some(40 * SECOND), ..Fake::default() });
    let mut world = World::new(&[("a", &fake)]);
    assert_eq!(world.polled("a").await.next_poll, Some(40 * SECOND));
    for _ in 0..200 {
        world.runtime.handle.refresh(None);
        tokio::time::sleep(SECOND).await;
    }
    assert!(fake.gaps().iter().all(|gap| (40..41).contains(&gap.as_secs())), "{:?}", fake.gaps());
    assert!(fake.gaps().len() >= 4);
}

#[tokio::test(start_paused = true)]
async fn refresh_polls_at_once_but_never_in_a_flood() {
    let fake = Fake::polling([]);
    let mut world = World::new(&[("a", &fake), ("b", &Fake::polling([]))]);
    world.polled("a").await;
    for _ in 0..100 {
        world.runtime.handle.refresh(Some("a".into()));
        tokio::time::sleep(SECOND / 100).await;
    }
    let polls = fake.began().len();
    assert!((8..=12).contains(&polls), "{polls}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_pushes_is_waited_on_again_at_once() {
    let fake = Arc::new(Fake {
        pushes: true,
        polls: Mutex::new((0..100).map(|_| Step::Slow(3 * SECOND)).collect()),
        ..Fake::default()
    });
    let world = World::new(&[("a", &fake)]);
    tokio::time::sleep(31 * SECOND).await;
    for gap in fake.gaps() {
        assert!((3_100..=3_110).contains(&gap.as_millis()), "{gap:?}");
    }
    drop(world);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_breaks_or_lies_leaves_the_others_untouched() {
    let hangs = Fake::polling((0..100).map(|_| Step::Hang));
    let breaks = Fake::polling((0..100).map(|_| Step::Break));
    let lies = Fake::polling(
        (0..100)
            .map(|_| Step::Bad(BackendError::Protocol { path: "tasks[0]".into(), detail: "HTML".into() })),
    );
    let good = Fake::polling([]);
    let mut world = World::new(&[("hangs", &hangs), ("breaks", &breaks), ("lies", &lies), ("good", &good)]);
    let broken = world.failed("breaks").await;
    assert!(broken.reason.contains("a defect of vigie: index out of bounds"), "{broken:?}");
    let begin = Instant::now();
    let hung = world.failed("hangs").await;
    assert_eq!(hung.reason, "no answer within 10s");
    assert!(begin.elapsed() <= 12 * SECOND, "{:?}", begin.elapsed());
    tokio::time::sleep(300 * SECOND).await;
    for gap in good.gaps() {
        assert!((4_500..=5_505).contains(&gap.as_millis()), "{gap:?}");
    }
    for fake in [&hangs, &breaks, &lies] {
        assert!(fake.began().len() >= 4, "given up after {}", fake.began().len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_sleeps_finds_one_answer_and_the_newest_state() {
    let fake = Fake::polling([]);
    let mut world = World::new(&[("a", &fake)]);
    tokio::time::sleep(1_000 * SECOND).await;
    let waiting: Vec<Update> = {
        let mut waiting = Vec::new();
        while let Ok(update) = tokio::time::timeout(SECOND / 10, world.next()).await {
            waiting.push(update);
        }
        waiting
    };
    assert!(fake.began().len() > 150);
    let polled = waiting.iter().filter(|update| matches!(update, Update::Polled { .. })).count();
    assert!((1..=2).contains(&polled), "{waiting:?}");
    assert_eq!(world.runtime.handle.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_configuration_disturbs_only_what_it_changes() {
    let (kept, changed, gone) = (Fake::polling([]), Fake::polling([]), Fake::polling([]));
    let mut world = World::new(&[("kept", &kept), ("changed", &changed), ("gone", &gone)]);
    tokio::time::sleep(SECOND).await;
    let slower = EndpointSpec { poll: 600 * SECOND, ..spec("changed") };
    let broken = spec("broken");
    world.runtime.handle.configure(vec![spec("kept"), slower, broken], true);
    assert_eq!(world.failed("broken").await.reason, "no such fake");
    let before = gone.began().len();
    tokio::time::sleep(100 * SECOND).await;
    assert_eq!(gone.began().len(), before);
    assert_eq!(changed.began().len(), 2, "once at first, once as configured anew");
    for gap in kept.gaps() {
        assert!(gap >= 4 * SECOND, "disturbed: {:?}", kept.gaps());
    }
    world.runtime.handle.send(intent(Verb::Trigger, &[("kept", "one")]));
    assert!(world.receipt().await.message.unwrap().starts_with("read-only"));
}

#[tokio::test(start_paused = true)]
async fn runs_and_logs_are_fetched_beside_the_polls() {
    let fake = Fake::polling([Step::Hang]);
    fake.calls.lock().unwrap().extend([Step::Good, Step::Hang, Step::Break]);
    let mut world = World::new(&[("a", &fake)]);
    let query = RunsQuery { task: Some("one".into()), limit: 5 };
    let said = ["", "no answer within 10s", "a defect of vigie", "there is no endpoint b"];
    for (endpoint, said) in ["a", "a", "a", "b"].into_iter().zip(said) {
        world.runtime.handle.fetch_runs(endpoint.into(), query.clone());
        let result = world
            .wait(|update| match update {
                Update::Runs { query: asked, result, .. } if asked == query => Some(result),
                _ => None,
            })
            .await;
        match result {
            Ok(runs) => assert_eq!((runs.len(), said), (1, "")),
            Err(reason) => assert!(!said.is_empty() && reason.contains(said), "{reason}"),
        }
    }
    world.runtime.handle.fetch_log("a".into(), LogOf::Run { task: "one".into(), run: "r1".into() }, 40);
    let chunk = world
        .wait(|update| match update {
            Update::Log { offset: 40, result, .. } => Some(result.unwrap()),
            _ => None,
        })
        .await;
    assert_eq!(chunk.next_offset, 44);
}

#[tokio::test(start_paused = true)]
async fn more_reads_than_can_wait_are_refused() {
    let fake = Fake::polling([]);
    fake.calls.lock().unwrap().extend((0..1_000).map(|_| Step::Hang));
    let mut world = World::new(&[("a", &fake)]);
    for limit in 0..100 {
        world.runtime.handle.fetch_runs("a".into(), RunsQuery { task: None, limit });
    }
    let refused = world
        .wait(|update| match update {
            Update::Runs { result, .. } => Some(result.unwrap_err()),
            _ => None,
        })
        .await;
    assert_eq!(refused, "too many requests wait for this endpoint");
}

#[tokio::test(start_paused = true)]
async fn the_end_cancels_polls_and_ends_the_updates() {
    let fake = Fake::polling([Step::Hang]);
    let World { runtime, folder } = World::new(&[("a", &fake)]);
    tokio::time::sleep(SECOND).await;
    assert_eq!(fake.polling.load(Ordering::SeqCst), 1);
    let handle = runtime.handle.clone();
    let begin = Instant::now();
    runtime.shutdown().await;
    assert!(begin.elapsed() < SECOND);
    assert_eq!(fake.polling.load(Ordering::SeqCst), 0);
    // What is left of it is deaf, and harmless.
    handle.refresh(None);
    handle.configure(vec![spec("a")], false);
    drop(folder);
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_built_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup {
        endpoints: vec![spec("a")],
        read_only: false,
        places: places(folder.path()),
        local: LocalPolicy::Child,
    };
    let factory: Factory = Arc::new(|_: &EndpointSpec| Err(BuildError("bad ca_file".into())));
    let error = Runtime::start_with(
        setup,
        Wiring { factory, program: None, tracker: tokio_util::task::TaskTracker::new() },
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "endpoint a: bad ca_file");
}
