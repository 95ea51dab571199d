//! How long a replica that ended waits for its next start. Pure.

use std::time::Duration;

/// The first wait: a replica that ends once by chance is soon back.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait: a replica that cannot run costs next to nothing, and is back within minutes of a
/// repair.
const LONGEST: Duration = Duration::from_secs(300);
/// Up this long, an end is the first of a new row: longer than most start-ups that fail late.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// Doublings until every wait is the longest.
const DOUBLINGS_MAX: u32 = 9;

/// Ends in a row, and what follows from them.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    ends: u32,
}

impl BackOff {
    /// The wait after an end. `spread` from 0 to 1 moves it by up to a fifth either way, so that
    /// replicas that ended together do not come back together.
    pub(super) fn after_end(&mut self, up: Duration, spread: f64) -> Duration {
        if up >= FORGIVEN_AFTER {
            self.ends = 0;
        }
        let doubled = FIRST * 2u32.pow(self.ends.min(DOUBLINGS_MAX));
        self.ends = self.ends.saturating_add(1);
        doubled.min(LONGEST).mul_f64(0.8 + 0.4 * spread.clamp(0.0, 1.0)).clamp(FIRST, LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_are_forgiven_after_a_good_run() {
        let mut back_off = BackOff::default();
        let mut next = |up_s| back_off.after_end(Duration::from_secs(up_s), 0.5).as_secs();
        let first: Vec<u64> = (0..11).map(|_| next(0)).collect();
        assert_eq!(first, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(next(60), 1);
        assert_eq!(next(59), 2);
    }

    #[test]
    fn the_spread_stays_within_the_limits() {
        for (spread, first, fourth) in [(0.0, 1.0, 6.4), (1.0, 1.2, 9.6)] {
            let mut back_off = BackOff::default();
            let waits: Vec<f64> =
                (0..4).map(|_| back_off.after_end(Duration::ZERO, spread).as_secs_f64()).collect();
            assert!((waits[0] - first).abs() < 1e-9, "{waits:?}");
            assert!((waits[3] - fourth).abs() < 1e-9, "{waits:?}");
        }
    }
}
