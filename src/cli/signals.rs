//! SIGTERM and Ctrl-C: the first asks to finish the action in hand, the second ends at once.

use crate::apply::StopSign;

/// Exit code of a process ended by Ctrl-C, as shells report it.
pub(super) const INTERRUPTED: u8 = 130;
/// Exit code of a process ended by SIGTERM, as shells report it.
const TERMINATED: i32 = 143;

/// A sign that is raised by the first signal.
pub(super) fn stop_on_signals() -> anyhow::Result<StopSign> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = StopSign::default();
    let sign = stop.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sign.raise();
        // Who asks twice means it. Replicas and history survive that, as any kill.
        let code = tokio::select! {
            _ = terminate.recv() => TERMINATED,
            _ = interrupt.recv() => i32::from(INTERRUPTED),
        };
        #[expect(clippy::exit, reason = "it was asked for twice")]
        std::process::exit(code);
    });
    Ok(stop)
}
