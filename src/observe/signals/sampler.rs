//! Samples everything that a spec's policies name, so that no source can hold up a cycle.
//!
//! [`Signals::start`] sends out what is not under way yet and returns at once; [`Signals::collect`] takes what
//! came back. A question that is still under way is not asked again: its signals keep the last answer, and the
//! age of that tells how much it is worth. Whoever was late once is not waited for until it is in time again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::provider::{self, Known, Metric};
use super::{Limits, MetricSource, Sources};
use crate::model::{
    Autoscale, Measured, Moment, Observed, ProviderName, Region, Replica, ReplicaKey,
    SOURCE_PROVIDER, SOURCE_PROXY, Service, Signal, SourceName, Spec, TargetId, format_duration,
};
use crate::providers::registry::Providers;
use crate::providers::{Ctx, Usage};

/// How long a cycle waits for answers: most sources take milliseconds, and what comes later counts in the next
/// cycle. The time runs from the start of the questions, beside whatever else the cycle reads.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Ask {
    /// A question to a source.
    Source(SourceName, Arc<str>),
    /// What the replicas of a provider's region use.
    Usage(ProviderName, Region),
}

#[derive(Debug)]
enum Answer {
    Measured(Measured),
    Usage(HashMap<ReplicaKey, Usage>),
}

#[derive(Debug, Default)]
struct Slot {
    /// The newest answer.
    answer: Option<Answer>,
    /// The question that is under way.
    running: Option<AbortHandle>,
    /// The round in which it was last needed.
    round: u64,
    /// Whether it was not answered in time when it was last waited for.
    is_late: bool,
}

/// What became of one question.
struct Done {
    answer: Answer,
    took: Duration,
}

/// All sampling of one controller.
#[derive(Debug)]
pub struct Signals {
    sources: Sources,
    permits: BTreeMap<SourceName, Arc<Semaphore>>,
    limit_max: Duration,
    slots: HashMap<Ask, Slot>,
    running: JoinSet<Done>,
    asks: HashMap<Id, Ask>,
    started: Option<Instant>,
    round: u64,
}

/// What was measured for each target, as far as its policy asks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measurements {
    by_target: BTreeMap<TargetId, Vec<Measured>>,
}

impl Measurements {
    /// One measurement for each of the policy's signals, in their order; none for a target that no policy moves.
    #[must_use]
    pub fn of(&self, target: &TargetId) -> &[Measured] {
        self.by_target.get(target).map_or(&[], Vec::as_slice)
    }

    /// All of them, by target.
    #[must_use]
    pub fn into_targets(self) -> BTreeMap<TargetId, Vec<Measured>> {
        self.by_target
    }

    /// Every target that was measured.
    pub fn iter(&self) -> impl Iterator<Item = (&TargetId, &[Measured])> {
        self.by_target.iter().map(|(target, measured)| (target, measured.as_slice()))
    }
}

impl Signals {
    /// Samples these sources. `interval` is the time between two decisions: no question may take longer.
    #[must_use]
    pub fn new(sources: Sources, interval: Duration) -> Self {
        let permits = |(name, source): (&SourceName, &Arc<dyn MetricSource>)| {
            (name.clone(), Arc::new(Semaphore::new(source.limits().concurrency.max(1))))
        };
        Self {
            permits: sources.iter().map(permits).collect(),
            sources,
            limit_max: interval,
            slots: HashMap::new(),
            running: JoinSet::new(),
            asks: HashMap::new(),
            started: None,
            round: 0,
        }
    }

    /// Asks what the policies of a spec need, and waits for the answers for at most [`PATIENCE`].
    pub async fn sample(
        &mut self,
        ctx: &Ctx,
        spec: &Spec,
        providers: &Providers,
        observed: &Observed,
    ) -> Measurements {
        self.start(ctx, spec, providers);
        self.collect(spec, observed).await
    }

    /// Asks what the policies of a spec need, each question once, except what is still under way. Returns at
    /// once; forgets what is not needed any more.
    pub fn start(&mut self, ctx: &Ctx, spec: &Spec, providers: &Providers) {
        self.take_what_came();
        self.started = Some(Instant::now());
        self.round += 1;
        for (service, region, signals) in measured_targets(spec) {
            for signal in signals {
                let Some(ask) = ask_of(signal, service, region) else { continue };
                let round = self.round;
                let slot = self.slots.entry(ask.clone()).or_default();
                let is_new = slot.round != round;
                slot.round = round;
                if is_new && slot.running.is_none() {
                    self.send(ctx, providers, ask);
                }
            }
        }
        let round = self.round;
        self.slots.retain(|_, slot| {
            if slot.round != round
                && let Some(running) = &slot.running
            {
                running.abort();
            }
            slot.round == round
        });
    }

    /// What is known of every signal, after waiting for the answers that are on their way: at most until
    /// [`PATIENCE`] after their start, and not for those who were late before.
    pub async fn collect(&mut self, spec: &Spec, observed: &Observed) -> Measurements {
        let deadline = self.started.unwrap_or_else(Instant::now) + PATIENCE;
        let is_awaited = |slot: &&Slot| slot.running.is_some() && !slot.is_late;
        let mut awaited = self.slots.values().filter(is_awaited).count();
        while awaited > 0 {
            match tokio::time::timeout_at(deadline, self.running.join_next_with_id()).await {
                Ok(Some(done)) => awaited -= usize::from(self.take(done)),
                Ok(None) => break,
                Err(_) => {
                    let running = self.slots.values_mut().filter(|slot| slot.running.is_some());
                    running.for_each(|slot| slot.is_late = true);
                    break;
                }
            }
        }
        self.take_what_came();
        self.table(spec, observed)
    }

    fn send(&mut self, ctx: &Ctx, providers: &Providers, ask: Ask) {
        let began = Instant::now();
        let done = move |answer| Done { answer, took: began.elapsed() };
        let handle = match &ask {
            Ask::Source(name, question) => {
                let (Some(source), Some(permits)) =
                    (self.sources.get(name), self.permits.get(name))
                else {
                    let why = format!("the configuration has no metric source `{name}`");
                    self.keep(&ask, Answer::Measured(provider::failed(&why)));
                    return;
                };
                let (source, question) = (Arc::clone(source), Arc::clone(question));
                let (permits, now) = (Arc::clone(permits), Moment::from(ctx.now));
                let limit = source.limits().timeout.min(self.limit_max);
                self.running.spawn(async move {
                    // The time runs from here: waiting for one's turn is not the source's fault.
                    let _permit = permits.acquire_owned().await;
                    let answer = tokio::time::timeout(limit, source.sample(&question, now)).await;
                    done(Answer::Measured(answer.unwrap_or_else(|_| no_answer(limit))))
                })
            }
            Ask::Usage(name, region) => {
                let Some(provider) = providers.get(name).map(Arc::clone) else {
                    let why = format!("the configuration has no provider `{name}`");
                    self.keep(&ask, Answer::Measured(provider::failed(&why)));
                    return;
                };
                let (ctx, region) = (ctx.clone(), region.clone());
                let limit = Limits::default().timeout.min(self.limit_max);
                self.running.spawn(async move {
                    let measured =
                        tokio::time::timeout(limit, provider.measure(&ctx, &region)).await;
                    done(match measured {
                        Ok(Ok(usage)) => {
                            Answer::Usage(usage.into_iter().map(|u| (u.key.clone(), u)).collect())
                        }
                        Ok(Err(error)) => Answer::Measured(provider::failed(&error.message)),
                        Err(_) => Answer::Measured(no_answer(limit)),
                    })
                })
            }
        };
        self.asks.insert(handle.id(), ask.clone());
        if let Some(slot) = self.slots.get_mut(&ask) {
            slot.running = Some(handle);
        }
    }

    fn take_what_came(&mut self) {
        while let Some(done) = self.running.try_join_next_with_id() {
            self.take(done);
        }
    }

    /// Takes one answer; tells whether a cycle waits for it.
    fn take(&mut self, done: Result<(Id, Done), JoinError>) -> bool {
        let (id, done) = match done {
            Ok(done) => done,
            Err(error) => {
                let why = "sampling it ended in a fault of this program";
                let answer = Answer::Measured(provider::failed(why));
                (error.id(), Done { answer, took: Duration::ZERO })
            }
        };
        let Some(ask) = self.asks.remove(&id) else { return false };
        // What was given up has no slot any more, or one of a newer question.
        let is_asked = |slot: &&mut Slot| slot.running.as_ref().is_some_and(|r| r.id() == id);
        let Some(slot) = self.slots.get_mut(&ask).filter(is_asked) else { return false };
        let was_awaited = !slot.is_late;
        slot.running = None;
        slot.is_late = done.took >= PATIENCE;
        slot.answer = Some(done.answer);
        was_awaited
    }

    /// Keeps an answer that nobody had to be asked for.
    fn keep(&mut self, ask: &Ask, answer: Answer) {
        if let Some(slot) = self.slots.get_mut(ask) {
            slot.answer = Some(answer);
        }
    }

    fn table(&self, spec: &Spec, observed: &Observed) -> Measurements {
        let replicas: HashMap<&TargetId, &[Replica]> = observed.by_target().collect();
        let mut by_target = BTreeMap::new();
        for (service, region, signals) in measured_targets(spec) {
            let target = TargetId { service: service.id.clone(), region: region.clone() };
            let replicas = replicas.get(&target).copied().unwrap_or_default();
            let measured = signals
                .iter()
                .map(|signal| self.answer(signal, &target, service, observed, replicas))
                .collect();
            by_target.insert(target, measured);
        }
        Measurements { by_target }
    }

    fn answer(
        &self,
        signal: &Signal,
        target: &TargetId,
        service: &Service,
        observed: &Observed,
        replicas: &[Replica],
    ) -> Measured {
        let answer = ask_of(signal, service, &target.region).map(|ask| {
            let answer = self.slots.get(&ask).and_then(|slot| slot.answer.as_ref());
            answer.ok_or_else(|| {
                provider::failed("no answer yet: the first question is still under way")
            })
        });
        if signal.source.as_str() == SOURCE_PROXY {
            return Measured::Absent;
        }
        if signal.source.as_str() != SOURCE_PROVIDER {
            return match answer {
                Some(Ok(Answer::Measured(measured))) => measured.clone(),
                Some(Err(failed)) => failed,
                Some(Ok(Answer::Usage(_))) | None => Measured::Absent,
            };
        }
        let name = signal.metric.as_deref().unwrap_or_default();
        let Some(metric) = Metric::of(name) else {
            return provider::failed(&format!("providers do not measure `{name}`"));
        };
        let nothing = HashMap::new();
        let usage = match answer {
            Some(Ok(Answer::Usage(usage))) => Ok(usage),
            Some(Ok(Answer::Measured(failure))) => Err(failure.clone()),
            Some(Err(failure)) => Err(failure),
            None => Ok(&nothing),
        };
        provider::measure(metric, target, service, Known { observed, replicas, usage })
    }
}

fn no_answer(limit: Duration) -> Measured {
    provider::failed(&format!("no answer within {}", format_duration(limit)))
}

/// Every target that a policy moves, with the signals of that policy.
fn measured_targets(spec: &Spec) -> impl Iterator<Item = (&Service, &Region, &[Signal])> {
    let services = spec.services.values().filter(|s| s.scale.autoscale == Autoscale::Metrics);
    services.filter_map(|service| Some((service, spec.policy_of(service)?))).flat_map(
        |(service, policy)| {
            let regions = service.scale.regions.keys();
            regions.map(move |region| (service, region, policy.signals.as_slice()))
        },
    )
}

/// What must be asked for a signal; nothing for what is known without asking.
fn ask_of(signal: &Signal, service: &Service, region: &Region) -> Option<Ask> {
    match signal.source.as_str() {
        SOURCE_PROXY => None,
        SOURCE_PROVIDER => {
            let needs_usage = Metric::of(signal.metric.as_deref()?)?.needs_usage();
            let provider = service.provider.as_ref().filter(|_| needs_usage)?;
            Some(Ask::Usage(provider.clone(), region.clone()))
        }
        _ => Some(Ask::Source(signal.source.clone(), signal.question().into())),
    }
}
