//! From the text of an expression to its tree: CEL's grammar, names and types in one descent.
//!
//! Whatever a spec says comes through here, so nothing may be slow, deep or able to panic. The descent goes
//! deeper only at a parenthesis and at a choice, and both are counted.

use super::tokens::{Placed, Token, tokens, unreadable};
use super::{
    Arithmetic, Comparison, EXPRESSION_CHARS_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_FUNCTIONS,
    ExpressionError, Number, Rounding, Truth,
};

/// The tree, and the signals it names: indices without repetition, to which the tree refers by place.
pub(super) fn parse(source: &str, names: &[&str]) -> Result<(Number, Vec<usize>), ExpressionError> {
    if source.chars().count() > EXPRESSION_CHARS_MAX {
        return Err(ExpressionError::TooLong);
    }
    let tokens = tokens(source)?;
    let mut parser =
        Parser { source, names, signals: Vec::new(), tokens: &tokens, next: 0, depth: 0 };
    let root = parser.choice()?;
    let end = parser.peek();
    if end.token != Token::End {
        return Err(unreadable(end.at, format!("{} is one too many", shown(end.token))));
    }
    Ok((number(root)?.0, parser.signals))
}

/// What a part of an expression gives.
enum Given {
    /// A number, and whether it is made of whole constants alone: only there would CEL compute with integers.
    Number(Number, bool),
    Truth(Truth),
}

/// What a part gives, and where it begins.
struct Part {
    given: Given,
    at: usize,
}

struct Parser<'a> {
    source: &'a str,
    names: &'a [&'a str],
    signals: Vec<usize>,
    tokens: &'a [Placed<'a>],
    next: usize,
    depth: usize,
}

type Parsed = Result<Part, ExpressionError>;

impl<'a> Parser<'a> {
    fn peek(&self) -> Placed<'a> {
        let end = Placed { token: Token::End, at: self.source.chars().count() + 1 };
        self.tokens.get(self.next).copied().unwrap_or(end)
    }

    fn take(&mut self) -> Placed<'a> {
        let placed = self.peek();
        self.next += 1;
        placed
    }

    /// Takes one of some signs, if it is next.
    fn accept(&mut self, signs: &[&'static str]) -> Option<(&'static str, usize)> {
        match self.peek() {
            Placed { token: Token::Sign(sign), at } if signs.contains(&sign) => {
                self.next += 1;
                Some((sign, at))
            }
            _ => None,
        }
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), ExpressionError> {
        let found = self.peek();
        match self.accept(&[sign]) {
            Some(_) => Ok(()),
            None => Err(unreadable(
                found.at,
                format!("`{sign}` is missing here, before {}", shown(found.token)),
            )),
        }
    }

    /// One level deeper.
    fn inside(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth == EXPRESSION_DEPTH_MAX {
            return Err(ExpressionError::TooDeep);
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn choice(&mut self) -> Parsed {
        let condition = self.either()?;
        if self.accept(&["?"]).is_none() {
            return Ok(condition);
        }
        let at = condition.at;
        let condition = truth(condition)?;
        let then = self.inside(Self::either)?;
        self.expect(":")?;
        let otherwise = self.inside(Self::choice)?;
        let given = match then.given {
            Given::Number(then, _) => Given::Number(
                Number::Choice(Box::new((condition, then, number(otherwise)?.0))),
                false,
            ),
            Given::Truth(then) => {
                Given::Truth(Truth::Choice(Box::new([condition, then, truth(otherwise)?])))
            }
        };
        Ok(Part { given, at })
    }

    fn either(&mut self) -> Parsed {
        let mut left = self.both()?;
        while self.accept(&["||"]).is_some() {
            let at = left.at;
            let operands = Box::new([truth(left)?, truth(self.both()?)?]);
            left = Part { given: Given::Truth(Truth::Or(operands)), at };
        }
        Ok(left)
    }

    fn both(&mut self) -> Parsed {
        let mut left = self.relation()?;
        while self.accept(&["&&"]).is_some() {
            let at = left.at;
            let operands = Box::new([truth(left)?, truth(self.relation()?)?]);
            left = Part { given: Given::Truth(Truth::And(operands)), at };
        }
        Ok(left)
    }

    fn relation(&mut self) -> Parsed {
        let mut left = self.sum()?;
        while let Some((sign, _)) = self.accept(&["<", "<=", ">", ">=", "==", "!="]) {
            let comparison = match sign {
                "<" => Comparison::Less,
                "<=" => Comparison::LessOrEqual,
                ">" => Comparison::Greater,
                ">=" => Comparison::GreaterOrEqual,
                "==" => Comparison::Equal,
                _ => Comparison::NotEqual,
            };
            let at = left.at;
            let operands = Box::new([number(left)?.0, number(self.sum()?)?.0]);
            left = Part { given: Given::Truth(Truth::Compared(comparison, operands)), at };
        }
        Ok(left)
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        while let Some((sign, at)) = self.accept(&["+", "-"]) {
            let operator = if sign == "+" { Arithmetic::Add } else { Arithmetic::Subtract };
            let right = self.product()?;
            left = arithmetic(operator, at, left, right)?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.signed()?;
        while let Some((sign, at)) = self.accept(&["*", "/"]) {
            let operator = if sign == "*" { Arithmetic::Multiply } else { Arithmetic::Divide };
            let right = self.signed()?;
            left = arithmetic(operator, at, left, right)?;
        }
        Ok(left)
    }

    /// Any number of `-`, or any number of `!`; two of them cancel out.
    fn signed(&mut self) -> Parsed {
        let Some((sign, at)) = self.accept(&["-", "!"]) else { return self.member() };
        let mut is_odd = true;
        while self.accept(&[sign]).is_some() {
            is_odd = !is_odd;
        }
        let inner = self.member()?;
        let given = match sign {
            "-" => {
                let (inner, is_whole) = number(inner)?;
                let negative = if is_odd { Number::Negative(Box::new(inner)) } else { inner };
                Given::Number(negative, is_whole)
            }
            _ => {
                let inner = truth(inner)?;
                Given::Truth(if is_odd { Truth::Not(Box::new(inner)) } else { inner })
            }
        };
        Ok(Part { given, at })
    }

    fn member(&mut self) -> Parsed {
        let part = self.primary()?;
        if let Some((_, at)) = self.accept(&["."]) {
            return Err(unreadable(at, "a number has no fields and no methods".to_owned()));
        }
        Ok(part)
    }

    fn primary(&mut self) -> Parsed {
        let Placed { token, at } = self.take();
        let given = match token {
            Token::Number(value, is_whole) => Given::Number(Number::Constant(value), is_whole),
            Token::Name("true") => Given::Truth(Truth::Constant(true)),
            Token::Name("false") => Given::Truth(Truth::Constant(false)),
            Token::Name("math") if self.accept(&["."]).is_some() => {
                let Token::Name(name) = self.take().token else {
                    return Err(unreadable(at, "the name of a function is missing".to_owned()));
                };
                self.expect("(")?;
                Given::Number(self.function(name, true, at)?, false)
            }
            Token::Name(name) if self.accept(&["("]).is_some() => {
                Given::Number(self.function(name, false, at)?, false)
            }
            Token::Name(name) => Given::Number(self.name(name, at)?, false),
            Token::Sign("(") => {
                let inner = self.inside(Self::choice)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Sign(_) | Token::End => {
                let why = format!("a name or a number is missing here, before {}", shown(token));
                return Err(unreadable(at, why));
            }
        };
        Ok(Part { given, at })
    }

    /// A call, of which the opening parenthesis is taken.
    fn function(
        &mut self,
        name: &str,
        is_math: bool,
        at: usize,
    ) -> Result<Number, ExpressionError> {
        let mut arguments = Vec::new();
        if self.accept(&[")"]).is_none() {
            loop {
                arguments.push(number(self.inside(Self::choice)?)?.0);
                if self.accept(&[","]).is_none() {
                    break;
                }
            }
            self.expect(")")?;
        }
        let count = arguments.len();
        let one = |arguments: Vec<Number>| match <[Number; 1]>::try_from(arguments) {
            Ok([argument]) => Ok(Box::new(argument)),
            Err(_) => {
                Err(unreadable(at, format!("`{name}` takes one number, and here are {count}")))
            }
        };
        let rounded = |rounding, arguments| Ok(Number::Rounded(rounding, one(arguments)?));
        match (name, is_math) {
            ("ceil", _) => rounded(Rounding::Ceil, arguments),
            ("floor", _) => rounded(Rounding::Floor, arguments),
            ("round", _) => rounded(Rounding::Round, arguments),
            ("abs", _) => rounded(Rounding::Abs, arguments),
            ("int", false) | ("trunc", true) => rounded(Rounding::Truncate, arguments),
            // Everything is a double already; the conversion is what CEL elsewhere asks for.
            ("double", false) => one(arguments).map(|argument| *argument),
            ("min" | "max", false) | ("least" | "greatest", true) if count == 0 => {
                Err(unreadable(at, format!("`{name}` takes at least one number")))
            }
            ("min", false) | ("least", true) => Ok(Number::Least(arguments)),
            ("max", false) | ("greatest", true) => Ok(Number::Greatest(arguments)),
            _ => {
                let known: Vec<String> =
                    EXPRESSION_FUNCTIONS.iter().map(|name| format!("`{name}`")).collect();
                let known = known.join(", ");
                let why = format!("there is no function `{name}`; the functions are {known}");
                Err(unreadable(at, why))
            }
        }
    }

    fn name(&mut self, name: &str, at: usize) -> Result<Number, ExpressionError> {
        let signal = self.names.iter().position(|known| *known == name);
        let variable = match name {
            "count" => Some(Number::Count),
            "ready" => Some(Number::Ready),
            "min" => Some(Number::Min),
            "max" => Some(Number::Max),
            _ => None,
        };
        match (signal, variable) {
            (Some(_), Some(_)) => {
                let why =
                    format!("`{name}` is a signal and a number of replicas: rename the signal");
                Err(unreadable(at, why))
            }
            (Some(signal), None) => {
                let slot = self.signals.iter().position(|known| *known == signal);
                Ok(Number::Signal(slot.unwrap_or_else(|| {
                    self.signals.push(signal);
                    self.signals.len() - 1
                })))
            }
            (None, Some(variable)) => Ok(variable),
            (None, None) => Err(self.unknown(name, at)),
        }
    }

    fn unknown(&self, name: &str, at: usize) -> ExpressionError {
        let rest: String = self.source.chars().skip(at - 1).collect();
        let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        match self.names.iter().find(|known| !is_name(known) && rest.starts_with(**known)) {
            Some(signal) => unreadable(
                at,
                format!(
                    "CEL cannot name the signal `{signal}`: rename it, with letters, digits and `_` \
                     alone"
                ),
            ),
            None => ExpressionError::UnknownName { at, name: name.to_owned() },
        }
    }
}

fn number(part: Part) -> Result<(Number, bool), ExpressionError> {
    match part.given {
        Given::Number(number, is_whole) => Ok((number, is_whole)),
        Given::Truth(_) => {
            let why = "this is true or false, and a number is wanted: write `a > b ? 2 : 1`";
            Err(unreadable(part.at, why.to_owned()))
        }
    }
}

fn truth(part: Part) -> Result<Truth, ExpressionError> {
    match part.given {
        Given::Truth(truth) => Ok(truth),
        Given::Number(..) => {
            let why = "this is a number, and a comparison is wanted, as in `backlog > 100`";
            Err(unreadable(part.at, why.to_owned()))
        }
    }
}

fn arithmetic(operator: Arithmetic, sign_at: usize, left: Part, right: Part) -> Parsed {
    let (at, divisor_at) = (left.at, right.at);
    let ((left, left_whole), (right, right_whole)) = (number(left)?, number(right)?);
    let is_whole = left_whole && right_whole;
    if matches!(operator, Arithmetic::Divide) {
        if matches!(right, Number::Constant(0.0)) {
            return Err(unreadable(divisor_at, "this divides by zero".to_owned()));
        }
        if is_whole {
            let why = "CEL divides whole numbers without a remainder: write one with a point, as in \
                       `7.0 / 2`";
            return Err(unreadable(sign_at, why.to_owned()));
        }
    }
    let number = Number::Arithmetic(operator, Box::new([left, right]));
    Ok(Part { given: Given::Number(number, is_whole), at })
}

fn shown(token: Token<'_>) -> String {
    match token {
        Token::Name(name) => format!("`{name}`"),
        Token::Number(value, _) => format!("`{value}`"),
        Token::Sign(sign) => format!("`{sign}`"),
        Token::End => "the end".to_owned(),
    }
}
