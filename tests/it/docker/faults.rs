//! Every request of every call, broken before and after it takes effect.

use std::time::Duration;

use tidegate::model::{FailureKind, Next, Phase};
use tidegate::providers::{Applied, Call, Ctx, Provider as _};

use super::{World, create, key, provider};
use crate::conformance::settle;
use crate::support::containers;
use crate::support::dockerd::Dockerd;
use crate::support::fault_proxy::{Fault, FaultProxy};

const FAULTS: [Fault; 4] =
    [Fault::CutBefore, Fault::CutAfter, Fault::Answer(503), Fault::Answer(429)];

#[tokio::test]
async fn a_call_broken_at_any_request_converges_when_it_is_repeated() {
    let world = World::new().await;
    let proxy = FaultProxy::start(world.dockerd.socket());
    let config = containers::config(&proxy.host);
    let ctx = world.ctx();
    let create = create(containers::shell("sleep 3600"));
    let destroy = Call::Destroy { key: key(), drain: Duration::from_secs(1) };

    // The requests of an undisturbed life; a new instance each time, as after a crash.
    let mut requests = Vec::new();
    for call in [&create, &destroy] {
        proxy.reset();
        assert_eq!(provider(&config).apply(&ctx, call).await, Ok(Applied::Done));
        requests.push(proxy.seen());
    }
    let [of_create, of_destroy] = &requests[..] else { unreachable!() };
    assert_eq!(of_create.len(), 3, "negotiate, create, start: {of_create:?}");
    assert_eq!(of_destroy.len(), 4, "negotiate, inspect, stop, remove: {of_destroy:?}");

    for fault in FAULTS {
        for n in 0..of_create.len() {
            broken(&config, &proxy, &ctx, &create, n, fault).await;
            let seen = world.observe().await;
            assert_eq!(seen.len(), 1, "create, request {n}, {fault:?}");
            assert_eq!(seen[0].phase, Phase::Ready, "create, request {n}, {fault:?}");
            assert_eq!(all_named_alike(&world).await, 1, "create, request {n}, {fault:?}");
            world.destroy(Duration::ZERO).await.unwrap();
        }
        for n in 0..of_destroy.len() {
            world.create(containers::shell("sleep 3600")).await.unwrap();
            broken(&config, &proxy, &ctx, &destroy, n, fault).await;
            assert_eq!(all_named_alike(&world).await, 0, "destroy, request {n}, {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_request_that_arrives_late_does_no_harm() {
    let world = World::new().await;
    let proxy = FaultProxy::start(world.dockerd.socket());
    let slow = provider(&containers::config(&proxy.host));
    let (ctx, late) = (world.ctx(), Duration::from_secs(1));
    let create = create(containers::shell("sleep 3600"));
    let destroy = Call::Destroy { key: key(), drain: Duration::ZERO };
    let steps = [("POST", "/stop"), ("DELETE", ""), ("POST", "/create"), ("POST", "/start")];
    for (number, (method, end)) in steps.into_iter().enumerate() {
        let call = if number < 2 { &destroy } else { &create };
        world.create(containers::shell("sleep 3600")).await.unwrap();
        if number >= 2 {
            world.destroy(Duration::ZERO).await.unwrap();
        }
        // The controller dies while the request is on its way…
        let wanted = move |request: &str| request.starts_with(method) && request.ends_with(end);
        proxy.delay_matching(wanted, late);
        let cut = tokio::time::timeout(late / 2, slow.apply(&ctx, call)).await;
        assert!(cut.is_err(), "{method} {end} was not delayed: {:?}", proxy.seen());
        // …and its successor has replaced the replica when it arrives.
        world.destroy(Duration::ZERO).await.unwrap();
        world.create(containers::shell("sleep 3600")).await.unwrap();
        let before = world.observe().await;
        proxy.delivered().await;
        assert_eq!(world.observe().await, before, "{method} {end}");
        assert_eq!(all_named_alike(&world).await, 1);
        world.destroy(Duration::ZERO).await.unwrap();
    }
}

/// Breaks the n-th request of a call, then lets a new instance repeat the call.
async fn broken(
    config: &tidegate::providers::docker::config::DockerConfig,
    proxy: &FaultProxy,
    ctx: &Ctx,
    call: &Call,
    n: usize,
    fault: Fault,
) {
    proxy.break_nth(n, fault);
    let error = provider(config).apply(ctx, call).await.unwrap_err();
    assert!(matches!(error.next, Next::Retry { .. }), "request {n}, {fault:?}: {error:?}");
    if fault == Fault::Answer(429) {
        assert_eq!(error.kind, FailureKind::RateLimited);
    }
    proxy.reset();
    settle(&provider(config), ctx, call).await;
}

/// Containers of this owner, as the daemon has them.
async fn all_named_alike(world: &World) -> usize {
    let all = bollard::query_parameters::ListContainersOptionsBuilder::new().all(true).build();
    let containers = world.dockerd.client().list_containers(Some(all)).await.unwrap();
    let owner = world.owner.as_str();
    containers
        .iter()
        .filter(|container| container.names.iter().flatten().any(|name| name.contains(owner)))
        .count()
}

#[tokio::test]
async fn an_observation_broken_halfway_is_an_error_and_not_a_partial_list() {
    let world = World::new().await;
    let proxy = FaultProxy::start(world.dockerd.socket());
    world.create(containers::shell("sleep 3600")).await.unwrap();
    let through_proxy = provider(&containers::config(&proxy.host));
    let region = containers::region();
    // 0: negotiate, 1: list, 2: inspect.
    for (n, fault) in [(1, Fault::Answer(500)), (2, Fault::Answer(500)), (2, Fault::CutAfter)] {
        proxy.break_nth(n, fault);
        let fresh = provider(&containers::config(&proxy.host));
        fresh.observe(&world.ctx(), &region).await.unwrap_err();
        proxy.reset();
    }
    through_proxy.observe(&world.ctx(), &region).await.unwrap();
    proxy.reset();
    through_proxy.observe(&world.ctx(), &region).await.unwrap();
    assert_eq!(
        proxy.seen(),
        ["GET /v1.41/containers/json"],
        "nothing changed, so nothing is inspected"
    );
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_ends_an_observation_and_not_the_cycle() {
    let world = World::new().await;
    let proxy = FaultProxy::start(world.dockerd.socket());
    let provider = provider(&containers::config(&proxy.host));
    let region = containers::region();
    provider.observe(&world.ctx(), &region).await.unwrap();
    proxy.delay_matching(|request| request.ends_with("/json"), Duration::from_secs(3600));
    // Nothing else happens, so that time jumps to the first limit there is.
    tokio::time::pause();
    let error = provider.observe(&world.ctx(), &region).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Timeout);
    assert_eq!(error.message, "list containers in region iad: no answer within 15 s");
}

#[tokio::test]
async fn a_daemon_that_went_away_and_came_back_is_found_again() {
    let mut dockerd = Dockerd::private(&[]).await;
    let provider = provider(&containers::config(&dockerd.host));
    let ctx = Ctx { now: jiff::Timestamp::now(), owner: containers::unique_owner() };
    let region = containers::region();
    let call = create(containers::shell("sleep 3600"));
    assert_eq!(provider.apply(&ctx, &call).await, Ok(Applied::Done));
    let before = provider.observe(&ctx, &region).await.unwrap();

    dockerd.stop();
    let error = provider.observe(&ctx, &region).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Unavailable);
    assert!(error.message.starts_with("list containers in region iad: "), "{error}");
    let error = provider.apply(&ctx, &call).await.unwrap_err();
    assert_eq!(error.next, Next::Retry { after: None });

    dockerd.start(&[]).await;
    let after = provider.observe(&ctx, &region).await.unwrap();
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].instance, before[0].instance);
    settle(&provider, &ctx, &Call::Destroy { key: key(), drain: Duration::ZERO }).await;
    assert_eq!(provider.observe(&ctx, &region).await.unwrap(), []);
}
