//! Values, places and limits of the YAML loader.

use std::time::Instant;

use serde_json::json;

use super::{Kind, Node, Parsed, parse};

fn root(text: &str) -> Node {
    let Parsed { root, faults } = parse(text.as_bytes());
    assert_eq!(faults, [], "{text}");
    root.expect("a document")
}

fn codes(text: &[u8]) -> Vec<&'static str> {
    parse(text).faults.iter().map(|fault| fault.code.0).collect()
}

#[test]
fn scalars_mean_what_the_core_schema_of_yaml_1_2_says() {
    let text = "[~, null, true, no, 0777, 0o17, 0x1F, -3, 2.0, 0.5, 1e3, .5, 1_000, 12:30, '4', .inf, \
                18446744073709551615, !!str 5, 2026-12-01, \"a\\tb\"]";
    assert_eq!(
        root(text).to_json(),
        json!([
            null,
            null,
            true,
            "no",
            777,
            15,
            31,
            -3,
            2,
            0.5,
            1000,
            0.5,
            "1_000",
            "12:30",
            "4",
            ".inf",
            18446744073709551615u64,
            "5",
            "2026-12-01",
            "a\tb"
        ])
    );
}

/// Every plain scalar and key stands where its span says, whatever comes before it.
#[test]
fn spans_are_bytes_of_the_file() {
    let text = "# ü comment – with wide characters 漢字\nnäme: wört\nlist:\n  - ein\n  - {k: vöß, z: 漢}\n\
                tail: ende # comment\nblock: |\n  zwei\n  drei\nempty:\nquoted: \"x\"\n";
    for text in [
        text.to_owned(),
        text.replace('\n', "\r\n"),
        format!("\u{feff}{text}"),
        format!("{}{text}", "# 漢字漢字漢字漢字漢字\n".repeat(40)),
    ] {
        check_spans(&root(&text), &text);
    }
}

fn check_spans(node: &Node, text: &str) {
    let shown = text.get(node.span.start..node.span.end).expect("a range on character borders");
    match &node.kind {
        Kind::Text(value) if !shown.starts_with('"') && !shown.contains('\n') => {
            assert_eq!(shown, &**value);
        }
        Kind::Text(_) | Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
        Kind::List(items) => items.iter().for_each(|item| check_spans(item, text)),
        Kind::Map(entries) => {
            for entry in entries {
                assert_eq!(text.get(entry.key_span.start..entry.key_span.end), Some(&*entry.key));
                check_spans(&entry.value, text);
            }
        }
    }
}

#[test]
fn aliases_and_merge_keys_expand() {
    let text =
        "base: &b {min: 1, max: 2}\none: {<<: *b, max: 3}\ntwo: *b\nthree:\n  <<: [*b, {x: 1}]\n";
    let json = root(text).to_json();
    assert_eq!(json["one"], json!({"min": 1, "max": 3}));
    assert_eq!(json["two"], json!({"min": 1, "max": 2}));
    assert_eq!(root("{\"<<\": 1}").to_json(), json!({"<<": 1}));
    assert_eq!(json["three"], json!({"min": 1, "max": 2, "x": 1}));
}

#[test]
fn what_is_not_one_plain_document_is_refused() {
    let cases: [(&[u8], &[&str]); 12] = [
        (b"a: 1\na: 2\n", &["duplicate-key"]),
        (b"a: 1\n---\nb: 2\n", &["multiple-documents"]),
        (b"a: !env X\n", &["unsupported-tag"]),
        (b"a: !!int x\n", &["unsupported-tag"]),
        (b"? [a]\n: 1\n", &["bad-key"]),
        (b"~: 1\n", &["bad-key"]),
        (b"a: *b\n", &["bad-yaml"]),
        (b"a: &a [*a]\n", &["bad-yaml"]),
        (b"a:\n\tb: 1\n", &["bad-yaml"]),
        (b"a: 1\x00\nb: 2\n", &["bad-yaml"]),
        (b"a: \xff\n", &["bad-encoding"]),
        (b"<<: 1\n", &["bad-yaml"]),
    ];
    for (text, expected) in cases {
        assert_eq!(codes(text), expected, "{}", String::from_utf8_lossy(text));
    }
    assert_eq!(codes(b""), [""; 0]);
    assert_eq!(codes(b"# nothing\n"), [""; 0]);
}

/// Small files that would be large, deep or slow end quickly, with a clear code.
#[test]
fn hostile_files_end_quickly() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ('b'..='z').zip('a'..='y') {
        let copies = vec![format!("*{before}"); 10].join(", ");
        bomb.extend([name, ':', ' ', '&', name, ' ', '[']);
        bomb.push_str(&copies);
        bomb.push_str("]\n");
    }
    let cases = [
        (bomb, "too-large"),
        (format!("a: {}", "[".repeat(1_000_000)), "too-deep"),
        (format!("a: {}", "{a: ".repeat(300_000)), "too-deep"),
        ("- ".repeat(500_000), "too-deep"),
        (format!("[{}]", "1,".repeat(2_100_000)), "too-large"),
        ("x".repeat(17 * 1024 * 1024), "too-large"),
    ];
    for (text, code) in cases {
        let start = Instant::now();
        assert_eq!(codes(text.as_bytes()), [code]);
        let millis = start.elapsed().as_millis();
        // Generous for a busy machine and a build without optimisation; a blow-up takes minutes.
        assert!(millis < 20_000, "{code} took {millis} ms");
    }
}

/// An alias costs three bytes, and its copy as many as the text it names: long texts weigh as they are long.
#[test]
fn copies_of_a_long_text_are_too_large() {
    let cases = [
        include_bytes!("../../../tests/corpus/spec/alias-text").as_slice(),
        include_bytes!("../../../tests/corpus/spec/alias-key"),
        include_bytes!("../../../tests/corpus/spec/alias-mapping-key"),
        include_bytes!("../../../tests/corpus/spec/alias-number-key"),
    ];
    for (index, text) in cases.into_iter().enumerate() {
        assert_eq!(codes(text), ["too-large"], "case {index}");
    }
    let tags = parse(include_bytes!("../../../tests/corpus/spec/long-tag-prefix"));
    let bytes: usize = tags.faults.iter().map(|fault| fault.message.len()).sum();
    assert!(bytes < 1_000_000, "messages of {bytes} bytes");
    assert!(!tags.faults.is_empty());
}
