//! [`Clean`]: the only form in which remote text travels.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest single line that is kept, in characters; more is cut with an ellipsis.
pub const MAX_LINE: usize = 4_096;
/// The longest multi-line text that is kept, in characters.
pub const MAX_TEXT: usize = 1 << 20;

/// Text that is safe to draw, copy and store in a cell.
///
/// Remote text is hostile: terminal escape sequences, control characters and
/// bidirectional overrides are removed where an answer is decoded, so nothing
/// that holds a `Clean` has to think of it again. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Clean(Arc<str>);

impl Clean {
    /// One line: line breaks and tabs become single spaces, at most [`MAX_LINE`] characters.
    #[must_use]
    pub fn line(raw: &str) -> Self {
        if raw.len() <= MAX_LINE && raw.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Self(Arc::from(raw));
        }
        Self(Arc::from(scrub(raw, false, MAX_LINE)))
    }

    /// Several lines: `\n` is kept, `\r\n` becomes `\n`, tabs become spaces,
    /// at most [`MAX_TEXT`] characters.
    #[must_use]
    pub fn text(raw: &str) -> Self {
        Self(Arc::from(scrub(raw, true, MAX_TEXT)))
    }

    /// The clean text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Removes what a terminal would act on. `lines` keeps line breaks.
fn scrub(raw: &str, lines: bool, max: usize) -> String {
    let mut out = String::with_capacity(raw.len().min(max));
    let mut kept = 0;
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        let c = match c {
            '\u{1b}' => {
                skip_escape(&mut chars);
                continue;
            }
            // The C1 introducers of control and operating-system sequences.
            '\u{9b}' => {
                skip_csi(&mut chars);
                continue;
            }
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => {
                skip_string(&mut chars);
                continue;
            }
            '\r' if chars.peek() == Some(&'\n') => continue,
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => {
                if lines {
                    '\n'
                } else {
                    ' '
                }
            }
            '\t' => ' ',
            c if is_hostile(c) => continue,
            c => c,
        };
        if kept == max {
            out.push('…');
            break;
        }
        out.push(c);
        kept += 1;
    }
    out
}

/// Control, bidirectional and invisible formatting characters.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_escape(chars: &mut Chars<'_>) {
    match chars.next() {
        Some('[') => skip_csi(chars),
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(chars),
        // Two-character escapes with intermediates, such as the choice of a character set.
        Some(' '..='/') => {
            while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
            chars.next_if(|c| ('0'..='~').contains(c));
        }
        _ => {}
    }
}

fn skip_csi(chars: &mut Chars<'_>) {
    while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
    chars.next_if(|c| ('@'..='~').contains(c));
}

/// Up to the string terminator; an unterminated one ends with the line, so that it can't eat a log.
fn skip_string(chars: &mut Chars<'_>) {
    while let Some(&c) = chars.peek() {
        if c == '\n' {
            return;
        }
        chars.next();
        match c {
            '\u{07}' | '\u{9c}' => return,
            '\u{1b}' => {
                chars.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

impl fmt::Display for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::ops::Deref for Clean {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Clean {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Cleans as [`Clean::line`] does.
impl From<&str> for Clean {
    fn from(raw: &str) -> Self {
        Self::line(raw)
    }
}

/// Cleans as [`Clean::line`] does.
impl From<String> for Clean {
    fn from(raw: String) -> Self {
        Self::line(&raw)
    }
}

impl PartialEq<str> for Clean {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Clean {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl Serialize for Clean {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Decoding cleans: a [`Clean`] can't be made otherwise.
impl<'de> Deserialize<'de> for Clean {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Clean;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Clean, E> {
                Ok(Clean::line(v))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sequences_go_whole() {
        for (raw, clean) in [
            ("plain", "plain"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]52;c;ZXZpbA==\u{1b}\\after", "after"),
            ("a\u{9b}2Jb", "ab"),
            ("\u{1b}(Bx", "x"),
            ("two\r\nlines\tand", "two lines and"),
            ("\u{202e}gpj.exe", "gpj.exe"),
            ("z\u{200b}w", "zw"),
            ("bell\u{7}", "bell"),
            ("caf\u{e9} ✗", "café ✗"),
        ] {
            assert_eq!(Clean::line(raw).as_str(), clean, "{raw:?}");
        }
        assert_eq!(Clean::text("a\r\nb\rc").as_str(), "a\nb\nc");
        assert_eq!(Clean::text("\u{1b}]0;never ends\nnext").as_str(), "\nnext");
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        let cut = Clean::line(&"x".repeat(MAX_LINE + 10));
        assert_eq!(cut.chars().count(), MAX_LINE + 1);
        assert!(cut.ends_with('…'));
    }

    proptest! {
        #[test]
        fn nothing_hostile_survives(raw in "\\PC*|[\\x00-\\x9f\\u{200b}-\\u{206f}]*") {
            let line = Clean::line(&raw);
            prop_assert!(!line.chars().any(|c| is_hostile(c) || c == '\n'));
            prop_assert_eq!(Clean::line(&line), line.clone());
            let text = Clean::text(&raw);
            prop_assert!(!text.chars().any(|c| is_hostile(c) && c != '\n'));
        }
    }
}
