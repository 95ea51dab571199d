//! What holds where a policy says nothing, each with its reason.

use std::time::Duration;

use crate::model::Limit;

/// How long the largest wish counts before a step down. Load that comes back within five minutes is the rule
/// and not the exception on real traces; shorter windows pay for it in changes.
pub(super) const DOWN_STABILIZATION: Duration = Duration::from_secs(300);
/// Up at once: waiting costs requests.
pub(super) const UP_STABILIZATION: Duration = Duration::ZERO;
/// How far from its target a load may be before the count moves.
pub(super) const TOLERANCE: f64 = 0.1;
/// Four times as many, or ten more, in each period: a flash crowd is met in one step, and a wrong number does not
/// buy everything at once.
pub(super) const UP_LIMITS: &[Limit] = &[Limit::Percent(300.0), Limit::Replicas(10)];
/// One period of [`UP_LIMITS`].
pub(super) const UP_PER: Duration = Duration::from_secs(15);
/// Half of the replicas, or one, in each period: a wrong number takes some minutes to do harm.
pub(super) const DOWN_LIMITS: &[Limit] = &[Limit::Percent(50.0), Limit::Replicas(1)];
/// One period of [`DOWN_LIMITS`].
pub(super) const DOWN_PER: Duration = Duration::from_secs(60);
/// A rule that goes on holding steps again after this time, or its own `for` where that is longer.
pub(super) const RULE_REPEAT: Duration = Duration::from_secs(60);
/// A load that reads exactly zero after it did not is doubted for this long: a source that restarts says
/// zero, too.
pub(super) const ZERO_DOUBT: Duration = Duration::from_secs(60);
/// Timers count on over a silence of their signal of at most this long, as over a restart: what was unknown for
/// longer may have been otherwise meanwhile.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(600);
/// A time stamp may be this far in the future before it is an error: two clocks are never equal.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// How long a mean over replicas still shows the replicas of before: the window that such means are taken
/// over.
pub(super) const MEAN_LAG: Duration = Duration::from_secs(60);
/// Share of the expected relief under which a step up was of no use (as in Flink's autoscaler).
pub(super) const RELIEF_SHARE: f64 = 0.1;
/// Steps in a row without use after which a rule stops asking for more.
pub(super) const RELIEF_FAILURES: u32 = 2;
/// How long it stops: a load that grew as fast as the replicas looks the same, so it tries again.
pub(super) const RELIEF_BLOCK: Duration = Duration::from_secs(600);
/// Changes that are remembered: more than any rate limit's period holds.
pub(super) const STEPS_MAX: usize = 32;
/// Wishes that are remembered for a window: one for each count they fall through.
pub(super) const WISHES_MAX: usize = 64;
