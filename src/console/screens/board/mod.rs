//! The board: what hangs in a pane all day. Alerts first, then queues, what
//! runs now, what comes next, and, where there is room, how what ran last has
//! ended. Sections shrink to their headline before anything is cut; on a small
//! screen endpoints, alerts and queues remain.

mod glance;
mod parts;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::View;
use crate::console::format::width;
use crate::console::layout::board_alerts;
use crate::console::theme::Role;
use crate::console::widgets::{Pen, rule};

/// From so many lines on there is a place for what runs and what comes.
const FULL: u16 = 14;
/// Fewer lines of runs that have ended are not worth their headline, more are no news.
const ENDED: std::ops::RangeInclusive<u16> = 2..=10;

/// Lines that a section would like, and what it got: its headline not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Share {
    want: u16,
    got: u16,
}

/// Shares `room` lines out. Alerts have at least `least`; then every section
/// gets a little, then the more urgent ones get what is left.
fn share(room: u16, least: u16, wants: [u16; 4]) -> [u16; 4] {
    let mut shares = wants.map(|want| Share { want, got: 0 });
    let mut left = room;
    let mut give = |share: &mut Share, most: u16| {
        let more = share.want.saturating_sub(share.got).min(most).min(left);
        share.got += more;
        left -= more;
    };
    let [alerts, queues, running, next] = &mut shares;
    give(alerts, least);
    give(next, 1);
    give(queues, 3);
    give(running, 2);
    for section in [alerts, queues, running, next] {
        give(section, u16::MAX);
    }
    shares.map(|share| share.got)
}

pub(super) fn draw(buffer: &mut Buffer, area: Rect, view: &View<'_>) {
    let full = area.height >= FULL;
    let mut top = parts::endpoints(buffer, area, view);
    if full {
        glance::tasks(buffer, Rect { y: area.y + top, height: 1, ..area }, view);
        top += 1;
    }
    let board = parts::Board::gather(view);
    let headlines = if full { 4 } else { 2 };
    let wants = board.wants();
    let wants = if full { wants } else { [wants[0], wants[1], 0, 0] };
    let room = area.height.saturating_sub(top + headlines);
    let shares = share(room, board_alerts(area.height), wants);
    let left = room - shares.iter().sum::<u16>();
    // Air between the sections comes before a long list of what has ended.
    let spare = if left >= 2 * (headlines + 1) { left - (headlines + 1) } else { left };
    let ended = board.wants_ended().min(*ENDED.end()).min(spare.saturating_sub(1));
    let ended = if full && ended >= *ENDED.start() { Some(ended) } else { None };
    let sections = headlines + u16::from(ended.is_some());
    let air = u16::from(full && left - ended.map_or(0, |lines| lines + 1) >= sections);

    top += air;
    let mut section = |lines: u16| {
        let place =
            Rect { y: area.y + top, height: (lines + 1).min(area.height.saturating_sub(top)), ..area };
        top += lines + 1 + air;
        place
    };
    let [alerts, queues, running, next] = shares;
    board.alerts(buffer, section(alerts), view);
    board.queues(buffer, section(queues), view);
    if full {
        board.running(buffer, section(running), view);
        board.next(buffer, section(next), view);
    }
    if let Some(lines) = ended {
        board.ended(buffer, section(lines), view);
    }
}

/// Draws a section's headline, with `note` in it; gives the lines below.
fn headline(buffer: &mut Buffer, area: Rect, title: &str, note: (&str, Role), view: &View<'_>) -> Rect {
    let mut pen = Pen::new(buffer, area, 0);
    pen.skip(1).put(title, view.style(Role::Heading)).skip(1);
    if !note.0.is_empty() {
        let room = pen.left().saturating_sub(3);
        pen.put_within(note.0, room.max(width(note.0).min(room)), view.style(note.1)).skip(1);
    }
    rule(&mut pen, view.style(Role::Border));
    let head = 1.min(area.height);
    Rect { y: area.y + head, height: area.height - head, ..area }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn lines_are_shared_out_by_urgency() {
        for (room, least, wants, got) in [
            (16, 7, [3, 2, 1, 1], [3, 2, 1, 1]),
            (16, 7, [40, 2, 1, 1], [12, 2, 1, 1]),
            (16, 7, [40, 20, 20, 3], [10, 3, 2, 1]),
            (9, 4, [40, 9, 0, 0], [6, 3, 0, 0]),
            (9, 4, [1, 9, 0, 0], [1, 8, 0, 0]),
            (0, 1, [4, 4, 4, 4], [0, 0, 0, 0]),
        ] {
            assert_eq!(share(room, least, wants), got, "{wants:?} in {room}");
        }
    }
}
