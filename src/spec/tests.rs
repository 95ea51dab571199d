//! Properties of loading, and what a loaded spec says.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::{Loaded, load, render};
use crate::model::{
    Autoscale, Bounds, Count, HealthProbe, Service, Severity, SourceFile, Sources, Spec, Strategy,
};

const SHOP: &str = include_str!("../../examples/shop/controller/spec.yaml");
const LEGACY: &str = include_str!("../../examples/legacy/controller/spec.yaml");
const DOCKER: &str = include_str!("../../examples/docker/controller/spec.yaml");

fn file(path: &str, text: impl Into<Vec<u8>>) -> SourceFile {
    SourceFile { path: path.to_owned(), bytes: text.into() }
}

fn sources(text: impl Into<Vec<u8>>) -> Sources {
    Sources { spec: Some(file("spec.yaml", text)), ..Sources::default() }
}

fn spec(text: &str) -> Spec {
    let Loaded { spec, diagnostics } = load(&sources(text), None);
    assert_eq!(diagnostics, []);
    spec.expect("a valid spec")
}

fn service<'a>(spec: &'a Spec, id: &str) -> &'a Service {
    spec.services.values().find(|service| service.id.as_str() == id).expect("the service")
}

#[test]
fn the_complete_example_is_typed() {
    let spec = spec(SHOP);
    let web = service(&spec, "web");
    assert_eq!(web.scale.strategy, Strategy::Infra);
    assert_eq!(web.scale.autoscale, Autoscale::Metrics);
    assert_eq!(web.scale.cooldown.map(|d| d.as_secs()), Some(300));
    let bounds: Vec<Bounds> = web.scale.regions.values().map(|region| region.bounds).collect();
    let fra = Bounds { min: Count(0), desired: Count(1), max: Count(4) };
    let iad = Bounds { min: Count(1), desired: Count(2), max: Count(6) };
    assert_eq!(bounds, [fra, iad]);
    let template = web.template.as_ref().expect("a template");
    assert_eq!(template.resources.cpu.map(|cpu| cpu.millicores), Some(500));
    assert_eq!(template.resources.memory.map(|memory| memory.bytes), Some(512 << 20));
    let probe = &template.health.as_ref().expect("health").probe;
    assert_eq!(*probe, HealthProbe::Http { path: "/healthz".to_owned(), port: Some(8080) });
    assert_eq!(spec.policies.len(), 1);
}

#[test]
fn old_spellings_mean_the_same_as_the_new_ones() {
    let new = LEGACY
        .replace("dns_records", "dnsRecords")
        .replace("load_balancing", "loadBalancing")
        .replace("burst_ttl", "burstTTL");
    let old = spec(LEGACY);
    assert_eq!(old, spec(&new));
    let routing = service(&old, "storefront").routing.as_ref().expect("routing");
    assert_eq!(routing.dns_records.len(), 2);
    let path =
        |id| service(&old, id).routing.as_ref()?.load_balancing.as_ref()?.health_check_path.clone();
    assert_eq!(path("storefront").as_deref(), Some("/healthz"));
    assert_eq!(path("ledger").as_deref(), Some("/status"));
}

#[test]
fn services_and_policies_of_their_own_files_belong_to_the_spec() {
    let mut sources = sources("guard: {allowDestroy: [old], until: 2026-12-01}\n");
    sources.services.push(file(
        "services/web.yaml",
        "id: web\nscale: {policy: http, regions: [{name: iad, desired: 2}]}\n",
    ));
    sources.policies.push(file("policies/http.yaml", "name: http\n"));
    let Loaded { spec, diagnostics } = load(&sources, None);
    assert_eq!(diagnostics, []);
    let spec = spec.expect("a valid spec");
    assert_eq!((spec.services.len(), spec.policies.len()), (1, 1));
    let guard = spec.guard.expect("a guard");
    assert_eq!(guard.until.to_string(), "2026-12-01T00:00:00Z");
}

/// Findings of all files and of both layers come together, in the order of the files.
#[test]
fn all_findings_come_at_once() {
    let mut sources = sources(
        "services:\n  - id: web\n    extra: 1\n    scale: {policy: p, regions: [{name: iad, min: 3, desired: 1}]}\n",
    );
    sources.services.push(file("services/broken.yaml", "id: [\n"));
    sources.services.push(file("services/web.yaml", "id: web\nscale: {regions: []}\n"));
    sources.policies.push(file("policies/p.yaml", "nme: p\n"));
    let loaded = load(&sources, None);
    let found: Vec<(&str, &str)> = loaded
        .diagnostics
        .iter()
        .map(|d| (d.position.as_ref().map_or("", |p| p.file.as_str()), d.code.0))
        .collect();
    assert_eq!(
        found,
        [
            ("spec.yaml", "unknown-key"),
            ("spec.yaml", "unknown-policy"),
            ("spec.yaml", "bounds-order"),
            ("services/broken.yaml", "bad-yaml"),
            ("services/web.yaml", "duplicate-id"),
            ("services/web.yaml", "no-regions"),
            ("policies/p.yaml", "unknown-key"),
            ("policies/p.yaml", "missing-key"),
        ]
    );
}

#[test]
fn a_place_is_counted_in_characters_from_one() {
    for (before, line) in [("", 2), ("\u{feff}", 2), ("# ü\r\n", 3), ("# 漢\n\t\n", 4)] {
        let text = format!("{before}services:\n  - {{id: x, description: \"äöü\", extra: 1}}\n");
        let loaded = load(&sources(text), None);
        let place = loaded.diagnostics.first().and_then(|d| d.position.clone()).expect("a place");
        assert_eq!((place.line, place.column), (line, 5), "{before:?}");
        let extra = loaded.diagnostics.iter().find(|d| d.code.0 == "unknown-key");
        let place = extra.and_then(|d| d.position.clone()).expect("a place");
        assert_eq!((place.line, place.column), (line, 33), "{before:?}");
    }
}

/// Nothing of a spec reaches a terminal as a command.
#[test]
fn control_characters_are_shown_and_not_obeyed() {
    let text = "services:\n  - {id: \"a\\x1b[31m\\u202e\", \"\\x1b]0;x\\a\": 1, \u{202e}k: 1, \u{200b}: 2}\n";
    let sources = sources(text);
    let loaded = load(&sources, None);
    let shown = render::text(&loaded.diagnostics, &sources, false);
    assert!(!loaded.diagnostics.is_empty());
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{200b}']), "{shown}");
}

#[test]
fn json_has_exactly_the_documented_form() {
    let loaded = load(&sources("services: []\nextra: 1\n"), None);
    assert_eq!(
        render::json(&loaded.diagnostics),
        json!({"valid": false, "diagnostics": [{
            "code": "unknown-key", "severity": "error", "message": "unknown key `extra`",
            "file": "spec.yaml", "line": 2, "column": 1,
            "help": "the keys here are `apiVersion`, `guard`, `policies`, `services`",
        }]})
    );
    assert_eq!(render::json(&[]), json!({"valid": true, "diagnostics": []}));
}

#[test]
fn equal_templates_have_equal_hashes() {
    let first = spec(DOCKER);
    let again = spec(&DOCKER.replace("cpu: 0.25", "cpu: 250m"));
    let other = spec(&DOCKER.replace("1.29", "1.30"));
    let hash = |spec: &Spec| {
        service(spec, "web").template.as_ref().expect("a template").hash().to_string()
    };
    assert_eq!(hash(&first), hash(&again));
    assert_ne!(hash(&first), hash(&other));
    assert_eq!(hash(&first).len(), 12);
}

/// Files that are wrong in very many places are refused after the first thousand; without an end to the
/// work each of these takes minutes.
#[test]
fn very_many_mistakes_cost_no_more_than_a_thousand() {
    use std::fmt::Write as _;

    let many = |count: usize, line: &dyn Fn(usize) -> String| {
        (0..count).fold(String::new(), |mut text, index| {
            write!(text, "{}", line(index)).expect("memory");
            text
        })
    };
    let keys = many(60_000, &|index| format!("k{index}: 1\n"));
    let variables = many(30_000, &|index| format!("V{index}: {{secretRef: x}}, "));
    let signals = many(20_000, &|index| format!("signal-number-{index}: {{metric: a}}, "));
    let targets = many(20_000, &|index| format!("{{signal: single-{index}, average: 1}}, "));
    let services = many(20_000, &|index| format!("- {{id: s{index}, nmae: x}}\n"));
    let cases = [
        format!("services: []\n{keys}"),
        format!("services: [{{id: web, template: {{env: {{{variables}}}}}}}]\n"),
        format!(
            "services: []\npolicies: [{{name: p, signals: {{{signals}}}, targets: [{targets}]}}]\n"
        ),
        format!("services:\n{services}"),
    ];
    for (index, text) in cases.into_iter().enumerate() {
        let Loaded { spec, diagnostics } = load(&sources(text), None);
        assert!(spec.is_none(), "case {index}");
        assert!(diagnostics.len() <= super::findings::FINDINGS_MAX + 1, "case {index}");
    }
}

/// What a file says is not repeated at length: neither a value, nor a key, nor a name.
#[test]
fn long_texts_make_no_long_messages() {
    let long = "ü".repeat(100_000);
    let text = format!(
        "services:\n  - {{id: web, {long}: 1, scale: {{cooldown: \"{long}\", policy: {long}, \
         regions: [{{name: iad, desired: 1}}]}}, template: {{resources: {{cpu: \"{long}\"}}}}}}\n"
    );
    let Loaded { diagnostics, .. } = load(&sources(text), None);
    assert!(diagnostics.len() >= 3);
    for diagnostic in diagnostics {
        let help = diagnostic.help.unwrap_or_default();
        assert!(diagnostic.message.chars().count() <= 401, "{}", diagnostic.code);
        assert!(help.chars().count() <= 401, "{}", diagnostic.code);
    }
}

/// A version or a mode is quoted as it was written, and not as the number that it was read as.
#[test]
fn advice_to_quote_a_value_keeps_what_was_written() {
    for written in ["1.10", "0777", "1e3", "0x1F", "True", "5"] {
        let text = format!(
            "services:\n  - id: web\n    scale: {{regions: [{{name: iad, desired: 1}}]}}\n    \
             template: {{image: a, env: {{V: {written}}}}}\n"
        );
        let Loaded { diagnostics, .. } = load(&sources(text), None);
        let [diagnostic] = diagnostics.as_slice() else { panic!("{diagnostics:?}") };
        assert!(diagnostic.message.ends_with(&format!("found `{written}`")), "{diagnostic:?}");
        let help = format!("write it in quotes: \"{written}\"");
        assert_eq!(diagnostic.help.as_deref(), Some(help.as_str()));
    }
}

/// A thousand services that each earn a warning are a valid spec, and warnings hide no error.
#[test]
fn warnings_fill_no_list_of_errors() {
    let mut findings = super::findings::Findings::new("spec.yaml", b"a: 1\n", None);
    for index in 0..3 * super::findings::FINDINGS_MAX {
        let (code, part) = (super::codes::UNMANAGED_ROUTING, super::findings::Part::Key);
        findings.at(Severity::Warning, code, "", part, format!("warning {index}"), None);
    }
    assert!(!findings.is_full());
    let severities = |list: &[crate::model::Diagnostic]| {
        (list.len(), list.iter().any(|d| d.severity == Severity::Error))
    };
    let count = super::findings::FINDINGS_MAX + 1;
    findings.error(super::codes::NO_REGIONS, "", "an error", None);
    assert_eq!(severities(&findings.finish()), (count, true));
}

static EXAMPLES: LazyLock<Vec<&str>> = LazyLock::new(|| vec![SHOP, LEGACY, DOCKER, super::STARTER]);

/// What must hold of whatever is loaded.
fn check(sources: &Sources) {
    let Loaded { spec, diagnostics } = load(sources, None);
    let refused = diagnostics.iter().any(|d| d.severity == Severity::Error);
    assert_eq!(spec.is_none(), refused);
    for service in spec.iter().flat_map(|spec| spec.services.values()) {
        assert!(!service.scale.regions.is_empty());
        for region in service.scale.regions.values() {
            let Bounds { min, desired, max } = region.bounds;
            assert!(min <= desired && desired <= max);
            assert!(service.scalable || max <= Count(1));
        }
    }
    let shown = render::text(&diagnostics, sources, true);
    assert_eq!(shown.is_empty(), diagnostics.is_empty());
    for position in diagnostics.iter().filter_map(|d| d.position.as_ref()) {
        let length = sources.spec.as_ref().map_or(0, |file| file.bytes.len());
        assert!(position.start <= position.end && position.end <= length, "{position:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_load_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check(&sources(bytes));
    }

    /// Examples with pieces cut out, doubled, moved and overwritten.
    #[test]
    fn mutated_examples_load_or_are_refused(
        example in 0usize..4,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..40, 0usize..5, any::<u8>()), 1..6),
    ) {
        let mut bytes = EXAMPLES[example].as_bytes().to_vec();
        for (at, length, kind, byte) in edits {
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            match kind {
                0 => drop(bytes.drain(at..end)),
                1 => { let piece = bytes[at..end].to_vec(); bytes.splice(at..at, piece); }
                2 => bytes[at] = byte,
                3 => bytes.insert(at, b"\n:{}[],&*\"'#|"[byte as usize % 13]),
                _ => bytes.truncate(end.max(1)),
            }
            if bytes.is_empty() {
                bytes.push(b' ');
            }
        }
        check(&sources(bytes));
    }

    /// Documents of the right keys with wrong values: what the schema lets through must be readable.
    #[test]
    fn values_of_other_kinds_load_or_are_refused(
        key in prop::sample::select(vec![
            "id", "scalable", "scale", "strategy", "regions", "min", "max", "desired", "name", "policy",
            "template", "env", "ports", "containerPort", "cpu", "memory", "health", "drain", "until",
            "allowDestroy", "storage", "buckets", "ttl", "dnsRecords", "healthCheck", "cooldown",
            "maxHourlyCost", "signals", "targets", "rules", "when", "limits", "scaleBy", "onMissing",
        ]),
        value in prop::sample::select(vec![
            "~", "1", "-1", "0.5", "1e400", "99999999999999999999", "true", "text", "''", "[]", "{}", "[1]", "{a: 1}",
            "[[]]", "[{}]", "{secretRef: x}", "{secretRef: 1}", "5m", "50%",
        ]),
    ) {
        let replaced = SHOP
            .lines()
            .map(|line| match line.find(&format!("{key}: ")) {
                Some(at) => format!("{}{key}: {value}", &line[..at]),
                None => line.to_owned(),
            })
            .collect::<Vec<_>>()
            .join("\n");
        check(&sources(replaced));
        let inline = format!("services: [{{id: a, scale: {{regions: [{{name: a, desired: 1}}], policy: {{{key}: {value}}}}}, template: {{{key}: {value}, health: {{{key}: {value}}}}}, {key}: {value}}}]");
        check(&sources(inline));
    }
}
