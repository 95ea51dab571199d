//! `plan`, `apply` and `status` through the life of a spec.

use super::{said, snapshot};
use crate::support::controller::Bench;
use crate::support::infra::Infra;

#[test]
fn from_the_first_plan_to_a_held_removal() {
    let bench = Bench::new(Infra::fake);
    bench.set_env("TIDEGATE_LOG", "warn");
    let dir = bench.dir.path();
    bench.write_config(&format!(
        "{}prices: {{currency: EUR, perReplicaHour: {{default: 0.02}}}}\n",
        bench.config()
    ));
    let snap = |name: &str, args: &[&str]| snapshot(name, dir, &said(&bench.tidegate(args)));

    snap("plan_no_branch", &["plan"]);
    bench.push(&bench.spec(&[("db", 1, "1"), ("web", 2, "1")]));
    snap("status_none_yet", &["status"]);
    snap("plan_first", &["plan", "--detailed-exitcode"]);
    snap("plan_first_json", &["plan", "--output", "json"]);
    snap("plan_first_markdown", &["plan", "--output", "markdown"]);
    snap("apply_dry_run", &["apply", "--dry-run"]);
    assert_eq!((bench.ours().len(), bench.status()), (0, None), "a dry run changes nothing");
    snap("apply_first", &["apply", "--detailed-exitcode"]);
    snap("apply_again", &["apply", "--detailed-exitcode"]);
    snap("plan_empty", &["plan", "--detailed-exitcode"]);
    snap("status_text", &["status"]);
    snap("status_json", &["status", "--output", "json"]);
    snap("status_yaml", &["status", "--output", "yaml"]);

    bench.push(&bench.spec(&[("db", 1, "1"), ("web", 3, "2")]));
    snap("plan_scale_and_template", &["plan"]);
    let newest_good = bench.push(&bench.spec(&[("web", 1, "1")]));
    snap("apply_scale_in_and_removal", &["apply"]);
    snap("status_held", &["status"]);

    bench.push("services:\n  - id: WEB\n");
    snap("plan_refused", &["plan"]);
    snap("apply_refused", &["apply"]);
    snap("plan_of_an_older_commit", &["plan", "--rev", newest_good.as_str()]);
    assert_eq!((bench.count("web"), bench.count("db")), (1, 1));
    bench.assert_history_is_true();
}
