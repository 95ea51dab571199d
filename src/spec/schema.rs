//! The JSON Schemas: generated from the raw types, and compiled once.

use std::sync::LazyLock;

use jsonschema::{PatternOptions, Validator};
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::formats::{self, Format};
use super::raw;

/// Where the published schema of the spec lives.
const SPEC_ID: &str = "https://tidegate.dev/schema/spec.schema.json";

/// Spellings of keys that specs in the wild have: the mapping they stand in, the spelling, the key.
pub(super) const ALIASES: &[(&str, &str, &str)] = &[
    ("Routing", "dns_records", "dnsRecords"),
    ("Routing", "load_balancing", "loadBalancing"),
    ("LoadBalancing", "health_check", "healthCheck"),
    ("Scale", "burst_ttl", "burstTTL"),
    ("RegionScale", "burst_ttl", "burstTTL"),
];

/// A schema and its compiled form.
#[derive(Debug)]
pub(crate) struct Checker {
    /// The schema as published.
    pub(crate) schema: Value,
    /// Its compiled form.
    pub(crate) validator: Validator,
    /// The formats that it names.
    pub(crate) formats: &'static [Format],
}

impl Checker {
    /// Compiles a schema of our own making.
    pub(crate) fn new(schema: Value, formats: &'static [Format]) -> Self {
        let mut options = jsonschema::draft202012::options()
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(true)
            .offline();
        for format in formats {
            let check = format.check;
            options = options.with_format(format.name, move |text: &str| check(text).is_ok());
        }
        #[expect(
            clippy::expect_used,
            reason = "the schema is made from types at build time, and every test run compiles it"
        )]
        let validator = options.build(&schema).expect("invariant: our own schema compiles");
        Self { schema, validator, formats }
    }
}

/// The whole `spec.yaml`.
pub(super) static DOCUMENT: LazyLock<Checker> =
    LazyLock::new(|| Checker::new(spec(), formats::SPEC));

/// One service, as in `services/*.yaml`.
pub(super) static SERVICE: LazyLock<Checker> =
    LazyLock::new(|| Checker::new(generate::<raw::Service>("service"), formats::SPEC));

/// One policy, as in `policies/*.yaml`.
pub(super) static POLICY: LazyLock<Checker> =
    LazyLock::new(|| Checker::new(generate::<raw::Policy>("policy"), formats::SPEC));

/// The schema of the spec.
pub(super) fn spec() -> Value {
    let mut schema = generate::<raw::Document>("Tidegate spec");
    if let Some(object) = schema.as_object_mut() {
        object.insert("$id".to_owned(), SPEC_ID.into());
    }
    schema
}

/// The schema of a raw type, with aliases, without the `null`s that optional fields would allow.
pub(crate) fn generate<T: JsonSchema>(title: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize().with_transform(Tidy);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    let mut schema = schema.to_value();
    add_aliases(&mut schema);
    schema
}

/// Makes a generated schema say what is meant: no `null` for optional keys, no formats that only name a
/// machine type.
#[derive(Debug, Clone)]
struct Tidy;

impl Transform for Tidy {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(object) = schema.as_object_mut() {
            drop_null(object);
            drop_machine_format(object);
            drop_null_default(object);
        }
    }
}

fn drop_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [single] = types.as_slice() {
            let single = single.clone();
            object.insert("type".to_owned(), single);
        }
    }
    if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
        branches.retain(|branch| branch.get("type") != Some(&json!("null")));
        if let [single] = branches.as_slice() {
            let single = single.clone();
            object.remove("anyOf");
            if let Value::Object(single) = single {
                for (key, value) in single {
                    object.entry(key).or_insert(value);
                }
            }
        }
    }
    if let Some(Value::Array(options)) = object.get_mut("enum") {
        options.retain(|option| !option.is_null());
    }
}

fn drop_machine_format(object: &mut Map<String, Value>) {
    let machine = object.get("format").and_then(Value::as_str).is_some_and(|format| {
        format.starts_with("uint") || format.starts_with("int") || format == "double"
    });
    if machine {
        object.remove("format");
    }
}

fn drop_null_default(object: &mut Map<String, Value>) {
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
}

fn add_aliases(schema: &mut Value) {
    for (definition, alias, key) in ALIASES {
        let at_root = schema.get("title").and_then(Value::as_str) == Some(definition);
        let place = if at_root {
            Some(&mut *schema)
        } else {
            schema.get_mut("$defs").and_then(|defs| defs.get_mut(definition))
        };
        let Some(Value::Object(properties)) = place.and_then(|p| p.get_mut("properties")) else {
            continue;
        };
        if let Some(mut property) = properties.get(*key).cloned() {
            if let Some(object) = property.as_object_mut() {
                object.insert("deprecated".to_owned(), true.into());
                object.insert("description".to_owned(), format!("Alias of `{key}`.").into());
            }
            properties.insert((*alias).to_owned(), property);
        }
    }
}
