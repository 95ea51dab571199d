//! "Did you mean".

/// Options that a help line lists; more would hide the message.
const LISTED_MAX: usize = 24;

/// Options that are compared with what was written: with more the answer takes longer than it is worth.
pub(crate) const COMPARED_MAX: usize = 500;

/// A help line: the option that was probably meant, and all of them.
pub(crate) fn help_of(written: &str, options: &[&str], intro: &str) -> Option<String> {
    let listed = list_of(options, intro);
    match (nearest(written, options), listed) {
        (Some(nearest), Some(listed)) => Some(format!("did you mean `{nearest}`? {listed}")),
        (Some(nearest), None) => Some(format!("did you mean `{nearest}`?")),
        (None, listed) => listed,
    }
}

/// A help line that lists the options.
pub(crate) fn list_of(options: &[&str], intro: &str) -> Option<String> {
    if options.is_empty() || options.len() > LISTED_MAX {
        return None;
    }
    let quoted: Vec<String> = options.iter().map(|option| format!("`{option}`")).collect();
    Some(format!("{intro} {}", quoted.join(", ")))
}

/// The option that differs by a slip of the pen, a different case, or underscores and dashes.
pub(crate) fn nearest<'a>(written: &str, options: &[&'a str]) -> Option<&'a str> {
    if options.len() > COMPARED_MAX {
        return None;
    }
    let folded = fold(written);
    // One slip per three characters, at least one: `max` and `mix` are near, `min` and `max` are not.
    let slips_max = (folded.chars().count() / 3).max(1);
    options
        .iter()
        .map(|option| (strsim::damerau_levenshtein(&folded, &fold(option)), *option))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, option)| option)
}

/// Characters that are compared: an absurdly long word is no slip of the pen.
const COMPARED_CHARS_MAX: usize = 64;

fn fold(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .take(COMPARED_CHARS_MAX)
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised_and_another_word_is_not() {
        let keys = ["min", "desired", "max", "displayName", "cooldown"];
        assert_eq!(nearest("display_name", &keys), Some("displayName"));
        assert_eq!(nearest("desird", &keys), Some("desired"));
        assert_eq!(nearest("MAX", &keys), Some("max"));
        assert_eq!(nearest("replicas", &keys), None);
        assert_eq!(nearest("max", &["max"; COMPARED_MAX + 1]), None);
    }
}
