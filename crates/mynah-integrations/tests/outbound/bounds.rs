//! What one endpoint does is no affair of others.

use std::time::Duration;

use mynah_domain::outbox::OutboxBounds;
use mynah_domain::ports::StoreError;
use mynah_integrations::webhook::WebhookRules;

use crate::world::{Does, World, endpoint};

/// Twenty endpoints of one app never answer; the other app's is served at once.
#[tokio::test(start_paused = true)]
async fn endpoints_that_hang_delay_only_themselves() {
    let w = World::new(WebhookRules { rounds_max: 16, ..WebhookRules::default() });
    for n in 0..20 {
        let url = format!("hangs{n}");
        w.does(&url, Does::Hang);
        w.tell(&endpoint("slow", &url), &["c/1", "d/2", "e/3", "f/4"]).await;
    }
    w.calls(8).await;
    w.tell(&endpoint("quick", "x"), &["c/1"]).await;
    let at = |calls: Vec<crate::world::Call>| {
        calls.into_iter().find(|call| call.url == "x").map(|call| call.at_ms)
    };
    let mut served = None;
    for count in 9.. {
        served = at(w.calls(count).await);
        if served.is_some() {
            break;
        }
    }
    assert!(served.is_some_and(|ms| ms < 10), "after {served:?} ms");
}

/// Many apps' endpoints are down: they share half of the places.
#[tokio::test(start_paused = true)]
async fn however_many_are_down_the_others_are_served() {
    let w = World::new(WebhookRules { rounds_max: 8, ..WebhookRules::default() });
    for n in 0..50 {
        w.does("down", Does::Hang);
        w.tell(&endpoint(&format!("app{n}"), "down"), &["c/1"]).await;
    }
    w.pass(Duration::from_mins(2)).await;
    for n in 0..20 {
        let event = format!("c/{n}");
        w.tell(&endpoint("quick", "x"), &[&event]).await;
        w.pass(Duration::from_millis(500)).await;
        let calls = w.calls(1).await;
        let own = calls.iter().filter(|call| call.url == "x").count();
        assert_eq!(own, n + 1, "served within half a second");
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bound_the_oldest_become_dead_letters_and_are_counted() {
    let bounds = OutboxBounds { pending_max: 3, ..OutboxBounds::default() };
    let w = World::new(WebhookRules { bounds, ..WebhookRules::default() });
    w.does("x", Does::Answer(500));
    w.tell(&endpoint("a", "x"), &["c/1", "c/2", "c/3", "c/4", "c/5"]).await;
    assert_eq!(w.left().await, (3, 2));
    let stats = w.webhooks.stats();
    assert_eq!((stats[0].displaced, stats[0].given_up), (2, 2));
    w.pass(Duration::from_secs(6)).await;
    let stats = w.webhooks.stats();
    assert_eq!((stats[0].pending, stats[0].dead), (3, 2));
}

/// What is delivered but not noted would come again and again: the endpoint is left alone for a while.
#[tokio::test(start_paused = true)]
async fn while_the_store_fails_endpoints_are_not_flooded() {
    let w = World::new(WebhookRules::default());
    w.does("x", Does::Slow(Duration::from_secs(1)));
    w.tell(&endpoint("a", "x"), &["c/1"]).await;
    w.calls(1).await;
    w.store.fail_writes(StoreError::Full);
    w.pass(Duration::from_hours(1)).await;
    assert_eq!(w.calls(1).await.len(), 1, "nothing is leased that cannot be noted");
    assert!(w.webhooks.enqueue(Vec::new()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn old_dead_letters_are_deleted() {
    let w = World::new(WebhookRules {
        give_up_after: Duration::from_secs(1),
        dead_kept_for: Duration::from_hours(2),
        ..WebhookRules::default()
    });
    w.does("x", Does::Answer(500));
    w.tell(&endpoint("a", "x"), &["c/1"]).await;
    w.pass(Duration::from_hours(1)).await;
    assert_eq!(w.left().await, (0, 1));
    w.pass(Duration::from_mins(75)).await;
    assert_eq!(w.left().await, (0, 0));
}
