//! `tidegate run`: the controller.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;

use super::{CHANGES, ConfigArg, Output, context, signals};
use crate::apply::{Clock as _, StopSign, SystemClock};
use crate::control::run::{EVENTS_MAX, Event, OnCycle, Reload, Surroundings};
use crate::control::{ControlError, Controller, Purpose, Setup};
use crate::forge::hooks::Hook;
use crate::model::{CommitId, HeldReason, Plan, Step, TargetId, TargetPlan};
use crate::plan::render;
use crate::serve::{self, HookSetup, Server};

/// How to run.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Plan and log, and change and publish nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print every plan that has changes in this form. Without it there are only the logs.
    #[arg(long, short, value_enum)]
    output: Option<Output>,
    /// Exit with 2 when something was changed.
    #[arg(long)]
    detailed_exitcode: bool,
}

/// First pause when the repository cannot be reached at the start; doubled each time.
const START_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest such pause.
const START_PAUSE_MAX: Duration = Duration::from_secs(60);

pub(super) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let stop = signals::stop_on_signals()?;
    let (path, dry_run) = (args.config.config.clone(), args.dry_run);
    let read = move || -> anyhow::Result<Setup> {
        let mut config = context::load_config(&path)?;
        config.dry_run |= dry_run;
        context::setup(config)
    };
    let Some(controller) = start(&read, &stop).await? else { return Ok(ExitCode::SUCCESS) };
    let files = context::watched_files(&args.config.config, &controller.setup().config);
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let reload: Reload = Arc::new(move || read().map_err(|error| format!("{error:#}")));
    let has_changed = Arc::new(AtomicBool::new(false));
    let is_dry = controller.setup().config.dry_run;
    let on_cycle = on_cycle(args.output, is_dry, has_changed.clone());
    let _server = listen(controller.setup(), sender.clone(), stop.clone()).await?;
    let around =
        Surroundings { clock: Arc::new(SystemClock), shutdown: stop, reload, files, on_cycle };
    let setup = controller.setup();
    tracing::info!(repository = %setup.remote.url, owner = %setup.owner, dry_run = is_dry, "running");
    crate::control::run::run(controller, around, events, sender).await?;
    let is_changed = args.detailed_exitcode && has_changed.load(Ordering::Relaxed);
    Ok(if is_changed { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS })
}

/// Listens for the forge's webhooks, where there is a secret to tell them by. They only make the controller
/// look.
async fn listen(
    setup: &Setup,
    events: mpsc::Sender<Event>,
    stop: StopSign,
) -> anyhow::Result<Option<Server>> {
    let Some(secret) = setup.webhook_secret.clone() else { return Ok(None) };
    let branch = setup.config.repository.branch.clone();
    let wake = move |hook: Hook| {
        let matters = match hook {
            Hook::Ping | Hook::Other | Hook::Push { branch: None } => false,
            Hook::Push { branch: Some(pushed) } => pushed == branch,
            Hook::Pull { base, .. } => base.is_none_or(|base| base == branch),
            Hook::Comment { on_pull, .. } => on_pull,
        };
        if matters {
            // A full queue already holds an event that will make the controller look.
            let _queued = events.try_send(Event::Wake);
        }
    };
    let address = setup.config.api.listen;
    let hooks = HookSetup { secret, wake: Arc::new(wake) };
    let server = serve::start(address, Some(hooks), async move { stop.raised().await })
        .await
        .with_context(|| format!("listen on {address} (`api.listen`)"))?;
    tracing::info!(address = %server.addr, path = serve::HOOKS_PATH, "listening for webhooks");
    Ok(Some(server))
}

/// Notes whether anything was changed, prints plans that have changes, and logs every plan of a dry run, which
/// leaves no other trace. Each once: what is held stays in every plan, and saying it once is enough.
fn on_cycle(output: Option<Output>, is_dry: bool, has_changed: Arc<AtomicBool>) -> OnCycle {
    let shown = Mutex::new(None);
    Arc::new(move |ticked| {
        let plan = &ticked.planned.plan;
        has_changed.fetch_or(!ticked.outcomes.is_empty(), Ordering::Relaxed);
        if output.is_none() && !is_dry {
            return;
        }
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let now = gist(plan);
        if shown.as_ref() == Some(&now) {
            return;
        }
        *shown = Some(now);
        match output {
            None => {
                let (commit, digest) = (&plan.spec_commit, &plan.digest);
                tracing::info!(%commit, %digest, "plan: {}", render::verdict(plan));
            }
            Some(output) if !plan.is_no_changes() => {
                if let Err(error) = super::plan::show(plan, output) {
                    tracing::warn!(%error, "could not print the plan");
                }
            }
            Some(_) => {}
        }
    })
}

/// What is done and held of one target.
type Part = (TargetId, Vec<Step>, Vec<HeldReason>);

/// What makes a plan another one: its commit, and what is done and held. Times and words may differ.
fn gist(plan: &Plan) -> (CommitId, Vec<Part>) {
    let targets = plan.targets.iter().filter(|t| !t.steps.is_empty() || !t.held.is_empty());
    let part = |target: &TargetPlan| {
        let held = target.held.iter().map(|held| held.reason).collect();
        (target.target.clone(), target.steps.clone(), held)
    };
    (plan.spec_commit.clone(), targets.map(part).collect())
}

/// Starts the controller; a repository that cannot be reached is waited for, anything else is an error.
async fn start(
    read: &impl Fn() -> anyhow::Result<Setup>,
    stop: &StopSign,
) -> anyhow::Result<Option<Controller>> {
    let mut pause = START_PAUSE_MIN;
    loop {
        let on_progress = super::progress::logged();
        let starting = Controller::start(read()?, Arc::new(SystemClock), Purpose::Act, on_progress);
        let started = tokio::select! {
            started = starting => started,
            // Nothing is under way yet that has to be finished, and a silent server may take long.
            () = stop.raised() => return Ok(None),
        };
        match started {
            Ok(controller) => return Ok(Some(controller)),
            Err(ControlError::Git(error)) if error.is_retryable() => {
                tracing::warn!(%error, pause_s = pause.as_secs(), "cannot reach the repository yet");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = SystemClock.sleep(pause) => {}
            () = stop.raised() => return Ok(None),
        }
        pause = (pause * 2).min(START_PAUSE_MAX);
    }
}
