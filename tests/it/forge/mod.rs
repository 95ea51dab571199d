//! Pull requests: the forge of the tests, and what the product does with a forge.

mod life;
mod scene;
mod server;
mod server_git;

use std::fmt::Write as _;

/// Text for people with what differs from run to run replaced: commits, digests, times, addresses.
fn tidied(text: &str, scene: &scene::Scene) -> String {
    let text = text.replace(&scene.forge.api_url(), "FORGE");
    let mut out = String::new();
    let mut commits: Vec<String> = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let length = found.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(found.len());
        let (word, after) = found.split_at(length);
        let is_word_start = !before.ends_with(|c: char| c.is_alphanumeric());
        let is_commit = is_word_start
            && (8..=64).contains(&word.len())
            && word.bytes().any(|b| b.is_ascii_digit());
        if is_commit {
            let known = commits.iter().position(|known| known.get(..8) == word.get(..8));
            let index = known.unwrap_or_else(|| {
                commits.push(word.to_owned());
                commits.len() - 1
            });
            let _ = write!(out, "HASH{}", index + 1);
        } else {
            out.push_str(word);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
