//! The controller's configuration: the examples load, and every diagnostic has a file that shows it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tidegate::config::{self, Credentials, ProviderConfig, SecretRef, codes};
use tidegate::model::{Diagnostic, Severity};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn codes_of(diagnostics: &[Diagnostic]) -> BTreeSet<&'static str> {
    diagnostics.iter().map(|diagnostic| diagnostic.code.0).collect()
}

#[test]
fn the_starter_and_the_complete_example_load() {
    let (config, diagnostics) = config::load(config::STARTER.as_bytes(), "tidegate.yaml");
    assert_eq!(diagnostics, []);
    let mut config = config.unwrap();
    config.resolve_paths(Path::new("/etc/tidegate"));
    assert_eq!(config.repository.url, "/etc/tidegate/spec.git");
    let host = config.providers.values().next().unwrap();
    assert!(
        matches!(host, ProviderConfig::Process(p) if p.dir == "/etc/tidegate/tidegate-state/host")
    );

    let text = std::fs::read(examples().join("shop/tidegate.yaml")).unwrap();
    let (config, diagnostics) = config::load(&text, "tidegate.yaml");
    let shown = config::render_text(&diagnostics, "tidegate.yaml", &text, false);
    insta::assert_snapshot!(shown);
    let config = config.unwrap();
    assert_eq!(
        config.repository.credentials,
        Some(Credentials::Token(SecretRef::Env("GITHUB_TOKEN".to_owned())))
    );
    assert_eq!(config.secrets.len(), 2);
    assert_eq!(config.prices.default, Some(0.01));
}

#[test]
fn files_of_docker_hosts_start_at_the_configuration_and_are_watched() {
    let docker = "
  docker:
    type: docker
    hosts: {fra: 'tcp://fra.example.com:2376'}
    tls: {fra: {caFile: ca.pem, certFile: cert.pem, keyFile: /keys/key.pem}}
    registries:
      r.example.com: {username: me, passwordRef: file/password}
      s.example.com: {username: me, passwordRef: file//run/password}
      t.example.com: {username: me, passwordRef: env/PASSWORD}
";
    let text = config::STARTER.replace("\nproviders:\n", &format!("\nproviders:{docker}"));
    let (config, diagnostics) = config::load(text.as_bytes(), "tidegate.yaml");
    assert_eq!(diagnostics, []);
    let mut config = config.unwrap();
    config.resolve_paths(Path::new("/etc/tidegate"));
    let files = config.files();
    let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let watched = [
        "/etc/tidegate/ca.pem",
        "/etc/tidegate/cert.pem",
        "/keys/key.pem",
        "/etc/tidegate/password",
    ];
    assert_eq!(files, [&watched[..], &["/run/password"]].concat());
    // What is read is what is watched.
    let Some(ProviderConfig::Docker(docker)) =
        config.providers.values().find(|provider| matches!(provider, ProviderConfig::Docker(_)))
    else {
        panic!("no docker provider")
    };
    assert_eq!(docker.registries["r.example.com"].password_ref, "file//etc/tidegate/password");
}

#[test]
fn metric_sources_are_typed_and_their_files_start_at_the_configuration() {
    let text = format!(
        "{}
metrics:
  prom: {{type: prometheus, url: 'https://p.example.com/prometheus/', username: me, passwordRef: file/password,
         caFile: ca.pem, headers: {{X-Scope-OrgID: shop}}, headerRefs: {{X-Api-Key: env/KEY}}, timeout: 3s}}
  plain: {{type: prometheus, url: 'http://prometheus:9090/api/v1'}}
  feed: {{type: http, url: 'http://127.0.0.1:1/stats?x=1', tokenRef: file//run/token, metrics: {{depth: /a~1b/0}}}}
  fix: {{type: fixed, values: {{rps: 12.5}}}}
  script: {{type: file, path: metrics.txt}}
",
        config::STARTER
    );
    let (config, diagnostics) = config::load(text.as_bytes(), "tidegate.yaml");
    assert_eq!(diagnostics, []);
    let mut config = config.unwrap();
    config.resolve_paths(Path::new("/etc/tidegate"));
    let metrics: Vec<String> =
        config.metrics.iter().map(|(name, source)| format!("{name}: {source:?}")).collect();
    insta::assert_snapshot!(metrics.join("\n"));
    // Secrets are read for each use, and need no watching; authorities are read once.
    assert_eq!(config.files(), [PathBuf::from("/etc/tidegate/ca.pem")]);
}

/// The example asks for signatures, which this version does not verify: it must not run without them.
#[test]
fn what_would_be_unsafe_to_ignore_is_refused() {
    let text = std::fs::read_to_string(examples().join("shop/tidegate.yaml")).unwrap();
    let text = text.replace("mode: off", "mode: head");
    let (config, diagnostics) = config::load(text.as_bytes(), "tidegate.yaml");
    assert_eq!(config, None);
    let errors: Vec<&str> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| diagnostic.code.0)
        .collect();
    assert_eq!(errors, ["unsupported-key"]);
}

#[test]
fn every_broken_example_shows_its_diagnostic() {
    let mut shown = BTreeSet::new();
    insta::glob!("../../examples/broken/config", "*.yaml", |path| {
        let code = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let file = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read(path).unwrap();
        let (config, diagnostics) = config::load(&text, file);
        let rendered = config::render_text(&diagnostics, file, &text, false);
        assert_eq!(codes_of(&diagnostics), BTreeSet::from([code.as_str()]), "{rendered}");
        let refused = diagnostics.iter().any(|d| d.severity == Severity::Error);
        assert_eq!(config.is_none(), refused);
        assert!(!rendered.contains("hunter2"), "{rendered}");
        assert!(!diagnostics.iter().any(|d| format!("{d:?}").contains("hunter2")));
        shown.insert(code);
        insta::assert_snapshot!(rendered);
    });
    let all: BTreeSet<String> = codes::ALL.iter().map(|code| code.0.to_owned()).collect();
    assert_eq!(shown, all, "one file in examples/broken/config per code");
}

/// A secret written where a reference belongs is in no output, whatever else is wrong on its line.
#[test]
fn a_misplaced_secret_is_never_shown() {
    for repository in [
        "{url: \"https://ops:hunter2@example.com/a.git\", banch: main}",
        "{url: https://example.com/a.git, credentials: {tokenRef: hunter2, extra: 1}}",
        "{url: https://example.com/a.git, credentials: {token: hunter2}}",
        "{url: https://example.com/a.git, credentials: {username: ops, password: \"hunter2\"}}",
        "{url: http://example.com/?token=hunter2}",
        "{url: https://example.com/a.git, proxy: \"http://ops:hunter2@proxy\", x: 1}",
        "{url: https://example.com/a.git, proxy: \"ops:hunter2@proxy:3128\"}",
        "{proxy: ops:hunter2@proxy:3128, branch: main}",
    ] {
        let text = format!("repository: {repository}\nsecrets: {{a: hunter2, b: 76543}}\n");
        let (config, diagnostics) = config::load(text.as_bytes(), "tidegate.yaml");
        assert_eq!(config, None, "{text}");
        let rendered = config::render_text(&diagnostics, "tidegate.yaml", text.as_bytes(), false);
        let json = tidegate::spec::render::json(&diagnostics).to_string();
        for secret in ["hunter2", "76543"] {
            assert!(!rendered.contains(secret) && !json.contains(secret), "{rendered}\n{json}");
        }
    }
}

/// What would fail later, or not do what it says, is refused at once.
#[test]
fn what_cannot_work_is_refused() {
    let url = "url: https://example.com/a.git";
    let docker = |login: &str| {
        format!(
            "repository: {{{url}}}\nproviders:\n  edge:\n    type: docker\n    hosts: {{iad: \
             \"unix:///run/docker.sock\"}}\n    registries: {{docker.io: {{username: ops, passwordRef: \
             {login}}}}}\n"
        )
    };
    let prom = |keys: &str| {
        format!(
            "repository: {{{url}}}\nmetrics:\n  prom: {{type: prometheus, url: \"https://p.example.com\", {keys}}}\n"
        )
    };
    for (text, expected) in [
        (format!("repository: {{{url}, proxy: \"ops:hunter2@proxy:3128\"}}\n"), "secret-in-url"),
        (format!("repository: {{{url}, verify: {{allowedSigners: a}}}}\n"), "unsupported-key"),
        (format!("repository: {{{url}, branch: tidegate}}\n"), "same-branch"),
        (format!("repository: {{{url}, branch: a/b}}\nstatus: {{branch: a}}\n"), "same-branch"),
        (docker("hunter2"), "bad-secret-ref"),
        (docker("76543"), "bad-secret-ref"),
        (prom("tokenRef: hunter2"), "bad-secret-ref"),
        (prom("tokenRef: env/A, username: ops, passwordRef: env/B"), "conflicting-keys"),
        (prom("username: ops"), "missing-key"),
        (prom("timeout: 16s"), "out-of-range"),
        (prom("concurrency: 0"), "out-of-range"),
        (prom("").replace("https://p", "https://ops:hunter2@p"), "secret-in-url"),
        (prom("").replace("example.com\"", "example.com/?a=hunter2\""), "bad-url"),
        (prom("tokenRef: env/A").replace("https://p", "http://p"), "bad-url"),
        (prom("").replace("prometheus", "promethes"), "unknown-value"),
        (prom("tokenReff: env/A"), "unknown-key"),
    ] {
        let (config, diagnostics) = config::load(text.as_bytes(), "tidegate.yaml");
        let rendered = config::render_text(&diagnostics, "tidegate.yaml", text.as_bytes(), false);
        assert_eq!(codes_of(&diagnostics), BTreeSet::from([expected]), "{rendered}");
        assert_eq!(config, None);
        for secret in ["hunter2", "76543"] {
            assert!(!rendered.contains(secret), "{rendered}");
            assert!(!format!("{diagnostics:?}").contains(secret), "{diagnostics:?}");
        }
    }
    for text in [
        docker("env/REGISTRY_PASSWORD"),
        format!("repository: {{{url}, branch: tidegate-a}}\nstatus: {{branch: tidegate}}\n"),
        format!("repository: {{{url}, verify: {{mode: off, allowedSigners: a}}}}\n"),
    ] {
        let (config, diagnostics) = config::load(text.as_bytes(), "tidegate.yaml");
        assert!(config.is_some(), "{diagnostics:?}");
    }
}

#[test]
fn schema_findings_read_like_those_of_a_spec() {
    let text = "\
repository: {url: /srv/infra.git, branch: \"a..b\"}
providers:
  host: {type: proces, dir: x}
  edge: {type: docker, host: {}}
  none: {dir: x}
defaults: {local: hots}
interval: 10ms
";
    let (config, diagnostics) = config::load(text.as_bytes(), "tidegate.yaml");
    assert_eq!(config, None);
    insta::assert_snapshot!(config::render_text(
        &diagnostics,
        "tidegate.yaml",
        text.as_bytes(),
        false
    ));
}

/// The forms of the store's address, and the file that is taken without one.
#[test]
fn the_store_is_a_file_of_this_machine() {
    let load = |store: &str| {
        let text =
            format!("repository: {{url: https://example.com/a.git}}\nstateDir: state\n{store}\n");
        let (config, diagnostics) = config::load(text.as_bytes(), "tidegate.yaml");
        let codes = codes_of(&diagnostics).into_iter().collect::<Vec<_>>().join(" ");
        config.ok_or(codes).map(|mut config| {
            config.resolve_paths(Path::new("/etc/tidegate"));
            (config.store_file().display().to_string(), config.store.retention)
        })
    };
    let file = |store: &str| load(store).map(|(file, _)| file);
    assert_eq!(file("").as_deref(), Ok("/etc/tidegate/state/state.db"));
    assert_eq!(file("store: {}").as_deref(), Ok("/etc/tidegate/state/state.db"));
    assert_eq!(file("store: {url: 'sqlite:///var/a.db'}").as_deref(), Ok("/var/a.db"));
    assert_eq!(file("store: {url: 'sqlite:a/b.db'}").as_deref(), Ok("/etc/tidegate/a/b.db"));
    assert_eq!(file("store: {url: 'sqlite://b.db'}").as_deref(), Ok("/etc/tidegate/b.db"));
    for bad in ["", "sqlite:", "sqlite:///", "sqlite::memory:", "sqlite:///a?mode=ro", "/a.db"] {
        assert_eq!(
            file(&format!("store: {{url: '{bad}'}}")),
            Err("bad-store-url".to_owned()),
            "{bad}"
        );
    }
    let kept = load("store: {retention: {raw: 1d, events: 7d}, maxSize: 512Mi}").unwrap().1;
    let days = |days: u64| std::time::Duration::from_secs(days * 86_400);
    assert_eq!((kept.raw, kept.minutes, kept.hours), (days(1), days(14), days(400)));
    assert_eq!((kept.events, kept.bytes_max), (days(7), 512 << 20));
}
