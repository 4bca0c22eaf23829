//! Filters, the palette, esc, and the way out.

use super::*;

#[test]
fn typing_a_filter_never_acts_on_rows() {
    let mut desk = Desk::one(&[("one", RUNNING), ("two", RUNNING)]);
    desk.keys("/ t x space q y p 1");
    assert_eq!(desk.effects, []);
    assert_eq!(desk.state.filter.input.text, "tx qyp1");
    assert!(desk.state.overlay.is_none() && desk.state.marks.is_empty());
    desk.keys("ctrl-u");
    assert!(desk.state.filter.editing);
    desk.keys("backspace");
    assert!(!desk.state.filter.editing, "backspace on nothing closes");
    assert_eq!(desk.state.tasks.len(), 2);
    desk.keys("/ t w o");
    assert_eq!(desk.state.tasks.len(), 1, "as you type");
    assert_eq!(desk.cursor(), "a/two");
    desk.keys("enter");
    assert_eq!((desk.state.filter.editing, desk.state.tasks.len()), (false, 1));
    desk.keys("/ esc");
    assert_eq!((desk.state.filter.input.text.as_str(), desk.state.tasks.len()), ("", 2));
    assert_eq!(desk.effects, []);
}

#[test]
fn a_filter_that_can_not_be_read_leaves_the_last_good_one() {
    let mut desk = Desk::one(&[("one", HEALTHY), ("two", HEALTHY)]);
    desk.keys("/ t w o");
    desk.event(Event::Paste(" p:x".into()));
    assert!(desk.state.filter.error.is_some());
    assert_eq!(desk.state.tasks.len(), 1);
    desk.keys("backspace backspace backspace backspace");
    assert_eq!(desk.state.filter.error, None);
}

#[test]
fn esc_goes_from_the_innermost_out() {
    let mut desk = Desk::one(&[("one", HEALTHY), ("other", HEALTHY)]);
    desk.keys("/ o enter space enter ?");
    assert!(desk.state.overlay.is_some() && desk.state.detail.is_some() && desk.state.marks.len() == 1);
    desk.keys("esc");
    assert!(desk.state.overlay.is_none() && desk.state.detail.is_some());
    desk.keys("esc");
    assert!(desk.state.detail.is_none() && desk.state.marks.len() == 1);
    desk.keys("esc");
    assert!(desk.state.marks.is_empty() && desk.state.filter.input.text == "o");
    desk.keys("esc");
    assert_eq!(desk.state.filter.input.text, "");
    assert_eq!(desk.effects.iter().filter(|effect| !matches!(effect, Effect::FetchRuns { .. })).count(), 0);
}

#[test]
fn esc_and_a_key_in_one_breath_are_two_keys() {
    let mut desk = Desk::one(&[("one", HEALTHY), ("other", HEALTHY)]);
    desk.keys("/ o t enter");
    assert_eq!(desk.state.filter.input.text, "ot");
    desk.keys("alt-/ n e");
    assert_eq!(desk.state.filter.input.text, "ne", "the filter was cleared and opened, nothing was acted on");
    assert!(desk.effects.is_empty());
}

#[test]
fn opening_the_runs_asks_who_answers() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    let effects = desk.keys("4");
    assert_eq!(effects, [Effect::FetchRuns { endpoint: "a".into(), task: None, limit: 200 }]);
    assert_eq!(desk.keys("2"), []);
}

#[test]
fn columns_are_put_away_and_back_but_never_the_name() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    desk.keys("w space j j space");
    assert!(desk.state.hidden.contains(&Column::State) && !desk.state.hidden.contains(&Column::Task));
    desk.keys("g space enter");
    assert!(desk.state.overlay.is_none());
    assert_eq!(desk.state.hidden, [Column::Class].into(), "which is away until it is asked for");
}

#[test]
fn the_palette_runs_what_is_typed_and_says_why_not() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    desk.keys(": r u n s enter");
    assert_eq!(desk.state.screen, Screen::Runs);
    desk.keys("2 : r e t r y enter");
    assert_eq!(desk.says(), "retry: duplistatus has no retry; use trigger");
    desk.keys(": t r i g g e r");
    assert_eq!(sent(&desk.keys("enter")).len(), 1);
    desk.keys(": backspace");
    assert!(desk.state.overlay.is_none());
}

// --- quitting ---------------------------------------------------------------------

#[test]
fn quitting_asks_only_when_it_stops_something() {
    let mut desk = Desk::one(&[("one", RUNNING), ("two", HEALTHY)]);
    assert_eq!(desk.keys("q"), [Effect::AskQuit]);
    assert_eq!(desk.event(Event::QuitAsked { stops: None }), [Effect::Quit]);

    desk.event(Event::QuitAsked { stops: Some("a".into()) });
    let Some(Overlay::Quit { runs, .. }) = &desk.state.overlay else { panic!() };
    assert_eq!(runs, &[Clean::from("one")]);
    for stays in ["q", "x", "space"] {
        assert_eq!(desk.keys(stays), [], "{stays}");
        assert!(desk.state.overlay.is_some());
    }
    assert_eq!(desk.keys("n"), []);
    assert!(desk.state.overlay.is_none());
    desk.event(Event::QuitAsked { stops: Some("a".into()) });
    assert_eq!(desk.keys("y"), [Effect::Quit]);
}

#[test]
fn an_interrupt_twice_always_quits() {
    for opened in ["", "?", ":", "p", "x", "/ a", "enter", "w"] {
        let mut desk = Desk::one(&[("one", RUNNING)]);
        if !opened.is_empty() {
            desk.keys(opened);
        }
        assert_eq!(desk.keys("ctrl-c"), [Effect::AskQuit], "{opened}");
        desk.event(Event::QuitAsked { stops: Some("a".into()) });
        assert_eq!(desk.keys("ctrl-c"), [Effect::Quit], "{opened}");
    }
    let mut desk = Desk::one(&[]);
    assert_eq!(desk.keys("ctrl-c j ctrl-c"), [Effect::AskQuit, Effect::AskQuit], "not in a row");
    assert_eq!(desk.event(Event::Interrupted), [Effect::Quit]);
}
