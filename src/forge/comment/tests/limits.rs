//! The limit is kept, and what was written is read again.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::model::testing::{bounds, replica, service, target};
use crate::model::{Autoscale, Phase as ReplicaPhase, ServiceId};

fn owner() -> OwnerId {
    "acme".try_into().unwrap()
}

#[test]
fn what_was_written_is_read_again_also_as_a_forge_gives_it_back() {
    let fenced = "```diff\n <!-- tidegate:foot -->\n<!-- tidegate:plan -->\n```\n\n  kept  \n";
    for (name, phase) in phases(&["a <b> | c".to_owned()]) {
        for section in [Section(fenced.to_owned()), Section::default(), untouched()] {
            let memo = Memo { earlier: vec![earlier("x")], ..memo(phase.clone()) };
            let text = body(&memo, &section, &links());
            let expected = Some(Read { memo, section: section.clone(), is_intact: true });
            for text in [text.clone(), text.replace('\n', "\r\n"), text.trim_end().to_owned()] {
                assert_eq!(read(&text, &owner()), expected, "{name}");
            }
        }
    }
}

#[test]
fn an_edit_by_hand_shows_and_a_foreign_comment_is_none_of_ours() {
    let memo = memo(Phase::Planned);
    let text = body(&memo, &untouched(), &links());
    let edited = text.replace("Nothing of the spec is changed", "All is well");
    assert_ne!(edited, text);
    let found = read(&edited, &owner()).unwrap();
    assert_eq!((found.is_intact, found.memo.clone()), (false, memo.clone()));
    assert!(!read(&text.replace("tidegate:plan", "plan"), &owner()).unwrap().is_intact);
    assert_eq!(read(&text, &"other".try_into().unwrap()), None);
    assert_eq!(read(&format!("> quoted\n{text}"), &owner()), None);
    assert_eq!(read(&format!(" {text}"), &owner()), None);
    let newer = Memo { version: MEMO_VERSION + 1, ..memo };
    assert_eq!(read(&body(&newer, &untouched(), &links()), &owner()), None);
    assert_eq!(read(&format!("{text}{}", "x".repeat(300_000)), &owner()), None);
}

/// The words of attackers, and of accidents.
fn words() -> impl Strategy<Value = String> {
    let length = prop_oneof![Just(0_usize), 1..40_usize, 200..900_usize];
    let sign = proptest::sample::select(vec![
        "@", "$", "|", "`", "<", "\u{1b}", "\"", "\\", "é", "😀", "a", " ", "\u{202e}", "-->", "#",
        "\n",
    ]);
    (length, proptest::collection::vec(sign, 1..4))
        .prop_map(|(length, signs)| signs.concat().chars().cycle().take(length).collect())
}

fn memos() -> impl Strategy<Value = Memo> {
    let texts = proptest::collection::vec(words(), 0..45);
    let plans = proptest::collection::vec(words(), 0..60);
    (texts, plans, words(), 0..13_usize, any::<bool>()).prop_map(
        |(texts, plans, word, phase, is_merge_long)| {
            let mut phase = phases(&texts).into_values().nth(phase).unwrap();
            if is_merge_long && let Phase::Failed { merged, .. } = &mut phase {
                merged.differences = texts.clone();
                merged.by = Some(word.clone());
            }
            Memo {
                key: word.clone(),
                verdict: word.clone(),
                digest: Some(PlanDigest(word)),
                earlier: plans.iter().map(|plan| earlier(plan)).collect(),
                ..memo(phase)
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_comment_is_within_the_limit_whatever_it_remembers(memo in memos(), full in any::<bool>()) {
        let section = Section("x".repeat(if full { SECTION_BYTES_MAX } else { 10 }));
        let text = body(&memo, &section, &links());
        prop_assert!(text.len() <= COMMENT_CHARS_MAX, "{}", text.len());
        let found = read(&text, &memo.owner).unwrap();
        prop_assert!(found.is_intact);
        prop_assert_eq!(&found.section, &section);
        // What was kept is kept: writing it again changes nothing, and nothing is lost uncounted.
        prop_assert_eq!(body(&found.memo, &found.section, &links()), text);
        let plans = found.memo.earlier.len() + found.memo.earlier_left_out;
        prop_assert_eq!(plans, memo.earlier.len());
        prop_assert!(found.memo.earlier.iter().rev().zip(memo.earlier.iter().rev())
            .all(|(kept, of)| kept.head == of.head));
    }

    #[test]
    fn garbage_is_read_without_harm(text in "(<!-- tidegate:pull:acme )?[ -~\\n\\r]{0,80}( -->)?\\n?.{0,40}") {
        let _ = read(&text, &owner());
    }

    #[test]
    fn a_comment_with_a_piece_out_of_it_is_not_taken_for_whole(at in 0..2_000_usize, len in 1..60_usize) {
        let text = body(&memo(Phase::Planned), &untouched(), &links());
        let (start, end) = (at % (text.len() - 1), (at % (text.len() - 1) + len).min(text.len() - 1));
        prop_assume!(text.is_char_boundary(start) && text.is_char_boundary(end) && start < end);
        let cut = [&text[..start], &text[end..]].concat();
        prop_assert!(read(&cut, &owner()).is_none_or(|found| !found.is_intact));
    }
}

/// Five thousand services in two regions each: all change, some vanish.
#[test]
fn five_thousand_services_are_cut_by_whole_parts() {
    let of = |count: usize, max: u32| {
        let mut all = Spec::default();
        for n in 0..count {
            let mut made = service("x", Autoscale::Manual, bounds(0, 2, max));
            made.id = ServiceId::try_from(format!("service-{n:04}")).unwrap();
            all.services.insert(made.id.clone(), made);
        }
        all
    };
    let (base, after) = (of(5_000, 6), of(4_960, 8));
    let hash = base.services.values().next().unwrap().template.as_ref().unwrap().hash();
    let mut world = Vec::new();
    for n in 0..5_000 {
        let id = format!("service-{n:04}");
        let count = if n % 3 == 0 { 1 } else { 2 };
        world.extend(
            (0..count).map(|o| replica(&target(&id, "local"), o, &hash, ReplicaPhase::Ready)),
        );
    }
    let plan = plan_of(Some(&base), &after, &observed(world));
    let began = Instant::now();
    let made = section(Some(&base), &after, &plan, &[], &[]);
    // Unoptimised, on a machine that does other things too; a hundredth of that where it counts.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(made.0.len() <= SECTION_BYTES_MAX);
    assert_eq!(made, section(Some(&base), &after, &plan, &[], &[]));
    assert_eq!(plan.totals.held, 40);
    let first = made.0.lines().find(|line| line.starts_with("| `")).unwrap();
    assert!(first.contains("vanished-service"), "{first}");
    assert_eq!(made.0.matches("| vanished-service |").count(), 40);
    let skeleton: Vec<&str> = made
        .0
        .lines()
        .filter(|line| !line.starts_with("| `service") && !line.starts_with("- `"))
        .collect();
    insta::assert_snapshot!("cut", skeleton.join("\n"));
}

#[test]
fn charts_go_first_then_diffs_then_folds_that_say_least() {
    let mut base = Spec::default();
    for n in 0..12 {
        let made = service(&format!("s{n:02}"), Autoscale::Manual, bounds(0, 0, 6));
        base.services.insert(made.id.clone(), made);
    }
    let mut after = base.clone();
    for (n, made) in after.services.values_mut().enumerate() {
        let template = made.template.as_mut().unwrap();
        template.command =
            (0..120).map(|line| format!("argument {line} of {n} {}", "x".repeat(20))).collect();
        if n == 11 {
            made.scale.regions.values_mut().for_each(|region| region.bounds = bounds(0, 1, 6));
        }
    }
    let plan = plan_of(Some(&base), &after, &observed(Vec::new()));
    let test = |chart: usize| Backtest {
        target: target("s00", "local"),
        table: "| a |\n| --- |\n| b |".to_owned(),
        chart: Some("line\n".repeat(chart)),
        note: None,
    };
    let small = section(Some(&base), &after, &plan, &[test(10)], &[]).0;
    let creates = small.find("s11/local: create 1").unwrap();
    assert!(creates < small.find("s00: no actions").unwrap(), "what creates comes first");
    assert!(small.contains("The chart is left out here."), "{small}");
    let (with, without) =
        (small.matches("```diff\n").count(), small.matches("lines of diff are").count());
    assert!(with > 1 && without > 1, "{with} and {without}");
    assert_eq!(small.matches("<details>").count(), 13, "every fold is there");
    let full = small.find("lines of diff are").unwrap();
    assert!(small[..full].contains("s11/local: create 1"), "the weightiest keeps its diff");
}

#[test]
fn findings_are_cut_whole_and_errors_come_first() {
    let finding = |n: usize, severity| crate::model::Diagnostic {
        code: crate::model::Code("some-code"),
        severity,
        message: format!("finding {n}: {}", "m".repeat(500)),
        position: None,
        help: Some("h".repeat(500)),
    };
    use crate::model::Severity::{Error, Warning};
    let findings: Vec<_> =
        (0..100).map(|n| finding(n, if n < 60 { Warning } else { Error })).collect();
    let made = invalid(&findings, &Sources::default(), &commit('c'), &links()).0;
    assert!(made.len() <= SECTION_BYTES_MAX);
    assert!(made.starts_with("**Error** `some-code`: finding 60"));
    let shown = made.matches("finding ").count();
    assert!(
        made.ends_with(&format!(
            "And {} more findings: `tidegate validate` shows all.",
            100 - shown
        ))
    );
    let paths: Vec<String> = (0..10_000).map(|n| format!("`a|b`{n}")).collect();
    assert!(conflict(&paths).0.contains("- and 9950 more\n"));
}
