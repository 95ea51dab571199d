//! The real binary as a controller: a spec repository, a configuration, an infrastructure of its own, and
//! everything gone when the test ends.

use std::cell::RefCell;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;
use tidegate::model::CommitId;
use tidegate::record::{HistoryLine, StatusFile};

use super::git_servers::{GitHttp, GitSsh};
use super::github::Forge;
use super::infra::Infra;
use super::repo::Repo;
pub(crate) use super::running::Controller;

/// Where the controller says what it did.
pub(crate) const STATUS_BRANCH: &str = "tidegate/status";

/// A controller's whole surroundings.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Everything is in here, except what a server or daemon has.
    pub(crate) dir: TempDir,
    /// The spec repository.
    pub(crate) repo: Repo,
    /// Where replicas run.
    pub(crate) infra: Infra,
    /// Whose replicas the controller's are.
    pub(crate) owner: String,
    /// The `repository:` of the configuration, without its braces.
    repository: String,
    env: RefCell<Vec<(String, String)>>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails the test unless the command ended with this code.
    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Self {
        assert_eq!(self.status.code(), Some(expected), "{self}");
        self
    }

    /// Whether it was killed by SIGKILL.
    pub(crate) fn was_killed(&self) -> bool {
        self.status.signal() == Some(Signal::KILL.as_raw())
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n--- stdout\n{}--- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}

impl Bench {
    /// A bench whose repository is reached by its path.
    pub(crate) fn new(infra: fn(&Path) -> Infra) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo::init(&dir.path().join("spec.git"));
        let url = repo.path.display().to_string();
        Self::assemble(infra, dir, repo, &url, "")
    }

    /// A bench whose repository is reached over HTTP with user name and password, the password being in
    /// the environment.
    pub(crate) fn over_http(infra: fn(&Path) -> Infra, server: &GitHttp) -> Self {
        Self::over_http_at(infra, server, &server.url("spec.git"))
    }

    /// The same, at another address of that server.
    pub(crate) fn over_http_at(infra: fn(&Path) -> Infra, server: &GitHttp, url: &str) -> Self {
        let credentials =
            format!("credentials: {{username: {}, passwordRef: env/GIT_PASSWORD}}", server.user);
        let dir = tempfile::tempdir().unwrap();
        let bench = Self::assemble(infra, dir, server.repo("spec.git"), url, &credentials);
        bench.set_env("GIT_PASSWORD", server.password);
        bench
    }

    /// A bench whose repository is the forge's, reached over its git server.
    pub(crate) fn on_forge(infra: fn(&Path) -> Infra, forge: &Forge) -> Self {
        let server = forge.git();
        let credentials =
            format!("credentials: {{username: {}, passwordRef: env/GIT_PASSWORD}}", server.user);
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo { path: forge.repo.path.clone() };
        let bench = Self::assemble(infra, dir, repo, &forge.git_url(), &credentials);
        bench.set_env("GIT_PASSWORD", server.password);
        bench
    }

    /// A bench whose repository is reached over ssh.
    pub(crate) fn over_ssh(infra: fn(&Path) -> Infra, server: &GitSsh) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let known_hosts = dir.path().join("known_hosts");
        fs::write(&known_hosts, &server.known_hosts).unwrap();
        let key = dir.path().join("key");
        fs::write(&key, &server.key).unwrap();
        let credentials = format!(
            "credentials: {{sshKeyRef: file/{}, knownHosts: {}}}",
            key.display(),
            known_hosts.display()
        );
        Self::assemble(infra, dir, server.repo("spec.git"), &server.url("spec.git"), &credentials)
    }

    fn assemble(
        infra: fn(&Path) -> Infra,
        dir: TempDir,
        repo: Repo,
        url: &str,
        credentials: &str,
    ) -> Self {
        let infra = infra(dir.path());
        let repository = format!("url: \"{url}\", pollInterval: 1s, {credentials}");
        let owner = unique("own");
        let env = RefCell::default();
        let bench = Self { dir, repo, infra, owner, repository, env };
        bench.write_config(&bench.config());
        bench
    }

    /// The configuration as it is written at first: one provider, `host`, for everything.
    pub(crate) fn config(&self) -> String {
        self.config_of(&self.owner, STATUS_BRANCH, "state")
    }

    fn config_of(&self, owner: &str, branch: &str, state: &str) -> String {
        format!(
            "repository: {{{}}}\n\
             status: {{branch: {branch}, batch: 100ms, author: {{name: Tide, email: tide@example.com}}}}\n\
             owner: {owner}\n\
             defaults: {{infra: host, local: host}}\n\
             providers:\n  host: {}\n\
             interval: 1s\n\
             stateDir: {}\n",
            self.repository,
            self.infra.config(),
            self.path(state).display(),
        )
    }

    /// Replaces the configuration, as an editor does: at once.
    pub(crate) fn write_config(&self, text: &str) {
        let temporary = self.path("tidegate.yaml.new");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.path("tidegate.yaml")).unwrap();
    }

    /// A path inside the bench's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Sets a variable for every command from now on.
    pub(crate) fn set_env(&self, name: &str, value: &str) {
        self.env.borrow_mut().push((name.to_owned(), value.to_owned()));
    }

    /// Commits a spec to `main`.
    pub(crate) fn push(&self, spec: &str) -> CommitId {
        self.repo.commit("main", &[("controller/spec.yaml", spec.as_bytes())])
    }

    /// A service of so many replicas; another version is another template.
    pub(crate) fn service(&self, id: &str, replicas: u32, version: &str) -> String {
        service(id, replicas, &self.infra.template(version))
    }

    /// A spec of services: id, replicas, version.
    pub(crate) fn spec(&self, services: &[(&str, u32, &str)]) -> String {
        let all =
            services.iter().map(|(id, replicas, version)| self.service(id, *replicas, version));
        format!("services:\n{}", all.collect::<String>())
    }

    /// The binary with nothing of this machine's environment but what it needs.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = tidegate(self.dir.path());
        command
            .args(args)
            .env("TIDEGATE_CONFIG", self.path("tidegate.yaml"))
            .envs(self.env.borrow().iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn tidegate(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    /// Lets another controller, with an owner of its own, make replicas beside ours.
    pub(crate) fn add_neighbour(&self, spec: &str) {
        let config = self.path("neighbour.yaml");
        let owner = format!("{}-nbr", self.owner);
        fs::write(&config, self.config_of(&owner, "neighbour/status", "neighbour")).unwrap();
        self.push(spec);
        run(self.command(&["apply"]).env("TIDEGATE_CONFIG", &config)).code(0);
    }

    /// Starts the controller.
    pub(crate) fn run(&self) -> Controller {
        self.run_logging("tidegate=debug")
    }

    /// Starts the controller, with logs of that much detail.
    pub(crate) fn run_logging(&self, filter: &str) -> Controller {
        let log = self.path("run.log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = self
            .command(&["run", "--log", filter])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Controller::new(child, log)
    }

    /// The status file at the head of the status branch.
    pub(crate) fn status(&self) -> Option<StatusFile> {
        let bytes = self.on_status_branch("status.yaml")?;
        Some(serde_yaml::from_slice(&bytes).unwrap())
    }

    fn on_status_branch(&self, path: &str) -> Option<Vec<u8>> {
        let name = format!("refs/heads/{STATUS_BRANCH}");
        self.repo.open().find_reference(&name).ok()?;
        self.repo.file(STATUS_BRANCH, path)
    }

    /// All history on the status branch, in order.
    pub(crate) fn history(&self) -> Vec<HistoryLine> {
        let repository = self.repo.open();
        let Ok(branch) = repository.find_reference(&format!("refs/heads/{STATUS_BRANCH}")) else {
            return Vec::new();
        };
        let mut files = Vec::new();
        branch
            .peel_to_tree()
            .unwrap()
            .walk(git2::TreeWalkMode::PreOrder, |folder, entry| {
                if folder.starts_with("history/") && entry.kind() == Some(git2::ObjectType::Blob) {
                    files.push((format!("{folder}{}", entry.name().unwrap()), entry.id()));
                }
                git2::TreeWalkResult::Ok
            })
            .unwrap();
        files.sort();
        files
            .iter()
            .flat_map(|(_, id)| {
                let blob = repository.find_blob(*id).unwrap();
                let text = String::from_utf8(blob.content().to_vec()).unwrap();
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Fails the test unless history is a chain for every target, without a line twice, that ends at the
    /// replicas there are.
    #[track_caller]
    pub(crate) fn assert_history_is_true(&self) {
        let history = self.history();
        let mut ids = std::collections::BTreeSet::new();
        let mut counts = std::collections::BTreeMap::new();
        for line in &history {
            assert!(ids.insert(&line.id), "{} is there twice", line.id);
            let count = counts.entry(line.target.clone()).or_insert(0);
            assert_eq!(line.from, *count, "{line:#?} in {history:#?}");
            *count = line.to;
        }
        let mut real = std::collections::BTreeMap::new();
        for replica in self.ours() {
            *real.entry(replica.target.clone()).or_insert(0) += 1;
        }
        counts.retain(|_, count| *count > 0);
        let counts: std::collections::BTreeMap<String, u32> =
            counts.into_iter().map(|(target, count)| (target.to_string(), count)).collect();
        assert_eq!(counts, real, "history does not end at what there is: {history:#?}");
    }

    /// The controller's own replicas.
    pub(crate) fn ours(&self) -> Vec<super::infra::Seen> {
        self.infra.seen().into_iter().filter(|replica| replica.owner == self.owner).collect()
    }

    /// How many replicas a service of ours has.
    pub(crate) fn count(&self, service: &str) -> usize {
        let target = format!("{service}/local");
        self.ours().iter().filter(|replica| replica.target == target).count()
    }
}

/// A service of so many replicas in region `local`, with a template in flow form.
pub(crate) fn service(id: &str, replicas: u32, template: &str) -> String {
    format!(
        "  - id: {id}\n    scale: {{regions: [{{name: local, min: 0, desired: {replicas}, max: 9}}]}}\n    \
         template: {template}\n"
    )
}

/// The binary, in a folder, with a scrubbed environment.
pub(crate) fn tidegate(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A name that no other test has, on this machine and now.
fn unique(word: &str) -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    format!("{word}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Drop for Bench {
    /// Nothing outlives its test, also not a failed one.
    fn drop(&mut self) {
        self.infra.clear(&self.owner);
    }
}
