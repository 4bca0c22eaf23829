//! Reading theme files, with inheritance.

use std::collections::BTreeMap;
use std::fmt;

use super::{Colour, Face, Role, Theme};
use crate::document::{Document, Problem, Table, Value, did_you_mean};

const DARK: &str = include_str!("../../../themes/vigie-dark.toml");
const LIGHT: &str = include_str!("../../../themes/vigie-light.toml");

/// Why a theme can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThemeError {
    /// Neither the user's folder nor vigie has it.
    Unknown {
        /// The name.
        name: String,
    },
    /// It inherits itself by way of others.
    Cycle {
        /// The names, the last being one of those before it.
        names: Vec<String>,
    },
    /// Its file is wrong.
    Broken {
        /// The theme.
        name: String,
        /// Everything that is wrong, by line.
        problems: Vec<Problem>,
    },
}

impl fmt::Display for ThemeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => {
                let near = did_you_mean(name, Theme::BUILT_IN);
                write!(f, "there is no theme {name:?}{near}")
            }
            Self::Cycle { names } => write!(f, "themes inherit each other: {}", names.join(" → ")),
            Self::Broken { name, problems } => {
                write!(f, "theme {name}: ")?;
                for (i, problem) in problems.iter().enumerate() {
                    write!(f, "{}{problem}", if i == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ThemeError {}

/// How a role is written, before palette names are resolved.
#[derive(Debug, Clone)]
struct Written {
    fg: Option<Paint>,
    bg: Option<Paint>,
    face: Face,
}

/// A colour, or a name that a palette, perhaps another file's, may have.
#[derive(Debug, Clone)]
enum Paint {
    Direct(Colour),
    Named(Named),
}

/// A name with the place where it is written.
#[derive(Debug, Clone)]
struct Named {
    name: String,
    line: usize,
    path: String,
}

impl Named {
    fn problem<'a>(&self, palette: impl Iterator<Item = &'a str>) -> Problem {
        let names = Colour::names().map(|name| -> &'a str { name });
        let near = did_you_mean(&self.name, palette.chain(names));
        let message = format!("{:?} is neither a colour nor in the palette{near}", self.name);
        Problem { line: self.line, path: self.path.as_str().into(), message: message.into() }
    }
}

/// One file as read.
#[derive(Debug, Default)]
struct Layer {
    inherits: Option<String>,
    /// Not one that vigie brings.
    own: bool,
    background: Option<Colour>,
    foreground: Option<Colour>,
    palette: BTreeMap<String, Colour>,
    roles: Vec<(Role, Written)>,
}

impl Theme {
    /// The theme `name` with all that it inherits. `lookup` gives the text of
    /// a theme of the user's own, which goes before a built-in one of the same
    /// name; such a one may inherit the built-in one that it replaces.
    ///
    /// # Errors
    /// [`ThemeError`]: unknown, cyclic, or broken, with lines.
    pub fn load(name: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ThemeError> {
        // From the one that was asked for to the one that inherits none.
        let mut chain: Vec<(String, Layer)> = Vec::new();
        let mut next = Some(name.to_owned());
        while let Some(name) = next.take() {
            let replaced = built_in(&name)
                .filter(|_| chain.last().is_some_and(|(child, layer)| *child == name && layer.own));
            if replaced.is_none() && chain.iter().any(|(seen, _)| *seen == name) {
                let names = chain.into_iter().map(|(name, _)| name).chain([name]).collect();
                return Err(ThemeError::Cycle { names });
            }
            let own = if replaced.is_some() { None } else { lookup(&name) };
            let layer = match (&own, built_in(&name)) {
                (Some(text), _) => read(text),
                (None, Some(text)) => read(text),
                (None, None) => return Err(ThemeError::Unknown { name }),
            };
            let layer = match layer {
                Ok(layer) => Layer { own: own.is_some(), ..layer },
                Err(problems) => return Err(ThemeError::Broken { name, problems }),
            };
            next.clone_from(&layer.inherits);
            chain.push((name, layer));
        }
        resolve(name, &chain)
    }

    /// The built-in theme for dark or light backgrounds.
    ///
    /// # Errors
    /// None in practice: a test loads both.
    pub fn built_in(light: bool) -> Result<Self, ThemeError> {
        Self::load(Self::BUILT_IN[usize::from(light)], |_| None)
    }
}

fn built_in(name: &str) -> Option<&'static str> {
    match name {
        "vigie-dark" => Some(DARK),
        "vigie-light" => Some(LIGHT),
        _ => None,
    }
}

/// Lays the layers over each other, the most general first.
fn resolve(name: &str, chain: &[(String, Layer)]) -> Result<Theme, ThemeError> {
    let mut theme = Theme {
        name: name.to_owned(),
        background: Colour::Rgb(0, 0, 0),
        foreground: Colour::Rgb(229, 229, 229),
        faces: [None; Role::COUNT],
    };
    // The nearest layer that has a name gives its colour, to inherited roles too.
    let layers = chain.iter().rev();
    let entries = layers.flat_map(|(_, layer)| &layer.palette);
    let palette: BTreeMap<&str, Colour> = entries.map(|(name, colour)| (name.as_str(), *colour)).collect();
    for (name, layer) in chain.iter().rev() {
        theme.background = layer.background.unwrap_or(theme.background);
        theme.foreground = layer.foreground.unwrap_or(theme.foreground);
        let mut problems = Vec::new();
        let mut colour = |paint: &Option<Paint>| match paint.as_ref()? {
            Paint::Direct(colour) => Some(*colour),
            Paint::Named(named) => palette.get(named.name.as_str()).copied().or_else(|| {
                let colour = Colour::parse(&named.name);
                if colour.is_none() {
                    problems.push(named.problem(palette.keys().copied()));
                }
                colour
            }),
        };
        for (role, written) in &layer.roles {
            let face = Face { fg: colour(&written.fg), bg: colour(&written.bg), ..written.face };
            theme.faces[*role as usize] = Some(face);
        }
        if !problems.is_empty() {
            problems.sort_by_key(|problem| problem.line);
            return Err(ThemeError::Broken { name: name.clone(), problems });
        }
    }
    Ok(theme)
}

fn read(text: &str) -> Result<Layer, Vec<Problem>> {
    let document = Document::parse(text)?;
    let mut layer = Layer::default();
    {
        let root = document.root();
        root.know(&["name"]);
        layer.inherits = root.string("inherits");
        layer.background = root.get("background").and_then(|value| colour(&value));
        layer.foreground = root.get("foreground").and_then(|value| colour(&value));
        if let Some(palette) = root.table("palette") {
            for (name, value) in palette.entries() {
                if let Some(colour) = colour(&value) {
                    layer.palette.insert(name.to_owned(), colour);
                }
            }
        }
        if let Some(roles) = root.table("roles") {
            for (name, value) in roles.entries() {
                if let Some(&role) = Role::ALL.iter().find(|role| role.word() == name) {
                    layer.roles.extend(written(value).map(|written| (role, written)));
                } else {
                    let near = did_you_mean(name, Role::ALL.iter().map(|role| role.word()));
                    value.problem(&format!("there is no such role{near}"));
                }
            }
        }
        root.finish();
    }
    if document.has_problems() { Err(document.into_problems()) } else { Ok(layer) }
}

/// A colour outright.
fn colour(value: &Value<'_>) -> Option<Colour> {
    match paint(value)? {
        Paint::Direct(colour) => Some(colour),
        Paint::Named(Named { name, .. }) => Colour::parse(&name).or_else(|| {
            let near = did_you_mean(&name, Colour::names());
            value.problem(&format!("{name:?} is no colour: write #rrggbb, 0 to 255, or a name{near}"));
            None
        }),
    }
}

/// A colour, or a name: a palette goes before the terminal's sixteen, so it may define `red`.
fn paint(value: &Value<'_>) -> Option<Paint> {
    let Some(text) = value.as_str() else {
        let index = value.clone().integer(0..=255)?;
        return u8::try_from(index).ok().map(|index| Paint::Direct(Colour::Indexed(index)));
    };
    match Colour::parse(text) {
        None if text.starts_with('#') => {
            value.problem(&format!("{text:?} is no colour: write six hexadecimal digits, #rrggbb"));
            None
        }
        None | Some(Colour::Ansi(_)) => {
            Some(Paint::Named(Named { name: text.to_owned(), line: value.line(), path: value.path() }))
        }
        Some(colour) => Some(Paint::Direct(colour)),
    }
}

fn written(value: Value<'_>) -> Option<Written> {
    if !value.is_table() {
        return Some(Written { fg: Some(paint(&value)?), bg: None, face: Face::default() });
    }
    let table: Table<'_> = value.table()?;
    let written = Written {
        fg: table.get("fg").and_then(|value| paint(&value)),
        bg: table.get("bg").and_then(|value| paint(&value)),
        face: Face {
            fg: None,
            bg: None,
            bold: table.bool("bold").unwrap_or(false),
            underline: table.bool("underline").unwrap_or(false),
            dim: table.bool("dim").unwrap_or(false),
            reverse: table.bool("reverse").unwrap_or(false),
        },
    };
    table.finish();
    Some(written)
}
