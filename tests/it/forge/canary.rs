//! Secrets of the forge are found nowhere but where they were put: not in what is said at the forge, not in a
//! log, a status or an error, also not where a server repeats them.

use std::fs;
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::e2e::canary::{Search, forms_of};
use crate::support::github::{BOT, Fault, For, Hook, Secondary};
use crate::support::web_server::{Reply, Request, WebServer};

use super::scene::Scene;

const GIT_PASSWORD: &str = "c4nary+git/pass word&1";
const HOOK_SECRET: &str = "c4nary+hook/secret 2";

/// The lines of a key, of which none may be found.
fn lines_of(key: &str) -> impl Iterator<Item = &str> {
    key.lines().filter(|line| line.len() == 64)
}

/// Everything that a controller left behind, and everything that it said at the forge.
fn search_everything(search: &mut Search, scene: &Scene, numbers: &[u64], except: &[&str]) {
    let except: Vec<_> = except.iter().map(|name| scene.bench.path(name)).collect();
    let except: Vec<_> = except.iter().map(std::path::PathBuf::as_path).collect();
    search.in_files(scene.bench.dir.path(), &except);
    search.in_objects(&scene.bench.repo.path);
    for name in ["state/mirror.git", "state/writer.git", "state/pulls.git"] {
        search.in_objects(&scene.bench.path(name));
    }
    for number in numbers {
        search.in_bytes("comments", format!("{:?}", scene.forge.all_comments(*number)).as_bytes());
        let head = scene.forge.pull(*number).head;
        let said = format!("{:?}{:?}", scene.forge.statuses(&head), scene.forge.check_runs(&head));
        search.in_bytes("checks", said.as_bytes());
    }
    for request in scene.forge.requests() {
        search.in_bytes("a request", format!("{request:?}").as_bytes());
    }
}

#[test]
fn a_controller_in_trouble_at_the_forge_keeps_its_secrets() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let scene = Scene::new("");
    scene.forge.git().change_password(GIT_PASSWORD);
    scene.bench.set_env("GIT_PASSWORD", GIT_PASSWORD);
    scene.bench.set_env("HOOK_SECRET", HOOK_SECRET);
    let (first, file) = (scene.forge.token.clone(), scene.bench.path("token"));
    fs::write(&file, &first).unwrap();
    let rules = "webhookSecretRef: env/HOOK_SECRET,";
    scene.configure(rules, &format!("{{tokenRef: file/{}}}", file.display()));
    let config = fs::read_to_string(scene.bench.path("tidegate.yaml")).unwrap();
    scene.bench.write_config(&format!("{config}api: {{listen: \"127.0.0.1:{port}\"}}\n"));
    scene.push(&[("web", 1, "1")]);
    let mut controller = scene.bench.run_logging("trace");
    controller.wait("the first apply", || scene.bench.count("web") == 1);

    // Webhooks of ours and of a stranger.
    let url = format!("http://127.0.0.1:{port}/hooks/github");
    for (secret, answer) in [(HOOK_SECRET, 202), ("another", 401)] {
        let hook = Hook::new(&url, secret);
        let known = serde_json::json!({ "ref": "refs/heads/main" });
        controller.wait("an answer to a webhook", || {
            scene.forge.deliver(&hook, "push", &known).answer == Ok(answer)
        });
    }
    // One trouble after the other: limited, not well, refused.
    let requests = Some(1);
    scene.forge.limit_secondary(Secondary { requests, ..Secondary::default() });
    controller.wait_for_log("waiting before the next call");
    scene.forge.fail(Fault::Page503, For::Requests(1));
    controller.wait_for_log("status 503");
    scene.forge.set_private(true);
    scene.forge.permit(BOT, "none");
    controller.wait_for_log("has no such thing");
    scene.forge.permit(BOT, "read");
    let number = scene.open("More web", &[("web", 2, "1")]);
    controller.wait_for_log("could not tell a pull request its plan");
    scene.forge.permit(BOT, "write");
    scene.forge.git().change_password("something-else");
    controller.wait_for_log("refused the user name or password");
    scene.forge.git().change_password(GIT_PASSWORD);
    scene.forge.revoke(&first);
    controller.wait_for_log("Bad credentials");
    let second = scene.forge.token_of(BOT);
    fs::write(&file, &second).unwrap();
    scene.wait_for_comment(&mut controller, number, "Create 1 replica");
    controller.end();

    let secrets = [&first, &second, GIT_PASSWORD, HOOK_SECRET];
    let mut search = Search { forms: forms_of(secrets), looked_at: 0 };
    search_everything(&mut search, &scene, &[number], &["token"]);
    assert!(search.looked_at > 50, "only {} places", search.looked_at);
    scene.forge.take_violations();
    scene.forge.finish();
}

#[test]
fn an_app_keeps_its_key_and_its_tokens() {
    let scene = Scene::new("");
    let key = scene.forge.install_app();
    fs::write(scene.bench.path("app.pem"), &key.private_key).unwrap();
    let file = scene.bench.path("app.pem");
    let app = format!("{{app: {{id: {}, privateKeyRef: file/{}}}}}", key.id, file.display());
    scene.configure("", &app);
    scene.push(&[("web", 1, "1")]);
    let number = scene.open("More web", &[("web", 2, "1")]);
    let mut controller = scene.bench.run_logging("trace");
    scene.wait_for_comment(&mut controller, number, "Create 1 replica");
    scene.forge.expire_tokens();
    controller.wait("another token", || scene.forge.tokens_given() == 2);
    // A key that is not its own any more.
    let (other, _, _) = crate::support::github::auth::make_key();
    scene.forge.expire_tokens();
    fs::write(&file, &other).unwrap();
    controller.wait_for_log("refused the credentials");
    controller.end();

    let tokens = scene.forge.tokens();
    assert_eq!(tokens.iter().filter(|token| token.starts_with("ghs_")).count(), 2);
    let secrets = tokens.iter().map(String::as_str);
    let secrets = secrets.chain(lines_of(&key.private_key)).chain(lines_of(&other));
    // The head of every statement that the App signs.
    let secrets = secrets.chain(["eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9"]);
    let mut search = Search { forms: forms_of(secrets), looked_at: 0 };
    assert!(search.forms.len() > 100);
    search_everything(&mut search, &scene, &[number], &["app.pem"]);
    scene.forge.finish();
}

/// The credential of a request in every form that a server may repeat it in.
fn repeated(request: &Request) -> Vec<String> {
    let lines = request.head.lines();
    let header = lines.filter_map(|line| line.split_once(": ")).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
    });
    let header = header.unwrap_or_default();
    let token = header.rsplit(' ').next().unwrap_or_default().to_owned();
    let encoded = form_urlencoded::byte_serialize(token.as_bytes()).collect();
    vec![header, STANDARD.encode(&token), encoded, token]
}

#[test]
fn what_a_server_repeats_of_a_secret_is_not_said() {
    const TOKEN: &str = "c4nary+api/token&3=";
    let scene = Scene::new("");
    scene.push(&[("web", 1, "1")]);
    let key = scene.forge.install_app();
    fs::write(scene.bench.path("app.pem"), &key.private_key).unwrap();
    scene.bench.set_env("FORGE_TOKEN", TOKEN);
    let server = WebServer::start(|_| Reply::Text(200, "", String::new()));
    let forge = scene.forge.api_url();
    let file = scene.bench.path("app.pem").display().to_string();
    let statement = ["eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9"];
    let secrets = [TOKEN].into_iter().chain(lines_of(&key.private_key)).chain(statement);
    let mut search = Search { forms: forms_of(secrets), looked_at: 0 };
    for credentials in [
        "{tokenRef: env/FORGE_TOKEN}".to_owned(),
        format!("{{app: {{id: {}, privateKeyRef: file/{file}}}}}", key.id),
    ] {
        scene.configure("", &credentials);
        let path = scene.bench.path("tidegate.yaml");
        let config = fs::read_to_string(&path).unwrap();
        scene
            .bench
            .write_config(&config.replace(&forge, &format!("http://127.0.0.1:{}", server.port)));
        for status in [200, 301, 401, 403, 404, 422, 429, 500, 503] {
            server.answer(move |request| {
                let said = repeated(request).join(" and ");
                let body = serde_json::json!({ "message": format!("no {said}"), "errors": [said] });
                Reply::Text(status, "Content-Type: application/json\r\n", body.to_string())
            });
            for filter in ["info", "trace"] {
                let mut command = scene.bench.command(&["plan", "--pr", "1", "--log", filter]);
                search.run(&mut command, 1);
            }
        }
    }
    let asked = server.seen();
    assert!(asked.len() >= 36 && asked.iter().all(|request| !repeated(request)[0].is_empty()));
    assert_eq!(search.looked_at, 2 * 9 * 2 * 2);
    scene.forge.finish();
}
