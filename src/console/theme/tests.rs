use std::collections::BTreeSet;

use ratatui::style::{Color, Modifier};

use super::*;

fn none(_: &str) -> Option<String> {
    None
}

/// Loads `texts[0]` as theme `mine`, with the others beside it by name.
fn load(texts: &[(&str, &str)]) -> Result<Theme, ThemeError> {
    Theme::load(texts[0].0, |name| {
        texts.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
    })
}

fn contrast(theme: &Theme, text: Colour, ground: Colour) -> f64 {
    let (a, b) = (text.luminance(theme.foreground), ground.luminance(theme.background));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn built_in_themes_can_be_read_by_everyone() {
    for name in Theme::BUILT_IN {
        let theme = Theme::load(name, none).unwrap();
        let raised = theme.face(Role::Cursor).bg.unwrap();
        for &role in Role::ALL.iter().filter(|&&role| role != Role::Cursor) {
            let (least, on_cursor) = match role {
                Role::Border | Role::GaugeRest | Role::Disabled => (3.0, 2.4),
                Role::Muted | Role::EvidenceStale | Role::Heading => (4.5, 3.0),
                _ => (4.5, 4.0),
            };
            let face = theme.face(role);
            let fg = face.fg.unwrap();
            let plain = contrast(&theme, fg, face.bg.unwrap_or(theme.background));
            assert!(plain >= least || face.bg == Some(raised), "{name} {}: {plain:.2}", role.word());
            let raised = contrast(&theme, fg, raised);
            assert!(raised >= on_cursor, "{name} {} under the cursor: {raised:.2}", role.word());
        }
    }
}

#[test]
fn a_theme_gives_every_role_a_face_of_its_own() {
    let dark = Theme::built_in(false).unwrap();
    for &role in Role::ALL {
        assert!(dark.faces[role as usize].is_some(), "vigie-dark leaves out {}", role.word());
    }
    let words: BTreeSet<&str> = Role::ALL.iter().map(|role| role.word()).collect();
    assert_eq!(words.len(), Role::COUNT);
    assert_ne!(Theme::built_in(true).unwrap().face(Role::Muted), dark.face(Role::Muted));
}

#[test]
fn a_missing_role_falls_back_and_a_palette_recolours() {
    let theme = load(&[("mine", "[palette]\nink = '#102030'\n[roles]\ntext = 'ink'")]).unwrap();
    assert_eq!(theme.face(Role::StateFailing).fg, Some(Colour::Rgb(16, 32, 48)));
    assert_eq!(theme.face(Role::Cursor), Face::default());

    let child = "inherits = 'vigie-dark'\n[palette]\nred = 'bright-red'\n[roles]\n'state.late' = 'red'";
    let theme = load(&[("mine", child)]);
    // A palette takes colours, not names of palettes: "bright-red" is one of the sixteen.
    let theme = theme.unwrap();
    assert_eq!(theme.face(Role::StateFailing).fg, Some(Colour::Ansi(9)));
    assert_eq!(theme.face(Role::StateLate).fg, Some(Colour::Ansi(9)));
    assert_eq!(theme.face(Role::Muted), Theme::built_in(false).unwrap().face(Role::Muted));
}

#[test]
fn ones_own_may_replace_and_inherit_a_built_in_one() {
    let text = "inherits = 'vigie-dark'\n[roles]\ntext = 'white'";
    let theme = load(&[("vigie-dark", text)]).unwrap();
    assert_eq!(theme.face(Role::Text).fg, Some(Colour::Ansi(7)));
    assert!(theme.face(Role::StateFailing).bold);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, message) in [
        ("[roles]\nfoo = 3\n", "theme mine: line 2: roles.foo: there is no such role"),
        (
            "[roles]\n\n'state.lat' = 3",
            "theme mine: line 3: roles.\"state.lat\": there is no such role; did you mean \"state.late\"?",
        ),
        (
            "[palette]\nink = 'rde'",
            "theme mine: line 2: palette.ink: \"rde\" is no colour: write #rrggbb, 0 to 255, or a name; \
             did you mean \"red\"?",
        ),
        (
            "[palette]\nblush = 3\n[roles]\ntext = { fg = 'blsh' }",
            "theme mine: line 4: roles.text.fg: \"blsh\" is neither a colour nor in the palette; \
             did you mean \"blush\"?",
        ),
        (
            "[roles]\ntext = '#12'",
            "theme mine: line 2: roles.text: \"#12\" is no colour: write six hexadecimal digits, #rrggbb",
        ),
        (
            "[roles]\ntext = { fg = 1, blod = true }",
            "theme mine: line 2: roles.text.blod: unknown key; did you mean \"bold\"?",
        ),
        (
            "[roles]\ntext = 256",
            "theme mine: line 2: roles.text: must be a whole number from 0 to 255, not 256",
        ),
        ("inherits = 'vigie-drak'", "there is no theme \"vigie-drak\"; did you mean \"vigie-dark\"?"),
        ("inherits = 'mine'", "themes inherit each other: mine → mine"),
    ] {
        assert_eq!(load(&[("mine", text)]).unwrap_err().to_string(), message);
    }
    let cycle = load(&[("a", "inherits = 'b'"), ("b", "inherits = 'c'"), ("c", "inherits = 'a'")]);
    assert_eq!(cycle.unwrap_err().to_string(), "themes inherit each other: a → b → c → a");
    let broken_parent = load(&[("a", "inherits = 'b'"), ("b", "\nroles = 3")]);
    assert!(broken_parent.unwrap_err().to_string().starts_with("theme b: line 2: roles: must be a table"));
}

#[test]
fn levels_of_colour() {
    let theme = Theme::built_in(false).unwrap();
    let fg = |level| theme.paint(level).style(Role::StateFailing).fg;
    assert_eq!(fg(Level::True), Some(Color::Indexed(203)));
    assert_eq!(fg(Level::Indexed), Some(Color::Indexed(203)));
    assert_eq!(fg(Level::None), None);
    assert_eq!(Colour::Rgb(255, 95, 95).at(Level::Indexed), Some(Color::Indexed(203)));
    assert_eq!(Colour::Rgb(255, 95, 95).at(Level::True), Some(Color::Rgb(255, 95, 95)));
    assert_eq!(Colour::Default.at(Level::Sixteen), Some(Color::Reset));
    for (colour, sixteenth) in [
        (Colour::Rgb(250, 0, 10), Color::Red),
        (Colour::Rgb(255, 95, 95), Color::LightRed),
        (Colour::Rgb(255, 175, 95), Color::LightYellow),
        (Colour::Rgb(135, 215, 135), Color::LightGreen),
        (Colour::Indexed(94), Color::Yellow),
        (Colour::Indexed(22), Color::Green),
        (Colour::Indexed(3), Color::Yellow),
        (Colour::Rgb(158, 158, 158), Color::Gray),
        (Colour::Rgb(20, 20, 24), Color::Black),
    ] {
        assert_eq!(colour.at(Level::Sixteen), Some(sixteenth), "{colour:?}");
    }
}

#[test]
fn the_cursor_is_seen_at_every_level() {
    for name in Theme::BUILT_IN {
        let theme = Theme::load(name, none).unwrap();
        for level in [Level::None, Level::Sixteen, Level::Indexed, Level::True] {
            let cursor = theme.paint(level).style(Role::Cursor);
            let reversed = cursor.add_modifier.contains(Modifier::REVERSED);
            assert!(reversed || cursor.bg.is_some_and(|bg| Some(bg) != theme.background.at(level)));
        }
    }
}

#[test]
fn what_is_wrong_and_what_is_well_differ_at_every_level_of_colour() {
    for name in Theme::BUILT_IN {
        let theme = Theme::load(name, none).unwrap();
        for level in [Level::Sixteen, Level::Indexed, Level::True] {
            let painted = theme.paint(level);
            let fg = |role| painted.style(role).fg;
            let well = [Role::StateHealthy, Role::Text, Role::Muted, Role::EvidenceStale].map(fg);
            for role in [Role::StateFailing, Role::StateLate, Role::StateAbsent, Role::Error] {
                assert!(!well.contains(&fg(role)), "{name} {level:?} {}", role.word());
            }
            assert_ne!(fg(Role::StateHealthy), fg(Role::EvidenceStale), "{name} {level:?}");
        }
    }
}

#[test]
fn no_colour_means_none() {
    for name in Theme::BUILT_IN {
        let painted = Theme::load(name, none).unwrap().paint(Level::None);
        for &role in Role::ALL {
            let style = painted.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{}", role.word());
        }
    }
}

#[test]
fn levels_and_backgrounds_by_the_environment() {
    for (variables, level) in [
        (vec![], Level::Sixteen),
        (vec![("TERM", "xterm")], Level::Sixteen),
        (vec![("TERM", "xterm-256color")], Level::Indexed),
        (vec![("TERM", "tmux-256color"), ("COLORTERM", "truecolor")], Level::True),
        (vec![("TERM", "xterm-kitty")], Level::True),
        (vec![("TERM", "dumb"), ("COLORTERM", "truecolor")], Level::None),
        (vec![("NO_COLOR", "1"), ("COLORTERM", "truecolor")], Level::None),
        (vec![("NO_COLOR", ""), ("COLORTERM", "24bit")], Level::True),
    ] {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        assert_eq!(Level::detect(variable), level, "{variables:?}");
    }
    for (value, light) in [
        (None, false),
        (Some("0;15"), true),
        (Some("15;0"), false),
        (Some("0;default;7"), true),
        (Some("x"), false),
    ] {
        assert_eq!(prefers_light(|_| value.map(str::to_owned)), light, "{value:?}");
    }
}
