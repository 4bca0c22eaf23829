//! The systems. A new one is a file here and a line below.

mod duplistatus;
mod duplistatus_web;
mod duty_duck;
mod rediacc;
mod vigie;

use std::sync::Arc;

use ::vigie::model::Kind;

use super::subject::Subject;

/// Makes a server of a system with what it has at first.
pub type Make = fn() -> futures_util::future::BoxFuture<'static, Arc<dyn Subject>>;

/// The ways in which an endpoint of `kind` may be configured: at least one.
pub fn of(kind: Kind) -> Vec<Make> {
    match kind {
        Kind::Vigie => vec![vigie::make],
        Kind::Duplistatus => vec![duplistatus::make, duplistatus_web::make],
        Kind::DutyDuck => vec![duty_duck::make],
        Kind::Rediacc => vec![rediacc::make],
    }
}
