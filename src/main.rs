//! vigie: hooks, arguments, dispatch. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    vigie::cli::main()
}
