//! The order of things: parse every file, check every document against its schema, then check what all of
//! them mean together.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Deserialize as _;
use serde_json::Value;

use super::findings::{Findings, Part, sort};
use super::schema::{self, ALIASES, Checker};
use super::yaml::{Entry, Fault, Kind, Node, Span, codes_of_syntax, parse};
use super::{Loaded, against, check, codes, convert, policy, raw, violations};
use crate::model::{
    Catalogue, Guard, PolicyName, Service, ServiceId, Severity, SourceFile, Sources, Spec,
};

/// What kind of document a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Spec,
    Service,
    Policy,
}

impl Role {
    fn checker(self) -> &'static Checker {
        match self {
            Self::Spec => &schema::DOCUMENT,
            Self::Service => &schema::SERVICE,
            Self::Policy => &schema::POLICY,
        }
    }
}

/// One file, read as far as it goes.
#[derive(Debug)]
struct File<'a> {
    source: &'a SourceFile,
    role: Role,
    root: Option<Node>,
    value: Value,
    faults: Vec<Fault>,
    readable: bool,
}

/// A part of a file: which file, and the JSON pointer inside it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) pointer: String,
}

impl Place {
    pub(super) fn at(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.pointer)
    }
}

/// What the checks know about the whole spec.
#[derive(Debug)]
pub(super) struct Known {
    /// Names of all policies, also of those with findings.
    pub(super) policies: BTreeSet<String>,
    /// Whether every policy document could be read: only then is a name certainly unknown.
    pub(super) policies_complete: bool,
}

pub(super) fn load(sources: &Sources, catalogue: Option<&Catalogue>) -> Loaded {
    let files = read(sources);
    let mut findings: Vec<Findings<'_>> = files
        .iter()
        .map(|file| Findings::new(&file.source.path, &file.source.bytes, file.root.as_ref()))
        .collect();

    for (file, findings) in files.iter().zip(&mut findings) {
        check_file(file, findings, !sources.services.is_empty());
    }

    let mut spec = Spec::default();
    let known = policies(&files, &mut findings, &mut spec);
    services(&files, &mut findings, &known, catalogue, &mut spec);
    spec.guard = guard(&files);

    let names: Vec<&str> = files.iter().map(|file| file.source.path.as_str()).collect();
    let mut diagnostics = sources.findings.clone();
    diagnostics.extend(findings.into_iter().flat_map(Findings::finish));
    sort(&mut diagnostics, &names);
    let refused = diagnostics.iter().any(|d| d.severity == Severity::Error) || files.is_empty();
    Loaded { spec: (!refused).then_some(spec), diagnostics }
}

fn read(sources: &Sources) -> Vec<File<'_>> {
    let spec = sources.spec.iter().map(|file| (file, Role::Spec));
    let services = sources.services.iter().map(|file| (file, Role::Service));
    let policies = sources.policies.iter().map(|file| (file, Role::Policy));
    spec.chain(services)
        .chain(policies)
        .map(|(source, role)| {
            let mut parsed = parse(&source.bytes);
            let readable = !parsed.faults.iter().any(|f| codes_of_syntax().contains(&f.code));
            if let Some(root) = &mut parsed.root {
                normalise(root, role, &mut parsed.faults);
            }
            let value = parsed.root.as_ref().map_or(Value::Null, Node::to_json);
            File { source, role, root: parsed.root, value, faults: parsed.faults, readable }
        })
        .collect()
}

/// Turns accepted spellings into the ones of the schema, and empty lists of the document into absent ones.
fn normalise(root: &mut Node, role: Role, faults: &mut Vec<Fault>) {
    match role {
        Role::Policy => {}
        Role::Service => normalise_service(root, faults),
        Role::Spec => {
            if let Kind::Map(entries) = &mut root.kind {
                entries.retain(|entry| {
                    !(matches!(entry.key.as_str(), "services" | "policies")
                        && entry.value.kind == Kind::Null)
                });
            }
            each_item(root, "services", |service| normalise_service(service, faults));
        }
    }
}

fn normalise_service(service: &mut Node, faults: &mut Vec<Fault>) {
    inside(service, "scale", |scale| {
        rename(scale, "Scale", faults);
        each_item(scale, "regions", |region| rename(region, "RegionScale", faults));
    });
    inside(service, "routing", |routing| {
        rename(routing, "Routing", faults);
        inside(routing, "loadBalancing", |balancing| rename(balancing, "LoadBalancing", faults));
    });
}

fn inside(node: &mut Node, key: &str, act: impl FnOnce(&mut Node)) {
    if let Kind::Map(entries) = &mut node.kind
        && let Some(entry) = entries.iter_mut().find(|entry| entry.key == key)
    {
        act(&mut entry.value);
    }
}

fn each_item(node: &mut Node, key: &str, act: impl FnMut(&mut Node)) {
    inside(node, key, |list| {
        if let Kind::List(items) = &mut list.kind {
            items.iter_mut().for_each(act);
        }
    });
}

fn rename(node: &mut Node, definition: &str, faults: &mut Vec<Fault>) {
    let Kind::Map(entries) = &mut node.kind else { return };
    for (_, alias, key) in ALIASES.iter().filter(|(place, _, _)| *place == definition) {
        let canonical = entries.iter().any(|entry| entry.key == *key);
        let Some(entry) = entries.iter_mut().find(|entry| entry.key == *alias) else { continue };
        if canonical {
            faults.push(Fault {
                code: codes::DUPLICATE_KEY,
                span: entry.key_span,
                message: format!("`{alias}` is another spelling of `{key}`, which stands here too"),
                help: Some(format!("keep `{key}`")),
            });
        }
        entry.key = (*key).to_owned();
    }
    remove_duplicates(entries);
}

/// Keeps the first of the entries with one key: the duplicate is reported already.
fn remove_duplicates(entries: &mut Vec<Entry>) {
    let mut kept: HashSet<String> = HashSet::with_capacity(entries.len());
    entries.retain(|entry| kept.insert(entry.key.clone()));
}

/// Faults of the text, and violations of the schema.
fn check_file(file: &File<'_>, findings: &mut Findings<'_>, service_files: bool) {
    findings.faults(&file.faults);
    if !file.readable {
        return;
    }
    let empty = match file.role {
        Role::Spec => {
            let services = file.value.get("services").is_some() || service_files;
            file.value.is_null() || (!services && is_mapping_without_findings(file))
        }
        Role::Service | Role::Policy => file.value.is_null(),
    };
    if empty {
        let (message, help) = match file.role {
            Role::Spec => (
                "the spec names no service",
                "add `services:`, or `services: []` if there is to be none",
            ),
            Role::Service => ("the file is empty", "write a service into it, or remove it"),
            Role::Policy => ("the file is empty", "write a policy into it, or remove it"),
        };
        findings.push(super::findings::Finding {
            code: codes::EMPTY_SPEC,
            severity: Severity::Error,
            message: message.to_owned(),
            span: Span { start: 0, end: 0 },
            help: Some(help.to_owned()),
        });
    }
    if !file.value.is_null() {
        violations::check(file.role.checker(), &file.value, findings);
    }
}

/// A document with an unknown key in place of `services` is reported for that key, not for being empty.
fn is_mapping_without_findings(file: &File<'_>) -> bool {
    file.role.checker().validator.is_valid(&file.value)
}

/// The documents of one kind, from `spec.yaml` and from files of their own.
fn documents<'a>(
    files: &'a [File<'_>],
    key: &str,
    role: Role,
) -> impl Iterator<Item = (Place, &'a Value)> {
    files.iter().enumerate().flat_map(move |(index, file)| {
        let mut out = Vec::new();
        if file.role == Role::Spec {
            let list = file.value.get(key).and_then(Value::as_array);
            for (item, value) in list.into_iter().flatten().enumerate() {
                out.push((Place { file: index, pointer: format!("/{key}/{item}") }, value));
            }
        } else if file.role == role && file.value.is_object() {
            out.push((Place { file: index, pointer: String::new() }, &file.value));
        }
        out
    })
}

fn policies(files: &[File<'_>], findings: &mut [Findings<'_>], spec: &mut Spec) -> Known {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for (place, document) in documents(files, "policies", Role::Policy) {
        let Some(findings) = findings.get_mut(place.file) else { continue };
        policy::check(document, &place, findings);
        let Some(name) = document.get("name").and_then(Value::as_str) else { continue };
        if let Some(file) = first.get(name) {
            let message =
                format!("there is already a policy `{name}`{}", in_file(files, *file, place.file));
            findings.error(
                codes::DUPLICATE_POLICY,
                &place.at("/name"),
                message,
                "give one of them another name".to_owned(),
            );
            continue;
        }
        first.insert(name.to_owned(), place.file);
        if let Ok(name) = PolicyName::try_from(name) {
            spec.policies.insert(name, crate::model::Policy { document: document.clone() });
        }
    }
    let policies_complete = files.iter().all(|file| file.readable || file.role == Role::Service);
    Known { policies: first.into_keys().collect(), policies_complete }
}

fn services(
    files: &[File<'_>],
    findings: &mut [Findings<'_>],
    known: &Known,
    catalogue: Option<&Catalogue>,
    spec: &mut Spec,
) {
    let mut first: BTreeMap<ServiceId, usize> = BTreeMap::new();
    for (place, document) in documents(files, "services", Role::Service) {
        let Some(findings) = findings.get_mut(place.file) else { continue };
        let Ok(raw) = raw::Service::deserialize(document) else {
            unread(findings, &place);
            continue;
        };
        let Ok(id) = ServiceId::try_from(raw.id.0.as_str()) else { continue };
        if let Some(file) = first.get(&id) {
            let message =
                format!("there is already a service `{id}`{}", in_file(files, *file, place.file));
            let help = "give one of them another id".to_owned();
            findings.error(codes::DUPLICATE_ID, &place.at("/id"), message, help);
        } else {
            first.insert(id.clone(), place.file);
        }
        let mut service: Service = convert::service(id.clone(), &raw);
        check::service(&raw, &service, &place, known, findings);
        if let Some(catalogue) = catalogue {
            against::service(&raw, &mut service, &place, catalogue, findings);
        }
        spec.services.insert(id, service);
    }
}

/// A service that the schema accepts and the types do not would be a fault of ours; it must not pass.
fn unread(findings: &mut Findings<'_>, place: &Place) {
    if findings.len() == 0 {
        findings.error(
            codes::WRONG_TYPE,
            &place.pointer,
            "the service cannot be read",
            "compare it with the schema: `tidegate schema spec`".to_owned(),
        );
    }
}

fn guard(files: &[File<'_>]) -> Option<Guard> {
    let file = files.iter().find(|file| file.role == Role::Spec)?;
    let raw = raw::Guard::deserialize(file.value.get("guard")?).ok()?;
    convert::guard(&raw)
}

/// Where the first of two stands, unless both stand in one file.
fn in_file(files: &[File<'_>], first: usize, second: usize) -> String {
    let other = files.get(first).filter(|_| first != second);
    other.map(|file| format!(" in {}", file.source.path)).unwrap_or_default()
}

/// Which part of a place a finding about a service as a whole points at.
pub(super) const WHOLE: Part = Part::Key;
