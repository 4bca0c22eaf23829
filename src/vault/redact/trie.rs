//! Finding many patterns in one pass (Aho and Corasick, 1975). Written here,
//! not taken from a crate, because it has to tell how much of a pattern has
//! been seen, and to leave no pattern in memory.

use std::collections::VecDeque;
use std::fmt;

use secrecy::zeroize::Zeroize;

/// Nothing of any pattern has been seen.
pub(super) const ROOT: u32 = 0;

/// A beginning of patterns. 0 stands for no child and no sibling: the root is neither.
#[derive(Clone, Copy, Default)]
struct Node {
    /// Its last byte.
    byte: u8,
    child: u32,
    sibling: u32,
    /// The longest end of it that is a beginning too.
    fail: u32,
    /// Its length.
    depth: u32,
    /// The longest pattern that it ends with; 0: none.
    longest: u32,
}

impl Zeroize for Node {
    fn zeroize(&mut self) {
        self.byte.zeroize();
    }
}

/// Every beginning of every pattern.
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// The root's children by byte.
    first: Box<[u32; 256]>,
}

impl Trie {
    pub(super) fn new(patterns: &[impl AsRef<[u8]>]) -> Self {
        // All at once: what grows leaves its old content behind.
        let most = patterns.iter().map(|pattern| pattern.as_ref().len()).sum::<usize>() + 1;
        let mut nodes = Vec::with_capacity(most);
        nodes.push(Node::default());
        let mut trie = Self { nodes, first: Box::new([ROOT; 256]) };
        for pattern in patterns {
            trie.add(pattern.as_ref());
        }
        trie.link();
        trie
    }

    fn add(&mut self, pattern: &[u8]) {
        let mut at = ROOT;
        for &byte in pattern {
            at = match self.child(at, byte) {
                ROOT => self.grow(at, byte),
                child => child,
            };
        }
        let node = &mut self.nodes[at as usize];
        node.longest = node.depth;
    }

    fn grow(&mut self, parent: u32, byte: u8) -> u32 {
        let new = u32::try_from(self.nodes.len()).unwrap_or(ROOT);
        let Node { child: sibling, depth, .. } = self.nodes[parent as usize];
        self.nodes.push(Node { byte, sibling, depth: depth + 1, ..Node::default() });
        self.nodes[parent as usize].child = new;
        if parent == ROOT {
            self.first[byte as usize] = new;
        }
        new
    }

    /// Shorter ones first: an end of a beginning is shorter than it.
    fn link(&mut self) {
        let mut next = VecDeque::from([ROOT]);
        while let Some(parent) = next.pop_front() {
            let mut at = self.nodes[parent as usize].child;
            while at != ROOT {
                let Node { byte, sibling, longest, .. } = self.nodes[at as usize];
                let fail = match parent {
                    ROOT => ROOT,
                    _ => self.step(self.nodes[parent as usize].fail, byte),
                };
                let inherited = self.nodes[fail as usize].longest;
                let node = &mut self.nodes[at as usize];
                node.fail = fail;
                node.longest = if longest > 0 { longest } else { inherited };
                next.push_back(at);
                at = sibling;
            }
        }
    }

    #[inline]
    fn child(&self, at: u32, byte: u8) -> u32 {
        if at == ROOT {
            return self.first[byte as usize];
        }
        let mut child = self.nodes[at as usize].child;
        while child != ROOT && self.nodes[child as usize].byte != byte {
            child = self.nodes[child as usize].sibling;
        }
        child
    }

    #[inline]
    fn step(&self, mut at: u32, byte: u8) -> u32 {
        loop {
            let child = self.child(at, byte);
            if child != ROOT || at == ROOT {
                return child;
            }
            at = self.nodes[at as usize].fail;
        }
    }

    /// Goes on from `at` over `bytes`; tells of the longest pattern at each place where one ends: the place, and
    /// its length, which may reach back before `bytes`. Gives where it is then.
    pub(super) fn walk(&self, mut at: u32, bytes: &[u8], mut found: impl FnMut(usize, usize)) -> u32 {
        for (index, &byte) in bytes.iter().enumerate() {
            at = self.step(at, byte);
            if at != ROOT {
                let longest = self.nodes[at as usize].longest;
                if longest > 0 {
                    found(index + 1, longest as usize);
                }
            }
        }
        at
    }

    /// How many bytes of a pattern have been seen.
    pub(super) fn depth(&self, at: u32) -> usize {
        self.nodes[at as usize].depth as usize
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.nodes.len() <= 1
    }
}

impl Drop for Trie {
    fn drop(&mut self) {
        self.nodes.zeroize();
        self.first.zeroize();
    }
}

/// Without what is secret.
impl fmt::Debug for Trie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trie").finish_non_exhaustive()
    }
}
