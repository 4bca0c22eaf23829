//! Themes: what things mean, as colours.
//!
//! A theme gives each [`Role`] a look. Its file is TOML:
//!
//! ```toml
//! name = "mine"
//! inherits = "vigie-dark"        # the palette and the roles that this file leaves out
//! background = "#101216"         # what contrast is checked against
//!
//! [palette]
//! red = "#ff5f5f"                # "#rrggbb", 0 to 255, "bright-red", "default"
//!
//! [roles]
//! "state.late" = "red"           # a colour, or
//! "state.failing" = { fg = "red", bold = true }   # fg bg bold underline dim reverse
//! ```
//!
//! Inheritance is by name: a palette that a child changes recolours the roles
//! it inherits. A role that nobody gives falls back to a more general one.
//! [`Theme::paint`] is the one place where looks become the terminal's styles,
//! at the level of colour that it has.

mod colour;
mod load;
mod paint;
mod role;
#[cfg(test)]
mod tests;

pub use colour::{Colour, Level, prefers_light};
pub use load::ThemeError;
pub use paint::Painted;
pub use role::Role;

/// How something looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Face {
    /// The colour of the text; `None`: as what lies beneath.
    pub fg: Option<Colour>,
    /// The colour of the cell; `None`: as what lies beneath.
    pub bg: Option<Colour>,
    /// Bold.
    pub bold: bool,
    /// Underlined.
    pub underline: bool,
    /// Dim.
    pub dim: bool,
    /// Text and cell change colours.
    pub reverse: bool,
}

/// A theme, all inheritance resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// Its name.
    pub name: String,
    /// The background that it is made for: never painted by itself.
    pub background: Colour,
    /// What [`Colour::Default`] is taken to be where contrast is checked.
    pub foreground: Colour,
    faces: [Option<Face>; Role::COUNT],
}

impl Theme {
    /// The names of the themes that vigie brings.
    pub const BUILT_IN: [&'static str; 2] = ["vigie-dark", "vigie-light"];

    /// How `role` looks: its own face, or that of the role that it falls back to.
    #[must_use]
    pub fn face(&self, role: Role) -> Face {
        let mut role = role;
        loop {
            match (self.faces[role as usize], role.fallback()) {
                (Some(face), _) => return face,
                (None, Some(general)) => role = general,
                (None, None) => return Face::default(),
            }
        }
    }
}
