//! How checks are told: as commit statuses, which every token may write, or as check runs, which only an App
//! may, and which show findings beside their lines.

use hyper::Method;
use serde_json::{Value, json};

use super::GitHub;
use super::pages::PAGE_ITEMS;
use super::wire::{CheckRun, CheckRuns, Combined, Made};
use crate::forge::{
    Annotation, Check, CheckState, Context, DESCRIPTION_CHARS_MAX, Forge as _, ForgeError, Reported,
};
use crate::model::CommitId;
use crate::plan::render::inert::inline;

/// Annotations of one request, GitHub's limit.
const ANNOTATIONS_PER_REQUEST: usize = 50;
/// Annotations of one check: four requests. Who has more findings reads them in the comment.
const ANNOTATIONS_MAX: usize = 200;
/// Bytes of an annotation's message, GitHub's limit.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Characters of an annotation's title, GitHub's limit.
const TITLE_CHARS_MAX: usize = 255;
/// Characters of a check run's summary; GitHub's limit is 65,535, and a line may be added.
const SUMMARY_CHARS_MAX: usize = 65_000;
/// Characters of an address in a status, beyond which GitHub refuses the status.
const URL_CHARS_MAX: usize = 2_000;

impl GitHub {
    pub(super) async fn report_status(
        &self,
        commit: &CommitId,
        check: &Check,
    ) -> Result<(), ForgeError> {
        let doing = format!("report `{}` on commit {}", check.context.name(), commit.short());
        let state = match check.state {
            CheckState::Pending => "pending",
            CheckState::Success => "success",
            CheckState::Failure => "failure",
        };
        let mut body = json!({
            "state": state,
            "context": check.context.name(),
            "description": cut(&check.summary, DESCRIPTION_CHARS_MAX),
        });
        set_url(&mut body, "target_url", check);
        let path = format!("/statuses/{commit}");
        self.write(&doing, Method::POST, &path, Some(&body)).await.map(drop)
    }

    pub(super) async fn report_run(
        &self,
        commit: &CommitId,
        check: &Check,
    ) -> Result<(), ForgeError> {
        let doing = format!("report `{}` on commit {}", check.context.name(), commit.short());
        let annotations: Vec<Value> =
            check.annotations.iter().filter_map(annotation).take(ANNOTATIONS_MAX).collect();
        // Markdown, at GitHub; a title is plain text.
        let mut summary = inline(&cut(&check.summary, SUMMARY_CHARS_MAX));
        let left_out = check.annotations.len().saturating_sub(annotations.len());
        if left_out > 0 {
            let what = if left_out == 1 { "finding is" } else { "findings are" };
            summary = format!("{summary}\n\n{left_out} more {what} not shown beside their lines.");
        }
        let title = cut(&check.summary, DESCRIPTION_CHARS_MAX);
        let output = |annotations: &[Value]| json!({ "title": title, "summary": summary, "annotations": annotations });
        let mut batches = annotations.chunks(ANNOTATIONS_PER_REQUEST);
        let mut body = json!({
            "name": check.context.name(),
            "head_sha": commit.as_str(),
            "output": output(batches.next().unwrap_or_default()),
        });
        let (status, conclusion) = match check.state {
            CheckState::Pending => ("in_progress", None),
            CheckState::Success => ("completed", Some("success")),
            CheckState::Failure => ("completed", Some("failure")),
        };
        set(&mut body, "status", status);
        if let Some(conclusion) = conclusion {
            set(&mut body, "conclusion", conclusion);
        }
        set_url(&mut body, "details_url", check);
        let answer = self.write(&doing, Method::POST, "/check-runs", Some(&body)).await?;
        let made: Made = self.client.read(&doing, &answer)?;
        let path = format!("/check-runs/{}", made.id);
        for batch in batches {
            let body = json!({ "output": output(batch) });
            self.write(&doing, Method::PATCH, &path, Some(&body)).await?;
        }
        Ok(())
    }

    pub(super) async fn reported_status(
        &self,
        commit: &CommitId,
        context: Context,
    ) -> Result<Option<Reported>, ForgeError> {
        let doing = format!("read `{}` of commit {}", context.name(), commit.short());
        let url = self.url(&format!("/commits/{commit}/status?per_page={PAGE_ITEMS}"));
        // Of every context it has the latest alone.
        for page in self.client.pages(&url, &doing, false).await? {
            let combined: Combined = self.client.read_page(&doing, &page)?;
            let found =
                combined.statuses.into_iter().find(|status| status.context == context.name());
            if let Some(status) = found {
                let state = match status.state.as_str() {
                    "success" => CheckState::Success,
                    "pending" => CheckState::Pending,
                    _ => CheckState::Failure,
                };
                let summary = status.description.unwrap_or_default();
                return Ok(Some(Reported { state, summary }));
            }
        }
        Ok(None)
    }

    pub(super) async fn reported_run(
        &self,
        commit: &CommitId,
        context: Context,
    ) -> Result<Option<Reported>, ForgeError> {
        let doing = format!("read `{}` of commit {}", context.name(), commit.short());
        let me = self.me().await?;
        let name: String = form_urlencoded::byte_serialize(context.name().as_bytes()).collect();
        let url = self.url(&format!(
            "/commits/{commit}/check-runs?check_name={name}&filter=latest&per_page={PAGE_ITEMS}"
        ));
        let mut latest: Option<CheckRun> = None;
        for page in self.client.pages(&url, &doing, false).await? {
            let runs: CheckRuns = self.client.read_page(&doing, &page)?;
            let ours = runs.check_runs.into_iter().filter(|run| {
                // Other Apps may use the same name.
                run.name == context.name()
                    && run.app.as_ref().is_none_or(|app| format!("{}[bot]", app.slug) == me)
            });
            latest = latest.into_iter().chain(ours).max_by_key(|run| run.id);
        }
        Ok(latest.map(|run| Reported {
            state: match (run.status.as_str(), run.conclusion.as_deref()) {
                ("completed", Some("success")) => CheckState::Success,
                ("completed", _) => CheckState::Failure,
                _ => CheckState::Pending,
            },
            summary: run.output.and_then(|output| output.title).unwrap_or_default(),
        }))
    }
}

fn set(body: &mut Value, name: &str, value: &str) {
    if let Some(body) = body.as_object_mut() {
        body.insert(name.to_owned(), value.into());
    }
}

/// GitHub takes addresses of the web alone, and refuses the whole report for another.
fn set_url(body: &mut Value, name: &str, check: &Check) {
    let url = check.url.as_deref().filter(|url| {
        (url.starts_with("https://") || url.starts_with("http://")) && url.len() <= URL_CHARS_MAX
    });
    if let Some(url) = url {
        set(body, name, url);
    }
}

/// `None` where it is of no file of the repository, for which GitHub would refuse the whole report.
fn annotation(finding: &Annotation) -> Option<Value> {
    let path = finding.path.strip_prefix("./").unwrap_or(&finding.path);
    let is_inside =
        !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    is_inside.then(|| {
        let line = finding.line.max(1);
        json!({
            "path": path,
            "start_line": line,
            "end_line": finding.end_line.max(line),
            "annotation_level": if finding.is_error { "failure" } else { "warning" },
            "title": cut(&finding.title, TITLE_CHARS_MAX),
            "message": cut_bytes(&finding.message),
        })
    })
}

/// As much of a text as fits, with an ellipsis where it did not.
fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

fn cut_bytes(text: &str) -> String {
    if text.len() <= MESSAGE_BYTES_MAX {
        // GitHub refuses an empty one.
        return if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    }
    let end = text.floor_char_boundary(MESSAGE_BYTES_MAX - '…'.len_utf8());
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        let long = cut_bytes(&"ä".repeat(MESSAGE_BYTES_MAX));
        assert!(long.len() <= MESSAGE_BYTES_MAX && long.ends_with("ä…"), "{}", long.len());
    }

    #[test]
    fn a_finding_outside_the_repository_is_none() {
        let finding = |path: &str| Annotation {
            path: path.to_owned(),
            line: 0,
            end_line: 0,
            is_error: true,
            title: "t".to_owned(),
            message: String::new(),
        };
        for path in ["", "/etc/passwd", "../a", "a/../../b", "a//b"] {
            assert_eq!(annotation(&finding(path)), None, "{path}");
        }
        let good = annotation(&finding("./a b.yaml")).expect("inside");
        assert_eq!(good["path"], "a b.yaml");
        assert_eq!((&good["start_line"], &good["end_line"]), (&json!(1), &json!(1)));
    }
}
