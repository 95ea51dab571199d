//! The other commands, and what is said to those who call them wrongly.

use std::fs;

use super::{said, snapshot};
use crate::support::controller::{Bench, run, tidegate};
use crate::support::infra::Infra;

#[test]
fn the_reference_is_as_committed() {
    let dir = tempfile::tempdir().unwrap();
    snapshot("reference", dir.path(), &tidegate::cli::reference());
}

#[test]
fn schemas_are_json_schemas() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["spec", "config", "status", "plan"] {
        let ran = run(tidegate(dir.path()).args(["schema", kind])).code(0);
        let schema: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert!(schema["$schema"].is_string() && schema["properties"].is_object(), "{kind}");
        assert!(!ran.stdout.contains("\"fake\""), "{kind}: the tests' world is not published");
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    for args in
        [&["plam"][..], &[], &["plan", "--output", "xml"], &["validate", "a", "--repo", "b"]]
    {
        let ran = run(tidegate(dir.path()).args(args)).code(64);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("--help"), "{ran}");
    }
    run(tidegate(dir.path()).arg("--help")).code(0);
    run(tidegate(dir.path()).arg("--version")).code(0);
    let bash = run(tidegate(dir.path()).args(["completions", "bash"])).code(0);
    assert!(bash.stdout.contains("complete -F _tidegate"), "{bash}");
}

#[test]
fn a_configuration_that_is_missing_or_broken_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let plan = || said(&run(tidegate(dir.path()).arg("plan")));
    snapshot("config_missing", dir.path(), &plan());
    fs::write(dir.path().join("tidegate.yaml"), "repository: {url: a}\nintervall: 1s\n").unwrap();
    snapshot("config_broken", dir.path(), &plan());
    let credentials =
        "repository: {url: https://example.com/a.git, credentials: {tokenRef: env/NOPE}}\n";
    fs::write(dir.path().join("tidegate.yaml"), credentials).unwrap();
    snapshot("config_no_token", dir.path(), &plan());
    let credentials = credentials.replace("env/NOPE", "file/.");
    fs::write(dir.path().join("tidegate.yaml"), credentials).unwrap();
    snapshot("config_unreadable_token", dir.path(), &plan());
}

#[test]
fn what_init_writes_is_valid_and_never_replaces_anything() {
    let dir = tempfile::tempdir().unwrap();
    let init = || run(tidegate(dir.path()).arg("init"));
    snapshot("init", dir.path(), &said(&init()));
    let validated = run(tidegate(dir.path()).args(["validate", "--config", "tidegate.yaml"]));
    assert_eq!(validated.code(0).stdout, "valid: 1 service, 1 target, 0 warnings\n");
    let config = dir.path().join("tidegate.yaml");
    fs::write(&config, "mine").unwrap();
    snapshot("init_again", dir.path(), &said(&init()));
    fs::remove_dir_all(dir.path().join("controller")).unwrap();
    init().code(1);
    assert_eq!(fs::read(config).unwrap(), b"mine");
    assert!(!dir.path().join("controller").exists(), "not half of it either");
}

#[test]
fn doctor_says_what_is_wrong_and_what_to_do() {
    let bench = Bench::new(Infra::fake);
    let doctor = |args: &[&str]| said(&bench.tidegate(&[&["doctor"], args].concat()));
    snapshot("doctor_empty_repository", bench.dir.path(), &doctor(&[]));
    bench.push(&bench.spec(&[("web", 1, "1")]));
    snapshot("doctor_well", bench.dir.path(), &doctor(&[]));
    assert_eq!(bench.status(), None, "nothing is published");

    bench.push("services: 1\n");
    fs::write(bench.path("not-a-folder"), "").unwrap();
    let docker = format!(
        "{{type: docker, hosts: {{local: \"unix://{}\"}}}}",
        bench.path("no.sock").display()
    );
    let config = bench.config().replace("providers:\n", &format!("providers:\n  edge: {docker}\n"));
    bench.write_config(&config);
    snapshot("doctor_ill", bench.dir.path(), &doctor(&[]));
    let repository = bench.repo.path.display().to_string();
    bench.write_config(
        &config.replace(&repository, &bench.path("nowhere.git").display().to_string()),
    );
    snapshot("doctor_no_repository", bench.dir.path(), &doctor(&[]));
    let state = bench.path("state").display().to_string();
    bench.write_config(
        &config.replace(&state, &bench.path("not-a-folder/state").display().to_string()),
    );
    snapshot("doctor_no_state", bench.dir.path(), &doctor(&["--output", "json"]));
}

#[test]
fn doctor_goes_on_after_what_is_wrong() {
    let bench = Bench::new(Infra::fake);
    let doctor = || said(&bench.tidegate(&["doctor"]));
    bench.set_env("SET", "hunter2");
    bench.push(&bench.spec(&[("web", 1, "1")]));
    let edge = "edge: {type: docker, hosts: {local: \"unix:///no.sock\"}, \
                registries: {example.com: {username: a, passwordRef: env/NOPE}}}";
    let config = bench.config().replace("providers:\n", &format!("providers:\n  {edge}\n"));
    bench.write_config(&format!("{config}secrets: {{here: env/SET, gone: env/NOPE}}\n"));
    let text = doctor();
    assert!(!text.contains("hunter2"), "{text}");
    snapshot("doctor_secrets", bench.dir.path(), &text);

    let credentials = "credentials: {username: a, passwordRef: file/nope}";
    let http = bench.repo.path.display().to_string();
    let config = bench.config().replace(&http, "https://127.0.0.1:1/spec.git");
    let config = config.replace("pollInterval: 1s,", &format!("pollInterval: 1s, {credentials}"));
    bench.write_config(&config);
    snapshot("doctor_no_credentials", bench.dir.path(), &doctor());

    bench.write_config(&bench.config());
    bench.repo.commit("tidegate/status", &[("status.yaml", b"version: 99\n")]);
    snapshot("doctor_unreadable_status", bench.dir.path(), &doctor());
}

#[test]
fn doctor_asks_every_metric_source() {
    let bench = Bench::new(Infra::fake);
    bench.push(&bench.spec(&[("web", 1, "1")]));
    fs::write(bench.path("metrics.txt"), "depth 3\n").unwrap();
    fs::write(bench.path("ca.pem"), "none").unwrap();
    let metrics = "metrics:
  fix: {type: fixed, values: {a: 1}}
  guarded: {type: prometheus, url: 'https://127.0.0.1:1', caFile: ca.pem}
  prom: {type: prometheus, url: 'http://127.0.0.1:1'}
  script: {type: file, path: metrics.txt}
  token: {type: http, url: 'http://127.0.0.1:1/stats', tokenRef: env/NOPE}
";
    bench.write_config(&format!("{}{metrics}", bench.config()));
    let text = said(&bench.tidegate(&["doctor"]));
    let of_sources: Vec<&str> =
        text.lines().skip_while(|line| !line.contains("metric source")).collect();
    snapshot("doctor_metric_sources", bench.dir.path(), &of_sources.join("\n"));
}
