use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::super::publish::{Publisher, WriterOptions};
use super::*;
use crate::git::{Edit, Mirror, Remote, RepoUrl, Signature, StatusWriter};
use crate::model::{Burst, Catalogue, Moment};
use crate::record::overrides::Which;

const BRANCH: &str = "status";

/// A repository, the controller's view of it, and somebody else who writes there.
struct Scene {
    dir: tempfile::TempDir,
    source: Source,
    overrides: Overrides,
    other: StatusWriter,
}

fn remote(dir: &Path) -> Remote {
    Remote::new(RepoUrl::parse(&dir.join("spec.git").display().to_string()).unwrap())
}

fn author() -> Signature {
    Signature { name: "T".to_owned(), email: "t@example.com".to_owned() }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn at(second: i64) -> Moment {
    Moment::from(now()).after(Duration::from_secs(u64::try_from(second).unwrap()))
}

fn burst(id: &str, from: i64, until: i64) -> Burst {
    let text = |text: &str| text.to_owned();
    Burst {
        id: text(id),
        service: "web".try_into().unwrap(),
        region: None,
        replicas: crate::model::Count(3),
        reason: text("r"),
        author: text("Ann"),
        from: at(from),
        until: at(until),
    }
}

impl Scene {
    fn set() -> Self {
        let dir = tempfile::tempdir().unwrap();
        git2::Repository::init_bare(dir.path().join("spec.git")).unwrap();
        let mirror = Mirror::open(&dir.path().join("mirror.git"), remote(dir.path())).unwrap();
        let source = Source::new(mirror, "main".to_owned(), "controller".to_owned());
        let folder = dir.path().join("other.git");
        let other =
            StatusWriter::open(&folder, remote(dir.path()), BRANCH, "main", author()).unwrap();
        Self { dir, source, overrides: Overrides::default(), other }
    }

    fn publisher(&self) -> Publisher {
        let options = WriterOptions {
            dir: self.dir.path().join("writer.git"),
            remote: remote(self.dir.path()),
            branch: BRANCH.to_owned(),
            protected: "main".to_owned(),
            author: author(),
        };
        Publisher::new(options, self.dir.path(), Duration::ZERO, None).unwrap()
    }

    fn write(&mut self, path: &str, content: &str) {
        let edit = Edit::Put { path: path.to_owned(), content: content.as_bytes().to_vec() };
        let _published = self.other.publish(&[edit], "m", now(), &mut || 0.0, &mut |_| {}).unwrap();
    }

    fn write_set(&mut self, set: &OverrideSet) {
        self.write(OVERRIDES_PATH, &set.render());
    }

    async fn poll(&mut self) -> Result<TakenUp, GitError> {
        self.source.poll(&Catalogue::default(), BRANCH, None).await.unwrap();
        self.overrides.take_up(&self.source, BRANCH).await
    }

    /// Polls, and fails the test if more than the advertisement was asked for.
    async fn poll_idly(&mut self) -> TakenUp {
        self.source.poll(&Catalogue::default(), BRANCH, None).await.unwrap();
        let [here, away] = ["spec.git", "away.git"].map(|name| self.dir.path().join(name));
        std::fs::rename(&here, &away).unwrap();
        let taken = self.overrides.take_up(&self.source, BRANCH).await.unwrap();
        std::fs::rename(&away, &here).unwrap();
        taken
    }

    fn in_force(&mut self, second: i64) -> Vec<String> {
        let bursts = self.overrides.set().bursts().iter();
        let bursts: Vec<&Burst> = bursts.filter(|burst| burst.is_in_force(at(second))).collect();
        bursts.iter().map(|burst| burst.id.clone()).collect()
    }
}

fn status(count: u32) -> crate::record::StatusFile {
    serde_json::from_value(serde_json::json!({
        "version": 1, "specCommit": "a".repeat(40), "planDigest": "sha256:00", "health": "ok",
        "conditions": [], "targets": [{
            "target": {"service": "web", "region": "local"}, "autoscale": "manual",
            "recorded": count, "ready": 0, "owner": "spec", "reason": "", "sentence": "",
            "since": now(),
        }],
    }))
    .unwrap()
}

#[tokio::test]
async fn what_others_write_is_taken_up_and_time_alone_ends_it() {
    let mut scene = Scene::set();
    assert_eq!(scene.poll().await.unwrap(), TakenUp::Unchanged);
    let mut set = OverrideSet::default();
    set.add_burst(burst("now", 0, 60)).unwrap();
    set.add_burst(burst("later", 30, 90)).unwrap();
    scene.write_set(&set);
    assert!(scene.in_force(0).is_empty());
    assert_eq!(scene.poll().await.unwrap(), TakenUp::Changed);
    assert_eq!(scene.poll_idly().await, TakenUp::Unchanged);
    assert_eq!(scene.in_force(0), ["now"]);
    assert_eq!(scene.in_force(59), ["now", "later"]);
    assert_eq!(scene.in_force(60), ["later"]);
    assert!(scene.in_force(90).is_empty());
    // What else is written there fetches the branch once, and changes nothing.
    scene.write("notes.txt", "hello");
    assert_eq!(scene.poll().await.unwrap(), TakenUp::Unchanged);
    assert_eq!(scene.poll_idly().await, TakenUp::Unchanged);
    set.end_bursts(&Which::Id("now".to_owned()));
    scene.write_set(&set);
    assert_eq!(scene.poll().await.unwrap(), TakenUp::Changed);
    assert!(scene.in_force(0).is_empty());
}

#[tokio::test]
async fn own_pushes_are_not_fetched_back_and_hide_nothing() {
    let mut scene = Scene::set();
    let mut publisher = scene.publisher();
    let mut set = OverrideSet::default();
    set.add_burst(burst("b", 0, 60)).unwrap();
    scene.write_set(&set);
    assert_eq!(scene.poll().await.unwrap(), TakenUp::Changed);
    for count in 1..4 {
        publisher.set_status(now(), status(count));
        publisher.flush(now()).await.unwrap();
    }
    publisher.take_pushed().iter().for_each(|pushed| scene.overrides.pushed(pushed));
    assert_eq!(scene.poll_idly().await, TakenUp::Unchanged);
    // Somebody writes, and before anybody looks the controller pushes on top of it.
    set.add_burst(burst("c", 0, 60)).unwrap();
    scene.write_set(&set);
    publisher.set_status(now(), status(9));
    publisher.flush(now()).await.unwrap();
    publisher.take_pushed().iter().for_each(|pushed| scene.overrides.pushed(pushed));
    assert_eq!(scene.poll().await.unwrap(), TakenUp::Changed);
    assert_eq!(scene.in_force(0), ["b", "c"]);
    // The publisher carried the file along.
    assert_eq!(scene.other.head().unwrap().as_ref(), scene.source.status_head());
    assert_eq!(scene.other.read(OVERRIDES_PATH).unwrap().unwrap(), set.render().into_bytes());
}

#[tokio::test]
async fn what_cannot_be_read_leaves_the_last_good_set_in_force() {
    let mut scene = Scene::set();
    let mut set = OverrideSet::default();
    set.add_burst(burst("b", 0, 60)).unwrap();
    scene.write_set(&set);
    assert_eq!(scene.poll().await.unwrap(), TakenUp::Changed);
    for bad in ["version: 2\n", "version: 1\nbursts: {}\n", "\u{0}"] {
        scene.write(OVERRIDES_PATH, bad);
        assert_eq!(scene.poll().await.unwrap(), TakenUp::Unreadable, "{bad}");
        assert!(scene.overrides.problem().is_some());
        assert_eq!(scene.in_force(0), ["b"]);
        assert_eq!(scene.poll_idly().await, TakenUp::Unchanged, "it is not fetched again");
    }
    // Also when it cannot be fetched; that is tried again.
    scene.write_set(&OverrideSet::default());
    scene.source.poll(&Catalogue::default(), BRANCH, None).await.unwrap();
    let [here, away] = ["spec.git", "away.git"].map(|name| scene.dir.path().join(name));
    std::fs::rename(&here, &away).unwrap();
    assert!(scene.overrides.take_up(&scene.source, BRANCH).await.is_err());
    assert_eq!(scene.in_force(0), ["b"]);
    std::fs::rename(&away, &here).unwrap();
    assert_eq!(scene.poll().await.unwrap(), TakenUp::Changed);
    assert_eq!(scene.overrides.problem(), None);
    assert!(scene.in_force(0).is_empty());
}

#[tokio::test]
async fn a_branch_that_is_gone_holds_nothing() {
    let mut scene = Scene::set();
    let mut set = OverrideSet::default();
    set.add_burst(burst("b", 0, 60)).unwrap();
    scene.write_set(&set);
    assert_eq!(scene.poll().await.unwrap(), TakenUp::Changed);
    let repository = git2::Repository::open_bare(scene.dir.path().join("spec.git")).unwrap();
    repository.find_reference("refs/heads/status").unwrap().delete().unwrap();
    assert_eq!(scene.poll().await.unwrap(), TakenUp::Changed);
    assert!(scene.in_force(0).is_empty());
    assert_eq!(scene.poll_idly().await, TakenUp::Unchanged);
    scene.write_set(&set);
    assert_eq!(scene.poll().await.unwrap(), TakenUp::Changed);
    assert_eq!(scene.in_force(0), ["b"]);
}
