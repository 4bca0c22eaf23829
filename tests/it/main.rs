//! One binary of integration tests: the house's rules, adapters against real
//! servers, the coordinator over real HTTP.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod coordinator;
#[cfg(test)]
mod duplistatus;
#[cfg(test)]
mod meeting;
#[cfg(test)]
mod native;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod support;
