//! What happens in the demo, and the observations that make it true.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::super::context;
use super::stage::Stage;
use crate::apply::{Clock as _, StopSign, SystemClock};
use crate::model::{Phase, Replica};
use crate::plan::render;
use crate::record::StatusFile;

/// The longest that one step may take before the demo says that it failed.
const STEP_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest that a replica may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Shows the beginning, says what to try, and goes on until stopped.
pub(super) async fn by_hand(stage: &Stage, time: &Timeline, stop: &StopSign) -> anyhow::Result<()> {
    first(stage, time, stop).await?;
    println!(
        "\nThe controller is running. Try, in another terminal:\n\n  \
         cd {clone}\n  \
         sed -i 's/desired: 2/desired: 4/' controller/spec.yaml\n  \
         git commit -am 'More replicas' && git push\n\n\
         and watch it from there:\n\n  \
         {exe} status --config {config}\n  \
         git -C {origin} log tidegate/status\n\n\
         An invalid commit is refused and harms nothing; kill -9 of a replica is made good.\n\
         Ctrl-C ends the demo and stops its replicas.\n",
        exe = context::exe()?.display(),
        clone = stage.clone.display(),
        config = stage.config.display(),
        origin = stage.origin.display(),
    );
    let mut shown = replicas_line(&stage.replicas().await);
    while !stop.is_raised() {
        tokio::select! {
            () = SystemClock.sleep(LOOK_EVERY * 5) => {}
            () = stop.raised() => break,
        }
        let now = replicas_line(&stage.replicas().await);
        if now != shown {
            time.say(&now);
            shown = now;
        }
    }
    Ok(())
}

/// Plays every step and believes only what it sees.
pub(super) async fn once(stage: &Stage, time: &Timeline, stop: &StopSign) -> anyhow::Result<()> {
    let two = first(stage, time, stop).await?;

    let spec = stage.spec()?;
    let more = spec.replace("desired: 2", "desired: 4");
    ensure!(more != spec, "the quickstart's spec has no `desired: 2` to change");
    time.say("commit: desired 2 → 4");
    stage.push(&more, "Scale web to four")?;
    let four = wait_ready(stage, 4, stop).await?;
    ensure!(keeps(&four, &two), "the two replicas that served were not kept while scaling out");
    answers(&four).await?;
    time.say("4 replicas answer, the first two untouched");

    time.say("commit: desired 9 over max 6, which is invalid");
    let bad = stage.push(&more.replace("desired: 4", "desired: 9"), "Scale web to nine")?;
    let status = wait_status(stage, stop, |status| {
        status.refused.as_ref().and_then(|refused| refused.commit.as_ref()).map(|c| c.as_str())
            == Some(&bad)
    })
    .await
    .context("see the invalid commit refused on the status branch")?;
    for finding in status.refused.iter().flat_map(|refused| &refused.findings) {
        time.say(&format!("refused: {}", render::harmless(finding)));
    }
    let after = stage.replicas().await;
    ensure!(keeps(&after, &four) && after.len() == 4, "the refused commit changed the replicas");
    answers(&after).await?;
    time.say("the same 4 replicas answer");

    time.say("commit: desired 1");
    stage.push(&more.replace("desired: 4", "desired: 1"), "Scale web in to one")?;
    let one = wait_ready(stage, 1, stop).await?;
    ensure!(keeps(&four, &one), "the replica left is not one of those that served");
    answers(&one).await?;
    time.say("1 replica answers, 3 drained and gone");

    let status = wait_status(stage, stop, |status| {
        status.refused.is_none()
            && status.applied_commit.as_ref() == Some(&status.spec_commit)
            && status.targets.iter().all(|target| target.recorded == 1)
    })
    .await
    .context("see the scale-in on the status branch")?;
    chain(stage, &status)?;
    println!("\nThe status branch's log:");
    for subject in stage.status_log()? {
        println!("  {subject}");
    }
    println!("\nEvery step was observed.");
    Ok(())
}

/// The plan that the controller will find.
pub(super) async fn first_plan(stage: &Stage, time: &Timeline) -> anyhow::Result<()> {
    time.say(&format!("a spec repository at {}", stage.origin.display()));
    let mut looker = stage.looker().await?;
    looker.poll().await?;
    let planned = looker.plan().await?;
    println!("\n{}", render::text(&planned.plan, context::wants_colour()));
    Ok(())
}

/// The first apply.
async fn first(stage: &Stage, time: &Timeline, stop: &StopSign) -> anyhow::Result<Vec<Replica>> {
    let two = wait_ready(stage, 2, stop).await?;
    answers(&two).await?;
    time.say(&replicas_line(&two));
    Ok(two)
}

/// Waits until exactly this many replicas exist and all are ready.
async fn wait_ready(stage: &Stage, count: usize, stop: &StopSign) -> anyhow::Result<Vec<Replica>> {
    let begun = Instant::now();
    loop {
        let replicas = stage.replicas().await;
        if replicas.len() == count && replicas.iter().all(|r| r.phase == Phase::Ready) {
            return Ok(replicas);
        }
        if begun.elapsed() > STEP_MAX {
            bail!(
                "after {STEP_MAX:?} there should be {count} ready replicas; there are: {}",
                replicas_line(&replicas)
            );
        }
        pause(stop).await?;
    }
}

/// Waits until the status branch says so.
async fn wait_status(
    stage: &Stage,
    stop: &StopSign,
    is_so: impl Fn(&StatusFile) -> bool,
) -> anyhow::Result<StatusFile> {
    let begun = Instant::now();
    loop {
        if let Some(text) = stage.status_file(crate::record::STATUS_PATH)? {
            let status: StatusFile = serde_yaml::from_str(&text).context("read the status file")?;
            if is_so(&status) {
                return Ok(status);
            }
            if begun.elapsed() > STEP_MAX {
                bail!("the status branch does not say so after {STEP_MAX:?}:\n{text}");
            }
        } else if begun.elapsed() > STEP_MAX {
            bail!("there is no status branch after {STEP_MAX:?}");
        }
        pause(stop).await?;
    }
}

async fn pause(stop: &StopSign) -> anyhow::Result<()> {
    tokio::select! {
        () = SystemClock.sleep(LOOK_EVERY) => Ok(()),
        () = stop.raised() => bail!("interrupted"),
    }
}

/// Whether every replica of `few` is among `many`, in the same run.
fn keeps(many: &[Replica], few: &[Replica]) -> bool {
    few.iter().all(|one| many.iter().any(|r| r.key == one.key && r.instance == one.instance))
}

/// Asks every replica over HTTP.
async fn answers(replicas: &[Replica]) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(ANSWER_MAX).no_proxy().build()?;
    for replica in replicas {
        let address = replica.address.as_deref().context("a replica has no address")?;
        let url = format!("http://{address}/");
        let response = client.get(&url).send().await.with_context(|| format!("ask {url}"))?;
        ensure!(response.status().is_success(), "{url} answered {}", response.status());
    }
    Ok(())
}

/// The history must be a chain that ends at the count on record.
fn chain(stage: &Stage, status: &StatusFile) -> anyhow::Result<()> {
    let today = crate::record::history_stem(SystemClock.now());
    let history = stage.status_file(&format!("{today}.jsonl"))?.unwrap_or_default();
    let mut count = 0;
    for line in history.lines() {
        let line: crate::record::HistoryLine = serde_json::from_str(line)?;
        ensure!(line.from == count, "the history is not a chain: {} after {count}", line.from);
        count = line.to;
    }
    let recorded = status.targets.first().map_or(0, |target| target.recorded);
    ensure!(count == recorded, "the history ends at {count}, the status says {recorded}");
    Ok(())
}

fn replicas_line(replicas: &[Replica]) -> String {
    let each: Vec<String> = replicas
        .iter()
        .map(|replica| {
            let address = replica.address.as_deref().unwrap_or("no address");
            format!("{} {} http://{address}", replica.key, replica.phase.word())
        })
        .collect();
    if each.is_empty() { "no replicas".to_owned() } else { each.join(", ") }
}

/// What happened when, counted from the beginning.
pub(super) struct Timeline {
    begun: Instant,
}

impl Timeline {
    pub(super) fn begin() -> Self {
        Self { begun: Instant::now() }
    }

    fn say(&self, what: &str) {
        println!("{:>6.1}s  {what}", self.begun.elapsed().as_secs_f64());
    }
}
