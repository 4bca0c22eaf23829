//! The screens as they are seen, on one synthetic fleet at one time.

mod fixture;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::*;
use crate::console::state::{
    Column, Confirm, ConfirmGroup, Detail, DetailTab, Input, LogState, Message, Overlay,
};
use crate::console::theme::{Level, Theme};
use crate::console::{Draft, State};
use crate::model::{Arguments, RunId, Severity, Target, TaskState, Verb};
use fixture::{key, live, name, state};

const SIZES: [(u16, u16); 3] = [(60, 15), (80, 24), (160, 45)];

fn painted(level: Level) -> Painted {
    Theme::built_in(false).unwrap().paint(level)
}

fn frame(state: &State, fleet: &Fleet, theme: &Painted) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(state.width, state.height)).unwrap();
    terminal.draw(|frame| draw(frame, &View { state, fleet, theme })).unwrap();
    terminal.backend().buffer().clone()
}

/// The symbols, a line each, without what a wide character hides.
fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut hidden = 0;
        for x in 0..buffer.area.width {
            if hidden > 0 {
                hidden -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            hidden = crate::console::format::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Symbols with their styles: `{fg bg bold}text`, a line each.
fn styled(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut last = None;
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let style = (cell.fg, cell.bg, cell.modifier);
            if last != Some(style) {
                let colour = |colour: Color| match colour {
                    Color::Reset => "-".to_owned(),
                    Color::Indexed(index) => index.to_string(),
                    other => other.to_string(),
                };
                let modifier: Vec<String> =
                    style.2.iter_names().map(|(name, _)| format!(" {}", name.to_lowercase())).collect();
                out.push_str(&format!("{{{} {}{}}}", colour(style.0), colour(style.1), modifier.concat()));
                last = Some(style);
            }
            out.push_str(cell.symbol());
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

/// Snapshots at the three sizes what `make` gives.
fn at_all_sizes(what: &str, fleet: &Fleet, make: impl Fn((u16, u16)) -> State) {
    for size in SIZES {
        let drawn = text(&frame(&make(size), fleet, &painted(Level::True)));
        insta::assert_snapshot!(format!("{what}_{}x{}", size.0, size.1), drawn);
    }
}

#[test]
fn every_screen_of_a_live_fleet() {
    let fleet = live();
    for screen in Screen::ALL {
        at_all_sizes(screen.name(), &fleet, |size| state(&fleet, screen, size));
    }
}
