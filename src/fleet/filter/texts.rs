//! What a row says in words, folded to lower case once for all the terms that look through it.

use super::term::Field;

/// How many fields there are.
const COUNT: usize = Field::ALL.len();

/// The texts of one row in lower case, in one piece, each closed by a line
/// break (which no cleaned text has): a word is looked for in all of them at once.
#[derive(Debug, Clone)]
pub(super) struct Texts {
    folded: Box<str>,
    /// Where each field's text ends.
    ends: [u32; COUNT],
    letters: Letters,
}

/// Which letters there are, as bits, some sharing one: what lacks a letter of
/// a word can't have the word, and most rows are known by that alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letters(u64);

impl Letters {
    /// Those of a text in lower case.
    pub fn of(folded: &str) -> Self {
        Self(folded.bytes().fold(0, |bits, byte| bits | 1 << (byte % 64)))
    }

    /// Whether all of `other` may be among these.
    pub const fn may_have(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }
}

impl Texts {
    /// Of the fields in the order of [`Field::ALL`].
    pub fn of(fields: [Option<&str>; COUNT]) -> Self {
        let length = fields.iter().flatten().map(|text| text.len() + 1).sum::<usize>();
        let mut folded = String::with_capacity(length);
        let ends = fields.map(|field| {
            match field {
                Some(text) if text.is_ascii() => {
                    let from = folded.len();
                    folded.push_str(text);
                    folded[from..].make_ascii_lowercase();
                }
                Some(text) => folded.push_str(&text.to_lowercase()),
                None => return u32::MAX,
            }
            let end = u32::try_from(folded.len()).unwrap_or(u32::MAX);
            folded.push('\n');
            end
        });
        Self { letters: Letters::of(&folded), folded: folded.into_boxed_str(), ends }
    }

    /// The letters of all of them.
    pub const fn letters(&self) -> Letters {
        self.letters
    }

    /// All in one piece.
    pub fn all(&self) -> &str {
        &self.folded
    }

    /// One of them, if the row has it.
    pub fn get(&self, field: Field) -> Option<&str> {
        let index = field as usize;
        let end = self.ends[index];
        let before = self.ends[..index].iter().rev().find(|&&end| end != u32::MAX);
        let from = before.map_or(0, |&end| end as usize + 1);
        if end == u32::MAX { None } else { self.folded.get(from..end as usize) }
    }

    /// Each of them.
    pub fn each(&self) -> impl Iterator<Item = &str> {
        Field::ALL.iter().filter_map(|&field| self.get(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_found_again_in_lower_case() {
        let texts = Texts::of([Some("Nightly DUMP"), None, Some(""), Some("ÜBER"), None, None, None]);
        let found: Vec<_> = Field::ALL.iter().map(|&field| texts.get(field)).collect();
        assert_eq!(found, [Some("nightly dump"), None, Some(""), Some("über"), None, None, None]);
        assert_eq!(texts.each().collect::<Vec<_>>(), ["nightly dump", "", "über"]);
        assert_eq!(texts.all(), "nightly dump\n\nüber\n");
        assert_eq!(Texts::of([None; COUNT]).each().count(), 0);
    }
}
