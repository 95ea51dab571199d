//! `--rev`: what a name means at the repository now, not what was fetched once.

use crate::support::controller::Bench;
use crate::support::infra::Infra;

#[test]
fn a_revision_is_what_the_repository_has_under_that_name_now() {
    let bench = Bench::new(Infra::fake);
    let commit = |branch: &str, count: u32| {
        let spec = bench.spec(&[("web", count, "1")]);
        bench.repo.commit(branch, &[("controller/spec.yaml", spec.as_bytes())])
    };
    let url = bench.repo.path.display().to_string();
    let planned = |rev: &str| {
        let checked = bench.tidegate(&["validate", "--repo", &url, "--rev", rev]);
        let ran = bench.tidegate(&["plan", "--rev", rev, "--output", "json"]);
        assert_eq!(ran.status.code(), checked.status.code(), "{ran}\n{checked}");
        let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        document["specCommit"].as_str().map(ToOwned::to_owned).ok_or(ran.stderr)
    };

    // There is no spec branch yet, only somebody's proposal.
    let first = commit("proposal", 1);
    assert_eq!(planned("proposal").as_ref(), Ok(&first.to_string()));
    let second = commit("proposal", 2);
    assert_eq!(planned("proposal"), Ok(second.to_string()), "the branch moved");
    assert_eq!(planned(first.as_str()), Ok(first.to_string()));

    commit("main", 3);
    let other = commit("release", 4);
    assert_eq!(planned(&other.as_str()[..9]), Ok(other.to_string()), "only on another branch");
    let tagged = git2::Oid::from_str(first.as_str()).unwrap();
    bench.repo.open().reference("refs/tags/v1", tagged, true, "").unwrap();
    bench.repo.open().reference("refs/pull/7/head", tagged, true, "").unwrap();
    for rev in ["v1", "refs/tags/v1", "refs/pull/7/head"] {
        assert_eq!(planned(rev), Ok(first.to_string()), "{rev}");
    }

    bench.repo.delete_branch("proposal");
    for absent in ["proposal", "feed", "main~1", "refs/pull/8/head", "--all"] {
        let rev = format!("--rev={absent}");
        let ran = bench.tidegate(&["plan", &rev]).code(1);
        assert!(ran.stderr.contains("is not a branch, tag or commit"), "{absent}: {ran}");
    }
}
