//! From the outbox to the endpoint.

use std::time::Duration;

use mynah_domain::outbox::DeadLetters;
use mynah_integrations::client::PostError;
use mynah_integrations::webhook::{NotSealed, WebhookRules};

use crate::world::{Does, World, endpoint};

fn plain() -> World {
    World::new(WebhookRules::default())
}

fn batching(ms: u64) -> World {
    World::new(WebhookRules {
        batching: Some(Duration::from_millis(ms)),
        ..WebhookRules::default()
    })
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn without_batching_each_event_is_a_call_of_its_own() {
    let w = plain();
    w.tell(&endpoint("a", "x"), &["c/1", "c/2", "c/3"]).await;
    assert_eq!(w.bodies(3).await, ["a: c/1", "a: c/2", "a: c/3"]);
    w.pass(SECOND).await;
    assert_eq!((w.left().await, w.calls(3).await.len()), ((0, 0), 3));
    let stats = w.webhooks.stats();
    assert_eq!((stats.len(), stats[0].delivered, stats[0].failed), (1, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn events_of_one_channel_come_in_order_and_channels_side_by_side() {
    let w = plain();
    w.does("x", Does::Slow(SECOND / 10));
    let events: Vec<String> = (0..30).map(|n| format!("channel{}/{:02}", n % 5, n)).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    w.tell(&endpoint("a", "x"), &events).await;
    let bodies = w.bodies(30).await;
    for channel in 0..5 {
        let own: Vec<_> =
            bodies.iter().filter(|b| b.starts_with(&format!("a: channel{channel}/"))).collect();
        assert!(own.len() == 6 && own.is_sorted(), "{own:?}");
    }
    let most = w.endpoints.open.lock().1;
    assert!((2..=4).contains(&most), "{most} at once");
}

#[tokio::test(start_paused = true)]
async fn with_batching_what_happens_together_travels_together() {
    let w = batching(50);
    let hook = endpoint("a", "x");
    w.tell(&hook, &["c/1"]).await;
    w.pass(SECOND / 50).await;
    w.tell(&hook, &["c/2", "d/3"]).await;
    w.tell(&endpoint("b", "x"), &["c/4"]).await;
    let calls = w.calls(2).await;
    let bodies: Vec<&str> = calls.iter().map(|c| c.body.as_str()).collect();
    assert_eq!(bodies, ["a: c/1 c/2 d/3", "b: c/4"], "apps are never mixed");
    assert_eq!(calls[0].at_ms, 50);
    w.tell(&hook, &["c/5"]).await;
    assert_eq!(w.bodies(3).await[2], "a: c/5");
}

#[tokio::test(start_paused = true)]
async fn an_envelope_stays_small() {
    let w = batching(50);
    let large = format!("c/{}", "x".repeat(200_000));
    w.tell(&endpoint("a", "x"), &[&large, &large, &large, &large, "c/small"]).await;
    let sizes: Vec<usize> = w.bodies(2).await.iter().map(String::len).collect();
    assert!(sizes.iter().all(|size| *size < 530_000), "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_ever_more_rarely_until_it_is_taken() {
    let w = plain();
    w.does("x", Does::Answer(500));
    w.tell(&endpoint("a", "x"), &["c/1"]).await;
    let calls = w.calls(8).await;
    let pauses: Vec<u64> = calls.windows(2).map(|two| two[1].at_ms - two[0].at_ms).collect();
    for (pause, seconds) in pauses.iter().zip([1, 2, 4, 8, 16, 32, 60]) {
        let range = seconds * 790..=seconds * 1_210;
        assert!(range.contains(pause), "{pauses:?}");
    }
    w.does("x", Does::Answer(204));
    w.calls(9).await;
    w.pass(SECOND).await;
    assert_eq!(w.left().await, (0, 0));
    let stats = w.webhooks.stats();
    assert_eq!((stats[0].delivered, stats[0].failed), (1, 8));
}

#[tokio::test(start_paused = true)]
async fn the_first_five_minutes_are_dense_and_a_day_later_it_is_a_dead_letter() {
    let w = plain();
    w.does("x", Does::Answer(503));
    w.tell(&endpoint("a", "x"), &["c/1"]).await;
    w.pass(Duration::from_mins(6)).await;
    let dense = w.calls(1).await.len();
    assert!((9..=12).contains(&dense), "{dense} attempts in six minutes");
    w.pass(Duration::from_hours(27)).await;
    let all = w.calls(1).await.len();
    assert!((dense + 20..dense + 40).contains(&all), "{all} attempts");
    assert_eq!(w.left().await, (0, 1));
    let dead = &w.dead().await[0];
    assert_eq!(dead.last_error.as_deref(), Some("answered 503"));
    assert_eq!(dead.attempts as usize, all);
    w.does("x", Does::Answer(200));
    assert_eq!(w.webhooks.revive(&DeadLetters::All).await, Ok(1));
    w.calls(all + 1).await;
    w.pass(SECOND).await;
    assert_eq!(w.left().await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_discarded_letter_stays_away() {
    let w = plain();
    w.does("x", Does::Refuse(PostError::Invalid("no".to_owned())));
    w.tell(&endpoint("a", "x"), &["c/1", "c/2"]).await;
    w.calls(2).await;
    w.pass(SECOND).await;
    assert_eq!(w.left().await, (0, 2), "what is of no use is not tried again");
    assert_eq!(w.webhooks.discard(&DeadLetters::All).await, Ok(2));
    w.pass(Duration::from_hours(1)).await;
    assert_eq!((w.calls(1).await.len(), w.left().await), (2, (0, 0)));
}

/// A day's worth waits; when the endpoint is back, everything comes in the order in which it happened.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_is_asked_once_a_minute_and_gets_everything_later() {
    let w = plain();
    w.does("x", Does::Hang);
    let hook = endpoint("a", "x");
    for n in 0..200 {
        w.tell(&hook, &[&format!("c/{n:03}")]).await;
    }
    w.pass(Duration::from_hours(2)).await;
    let tried = w.calls(1).await.len();
    assert!((100..160).contains(&tried), "{tried} calls in two hours");
    w.does("x", Does::Answer(200));
    let before = w.calls(1).await.len();
    w.pass(Duration::from_hours(2)).await;
    assert_eq!(w.left().await, (0, 0));
    let after: Vec<String> = w.bodies(1).await.split_off(before);
    let mut once = after.clone();
    once.sort();
    once.dedup();
    assert_eq!((after.len(), once.len()), (200, 200), "each once");
    // The oldest were tried meanwhile and are due at their own times; the others come in order.
    let untried: Vec<&String> = after.iter().filter(|body| body.as_str() >= "a: c/160").collect();
    assert!(untried.len() == 40 && untried.is_sorted(), "{untried:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_an_endpoint_does_not_take_does_not_hold_up_others() {
    let w = plain();
    let hook = endpoint("a", "x");
    w.does("x", Does::Answer(500));
    w.tell(&hook, &["c/poison"]).await;
    w.calls(4).await;
    w.does("x", Does::Answer(200));
    let begun = w.calls(1).await.len();
    w.tell(&hook, &["c/1", "c/2"]).await;
    let bodies = w.bodies(begun + 3).await;
    assert_eq!(bodies[begun], "a: c/1");
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_to_be_left_alone_is() {
    let w = plain();
    w.does("x", Does::Busy(600));
    let hook = endpoint("a", "x");
    w.tell(&hook, &["c/1"]).await;
    w.calls(1).await;
    w.tell(&hook, &["d/2"]).await;
    w.does("x", Does::Answer(200));
    let calls = w.calls(3).await;
    assert!(calls[1].at_ms >= 600_000, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sealed_waits_or_is_given_up() {
    let w = plain();
    w.not_sealed("a", Some(NotSealed::Later("the app is disabled".to_owned())));
    w.not_sealed("b", Some(NotSealed::Gone("there is no such app".to_owned())));
    w.tell(&endpoint("a", "x"), &["c/1"]).await;
    w.tell(&endpoint("b", "x"), &["c/2"]).await;
    w.pass(SECOND * 10).await;
    assert_eq!(w.left().await, (1, 1));
    assert_eq!(w.dead().await[0].last_error.as_deref(), Some("there is no such app"));
    w.not_sealed("a", None);
    assert_eq!(w.bodies(1).await, ["a: c/1"]);
}

/// Whoever held a lease is gone: it comes again, at least once.
#[tokio::test(start_paused = true)]
async fn what_was_under_way_in_a_crash_is_delivered_after_it() {
    let w = plain();
    w.does("x", Does::Hang);
    let hook = endpoint("a", "x");
    // Leased by a process that is gone.
    let events = ["c/1", "c/2"].map(|event| w.new_delivery(&hook, event)).to_vec();
    let store: &dyn mynah_domain::ports::OutboxStore = &*w.store;
    store.enqueue(events, mynah_domain::outbox::OutboxBounds::default()).await.expect("kept");
    w.webhooks.stop().await;
    let now = w.new_delivery(&hook, "now").created_at;
    let lost = store.lease(&hook, now, now.plus_ms(20_000), 9).await.expect("leased");
    assert_eq!(lost.deliveries.len(), 2);
    w.does("x", Does::Answer(200));
    let w = w.restarted();
    assert_eq!(w.bodies(2).await, ["a: c/1", "a: c/2"]);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_calls_under_way_are_waited_for_and_the_rest_stays() {
    let w = plain();
    w.does("x", Does::Slow(SECOND * 2));
    w.tell(&endpoint("a", "x"), &["c/1", "c/2", "c/3"]).await;
    w.calls(1).await;
    w.webhooks.stop().await;
    assert_eq!((w.left().await, w.calls(1).await.len()), ((2, 0), 1));
    w.pass(Duration::from_hours(1)).await;
    assert_eq!(w.calls(1).await.len(), 1);
    w.does("x", Does::Answer(200));
    assert_eq!(w.restarted().bodies(3).await, ["a: c/1", "a: c/2", "a: c/3"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_ever() {
    let w = plain();
    w.does("x", Does::Slow(Duration::from_mins(2)));
    w.tell(&endpoint("a", "x"), &["c/1"]).await;
    w.calls(1).await;
    let begun = tokio::time::Instant::now();
    w.webhooks.stop().await;
    assert!(begun.elapsed() < SECOND * 10);
    w.does("x", Does::Answer(200));
    assert_eq!(w.restarted().bodies(2).await, ["a: c/1", "a: c/1"], "again, rather than never");
}
