//! One provider call, made well: deadline, retry with capped back-off, `Retry-After`, metrics' span.
//!
//! Providers contain none of this.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

use super::clock::Clock;
use super::stop::StopSign;
use crate::model::{FailureKind, Next};
use crate::providers::{Applied, Call, Ctx, Provider, ProviderError};

/// First pause between two attempts.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause between two attempts: a provider that needs longer is tried again in the next cycle.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Attempts after the first. With the pauses above a passing fault of about half a minute is ridden out.
const RETRIES_MAX: usize = 5;
/// The longest `Retry-After` that is waited for within one cycle.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// How trying a call ended, if not in failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Called {
    /// It was made.
    Ended(Applied),
    /// It failed in passing, and the sign was raised before it could be tried again.
    Stopped,
}

/// Makes the call until it ends well, cannot, or is asked to stop between two attempts.
pub(super) async fn call(
    clock: &dyn Clock,
    stop: &StopSign,
    ctx: &Ctx,
    provider: &dyn Provider,
    call: &Call,
) -> Result<Called, ProviderError> {
    let mut pauses = ExponentialBuilder::new()
        .with_min_delay(RETRY_PAUSE_MIN)
        .with_max_delay(RETRY_PAUSE_MAX)
        .with_max_times(RETRIES_MAX)
        .with_jitter()
        .build();
    loop {
        let error = match attempt(ctx, provider, call).await {
            Ok(applied) => return Ok(Called::Ended(applied)),
            Err(error) => error,
        };
        let Next::Retry { after } = error.next else { return Err(error) };
        let Some(pause) = pauses.next() else { return Err(error) };
        let pause = after.map_or(pause, |after| after.max(pause));
        if pause > RETRY_AFTER_MAX {
            return Err(error);
        }
        if stop.is_raised() {
            return Ok(Called::Stopped);
        }
        tracing::warn!(
            replica = %call.key(), call = call.word(), error = %error, pause_ms = pause.as_millis(),
            "provider call failed, trying again"
        );
        tokio::select! {
            () = clock.sleep(pause) => {}
            () = stop.raised() => return Ok(Called::Stopped),
        }
    }
}

async fn attempt(
    ctx: &Ctx,
    provider: &dyn Provider,
    call: &Call,
) -> Result<Applied, ProviderError> {
    let drain = match call {
        Call::Create(_) | Call::Start(_) => Duration::ZERO,
        Call::Destroy { drain, .. } => *drain,
    };
    let limit = provider.about().call_timeout + drain;
    super::faults::point(super::faults::Side::Before);
    let result = tokio::time::timeout(limit, provider.apply(ctx, call)).await;
    super::faults::point(super::faults::Side::After);
    result.unwrap_or_else(|_| {
        Err(ProviderError::retry(
            FailureKind::Timeout,
            format!(
                "{} {}: no answer within {}",
                call.word(),
                call.key(),
                crate::model::format_duration(limit)
            ),
        ))
    })
}
