//! What is known of endpoints: when each is to be served, and how it fares.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use mynah_domain::outbox::Endpoint;
use mynah_domain::{AppId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::WebhookRules;

/// What others tell the scheduler; it holds one entry per endpoint.
#[derive(Default)]
pub(super) struct News {
    due: Mutex<HashMap<Endpoint, Timestamp>>,
    look_again: AtomicBool,
    stop: AtomicBool,
    told: Notify,
}

impl News {
    /// Something new waits for these.
    pub(super) fn due(&self, endpoints: Vec<(Endpoint, Timestamp)>) {
        let mut due = self.due.lock();
        for (endpoint, at) in endpoints {
            let first = due.entry(endpoint).or_insert(at);
            *first = at.min(*first);
        }
        drop(due);
        self.told.notify_one();
    }

    /// The outbox was changed.
    pub(super) fn look_again(&self) {
        self.look_again.store(true, Ordering::SeqCst);
        self.told.notify_one();
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.told.notify_one();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub(super) async fn told(&self) {
        self.told.notified().await;
    }

    pub(super) fn take_due(&self) -> HashMap<Endpoint, Timestamp> {
        std::mem::take(&mut *self.due.lock())
    }

    pub(super) fn take_look_again(&self) -> bool {
        self.look_again.swap(false, Ordering::SeqCst)
    }
}

/// How an endpoint fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Health {
    /// Rounds that failed in a row.
    pub(super) failing: u32,
    /// Whether the log says already that it does not take what it should.
    pub(super) is_reported: bool,
}

/// One endpoint.
#[derive(Debug, Default)]
struct Known {
    /// When the first of its deliveries is due.
    next_at: Option<Timestamp>,
    /// Not to be served before.
    rest_until: Option<Timestamp>,
    is_busy: bool,
    health: Health,
}

impl Known {
    /// When it is to be served.
    fn ready_at(&self) -> Option<Timestamp> {
        let next_at = self.next_at.filter(|_| !self.is_busy)?;
        Some(self.rest_until.map_or(next_at, |rest| rest.max(next_at)))
    }
}

/// All endpoints that something waits for, or that fail.
#[derive(Default)]
pub(super) struct Endpoints {
    known: HashMap<Endpoint, Known>,
    busy: usize,
    /// Busy ones that fail.
    busy_failing: usize,
    busy_of: HashMap<AppId, usize>,
}

impl Endpoints {
    /// Something waits for an endpoint from `at` on.
    pub(super) fn waits(&mut self, endpoint: Endpoint, at: Timestamp) {
        let known = self.known.entry(endpoint).or_default();
        known.next_at = Some(known.next_at.map_or(at, |first| first.min(at)));
    }

    /// Endpoints to serve now, marked busy: those that do not fail first, then those ready longest.
    /// Failing ones get at most half of the places, so that however many there are, they hold up nobody.
    pub(super) fn take_ready(
        &mut self,
        now: Timestamp,
        rules: &WebhookRules,
    ) -> Vec<(Endpoint, Health)> {
        let ready = self.known.iter().filter_map(|(endpoint, known)| {
            let at = known.ready_at().filter(|at| *at <= now)?;
            Some((known.health.failing > 0, at, endpoint.clone()))
        });
        let mut ready: Vec<(bool, Timestamp, Endpoint)> = ready.collect();
        ready.sort();
        let mut taken = Vec::new();
        for (is_failing, _, endpoint) in ready {
            let of_app = self.busy_of.get(&endpoint.app).copied().unwrap_or(0);
            let is_full = self.busy >= rules.rounds_max
                || of_app >= rules.rounds_per_app_max
                || is_failing && self.busy_failing >= (rules.rounds_max / 2).max(1);
            let Some(known) = self.known.get_mut(&endpoint).filter(|_| !is_full) else { continue };
            known.is_busy = true;
            known.next_at = None;
            self.busy += 1;
            self.busy_failing += usize::from(is_failing);
            *self.busy_of.entry(endpoint.app.clone()).or_default() += 1;
            taken.push((endpoint, known.health));
        }
        taken
    }

    /// A round that began in health `before` is over.
    pub(super) fn done(&mut self, endpoint: &Endpoint, before: Health, end: RoundEnd) {
        self.busy -= 1;
        self.busy_failing -= usize::from(before.failing > 0);
        if let Some(of_app) = self.busy_of.get_mut(&endpoint.app) {
            *of_app -= 1;
            if *of_app == 0 {
                self.busy_of.remove(&endpoint.app);
            }
        }
        let Some(known) = self.known.get_mut(endpoint) else { return };
        known.is_busy = false;
        known.health = end.health;
        known.rest_until = end.rest_until;
        if let Some(at) = end.next_at {
            known.next_at = Some(known.next_at.map_or(at, |first| first.min(at)));
        }
        if known.next_at.is_none() && end.health == Health::default() {
            self.known.remove(endpoint);
        }
    }

    /// Forgets endpoints that nothing waits for.
    pub(super) fn tidy(&mut self) {
        self.known.retain(|_, known| known.is_busy || known.next_at.is_some());
    }

    /// The first moment after `now` at which an endpoint is to be served.
    pub(super) fn next_ready(&self, now: Timestamp) -> Option<Timestamp> {
        self.known.values().filter_map(Known::ready_at).filter(|at| *at > now).min()
    }
}

/// What a round leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoundEnd {
    /// When the next of the endpoint's deliveries is due.
    pub(super) next_at: Option<Timestamp>,
    /// How it fares.
    pub(super) health: Health,
    /// Not to be served before.
    pub(super) rest_until: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn endpoint(app: &str, rule: u32) -> Endpoint {
        Endpoint { app: AppId::trusted(app), url: "http://x/".into(), rule }
    }

    fn rules(rounds_max: usize, rounds_per_app_max: usize) -> WebhookRules {
        WebhookRules { rounds_max, rounds_per_app_max, ..WebhookRules::default() }
    }

    fn taken(endpoints: &mut Endpoints, rules: WebhookRules) -> Vec<(Endpoint, Health)> {
        endpoints.take_ready(NOW, &rules)
    }

    fn end(failing: u32) -> RoundEnd {
        let health = Health { failing, is_reported: false };
        RoundEnd { next_at: Some(NOW), health, rest_until: None }
    }

    #[test]
    fn one_app_does_not_take_all_places() {
        let mut endpoints = Endpoints::default();
        for rule in 0..9 {
            endpoints.waits(endpoint("a", rule), Timestamp(0));
        }
        endpoints.waits(endpoint("b", 0), NOW);
        let apps: Vec<_> =
            taken(&mut endpoints, rules(5, 2)).into_iter().map(|t| t.0.app).collect();
        assert_eq!(apps.iter().map(AppId::as_str).collect::<Vec<_>>(), ["a", "a", "b"]);
        assert_eq!(taken(&mut endpoints, rules(5, 2)), [], "the others wait");
        endpoints.done(&endpoint("b", 0), Health::default(), end(0));
        assert_eq!(taken(&mut endpoints, rules(5, 2)).len(), 1);
    }

    #[test]
    fn failing_endpoints_leave_places_to_others() {
        let mut endpoints = Endpoints::default();
        for n in 0..8 {
            let failing = endpoint(&format!("down{n}"), 0);
            endpoints.waits(failing.clone(), Timestamp(0));
            let [(_, health)] = taken(&mut endpoints, rules(9, 9)).try_into().unwrap();
            endpoints.done(&failing, health, end(3));
            // Not ready again before all of them have failed.
            endpoints.known.get_mut(&failing).unwrap().rest_until = Some(Timestamp(2_000));
        }
        endpoints.known.values_mut().for_each(|known| known.rest_until = None);
        for n in 0..3 {
            endpoints.waits(endpoint(&format!("up{n}"), 0), NOW);
        }
        let all = taken(&mut endpoints, rules(6, 9));
        let failing: Vec<bool> = all.iter().map(|(_, health)| health.failing > 0).collect();
        assert_eq!(failing, [false, false, false, true, true, true]);
    }

    #[test]
    fn an_endpoint_is_served_once_at_a_time_and_rests() {
        let mut endpoints = Endpoints::default();
        let hook = endpoint("a", 0);
        endpoints.waits(hook.clone(), Timestamp(1_500));
        assert_eq!(endpoints.next_ready(NOW), Some(Timestamp(1_500)));
        assert_eq!(taken(&mut endpoints, rules(9, 9)), []);
        endpoints.waits(hook.clone(), NOW);
        assert_eq!(taken(&mut endpoints, rules(9, 9)).len(), 1);
        endpoints.waits(hook.clone(), NOW);
        assert_eq!(taken(&mut endpoints, rules(9, 9)), [], "it is being served");
        let rest_until = Some(Timestamp(1_200));
        endpoints.done(&hook, Health::default(), RoundEnd { rest_until, ..end(1) });
        assert_eq!(endpoints.next_ready(NOW), Some(Timestamp(1_200)));
    }

    #[test]
    fn nothing_is_kept_of_endpoints_that_are_well_and_done() {
        let mut endpoints = Endpoints::default();
        for (rule, failing) in [(0, 0), (1, 2)] {
            let hook = endpoint("a", rule);
            endpoints.waits(hook.clone(), NOW);
            assert_eq!(taken(&mut endpoints, rules(9, 9)).len(), 1);
            endpoints.done(&hook, Health::default(), RoundEnd { next_at: None, ..end(failing) });
        }
        assert_eq!(endpoints.known.len(), 1, "that it fails is remembered for a while");
        endpoints.tidy();
        assert!(endpoints.known.is_empty() && endpoints.busy_of.is_empty());
    }
}
