//! Hostile words in every place where words of others reach the comment: its structure stays the same.
//!
//! The page is read by a markdown parser of other people's, and compared with the page that harmless words make.
//! What GitHub looks for beside markdown is looked for in the text that this parser leaves.

use std::fmt::Write as _;
use std::sync::LazyLock;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};
use regex::Regex;

use super::*;
use crate::model::testing::{bounds, replica, service, target};
use crate::model::{
    Autoscale, Code, Count, Diagnostic, DnsRecord, EnvValue, Exit, Gap, Health, HealthProbe,
    LoadBalancing, Phase as ReplicaPhase, Policy, PolicyChoice, Port, Position, Routing, Schedule,
    Severity, Storage, Windows,
};

const HOSTILE: &[&str] = &[
    "**bold** _it_ ~~gone~~ `code` ``co`de``",
    "# Heading",
    "1. item",
    "- item",
    "+ item",
    "* item",
    "- [x] task",
    "> quote",
    "> [!WARNING]",
    "====",
    "----",
    "Title\n=====",
    "Title\n---",
    "\n\n# Heading\n\n- list\n\ntext",
    "    indented code",
    "\tindented code",
    "a\r\n\r\n***\r\n",
    "| cell | cell |",
    "x | y \\| z \\\\| w",
    "|\n| --- |\n| row |",
    "\\",
    "\\\\|",
    "```",
    "````\n# out\n````",
    "```\n</details>\n# out\n```",
    "~~~\n# out\n~~~",
    "~~~~~~~~",
    "` `` ``` ```` `````",
    "<b>bold</b><script>alert(1)</script>",
    "</details></summary><h1>out</h1>",
    "<details open><summary>mine</summary>",
    "<!-- hidden",
    "--> out <!--",
    "--!> out",
    "<!-- tidegate:pull:acme e30 00 -->",
    "<!-- tidegate:plan -->",
    "\n<!-- tidegate:foot -->\n",
    "<?php ?> <![CDATA[x]]> <!DOCTYPE html>",
    "<a href=\"https://evil.example\">x</a><img src=x onerror=alert(1)>",
    "&lt;b&gt; &#35; &commat;team &#x40;team &colon;x&colon;",
    "[link](https://evil.example) [ref][1] [1]: https://evil.example",
    "[1]: https://evil.example \"title\"",
    "![image](https://evil.example/pixel.png)",
    "text[^1]\n\n[^1]: a note",
    "<https://evil.example> <me@evil.example>",
    "https://evil.example http://evil.example ftp://evil.example www.evil.example WWW.evil.example",
    "mailto:me@evil.example xmpp:me@evil.example me@evil.example",
    "@acme/security @alice",
    "(@alice) /@alice x@alice",
    "#1 GH-1 gh-1 acme/infra#1 acme/infra@0123456789abcdef",
    "0123456789abcdef0123456789abcdef01234567 deadbeef 1234567 DEADBEEF",
    ":x: :+1: :shipit: :100:",
    "$x^2$ $$\\frac{1}{2}$$ $`x`$",
    "fixes #1, closes acme/infra#2",
    "/tidegate apply 0123456789ab",
    "\u{1b}[31mred\u{1b}[0m \u{7}\u{8}\u{0}",
    "\u{202e}txet\u{202c} \u{2066}x\u{2069} \u{200f}\u{61c}",
    "a\u{200b}b\u{200d}c\u{feff}d\u{2060}e\u{ad}f\u{180e}g\u{fff9}h\u{e0041}i\u{fe0f}j\u{3164}k",
    "line\u{2028}line\u{2029}line\u{85}line\u{b}line",
    "%%{init: {'securityLevel': 'loose'}}%%",
    "end\n  click A \"javascript:alert(1)\"",
    "@@ -1,1 +1,1 @@",
    "+++ b/file\n--- a/file",
    "{{ template }} ${{ secrets.TOKEN }}",
    "%0a %3Cscript%3E ../../.. ?x=y#L1 (a) b",
    "- key: &anchor *alias !!tag",
    "a word with dots. 1) and so on... 10:20:30",
];

/// A spec with these words in every text of it, and a world and a plan with them.
fn world(words: &str) -> (Spec, Spec, Plan) {
    let text = || words.to_owned();
    let mut base = Spec::default();
    let quiet = service("web", Autoscale::Manual, bounds(0, 1, 6));
    let gone = service("gone", Autoscale::Manual, bounds(0, 1, 6));
    base.services = [(quiet.id.clone(), quiet.clone()), (gone.id.clone(), gone)].into();

    let schedule = Schedule {
        name: words.into(),
        windows: Windows::parse("0 8 * * *", "0 18 * * *", "UTC").unwrap(),
        replicas: Count(2),
    };
    let policy = Policy {
        fingerprint: 1,
        document: serde_json::json!({
            "description": words, "rules": [{"name": words}], "labels": {(words): words},
            "signals": {"rps": {"query": words, "unit": words, "metric": words}},
        }),
        signals: Vec::new(),
        targets: Vec::new(),
        rules: Vec::new(),
        thresholds: 0,
        expression: None,
        schedules: vec![schedule],
        idle: None,
        behavior: crate::model::Behavior::default(),
    };
    let mut web = quiet;
    web.display_name = Some(text());
    web.description = Some(text());
    web.scale.autoscale = Autoscale::Metrics;
    web.scale.policy = Some(PolicyChoice::Named("http".try_into().unwrap()));
    let template = web.template.as_mut().unwrap();
    template.image = Some(text());
    template.command = vec![text(), text()];
    template.env = [(text(), EnvValue::Literal(text()))].into();
    template.ports =
        vec![Port { name: Some(text()), container_port: 80, host_port: None, env: Some(text()) }];
    template.health = Some(Health {
        probe: HealthProbe::Http { path: text(), port: None },
        interval: std::time::Duration::from_secs(1),
        timeout: std::time::Duration::from_secs(1),
        failures: 1,
        start_period: std::time::Duration::ZERO,
    });
    web.storage = Some(Storage {
        provider: text(),
        credentials_ref: None,
        buckets: [(text(), text())].into(),
    });
    let record = DnsRecord { name: text(), kind: text(), ttl_s: None, content: Some(text()) };
    web.routing = Some(Routing {
        provider: text(),
        zone: Some(text()),
        dns_records: vec![record],
        load_balancing: Some(LoadBalancing {
            strategy: Some(text()),
            health_check_path: Some(text()),
        }),
    });
    let after = Spec {
        services: [(web.id.clone(), web)].into(),
        policies: [("http".try_into().unwrap(), policy)].into(),
        guard: None,
    };

    let hash = crate::model::TemplateHash::from("older");
    let mut sick =
        replica(&target("web", "local"), 0, &hash, ReplicaPhase::Unhealthy { why: text() });
    sick.last_exit = Some(Exit { at: now(), reason: text() });
    let left = replica(&target("gone", "local"), 0, &hash, ReplicaPhase::Ready);
    let mut seen = observed(vec![sick, left]);
    let region = "elsewhere".try_into().unwrap();
    seen.gaps.push(Gap { provider: "host".try_into().unwrap(), region, error: text() });
    let mut plan = plan_of(Some(&base), &after, &seen);
    plan.totals.currency = text();
    for target in &mut plan.targets {
        target.held.iter_mut().for_each(|held| held.sentence = text());
        let actions = target.steps.iter_mut().flat_map(|step| &mut step.actions);
        actions.for_each(|action| action.why = text());
    }
    (base, after, plan)
}

/// Every comment that there can be with these words.
fn comments(words: &str) -> Vec<String> {
    let text = || words.to_owned();
    let (base, after, plan) = world(words);
    let backtests = [Backtest {
        target: target("web", "local"),
        table: "| a |\n| --- |\n| b |".to_owned(),
        chart: Some("line [1]".to_owned()),
        note: Some(text()),
    }];
    let source = format!("a: 1\nb: 2\n{words}\nc: 3\n");
    let sources = Sources {
        spec: Some(SourceFile { path: text(), bytes: source.clone().into_bytes() }),
        ..Sources::default()
    };
    let finding = Diagnostic {
        code: Code("some-code"),
        severity: Severity::Error,
        message: text(),
        position: Some(Position { file: text(), start: 0, end: source.len(), line: 1, column: 1 }),
        help: Some(text()),
    };
    let sections = [
        section(Some(&base), &after, &plan, &backtests, &[text()]),
        invalid(&[finding], &sources, &commit('c'), &links()),
        conflict(&[text(), text()]),
    ];
    let mut comments = Vec::new();
    for section in &sections {
        assert!(section.0.len() <= SECTION_BYTES_MAX, "{}", section.0.len());
        // Every head, once; the parts do not depend on each other.
        let heads = if section == &sections[0] { usize::MAX } else { 1 };
        for mut phase in phases(&[text(), text()]).into_values().take(heads) {
            if let Phase::Failed { merged, .. } = &mut phase {
                merged.by = Some(text());
                merged.differences = vec![text()];
            }
            let memo = Memo { verdict: text(), earlier: vec![earlier(words)], ..memo(phase) };
            comments.push(body(&memo, section, &links()));
        }
    }
    comments
}

/// The tags and hidden lines that are ours.
static OURS: LazyLock<Regex> = LazyLock::new(|| {
    let hidden = "<!-- tidegate:[a-z]+( |:acme [A-Za-z0-9_-]+ [0-9a-f]{64} )-->";
    Regex::new(&format!("</?(details|summary)>|{hidden}")).unwrap()
});

/// A page without its words: the structure, and the words outside code.
struct Page {
    structure: String,
    text: String,
}

fn page(comment: &str) -> Page {
    let mut page = Page { structure: String::new(), text: String::new() };
    let (mut in_block, mut in_code) = (false, false);
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_MATH
        | Options::ENABLE_GFM;
    for event in Parser::new_ext(comment, options) {
        match event {
            Event::Text(text) if in_block || in_code => drop(text),
            Event::Text(text) => page.text.push_str(&text),
            Event::Code(_) => page.structure.push_str("code\n"),
            Event::InlineHtml(tag) if &*tag == "<code>" => {
                in_code = true;
                page.structure.push_str("code\n");
            }
            Event::InlineHtml(tag) if &*tag == "</code>" => in_code = false,
            Event::InlineHtml(tag) => panic!("inline HTML {tag} in\n{comment}"),
            Event::Html(html) => {
                let words = OURS.replace_all(&html, "");
                assert!(!words.contains(['<', '>']), "HTML {html} in\n{comment}");
                page.text.push_str(&words);
                for tag in OURS.find_iter(&html) {
                    let tag: String = tag.as_str().chars().take(20).collect();
                    let _ = writeln!(page.structure, "html {tag}");
                }
            }
            Event::Start(tag) => {
                match &tag {
                    Tag::CodeBlock(CodeBlockKind::Fenced(info)) => {
                        in_block = true;
                        let _ = write!(page.structure, "fence {info} ");
                    }
                    Tag::Link { dest_url, .. } => {
                        let ours = dest_url.starts_with("https://github.com/acme/infra/")
                            && !dest_url.split('/').any(|part| part == "..");
                        assert!(ours, "a link to {dest_url} in\n{comment}");
                    }
                    Tag::Image { dest_url, .. } => panic!("an image {dest_url} in\n{comment}"),
                    _ => {}
                }
                let name = format!("{tag:?}");
                let name = name.split(['(', ' ', '{']).next().unwrap();
                let _ = writeln!(page.structure, "start {name}");
                page.text.push('\n');
            }
            Event::End(tag) => {
                in_block = false;
                let _ = writeln!(page.structure, "end {tag:?}");
                page.text.push('\n');
            }
            Event::SoftBreak | Event::HardBreak => page.text.push('\n'),
            other => {
                let name = format!("{other:?}");
                let _ = writeln!(page.structure, "{}", name.split('(').next().unwrap());
            }
        }
    }
    page
}

/// What GitHub makes more of than text, besides markdown.
fn github_extras() -> Vec<(&'static str, Regex)> {
    [
        ("a mention", r"@[A-Za-z0-9]"),
        ("a reference", r"#[0-9]"),
        ("a reference by name", r"(?i)\bgh-[0-9]"),
        ("an address", r"(?i)(https?|ftp)://"),
        ("an address", r"(?i)(mailto|xmpp):[A-Za-z0-9]"),
        ("an address", r"(?i)www\."),
        ("an emoji", r":([A-Za-z0-9_+-]*[A-Za-z][A-Za-z0-9_+-]*|[+-]1|100|1234):"),
        ("a commit", r"(?i)\b[0-9a-f]{7,40}\b"),
        ("a formula", r"\$[^\s\u{200b}]"),
        ("a footnote", r"^\[\^"),
    ]
    .map(|(what, pattern)| (what, Regex::new(pattern).unwrap()))
    .into()
}

fn assert_inert(comment: &str, extras: &[(&str, Regex)], words: &str) -> String {
    let page = page(comment);
    for (what, pattern) in extras {
        let found = pattern.find(&page.text).map(|found| found.as_str());
        assert_eq!(found, None, "{what} from {words:?} in\n{}", page.text);
    }
    let hidden = comment
        .chars()
        .find(|c| *c != '\n' && plan::render::harmless(&c.to_string()) != c.to_string());
    assert_eq!(hidden, None, "a hidden character from {words:?}");
    page.structure
}

#[test]
fn hostile_words_change_nothing_but_words() {
    let extras = github_extras();
    let expected: Vec<String> =
        comments("word").iter().map(|text| assert_inert(text, &extras, "word")).collect();
    assert!(expected[0].contains("fence mermaid") && expected[0].contains("start Table"));
    for words in HOSTILE {
        // Also after a word of our own, where other rules hold than at the beginning.
        for words in [(*words).to_owned(), format!("word {words} word")] {
            for (comment, expected) in comments(&words).iter().zip(&expected) {
                let structure = assert_inert(comment, &extras, &words);
                similar_asserts(&structure, expected, &words);
            }
        }
    }
}

fn similar_asserts(found: &str, expected: &str, words: &str) {
    if found != expected {
        let diff = similar::TextDiff::from_lines(expected, found);
        panic!("{words:?} changes the structure:\n{}", diff.unified_diff());
    }
}

/// A very long word is cut, and what is left of the comment is whole.
#[test]
fn very_long_words_are_cut() {
    let extras = github_extras();
    for unit in ["x", "@", "`", "|", "https://evil.example/", "😀", "<b>"] {
        for comment in comments(&unit.repeat(20_000 / unit.len())) {
            assert!(comment.len() <= COMMENT_CHARS_MAX, "{unit} {}", comment.len());
            let structure = assert_inert(&comment, &extras, unit);
            assert_eq!(
                structure.matches("html <details>").count(),
                structure.matches("html </details>").count(),
                "{unit}"
            );
        }
    }
}

/// The words of a name are told apart although nobody can see the difference.
#[test]
fn what_is_hidden_is_shown() {
    let shown = plan::render::inert::inline("a\u{200b}b\u{e0041}\u{fe0f}");
    assert_eq!(shown, "a\\u{200b}b\\u{e0041}\\u{fe0f}".replace('\\', "&#92;"));
    assert_eq!(plan::render::inert::code("web|a"), "<code>web&#124;a</code>");
}
