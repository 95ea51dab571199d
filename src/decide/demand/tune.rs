//! The constants of the default rule, each with its unit and reason.

use std::time::Duration;

/// A target is read as this share of what a replica can serve: the 70 % that Kubernetes' documentation, Knative
/// and AWS use for their targets. What is left is the headroom that this rule spends and saves.
pub const FULL_USE: f64 = 0.7;
/// Replica-time that may be used for each replica-time needed at full use: what the target itself costs.
pub(super) const BUDGET: f64 = 1.4;
/// Share of the budget below which the account is rich.
pub(super) const RICH_BELOW: f64 = 0.945;
/// Share of the budget above which the account is poor.
pub(super) const POOR_ABOVE: f64 = 0.995;
/// Overspending beyond [`POOR_ABOVE`] at which all memory of levels is given up.
pub(super) const BROKE_SPAN: f64 = 0.05;
/// Half-life of the account, in seconds: a day must outweigh an hour.
pub(super) const ACCOUNT_HALF_S: f64 = 86_400.0;
/// Share above the target at which a rich account steps up.
pub(super) const HEAT_RICH: f64 = 0.15;
/// The same of a poor account, where rises are such that headroom covers them.
pub(super) const HEAT_COVER: f64 = 0.2;
/// The same of a poor account, where they are not: full use.
pub(super) const HEAT_POOR: f64 = 0.43;
/// Large fleets may always run so much above the target, times `1 - 1/sqrt(count)`: their load pools.
pub(super) const HEAT_POOLED: f64 = 0.22;
/// A rich account's step aims so much below the point at which it was taken.
pub(super) const BAND_RICH: f64 = 0.15;
/// The same of a poor account.
pub(super) const BAND_POOR: f64 = 0.03;
/// Headroom for single seconds, in typical bends of the signal: three sigma of a second of white noise.
pub(super) const NOISE_HEAT: f64 = 35.0;
/// Bends below which a move between two decisions is noise.
pub(super) const NOISE_GATE: f64 = 5.0;
/// Half-life of the estimate of noise, in seconds.
pub(super) const NOISE_HALF_S: f64 = 1_800.0;
/// Price of a change in replica-seconds, for a rich account.
pub(super) const PRICE_RICH: f64 = 600.0;
/// The same for a poor one.
pub(super) const PRICE_POOR: f64 = 80.0;
/// A change is worth the price for the larger of one replica and this share of the count.
pub(super) const PRICE_SHARE: f64 = 0.1;
/// Readings must be low for so long, in seconds, before anything goes down: one low number is no reason.
pub(super) const LOW_LEAST_S: f64 = 45.0;
/// Readings that stay away for more than so many of their usual distances are a silence, after which being low
/// begins anew.
pub(super) const SILENCE: f64 = 3.0;
/// A level is kept while it has come back within so many seconds on average, for a rich account.
pub(super) const RETURN_RICH_S: f64 = 3_600.0;
/// The same for a poor one.
pub(super) const RETURN_POOR_S: f64 = 660.0;
/// Half-life of what is known of returns and rises, in seconds: a working day.
pub(super) const RETURN_HALF_S: f64 = 28_800.0;
/// A remembered level is served so much above the target: at 95 % of full use.
pub(super) const HEAT_RETURN: f64 = 0.35;
/// How fast the phase at which new data appear is learnt.
pub(super) const PHASE_RATE: f64 = 0.3;
/// Before anything is known of it, the phase is in the middle.
pub(super) const PHASE_UNKNOWN: f64 = 0.5;
/// Rises by less than this share say nothing about headroom.
pub(super) const RISE_LEAST: f64 = 0.1;
/// Weight of "no rises yet", in seconds.
pub(super) const RISE_PRIOR_S: f64 = 300.0;
/// Share of coverable rises up to which a poor account runs at [`HEAT_POOR`].
pub(super) const COVER_LOW: f64 = 0.4;
/// Share from which it runs at [`HEAT_COVER`].
pub(super) const COVER_HIGH: f64 = 0.8;

/// The usual mean: rates over a minute. Trends and rises are told by it.
pub(super) const WINDOW_S: f64 = 60.0;
/// The rest of a step is told from its beginning within a mean of at most this time: over a longer one the
/// beginning is too small a part of it.
pub(super) const WINDOW_MAX_S: f64 = 120.0;
/// How late such a mean is seen: one scrape.
pub(super) const DELAY_S: f64 = 15.0;
/// How long a new replica takes to serve.
pub(super) const STARTUP_S: f64 = 30.0;
/// The usual time between two decisions.
pub(super) const INTERVAL_S: f64 = 15.0;

/// A load over a whole number of replicas by less than this needs no more.
pub(super) const DUST: f64 = 1e-7;
/// Readings that are kept.
pub(super) const SAMPLES_MAX: usize = 26;
/// How long they are kept.
pub(super) const SAMPLES_KEPT: Duration = Duration::from_secs(300);
/// A pause between two readings that is longer counts as this long, in seconds: nothing is learnt from silence.
pub(super) const TICK_MAX_S: f64 = 60.0;
/// Levels of load that returns are counted for: [`LEVEL_FIRST`] times powers of [`LEVEL_RATIO`], up to 20,000.
pub(super) const LEVELS: usize = 77;
/// The lowest level, in loads.
pub(super) const LEVEL_FIRST: f64 = 0.5;
/// From level to level.
pub(super) const LEVEL_RATIO: f64 = 1.15;
/// Remembered returns that make a level believed.
pub(super) const PROOF: f64 = 1.0;
