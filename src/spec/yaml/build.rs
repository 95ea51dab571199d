//! Parser events to a tree, within limits.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::keys;
use super::text::{Offsets, decode};
use super::{Entry, Fault, Key, Kind, Node, Parsed, Span, scalar};
use crate::model::FILE_BYTES_MAX;
use crate::spec::codes;
use crate::spec::findings::FINDINGS_MAX;
use crate::spec::wording::SHOWN_CHARS_MAX;

/// Lists and mappings inside each other: the deepest place of a spec, a nested condition, needs a dozen.
pub const DEPTH_MAX: usize = 64;
/// Values of one file, with every copy that an alias makes: twice what 10,000 services need, and a bound on
/// memory whatever a file tries. A long text counts as several values.
pub const NODES_MAX: usize = 1_000_000;
/// Bytes of text that weigh as much as one more value: about what a value takes in memory.
const TEXT_BYTES_PER_NODE: usize = 64;

/// Reads one file.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    if bytes.len() > FILE_BYTES_MAX {
        let fault = Fault {
            code: codes::TOO_LARGE,
            span: Span { start: 0, end: 0 },
            message: format!(
                "the file has {} bytes; at most {FILE_BYTES_MAX} are read",
                bytes.len()
            ),
            help: Some("split it into files under `services/` and `policies/`".to_owned()),
        };
        return Parsed { root: None, faults: vec![fault] };
    }
    let (text, skipped) = match decode(bytes) {
        Ok(decoded) => decoded,
        Err(fault) => return Parsed { root: None, faults: vec![fault] },
    };
    let mut builder = Builder {
        text,
        offsets: Offsets::new(text, skipped),
        skipped,
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        keys: HashSet::new(),
        documents: 0,
        nodes: 0,
        faults: Vec::new(),
    };
    match builder.run() {
        Ok(()) => Parsed { root: builder.root, faults: builder.faults },
        Err(fault) => {
            builder.faults.push(*fault);
            Parsed { root: None, faults: builder.faults }
        }
    }
}

/// A list or mapping whose end has not come yet.
#[derive(Debug)]
struct Open {
    anchor: usize,
    start: usize,
    items: Items,
}

/// A key whose value has not come yet.
#[derive(Debug)]
enum PendingKey {
    /// An unquoted `<<`.
    Merge,
    Key(Key, Span),
}

#[derive(Debug)]
enum Items {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<PendingKey>, merges: Vec<Node> },
}

/// An anchored value and how many nodes it has.
type Anchored = (Node, usize);

#[derive(Debug)]
struct Builder<'a> {
    text: &'a str,
    offsets: Offsets<'a>,
    skipped: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Node>,
    keys: HashSet<Key>,
    documents: usize,
    nodes: usize,
    faults: Vec<Fault>,
}

pub(super) type Step = Result<(), Box<Fault>>;

impl Builder<'_> {
    fn run(&mut self) -> Step {
        let mut parser = Parser::new_from_str(self.text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let start = self.offsets.byte(error.marker().index());
                if error.info().contains(SCANNER_DEPTH) {
                    return too_deep(Span { start, end: start });
                }
                fatal(
                    codes::BAD_YAML,
                    Span { start, end: start },
                    format!("this is not YAML: {}", error.info()),
                    Some(syntax_help(error.info())),
                )
            })?;
            let span = Span {
                start: self.offsets.byte(span.start.index()),
                end: self.offsets.byte(span.end.index()),
            };
            self.event(event, span)?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Step {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.document(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                let span = self.trim(span);
                self.count(1 + weight(&text), span)?;
                let kind = self.scalar(&text, style, tag.as_deref(), span);
                let plain = style == ScalarStyle::Plain;
                self.place(Node { kind, span }, anchor, plain)
            }
            Event::SequenceStart(anchor, tag) => {
                self.tag(tag.as_deref(), "seq", span);
                self.begin(Open { anchor, start: span.start, items: Items::List(Vec::new()) }, span)
            }
            Event::MappingStart(anchor, tag) => {
                self.tag(tag.as_deref(), "map", span);
                let items = Items::Map { entries: Vec::new(), key: None, merges: Vec::new() };
                self.begin(Open { anchor, start: span.start, items }, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
        }
    }

    fn document(&mut self, span: Span) -> Step {
        self.documents += 1;
        if self.documents > 1 {
            return Err(fatal(
                codes::MULTIPLE_DOCUMENTS,
                span,
                "a second YAML document starts here".to_owned(),
                Some("keep one document per file: remove the `---`".to_owned()),
            ));
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Step {
        let Some(size) = self.anchors.get(&anchor).map(|(_, size)| *size) else {
            return Err(fatal(
                codes::BAD_YAML,
                span,
                "this alias stands inside the value it names".to_owned(),
                None,
            ));
        };
        self.count(size, span)?;
        match self.anchors.get(&anchor).map(|(node, _)| node.clone()) {
            Some(node) => self.place(node, 0, false),
            None => Ok(()),
        }
    }

    /// Counts values before they are copied, so that an alias bomb stops while it is small.
    fn count(&mut self, nodes: usize, span: Span) -> Step {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err(fatal(
                codes::TOO_LARGE,
                span,
                format!("the file has more than {NODES_MAX} values once its aliases are expanded"),
                Some("use fewer aliases (`*name`), or smaller anchors (`&name`)".to_owned()),
            ));
        }
        Ok(())
    }

    fn begin(&mut self, open: Open, span: Span) -> Step {
        self.count(1, span)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(too_deep(span));
        }
        if self.key_expected() {
            return Err(self.bad_key(span));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self, span: Span) -> Step {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.items {
            Items::List(mut items) => {
                items.shrink_to_fit();
                Kind::List(items)
            }
            Items::Map { mut entries, merges, .. } => {
                keys::report_duplicates(&entries, &mut self.faults);
                keys::merge(&mut entries, merges)?;
                entries.shrink_to_fit();
                Kind::Map(entries)
            }
        };
        let span = self.trim(Span { start: open.start, end: span.end.max(open.start) });
        self.place(Node { kind, span }, open.anchor, false)
    }

    /// Puts a finished value where it belongs: the root, a list, a key or a value of a mapping.
    fn place(&mut self, node: Node, anchor: usize, plain: bool) -> Step {
        if anchor != 0 {
            let size = size(&node);
            self.count(size, node.span)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let raw = node.span.start.saturating_sub(self.skipped)
            ..node.span.end.saturating_sub(self.skipped);
        let raw = self.text.get(raw).unwrap_or_default();
        if self.key_expected() && matches!(node.kind, Kind::Bool(_) | Kind::Number(_)) {
            // Such a key is the text of the number, which may be longer than any number.
            self.count(weight(raw), node.span)?;
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.items {
            Items::List(items) => items.push(node),
            Items::Map { entries, key, merges } => match key.take() {
                Some(PendingKey::Merge) => merges.push(node),
                Some(PendingKey::Key(key, key_span)) => {
                    entries.push(Entry { key, key_span, value: node });
                }
                None => {
                    let text = match node.kind {
                        Kind::Text(text) if &*text == "<<" && plain => {
                            *key = Some(PendingKey::Merge);
                            return Ok(());
                        }
                        Kind::Text(text) => text,
                        Kind::Bool(_) | Kind::Number(_) => raw.into(),
                        Kind::Null | Kind::List(_) | Kind::Map(_) => {
                            return Err(self.bad_key(node.span));
                        }
                    };
                    *key = Some(PendingKey::Key(keys::intern(&mut self.keys, text), node.span));
                }
            },
        }
        Ok(())
    }

    fn key_expected(&self) -> bool {
        matches!(self.open.last(), Some(Open { items: Items::Map { key: None, .. }, .. }))
    }

    fn bad_key(&self, span: Span) -> Box<Fault> {
        let help = "a text that contains `{`, `[` or `: ` needs quotes".to_owned();
        fatal(codes::BAD_KEY, span, "a key must be a text".to_owned(), Some(help))
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Kind {
        let Some(tag) = tag else {
            return match style {
                ScalarStyle::Plain => scalar::resolve(text),
                _ => Kind::Text(text.into()),
            };
        };
        let resolved = match tag.suffix.as_str() {
            "str" if tag.is_yaml_core_schema() => return Kind::Text(text.into()),
            "null" | "bool" | "int" | "float" if tag.is_yaml_core_schema() => scalar::resolve(text),
            _ => {
                self.unsupported_tag(tag, span);
                return Kind::Text(text.into());
            }
        };
        let fits = matches!(
            (tag.suffix.as_str(), &resolved),
            ("null", Kind::Null) | ("bool", Kind::Bool(_)) | ("int" | "float", Kind::Number(_))
        );
        if !fits {
            self.faults.push(Fault {
                code: codes::UNSUPPORTED_TAG,
                span,
                message: format!("this value is not a `!!{}`", tag.suffix),
                help: Some("remove the tag".to_owned()),
            });
        }
        resolved
    }

    fn tag(&mut self, tag: Option<&Tag>, expected: &str, span: Span) {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == expected)
        {
            self.unsupported_tag(tag, span);
        }
    }

    fn unsupported_tag(&mut self, tag: &Tag, span: Span) {
        if self.faults.len() > FINDINGS_MAX {
            return;
        }
        // A prefix that the file declares once may be long, and repeats with every tag.
        let shown: String = tag.to_string().chars().take(SHOWN_CHARS_MAX).collect();
        self.faults.push(Fault {
            code: codes::UNSUPPORTED_TAG,
            span,
            message: format!("the tag `{shown}` has no meaning here"),
            help: Some("remove it: a value's kind follows from how it is written".to_owned()),
        });
    }

    /// The span without the white space and comments that the scanner counts to the end of a block.
    fn trim(&self, span: Span) -> Span {
        let (from, to) =
            (span.start.saturating_sub(self.skipped), span.end.saturating_sub(self.skipped));
        let Some(text) = self.text.get(from..to) else { return span };
        let kept = text.trim_end().len();
        Span { start: span.start, end: span.start + kept }
    }
}

/// What the scanner says when it looks ahead past its own limit of depth, which is above ours.
const SCANNER_DEPTH: &str = "recursion limit";

fn too_deep(span: Span) -> Box<Fault> {
    let message = format!("lists and mappings are nested more than {DEPTH_MAX} deep here");
    fatal(codes::TOO_DEEP, span, message, None)
}

/// How much memory a value takes, in values. Keys weigh too: as JSON each mapping has its own copy.
fn size(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::List(items) => items.iter().map(size).sum(),
        Kind::Map(entries) => {
            entries.iter().map(|entry| weight(&entry.key) + size(&entry.value)).sum()
        }
        Kind::Text(text) => weight(text),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) => 0,
    }
}

/// What the length of a text adds to the value that holds it.
fn weight(text: &str) -> usize {
    text.len() / TEXT_BYTES_PER_NODE
}

pub(super) fn fatal(
    code: crate::model::Code,
    span: Span,
    message: String,
    help: Option<String>,
) -> Box<Fault> {
    Box::new(Fault { code, span, message, help })
}

/// The usual slip behind a message of the scanner.
fn syntax_help(info: &str) -> String {
    let help = if info.contains("tab") {
        "indent with spaces"
    } else if info.contains("mapping values") || info.contains("simple key") {
        "check the indentation; a text that contains `: ` needs quotes"
    } else if info.contains("anchor") {
        "define the anchor (`&name`) before its alias (`*name`)"
    } else {
        "check the indentation, the quotes and the brackets here and in the lines before"
    };
    help.to_owned()
}
