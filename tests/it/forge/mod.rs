//! Pull requests at a forge.

mod github;
