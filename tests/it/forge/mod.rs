//! Pull requests: the forge of the tests, and what the product does with a forge.

mod server;
mod server_git;
