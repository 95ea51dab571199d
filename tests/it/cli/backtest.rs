//! `tidegate backtest`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tidegate::model::{Moment, Region, ServiceId, SignalName, TargetId};
use tidegate::store::{Batch, Reading, Retention, Sample, Store};

use super::{said, snapshot};
use crate::support::controller::{Ran, run, tidegate};
use crate::support::prometheus::Prometheus;
use crate::support::web_server::{Reply, WebServer};

/// A day that begins and ends calm: a row a minute, stamped with the minute's end.
fn day() -> String {
    let rate = |minute: u32| match minute {
        0..360 => 40.0,
        360..720 => 40.0 + f64::from(minute - 360),
        720..780 => 700.0,
        780..1140 => 400.0 - f64::from(minute - 780),
        _ => 40.0,
    };
    let rows = (0..1440_u32)
        .map(|minute| format!("{},{}\n", 1_700_006_400 + 60 * (minute + 1), rate(minute)));
    format!("# a day\nepoch_utc,requests\n{}", rows.collect::<String>())
}

/// A spec of one service; `more` goes into its scale, and `policy` is the policy.
fn spec(max: u32, more: &str, policy: &str) -> String {
    format!(
        "services:
  - id: web
    scale: {{{more}policy: http, regions: [{{name: iad, min: 1, desired: 2, max: {max}}}]}}
    template: {{image: registry.example.com/web:1}}
policies:
  - name: http
{policy}"
    )
}

const METRICS: &str = "autoscale: metrics, ";
const PROPORTIONAL: &str = "    signals: {rps: {source: prom, query: rate, maxAge: 2m}}
    targets: [{signal: rps, perReplica: 35}]
";
/// Steps of one replica, each after a while: what people write at first.
const STEPS: &str = "    signals: {rps: {source: prom, query: rate, maxAge: 2m}}
    rules:
      - {name: more, when: {signal: rps, above: 100, for: 10m}, scaleBy: 1}
      - {name: less, when: {signal: rps, below: 60, for: 10m}, scaleBy: -1}
";

struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { dir: tempfile::tempdir().unwrap() };
        desk.write("day.csv", &day());
        desk.write("old.yaml", &spec(20, METRICS, STEPS));
        desk.write("new.yaml", &spec(20, METRICS, PROPORTIONAL));
        desk
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn backtest(&self, args: &[&str]) -> Ran {
        let always = ["backtest", "--service", "web", "--capacity", "50"];
        run(tidegate(self.path()).args(always).args(args))
    }

    /// The same with the recording of the day.
    fn on_the_day(&self, args: &[&str]) -> Ran {
        self.backtest(&[&["--signal", "rps=day.csv"], args].concat())
    }

    fn snapshot(&self, name: &str, ran: &Ran) {
        snapshot(&format!("backtest_{name}"), self.path(), &said(ran));
    }
}

#[test]
fn a_better_policy_is_seen_to_be_better() {
    let desk = Desk::new();
    let both = ["--spec", "new.yaml", "--compare", "old.yaml", "--price", "0.05"];
    desk.snapshot("text", &desk.on_the_day(&both).code(0));
    desk.snapshot("markdown", &desk.on_the_day(&[&both[..], &["-o", "markdown"]].concat()).code(0));
    let json = desk.on_the_day(&[&both[..], &["-o", "json"]].concat()).code(0);
    desk.snapshot("json", &json);

    let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let figure = |at: usize, name: &str| document["results"][at][name].as_f64().unwrap();
    assert!(figure(0, "underProvisionedPercent") > 4.0);
    assert!(figure(1, "underProvisionedPercent") < 0.5);
    let schema = desk.read_schema();
    assert!(jsonschema::is_valid(&schema, &document), "{document:#}");
}

impl Desk {
    fn read_schema(&self) -> serde_json::Value {
        let schema = run(tidegate(self.path()).args(["schema", "backtest"])).code(0);
        serde_json::from_str(&schema.stdout).unwrap()
    }
}

#[test]
fn replicas_and_chart_are_written_the_same_every_time() {
    let desk = Desk::new();
    let write = |csv: &str, svg: &str| {
        let args = ["--spec", "new.yaml", "--replicas-out", csv, "--chart", svg];
        desk.on_the_day(&args).code(0);
        (desk.read(csv), desk.read(svg))
    };
    let (csv, svg) = write("a.csv", "a.svg");
    assert_eq!((&csv, &svg), (&write("b.csv", "b.svg").0, &desk.read("b.svg")));

    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("epoch_seconds,wanted"));
    // It begins with the load, at what the spec rests at.
    assert_eq!(lines.next(), Some("1700006400,2"));
    let rows: Vec<(i64, u32)> = csv
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap())
        .map(|(at, count)| (at.parse().unwrap(), count.parse().unwrap()))
        .collect();
    assert!(rows.len() > 10, "{csv}");
    for pair in rows.windows(2) {
        assert!(pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1, "{pair:?}");
    }
    assert!(
        rows.iter().all(|(at, count)| (at - 1_700_006_400) % 15 == 0 && (1..=20).contains(count))
    );
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
    for word in ["web/iad", "needed for the load", "wanted", "serving", "bounds"] {
        assert!(svg.contains(word), "the chart does not say `{word}`");
    }
}

#[test]
fn what_a_reader_should_know_is_noted() {
    let desk = Desk::new();
    let signals = "    signals:
      rps: {source: prom, query: rate, maxAge: 2m}
      cpu: {source: provider, metric: cpuPercent, onMissing: ignore}
    targets: [{signal: rps, perReplica: 35}, {signal: cpu, average: 70}]
";
    let lost: String = day()
        .lines()
        .filter(|line| !line.starts_with("1700044"))
        .flat_map(|line| [line, "\n"])
        .collect();
    desk.write("lost.csv", &lost);
    desk.write("manual.yaml", &spec(20, "maxHourlyCost: 0.5, ", signals));
    let bare = spec(20, "", PROPORTIONAL).replace("policy: http, ", "");
    desk.write("none.yaml", &bare);
    let args = [
        "--spec",
        "manual.yaml",
        "--signal",
        "rps=lost.csv",
        "--signal",
        "cpu=none",
        "--signal",
        "cup=day.csv",
        "--load",
        "rps",
        "--compare",
        "none.yaml",
    ];
    desk.snapshot("notes", &desk.backtest(&args).code(0));
}

#[test]
fn a_cost_cap_binds_and_prices_come_from_the_configuration() {
    let desk = Desk::new();
    desk.write("capped.yaml", &spec(20, "autoscale: metrics, maxHourlyCost: 0.5, ", PROPORTIONAL));
    desk.write(
        "tidegate.yaml",
        "repository: {url: spec.git}
providers: {host: {type: process, dir: host}}
defaults: {infra: host}
prices: {currency: EUR, perReplicaHour: {default: 9, host: 0.1}}
interval: 30s
stateDir: state
",
    );
    let args = ["--spec", "capped.yaml", "--config", "tidegate.yaml", "-o", "json"];
    let ran = desk.on_the_day(&args).code(0);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let result = &document["results"][0];
    assert_eq!(result["mostReplicas"], 5, "{document:#}");
    assert!(result["reasonPercent"]["cost-capped"].as_f64().unwrap() > 10.0, "{document:#}");
    assert_eq!(
        (&document["currency"], &document["terms"]["interval"]),
        (&"EUR".into(), &30.0.into())
    );
    let cost = result["replicaHours"].as_f64().unwrap() * 0.1;
    assert!((result["cost"].as_f64().unwrap() - cost).abs() < 1e-3);
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    let desk = Desk::new();
    desk.write("broken.yaml", &spec(1, METRICS, PROPORTIONAL));
    desk.write("bad.csv", "epoch_seconds,value\n1700006400,1\n1700006460,lots\n");
    desk.write("below.csv", "1700006400,1\n1700006460,-1\n");
    let two = spec(20, METRICS, PROPORTIONAL)
        .replace("max: 20}]", "max: 20}, {name: fra, min: 1, desired: 1, max: 4}]");
    desk.write("two.yaml", &two);
    let day = "rps=day.csv";
    let cases: &[(&str, &[&str])] = &[
        ("not_valid", &["--spec", "broken.yaml", "--signal", day]),
        ("no_service", &["--spec", "new.yaml", "--signal", day, "--service", "api"]),
        ("which_region", &["--spec", "two.yaml", "--signal", day]),
        ("no_region", &["--spec", "new.yaml", "--signal", day, "--region", "mars"]),
        ("no_signal", &["--spec", "new.yaml", "--signal", "load=day.csv"]),
        ("which_load", &["--spec", "new.yaml", "--signal", day, "--signal", "load=day.csv"]),
        ("bad_row", &["--spec", "new.yaml", "--signal", "rps=bad.csv"]),
        ("below_zero", &["--spec", "new.yaml", "--signal", "rps=below.csv"]),
        ("no_file", &["--spec", "new.yaml", "--signal", "rps=nowhere.csv"]),
        ("skip_all", &["--spec", "new.yaml", "--signal", day, "--skip", "1d"]),
        ("no_name", &["--spec", "new.yaml", "--signal", "day.csv"]),
        ("no_capacity", &["--spec", "new.yaml", "--signal", day, "--capacity", "0"]),
    ];
    let mut all = String::new();
    for (name, args) in cases {
        let mut command = tidegate(desk.path());
        command.arg("backtest").args(*args);
        for (option, value) in [("--service", "web"), ("--capacity", "50")] {
            if !args.contains(&option) {
                command.args([option, value]);
            }
        }
        let ran = run(&mut command);
        assert_ne!(ran.status.code(), Some(0), "{name}: {ran}");
        writeln!(all, "# {name}\n{}", said(&ran).trim_end()).unwrap();
    }
    snapshot("backtest_errors", desk.path(), &all);
}

/// The rows of [`day`], as the minute's end in seconds and the rate.
fn minutes() -> Vec<(i64, f64)> {
    let row = |line: &str| {
        let (at, value) = line.split_once(',')?;
        Some((at.parse().ok()?, value.parse().ok()?))
    };
    day().lines().filter_map(row).collect()
}

/// The end of the day.
const END: &str = "2023-11-16T00:00:00Z";
/// An end in the middle of a step is moved to its beginning: the question is the same a moment later.
const END_AND_A_BIT: &str = "2023-11-16T00:00:07Z";

impl Desk {
    /// Writes a configuration with this address of a Prometheus.
    fn configure(&self, url: &str) {
        let config = format!(
            "repository: {{url: spec.git}}
providers: {{host: {{type: process, dir: host}}}}
defaults: {{infra: host}}
metrics:
  prom: {{type: prometheus, url: '{url}'}}
  other: {{type: fixed, values: {{rate: 3}}}}
stateDir: state
"
        );
        self.write("tidegate.yaml", &config);
    }

    /// What a file of the same values comes to, where the signal is seen as from a source.
    fn as_from_a_source(&self, args: &[&str]) -> serde_json::Value {
        let terms = ["--signal-delay", "15s", "--signal-window", "0s", "-o", "json"];
        let config = ["--config", "tidegate.yaml"];
        let ran = self.on_the_day(&[&config[..], &terms, args].concat()).code(0);
        serde_json::from_str(&ran.stdout).unwrap()
    }
}

#[test]
fn what_prometheus_remembers_comes_to_the_same_as_a_file_of_it() {
    let samples: String =
        minutes().iter().map(|(at, rate)| format!("requests {rate} {at}\n")).collect();
    let server = Prometheus::start_with_past(&format!("# TYPE requests gauge\n{samples}# EOF\n"));
    let desk = Desk::new();
    desk.configure(&server.url());
    let policy = PROPORTIONAL.replace("query: rate", "query: sum(requests)");
    desk.write("asks.yaml", &spec(20, METRICS, &policy));
    let last =
        ["--last", "1d", "--until", END_AND_A_BIT, "--step", "60s", "--config", "tidegate.yaml"];
    let ask = |args: &[&str]| {
        let args = [&["--prometheus", "prom", "--spec", "asks.yaml"], &last[..], args].concat();
        desk.backtest(&args)
    };
    let asked: serde_json::Value =
        serde_json::from_str(&ask(&["-o", "json"]).code(0).stdout).unwrap();
    let read = desk.as_from_a_source(&["--spec", "asks.yaml"]);
    assert_eq!(asked, read);
    assert!(read["results"][0]["changesPerHour"].as_f64().unwrap() > 0.5, "{read:#}");
    let shown = ask(&[]).code(0).stdout;
    insta::assert_snapshot!(
        shown.lines().next().unwrap(),
        @"Backtest of web/iad: 1d from 2023-11-15T00:00:00Z to 2023-11-16T00:00:00Z, the first 1h left out of the figures; one replica serves 50 of rps a second and starts in 30s; decided every 15s by the newest value, 15s late."
    );

    // A file takes the place of the answer; the server is then not asked at all.
    drop(server);
    let given: serde_json::Value =
        serde_json::from_str(&ask(&["--signal", "rps=day.csv", "-o", "json"]).code(0).stdout)
            .unwrap();
    assert_eq!(given, read);
}

#[tokio::test]
async fn what_the_controller_recorded_comes_to_the_same_as_a_file_of_it() {
    let desk = Desk::new();
    desk.configure("http://127.0.0.1:9");
    let target = TargetId {
        service: ServiceId::try_from("web").unwrap(),
        region: Region::try_from("iad").unwrap(),
    };
    fs::create_dir(desk.path().join("state")).unwrap();
    let store = Store::open(&desk.path().join("state/state.db"), Retention::default()).await;
    for (at, rate) in minutes() {
        let sample = Sample {
            target: target.clone(),
            signal: SignalName::try_from("rps").unwrap(),
            at: Moment(at * 1000),
            reading: Reading::Value(rate),
        };
        store.record(Moment(at * 1000), Batch { samples: vec![sample], ..Batch::default() });
    }
    store.flush().await.unwrap();
    let recorded = |args: &[&str]| {
        let always = ["--recorded", "--spec", "new.yaml", "--config", "tidegate.yaml"];
        let ran = desk.backtest(&[&always[..], args, &["-o", "json"]].concat()).code(0);
        serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap()
    };
    // What is recorded reaches up to the end, which is not in it.
    let read = desk.as_from_a_source(&["--spec", "new.yaml"]);
    assert_eq!(recorded(&["--last", "1d", "--until", "2023-11-16T00:00:15Z"]), read);
    // Of a longer time, the part that is there is replayed, and the rest is spoken of.
    let longer = recorded(&["--last", "2d", "--until", END]);
    let notes = longer["notes"].to_string();
    assert!(
        notes.contains("`rps` has no value before 2023-11-15T00:01:00Z, 1d1m after"),
        "{notes}"
    );
    assert_ne!(longer["results"], serde_json::json!([]));
}

#[test]
fn a_past_that_cannot_be_had_is_said_with_what_would_be_right() {
    let server = Prometheus::start_with_past(
        "# TYPE requests gauge\nrequests{a=\"1\"} 1 1700006460\nrequests{a=\"2\"} 1 1700006460\nrequests{a=\"1\"} 1 1700006520\n# EOF\n",
    );
    let desk = Desk::new();
    desk.configure(&server.url());
    let asking = |query: &str| spec(20, METRICS, &PROPORTIONAL.replace("query: rate", query));
    desk.write("none.yaml", &asking("query: sum(nothing)"));
    desk.write("bad.yaml", &asking("query: 'sum(requests'"));
    desk.write("several.yaml", &asking("query: requests"));
    desk.write("fixed.yaml", &asking("metric: rate").replace("source: prom", "source: other"));
    let config = ["--config", "tidegate.yaml"];
    let last = ["--last", "1h", "--until", "2023-11-15T00:30:00Z"];
    let from = |source: &'static str, spec: &'static str| ["--prometheus", source, "--spec", spec];
    let both = PROPORTIONAL.replace(
        "query: rate, maxAge: 2m}",
        "query: sum(requests), maxAge: 2m}, cpu: {source: provider, metric: cpuPercent}",
    );
    let both = both.replace("}]", "}, {signal: cpu, average: 60}]");
    desk.write("both.yaml", &spec(20, METRICS, &both));
    let recorded = ["--recorded", "--spec", "new.yaml"];
    let cases: &[(&str, Vec<&str>)] = &[
        ("no_source", [&from("nowhere", "new.yaml"), &config[..], &last].concat()),
        ("not_read", [&from("other", "new.yaml"), &config[..], &last].concat()),
        ("no_past", [&from("other", "fixed.yaml"), &config[..], &last].concat()),
        ("no_value", [&from("prom", "none.yaml"), &config[..], &last].concat()),
        ("bad_query", [&from("prom", "bad.yaml"), &config[..], &last].concat()),
        ("several", [&from("prom", "several.yaml"), &config[..], &last].concat()),
        (
            "two_meanings",
            [&from("prom", "none.yaml"), &config[..], &last, &["--compare", "several.yaml"]]
                .concat(),
        ),
        ("two_sources", [&recorded[..], &config, &last, &["--compare", "fixed.yaml"]].concat()),
        (
            "another_source",
            [
                &from("prom", "both.yaml"),
                &config[..],
                &["--last", "4m", "--until", "2023-11-15T00:04:00Z"],
            ]
            .concat(),
        ),
        ("no_store", [&recorded[..], &config, &last].concat()),
        ("no_steps", [&recorded[..], &config, &["--last", "20s"]].concat()),
        ("no_config", [&from("prom", "new.yaml"), &last[..]].concat()),
        ("no_last", [&from("prom", "new.yaml"), &config[..]].concat()),
        ("last_of_what", [&["--signal", "rps=day.csv", "--spec", "new.yaml"], &last[..]].concat()),
    ];
    let mut all = String::new();
    for (name, args) in cases {
        let ran = desk.backtest(args);
        assert_ne!(ran.status.code(), Some(0), "{name}: {ran}");
        writeln!(all, "# {name}\n{}", said(&ran).trim_end()).unwrap();
    }
    drop(server);
    let ran = desk.backtest(&[&from("prom", "new.yaml"), &config[..], &last].concat()).code(1);
    writeln!(all, "# no_answer\n{}", said(&ran).trim_end()).unwrap();
    snapshot("backtest_past_errors", desk.path(), &all);
}

/// Ctrl-C ends it at once, also while a server takes its time.
#[test]
fn an_interrupt_ends_it() {
    let server = WebServer::start(|_| Reply::Never);
    let desk = Desk::new();
    desk.configure(&format!("http://127.0.0.1:{}", server.port));
    let mut command = tidegate(desk.path());
    command.args(["backtest", "--service", "web", "--capacity", "50", "--spec", "new.yaml"]);
    command.args(["--config", "tidegate.yaml", "--prometheus", "prom", "--last", "1d"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.seen().is_empty() {
        assert!(Instant::now() < deadline, "it does not ask");
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let begun = Instant::now();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    // Much less than the server is waited for.
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// The published figures of autoscalers come from another program: ours must be the same where both measure
/// the same.
#[test]
fn the_figures_are_those_of_the_reference_evaluator() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/peersim");
    if !folder.is_dir() {
        println!("skipped: the reference evaluator is not at {}", folder.display());
        return;
    }
    let desk = Desk::new();
    let python = std::env::var("PEERSIM_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let peersim = |args: &[&str]| {
        let mut command = Command::new(&python);
        run(command.arg("-B").arg(folder.join("peersim.py")).args(args).current_dir(desk.path()))
    };
    let has_numpy = Command::new(&python).args(["-c", "import numpy"]).status();
    if !has_numpy.is_ok_and(|status| status.success()) {
        println!("skipped: {python} has no numpy; name another with PEERSIM_PYTHON");
        return;
    }
    // Noise that is the same every time: a seconds' trace with a peak beyond ten replicas.
    let mut noise = 7_u32;
    let trace: String = (0..14_400_u32)
        .map(|second| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let wave = 300.0 + 250.0 * (f64::from(second) / 900.0).sin();
            format!("{},{}\n", 1_700_006_400 + second, wave.round() + f64::from(noise >> 25))
        })
        .collect();
    desk.write("trace.csv", &trace);
    let args = ["signal", "--trace", "trace.csv", "--delay", "0", "--out", "signal.csv"];
    peersim(&args).code(0);
    desk.write("ten.yaml", &spec(10, METRICS, PROPORTIONAL));
    let ours = desk
        .backtest(&[
            "--spec",
            "ten.yaml",
            "--signal",
            "rps=signal.csv",
            "--signal-delay",
            "15s",
            "--replicas-out",
            "wanted.csv",
            "-o",
            "json",
        ])
        .code(0);
    let ours: serde_json::Value = serde_json::from_str(&ours.stdout).unwrap();
    peersim(&[
        "run",
        "--trace",
        "trace.csv",
        "--capacity",
        "50",
        "--max",
        "10",
        "--rules",
        "static-peak",
        "--candidate",
        "ours=wanted.csv",
        "--json",
        "out.json",
    ])
    .code(0);
    let theirs: serde_json::Value = serde_json::from_str(&desk.read("out.json")).unwrap();
    let theirs = theirs["rows"].as_array().unwrap().last().unwrap();
    for (our, their) in [
        ("replicaHours", "replica_hours"),
        ("underProvisionedPercent", "tau_u"),
        ("unservedPercent", "unserved"),
        ("changesPerHour", "changes_h"),
        ("reversalsPerHour", "flips_h"),
        ("largestChange", "max_step"),
    ] {
        let figure = ours["results"][0][our].as_f64().unwrap();
        let reference = theirs[their].as_f64().unwrap();
        assert!((figure - reference).abs() < 1e-4, "{our}: {figure} is not {reference}");
    }
    assert!(ours["results"][0]["unservedPercent"].as_f64().unwrap() > 0.0);
    assert!(ours["results"][0]["beyondMaxPercent"].as_f64().unwrap() > 0.0);
}
