//! The published schemas are the generated ones.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

/// Set to write the files instead of comparing them.
const UPDATE: &str = "UPDATE_SCHEMAS";

fn check(name: &str, schema: &serde_json::Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(name);
    let generated = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, generated).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "schema/{name} is out of date: run `{UPDATE}=1 cargo nextest run --features testing -E \
         'test(schemas::)'` and commit it"
    );
}

#[test]
fn the_schema_of_the_spec_is_current() {
    check("spec.schema.json", &tidegate::spec::schema());
}

#[test]
fn the_schema_of_the_configuration_is_current() {
    check("config.schema.json", &tidegate::config::schema());
}

#[test]
fn the_schema_of_the_status_is_current() {
    check("status.schema.json", &tidegate::record::status_schema());
}

#[test]
fn the_schema_of_the_plan_is_current() {
    check("plan.schema.json", &tidegate::plan::render::json::schema());
}

#[test]
fn the_schema_of_the_backtest_is_current() {
    check("backtest.schema.json", &tidegate::backtest::document::schema());
}
