//! The header, one line: is anything wrong, and can this screen be trusted?
//!
//! Too narrow, it drops the clock, then counts of zero, then its own name, then
//! words before glyphs; the fraction of endpoints that are up stays.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::View;
use crate::console::format::{clock, width};
use crate::console::state::Screen;
use crate::console::theme::Role;
use crate::console::widgets::{Pen, glyph};
use crate::model::{Alert, Health, Severity, TaskState};

/// What goes when it is too narrow, one more at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Room {
    Everything,
    NoClock,
    NoZeros,
    NoName,
    NoWords,
    /// Narrower than vigie is made for: the fraction stays, counts as they fit.
    Bare,
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
            Room::NoWords | Room::Bare => format!("{}{}", self.glyph, self.number),
            _ => format!("{}{} {}", self.glyph, self.number, self.word),
        }
    }
}

impl Room {
    const STEPS: [Self; 6] =
        [Self::Everything, Self::NoClock, Self::NoZeros, Self::NoName, Self::NoWords, Self::Bare];

    /// The cells around the counts: what keeps the groups apart.
    const fn gap(self) -> usize {
        match self {
            Self::Everything | Self::NoClock | Self::NoZeros | Self::NoName => 3,
            Self::NoWords | Self::Bare => 1,
        }
    }
}

pub(super) fn draw(buffer: &mut Buffer, area: Rect, view: &View<'_>) {
    let state = view.state;
    let all = counts(view);
    let counts = |room: Room| all.iter().filter(move |count| count.number > 0 || room < Room::NoZeros);
    let endpoints = Endpoints::of(view);
    let time = clock(state.now, &state.look);

    let needed = |room: Room| {
        let counts: usize = counts(room).map(|count| width(&count.text(room)) + 1).sum();
        let clock = if room == Room::Everything { width(&time) + 3 } else { 0 };
        let (title, badge) = title(view, room);
        width(&title) + width(badge) + 2 * room.gap() + counts + width(&endpoints.text(room)) + clock
    };
    let room = Room::STEPS.into_iter().find(|&room| needed(room) <= usize::from(area.width));
    let room = room.unwrap_or(Room::Bare);

    let mut pen = Pen::new(buffer, area, 0);
    let (title, badge) = title(view, room);
    pen.put(&title, view.style(Role::Title)).put(badge, view.style(Role::SeverityWarning)).skip(room.gap());
    let fraction = endpoints.text(room);
    for count in counts(room) {
        let text = count.text(room);
        // At the narrowest the fraction keeps its place before the last counts.
        if room == Room::Bare && width(&text) + width(&fraction) + 1 > pen.left() {
            break;
        }
        let role = if count.number == 0 { Role::Muted } else { count.role };
        pen.put(&text, view.style(role)).skip(1);
    }
    if counts(room).next().is_some() {
        pen.skip(room.gap() - 1);
    }
    pen.put(&fraction, view.style(endpoints.role));
    if room == Room::Everything {
        let left = pen.left();
        pen.skip(left.saturating_sub(width(&time) + 1)).put(&time, view.style(Role::Clock));
    }
}

/// The screen with how many rows it has, and whether nothing may be sent. A
/// filter in force and marks are told too: they must not be forgotten while
/// the line above the footer says something else.
fn title(view: &View<'_>, room: Room) -> (String, &'static str) {
    let state = view.state;
    let screen = state.screen;
    let filtered = screen == Screen::Tasks && !state.tasks.filter().is_empty();
    let number = match screen {
        Screen::Board => None,
        Screen::Tasks if filtered => Some(format!("{}/{}", state.tasks.len(), view.fleet.task_count())),
        Screen::Tasks => Some(view.fleet.task_count().to_string()),
        Screen::Endpoints => Some(view.fleet.endpoints().count().to_string()),
        Screen::Runs | Screen::Journal => state.rows.get(&screen).map(|rows| rows.keys.len().to_string()),
    };
    let mut title = match (number, room) {
        (Some(number), Room::NoName | Room::NoWords) => format!(" {} {number}", screen.name()),
        (Some(number), Room::Bare) if filtered => format!(" {} {number}", screen.name()),
        (_, Room::NoName | Room::NoWords | Room::Bare) => format!(" {}", screen.name()),
        (Some(number), _) => format!(" vigie · {} {number}", screen.name()),
        (None, _) => format!(" vigie · {}", screen.name()),
    };
    if screen == Screen::Tasks && !state.marks.is_empty() {
        title = format!("{title} {}{}", glyph::MARK, state.marks.len());
    }
    let badge = match (view.state.read_only, room) {
        (false, _) => "",
        (true, Room::Bare) => " ro",
        (true, _) => " · read-only",
    };
    (title, badge)
}

fn counts(view: &View<'_>) -> Vec<Count> {
    if view.state.screen == Screen::Board {
        let of = |severity: Severity| {
            let loud = |alert: &Alert| alert.silenced_until.is_none_or(|until| until <= view.state.now);
            let open = view.fleet.open_alerts().filter(|(_, alert)| loud(alert));
            open.filter(|(_, alert)| alert.severity == severity).count()
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
            (_, Room::NoWords | Room::Bare) => format!("{}/{} up", self.up, self.all),
            (1, _) => format!("{}/1 endpoint up", self.up),
            _ => format!("{}/{} endpoints up", self.up, self.all),
        }
    }
}
