//! The one place where a theme's faces become the terminal's styles.

use ratatui::style::{Color, Modifier, Style};

use super::{Colour, Face, Level, Role, Theme};

/// A theme at a terminal's level of colour: one style per role.
#[derive(Debug, Clone)]
pub struct Painted {
    styles: [Style; Role::COUNT],
    /// The level that it was painted for.
    pub level: Level,
}

impl Painted {
    /// The style of `role`.
    #[must_use]
    pub const fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }
}

impl Theme {
    /// Styles for every role at `level`.
    #[must_use]
    pub fn paint(&self, level: Level) -> Painted {
        let mut styles = [Style::new(); Role::COUNT];
        for &role in Role::ALL {
            let face = self.face(role);
            styles[role as usize] = match level {
                Level::None => monochrome(role, face),
                _ => coloured(face, level, self.background),
            };
        }
        Painted { styles, level }
    }
}

fn modifiers(face: Face) -> Modifier {
    let mut modifier = Modifier::empty();
    for (wanted, flag) in [
        (face.bold, Modifier::BOLD),
        (face.underline, Modifier::UNDERLINED),
        (face.dim, Modifier::DIM),
        (face.reverse, Modifier::REVERSED),
    ] {
        modifier.set(flag, wanted);
    }
    modifier
}

fn coloured(face: Face, level: Level, ground: Colour) -> Style {
    let mut modifier = modifiers(face);
    let (mut fg, mut bg) = (face.fg.and_then(|fg| fg.at(level)), face.bg.and_then(|bg| bg.at(level)));
    // A shade that this level can't tell from the background is no highlight: turn the terminal's own
    // colours round. Its own, since a row of several colours would become patches of them.
    if level == Level::Sixteen && bg.is_some() && bg == ground.at(level) {
        (fg, bg) = (Some(Color::Reset), None);
        modifier |= Modifier::REVERSED;
    }
    Style { fg, bg, add_modifier: modifier, ..Style::new() }
}

/// Without colours a role is told by weight alone; what has a background is reversed.
fn monochrome(role: Role, face: Face) -> Style {
    let mut modifier = modifiers(face);
    modifier |= match role {
        Role::Cursor | Role::Bar => Modifier::REVERSED,
        Role::StateFailing
        | Role::StateAbsent
        | Role::StateLate
        | Role::SeverityCritical
        | Role::SeverityWarning
        | Role::Error
        | Role::Key
        | Role::Title
        | Role::Mark => Modifier::BOLD,
        Role::Match => Modifier::UNDERLINED,
        Role::Muted
        | Role::Border
        | Role::Disabled
        | Role::GaugeRest
        | Role::EvidenceStale
        | Role::StatePaused
        | Role::StateArchived
        | Role::StateUnknown => Modifier::DIM,
        _ if face.bg.is_some() => Modifier::REVERSED,
        _ => Modifier::empty(),
    };
    Style::new().add_modifier(modifier)
}
