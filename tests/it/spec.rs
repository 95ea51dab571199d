//! Specs as users write them: the examples load, and every diagnostic has a file that shows it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate::model::{
    About, Catalogue, Prices, ProviderName, Region, Regions, SecretName, Severity, SourceAbout,
    SourceFile, SourceName, Sources, TemplateKey,
};
use tidegate::spec;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

pub(crate) fn file(path: &Path) -> SourceFile {
    let shown = path.strip_prefix(examples()).unwrap_or(path).display().to_string();
    SourceFile { path: shown, bytes: std::fs::read(path).unwrap() }
}

fn only(path: &Path) -> Sources {
    Sources { spec: Some(file(path)), ..Sources::default() }
}

/// A fixed configuration: two providers, `host` for processes and `edge` for containers.
fn catalogue() -> Catalogue {
    let name = |text: &str| ProviderName::try_from(text).unwrap();
    let about = |kind: &'static str,
                 regions: &[&str],
                 needs: &'static [TemplateKey],
                 ignores: &'static [TemplateKey],
                 shares_host_ports| About {
        kind: kind.into(),
        regions: Regions::Only(regions.iter().map(|r| Region::try_from(*r).unwrap()).collect()),
        needs: needs.into(),
        ignores: ignores.into(),
        shares_host_ports,
        concurrency_max: 4,
        call_timeout: Duration::from_secs(30),
        start_typical: Duration::from_secs(1),
    };
    let host = about("process", &["local"], &[TemplateKey::Command], &[TemplateKey::Image], true);
    let edge = about("docker", &["iad", "fra"], &[TemplateKey::Image], &[], false);
    let prometheus = SourceAbout {
        kind: "prometheus".into(),
        needs_query: true,
        metrics: None,
        has_default: false,
    };
    Catalogue {
        providers: [(name("host"), host), (name("edge"), edge)].into(),
        default_infra: Some(name("edge")),
        default_local: Some(name("host")),
        secrets: [SecretName::try_from("web/database-url").unwrap()].into(),
        prices: Prices {
            currency: "USD".to_owned(),
            default: Some(0.01),
            per_replica_hour: BTreeMap::new(),
        },
        sources: [(SourceName::try_from("prom").unwrap(), prometheus)].into(),
    }
}

#[test]
fn every_example_is_valid() {
    for name in ["quickstart", "docker", "shop", "legacy", "policies"] {
        let sources = only(&examples().join(name).join("controller/spec.yaml"));
        let loaded = spec::load(&sources, None);
        let text = spec::render::text(&loaded.diagnostics, &sources, false);
        assert_eq!(text, "", "{name}");
        assert!(loaded.spec.is_some(), "{name}");
    }
}

#[test]
fn every_broken_example_shows_its_diagnostic() {
    let mut shown = BTreeSet::new();
    insta::glob!("../../examples/broken", "*.yaml", |path| {
        let code = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let sources = only(path);
        // The diagnostics that need a configuration are those without which the file is valid.
        let mut loaded = spec::load(&sources, None);
        if loaded.diagnostics.is_empty() {
            let mut catalogue = catalogue();
            if code == "no-default-provider" {
                catalogue.default_infra = None;
            }
            loaded = spec::load(&sources, Some(&catalogue));
        }
        if code == "too-many-findings" {
            // The thousand before are all of one other kind.
            assert_eq!(loaded.diagnostics.len(), 1_001);
            loaded.diagnostics.drain(..1_000);
        }
        let text = spec::render::text(&loaded.diagnostics, &sources, false);
        let codes: BTreeSet<&str> = loaded.diagnostics.iter().map(|d| d.code.0).collect();
        assert_eq!(codes, BTreeSet::from([code.as_str()]), "{text}");
        let refused = loaded.diagnostics.iter().any(|d| d.severity == Severity::Error);
        assert_eq!(loaded.spec.is_none(), refused);
        shown.insert(code);
        insta::assert_snapshot!(text);
    });
    let all: BTreeSet<String> = spec::codes::ALL.iter().map(|code| code.0.to_owned()).collect();
    assert_eq!(shown, all, "one file in examples/broken per code");
}
