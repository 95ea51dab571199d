//! What a plan is made of is written down and read again: the same values, and the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::testing::target;
use super::*;

/// Writes, reads and writes again; gives the text.
fn again<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> String {
    let text = serde_json::to_string(value).expect("text");
    let read: T = serde_json::from_str(&text).expect("to be read again");
    assert_eq!(&read, value);
    assert_eq!(serde_json::to_string(&read).expect("text"), text);
    text
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_780_000_000_123 + millis).expect("a time")
}

fn edge() -> ProviderName {
    ProviderName::try_from("edge").expect("a name")
}

fn replica(ordinal: u32, phase: Phase) -> Replica {
    Replica {
        key: ReplicaKey {
            target: target("web", "iad"),
            provider: edge(),
            ordinal: Ordinal(ordinal),
        },
        instance: "4f5e".to_owned(),
        template: TemplateHash::from("5af985e353ae"),
        spec_commit: CommitId::try_from("a".repeat(40)).expect("a commit"),
        phase,
        address: (ordinal == 0).then(|| "127.0.0.1:20000".to_owned()),
        started_at: Some(at(i64::from(ordinal))),
        restarts: ordinal,
        last_exit: (ordinal > 0).then(|| Exit { at: at(5), reason: "exit code 3".to_owned() }),
    }
}

#[test]
fn the_observed_world() {
    let phases = [
        Phase::Starting,
        Phase::Ready,
        Phase::Unhealthy { why: "status 500".to_owned() },
        Phase::BackOff { until: at(60_000) },
        Phase::Stopped,
        Phase::Draining,
    ];
    let observed = Observed {
        at: at(0),
        replicas: (0..).zip(phases).map(|(ordinal, phase)| replica(ordinal, phase)).collect(),
        gaps: vec![Gap {
            provider: edge(),
            region: Region::try_from("fra").expect("a name"),
            error: "list containers: no answer".to_owned(),
        }],
    };
    let text = again(&observed);
    assert!(text.contains(r#""phase":{"backOff":{"until":"2026-"#), "{text}");
    assert!(text.contains(r#""specCommit":"#), "{text}");
}

#[test]
fn the_catalogue() {
    let about = About {
        kind: "docker".into(),
        regions: Regions::Only(BTreeSet::from([Region::try_from("iad").expect("a name")])),
        needs: (&[TemplateKey::Image]).into(),
        ignores: (&[]).into(),
        shares_host_ports: true,
        concurrency_max: 4,
        call_timeout: Duration::from_millis(30_001),
        start_typical: Duration::from_nanos(1),
    };
    let source = |metrics| SourceAbout {
        kind: "http".into(),
        needs_query: false,
        metrics,
        has_default: true,
    };
    let name = |text| SourceName::try_from(text).expect("a name");
    let catalogue = Catalogue {
        providers: [
            (edge(), about.clone()),
            (
                ProviderName::try_from("host").expect("a name"),
                About { regions: Regions::Any, ..about },
            ),
        ]
        .into(),
        default_infra: Some(edge()),
        default_local: None,
        secrets: [SecretName::try_from("web/database-url").expect("a name")].into(),
        prices: Prices {
            currency: "EUR".to_owned(),
            default: Some(0.1),
            per_replica_hour: BTreeMap::from([(edge(), 0.012_345_678_901_234_567)]),
        },
        sources: [(name("a"), source(None)), (name("b"), source(Some(vec!["rps".to_owned()])))]
            .into(),
    };
    let text = again(&catalogue);
    assert!(text.contains(r#""needs":["image"]"#), "{text}");
    assert!(text.contains(r#""perReplicaHour":{"edge":"#), "{text}");
    again(&Catalogue::default());
}

#[test]
fn the_text_of_a_spec_whatever_it_is() {
    let file =
        |path: &str, bytes: &[u8]| SourceFile { path: path.to_owned(), bytes: bytes.to_vec() };
    let finding = |code| Diagnostic {
        code,
        severity: Severity::Error,
        message: "a symbolic link".to_owned(),
        position: Some(Position {
            file: "a.yaml".to_owned(),
            start: 0,
            end: 3,
            line: 1,
            column: 1,
        }),
        help: None,
    };
    let sources = Sources {
        spec: Some(file("spec.yaml", "services: []\r\n# é\u{0}\u{feff}".as_bytes())),
        services: vec![file("services/a.yaml", b"\xff\xfe\x00"), file("services/b.yaml", b"")],
        policies: Vec::new(),
        findings: reading::ALL.map(finding).to_vec(),
    };
    let text = again(&sources);
    assert!(text.contains(r#""base64":"//4A""#), "{text}");
    let refused =
        |text: &str| serde_json::from_str::<SourceFile>(text).expect_err("no file").to_string();
    insta::assert_snapshot!(
        [
            refused(r#"{"path":"a"}"#),
            refused(r#"{"path":"a","text":"","base64":""}"#),
            refused(r#"{"path":"a","base64":"*"}"#),
            serde_json::from_str::<Code>(r#""bad-yaml""#).expect_err("no code").to_string(),
        ]
        .join("\n"),
        @"
    `a` needs one of `text` and `base64`
    `a` needs one of `text` and `base64`
    the content of `a` is not base 64: Invalid symbol 42, offset 0.
    `bad-yaml` is no code of reading a spec
    "
    );
}

#[test]
fn what_deciding_is_given() {
    again(
        &[
            Measured::Value { value: 0.1, at: Moment(1) },
            Measured::Absent,
            Measured::Failed("no answer".into()),
        ]
        .to_vec(),
    );
    let burst = Burst {
        id: "1".to_owned(),
        service: ServiceId::try_from("web").expect("a name"),
        region: None,
        replicas: Count(3),
        reason: "sale".to_owned(),
        author: "ada".to_owned(),
        from: Moment(1),
        until: Moment(2),
    };
    again(&burst);
    let Burst { id, service, region, reason, author, from, until, .. } = burst;
    again(&Pause { id, service, region, reason, author, from, until });
    again(&TargetState {
        effective: Some(Count(2)),
        timers: vec![None, Some(Moment(3))],
        ..TargetState::default()
    });
}
