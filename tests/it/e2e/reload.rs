//! The configuration and credentials change under a running controller.

use std::fs;

use crate::support::controller::Bench;
use crate::support::git_servers::GitHttp;
use crate::support::infra::Infra;

#[test]
fn a_changed_configuration_is_taken_up_and_a_broken_one_is_not() {
    let server = GitHttp::start();
    let bench = Bench::over_http(Infra::fake, &server);
    let spec = bench.spec(&[("web", 2, "1")]).replace("id: web", "id: web\n    provider: later");
    bench.push(&spec);
    let mut controller = bench.run();
    // There is no good spec yet, so there is nothing to have a status of.
    controller.wait_for_log("unknown-provider");
    let with_later = bench.config().replace(
        "providers:\n",
        &format!("providers:\n  later: {{type: fake, dir: {}}}\n", bench.path("world").display()),
    );
    bench.write_config(&with_later);
    controller.wait_for_log("the changed configuration is in use");
    controller.wait("two replicas", || bench.count("web") == 2);

    bench.write_config("repository: [");
    controller.wait_for_log("the changed configuration is refused");
    bench.push(&spec.replace("desired: 2", "desired: 3"));
    controller.wait("three replicas, by the old configuration", || bench.count("web") == 3);

    bench.write_config(&with_later.replace("branch: tidegate/status", "branch: elsewhere"));
    controller.wait_for_log("restart the controller to use it");
    controller.end();
    bench.assert_history_is_true();
}

#[test]
fn a_rotated_credential_file_is_taken_up() {
    let server = GitHttp::start();
    let bench = Bench::over_http(Infra::fake, &server);
    let secret = bench.path("secret");
    fs::create_dir(&secret).unwrap();
    let password = secret.join("password");
    fs::write(&password, server.password).unwrap();
    let reference = format!("file/{}", password.display());
    bench.write_config(&bench.config().replace("env/GIT_PASSWORD", &reference));
    bench.push(&bench.spec(&[("web", 1, "1")]));
    let mut controller = bench.run();
    controller.wait("one on record", || bench.history().len() == 1);

    server.change_password("another-one");
    controller.wait_for_log("refused the user name or password");
    bench.push(&bench.spec(&[("web", 2, "1")]));
    // As secret mounts do: another file takes its place.
    fs::write(secret.join("new"), "another-one\n").unwrap();
    fs::rename(secret.join("new"), &password).unwrap();
    controller.wait("two on record", || bench.history().last().is_some_and(|line| line.to == 2));
    controller.end();
    assert!(!controller_log_has(&bench, "another-one"));
    bench.assert_history_is_true();
}

fn controller_log_has(bench: &Bench, text: &str) -> bool {
    fs::read_to_string(bench.path("run.log")).unwrap().contains(text)
}
