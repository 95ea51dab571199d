//! A replay as a picture: replicas needed, wanted and serving over time, as SVG.

use std::fmt::Write as _;
use std::time::Duration;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Terms;
use super::demand::Demand;
use super::figures::seconds;
use super::replay::Replay;
use crate::model::{Bounds, Moment, TargetId};

/// What is drawn of one policy.
#[derive(Debug, Clone, Copy)]
pub struct Curve<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// What it did.
    pub replay: &'a Replay,
    /// Its bounds.
    pub bounds: Bounds,
}

/// The picture could not be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("draw the chart: {0}")]
pub struct ChartError(String);

/// Width and height in pixels: as wide as a page of a pull request shows it, twice over.
const SIZE: (u32, u32) = (1200, 480);
/// Points of a curve: about one for each pixel of its width.
const POINTS_MAX: u64 = 1100;
/// Marks on an axis.
const MARKS_MAX: u64 = 10;
/// Seconds between marks on the time axis that read well.
pub(super) const MARK_STEPS: &[u64] = &[
    60,
    300,
    900,
    1800,
    3600,
    7200,
    10_800,
    21_600,
    43_200,
    DAY_S,
    2 * DAY_S,
    7 * DAY_S,
    30 * DAY_S,
];
const DAY_S: u64 = 86_400;
/// Replicas between marks on the other axis that read well.
const COUNT_STEPS: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
/// Width of a legend's character, in pixels; a legend may be a little wide.
const CHAR_WIDTH: usize = 8;

const INK: RGBColor = RGBColor(87, 96, 106);
const GRID: RGBColor = RGBColor(226, 230, 234);
const NEEDED: RGBColor = RGBColor(208, 215, 222);
const BOUND: RGBColor = RGBColor(140, 149, 159);
/// By policy, the last one first: colours that also people without red and green tell apart.
const WANTED: &[RGBColor] = &[RGBColor(9, 105, 218), RGBColor(219, 109, 40)];
const SERVING: RGBColor = RGBColor(84, 174, 255);

/// Draws the curves, of which the last one matters most: of it, bounds and serving replicas are shown too.
///
/// # Errors
/// [`ChartError`] when the picture cannot be drawn.
pub fn chart(
    target: &TargetId,
    demand: &Demand,
    terms: &Terms,
    curves: &[Curve<'_>],
) -> Result<String, ChartError> {
    let mut out = String::new();
    {
        let root = SVGBackend::with_string(&mut out, SIZE).into_drawing_area();
        draw(&root, target, demand, terms, curves)
            .map_err(|error| ChartError(error.to_string()))?;
    }
    // A text file ends with a line's end.
    let _ = writeln!(out);
    Ok(out)
}

/// One point of a curve: the most in a piece of time, so that no peak is lost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Point {
    at: f64,
    pub(super) needed: u32,
    pub(super) wanted: u32,
    serving: u32,
}

/// The points of a curve, one for each `piece` seconds.
pub(super) fn points(curve: &Curve<'_>, demand: &Demand, terms: &Terms, piece: u64) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for (index, second) in (0_u64..).zip(seconds(curve.replay, demand, curve.bounds, terms)) {
        if index % piece == 0 {
            points.push(Point { at: seconds_of(second.at), serving: u32::MAX, ..Point::default() });
        }
        if let Some(point) = points.last_mut() {
            point.needed = point.needed.max(second.needed);
            point.wanted = point.wanted.max(second.wanted);
            // Of what serves, the least: a shortage is not to be lost either.
            point.serving = point.serving.min(second.serving);
        }
    }
    points
}

#[expect(clippy::cast_precision_loss, reason = "seconds of this century are below 2^52")]
fn seconds_of(at: Moment) -> f64 {
    at.0 as f64 / 1000.0
}

/// The corners of a stepped line.
fn corners(points: &[Point], end: f64, of: fn(&Point) -> u32) -> Vec<(f64, f64)> {
    let ends = points.iter().skip(1).map(|point| point.at).chain([end]);
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for (point, to) in points.iter().zip(ends) {
        let height = f64::from(of(point));
        if corners.last().is_some_and(|last| last.1.to_bits() == height.to_bits()) {
            corners.pop();
        } else {
            corners.push((point.at, height));
        }
        corners.push((to, height));
    }
    corners
}

/// A straight axis with marks of our own choice.
struct Axis {
    from: f64,
    to: f64,
    marks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.from) / (self.to - self.from).max(f64::MIN_POSITIVE);
        let (low, high) = (f64::from(limit.0), f64::from(limit.1));
        #[expect(clippy::cast_possible_truncation, reason = "a pixel of the picture")]
        let pixel = (low + (high - low) * share).round() as i32;
        pixel
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.from..self.to
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn draw(
    root: &Area<'_>,
    target: &TargetId,
    demand: &Demand,
    terms: &Terms,
    curves: &[Curve<'_>],
) -> Drawn {
    root.fill(&WHITE)?;
    let Some(main) = curves.last() else { return Ok(()) };
    let drawn: Vec<Vec<Point>> = curves
        .iter()
        .map(|curve| {
            let length = curve.replay.to.since(curve.replay.from).as_secs();
            points(curve, demand, terms, length.div_ceil(POINTS_MAX).max(1))
        })
        .collect();
    let all = || drawn.iter().flatten();
    let top = all().map(|point| point.needed.max(point.wanted)).chain([main.bounds.max.0]).max();
    let highest = all().map(|point| point.needed.max(point.wanted)).max().unwrap_or(1).max(1);
    // Bounds far above what happens would press everything else flat.
    let shows_max = top.unwrap_or(1) <= highest.saturating_mul(2);
    let top = if shows_max { top.unwrap_or(1).max(1) } else { highest };
    let (from, to) = (seconds_of(main.replay.from), seconds_of(main.replay.to));

    let mut chart = ChartBuilder::on(root)
        .margin(14)
        .margin_top(52)
        .margin_right(24)
        .x_label_area_size(30)
        .y_label_area_size(46)
        .build_cartesian_2d(
            Axis { from, to, marks: time_marks(main.replay.from, main.replay.to) },
            Axis { from: 0.0, to: f64::from(top) * 1.04, marks: count_marks(top) },
        )?;
    let label = ("sans-serif", 15).into_font().color(&INK);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(GRID)
        .label_style(label)
        .x_label_formatter(&|at| clock(*at))
        .y_label_formatter(&|count| format!("{count:.0}"))
        .draw()?;

    let needed = all_needed(&drawn);
    chart.draw_series(AreaSeries::new(
        corners(&needed, to, |point| point.needed),
        0.0,
        NEEDED.mix(0.9),
    ))?;
    let mut legend = vec![("needed for the load".to_owned(), NEEDED, 10)];
    let bounds = [Some(main.bounds.min), shows_max.then_some(main.bounds.max)];
    for bound in bounds.into_iter().flatten() {
        let height = f64::from(bound.0);
        chart.draw_series(DashedLineSeries::new(
            [(from, height), (to, height)],
            6,
            5,
            BOUND.stroke_width(1),
        ))?;
    }
    if let Some(points) = drawn.last() {
        let serving = corners(points, to, |point| point.serving);
        chart.draw_series(LineSeries::new(serving, SERVING.stroke_width(1)))?;
    }
    let colours = || WANTED.iter().cycle();
    let mut named = Vec::new();
    // The last curve is drawn over the others.
    let numbered = curves.iter().zip(&drawn).zip((0..curves.len()).rev());
    for ((curve, points), from_last) in numbered {
        let colour = colours().nth(from_last).copied().unwrap_or(INK);
        let wanted = corners(points, to, |point| point.wanted);
        chart.draw_series(LineSeries::new(wanted, colour.stroke_width(2)))?;
        let name =
            if curves.len() > 1 { format!("wanted, {}", curve.name) } else { "wanted".into() };
        named.push((name, colour, 3));
    }
    legend.extend(named);
    legend.push(("serving".to_owned(), SERVING, 2));
    legend.push(("bounds".to_owned(), BOUND, 1));
    draw_legend(root, &format!("{target}: replicas, times in UTC"), &legend)?;
    root.present()?;
    Ok(())
}

/// The most needed of all curves: their bounds may differ.
pub(super) fn all_needed(drawn: &[Vec<Point>]) -> Vec<Point> {
    let (first, rest) = drawn.split_first().map_or((&[][..], drawn), |(a, b)| (a.as_slice(), b));
    let mut needed = first.to_vec();
    for other in rest {
        for (point, other) in needed.iter_mut().zip(other) {
            point.needed = point.needed.max(other.needed);
        }
    }
    needed
}

fn draw_legend(root: &Area<'_>, title: &str, entries: &[(String, RGBColor, u32)]) -> Drawn {
    let place = Pos::new(HPos::Left, VPos::Center);
    let heading = ("sans-serif", 19).into_font().style(FontStyle::Bold).color(&INK).pos(place);
    root.draw(&Text::new(title.to_owned(), (16, 24), heading))?;
    let style = ("sans-serif", 15).into_font().color(&INK).pos(place);
    let widths = entries.iter().map(|(name, ..)| 40 + name.chars().count() * CHAR_WIDTH);
    let mut left =
        i32::try_from(SIZE.0)?.saturating_sub(i32::try_from(widths.clone().sum::<usize>())?);
    for ((name, colour, thickness), width) in entries.iter().zip(widths) {
        let line = PathElement::new([(left, 24), (left + 24, 24)], colour.stroke_width(*thickness));
        root.draw(&line)?;
        root.draw(&Text::new(name.clone(), (left + 30, 24), style.clone()))?;
        left = left.saturating_add(i32::try_from(width)?);
    }
    Ok(())
}

/// Round times on the axis, in seconds since 1970.
fn time_marks(from: Moment, to: Moment) -> Vec<f64> {
    let length = to.since(from).as_secs();
    let fits = |step: &&u64| length / **step <= MARKS_MAX;
    let step = MARK_STEPS.iter().find(fits).copied().unwrap_or(length.max(1));
    let first = u64::try_from(from.0).unwrap_or(0).div_ceil(step * 1000) * step;
    let mut marks = Vec::new();
    let mut at = Moment(i64::try_from(first * 1000).unwrap_or(i64::MAX));
    while at <= to && marks.len() <= MARKS_MAX as usize {
        marks.push(seconds_of(at));
        at = at.after(Duration::from_secs(step));
    }
    marks
}

/// Whole counts on the axis.
fn count_marks(top: u32) -> Vec<f64> {
    let fits = |step: &&u64| u64::from(top) / **step <= MARKS_MAX;
    let step = COUNT_STEPS.iter().find(fits).copied().unwrap_or(u64::from(top).max(1));
    (0..=u64::from(top))
        .step_by(usize::try_from(step).unwrap_or(1))
        .filter_map(|count| u32::try_from(count).ok().map(f64::from))
        .collect()
}

/// The time of day in UTC, and at midnight the day.
fn clock(at: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a mark is a whole second of this century")]
    let time = Moment(at as i64 * 1000).timestamp().to_zoned(jiff::tz::TimeZone::UTC);
    let is_midnight = time.hour() == 0 && time.minute() == 0;
    time.strftime(if is_midnight { "%b %-d" } else { "%H:%M" }).to_string()
}
