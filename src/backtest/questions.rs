//! What must be asked of a metric source before policies can be replayed on its past values.

use std::collections::BTreeMap;

use crate::model::{Policy, SignalName, SourceName};

/// Two policies mean different things by one name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "signal `{signal}` asks `{one}` in one policy and `{other}` in the other; to compare them, give recordings \
     of both under names of their own"
)]
pub struct QuestionError {
    /// The name.
    pub signal: SignalName,
    /// What one asks.
    pub one: String,
    /// What the other asks.
    pub other: String,
}

/// The question behind each signal that these policies read from this source: its query, else its metric.
///
/// # Errors
/// [`QuestionError`] when one name stands for two questions.
pub fn questions<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    source: &SourceName,
) -> Result<BTreeMap<SignalName, String>, QuestionError> {
    let mut questions: BTreeMap<SignalName, String> = BTreeMap::new();
    let signals = policies.into_iter().flat_map(|policy| &policy.signals);
    for signal in signals.filter(|signal| signal.source == *source) {
        let asked = signal.question().to_owned();
        match questions.get(&signal.name) {
            Some(one) if *one != asked => {
                let (signal, one) = (signal.name.clone(), one.clone());
                return Err(QuestionError { signal, one, other: asked });
            }
            Some(_) => {}
            None => {
                questions.insert(signal.name.clone(), asked);
            }
        }
    }
    Ok(questions)
}
