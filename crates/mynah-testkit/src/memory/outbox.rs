//! What is to be told outside.

use std::collections::BTreeMap;

use async_trait::async_trait;
use mynah_domain::outbox::{
    DISPLACED, DeadLetters, Delivery, DeliveryId, DeliveryState, Endpoint, Leased, NewDelivery,
    OutboxBounds, OutboxCount, Outcome, Settled, Waiting,
};
use mynah_domain::ports::{OutboxStore, StoreError};
use mynah_domain::{AppId, Timestamp};

use super::MemoryStore;

#[derive(Default)]
pub(super) struct Outbox {
    last: u64,
    deliveries: BTreeMap<DeliveryId, Delivery>,
}

#[async_trait]
impl OutboxStore for MemoryStore {
    async fn enqueue(
        &self,
        deliveries: Vec<NewDelivery>,
        bounds: OutboxBounds,
    ) -> Result<Vec<(AppId, u64)>, StoreError> {
        self.write(|state| {
            let mut apps: Vec<(AppId, Timestamp)> = Vec::new();
            for new in deliveries {
                if !apps.iter().any(|(app, _)| *app == new.endpoint.app) {
                    apps.push((new.endpoint.app.clone(), new.created_at));
                }
                state.outbox.add(new);
            }
            let displace = |(app, at)| {
                let displaced = state.outbox.displace(&app, at, bounds);
                state.outbox.forget_oldest(&app, bounds);
                (displaced > 0).then_some((app, displaced))
            };
            apps.into_iter().filter_map(displace).collect()
        })
    }

    async fn waiting(
        &self,
        after: Option<&Endpoint>,
        limit: u32,
    ) -> Result<Vec<Waiting>, StoreError> {
        self.read(|state| {
            let mut firsts: BTreeMap<&Endpoint, Timestamp> = BTreeMap::new();
            for (delivery, next_at) in state.outbox.pending() {
                let first = firsts.entry(&delivery.endpoint).or_insert(next_at);
                *first = next_at.min(*first);
            }
            let beyond = firsts.into_iter().filter(|(e, _)| after.is_none_or(|after| *e > after));
            let waiting = |(endpoint, next_at): (&Endpoint, _)| Waiting {
                endpoint: endpoint.clone(),
                next_at,
            };
            beyond.take(limit as usize).map(waiting).collect()
        })
    }

    async fn lease(
        &self,
        endpoint: &Endpoint,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Leased, StoreError> {
        self.write(|state| {
            let own = state.outbox.pending().filter(|(d, _)| d.endpoint == *endpoint);
            let mut own: Vec<_> = own.map(|(d, next_at)| (next_at, d.id)).collect();
            own.sort();
            let mut due: Vec<_> = own.iter().filter(|(at, _)| *at <= now).map(|o| o.1).collect();
            due.truncate(limit as usize);
            let next_at = own.iter().find(|(_, id)| !due.contains(id)).map(|(at, _)| *at);
            let lease = |id: DeliveryId| {
                let leased = state.outbox.deliveries.get_mut(&id).expect("it was just there");
                leased.state = DeliveryState::Pending { next_at: until };
                leased.clone()
            };
            Leased { deliveries: due.into_iter().map(lease).collect(), next_at }
        })
    }

    async fn settle(
        &self,
        settled: Vec<Settled>,
        at: Timestamp,
        bounds: OutboxBounds,
    ) -> Result<(), StoreError> {
        self.write(|state| {
            for Settled { id, outcome } in settled {
                state.outbox.settle(id, outcome, at, bounds);
            }
        })
    }

    async fn give_up(
        &self,
        endpoint: &Endpoint,
        before: Timestamp,
        (at, error): (Timestamp, &str),
        bounds: OutboxBounds,
    ) -> Result<u64, StoreError> {
        self.write(|state| {
            let old = state.outbox.pending().map(|(delivery, _)| delivery);
            let old = old.filter(|d| d.endpoint == *endpoint && d.queued_at < before);
            let old: Vec<DeliveryId> = old.map(|d| d.id).collect();
            for id in &old {
                state.outbox.bury(*id, at, error);
            }
            state.outbox.forget_oldest(&endpoint.app, bounds);
            old.len() as u64
        })
    }

    async fn dead_letters(
        &self,
        app: Option<&AppId>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.read(|state| {
            let dead = state.outbox.deliveries.values().filter(|d| is_dead(d));
            let wanted = dead.filter(|d| app.is_none_or(|app| d.endpoint.app == *app));
            let beyond = wanted.filter(|d| after.is_none_or(|after| d.id > after));
            beyond.take(limit as usize).cloned().collect()
        })
    }

    async fn revive(&self, which: &DeadLetters, at: Timestamp) -> Result<u64, StoreError> {
        self.write(|state| {
            let mut revived = 0;
            for dead in state.outbox.deliveries.values_mut().filter(|d| among(which, d)) {
                dead.state = DeliveryState::Pending { next_at: at };
                dead.queued_at = at;
                dead.attempts = 0;
                revived += 1;
            }
            revived
        })
    }

    async fn discard(&self, which: &DeadLetters) -> Result<u64, StoreError> {
        self.write(|state| {
            state.outbox.deliveries.extract_if(.., |_, d| among(which, d)).count() as u64
        })
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(|state| {
            let old = |d: &Delivery| matches!(d.state, DeliveryState::Dead { at } if at < before);
            state.outbox.deliveries.extract_if(.., |_, d| old(d)).count() as u64
        })
    }

    async fn counts(&self) -> Result<Vec<OutboxCount>, StoreError> {
        self.read(|state| {
            let mut counts: BTreeMap<AppId, OutboxCount> = BTreeMap::new();
            for delivery in state.outbox.deliveries.values() {
                let app = delivery.endpoint.app.clone();
                let none = OutboxCount { app: app.clone(), pending: 0, dead: 0 };
                let count = counts.entry(app).or_insert(none);
                if is_dead(delivery) {
                    count.dead += 1;
                } else {
                    count.pending += 1;
                }
            }
            counts.into_values().collect()
        })
    }
}

fn is_dead(delivery: &Delivery) -> bool {
    matches!(delivery.state, DeliveryState::Dead { .. })
}

fn among(which: &DeadLetters, delivery: &Delivery) -> bool {
    is_dead(delivery)
        && match which {
            DeadLetters::One(id) => delivery.id == *id,
            DeadLetters::Of(app) => delivery.endpoint.app == *app,
            DeadLetters::All => true,
        }
}

impl Outbox {
    fn add(&mut self, new: NewDelivery) {
        self.last += 1;
        let delivery = Delivery {
            id: DeliveryId(self.last),
            endpoint: new.endpoint,
            order_key: new.order_key,
            event: new.event,
            created_at: new.created_at,
            queued_at: new.created_at,
            attempts: 0,
            state: DeliveryState::Pending { next_at: new.due_at },
            last_error: None,
        };
        self.deliveries.insert(delivery.id, delivery);
    }

    fn pending(&self) -> impl Iterator<Item = (&Delivery, Timestamp)> {
        self.deliveries.values().filter_map(|delivery| match delivery.state {
            DeliveryState::Pending { next_at } => Some((delivery, next_at)),
            DeliveryState::Dead { .. } => None,
        })
    }

    fn settle(&mut self, id: DeliveryId, outcome: Outcome, at: Timestamp, bounds: OutboxBounds) {
        let Some(delivery) = self.deliveries.get_mut(&id) else { return };
        match outcome {
            Outcome::Delivered => {
                self.deliveries.remove(&id);
            }
            Outcome::Released { .. } | Outcome::Retry { .. } | Outcome::Dead { .. }
                if is_dead(delivery) => {}
            Outcome::Released { next_at } => delivery.state = DeliveryState::Pending { next_at },
            Outcome::Retry { next_at, error } => {
                delivery.state = DeliveryState::Pending { next_at };
                delivery.attempts += 1;
                delivery.last_error = Some(error);
            }
            Outcome::Dead { error } => {
                delivery.attempts += 1;
                let app = delivery.endpoint.app.clone();
                self.bury(id, at, &error);
                self.forget_oldest(&app, bounds);
            }
        }
    }

    fn bury(&mut self, id: DeliveryId, at: Timestamp, error: &str) {
        if let Some(delivery) = self.deliveries.get_mut(&id) {
            delivery.state = DeliveryState::Dead { at };
            delivery.last_error = Some(error.to_owned());
        }
    }

    /// Ids and bytes of what an app has dead or waiting, oldest first.
    fn sizes(&self, app: &AppId, dead: bool) -> (Vec<DeliveryId>, u64) {
        let own = self.deliveries.values().filter(|d| d.endpoint.app == *app && is_dead(d) == dead);
        let bytes = own.clone().map(|d| d.event.len() as u64).sum();
        (own.map(|d| d.id).collect(), bytes)
    }

    fn displace(&mut self, app: &AppId, at: Timestamp, bounds: OutboxBounds) -> u64 {
        let mut displaced = 0;
        loop {
            let (ids, bytes) = self.sizes(app, false);
            let fits = ids.len() as u64 <= bounds.pending_max && bytes <= bounds.pending_bytes_max;
            match ids.first() {
                Some(oldest) if !fits => self.bury(*oldest, at, DISPLACED),
                Some(_) | None => return displaced,
            }
            displaced += 1;
        }
    }

    fn forget_oldest(&mut self, app: &AppId, bounds: OutboxBounds) {
        loop {
            let (ids, bytes) = self.sizes(app, true);
            let fits = ids.len() as u64 <= bounds.dead_max && bytes <= bounds.dead_bytes_max;
            match ids.first() {
                Some(oldest) if !fits => {
                    self.deliveries.remove(oldest);
                }
                Some(_) | None => return,
            }
        }
    }
}
