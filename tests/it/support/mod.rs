//! What several themes of tests need: real servers, and repositories to serve.

pub(crate) mod git_servers;
pub(crate) mod programs;
pub(crate) mod repo;
//! Real servers and faults for the tests.

pub mod dockerd;
pub mod fault_proxy;
