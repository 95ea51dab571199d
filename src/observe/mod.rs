//! Asks the world and judges nothing.
//!
//! A read that fails is a [`Gap`], not an error: what is unknown blocks destroying there and stops nothing
//! elsewhere. Reads run concurrently, each with a deadline of its own. Replicas are read here; what policies
//! measure, in [`signals`].

pub mod signals;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};

use crate::model::{Gap, Observed, ProviderName, Region, Regions, Replica, Spec};
use crate::providers::registry::Providers;
use crate::providers::{Ctx, Provider};

/// Regions read at once: enough to hide latency, few enough not to be a burst on any one host.
const READS_MAX: usize = 16;

/// Which regions of which providers to read: all that a provider has, all that the spec names, and all where
/// replicas are on record. Without the latter, what a spec or a configuration no longer names would be out of
/// sight instead of held; where it cannot be read any more, it becomes a gap.
#[must_use]
pub fn scope<'a>(
    spec: Option<&Spec>,
    providers: &Providers,
    recorded: impl IntoIterator<Item = (&'a ProviderName, &'a Region)>,
) -> BTreeMap<ProviderName, BTreeSet<Region>> {
    let mut scope: BTreeMap<ProviderName, BTreeSet<Region>> = providers
        .iter()
        .map(|(name, provider)| {
            let regions = match &provider.about().regions {
                Regions::Only(regions) => regions.clone(),
                Regions::Any => BTreeSet::new(),
            };
            (name.clone(), regions)
        })
        .collect();
    for service in spec.into_iter().flat_map(|spec| spec.services.values()) {
        let Some(name) = &service.provider else { continue };
        for region in service.scale.regions.keys() {
            add(&mut scope, name, region);
        }
    }
    for (name, region) in recorded {
        add(&mut scope, name, region);
    }
    scope
}

fn add(scope: &mut BTreeMap<ProviderName, BTreeSet<Region>>, name: &ProviderName, region: &Region) {
    let is_there = scope.get(name).is_some_and(|regions| regions.contains(region));
    if !is_there {
        scope.entry(name.clone()).or_default().insert(region.clone());
    }
}

/// What became of reading one region.
type Read = (ProviderName, Region, Result<Vec<Replica>, String>);

/// Reads all of the scope. Infallible: see the module.
pub async fn collect(
    ctx: &Ctx,
    providers: &Providers,
    scope: &BTreeMap<ProviderName, BTreeSet<Region>>,
) -> Observed {
    // Boxed, because the compiler cannot see through borrowing futures made in a closure.
    let mut reads: Vec<BoxFuture<'_, Read>> = Vec::new();
    for (name, regions) in scope {
        let provider = providers.get(name);
        for region in regions {
            let read = async move {
                let result = match provider {
                    Some(provider) => read(ctx, provider.as_ref(), region).await,
                    None => Err("the provider is not in the configuration any more".to_owned()),
                };
                (name.clone(), region.clone(), result)
            };
            reads.push(read.boxed());
        }
    }
    let results: Vec<_> =
        futures_util::stream::iter(reads).buffer_unordered(READS_MAX).collect().await;
    let mut observed = Observed { at: ctx.now, replicas: Vec::new(), gaps: Vec::new() };
    for (provider, region, result) in results {
        match result {
            Ok(replicas) => observed.replicas.extend(replicas),
            Err(error) => observed.gaps.push(Gap { provider, region, error }),
        }
    }
    observed.replicas.sort_by(|a, b| a.key.cmp(&b.key));
    observed.gaps.sort_by(|a, b| (&a.provider, &a.region).cmp(&(&b.provider, &b.region)));
    observed
}

async fn read(ctx: &Ctx, provider: &dyn Provider, region: &Region) -> Result<Vec<Replica>, String> {
    let about = provider.about();
    if !about.regions.serves(region) {
        return Err(format!("the provider does not serve region `{region}`"));
    }
    match tokio::time::timeout(about.call_timeout, provider.observe(ctx, region)).await {
        Ok(Ok(replicas)) => Ok(replicas),
        Ok(Err(error)) => Err(error.message),
        Err(_) => {
            Err(format!("no answer within {}", crate::model::format_duration(about.call_timeout)))
        }
    }
}
