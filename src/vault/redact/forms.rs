//! In what forms a value turns up in text.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use secrecy::zeroize::Zeroizing;

use super::SHORTEST;

/// A line of a value is a secret of its own from this length on.
const LINE: usize = 8;
/// Longer values (keys, certificates) are looked for in encoded forms line by line only.
const LONG: usize = 8 * 1024;
/// Where tools wrap base64: coreutils and MIME, and PEM.
const WRAPS: [usize; 2] = [76, 64];
/// What is left as it is beside letters and digits when text is percent-encoded: by RFC 3986, by Python's
/// `quote`, by JavaScript's `encodeURIComponent`, and in forms.
const KEPT: [&[u8]; 4] = [b"-_.~", b"-_.~/", b"-_.~!'()*", b"-_.*"];

/// Every text that is to be found.
#[derive(Default)]
pub(super) struct Forms {
    pub(super) patterns: Vec<Zeroizing<Vec<u8>>>,
}

impl Forms {
    /// Adds a value's forms; gives the length of the shortest, or nothing if the value is too short.
    pub(super) fn add(&mut self, value: &str) -> Option<usize> {
        let value = value.trim_end_matches(['\r', '\n']);
        if value.len() < SHORTEST || value.trim().is_empty() {
            return None;
        }
        let before = self.patterns.len();
        self.push(before, value.as_bytes());
        if value.len() <= LONG {
            self.encoded(before, value);
        }
        if value.contains('\n') {
            for line in value.lines().map(str::trim).filter(|line| line.len() >= LINE) {
                self.push(before, line.as_bytes());
                self.encoded(before, line);
            }
        }
        self.patterns[before..].iter().map(|pattern| pattern.len()).min()
    }

    /// Adds a pattern, if it is not among those of its value, which are from `first` on.
    fn push(&mut self, first: usize, pattern: &[u8]) {
        if pattern.len() >= SHORTEST && !self.patterns[first..].iter().any(|known| known[..] == *pattern) {
            self.patterns.push(Zeroizing::new(pattern.to_vec()));
        }
    }

    fn encoded(&mut self, first: usize, value: &str) {
        self.base64(first, value.as_bytes());
        self.percent(first, value.as_bytes());
        if let Ok(quoted) = serde_json::to_string(value).map(Zeroizing::new) {
            self.push(first, &quoted.as_bytes()[1..quoted.len() - 1]);
        }
    }

    /// By itself (also with a line break at its end, as `echo` gives it), and what is certain of it
    /// wherever it is in a longer text that is encoded as a whole.
    fn base64(&mut self, first: usize, value: &[u8]) {
        let mut line = Zeroizing::new(value.to_vec());
        line.reserve_exact(1);
        line.push(b'\n');
        for bytes in [value, &line] {
            let text = Zeroizing::new(STANDARD.encode(bytes));
            self.both_alphabets(first, text.as_bytes());
            self.both_alphabets(first, text.trim_end_matches('=').as_bytes());
            for wrap in WRAPS.into_iter().filter(|wrap| text.len() > *wrap) {
                for line in text.as_bytes().chunks(wrap) {
                    self.both_alphabets(first, line);
                }
            }
        }
        // Of each six bits those that other bytes have no part in.
        for (before, skipped) in [(0, 0), (1, 2), (2, 3)] {
            let mut bytes = Zeroizing::new(vec![0; before]);
            bytes.reserve_exact(value.len());
            bytes.extend_from_slice(value);
            let text = Zeroizing::new(STANDARD_NO_PAD.encode(&*bytes));
            let certain = bytes.len() * 8 / 6;
            if skipped < certain {
                self.both_alphabets(first, &text.as_bytes()[skipped..certain]);
            }
        }
    }

    fn both_alphabets(&mut self, first: usize, text: &[u8]) {
        self.push(first, text);
        let other = |byte: &u8| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        };
        self.push(first, &Zeroizing::new(text.iter().map(other).collect::<Vec<_>>()));
    }

    fn percent(&mut self, first: usize, value: &[u8]) {
        for kept in KEPT {
            for (digits, space) in [
                (b"0123456789ABCDEF", &b"%20"[..]),
                (b"0123456789ABCDEF", b"+"),
                (b"0123456789abcdef", b"%20"),
                (b"0123456789abcdef", b"+"),
            ] {
                let mut text = Zeroizing::new(Vec::with_capacity(value.len() * 3));
                for &byte in value {
                    if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
                        text.push(byte);
                    } else if byte == b' ' {
                        text.extend_from_slice(space);
                    } else {
                        let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                        text.extend_from_slice(&[b'%', digits[high], digits[low]]);
                    }
                }
                self.push(first, &text);
            }
        }
    }
}
