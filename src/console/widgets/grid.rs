//! Tables: columns that fit. Some take more than they need, some go when it is narrow.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::Pen;

/// What a column wants, in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Its title.
    pub title: &'static str,
    /// Under this it is of no use.
    pub least: u16,
    /// More than this it does not need.
    pub most: u16,
    /// The cells before it.
    pub gap: u16,
    /// When it goes: the highest first; 0 never goes.
    pub drop: u8,
    /// Whether its values stand to the right: numbers.
    pub right: bool,
}

impl Slot {
    /// A column of `least` to `most` cells, one cell after the one before,
    /// whose values stand to the left, and which never goes.
    #[must_use]
    pub const fn new(title: &'static str, least: u16, most: u16) -> Self {
        Self { title, least, most, gap: 1, drop: 0, right: false }
    }

    /// Goes when it is narrow: the highest `rank` first.
    #[must_use]
    pub const fn drop(self, rank: u8) -> Self {
        Self { drop: rank, ..self }
    }

    /// Its values stand to the right.
    #[must_use]
    pub const fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// So many cells before it.
    #[must_use]
    pub const fn gap(self, cells: u16) -> Self {
        Self { gap: cells, ..self }
    }
}

/// Columns with their places on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    slots: Vec<Slot>,
    /// Offset from the left and width; `None`: it does not fit.
    places: Vec<Option<(u16, u16)>>,
}

impl Grid {
    /// Places `slots` in `room` cells. Columns go by [`Slot::drop`] until the
    /// least of the others fits; what is left over is shared out, in order.
    #[must_use]
    pub fn fit(slots: Vec<Slot>, room: u16) -> Self {
        let mut widths: Vec<u16> = slots.iter().map(|slot| slot.least).collect();
        let taken = |widths: &[u16]| -> u32 {
            let shown = slots.iter().zip(widths).filter(|(_, width)| **width > 0);
            shown.map(|(slot, &width)| u32::from(slot.gap) + u32::from(width)).sum()
        };
        let room = u32::from(room);
        while taken(&widths) > room {
            let droppable = (0..slots.len()).filter(|&i| widths[i] > 0 && slots[i].drop > 0);
            let Some(next) = droppable.max_by_key(|&i| slots[i].drop) else { break };
            widths[next] = 0;
        }
        let mut spare = room.saturating_sub(taken(&widths));
        let mut x = 0;
        let mut places = Vec::with_capacity(slots.len());
        for (slot, width) in slots.iter().zip(widths) {
            if width == 0 {
                places.push(None);
                continue;
            }
            let more = u16::try_from(spare).unwrap_or(u16::MAX).min(slot.most.saturating_sub(width));
            spare -= u32::from(more);
            places.push(Some((x + slot.gap, width + more)));
            x += slot.gap + width + more;
        }
        Self { slots, places }
    }

    /// How wide column `i` is; 0: it does not fit.
    #[must_use]
    pub fn width(&self, i: usize) -> usize {
        self.places.get(i).copied().flatten().map_or(0, |(_, width)| usize::from(width))
    }

    /// Writes the titles into the first line of `area`.
    pub fn titles(&self, buffer: &mut Buffer, area: Rect, style: Style) {
        let mut row = self.row(buffer, area, 0);
        for (i, slot) in self.slots.iter().enumerate() {
            row.put(i, slot.title, style);
        }
    }

    /// Line `line` of `area`, to be written column by column.
    #[must_use]
    pub const fn row<'r>(&'r self, buffer: &'r mut Buffer, area: Rect, line: u16) -> Row<'r> {
        Row { grid: self, buffer, area, line }
    }
}

/// A line of a table.
#[derive(Debug)]
pub struct Row<'r> {
    grid: &'r Grid,
    buffer: &'r mut Buffer,
    area: Rect,
    line: u16,
}

impl Row<'_> {
    /// Writes column `i`, cut with an ellipsis.
    pub fn put(&mut self, i: usize, text: &str, style: Style) {
        let right = self.grid.slots.get(i).is_some_and(|slot| slot.right);
        let width = self.grid.width(i);
        if let Some(mut pen) = self.pen(i) {
            if right {
                pen.field_right(text, width, style);
            } else {
                pen.put(text, style);
            }
        }
    }

    /// A pen that is kept within column `i`, if that is there.
    pub fn pen(&mut self, i: usize) -> Option<Pen<'_>> {
        let (x, width) = self.grid.places.get(i).copied().flatten()?;
        let left = self.area.x.saturating_add(x);
        let width = width.min(self.area.right().saturating_sub(left));
        let cell = Rect::new(left, self.area.y, width, self.area.height);
        Some(Pen::new(self.buffer, cell, self.line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_go_in_order_and_share_the_rest() {
        let slots = vec![
            Slot::new("A", 4, 6),
            Slot::new("B", 3, 3).drop(9).right(),
            Slot::new("C", 5, 20).drop(1).gap(2),
        ];
        for (room, widths) in [
            (40, [6, 3, 20]),
            (22, [6, 3, 9]),
            (16, [4, 3, 5]),
            (15, [6, 0, 6]),
            (12, [4, 0, 5]),
            (11, [6, 0, 0]),
            (2, [4, 0, 0]),
        ] {
            let grid = Grid::fit(slots.clone(), room);
            assert_eq!([grid.width(0), grid.width(1), grid.width(2)], widths, "{room}");
        }
    }

    #[test]
    fn values_stand_where_their_titles_do() {
        let grid = Grid::fit(vec![Slot::new("NAME", 6, 8), Slot::new("N", 4, 4).right()], 14);
        let mut buffer = Buffer::empty(Rect::new(0, 0, 14, 2));
        let area = buffer.area;
        grid.titles(&mut buffer, area, Style::new());
        let mut row = grid.row(&mut buffer, area, 1);
        row.put(0, "much too long", Style::new());
        row.put(1, "12", Style::new());
        row.put(2, "no such column", Style::new());
        assert_eq!(buffer, Buffer::with_lines([" NAME        N", " much to…   12"]));
    }
}
