//! Text to a tree of values that know where they stand, for the spec and the controller's configuration.
//!
//! Does no I/O, follows no reference, and refuses what could make a small file large. One syntax error ends
//! the reading of a file, because what follows it has no certain meaning; every other fault is collected.

mod build;
mod keys;
mod scalar;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;

use serde_json::{Map, Number, Value};

use crate::model::Code;

pub use build::{DEPTH_MAX, NODES_MAX, parse};

/// A range of bytes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// First byte, from 0.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A value and where it stands. A value that an alias brought in stands where its anchor is.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A finite number.
    Number(Number),
    /// A text.
    Text(Box<str>),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// A key of a mapping.
pub type Key = Arc<str>;

/// One entry of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key; equal keys of a file share their text.
    pub key: Key,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// Something wrong with the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Stable code.
    pub code: Code,
    /// Where.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// What could be read of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The document; absent when the text is empty or cannot be read.
    pub root: Option<Node>,
    /// What is wrong with the text.
    pub faults: Vec<Fault>,
}

/// What a JSON pointer leads to.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The value.
    pub node: &'a Node,
    /// Where its key stands, if it is in a mapping.
    pub key_span: Option<Span>,
}

impl Node {
    /// The value without its place.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.to_string()),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|e| (e.key.to_string(), e.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// The entry of a mapping with this key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key.as_ref() == key),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::List(_) => None,
        }
    }

    /// The item of a list at this index.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<&Self> {
        match &self.kind {
            Kind::List(items) => items.get(index),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Map(_) => None,
        }
    }

    /// What a JSON pointer (RFC 6901) leads to; where it leads nowhere, the deepest value on its way.
    #[must_use]
    pub fn find(&self, pointer: &str) -> Found<'_> {
        let mut found = Found { node: self, key_span: None };
        for segment in pointer.split('/').skip(1) {
            let key = segment.replace("~1", "/").replace("~0", "~");
            let next = match &found.node.kind {
                Kind::Map(_) => found
                    .node
                    .entry(&key)
                    .map(|entry| Found { node: &entry.value, key_span: Some(entry.key_span) }),
                Kind::List(_) => key
                    .parse()
                    .ok()
                    .and_then(|index| found.node.item(index))
                    .map(|node| Found { node, key_span: None }),
                Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => None,
            };
            match next {
                Some(next) => found = next,
                None => break,
            }
        }
        found
    }
}

/// The codes of faults after which the rest of a file has no certain meaning.
pub(crate) fn codes_of_syntax() -> [Code; 6] {
    use crate::spec::codes;
    [
        codes::BAD_ENCODING,
        codes::BAD_YAML,
        codes::TOO_LARGE,
        codes::TOO_DEEP,
        codes::MULTIPLE_DOCUMENTS,
        codes::BAD_KEY,
    ]
}
