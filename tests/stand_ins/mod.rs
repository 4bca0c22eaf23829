//! Stand-ins of the systems that vigie speaks to: real HTTP servers on port 0
//! of this machine that answer as the contracts say, with the traps of the
//! real ones as switches. Shared by the binaries of tests and by the example
//! that serves them; one file or folder per system.

pub mod duplistatus;
pub mod rediacc;
