//! One result, three renderings: text for a terminal, Markdown for a pull request, and in
//! [`super::document`] JSON for programs. Only these turn figures into words.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Figures, Terms};
use crate::model::{Bounds, Moment, TargetId, format_duration};
use crate::plan::render::{harmless, markdown_escape as escape};

/// One or two policies on the same recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The target.
    pub target: TargetId,
    /// The signal that is the load; without one, the lines that depend on it are left out.
    pub load: Option<String>,
    /// The beginning of the recording.
    pub from: Moment,
    /// The end of it.
    pub to: Moment,
    /// The time at the beginning that figures leave out.
    pub skipped: Duration,
    /// How the replay was made.
    pub terms: Terms,
    /// The currency of the prices; empty where it is not known.
    pub currency: String,
    /// The results; of two, the first is the old one.
    pub columns: Vec<Column>,
    /// What a reader should know, each a sentence without a full stop.
    pub notes: Vec<String>,
}

/// What one policy came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its heading: `old`, `new`, or `policy` where there is one only.
    pub name: &'static str,
    /// The spec that it is from.
    pub spec: String,
    /// The policy's name; `None` where it stands in the service or there is none.
    pub policy: Option<String>,
    /// Its bounds.
    pub bounds: Bounds,
    /// Its figures.
    pub figures: Figures,
    /// The price of a replica-hour, where known.
    pub price: Option<f64>,
}

impl Column {
    /// What the replica-hours cost, where a price is known.
    #[must_use]
    pub fn cost(&self) -> Option<f64> {
        Some(self.price? * self.figures.replica_hours)
    }
}

/// How a figure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A quantity with one decimal; a change of it is a percentage.
    Amount,
    /// Money with two decimals; likewise.
    Money,
    /// A rate or ratio with two decimals.
    Rate,
    /// A share from 0 to 1, as a percentage.
    Share,
    /// A whole number.
    Whole,
}

impl Form {
    fn write(self, value: f64) -> String {
        match self {
            Self::Amount => format!("{value:.1}"),
            Self::Money | Self::Rate => format!("{value:.2}"),
            Self::Share => format!("{:.2} %", value * 100.0),
            Self::Whole => format!("{value:.0}"),
        }
    }

    /// From the old value to the new one.
    fn change(self, old: f64, new: f64) -> String {
        let signed = |value: f64, decimals: usize, unit: &str| {
            let text = format!("{value:+.decimals$}");
            let is_zero = !text.bytes().any(|b| (b'1'..=b'9').contains(&b));
            if is_zero { "=".to_owned() } else { format!("{text}{unit}") }
        };
        match self {
            Self::Amount | Self::Money if old > 0.0 => signed((new / old - 1.0) * 100.0, 1, " %"),
            Self::Amount => signed(new - old, 1, ""),
            Self::Money | Self::Rate => signed(new - old, 2, ""),
            Self::Share => signed((new - old) * 100.0, 2, " points"),
            Self::Whole => signed(new - old, 0, ""),
        }
    }
}

/// One line of the table.
struct Line {
    label: String,
    cells: Vec<String>,
    change: Option<String>,
}

impl Report {
    /// The table, headings first.
    fn lines(&self) -> Vec<Line> {
        let mut lines = vec![Line {
            label: String::new(),
            cells: self.columns.iter().map(|column| column.name.to_owned()).collect(),
            change: (self.columns.len() > 1).then(|| "change".to_owned()),
        }];
        let mut add = |label: &str, form: Form, value: &dyn Fn(&Figures) -> f64| {
            lines.push(self.line(label, form, value));
        };
        add("replica-hours", Form::Amount, &|f| f.replica_hours);
        let costs: Option<Vec<f64>> = self.columns.iter().map(Column::cost).collect();
        if let Some(costs) = costs {
            let label = format!("cost, {}", harmless(&self.currency));
            lines.push(Line::of(label.trim_end_matches(", "), Form::Money, &costs));
        }
        let mut add = |label: &str, form: Form, value: &dyn Fn(&Figures) -> f64| {
            lines.push(self.line(label, form, value));
        };
        let has_load = self.load.is_some() && self.terms.capacity.is_some();
        if has_load {
            add("replica-hours / needed", Form::Rate, &|figures| {
                if figures.needed_hours > 0.0 {
                    figures.replica_hours / figures.needed_hours
                } else {
                    0.0
                }
            });
        }
        add("changes per hour", Form::Rate, &Figures::changes_per_hour);
        add("reversals per hour", Form::Rate, &Figures::reversals_per_hour);
        if has_load {
            add("time under-provisioned", Form::Share, &|figures| figures.under_provisioned);
            add("load unserved", Form::Share, &|figures| figures.unserved);
        }
        if has_load && self.columns.iter().any(|column| column.figures.beyond_max > 0.0) {
            add("load beyond max", Form::Share, &|figures| figures.beyond_max);
        }
        add("time at max", Form::Share, &|figures| figures.at_max);
        add("time at min", Form::Share, &|figures| figures.at_min);
        add("most replicas", Form::Whole, &|figures| f64::from(figures.most.0));
        add("largest change", Form::Whole, &|figures| f64::from(figures.step_max));
        lines
    }

    /// The time by reason, the most frequent one of the last column first.
    fn reasons(&self) -> Vec<Line> {
        let mut codes: Vec<&'static str> =
            self.columns.iter().flat_map(|column| column.figures.reasons.keys().copied()).collect();
        codes.sort_unstable();
        codes.dedup();
        let share =
            |figures: &Figures, code: &str| figures.reasons.get(code).copied().unwrap_or_default();
        let last = self.columns.last();
        codes.sort_by(|a, b| {
            let of = |code| last.map_or(0.0, |column| share(&column.figures, code));
            of(b).total_cmp(&of(a))
        });
        codes.into_iter().map(|code| self.line(code, Form::Share, &|f| share(f, code))).collect()
    }

    fn line(&self, label: &str, form: Form, value: &dyn Fn(&Figures) -> f64) -> Line {
        let values: Vec<f64> = self.columns.iter().map(|column| value(&column.figures)).collect();
        Line::of(label, form, &values)
    }

    /// What was replayed, without the target.
    fn subtitle(&self) -> String {
        let length = self.to.since(self.from);
        format!(
            "{} from {} to {}, the first {} left out of the figures; one replica {}starts in {}; decided every {} by {}",
            format_duration(whole(length)),
            self.from,
            self.to,
            format_duration(whole(self.skipped)),
            self.serves(),
            format_duration(self.terms.startup),
            format_duration(self.terms.interval),
            self.sight(),
        )
    }

    /// What one replica serves, where that is known.
    fn serves(&self) -> String {
        match (&self.load, self.terms.capacity) {
            (Some(load), Some(capacity)) => {
                format!("serves {capacity} of {} a second and ", harmless(load))
            }
            (None, _) | (_, None) => String::new(),
        }
    }

    /// What the policy could see.
    fn sight(&self) -> String {
        let late = match self.terms.delay {
            Duration::ZERO => String::new(),
            delay => format!(", {} late", format_duration(delay)),
        };
        match self.terms.window {
            Duration::ZERO => format!("the newest value{late}"),
            window => format!("the mean of {}{late}", format_duration(window)),
        }
    }

    /// Renders the result for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "Backtest of {}: {}.\n", self.target, self.subtitle());
        for column in &self.columns {
            let _ = writeln!(out, "{}: {}", column.name, column.about(harmless));
        }
        out.push('\n');
        let (lines, reasons) = (self.lines(), self.reasons());
        let widths = widths(lines.iter().chain(&reasons));
        lines.iter().for_each(|line| line.text(&mut out, &widths));
        if !reasons.is_empty() {
            out.push_str("\ntime by reason\n");
            reasons.iter().for_each(|line| line.text(&mut out, &widths));
        }
        for (at, note) in self.notes.iter().enumerate() {
            let gap = if at == 0 { "\n" } else { "" };
            let _ = writeln!(out, "{gap}note: {}", harmless(note));
        }
        out
    }

    /// Renders the result as GitHub-flavoured Markdown; nothing that a spec says is markup in it.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let target = escape(&self.target.to_string());
        let _ = writeln!(out, "**Backtest of {target}**: {}.\n", escape(&self.subtitle()));
        for column in &self.columns {
            let _ = writeln!(out, "- {}: {}", column.name, column.about(escape));
        }
        out.push('\n');
        let lines = self.lines();
        for (at, line) in lines.iter().enumerate() {
            line.markdown(&mut out);
            if at == 0 {
                self.rule(&mut out);
            }
        }
        let reasons = self.reasons();
        if !reasons.is_empty() {
            out.push_str("\n<details><summary>Time by reason</summary>\n\n");
            for (at, line) in lines.iter().take(1).chain(&reasons).enumerate() {
                line.markdown(&mut out);
                if at == 0 {
                    self.rule(&mut out);
                }
            }
            out.push_str("\n</details>\n");
        }
        for note in &self.notes {
            let _ = writeln!(out, "\n> **Note:** {}", escape(note));
        }
        out
    }

    fn rule(&self, out: &mut String) {
        let cells = self.columns.len() + usize::from(self.columns.len() > 1);
        let _ = writeln!(out, "| --- |{}", " ---: |".repeat(cells));
    }
}

impl Column {
    fn about(&self, plain: fn(&str) -> String) -> String {
        let policy = match &self.policy {
            Some(name) => format!("policy {}, ", plain(name)),
            None => String::new(),
        };
        format!("{policy}{} ({})", plain(&self.bounds.to_string()), plain(&self.spec))
    }
}

impl Line {
    fn of(label: &str, form: Form, values: &[f64]) -> Self {
        Self {
            label: label.to_owned(),
            cells: values.iter().map(|value| form.write(*value)).collect(),
            change: match values {
                [old, new] => Some(form.change(*old, *new)),
                _ => None,
            },
        }
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().chain(&self.change).map(String::as_str)
    }

    fn text(&self, out: &mut String, widths: &[usize]) {
        let (label, rest) =
            widths.split_first().map_or((0, widths), |(first, rest)| (*first, rest));
        let _ = write!(out, "{:label$}", self.label);
        for (cell, width) in self.all().zip(rest) {
            let _ = write!(out, "  {cell:>width$}");
        }
        out.push('\n');
    }

    fn markdown(&self, out: &mut String) {
        let _ = write!(out, "| {} |", escape(&self.label));
        for cell in self.all() {
            let _ = write!(out, " {cell} |");
        }
        out.push('\n');
    }
}

/// The width of each column of a table, the labels' first.
fn widths<'a>(lines: impl Iterator<Item = &'a Line>) -> Vec<usize> {
    let mut widths = Vec::new();
    for line in lines {
        for (at, cell) in std::iter::once(line.label.as_str()).chain(line.all()).enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(at) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    widths
}

/// Whole seconds, for people.
fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}
