//! A CEL expression over the signals of a policy: one more vote.
//!
//! The part of CEL that has to do with numbers, typed and bound to the policy's signals once, when the spec is
//! read: what is accepted means what it means in CEL, with all numbers as doubles. Deciding then evaluates a
//! tree of numbers: there is no string, list, loop or clock in it, so its cost is bounded by the length of its
//! text, and nothing of it can fail but for its numbers.

use std::fmt;
use std::sync::Arc;

mod parse;
#[cfg(test)]
mod tests;
mod tokens;

/// Characters of an expression: what is longer is a program, and no reviewer reads it right.
pub const EXPRESSION_CHARS_MAX: usize = 1_000;

/// Parentheses, calls and choices (`? :`) inside each other: bounds the depth of every recursion, and is more
/// than a reviewer follows.
pub const EXPRESSION_DEPTH_MAX: usize = 16;

/// Names that an expression may use beside the signals: replicas now, ready ones, and the bounds.
pub const EXPRESSION_VARIABLES: [&str; 4] = ["count", "ready", "min", "max"];

/// Functions that an expression may use, as CEL's math library defines them, except that each takes and gives
/// doubles.
pub const EXPRESSION_FUNCTIONS: [&str; 6] = ["ceil", "floor", "round", "abs", "min", "max"];

/// Why a text is not an expression that can vote, or why it does not vote now.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExpressionError {
    /// It is longer than [`EXPRESSION_CHARS_MAX`].
    #[error("it is longer than {EXPRESSION_CHARS_MAX} characters")]
    TooLong,
    /// It has more than [`EXPRESSION_DEPTH_MAX`] of what nests.
    #[error("it has more than {EXPRESSION_DEPTH_MAX} parentheses or choices inside each other")]
    TooDeep,
    /// It is not CEL, or uses a part of CEL that has no meaning here.
    #[error("at character {at}: {why}")]
    Unreadable {
        /// From 1.
        at: usize,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// It names what is no signal and no variable.
    #[error("at character {at}: there is no signal `{name}`")]
    UnknownName {
        /// From 1.
        at: usize,
        /// The name.
        name: String,
    },
    /// A signal without a value stands where the value is needed.
    #[error("the signal `{0}` has no value")]
    NoValue(String),
    /// The result is infinite or not a number, as after a division by zero.
    #[error("the result is {0}, which is no number of replicas")]
    NotFinite(f64),
}

/// A compiled expression: whatever its signals are, it gives a number or an [`ExpressionError`].
/// Cheap to clone.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    source: String,
    root: Number,
    /// Signals it names, in the order of the text: as indices into the policy's, and by name.
    signals: Vec<usize>,
    names: Vec<String>,
}

/// The variables that are not signals, in replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variables {
    /// Replicas now.
    pub count: u32,
    /// Replicas that are ready.
    pub ready: u32,
    /// The least.
    pub min: u32,
    /// The most.
    pub max: u32,
}

/// What gives a number.
#[derive(Debug)]
enum Number {
    Constant(f64),
    /// A place in the list of signals that the expression names.
    Signal(usize),
    Count,
    Ready,
    Min,
    Max,
    Negative(Box<Self>),
    Arithmetic(Arithmetic, Box<[Self; 2]>),
    Rounded(Rounding, Box<Self>),
    Least(Vec<Self>),
    Greatest(Vec<Self>),
    Choice(Box<(Truth, Self, Self)>),
}

#[derive(Debug, Clone, Copy)]
enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

#[derive(Debug, Clone, Copy)]
enum Rounding {
    Ceil,
    Floor,
    /// Half away from zero, as CEL's `math.round`.
    Round,
    Abs,
    /// Towards zero, as CEL's conversion to `int`.
    Truncate,
}

/// What is true or false.
#[derive(Debug)]
enum Truth {
    Constant(bool),
    Compared(Comparison, Box<[Number; 2]>),
    Not(Box<Self>),
    And(Box<[Self; 2]>),
    Or(Box<[Self; 2]>),
    Choice(Box<[Self; 3]>),
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

impl Expression {
    /// Compiles an expression over signals of these names, in the policy's order.
    ///
    /// # Errors
    /// [`ExpressionError`] when it is not CEL, names what does not exist, or does not give a number.
    pub fn parse(source: &str, names: &[&str]) -> Result<Self, ExpressionError> {
        let (root, signals) = parse::parse(source, names)?;
        let named = signals.iter().filter_map(|index| names.get(*index));
        Ok(Self(Arc::new(Compiled {
            source: source.to_owned(),
            root,
            names: named.map(|name| (*name).to_owned()).collect(),
            signals,
        })))
    }

    /// The signals that it names, as indices into the policy's, each once.
    #[must_use]
    pub fn signals(&self) -> &[usize] {
        &self.0.signals
    }

    /// As written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Its value for these signals, each a name and a number. Signals that it does not name are passed over.
    ///
    /// # Errors
    /// [`ExpressionError`] when a number that it needs is missing, or when it gives no finite number.
    pub fn value<'a>(
        &self,
        signals: impl IntoIterator<Item = (&'a str, f64)>,
        variables: Variables,
    ) -> Result<f64, ExpressionError> {
        let mut values = vec![None; self.0.names.len()];
        for (name, value) in signals {
            for (slot, _) in values.iter_mut().zip(&self.0.names).filter(|(_, own)| *own == name) {
                *slot = Some(value);
            }
        }
        self.run(|slot| values.get(slot).copied().flatten(), variables)
    }

    /// Its value, with signals looked up by their index in the policy. Allocates nothing.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn value_at(
        &self,
        signal: impl Fn(usize) -> Option<f64>,
        variables: Variables,
    ) -> Result<f64, ExpressionError> {
        self.run(|slot| self.0.signals.get(slot).and_then(|index| signal(*index)), variables)
    }

    fn run(
        &self,
        slot: impl Fn(usize) -> Option<f64>,
        variables: Variables,
    ) -> Result<f64, ExpressionError> {
        let scope = Scope { slot: &slot, variables };
        let value = self.0.root.value(&scope).map_err(|slot| {
            ExpressionError::NoValue(self.0.names.get(slot).cloned().unwrap_or_default())
        })?;
        if value.is_finite() { Ok(value) } else { Err(ExpressionError::NotFinite(value)) }
    }
}

struct Scope<'a> {
    slot: &'a dyn Fn(usize) -> Option<f64>,
    variables: Variables,
}

impl Number {
    /// The value, or the first signal that has none. What is not chosen is not needed.
    fn value(&self, scope: &Scope<'_>) -> Result<f64, usize> {
        let Variables { count, ready, min, max } = scope.variables;
        Ok(match self {
            Self::Constant(value) => *value,
            Self::Signal(slot) => (scope.slot)(*slot).ok_or(*slot)?,
            Self::Count => f64::from(count),
            Self::Ready => f64::from(ready),
            Self::Min => f64::from(min),
            Self::Max => f64::from(max),
            Self::Negative(inner) => -inner.value(scope)?,
            Self::Arithmetic(operator, operands) => {
                let [left, right] = operands.as_ref();
                let (left, right) = (left.value(scope)?, right.value(scope)?);
                match operator {
                    Arithmetic::Add => left + right,
                    Arithmetic::Subtract => left - right,
                    Arithmetic::Multiply => left * right,
                    Arithmetic::Divide => left / right,
                }
            }
            Self::Rounded(rounding, inner) => {
                let value = inner.value(scope)?;
                match rounding {
                    Rounding::Ceil => value.ceil(),
                    Rounding::Floor => value.floor(),
                    Rounding::Round => value.round(),
                    Rounding::Abs => value.abs(),
                    Rounding::Truncate => value.trunc(),
                }
            }
            Self::Least(of) => chosen(of, scope, |new, best| new < best)?,
            Self::Greatest(of) => chosen(of, scope, |new, best| new > best)?,
            Self::Choice(choice) => {
                let (condition, then, otherwise) = choice.as_ref();
                if condition.value(scope)? { then.value(scope)? } else { otherwise.value(scope)? }
            }
        })
    }
}

/// The best of some numbers. One that is not a number spoils the result: it must not be passed over.
fn chosen(
    of: &[Number],
    scope: &Scope<'_>,
    is_better: impl Fn(f64, f64) -> bool,
) -> Result<f64, usize> {
    let mut best = None;
    for number in of {
        let value = number.value(scope)?;
        let takes = best.is_none_or(|best: f64| !best.is_nan() && is_better(value, best));
        if takes || value.is_nan() {
            best = Some(value);
        }
    }
    // Without any argument, which is refused when the expression is read, there is no number.
    Ok(best.unwrap_or(f64::NAN))
}

impl Truth {
    fn value(&self, scope: &Scope<'_>) -> Result<bool, usize> {
        Ok(match self {
            Self::Constant(value) => *value,
            #[expect(
                clippy::float_cmp,
                reason = "what the author wrote, `==` on doubles, as CEL defines it"
            )]
            Self::Compared(comparison, operands) => {
                let [left, right] = operands.as_ref();
                let (left, right) = (left.value(scope)?, right.value(scope)?);
                match comparison {
                    Comparison::Less => left < right,
                    Comparison::LessOrEqual => left <= right,
                    Comparison::Greater => left > right,
                    Comparison::GreaterOrEqual => left >= right,
                    Comparison::Equal => left == right,
                    Comparison::NotEqual => left != right,
                }
            }
            Self::Not(inner) => !inner.value(scope)?,
            Self::And(operands) => {
                let [left, right] = operands.as_ref();
                left.value(scope)? && right.value(scope)?
            }
            Self::Or(operands) => {
                let [left, right] = operands.as_ref();
                left.value(scope)? || right.value(scope)?
            }
            Self::Choice(choice) => {
                let [condition, then, otherwise] = choice.as_ref();
                if condition.value(scope)? { then.value(scope)? } else { otherwise.value(scope)? }
            }
        })
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source && self.0.signals == other.0.signals
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.0.source).finish()
    }
}
