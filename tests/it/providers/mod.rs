//! One module per provider.

mod process;
