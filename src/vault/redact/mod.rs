//! Taking secret values out of text that streams by.
//!
//! [`Redactor`] is fed bytes as they are read and gives back the bytes that may
//! be seen. A value is found however its bytes are spread over the reads, so
//! the longest end of what came that may yet become a value is held back. All
//! places where a value is found, overlapping ones too, are put together
//! before they are masked: no end of one value shows because another one
//! reached into it. Bytes are taken as they are: what is not UTF-8 passes
//! through.

mod forms;
#[cfg(test)]
mod tests;
mod trie;

use std::fmt;

use secrecy::zeroize::Zeroize as _;

use trie::{ROOT, Trie};

/// What is seen in a value's place.
pub const MASK: &str = "[redacted]";

/// The shortest value that is redacted, in bytes: anything shorter is found in too much that is none.
pub const SHORTEST: usize = 4;

/// Of a value's beginning, so many bytes may be seen at most while nothing follows.
const MOST_SHOWN: usize = 3;

/// Bytes that are worked on at once; more are taken in steps.
const STEP: usize = 64 * 1024;

/// Replaces secret values by [`MASK`] in bytes that come piece by piece.
///
/// Found are: the value itself, without line breaks at its end; each of its
/// lines of eight bytes or more; its base64 form (both alphabets, also inside
/// a longer encoded text, also wrapped); its percent-encoded form; and its form
/// inside a JSON string. Values shorter than [`SHORTEST`] are left alone. The
/// memory taken is bounded by the values' own sizes. Secrets are zeroized when
/// this is dropped.
pub struct Redactor {
    trie: Trie,
    /// Where the search is in what came so far.
    state: u32,
    /// What came and is neither shown nor masked yet.
    held: Vec<u8>,
    /// What of it a value covers: in order, apart from each other. The last may go on in what comes.
    spans: Vec<(usize, usize)>,
    /// Whether the last that was given out is the mask: a value that goes on needs no second one.
    masked: bool,
    /// Bytes of a value's beginning that may be seen.
    shown: usize,
}

impl Redactor {
    /// For these values.
    pub fn new<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> Self {
        let mut forms = forms::Forms::default();
        let mut shortest = usize::MAX;
        for value in values {
            if let Some(len) = forms.add(value.as_ref()) {
                shortest = shortest.min(len);
            }
        }
        let trie = Trie::new(&forms.patterns);
        let shown = MOST_SHOWN.min(shortest / 4);
        Self { trie, state: ROOT, held: Vec::new(), spans: Vec::new(), masked: false, shown }
    }

    /// Takes more bytes, and appends to `out` what may be seen by now.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.trie.is_empty() {
            out.extend_from_slice(bytes);
            return;
        }
        for step in bytes.chunks(STEP) {
            let before = self.held.len();
            self.hold(step);
            let (trie, spans) = (&self.trie, &mut self.spans);
            self.state = trie.walk(self.state, step, |end, len| {
                let end = before + end;
                cover(spans, end.saturating_sub(len), end);
            });
            self.give(self.held.len().saturating_sub(self.trie.depth(self.state)), out);
        }
    }

    /// Gives out what is held back, as far as that is safe: for when nothing
    /// has come for a while and somebody may be looking at a prompt.
    ///
    /// What is more than the first few bytes of a value stays back, however
    /// long nothing follows. What is given out is not forgotten: a value that
    /// goes on after this is still masked from here on.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if self.may_flush() {
            self.give(self.held.len(), out);
        }
    }

    /// Gives out the rest: nothing more comes. What is more than the first few
    /// bytes of a value, cut off there, is masked. The next [`push`](Self::push)
    /// begins a new text.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let (len, depth) = (self.held.len(), self.trie.depth(self.state));
        if depth > self.shown && len > 0 {
            cover(&mut self.spans, len.saturating_sub(depth), len);
        }
        self.give(len, out);
        self.state = ROOT;
        self.masked = false;
    }

    /// Whether bytes are held back that [`flush`](Self::flush) would give out.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty() && self.may_flush()
    }

    fn may_flush(&self) -> bool {
        let all_masked = self.spans.last().is_some_and(|span| *span == (0, self.held.len()));
        all_masked || self.trie.depth(self.state) <= self.shown
    }

    /// A whole text at once, apart from what is pushed.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut spans = Vec::new();
        let state = self.trie.walk(ROOT, text.as_bytes(), |end, len| cover(&mut spans, end - len, end));
        let depth = self.trie.depth(state);
        if depth > self.shown {
            cover(&mut spans, text.len() - depth, text.len());
        }
        let mut out = Vec::with_capacity(text.len());
        let mut from = 0;
        for (start, end) in spans {
            out.extend_from_slice(&text.as_bytes()[from..start]);
            out.extend_from_slice(MASK.as_bytes());
            from = end;
        }
        out.extend_from_slice(&text.as_bytes()[from..]);
        // A value that is cut off may be cut inside a character.
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Appends to what is held; what moves in memory leaves nothing behind.
    fn hold(&mut self, bytes: &[u8]) {
        if self.held.capacity() - self.held.len() < bytes.len() {
            let mut larger = Vec::with_capacity((self.held.len() + bytes.len()).next_power_of_two());
            larger.extend_from_slice(&self.held);
            self.held.zeroize();
            self.held = larger;
        }
        self.held.extend_from_slice(bytes);
    }

    /// Gives out what is held up to `cut`; what a value covers as the mask.
    fn give(&mut self, cut: usize, out: &mut Vec<u8>) {
        let mut from = 0;
        for &(start, end) in self.spans.iter().take_while(|span| span.0 < cut) {
            if start > from {
                out.extend_from_slice(&self.held[from..start]);
                self.masked = false;
            }
            if !self.masked {
                out.extend_from_slice(MASK.as_bytes());
                self.masked = true;
            }
            from = end.min(cut);
        }
        if cut > from {
            out.extend_from_slice(&self.held[from..cut]);
            self.masked = false;
        }
        self.spans.retain_mut(|span| {
            *span = (span.0.saturating_sub(cut), span.1.saturating_sub(cut));
            span.1 > 0
        });
        self.held.drain(..cut);
    }
}

/// Adds a place where a value ends at the end of what was searched; those that it touches become one.
fn cover(spans: &mut Vec<(usize, usize)>, mut start: usize, end: usize) {
    while let Some(last) = spans.last().filter(|last| last.1 >= start) {
        start = start.min(last.0);
        spans.pop();
    }
    spans.push((start, end));
}

impl Drop for Redactor {
    fn drop(&mut self) {
        self.held.zeroize();
    }
}

/// Without what is secret.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("held", &self.held.len()).finish_non_exhaustive()
    }
}
