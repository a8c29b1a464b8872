//! Signed-in users: who is online, and who wants to hear of it.

use std::sync::Arc;

use mynah_hub::{Class, SessionId, Topic};
use mynah_protocol::pusher::encode;

use super::channels::Channels;
use super::frames;
use super::leaving::{Chore, GRACE};
use super::registry::AppState;
use crate::dialects::PUSHER_PEOPLE;

impl Channels {
    /// A socket has signed in as a user.
    pub(super) async fn person_came(
        &self,
        app: &Arc<AppState>,
        user_id: &Arc<str>,
        socket: SessionId,
    ) {
        self.hub().subscribe(socket, PUSHER_PEOPLE, app.user_topic(user_id)).await;
        let topic = app.watch_topic(user_id);
        let passed = self.gates().pass(topic.as_str()).await;
        if app.person_came(user_id) {
            self.announce_person(&topic, user_id, true).await;
        }
        drop(passed);
    }

    /// A socket of a signed-in user is gone; the user stays online for a while.
    pub(super) fn person_went(&self, app: &Arc<AppState>, user_id: &Arc<str>) {
        let ticket = self.ticket();
        if app.person_went(user_id, ticket) {
            let (app, user_id) = (Arc::clone(app), Arc::clone(user_id));
            self.later(GRACE, Chore::PersonFades { app, user_id, ticket });
        }
    }

    pub(super) async fn person_fades(&self, app: &AppState, user_id: &Arc<str>, ticket: u64) {
        let topic = app.watch_topic(user_id);
        let passed = self.gates().pass(topic.as_str()).await;
        if app.person_faded(user_id, ticket) {
            self.announce_person(&topic, user_id, false).await;
        }
        drop(passed);
    }

    pub(super) async fn announce_person(&self, topic: &Topic, user_id: &str, is_online: bool) {
        let id = [user_id];
        let (online, offline): (&[&str], &[&str]) = if is_online { (&id, &[]) } else { (&[], &id) };
        let frame = frames::text(|out| encode::watchlist(online, offline, out));
        self.fan_out(topic, frame, Class::Durable, None).await;
    }

    /// A socket wants to hear of the comings and goings of users, and who is there now. `before` it has
    /// heard of others; gives what it hears now.
    pub(super) async fn watch(
        &self,
        app: &AppState,
        (socket, before): (SessionId, Vec<Topic>),
        users: &[String],
    ) -> Vec<Topic> {
        if !before.is_empty() {
            self.hub().unsubscribe(socket, PUSHER_PEOPLE, before).await;
        }
        if users.is_empty() {
            return Vec::new();
        }
        let topics: Vec<_> = users.iter().map(|user_id| app.watch_topic(user_id)).collect();
        // What happens meanwhile is told after the list.
        self.hub().hold(socket, PUSHER_PEOPLE).await;
        self.hub().subscribe_many(socket, PUSHER_PEOPLE, topics.clone()).await;
        let ids = users.iter().map(String::as_str);
        let (online, offline): (Vec<&str>, Vec<&str>) = ids.partition(|id| app.is_online(id));
        let frame = frames::text(|out| encode::watchlist(&online, &offline, out));
        app.counters.sent(1, frame.len());
        self.hub().send(socket, frame, Class::Durable).await;
        self.hub().resume(socket, PUSHER_PEOPLE, Vec::new()).await;
        topics
    }
}
