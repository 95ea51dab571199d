//! A replay as a picture that forges draw themselves: the source of a Mermaid `xychart-beta`.
//!
//! By the grammar of Mermaid's `xychart`: texts stand in double quotes and have none inside, numbers are plain
//! decimals, and the points of a series lie evenly from the first to the last number of the x axis. It draws no
//! legend, so the title is one.

use std::fmt::Write as _;
use std::time::Duration;

use super::chart::{Curve, MARK_STEPS, all_needed, points};
use super::{Demand, Terms};
use crate::model::TargetId;

/// Points of a series: more of them than this are no longer told apart at the width of a comment.
const POINTS_MAX: u64 = 60;
/// Grey, orange and blue: told apart also by people without red and green, on a light and a dark page.
const NEEDED: &str = "#8c959f";
const OLD: &str = "#db6d28";
const NEW: &str = "#218bff";

/// The source of the picture, without a fence around it. The last curve is drawn over the others.
pub(super) fn mermaid(
    target: &TargetId,
    demand: &Demand,
    terms: &Terms,
    curves: &[Curve<'_>],
) -> String {
    let Some(main) = curves.last() else { return String::new() };
    let (from, length) = (main.replay.from, main.replay.to.since(main.replay.from));
    let piece = piece(length);
    let drawn: Vec<_> = curves.iter().map(|curve| points(curve, demand, terms, piece)).collect();
    let mut series: Vec<(&str, String, &str, Vec<u32>)> = Vec::new();
    if terms.capacity.is_some() {
        let needed = all_needed(&drawn).iter().map(|point| point.needed).collect();
        series.push(("bar", "needed (grey bars)".to_owned(), NEEDED, needed));
    }
    for (at, (curve, points)) in curves.iter().zip(&drawn).enumerate() {
        let is_last = at + 1 == curves.len();
        let (colour, word) = if is_last { (NEW, "blue") } else { (OLD, "orange") };
        let legend = format!("{} ({word})", plain(curve.name));
        let wanted = points.iter().map(|point| point.wanted).collect();
        series.push(("line", legend, colour, wanted));
    }
    let legend: Vec<&str> = series.iter().map(|(_, legend, ..)| legend.as_str()).collect();
    let colours: Vec<&str> = series.iter().map(|(_, _, colour, _)| *colour).collect();
    let top = series.iter().flat_map(|(.., values)| values).copied().max().unwrap_or(1).max(1);
    let last = series.iter().map(|(.., values)| values.len()).max().unwrap_or(1).max(2) - 1;
    let (unit, unit_s) = if piece < HALF_HOUR_S { ("minutes", 60) } else { ("hours", 3600) };
    let end = decimal(last as u64 * piece, unit_s);
    let since = from.timestamp().strftime("%Y-%m-%d %H:%M UTC");
    let mut out = String::new();
    let _ = writeln!(
        out,
        "%%{{init: {{\"themeVariables\": {{\"xyChart\": {{\"plotColorPalette\": \"{}\"}}}}}}}}%%\n\
         xychart-beta\n    \
         title \"{}: replicas {}\"\n    \
         x-axis \"{unit} since {since}\" 0 --> {end}\n    \
         y-axis \"replicas\" 0 --> {top}",
        colours.join(", "),
        plain(&target.to_string()),
        legend.join(", "),
    );
    for (kind, .., values) in &series {
        let values: Vec<String> = values.iter().map(u32::to_string).collect();
        let _ = writeln!(out, "    {kind} [{}]", values.join(", "));
    }
    out
}

const HALF_HOUR_S: u64 = 1800;

/// Seconds of a point: round, so that the points of a series lie where the axis says.
fn piece(length: Duration) -> u64 {
    let length = length.as_secs();
    let fits = |step: &&u64| length.div_ceil(**step) <= POINTS_MAX;
    MARK_STEPS.iter().find(fits).copied().unwrap_or_else(|| length.div_ceil(POINTS_MAX).max(1))
}

/// Whole units, and a half where it is one.
fn decimal(seconds: u64, unit_s: u64) -> String {
    let half = if seconds % unit_s * 2 >= unit_s { ".5" } else { "" };
    format!("{}{half}", seconds / unit_s)
}

/// Text that is no markup of the picture: everything else than letters, digits and `. _ / -` becomes `_`.
fn plain(text: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '_' | '/' | '-');
    text.chars().map(|c| if is_plain(&c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_leave_its_quotes() {
        assert_eq!(plain("web/i\"ad\n bar [1]; %%{}`"), "web/i_ad_ bar _1__ _____");
    }

    #[test]
    fn a_picture_has_few_points_at_round_distances() {
        let hour = |hours: u64| piece(Duration::from_secs(hours * 3600));
        assert_eq!([1, 2, 24, 168].map(hour), [60, 300, 1800, 10_800]);
        for hours in 1..500_u64 {
            assert!((hours * 3600).div_ceil(hour(hours)) <= POINTS_MAX, "{hours} h");
        }
        assert_eq!(decimal(47 * 1800, 3600), "23.5");
    }
}
