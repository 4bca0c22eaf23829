//! The newest output of a command, bounded.

use std::collections::VecDeque;

/// So many bytes are kept: what a coordinator keeps too.
pub const MAX: usize = 64 * 1024;

/// The last [`MAX`] bytes of what was written.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: VecDeque<u8>,
    is_cut: bool,
}

impl Tail {
    /// Adds what was written next.
    pub fn push(&mut self, bytes: &[u8]) {
        let over = (self.bytes.len() + bytes.len()).saturating_sub(MAX);
        self.is_cut |= over > 0;
        self.bytes.drain(..over.min(self.bytes.len()));
        self.bytes.extend(&bytes[bytes.len().saturating_sub(MAX)..]);
    }

    /// As text, invalid UTF-8 replaced; where the beginning is missing, from a
    /// line's begin on, and not more than [`MAX`] bytes.
    pub fn text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let mut from = 0;
        if self.is_cut {
            // A line that is as long as all that is kept is better than nothing.
            from = bytes.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            from = if from == bytes.len() { 0 } else { from };
        }
        let text = String::from_utf8_lossy(&bytes[from..]);
        // Each invalid byte becomes three.
        let over = text.len().saturating_sub(MAX);
        let start = (over..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text[start..].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tail_begins_with_a_line_and_is_text() {
        let mut tail = Tail::default();
        assert_eq!(tail.text(), "");
        tail.push(b"one\ntwo \xff\n");
        assert_eq!(tail.text(), "one\ntwo \u{fffd}\n");
        tail.push(&[b"x".repeat(MAX - 6), b"\nlast\n".to_vec()].concat());
        assert_eq!(tail.text(), "last\n");
        tail.push(&vec![b'y'; MAX * 3]);
        assert_eq!(tail.text().len(), MAX);
        tail.push(&vec![0xff; MAX]);
        let text = tail.text();
        assert!(text.len() <= MAX && text.len() > MAX - 3, "{}", text.len());
    }

    proptest! {
        #[test]
        fn whatever_the_pieces_the_end_is_kept(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40_000), 0..8)) {
            let mut tail = Tail::default();
            for piece in &pieces {
                tail.push(piece);
            }
            let all = pieces.concat();
            let kept: Vec<u8> = tail.bytes.iter().copied().collect();
            prop_assert_eq!(&kept[..], &all[all.len().saturating_sub(MAX)..]);
            prop_assert!(tail.text().len() <= MAX);
        }
    }
}
