//! Leaving channels, at once or after a while, and what follows later.

use std::sync::Arc;
use std::time::Duration;

use mynah_hub::Class;
use mynah_protocol::pusher::{ChannelKind, ChannelName, encode};
use tokio::time::Instant;

use super::channels::{Channels, Subscription};
use super::frames;
use super::happening::Happening;
use super::presence::Gone;
use super::registry::{AppState, Channel};

/// How long a member or user whose last socket is gone may come back unnoticed, as a page does that is
/// loaded again.
pub(super) const GRACE: Duration = Duration::from_secs(3);

/// Up to so many subscribers each change of their number is told at once.
const COUNTED_AT_ONCE: u64 = 100;

/// How often a larger number is told.
const COUNTED_EVERY: Duration = Duration::from_secs(5);

/// What is to be done later.
pub(super) enum Chore {
    /// A member's time to come back is over.
    MemberFades { app: Arc<AppState>, channel: ChannelName, user_id: Arc<str>, ticket: u64 },
    /// A user's time to come back is over.
    PersonFades { app: Arc<AppState>, user_id: Arc<str>, ticket: u64 },
    /// A channel's subscribers are told how many they are.
    Count { app: Arc<AppState>, channel: ChannelName },
}

impl Channels {
    /// A subscription ends by its owner's word: a member leaves at once.
    pub(super) async fn leave(
        &self,
        app: &Arc<AppState>,
        name: &ChannelName,
        subscription: &Subscription,
    ) {
        let Subscription { topic, user_id } = subscription;
        let shared = name.shared();
        match user_id {
            None => {
                app.with_channel(name.as_str(), |channel| app.vacate(&shared, channel));
            }
            Some(user_id) => {
                let passed = self.gates().pass(topic.as_str()).await;
                let left = app.with_channel(name.as_str(), |channel| {
                    let is_last = || app.member_went(&shared, user_id);
                    let left = channel.presence.as_mut().and_then(|all| all.left(user_id, is_last));
                    if left == Some(Gone::Everywhere) {
                        tell_removed(app, &shared, user_id);
                    }
                    app.vacate(&shared, channel);
                    (left, channel.sockets)
                });
                if let Some((Some(Gone::Everywhere), audience)) = left {
                    self.announce_removed(app, name, (user_id, audience)).await;
                }
                drop(passed);
            }
        }
        self.count_changed(app, name);
    }

    /// A subscription ends because its connection did: a member stays for a while.
    pub(super) fn lose(
        &self,
        app: &Arc<AppState>,
        name: &ChannelName,
        subscription: &Subscription,
    ) {
        let user_id = subscription.user_id.clone();
        self.lose_one(app, name, |_| Some(user_id));
        self.count_changed(app, name);
    }

    /// A member of the house is gone from a presence channel.
    pub(super) fn house_member_went(&self, app: &Arc<AppState>, name: &ChannelName, user_id: &str) {
        self.lose_one(app, name, |channel| {
            let presence = channel.presence.as_mut();
            presence.and_then(|presence| presence.left_home(user_id)).map(Some)
        });
    }

    /// Counts one subscription less of whom `find` names, if it finds one.
    fn lose_one(
        &self,
        app: &Arc<AppState>,
        name: &ChannelName,
        find: impl FnOnce(&mut Channel) -> Option<Option<Arc<str>>>,
    ) {
        let ticket = self.ticket();
        let fading = app.with_channel(name.as_str(), |channel| {
            let user_id = find(channel)?;
            app.vacate(&name.shared(), channel);
            let presence = channel.presence.as_mut()?;
            user_id.filter(|user_id| presence.lost(user_id, ticket))
        });
        if let Some(Some(user_id)) = fading {
            let (app, channel) = (Arc::clone(app), name.clone());
            self.later(GRACE, Chore::MemberFades { app, channel, user_id, ticket });
        }
    }

    /// Does what is due.
    pub(super) async fn do_chore(&self, chore: Chore) {
        match chore {
            Chore::MemberFades { app, channel, user_id, ticket } => {
                self.member_fades(&app, &channel, (&user_id, ticket)).await;
            }
            Chore::PersonFades { app, user_id, ticket } => {
                self.person_fades(&app, &user_id, ticket).await;
            }
            Chore::Count { app, channel } if self.others().is_some() => {
                // Other nodes are asked: other chores need not wait for their answers.
                let channels = self.clone();
                tokio::spawn(async move { channels.tell_count(&app, &channel).await });
            }
            Chore::Count { app, channel } => self.tell_count(&app, &channel).await,
        }
    }

    async fn member_fades(
        &self,
        app: &AppState,
        name: &ChannelName,
        (user_id, ticket): (&Arc<str>, u64),
    ) {
        let topic = app.topic(name.as_str());
        let passed = self.gates().pass(topic.as_str()).await;
        let faded = app.with_channel(name.as_str(), |channel| {
            let shared = name.shared();
            let is_last = || app.member_went(&shared, user_id);
            let faded = channel.presence.as_mut()?.faded(user_id, ticket, is_last)?;
            if faded == Gone::Everywhere {
                tell_removed(app, &shared, user_id);
            }
            Some((faded, channel.sockets))
        });
        if let Some(Some((Gone::Everywhere, audience))) = faded {
            self.announce_removed(app, name, (user_id, audience)).await;
        }
        drop(passed);
    }

    async fn announce_removed(
        &self,
        app: &AppState,
        name: &ChannelName,
        (user_id, audience): (&str, u64),
    ) {
        if audience > 0 {
            let frame = frames::member_removed(name.as_str(), user_id);
            app.counters.sent(audience, frame.len());
            let topic = app.topic(name.as_str());
            self.fan_out(&topic, frame, Class::Durable, None).await;
        }
    }

    /// The number of a channel's subscriptions changed: its subscribers are told, soon.
    pub(super) fn count_changed(&self, app: &Arc<AppState>, name: &ChannelName) {
        if !app.current().app.subscription_counts || name.kind() == ChannelKind::Presence {
            return;
        }
        let wait = app.with_channel(name.as_str(), |channel| {
            if std::mem::replace(&mut channel.count_is_due, true) {
                return None;
            }
            let since = channel.counted.map_or(COUNTED_EVERY, |at| at.elapsed());
            let is_large = channel.sockets > COUNTED_AT_ONCE;
            Some(if is_large { COUNTED_EVERY.saturating_sub(since) } else { Duration::ZERO })
        });
        let gone = wait.is_none();
        if let Some(wait) = if gone { Some(Duration::ZERO) } else { wait.flatten() } {
            let (app, channel) = (Arc::clone(app), name.clone());
            self.later(wait, Chore::Count { app, channel });
        }
    }

    /// Tells those in a channel, on all nodes, how many they are.
    async fn tell_count(&self, app: &AppState, name: &ChannelName) {
        let here = app.with_channel(name.as_str(), |channel| {
            channel.count_is_due = false;
            channel.counted = Some(Instant::now());
            channel.sockets
        });
        let here = here.unwrap_or(0);
        let count = match self.others() {
            Some(_) => {
                let all = self.channel_everywhere(&app.id, name.as_str()).await;
                all.map_or(0, |all| all.subscriptions)
            }
            None => here,
        };
        app.tell(Happening::SubscriptionCount { channel: name.shared(), count });
        if count == 0 {
            return;
        }
        let frame = frames::text(|out| encode::subscription_count(name.as_str(), count, out));
        self.spread((&app.id, name), &frame, (None, true), None);
        if here > 0 {
            app.counters.sent(here, frame.len());
            // A newer number takes the place of one that still waits.
            let topic = app.topic(name.as_str());
            let class = Class::Ephemeral { key: self.fingerprint(&topic) };
            self.fan_out(&topic, frame, class, None).await;
        }
    }
}

fn tell_removed(app: &AppState, channel: &Arc<str>, user_id: &Arc<str>) {
    let (channel, user_id) = (Arc::clone(channel), Arc::clone(user_id));
    app.tell(Happening::MemberRemoved { channel, user_id });
}
