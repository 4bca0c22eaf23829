//! What many tasks cost while nothing happens: counted, not timed.

use std::mem::size_of;

use super::*;
use crate::model::Task;

fn daily() -> Vec<Definition> {
    (0..500).map(|i| every(&format!("t{i:03}"), 86_400)).collect()
}

/// A start with ten thousand tasks must not write ten thousand rows.
#[test]
fn a_start_with_nothing_new_writes_nothing() {
    let bench = Bench::new(daily(), at("10:00:00"));
    let mut domain = Domain::new([7; 32], true);
    domain.load(bench.left(), daily(), Limits::default(), at("10:05:00"));
    let batch = domain.settle(at("10:05:00"));
    assert_eq!(batch.writes, []);
    assert_eq!(batch.tasks.len(), 500, "all of them are told");
}

#[test]
fn at_rest_there_is_nothing_to_do_before_the_next_slot() {
    let mut bench = Bench::new(daily(), at("10:00:00"));
    let midnight = at("23:59:59") + TimeDelta::seconds(1);
    assert_eq!(bench.domain.next_wake(), Some(midnight));
    // The coordinator looks at the clock every second all the same: that comes to nothing.
    for second in 1..100 {
        let batch = bench.domain.settle(at("10:00:00") + TimeDelta::seconds(second));
        assert!(batch.writes.is_empty() && batch.effects.is_empty() && batch.tells_nothing());
    }
    assert_eq!(bench.domain.next_wake(), Some(midnight));
}

/// Tasks are what the coordinator's memory goes to: whoever adds to them sees by how much.
#[test]
fn a_task_takes_so_many_bytes_and_no_more() {
    let sizes = [size_of::<Entry>(), size_of::<Record>(), size_of::<Definition>(), size_of::<Task>()];
    assert!(sizes.iter().sum::<usize>() <= 1_700, "entry, record, definition, as it is told: {sizes:?}");
}
