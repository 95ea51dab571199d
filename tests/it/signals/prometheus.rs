//! The `prometheus` source against a real Prometheus.

use std::process::Command;
use std::time::{Duration, Instant};

use tidegate::model::Moment;
use tidegate::observe::signals::Span;

use super::{age_s, now, said, source, until_said};
use crate::support::prometheus::{Exporter, Prometheus};
use crate::support::web_server::{Reply, WebServer};

const TEXT: &str =
    "jobs_pending{queue=\"a\"} 42\ntwo{a=\"1\"} 1\ntwo{a=\"2\"} 2\nodd NaN\nrequests_total 100\n";

#[tokio::test]
async fn every_answer_is_what_it_is() {
    let old = now().0 - 120_000;
    let exporter = Exporter::start(&format!("{TEXT}old 7 {old}\n"));
    let server = Prometheus::start(&exporter, None);
    let prom = source(&format!("{{type: prometheus, url: '{}'}}", server.url()));
    until_said(prom.as_ref(), "jobs_pending", "42").await;
    for (query, expected) in [
        ("sum(jobs_pending{queue=~\"a|b\"})", "42"),
        ("scalar(sum(jobs_pending))", "42"),
        ("sum(two)", "3"),
        ("odd", "NaN"),
        ("1 / 0", "inf"),
        ("not_there", "absent"),
        ("sum(not_there)", "absent"),
        ("sum(not_there) or vector(0)", "0"),
        ("absent(not_there)", "1"),
        ("two", "2 series, where one number is needed: aggregate them, as in `sum(...)`"),
        (
            "jobs_pending[1m]",
            "the answer is a range of values: make it one, as in `avg_over_time(...)`",
        ),
        ("\"text\"", "the answer is a text, not a number"),
        (
            "sum(two",
            "the server answers with status 400: bad_data: invalid parameter \"query\": 1:8: parse error: unclosed left parenthesis",
        ),
    ] {
        assert_eq!(said(prom.as_ref(), query).await, expected, "{query}");
    }
    // A value is as old as its oldest sample, whatever is done with it.
    for query in [
        "old",
        "sum(old) + sum(jobs_pending)",
        "max_over_time(old[5m])",
        "sum(old or jobs_pending)",
    ] {
        let age_s = age_s(prom.as_ref(), query).await;
        assert!((119.0..150.0).contains(&age_s), "{query} is {age_s} s old");
    }
    for query in ["jobs_pending", "sum(jobs_pending)", "vector(3)", "not_there or vector(0)"] {
        let age_s = age_s(prom.as_ref(), query).await;
        assert!((-1.0..10.0).contains(&age_s), "{query} is {age_s} s old");
    }
    assert_eq!(prom.check(now()).await.unwrap(), "it answers queries");
    let far = Moment(now().0 + 3_600_000);
    assert!(prom.check(far).await.unwrap_err().to_string().contains("3600 s apart"));
}

#[tokio::test]
async fn a_series_that_ended_is_absent_and_what_is_left_of_it_is_old() {
    let exporter = Exporter::start(TEXT);
    let mut server = Prometheus::start(&exporter, None);
    let prom = source(&format!("{{type: prometheus, url: '{}'}}", server.url()));
    until_said(prom.as_ref(), "count_over_time(jobs_pending[1m]) > bool 3", "1").await;
    exporter.stop();
    let ended = now();
    until_said(prom.as_ref(), "jobs_pending", "absent").await;
    assert_eq!(said(prom.as_ref(), "last_over_time(jobs_pending[1m])").await, "42");
    for query in ["last_over_time(jobs_pending[1m])", "sum(rate(requests_total[1m]))"] {
        let at = now().0 - (age_s(prom.as_ref(), query).await * 1000.0) as i64;
        // The end is looked for every two seconds.
        assert!((ended.0 - 4000..=ended.0 + 500).contains(&at), "{query}: {} ms", at - ended.0);
    }

    server.stop();
    let begun = Instant::now();
    let refused = said(prom.as_ref(), "jobs_pending").await;
    assert!(refused.starts_with("connect to the server: "), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_range_is_what_was_recorded_also_in_parts() {
    let exporter = Exporter::start(TEXT);
    let server = Prometheus::start(&exporter, None);
    let prom = source(&format!("{{type: prometheus, url: '{}'}}", server.url()));
    until_said(prom.as_ref(), "jobs_pending", "42").await;
    // What is asked for below must have been there on a whole second.
    exporter.set(&TEXT.replace("} 42", "} 43"));
    until_said(prom.as_ref(), "jobs_pending", "43").await;
    // The span ends on a whole second, which must not be before the first sample.
    until_said(prom.as_ref(), "count_over_time(jobs_pending[1m]) > bool 5", "1").await;
    // 15,000 points, which the server gives in parts only, and of which nearly all are before its time.
    let to = Moment(now().0 / 1000 * 1000);
    let span = Span { from: Moment(to.0 - 14_999_000), to, step: Duration::from_secs(1) };
    let points = prom.range("sum(jobs_pending)", span).await.unwrap();
    assert!(!points.is_empty() && points.len() < 200, "{points:?}");
    assert!(points.windows(2).all(|pair| pair[1].0.0 - pair[0].0.0 == 1000), "{points:?}");
    assert_eq!(points.last().map(|(at, _)| *at), Some(to));
    let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    assert!(values.is_sorted() && values.iter().all(|v| [42.0, 43.0].contains(v)), "{values:?}");
    let everything = prom.range("vector(1)", span).await.unwrap();
    assert_eq!(everything.len(), 15_000);
    assert!(everything.windows(2).all(|pair| pair[1].0.0 - pair[0].0.0 == 1000));

    let refused = async |query, step| {
        let span = Span { step, ..span };
        prom.range(query, span).await.unwrap_err().to_string()
    };
    assert!(refused("two", Duration::from_secs(1)).await.starts_with("2 series"));
    assert!(refused("sum(", Duration::from_secs(1)).await.contains("parse error"));
    assert!(refused("vector(1)", Duration::from_millis(1)).await.contains("take a longer step"));
    let fixed = source("{type: fixed, values: {a: 1}}");
    assert!(fixed.range("a", span).await.unwrap_err().to_string().contains("no past values"));
}

/// `correct horse`, for the server.
const PASSWORD_HASH: &str = "$2b$04$LL1tSTinvLFSEO4Qw49.heUF8nJ8ZV/Hyd.GCcHICIz50J6G5vGXm";

#[tokio::test]
async fn a_guarded_server_is_asked_over_tls_and_a_changed_password_counts_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let made = Command::new("openssl")
        .args("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext".split(' '))
        .args(["subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &path("key.pem"), "-out", &path("cert.pem")])
        .output()
        .expect("openssl is missing: apt-get install -y openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let web = format!(
        "tls_server_config: {{cert_file: {}, key_file: {}}}\nbasic_auth_users: {{ops: '{PASSWORD_HASH}'}}\n",
        path("cert.pem"),
        path("key.pem")
    );
    std::fs::write(path("web.yml"), web).unwrap();
    let exporter = Exporter::start(TEXT);
    let server = Prometheus::start(&exporter, Some(&path("web.yml")));
    let url = format!("type: prometheus, url: 'https://127.0.0.1:{}'", server.port);
    let login = format!("username: ops, passwordRef: 'file/{}'", path("password"));

    std::fs::write(path("password"), "wrong horse\n").unwrap();
    let prom = source(&format!("{{{url}, {login}, caFile: '{}'}}", path("cert.pem")));
    let refused = said(prom.as_ref(), "sum(two)").await;
    assert_eq!(
        refused,
        "the server refuses the credentials (status 401): correct them in the source's configuration"
    );
    std::fs::write(path("password"), "correct horse\n").unwrap();
    until_said(prom.as_ref(), "sum(two)", "3").await;
    std::fs::remove_file(path("password")).unwrap();
    let missing = said(prom.as_ref(), "sum(two)").await;
    assert!(missing.contains("the file cannot be read"), "{missing}");

    std::fs::write(path("password"), "correct horse\n").unwrap();
    let unknown = source(&format!("{{{url}, {login}}}"));
    let refused = said(unknown.as_ref(), "sum(two)").await;
    assert!(refused.starts_with("connect to the server: invalid peer certificate"), "{refused}");
}

/// What a real Prometheus does not do, and others that speak its API do.
#[tokio::test]
async fn answers_of_others_are_not_trusted_further_than_they_go() {
    let other = WebServer::start(|request| {
        let has = |word: &str| request.body.contains(word);
        let vector = r#""data":{"resultType":"vector","result":[{"metric":{},"value":[1,"5"]}]}"#;
        let good =
            |more: &str| Reply::Text(200, "", format!(r#"{{"status":"success",{more}{vector}}}"#));
        if has("partial") {
            good(r#""warnings":["store 3 did not answer, hunter2"],"#)
        } else if has("hint") {
            good(r#""warnings":["PromQL info: metric might not be a counter"],"infos":["x"],"#)
        } else if has("moved") {
            Reply::Text(302, "Location: http://127.0.0.1:1/\r\n", String::new())
        } else if has("echo") {
            let said = request.head.replace(['\r', '\n', '"'], " ");
            Reply::Text(
                422,
                "",
                format!(r#"{{"status":"error","errorType":"execution","error":"{said}"}}"#),
            )
        } else if has("page") {
            Reply::Text(200, "", "<html>".to_owned())
        } else if has("histogram") {
            let series = r#"{"metric":{},"histogram":[1,{}]}"#;
            let data = format!(r#""data":{{"resultType":"vector","result":[{series}]}}"#);
            Reply::Text(200, "", format!(r#"{{"status":"success",{data}}}"#))
        } else {
            Reply::Text(200, "", "x".repeat(2_000_000))
        }
    });
    let keys =
        "tokenRef: env/TOKEN, headers: {X-Scope-OrgID: shop}, headerRefs: {X-Api-Key: env/TOKEN}";
    let url = format!("http://127.0.0.1:{}", other.port);
    let prom = source(&format!("{{type: prometheus, url: '{url}', {keys}}}"));
    for (query, expected) in [
        ("vector(1) # partial", "the answer may be in part only: store 3 did not answer, <secret>"),
        ("vector(1) # hint", "5"),
        ("moved", "the server redirects (status 302): write its final address as `url`"),
        ("histogram", "the answer has no plain number"),
        ("large", "the answer has over 1048576 bytes: ask for less"),
    ] {
        assert_eq!(said(prom.as_ref(), query).await, expected, "{query}");
    }
    let page = said(prom.as_ref(), "page").await;
    assert!(page.starts_with("the answer is not one of Prometheus' API"), "{page}");
    let echo = said(prom.as_ref(), "echo").await;
    assert!(
        echo.contains("422: execution: POST /api/v1/query") && !echo.contains("hunter2"),
        "{echo}"
    );
    let head = other.seen()[0].head.to_lowercase();
    for sent in ["authorization: bearer hunter2", "x-scope-orgid: shop", "x-api-key: hunter2"] {
        assert!(head.contains(sent), "{head}");
    }
}
