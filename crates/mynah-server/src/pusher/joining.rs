//! Coming to presence and cache channels, where what newcomers are told and what others are told of them
//! must fit together.
//!
//! Steps that must be seen in one order by all are taken under the channel's gate. Whoever wants to come to
//! a presence channel puts itself on a list and waits at the gate; the first that passes lets in all that
//! are on the list. So a storm of newcomers costs one list of members for each batch, not for each.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use mynah_hub::{Class, Frame, SessionId, Topic};
use mynah_protocol::pusher::presence::Member;
use mynah_protocol::pusher::{ChannelName, encode};
use tokio::sync::{Mutex, MutexGuard, oneshot};

use super::channels::{Channels, Subscription};
use super::frames;
use super::happening::Happening;
use super::presence::Came;
use super::registry::{AppState, Channel, TooManyChannels};
use crate::cluster::people::Membership;
use crate::dialects::PUSHER;

/// Gates at once; channels share them by chance.
const GATES: usize = 512;

/// Most newcomers that are let in together.
const BATCH_MAX: usize = 256;

/// Locks that may be held while the hub takes its time.
pub(super) struct Gates {
    gates: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl Gates {
    pub(super) fn new() -> Self {
        let gates = std::iter::repeat_with(Mutex::default).take(GATES).collect();
        Self { gates, hasher: RandomState::new() }
    }

    pub(super) async fn pass(&self, topic: &str) -> MutexGuard<'_, ()> {
        let place = self.hasher.hash_one(topic) as usize % GATES;
        self.gates.get(place).expect("the place is below the number of gates").lock().await
    }
}

/// Why somebody was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotIn {
    /// There are too many channels.
    TooManyChannels,
    /// The presence channel has all the members it may have.
    TooManyMembers,
}

impl From<TooManyChannels> for NotIn {
    fn from(TooManyChannels: TooManyChannels) -> Self {
        Self::TooManyChannels
    }
}

/// Where somebody who waits is told the member's id.
type Reply = oneshot::Sender<Result<Arc<str>, NotIn>>;

/// Somebody who waits to come to a presence channel.
pub(super) struct Waiting {
    /// A socket, or a member of the house who has none.
    pub(super) socket: Option<SessionId>,
    pub(super) member: Member,
    pub(super) members_max: usize,
    pub(super) reply: Reply,
}

/// What a batch of newcomers leads to.
struct Batch {
    topic: Topic,
    added: Vec<Frame>,
    sockets: Vec<SessionId>,
    succeeded: Frame,
    replies: Vec<(Reply, Arc<str>)>,
    /// Who was there before.
    audience: u64,
}

impl Channels {
    /// A socket or a member of the house comes to a presence channel. On success the socket has been
    /// told who is there, is subscribed, and the others have been told of the member.
    pub(super) async fn join_presence(
        &self,
        app: &Arc<AppState>,
        name: &ChannelName,
        (socket, member): (Option<SessionId>, Member),
    ) -> Result<Subscription, NotIn> {
        let (reply, mut answer) = oneshot::channel();
        let members_max = match socket {
            Some(_) => app.current().limits.presence_members_max,
            None => usize::MAX,
        };
        let waiting = Waiting { socket, member, members_max, reply };
        let _heard = match socket {
            Some(_) => self.listen(&app.topic(name.as_str())).await,
            None => None,
        };
        self.recall(&app.id, name).await;
        let topic = app.with_new_channel(name, |channel| {
            channel.waiting.push(waiting);
            channel.topic.clone()
        })?;
        let passed = self.gates().pass(topic.as_str()).await;
        let outcome = loop {
            match answer.try_recv() {
                Ok(outcome) => break outcome,
                Err(oneshot::error::TryRecvError::Closed) => break Err(NotIn::TooManyChannels),
                Err(oneshot::error::TryRecvError::Empty) => self.let_in(app, name).await,
            }
        };
        drop(passed);
        let user_id = outcome?;
        if let Some(socket) = socket {
            self.count_changed(app, name);
            tracing::trace!(%socket, channel = %name, "joined");
        }
        Ok(Subscription { topic, user_id: Some(user_id) })
    }

    /// Lets in those who wait. Under the gate.
    async fn let_in(&self, app: &Arc<AppState>, name: &ChannelName) {
        let shared = name.shared();
        let batch = app.with_channel(name.as_str(), |channel| admit(app, &shared, channel));
        let Some(Some(batch)) = batch else { return };
        // Newcomers find each other on the list: they are subscribed after this.
        for frame in batch.added.iter().filter(|_| batch.audience > 0) {
            app.counters.sent(batch.audience, frame.len());
            self.fan_out(&batch.topic, frame.clone(), Class::Durable, None).await;
        }
        let last = self.last_event(app, name, &batch.topic);
        for socket in &batch.sockets {
            let words = (batch.succeeded.clone(), last.clone());
            self.hub().welcome(*socket, PUSHER, batch.topic.clone(), words).await;
        }
        app.counters.sent(batch.sockets.len() as u64, batch.succeeded.len());
        for (reply, user_id) in batch.replies {
            // Whoever waited is still there: it cannot be cancelled.
            drop(reply.send(Ok(user_id)));
        }
    }

    /// A socket comes to a cache channel that is no presence channel.
    pub(super) async fn join_cache(
        &self,
        app: &Arc<AppState>,
        name: &ChannelName,
        socket: SessionId,
    ) -> Result<Subscription, NotIn> {
        let topic = app.topic(name.as_str());
        let _heard = self.listen(&topic).await;
        self.recall(&app.id, name).await;
        let passed = self.gates().pass(topic.as_str()).await;
        let topic = enter(app, name)?;
        let words = (succeeded(app, name), self.last_event(app, name, &topic));
        self.hub().welcome(socket, PUSHER, topic.clone(), words).await;
        drop(passed);
        self.count_changed(app, name);
        Ok(Subscription { topic, user_id: None })
    }

    /// A socket comes to any other channel.
    pub(super) async fn join_plain(
        &self,
        app: &Arc<AppState>,
        name: &ChannelName,
        socket: SessionId,
    ) -> Result<Subscription, NotIn> {
        let topic = app.topic(name.as_str());
        let _heard = self.listen(&topic).await;
        let topic = enter(app, name)?;
        self.hub().welcome(socket, PUSHER, topic.clone(), (succeeded(app, name), None)).await;
        self.count_changed(app, name);
        Ok(Subscription { topic, user_id: None })
    }

    /// Tells a socket that it is subscribed to a channel without presence.
    pub(super) async fn succeed(&self, app: &AppState, name: &ChannelName, socket: SessionId) {
        self.hub().send(socket, succeeded(app, name), Class::Durable).await;
    }

    /// Answers a socket that subscribes to a channel it is in.
    pub(super) async fn succeed_again(
        &self,
        app: &AppState,
        name: &ChannelName,
        socket: SessionId,
    ) {
        let topic = app.topic(name.as_str());
        // The list must fit to what is told of members.
        let passed = self.gates().pass(topic.as_str()).await;
        let list = app.with_channel(name.as_str(), |channel| {
            channel.presence.as_mut().map(|presence| presence.succeeded(name.as_str()))
        });
        match list.flatten() {
            Some(frame) => {
                app.counters.sent(1, frame.len());
                self.hub().send(socket, frame, Class::Durable).await;
            }
            None => self.succeed(app, name, socket).await,
        }
        drop(passed);
    }

    /// What a newcomer to a cache channel is sent: the last event, or that there is none.
    fn last_event(&self, app: &AppState, name: &ChannelName, topic: &Topic) -> Option<Frame> {
        if !name.is_cache() {
            return None;
        }
        let frame = self.cached_frame(topic).unwrap_or_else(|| {
            app.tell(Happening::CacheMiss { channel: name.shared() });
            frames::text(|out| encode::cache_miss(name.as_str(), out))
        });
        app.counters.sent(1, frame.len());
        Some(frame)
    }
}

/// What tells a socket that it is subscribed to a channel without presence.
fn succeeded(app: &AppState, name: &ChannelName) -> Frame {
    let frame = frames::text(|out| encode::subscription_succeeded(name.as_str(), None, out));
    app.counters.sent(1, frame.len());
    frame
}

fn enter(app: &AppState, name: &ChannelName) -> Result<Topic, TooManyChannels> {
    app.with_new_channel(name, |channel| {
        app.occupy(&name.shared(), channel);
        channel.topic.clone()
    })
}

/// Makes members of those who wait. Under the channel's lock.
fn admit(app: &AppState, name: &Arc<str>, channel: &mut Channel) -> Option<Batch> {
    let audience = channel.sockets;
    let count = channel.waiting.len().min(BATCH_MAX);
    let batch: Vec<Waiting> = channel.waiting.drain(..count).collect();
    let (mut added, mut sockets, mut replies) = (Vec::new(), Vec::new(), Vec::new());
    for Waiting { socket, member, members_max, reply } in batch {
        let presence = channel.presence.as_mut()?;
        if socket.is_none() && presence.is_at_home(&member.user_id) {
            drop(reply.send(Ok(member.user_id.into())));
            continue;
        }
        let Some(came) = presence.came(&member, members_max) else {
            drop(reply.send(Err(NotIn::TooManyMembers)));
            continue;
        };
        let user_id = Arc::clone(came.user_id());
        if socket.is_none() {
            presence.came_home(&user_id);
        }
        app.occupy(name, channel);
        if matches!(came, Came::First(_) | Came::Local(_)) {
            let info = member.user_info.as_deref();
            if matches!(came, Came::First(_)) {
                added.push(frames::member_added(name, &user_id, info));
            }
            if app.member_came(Membership {
                app: app.id.clone(),
                channel: Arc::clone(name),
                user_id: Arc::clone(&user_id),
                info: info.map(|info| info.to_owned().into()),
            }) {
                let user_id = Arc::clone(&user_id);
                app.tell(Happening::MemberAdded { channel: Arc::clone(name), user_id });
            }
        }
        sockets.extend(socket);
        replies.push((reply, user_id));
    }
    let succeeded = channel.presence.as_mut()?.succeeded(name);
    Some(Batch { topic: channel.topic.clone(), added, sockets, succeeded, replies, audience })
}
