//! Lists of many pages, and what is remembered of them so that asking again costs nothing: an answer of "not
//! modified" does not count against the rate limit.
//!
//! Every page is asked for every time. That one page is unchanged says nothing of the next ones, and whether
//! there is a next one is not in the page that the tag is of, but in a header beside it: so a page that is
//! full and the last one is not remembered.

use std::collections::HashMap;
use std::sync::PoisonError;

use hyper::body::Bytes;
use hyper::{Method, StatusCode, Uri};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::client::{Answer, Ask, Client};
use crate::forge::ForgeError;

/// Items of a page, GitHub's greatest.
pub(super) const PAGE_ITEMS: usize = 100;
/// Pages of a list: 3,000 items, as many as GitHub itself shows of the files of a pull request.
pub(super) const PAGES_MAX: usize = 30;
/// Bytes of remembered pages: some full lists of pull requests.
const REMEMBERED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Remembered pages.
const REMEMBERED_MAX: usize = 512;

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page {
    answer: Answer,
    /// Address of the page after it.
    pub(super) next: Option<String>,
    /// Whether GitHub said that it is as it was.
    pub(super) is_unchanged: bool,
}

#[derive(Debug, Clone)]
struct Remembered {
    etag: String,
    body: Bytes,
    next: Option<String>,
    used: u64,
}

/// The pages remembered, by address.
#[derive(Debug, Default)]
pub(super) struct Pages {
    known: HashMap<String, Remembered>,
    bytes: usize,
    uses: u64,
}

impl Pages {
    fn get(&mut self, url: &str) -> Option<Remembered> {
        self.uses += 1;
        let known = self.known.get_mut(url)?;
        known.used = self.uses;
        Some(known.clone())
    }

    fn put(&mut self, url: &str, etag: String, body: Bytes, next: Option<String>) {
        self.forget(url);
        if body.len() > REMEMBERED_BYTES_MAX {
            return;
        }
        self.uses += 1;
        self.bytes += body.len();
        self.known.insert(url.to_owned(), Remembered { etag, body, next, used: self.uses });
        while self.known.len() > REMEMBERED_MAX || self.bytes > REMEMBERED_BYTES_MAX {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.used);
            let Some(oldest) = oldest.map(|(url, _)| url.clone()) else { return };
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, url: &str) {
        if let Some(known) = self.known.remove(url) {
            self.bytes = self.bytes.saturating_sub(known.body.len());
        }
    }
}

impl Client {
    /// All pages of a list.
    pub(super) async fn pages(
        &self,
        url: &str,
        doing: &str,
        is_remembered: bool,
    ) -> Result<Vec<Page>, ForgeError> {
        let mut pages = Vec::new();
        let mut url = Some(url.to_owned());
        while let Some(address) = url {
            if pages.len() == PAGES_MAX {
                return Err(self.too_many(doing));
            }
            let page = self.page(&address, doing, is_remembered).await?;
            url = page.next.clone();
            pages.push(page);
        }
        Ok(pages)
    }

    /// A list goes on for longer than it is read.
    pub(super) fn too_many(&self, doing: &str) -> ForgeError {
        let detail =
            format!("there are over {PAGES_MAX} pages of {PAGE_ITEMS}, which is more than is read");
        self.asked(doing, &[]).unavailable(&detail)
    }

    /// One page of a list.
    pub(super) async fn page(
        &self,
        url: &str,
        doing: &str,
        is_remembered: bool,
    ) -> Result<Page, ForgeError> {
        let known = if is_remembered { self.remembered().get(url) } else { None };
        let etag = known.as_ref().map(|known| known.etag.as_str());
        let ask = Ask { method: Method::GET, url, body: None, etag, doing };
        let mut answer = self.send(&ask).await?;
        let told = answer.link.as_deref().and_then(next_of);
        if let Some(next) = &told
            && !self.place.is_same_api(next)
        {
            let detail =
                "the next page is said to be elsewhere, where the credentials are not sent";
            return Err(self.asked(doing, &[]).unavailable(detail));
        }
        if answer.status == StatusCode::NOT_MODIFIED
            && let Some(known) = known
        {
            answer.body = known.body;
            let next = told.or(known.next);
            return Ok(Page { answer, next, is_unchanged: true });
        }
        if is_remembered {
            let is_full = serde_json::from_slice::<Vec<IgnoredAny>>(&answer.body)
                .map_or(true, |items| items.len() >= PAGE_ITEMS);
            match &answer.etag {
                Some(etag) if told.is_some() || !is_full => {
                    self.remembered().put(url, etag.clone(), answer.body.clone(), told.clone());
                }
                _ => self.remembered().forget(url),
            }
        }
        Ok(Page { answer, next: told, is_unchanged: false })
    }

    /// Reads a page.
    pub(super) fn read_page<T: DeserializeOwned>(
        &self,
        doing: &str,
        page: &Page,
    ) -> Result<T, ForgeError> {
        self.read(doing, &page.answer)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address of the next page in a `Link` header (RFC 8288, as far as GitHub uses it).
fn next_of(link: &str) -> Option<String> {
    let mut rest = link;
    while let Some((_, after)) = rest.split_once('<') {
        let (address, after) = after.split_once('>')?;
        let (parameters, after) = match after.find('<') {
            Some(end) => after.split_at(end),
            None => (after, ""),
        };
        let is_next = parameters.split([';', ',']).map(str::trim).any(|parameter| {
            parameter.strip_prefix("rel=").is_some_and(|rel| rel.trim_matches('"') == "next")
        });
        if is_next && address.parse::<Uri>().is_ok() {
            return Some(address.to_owned());
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_the_links() {
        let links = r#"<https://api.github.com/repositories/1/pulls?page=1>; rel="prev", <https://api.github.com/repositories/1/pulls?a=1,2&page=3>; rel="next", <https://x/>; rel="last""#;
        assert_eq!(
            next_of(links).as_deref(),
            Some("https://api.github.com/repositories/1/pulls?a=1,2&page=3")
        );
        assert_eq!(next_of(r#"<https://x/?page=9>; rel="last""#), None);
        for broken in ["", "<", "<>", r#"<a b>; rel="next""#, r#"rel="next""#] {
            assert_eq!(next_of(broken), None, "{broken}");
        }
    }

    #[test]
    fn as_much_is_remembered_as_was_used_last() {
        let mut pages = Pages::default();
        let third = Bytes::from(vec![b' '; REMEMBERED_BYTES_MAX / 3]);
        for url in ["a", "b", "c"] {
            pages.put(url, "tag".to_owned(), third.clone(), None);
        }
        assert!(pages.get("a").is_some());
        pages.put("d", "tag".to_owned(), third, None);
        assert!(pages.get("b").is_none(), "unused for longest");
        assert!(pages.get("a").is_some() && pages.get("c").is_some() && pages.get("d").is_some());
        assert!(pages.bytes <= REMEMBERED_BYTES_MAX);
        for n in 0..2 * REMEMBERED_MAX {
            pages.put(&n.to_string(), "tag".to_owned(), Bytes::from_static(b"[]"), None);
        }
        assert_eq!(pages.known.len(), REMEMBERED_MAX);
    }
}
