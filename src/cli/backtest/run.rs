//! One recording, replayed under each spec, and what a reader of the figures should know.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::args::BacktestArgs;
use super::recordings::{Gathered, Recordings};
use crate::backtest::{Candidate, Demand, INTERVAL_DEFAULT, Replay, Report, Terms, gaps_note};
use crate::config::Config;
use crate::model::{
    Policy, Prices, ProviderName, Region, Service, ServiceId, SignalName, Spec, Strategy, TargetId,
    format_duration,
};

/// What all contenders share.
pub(super) struct Run<'a> {
    args: &'a BacktestArgs,
    target: &'a TargetId,
    recordings: &'a Recordings,
    /// What is known of them already.
    notes: &'a [String],
    config: Option<&'a Config>,
    load: &'a SignalName,
    pub(super) demand: Demand,
    pub(super) terms: Terms,
}

/// One spec, replayed.
pub(super) struct Contender<'a> {
    pub(super) candidate: Candidate<'a>,
    pub(super) replay: Replay,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        args: &'a BacktestArgs,
        target: &'a TargetId,
        gathered: &'a Gathered,
        config: Option<&'a Config>,
    ) -> anyhow::Result<Self> {
        let Gathered { recordings, notes } = gathered;
        let mut recorded =
            recordings.iter().filter_map(|(name, series)| Some((name, series.as_ref()?)));
        let (load, series) = match &args.load {
            Some(load) => recorded.find(|(name, _)| *name == load).with_context(|| {
                format!("the load `{load}` has no recording; add --signal {load}=FILE")
            })?,
            None => match (recorded.next(), recorded.next()) {
                (Some(only), None) => only,
                (None, _) => bail!("no signal is recorded; add --signal NAME=FILE for the load"),
                _ => bail!("there are several signals; say with --load which of them is the load"),
            },
        };
        if let Some(row) = series.negative() {
            bail!("the load `{load}` is {} at {}; a load cannot be negative", row.value, row.at);
        }
        let terms = Terms {
            interval: args
                .interval
                .or(config.map(|config| config.interval))
                .unwrap_or(INTERVAL_DEFAULT),
            startup: args.startup,
            delay: args.delay(),
            window: args.window(),
            capacity: Some(args.capacity),
            skip: args.skip,
        };
        let demand = Demand::of(series);
        let length = demand.end().since(demand.begin());
        if terms.skipped(length) >= length {
            bail!(
                "--skip {} leaves nothing of a recording of {}",
                format_duration(terms.skipped(length)),
                format_duration(length)
            );
        }
        Ok(Self { args, target, recordings, notes, config, load, demand, terms })
    }

    /// Replays the policy of one spec.
    pub(super) fn contender(
        &self,
        path: &'a Path,
        spec: &'a Spec,
    ) -> anyhow::Result<Contender<'a>> {
        let service = service(spec, self.args, path)?;
        let region = &self.target.region;
        let scale = service.scale.regions.get(region).with_context(|| {
            let known: Vec<&str> = service.scale.regions.keys().map(Region::as_str).collect();
            format!(
                "service `{}` has no region `{region}` in `{}`; it has {}",
                service.id,
                path.display(),
                listed(&known)
            )
        })?;
        let policy = spec.policy_of(service);
        let mut signals = Vec::new();
        for signal in policy.iter().flat_map(|policy| &policy.signals) {
            let series = self.recordings.get(&signal.name).with_context(|| {
                let recorded = if self.args.last.is_some() && !self.args.recorded {
                    ", --recorded to read what the controller recorded of it"
                } else {
                    ""
                };
                format!(
                    "the policy in `{}` uses the signal `{1}`; add --signal {1}=FILE{recorded}, or --signal \
                     {1}=none to replay it without",
                    path.display(),
                    signal.name
                )
            })?;
            signals.push(series.as_ref());
        }
        let price = self.price(service);
        let name = path.display().to_string();
        let candidate = Candidate::of(name, spec, service, scale, price);
        let replay = candidate.replay(self.target, &signals, &self.terms, &self.demand);
        Ok(Contender { candidate, replay })
    }

    fn price(&self, service: &Service) -> Option<f64> {
        let Some(config) = self.config else { return self.args.price };
        let default = match service.scale.strategy {
            Strategy::Infra => &config.defaults.infra,
            Strategy::Local => &config.defaults.local,
        };
        let provider: Option<&ProviderName> = service.provider.as_ref().or(default.as_ref());
        provider.map_or(config.prices.default, |provider| Prices::of(&config.prices, provider))
    }

    pub(super) fn report(&self, contenders: &[Contender<'_>]) -> anyhow::Result<Report> {
        let names: &[&'static str] =
            if contenders.len() > 1 { &["old", "new"] } else { &["policy"] };
        let columns = contenders
            .iter()
            .zip(names)
            .map(|(contender, name)| {
                contender.candidate.column(name, &contender.replay, &self.demand, &self.terms)
            })
            .collect();
        let (from, to) = (self.demand.begin(), self.demand.end());
        let currency = self.config.map(|config| config.prices.currency.clone());
        Ok(Report {
            target: self.target.clone(),
            load: Some(self.load.to_string()),
            from,
            to,
            skipped: self.terms.skipped(to.since(from)),
            terms: self.terms,
            currency: currency.unwrap_or_default(),
            columns,
            notes: self.notes(contenders),
        })
    }

    /// What a reader of the figures should know.
    fn notes(&self, contenders: &[Contender<'_>]) -> Vec<String> {
        let mut notes = Vec::new();
        for contender in contenders {
            notes.extend(contender.candidate.notes("give --price or --config"));
        }
        for (name, series) in self.recordings {
            let is_read = |policy: &Policy| policy.signals.iter().any(|known| known.name == *name);
            if name != self.load
                && !contenders.iter().filter_map(|c| c.candidate.policy).any(is_read)
            {
                notes.push(format!("`{name}` was given, and no policy reads it"));
                continue;
            }
            match series {
                None => notes.push(format!("`{name}` was taken to be absent")),
                Some(series) => notes.extend(gaps_note(name, series, name == self.load)),
            }
        }
        notes.extend_from_slice(self.notes);
        notes
    }
}

pub(super) fn service<'a>(
    spec: &'a Spec,
    args: &BacktestArgs,
    path: &Path,
) -> anyhow::Result<&'a Service> {
    spec.services.get(&args.service).with_context(|| {
        let known: Vec<&str> = spec.services.keys().map(ServiceId::as_str).collect();
        format!(
            "the spec `{}` has no service `{}`; it has {}",
            path.display(),
            args.service,
            listed(&known)
        )
    })
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

pub(super) fn region(args: &BacktestArgs, service: &Service) -> anyhow::Result<Region> {
    let known: Vec<&str> = service.scale.regions.keys().map(Region::as_str).collect();
    match (&args.region, service.scale.regions.keys().next(), known.len()) {
        (Some(region), ..) => Ok(region.clone()),
        (None, Some(only), 1) => Ok(only.clone()),
        (None, ..) => bail!(
            "service `{}` has several regions; name one with --region: {}",
            args.service,
            listed(&known)
        ),
    }
}
