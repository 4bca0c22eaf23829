//! vigie, the look-out for scheduled and queued work: the architecture, told once.
//!
//! One package, one binary, three faces over one model: the **console** (a
//! terminal user interface), the **coordinator** (a scheduler, queue and
//! monitor of this machine, over HTTP and `SQLite`) and the **commands** (the
//! same for scripts). Folders are rooms; a room's own text says what it owns.
//!
//! ```text
//!              ┌──────────────────────── cli ───────────────────────┐
//!              ▼                          ▼                         ▼
//!   console ─ shell ──► runtime ──► backend ─┐              coordinator
//!      │                │  │  │              ├──► wire ◄───┤   │
//!      ▼                ▼  │  ▼              │              │   ▼
//!    fleet ◄────────────┘  │ vault           ▼              │ document
//!      │                   ▼              schedule ◄────────┘
//!      └──► schedule     config ──► action, schedule, document
//!                     everything ──► model
//! ```
//!
//! - [`model`]: the vocabulary as types. [`action`]: the one table of actions.
//!   [`schedule`]: slots and lateness. [`document`]: TOML with positions.
//!   [`wire`]: the native protocol. [`fleet`]: what is known. All pure: no
//!   clock, no I/O; `now` is an argument.
//! - [`backend`]: one adapter per system. [`vault`]: secret references.
//!   [`config`]: the configuration. [`runtime`]: the impure loop that polls and
//!   sends. [`coordinator`]: the server. [`console`]: state, update, screens and
//!   shell. [`cli`]: arguments and commands.
//!
//! **Data flow.** A backend answers a poll with a [`model::Snapshot`], which
//! says what it is complete for. The [`runtime`] hands it on; the owner of the
//! fleet applies it ([`fleet::Fleet::apply`]) and gets a [`fleet::Delta`]. The
//! console turns whatever happens (key, poll, timer, signal) into a message
//! with its time; its pure update returns effects; the shell runs them, and
//! draws one frame if something shown has changed. An intent goes the other
//! way: journalled, sent as calls, followed by receipts until a poll shows its
//! effect.
//!
//! **The arrows are checked** by a test that scans imports, since one package
//! has no compiler-checked walls; it also bounds the length of files and keeps
//! clocks out of pure rooms.

pub mod action;
pub mod backend;
pub mod cli;
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
