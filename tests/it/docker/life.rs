//! What a replica goes through, and how it shows.

use std::time::{Duration, Instant};

use bollard::models::ContainerStateStatusEnum;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt as _;
use tidegate::model::{
    CpuShare, FailureKind, HealthProbe, MemoryBytes, Next, Phase, Resources, Template,
};
use tidegate::providers::{Applied, Call, Provider as _};

use super::{World, create, key};
use crate::conformance;
use crate::support::containers::{self, shell, web};

#[tokio::test]
async fn an_exit_shows_its_reason_while_the_daemon_waits_to_restart() {
    let world = World::new().await;
    world.create(shell("exit 3")).await.unwrap();
    let replica = world
        .until(|replica| replica.restarts > 1 && matches!(replica.phase, Phase::BackOff { .. }))
        .await;
    assert_eq!(replica.last_exit.unwrap().reason, "exit code 3");
}

#[tokio::test]
async fn an_exit_between_two_looks_shows_its_reason_too() {
    let world = World::new().await;
    world
        .create(shell("[ -e /tmp/x ] && exec sleep 3600; touch /tmp/x; sleep 2; exit 7"))
        .await
        .unwrap();
    let first = world.until(|replica| replica.phase == Phase::Ready).await;
    assert_eq!((first.restarts, &first.last_exit), (0, &None));
    // Without a look in between that could see it exited.
    let client = world.dockerd.client();
    let deadline = Instant::now() + super::PATIENCE;
    loop {
        let container = client.inspect_container(&world.container(), None).await.unwrap();
        let running = container.state.unwrap().status == Some(ContainerStateStatusEnum::RUNNING);
        if running && container.restart_count == Some(1) {
            break;
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let second = &world.observe().await[0];
    assert_eq!((&second.phase, second.restarts), (&Phase::Ready, 1));
    assert_eq!(second.last_exit.as_ref().unwrap().reason, "exit code 7");
    assert!(second.started_at > first.started_at);
    assert_eq!(second.instance, first.instance);
}

#[tokio::test]
async fn memory_and_cpu_are_limited_and_running_out_shows() {
    let world = World::new().await;
    let resources = Resources {
        cpu: Some(CpuShare { millicores: 250 }),
        memory: Some(MemoryBytes { bytes: 16 << 20 }),
    };
    world.create(Template { resources, ..shell("exec tail /dev/zero") }).await.unwrap();
    let replica = world.until(|replica| replica.last_exit.is_some()).await;
    assert_eq!(replica.last_exit.unwrap().reason, "out of memory");
    let container =
        world.dockerd.client().inspect_container(&world.container(), None).await.unwrap();
    let limits = container.host_config.unwrap();
    assert_eq!(limits.nano_cpus, Some(250_000_000));
    assert_eq!((limits.memory, limits.memory_swap), (Some(16 << 20), Some(16 << 20)));
}

#[tokio::test]
async fn the_environment_reaches_the_replica() {
    let world = World::new().await;
    let template = Template {
        command: ["sh", "-c", "echo $CANARY $PORT; exec sleep 3600"].map(String::from).to_vec(),
        health: None,
        ..web()
    };
    let Call::Create(launch) = create(template.clone()) else { unreachable!() };
    let canary = launch.env[0].1.expose().to_owned();
    world.create(template).await.unwrap();
    let options = LogsOptionsBuilder::new().stdout(true).follow(true).build();
    let client = world.dockerd.client();
    let mut logs = client.logs(&world.container(), Some(options));
    let line = tokio::time::timeout(super::PATIENCE, logs.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(line.to_string().trim(), format!("{canary} 8080"));
}

#[tokio::test]
async fn a_replica_is_asked_to_stop_and_killed_only_after_its_drain_time() {
    let world = World::new().await;
    let polite = "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done";
    let deaf = "trap '' TERM; while :; do sleep 0.1; done";
    for (line, drain_s, at_least, below) in [(polite, 30, 1, 15), (deaf, 2, 2, 15)] {
        world.create(shell(line)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await; // until the trap is set
        let begun = Instant::now();
        let drain = Duration::from_secs(drain_s);
        let (destroyed, seen) = tokio::join!(world.destroy(drain), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            world.observe().await
        });
        assert_eq!(destroyed, Ok(Applied::Done));
        let took = begun.elapsed().as_secs_f64();
        assert!((f64::from(at_least)..f64::from(below)).contains(&took), "{line}: {took}");
        assert_eq!(seen[0].phase, Phase::Draining);
        assert_eq!(world.observe().await, []);
    }
}

#[tokio::test]
async fn health_decides_when_a_replica_is_ready() {
    let world = World::new().await;
    // Serves after two seconds, and stops serving when it is told to.
    let line = "sleep 2; httpd -p $PORT -h /www; while :; do sleep 1; done";
    let template = Template { command: ["sh", "-c", line].map(String::from).to_vec(), ..web() };
    world.create(template).await.unwrap();
    assert_eq!(world.observe().await[0].phase, Phase::Starting);
    let ready = world.until(|replica| replica.phase != Phase::Starting).await;
    assert_eq!(ready.phase, Phase::Ready);
    let address = ready.address.clone().unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{address}");

    let exec = |line: &str| {
        let status = std::process::Command::new("docker")
            .args(["--host", &world.dockerd.host, "exec", &world.container(), "sh", "-c", line])
            .status()
            .unwrap();
        assert!(status.success());
    };
    exec("rm /www/healthz");
    let sick = world.until(|replica| replica.phase != Phase::Ready).await;
    let why = format!("GET http://{address}/healthz: answered 404");
    assert_eq!(sick.phase, Phase::Unhealthy { why });
    exec("echo well > /www/healthz");
    world.until(|replica| replica.phase == Phase::Ready).await;
}

#[tokio::test]
async fn a_tcp_probe_is_not_fooled_by_the_daemons_own_proxy() {
    let world = World::new().await;
    let mut template = web();
    let health = template.health.as_mut().unwrap();
    health.probe = HealthProbe::Tcp { port: None };
    health.start_period = Duration::ZERO;
    let line = "while [ ! -e /tmp/go ]; do sleep 0.1; done; exec httpd -f -p $PORT -h /www";
    template.command = ["sh", "-c", line].map(String::from).to_vec();
    world.create(template).await.unwrap();
    let sick = world.until(|replica| replica.phase != Phase::Starting).await;
    let Phase::Unhealthy { why } = sick.phase else { panic!("{:?}", sick.phase) };
    assert!(why.contains("nothing listens inside"), "{why}");
    std::process::Command::new("docker")
        .args(["--host", &world.dockerd.host, "exec", &world.container(), "touch", "/tmp/go"])
        .status()
        .unwrap();
    world.until(|replica| replica.phase == Phase::Ready).await;
}

#[tokio::test]
async fn a_stopped_replica_is_started_again_and_one_of_another_template_is_a_conflict() {
    let world = World::new().await;
    world.create(shell("exec sleep 3600")).await.unwrap();
    world.dockerd.client().stop_container(&world.container(), None).await.unwrap();
    world.until(|replica| replica.phase == Phase::Stopped).await;
    let launch = Box::new(conformance::launch(key(), shell("exec sleep 3600")));
    let start = Call::Start(launch.clone());
    assert_eq!(world.provider.apply(&world.ctx(), &start).await, Ok(Applied::Done));
    world.until(|replica| replica.phase == Phase::Ready).await;

    let mut other = launch;
    other.template_hash = tidegate::model::TemplateHash::from("ffffffffffff");
    let error = world.provider.apply(&world.ctx(), &Call::Create(other)).await.unwrap_err();
    assert_eq!((error.kind, error.next), (FailureKind::Conflict, Next::GiveUp));
    assert!(error.message.contains("exists with template 0123456789ab"), "{error}");
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let mut world = World::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut template = web();
    template.ports[0].host_port = Some(taken.local_addr().unwrap().port());
    let error = world.create(template).await.unwrap_err();
    assert_eq!((error.kind, error.next), (FailureKind::Conflict, Next::GiveUp), "{error}");
    assert_eq!(world.observe().await[0].phase, Phase::Stopped);
    world.destroy(Duration::ZERO).await.unwrap();

    // Without the daemon's init process it is the start that fails.
    let mut config = containers::config(&world.dockerd.host);
    config.init = false;
    world.provider = super::provider(&config);
    let missing = Template { command: vec!["/no/such".to_owned()], ..shell("") };
    let error = world.create(missing).await.unwrap_err();
    assert_eq!((error.kind, error.next), (FailureKind::Invalid, Next::GiveUp), "{error}");
}

#[tokio::test]
async fn replicas_on_the_host_network_are_found_at_their_own_port() {
    let world = World::new().await;
    let mut config = containers::config(&world.dockerd.host);
    config.network = Some("host".to_owned());
    let provider = super::provider(&config);
    assert!(provider.about().shares_host_ports);
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let mut template = web();
    template.ports[0].container_port = port;
    let applied = provider.apply(&world.ctx(), &create(template)).await;
    assert_eq!(applied, Ok(Applied::Done));
    let replica = world.until(|replica| replica.phase == Phase::Ready).await;
    assert_eq!(replica.address, Some(format!("127.0.0.1:{port}")));
}
