use proptest::prelude::*;

use super::*;

const NAMES: [&str; 5] = ["backlog", "rps", "p95.ms", "a-b", "queue_depth"];
const NOW: Variables = Variables { count: 3, ready: 2, min: 1, max: 10 };

fn value(source: &str) -> Result<f64, ExpressionError> {
    let expression = Expression::parse(source, &NAMES)?;
    expression.value([("rps", 140.0), ("backlog", 25.0), ("unused", 1.0)], NOW)
}

#[test]
fn an_expression_means_what_it_says() {
    for (source, expected) in [
        ("ceil(backlog / 10.0)", 3.0),
        ("ceil(backlog / 10)", 3.0),
        ("count + 1", 4.0),
        ("count * 1.5", 4.5),
        ("-count + 2 * (ready - 1)", -1.0),
        ("1 - 2 - 3", -4.0),
        ("7.0 / 2", 3.5),
        ("min(backlog, rps, max)", 10.0),
        ("math.greatest(min, math.least(7, backlog))", 7.0),
        ("double(count) + int(2.9)", 5.0),
        ("round(2.5) + floor(-0.5) + abs(-4)", 6.0),
        ("backlog > 100 || rps >= 140 && !(ready == count) ? max : min", 10.0),
        ("backlog > 10 ? (rps > 200 ? 9 : 5) : count", 5.0),
        ("ready > 0 ? backlog / ready : queue_depth", 12.5),
        ("min(backlog / 0.0, max)", f64::NAN),
        ("3u", 3.0),
        ("// the backlog\n backlog", 25.0),
    ] {
        match value(source) {
            Ok(found) => assert_eq!(found, expected, "{source}"),
            Err(error) => assert!(expected.is_nan(), "{source}: {error}"),
        }
    }
}

#[test]
fn what_is_no_vote_now_is_an_error_and_no_number() {
    assert_eq!(value("queue_depth + 1"), Err(ExpressionError::NoValue("queue_depth".to_owned())));
    assert_eq!(value("backlog / (ready - 2)"), Err(ExpressionError::NotFinite(f64::INFINITY)));
    // What is not a number spoils a minimum: it must not be passed over.
    for source in ["min((ready - 2) / (count - 3), 4)", "max(4, (ready - 2) / (count - 3), 5)"] {
        assert!(matches!(value(source), Err(ExpressionError::NotFinite(nan)) if nan.is_nan()));
    }
    let expression = Expression::parse("rps + backlog", &NAMES).expect("an expression");
    assert_eq!(expression.signals(), [1, 0]);
    let by_index = expression.value_at(|index| [Some(1.0), Some(2.0)].get(index).copied()?, NOW);
    assert_eq!(by_index, Ok(3.0));
}

#[test]
fn what_cannot_vote_is_refused_with_its_place_and_what_to_write() {
    let deep = format!("{}1{}", "(".repeat(17), ")".repeat(17));
    let long = format!("backlog{}", " + 1".repeat(250));
    let shown: String = [
        "",
        "   ",
        "ceil(backlog / 10",
        "backlog +",
        "backlog backlog",
        "2 * backlgo",
        "p95.ms * 2",
        "1 + a-b",
        "backlog.value",
        "backlog > 3",
        "true",
        "backlog ? 1 : 2",
        "backlog > 1 ? 1 : rps > 2",
        "'three'",
        "[1, 2].size()",
        "backlog % 2",
        "size(backlog)",
        "math.sqrt(backlog)",
        "backlog.ceil()",
        "ceil(1, 2)",
        "min()",
        "backlog / 0",
        "7 / 2",
        "1e999",
        "99999999999999999999",
        "has(backlog.x) ? 1 : 2",
        "timestamp(1)",
        "null",
        "rps\n + ~1",
        "rps\n\n + oops",
        "backlog == rps == count ? 1 : 2",
        "b'x'",
        "12ab",
        "0x",
        "for + 1",
        "math.pi",
        ".backlog",
        "(1, 2)",
        "1 ? 2",
        "backlog > 1 ? 2",
        deep.as_str(),
        long.as_str(),
    ]
    .iter()
    .map(|source| match Expression::parse(source, &NAMES) {
        Ok(_) => format!("{source:?}\n  ACCEPTED\n"),
        Err(error) => {
            let source: String = source.chars().take(40).collect();
            format!("{source:?}\n  {error}\n")
        }
    })
    .collect();
    insta::assert_snapshot!(shown);
    let shadowed = Expression::parse("count + 1", &["count"]);
    assert!(matches!(shadowed, Err(ExpressionError::Unreadable { at: 1, .. })), "{shadowed:?}");
}

/// The deepest texts of every kind, on half the stack of a worker thread: an overflow ends the process.
#[test]
fn no_text_is_too_deep_for_the_stack() {
    let times = |text: &str| text.repeat(EXPRESSION_CHARS_MAX / text.len());
    let texts = [
        times("("),
        times("-"),
        times("!"),
        times("-!"),
        times("- "),
        times("1+"),
        times("a."),
        times("a("),
        times("1?"),
        times("1?1:"),
        times("a&&"),
        times("a||b&&"),
        times("1<"),
        times("."),
        times(","),
        times("a,"),
        format!("min({})", ["1"; 490].join(",")),
        format!("{}1", "-".repeat(EXPRESSION_CHARS_MAX - 1)),
        format!("{}1", "- -".repeat(EXPRESSION_CHARS_MAX / 3 - 1)),
        format!("{}1{}", "min(1+(-".repeat(8), "))".repeat(8)),
        format!("{}1{}", "min(1>2?3:".repeat(8), ")".repeat(8)),
        format!("1{}", "+1".repeat(EXPRESSION_CHARS_MAX / 2 - 1)),
        format!("{}1", "1>2?3:".repeat(EXPRESSION_DEPTH_MAX)),
        format!("1{}", "*2".repeat(EXPRESSION_CHARS_MAX / 2 - 1)),
        format!("{}1:2", "a>1||".repeat(190) + "1>2?"),
        format!("{}1:2", "1>2&&".repeat(190) + "1>2?"),
        format!("a{}", ".a()".repeat(249)),
    ];
    for text in texts {
        let worker = std::thread::Builder::new().stack_size(1 << 20);
        let text_of_worker = text.clone();
        let run = worker.spawn(move || {
            let started = std::time::Instant::now();
            if let Ok(expression) = Expression::parse(&text_of_worker, &NAMES) {
                let _ = expression.value([], NOW);
            }
            started.elapsed()
        });
        let took = run.expect("a thread").join().expect("no panic");
        // Without optimisation, on a busy machine; a blow-up takes for ever.
        let short: String = text.chars().take(12).collect();
        assert!(took.as_secs() < 20, "{short}: {took:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_panic(
        text in ".{0,60}",
        pieces in prop::collection::vec(prop::sample::select(vec![
            "backlog", "rps", "count", "min", "max", "ceil", "math", "has", "all", "exists", "map", "in",
            "true", "null", "1", "2.5", "1e3", "0x1F", "3u", ".", "(", ")", ",", "+", "-", "*", "/", "<",
            "<=", "==", "!=", "!", "&&", "||", "?", ":", " ", "\n", "//", "e", "99999999999999999999",
        ]), 0..24),
    ) {
        for text in [text, pieces.concat(), pieces.join(" ")] {
            match Expression::parse(&text, &NAMES) {
                Ok(expression) => {
                    let signals = NAMES.map(|name| (name, 1.0));
                    let found = expression.value(signals, NOW);
                    let ok = matches!(found, Ok(value) if value.is_finite())
                        || matches!(found, Err(ExpressionError::NotFinite(_)));
                    prop_assert!(ok, "{} gives {:?}", text, found);
                }
                Err(ExpressionError::Unreadable { at, .. } | ExpressionError::UnknownName { at, .. }) => {
                    prop_assert!((1..=text.chars().count() + 1).contains(&at), "{} at {}", text, at);
                }
                Err(_) => {}
            }
        }
    }
}

/// A random expression of doubles, as both would read it.
fn arbitrary() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["backlog", "rps", "count", "ready", "min", "max"])
            .prop_map(str::to_owned),
        (0_u32..50).prop_map(|tenths| format!("{:.1}", f64::from(tenths) / 10.0)),
        prop::sample::select(vec!["1.5e1", ".5", "2.0E-1"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 32, 3, |inner| {
        let condition = (inner.clone(), prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]), inner.clone())
            .prop_map(|(a, sign, b)| format!("{a} {sign} {b}"));
        let conditions = prop::collection::vec(condition, 1..4).prop_map(|conditions| {
            let joined: String = conditions
                .iter()
                .enumerate()
                .map(|(n, c)| match n % 3 {
                    0 if n == 0 => c.clone(),
                    1 => format!(" && !!({c})"),
                    _ => format!(" || {c}"),
                })
                .collect();
            joined
        });
        prop_oneof![
            4 => (inner.clone(), prop::sample::select(vec![" + ", "-", "*", " / "]), inner.clone())
                .prop_map(|(a, sign, b)| format!("{a}{sign}{b}")),
            1 => inner.clone().prop_map(|a| format!("({a})")),
            1 => inner.clone().prop_map(|a| format!("-({a})")),
            2 => (prop::sample::select(vec!["ceil", "floor", "round", "abs", "trunc"]), inner.clone())
                .prop_map(|(name, a)| format!("math.{name}({a})")),
            1 => (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("math.least(math.greatest({a}, {b}), {c})")),
            1 => (conditions, inner.clone(), inner.clone())
                .prop_map(|(c, a, b)| format!("({c} ? {a} : {b})")),
        ]
    })
}

/// What CEL's own interpreter makes of it.
fn by_cel(source: &str) -> Option<f64> {
    let mut environment = cel::Env::stdlib();
    environment.add_extension(cel::extensions::math).expect("an extension");
    let program = environment.compile(source).expect("an expression of CEL");
    let mut context = cel::Context::with_env(std::sync::Arc::new(environment));
    for (name, value) in [
        ("backlog", 25.0),
        ("rps", 140.0),
        ("count", 3.0),
        ("ready", 2.0),
        ("min", 1.0),
        ("max", 10.0),
    ] {
        context.add_variable_from_value(name, value);
    }
    match program.execute(&context) {
        Ok(cel::Value::Float(value)) => Some(value),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Precedence, association and every operator, against another implementation of the language.
    #[test]
    fn an_expression_means_what_it_means_in_cel(source in arbitrary()) {
        let Some(expected) = by_cel(&source).filter(|value| value.is_finite()) else { return Ok(()) };
        match value(&source) {
            Ok(found) => prop_assert_eq!(found.to_bits(), expected.to_bits(), "{}", source),
            // The one thing that is refused of what CEL computes.
            Err(ExpressionError::Unreadable { why, .. }) => prop_assert!(why.contains("zero"), "{}: {}", source, why),
            Err(ExpressionError::TooDeep) => {}
            Err(error) => prop_assert!(false, "{}: {}", source, error),
        }
    }
}
