//! The binary: parses arguments, calls the library, maps errors to exit codes.

use std::process::ExitCode;

/// Gives memory back that reading a large spec needed for a moment; the C library's allocator keeps it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tidegate::cli::main()
}
