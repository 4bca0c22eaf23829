//! Small things that several screens draw with: glyphs, a pen for one line,
//! boxes, tables whose columns fit.

pub mod glyph;
mod grid;
mod pen;

pub use grid::{Grid, Row, Slot};
pub use pen::{Pen, boxed, fill, rule};
