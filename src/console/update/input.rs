//! One line of text being typed.

use crate::action::{Code, Key};
use crate::model::Clean;

use super::super::state::Input;

/// So many characters are taken; more is not typed by hand.
const LONGEST: usize = 1_024;

impl Input {
    /// Replaces the text; the cursor goes behind it.
    pub(super) fn set(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.cursor = text.chars().count();
    }

    /// Puts text in at the cursor, on one line and without control characters.
    pub(super) fn insert(&mut self, text: &str) {
        let room = LONGEST.saturating_sub(self.text.chars().count());
        let text: String = Clean::line(text).chars().take(room).collect();
        let at = self.byte(self.cursor);
        self.text.insert_str(at, &text);
        self.cursor += text.chars().count();
    }

    /// Takes a key that edits; whether it was one.
    pub(super) fn key(&mut self, key: Key) -> bool {
        let length = self.text.chars().count();
        match (key.code, key.ctrl, key.alt) {
            (Code::Char(c), false, false) => self.insert(c.encode_utf8(&mut [0; 4])),
            (Code::Backspace, false, false) => {
                if self.cursor > 0 {
                    self.remove(self.cursor - 1, self.cursor);
                }
            }
            (Code::Delete, false, false) => self.remove(self.cursor, (self.cursor + 1).min(length)),
            (Code::Left, false, false) => self.cursor = self.cursor.saturating_sub(1),
            (Code::Right, false, false) => self.cursor = (self.cursor + 1).min(length),
            (Code::Home, false, false) | (Code::Char('a'), true, false) => self.cursor = 0,
            (Code::End, false, false) | (Code::Char('e'), true, false) => self.cursor = length,
            (Code::Char('u'), true, false) => self.remove(0, self.cursor),
            (Code::Char('k'), true, false) => self.remove(self.cursor, length),
            (Code::Char('w'), true, false) => self.remove(self.word_start(), self.cursor),
            _ => return false,
        }
        true
    }

    /// Where the word before the cursor begins.
    fn word_start(&self) -> usize {
        let before: Vec<char> = self.text.chars().take(self.cursor).collect();
        let end = before.iter().rposition(|c| !c.is_whitespace()).map_or(0, |at| at + 1);
        before[..end].iter().rposition(|c| c.is_whitespace()).map_or(0, |at| at + 1)
    }

    fn remove(&mut self, from: usize, to: usize) {
        let range = self.byte(from)..self.byte(to);
        self.text.replace_range(range, "");
        self.cursor = from;
    }

    /// The byte at which the character `index` begins.
    fn byte(&self, index: usize) -> usize {
        self.text.char_indices().nth(index).map_or(self.text.len(), |(byte, _)| byte)
    }
}
