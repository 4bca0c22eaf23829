//! The laws that hold whatever happens.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::sample::select;

use super::build::*;
use crate::fleet::{
    AlertRow, Counts, Delta, Failure, Fleet, Order, QueueRow, SortKey, TaskList, TaskRow, Worst,
};
use crate::model::{
    Alert, AlertKind, Coverage, Evidence, Facts, Part, Priority, Queue, Run, RunState, Snapshot, Task,
    TaskKey, TaskState,
};

const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const ENDPOINTS: [&str; 2] = ["one", "two"];

/// Something that happens, so many seconds after what was before.
#[derive(Debug, Clone)]
enum Event {
    Poll(usize, Box<Snapshot>),
    Fail(usize),
    Tick,
}

fn any_run(task: &'static str) -> impl Strategy<Value = Run> {
    let state = select(RunState::ALL);
    (0u8..6, state, 0i64..2_000)
        .prop_map(move |(id, state, started)| run(task, &format!("{task}{id}"), state, started))
}

fn any_task() -> impl Strategy<Value = Task> {
    let looks = (select(&IDS[..]), any::<bool>(), any::<bool>(), select(TaskState::ALL), 0i64..3);
    looks.prop_flat_map(|(id, judged_here, paused, state, slots)| {
        let last = proptest::option::of(any_run(id));
        let team = proptest::option::of(select(vec!["data", "ops"]));
        let judges = proptest::option::of(0u32..100);
        (last, team, 1u8..=5, 0u32..2, 0i64..2_000, judges).prop_map(
            move |(last, team, level, bad, due, judges)| {
                let mut task = if judged_here { judged(id) } else { task(id) };
                if let Some(facts) = &mut task.facts {
                    let slot = at(slots * 600);
                    **facts = Facts {
                        satisfied: Some(slot),
                        last_start: Some(slot),
                        last_end: Some(slot),
                        bad_streak: bad,
                        good_streak: 1 - bad,
                        ..(**facts).clone()
                    };
                } else {
                    task.state = Some(state);
                    task.next_due = Some(at(due));
                    task.judged_within_s = judges;
                }
                task.paused = paused;
                task.last_run = last;
                task.team = team.map(Into::into);
                task.priority = Priority::new(level).ok();
                task
            },
        )
    })
}

fn any_part<T: std::fmt::Debug + Clone, Id: std::fmt::Debug + Clone>(
    item: impl Strategy<Value = T>,
    gone: impl Strategy<Value = Id>,
) -> impl Strategy<Value = Part<T, Id>> {
    let coverage = prop_oneof![Just(Coverage::Complete), Just(Coverage::Listed), Just(Coverage::Listed)];
    (coverage, proptest::collection::vec(item, 0..5), proptest::collection::vec(gone, 0..3))
        .prop_map(|(coverage, items, gone)| Part { coverage, items, gone })
}

fn any_alert() -> impl Strategy<Value = Alert> {
    (select(&IDS[..]), select(AlertKind::ALL), 0i64..2_000, proptest::option::of(0i64..3_000)).prop_map(
        |(task, kind, since, silenced)| Alert {
            task: Some(task.into()),
            queue: None,
            kind,
            severity: kind.severity(),
            since: at(since),
            summary: "told".into(),
            acknowledged_by: None,
            silenced_until: silenced.map(at),
            handling: None,
        },
    )
}

fn any_queue() -> impl Strategy<Value = Queue> {
    (select(&IDS[..]), 0u64..3).prop_map(|(name, depth)| Queue {
        name: name.into(),
        depth,
        by_priority: None,
        running: 0,
        stale: 0,
        oldest_pending: None,
        oldest_by_priority: None,
    })
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let id = select(&IDS[..]);
    let key = any_alert().prop_map(|alert| alert.key());
    (
        any_part(any_task(), id.clone().prop_map(Into::into)),
        any_part(id.clone().prop_flat_map(any_run), "[a-f][0-5]".prop_map(|id| id.as_str().into())),
        any_part(any_queue(), id.prop_map(Into::into)),
        any_part(any_alert(), key),
    )
        .prop_map(|(tasks, runs, queues, alerts)| Snapshot {
            tasks,
            runs,
            queues,
            alerts,
            ..Snapshot::unchanged(at(0), 3)
        })
}

fn any_event() -> impl Strategy<Value = (i64, Event)> {
    let endpoint = 0..ENDPOINTS.len();
    let event = prop_oneof![
        5 => (endpoint.clone(), any_snapshot()).prop_map(|(endpoint, snapshot)| Event::Poll(endpoint, Box::new(snapshot))),
        1 => endpoint.prop_map(Event::Fail),
        2 => Just(Event::Tick),
    ];
    (prop_oneof![0i64..10, 0i64..400], event)
}

fn any_events() -> impl Strategy<Value = Vec<(i64, Event)>> {
    proptest::collection::vec(any_event(), 1..8)
}

fn happen(fleet: &mut Fleet, event: Event, now: DateTime<Utc>) -> Delta {
    match event {
        Event::Poll(endpoint, mut snapshot) => {
            snapshot.at = now;
            fleet.apply(&name(ENDPOINTS[endpoint]), *snapshot, now)
        }
        Event::Fail(endpoint) => {
            let failure = Failure { next_try: now, ..refused(0) };
            fleet.fail(&name(ENDPOINTS[endpoint]), failure, now)
        }
        Event::Tick => fleet.tick(now),
    }
}

fn rows(fleet: &Fleet) -> BTreeMap<TaskKey, TaskRow> {
    fleet.tasks().map(|row| (row.key.clone(), row.clone())).collect()
}

/// Rows without what no screen shows.
fn shown(fleet: &Fleet) -> BTreeMap<TaskKey, TaskRow> {
    let mut rows = rows(fleet);
    for row in rows.values_mut() {
        row.task.facts = None;
    }
    rows
}

/// All that is known but histories, which remember.
fn known(fleet: &Fleet) -> (BTreeMap<TaskKey, TaskRow>, Vec<AlertRow>, Vec<QueueRow>, Counts) {
    (rows(fleet), fleet.alerts(), fleet.queues(), fleet.counts())
}

/// Alerts of endpoints as a whole.
fn own_alerts(fleet: &Fleet, kind: AlertKind) -> usize {
    fleet.alerts().iter().filter(|row| row.alert.kind == kind && row.alert.task.is_none()).count()
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn applying_twice_changes_nothing(before in any_events(), snapshot in any_snapshot()) {
        let mut fleet = fleet(&ENDPOINTS);
        let mut now = at(0);
        for (seconds, event) in before {
            now += chrono::TimeDelta::seconds(seconds);
            happen(&mut fleet, event, now);
        }
        let poll = Event::Poll(0, Box::new(snapshot));
        happen(&mut fleet, poll.clone(), now);
        let first = known(&fleet);
        let delta = happen(&mut fleet, poll, now);
        prop_assert!(delta.is_empty(), "{delta:?}");
        prop_assert_eq!(known(&fleet), first);
    }

    #[test]
    fn what_is_not_complete_deletes_nothing(before in any_events(), mut snapshot in any_snapshot()) {
        let mut fleet = fleet(&ENDPOINTS);
        let mut now = at(0);
        for (seconds, event) in before {
            now += chrono::TimeDelta::seconds(seconds);
            happen(&mut fleet, event, now);
        }
        snapshot.tasks.coverage = Coverage::Listed;
        snapshot.tasks.gone.clear();
        snapshot.queues.coverage = Coverage::Listed;
        snapshot.queues.gone.clear();
        let (tasks, queues) = (rows(&fleet), fleet.queues());
        let delta = happen(&mut fleet, Event::Poll(0, Box::new(snapshot)), now);
        prop_assert!(delta.gone.is_empty());
        prop_assert!(tasks.keys().all(|key| fleet.task(key).is_some()));
        let names: Vec<_> = fleet.queues().into_iter().map(|row| (row.endpoint, row.queue.name)).collect();
        prop_assert!(queues.into_iter().all(|row| names.contains(&(row.endpoint, row.queue.name))));
        let delta = fleet.fail(&name("one"), refused(0), now);
        prop_assert!(delta.gone.is_empty());
    }

    #[test]
    fn a_complete_answer_is_all_there_is(before in any_events(), mut snapshot in any_snapshot()) {
        let mut used = fleet(&ENDPOINTS[..1]);
        let mut now = at(0);
        for (seconds, event) in before {
            now += chrono::TimeDelta::seconds(seconds);
            happen(&mut used, event, now);
        }
        snapshot.tasks.coverage = Coverage::Complete;
        snapshot.queues.coverage = Coverage::Complete;
        snapshot.alerts.coverage = Coverage::Complete;
        let mut fresh = fleet(&ENDPOINTS[..1]);
        for fleet in [&mut used, &mut fresh] {
            happen(fleet, Event::Poll(0, Box::new(snapshot.clone())), now);
        }
        prop_assert_eq!(known(&used), known(&fresh));
        // And they stay the same from then on.
        let later = now + chrono::TimeDelta::seconds(500);
        used.tick(later);
        fresh.tick(later);
        prop_assert_eq!(known(&used), known(&fresh));
    }

    #[test]
    fn folding_two_answers_is_applying_both(
        before in any_events(), mut first in any_snapshot(), second in any_snapshot()
    ) {
        let (mut folded, mut both) = (fleet(&ENDPOINTS), fleet(&ENDPOINTS));
        let mut now = at(0);
        for (seconds, event) in before {
            now += chrono::TimeDelta::seconds(seconds);
            happen(&mut folded, event.clone(), now);
            happen(&mut both, event, now);
        }
        happen(&mut both, Event::Poll(0, Box::new(first.clone())), now);
        happen(&mut both, Event::Poll(0, Box::new(second.clone())), now);
        first.absorb(second);
        happen(&mut folded, Event::Poll(0, Box::new(first)), now);
        prop_assert_eq!(known(&folded), known(&both));
    }

    #[test]
    fn deltas_are_exact_counts_true_and_nothing_spins(events in any_events()) {
        let mut fleet = fleet(&ENDPOINTS);
        let mut now = at(0);
        for (seconds, event) in events {
            now += chrono::TimeDelta::seconds(seconds);
            let (before, alerts, queues, runs) =
                (shown(&fleet), fleet.alerts(), fleet.queues(), fleet.runs(1_000));
            let delta = happen(&mut fleet, event, now);
            let after = shown(&fleet);
            let added: Vec<_> = after.keys().filter(|key| !before.contains_key(*key)).cloned().collect();
            let gone: Vec<_> = before.keys().filter(|key| !after.contains_key(*key)).cloned().collect();
            let changed: Vec<_> = after
                .iter()
                .filter(|(key, row)| before.get(*key).is_some_and(|old| old != *row))
                .map(|(key, _)| key.clone())
                .collect();
            prop_assert_eq!(&delta.added, &added);
            prop_assert_eq!(&delta.gone, &gone);
            prop_assert_eq!(&delta.changed, &changed);
            prop_assert!(delta.alerts || alerts == fleet.alerts());
            prop_assert!(delta.queues || queues == fleet.queues());
            let bare = |rows: Vec<crate::fleet::RunRow>| rows.into_iter().map(|row| row.run).collect::<Vec<_>>();
            prop_assert!(delta.runs || bare(runs) == bare(fleet.runs(1_000)));

            let mut states = BTreeMap::new();
            fleet.tasks().for_each(|row| *states.entry(row.state).or_insert(0) += 1);
            let counts = fleet.counts();
            prop_assert!(TaskState::ALL.iter().all(|state| counts.of(*state) == states.get(state).copied().unwrap_or(0)));
            prop_assert_eq!(counts.unverified, fleet.tasks().filter(|row| row.unverified_late_since.is_some()).count());
            prop_assert!(fleet.next_change().is_none_or(|at| at > now));
            prop_assert!(fleet.tick(now).is_empty());

            // What is kept for the glance is what a walk over everything finds.
            let mut minutes = BTreeMap::new();
            let resting = |row: &&TaskRow| !matches!(row.state, TaskState::Paused | TaskState::Archived);
            for due in fleet.tasks().filter(resting).filter_map(|row| row.next_due).filter(|due| *due > now) {
                *minutes.entry(due.timestamp() / 60 * 60).or_insert(0) += 1;
            }
            let until = now + chrono::TimeDelta::days(1);
            for limit in [2, 100] {
                let due = fleet.due_minutes(now, until, limit);
                prop_assert!(due.iter().all(|minute| minute.first.next_due.is_some_and(|due| due > now && due >= minute.at)));
                let due: Vec<_> = due.iter().map(|minute| (minute.at.timestamp(), minute.tasks)).collect();
                let walked: Vec<_> = minutes.clone().into_iter().take(limit).collect();
                prop_assert_eq!(due, walked);
                let (all, first) = (bare(fleet.runs(1_000)), bare(fleet.runs(limit)));
                prop_assert_eq!(&first[..], &all[..limit.min(all.len())]);
            }
        }
    }

    #[test]
    fn what_is_stale_is_never_green(events in any_events(), wait in 0i64..100) {
        let mut fleet = fleet(&ENDPOINTS);
        let mut now = at(0);
        for (seconds, event) in events {
            now += chrono::TimeDelta::seconds(seconds);
            happen(&mut fleet, event, now);
        }
        fleet.tick(now);
        let states = |fleet: &Fleet| rows(fleet).into_values().map(|row| (row.state, row.late_since)).collect::<Vec<_>>();
        let before = states(&fleet);
        let now = now + chrono::TimeDelta::seconds(wait);
        for endpoint in ENDPOINTS {
            fleet.fail(&name(endpoint), refused(0), now);
        }
        prop_assert!(fleet.tasks().all(|row| row.evidence == Evidence::Stale));
        prop_assert_eq!(fleet.worst(&[], now), Worst::Unknown);
        prop_assert_eq!(own_alerts(&fleet, AlertKind::EndpointDown), 2);
        // Whatever time passes, no state moves any more: only "unverified" does.
        let held = states(&fleet);
        if wait == 0 {
            prop_assert_eq!(&held, &before);
        }
        fleet.tick(now + chrono::TimeDelta::days(1));
        prop_assert_eq!(states(&fleet), held);
    }

    #[test]
    fn the_list_follows_every_change(
        events in any_events(),
        key in select(&SortKey::ALL[..]),
        reversed in any::<bool>(),
        filters in proptest::collection::vec(
            proptest::option::of(select(
                vec!["", "state:healthy,failing", "team:data", "-a", "evidence:fresh", "p:<=3 endpoint:one", "age:>5m"]
            )),
            8,
        ),
        moves in proptest::collection::vec(-3isize..4, 8),
    ) {
        let mut fleet = fleet(&ENDPOINTS);
        let mut list = TaskList::default();
        let mut now = at(0);
        list.set_order(Order { key, reversed }, &fleet);
        for (((seconds, event), rows), filter) in events.into_iter().zip(moves).zip(filters) {
            now += chrono::TimeDelta::seconds(seconds);
            list.select_by(rows);
            let cursor = list.cursor().cloned();
            let old: Vec<TaskKey> = list.keys().cloned().collect();
            if let Some(filter) = filter {
                list.set_filter(filter, now).unwrap();
            } else {
                let delta = happen(&mut fleet, event, now);
                list.absorb(&delta, &fleet, now);
                list.refresh(now);
            }

            let order = list.order();
            let matching = fleet.tasks().filter(|row| list.filter().matches(row, now));
            let mut sorted: Vec<_> = matching.map(|row| (order.rank(row), row.key.clone())).collect();
            sorted.sort_by(|a, b| order.compare((&a.0, &a.1), (&b.0, &b.1)));
            // By the time the list lags at most a second.
            if list.next_change().is_none_or(|at| at == now + chrono::TimeDelta::seconds(1)) {
                prop_assert!(sorted.iter().map(|(_, key)| key).eq(list.keys()), "{:?}", list);
            }
            prop_assert_eq!(list.keys().count(), list.len());
            for (index, key) in list.keys().enumerate() {
                prop_assert_eq!(list.index_of(key), Some(index));
                prop_assert_eq!(list.get(index), Some(key));
            }
            let mut anew = list.clone();
            anew.set_order(Order { key, reversed: !reversed }, &fleet);
            anew.set_order(order, &fleet);
            prop_assert!(anew.keys().eq(list.keys()), "there and back is where it was");
            prop_assert_eq!(anew.cursor(), list.cursor());
            // Selection is identity; where it can't be, it goes to the nearest neighbour.
            prop_assert_eq!(list.cursor().is_some(), !list.is_empty());
            if let Some(cursor) = cursor {
                let place = old.iter().position(|key| *key == cursor).unwrap();
                let expected = old[place..]
                    .iter()
                    .chain(old[..place].iter().rev())
                    .find(|key| list.index_of(key).is_some())
                    .or_else(|| list.get(0));
                prop_assert_eq!(list.cursor(), expected);
            }
        }
    }
}

#[test]
fn many_changes_at_once_are_merged_as_few_are() {
    let mut fleet = fleet(&["one"]);
    let mut list = TaskList::default();
    list.set_order(Order::by(SortKey::Priority), &fleet);
    let tasks = |shift: usize, count: usize| -> Vec<Task> {
        let level = |i: usize| Priority::new(u8::try_from((i * 7 + shift) % 5 + 1).unwrap()).ok();
        (0..count).map(|i| Task { priority: level(i), ..task(&format!("t{i:04}")) }).collect()
    };
    for (second, count) in [(1, 300), (2, 150), (3, 400), (4, 20), (5, 0), (6, 100)] {
        let delta = fleet.apply(
            &name("one"),
            poll(second, tasks(usize::try_from(second).unwrap(), count)),
            at(second),
        );
        list.absorb(&delta, &fleet, at(second));
        let mut anew = list.clone();
        anew.rebuild(&fleet, at(second));
        assert!(list.keys().eq(anew.keys()));
        assert_eq!(list.len(), count);
    }
}

#[test]
fn a_filter_by_age_follows_the_time() {
    let mut fleet = fleet(&["one"]);
    let mut ended = task("x");
    ended.last_run = Some(run("x", "r", RunState::Succeeded, 0));
    fleet.apply(&name("one"), poll(5, vec![ended]), at(5));
    let mut list = TaskList::default();
    list.rebuild(&fleet, at(5));
    list.set_filter("age:>1m", at(5)).unwrap();
    assert!(list.is_empty());
    assert_eq!(list.next_change(), Some(at(6)));
    assert!(!list.refresh(at(5)));
    assert!(list.refresh(at(63)));
    assert_eq!((list.len(), list.cursor()), (1, Some(&key("one", "x"))));
    list.set_filter("", at(63)).unwrap();
    assert_eq!(list.next_change(), None);
    assert!(list.set_filter("nope:", at(63)).is_err());
    assert_eq!(list.filter().to_string(), "");
}

#[test]
fn rows_without_a_value_come_last_in_both_directions() {
    let mut fleet = fleet(&["one"]);
    let with = |id: &str, level| Task { priority: Priority::new(level).ok(), ..task(id) };
    fleet.apply(&name("one"), poll(1, vec![task("a"), with("b", 4), with("c", 1), task("d")]), at(1));
    let mut list = TaskList::default();
    list.rebuild(&fleet, at(1));
    let ids = |list: &TaskList| list.keys().map(|key| key.task.to_string()).collect::<String>();
    list.set_order(Order::by(SortKey::Priority), &fleet);
    assert_eq!(ids(&list), "cbad");
    list.set_order(list.order().reversed(), &fleet);
    assert_eq!((ids(&list).as_str(), list.order().to_string().as_str()), ("bcad", "priority reversed"));
    let around = SortKey::ALL.iter().fold(Order::default(), |order, _| order.next());
    assert_eq!(around, Order::default());
}
