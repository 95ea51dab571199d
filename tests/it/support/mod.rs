//! What several themes of tests need: real servers, and repositories to serve.

pub(crate) mod git_servers;
pub(crate) mod programs;
pub(crate) mod repo;
