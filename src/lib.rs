//! vigie.
pub mod action;
pub mod backend;
pub mod config;
pub mod console;
pub mod coordinator;
pub mod document;
pub mod fleet;
pub mod model;
pub mod runtime;
pub mod schedule;
pub mod vault;
pub mod wire;
