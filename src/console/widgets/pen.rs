//! Writing into one line of cells, and boxes around several.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::glyph;
use crate::console::format::{ellipsis, width};

/// Writes one line from left to right, and never beyond its end.
#[derive(Debug)]
pub struct Pen<'b> {
    buffer: &'b mut Buffer,
    x: u16,
    y: u16,
    end: u16,
}

impl<'b> Pen<'b> {
    /// At the left of line `line` (from 0) of `area`. Beyond its last line
    /// nothing is written.
    #[must_use]
    pub fn new(buffer: &'b mut Buffer, area: Rect, line: u16) -> Self {
        let area = area.intersection(buffer.area);
        let y = area.y.saturating_add(line);
        let end = if line < area.height { area.right() } else { area.x };
        Self { buffer, x: area.x, y, end }
    }

    /// How many cells are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        (self.end - self.x) as usize
    }

    /// Writes `text`, cut with an ellipsis at the end of the line.
    pub fn put(&mut self, text: &str, style: Style) -> &mut Self {
        let left = self.left();
        self.put_within(text, left, style)
    }

    /// Writes `text`, cut with an ellipsis at `cells`.
    pub fn put_within(&mut self, text: &str, cells: usize, style: Style) -> &mut Self {
        let cells = cells.min(self.left());
        if cells > 0 {
            let (x, _) = self.buffer.set_stringn(self.x, self.y, ellipsis(text, cells), cells, style);
            self.x = x.min(self.end);
        }
        self
    }

    /// Writes `text` if there is room for all of it, and says whether.
    pub fn put_whole(&mut self, text: &str, style: Style) -> bool {
        let fits = width(text) <= self.left();
        if fits {
            self.put(text, style);
        }
        fits
    }

    /// Writes `text` into exactly `cells` cells, from their left.
    pub fn field(&mut self, text: &str, cells: usize, style: Style) -> &mut Self {
        let end = self.end.min(self.x.saturating_add(to_cells(cells)));
        self.put_within(text, cells, style);
        self.x = end;
        self
    }

    /// Writes `text` into exactly `cells` cells, to their right.
    pub fn field_right(&mut self, text: &str, cells: usize, style: Style) -> &mut Self {
        let cells = cells.min(self.left());
        let text = ellipsis(text, cells);
        let gap = cells.saturating_sub(width(&text));
        self.skip(gap).field(&text, cells - gap, style)
    }

    /// Leaves `cells` as they are.
    pub fn skip(&mut self, cells: usize) -> &mut Self {
        self.x = self.end.min(self.x.saturating_add(to_cells(cells)));
        self
    }

    /// Goes to where `text` ends with the line, if that is not behind; writes it there.
    pub fn put_at_end(&mut self, text: &str, style: Style) -> &mut Self {
        let left = self.left();
        self.skip(left.saturating_sub(width(text))).put(text, style)
    }

    /// Where it stands.
    #[must_use]
    pub const fn column(&self) -> u16 {
        self.x
    }
}

fn to_cells(cells: usize) -> u16 {
    u16::try_from(cells).unwrap_or(u16::MAX)
}

/// Blanks `area` in `style`: what lies over something else begins with it.
pub fn fill(buffer: &mut Buffer, area: Rect, style: Style) {
    let area = area.intersection(buffer.area);
    for position in area.positions() {
        if let Some(cell) = buffer.cell_mut(position) {
            cell.reset();
            cell.set_style(style);
        }
    }
}

/// A horizontal line from where the pen stands to its end.
pub fn rule(pen: &mut Pen<'_>, style: Style) {
    while pen.left() > 0 {
        pen.put(glyph::LINE, style);
    }
}

/// Blanks `area`, draws a border with `title` in it, and gives what is inside,
/// one cell of air left and right.
pub fn boxed(
    buffer: &mut Buffer,
    area: Rect,
    title: &str,
    ground: Style,
    border: Style,
    heading: Style,
) -> Rect {
    let area = area.intersection(buffer.area);
    fill(buffer, area, ground);
    if area.width < 2 || area.height < 2 {
        return Rect::new(area.x, area.y, 0, 0);
    }
    let last = area.height - 1;
    for (line, left, right) in [(0, "┌", "┐"), (last, "└", "┘")] {
        let mut pen = Pen::new(buffer, area, line);
        pen.put(left, border);
        if line == 0 && !title.is_empty() {
            let room = pen.left().saturating_sub(4);
            pen.put(" ", border).put_within(title, room, heading).put(" ", border);
        }
        while pen.left() > 1 {
            pen.put(glyph::LINE, border);
        }
        pen.put(right, border);
    }
    for line in 1..last {
        let mut pen = Pen::new(buffer, area, line);
        pen.put(glyph::SIDE, border);
        pen.put_at_end(glyph::SIDE, border);
    }
    Rect::new(area.x + 2, area.y + 1, area.width.saturating_sub(4), last.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(buffer: &Buffer) -> Vec<String> {
        let line = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        (0..buffer.area.height).map(line).collect()
    }

    #[test]
    fn fields_keep_their_cells() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 1));
        let area = buffer.area;
        let style = Style::new();
        Pen::new(&mut buffer, area, 0)
            .field("left", 6, style)
            .field_right("9m", 4, style)
            .skip(1)
            .field_right("too long", 4, style)
            .put_at_end("end", style);
        assert_eq!(text(&buffer), ["left    9m too…  end"]);
        Pen::new(&mut buffer, area, 1).put("beyond", style);
        assert_eq!(text(&buffer), ["left    9m too…  end"]);
    }

    #[test]
    fn a_box_has_its_title_and_its_inside() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 3));
        let style = Style::new();
        let area = buffer.area;
        let inside = boxed(&mut buffer, area, "cancel", style, style, style);
        assert_eq!(inside, Rect::new(2, 1, 8, 1));
        assert_eq!(text(&buffer), ["┌ cancel ──┐", "│          │", "└──────────┘"]);
        for (width, height) in (0..5).flat_map(|w| (0..5).map(move |h| (w, h))) {
            boxed(&mut buffer, Rect::new(9, 1, width, height), "t", style, style, style);
        }
    }
}
