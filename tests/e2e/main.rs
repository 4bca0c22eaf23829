//! The real binary in a real pseudo-terminal: what a user does, and what the
//! terminal is left as.

// Marked as tests one by one, so that the lints know their helpers as tests too.
#[cfg(test)]
mod board;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod pictures;
#[cfg(test)]
mod term;
#[cfg(test)]
mod terminal;
