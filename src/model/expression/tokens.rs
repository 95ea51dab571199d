//! The text of an expression as tokens, by CEL's lexical grammar.

use super::ExpressionError;

/// A token, and the character it begins at, from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Placed<'a> {
    pub(super) token: Token<'a>,
    pub(super) at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    Name(&'a str),
    /// A constant, and whether it is written as an integer.
    Number(f64, bool),
    Sign(&'static str),
    End,
}

/// Longer ones first: the first that fits is taken.
const SIGNS: [&str; 18] = [
    "<=", ">=", "==", "!=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "(", ")", ",", ".", "?",
];

/// Words that CEL keeps for itself, besides `true` and `false`.
const RESERVED: [&str; 19] = [
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// What an expression is made of, for those who try something else.
const MEANS: &str =
    "use names, numbers, `+ - * /`, comparisons, `&& || !`, `a ? b : c` and functions";

/// All tokens, with [`Token::End`] last.
pub(super) fn tokens(source: &str) -> Result<Vec<Placed<'_>>, ExpressionError> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut at = 1;
    while let Some(first) = rest.chars().next() {
        let token_at = at;
        let length = if first.is_ascii_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else {
            let (token, length) = token(rest, first, at)?;
            tokens.push(Placed { token, at: token_at });
            length
        };
        let (taken, left) = rest.split_at_checked(length).unwrap_or((rest, ""));
        at += taken.chars().count();
        rest = left;
    }
    tokens.push(Placed { token: Token::End, at });
    Ok(tokens)
}

/// The token that a text begins with, and its length in bytes.
fn token(rest: &str, first: char, at: usize) -> Result<(Token<'_>, usize), ExpressionError> {
    let second = rest.chars().nth(1);
    let is_fraction = first == '.' && second.is_some_and(|c| c.is_ascii_digit());
    if first.is_ascii_digit() || is_fraction {
        return number(rest, at);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let length = span(rest, |c| c.is_ascii_alphanumeric() || c == '_');
        let name = rest.get(..length).unwrap_or(rest);
        let is_text =
            matches!(rest.get(length..).and_then(|rest| rest.chars().next()), Some('"' | '\''));
        if RESERVED.contains(&name) {
            return Err(unreadable(
                at,
                format!("`{name}` is a word of CEL and has no meaning here"),
            ));
        }
        if !is_text {
            return Ok((Token::Name(name), length));
        }
    }
    if let Some(sign) = SIGNS.iter().chain(&[":"]).find(|sign| rest.starts_with(**sign)) {
        return Ok((Token::Sign(sign), sign.len()));
    }
    let what = match first {
        '\'' | '"' | '`' => "texts have".to_owned(),
        c if c.is_ascii_alphabetic() => "texts have".to_owned(),
        '[' | ']' | '{' | '}' => "lists and maps have".to_owned(),
        '%' => "the remainder of doubles has".to_owned(),
        c => format!("`{}` has", c.escape_debug()),
    };
    Err(unreadable(at, format!("{what} no meaning here: {MEANS}")))
}

fn number(rest: &str, at: usize) -> Result<(Token<'_>, usize), ExpressionError> {
    let digits =
        |from: usize| rest.get(from..).map_or(0, |rest| span(rest, |c| c.is_ascii_digit()));
    let is = |from: usize, of: [char; 2]| rest.get(from..).is_some_and(|rest| rest.starts_with(of));
    let (mut length, mut is_whole) = (digits(0), true);
    let value = if length == 1 && is(0, ['0', '0']) && is(1, ['x', 'X']) {
        let hex = rest.get(2..).map_or(0, |rest| span(rest, |c| c.is_ascii_hexdigit()));
        length += 1 + hex;
        let text = rest.get(2..length).unwrap_or_default();
        u64::from_str_radix(text, 16).ok().map(|value| value.to_string())
    } else {
        if is(length, ['.', '.']) && digits(length + 1) > 0 {
            length += 1 + digits(length + 1);
            is_whole = false;
        }
        if is(length, ['e', 'E']) {
            let sign = usize::from(is(length + 1, ['+', '-']));
            if digits(length + 1 + sign) > 0 {
                length += 1 + sign + digits(length + 1 + sign);
                is_whole = false;
            }
        }
        rest.get(..length).map(str::to_owned)
    };
    if is_whole && is(length, ['u', 'U']) {
        length += 1;
    }
    let follows = rest.get(length..).and_then(|rest| rest.chars().next());
    if follows.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(unreadable(at, "this is not a number".to_owned()));
    }
    let value = value.filter(|text| !is_whole || text.parse::<u64>().is_ok());
    match value.and_then(|text| text.parse::<f64>().ok()).filter(|value| value.is_finite()) {
        Some(value) => Ok((Token::Number(value, is_whole), length)),
        None => Err(unreadable(at, "this number is too large".to_owned())),
    }
}

/// Bytes at the start of a text that belong together.
fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

pub(super) fn unreadable(at: usize, why: String) -> ExpressionError {
    ExpressionError::Unreadable { at, why }
}
