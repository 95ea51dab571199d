//! The `providers` of the configuration: each entry by its type.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::raw::PROVIDER_TYPES;
use super::{ProviderConfig, codes};
use crate::model::{ProviderName, Region, Severity};
use crate::providers::docker::config::DockerConfig;
use crate::providers::process::config::ProcessConfig;
use crate::spec::codes as shared;
use crate::spec::findings::{Findings, Part};
use crate::spec::violations::escape;

/// Keys that every provider accepts and that this version does not act on.
const IGNORED: &str = "proxy";

/// The entries that can be read; the schema reported the others.
pub(super) fn read(
    raw: &BTreeMap<String, Map<String, Value>>,
    findings: &mut Findings<'_>,
) -> BTreeMap<ProviderName, ProviderConfig> {
    let mut providers = BTreeMap::new();
    for (name, entry) in raw {
        let at = format!("/providers/{}", escape(name));
        let Ok(name) = ProviderName::try_from(name.as_str()) else { continue };
        let mut entry = entry.clone();
        if entry.remove(IGNORED).is_some() {
            ignored(&format!("{at}/{IGNORED}"), IGNORED, findings);
        }
        let kind = entry.remove("type");
        let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
        let before = findings.len();
        if let Some(provider) = one(kind, Value::Object(entry), &at, findings) {
            providers.insert(name, provider);
        } else if findings.len() == 0 && before == 0 {
            // The schema accepted what the types do not: it must not pass for a valid entry.
            let message = "this provider's configuration cannot be read";
            let help = format!("the types are {}", PROVIDER_TYPES.join(", "));
            findings.error(shared::WRONG_TYPE, &at, message, help);
        }
    }
    providers
}

fn one(kind: &str, entry: Value, at: &str, findings: &mut Findings<'_>) -> Option<ProviderConfig> {
    match kind {
        "process" => {
            let process = ProcessConfig::deserialize(entry).ok()?;
            check_process(&process, at, findings);
            Some(ProviderConfig::Process(process))
        }
        "docker" => {
            let docker = DockerConfig::deserialize(entry).ok()?;
            check_docker(&docker, at, findings);
            Some(ProviderConfig::Docker(docker))
        }
        #[cfg(feature = "testing")]
        "fake" => super::FakeConfig::deserialize(entry).ok().map(ProviderConfig::Fake),
        _ => None,
    }
}

fn check_process(process: &ProcessConfig, at: &str, findings: &mut Findings<'_>) {
    if process.dir.is_empty() {
        findings.error(
            codes::BAD_PATH,
            &format!("{at}/dir"),
            "`dir` is empty",
            "name a folder, as in `/var/lib/tidegate/host`".to_owned(),
        );
    }
    if !is_port_range(&process.ports) {
        findings.error(
            codes::BAD_PORTS,
            &format!("{at}/ports"),
            "`ports` is not a range of ports",
            "write the first and the last, from 1 to 65535, as in `20000-20999`".to_owned(),
        );
    }
    region(&process.region, &format!("{at}/region"), Part::Value, findings);
}

fn check_docker(docker: &DockerConfig, at: &str, findings: &mut Findings<'_>) {
    for (name, address) in &docker.hosts {
        let at = format!("{at}/hosts/{}", escape(name));
        region(name, &at, Part::Key, findings);
        let authority = address.split_once("://").map_or("", |(_, rest)| rest);
        if authority.split('/').next().is_some_and(|authority| authority.contains('@'))
            && !address.starts_with("unix:")
        {
            findings.error(
                codes::SECRET_IN_URL,
                &at,
                "the address holds a user name or a password",
                "remove it from the address".to_owned(),
            );
        }
    }
    if docker.hosts.is_empty() {
        findings.error(
            shared::OUT_OF_RANGE,
            &format!("{at}/hosts"),
            "`hosts` needs at least one entry",
            "name the host of each region, as in `{local: \"unix:///var/run/docker.sock\"}`"
                .to_owned(),
        );
    }
}

fn region(name: &str, at: &str, part: Part, findings: &mut Findings<'_>) {
    if let Err(error) = Region::try_from(name) {
        findings.at(Severity::Error, shared::BAD_FORMAT, at, part, error.to_string(), None);
    }
}

fn is_port_range(text: &str) -> bool {
    let ports = text.split_once('-').and_then(|(first, last)| {
        Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?))
    });
    ports.is_some_and(|(first, last)| first > 0 && first <= last)
}

/// Warns about a key that is valid and that this version does not act on.
pub(super) fn ignored(at: &str, key: &str, findings: &mut Findings<'_>) {
    findings.at(
        Severity::Warning,
        codes::UNSUPPORTED_KEY,
        at,
        Part::Key,
        format!("`{key}` is ignored by this version"),
        None,
    );
}
