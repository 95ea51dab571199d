//! Carries out exactly the plan.
//!
//! Makes no choice: which replica, in which order, is the plan's. Targets run in parallel, bounded; within
//! a target the steps run one after the other and the actions of a step at once. A target that fails stops
//! itself and no other. A newer commit or a shutdown ends it at the next safe step.

mod call;
mod clock;
mod faults;
mod gate;
mod stop;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::Semaphore;

pub use clock::{Clock, SystemClock, elapsed};
pub use stop::{StopReason, StopSign};

use crate::model::{
    Action, ActionKind, Count, EnvValue, FailureKind, Outcome, OutcomeResult, OwnerId, Phase, Plan,
    ProviderName, Secret, SecretName, Service, Spec, TargetOutcome, TargetPlan,
};
use crate::providers::registry::Providers;
use crate::providers::{Applied, Call, Ctx, Launch, ProviderError};
use call::Called;

/// Targets applied at once. More would not be faster on two cores, and a provider has its own limit.
const TARGETS_MAX: usize = 32;

/// Where the values of secrets come from; asked only when a replica is made.
pub trait Secrets: std::fmt::Debug + Send + Sync {
    /// The value of a secret that a spec names.
    ///
    /// # Errors
    /// A sentence fragment that names the secret and its reference, never its value.
    fn get(&self, name: &SecretName) -> Result<Secret, String>;
}

/// One step of progress, for whoever watches.
#[derive(Debug)]
pub enum Progress<'a> {
    /// An action begins.
    Began(&'a Action),
    /// An action ended.
    Ended(&'a Outcome),
}

/// What applying needs besides the plan.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The providers.
    pub providers: &'a Providers,
    /// The spec that the plan realises: what replicas are made from.
    pub spec: &'a Spec,
    /// Where secrets come from.
    pub secrets: &'a dyn Secrets,
    /// Whose replicas.
    pub owner: &'a OwnerId,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Asks to end at the next safe step.
    pub stop: &'a StopSign,
    /// Told of every action's begin and end.
    pub progress: &'a (dyn Fn(Progress<'_>) + Send + Sync),
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// Applies every target's steps, and says what became of each. In the order of the plan's targets; only
/// targets that have steps.
pub async fn execute(plan: &Plan, world: World<'_>) -> Vec<TargetOutcome> {
    let shared = Shared {
        world,
        plan,
        slots: world
            .providers
            .iter()
            .map(|(name, provider)| {
                (name.clone(), Arc::new(Semaphore::new(provider.about().concurrency_max.max(1))))
            })
            .collect(),
        gate: gate::Gate::default(),
    };
    let shared = &shared;
    // Boxed, because the compiler cannot see through borrowing futures made in a closure.
    let work: Vec<BoxFuture<'_, TargetOutcome>> = plan
        .targets
        .iter()
        .filter(|target| !target.steps.is_empty())
        .map(|target| apply_target(shared, target).boxed())
        .collect();
    let mut outcomes: Vec<TargetOutcome> =
        futures_util::stream::iter(work).buffer_unordered(TARGETS_MAX).collect().await;
    outcomes.sort_by(|a, b| a.target.cmp(&b.target));
    outcomes
}

struct Shared<'a> {
    world: World<'a>,
    plan: &'a Plan,
    slots: BTreeMap<ProviderName, Arc<Semaphore>>,
    gate: gate::Gate,
}

async fn apply_target(shared: &Shared<'_>, target: &TargetPlan) -> TargetOutcome {
    let clock = shared.world.clock;
    let started = clock.now();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut blocked: Option<OutcomeResult> = None;
    for step in &target.steps {
        if blocked.is_none() && shared.world.stop.is_raised() {
            blocked = Some(shared.world.stop.outcome());
        }
        if let Some(why) = &blocked {
            outcomes.extend(step.actions.iter().map(|action| Outcome {
                action: action.clone(),
                started: clock.now(),
                took: std::time::Duration::ZERO,
                result: why.clone(),
            }));
            continue;
        }
        let actions: Vec<BoxFuture<'_, Outcome>> = step
            .actions
            .iter()
            .map(|action| apply_action(shared, target, action).boxed())
            .collect();
        let ended = futures_util::future::join_all(actions).await;
        if ended.iter().any(|outcome| matches!(outcome.result, OutcomeResult::Failed { .. })) {
            blocked = Some(OutcomeResult::Skipped);
        } else if ended.iter().any(|outcome| is_stopped(&outcome.result)) {
            blocked = Some(shared.world.stop.outcome());
        }
        outcomes.extend(ended);
    }
    let from = target.count.unwrap_or_default();
    TargetOutcome {
        target: target.target.clone(),
        from,
        to: count_after(target, from, &outcomes),
        outcomes,
        started,
        took: elapsed(started, clock.now()),
    }
}

/// Whether the sign kept an action from being done.
fn is_stopped(result: &OutcomeResult) -> bool {
    matches!(result, OutcomeResult::Superseded | OutcomeResult::Deferred)
}

/// How many replicas exist after these outcomes. A call that failed may have worked all the same; then the
/// next observation says so, and the difference is recorded as drift.
fn count_after(target: &TargetPlan, from: Count, outcomes: &[Outcome]) -> Count {
    let mut count = from;
    for outcome in outcomes {
        let is_done = matches!(outcome.result, OutcomeResult::Applied | OutcomeResult::AlreadySo);
        let was_draining = || {
            target
                .replicas
                .iter()
                .any(|r| r.key == outcome.action.key && r.phase == Phase::Draining)
        };
        match outcome.action.kind {
            ActionKind::Create { .. } if is_done => count.0 += 1,
            ActionKind::Destroy if is_done && !was_draining() => {
                count.0 = count.0.saturating_sub(1);
            }
            ActionKind::Create { .. }
            | ActionKind::Destroy
            | ActionKind::Start
            | ActionKind::AwaitReady => {}
        }
    }
    count
}

async fn apply_action(shared: &Shared<'_>, target: &TargetPlan, action: &Action) -> Outcome {
    let world = &shared.world;
    (world.progress)(Progress::Began(action));
    let started = world.clock.now();
    let result = match attempt_action(shared, target, action).await {
        Ok(result) => result,
        Err(error) => OutcomeResult::Failed { error: error.message, kind: error.kind },
    };
    let outcome = Outcome {
        action: action.clone(),
        started,
        took: elapsed(started, world.clock.now()),
        result,
    };
    (world.progress)(Progress::Ended(&outcome));
    outcome
}

async fn attempt_action(
    shared: &Shared<'_>,
    target: &TargetPlan,
    action: &Action,
) -> Result<OutcomeResult, ProviderError> {
    let world = &shared.world;
    let name = &action.key.provider;
    let provider = world.providers.get(name).ok_or_else(|| {
        ProviderError::give_up(
            FailureKind::NotFound,
            format!("{} {}: provider `{name}` is not configured", action.kind.word(), action.key),
        )
    })?;
    let ctx = Ctx { now: world.clock.now(), owner: world.owner.clone() };
    let service = world.spec.services.get(&target.target.service);
    let call = match &action.kind {
        ActionKind::AwaitReady => {
            let health = service.and_then(|s| s.template.as_ref()).and_then(|t| t.health.as_ref());
            return shared.gate.ready(world, &ctx, provider.as_ref(), &action.key, health).await;
        }
        ActionKind::Create { template: hash } => {
            let mut launch = launch(shared, service, action)?;
            launch.template_hash = hash.clone();
            Call::Create(Box::new(launch))
        }
        ActionKind::Start => Call::Start(Box::new(launch(shared, service, action)?)),
        ActionKind::Destroy => Call::Destroy {
            key: action.key.clone(),
            drain: service
                .and_then(|service| service.template.as_ref())
                .map_or(DRAIN_WITHOUT_TEMPLATE, |template| template.drain),
        },
    };
    let slot = shared.slots.get(name).cloned();
    let _permit = match &slot {
        Some(slot) => slot.acquire().await.ok(),
        None => None,
    };
    if world.stop.is_raised() {
        return Ok(world.stop.outcome());
    }
    match call::call(world.clock, world.stop, &ctx, provider.as_ref(), &call).await? {
        Called::Ended(Applied::Done) => Ok(OutcomeResult::Applied),
        Called::Ended(Applied::AlreadySo) => Ok(OutcomeResult::AlreadySo),
        Called::Stopped => Ok(world.stop.outcome()),
    }
}

/// Drain time of a replica whose template is gone from the spec.
const DRAIN_WITHOUT_TEMPLATE: std::time::Duration = std::time::Duration::from_secs(30);

/// Everything needed to make or start one replica; this is where secrets are resolved.
fn launch(
    shared: &Shared<'_>,
    service: Option<&Service>,
    action: &Action,
) -> Result<Launch, ProviderError> {
    let template = service.and_then(|service| service.template.clone()).ok_or_else(|| {
        ProviderError::give_up(
            FailureKind::Invalid,
            format!("{} {}: the service has no template", action.kind.word(), action.key),
        )
    })?;
    let mut env = Vec::with_capacity(template.env.len());
    for (variable, value) in &template.env {
        let value = match value {
            EnvValue::Literal(text) => Secret::new(text.clone()),
            EnvValue::SecretRef(name) => shared.world.secrets.get(name).map_err(|error| {
                ProviderError::give_up(
                    FailureKind::Invalid,
                    format!("{} {}: {error}", action.kind.word(), action.key),
                )
            })?,
        };
        env.push((variable.clone(), value));
    }
    Ok(Launch {
        key: action.key.clone(),
        template_hash: template.hash(),
        template,
        env,
        spec_commit: shared.plan.spec_commit.clone(),
    })
}

#[cfg(test)]
mod tests;
