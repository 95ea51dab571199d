//! Keys of mappings: shared, not doubled, and merged (`<<`).

use std::collections::HashSet;

use super::build::{Step, fatal};
use super::{Entry, Fault, Key, Kind, Node};
use crate::spec::codes;
use crate::spec::findings::FINDINGS_MAX;

/// Mappings up to this size are searched for duplicate keys one by one, which is faster than hashing.
const LINEAR_KEYS_MAX: usize = 16;

/// One text for all equal keys: a spec has a few dozen keys, each thousands of times.
pub(super) fn intern(keys: &mut HashSet<Key>, text: Box<str>) -> Key {
    if let Some(key) = keys.get(&*text) {
        return Key::clone(key);
    }
    let key = Key::from(text);
    keys.insert(Key::clone(&key));
    key
}

/// Reports every key that stands in a mapping already.
pub(super) fn report_duplicates(entries: &[Entry], faults: &mut Vec<Fault>) {
    let mut seen = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        if faults.len() > FINDINGS_MAX {
            return;
        }
        let duplicate = if entries.len() <= LINEAR_KEYS_MAX {
            entries.iter().take(index).any(|before| before.key == entry.key)
        } else {
            !seen.insert(entry.key.as_ref())
        };
        if duplicate {
            faults.push(Fault {
                code: codes::DUPLICATE_KEY,
                span: entry.key_span,
                message: format!("the key `{}` stands twice in this mapping", entry.key),
                help: Some("keep one of the two".to_owned()),
            });
        }
    }
}

/// Merge keys (`<<: *defaults`): what is written out wins, then the first that is merged.
pub(super) fn merge(entries: &mut Vec<Entry>, merges: Vec<Node>) -> Step {
    if merges.is_empty() {
        return Ok(());
    }
    let mut sources = Vec::new();
    for node in merges {
        match node.kind {
            Kind::List(items) => sources.extend(items),
            _ => sources.push(node),
        }
    }
    let mut known: HashSet<Key> = entries.iter().map(|entry| entry.key.clone()).collect();
    for source in sources {
        let Kind::Map(merged) = source.kind else {
            let message = "`<<` takes a mapping, or a list of mappings".to_owned();
            return Err(fatal(codes::BAD_YAML, source.span, message, None));
        };
        entries.extend(merged.into_iter().filter(|entry| known.insert(entry.key.clone())));
    }
    Ok(())
}
