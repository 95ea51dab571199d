//! What recording costs: processor time, bytes on the disk and bytes per sample, and what reading back takes.
//! Three signals for each target, every 15 seconds, as fast as they can be written.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};
use tidegate::model::{Moment, Region, ServiceId, SignalName, TargetId};
use tidegate::store::{Batch, Reading, Retention, Sample, Store};

use super::measure::{self, Runs};

/// A whole hour.
const START_MS: i64 = 1_800_000_000_000;
/// Time between two samples of a signal.
const EVERY_MS: i64 = 15_000;
/// Signals of a target: a rate with all its digits, a whole number that moves by jumps, and a share in percent.
const SIGNALS: [&str; 3] = ["rps", "backlog", "cpu"];
/// Series that are read back.
const READ: usize = 20;

/// Records some hours of a fleet, and reads some of it.
pub(super) async fn recording(targets: usize, hours: i64) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.db");
    let store = Store::open(&file, Retention::default()).await;
    let region = Region::try_from("fra").unwrap();
    let targets: Vec<TargetId> = (0..targets)
        .map(|n| ServiceId::try_from(format!("service-{n}")).unwrap())
        .map(|service| TargetId { service, region: region.clone() })
        .collect();
    let signals = SIGNALS.map(|name| SignalName::try_from(name).unwrap());
    let mut random = fastrand::Rng::with_seed(7);
    let ticks = hours * 3_600_000 / EVERY_MS;
    let written_before = written_bytes();
    let mut runs = Runs::default();
    for tick in 1..=ticks {
        let now = START_MS + tick * EVERY_MS;
        let mut samples = Vec::with_capacity(targets.len() * signals.len());
        for (n, target) in targets.iter().enumerate() {
            let wave = (tick as f64 / 200.0 + n as f64).sin() + 1.5;
            let values = [
                wave * 70.0 * random.f64(),
                if random.u8(..4) == 0 { (wave * 10.0).floor() } else { 12.0 },
                (wave * 3_000.0 * random.f64()).round() / 100.0,
            ];
            samples.extend(signals.iter().zip(values).map(|(signal, value)| Sample {
                target: target.clone(),
                signal: signal.clone(),
                at: Moment(now - random.i64(0..2_000)),
                reading: Reading::Value(value),
            }));
        }
        runs.measure(async {
            store.record(Moment(now), Batch { samples, ..Batch::default() });
            store.flush().await.unwrap();
        })
        .await;
    }
    let written = written_bytes() - written_before;
    let memory = measure::memory();
    let samples = store.status().samples_written;
    assert_eq!(samples, ticks as u64 * (targets.len() * signals.len()) as u64);

    let reader = store.reader();
    let began = Instant::now();
    for target in targets.iter().cycle().take(READ) {
        let found = reader.samples(target, &signals[0], Moment(0), Moment(i64::MAX)).await.unwrap();
        assert_eq!(found.len() as i64, ticks);
    }
    let read_ms = began.elapsed().as_secs_f64() * 1_000.0 / READ as f64;
    json!({
        "targets": targets.len(),
        "samples": samples,
        "one_tick": runs.summary(),
        "memory": memory,
        "levels": levels(&file).await,
        "disk_bytes_per_sample": written as f64 / samples as f64,
        "read_one_series_ms": read_ms,
    })
}

/// Bytes of the blocks of each level.
async fn levels(file: &Path) -> Vec<Value> {
    let mut connection =
        SqliteConnectOptions::new().filename(file).read_only(true).connect().await.unwrap();
    let rows = sqlx::query(
        "SELECT level, count(*), sum(length(body)), count(DISTINCT start) FROM block GROUP BY level",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let number = |row: &sqlx::sqlite::SqliteRow, at: usize| row.get::<i64, _>(at);
    rows.iter()
        .map(|row| {
            json!({"level": number(row, 0), "blocks": number(row, 1), "bytes": number(row, 2), "starts": number(row, 3)})
        })
        .collect()
}

/// Bytes that this process has sent to the disk.
fn written_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = text.lines().find(|line| line.starts_with("write_bytes:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
