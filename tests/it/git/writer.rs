//! The status branch: exactly once, in a line, never by force, whatever happens in between.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tidegate::git::{
    Auth, Edit, GitError, PART_LINES_MAX, Published, Remote, Signature, StatusWriter,
};
use tidegate::model::Secret;

use crate::support::git_servers::{GitHttp, GitSsh, remote};
use crate::support::repo::Repo;

const BRANCH: &str = "tidegate/status";
const STEM: &str = "history/2026/11/21";

fn author() -> Signature {
    Signature { name: "Tidegate".to_owned(), email: "tidegate@example.com".to_owned() }
}

fn writer(dir: &Path, remote: Remote) -> StatusWriter {
    StatusWriter::open(dir, remote, BRANCH, "main", author()).unwrap()
}

fn publish(writer: &mut StatusWriter, edits: &[Edit]) -> Result<Published, GitError> {
    publish_waiting(writer, edits, &mut |_| {})
}

fn publish_waiting(
    writer: &mut StatusWriter,
    edits: &[Edit],
    wait: &mut dyn FnMut(Duration),
) -> Result<Published, GitError> {
    let mut random = fastrand::Rng::new();
    writer.publish(
        edits,
        "Scale web\n\nTidegate-Spec-Commit: abc\n",
        Timestamp::from_second(1_790_000_000).unwrap(),
        &mut || random.f64(),
        wait,
    )
}

fn put(path: &str, content: &str) -> Edit {
    Edit::Put { path: path.to_owned(), content: content.as_bytes().to_vec() }
}

fn lines(keys: impl IntoIterator<Item = String>) -> Edit {
    let line = |key: String| (key.clone(), format!("{{\"id\":\"{key}\",\"n\":1}}"));
    Edit::Append { path_stem: STEM.to_owned(), lines: keys.into_iter().map(line).collect() }
}

fn one(key: &str) -> Edit {
    lines([key.to_owned()])
}

fn by_path(repo: &Repo) -> Remote {
    remote(&repo.path.display().to_string(), Auth::None)
}

fn local() -> (TempDir, Repo, StatusWriter) {
    let dir = TempDir::new().unwrap();
    let repo = Repo::init(&dir.path().join("a.git"));
    let writer = writer(&dir.path().join("writer"), by_path(&repo));
    (dir, repo, writer)
}

fn text(repo: &Repo, path: &str) -> String {
    repo.file(BRANCH, path).map(|b| String::from_utf8(b).unwrap()).unwrap_or_default()
}

fn assert_in_a_line(repo: &Repo, commits: usize) {
    let parents: Vec<usize> = repo.history(BRANCH).into_iter().map(|(_, n)| n).collect();
    let mut expected = vec![1; commits - 1];
    expected.push(0);
    assert_eq!(parents, expected);
}

/// Two writers, fifty commits each; every line of both must be there once.
fn race(repo: &Repo, remote: &Remote, wait: fn(Duration)) {
    let dir = TempDir::new().unwrap();
    let attempts_max = std::thread::scope(|scope| {
        let threads = ["a", "b"].map(|name| {
            let mut writer = writer(&dir.path().join(name), remote.clone());
            scope.spawn(move || {
                let mut attempts_max = 0;
                for n in 0..50 {
                    let edits =
                        [one(&format!("{name}-{n}")), put("status.yaml", &format!("{name}{n}"))];
                    // As the controller does: what was refused too often is published again.
                    let published = loop {
                        match publish_waiting(&mut writer, &edits, &mut { wait }) {
                            Err(GitError::Rejected { .. }) => {}
                            other => break other.unwrap(),
                        }
                    };
                    let Published::Committed { attempts, .. } = published else {
                        panic!("{published:?}")
                    };
                    attempts_max = attempts_max.max(attempts);
                }
                attempts_max
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    println!("most attempts for a commit: {attempts_max:?}");
    let mut seen = BTreeMap::new();
    for line in text(repo, &format!("{STEM}.jsonl")).lines() {
        *seen.entry(line.to_owned()).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 100);
    assert!(seen.values().all(|n| *n == 1), "{seen:?}");
    assert_in_a_line(repo, 100);
}

#[test]
fn two_writers_over_http_lose_nothing() {
    let server = GitHttp::start();
    let repo = server.repo("a.git");
    repo.open().config().unwrap().set_bool("receive.denyNonFastForwards", true).unwrap();
    race(&repo, &server.remote("a.git"), std::thread::sleep);
}

#[test]
fn two_writers_by_path_lose_nothing() {
    let (_dir, repo, _writer) = local();
    race(&repo, &by_path(&repo), |_| {});
}

#[test]
fn two_first_commits_by_path_are_both_kept() {
    for _ in 0..20 {
        let (dir, repo, _writer) = local();
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for name in ["a", "b"] {
                let mut writer = writer(&dir.path().join(name), by_path(&repo));
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let published =
                        publish_waiting(&mut writer, &[one(name)], &mut std::thread::sleep)
                            .unwrap();
                    assert!(matches!(published, Published::Committed { .. }));
                });
            }
        });
        assert_in_a_line(&repo, 2);
        assert_eq!(text(&repo, &format!("{STEM}.jsonl")).lines().count(), 2);
    }
}

#[test]
fn the_branch_begins_with_an_orphan_and_leaves_others_alone() {
    let server = GitSsh::start();
    let repo = server.repo("a.git");
    let main = repo.commit("main", &[("controller/spec.yaml", b"services: []")]);
    let dir = TempDir::new().unwrap();
    let mut writer = writer(&dir.path().join("writer"), server.remote("a.git"));
    assert_eq!(writer.head().unwrap(), None);
    assert_eq!(writer.read("status.yaml").unwrap(), None);
    let edits = [put("status.yaml", "ok\n"), one("1")];
    let Published::Committed { commit, attempts: 1, .. } = publish(&mut writer, &edits).unwrap()
    else {
        panic!("not committed at once")
    };
    assert_eq!(repo.history(BRANCH), [(commit.clone(), 0)]);
    assert_eq!(repo.history("main"), [(main, 0)]);
    assert_eq!(writer.head().unwrap(), Some(commit.clone()));
    assert_eq!(writer.read("status.yaml").unwrap(), Some(b"ok\n".to_vec()));
    let repository = repo.open();
    let made = repository.find_commit(git2::Oid::from_str(commit.as_str()).unwrap()).unwrap();
    assert_eq!(made.message().unwrap(), "Scale web\n\nTidegate-Spec-Commit: abc\n");
    assert_eq!(made.author().email().unwrap(), "tidegate@example.com");
    assert_eq!(made.time().seconds(), 1_790_000_000);
}

#[test]
fn what_is_there_already_makes_no_commit() {
    let (_dir, repo, mut writer) = local();
    assert_eq!(publish(&mut writer, &[]).unwrap(), Published::Unchanged);
    let edits = [put("status.yaml", "ok\n"), one("1")];
    assert!(matches!(publish(&mut writer, &edits).unwrap(), Published::Committed { .. }));
    assert_eq!(publish(&mut writer, &edits).unwrap(), Published::Unchanged);
    assert_eq!(publish(&mut writer, &[]).unwrap(), Published::Unchanged);
    assert_eq!(
        publish(&mut writer, &[lines(["1".to_owned(), "1".to_owned()])]).unwrap(),
        Published::Unchanged
    );
    assert_in_a_line(&repo, 1);
}

#[test]
fn a_crash_between_push_and_answer_repeats_nothing() {
    let (dir, repo, mut writer) = local();
    let edits = [put("status.yaml", "ok\n"), lines((0..5).map(|n| n.to_string()))];
    assert!(matches!(publish(&mut writer, &edits).unwrap(), Published::Committed { .. }));
    drop(writer);
    // The push arrived, but the clone was lost with the process, or is as it was before the push.
    fs::remove_dir_all(dir.path().join("writer")).unwrap();
    let mut writer = self::writer(&dir.path().join("writer"), by_path(&repo));
    assert_eq!(publish(&mut writer, &edits).unwrap(), Published::Unchanged);
    // The next batch repeats a part of the last.
    let edits = [lines((3..8).map(|n| n.to_string()))];
    assert!(matches!(publish(&mut writer, &edits).unwrap(), Published::Committed { .. }));
    let history = text(&repo, &format!("{STEM}.jsonl"));
    assert_eq!(history.lines().count(), 8, "{history}");
    assert_in_a_line(&repo, 2);
}

#[test]
fn another_writers_overwriting_is_noticed() {
    let (dir, repo, mut first) = local();
    let mut second = writer(&dir.path().join("second"), by_path(&repo));
    let ours = [put("status.yaml", "first\n")];
    assert!(matches!(publish(&mut first, &ours).unwrap(), Published::Committed { .. }));
    let theirs = [put("status.yaml", "second\n")];
    assert!(matches!(publish(&mut second, &theirs).unwrap(), Published::Committed { .. }));
    let published = publish(&mut first, &[put("other", "x")]).unwrap();
    assert!(matches!(published, Published::Committed { .. }), "{published:?}");
    assert_eq!(text(&repo, "status.yaml"), "second\n");
    // The same content as the first time, and yet a change, because the other writer was there.
    assert!(matches!(publish(&mut first, &ours).unwrap(), Published::Committed { .. }));
    assert_eq!(text(&repo, "status.yaml"), "first\n");
}

#[test]
fn full_files_spill_and_keys_are_known_in_all_of_them() {
    let (dir, repo, mut writer) = local();
    let count = 2 * PART_LINES_MAX + 10;
    let key = |n: usize| format!("k{n}");
    assert!(matches!(
        publish(&mut writer, &[lines((0..count).map(key))]).unwrap(),
        Published::Committed { .. }
    ));
    let sizes = |repo: &Repo| {
        ["", ".1", ".2", ".3"]
            .map(|part| text(repo, &format!("{STEM}{part}.jsonl")).lines().count())
    };
    assert_eq!(sizes(&repo), [PART_LINES_MAX, PART_LINES_MAX, 10, 0]);
    drop(writer);
    let mut writer = self::writer(&dir.path().join("writer"), by_path(&repo));
    let old = [lines([key(0), key(PART_LINES_MAX), key(count - 1)])];
    assert_eq!(publish(&mut writer, &old).unwrap(), Published::Unchanged);
    assert!(matches!(
        publish(&mut writer, &[lines([key(1), key(count)])]).unwrap(),
        Published::Committed { .. }
    ));
    assert_eq!(sizes(&repo), [PART_LINES_MAX, PART_LINES_MAX, 11, 0]);
}

#[test]
fn refusals_are_tried_ten_times_and_then_told() {
    let server = GitHttp::start();
    let repo = server.repo("a.git");
    let hook = repo.path.join("hooks/update");
    fs::create_dir_all(repo.path.join("hooks")).unwrap();
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let dir = TempDir::new().unwrap();
    let mut writer = writer(&dir.path().join("writer"), server.remote("a.git"));
    let mut waits = Vec::new();
    let error = writer
        .publish(&[one("1")], "m", Timestamp::UNIX_EPOCH, &mut || 1.0, &mut |time| waits.push(time))
        .unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        "push to `tidegate/status` refused 10 times, at last with: hook declined"
    );
    assert_eq!(waits.len(), 9);
    assert!(waits.is_sorted() && waits[8] <= Duration::from_secs(1), "{waits:?}");
    fs::remove_file(&hook).unwrap();
    assert!(matches!(publish(&mut writer, &[one("1")]).unwrap(), Published::Committed { .. }));
    assert_in_a_line(&repo, 1);
}

#[test]
fn an_unreachable_server_loses_nothing() {
    let server = GitHttp::start();
    let repo = server.repo("a.git");
    let dir = TempDir::new().unwrap();
    let mut writer = writer(&dir.path().join("writer"), server.remote("a.git"));
    assert!(matches!(publish(&mut writer, &[one("1")]).unwrap(), Published::Committed { .. }));
    let mut away = server.remote("a.git");
    away.url = tidegate::git::RepoUrl::parse("http://127.0.0.1:1/a.git").unwrap();
    writer.set_remote(away);
    let error = publish(&mut writer, &[one("2")]).unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    let mut wrong = server.remote("a.git");
    wrong.auth = Auth::Token(Secret::new("wr0ng"));
    writer.set_remote(wrong);
    let error = publish(&mut writer, &[one("2")]).unwrap_err();
    assert!(error.to_string().contains("refused the token"), "{error}");
    writer.set_remote(server.remote("a.git"));
    assert!(matches!(publish(&mut writer, &[one("2")]).unwrap(), Published::Committed { .. }));
    assert_eq!(text(&repo, &format!("{STEM}.jsonl")).lines().count(), 2);
}

#[test]
fn a_token_that_may_only_read_is_told_apart() {
    let server = GitHttp::start_with("if ($arg_service = git-receive-pack) { return 403; }", false);
    server.repo("a.git");
    let dir = TempDir::new().unwrap();
    let mut writer = writer(&dir.path().join("writer"), server.remote("a.git"));
    assert_eq!(writer.head().unwrap(), None);
    let error = publish(&mut writer, &[one("1")]).unwrap_err();
    assert!(error.to_string().contains("may write this repository"), "{error}");
    assert!(!error.is_retryable());
}

#[test]
fn a_deleted_branch_or_clone_is_made_anew() {
    let (dir, repo, mut writer) = local();
    assert!(matches!(publish(&mut writer, &[one("1")]).unwrap(), Published::Committed { .. }));
    repo.delete_branch(BRANCH);
    assert!(matches!(publish(&mut writer, &[one("2")]).unwrap(), Published::Committed { .. }));
    assert_in_a_line(&repo, 1);
    fs::remove_dir_all(dir.path().join("writer")).unwrap();
    assert!(matches!(publish(&mut writer, &[one("3")]).unwrap(), Published::Committed { .. }));
    assert_eq!(text(&repo, &format!("{STEM}.jsonl")).lines().count(), 2);
}

#[test]
fn the_spec_branch_and_a_clone_in_use_are_refused() {
    let (dir, repo, _writer) = local();
    let open = |name: &str, branch: &str| {
        StatusWriter::open(&dir.path().join(name), by_path(&repo), branch, "main", author())
            .unwrap_err()
    };
    assert!(matches!(open("x", "main"), GitError::Protected(_)));
    for branch in ["", "-f", "+main", "a b", "a..b", "a:main", "x*"] {
        assert!(matches!(open("x", branch), GitError::BranchName(_)), "{branch}");
    }
    assert!(matches!(open("writer", BRANCH), GitError::InUse(_)));
}

#[test]
fn edits_that_could_repeat_or_escape_are_refused() {
    let (_dir, _repo, mut writer) = local();
    let append = |key: &str, line: &str| Edit::Append {
        path_stem: STEM.to_owned(),
        lines: vec![(key.to_owned(), line.to_owned())],
    };
    for edit in [
        put("../x", ""),
        put("/x", ""),
        put("a//b", ""),
        put(".git/config", ""),
        put("a\0b", ""),
        append("1", "{}"),
        append("1", "{\"id\":\"1\"}\n{}"),
        append("a\"b", "{\"id\":\"a\"b\"}"),
        append("", "{\"id\":\"\"}"),
    ] {
        let result = publish(&mut writer, std::slice::from_ref(&edit));
        assert!(matches!(result, Err(GitError::InvalidEdit { .. })), "{edit:?}: {result:?}");
    }
}

#[test]
fn the_clone_does_not_grow_without_bound() {
    let (dir, repo, mut writer) = local();
    for n in 0..300 {
        assert!(matches!(
            publish(&mut writer, &[one(&n.to_string())]).unwrap(),
            Published::Committed { .. }
        ));
    }
    let objects = dir.path().join("writer/objects");
    let loose: usize = fs::read_dir(&objects)
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().len() == 2)
        .map(|e| fs::read_dir(e.path()).unwrap().count())
        .sum();
    // Each commit makes six objects.
    assert!(loose < 1_000, "{loose}");
    assert_in_a_line(&repo, 300);
}
