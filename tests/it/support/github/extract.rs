//! The part of GitHub's description that tests need: cut from the whole mechanically, so that it can be made
//! anew and compared. `description.json` is what [`extract`] made; [`committed`] reads it.
//!
//! To make it anew from another description, run the test `the_extract_is_what_the_description_says` with the
//! environment's `TIDEGATE_WRITE_EXTRACT` set.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// The operations that the server knows.
pub(crate) const OPERATIONS: &[(&str, &str)] = &[
    ("get", "/user"),
    ("get", "/app"),
    ("get", "/app/installations"),
    ("post", "/app/installations/{installation_id}/access_tokens"),
    ("get", "/repos/{owner}/{repo}/installation"),
    ("get", "/repos/{owner}/{repo}"),
    ("get", "/repos/{owner}/{repo}/pulls"),
    ("get", "/repos/{owner}/{repo}/pulls/{pull_number}"),
    ("get", "/repos/{owner}/{repo}/commits/{commit_sha}/pulls"),
    ("get", "/repos/{owner}/{repo}/issues/{issue_number}/comments"),
    ("post", "/repos/{owner}/{repo}/issues/{issue_number}/comments"),
    ("get", "/repos/{owner}/{repo}/issues/comments/{comment_id}"),
    ("patch", "/repos/{owner}/{repo}/issues/comments/{comment_id}"),
    ("delete", "/repos/{owner}/{repo}/issues/comments/{comment_id}"),
    ("post", "/repos/{owner}/{repo}/statuses/{sha}"),
    ("get", "/repos/{owner}/{repo}/commits/{ref}/status"),
    ("get", "/repos/{owner}/{repo}/commits/{ref}/statuses"),
    ("post", "/repos/{owner}/{repo}/check-runs"),
    ("get", "/repos/{owner}/{repo}/check-runs/{check_run_id}"),
    ("patch", "/repos/{owner}/{repo}/check-runs/{check_run_id}"),
    ("get", "/repos/{owner}/{repo}/commits/{ref}/check-runs"),
    ("get", "/repos/{owner}/{repo}/collaborators/{username}/permission"),
    ("get", "/rate_limit"),
];

/// What says nothing about the form of a request or an answer.
const PROSE: &[&str] = &[
    "description",
    "example",
    "examples",
    "externalDocs",
    "summary",
    "tags",
    "title",
    "deprecated",
    "x-github",
    "x-github-breaking-changes",
    "x-octokit",
    "x-multi-segment",
];

/// The kinds of components that a reference may lead to.
const KINDS: &[&str] = &["schemas", "parameters", "responses", "headers"];

/// GitHub's whole description, where the project's contracts are beside the sources.
pub(crate) fn whole_description() -> Option<Value> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/contracts/github/rest-openapi.json");
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// Where the extract is.
pub(crate) fn committed_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/github/description.json")
}

/// The extract in the sources.
pub(crate) fn committed() -> Value {
    serde_json::from_str(include_str!("description.json")).unwrap()
}

/// The [`OPERATIONS`] and everything they refer to, without prose.
pub(crate) fn extract(whole: &Value) -> Value {
    let mut paths = Map::new();
    for (method, path) in OPERATIONS {
        let operation = &whole["paths"][*path][*method];
        assert!(operation.is_object(), "the description has no {method} {path}");
        let kept = paths.entry(*path).or_insert_with(|| json!({}));
        kept[*method] = without_prose(operation, false);
    }
    let mut components: Map<String, Value> = Map::new();
    let mut wanted = references(&Value::Object(paths.clone()));
    while let Some((kind, name)) = wanted.pop_first() {
        let of_kind = components.entry(kind.clone()).or_insert_with(|| json!({}));
        if of_kind.get(&name).is_none() {
            let component = without_prose(&whole["components"][&kind][&name], false);
            wanted.extend(references(&component));
            of_kind[&name] = component;
        }
    }
    json!({ "openapi": whole["openapi"], "paths": paths, "components": components })
}

/// The extract as text: a line for every operation and component, so that a change of one is seen.
pub(crate) fn to_text(extract: &Value) -> String {
    let mut text = format!("{{\n\"openapi\": {},\n\"paths\": {{\n", extract["openapi"]);
    let lines = |of: &Value| -> String {
        let of = of.as_object().unwrap();
        let lines: Vec<String> = of.iter().map(|(k, v)| format!("{}: {v}", json!(k))).collect();
        lines.join(",\n")
    };
    text += &lines(&extract["paths"]);
    text += "\n},\n\"components\": {\n";
    let kinds: Vec<String> = KINDS
        .iter()
        .filter(|kind| extract["components"][**kind].is_object())
        .map(|kind| format!("\"{kind}\": {{\n{}\n}}", lines(&extract["components"][*kind])))
        .collect();
    text + &kinds.join(",\n") + "\n}\n}\n"
}

fn without_prose(value: &Value, are_names: bool) -> Value {
    match value {
        // The keys of `properties` are a schema's own words, whatever they are.
        Value::Object(object) => object
            .iter()
            .filter(|(key, _)| are_names || !PROSE.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), without_prose(value, key == "properties")))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(|item| without_prose(item, false)).collect(),
        other => other.clone(),
    }
}

fn references(value: &Value) -> BTreeSet<(String, String)> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value.as_str()) {
                ("$ref", Some(to)) => {
                    let mut parts = to.trim_start_matches("#/components/").splitn(2, '/');
                    let mut next = || parts.next().unwrap().to_owned();
                    BTreeSet::from([(next(), next())])
                }
                _ => references(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}
