//! GitHub's description at work: which operation a request asks for, whether it may be asked so, and what an
//! answer must look like.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use super::extract;

/// An answer of GitHub that the description forgets: the repository of a head is null when it was deleted.
const NULLABLE_HEADS: &[&str] = &["pull-request-simple", "pull-request"];

static DESCRIPTION: LazyLock<Description> = LazyLock::new(Description::load);

/// What a request asks for.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// As in the description: `get /repos/{owner}/{repo}`.
    pub(crate) name: String,
    method: String,
    path: String,
    /// The values of the path's variables.
    pub(crate) path_values: BTreeMap<String, String>,
    /// The values of the query, and of what is not given the defaults.
    pub(crate) query: BTreeMap<String, String>,
}

impl Operation {
    /// A variable of the path.
    pub(crate) fn at(&self, name: &str) -> &str {
        &self.path_values[name]
    }

    /// A number in the path.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.at(name).parse().unwrap_or(0)
    }
}

/// The description, ready to be asked.
pub(crate) struct Description {
    document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Description {
    /// The one of the extract.
    pub(crate) fn get() -> &'static Self {
        &DESCRIPTION
    }

    fn load() -> Self {
        let mut document = extract::committed();
        for name in NULLABLE_HEADS {
            let repo = &mut document["components"]["schemas"][*name]["properties"]["head"]["properties"]
                ["repo"];
            if repo.is_object() {
                *repo = json!({ "nullable": true, "allOf": [repo.take()] });
            }
        }
        Self { document: json_schema(document), validators: Mutex::default() }
    }

    /// Which operation a method and a path ask for, and what is wrong with its parameters.
    pub(crate) fn find(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
    ) -> Option<(Operation, Vec<String>)> {
        let method = method.to_lowercase();
        let asked: Vec<&str> = path.split('/').collect();
        // A path that says more literally is meant before one that has a variable in its place.
        let (template, values) = self.document["paths"]
            .as_object()?
            .iter()
            .filter(|(_, methods)| methods.get(&method).is_some())
            .filter_map(|(template, _)| Some((template, path_values(template, &asked)?)))
            .min_by_key(|(_, values)| values.len())?;
        let mut operation = Operation {
            name: format!("{method} {template}"),
            path: template.clone(),
            method,
            path_values: values,
            query: BTreeMap::new(),
        };
        let wrong = self.read_parameters(&mut operation, query);
        Some((operation, wrong))
    }

    fn read_parameters(
        &self,
        operation: &mut Operation,
        query: &[(String, String)],
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let parameters = self.operation(operation)["parameters"].as_array().cloned();
        let parameters: Vec<Value> =
            parameters.unwrap_or_default().iter().map(|p| self.resolve(p).clone()).collect();
        let mut known = BTreeMap::new();
        for parameter in &parameters {
            let name = parameter["name"].as_str().unwrap().to_owned();
            let given = match parameter["in"].as_str().unwrap() {
                "path" => operation.path_values.get(&name).cloned(),
                "query" => {
                    if let Some(default) = parameter["schema"].get("default") {
                        let default = default.as_str().map_or(default.to_string(), str::to_owned);
                        operation.query.insert(name.clone(), default);
                    }
                    known.insert(name.clone(), ());
                    query.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
                }
                other => panic!("a parameter in {other}"),
            };
            let Some(given) = given else { continue };
            if let Some(problem) = self.parameter_problem(&parameter["schema"], &given) {
                wrong.push(format!("parameter `{name}` is `{given}`: {problem}"));
            }
            if known.contains_key(&name) {
                operation.query.insert(name, given);
            }
        }
        for (name, _) in query {
            if !known.contains_key(name) {
                wrong.push(format!("no query parameter `{name}` is described"));
            }
            if query.iter().filter(|(other, _)| other == name).count() > 1 {
                wrong.push(format!("parameter `{name}` is given more than once"));
            }
        }
        // In words of the description, not in its schema.
        let number = |name: &str| operation.query.get(name).and_then(|n| n.parse::<u64>().ok());
        if number("per_page").is_some_and(|n| n == 0 || n > super::PER_PAGE_MAX) {
            wrong.push(format!("parameter `per_page` is not from 1 to {}", super::PER_PAGE_MAX));
        }
        if number("page") == Some(0) {
            wrong.push("parameter `page` counts from 1".to_owned());
        }
        wrong
    }

    fn parameter_problem(&self, schema: &Value, given: &str) -> Option<String> {
        let value = match schema["type"].as_str() {
            Some("integer") => given.parse::<i64>().map_or_else(|_| json!(given), |n| json!(n)),
            Some("boolean") => given.parse::<bool>().map_or_else(|_| json!(given), |n| json!(n)),
            _ => json!(given),
        };
        self.problems(schema, &value).into_iter().next()
    }

    /// What is wrong with a body. Fields that are not described are wrong too: GitHub would leave them unread.
    pub(crate) fn body_problems(&self, operation: &Operation, body: Option<&Value>) -> Vec<String> {
        let described = &self.operation(operation)["requestBody"];
        let schema = &described["content"]["application/json"]["schema"];
        let Some(body) = body else {
            let is_required = described["required"].as_bool().unwrap_or(false);
            return is_required.then(|| "the body is missing".to_owned()).into_iter().collect();
        };
        if !schema.is_object() {
            return vec!["no body is described".to_owned()];
        }
        let mut wrong = self.problems(schema, body);
        let properties = schema["properties"].as_object();
        for key in body.as_object().into_iter().flat_map(Map::keys) {
            if properties.is_some_and(|p| !p.contains_key(key)) {
                wrong.push(format!("no field `{key}` is described"));
            }
        }
        wrong
    }

    /// What is wrong with an answer, which is our own.
    pub(crate) fn answer_problems(
        &self,
        operation: &Operation,
        status: u16,
        body: Option<&Value>,
    ) -> Vec<String> {
        let responses = &self.operation(operation)["responses"];
        let Some(response) = responses.get(status.to_string()) else {
            // Errors are not described everywhere that GitHub gives them.
            let wrong = (status < 400).then(|| format!("no answer with {status} is described"));
            return wrong.into_iter().collect();
        };
        let schema = &self.resolve(response)["content"]["application/json"]["schema"];
        match body {
            Some(body) if schema.is_object() => self.problems(schema, body),
            Some(_) => vec![format!("the answer with {status} has no body")],
            None if schema.is_object() && status != 304 => {
                vec!["the answer has no body".to_owned()]
            }
            None => Vec::new(),
        }
    }

    /// An answer made of what is known; everything else that the description requires is there and says nothing.
    pub(crate) fn answer(&self, operation: &Operation, status: u16, known: Value) -> Value {
        let response = &self.operation(operation)["responses"][status.to_string()];
        let schema = &self.resolve(response)["content"]["application/json"]["schema"];
        self.filled(schema, Some(known), "")
    }

    fn filled(&self, schema: &Value, known: Option<Value>, name: &str) -> Value {
        let schema = self.resolve(schema);
        if known.as_ref().is_some_and(Value::is_null) || (known.is_none() && may_be_null(schema)) {
            return Value::Null;
        }
        for choice in ["anyOf", "oneOf"] {
            let mut choices = schema[choice].as_array().into_iter().flatten();
            if let Some(first) = choices.find(|choice| choice["type"] != "null") {
                return self.filled(first, known, name);
            }
        }
        if let Some(all) = schema["allOf"].as_array() {
            return all
                .iter()
                .fold(known, |known, part| Some(self.filled(part, known, name)))
                .unwrap();
        }
        if schema["properties"].is_object() {
            let mut known = known.unwrap_or_else(|| json!({}));
            let Some(object) = known.as_object_mut() else { return known };
            let required = schema["required"].as_array().into_iter().flatten();
            let mut names: Vec<String> =
                required.map(|name| name.as_str().unwrap().to_owned()).collect();
            names.extend(object.keys().cloned());
            for name in names {
                let of = &schema["properties"][&name];
                let value = self.filled(of, object.remove(&name), &name);
                object.insert(name, value);
            }
            return known;
        }
        match known {
            Some(Value::Array(items)) if schema["items"].is_object() => items
                .into_iter()
                .map(|item| self.filled(&schema["items"], Some(item), ""))
                .collect(),
            Some(known) => known,
            None => nothing_of(schema, name),
        }
    }

    fn problems(&self, schema: &Value, value: &Value) -> Vec<String> {
        let key = schema.to_string();
        let validator = {
            let mut validators = self.validators.lock().unwrap();
            let made = validators.entry(key).or_insert_with(|| {
                let root = json!({ "components": self.document["components"], "allOf": [schema] });
                let options = jsonschema::options();
                let options = options.with_draft(Draft::Draft7).should_validate_formats(true);
                Arc::new(options.should_ignore_unknown_formats(true).build(&root).unwrap())
            });
            Arc::clone(made)
        };
        validator
            .iter_errors(value)
            .map(|error| format!("{error} at `{}`", error.instance_path()))
            .collect()
    }

    fn operation(&self, operation: &Operation) -> &Value {
        &self.document["paths"][&operation.path][&operation.method]
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(to) => self.resolve(self.document.pointer(to.trim_start_matches('#')).unwrap()),
            None => value,
        }
    }
}

/// The variables of a path, where it fits.
fn path_values(template: &str, asked: &[&str]) -> Option<BTreeMap<String, String>> {
    let parts: Vec<&str> = template.split('/').collect();
    if parts.len() != asked.len() {
        return None;
    }
    let mut values = BTreeMap::new();
    for (part, asked) in parts.iter().zip(asked) {
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) if !asked.is_empty() => {
                values.insert(name.to_owned(), super::server::decoded(asked));
            }
            _ if part == asked => {}
            _ => return None,
        }
    }
    Some(values)
}

/// OpenAPI 3.0 says `nullable`, JSON Schema a type more.
fn json_schema(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let is_nullable = object.get("nullable") == Some(&Value::Bool(true));
            let mut object: Map<String, Value> = object
                .into_iter()
                .filter(|(key, value)| key != "nullable" || !value.is_boolean())
                .map(|(key, value)| (key, json_schema(value)))
                .collect();
            if !is_nullable {
                return Value::Object(object);
            }
            if let Some(Value::Array(values)) = object.get_mut("enum") {
                values.push(Value::Null);
            }
            json!({ "anyOf": [{ "type": "null" }, object] })
        }
        Value::Array(items) => items.into_iter().map(json_schema).collect(),
        other => other,
    }
}

fn may_be_null(schema: &Value) -> bool {
    schema["anyOf"].as_array().is_some_and(|any| any.iter().any(|one| one["type"] == "null"))
}

/// The least that a schema without properties lets a value be.
fn nothing_of(schema: &Value, name: &str) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("string"), Some("date-time")) => json!("2024-01-01T00:00:00Z"),
        (Some("string"), Some("email")) => json!("nobody@example.com"),
        (Some("string"), Some("uri")) => json!("https://github.example/"),
        (Some("string"), _) if name.ends_with("url") || name == "href" => {
            json!("https://github.example/")
        }
        (Some("string"), _) => json!(""),
        (Some("integer" | "number"), _) => json!(0),
        (Some("boolean"), _) => json!(false),
        (Some("array"), _) => json!([]),
        _ => json!({}),
    }
}
