//! Pull requests: the forge of the tests, and what the product does with a forge.

mod app;
mod canary;
mod faults;
mod github;
mod guards;
mod hands;
mod holds;
mod life;
mod load;
mod merges;
mod people;
mod preview;
mod queue;
mod scene;
mod server;
mod server_git;
mod world;

use std::fmt::Write as _;

/// Text for people with what differs from run to run replaced: commits, digests, times, addresses.
fn tidied(text: &str, scene: &scene::Scene) -> String {
    let text = timeless(&text.replace(&scene.forge.api_url(), "FORGE"));
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

/// Text with times and durations replaced.
fn timeless(text: &str) -> String {
    let is_time = |word: &str| {
        word.len() == 8
            && word.bytes().enumerate().all(|(at, byte)| match at {
                2 | 5 => byte == b':',
                _ => byte.is_ascii_digit(),
            })
    };
    let is_date =
        |word: &str| word.len() == 10 && word.starts_with("20") && word.matches('-').count() == 2;
    let is_seconds = |word: &str, next: Option<&&str>| {
        word.parse::<f64>().is_ok()
            && next.is_some_and(|n| n.trim_end_matches(['.', '*', ',', '"']) == "s")
    };
    let lines = text.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let words = words.iter().enumerate().map(|(at, word)| {
            if is_date(word.trim_start_matches(',')) {
                "DATE"
            } else if is_time(word) {
                "TIME"
            } else if is_seconds(word, words.get(at + 1)) {
                "SOME"
            } else {
                word
            }
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}
