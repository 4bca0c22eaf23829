//! The fleet as a whole: laws and tables.

pub mod build;
mod evidence;
mod finding;
mod laws;
mod pending;
