//! The real binary in a real pseudo-terminal: what a user does, and what the
//! terminal is left as.

#![expect(
    clippy::disallowed_methods,
    reason = "a test stands outside the house: it has a clock and threads of its own"
)]

// Marked as tests one by one, so that the lints know their helpers as tests too.
#[cfg(test)]
mod audit;
#[cfg(test)]
mod board;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod curl;
#[cfg(test)]
mod endpoints;
#[cfg(test)]
mod handling;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod pictures;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod service;
#[cfg(test)]
#[path = "../stand_ins/mod.rs"]
#[expect(dead_code, reason = "a terminal shows less of them than the tests of the backends turn")]
mod stand_ins;
#[cfg(test)]
mod submit;
#[cfg(test)]
mod svg;
#[cfg(test)]
mod systems;
#[cfg(test)]
mod term;
#[cfg(test)]
mod terminal;
#[cfg(test)]
#[path = "../stand_ins/systems.rs"]
mod three;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod vault;
#[cfg(test)]
mod wrap;
