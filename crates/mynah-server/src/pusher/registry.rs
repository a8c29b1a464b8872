//! Who is where: the channels and signed-in users of each app. Locks are held for single steps only;
//! what must follow from a step in order is the affair of [`super::channels`].

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use mynah_domain::AppId;
use mynah_domain::app::App;
use mynah_hub::Topic;
use mynah_protocol::pusher::{ChannelKind, ChannelName};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::company::{Company, signed_in};
use super::happening::{Happening, Observer};
use super::joining::Waiting;
use super::presence::Presence;
use super::traffic::Counters;
use crate::apps::Limits;
use crate::cluster::people::{Membership, Who};

/// Into how many parts an app's channels are divided, each with a lock of its own.
const STRIPES: usize = 16;

/// Most channels at once, over all apps; a subscription to one more is refused.
pub(super) const CHANNELS_MAX: usize = 2_000_000;

/// Most channels of one app at once.
pub(super) const APP_CHANNELS_MAX: usize = 1_000_000;

/// There are too many channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManyChannels;

/// Who is told what happens.
#[derive(Default)]
pub(super) struct Observers(RwLock<Vec<Arc<dyn Observer>>>);

impl Observers {
    pub(super) fn add(&self, observer: Arc<dyn Observer>) {
        self.0.write().push(observer);
    }

    pub(super) fn tell(&self, app: &Arc<App>, what: Happening) {
        let observers = self.0.read();
        if let Some((last, others)) = observers.split_last() {
            for observer in others {
                observer.happened(app, what.clone());
            }
            last.happened(app, what);
        }
    }
}

/// What all apps share.
#[derive(Default)]
pub(super) struct Throughout {
    pub(super) observers: Observers,
    /// The other nodes, if there may be any.
    pub(super) company: OnceLock<Company>,
    channels: AtomicUsize,
}

/// An app as last read.
pub(super) struct Current {
    pub(super) app: Arc<App>,
    pub(super) limits: Limits,
}

/// One app's channels and people.
pub(super) struct AppState {
    pub(super) id: AppId,
    pub(super) counters: Counters,
    current: RwLock<Arc<Current>>,
    stripes: [Mutex<Stripe>; STRIPES],
    hasher: RandomState,
    channels: AtomicUsize,
    shared: Arc<Throughout>,
}

#[derive(Default)]
pub(super) struct Stripe {
    channels: HashMap<Arc<str>, Channel>,
    people: HashMap<Arc<str>, Person>,
}

/// One channel that somebody is in.
pub(super) struct Channel {
    pub(super) topic: Topic,
    /// Subscriptions.
    pub(super) sockets: u64,
    /// Who is there, of a presence channel.
    pub(super) presence: Option<Box<Presence>>,
    /// Who is about to come.
    pub(super) waiting: Vec<Waiting>,
    /// When its subscribers were last told how many they are.
    pub(super) counted: Option<Instant>,
    /// Whether they are going to be told.
    pub(super) count_is_due: bool,
    /// Whether other nodes were told that it is occupied.
    is_told: bool,
}

impl Channel {
    fn is_done(&self) -> bool {
        self.sockets == 0
            && self.waiting.is_empty()
            && self.presence.as_ref().is_none_or(|presence| presence.is_deserted())
    }
}

/// A signed-in user.
#[derive(Default)]
pub(super) struct Person {
    pub(super) sockets: u32,
    /// Set while no socket is left and the user may still come back.
    pub(super) fading: Option<u64>,
}

impl AppState {
    pub(super) fn new(app: &Arc<App>, limits: Limits, shared: &Arc<Throughout>) -> Arc<Self> {
        Arc::new(Self {
            id: app.id.clone(),
            counters: Counters::default(),
            current: RwLock::new(Arc::new(Current { app: Arc::clone(app), limits })),
            stripes: Default::default(),
            hasher: RandomState::new(),
            channels: AtomicUsize::new(0),
            shared: Arc::clone(shared),
        })
    }

    /// The app as last read.
    pub(super) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read())
    }

    /// Takes note of the app as read now.
    pub(super) fn renew(&self, app: &Arc<App>, limits: impl FnOnce(&App) -> Limits) {
        if !Arc::ptr_eq(&self.current.read().app, app) {
            let limits = limits(app);
            *self.current.write() = Arc::new(Current { app: Arc::clone(app), limits });
        }
    }

    /// The topic of a channel.
    pub(super) fn topic(&self, channel: &str) -> Topic {
        crate::pusher::topic(&self.id, channel)
    }

    /// The topic of a signed-in user's own sockets.
    pub(super) fn user_topic(&self, user_id: &str) -> Topic {
        Topic::new(format!("pu:{}:{user_id}", self.id))
    }

    /// The topic of those who watch a user.
    pub(super) fn watch_topic(&self, user_id: &str) -> Topic {
        Topic::new(format!("pw:{}:{user_id}", self.id))
    }

    /// Tells the observers.
    pub(super) fn tell(&self, what: Happening) {
        let app = Arc::clone(&self.current.read().app);
        self.shared.observers.tell(&app, what);
    }

    fn stripe(&self, name: &str) -> &Mutex<Stripe> {
        let place = self.hasher.hash_one(name) as usize % STRIPES;
        self.stripes.get(place).expect("the place is below the number of stripes")
    }

    /// Looks at a channel, if it is there, and forgets it if nobody is left in it.
    pub(super) fn with_channel<T>(
        &self,
        name: &str,
        look: impl FnOnce(&mut Channel) -> T,
    ) -> Option<T> {
        let mut stripe = self.stripe(name).lock();
        let channel = stripe.channels.get_mut(name)?;
        let seen = look(channel);
        if channel.is_done() {
            stripe.channels.remove(name);
            self.channels.fetch_sub(1, Ordering::Relaxed);
            self.shared.channels.fetch_sub(1, Ordering::Relaxed);
        }
        Some(seen)
    }

    /// Looks at a channel, made if it is not there; `look` must put somebody in.
    pub(super) fn with_new_channel<T>(
        &self,
        name: &ChannelName,
        look: impl FnOnce(&mut Channel) -> T,
    ) -> Result<T, TooManyChannels> {
        let mut stripe = self.stripe(name.as_str()).lock();
        if let Some(channel) = stripe.channels.get_mut(name.as_str()) {
            return Ok(look(channel));
        }
        if self.channels.load(Ordering::Relaxed) >= APP_CHANNELS_MAX
            || self.shared.channels.load(Ordering::Relaxed) >= CHANNELS_MAX
        {
            return Err(TooManyChannels);
        }
        self.channels.fetch_add(1, Ordering::Relaxed);
        self.shared.channels.fetch_add(1, Ordering::Relaxed);
        let presence = (name.kind() == ChannelKind::Presence).then(|| {
            let company = self.shared.company.get();
            let others = company.map(|all| all.crowd().members_elsewhere(&self.id, name.as_str()));
            Box::new(Presence::with(&others.unwrap_or_default()))
        });
        let channel = stripe.channels.entry(name.shared()).or_insert_with(|| Channel {
            topic: self.topic(name.as_str()),
            sockets: 0,
            presence,
            waiting: Vec::new(),
            counted: None,
            count_is_due: false,
            is_told: false,
        });
        Ok(look(channel))
    }

    /// Counts one more subscription, and tells if it is the first of all nodes. Under the channel's lock.
    pub(super) fn occupy(&self, name: &Arc<str>, channel: &mut Channel) {
        channel.sockets += 1;
        if channel.sockets != 1 {
            return;
        }
        // Of apps that want to be told nothing, nodes tell each other nothing either.
        channel.is_told = !self.current.read().app.webhooks.is_empty();
        let company = self.shared.company.get().filter(|_| channel.is_told);
        let place = || Who::Channel(self.id.clone(), Arc::clone(name));
        if company.is_none_or(|company| company.crowd().came(place())) {
            self.tell(Happening::ChannelOccupied { channel: Arc::clone(name) });
        }
    }

    /// Counts one subscription less, and tells if it was the last of all nodes. Under the channel's lock.
    pub(super) fn vacate(&self, name: &Arc<str>, channel: &mut Channel) {
        if channel.sockets == 1 {
            let company = self.shared.company.get().filter(|_| channel.is_told);
            let place = || Who::Channel(self.id.clone(), Arc::clone(name));
            if company.is_none_or(|company| company.crowd().went(&place(), None)) {
                self.tell(Happening::ChannelVacated { channel: Arc::clone(name) });
            }
        }
        channel.sockets = channel.sockets.saturating_sub(1);
    }

    /// A member is in a presence channel on this node, and was not; `true` if it was on none. Under the
    /// channel's lock.
    pub(super) fn member_came(&self, member: Membership) -> bool {
        let company = self.shared.company.get();
        company.is_none_or(|company| company.crowd().came(Who::Member(member)))
    }

    /// A member is on this node no more; `true` if it is on none. Under the channel's lock.
    pub(super) fn member_went(&self, channel: &Arc<str>, user_id: &Arc<str>) -> bool {
        let Some(company) = self.shared.company.get() else { return true };
        let (app, channel, user_id) = (self.id.clone(), Arc::clone(channel), Arc::clone(user_id));
        company.crowd().went(&Who::Member(Membership { app, channel, user_id, info: None }), None)
    }

    /// Whether a channel has subscriptions.
    pub(super) fn is_occupied(&self, name: &str) -> bool {
        self.audience(name).is_some()
    }

    /// The topic of a channel with subscriptions, and how many they are.
    pub(super) fn audience(&self, name: &str) -> Option<(Topic, u64)> {
        let audience = self.with_channel(name, |channel| (channel.topic.clone(), channel.sockets));
        audience.filter(|(_, sockets)| *sockets > 0)
    }

    /// Calls `look` with each channel that has subscriptions.
    pub(super) fn each_occupied(&self, mut look: impl FnMut(&str, &Channel)) {
        for stripe in &self.stripes {
            let stripe = stripe.lock();
            let occupied = stripe.channels.iter().filter(|(_, channel)| channel.sockets > 0);
            occupied.for_each(|(name, channel)| look(name, channel));
        }
    }

    /// A user's socket has signed in; `true` if the user was there on no node.
    pub(super) fn person_came(&self, user_id: &Arc<str>) -> bool {
        let mut stripe = self.stripe(user_id).lock();
        let is_new = !stripe.people.contains_key(user_id);
        let person = stripe.people.entry(Arc::clone(user_id)).or_default();
        person.sockets = person.sockets.saturating_add(1);
        person.fading = None;
        let company = self.shared.company.get();
        is_new && company.is_none_or(|company| company.crowd().came(signed_in(&self.id, user_id)))
    }

    /// A signed-in socket is gone; `true` if it was the user's last here.
    pub(super) fn person_went(&self, user_id: &str, ticket: u64) -> bool {
        let mut stripe = self.stripe(user_id).lock();
        let Some(person) = stripe.people.get_mut(user_id) else { return false };
        person.sockets = person.sockets.saturating_sub(1);
        let fades = person.sockets == 0;
        if fades {
            person.fading = Some(ticket);
        }
        fades
    }

    /// The time to come back is over; `true` if the user is gone from all nodes.
    pub(super) fn person_faded(&self, user_id: &Arc<str>, ticket: u64) -> bool {
        let mut stripe = self.stripe(user_id).lock();
        let fades = stripe.people.get(user_id).is_some_and(|person| person.fading == Some(ticket));
        if !fades || stripe.people.remove(user_id).is_none() {
            return false;
        }
        let company = self.shared.company.get();
        company.is_none_or(|company| company.crowd().went(&signed_in(&self.id, user_id), None))
    }

    /// Whether a user is there on any node, or may still come back.
    pub(super) fn is_online(&self, user_id: &str) -> bool {
        if self.stripe(user_id).lock().people.contains_key(user_id) {
            return true;
        }
        let company = self.shared.company.get();
        company.is_some_and(|all| all.crowd().is_elsewhere(&signed_in(&self.id, &user_id.into())))
    }

    /// How many channels are remembered.
    #[cfg(test)]
    pub(super) fn channels(&self) -> usize {
        let sum = self.stripes.iter().map(|stripe| stripe.lock().channels.len()).sum();
        assert_eq!(sum, self.channels.load(Ordering::Relaxed));
        sum
    }
}
