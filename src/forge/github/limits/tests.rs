use hyper::header::{HeaderName, HeaderValue};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        })
        .collect()
}

#[test]
fn nothing_is_sent_until_the_hour_is_over() {
    let mut limits = Limits::new(Budget::default());
    let now = at("2026-11-21T10:00:00Z");
    let reset = at("2026-11-21T10:20:00Z");
    let used_up = headers(&[
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", &reset.as_second().to_string()),
    ]);
    assert_eq!(limits.learn(now, StatusCode::OK, &used_up, ""), None, "the last answer is good");
    let wait = limits.admit(at("2026-11-21T10:20:00Z"), false).expect_err("limited");
    assert_eq!(wait.until, at("2026-11-21T10:20:01Z"));
    assert_eq!(limits.admit(wait.until, false), Ok(()));

    let wait = limits.learn(now, StatusCode::FORBIDDEN, &used_up, "API rate limit exceeded");
    assert_eq!(wait.expect("limited").until, at("2026-11-21T10:20:01Z"));
}

#[test]
fn a_time_that_makes_no_sense_does_not_stop_everything_for_ever() {
    let now = at("2026-11-21T10:00:00Z");
    for reset in ["99999999999", "-1", "soon", "0", "99999999999999999999"] {
        let mut limits = Limits::new(Budget::default());
        let headers = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)]);
        let wait = limits.learn(now, StatusCode::FORBIDDEN, &headers, "").expect("limited");
        assert!(wait.until > now && wait.until <= at("2026-11-21T11:05:00Z"), "{reset}: {wait:?}");
    }
    let mut limits = Limits::new(Budget::default());
    let wait = limits.learn(
        now,
        StatusCode::TOO_MANY_REQUESTS,
        &headers(&[("retry-after", "4000000000")]),
        "",
    );
    assert_eq!(wait.expect("limited").until, at("2026-11-21T11:05:00Z"));
}

#[test]
fn a_secondary_limit_waits_a_minute_and_doubles() {
    let mut limits = Limits::new(Budget::default());
    let words = "You have exceeded a secondary rate limit. Please wait a few minutes";
    let mut now = at("2026-11-21T10:00:00Z");
    let mut waits = Vec::new();
    for _ in 0..8 {
        let wait =
            limits.learn(now, StatusCode::FORBIDDEN, &HeaderMap::new(), words).expect("limited");
        // A second one that was under way at the same time changes nothing.
        let again = limits.learn(now, StatusCode::FORBIDDEN, &HeaderMap::new(), words);
        assert_eq!(again.as_ref(), Some(&wait));
        waits.push(wait.until.duration_since(now).as_secs() - 1);
        now = wait.until;
    }
    assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 1920, 1920]);
    assert_eq!(limits.learn(now, StatusCode::OK, &HeaderMap::new(), ""), None);
    let wait = limits.learn(now, StatusCode::FORBIDDEN, &HeaderMap::new(), words).expect("limited");
    assert_eq!(wait.until.duration_since(now).as_secs(), 61);
}

#[test]
fn a_named_time_is_obeyed_and_a_plain_refusal_is_no_limit() {
    let mut limits = Limits::new(Budget::default());
    let now = at("2026-11-21T10:00:00Z");
    let after = headers(&[("retry-after", "7")]);
    let wait = limits.learn(now, StatusCode::FORBIDDEN, &after, "").expect("limited");
    assert_eq!(wait.until, at("2026-11-21T10:00:08Z"));

    let mut limits = Limits::new(Budget::default());
    let left = headers(&[("x-ratelimit-remaining", "17")]);
    let words = "Resource not accessible by integration";
    assert_eq!(limits.learn(now, StatusCode::FORBIDDEN, &left, words), None);
    assert_eq!(limits.admit(now, true), Ok(()));
}

#[test]
fn writes_keep_to_both_windows_and_reads_are_free() {
    let mut limits = Limits::new(Budget { per_minute: 2, per_hour: 3 });
    assert_eq!(limits.admit(at("2026-11-21T10:00:00Z"), true), Ok(()));
    assert_eq!(limits.admit(at("2026-11-21T10:00:10Z"), true), Ok(()));
    let wait = limits.admit(at("2026-11-21T10:00:59Z"), true).expect_err("two in a minute");
    assert_eq!(wait.until, at("2026-11-21T10:01:00Z"));
    assert_eq!(limits.admit(at("2026-11-21T10:00:59Z"), false), Ok(()));
    assert_eq!(limits.admit(wait.until, true), Ok(()));
    let wait = limits.admit(at("2026-11-21T10:30:00Z"), true).expect_err("three in an hour");
    assert_eq!(wait.until, at("2026-11-21T11:00:00Z"));
    assert_eq!(limits.admit(wait.until, true), Ok(()));

    let mut none = Limits::new(Budget { per_minute: 0, per_hour: 0 });
    assert!(none.admit(at("2026-11-21T10:00:00Z"), true).is_err());
}
