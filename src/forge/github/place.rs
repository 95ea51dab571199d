//! Where the API and the repository are, and where people see them. Pure.

use hyper::Uri;

use super::OptionsError;

/// Characters of an owner's or repository's name: over GitHub's own limits of 39 and 100.
const NAME_CHARS_MAX: usize = 100;
/// Characters of a login: 39, and for managed users more.
const LOGIN_CHARS_MAX: usize = 100;
/// What the login of an App's own user ends with.
const BOT: &str = "[bot]";

/// The address of an API and a repository there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Without a slash at its end.
    pub(super) api: String,
    pub(super) owner: String,
    pub(super) repo: String,
    is_tls: bool,
}

impl Place {
    pub(super) fn new(api: &str, owner: &str, repo: &str) -> Result<Self, OptionsError> {
        let bad = || OptionsError::ApiUrl;
        let api = api.trim_end_matches('/');
        let uri: Uri = api.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?.as_str();
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        if authority.contains('@') || uri.query().is_some() || api.contains('#') {
            return Err(bad());
        }
        for name in [owner, repo] {
            let is_good = !name.is_empty()
                && name.len() <= NAME_CHARS_MAX
                && !matches!(name, "." | "..")
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            if !is_good {
                return Err(OptionsError::Name { name: name.to_owned() });
            }
        }
        Ok(Self { api: api.to_owned(), owner: owner.to_owned(), repo: repo.to_owned(), is_tls })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The repository's part of the API.
    pub(super) fn repo_api(&self) -> String {
        format!("{}/repos/{}/{}", self.api, self.owner, self.repo)
    }

    /// The repository's pages, for people: `https://github.com/o/r`; of an Enterprise server, whose API is at
    /// `/api/v3`, what is before that; of a company's own domain at GitHub, whose API is at `api.`, without it.
    pub(super) fn repo_web(&self) -> String {
        let site = match self.api.strip_suffix("/api/v3") {
            Some(site) => site.to_owned(),
            None => self.api.replacen("://api.", "://", 1),
        };
        format!("{site}/{}/{}", self.owner, self.repo)
    }

    /// Whether an address is of this API: then it may be sent the credentials.
    pub(super) fn is_same_api(&self, url: &str) -> bool {
        // Compared as text up to the slash, so that no reading of user names or ports can differ.
        url.strip_prefix(&self.api).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// A login as a part of an address; `None` where it cannot be anybody's.
pub(super) fn login_segment(login: &str) -> Option<String> {
    let (name, end) = match login.strip_suffix(BOT) {
        Some(name) => (name, "%5Bbot%5D"),
        None => (login, ""),
    };
    let is_good = !name.is_empty()
        && name.len() <= LOGIN_CHARS_MAX
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    is_good.then(|| format!("{name}{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_for_people_are_found_beside_every_kind_of_api() {
        for (api, web) in [
            ("https://api.github.com", "https://github.com/o/r"),
            ("https://api.github.com/", "https://github.com/o/r"),
            ("https://git.example.com/api/v3", "https://git.example.com/o/r"),
            ("https://api.octo.ghe.com", "https://octo.ghe.com/o/r"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/o/r"),
        ] {
            assert_eq!(Place::new(api, "o", "r").expect(api).repo_web(), web);
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for api in ["", "api.github.com", "ftp://x", "https://u:p@x", "https://x?a=b", "https:///"]
        {
            assert!(Place::new(api, "o", "r").is_err(), "{api}");
        }
        for name in ["", ".", "..", "a/b", "a b", "ä", "a?b", "a%2f"] {
            assert!(Place::new("https://x", name, "r").is_err(), "{name}");
            assert!(Place::new("https://x", "o", name).is_err(), "{name}");
        }
        let place = Place::new("https://x/api/v3", "o", "r").expect("a place");
        assert!(place.is_same_api("https://x/api/v3/repositories/1/pulls?page=2"));
        for other in [
            "https://x/api/v3evil/",
            "https://x.evil/api/v3/",
            "http://x/api/v3/",
            "https://x:1/api/v3/",
            "https://x/repos/",
        ] {
            assert!(!place.is_same_api(other), "{other}");
        }
        let place = Place::new("https://x", "o", "r").expect("a place");
        assert!(!place.is_same_api("https://x@evil/") && !place.is_same_api("https://x.evil/"));
    }

    #[test]
    fn logins_are_people_bots_or_nobody() {
        assert_eq!(login_segment("octo-cat").as_deref(), Some("octo-cat"));
        assert_eq!(login_segment("renovate[bot]").as_deref(), Some("renovate%5Bbot%5D"));
        assert_eq!(login_segment("mona_corp").as_deref(), Some("mona_corp"));
        for nobody in ["", "[bot]", "a/b", "..", "a b", "a[bot]x", "a\n", "ä"] {
            assert_eq!(login_segment(nobody), None, "{nobody}");
        }
    }
}
