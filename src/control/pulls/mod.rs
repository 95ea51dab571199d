//! Pull requests: each open one is planned as if it were merged, what is merged is compared with that plan, and
//! what becomes of it is said where the plan was.
//!
//! Two parts that share only values. The gate (`gate.rs`) stands in the controller's way: it lets a new commit be
//! put in force, or holds it. The worker (`worker.rs`, its rounds, its reports) runs beside the controller: it
//! reads the sight that the controller shares after every cycle, hears facts, and talks to the forge. Nothing of
//! it is waited for. `making.rs` and `compose.rs` make one pull request's comment, `preview.rs` the same for the
//! command line.

mod backtests;
mod compose;
mod deployments;
mod facts;
mod gate;
mod judgement;
mod links;
mod making;
mod preview;
mod queue;
pub mod recordings;
mod reports;
mod reviews;
mod rounds;
mod sight;
mod sticky;
mod worker;

use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc, watch};

use backtests::Past;
pub(crate) use facts::Fact;
pub(crate) use gate::Gate;
pub(crate) use judgement::Judgement;
use judgement::Waiting;
pub use preview::{Preview, PreviewError, Snapshot};
use reviews::Reviews;
pub(crate) use sight::{Sight, by_name};
use worker::{Parts, Wires, Worker};

use super::run::Event;
use super::{ControlError, Setup};
use crate::apply::{Clock, StopSign};
use crate::config::ForgeConfig;
use crate::forge::Forge;
use crate::forge::comment::Links;
use crate::git::Mirror;
use crate::model::CommitId;

/// The controller's end of what connects it to the worker.
#[derive(Debug)]
pub(crate) struct Link {
    /// Lets a new commit pass, or holds it.
    pub(crate) gate: Gate,
    sights: watch::Sender<Option<Arc<Sight>>>,
    facts: mpsc::UnboundedSender<Fact>,
}

impl Link {
    /// A gate with nobody behind it: for one cycle that nobody reports; `None` where no forge is configured.
    pub(crate) fn alone(setup: &Setup) -> Result<Option<Self>, ControlError> {
        let (sights, _) = watch::channel(None);
        let (facts, _) = mpsc::unbounded_channel();
        Ok(gate(setup, &Reviews::default())?.map(|gate| Self { gate, sights, facts }))
    }

    /// Shares what is seen.
    pub(crate) fn show(&self, sight: Sight) {
        self.sights.send_replace(Some(Arc::new(sight)));
    }

    /// Shares that the branch or the merge queue moved, before anything else is known about it.
    pub(crate) fn moved(&self, head: Option<&CommitId>, queued: &[(String, CommitId)]) {
        self.sights.send_if_modified(|sight| match sight {
            Some(known) if known.branch_head.as_ref() != head || known.queued != queued => {
                let known = Arc::make_mut(known);
                known.branch_head = head.cloned();
                known.queued = queued.to_vec();
                true
            }
            Some(_) | None => false,
        });
    }

    /// Tells what happened. A worker that is gone misses nothing that it will not read again.
    pub(crate) fn tell(&self, fact: Fact) {
        let _gone = self.facts.send(fact);
    }
}

/// The gate of a configuration; `None` where no forge is configured.
fn gate(setup: &Setup, reviews: &Reviews) -> Result<Option<Gate>, ControlError> {
    let (Some(forge), Some(config)) = (&setup.forge, &setup.config.forge) else { return Ok(None) };
    let dir = setup.config.state_dir.join("pulls.git");
    Ok(Some(Gate {
        forge: forge.clone(),
        reviews: reviews.clone(),
        on_mismatch: config.on_mismatch,
        owner: setup.owner.clone(),
        branch: setup.config.repository.branch.clone(),
        mirror: Arc::new(Mutex::new(Mirror::open(&dir, setup.remote.clone())?)),
        waiting: Waiting::default(),
    }))
}

/// The worker, as whoever runs the loop holds it.
#[derive(Debug)]
pub(crate) struct Pulls {
    wake: Arc<Notify>,
    stop: StopSign,
    reviews: Reviews,
}

impl Pulls {
    /// Starts a worker; `None` where no forge is configured. `before` is the one that it takes the place of, and
    /// goes on where this one cannot be made.
    pub(crate) fn begin(
        setup: &Setup,
        clock: &Arc<dyn Clock>,
        events: &mpsc::Sender<Event>,
        before: Option<&Self>,
    ) -> Result<Option<(Self, Link)>, ControlError> {
        let reviews = before.map(|before| before.reviews.clone()).unwrap_or_default();
        let gate = gate(setup, &reviews)?;
        if let Some(before) = before {
            before.stop.raise();
        }
        let (Some(gate), Some(forge), Some(config)) = (gate, &setup.forge, &setup.config.forge)
        else {
            return Ok(None);
        };
        let (sights, seen) = watch::channel(None);
        let (facts, heard) = mpsc::unbounded_channel();
        let mirror = gate.mirror.clone();
        let parts = parts(setup, config, forge, mirror, &reviews);
        let (wake, stop) = (Arc::new(Notify::new()), StopSign::default());
        let wires = Wires { sights: seen, facts: heard, events: events.clone() };
        tokio::spawn(Worker::new(parts, clock.clone(), wires).run(wake.clone(), stop.clone()));
        Ok(Some((Self { wake, stop, reviews }, Link { gate, sights, facts })))
    }

    /// Makes the worker look now.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends the worker.
    pub(crate) fn end(&self) {
        self.stop.raise();
    }
}

fn parts(
    setup: &Setup,
    config: &ForgeConfig,
    forge: &Arc<dyn Forge>,
    mirror: Arc<Mutex<Mirror>>,
    reviews: &Reviews,
) -> Parts {
    Parts {
        forge: forge.clone(),
        mirror,
        reviews: reviews.clone(),
        rules: config.plan.clone(),
        owner: setup.owner.clone(),
        branch: setup.config.repository.branch.clone(),
        path: setup.config.repository.path.clone(),
        poll_interval: config.poll_interval,
        past: Past::of(setup),
        links: Links::of(&forge.web_url()),
        dry_run: setup.config.dry_run,
    }
}
