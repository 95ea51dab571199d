//! Days on which GitHub is not well.

use std::time::{Duration, Instant};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A page for people, with status 503.
    Page503,
    /// The connection is closed without an answer, and nothing is done.
    Closed,
    /// No answer, for as long as the client waits.
    Hang,
    /// A write is done, and the connection is closed before it is answered. Reads are answered.
    AnswerLost,
}

/// For how long.
#[derive(Debug, Clone, Copy)]
pub(crate) enum For {
    /// Until it is lifted.
    Ever,
    /// So many requests (of [`Fault::AnswerLost`]: writes).
    Requests(u32),
    /// A time from now on.
    Time(Duration),
}

#[derive(Debug, Clone, Copy)]
enum Until {
    Lifted,
    Requests(u32),
    Instant(Instant),
}

/// The fault of now, if any.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    now: Option<(Fault, Until)>,
}

impl Faults {
    pub(crate) fn set(&mut self, fault: Fault, length: For) {
        let until = match length {
            For::Ever => Until::Lifted,
            For::Requests(n) => Until::Requests(n),
            For::Time(time) => Until::Instant(Instant::now() + time),
        };
        self.now = Some((fault, until));
    }

    pub(crate) fn lift(&mut self) {
        self.now = None;
    }

    /// The fault that befalls this request.
    pub(crate) fn befall(&mut self, is_write: bool) -> Option<Fault> {
        let (fault, until) = self.now?;
        if fault == Fault::AnswerLost && !is_write {
            return None;
        }
        match until {
            Until::Lifted => {}
            Until::Requests(0) => {
                self.now = None;
                return None;
            }
            Until::Requests(left) => self.now = Some((fault, Until::Requests(left - 1))),
            Until::Instant(end) if Instant::now() >= end => {
                self.now = None;
                return None;
            }
            Until::Instant(_) => {}
        }
        Some(fault)
    }
}
