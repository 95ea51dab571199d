use std::path::Path;

use super::*;
use crate::git::RepoUrl;
use crate::record::Kind;

const BATCH: Duration = Duration::from_secs(10);

fn publisher(dir: &Path) -> Publisher {
    let url = dir.join("spec.git").display().to_string();
    let options = WriterOptions {
        dir: dir.join("writer.git"),
        remote: Remote::new(RepoUrl::parse(&url).unwrap()),
        branch: "status".to_owned(),
        protected: "main".to_owned(),
        author: Signature { name: "T".to_owned(), email: "t@example.com".to_owned() },
    };
    Publisher::new(options, dir, BATCH, None).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn line(id: &str, kind: Kind, from: u32, to: u32) -> HistoryLine {
    let mut line: HistoryLine = serde_json::from_value(serde_json::json!({
        "v": 1, "id": id, "time": at(0), "target": {"service": "web", "region": "local"},
        "kind": "change", "from": from, "to": to, "reason": "drift", "sentence": "",
        "specCommit": "a".repeat(40), "actor": "tidegate", "outcome": "applied",
        "durationMs": 1, "dryRun": false,
    }))
    .unwrap();
    line.kind = kind;
    line
}

/// A status, as different from others as its number.
fn status(count: u32) -> StatusFile {
    serde_json::from_value(serde_json::json!({
        "version": 1, "specCommit": "a".repeat(40), "planDigest": "sha256:00", "health": "ok",
        "conditions": [], "targets": [{
            "target": {"service": "web", "region": "local"}, "autoscale": "manual",
            "recorded": count, "ready": 0, "owner": "spec", "reason": "", "sentence": "",
            "since": at(0),
        }],
    }))
    .unwrap()
}

fn published(dir: &Path) -> String {
    let repository = git2::Repository::open_bare(dir.join("spec.git")).unwrap();
    let tree = repository.find_reference("refs/heads/status").unwrap().peel_to_tree().unwrap();
    let stem = record::history_stem(at(0));
    let entry = tree.get_path(Path::new(&format!("{stem}.jsonl"))).unwrap();
    String::from_utf8(repository.find_blob(entry.id()).unwrap().content().to_vec()).unwrap()
}

#[tokio::test]
async fn a_failed_push_is_made_again_though_nothing_new_is_added() {
    let dir = tempfile::tempdir().unwrap();
    let mut publisher = publisher(dir.path());
    publisher.add(at(0), vec![line("r-1", Kind::Change, 0, 1)]).unwrap();
    publisher.set_status(at(0), status(1));
    assert_eq!(publisher.due_at(at(0)), Some(at(10)));
    publisher.start(at(10));
    let failed = publisher.finish(at(10), true).await.unwrap();
    assert!(matches!(failed, Err(GitError::NotFound { .. })), "{failed:?}");
    let due = publisher.due_at(at(10)).unwrap();
    assert!(due <= at(20), "{due}");
    assert_eq!(publisher.due_at(due), Some(due), "waiting does not put it off");
    git2::Repository::init_bare(dir.path().join("spec.git")).unwrap();
    publisher.start(due);
    publisher.finish(due, true).await.unwrap().unwrap();
    assert_eq!(publisher.due_at(due), None);
    assert!(published(dir.path()).contains("r-1"));
}

#[tokio::test]
async fn what_an_earlier_run_left_waits_for_a_status_that_knows_it() {
    let dir = tempfile::tempdir().unwrap();
    git2::Repository::init_bare(dir.path().join("spec.git")).unwrap();
    let mut earlier = publisher(dir.path());
    earlier.add(at(0), vec![line("r-1", Kind::Change, 0, 1)]).unwrap();
    drop(earlier);
    let mut publisher = publisher(dir.path());
    assert_eq!(publisher.due_at(at(60)), None);
    publisher.flush(at(60)).await.unwrap();
    assert_eq!(publisher.unpublished().len(), 1, "it is in the journal until then");
    publisher.set_status(at(60), status(1));
    assert_eq!(publisher.due_at(at(60)), Some(at(70)));
    publisher.flush(at(70)).await.unwrap();
    assert_eq!(published(dir.path()).lines().count(), 1);
}

#[tokio::test]
async fn repetitions_are_told_less_often_and_as_one() {
    let dir = tempfile::tempdir().unwrap();
    git2::Repository::init_bare(dir.path().join("spec.git")).unwrap();
    let mut publisher = publisher(dir.path());
    let round = |n: u32| {
        let id = |k: u32| format!("r-{}", 2 * n + k);
        vec![line(&id(0), Kind::Drift, 3, 2), line(&id(1), Kind::Change, 2, 3)]
    };
    publisher.add(at(0), vec![line("r-0", Kind::Change, 0, 3)]).unwrap();
    publisher.add(at(0), round(1)).unwrap();
    publisher.set_status(at(0), status(3));
    publisher.flush(at(10)).await.unwrap();
    for n in 2..10 {
        publisher.add(at(15 * i64::from(n)), round(n)).unwrap();
    }
    // A status that differs in the target that repeats itself alone is no more news than its lines.
    publisher.set_status(at(135), status(2));
    assert_eq!(publisher.due_at(at(140)), Some(at(30 + 180)));
    // They are as safe as any other line: what a crash leaves is the same.
    let kept: Vec<(String, u32)> = publisher
        .journal
        .restore()
        .unwrap()
        .into_iter()
        .map(|line| (line.id, line.times))
        .collect();
    assert_eq!(kept, [("r-4".to_owned(), 8), ("r-5".to_owned(), 8)]);
    // Other news does not wait for them, and takes them along.
    publisher.add(at(141), vec![line("r-90", Kind::Change, 3, 4)]).unwrap();
    assert_eq!(publisher.due_at(at(141)), Some(at(151)));
    publisher.flush(at(151)).await.unwrap();
    let lines: Vec<HistoryLine> =
        published(dir.path()).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<(u32, u32, u32)> = lines.iter().map(|l| (l.from, l.to, l.times)).collect();
    assert_eq!(told, [(0, 3, 1), (3, 2, 1), (2, 3, 1), (3, 2, 8), (2, 3, 8), (3, 4, 1)]);
}

#[tokio::test]
async fn a_status_whose_push_failed_is_not_taken_for_unpublished() {
    let dir = tempfile::tempdir().unwrap();
    let spec = dir.path().join("spec.git");
    git2::Repository::init_bare(&spec).unwrap();
    let mut publisher = publisher(dir.path());
    publisher.set_status(at(0), status(1));
    publisher.flush(at(0)).await.unwrap();
    std::fs::rename(&spec, dir.path().join("away")).unwrap();
    publisher.set_status(at(20), status(2));
    assert!(publisher.flush(at(20)).await.is_err());
    std::fs::rename(dir.path().join("away"), &spec).unwrap();
    // Back to what was published before: that the failed one did not arrive is not known.
    publisher.set_status(at(40), status(1));
    assert!(publisher.due_at(at(40)).is_some());
    publisher.flush(at(60)).await.unwrap();
    assert_eq!(publisher.due_at(at(60)), None);
}

#[tokio::test]
async fn credentials_rotated_during_a_push_are_used_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut publisher = publisher(dir.path());
    publisher.add(at(0), vec![line("r-1", Kind::Change, 0, 1)]).unwrap();
    publisher.set_status(at(0), status(1));
    publisher.start(at(0));
    git2::Repository::init_bare(dir.path().join("moved.git")).unwrap();
    let moved = dir.path().join("moved.git").display().to_string();
    publisher.set_remote(Remote::new(RepoUrl::parse(&moved).unwrap()));
    assert!(publisher.finish(at(0), true).await.unwrap().is_err());
    publisher.flush(at(5)).await.unwrap();
    let repository = git2::Repository::open_bare(dir.path().join("moved.git")).unwrap();
    assert!(repository.find_reference("refs/heads/status").is_ok());
}
