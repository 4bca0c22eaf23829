//! What holds at every size, in every state and without colours.

use super::*;

#[test]
fn no_size_is_too_small() {
    let theme = painted(Level::True);
    let fleets = [live(), fixture::troubled(), fixture::connecting(), Fleet::default()];
    for (index, fleet) in fleets.iter().enumerate() {
        // Every small size with the full fleet; beyond, where something may change places.
        let widths = (1..=12).chain((13..=70).step_by(6)).step_by(if index == 0 { 1 } else { 4 });
        for mut state in everything(fleet, (80, 24)) {
            for (width, height) in widths.clone().flat_map(|w| (1..=25).map(move |h| (w, h))) {
                (state.width, state.height) = (width, height);
                state.look.ascii = height % 2 == 0;
                frame(&state, fleet, &theme);
            }
        }
    }
}

#[test]
fn without_colours_nothing_is_coloured_and_the_cursor_is_reversed() {
    let fleet = live();
    let theme = painted(Level::None);
    for state in everything(&fleet, (80, 24)) {
        let drawn = frame(&state, &fleet, &theme);
        assert!(drawn.content.iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)));
    }
    let drawn = frame(&state(&fleet, Screen::Tasks, (80, 24)), &fleet, &theme);
    let reversed = |y: u16| (0..80).all(|x| drawn[(x, y)].modifier.contains(Modifier::REVERSED));
    assert!(reversed(2) && !reversed(3));
}

#[test]
fn a_filter_in_force_and_marks_are_told_whatever_the_line_below_says() {
    let (fleet, theme) = (live(), painted(Level::True));
    for width in [120, 80, 60, 30] {
        let mut state = state(&fleet, Screen::Tasks, (width, 24));
        state.tasks.set_filter("endpoint:fleet", state.now).unwrap();
        state.filter.input.text = "endpoint:fleet".to_owned();
        state.marks = [key("fleet", "restart-webserver"), key("local", "disk-space")].into();
        state.message =
            Some(Message { text: "sorted by name".into(), severity: Severity::Info, until: None });
        let drawn = text(&frame(&state, &fleet, &theme));
        let title = format!(" tasks {}/30 ●2", state.tasks.len());
        assert!(drawn.lines().next().unwrap().replace("vigie ·", "").contains(&title), "{drawn}");
        assert!(drawn.contains("sorted by name"), "{drawn}");
        assert!(drawn.lines().next().unwrap().contains("4/5"), "{drawn}");
    }
}

#[test]
fn a_dead_endpoint_turns_the_fraction_loud() {
    let theme = painted(Level::True);
    for (fleet, role) in [
        (fixture::quiet(), Role::StateHealthy),
        (live(), Role::Error),
        (fixture::troubled(), Role::Error),
        (fixture::connecting(), Role::Muted),
    ] {
        let drawn = frame(&state(&fleet, Screen::Tasks, (120, 10)), &fleet, &theme);
        let at = (0..118).find(|&x| drawn[(x, 0)].symbol() == "/").unwrap();
        assert_eq!(Some(drawn[(at, 0)].fg), theme.style(role).fg);
    }
}

#[test]
fn the_board_calls_healthy_only_what_is_known_to_be() {
    let fleet = live();
    let counts = fleet.counts();
    let (told, known) = (counts.of(TaskState::Healthy), counts.fresh(TaskState::Healthy));
    assert!(known < told, "the fixture has healthy rows that are stale");
    let drawn = text(&frame(&state(&fleet, Screen::Board, (160, 45)), &fleet, &painted(Level::True)));
    let line = drawn.lines().find(|line| line.starts_with(" TASKS")).unwrap();
    assert!(line.contains(&format!("✓{known} healthy")) && line.contains("~2 not fresh"), "{line}");
    let numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<usize>().ok());
    assert_eq!(numbers.sum::<usize>(), 2 * counts.tasks, "every task is counted once: {line}");
}

#[test]
fn a_stale_row_never_looks_green() {
    let fleet = live();
    let theme = painted(Level::True);
    let green = theme.style(Role::StateHealthy).fg;
    for size in SIZES {
        let drawn = frame(&state(&fleet, Screen::Tasks, size), &fleet, &theme);
        let lines = text(&drawn);
        for (line, y) in lines.lines().zip(0u16..).filter(|(line, _)| line.contains(" edge ")) {
            let any = (0..size.0).any(|x| Some(drawn[(x, y)].fg) == green);
            assert!(!any || y == 0, "{line}");
        }
    }
}

#[test]
fn rows_and_names_have_their_room() {
    let fleet = live();
    let theme = painted(Level::True);
    let rows = |drawn: &Buffer| {
        let words =
            ["healthy", "failing", "late", "absent", "running", "queued", "due", "paused", "archived"];
        let lines = text(drawn);
        lines
            .lines()
            .skip(2)
            .filter(|line| words.iter().any(|word| line.contains(&format!(" {word}"))))
            .count()
    };
    assert!(rows(&frame(&state(&fleet, Screen::Tasks, (80, 24)), &fleet, &theme)) >= 19);
    for width in 60..=200 {
        let drawn = text(&frame(&state(&fleet, Screen::Tasks, (width, 15)), &fleet, &theme));
        let name = "sync-repository-eu-central-with-a-long-name";
        let line = drawn.lines().find(|line| line.contains("sync-repo")).unwrap();
        let shown = name.chars().zip(line[line.find("sync-repo").unwrap()..].chars());
        let cells = shown.take_while(|(a, b)| a == b).count();
        assert!(cells >= 15, "{width}: {line}");
        assert!(line.contains("waits 12m"), "{width}: {line}");
    }
}

#[test]
fn the_cursor_is_drawn_wherever_the_window_is() {
    let fleet = live();
    let theme = painted(Level::True);
    for (top, index) in [(0, 0), (0, 29), (29, 0), (12, 14), (99, 3)] {
        let mut state = state(&fleet, Screen::Tasks, (80, 12));
        state.tasks_top = top;
        state.tasks.select_index(index);
        let name = fleet.task(state.tasks.cursor().unwrap()).unwrap().task.name.clone();
        let drawn = text(&frame(&state, &fleet, &theme));
        let line = drawn.lines().find(|line| line.starts_with(glyph::CURSOR)).unwrap();
        assert!(line.contains(&name.as_str()[..10]), "{line}");
        // The window never ends before the rows do.
        assert_eq!(drawn.lines().skip(2).take(8).filter(|line| line.is_empty()).count(), 0);
    }
}
