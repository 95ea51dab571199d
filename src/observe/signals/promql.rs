//! The selectors of a PromQL expression: which series it reads, so that their age can be asked for. Pure.
//!
//! This is a reader of words, not of grammar: it tells names of series from functions, keywords and labels.
//! What it does not understand it leaves out, and then less is known of the age; the value is Prometheus'
//! business alone. The lexical rules are those of Prometheus' documentation, "Querying basics" and
//! "Operators".

use std::time::Duration;

/// One selector, without range, offset and `@`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector<'a> {
    /// As the expression has it: `name`, `name{...}` or `{...}`.
    pub(super) text: &'a str,
    /// The range it is read over, as in `name[5m]`.
    pub(super) range: Option<Duration>,
}

/// Selectors of one expression whose age is asked for: more is a dashboard, not a signal.
pub(super) const SELECTORS_MAX: usize = 8;

/// Operators and values that look like names.
const WORDS: &[&str] = &["and", "or", "unless", "atan2", "bool", "offset", "inf", "nan"];
/// Keywords that a list of labels follows.
const LABEL_LISTS: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The selectors of an expression, each once, at most [`SELECTORS_MAX`].
pub(super) fn selectors(query: &str) -> Vec<Selector<'_>> {
    let mut found: Vec<Selector<'_>> = Vec::new();
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        let start = rest;
        match c {
            '"' | '\'' | '`' => rest = after_string(rest),
            '#' => rest = rest.split_once('\n').map_or("", |(_, tail)| tail),
            // The range of a subquery.
            '[' => rest = rest.split_once(']').map_or("", |(_, tail)| tail),
            '{' => {
                rest = after_braces(rest);
                rest = note(&mut found, start, rest);
            }
            '0'..='9' | '.' => {
                rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
            }
            _ if is_name(c) => {
                rest = rest.trim_start_matches(|c: char| is_name(c) || c.is_ascii_digit());
                let name = part(start, rest).to_ascii_lowercase();
                let next = skip_blank(rest);
                let next_word = word(next).to_ascii_lowercase();
                if LABEL_LISTS.contains(&name.as_str()) && next.starts_with('(') {
                    rest = next.split_once(')').map_or("", |(_, tail)| tail);
                } else if LABEL_LISTS.contains(&name.as_str())
                    || WORDS.contains(&name.as_str())
                    || next.starts_with('(')
                    || matches!(next_word.as_str(), "by" | "without")
                {
                    // A keyword, a function, or an aggregation with its labels in front.
                } else {
                    if next.starts_with('{') {
                        rest = after_braces(next);
                    }
                    rest = note(&mut found, start, rest);
                }
            }
            _ => rest = rest.get(c.len_utf8()..).unwrap_or_default(),
        }
    }
    found
}

/// Adds what lies between two tails, with the range that follows it; gives what is behind the range.
fn note<'a>(found: &mut Vec<Selector<'a>>, start: &'a str, end: &'a str) -> &'a str {
    let text = part(start, end).trim_end();
    let mut rest = end;
    let mut range = None;
    if let Some(inner) = skip_blank(end).strip_prefix('[') {
        let (window, tail) = inner.split_once(']').unwrap_or((inner, ""));
        range = duration(window.split(':').next().unwrap_or_default().trim());
        rest = tail;
    }
    if let Some(known) = found.iter_mut().find(|known| known.text == text) {
        // The longest of its ranges is where a value may still come from.
        known.range = known.range.max(range);
    } else if found.len() < SELECTORS_MAX {
        found.push(Selector { text, range });
    }
    rest
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | ':')
}

fn word(text: &str) -> &str {
    part(text, text.trim_start_matches(|c: char| is_name(c) || c.is_ascii_digit()))
}

fn skip_blank(text: &str) -> &str {
    text.trim_start()
}

/// What lies between a text and its own tail.
fn part<'a>(text: &'a str, tail: &str) -> &'a str {
    text.get(..text.len().saturating_sub(tail.len())).unwrap_or_default()
}

fn after_string(text: &str) -> &str {
    let mut chars = text.char_indices();
    let Some((_, quote)) = chars.next() else { return "" };
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote != '`' {
            chars.next();
        } else if c == quote {
            return text.get(at + c.len_utf8()..).unwrap_or_default();
        }
    }
    ""
}

fn after_braces(text: &str) -> &str {
    let mut rest = text.get(1..).unwrap_or_default();
    while let Some(c) = rest.chars().next() {
        match c {
            '"' | '\'' | '`' => rest = after_string(rest),
            '}' => return rest.get(1..).unwrap_or_default(),
            _ => rest = rest.get(c.len_utf8()..).unwrap_or_default(),
        }
    }
    ""
}

/// A duration as PromQL has it: also weeks and years, unlike ours.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let tail = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let number: u32 = part(rest, tail).parse().ok()?;
        rest = tail.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match part(tail, rest) {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            "d" => Duration::from_secs(86_400),
            "w" => Duration::from_secs(7 * 86_400),
            "y" => Duration::from_secs(365 * 86_400),
            _ => return None,
        };
        total = total.checked_add(unit.checked_mul(number)?)?;
    }
    (total > Duration::ZERO).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str) -> Vec<(&str, u64)> {
        let of = |s: Selector<'_>| s.range.map_or(0, |range| range.as_secs());
        selectors(query).into_iter().map(|s| (s.text, of(s))).collect()
    }

    #[test]
    fn selectors_are_told_from_functions_keywords_and_labels() {
        let cases: &[(&str, &[(&str, u64)])] = &[
            ("up", &[("up", 0)]),
            ("sum(jobs_pending{service=\"web\"})", &[("jobs_pending{service=\"web\"}", 0)]),
            ("sum by (job, le) (rate(req_total[5m]))", &[("req_total", 300)]),
            (
                "sum(rate(req_total{a='}\\''} [1h30m] offset 5m)) by (by)",
                &[("req_total{a='}\\''}", 5400)],
            ),
            (
                "{__name__=~\"a|b\"} / on(x) group_left(y) c",
                &[("{__name__=~\"a|b\"}", 0), ("c", 0)],
            ),
            ("histogram_quantile(0.95, sum without(pod) (rate(b[1m])))", &[("b", 60)]),
            ("a:b:rate5m > bool 1e3 or vector(0) # not_this", &[("a:b:rate5m", 0)]),
            ("max_over_time(deriv(x[1m])[5m:10s]) + x", &[("x", 60)]),
            ("x[10m:1m] @ end() - 0x1f * NaN", &[("x", 600)]),
            ("label_replace(up, \"a\", \"$1\", \"b\", `c\\`)", &[("up", 0)]),
            ("1 + 5m", &[]),
            ("sum(x", &[("x", 0)]),
            ("x{a=\"", &[("x{a=\"", 0)]),
        ];
        for (query, expected) in cases {
            assert_eq!(found(query), *expected, "{query}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_to_its_end(query in "[a-z{}\\[\\]()\"'`\\\\:#ü5 ,=]{0,40}") {
            for selector in selectors(&query) {
                proptest::prop_assert!(query.contains(selector.text) && !selector.text.is_empty());
            }
        }
    }
}
