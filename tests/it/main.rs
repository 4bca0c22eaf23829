//! One binary of integration tests: the house's rules, adapters against real
//! servers, the coordinator over real HTTP.

mod architecture;
