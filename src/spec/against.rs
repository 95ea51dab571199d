//! What a service means against the controller's configuration: providers, regions, secrets, prices.

use std::collections::BTreeSet;

use super::check::{fixed_port, most};
use super::findings::{Findings, Part};
use super::load::Place;
use super::suggest::{help_of, list_of};
use super::violations::escape;
use super::{codes, convert, raw};
use crate::model::{
    About, Autoscale, Catalogue, Code, Count, ProviderName, Regions, SecretName, Service, Severity,
    Strategy, TemplateKey,
};

/// Checks a service, and gives it the default provider of its strategy if it names none.
pub(super) fn service(
    raw: &raw::Service,
    service: &mut Service,
    place: &Place,
    catalogue: &Catalogue,
    findings: &mut Findings<'_>,
) {
    let mut against = Against { raw, place, catalogue, findings };
    if let Some(provider) = against.provider(service)
        && let Some(about) = catalogue.providers.get(&provider)
    {
        against.regions(&provider, about);
        against.template(&provider, about);
        if about.shares_host_ports {
            against.probed_port();
        }
        if about.shares_host_ports && service.scale.strategy == Strategy::Infra {
            against.fixed_ports(service, about);
        }
        against.cost(&provider, service);
        service.provider = Some(provider);
    }
    against.secrets();
    against.not_acted_on(service);
}

struct Against<'a, 'b, 'c> {
    raw: &'a raw::Service,
    place: &'a Place,
    catalogue: &'a Catalogue,
    findings: &'b mut Findings<'c>,
}

impl Against<'_, '_, '_> {
    fn provider(&mut self, service: &Service) -> Option<ProviderName> {
        let configured: Vec<&str> =
            self.catalogue.providers.keys().map(ProviderName::as_str).collect();
        if let Some(named) = &service.provider {
            if !self.catalogue.providers.contains_key(named) {
                let help = help_of(named.as_str(), &configured, "the configured providers are")
                    .unwrap_or_else(|| "the controller's configuration has no provider".to_owned());
                let message = format!("there is no provider `{named}`");
                self.error(codes::UNKNOWN_PROVIDER, "/provider", message, help);
                return None;
            }
            return Some(named.clone());
        }
        if self.raw.provider.is_some() {
            return None;
        }
        let strategy = match service.scale.strategy {
            Strategy::Infra => "infra",
            Strategy::Local => "local",
        };
        let default = self.catalogue.default_for(service.scale.strategy);
        match default.filter(|name| self.catalogue.providers.contains_key(*name)) {
            Some(name) => Some(name.clone()),
            None => {
                let message = format!(
                    "the service `{}` names no provider, and there is no default for the strategy \
                     `{strategy}`",
                    service.id
                );
                let help = list_of(&configured, "add `provider:`; the configured providers are")
                    .unwrap_or_else(|| "configure a provider".to_owned());
                self.error(codes::NO_DEFAULT_PROVIDER, "/id", message, help);
                None
            }
        }
    }

    fn regions(&mut self, provider: &ProviderName, about: &About) {
        let Regions::Only(served) = &about.regions else { return };
        let listed: Vec<&str> = served.iter().map(crate::model::Region::as_str).collect();
        let served: BTreeSet<&str> = listed.iter().copied().collect();
        let regions = self.raw.scale.as_ref().and_then(|scale| scale.regions.as_deref());
        for (index, region) in regions.unwrap_or_default().iter().enumerate() {
            let name = region.name.0.as_str();
            if !self.findings.is_full() && !served.contains(name) {
                let message =
                    format!("the provider `{provider}` does not serve the region `{name}`");
                let help = help_of(name, &listed, "it serves")
                    .unwrap_or_else(|| "it serves many others: see its configuration".to_owned());
                let at = format!("/scale/regions/{index}/name");
                self.error(codes::UNKNOWN_REGION, &at, message, help);
            }
        }
    }

    fn template(&mut self, provider: &ProviderName, about: &About) {
        for key in about.needs.iter() {
            if !self.has(*key) {
                let at = if self.raw.template.is_some() { "/template" } else { "/id" };
                self.findings.at(
                    Severity::Error,
                    codes::MISSING_TEMPLATE_KEY,
                    &self.place.at(at),
                    if self.raw.template.is_some() { Part::Key } else { Part::Value },
                    format!("the provider `{provider}` needs `template.{}`", key.as_str()),
                    Some(format!("add `{}` to the service's `template`", key.as_str())),
                );
            }
        }
        for key in about.ignores.iter() {
            if self.has(*key) {
                self.findings.at(
                    Severity::Warning,
                    codes::IGNORED_TEMPLATE_KEY,
                    &self.place.at(&format!("/template/{}", key.as_str())),
                    Part::Key,
                    format!("the provider `{provider}` does not use `template.{}`", key.as_str()),
                    Some("remove it, or choose a provider that uses it".to_owned()),
                );
            }
        }
    }

    fn has(&self, key: TemplateKey) -> bool {
        let Some(template) = &self.raw.template else { return false };
        match key {
            TemplateKey::Image => template.image.is_some(),
            TemplateKey::Command => template.command.is_some(),
            TemplateKey::Env => template.env.as_ref().is_some_and(|env| !env.is_empty()),
            TemplateKey::Ports => template.ports.as_ref().is_some_and(|ports| !ports.is_empty()),
            TemplateKey::Resources => template.resources.is_some(),
            TemplateKey::Health => template.health.is_some(),
            TemplateKey::Drain => template.drain.is_some(),
        }
    }

    /// An `infra` service on a provider whose replicas share one host's ports.
    fn fixed_ports(&mut self, service: &Service, about: &About) {
        let Some(template) = &self.raw.template else { return };
        let Some(region) = most(service) else { return };
        for (index, port) in template.ports.iter().flatten().enumerate() {
            // A container has ports of its own: there only a port of the host is shared.
            let own_ports = !about.needs.contains(&TemplateKey::Command);
            let (key, number) = match (port.host_port, &port.env) {
                (Some(number), _) => ("hostPort", number),
                (None, None) if !own_ports => ("containerPort", port.container_port),
                (None, _) => continue,
            };
            fixed_port(self.place, index, key, number, region, self.findings);
        }
    }

    /// Where replicas share one host's ports, a port that is not of the template is another service's.
    fn probed_port(&mut self) {
        let Some(template) = &self.raw.template else { return };
        let health = template.health.as_ref();
        let (at, port) = match health.map(|health| (&health.http, &health.tcp)) {
            Some((Some(http), _)) => ("/template/health/http/port", http.port),
            Some((None, Some(tcp))) => ("/template/health/tcp/port", tcp.port),
            Some((None, None)) | None => return,
        };
        let Some(port) = port else { return };
        let declared = template.ports.as_deref().unwrap_or_default();
        if declared.iter().any(|declared| declared.container_port == port) {
            return;
        }
        let listed: Vec<String> =
            declared.iter().map(|declared| declared.container_port.to_string()).collect();
        let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        let help = list_of(&listed, "leave `port` out, or name one of")
            .unwrap_or_else(|| "add it to the template's `ports`, or leave `port` out".to_owned());
        let message = format!(
            "the probe asks port {port}, which is not one of the template's: on a shared host it \
             would be another service's"
        );
        self.error(codes::UNKNOWN_PORT, at, message, help);
    }

    fn cost(&mut self, provider: &ProviderName, service: &Service) {
        let Some(cap) = service.scale.max_hourly_cost else { return };
        let Some(price) = self.catalogue.prices.of(provider) else { return };
        let regions = service.scale.regions.values();
        let least: u64 = regions.map(|region| u64::from(region.bounds.min.0)).sum();
        #[expect(clippy::cast_precision_loss, reason = "the sum of bounded counts is small")]
        let cost = least as f64 * price;
        // Sums of prices carry rounding errors; a cap that is met to a millionth is met.
        if cost > cap * (1.0 + 1e-6) {
            let currency = &self.catalogue.prices.currency;
            let message = format!(
                "the cap is {cap:.2} {currency} an hour, and {} at `min` cost {cost:.2}",
                replicas(least)
            );
            let help = "raise the cap, or lower `min`".to_owned();
            self.error(codes::COST_CAP_UNDER_MIN, "/scale/maxHourlyCost", message, help);
        }
    }

    fn secrets(&mut self) {
        let env = self.raw.template.as_ref().and_then(|template| template.env.as_ref());
        for (variable, value) in env.into_iter().flatten() {
            if let Some(name) = convert::secret_ref(value) {
                let at = format!("/template/env/{}/secretRef", escape(variable));
                self.secret(&name, &at);
            }
        }
        let storage = self.raw.storage.as_ref().and_then(|s| s.credentials_ref.as_ref());
        if let Some(name) = storage.and_then(|name| SecretName::try_from(name.0.as_str()).ok()) {
            self.secret(&name, "/storage/credentialsRef");
        }
    }

    fn secret(&mut self, name: &SecretName, at: &str) {
        if self.findings.is_full() || self.catalogue.secrets.contains(name) {
            return;
        }
        let names: Vec<&str> = self.catalogue.secrets.iter().map(SecretName::as_str).collect();
        let help = help_of(name.as_str(), &names, "the secrets are").unwrap_or_else(|| {
            "add it under `secrets:` of the controller's configuration".to_owned()
        });
        let message = format!("the controller's configuration has no secret `{name}`");
        self.error(codes::UNKNOWN_SECRET, at, message, help);
    }

    /// What is valid, and waits for a version that acts on it.
    fn not_acted_on(&mut self, service: &Service) {
        if self.raw.routing.is_some() {
            let message = "`routing` is valid, and no routing provider acts on it yet";
            self.warning(codes::UNMANAGED_ROUTING, "/routing", message);
        }
        if self.raw.storage.is_some() {
            let message = "`storage` is valid, and no storage provider acts on it yet";
            self.warning(codes::UNMANAGED_STORAGE, "/storage", message);
        }
        if service.scale.autoscale == Autoscale::Metrics && service.scale.policy.is_none() {
            let message = "`autoscale: metrics` without a `policy`: the count rests at `desired`";
            self.warning(codes::NO_POLICY, "/scale/autoscale", message);
        }
    }

    fn error(&mut self, code: Code, at: &str, message: String, help: String) {
        self.findings.error(code, &self.place.at(at), message, help);
    }

    fn warning(&mut self, code: Code, at: &str, message: &str) {
        let at = self.place.at(at);
        self.findings.at(Severity::Warning, code, &at, Part::Key, message.to_owned(), None);
    }
}

fn replicas(count: u64) -> String {
    if count == u64::from(Count(1).0) {
        "1 replica".to_owned()
    } else {
        format!("{count} replicas")
    }
}
