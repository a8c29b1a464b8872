//! What is to be told outside.

use mynah_domain::outbox::{
    DISPLACED, DeadLetters, Delivery, DeliveryId, DeliveryState, Endpoint, Leased, NewDelivery,
    OutboxBounds, OutboxCount, Outcome, Settled, Waiting,
};
use mynah_domain::{AppId, Timestamp};

use super::Subject;

const T0: Timestamp = Timestamp(1_000_000);

fn at(ms: i64) -> Timestamp {
    Timestamp(T0.0 + ms)
}

fn endpoint(app: &str, url: &str) -> Endpoint {
    Endpoint { app: AppId::trusted(app), url: format!("http://{url}/").into(), rule: 0 }
}

fn new(endpoint: &Endpoint, event: &str) -> NewDelivery {
    NewDelivery {
        endpoint: endpoint.clone(),
        order_key: format!("key of {event}"),
        event: event.to_owned(),
        created_at: T0,
        due_at: T0,
    }
}

fn events(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|d| d.event.as_str()).collect()
}

fn count(app: &str, pending: u64, dead: u64) -> OutboxCount {
    OutboxCount { app: AppId::trusted(app), pending, dead }
}

impl Subject {
    async fn queue(&self, endpoint: &Endpoint, events: &[&str]) {
        let all = events.iter().map(|event| new(endpoint, event)).collect();
        let displaced = self.outbox.enqueue(all, OutboxBounds::default()).await;
        assert_eq!(displaced, Ok(Vec::new()));
    }

    async fn lease(&self, endpoint: &Endpoint, now: Timestamp, limit: u32) -> Leased {
        self.outbox.lease(endpoint, now, now.plus_ms(20_000), limit).await.expect("leased")
    }

    async fn settle(&self, settled: &[(DeliveryId, Outcome)], when: Timestamp) {
        let settled = settled.iter().cloned().map(|(id, outcome)| Settled { id, outcome });
        let done = self.outbox.settle(settled.collect(), when, OutboxBounds::default()).await;
        assert_eq!(done, Ok(()));
    }

    /// Makes dead letters of these events.
    async fn bury(&self, endpoint: &Endpoint, events: &[&str], when: Timestamp) -> Vec<Delivery> {
        self.queue(endpoint, events).await;
        let leased = self.lease(endpoint, when, 1_000).await.deliveries;
        let dead = Outcome::Dead { error: "told no".to_owned() };
        let settled: Vec<_> = leased.iter().map(|d| (d.id, dead.clone())).collect();
        self.settle(&settled, when).await;
        leased
    }

    async fn dead(&self, app: Option<&str>) -> Vec<Delivery> {
        let app = app.map(AppId::trusted);
        self.outbox.dead_letters(app.as_ref(), None, 1_000).await.expect("read")
    }

    /// What apps have, without those that have nothing.
    async fn counts(&self) -> Vec<OutboxCount> {
        let mut counts = self.outbox.counts().await.expect("read");
        counts.retain(|c| c.pending + c.dead > 0);
        counts.sort_by(|a, b| a.app.cmp(&b.app));
        counts
    }
}

/// In the order queued, nothing twice, nothing before it is due.
pub async fn deliveries_are_handed_out_in_order_once(s: Subject) {
    let hook = endpoint("a", "x");
    s.queue(&hook, &["1", "2"]).await;
    s.queue(&hook, &["3"]).await;
    let later = NewDelivery { due_at: at(50), ..new(&hook, "later") };
    assert_eq!(s.outbox.enqueue(vec![later], OutboxBounds::default()).await, Ok(Vec::new()));
    assert_eq!(s.lease(&hook, Timestamp(T0.0 - 1), 9).await.deliveries, []);
    let first = s.lease(&hook, T0, 2).await;
    assert_eq!(events(&first.deliveries), ["1", "2"]);
    assert_eq!(first.next_at, Some(T0), "one more is due");
    let one = &first.deliveries[0];
    assert_eq!((one.order_key.as_str(), one.attempts, &one.last_error), ("key of 1", 0, &None));
    assert_eq!((one.created_at, one.queued_at), (T0, T0));
    assert_eq!(one.state, DeliveryState::Pending { next_at: at(20_000) });
    let second = s.lease(&hook, T0, 9).await;
    assert_eq!((events(&second.deliveries), second.next_at), (vec!["3"], Some(at(50))));
    let third = s.lease(&hook, at(50), 9).await;
    assert_eq!((events(&third.deliveries), third.next_at), (vec!["later"], Some(at(20_000))));
    assert_eq!(s.counts().await, [count("a", 4, 0)], "handed out is not gone");
    assert_eq!(s.lease(&endpoint("a", "nobody"), T0, 9).await, Leased::default());
    assert_eq!(s.heard.events(), [], "no listener is told");
}

/// Whoever leased it is dead: it comes again, in its place.
pub async fn a_lease_that_is_not_settled_runs_out(s: Subject) {
    let hook = endpoint("a", "x");
    s.queue(&hook, &["1", "2"]).await;
    let lost = s.lease(&hook, T0, 9).await.deliveries;
    assert_eq!(s.lease(&hook, at(19_999), 9).await.deliveries, []);
    let again = s.lease(&hook, at(20_000), 9).await.deliveries;
    assert_eq!(events(&again), ["1", "2"]);
    assert_eq!(again[0].id, lost[0].id);
    let released = Outcome::Released { next_at: at(20_001) };
    s.settle(&[(again[0].id, released)], at(20_000)).await;
    let given_back = s.lease(&hook, at(20_001), 9).await.deliveries;
    assert_eq!((events(&given_back), given_back[0].attempts), (vec!["1"], 0));
}

/// Also when its lease had run out, or it was given up meanwhile; twice is once.
pub async fn what_is_delivered_is_gone(s: Subject) {
    let hook = endpoint("a", "x");
    s.queue(&hook, &["1", "2", "3"]).await;
    let [one, two, three] = s.lease(&hook, T0, 9).await.deliveries.try_into().expect("three");
    let (one, two, three) = (one.id, two.id, three.id);
    s.settle(&[(one, Outcome::Delivered), (one, Outcome::Delivered)], at(1)).await;
    s.settle(&[(two, Outcome::Dead { error: "no".to_owned() })], at(2)).await;
    s.settle(&[(two, Outcome::Delivered)], at(3)).await;
    assert_eq!(s.counts().await, [count("a", 1, 0)]);
    s.settle(&[(three, Outcome::Delivered), (DeliveryId(99), Outcome::Delivered)], at(4)).await;
    assert_eq!(s.counts().await, []);
    s.queue(&hook, &["4"]).await;
    let next = s.lease(&hook, T0, 9).await.deliveries;
    assert!(next[0].id > three, "a number is not used again");
}

/// Attempts are counted, the reason is kept, and others may go first.
pub async fn a_failure_is_kept_and_due_later(s: Subject) {
    let hook = endpoint("a", "x");
    s.queue(&hook, &["1", "2"]).await;
    let one = s.lease(&hook, T0, 1).await.deliveries[0].id;
    for n in 1..=3 {
        let error = format!("answered 50{n}");
        s.settle(&[(one, Outcome::Retry { next_at: at(n * 100), error })], at(n)).await;
    }
    let next = s.lease(&hook, at(299), 9).await;
    assert_eq!((events(&next.deliveries), next.next_at), (vec!["2"], Some(at(300))));
    let tried = s.lease(&hook, at(300), 9).await.deliveries;
    assert_eq!((events(&tried), tried[0].attempts), (vec!["1"], 3));
    assert_eq!(tried[0].last_error.as_deref(), Some("answered 503"));
    let late = Outcome::Retry { next_at: at(400), error: "late".to_owned() };
    let dead = Outcome::Dead { error: "enough".to_owned() };
    s.settle(&[(one, dead), (one, late)], at(301)).await;
    let dead = s.dead(None).await;
    assert_eq!((dead[0].attempts, dead[0].state), (4, DeliveryState::Dead { at: at(301) }));
    assert_eq!(dead[0].last_error.as_deref(), Some("enough"));
}

/// Same url, other app or other rule: another queue.
pub async fn endpoints_do_not_hide_each_other(s: Subject) {
    let (a, b) = (endpoint("a", "x"), endpoint("b", "x"));
    let twin = Endpoint { rule: 1, ..a.clone() };
    for (hook, event) in [(&a, "a1"), (&b, "b1"), (&twin, "twin"), (&a, "a2"), (&b, "b2")] {
        s.queue(hook, &[event]).await;
    }
    for (hook, expected) in [(&b, vec!["b1", "b2"]), (&twin, vec!["twin"]), (&a, vec!["a1", "a2"])]
    {
        let leased = s.lease(hook, T0, 9).await.deliveries;
        assert_eq!(events(&leased), expected);
        assert!(leased.iter().all(|d| d.endpoint == *hook));
    }
    assert_eq!(s.counts().await, [count("a", 3, 0), count("b", 2, 0)]);
}

/// Every endpoint once, each with the time of its first delivery.
pub async fn waiting_endpoints_are_walked_in_pages(s: Subject) {
    assert_eq!(s.outbox.waiting(None, 9).await, Ok(Vec::new()));
    let hooks: Vec<Endpoint> = (0..7).map(|n| endpoint(&format!("app{n}"), "x")).collect();
    for (hook, n) in hooks.iter().zip(0..) {
        for due_at in [at(n + 5), at(n)] {
            let new = NewDelivery { due_at, ..new(hook, "e") };
            s.outbox.enqueue(vec![new], OutboxBounds::default()).await.expect("kept");
        }
    }
    s.bury(&endpoint("app3x", "x"), &["dead"], T0).await;
    let mut found: Vec<Waiting> = Vec::new();
    loop {
        let after = found.last().map(|w| w.endpoint.clone());
        let page = s.outbox.waiting(after.as_ref(), 3).await.expect("read");
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    found.sort_by_key(|w| w.next_at);
    let times: Vec<_> = (0..7).map(at).collect();
    assert_eq!(found.iter().map(|w| w.next_at).collect::<Vec<_>>(), times);
    assert!(found.iter().map(|w| &w.endpoint).eq(&hooks));
}

/// By number, in pages, of one app or of all.
pub async fn dead_letters_are_listed_by_app(s: Subject) {
    let (a, b) = (endpoint("a", "x"), endpoint("b", "x"));
    s.bury(&a, &["a1", "a2"], at(1)).await;
    s.bury(&b, &["b1"], at(2)).await;
    s.bury(&a, &["a3"], at(3)).await;
    s.queue(&a, &["waits"]).await;
    assert_eq!(events(&s.dead(None).await), ["a1", "a2", "b1", "a3"]);
    assert_eq!(events(&s.dead(Some("a")).await), ["a1", "a2", "a3"]);
    assert_eq!(s.dead(Some("nobody")).await, []);
    let app = AppId::trusted("a");
    let first = s.outbox.dead_letters(Some(&app), None, 2).await.expect("read");
    let rest = s.outbox.dead_letters(Some(&app), Some(first[1].id), 2).await.expect("read");
    assert_eq!((events(&first), events(&rest)), (vec!["a1", "a2"], vec!["a3"]));
    assert_eq!(s.counts().await, [count("a", 1, 3), count("b", 0, 1)]);
}

/// As if never tried, and dated anew.
pub async fn dead_letters_wait_again_when_revived(s: Subject) {
    let (a, b) = (endpoint("a", "x"), endpoint("b", "x"));
    let buried = s.bury(&a, &["a1", "a2", "a3"], at(1)).await;
    s.bury(&b, &["b1"], at(1)).await;
    let one = DeadLetters::One(buried[1].id);
    assert_eq!(s.outbox.revive(&one, at(500)).await, Ok(1));
    assert_eq!(s.outbox.revive(&one, at(600)).await, Ok(0), "it is none any more");
    assert_eq!(s.lease(&a, at(499), 9).await.deliveries, []);
    let again = s.lease(&a, at(500), 9).await.deliveries;
    assert_eq!(events(&again), ["a2"]);
    let again = &again[0];
    assert_eq!((again.attempts, again.created_at, again.queued_at), (0, T0, at(500)));
    assert_eq!(s.outbox.revive(&DeadLetters::Of(AppId::trusted("b")), at(1)).await, Ok(1));
    assert_eq!(s.outbox.revive(&DeadLetters::Of(AppId::trusted("c")), at(1)).await, Ok(0));
    assert_eq!(s.outbox.revive(&DeadLetters::All, at(1)).await, Ok(2));
    assert_eq!(s.counts().await, [count("a", 3, 0), count("b", 1, 0)]);
}

/// What waits is not touched.
pub async fn dead_letters_are_discarded_and_pruned(s: Subject) {
    let (a, b) = (endpoint("a", "x"), endpoint("b", "x"));
    let buried = s.bury(&a, &["a1", "a2", "a3"], at(1)).await;
    s.bury(&b, &["b1"], at(2)).await;
    s.bury(&b, &["b2"], at(3)).await;
    s.queue(&b, &["waits"]).await;
    let one = DeadLetters::One(buried[0].id);
    assert_eq!((s.outbox.discard(&one).await, s.outbox.discard(&one).await), (Ok(1), Ok(0)));
    assert_eq!(s.outbox.discard(&DeadLetters::Of(AppId::trusted("a"))).await, Ok(2));
    assert_eq!(s.outbox.prune(at(3)).await, Ok(1));
    assert_eq!(events(&s.dead(None).await), ["b2"], "`before` itself stays");
    assert_eq!(s.outbox.discard(&DeadLetters::All).await, Ok(1));
    assert_eq!(s.outbox.prune(at(100)).await, Ok(0));
    assert_eq!(s.counts().await, [count("b", 1, 0)]);
    s.queue(&a, &["a4"]).await;
    assert_eq!(events(&s.lease(&a, T0, 9).await.deliveries), ["a4"], "an app may come back");
    assert_eq!(events(&s.lease(&b, T0, 9).await.deliveries), ["waits"]);
}

/// Each app has its own bound; what is given up is a dead letter; those are bounded as well.
pub async fn beyond_the_bound_the_oldest_is_given_up(s: Subject) {
    let (a, b) = (endpoint("a", "x"), endpoint("b", "x"));
    let bounds = OutboxBounds { pending_max: 3, dead_max: 2, ..OutboxBounds::default() };
    let queue = |hook: &Endpoint, event: &str| s.outbox.enqueue(vec![new(hook, event)], bounds);
    for event in ["1", "2", "3"] {
        assert_eq!(queue(&a, event).await, Ok(Vec::new()));
    }
    assert_eq!(queue(&b, "b").await, Ok(Vec::new()));
    assert_eq!(queue(&a, "4").await, Ok(vec![(AppId::trusted("a"), 1)]));
    let dead = s.dead(None).await;
    assert_eq!((events(&dead), dead[0].last_error.as_deref()), (vec!["1"], Some(DISPLACED)));
    let many = ["5", "6", "7", "8"].map(|event| new(&a, event)).to_vec();
    let displaced = s.outbox.enqueue(many, bounds).await;
    assert_eq!(displaced, Ok(vec![(AppId::trusted("a"), 4)]));
    assert_eq!(events(&s.dead(None).await), ["4", "5"]);
    assert_eq!(events(&s.lease(&a, T0, 9).await.deliveries), ["6", "7", "8"]);
    assert_eq!(s.counts().await, [count("a", 3, 2), count("b", 1, 0)]);
}

/// A few large events count like many small ones.
pub async fn bytes_are_bounded_as_well(s: Subject) {
    let hook = endpoint("a", "x");
    let bounds =
        OutboxBounds { pending_bytes_max: 10, dead_bytes_max: 6, ..OutboxBounds::default() };
    let events_in = ["aaaa", "bbbb", "ää", "eeeeee"].map(|event| new(&hook, event)).to_vec();
    let displaced = s.outbox.enqueue(events_in, bounds).await;
    assert_eq!(displaced, Ok(vec![(AppId::trusted("a"), 2)]));
    assert_eq!(events(&s.dead(None).await), ["bbbb"]);
    let huge = s.outbox.enqueue(vec![new(&hook, "far too long")], bounds).await;
    assert_eq!(huge, Ok(vec![(AppId::trusted("a"), 3)]), "what cannot fit does not stay");
    assert_eq!(s.dead(None).await, []);
    assert_eq!(s.counts().await, []);
}

/// Only what has waited long enough.
pub async fn an_endpoint_is_given_up_as_a_whole(s: Subject) {
    let (a, b) = (endpoint("a", "x"), endpoint("a", "y"));
    for (hook, created_at) in [(&a, at(0)), (&a, at(9)), (&a, at(10)), (&b, at(0))] {
        let new = NewDelivery { created_at, due_at: at(5_000), ..new(hook, "e") };
        s.outbox.enqueue(vec![new], OutboxBounds::default()).await.expect("kept");
    }
    let given_up = |hook: Endpoint| {
        let outbox = s.outbox.clone();
        async move {
            let why = (at(11), "never there");
            outbox.give_up(&hook, at(10), why, OutboxBounds::default()).await
        }
    };
    assert_eq!(given_up(a.clone()).await, Ok(2));
    assert_eq!(given_up(a.clone()).await, Ok(0));
    assert_eq!(given_up(endpoint("z", "z")).await, Ok(0));
    let dead = s.dead(None).await;
    assert_eq!((dead.len(), dead[0].last_error.as_deref()), (2, Some("never there")));
    assert_eq!(dead[0].state, DeliveryState::Dead { at: at(11) });
    assert_eq!(s.counts().await, [count("a", 2, 2)]);
}

/// More than one step holds.
pub async fn thousands_are_given_up_revived_and_discarded(s: Subject) {
    let hook = endpoint("a", "x");
    let many = (0..2_345).map(|n| new(&hook, &format!("{n}"))).collect();
    let bounds = OutboxBounds::default();
    assert_eq!(s.outbox.enqueue(many, bounds).await, Ok(Vec::new()));
    assert_eq!(s.outbox.give_up(&hook, at(1), (at(2), "no"), bounds).await, Ok(2_345));
    assert_eq!(s.outbox.revive(&DeadLetters::All, at(3)).await, Ok(2_345));
    assert_eq!(s.outbox.give_up(&hook, at(4), (at(5), "no"), bounds).await, Ok(2_345));
    assert_eq!(s.outbox.prune(at(5)).await, Ok(0));
    assert_eq!(s.outbox.prune(at(6)).await, Ok(2_345));
    assert_eq!(s.counts().await, []);
}
