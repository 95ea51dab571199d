//! The replicas of a replay: how many are wanted, and how many of them serve.
//!
//! A replica serves a start-up time after it was wanted; one that is no longer wanted is gone at once, and
//! those that are still starting go first.

use std::time::Duration;

use crate::model::Moment;

/// The replicas at an instant that only moves forward.
#[derive(Debug, Clone)]
pub(super) struct Supply {
    startup: Duration,
    serving: u32,
    /// Replicas that start, with the time from which they serve; the oldest first.
    starting: std::collections::VecDeque<(Moment, u32)>,
}

impl Supply {
    /// Replicas that serve from the beginning.
    pub(super) fn new(serving: u32, startup: Duration) -> Self {
        Self { startup, serving, starting: std::collections::VecDeque::new() }
    }

    /// Lets the time pass: what has started by `now` serves.
    pub(super) fn pass(&mut self, now: Moment) {
        while let Some((_, count)) = self.starting.pop_front_if(|(from, _)| *from <= now) {
            self.serving = self.serving.saturating_add(count);
        }
    }

    /// Makes the count `wanted` from `now` on.
    pub(super) fn want(&mut self, now: Moment, wanted: u32) {
        self.pass(now);
        let count = self.count();
        if let Some(more @ 1..) = wanted.checked_sub(count) {
            self.starting.push_back((now.after(self.startup), more));
            self.pass(now);
            return;
        }
        let mut less = count - wanted;
        while less > 0 {
            let Some((from, starting)) = self.starting.pop_back() else { break };
            let gone = less.min(starting);
            less -= gone;
            if starting > gone {
                self.starting.push_back((from, starting - gone));
            }
        }
        self.serving = self.serving.saturating_sub(less);
    }

    /// All replicas.
    pub(super) fn count(&self) -> u32 {
        self.serving.saturating_add(self.starting())
    }

    /// Those that serve.
    pub(super) fn serving(&self) -> u32 {
        self.serving
    }

    /// Those that start.
    pub(super) fn starting(&self) -> u32 {
        self.starting.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STARTUP_S: usize = 30;

    fn at(second: usize) -> Moment {
        Moment(i64::try_from(second).unwrap() * 1000)
    }

    #[test]
    fn replicas_serve_after_their_start_and_those_that_start_go_first() {
        let mut supply = Supply::new(2, Duration::from_secs(30));
        supply.want(at(0), 5);
        assert_eq!((supply.serving(), supply.starting()), (2, 3));
        supply.want(at(10), 6);
        // The one of second 10 goes, and one of those of second 0.
        supply.want(at(20), 4);
        assert_eq!((supply.serving(), supply.starting()), (2, 2));
        supply.pass(at(29));
        assert_eq!(supply.serving(), 2);
        supply.pass(at(30));
        assert_eq!((supply.serving(), supply.starting()), (4, 0));
        supply.want(at(31), 1);
        assert_eq!((supply.serving(), supply.count()), (1, 1));
    }

    proptest! {
        /// The same, said in another way: replica k serves exactly where at least k were wanted through the
        /// whole start-up time before.
        #[test]
        fn serving_is_the_least_wanted_of_a_start_up(wanted in prop::collection::vec(0u32..6, 1..200)) {
            let mut supply = Supply::new(wanted[0], Duration::from_secs(STARTUP_S as u64));
            for (second, count) in wanted.iter().enumerate() {
                supply.want(at(second), *count);
                let least = wanted[second.saturating_sub(STARTUP_S)..=second].iter().min();
                prop_assert_eq!(Some(&supply.serving()), least);
                prop_assert_eq!(supply.count(), *count);
            }
        }
    }
}
