//! Lists of many pages: what is remembered, what is followed, and where it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tidegate::forge::{Forge as _, ForgeError};
use tidegate::model::PullNumber;

use super::{Clock, START, header, line, pull, text, with_token};
use crate::support::web_server::{Reply, Request, WebServer};

/// Pages of numbers with tags; a page is what a closure says it is at that moment.
fn paged(
    pages: Arc<Mutex<BTreeMap<usize, Vec<Value>>>>,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    move |request| {
        let line = line(request);
        let page = line
            .split(['?', '&'])
            .find_map(|part| part.strip_prefix("page="))
            .map_or(1, |page| page.parse().unwrap());
        let pages = pages.lock().unwrap();
        let body = Value::from(pages[&page].clone()).to_string();
        let etag = format!("W/\"{:x}\"", md(&body));
        let host = header(request, "host").unwrap();
        let mut headers = vec![("ETag", etag.as_str())];
        let next = format!(
            "<http://{host}/repositories/1/pulls?per_page=100&page={}>; rel=\"next\"",
            page + 1
        );
        if pages.contains_key(&(page + 1)) {
            headers.push(("Link", &next));
        }
        if header(request, "if-none-match").as_deref() == Some(&etag) {
            return text(304, &headers, "");
        }
        text(200, &headers, &body)
    }
}

/// Some number of a text.
fn md(text: &str) -> u64 {
    text.bytes().fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

#[tokio::test]
async fn a_list_that_did_not_change_costs_nothing_and_one_page_proves_nothing_of_the_next() {
    let full: Vec<Value> = (3..103).rev().map(|n| pull(n, START)).collect();
    let pages = Arc::new(Mutex::new(BTreeMap::from([
        (1, full),
        (2, vec![pull(2, START), pull(1, START)]),
    ])));
    let server = WebServer::start(paged(Arc::clone(&pages)));
    let github = with_token(&server, &Clock::new());

    let first = github.open_pulls("main").await.unwrap();
    assert!(first.is_new);
    assert_eq!(first.items.len(), 102);
    assert!(first.items.windows(2).all(|two| two[0].number > two[1].number));
    let again = github.open_pulls("main").await.unwrap();
    assert!(!again.is_new && Arc::ptr_eq(&first.items, &again.items));
    let seen = server.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen[2..].iter().all(|request| header(request, "if-none-match").is_some()));

    pages.lock().unwrap().insert(2, vec![pull(2, "2026-11-21T11:00:00Z"), pull(1, START)]);
    let changed = github.open_pulls("main").await.unwrap();
    assert!(changed.is_new, "the second page changed, the first did not");
    let of_second = changed.items.iter().find(|pull| pull.number == PullNumber(2)).unwrap();
    assert_eq!(of_second.updated_at, "2026-11-21T11:00:00Z".parse().unwrap());

    // The last page becomes full, with nothing after it; then there is one more page beside the same body.
    let second: Vec<Value> = (1..101).rev().map(|n| pull(n + 200, START)).collect();
    pages.lock().unwrap().insert(2, second);
    assert_eq!(github.open_pulls("main").await.unwrap().items.len(), 200);
    pages.lock().unwrap().insert(3, vec![pull(1, START)]);
    let grown = github.open_pulls("main").await.unwrap();
    assert!(grown.is_new);
    assert_eq!(grown.items.len(), 201);

    // Another base is another question.
    assert!(github.open_pulls("release").await.unwrap().is_new);
    assert!(line(server.seen().last().unwrap()).starts_with("GET /repositories/1/pulls?"));
}

#[tokio::test]
async fn a_list_is_followed_to_no_other_host_and_not_for_ever() {
    let server = WebServer::start(|_| {
        let link = "<http://127.0.0.1.evil.example/repos/o/r/pulls?page=2>; rel=\"next\"";
        text(200, &[("Link", link)], "[]")
    });
    let github = with_token(&server, &Clock::new());
    let error = github.open_pulls("main").await.unwrap_err();
    assert!(
        matches!(&error, ForgeError::Unavailable { detail, .. } if detail.contains("elsewhere"))
    );
    assert_eq!(server.seen().len(), 1);

    server.answer(|request| {
        let host = header(request, "host").unwrap();
        let page = server_page(&line(request));
        text(200, &[("Link", &format!("<http://{host}/x?page={page}>; rel=\"next\""))], "[]")
    });
    let error = github.comments(PullNumber(1), None).await.unwrap_err();
    assert!(
        matches!(&error, ForgeError::Unavailable { detail, .. } if detail.contains("over 30 pages"))
    );
    assert_eq!(server.seen().len(), 31);
}

fn server_page(line: &str) -> usize {
    line.split("?page=").nth(1).map_or(2, |page| page.parse::<usize>().unwrap() + 1)
}
