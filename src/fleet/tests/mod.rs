//! The fleet as a whole: laws and tables.

pub mod build;
mod evidence;
mod laws;
mod pending;
