//! `replay`: recorded decisions follow from their recorded inputs, or it is said how they do not.

use std::fs;

use super::{said, snapshot};
use crate::support::controller::Bench;
use crate::support::infra::Infra;
use crate::support::load::AT_ONCE;

#[test]
fn decisions_are_made_again_and_compared() {
    let bench = Bench::with_script(Infra::fake);
    bench.set_env("TIDEGATE_LOG", "off");
    let dir = bench.dir.path();
    let replay = |args: &[&str]| said(&bench.tidegate(&[&["replay"], args].concat()));
    let policy = format!(
        "{{signals: {{load: {{source: script, metric: load, maxAge: 10m}}}}, targets: [{{signal: load, \
         perReplica: 10}}], behavior: {AT_ONCE}}}"
    );
    let web = bench.moved("web", [1, 2, 4], "", &policy);
    bench.push(&format!("services:\n{web}{}", bench.service("db", 1, "1")));
    for load in [20.0, 30.0, 90.0] {
        bench.load(&[("load", load)]);
        bench.tidegate(&["apply"]).code(0);
    }
    // A replica dies, which nobody decides.
    bench.infra.with_world(|world| world.replicas.truncate(world.replicas.len() - 1));
    bench.tidegate(&["apply"]).code(0);
    snapshot("replay_all", dir, &replay(&["--all"]));
    snapshot("replay_all_json", dir, &replay(&["--all", "--since", "1h", "--output", "json"]));

    let lines: Vec<String> =
        bench.history().iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    let file = bench.path("day.jsonl");
    let name = file.display().to_string();
    let write = |lines: &[String]| fs::write(&file, lines.join("\n")).unwrap();
    write(&lines);
    snapshot("replay_file", dir, &replay(&[&name]));

    // Somebody says that the load was another one.
    let is_of_load =
        |line: &&String| line.contains(r#""value":30.0"#) && line.contains(r#""kind":"change""#);
    let changed = lines.iter().find(is_of_load).unwrap();
    let tampered = changed.replacen(r#""value":30.0"#, r#""value":10.0"#, 1);
    write(&[lines[0].clone(), tampered]);
    snapshot("replay_tampered", dir, &replay(&[&name]));
    snapshot("replay_tampered_json", dir, &replay(&[&name, "--output", "json"]));
    let unknown = changed.replace(r#""autoscale":"metrics""#, r#""autoscale":"magic""#);
    write(&[unknown]);
    snapshot("replay_unknown", dir, &replay(&[&name]));

    write(&[lines[0].clone(), "{\"v\": 1}".to_owned()]);
    let broken = replay(&[&name]);
    write(&[lines[0].replacen("\"v\":1", "\"v\":2", 1)]);
    let newer = replay(&[&name]);
    let missing = replay(&["missing.jsonl"]);
    snapshot("replay_errors", dir, &format!("{broken}\n{newer}\n{missing}"));
    bench.tidegate(&["replay"]).code(64);
    bench.tidegate(&["replay", "--all", &name]).code(64);
}
