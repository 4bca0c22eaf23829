//! The fleet as a whole: laws and tables.

mod build;
mod evidence;
