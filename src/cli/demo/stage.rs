//! The demo's stage: a spec repository with a clone of it, a configuration, a running controller.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::apply::{Clock as _, StopSign, SystemClock};
use crate::control::run::{EVENTS_MAX, Surroundings};
use crate::control::{ControlError, Controller, OnProgress, Purpose, Setup};
use crate::model::Replica;
use crate::observe;
use crate::providers::{Call, Ctx};

/// The spec that the demo begins with.
const QUICKSTART: &str = include_str!("../../../examples/quickstart/controller/spec.yaml");
/// The branch that the demo's controller follows.
const BRANCH: &str = "main";

/// Everything is inside one folder.
pub(super) struct Stage {
    /// The bare repository that stands for the server.
    pub(super) origin: PathBuf,
    /// A clone, for people and for the story.
    pub(super) clone: PathBuf,
    /// The controller's configuration.
    pub(super) config: PathBuf,
    setup: Setup,
}

impl Stage {
    /// Makes repository, clone and configuration, and pushes the first commit.
    pub(super) fn set(folder: &Path) -> anyhow::Result<Self> {
        let (origin, clone) = (folder.join("origin.git"), folder.join("infra"));
        let mut bare = RepositoryInitOptions::new();
        bare.bare(true).initial_head(BRANCH);
        Repository::init_opts(&origin, &bare).context("make the demo's repository")?;
        let mut work = RepositoryInitOptions::new();
        work.initial_head(BRANCH);
        let repository = Repository::init_opts(&clone, &work).context("make the demo's clone")?;
        repository.remote("origin", &origin.display().to_string())?;
        let mut settings = repository.config()?;
        settings.set_str("branch.main.remote", "origin")?;
        settings.set_str("branch.main.merge", "refs/heads/main")?;
        settings.set_str("user.name", "You")?;
        settings.set_str("user.email", "you@example.com")?;

        let config = folder.join("tidegate.yaml");
        std::fs::write(&config, configuration(folder, &origin))
            .context("write the configuration")?;
        let setup = super::setup_of(&config)?;
        let stage = Self { origin, clone, config, setup };
        stage.push(QUICKSTART, "Declare web with two replicas")?;
        Ok(stage)
    }

    /// The spec as it is in the clone.
    pub(super) fn spec(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(self.spec_path()).context("read the clone's spec")
    }

    pub(super) fn spec_path(&self) -> PathBuf {
        self.clone.join("controller/spec.yaml")
    }

    /// Writes the spec into the clone, commits and pushes, as a person would.
    pub(super) fn push(&self, spec: &str, message: &str) -> anyhow::Result<String> {
        let path = self.spec_path();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, spec)?;
        let repository = Repository::open(&self.clone)?;
        let mut index = repository.index()?;
        index.add_all(["controller"], IndexAddOption::DEFAULT, None)?;
        index.write()?;
        let tree = repository.find_tree(index.write_tree()?)?;
        let author = Signature::now("You", "you@example.com")?;
        let parent = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<_> = parent.iter().collect();
        let commit = repository.commit(Some("HEAD"), &author, &author, message, &tree, &parents)?;
        repository
            .find_remote("origin")?
            .push(&["refs/heads/main:refs/heads/main"], None)
            .context("push to the demo's repository")?;
        Ok(commit.to_string())
    }

    /// Starts the controller in the background.
    pub(super) async fn start(
        &self,
        stop: StopSign,
    ) -> anyhow::Result<JoinHandle<Result<(), ControlError>>> {
        let setup = super::setup_of(&self.config)?;
        let quiet: OnProgress = Arc::new(|_| {});
        let controller =
            Controller::start(setup, Arc::new(SystemClock), Purpose::Act, quiet).await?;
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let around = Surroundings {
            clock: Arc::new(SystemClock),
            shutdown: stop,
            reload: Arc::new(|| Err("the demo's configuration does not change".to_owned())),
            files: Vec::new(),
            on_cycle: Arc::new(|_| {}),
        };
        Ok(tokio::spawn(crate::control::run::run(controller, around, events, sender)))
    }

    /// A second controller that only looks: for the plan that is shown.
    pub(super) async fn looker(&self) -> anyhow::Result<Controller> {
        let setup = super::setup_of(&self.config)?;
        let quiet: OnProgress = Arc::new(|_| {});
        Ok(Controller::start(setup, Arc::new(SystemClock), Purpose::Look, quiet).await?)
    }

    /// The replicas there are.
    pub(super) async fn replicas(&self) -> Vec<Replica> {
        let ctx = Ctx { now: SystemClock.now(), owner: self.setup.owner.clone() };
        let scope = observe::scope(None, &self.setup.providers, []);
        observe::collect(&ctx, &self.setup.providers, &scope).await.replicas
    }

    /// The subjects of the status branch, newest first.
    pub(super) fn status_log(&self) -> anyhow::Result<Vec<String>> {
        let repository = Repository::open_bare(&self.origin)?;
        let Ok(branch) = repository.find_reference("refs/heads/tidegate/status") else {
            return Ok(Vec::new());
        };
        let mut walk = repository.revwalk()?;
        walk.push(branch.peel_to_commit()?.id())?;
        let mut subjects = Vec::new();
        for id in walk {
            let commit = repository.find_commit(id?)?;
            let subject = commit.summary().ok().flatten().unwrap_or_default().to_owned();
            let id = commit.id().to_string();
            subjects.push(format!("{} {subject}", id.get(..8).unwrap_or(&id)));
        }
        Ok(subjects)
    }

    /// A file of the status branch.
    pub(super) fn status_file(&self, path: &str) -> anyhow::Result<Option<String>> {
        let repository = Repository::open_bare(&self.origin)?;
        let Ok(branch) = repository.find_reference("refs/heads/tidegate/status") else {
            return Ok(None);
        };
        let Ok(entry) = branch.peel_to_tree()?.get_path(Path::new(path)) else { return Ok(None) };
        let blob = repository.find_blob(entry.id())?;
        Ok(Some(String::from_utf8_lossy(blob.content()).into_owned()))
    }

    /// Stops every replica of the demo.
    pub(super) async fn clear(&self) {
        let ctx = Ctx { now: SystemClock.now(), owner: self.setup.owner.clone() };
        let replicas = self.replicas().await;
        let stops = replicas.iter().filter_map(|replica| {
            let provider = self.setup.providers.get(&replica.key.provider)?.clone();
            let call = Call::Destroy { key: replica.key.clone(), drain: Duration::from_secs(2) };
            let ctx = ctx.clone();
            Some(async move { provider.apply(&ctx, &call).await })
        });
        for result in futures_util::future::join_all(stops).await {
            if let Err(error) = result {
                eprintln!("could not stop a replica of the demo: {error}");
            }
        }
    }
}

fn configuration(folder: &Path, origin: &Path) -> String {
    format!(
        "# The demo's controller. Everything it knows and keeps is in this folder.\n\
         repository: {{url: \"{origin}\", branch: {BRANCH}, pollInterval: 1s}}\n\
         status: {{branch: tidegate/status, batch: 500ms}}\n\
         defaults: {{local: host, infra: host}}\n\
         providers:\n  host: {{type: process, dir: \"{folder}/host\", ports: 20000-20999, region: local}}\n\
         prices: {{currency: USD, perReplicaHour: {{default: 0.01}}}}\n\
         interval: 1s\n\
         stateDir: \"{folder}/state\"\n",
        origin = origin.display(),
        folder = folder.display(),
    )
}
