//! Colours as a theme writes them, and how many a terminal has.

use ratatui::style::Color;

/// A colour of a theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// The terminal's own.
    Default,
    /// One of the sixteen that the terminal's user chose, 0 to 15.
    Ansi(u8),
    /// One of the 256-colour palette.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// The sixteen, as a theme and xterm know them.
const ANSI: [(&str, (u8, u8, u8), Color); 16] = [
    ("black", (0, 0, 0), Color::Black),
    ("red", (205, 0, 0), Color::Red),
    ("green", (0, 205, 0), Color::Green),
    ("yellow", (205, 205, 0), Color::Yellow),
    ("blue", (0, 0, 238), Color::Blue),
    ("magenta", (205, 0, 205), Color::Magenta),
    ("cyan", (0, 205, 205), Color::Cyan),
    ("white", (229, 229, 229), Color::Gray),
    ("bright-black", (127, 127, 127), Color::DarkGray),
    ("bright-red", (255, 0, 0), Color::LightRed),
    ("bright-green", (0, 255, 0), Color::LightGreen),
    ("bright-yellow", (255, 255, 0), Color::LightYellow),
    ("bright-blue", (92, 92, 255), Color::LightBlue),
    ("bright-magenta", (255, 0, 255), Color::LightMagenta),
    ("bright-cyan", (0, 255, 255), Color::LightCyan),
    ("bright-white", (255, 255, 255), Color::White),
];

/// The steps of the 6x6x6 cube.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

impl Colour {
    /// The names that a theme can use besides `default`.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ANSI.iter().map(|(name, ..)| *name)
    }

    /// `#rrggbb`, `0` to `255`, a name of the sixteen, or `default`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "default" {
            return Some(Self::Default);
        }
        if let Some(hex) = text.strip_prefix('#') {
            let number = u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 6)?;
            let [_, red, green, blue] = number.to_be_bytes();
            return Some(Self::Rgb(red, green, blue));
        }
        if let Ok(index) = text.parse() {
            return Some(Self::Indexed(index));
        }
        let index = ANSI.iter().position(|(name, ..)| *name == text)?;
        u8::try_from(index).ok().map(Self::Ansi)
    }

    /// Red, green and blue, as far as one can know; `default` is `own`'s.
    #[must_use]
    pub fn rgb(self, own: Self) -> (u8, u8, u8) {
        match self {
            Self::Default if own == Self::Default => (0, 0, 0),
            Self::Default => own.rgb(Self::Default),
            Self::Rgb(red, green, blue) => (red, green, blue),
            Self::Ansi(index) | Self::Indexed(index @ 0..16) => ANSI[usize::from(index % 16)].1,
            Self::Indexed(index @ 16..232) => {
                let cube = |step: u8| CUBE[usize::from(step % 6)];
                let index = index - 16;
                (cube(index / 36), cube(index / 6), cube(index))
            }
            Self::Indexed(index) => {
                let grey = 8 + 10 * (index - 232);
                (grey, grey, grey)
            }
        }
    }

    /// The nearest colour that a terminal of this level can show; `None`: none.
    #[must_use]
    pub fn at(self, level: Level) -> Option<Color> {
        match (level, self) {
            (Level::None, _) => None,
            (_, Self::Default) => Some(Color::Reset),
            (_, Self::Ansi(index)) => Some(ANSI[usize::from(index % 16)].2),
            (Level::True, Self::Rgb(red, green, blue)) => Some(Color::Rgb(red, green, blue)),
            (Level::True | Level::Indexed, Self::Indexed(index)) => Some(Color::Indexed(index)),
            (Level::Indexed, Self::Rgb(..)) => nearest(self).map(Color::Indexed),
            (Level::Sixteen, _) => Some(ANSI[usize::from(self.sixteenth())].2),
        }
    }

    /// The one of the sixteen that means the same. By hue, not by distance:
    /// by that a soft red and a soft green would both be grey.
    fn sixteenth(self) -> u8 {
        let (red, green, blue) = match self {
            Self::Ansi(index) | Self::Indexed(index @ 0..16) => return index % 16,
            other => other.rgb(Self::Default),
        };
        let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
        let chroma = most - least;
        if chroma < 32 {
            return match most {
                0..64 => 0,
                64..150 => 8,
                150..240 => 7,
                240.. => 15,
            };
        }
        let strong = |channel: u8| u8::from(channel - least >= chroma / 2);
        let hue = strong(red) | strong(green) << 1 | strong(blue) << 2;
        if self.luminance(Self::Default) > 0.25 { hue + 8 } else { hue }
    }

    /// The relative luminance by WCAG 2.
    #[must_use]
    pub fn luminance(self, own: Self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let (red, green, blue) = self.rgb(own);
        0.0722f64.mul_add(linear(blue), 0.2126f64.mul_add(linear(red), 0.7152 * linear(green)))
    }
}

/// The nearest of the 256-colour palette, without the sixteen that differ from terminal to terminal.
fn nearest(colour: Colour) -> Option<u8> {
    let (red, green, blue) = colour.rgb(Colour::Default);
    (16..=255).min_by_key(|&index| {
        let (r, g, b) = Colour::Indexed(index).rgb(Colour::Default);
        let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
        // Weighted as the eye does, roughly.
        2 * square(red, r) + 4 * square(green, g) + 3 * square(blue, b)
    })
}

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// None: only bold, dim, underline and reverse.
    None,
    /// The sixteen of the terminal's own scheme.
    Sixteen,
    /// 256.
    Indexed,
    /// All.
    True,
}

impl Level {
    /// By the environment: `NO_COLOR`, `COLORTERM`, `TERM`. `variable` gives
    /// the value of a variable that is set.
    #[must_use]
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name| variable(name).unwrap_or_default();
        let term = value("TERM");
        if !value("NO_COLOR").is_empty() || term == "dumb" {
            return Self::None;
        }
        let many = ["kitty", "alacritty", "wezterm", "ghostty", "foot", "-direct"];
        if matches!(value("COLORTERM").as_str(), "truecolor" | "24bit")
            || !value("WT_SESSION").is_empty()
            || many.iter().any(|name| term.contains(name))
        {
            Self::True
        } else if term.contains("256color") {
            Self::Indexed
        } else {
            Self::Sixteen
        }
    }
}

/// Whether the environment says that the background is light: `COLORFGBG`
/// (`foreground;background`, as rxvt, Konsole and others set it).
#[must_use]
pub fn prefers_light(variable: impl Fn(&str) -> Option<String>) -> bool {
    let background = variable("COLORFGBG").and_then(|value| value.rsplit(';').next()?.parse::<u8>().ok());
    matches!(background, Some(7 | 9..=15))
}
