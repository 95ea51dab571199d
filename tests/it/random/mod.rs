//! Seeded random runs of the whole controller against the fake world: people edit the spec, replicas die,
//! providers and the git server fail, another writer races, and the controller is killed anywhere. At the
//! end the world is as the spec says, and every change that happened is in the history exactly once.
//!
//! `TIDEGATE_SEED=n` runs that seed alone, with its story on standard output.

mod rig;
mod spec;
mod steps;
mod verify;

use std::time::Duration;

use rig::Rig;

/// Seeds of one test; the tests run side by side.
const SEEDS_PER_TEST: u64 = 25;
/// Tests of this module.
const TESTS: u64 = 8;

fn wished_seed() -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a person asks for one seed")]
    let wish = std::env::var("TIDEGATE_SEED").ok()?;
    Some(wish.parse().expect("TIDEGATE_SEED is a number"))
}

fn seeds(part: u64) {
    let range = part * SEEDS_PER_TEST..(part + 1) * SEEDS_PER_TEST;
    match wished_seed() {
        Some(seed) if seed / SEEDS_PER_TEST % TESTS == part => one(seed, true),
        Some(_) => {}
        None => range.for_each(|seed| one(seed, false)),
    }
}

fn one(seed: u64, is_told: bool) {
    // The paused clock moves on only when nothing is left to do, git work on its threads included.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        // The product's own jitter.
        fastrand::seed(seed);
        let mut rig = Rig::new(seed, is_told).await;
        for _ in 0..rig.rng.usize(8..20) {
            steps::random(&mut rig).await;
            let pause = Duration::from_millis(rig.rng.u64(1_000..40_000));
            rig.pass(pause).await;
        }
        steps::settle(&mut rig).await;
        verify::all(&mut rig).await;
    });
}

macro_rules! chunks {
    ($($name:ident: $part:expr,)*) => {
        $(
            #[test]
            fn $name() {
                seeds($part);
            }
        )*
    };
}

chunks! {
    random_runs_converge_with_a_complete_history_0: 0,
    random_runs_converge_with_a_complete_history_1: 1,
    random_runs_converge_with_a_complete_history_2: 2,
    random_runs_converge_with_a_complete_history_3: 3,
    random_runs_converge_with_a_complete_history_4: 4,
    random_runs_converge_with_a_complete_history_5: 5,
    random_runs_converge_with_a_complete_history_6: 6,
    random_runs_converge_with_a_complete_history_7: 7,
}
