//! Many values to one point. Pure.

use super::block::RawPoint;
use super::codec::rounded;
use super::sample::{Point, Reading, Resolution};
use crate::model::Moment;

/// The first instant of the bucket of `step_ms` that holds the instant; buckets are counted from 1970.
pub(super) fn floor(at: Moment, step_ms: i64) -> Moment {
    Moment(at.0.saturating_sub(at.0.rem_euclid(step_ms)))
}

/// Raw values, in order of time, to buckets. Readings that are no value count for nothing.
pub(super) fn of_raw(raw: &[RawPoint], resolution: Resolution) -> Vec<Point> {
    buckets(raw.iter().filter_map(RawPoint::point), resolution)
}

/// Points, in order of time, to longer buckets.
pub(super) fn buckets(points: impl Iterator<Item = Point>, resolution: Resolution) -> Vec<Point> {
    let mut out: Vec<Point> = Vec::new();
    for point in points {
        let start = floor(point.at, resolution.step_ms());
        match out.last_mut() {
            Some(open) if open.at == start => absorb(open, &point),
            _ => out.push(Point { at: start, ..point }),
        }
    }
    out
}

/// Adds a later point to a bucket.
fn absorb(open: &mut Point, next: &Point) {
    let count = open.count.saturating_add(next.count);
    // Shares, not a sum: values near the largest number must not overflow.
    let share = f64::from(next.count) / f64::from(count.max(1));
    open.min = open.min.min(next.min);
    open.max = open.max.max(next.max);
    open.mean = (open.mean * (1.0 - share) + next.mean * share).clamp(open.min, open.max);
    open.last = next.last;
    open.count = count;
}

/// The point with the digits that are kept.
pub(super) fn short(point: Point) -> Point {
    Point {
        min: rounded(point.min),
        max: rounded(point.max),
        mean: rounded(point.mean),
        last: rounded(point.last),
        ..point
    }
}

impl RawPoint {
    /// The value as a point of its own.
    pub(super) fn point(&self) -> Option<Point> {
        match self.reading {
            Reading::Value(value) => Some(Point {
                at: self.at,
                count: 1,
                min: value,
                max: value,
                mean: value,
                last: value,
            }),
            Reading::Absent | Reading::Stale | Reading::Error => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The mean of means, weighted by their counts, is the mean: hours made of minutes say what hours
        /// made of raw values say.
        #[test]
        fn hours_of_minutes_are_hours_of_values(
            values in prop::collection::vec((1i64..90_000, -1e6f64..1e6), 1..400),
        ) {
            let mut at = 0;
            let raw: Vec<RawPoint> = values.iter().map(|(gap_ms, value)| {
                at += gap_ms;
                RawPoint { at: Moment(at), reading: Reading::Value(*value) }
            }).collect();
            let minutes = of_raw(&raw, Resolution::Minute);
            let direct = of_raw(&raw, Resolution::Hour);
            let in_steps = buckets(minutes.iter().copied(), Resolution::Hour);
            prop_assert_eq!(direct.len(), in_steps.len());
            let mut counted = 0;
            for (direct, in_steps) in direct.iter().zip(&in_steps) {
                prop_assert_eq!(
                    (direct.at, direct.count, direct.min, direct.max, direct.last),
                    (in_steps.at, in_steps.count, in_steps.min, in_steps.max, in_steps.last)
                );
                prop_assert!((direct.mean - in_steps.mean).abs() <= 1e-6, "{direct:?} {in_steps:?}");
                prop_assert!(direct.min <= direct.mean && direct.mean <= direct.max);
                counted += direct.count as usize;
            }
            prop_assert_eq!(counted, values.len());
            let sum: f64 = values.iter().map(|(_, value)| value).sum();
            let weighted: f64 = minutes.iter().map(|m| m.mean * f64::from(m.count)).sum();
            prop_assert!((sum - weighted).abs() <= 1e-3, "{sum} {weighted}");
        }
    }

    #[test]
    fn gaps_have_no_bucket_and_huge_values_no_overflow() {
        let raw = [
            RawPoint { at: Moment(-1), reading: Reading::Value(f64::MAX) },
            RawPoint { at: Moment(0), reading: Reading::Value(f64::MAX) },
            RawPoint { at: Moment(1), reading: Reading::Value(f64::MAX) },
            RawPoint { at: Moment(60_000), reading: Reading::Absent },
            RawPoint { at: Moment(120_000), reading: Reading::Value(2.0) },
        ];
        let found: Vec<(i64, u32, f64)> =
            of_raw(&raw, Resolution::Minute).iter().map(|p| (p.at.0, p.count, p.mean)).collect();
        assert_eq!(found, [(-60_000, 1, f64::MAX), (0, 2, f64::MAX), (120_000, 1, 2.0)]);
    }
}
