//! `tidegate validate`.

use std::fs;

use super::{said, snapshot};
use crate::support::controller::{Bench, run, tidegate};
use crate::support::git_servers::GitHttp;
use crate::support::infra::Infra;

const BROKEN: &str = "services:
  - id: web
    scale:
      strategie: infra
      regions:
        - {name: local, min: 3, desired: 2, max: 4}
";

#[test]
fn a_folder_is_checked_without_configuration_or_repository() {
    let dir = tempfile::tempdir().unwrap();
    let check = |args: &[&str]| run(tidegate(dir.path()).arg("validate").args(args));
    snapshot("validate_nothing", dir.path(), &said(&check(&[])));

    fs::create_dir(dir.path().join("controller")).unwrap();
    let spec = dir.path().join("controller/spec.yaml");
    fs::write(&spec, "services: []\n").unwrap();
    assert_eq!(check(&[]).code(0).stdout, "valid: 0 services, 0 targets, 0 warnings\n");
    fs::write(&spec, BROKEN).unwrap();
    snapshot("validate_broken", dir.path(), &said(&check(&[])));
    assert_eq!(check(&["controller"]).code(1).stdout, check(&[]).stdout.replace("./", ""));
    snapshot("validate_broken_markdown", dir.path(), &said(&check(&["--output", "markdown"])));
    snapshot("validate_broken_json", dir.path(), &said(&check(&["--output", "json"])));
}

#[test]
fn a_repository_is_checked_at_any_branch_or_commit() {
    let bench = Bench::new(Infra::fake);
    let good = bench.push(&bench.spec(&[("web", 2, "1")]));
    let url = bench.repo.path.display().to_string();
    let valid = "valid: 1 service, 1 target, 0 warnings\n";
    let check = |args: &[&str]| bench.tidegate(&[&["validate", "--repo", &url], args].concat());
    assert_eq!(check(&[]).code(0).stdout, valid);
    bench.repo.commit("proposal", &[("controller/spec.yaml", BROKEN.as_bytes())]);
    snapshot("validate_proposal", bench.dir.path(), &said(&check(&["--rev", "proposal"])));
    assert_eq!(check(&["--rev", good.as_str()]).code(0).stdout, valid);
    snapshot("validate_no_such_rev", bench.dir.path(), &said(&check(&["--rev", "nowhere"])));
    snapshot("validate_no_such_folder", bench.dir.path(), &said(&check(&["--folder", "ops"])));

    // What only a configuration can know.
    let config = bench.path("tidegate.yaml").display().to_string();
    let spec = bench.spec(&[("web", 2, "1")]).replace("name: local", "name: mars");
    bench.push(&spec);
    assert_eq!(check(&[]).code(0).stdout, valid);
    let with_config = check(&["--config", &config]);
    snapshot("validate_against_configuration", bench.dir.path(), &said(&with_config));
}

#[test]
fn a_repository_that_wants_a_token_is_told_one_by_the_environment() {
    let server = GitHttp::start();
    let bench = Bench::over_http(Infra::fake, &server);
    bench.push("services: []\n");
    let url = server.url("spec.git");
    let args = ["validate", "--repo", &url];
    snapshot("validate_no_token", bench.dir.path(), &said(&bench.tidegate(&args)));
    run(bench.command(&args).env("TIDEGATE_GIT_TOKEN", server.token)).code(0);
}
