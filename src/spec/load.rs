//! The order of things: parse every file, check every document against its schema, then check what all of
//! them mean together.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Deserialize as _;
use serde_json::Value;

use super::findings::{Findings, Part, sort};
use super::schema::{self, ALIASES};
use super::yaml::{Entry, Fault, Key, Kind, Node, codes_of_syntax, parse};
use super::{Loaded, against, check, codes, convert, policy, raw, typed_policy, violations};
use crate::model::{Catalogue, Guard, PolicyName, ServiceId, Severity, SourceFile, Sources, Spec};

/// What kind of document a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Spec,
    Service,
    Policy,
}

/// One file, read as far as it goes.
#[derive(Debug)]
struct File<'a> {
    source: &'a SourceFile,
    role: Role,
    root: Option<Node>,
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
pub(super) struct Known<'a> {
    /// Names of all policies, also of those with findings.
    pub(super) policies: BTreeSet<String>,
    /// Whether every policy document could be read: only then is a name certainly unknown.
    pub(super) policies_complete: bool,
    /// Where each policy stands.
    places: Vec<(PolicyName, Place)>,
    /// What the controller's configuration offers.
    pub(super) catalogue: Option<&'a Catalogue>,
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
    let known = policies(&files, &mut findings, catalogue, &mut spec);
    let all_read = services(&files, &mut findings, &known, &mut spec);
    // What is unused tells nothing while names may still be corrected.
    if all_read && !findings.iter().any(Findings::has_errors) {
        for (name, place) in &known.places {
            if let (Some(findings), Some(policy)) =
                (findings.get_mut(place.file), spec.policies.get(name))
            {
                policy::named(name, policy, &spec, place, findings);
            }
        }
    }
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
            File { source, role, root: parsed.root, faults: parsed.faults, readable }
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
                    !(matches!(entry.key.as_ref(), "services" | "policies")
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
        && let Some(entry) = entries.iter_mut().find(|entry| entry.key.as_ref() == key)
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
        let canonical = entries.iter().any(|entry| entry.key.as_ref() == *key);
        let Some(entry) = entries.iter_mut().find(|entry| entry.key.as_ref() == *alias) else {
            continue;
        };
        if canonical {
            faults.push(Fault {
                code: codes::DUPLICATE_KEY,
                span: entry.key_span,
                message: format!("`{alias}` is another spelling of `{key}`, which stands here too"),
                help: Some(format!("keep `{key}`")),
            });
        }
        entry.key = (*key).into();
    }
    remove_duplicates(entries);
}

/// Keeps the first of the entries with one key: the duplicate is reported already.
fn remove_duplicates(entries: &mut Vec<Entry>) {
    let mut kept: HashSet<Key> = HashSet::with_capacity(entries.len());
    entries.retain(|entry| kept.insert(entry.key.clone()));
}

/// Faults of the text, an empty file, and violations of what surrounds the lists of `spec.yaml`. Each entry
/// of a list is checked where it is read: the whole document as JSON, or the violations of all of it at once,
/// could take more memory than a controller has.
fn check_file(file: &File<'_>, findings: &mut Findings<'_>, service_files: bool) {
    findings.faults(&file.faults);
    if !file.readable {
        return;
    }
    let root = file.root.as_ref().filter(|root| root.kind != Kind::Null);
    let (message, help) = match (file.role, root) {
        (Role::Spec, Some(root)) => {
            let shell = shell(root);
            violations::check(&schema::DOCUMENT, &shell, findings);
            // A document with an unknown key in place of `services` is reported for that key.
            let is_valid = schema::DOCUMENT.validator.is_valid(&shell);
            if shell.get("services").is_some() || service_files || !is_valid {
                return;
            }
            NO_SERVICE
        }
        (Role::Spec, None) => NO_SERVICE,
        (Role::Service | Role::Policy, Some(_)) => return,
        (Role::Service, None) => ("the file is empty", "write a service into it, or remove it"),
        (Role::Policy, None) => ("the file is empty", "write a policy into it, or remove it"),
    };
    findings.error(codes::EMPTY_SPEC, "", message, help.to_owned());
}

const NO_SERVICE: (&str, &str) =
    ("the spec names no service", "add `services:`, or `services: []` if there is to be none");

/// The document with its lists emptied.
fn shell(root: &Node) -> Value {
    let Kind::Map(entries) = &root.kind else { return root.to_json() };
    let is_list = |entry: &Entry| {
        matches!(entry.key.as_ref(), "services" | "policies")
            && matches!(entry.value.kind, Kind::List(_))
    };
    let emptied = |entry: &Entry| match is_list(entry) {
        true => Value::Array(Vec::new()),
        false => entry.value.to_json(),
    };
    Value::Object(entries.iter().map(|entry| (entry.key.to_string(), emptied(entry))).collect())
}

/// The documents of one kind, from `spec.yaml` and from files of their own, each with its place.
fn documents<'a>(
    files: &'a [File<'_>],
    key: &'a str,
    role: Role,
) -> impl Iterator<Item = (Place, &'a Node)> {
    files.iter().enumerate().filter(|(_, file)| file.readable).flat_map(move |(index, file)| {
        let root = file.root.as_ref().filter(|root| root.kind != Kind::Null);
        let list = match root.and_then(|root| root.entry(key)) {
            Some(Entry { value: Node { kind: Kind::List(items), .. }, .. })
                if file.role == Role::Spec =>
            {
                items.as_slice()
            }
            _ => &[],
        };
        let own = root.filter(|_| file.role == role);
        let own = own.map(|root| (Place { file: index, pointer: String::new() }, root));
        let listed = list.iter().enumerate().map(move |(item, node)| {
            (Place { file: index, pointer: format!("/{key}/{item}") }, node)
        });
        own.into_iter().chain(listed)
    })
}

fn policies<'a>(
    files: &[File<'_>],
    findings: &mut [Findings<'_>],
    catalogue: Option<&'a Catalogue>,
    spec: &mut Spec,
) -> Known<'a> {
    let mut places = Vec::new();
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for (place, node) in documents(files, "policies", Role::Policy) {
        let Some(findings) = findings.get_mut(place.file) else { continue };
        if findings.is_full() {
            // Nothing more of this file is reported; a name that exists must not be reported elsewhere.
            if let Some(Entry { value: Node { kind: Kind::Text(name), .. }, .. }) =
                node.entry("name")
            {
                first.entry(name.to_string()).or_insert(place.file);
            }
            continue;
        }
        let document = node.to_json();
        violations::check_part(&schema::POLICY, &document, &place.pointer, findings);
        policy::check(&document, &place, catalogue, findings);
        let Some(name) = document.get("name").and_then(Value::as_str) else { continue };
        if let Some(file) = first.get(name) {
            let other = in_file(files, *file, place.file);
            let message = format!("there is already a policy `{name}`{other}");
            let help = "give one of them another name".to_owned();
            findings.error(codes::DUPLICATE_POLICY, &place.at("/name"), message, help);
            continue;
        }
        first.insert(name.to_owned(), place.file);
        if let Ok(name) = PolicyName::try_from(name) {
            places.push((name.clone(), place));
            spec.policies.insert(name, typed_policy(&document));
        }
    }
    let policies_complete = files.iter().all(|file| file.readable || file.role == Role::Service);
    Known { policies: first.into_keys().collect(), policies_complete, places, catalogue }
}

/// Reads the services; tells whether all of them could be read.
fn services(
    files: &[File<'_>],
    findings: &mut [Findings<'_>],
    known: &Known<'_>,
    spec: &mut Spec,
) -> bool {
    let mut first: BTreeMap<ServiceId, usize> = BTreeMap::new();
    let mut all_read = files.iter().all(|file| file.readable);
    for (place, node) in documents(files, "services", Role::Service) {
        let Some(findings) = findings.get_mut(place.file).filter(|list| !list.is_full()) else {
            all_read = false;
            continue;
        };
        let raw = raw_service(node, &place, findings);
        let id = raw.as_ref().and_then(|raw| ServiceId::try_from(raw.id.0.as_str()).ok());
        let (Some(raw), Some(id)) = (raw, id) else {
            all_read = false;
            continue;
        };
        if let Some(file) = first.get(&id) {
            let other = in_file(files, *file, place.file);
            let message = format!("there is already a service `{id}`{other}");
            let help = "give one of them another id".to_owned();
            findings.error(codes::DUPLICATE_ID, &place.at("/id"), message, help);
        } else {
            first.insert(id.clone(), place.file);
        }
        let mut service = convert::service(id.clone(), &raw);
        check::service(&raw, &service, &place, known, findings);
        policy::service(&service, spec, &place, findings);
        if let Some(catalogue) = known.catalogue {
            against::service(&raw, &mut service, &place, catalogue, findings);
        }
        spec.services.insert(id, service);
    }
    all_read
}

/// A service as it is written, if it has the types that the schema asks for.
fn raw_service(node: &Node, place: &Place, findings: &mut Findings<'_>) -> Option<raw::Service> {
    let document = node.to_json();
    let before = findings.len();
    violations::check_part(&schema::SERVICE, &document, &place.pointer, findings);
    match raw::Service::deserialize(&document) {
        Ok(raw) => Some(raw),
        Err(_) if findings.len() > before || findings.is_full() => None,
        Err(_) => {
            // The schema accepted what the types do not: it must not pass for a valid service.
            let help = "compare it with the schema: `tidegate schema spec`".to_owned();
            let message = "the service cannot be read";
            findings.error(codes::WRONG_TYPE, &place.pointer, message, help);
            None
        }
    }
}

fn guard(files: &[File<'_>]) -> Option<Guard> {
    let file = files.iter().find(|file| file.role == Role::Spec)?;
    let document = file.root.as_ref()?.entry("guard")?.value.to_json();
    convert::guard(&raw::Guard::deserialize(document).ok()?)
}

/// Where the first of two stands, unless both stand in one file.
fn in_file(files: &[File<'_>], first: usize, second: usize) -> String {
    let other = files.get(first).filter(|_| first != second);
    other.map(|file| format!(" in {}", file.source.path)).unwrap_or_default()
}

/// Which part of a place a finding about a service as a whole points at.
pub(super) const WHOLE: Part = Part::Key;
