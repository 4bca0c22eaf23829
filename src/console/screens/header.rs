//! The header, one line: is anything wrong, and can this screen be trusted?
//!
//! Too narrow, it drops the clock, then counts of zero, then words before
//! glyphs; the fraction of endpoints that are up stays longest.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::View;
use crate::console::format::{clock, width};
use crate::console::state::Screen;
use crate::console::theme::Role;
use crate::console::widgets::{Pen, glyph};
use crate::model::{Health, Severity, TaskState};

/// What goes when it is too narrow, one more at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Room {
    Everything,
    NoClock,
    NoZeros,
    NoWords,
}

/// A count with its glyph and word.
struct Count {
    glyph: &'static str,
    number: usize,
    word: &'static str,
    role: Role,
}

impl Count {
    fn text(&self, room: Room) -> String {
        match room {
            Room::NoWords => format!("{}{}", self.glyph, self.number),
            _ => format!("{}{} {}", self.glyph, self.number, self.word),
        }
    }
}

pub(super) fn draw(buffer: &mut Buffer, area: Rect, view: &View<'_>) {
    let state = view.state;
    let title = title(view);
    let read_only = state.read_only.then_some("read-only");
    let counts = counts(view);
    let endpoints = Endpoints::of(view);
    let time = clock(state.now, &state.look);

    let steps = [Room::Everything, Room::NoClock, Room::NoZeros, Room::NoWords];
    let needed = |room: Room| {
        let counts = counts.iter().filter(|count| count.number > 0 || room < Room::NoZeros);
        let counts: usize = counts.map(|count| width(&count.text(room)) + 1).sum();
        let clock = if room == Room::Everything { width(&time) + 3 } else { 0 };
        let badge = read_only.map_or(0, |text| width(text) + 3);
        width(&title) + 4 + badge + counts + 2 + width(&endpoints.text(room)) + clock
    };
    let available = usize::from(area.width);
    let room = steps.into_iter().find(|&room| needed(room) <= available).unwrap_or(Room::NoWords);

    let mut pen = Pen::new(buffer, area, 0);
    pen.put(&title, view.style(Role::Title));
    if let Some(text) = read_only {
        pen.put(" · ", view.style(Role::Muted)).put(text, view.style(Role::SeverityWarning));
    }
    pen.skip(if room < Room::NoWords { 3 } else { 1 });
    for count in counts.iter().filter(|count| count.number > 0 || room < Room::NoZeros) {
        let role = if count.number == 0 { Role::Muted } else { count.role };
        pen.put(&count.text(room), view.style(role)).skip(1);
    }
    pen.skip(if room < Room::NoWords { 2 } else { 0 });
    pen.put(&endpoints.text(room), view.style(endpoints.role));
    if room == Room::Everything {
        let left = pen.left();
        pen.skip(left.saturating_sub(width(&time) + 1)).put(&time, view.style(Role::Clock));
    }
}

fn title(view: &View<'_>) -> String {
    let screen = view.state.screen;
    let number = match screen {
        Screen::Board => None,
        Screen::Tasks => Some(view.fleet.task_count()),
        Screen::Endpoints => Some(view.fleet.endpoints().count()),
        Screen::Runs | Screen::Journal => view.state.rows.get(&screen).map(|rows| rows.keys.len()),
    };
    match number {
        Some(number) => format!(" vigie · {} {number}", screen.name()),
        None => format!(" vigie · {}", screen.name()),
    }
}

fn counts(view: &View<'_>) -> Vec<Count> {
    if view.state.screen == Screen::Board {
        let alerts = view.fleet.alerts();
        let of = |severity: Severity| {
            let open = alerts.iter().filter(|row| !row.is_silenced(view.state.now));
            open.filter(|row| row.alert.severity == severity).count()
        };
        return [Severity::Critical, Severity::Warning]
            .map(|severity| Count {
                glyph: glyph::severity(severity),
                number: of(severity),
                word: severity.word(),
                role: Role::severity(severity),
            })
            .into();
    }
    let tasks = view.fleet.counts();
    let count = |state: TaskState| Count {
        glyph: glyph::task(state),
        number: tasks.of(state),
        word: state.word(),
        role: Role::task(state),
    };
    // Absent ones are rare enough to be left out while there are none.
    let absent = Some(count(TaskState::Absent)).filter(|count| count.number > 0);
    let shown = [Some(count(TaskState::Failing)), absent, Some(count(TaskState::Late))];
    shown.into_iter().chain([Some(count(TaskState::Running))]).flatten().collect()
}

/// How many endpoints can be read.
struct Endpoints {
    up: usize,
    all: usize,
    role: Role,
}

impl Endpoints {
    fn of(view: &View<'_>) -> Self {
        let (mut up, mut all) = (0, 0);
        let mut role = Role::StateHealthy;
        for row in view.fleet.endpoints() {
            all += 1;
            up += usize::from(matches!(row.health, Health::Up | Health::Degraded));
            role = match (row.health, role) {
                (Health::Down | Health::Unauthorised, _) | (_, Role::Error) => Role::Error,
                (Health::Degraded, _) | (_, Role::SeverityWarning) => Role::SeverityWarning,
                (Health::Connecting, _) => Role::Muted,
                (Health::Up, role) => role,
            };
        }
        Self { up, all, role: if all == 0 { Role::Muted } else { role } }
    }

    fn text(&self, room: Room) -> String {
        match (self.all, room) {
            (0, _) => "no endpoints".to_owned(),
            (_, Room::NoWords) => format!("{}/{} up", self.up, self.all),
            (1, _) => format!("{}/1 endpoint up", self.up),
            _ => format!("{}/{} endpoints up", self.up, self.all),
        }
    }
}
