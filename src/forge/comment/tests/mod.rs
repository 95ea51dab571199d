//! One comment, whatever happens and whoever writes.

mod injection;
mod limits;
mod looks;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::*;
use crate::model::testing::commit;
use crate::model::{Observed, Plan, Prices, Replica, SourceFile, Sources, Spec};
use crate::{decide, plan, spec};

const NOW: &str = "2026-11-20T09:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn links() -> Links {
    Links::of("https://github.com/acme/infra")
}

fn sources(text: &str) -> Sources {
    let file = SourceFile { path: "controller/spec.yaml".to_owned(), bytes: text.into() };
    Sources { spec: Some(file), ..Sources::default() }
}

/// A spec as a controller would read it, with provider `host`.
fn spec(text: &str) -> Spec {
    let loaded = spec::load(&sources(text), None);
    let mut spec = loaded.spec.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    for service in spec.services.values_mut() {
        service.provider = Some("host".try_into().unwrap());
    }
    spec
}

fn observed(replicas: Vec<Replica>) -> Observed {
    Observed { at: now(), replicas, gaps: Vec::new() }
}

fn plan_of(base: Option<&Spec>, after: &Spec, observed: &Observed) -> Plan {
    let (a, b) = (commit('a'), commit('b'));
    let price = ("host".try_into().unwrap(), 0.02);
    let prices =
        Prices { currency: "EUR".to_owned(), default: None, per_replica_hour: [price].into() };
    plan::plan(&plan::Input {
        spec: after,
        spec_commit: &b,
        base: base.map(|base| (base, &a)),
        templates: &plan::template_hashes(after),
        observed,
        decisions: &decide::testing::decided(after, observed),
        done: &BTreeSet::new(),
        prices: &prices,
        now: now(),
    })
}

/// The section of going from one spec to another.
fn section(
    base: Option<&Spec>,
    after: &Spec,
    plan: &Plan,
    backtests: &[Backtest],
    notes: &[String],
) -> Section {
    planned(&Planned { plan, base, after, pull: Some(PullNumber(7)), backtests, notes })
}

fn memo(phase: Phase) -> Memo {
    Memo {
        version: MEMO_VERSION,
        owner: "acme".try_into().unwrap(),
        head: commit('c'),
        base: commit('d'),
        from: Some(commit('a')),
        digest: Some(PlanDigest(format!("sha256:{}", "0123456789ab".repeat(6).split_at(64).0))),
        key: "key".to_owned(),
        planned_at: now(),
        verdict: "Create 2 replicas; 3 replicas exist now.".to_owned(),
        phase,
        earlier: Vec::new(),
        earlier_left_out: 0,
    }
}

fn merge() -> Merge {
    Merge {
        commit: commit('e'),
        by: Some("alice".to_owned()),
        seen_at: now(),
        differences: Vec::new(),
    }
}

fn earlier(verdict: &str) -> Earlier {
    Earlier {
        planned_at: now(),
        head: commit('b'),
        base: commit('d'),
        digest: None,
        verdict: verdict.to_owned(),
    }
}

/// A phase of each kind with these words in it.
fn phases(words: &[String]) -> BTreeMap<&'static str, Phase> {
    let texts = || words.to_vec();
    let merged = merge;
    let digest = PlanDigest(format!("sha256:{}", "9".repeat(64)));
    BTreeMap::from([
        ("planned", Phase::Planned),
        ("invalid", Phase::Invalid),
        ("conflict", Phase::Conflict),
        ("untouched", Phase::Untouched),
        ("applying", Phase::Applying { merged: merged(), actions: 3 }),
        ("applied", Phase::Applied { merged: merged(), took_ms: 4_200, actions: 3 }),
        ("applied-nothing", Phase::Applied { merged: merged(), took_ms: 200, actions: 0 }),
        ("failed", Phase::Failed { merged: merged(), took_ms: 75_300, failures: texts() }),
        ("waiting", Phase::Waiting { merged: merged(), waits: texts() }),
        (
            "superseded",
            Phase::Superseded { merged: merged(), by: commit('f'), by_pull: Some(PullNumber(12)) },
        ),
        ("held", Phase::Held { merged: merged(), digest, differences: texts() }),
        ("refused", Phase::Refused { merged: merged(), findings: texts() }),
        (
            "passed",
            Phase::Applying { merged: Merge { differences: texts(), ..merged() }, actions: 0 },
        ),
    ])
}
