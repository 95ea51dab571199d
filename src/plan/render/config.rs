//! What a spec states about one service, before and after, as a diff of its canonical YAML.
//!
//! In the spelling of the spec, whatever the spelling of the author: defaults are filled in and keys are sorted,
//! so that only what means something differs. Words for people (name, description) are left out, as they are
//! of the digest. A secret cannot be in it: a spec names secrets and holds none.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value, json};
use similar::TextDiff;

use crate::model::{
    DnsRecord, EnvValue, Health, HealthProbe, LoadBalancing, PolicyChoice, Port, RegionScale,
    Routing, Scale, Service, Spec, Storage, Template, format_duration,
};

/// Unchanged lines around a change.
const CONTEXT_LINES: usize = 3;
/// Lines of one side that are compared: a service with every key and a long policy has some hundreds, and comparing
/// may take the square of it.
const LINES_MAX: usize = 4_000;

/// The unified diff of what two specs state about a service; empty where that is the same.
#[must_use]
pub fn config_diff(base: Option<(&Spec, &Service)>, after: Option<(&Spec, &Service)>) -> String {
    let text = |side: Option<(&Spec, &Service)>| {
        side.map(|(spec, service)| canonical(spec, service)).unwrap_or_default()
    };
    let (before, after) = (text(base), text(after));
    let (lines_before, lines_after) = (before.lines().count(), after.lines().count());
    if before == after {
        return String::new();
    }
    if lines_before.max(lines_after) > LINES_MAX {
        return format!("-({lines_before} lines)\n+({lines_after} lines)\n");
    }
    let diff = TextDiff::from_lines(before.as_str(), after.as_str());
    diff.unified_diff().context_radius(CONTEXT_LINES).missing_newline_hint(false).to_string()
}

/// How two specs differ in what they state about their services, in lines of plain text: a line for each service,
/// and the lines of its diff.
#[must_use]
pub fn differences(before: &Spec, after: &Spec) -> Vec<String> {
    let mut lines = Vec::new();
    let services: BTreeSet<_> = before.services.keys().chain(after.services.keys()).collect();
    for id in services {
        let of = |spec: &Spec| spec.services.get(id).map(|service| canonical(spec, service));
        let (old, new) = (of(before), of(after));
        if old == new {
            continue;
        }
        lines.push(match (&old, &new) {
            (None, _) => format!("{id} is in what was merged, and was not in what was reviewed"),
            (_, None) => format!("{id} was in what was reviewed, and is not in what was merged"),
            (Some(_), Some(_)) => format!("{id} (- as reviewed, + as merged):"),
        });
        if let (Some(old), Some(new)) = (before.services.get(id), after.services.get(id)) {
            let diff = config_diff(Some((before, old)), Some((after, new)));
            lines.extend(diff.lines().filter(|line| is_change(line)).map(str::to_owned));
        }
    }
    if before.guard != after.guard {
        lines.push("the `guard` differs".to_owned());
    }
    lines
}

/// Whether a line of a diff is a change: not context, not a heading.
fn is_change(line: &str) -> bool {
    let is_heading = line.starts_with("--- ") || line.starts_with("+++ ");
    line.starts_with(['-', '+']) && !is_heading
}

fn canonical(spec: &Spec, service: &Service) -> String {
    serde_yaml::to_string(&document(spec, service)).unwrap_or_default()
}

/// Taken apart field by field, so that a new field cannot be forgotten here.
fn document(spec: &Spec, service: &Service) -> Value {
    let Service {
        id: _,
        display_name: _,
        description: _,
        provider,
        scalable,
        scale,
        template,
        storage,
        routing,
        drift,
    } = service;
    let mut out = Map::new();
    put(&mut out, "provider", provider.as_ref().map(|provider| json!(provider)));
    put(&mut out, "scalable", Some(json!(scalable)));
    put(&mut out, "scale", Some(scale_of(scale)));
    put(&mut out, "template", template.as_ref().map(template_of));
    put(&mut out, "storage", storage.as_ref().map(storage_of));
    put(&mut out, "routing", routing.as_ref().map(routing_of));
    put(&mut out, "drift", Some(json!(drift)));
    if let Some(PolicyChoice::Named(name)) = &scale.policy {
        let policy = spec.policies.get(name).map(|policy| &policy.document);
        put(&mut out, "policies", Some(json!({ name.as_str(): policy })));
    }
    Value::Object(out)
}

fn scale_of(scale: &Scale) -> Value {
    let Scale { strategy, autoscale, cooldown, burst_ttl, max_hourly_cost, policy, regions } =
        scale;
    let mut out = Map::new();
    put(&mut out, "strategy", Some(json!(strategy)));
    put(&mut out, "autoscale", Some(json!(autoscale)));
    put(&mut out, "cooldown", cooldown.map(duration));
    put(&mut out, "burstTTL", burst_ttl.map(duration));
    put(&mut out, "maxHourlyCost", max_hourly_cost.map(|cost| json!(cost)));
    put(
        &mut out,
        "policy",
        policy.as_ref().map(|policy| match policy {
            PolicyChoice::Named(name) => json!(name),
            PolicyChoice::Inline(policy) => policy.document.clone(),
        }),
    );
    let regions = regions.iter().map(|(name, region)| {
        let RegionScale { bounds, cooldown, burst_ttl } = region;
        let mut out = Map::new();
        put(&mut out, "min", Some(json!(bounds.min)));
        put(&mut out, "desired", Some(json!(bounds.desired)));
        put(&mut out, "max", Some(json!(bounds.max)));
        put(&mut out, "cooldown", cooldown.map(duration));
        put(&mut out, "burstTTL", burst_ttl.map(duration));
        (name.as_str().to_owned(), Value::Object(out))
    });
    put(&mut out, "regions", Some(Value::Object(regions.collect())));
    Value::Object(out)
}

fn template_of(template: &Template) -> Value {
    let Template { image, command, env, ports, resources, health, drain } = template;
    let mut out = Map::new();
    put(&mut out, "image", image.as_ref().map(|image| json!(image)));
    put(&mut out, "command", (!command.is_empty()).then(|| json!(command)));
    let env = env.iter().map(|(name, value)| {
        let value = match value {
            EnvValue::Literal(text) => json!(text),
            EnvValue::SecretRef(name) => json!({ "secretRef": name }),
        };
        (name.clone(), value)
    });
    put(&mut out, "env", some_object(env.collect()));
    let ports: Vec<Value> = ports.iter().map(port_of).collect();
    put(&mut out, "ports", (!ports.is_empty()).then_some(Value::Array(ports)));
    let mut limits = Map::new();
    put(&mut limits, "cpu", resources.cpu.map(|cpu| json!(f64::from(cpu.millicores) / 1000.0)));
    put(&mut limits, "memoryBytes", resources.memory.map(|memory| json!(memory.bytes)));
    put(&mut out, "resources", some_object(limits));
    put(&mut out, "health", health.as_ref().map(health_of));
    put(&mut out, "drain", Some(duration(*drain)));
    Value::Object(out)
}

fn port_of(port: &Port) -> Value {
    let Port { name, container_port, host_port, env } = port;
    let mut out = Map::new();
    put(&mut out, "name", name.as_ref().map(|name| json!(name)));
    put(&mut out, "containerPort", Some(json!(container_port)));
    put(&mut out, "hostPort", host_port.map(|port| json!(port)));
    put(&mut out, "env", env.as_ref().map(|env| json!(env)));
    Value::Object(out)
}

fn health_of(health: &Health) -> Value {
    let Health { probe, interval, timeout, failures, start_period } = health;
    let mut out = Map::new();
    let mut asked = Map::new();
    let kind = match probe {
        HealthProbe::Http { path, port } => {
            put(&mut asked, "path", Some(json!(path)));
            put(&mut asked, "port", port.map(|port| json!(port)));
            "http"
        }
        HealthProbe::Tcp { port } => {
            put(&mut asked, "port", port.map(|port| json!(port)));
            "tcp"
        }
    };
    put(&mut out, kind, Some(Value::Object(asked)));
    put(&mut out, "interval", Some(duration(*interval)));
    put(&mut out, "timeout", Some(duration(*timeout)));
    put(&mut out, "failures", Some(json!(failures)));
    put(&mut out, "startPeriod", Some(duration(*start_period)));
    Value::Object(out)
}

fn storage_of(storage: &Storage) -> Value {
    let Storage { provider, credentials_ref, buckets } = storage;
    let mut out = Map::new();
    put(&mut out, "provider", Some(json!(provider)));
    put(&mut out, "credentialsRef", credentials_ref.as_ref().map(|name| json!(name)));
    put(&mut out, "buckets", (!buckets.is_empty()).then(|| json!(buckets)));
    Value::Object(out)
}

fn routing_of(routing: &Routing) -> Value {
    let Routing { provider, zone, dns_records, load_balancing } = routing;
    let mut out = Map::new();
    put(&mut out, "provider", Some(json!(provider)));
    put(&mut out, "zone", zone.as_ref().map(|zone| json!(zone)));
    let records: Vec<Value> = dns_records.iter().map(record_of).collect();
    put(&mut out, "dnsRecords", (!records.is_empty()).then_some(Value::Array(records)));
    put(&mut out, "loadBalancing", load_balancing.as_ref().map(balancing_of));
    Value::Object(out)
}

fn record_of(record: &DnsRecord) -> Value {
    let DnsRecord { name, kind, ttl_s, content } = record;
    let mut out = Map::new();
    put(&mut out, "name", Some(json!(name)));
    put(&mut out, "type", Some(json!(kind)));
    put(&mut out, "ttl", ttl_s.map(|ttl| json!(ttl)));
    put(&mut out, "content", content.as_ref().map(|content| json!(content)));
    Value::Object(out)
}

fn balancing_of(balancing: &LoadBalancing) -> Value {
    let LoadBalancing { strategy, health_check_path } = balancing;
    let mut out = Map::new();
    put(&mut out, "strategy", strategy.as_ref().map(|strategy| json!(strategy)));
    put(&mut out, "healthCheck", health_check_path.as_ref().map(|path| json!({ "path": path })));
    Value::Object(out)
}

fn duration(duration: Duration) -> Value {
    Value::String(format_duration(duration))
}

fn put(out: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        out.insert(key.to_owned(), value);
    }
}

fn some_object(map: Map<String, Value>) -> Option<Value> {
    (!map.is_empty()).then_some(Value::Object(map))
}
