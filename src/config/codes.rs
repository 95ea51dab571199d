//! The stable codes of findings about the controller's configuration, besides those of text and schema that
//! it shares with the spec ([`crate::spec::codes`]).
//!
//! One file in `examples/broken/config/` shows each; a test keeps the two lists equal.

use crate::model::Code;

/// There is nothing in the file.
pub const EMPTY_CONFIG: Code = Code("empty-config");
/// A key that this version does not act on.
pub const UNSUPPORTED_KEY: Code = Code("unsupported-key");
/// A user name or password inside an address.
pub const SECRET_IN_URL: Code = Code("secret-in-url");
/// An address that cannot be used.
pub const BAD_URL: Code = Code("bad-url");
/// A path that leads where it should not.
pub const BAD_PATH: Code = Code("bad-path");
/// A text that is not a reference to a secret.
pub const BAD_SECRET_REF: Code = Code("bad-secret-ref");
/// A text that is not a range of ports.
pub const BAD_PORTS: Code = Code("bad-ports");
/// Credentials that do not fit the address.
pub const WRONG_CREDENTIALS: Code = Code("wrong-credentials");
/// The status branch is the branch that the spec is read from.
pub const SAME_BRANCH: Code = Code("same-branch");
/// An address of a store that this version cannot use.
pub const BAD_STORE_URL: Code = Code("bad-store-url");
/// Times to keep things that contradict each other.
pub const BAD_RETENTION: Code = Code("bad-retention");
/// The name of a metric source that is built in.
pub const RESERVED_NAME: Code = Code("reserved-name");
/// A header that sounds like a secret, with its value in the file.
pub const SECRET_HEADER: Code = Code("secret-header");
/// A header that cannot be sent.
pub const BAD_HEADER: Code = Code("bad-header");
/// A text that is not a JSON pointer.
pub const BAD_POINTER: Code = Code("bad-pointer");

/// Every code of this file.
pub const ALL: &[Code] = &[
    EMPTY_CONFIG,
    UNSUPPORTED_KEY,
    SECRET_IN_URL,
    BAD_URL,
    BAD_PATH,
    BAD_SECRET_REF,
    BAD_PORTS,
    WRONG_CREDENTIALS,
    SAME_BRANCH,
    BAD_STORE_URL,
    BAD_RETENTION,
    RESERVED_NAME,
    SECRET_HEADER,
    BAD_HEADER,
    BAD_POINTER,
];

/// Codes whose place in the file may hold a secret: excerpts show stars there.
pub(super) const SECRET: &[Code] =
    &[SECRET_IN_URL, BAD_SECRET_REF, BAD_URL, BAD_STORE_URL, SECRET_HEADER];
