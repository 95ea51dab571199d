//! The mirror: idle polls, moved and missing branches, pins, and being a cache.

use std::fs;

use tempfile::TempDir;
use tidegate::git::{Auth, GitError, Mirror, Remote};
use tidegate::model::CommitId;

use crate::support::git_servers::{GitHttp, remote};
use crate::support::programs::wait_until;
use crate::support::repo::{Repo, SPEC};

fn by_path(repo: &Repo) -> Remote {
    remote(&repo.path.display().to_string(), Auth::None)
}

fn setup() -> (TempDir, Repo, Mirror) {
    let dir = TempDir::new().unwrap();
    let repo = Repo::init(&dir.path().join("a.git"));
    let mirror = Mirror::open(&dir.path().join("mirror"), by_path(&repo)).unwrap();
    (dir, repo, mirror)
}

#[test]
fn an_idle_poll_is_one_advertisement_and_nothing_else() {
    let server = GitHttp::start();
    let repo = server.repo("a.git");
    let head = repo.commit("main", &[("controller/spec.yaml", SPEC.as_bytes())]);
    let dir = TempDir::new().unwrap();
    let mirror = Mirror::open(&dir.path().join("mirror"), server.remote("a.git")).unwrap();
    mirror.fetch(&["main"]).unwrap();
    // The log is written after the answer: wait for the line of the fetch before, and of the poll itself.
    let done =
        |post: &str, n: usize| server.requests().iter().filter(|r| r.contains(post)).count() >= n;
    wait_until("the fetch's line", || done("POST /a.git/git-upload-pack 200", 1));
    let before = server.requests().len();
    assert_eq!(mirror.advertise().unwrap().branch("main"), Some(&head));
    let idle = || server.requests()[before..].to_vec();
    wait_until("the poll's line", || idle().iter().any(|r| r.ends_with(" 200")));
    assert_eq!(
        idle(),
        [
            // The server's question for credentials, which lists nothing.
            "GET /a.git/info/refs?service=git-upload-pack 401",
            "GET /a.git/info/refs?service=git-upload-pack 200",
        ]
    );
}

#[test]
fn only_the_asked_branches_are_fetched() {
    let server = GitHttp::start();
    let repo = server.repo("a.git");
    let dir = TempDir::new().unwrap();
    let mirror = Mirror::open(&dir.path().join("mirror"), server.remote("a.git")).unwrap();
    let main = repo.commit("main", &[("a", b"1")]);
    let other = repo.commit("other", &[("b", b"2")]);
    mirror.fetch(&["main"]).unwrap();
    assert_eq!(mirror.resolve("main").unwrap(), Some(main.clone()));
    assert_eq!(mirror.resolve(main.as_str()).unwrap(), Some(main.clone()));
    assert_eq!(mirror.resolve(&main.as_str()[..7]).unwrap(), Some(main));
    for absent in [
        "other",
        other.as_str(),
        "HEAD",
        "main~1",
        ":/change",
        "--all",
        "",
        "abc",
        "refs/heads/main",
    ] {
        assert_eq!(mirror.resolve(absent).unwrap(), None, "{absent}");
    }
    repo.open()
        .reference("refs/pull/7/merge", git2::Oid::from_str(other.as_str()).unwrap(), true, "")
        .unwrap();
    assert_eq!(mirror.fetch_ref("refs/pull/7/merge").unwrap(), other);
    assert!(matches!(mirror.fetch_ref("refs/pull/8/merge"), Err(GitError::BranchMissing { .. })));
}

#[test]
fn a_force_push_is_followed_and_the_pinned_commit_stays() {
    let (_dir, repo, mirror) = setup();
    let good = repo.commit("main", &[("controller/spec.yaml", SPEC.as_bytes())]);
    mirror.fetch(&["main"]).unwrap();
    mirror.pin("last-good", &good).unwrap();
    repo.delete_branch("main");
    let rewritten = repo.commit("main", &[("controller/spec.yaml", b"services: [\n")]);
    mirror.fetch(&["main"]).unwrap();
    assert_eq!(mirror.resolve("main").unwrap(), Some(rewritten.clone()));
    assert_eq!(mirror.pinned("last-good"), Some(good.clone()));
    assert_eq!(mirror.read_spec(&good, "controller").unwrap().spec.unwrap().bytes, SPEC.as_bytes());
    assert!(mirror.pin("last-good", &CommitId::try_from("0".repeat(40)).unwrap()).is_err());
    assert_eq!(mirror.pinned("nothing"), None);
}

#[test]
fn a_deleted_branch_is_said_to_be_missing() {
    let (_dir, repo, mirror) = setup();
    let gone = repo.commit("main", &[("a", b"1")]);
    repo.commit("other", &[("a", b"1")]);
    mirror.fetch(&["main", "other"]).unwrap();
    repo.delete_branch("main");
    assert_eq!(mirror.advertise().unwrap().branch("main"), None);
    let error = mirror.fetch(&["main", "other"]).unwrap_err();
    assert!(error.to_string().starts_with("no branch `main` at "), "{error}");
    assert_eq!(mirror.resolve("main").unwrap(), None);
    assert!(mirror.commit_info(&gone).is_ok(), "the commit itself stays");
}

#[test]
fn an_empty_repository_advertises_nothing() {
    let server = GitHttp::start();
    let (dir, repo, mirror) = setup();
    server.repo("a.git");
    let by_http = Mirror::open(&dir.path().join("http"), server.remote("a.git")).unwrap();
    for mirror in [&mirror, &by_http] {
        assert!(mirror.advertise().unwrap().refs.is_empty());
        assert!(matches!(mirror.fetch(&["main"]), Err(GitError::BranchMissing { .. })));
    }
    drop(repo);
}

#[test]
fn commits_tell_about_themselves() {
    let (_dir, repo, mirror) = setup();
    let first = repo.commit("main", &[("a", b"1")]);
    let second = repo.commit("main", &[("a", b"2")]);
    mirror.fetch(&["main"]).unwrap();
    let log = mirror.log(&second, 10).unwrap();
    assert_eq!(log.iter().map(|c| &c.id).collect::<Vec<_>>(), [&second, &first]);
    assert_eq!(mirror.log(&second, 1).unwrap().len(), 1);
    let info = mirror.commit_info(&first).unwrap();
    assert_eq!((info.author.as_str(), info.email.as_str()), ("Ann", "ann@example.com"));
    assert_eq!((info.subject.as_str(), info.message.as_str()), ("change", "change\n\nBody\n"));
    assert_eq!(info.time.as_second(), 1_700_000_000);
    assert_eq!(mirror.read_file(&second, "a", 10).unwrap(), Some(b"2".to_vec()));
    assert_eq!(mirror.read_file(&second, "b", 10).unwrap(), None);
    assert!(matches!(mirror.read_file(&second, "a", 0), Err(GitError::FileTooLarge { .. })));
}

#[test]
fn a_broken_mirror_is_moved_aside_and_made_anew() {
    let (dir, repo, mirror) = setup();
    let head = repo.commit("main", &[("a", b"1")]);
    mirror.fetch(&["main"]).unwrap();
    drop(mirror);
    let path = dir.path().join("mirror");
    fs::remove_dir_all(path.join("objects")).unwrap();
    // What a process killed in the middle of a fetch leaves behind.
    fs::create_dir_all(path.join("refs/remotes/origin")).unwrap();
    fs::write(path.join("refs/remotes/origin/main.lock"), "").unwrap();
    let mirror = Mirror::open(&path, by_path(&repo)).unwrap();
    assert_eq!(mirror.moved_aside(), Some(&dir.path().join("mirror.broken")));
    mirror.fetch(&["main"]).unwrap();
    assert_eq!(mirror.resolve("main").unwrap(), Some(head));
    let again = Mirror::open(&path, by_path(&repo)).unwrap();
    assert_eq!(again.moved_aside(), None);
}

#[test]
fn a_folder_with_other_things_is_not_touched() {
    let dir = TempDir::new().unwrap();
    let repo = Repo::init(&dir.path().join("precious.git"));
    let error = Mirror::open(&repo.path, by_path(&repo)).unwrap_err();
    assert!(matches!(error, GitError::ForeignFolder(_)), "{error}");
}

#[test]
fn the_users_git_configuration_has_no_say() {
    // Every test is a process of its own, so the environment is this test's alone.
    let (dir, repo, _) = setup();
    let head = repo.commit("main", &[("a", b"1")]);
    let elsewhere = Repo::init(&dir.path().join("elsewhere.git"));
    let config =
        format!("[url \"{}\"]\n insteadOf = {}\n", elsewhere.path.display(), repo.path.display());
    fs::write(dir.path().join(".gitconfig"), config).unwrap();
    let seen = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "git::mirror::reads_a_repository_for_another_test", "--nocapture"])
        .env("HOME", dir.path())
        .env("XDG_CONFIG_HOME", dir.path())
        .env("REPOSITORY_FOR_ANOTHER_TEST", &repo.path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&seen.stdout);
    assert!(text.contains(head.as_str()), "{text}");
}

#[test]
fn reads_a_repository_for_another_test() {
    let Some(path) = std::env::var_os("REPOSITORY_FOR_ANOTHER_TEST") else { return };
    let dir = TempDir::new().unwrap();
    let remote = remote(path.to_str().unwrap(), Auth::None);
    let mirror = Mirror::open(&dir.path().join("mirror"), remote).unwrap();
    println!("{:?}", mirror.advertise().unwrap().branch("main"));
}

#[test]
fn many_fetches_do_not_pile_up_packs() {
    let (dir, repo, mut mirror) = setup();
    let mut commits = Vec::new();
    for n in 0..45 {
        commits.push(repo.commit("main", &[("a", format!("{n}").as_bytes())]));
        mirror.fetch(&["main"]).unwrap();
    }
    let packs = || fs::read_dir(dir.path().join("mirror/objects/pack")).unwrap().count();
    assert!(packs() >= 80, "{}", packs());
    mirror.housekeep().unwrap();
    assert_eq!(packs(), 2);
    for (n, commit) in commits.iter().enumerate() {
        assert_eq!(mirror.read_file(commit, "a", 9).unwrap(), Some(n.to_string().into_bytes()));
    }
}
