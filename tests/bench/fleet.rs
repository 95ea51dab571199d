//! A fleet of any size: its spec, its repository, its configuration, and the fake world that it runs in.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use git2::{IndexEntry, IndexTime, Repository, RepositoryInitOptions, Signature};
use tidegate::apply::SystemClock;
use tidegate::config::{self, secrets::SecretSource};
use tidegate::control::{Controller, Purpose, Setup};
use tidegate::model::{ActionKind, Plan, SourceFile, Sources};
use tidegate::providers::testing::{FakeProvider, FakeReplica};

/// Every service is a target of its own: the largest spec that a number of targets can have.
const REGIONS: [&str; 4] = ["iad", "fra", "nrt", "gru"];

/// The spec of a fleet: each service has one region, a template with everything in it, and so many replicas.
pub(crate) fn spec(targets: usize, desired: usize) -> String {
    let mut text = "services:\n".to_owned();
    for index in 0..targets {
        let region = REGIONS[index % REGIONS.len()];
        writeln!(
            text,
            "  - id: service-{index:05}
    displayName: Service {index}
    scale:
      autoscale: manual
      cooldown: 5m
      regions:
        - {{name: {region}, min: 1, desired: {desired}, max: 6}}
    template:
      image: registry.example.com/team-{team}/service-{index:05}:1.4.2
      command: [\"/serve\", \"--port\", \"8080\"]
      env: {{LOG_LEVEL: info, SERVICE: \"{index}\"}}
      ports: [{{name: http, containerPort: 8080}}]
      resources: {{cpu: 0.5, memory: 512Mi}}
      health: {{http: {{path: /healthz, port: 8080}}, interval: 5s, timeout: 2s, failures: 3}}
      drain: 30s",
            team = index % 40,
        )
        .unwrap();
    }
    text
}

/// A spec as the git stage hands it over.
pub(crate) fn sources(spec: String) -> Sources {
    let file = SourceFile { path: "controller/spec.yaml".to_owned(), bytes: spec.into_bytes() };
    Sources { spec: Some(file), ..Sources::default() }
}

/// Makes the spec repository in a folder.
pub(crate) fn make_repository(folder: &Path, spec: &str) {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).initial_head("main");
    let repository = Repository::init_opts(folder.join("spec.git"), &options).unwrap();
    let mut index = git2::Index::new().unwrap();
    let zero = IndexTime::new(0, 0);
    let entry = IndexEntry {
        ctime: zero,
        mtime: zero,
        dev: 0,
        ino: 0,
        mode: 0o100_644,
        uid: 0,
        gid: 0,
        file_size: 0,
        id: repository.blob(spec.as_bytes()).unwrap(),
        flags: 0,
        flags_extended: 0,
        path: b"controller/spec.yaml".to_vec(),
    };
    index.add(&entry).unwrap();
    let tree = repository.find_tree(index.write_tree_to(&repository).unwrap()).unwrap();
    let author = Signature::now("Ann", "ann@example.com").unwrap();
    repository.commit(Some("refs/heads/main"), &author, &author, "spec", &tree, &[]).unwrap();
}

/// No secrets at all.
#[derive(Debug)]
struct NoSecrets;

impl SecretSource for NoSecrets {
    fn env(&self, _name: &str) -> Option<String> {
        None
    }

    fn read(&self, _path: &Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// The parts of a controller of the repository in a folder, whose only provider is this world.
pub(crate) fn setup(folder: &Path, world: &FakeProvider) -> Setup {
    let text = format!(
        "repository: {{url: {folder}/spec.git}}\n\
         providers: {{world: {{type: fake, dir: {folder}/unused}}}}\n\
         defaults: {{infra: world}}\n\
         prices: {{currency: USD, perReplicaHour: {{default: 0.01}}}}\n\
         stateDir: {folder}/state\n",
        folder = folder.display()
    );
    let (config, findings) = config::load(text.as_bytes(), "tidegate.yaml");
    let config = config.unwrap_or_else(|| panic!("the configuration is refused: {findings:?}"));
    let mut setup = Setup::build(config, Arc::new(NoSecrets), Path::new("tidegate")).unwrap();
    setup.providers.insert("world".try_into().unwrap(), Arc::new(world.clone()));
    setup
}

/// Starts a controller.
pub(crate) async fn controller(
    folder: &Path,
    world: &FakeProvider,
    purpose: Purpose,
) -> Controller {
    let setup = setup(folder, world);
    Controller::start(setup, Arc::new(SystemClock), purpose, Arc::new(|_| {})).await.unwrap()
}

/// Puts into the world what a plan would create.
pub(crate) fn populate(world: &FakeProvider, setup: &Setup, plan: &Plan) {
    let actions = plan.targets.iter().flat_map(|target| &target.steps).flat_map(|s| &s.actions);
    let replicas = actions.filter_map(|action| match &action.kind {
        ActionKind::Create { template } => Some(FakeReplica {
            owner: setup.owner.clone(),
            provider: action.key.provider.clone(),
            target: action.key.target.clone(),
            ordinal: action.key.ordinal,
            template: template.clone(),
            spec_commit: plan.spec_commit.clone(),
            running: true,
        }),
        ActionKind::Start | ActionKind::AwaitReady | ActionKind::Destroy => None,
    });
    world.with_world(|world| world.replicas.extend(replicas));
}
