//! The spec repository and the status branch, against real git servers.

mod hostile;
mod mirror;
mod transport;
mod writer;
