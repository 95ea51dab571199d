//! What was asked of the server, counted and told in lines that are the same in every run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

/// A request that was made.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) at: Timestamp,
    pub(crate) method: String,
    /// Without the base path and the query.
    pub(crate) path: String,
    pub(crate) query: String,
    /// As in the description, e.g. `get /repos/{owner}/{repo}/pulls`; empty where it is none of it.
    pub(crate) operation: String,
    /// 0 where there was no answer.
    pub(crate) status: u16,
    /// Login of who asked; empty where nobody known did.
    pub(crate) who: String,
    /// What was sent.
    pub(crate) body: Option<Value>,
    /// The `id` in the answer.
    pub(crate) id: Option<u64>,
}

impl Logged {
    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// What was asked so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Writes that were done (2xx, or unanswered after they were), by operation. Tokens are not counted.
    pub(crate) writes: BTreeMap<String, usize>,
    /// Reads that were answered with 200.
    pub(crate) reads: usize,
    /// Reads that were answered with 304, which cost nothing.
    pub(crate) unchanged: usize,
    /// Everything that was refused or not answered.
    pub(crate) refused: usize,
}

impl Counts {
    pub(crate) fn of(requests: &[Logged]) -> Self {
        let mut counts = Self::default();
        for request in requests {
            match request.status {
                304 => counts.unchanged += 1,
                200..300 if !request.is_write() => counts.reads += 1,
                200..300 if request.path.starts_with("/app/") => {}
                200..300 => *counts.writes.entry(request.operation.clone()).or_default() += 1,
                _ => counts.refused += 1,
            }
        }
        counts
    }

    /// All writes.
    pub(crate) fn writes_in_all(&self) -> usize {
        self.writes.values().sum()
    }
}

/// A line for every write that was done: what, where, and what it says in short. Ids are numbered in the order
/// in which they appear, and commits too.
pub(crate) fn transcript(requests: &[Logged]) -> String {
    let mut names = Names::default();
    let mut text = String::new();
    for request in requests.iter().filter(|request| request.is_write()) {
        if !(200..300).contains(&request.status) || request.path.starts_with("/app/") {
            continue;
        }
        let path = request.path.splitn(4, '/').nth(3).unwrap_or(&request.path);
        let path = path.split_once('/').map_or(path, |(_, path)| path);
        let path: Vec<String> = path.split('/').map(|part| names.of(part)).collect();
        let mut line = vec![request.method.clone(), path.join("/")];
        if let Some(id) = request.id.filter(|_| request.method == "POST") {
            line.extend(["->".to_owned(), names.of(&id.to_string())]);
        }
        if let Some(body) = &request.body {
            line.extend([":".to_owned(), said(body, &mut names)]);
        }
        text += &line.join(" ");
        text += "\n";
    }
    text
}

/// What a write says: of a comment its first visible line, of everything else its short fields.
fn said(body: &Value, names: &mut Names) -> String {
    if let Some(text) = body["body"].as_str() {
        let visible = text.lines().map(str::trim);
        let visible = visible.filter(|line| !line.is_empty() && !line.starts_with("<!--"));
        return format!("{:?}", visible.take(1).collect::<String>());
    }
    let fields = ["context", "name", "head_sha", "state", "status", "conclusion", "description"];
    let mut said: Vec<String> = fields
        .iter()
        .filter_map(|field| Some(format!("{field}={}", names.of(body[*field].as_str()?))))
        .collect();
    if let Some(title) = body["output"]["title"].as_str() {
        said.push(format!("title={title}"));
    }
    if let Some(annotations) = body["output"]["annotations"].as_array() {
        said.push(format!("annotations={}", annotations.len()));
    }
    said.join(" ")
}

/// Names that take the place of what differs from run to run.
#[derive(Debug, Default)]
struct Names {
    ids: Vec<String>,
    commits: Vec<String>,
}

impl Names {
    fn of(&mut self, part: &str) -> String {
        let is_id = part.len() >= 10 && part.bytes().all(|b| b.is_ascii_digit());
        let is_commit = part.len() == 40 && part.bytes().all(|b| b.is_ascii_hexdigit());
        let (known, kind) = match (is_id, is_commit) {
            (true, _) => (&mut self.ids, "id"),
            (_, true) => (&mut self.commits, "commit"),
            _ => return part.to_owned(),
        };
        let at = known.iter().position(|known| known == part).unwrap_or_else(|| {
            known.push(part.to_owned());
            known.len() - 1
        });
        format!("{kind}{}", at + 1)
    }
}
