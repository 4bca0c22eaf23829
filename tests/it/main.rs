//! One binary of integration tests: the house's rules, adapters against real
//! servers, the coordinator over real HTTP.

// Marked as tests one by one, so that the lints know their helpers as tests too.
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod coordinator;
#[cfg(test)]
mod duplistatus;
#[cfg(test)]
mod duplistatus_web;
#[cfg(test)]
mod duty_duck;
#[cfg(test)]
mod meeting;
#[cfg(test)]
mod native;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod rediacc;
#[cfg(test)]
#[path = "../stand_ins/mod.rs"]
#[expect(dead_code, reason = "what only the tests of a session turn")]
mod stand_ins;
#[cfg(test)]
mod support;
#[cfg(test)]
mod survival;
