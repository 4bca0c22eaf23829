//! How the console looks and what its keys do, from the settings.

use std::path::Path;

use crate::config::Settings;
use crate::console::Keymap;
use crate::console::theme::{Level, Painted, Theme, ThemeError, prefers_light};
use crate::model::Clean;

/// The theme at this terminal's level of colour, the keys, the glyphs.
#[derive(Debug)]
pub(super) struct Style {
    pub(super) theme: Painted,
    pub(super) keymap: Keymap,
    pub(super) ascii: bool,
}

impl Style {
    /// By `settings`; own themes are looked for in `themes`. Where the theme
    /// is broken, a built-in one is taken, and what is wrong is returned too.
    ///
    /// # Errors
    /// None in practice: that a built-in theme is broken.
    pub(super) fn load(
        settings: &Settings,
        themes: &Path,
        variable: impl Fn(&str) -> Option<String> + Copy,
    ) -> Result<(Self, Option<Clean>), ThemeError> {
        let own = |name: &str| std::fs::read_to_string(themes.join(format!("{name}.toml"))).ok();
        let light = prefers_light(variable);
        let (theme, problem) = match settings.theme.as_str() {
            "auto" => (Theme::built_in(light)?, None),
            name => match Theme::load(name, own) {
                Ok(theme) => (theme, None),
                Err(error) => (Theme::built_in(light)?, Some(Clean::from(error.to_string()))),
            },
        };
        let style = Self {
            theme: theme.paint(Level::detect(variable)),
            keymap: Keymap::new(&settings.keys),
            ascii: settings.ascii,
        };
        Ok((style, problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_theme_is_told_and_replaced() {
        let themes = tempfile::tempdir().unwrap();
        std::fs::write(
            themes.path().join("mine.toml"),
            "name = \"mine\"\n[roles]\n\"state.laet\" = \"red\"\n",
        )
        .unwrap();
        let load = |theme: &str| {
            let settings = Settings { theme: theme.to_owned(), ..Settings::default() };
            Style::load(&settings, themes.path(), |_| None).unwrap().1
        };
        assert_eq!(load("auto"), None);
        assert_eq!(load("vigie-light"), None);
        let problem = load("mine").unwrap();
        assert!(problem.contains("line 3"), "{problem}");
        assert!(load("none-such").is_some());
    }
}
