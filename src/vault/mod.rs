//! Secrets: where their values come from, vigie's own store of them, and
//! keeping them out of what is shown.
//!
//! - [`resolve`]: every form of secret reference;
//! - [`Vault`]: values encrypted at rest, under names such as `data/pg`; its
//!   [`Key`] comes from a file, a variable or a command;
//! - [`Redactor`]: takes values out of text that streams by.
//!
//! Nothing of a secret goes into errors, logs or `Debug`, and values are
//! zeroized when they are dropped. May import: `model`.

mod key;
mod name;
mod redact;
mod source;
mod store;
#[cfg(test)]
mod tests;

pub use key::{Key, KeySource};
pub use name::{NO_TEAM, SHARED, SecretName};
pub use redact::{MASK, Redactor, SHORTEST};
pub use source::resolve;
pub use store::{Entry, FILE, LONGEST, Stored, Vault, VaultError, check_value};
