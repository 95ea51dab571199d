//! The load second by second, from the rows of a series.

use crate::model::Moment;

use super::Series;

/// The load as a running total: between two edges it grows evenly. Also the time that is replayed.
#[derive(Debug, Clone)]
pub struct Demand {
    edges: Vec<Edge>,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    at: Moment,
    /// What was asked for up to here.
    total: f64,
}

impl Demand {
    /// The load of a series in units per second. In a gap it stays at its last value.
    #[must_use]
    pub fn of(series: &Series) -> Self {
        let mut edges = Vec::with_capacity(series.rows().len() + 1);
        let mut last = Edge { at: series.begin(), total: 0.0 };
        let mut held = 0.0;
        edges.push(last);
        let mut grow = |until: Moment, rate: f64, edges: &mut Vec<Edge>| {
            let seconds = until.since(last.at).as_secs_f64();
            last = Edge { at: until, total: last.total + rate * seconds };
            edges.push(last);
        };
        for row in series.rows() {
            let measured_from = row.at.before(series.step());
            if edges.last().is_some_and(|last| last.at < measured_from) {
                grow(measured_from, held, &mut edges);
            }
            grow(row.at, row.value, &mut edges);
            held = row.value;
        }
        Self { edges }
    }

    /// No load at all over some time.
    #[must_use]
    pub fn none(from: Moment, to: Moment) -> Self {
        Self { edges: [from, to].map(|at| Edge { at, total: 0.0 }).to_vec() }
    }

    /// When it begins.
    #[must_use]
    pub fn begin(&self) -> Moment {
        self.edges.first().map_or(Moment(0), |edge| edge.at)
    }

    /// When it ends.
    #[must_use]
    pub fn end(&self) -> Moment {
        self.edges.last().map_or(Moment(0), |edge| edge.at)
    }

    /// Reads totals at instants that only rise.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor { edges: &self.edges }
    }
}

/// Where somebody reads the running total.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    edges: &'a [Edge],
}

impl Cursor<'_> {
    /// What was asked for up to `at`; no less than at the call before.
    pub(super) fn total(&mut self, at: Moment) -> f64 {
        loop {
            match self.edges {
                [_, to, ..] if to.at <= at => self.edges = self.edges.get(1..).unwrap_or_default(),
                [from, to, ..] if at > from.at => {
                    let share =
                        at.since(from.at).as_secs_f64() / to.at.since(from.at).as_secs_f64();
                    return from.total + share * (to.total - from.total);
                }
                [only, ..] => return only.total,
                [] => return 0.0,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_load_of_the_step_before_its_stamp_and_a_gap_holds_the_last() {
        let series = Series::parse("x", b"10,1\n20,3\n30,3\n60,5\n").expect("rows");
        let mut cursor = Demand::of(&series).cursor().total_at([0, 5, 10, 15, 30, 45, 50, 60, 99]);
        assert_eq!(cursor.next(), Some(0.0));
        assert_eq!(cursor.collect::<Vec<_>>(), [5.0, 10.0, 25.0, 70.0, 115.0, 130.0, 180.0, 180.0]);
    }

    impl Cursor<'_> {
        fn total_at<const N: usize>(mut self, seconds: [i64; N]) -> std::vec::IntoIter<f64> {
            seconds.map(|second| self.total(Moment(second * 1000))).to_vec().into_iter()
        }
    }
}
