//! The cursor: pinned to its row, on every list.

use super::*;

// --- moving ---------------------------------------------------------------

#[test]
fn the_cursor_moves_and_stays_in_view() {
    let names: Vec<String> = (0..50).map(|n| format!("t{n:02}")).collect();
    let tasks: Vec<_> = names.iter().map(|name| (name.as_str(), HEALTHY)).collect();
    let mut desk = Desk::one(&tasks);
    assert_eq!(desk.cursor(), "a/t00");
    desk.keys("j down k");
    assert_eq!(desk.cursor(), "a/t01");
    desk.keys("G");
    assert_eq!((desk.cursor().as_str(), desk.state.tasks_top), ("a/t49", 30));
    desk.keys("pageup");
    assert_eq!((desk.cursor().as_str(), desk.state.tasks_top), ("a/t30", 30));
    desk.keys("g k k");
    assert_eq!((desk.cursor().as_str(), desk.state.tasks_top), ("a/t00", 0));
    desk.keys("G");
    desk.event(Event::Resize { width: 60, height: 15 });
    assert_eq!(desk.state.tasks_top, 39, "11 rows of data at 60x15");
}

#[test]
fn the_cursor_is_pinned_to_its_row_when_others_come_and_go() {
    let mut desk = Desk::one(&[("b", HEALTHY), ("d", HEALTHY), ("f", HEALTHY)]);
    desk.keys("j");
    assert_eq!(desk.cursor(), "a/d");
    desk.poll("a", &[("a", HEALTHY), ("b", HEALTHY), ("c", HEALTHY), ("d", HEALTHY), ("f", HEALTHY)]);
    assert_eq!(desk.cursor(), "a/d");
    desk.poll("a", &[("a", HEALTHY), ("b", HEALTHY), ("f", HEALTHY)]);
    assert!(["a/b", "a/f"].contains(&desk.cursor().as_str()), "{}", desk.cursor());
    desk.poll("a", &[]);
    assert_eq!(desk.cursor(), "-");
    desk.keys("j k G space enter t x y L *");
}

#[test]
fn other_lists_pin_their_cursor_too() {
    let mut desk = Desk::new(&[("a", Guard::None, &[]), ("b", Guard::None, &[]), ("c", Guard::None, &[])]);
    desk.keys("7 j");
    let at = |desk: &Desk| desk.state.rows[&Screen::Endpoints].cursor.clone();
    assert_eq!(at(&desk), Some(RowKey::Endpoint("b".into())));
    let specs = |names: &[&str]| {
        names
            .iter()
            .map(|name| EndpointSpec::new((*name).into(), Kind::Vigie, Some("http://x".into())))
            .collect()
    };
    desk.event(Event::Configured { endpoints: specs(&["x", "a", "b", "c"]), read_only: false });
    assert_eq!(at(&desk), Some(RowKey::Endpoint("b".into())));
    desk.event(Event::Configured { endpoints: specs(&["x", "a", "c"]), read_only: false });
    assert_eq!(at(&desk), Some(RowKey::Endpoint("c".into())), "the nearest that was behind it");
    desk.event(Event::Configured { endpoints: specs(&["x", "a"]), read_only: false });
    assert_eq!(at(&desk), Some(RowKey::Endpoint("a".into())));
}

#[test]
fn a_list_that_grows_at_its_top_keeps_the_cursor_on_its_line() {
    let key = |n: usize| RowKey::Endpoint(format!("e{n}").as_str().into());
    let mut rows = crate::console::state::Rows::default();
    rows.replace((10..40).map(key).collect(), 10);
    assert_eq!((rows.position(), rows.top), (Some(0), 0));
    rows.select(15, 10);
    let line = rows.position().unwrap() - rows.top;
    rows.replace((0..40).map(key).collect(), 10);
    assert_eq!(rows.cursor, Some(key(25)));
    assert_eq!(rows.position().unwrap() - rows.top, line);
}
