//! What goes wrong where replicas run, for as long as a test wants it.

use tidegate::providers::testing::{Fault, FaultKind};

use super::scene::Scene;

/// Further creations than any test waits for.
const ALL: usize = 500;

/// Refuses every creation from now on.
pub(super) fn refuse_creations(scene: &Scene) {
    order(scene, FaultKind::Denied, ALL);
}

/// Leaves so many creations done and unanswered.
pub(super) fn silence_creations(scene: &Scene, times: usize) {
    order(scene, FaultKind::DoneButSilent, times);
}

/// Ends what goes wrong.
pub(super) fn lift(scene: &Scene) {
    scene.bench.infra.with_world(|world| world.faults.clear());
}

fn order(scene: &Scene, kind: FaultKind, times: usize) {
    let fault = Fault { op: "create".to_owned(), kind };
    scene.bench.infra.with_world(|world| world.faults.extend(std::iter::repeat_n(fault, times)));
}
