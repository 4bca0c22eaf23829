//! Small things that several screens draw with: glyphs, a pen for one line,
//! boxes, columns that fit.

mod columns;
pub mod glyph;
mod pen;

pub use columns::{Wish, fit};
pub use pen::{Pen, boxed, fill, rule};
