//! Stops and removes replicas.
//!
//! Whoever removes a replica ends up holding its lock, so that nothing can start it in between. A destroy
//! that is cut short leaves a draining or stopped replica, which the next destroy finishes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::folders::FolderError;
use super::lock::{self, Attempt};
use super::record::{Record, State, StopOrder};
use super::{Applied, Ctx, Host, ProviderError, blocking, failure, leftovers, text};
use crate::model::{FailureKind, ReplicaKey};

/// Time beyond the drain time that a supervisor has to kill the replica, write it down and end.
const GRACE: Duration = Duration::from_secs(5);
/// Time for a killed supervisor to be gone.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// Time between two attempts at the lock, which is free as soon as the supervisor has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Asks the replica to stop, kills it after the drain time (the asked or its own, whichever is longer),
/// removes its folder.
pub(super) async fn destroy(
    host: &Arc<Host>,
    ctx: &Ctx,
    key: &ReplicaKey,
    drain: Duration,
) -> Result<Applied, ProviderError> {
    let folder = host.layout.replica(&ctx.owner, key);
    // A service that is gone from the spec has left its drain time here only.
    let recorded = Record::read(&folder).ok().flatten().map_or(Duration::ZERO, |r| r.drain());
    let drain = drain.max(recorded);
    let Some(lock) = take_over(&folder, drain).await? else {
        return Ok(Applied::AlreadySo);
    };
    // A supervisor that was killed leaves its replica running; one that ended has none.
    let before = State::read(&folder);
    leftovers::end(&folder, &before, drain)
        .await
        .map_err(|error| failure("end its processes", &error))?;
    let host = Arc::clone(host);
    blocking(move || -> Result<(), FolderError> {
        let wide = host.layout.lock_wide()?;
        host.layout.take_out(&wide, &folder)?;
        drop((wide, lock));
        host.layout.empty_outgoing();
        Ok(())
    })
    .await?
    .map_err(|error| failure("remove its folder", &error))?;
    Ok(Applied::Done)
}

/// Gets the supervisor to end, first asking, then by force, and takes its lock. `None` if there is no
/// such replica.
async fn take_over(folder: &Path, drain: Duration) -> Result<Option<std::fs::File>, ProviderError> {
    let kill_at = Instant::now() + drain + GRACE;
    let give_up_at = kill_at + KILL_WAIT;
    let mut asked = None;
    loop {
        let attempt = lock::try_take(folder).map_err(|error| failure("take its lock", &error))?;
        match attempt {
            Attempt::Mine(lock) => return Ok(Some(lock)),
            Attempt::NoFolder => return Ok(None),
            Attempt::Theirs => {}
        }
        let now = Instant::now();
        if now >= give_up_at {
            return Err(ProviderError::retry(
                FailureKind::Timeout,
                format!("its supervisor does not end even when killed; see {}", folder.display()),
            ));
        }
        // A supervisor that has only just started may not have written who it is.
        if let Ok(Some(state)) = State::read(folder) {
            let signalled = if now >= kill_at {
                // Without its supervisor the replica is a leftover, which is dealt with next.
                state.supervisor.signal(Signal::KILL)
            } else if asked.as_ref() != Some(&state.supervisor) {
                let order = StopOrder { drain_ms: millis(drain) };
                // Without it, as on a full disk, the supervisor goes by the drain time of its record.
                if let Err(error) = order.write(folder) {
                    let error = text::chain(&error);
                    tracing::warn!(%error, "cannot tell a replica's drain time to its supervisor");
                }
                let signalled = state.supervisor.signal(Signal::TERM);
                asked = Some(state.supervisor);
                signalled
            } else {
                Ok(true)
            };
            signalled.map_err(|error| failure("signal its supervisor", &error))?;
        }
        sleep(LOOK_EVERY).await;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
