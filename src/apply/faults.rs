//! Points at which a test may kill the process: before and after every provider call.
//!
//! Without the feature `testing` they are nothing.

/// Which side of a provider call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

#[cfg(not(feature = "testing"))]
pub(super) fn point(_side: Side) {}

/// Kills this process, as `kill -9` would, at the point that `TIDEGATE_TEST_KILL_AT` names: `before:N` or
/// `after:N`, counting provider calls from 1.
#[cfg(feature = "testing")]
pub(super) fn point(side: Side) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static BEFORE: AtomicUsize = AtomicUsize::new(0);
    static AFTER: AtomicUsize = AtomicUsize::new(0);
    let (counter, word) = match side {
        Side::Before => (&BEFORE, "before"),
        Side::After => (&AFTER, "after"),
    };
    let count = counter.fetch_add(1, Ordering::SeqCst) + 1;
    #[expect(clippy::disallowed_methods, reason = "a fault point of the test build")]
    let wish = std::env::var("TIDEGATE_TEST_KILL_AT");
    if wish.is_ok_and(|wish| wish == format!("{word}:{count}")) {
        let me = rustix::process::getpid();
        // Nothing is flushed, nothing is dropped: that is the point.
        let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
    }
}
