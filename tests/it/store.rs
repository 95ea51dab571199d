//! The store against real files: what is recorded is read back, and whatever is done to the file, recording
//! goes on or says why not.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tidegate::model::{Moment, Region, ServiceId, SignalName, TargetId};
use tidegate::store::{
    Batch, Event, EventFilter, Health, Reader, Reading, Resolution, Retention, Sample, Store,
    StoreError,
};

/// A whole hour.
const START: Moment = Moment(1_800_000_000_000);
const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
/// The end of time, for those who want everything.
const END: Moment = Moment(i64::MAX);
/// Names the file in which a child of a test records until it is killed.
const CHILD_FILE: &str = "TIDEGATE_TEST_STORE";
/// A condition that is waited for this long does not come.
const PATIENCE: Duration = Duration::from_secs(30);

fn at(ms: i64) -> Moment {
    Moment(START.0 + ms)
}

fn web() -> TargetId {
    target("web")
}

fn target(service: &str) -> TargetId {
    TargetId {
        service: ServiceId::try_from(service).unwrap(),
        region: Region::try_from("fra").unwrap(),
    }
}

fn rps() -> SignalName {
    SignalName::try_from("rps").unwrap()
}

fn sample(target: &TargetId, ms: i64, reading: Reading) -> Sample {
    Sample { target: target.clone(), signal: rps(), at: at(ms), reading }
}

fn value(ms: i64, value: f64) -> Sample {
    sample(&web(), ms, Reading::Value(value))
}

fn samples(samples: Vec<Sample>) -> Batch {
    Batch { samples, ..Batch::default() }
}

fn state(json: &str) -> Batch {
    Batch { states: vec![(web(), Some(json.to_owned()))], ..Batch::default() }
}

async fn values(reader: &Reader) -> Vec<(i64, f64)> {
    let found = reader.samples(&web(), &rps(), Moment(0), END).await.unwrap();
    found.into_iter().map(|(when, value)| (when.0 - START.0, value)).collect()
}

async fn opened(file: &Path) -> Store {
    Store::open(file, Retention::default()).await
}

fn failing(store: &Store) -> String {
    match store.status().health {
        Health::Failing(error) => error,
        Health::Recording => panic!("the store is well"),
    }
}

async fn raw(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    options.connect().await.unwrap()
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deeper/state.db");
    (folder, file)
}

#[tokio::test]
async fn what_is_recorded_is_read_back_and_survives_a_restart() {
    let (_folder, file) = folder();
    let store = opened(&file).await;
    assert_eq!(store.status().health, Health::Recording);
    let event = |ms: i64, service: &str, kind: &str| Event {
        at: at(ms),
        target: target(service),
        kind: kind.to_owned(),
        json: format!("{{\"n\":{ms}}}"),
    };
    store.record(
        at(0),
        Batch {
            samples: vec![
                value(-5, 1.5),
                sample(&web(), 0, Reading::Absent),
                sample(&target("api"), 0, Reading::Value(7.0)),
                value(1, f64::NAN),
            ],
            events: vec![event(0, "web", "changed"), event(0, "api", "changed")],
            states: vec![(web(), Some("old".to_owned())), (target("api"), Some("a".to_owned()))],
            notes: vec![("k".to_owned(), Some("v".to_owned())), ("gone".to_owned(), None)],
        },
    );
    // The same stamp again is the same value, and the newest state is the one that counts.
    store.record(
        at(15),
        Batch {
            samples: vec![value(-5, 1.5), value(10, -2.25), value(12, 2.0)],
            events: vec![event(15, "web", "refused")],
            states: vec![(web(), Some("new".to_owned())), (target("api"), None)],
            notes: Vec::new(),
        },
    );
    store.flush().await.unwrap();
    assert_eq!(store.status().samples_written, 6);
    store.close().await;

    let store = reopened(&file).await;
    assert_eq!(store.status().generation, 0, "the database that was there");
    let reader = store.reader();
    assert_eq!(values(&reader).await, [(-5, 1.5), (10, -2.25), (12, 2.0)]);
    let part = store.samples(&web(), &rps(), at(-5), at(12)).await.unwrap();
    assert_eq!(part, [(at(-5), 1.5), (at(10), -2.25)]);
    let states: Vec<_> = store.states().await.unwrap().into_iter().collect();
    assert_eq!(states, [(web(), (at(15), "new".to_owned()))]);
    assert_eq!(reader.note("k").await.unwrap().as_deref(), Some("v"));
    assert_eq!(reader.note("gone").await.unwrap(), None);
    let all = EventFilter { from: Moment(0), to: END, target: None, kind: None, limit: 2 };
    let kinds = async |filter: EventFilter| -> Vec<(String, String)> {
        let found = store.events(&filter).await.unwrap();
        found.into_iter().map(|event| (event.target.to_string(), event.kind)).collect()
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let (changed, refused) = (pair("web/fra", "changed"), pair("web/fra", "refused"));
    assert_eq!(kinds(all.clone()).await, [pair("api/fra", "changed"), refused.clone()]);
    let of_web = EventFilter { target: Some(web()), ..all.clone() };
    assert_eq!(kinds(of_web.clone()).await, [changed.clone(), refused]);
    let changed = [changed];
    assert_eq!(kinds(EventFilter { to: at(15), ..of_web.clone() }).await, changed);
    let of_kind = EventFilter { kind: Some("changed".to_owned()), ..of_web };
    assert_eq!(kinds(of_kind).await, changed);
}

/// Opens a file whose store was closed a moment ago and may not have let it go yet.
async fn reopened(file: &Path) -> Store {
    let store = opened(file).await;
    let begun = Instant::now();
    while store.flush().await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "{}", failing(&store));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    store
}

/// Four days at three values a minute, with short retentions: each range is answered by the finest resolution
/// that still has all of it, and no value is counted twice or lost on the way.
#[tokio::test]
async fn old_signals_become_minutes_then_hours_then_nothing() {
    let (_folder, file) = folder();
    let hours = |n: u64| Duration::from_secs(n * 3_600);
    let kept =
        Retention { raw: hours(3), minutes: hours(24), hours: hours(72), ..Retention::default() };
    let events = Retention { events: hours(10), ..kept };
    let store = Store::open(&file, events).await;
    let step = 20 * SECOND;
    let load = |ms: i64| (ms / step % 7) as f64;
    let last_hour = 96;
    for hour in 0..last_hour {
        let batch = (0..HOUR / step).map(|n| hour * HOUR + n * step).map(|ms| value(ms, load(ms)));
        let event =
            Event { at: at(hour * HOUR), target: web(), kind: "k".to_owned(), json: String::new() };
        store.record(
            at((hour + 1) * HOUR),
            Batch { events: vec![event], ..samples(batch.collect()) },
        );
        store.flush().await.unwrap();
    }
    let end = last_hour * HOUR;
    let read = async |from_hour: i64| {
        store.reader().series(&web(), &rps(), at(from_hour * HOUR), END).await.unwrap()
    };

    let two_hours = read(last_hour - 2).await;
    assert_eq!(two_hours.resolution, Resolution::Raw);
    let expected: Vec<(i64, f64)> =
        (end - 2 * HOUR..end).step_by(step as usize).map(|ms| (ms, load(ms))).collect();
    let found: Vec<(i64, f64)> =
        two_hours.points.iter().map(|point| (point.at.0 - START.0, point.mean)).collect();
    assert_eq!(found, expected);

    let half_a_day = read(last_hour - 12).await;
    assert_eq!(half_a_day.resolution, Resolution::Minute);
    assert_eq!(half_a_day.points.len(), 12 * 60, "also of the hours that are not rolled up");
    for point in &half_a_day.points {
        let from = point.at.0 - START.0;
        let made_of = [load(from), load(from + step), load(from + 2 * step)];
        assert_eq!((point.count, point.last), (3, made_of[2]));
        assert_eq!(point.max, made_of.iter().copied().fold(0.0, f64::max));
        assert_eq!(point.min, made_of.iter().copied().fold(9.0, f64::min));
        assert!((point.mean - made_of.iter().sum::<f64>() / 3.0).abs() < 1e-5, "{point:?}");
    }

    let two_days = read(last_hour - 48).await;
    assert_eq!(two_days.resolution, Resolution::Hour);
    assert_eq!(two_days.points.len(), 48);
    assert!(two_days.points.iter().all(|point| point.count == 180 && point.max == 6.0));

    // Hours are deleted by the day, so up to one day more than 72 hours is kept.
    let all = store.reader().series(&web(), &rps(), Moment(0), END).await.unwrap();
    assert!((72..96).contains(&all.points.len()), "{}", all.points.len());
    let filter = EventFilter { from: Moment(0), to: END, target: None, kind: None, limit: 100 };
    assert_eq!(store.events(&filter).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_late_value_is_added_to_an_hour_that_is_rolled_up() {
    let (_folder, file) = folder();
    let store = opened(&file).await;
    store.record(at(2 * HOUR), samples(vec![value(1_000, 1.0), value(3_000, 3.0)]));
    for tick in 0..5 {
        store.record(at(2 * HOUR + tick), Batch::default());
        store.flush().await.unwrap();
    }
    let mut connection = raw(&file).await;
    let fresh: i64 = sqlx::query_scalar("SELECT count(*) FROM block WHERE level = 0")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(fresh, 0, "the hour is rolled up");
    // With one that was recorded before.
    store.record(at(2 * HOUR), samples(vec![value(2_000, 8.0), value(1_000, 1.0)]));
    store.flush().await.unwrap();
    assert_eq!(values(&store.reader()).await, [(1_000, 1.0), (2_000, 8.0), (3_000, 3.0)]);
    // Also in what is left when the values themselves are gone.
    for tick in 0..10 {
        store.record(at(100 * HOUR + tick), Batch::default());
        store.flush().await.unwrap();
    }
    let series = store.reader().series(&web(), &rps(), Moment(0), END).await.unwrap();
    assert_eq!(series.resolution, Resolution::Minute);
    let [minute] = series.points.as_slice() else { panic!("{series:?}") };
    assert_eq!((minute.count, minute.mean, minute.max, minute.last), (3, 4.0, 8.0, 3.0));
    // What is older than all that is kept is refused, as is what is from the future.
    store.record(at(100 * HOUR), samples(vec![value(4_000, 1.0), value(103 * HOUR, 1.0)]));
    store.flush().await.unwrap();
    assert_eq!(store.status().samples_untimely, 2);
}

/// A clock that is wrong for a moment, or was set: nothing is deleted by it.
#[tokio::test]
async fn a_clock_that_jumps_deletes_nothing() {
    let (_folder, file) = folder();
    let store = opened(&file).await;
    let tick = async |ms: i64, batch: Batch| {
        store.record(at(ms), batch);
        store.flush().await.unwrap();
    };
    for n in 0..10 {
        tick(n, samples(vec![value(n, n as f64)])).await;
    }
    for n in 10..20 {
        tick(50_000 * HOUR, Batch::default()).await;
        tick(n, samples(vec![value(n, n as f64)])).await;
    }
    assert_eq!(values(&store.reader()).await.len(), 20);
    // It did not merely stop to delete.
    for _ in 0..10 {
        tick(50_000 * HOUR, Batch::default()).await;
    }
    assert_eq!(values(&store.reader()).await, []);
}

/// Records without end when it is started as a child; as a test, kills such children and reads what they left.
#[tokio::test]
async fn a_killed_writer_leaves_everything_that_it_said_it_wrote() {
    if let Some(file) = std::env::var_os(CHILD_FILE) {
        return record_until_killed(Path::new(&file)).await;
    }
    let (folder, file) = folder();
    let mut flushed = 0;
    for round in 1..=4 {
        let mut child = start_child(&file);
        let begun = Instant::now();
        while marked(&file) < flushed + 5 * round {
            assert!(begun.elapsed() < PATIENCE, "the child records nothing");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        flushed = marked(&file);

        let reader = Reader::new(&file);
        let found = values(&reader).await;
        assert!(found.len() as i64 >= flushed, "{} of {flushed}", found.len());
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(n, (ms, value))| { *ms == n as i64 * SECOND && *value == n as f64 })
        );
        let mut connection = raw(&file).await;
        let verdict: String =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
        assert_eq!(verdict, "ok");
    }
    assert!(!folder.path().join("deeper/state.db.damaged").exists());
}

fn start_child(file: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::a_killed_writer_leaves_everything_that_it_said_it_wrote"])
        .env(CHILD_FILE, file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn marked(file: &Path) -> i64 {
    let text = std::fs::read_to_string(file.with_extension("mark")).unwrap_or_default();
    text.parse().unwrap_or(0)
}

async fn record_until_killed(file: &Path) {
    let store = opened(file).await;
    let mut next = values(&store.reader()).await.len() as i64;
    loop {
        store.record(at(next * SECOND), samples(vec![value(next * SECOND, next as f64)]));
        store.flush().await.unwrap();
        next += 1;
        let mark = file.with_extension("mark");
        std::fs::write(mark.with_extension("new"), next.to_string()).unwrap();
        std::fs::rename(mark.with_extension("new"), mark).unwrap();
    }
}

/// A file that may not grow stands for a disk that is full. A child, because the limit is that of a process.
#[tokio::test]
async fn on_a_full_disk_it_goes_on_and_writes_what_waited_once_there_is_room() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let name = "store::on_a_full_disk_it_goes_on_and_writes_what_waited_once_there_is_room";
    let Some(file) = std::env::var_os(CHILD_FILE) else {
        let (_folder, file) = folder();
        // Without the trap, the kernel would end the child for its first write over the limit.
        let done = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\" --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .arg(name)
            .env(CHILD_FILE, &file)
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && shown.contains("1 passed"), "{shown}");
        return;
    };
    let file = Path::new(&file);
    let store = opened(file).await;
    assert_eq!(store.status().health, Health::Recording);
    let unlimited = getrlimit(Resource::Fsize);
    let limit = rustix::process::Rlimit { current: Some(256 << 10), ..unlimited };
    setrlimit(Resource::Fsize, limit).unwrap();
    let mut recorded = 0;
    let error = loop {
        let batch = (recorded..recorded + 500).map(|n| value(n * 10, (n as f64).sin()));
        store.record(at(recorded * 10), samples(batch.collect()));
        recorded += 500;
        if let Err(error) = store.flush().await {
            break error.to_string();
        }
        assert!(recorded < 100_000, "the limit is never met");
    };
    assert!(error.contains("full") || error.contains("disk I/O error"), "{error}");
    assert!(failing(&store).contains("it is tried again"));
    setrlimit(Resource::Fsize, unlimited).unwrap();
    store.flush().await.unwrap();
    assert_eq!(values(&store.reader()).await.len() as i64, recorded);
    assert_eq!(store.status().samples_dropped, 0);
    assert!(!file.with_extension("db.damaged").exists());
}

#[tokio::test]
async fn a_database_that_is_deleted_in_use_is_made_again() {
    let (_folder, file) = folder();
    let store = opened(&file).await;
    store.record(at(0), samples(vec![value(0, 1.0)]));
    store.flush().await.unwrap();
    for round in 1..3 {
        let before = store.status().generation;
        if round == 1 {
            std::fs::remove_file(&file).unwrap();
        } else {
            std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
        }
        store.record(at(round * SECOND), samples(vec![value(round * SECOND, 2.0)]));
        store.record(at(round * SECOND), state("kept"));
        store.flush().await.unwrap();
        assert_eq!(store.status().health, Health::Recording);
        assert_eq!(store.status().generation, before + 1, "whoever records changes must know");
        assert_eq!(values(&store.reader()).await, [(round * SECOND, 2.0)]);
        assert_eq!(store.states().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_moved_aside() {
    let (_folder, file) = folder();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let garbage = "not a database ".repeat(1_000);
    std::fs::write(&file, &garbage).unwrap();
    std::fs::write(file.with_extension("db-wal"), &garbage).unwrap();
    let store = opened(&file).await;
    assert_eq!(store.status().health, Health::Recording);
    store.record(at(0), samples(vec![value(0, 1.0)]));
    store.flush().await.unwrap();
    assert_eq!(values(&store.reader()).await, [(0, 1.0)]);
    let aside = file.with_extension("db.damaged");
    assert_eq!(std::fs::read_to_string(aside).unwrap(), garbage);
}

/// Damage that shows only when the damaged pages are used.
#[tokio::test]
async fn a_database_that_is_found_damaged_later_is_moved_aside_as_well() {
    let (_folder, file) = folder();
    let store = opened(&file).await;
    for n in 0..200 {
        let many = (0..40).map(|k| {
            let target = target(&format!("web-{k}"));
            sample(&target, n * SECOND, Reading::Value(f64::from(k).sin()))
        });
        store.record(at(n * SECOND), samples(many.collect()));
        store.flush().await.unwrap();
    }
    store.close().await;
    let store = reopened(&file).await;
    drop(store);
    let store = reopened(&file).await;
    drop(store);
    // Everything but the header and the list of tables.
    let mut bytes = std::fs::read(&file).unwrap();
    assert!(bytes.len() > 20 * 4096, "{}", bytes.len());
    bytes[4 * 4096..].fill(0xaa);
    std::fs::write(&file, &bytes).unwrap();
    let _ = std::fs::remove_file(file.with_extension("db-wal"));

    let store = opened(&file).await;
    let begun = Instant::now();
    loop {
        store.record(at(2 * HOUR), samples(vec![value(2 * HOUR, 5.0)]));
        let flushed = store.flush().await;
        let aside = file.with_extension("db.damaged").exists();
        if flushed.is_ok() && aside {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{flushed:?}, moved aside: {aside}");
    }
    assert_eq!(values(&store.reader()).await, [(2 * HOUR, 5.0)]);
}

/// A place that cannot be written to, also for root: below a file.
#[tokio::test]
async fn without_a_place_to_write_it_says_so_keeps_the_newest_and_tries_again() {
    let (folder, file) = folder();
    let parent = folder.path().join("deeper");
    std::fs::write(&parent, "in the way").unwrap();
    let store = opened(&file).await;
    let message = failing(&store).replace(&file.display().to_string(), "FILE");
    insta::assert_snapshot!(message, @"use the store `FILE`: File exists (os error 17); check that its folder exists, is writable and is not full");
    let error = store.states().await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");

    // More than may wait: the oldest go.
    let many = 120_000 + 500;
    let all = (0..many).map(|n| value(n, n as f64)).collect();
    store.record(at(many), samples(all));
    store.record(at(many), state("newest"));
    assert!(matches!(store.flush().await, Err(StoreError::Flush { .. })));
    assert_eq!(store.status().samples_dropped, 500);

    std::fs::remove_file(&parent).unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.status().health, Health::Recording);
    let found = values(&store.reader()).await;
    assert_eq!((found.len(), found[0]), (120_000, (500, 500.0)));
    assert_eq!(store.states().await.unwrap()[&web()], (at(many), "newest".to_owned()));
}

#[tokio::test]
async fn a_second_writer_is_told_may_read_and_takes_over() {
    let (_folder, file) = folder();
    let first = opened(&file).await;
    first.record(at(0), samples(vec![value(0, 1.0)]));
    first.flush().await.unwrap();
    let second = opened(&file).await;
    let message = failing(&second).replace(&file.display().to_string(), "FILE");
    insta::assert_snapshot!(message, @"open the store `FILE`: another Tidegate records into it; stop it, or give this one a `store.url` of its own");
    assert_eq!(values(&second.reader()).await, [(0, 1.0)]);
    second.record(at(SECOND), samples(vec![value(SECOND, 2.0)]));
    drop(first);
    let begun = Instant::now();
    while second.flush().await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "{}", failing(&second));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(values(&second.reader()).await, [(0, 1.0), (SECOND, 2.0)]);
}

#[tokio::test]
async fn while_another_program_holds_the_lock_it_waits_and_loses_nothing() {
    let (_folder, file) = folder();
    let store = opened(&file).await;
    store.flush().await.unwrap();
    let mut other = raw(&file).await;
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    store.record(at(0), samples(vec![value(0, 1.0)]));
    let error = store.flush().await.unwrap_err();
    assert!(error.to_string().contains("database is locked"), "{error}");
    assert!(failing(&store).contains("locked"));
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(values(&store.reader()).await, [(0, 1.0)]);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_kept_beside_the_new_one() {
    let (_folder, file) = folder();
    let store = opened(&file).await;
    store.record(at(0), state("of the future"));
    store.flush().await.unwrap();
    drop(store);
    drop(reopened(&file).await);
    let mut connection = raw(&file).await;
    sqlx::query("PRAGMA user_version = 7").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let error = Reader::new(&file).states().await.unwrap_err().to_string();
    insta::assert_snapshot!(error.replace(&file.display().to_string(), "FILE"), @"open the store `FILE`: a newer Tidegate made it (version 7, this one knows 1); use that version");
    let store = reopened(&file).await;
    assert_eq!(store.states().await.unwrap().len(), 0);
    let mut aside = raw(&file.with_extension("db.v7")).await;
    let json: String =
        sqlx::query_scalar("SELECT json FROM state").fetch_one(&mut aside).await.unwrap();
    assert_eq!(json, "of the future");
}

#[tokio::test]
async fn a_database_of_another_program_is_left_alone() {
    let (_folder, file) = folder();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut connection = raw(&file).await;
    sqlx::query("CREATE TABLE invoice (id)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let before = std::fs::read(&file).unwrap();
    let store = opened(&file).await;
    store.record(at(0), state("x"));
    assert!(store.flush().await.is_err());
    let message = failing(&store).replace(&file.display().to_string(), "FILE");
    insta::assert_snapshot!(message, @"open the store `FILE`: it is a database of another program; give `store.url` a file of its own");
    assert!(before == std::fs::read(&file).unwrap(), "the file was changed");
}

#[tokio::test]
async fn at_its_size_limit_the_oldest_values_go_before_their_time() {
    let (_folder, file) = folder();
    let bytes_max = 1 << 20;
    let store = Store::open(&file, Retention { bytes_max, ..Retention::default() }).await;
    for hour in 0..40 {
        let batch = (0..64 * 60).map(|n| {
            let target = target(&format!("web-{}", n % 64));
            let ms = hour * HOUR + n / 64 * 60 * SECOND;
            sample(&target, ms, Reading::Value((ms as f64).sin()))
        });
        store.record(at((hour + 1) * HOUR), samples(batch.collect()));
        store.flush().await.unwrap();
    }
    for _ in 0..5 {
        store.record(at(41 * HOUR), Batch::default());
        store.flush().await.unwrap();
    }
    let mut connection = raw(&file).await;
    let used: i64 = sqlx::query_scalar(
        "SELECT (p.page_count - f.freelist_count) * 4096 FROM pragma_page_count() p, pragma_freelist_count() f",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert!(used <= bytes_max as i64, "{used}");
    let signal = rps();
    let all = store.reader().series(&target("web-9"), &signal, Moment(0), END).await.unwrap();
    assert_eq!(all.resolution, Resolution::Hour);
    assert_eq!(all.points.len(), 40, "the hours are small and have had the least of their time");
    let newest =
        store.reader().series(&target("web-9"), &signal, at(39 * HOUR), END).await.unwrap();
    assert_eq!((newest.resolution, newest.points.len()), (Resolution::Raw, 60));
}

/// Targets come and go; what is known of those that went ends with their last recorded hour.
#[tokio::test]
async fn series_of_which_nothing_is_left_are_forgotten() {
    let (_folder, file) = folder();
    let store = opened(&file).await;
    let at_once = |ms: i64| {
        let targets = (0..1_100).map(|n| target(&format!("web-{n}")));
        samples(targets.map(|target| sample(&target, ms, Reading::Value(1.0))).collect())
    };
    store.record(at(0), at_once(0));
    store.flush().await.unwrap();
    let later = 500 * 24 * HOUR;
    for tick in later..later + 10 {
        store.record(at(tick), Batch::default());
        store.flush().await.unwrap();
    }
    let mut connection = raw(&file).await;
    let known: i64 =
        sqlx::query_scalar("SELECT count(*) FROM series").fetch_one(&mut connection).await.unwrap();
    assert_eq!(known, 1_100 - 1_024, "the last group may still be filled");
    store.record(at(later), at_once(later));
    store.flush().await.unwrap();
    for name in ["web-0", "web-1023", "web-1024", "web-1099"] {
        let found = store.samples(&target(name), &rps(), Moment(0), END).await.unwrap();
        assert_eq!(found, [(at(later), 1.0)], "{name}");
    }
}
