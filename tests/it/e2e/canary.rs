//! Secrets planted where secrets belong are found nowhere else: not in what any command says, not on the
//! status branch, not in any file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use tidegate::providers::testing::{Fault, FaultKind};

use crate::support::controller::{Bench, run, service, tidegate};
use crate::support::git_servers::GitHttp;
use crate::support::infra::Infra;

/// Of a kind that needs to be encoded in an address, and would look odd anywhere.
const PASSWORD: &str = "c4nary+git/pass word&1";
const WRONG_PASSWORD: &str = "c4nary+wrong/pass word&2";
const FROM_ENV: &str = "c4nary+service/env value&3";
const FROM_FILE: &str = "c4nary+service/file value&4";
const TOKEN: &str = "c4nary-token-for-validate-5";

fn forms() -> BTreeSet<Vec<u8>> {
    forms_of([PASSWORD, WRONG_PASSWORD, FROM_ENV, FROM_FILE, TOKEN])
}

/// Every form in which a secret may leak.
pub(crate) fn forms_of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    for secret in secrets {
        forms.insert(secret.as_bytes().to_vec());
        let url: String = secret
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect();
        forms.insert(url.clone().into_bytes());
        forms.insert(url.replace("%20", "+").into_bytes());
        // As a header has it: together with the user, too.
        for text in
            [secret.to_owned(), format!("alice:{secret}"), format!("x-access-token:{secret}")]
        {
            for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE] {
                forms.insert(engine.encode(&text).into_bytes());
            }
        }
    }
    forms
}

/// Looks for secrets, and remembers where it has looked.
pub(crate) struct Search {
    pub(crate) forms: BTreeSet<Vec<u8>>,
    pub(crate) looked_at: usize,
}

impl Search {
    #[track_caller]
    pub(crate) fn in_bytes(&mut self, place: &str, bytes: &[u8]) {
        self.looked_at += 1;
        for form in &self.forms {
            let found = bytes.windows(form.len()).position(|window| window == &form[..]);
            if let Some(at) = found {
                let from = at.saturating_sub(200);
                let around = String::from_utf8_lossy(&bytes[from..at]);
                panic!("{place} holds {} after {around:?}", String::from_utf8_lossy(form));
            }
        }
    }

    /// All files of a folder, except those that are meant to hold secrets.
    pub(crate) fn in_files(&mut self, folder: &Path, except: &[&Path]) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if except.contains(&path.as_path()) {
            } else if path.is_dir() {
                self.in_files(&path, except);
            } else if path.is_file() {
                self.in_bytes(&path.display().to_string(), &fs::read(&path).unwrap());
            }
        }
    }

    /// All objects of a repository, unpacked.
    pub(crate) fn in_objects(&mut self, path: &Path) {
        let odb = git2::Repository::open_bare(path).unwrap();
        let odb = odb.odb().unwrap();
        let mut ids = Vec::new();
        odb.foreach(|id| {
            ids.push(*id);
            true
        })
        .unwrap();
        for id in ids {
            let object = odb.read(id).unwrap();
            self.in_bytes(&format!("object {id} of {}", path.display()), object.data());
        }
    }

    pub(crate) fn run(&mut self, command: &mut Command, code: i32) {
        let what = format!("{:?}", command.get_args().collect::<Vec<_>>());
        let ran = run(command).code(code);
        self.in_bytes(&format!("standard output of {what}"), ran.stdout.as_bytes());
        self.in_bytes(&format!("standard error of {what}"), ran.stderr.as_bytes());
    }
}

/// A bench whose every secret is a canary.
fn bench(infra: fn(&Path) -> Infra, server: &GitHttp) -> Bench {
    server.change_password(PASSWORD);
    let bench = Bench::over_http(infra, server);
    bench.set_env("GIT_PASSWORD", PASSWORD);
    bench.set_env("SERVICE_SECRET", FROM_ENV);
    fs::write(bench.path("service-secret"), format!("{FROM_FILE}\n")).unwrap();
    let secrets = format!(
        "secrets: {{from/env: env/SERVICE_SECRET, from/file: file/{}}}\n",
        bench.path("service-secret").display()
    );
    bench.write_config(&format!("{}{secrets}", bench.config()));
    bench
}

fn secretive(bench: &Bench, replicas: u32) -> String {
    let env = "env: {A: {secretRef: from/env}, B: {secretRef: from/file}, VERSION: ";
    let template = bench.infra.template("1").replace("env: {VERSION: ", env);
    format!("services:\n{}", service("web", replicas, &template))
}

/// Every command, well and badly.
fn every_command(search: &mut Search, bench: &Bench, url: &str) {
    let config = bench.path("tidegate.yaml").display().to_string();
    for log in ["info", "debug", "trace"] {
        for args in [
            &["validate", "--repo", url, "--config", &config][..],
            &["plan"],
            &["plan", "--output", "json"],
            &["plan", "--output", "markdown"],
            &["apply", "--dry-run"],
            &["apply"],
            &["status"],
            &["status", "--output", "json"],
            &["status", "--output", "yaml"],
            &["doctor"],
            &["doctor", "--output", "json"],
        ] {
            let is_validate = args[0] == "validate";
            let command = || {
                let mut command = bench.command(args);
                command.args(["--log", log]).env("TIDEGATE_GIT_TOKEN", TOKEN);
                command
            };
            // Its token is not one that the server knows.
            search.run(&mut command(), i32::from(is_validate));
            search.run(command().env("GIT_PASSWORD", WRONG_PASSWORD), 1);
        }
    }
}

fn search_everything(search: &mut Search, bench: &Bench) {
    search.in_files(bench.dir.path(), &[&bench.path("service-secret")]);
    search.in_objects(&bench.repo.path);
    for name in ["state/mirror.git", "state/writer.git"] {
        search.in_objects(&bench.path(name));
    }
}

#[test]
fn no_command_tells_a_secret_and_no_file_keeps_one() {
    let server = GitHttp::start();
    let bench = bench(Infra::process, &server);
    let mut search = Search { forms: forms(), looked_at: 0 };
    bench.push(&secretive(&bench, 2));
    every_command(&mut search, &bench, &server.url("spec.git"));
    assert_eq!(bench.count("web"), 2);
    // The canaries did arrive: what was not found would have been there to be found.
    for replica in bench.ours() {
        let worker = replica.instance.rsplit_once('[').unwrap().1.trim_end_matches(']');
        let environment = fs::read(format!("/proc/{worker}/environ")).unwrap();
        let has = |text: &str| environment.windows(text.len()).any(|w| w == text.as_bytes());
        assert!(has(FROM_ENV) && has(FROM_FILE) && !has(PASSWORD), "{replica:?}");
    }
    // Arguments are for everyone on this host to see.
    for process in fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(arguments) = fs::read(process.path().join("cmdline")) {
            search.in_bytes(&format!("{:?}/cmdline", process.path()), &arguments);
        }
    }
    search_everything(&mut search, &bench);
    assert!(search.looked_at > 150, "only {} places", search.looked_at);
}

#[test]
fn a_running_controller_in_trouble_keeps_its_secrets() {
    let server = GitHttp::start();
    let bench = bench(Infra::fake, &server);
    let mut search = Search { forms: forms(), looked_at: 0 };
    bench.push(&secretive(&bench, 2));
    let fault = |op: &str, kind| Fault { op: op.to_owned(), kind };
    bench.infra.with_world(|world| {
        use FaultKind::{Denied, DoneButCut, RateLimited, Unavailable};
        world.faults.extend([DoneButCut, Denied, RateLimited].map(|kind| fault("create", kind)));
        world.faults.push_back(fault("observe", Unavailable));
    });
    let mut controller = bench.run_logging("trace");
    controller.wait("two on record", || bench.history().last().is_some_and(|line| line.to == 2));
    server.change_password("something-else");
    controller.wait_for_log("refused the user name or password");
    server.change_password(PASSWORD);
    bench.push("services: [");
    controller
        .wait("the refusal on record", || bench.status().is_some_and(|s| s.refused.is_some()));
    // A secret that is needed and cannot be had.
    fs::write(bench.path("service-secret"), [0xff, 0xfe]).unwrap();
    bench.push(&secretive(&bench, 3));
    controller.wait_for_log("not UTF-8");
    fs::write(bench.path("service-secret"), FROM_FILE).unwrap();
    controller.wait("three on record", || bench.history().last().is_some_and(|line| line.to == 3));
    controller.end();
    search_everything(&mut search, &bench);
    bench.assert_history_is_true();
}

#[test]
fn a_secret_written_where_it_does_not_belong_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let mut search = Search { forms: forms(), looked_at: 0 };
    for config in [
        format!("repository: {{url: \"https://alice:{TOKEN}@example.com/a.git\"}}\n"),
        format!("repository: {{url: a.git, credentials: {{tokenRef: {TOKEN}}}}}\n"),
        format!("repository: {{url: a.git}}\nsecrets: {{web/url: \"{PASSWORD}\"}}\n"),
    ] {
        fs::write(dir.path().join("tidegate.yaml"), config).unwrap();
        for args in [&["plan"][..], &["apply"], &["run"], &["status"], &["doctor"]] {
            search.run(tidegate(dir.path()).args(args).args(["--log", "trace"]), 1);
        }
    }
    let url = format!("https://alice:{TOKEN}@127.0.0.1:1/a.git");
    search.run(tidegate(dir.path()).args(["validate", "--log", "trace", "--repo", &url]), 1);
}
