//! Pull requests: what a change would do, told before it is merged.
//!
//! Beside the loop of [`super::Controller`]: nothing here changes the world.

pub mod recordings;
