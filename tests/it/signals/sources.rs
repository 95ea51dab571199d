//! The sources `http`, `file` and `fixed`.

use std::time::{Duration, SystemTime};

use super::{age_s, now, said, source};
use crate::support::web_server::{Reply, WebServer};

#[tokio::test]
async fn a_document_is_read_by_pointer_from_the_configured_address_only() {
    let at_s = now().0 / 1000 - 90;
    let body = format!(r#"{{"queue":{{"depth":17}},"at":{at_s}}}"#);
    let server = WebServer::start(move |request| match request.head.split(' ').nth(1) {
        Some("/stats?all=1") => Reply::Text(200, "", body.clone()),
        _ => Reply::Text(404, "", "not here, hunter2".to_owned()),
    });
    let url = |path: &str| format!("type: http, url: 'http://127.0.0.1:{}{path}'", server.port);
    let stats = url("/stats?all=1");

    let free = source(&format!("{{{stats}, pointer: /queue/depth, timestampPointer: /at}}"));
    assert_eq!(said(free.as_ref(), "").await, "17");
    assert_eq!(said(free.as_ref(), "/queue/depth").await, "17");
    assert_eq!(said(free.as_ref(), "/queue/gone").await, "absent");
    let age_s = age_s(free.as_ref(), "").await;
    assert!((89.0..120.0).contains(&age_s), "{age_s}");
    assert_eq!(free.check(now()).await.unwrap(), "it answers");
    assert!(free.about().has_default && free.about().metrics.is_none());

    let named = source(&format!("{{{stats}, metrics: {{depth: /queue/depth, lost: /lost}}}}"));
    assert_eq!(said(named.as_ref(), "depth").await, "17");
    for unknown in ["", "/queue/depth", "http://127.0.0.1/x"] {
        let said = said(named.as_ref(), unknown).await;
        assert!(said.starts_with("the source has no pointer for "), "{said}");
    }
    assert_eq!(
        named.about().metrics.as_deref(),
        Some(&["depth".to_owned(), "lost".to_owned()][..])
    );
    let lost = named.check(now()).await.unwrap_err().to_string();
    assert_eq!(lost, "its answer has nothing at `/lost`; correct the pointer");

    let wrong = source(&format!("{{{}, tokenRef: env/TOKEN}}", url("/other")));
    assert_eq!(said(wrong.as_ref(), "/a").await, "the server answers with status 404");
    let unset = source(&format!("{{{stats}, tokenRef: env/UNSET}}"));
    let unset = said(unset.as_ref(), "/a").await;
    assert_eq!(unset, "resolve the secret `env/UNSET`: the environment variable is not set");
}

#[tokio::test]
async fn a_file_is_read_again_for_each_sample_and_grows_old_when_nobody_writes_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.txt");
    let script = source(&format!("{{type: file, path: '{}'}}", path.display()));
    let missing = said(script.as_ref(), "depth").await;
    assert!(missing.starts_with("read `") && missing.contains("No such file"), "{missing}");
    std::fs::write(&path, "depth 3\n").unwrap();
    assert_eq!(said(script.as_ref(), "depth").await, "3");
    std::fs::write(&path, r#"{"depth": 4}"#).unwrap();
    assert_eq!(said(script.as_ref(), "depth").await, "4");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(300)).unwrap();
    let age_s = age_s(script.as_ref(), "depth").await;
    assert!((299.0..330.0).contains(&age_s), "{age_s}");
    std::fs::write(&path, "x".repeat(2_000_000)).unwrap();
    assert!(said(script.as_ref(), "depth").await.contains("over 1048576 bytes"));
}

#[tokio::test]
async fn fixed_numbers_are_always_fresh() {
    let fixed = source("{type: fixed, values: {rps: 12.5, none: 0}}");
    assert_eq!(said(fixed.as_ref(), "rps").await, "12.5");
    assert_eq!(said(fixed.as_ref(), "none").await, "0");
    assert_eq!(said(fixed.as_ref(), "gone").await, "absent");
    assert!(age_s(fixed.as_ref(), "rps").await < 5.0);
}
