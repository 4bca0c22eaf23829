//! Geometry: where things are, as a pure function of size and state. Shared by
//! update (paging, keeping the cursor in view) and by the screens.
//!
//! From the top: the header, the titles of the columns, rows of data, the line
//! for messages and the filter, the footer. Rows keep still: the message line
//! has its place whether or not it says something, as long as there is room.
//! What does not fit goes in this order: footer, titles, message line, header.

use ratatui::layout::Rect;

use super::state::Screen;

/// From this width on the detail stands beside the table, else over it.
pub const DETAIL_BESIDE: u16 = 140;

/// Lines of the detail above its content: title, tabs, rule.
pub const DETAIL_HEAD: u16 = 3;

/// From this height on the message line always has its place.
const MESSAGE_KEPT: u16 = 8;
/// From this height on there is a footer.
const FOOTER_KEPT: u16 = 6;
/// From this height on there are column titles.
const TITLES_KEPT: u16 = 5;
/// From this height on there is a header.
const HEADER_KEPT: u16 = 3;

/// Where the parts of the screen are. A part without room is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Areas {
    /// Screen, counts, endpoints, clock.
    pub header: Rect,
    /// The titles of the columns; empty on the board.
    pub titles: Rect,
    /// Rows of data; empty while the detail lies over them.
    pub rows: Rect,
    /// The open detail, its head included.
    pub detail: Option<Rect>,
    /// Messages and the filter.
    pub message: Rect,
    /// Hints.
    pub footer: Rect,
}

/// Where everything is at this size. `message_line`: whether there is
/// something to say; `detail`: whether the detail is open.
#[must_use]
pub fn areas(screen: Screen, width: u16, height: u16, message_line: bool, detail: bool) -> Areas {
    let line = |wanted: bool| u16::from(wanted);
    let header = line(height >= HEADER_KEPT);
    let footer = line(height >= FOOTER_KEPT);
    let message = line(height >= MESSAGE_KEPT || (message_line && height >= 2));
    let titles = line(screen != Screen::Board && height >= TITLES_KEPT);
    let body = height.saturating_sub(header + footer + message);
    let strip = |y: u16, rows: u16, x: u16, columns: u16| Rect::new(x, y, columns, rows);

    let beside = detail && width >= DETAIL_BESIDE;
    let over = detail && !beside;
    let list_width = if beside { width - beside_width(width) } else { width };
    let (titles_shown, rows_shown) = if over { (0, 0) } else { (titles, body.saturating_sub(titles)) };
    Areas {
        header: strip(0, header, 0, width),
        titles: strip(header, titles_shown, 0, list_width),
        rows: strip(header + titles_shown, rows_shown, 0, list_width),
        detail: detail.then(|| {
            let x = if beside { list_width } else { 0 };
            strip(header, body, x, width - x)
        }),
        message: strip(header + body, message, 0, width),
        footer: strip(header + body + message, footer, 0, width),
    }
}

/// How wide the detail is beside a table, its border included.
const fn beside_width(width: u16) -> u16 {
    let two_fifths = width / 5 * 2;
    if two_fifths > 96 { 96 } else { two_fifths }
}

/// How many rows of data the list of `screen` has at this size. On the board
/// the list is that of the alerts, which has at least so many rows: more
/// where the other sections leave room.
#[must_use]
pub fn list_rows(screen: Screen, width: u16, height: u16, message_line: bool) -> usize {
    let rows = areas(screen, width, height, message_line, false).rows.height;
    usize::from(if screen == Screen::Board { board_alerts(rows) } else { rows })
}

/// The rows that alerts have for sure on a board of `rows` lines.
#[must_use]
pub const fn board_alerts(rows: u16) -> u16 {
    let third = rows / 3;
    if third == 0 { 1 } else { third }
}

/// How many lines of content the open detail has at this size.
#[must_use]
pub fn detail_rows(width: u16, height: u16) -> usize {
    let detail = areas(Screen::Tasks, width, height, false, true).detail;
    usize::from(detail.map_or(0, |area| area.height.saturating_sub(DETAIL_HEAD)))
}

/// How many cells a line of the open detail has at this size: beside a table
/// one of its own is the line between them.
#[must_use]
pub fn detail_cells(width: u16, height: u16) -> usize {
    let detail = areas(Screen::Tasks, width, height, false, true).detail;
    usize::from(detail.map_or(0, |area| if area.x > 0 { area.width.saturating_sub(1) } else { area.width }))
}

/// The first row to draw so that row `cursor` of `len` is in view within
/// `rows` lines, moving as little as possible from `top`, and leaving no
/// empty lines at the end while there are rows above.
#[must_use]
pub const fn window(top: usize, cursor: Option<usize>, len: usize, rows: usize) -> usize {
    let most = len.saturating_sub(rows);
    let top = if top > most { most } else { top };
    match cursor {
        Some(cursor) if cursor < top => cursor,
        Some(cursor) if rows > 0 && cursor >= top + rows => cursor + 1 - rows,
        _ => top,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_data_at_the_usual_sizes() {
        for (screen, width, height, rows, detail) in [
            (Screen::Tasks, 80, 24, 20, 18),
            (Screen::Runs, 60, 15, 11, 9),
            (Screen::Journal, 160, 45, 41, 39),
            (Screen::Board, 60, 15, 4, 9),
            (Screen::Board, 80, 24, 7, 18),
        ] {
            assert_eq!(list_rows(screen, width, height, false), rows, "{screen:?} {width}x{height}");
            assert_eq!(list_rows(screen, width, height, true), rows, "{screen:?} {width}x{height}");
            assert_eq!(detail_rows(width, height), detail, "{width}x{height}");
        }
    }

    #[test]
    fn parts_never_overlap_or_leave_the_screen() {
        for screen in Screen::ALL {
            for (width, height) in (0..=200).step_by(7).flat_map(|w| (0..=50).map(move |h| (w, h))) {
                for (message, detail) in [(false, false), (true, false), (false, true), (true, true)] {
                    let all = areas(screen, width, height, message, detail);
                    let parts = [
                        Some(all.header),
                        Some(all.titles),
                        Some(all.rows),
                        all.detail,
                        Some(all.message),
                        Some(all.footer),
                    ];
                    let covered: u32 = parts.iter().flatten().map(|part| part.area()).sum();
                    assert_eq!(covered, u32::from(width) * u32::from(height), "{all:?}");
                    for part in parts.iter().flatten() {
                        assert!(part.right() <= width && part.bottom() <= height, "{all:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_cursor_is_always_in_the_window() {
        for len in 0..12 {
            for rows in 1..14 {
                for top in 0..15 {
                    for cursor in 0..len {
                        let first = window(top, Some(cursor), len, rows);
                        assert!((first..first + rows).contains(&cursor));
                        assert!(first + rows <= len || first == 0);
                    }
                    assert!(window(top, None, len, rows) <= len);
                }
            }
        }
    }
}
