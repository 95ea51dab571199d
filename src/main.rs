/// The binary: parses arguments and maps errors to exit codes.
fn main() {}
