//! A CEL expression over the signals of a policy: one more vote.

use std::fmt;
use std::sync::Arc;

use cel::{Context, Program, Value};

/// Why a text is not an expression that can vote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExpressionError(pub String);

/// A compiled expression.
#[derive(Clone)]
pub struct Expression {
    source: String,
    program: Arc<Program>,
    /// Signals it names, as indices into the policy's.
    signals: Vec<usize>,
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

impl Expression {
    /// Compiles an expression over signals of these names, in the policy's order.
    ///
    /// # Errors
    /// [`ExpressionError`] when it is not CEL, names what does not exist, or does not give a number.
    pub fn parse(source: &str, names: &[&str]) -> Result<Self, ExpressionError> {
        let program =
            Program::compile(source).map_err(|error| ExpressionError(error.to_string()))?;
        let references = program.references();
        let mut signals = Vec::new();
        for name in references.variables() {
            match names.iter().position(|known| *known == name) {
                Some(index) => signals.push(index),
                None if ["count", "ready", "min", "max"].contains(&name) => {}
                None => return Err(ExpressionError(format!("there is no signal `{name}`"))),
            }
        }
        signals.sort_unstable();
        Ok(Self { source: source.to_owned(), program: Arc::new(program), signals })
    }

    /// The signals that it names, as indices into the policy's.
    #[must_use]
    pub fn signals(&self) -> &[usize] {
        &self.signals
    }

    /// As written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its value for these signals, each a name and a number.
    ///
    /// # Errors
    /// [`ExpressionError`] when it fails or gives no finite number.
    pub fn value<'a>(
        &self,
        signals: impl IntoIterator<Item = (&'a str, f64)>,
        variables: Variables,
    ) -> Result<f64, ExpressionError> {
        let mut context = Context::default();
        let failed = |error: &dyn fmt::Display| ExpressionError(error.to_string());
        for (name, value) in signals {
            context.add_variable_from_value(name.to_owned(), value);
        }
        let Variables { count, ready, min, max } = variables;
        for (name, value) in [("count", count), ("ready", ready), ("min", min), ("max", max)] {
            context.add_variable_from_value(name, f64::from(value));
        }
        match self.program.execute(&context).map_err(|error| failed(&error))? {
            Value::Float(value) if value.is_finite() => Ok(value),
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
            Value::Int(value) => Ok(value as f64),
            other => Err(ExpressionError(format!("the result is no number: {other:?}"))),
        }
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.signals == other.signals
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}
