//! The handle to the shards: every method is one command to the shard that owns the session, or
//! to all shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::stats::ShardCounters;
use crate::{
    Class, Close, CloseEach, CloseReason, Dialect, Frame, HubConfig, HubStats, Interest,
    NewSession, PollReply, Publication, SessionId, Shard, TcpSocket, Topic,
};

mod task;

use task::Command;

/// Cheap to clone. When the last clone is gone all sessions end with
/// [`CloseReason::HubStopped`]; as nobody can report their peers' ends then, they are freed at the
/// latest after [`crate::Limits::linger`].
///
/// Commands of one caller to one session are done in the order in which they were awaited. A
/// command for a session that is gone does nothing; so does every command to a hub whose runtime
/// has stopped.
#[derive(Clone)]
pub struct Hub {
    shards: Arc<[ShardHandle]>,
    next: Arc<AtomicUsize>,
    interest: Option<Arc<dyn Interest>>,
}

struct ShardHandle {
    commands: mpsc::Sender<Command>,
    stats: Arc<ShardCounters>,
}

/// Why a session could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The hub has [`crate::Limits::sessions_max`] sessions, closing ones included.
    #[error("too many sessions")]
    Full,
    /// The hub's runtime has stopped.
    #[error("the hub has stopped")]
    Stopped,
}

/// Why a session could not move to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// It is gone or a stream already. The socket was dropped.
    #[error("the session does not poll")]
    NotPolling,
    /// The hub's runtime has stopped.
    #[error("the hub has stopped")]
    Stopped,
}

impl Hub {
    /// Starts the shard tasks on the current tokio runtime.
    #[must_use]
    pub fn new(config: HubConfig) -> Self {
        Self::start(config, None)
    }

    /// The same, telling `interest` which topics have subscribers. [`Hub::subscribe`] and
    /// [`Hub::subscribe_many`] return when [`Interest::settled`] does: what is read then and what is
    /// published from then on, wherever that is, leave no hole.
    #[must_use]
    pub fn watched(config: HubConfig, interest: Arc<dyn Interest>) -> Self {
        Self::start(config, Some(interest))
    }

    fn start(config: HubConfig, interest: Option<Arc<dyn Interest>>) -> Self {
        let rules: Arc<[_]> = config.dialects.into();
        let total = Arc::default();
        let shards = (0..config.shards.max(1))
            .map(|number| {
                let (commands, inbox) = mpsc::channel(config.command_queue_max.max(1));
                let stats = Arc::new(ShardCounters::default());
                let (rules, total) = (Arc::clone(&rules), Arc::clone(&total));
                let (limits, compact) = (config.limits.clone(), config.compact);
                let mut shard = Shard::new(number, limits, rules, compact, total);
                if let Some(interest) = &interest {
                    shard.watch_topics(Arc::clone(interest));
                }
                drop(tokio::spawn(task::run(shard, inbox, Arc::clone(&stats))));
                ShardHandle { commands, stats }
            })
            .collect();
        Self { shards, next: Arc::default(), interest }
    }

    /// Begins a session. The hub writes to a stream's socket from now on; the caller only reads, up
    /// to the end or an error, which it reports with [`Hub::detach`].
    ///
    /// # Errors
    /// [`AttachError`]; the link is dropped then.
    pub async fn attach(&self, new: NewSession<TcpSocket>) -> Result<SessionId, AttachError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        let shard = self.shards.get(turn).ok_or(AttachError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        shard.tell(Command::Attach { new, reply }).await;
        answer.await.unwrap_or(Err(AttachError::Stopped))
    }

    /// Sends a frame to one session, in order with publications this shard took before.
    pub async fn send(&self, id: SessionId, frame: Frame, class: Class) {
        self.tell(id, Command::Send { id, frame, class }).await;
    }

    /// Sends a frame, like [`Hub::send`] durable, and gives the highest [`Publication::pos`] its shard
    /// took before: what has that one or a lower one and concerned the session was queued before the
    /// frame, so that whoever answers the frame has got it. `None`, with nothing sent, if the session
    /// is over or keeps something back ([`Hub::hold`]).
    pub async fn send_mark(&self, id: SessionId, frame: Frame) -> Option<u64> {
        let (reply, answer) = oneshot::channel();
        self.tell(id, Command::SendMark { id, frame, reply }).await;
        answer.await.ok()
    }

    /// Waits until the session's send queue is below half of its bounds
    /// ([`crate::Limits::queue_bytes_max`] and [`crate::Limits::queue_frames_max`]) or has only
    /// what [`Hub::hold`] keeps back; `false` if the session is over. What this caller
    /// sent before counts.
    ///
    /// Who sends much, for example a long history, awaits this before each batch of less than half
    /// of the bounds and so never makes the session a slow consumer. It takes as long as the peer
    /// takes to read or poll: never await it where the same peer's input is read.
    pub async fn drained(&self, id: SessionId) -> bool {
        let (reply, answer) = oneshot::channel();
        self.tell(id, Command::WhenDrained { id, reply }).await;
        answer.await.is_ok()
    }

    /// Subscribes a session in one dialect; again is harmless. If the dialect is held, what is
    /// published to the topic is kept back too. `false` if the topic is not heard from everywhere yet, in a
    /// hub that was made by [`Hub::watched`].
    pub async fn subscribe(&self, id: SessionId, dialect: Dialect, topic: Topic) -> bool {
        let settling = self.interest.as_ref().map(|_| vec![topic.clone()]);
        self.hear(id, Command::Subscribe { id, dialect, topic }, settling).await
    }

    /// Sends durable frames and subscribes, in one step: whoever has read them misses nothing that is published
    /// from then on, and hears nothing of the topic before them. `false` as [`Hub::subscribe`].
    pub async fn welcome(
        &self,
        id: SessionId,
        dialect: Dialect,
        topic: Topic,
        words: (Frame, Option<Frame>),
    ) -> bool {
        let settling = self.interest.as_ref().map(|_| vec![topic.clone()]);
        self.hear(id, Command::Welcome { id, dialect, topic, words }, settling).await
    }

    /// Subscribes a session to many topics with one command. `false` as [`Hub::subscribe`].
    pub async fn subscribe_many(
        &self,
        id: SessionId,
        dialect: Dialect,
        topics: Vec<Topic>,
    ) -> bool {
        let settling = self.interest.as_ref().map(|_| topics.clone());
        self.hear(id, Command::SubscribeMany { id, dialect, topics }, settling).await
    }

    /// Commands a subscription, and waits for it where it has to settle.
    async fn hear(&self, id: SessionId, command: Command, settling: Option<Vec<Topic>>) -> bool {
        self.tell(id, command).await;
        match settling {
            Some(topics) => self.settled(id, &topics).await,
            None => true,
        }
    }

    /// Waits until the session's shard has done what was commanded, and until those topics are heard from
    /// everywhere; `false` if they are not in time.
    async fn settled(&self, id: SessionId, topics: &[Topic]) -> bool {
        let Some(interest) = &self.interest else { return true };
        let (reply, done) = oneshot::channel();
        self.tell(id, Command::Barrier { reply }).await;
        // A shard that is gone has no sessions that could miss anything.
        done.await.is_err() || interest.settled(topics).await
    }

    /// Tells all shards where the order over all topics stands ([`Publication::pos`]), before
    /// anything is published. Never goes back.
    pub async fn start_pos(&self, pos: u64) {
        self.tell_all(|| Command::StartPos { pos }).await;
    }

    /// Keeps back from now on everything that is published to the session in `dialect`, durable and
    /// ephemeral, in the order of arrival, while the caller sends what was missed; frames of
    /// [`Hub::send`] pass. Gives the highest [`Publication::pos`] its shard took before, so that
    /// whatever has a higher one and a subscription will be kept; `None` if the session is over.
    ///
    /// What is kept counts towards the session's bounds: at the bound the kept states are dropped,
    /// then the session is closed with [`CloseReason::SlowConsumer`]. A newer state replaces the
    /// kept one of its key. A dialect that is held already stays so, with the `pos` at which it
    /// began. What was kept of a subscription goes when that ends.
    pub async fn hold(&self, id: SessionId, dialect: Dialect) -> Option<u64> {
        let (reply, answer) = oneshot::channel();
        self.tell(id, Command::Hold { id, dialect, reply }).await;
        answer.await.ok()
    }

    /// Ends a hold. What was kept is queued in the order of arrival, except what has a `seq` not
    /// above that of its topic in `after`: how far the caller sent. Each subscription named there
    /// drops what it is published up to that `seq` from then on too, also without a hold.
    pub async fn resume(&self, id: SessionId, dialect: Dialect, after: Vec<(Topic, u64)>) {
        self.tell(id, Command::Resume { id, dialect, after }).await;
    }

    /// Ends subscriptions of a session in one dialect.
    pub async fn unsubscribe(&self, id: SessionId, dialect: Dialect, topics: Vec<Topic>) {
        self.tell(id, Command::Unsubscribe { id, dialect, topics }).await;
    }

    /// Ends all subscriptions of a session in one dialect and its hold, for example when one of the
    /// namespaces that share a connection is left.
    pub async fn unsubscribe_all(&self, id: SessionId, dialect: Dialect) {
        self.tell(id, Command::UnsubscribeAll { id, dialect }).await;
    }

    /// Subscribes every session of `of`, in all shards, to `topic` in the dialect it hears `of`
    /// in: for example the sessions of a user to a room.
    pub async fn subscribe_members(&self, of: &Topic, topic: &Topic) {
        self.tell_all(|| Command::SubscribeMembers { of: of.clone(), topic: topic.clone() }).await;
    }

    /// Ends the subscription to `topic` of every session of `of`.
    pub async fn unsubscribe_members(&self, of: &Topic, topic: &Topic) {
        self.tell_all(|| Command::UnsubscribeMembers { of: of.clone(), topic: topic.clone() })
            .await;
    }

    /// Fans a publication out. Waits while a shard's command queue is full.
    pub async fn publish(&self, publication: Publication) {
        self.tell_all(|| Command::Publish(publication.clone())).await;
    }

    /// Answers a poll once something is queued. A second poll while one waits ends the session.
    /// `reply` is dropped unanswered if the session is unknown or does not poll.
    pub async fn poll(&self, id: SessionId, reply: PollReply) {
        self.tell(id, Command::Poll { id, reply }).await;
    }

    /// Moves a polling session to a stream, which takes frames compact if it says so: queued frames
    /// leave over it in order, a parked poll is answered with `noop`'s packet. A session that is
    /// closing and whose last frames have not been polled sends them over the stream.
    ///
    /// # Errors
    /// [`UpgradeError`]; the socket is dropped then.
    pub async fn upgrade(
        &self,
        id: SessionId,
        socket: TcpSocket,
        compact: bool,
        noop: Frame,
    ) -> Result<(), UpgradeError> {
        let (reply, answer) = oneshot::channel();
        self.tell(id, Command::Upgrade { id, stream: (socket, compact), noop, reply }).await;
        answer.await.unwrap_or(Err(UpgradeError::Stopped))
    }

    /// Ends a session: what is queued and `last` are sent if the link takes them in time, then a
    /// stream's writing side is shut. Its reader reads on until the peer's end and calls
    /// [`Hub::detach`]; at [`crate::Limits::linger`] the socket is shut both ways, so that the
    /// reader sees its end in any case.
    pub async fn close(&self, id: SessionId, close: Close) {
        self.tell(id, Command::Close { id, close }).await;
    }

    /// Ends and frees a session whose reader saw the end or an error, also one that was closed
    /// before, which keeps its reason; nothing more is sent.
    pub async fn detach(&self, id: SessionId, reason: CloseReason) {
        self.tell(id, Command::Detach { id, reason }).await;
    }

    /// Ends every session that subscribes to `topic`, except one.
    pub async fn close_topic(&self, topic: &Topic, close: CloseEach, except: Option<SessionId>) {
        self.tell_all(|| Command::CloseTopic {
            topic: topic.clone(),
            close: close.clone(),
            except,
        })
        .await;
    }

    /// Asks up to `sessions_max` sessions that were not asked yet to leave ([`crate::Pulse::leave`],
    /// [`crate::SessionEvents::leaving`]), from all shards alike, and says how many it were; 0 if
    /// all were asked. Called again and again it empties the hub over a drain window;
    /// [`Hub::close_some`] ends those that stay.
    pub async fn ask_to_leave(&self, sessions_max: usize) -> usize {
        let share = sessions_max.div_ceil(self.shards.len());
        let mut asked = 0;
        // Some shards may have fewer left than their share: the others make up for it.
        for most in [share, sessions_max] {
            for shard in &*self.shards {
                let (reply, answer) = oneshot::channel();
                let sessions_max = most.min(sessions_max - asked);
                if sessions_max == 0 {
                    return asked;
                }
                shard.tell(Command::AskToLeave { sessions_max, reply }).await;
                asked += answer.await.unwrap_or(0);
            }
        }
        asked
    }

    /// Ends up to `sessions_max` sessions and says how many it were; 0 if none is open, though
    /// closed ones may still be sending (see [`crate::SessionEvents::ended`]). Called
    /// again and again it empties the hub over a drain window; `usize::MAX` ends all at once.
    pub async fn close_some(&self, sessions_max: usize, close: CloseEach) -> usize {
        let mut ended = 0;
        for shard in &*self.shards {
            let (reply, answer) = oneshot::channel();
            let (sessions_max, close) = (sessions_max - ended, close.clone());
            shard.tell(Command::CloseSome { sessions_max, close, reply }).await;
            ended += answer.await.unwrap_or(0);
        }
        ended
    }

    /// How many subscriptions a topic has, over all shards; a session counts once per dialect. Also
    /// a barrier: whatever this caller commanded before is done.
    pub async fn members(&self, topic: &Topic) -> usize {
        let mut sum = 0;
        for shard in &*self.shards {
            let (reply, answer) = oneshot::channel();
            shard.tell(Command::Members { topic: topic.clone(), reply }).await;
            sum += answer.await.unwrap_or(0);
        }
        sum
    }

    /// Who subscribes to a topic, over all shards, and in which dialect.
    pub async fn subscribers(&self, topic: &Topic) -> Vec<(SessionId, Dialect)> {
        let mut found = Vec::new();
        for shard in &*self.shards {
            let (reply, answer) = oneshot::channel();
            shard.tell(Command::Subscribers { topic: topic.clone(), reply }).await;
            found.extend(answer.await.unwrap_or_default());
        }
        found
    }

    /// What a session subscribes to in one dialect.
    pub async fn subscriptions(&self, id: SessionId, dialect: Dialect) -> Vec<Topic> {
        let (reply, answer) = oneshot::channel();
        self.tell(id, Command::Subscriptions { id, dialect, reply }).await;
        answer.await.unwrap_or_default()
    }

    /// What the hub holds and did.
    pub fn stats(&self) -> HubStats {
        let mut sum = HubStats::default();
        for shard in &*self.shards {
            sum.add(&shard.stats.load());
        }
        sum
    }

    async fn tell(&self, id: SessionId, command: Command) {
        if let Some(shard) = self.shards.get(usize::from(id.shard)) {
            shard.tell(command).await;
        }
    }

    async fn tell_all(&self, command: impl Fn() -> Command) {
        for shard in &*self.shards {
            shard.tell(command()).await;
        }
    }
}

impl ShardHandle {
    /// Gives a command to the shard; it is dropped, with its reply, if the runtime has stopped.
    async fn tell(&self, command: Command) {
        drop(self.commands.send(command).await);
    }
}
