//! A terminal's screen as SVG, in the colours of a theme. Every cell that a
//! fallback font may draw wider stands at its own place, and what draws lines
//! and bars is drawn as shapes: columns stay columns, whatever fonts there are.

use std::fmt::Write as _;

use vigie::console::theme::{Colour, Theme};

/// A cell's size in pixels, and the margin around the screen.
const CELL: (f32, f32) = (8.4, 18.0);
const MARGIN: f32 = 12.0;
/// Where a line of text stands within its cell.
const BASELINE: f32 = 13.5;

/// How a run of cells looks.
#[derive(Clone, Copy, PartialEq)]
struct Look {
    ink: (u8, u8, u8),
    ground: Option<(u8, u8, u8)>,
    bold: bool,
    dim: bool,
    underline: bool,
}

impl Look {
    fn of(cell: &vt100::Cell, theme: &Theme) -> Self {
        let colour = |colour: vt100::Color, own: Colour| match colour {
            vt100::Color::Default => own,
            vt100::Color::Idx(index) => Colour::Indexed(index),
            vt100::Color::Rgb(red, green, blue) => Colour::Rgb(red, green, blue),
        };
        let plain = cell.bgcolor() == vt100::Color::Default && !cell.inverse();
        let ink = colour(cell.fgcolor(), theme.foreground).rgb(theme.foreground);
        let ground = colour(cell.bgcolor(), theme.background).rgb(theme.background);
        let (ink, ground) = if cell.inverse() { (ground, ink) } else { (ink, ground) };
        Self {
            ink,
            ground: (!plain).then_some(ground),
            bold: cell.bold(),
            dim: cell.dim(),
            underline: cell.underline(),
        }
    }
}

fn hex((red, green, blue): (u8, u8, u8)) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The part of a cell that a character fills: left, top, width, height of 1, and how solid.
fn shape(symbol: &str) -> Option<[f32; 5]> {
    let eighth = |n: f32| [0.0, 1.0 - n / 8.0, 1.0, n / 8.0, 1.0];
    Some(match symbol {
        "─" => [0.0, 0.48, 1.0, 0.06, 1.0],
        "│" => [0.44, 0.0, 0.12, 1.0, 1.0],
        "┌" | "┐" => [0.44, 0.48, 0.12, 0.52, 1.0],
        "└" | "┘" => [0.44, 0.0, 0.12, 0.54, 1.0],
        "▌" => [0.0, 0.0, 0.5, 1.0, 1.0],
        "░" => [0.0, 0.125, 1.0, 0.875, 0.3],
        "▁" => eighth(1.0),
        "▂" => eighth(2.0),
        "▃" => eighth(3.0),
        "▄" => eighth(4.0),
        "▅" => eighth(5.0),
        "▆" => eighth(6.0),
        "▇" => eighth(7.0),
        "█" => eighth(8.0),
        _ => return None,
    })
}

/// The arm of a corner.
fn arm(symbol: &str) -> Option<[f32; 5]> {
    match symbol {
        "┌" | "└" => Some([0.44, 0.48, 0.56, 0.06, 1.0]),
        "┐" | "┘" => Some([0.0, 0.48, 0.56, 0.06, 1.0]),
        _ => None,
    }
}

struct Picture {
    svg: String,
    theme: Theme,
}

impl Picture {
    fn rect(&mut self, x: f32, y: f32, width: f32, height: f32, fill: &str, solid: f32) {
        let opacity = if solid < 1.0 { format!(" fill-opacity=\"{solid}\"") } else { String::new() };
        writeln!(
            self.svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"{opacity}/>"
        )
        .unwrap();
    }

    fn text(&mut self, x: f32, y: f32, cells: usize, text: &str, look: Look) {
        let mut class = String::new();
        for (on, name) in [(look.bold, "b"), (look.dim, "d"), (look.underline, "u")] {
            if on {
                class.push_str(if class.is_empty() { "" } else { " " });
                class.push_str(name);
            }
        }
        let class = if class.is_empty() { class } else { format!(" class=\"{class}\"") };
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let (fill, wide) = (hex(look.ink), f32::from(u16::try_from(cells).unwrap()) * CELL.0);
        writeln!(
            self.svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{fill}\" textLength=\"{wide:.1}\" lengthAdjust=\"spacingAndGlyphs\"{class}>{text}</text>"
        )
        .unwrap();
    }

    /// One line of cells: their grounds, then shapes and runs of text.
    fn line(&mut self, screen: &vt100::Screen, row: u16, columns: u16) {
        let top = MARGIN + f32::from(row) * CELL.1;
        let left = |column: u16| MARGIN + f32::from(column) * CELL.0;
        let looks: Vec<(Look, String, bool)> = (0..columns)
            .map(|column| {
                let cell = screen.cell(row, column).unwrap();
                (Look::of(cell, &self.theme), cell.contents().to_owned(), cell.is_wide())
            })
            .collect();
        let mut column = 0;
        for same in looks.chunk_by(|a, b| a.0.ground == b.0.ground) {
            let cells = u16::try_from(same.len()).unwrap();
            if let Some(ground) = same[0].0.ground {
                self.rect(left(column), top, f32::from(cells) * CELL.0, CELL.1, &hex(ground), 1.0);
            }
            column += cells;
        }
        let mut column = 0;
        // Runs of ASCII in one look, split at gaps; everything else alone.
        let plain = |(_, text, _): &(Look, String, bool)| text.len() == 1 && text != " ";
        for run in looks.chunk_by(|a, b| plain(a) && plain(b) && a.0 == b.0) {
            let (look, symbol, wide) = &run[0];
            let x = left(column);
            if let Some(first) = shape(symbol) {
                for [dx, dy, w, h, solid] in [Some(first), arm(symbol)].into_iter().flatten() {
                    let (x, y) = (dx.mul_add(CELL.0, x), dy.mul_add(CELL.1, top));
                    self.rect(x, y, w * CELL.0, h * CELL.1, &hex(look.ink), solid);
                }
            } else if !symbol.trim().is_empty() {
                let text: String = run.iter().map(|(_, text, _)| text.as_str()).collect();
                self.text(x, top + BASELINE, run.len() + usize::from(*wide), &text, *look);
            }
            column += u16::try_from(run.len()).unwrap();
        }
    }
}

/// The whole screen.
pub fn picture(screen: &vt100::Screen, theme: &str) -> String {
    let theme = Theme::load(theme, |_| None).unwrap();
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let width = 2.0f32.mul_add(MARGIN, f32::from(columns) * CELL.0);
    let height = 2.0f32.mul_add(MARGIN, f32::from(rows) * CELL.1);
    let ground = hex(theme.background.rgb(theme.background));
    let mut picture = Picture { svg: String::new(), theme };
    writeln!(
        picture.svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <style>text {{ font: 14px 'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace; white-space: pre }} \
         .b {{ font-weight: bold }} .d {{ opacity: .6 }} .u {{ text-decoration: underline }}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{ground}\"/>"
    )
    .unwrap();
    for row in 0..rows {
        picture.line(screen, row, columns);
    }
    picture.svg.push_str("</svg>\n");
    picture.svg
}
