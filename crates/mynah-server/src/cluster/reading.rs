//! What the node asks of store and broker, without waiting for the answers.

use std::collections::VecDeque;
use std::sync::Arc;

use mynah_domain::event::Event;
use mynah_domain::ports::{FeedStore, StoreError};
use mynah_hub::{Broker, Topic};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::streams;

/// What came of a question.
pub(super) enum Answer {
    /// The broker has confirmed these channels, or cannot.
    Subscribed(Vec<Topic>, bool),
    /// Where streams stand.
    Heads {
        /// Up to where nothing more is to be delivered.
        heads: Vec<(Topic, u64)>,
        /// Where those stand of which more is to be delivered.
        further: Vec<(Topic, u64)>,
    },
    /// The store could not tell.
    HeadsFailed(Vec<Topic>),
    /// Missed events.
    Events {
        /// Of which stream.
        stream: Topic,
        /// Ascending.
        events: Vec<Event>,
        /// Where the stream stands.
        head: u64,
        /// Whether some are gone.
        gap: bool,
    },
    /// The store could not tell.
    EventsFailed(Topic),
    /// Nobody stores below this place any more, and what this node stored is in the queue of commits.
    Settled(u64),
}

/// What the broker is asked, one after the other.
enum Change {
    Subscribe(Vec<Topic>),
    Unsubscribe(Vec<Topic>),
}

/// Answers that may wait; whoever has more to say waits too.
const ANSWERS_MAX: usize = 1_024;

/// Changes that wait: at most one for each of the channels that the follower has.
#[derive(Default)]
struct Changes {
    waiting: Mutex<VecDeque<Change>>,
    filled: Notify,
}

impl Changes {
    fn push(&self, change: Change) {
        self.waiting.lock().push_back(change);
        self.filled.notify_one();
    }

    async fn next(&self) -> Change {
        loop {
            if let Some(change) = self.waiting.lock().pop_front() {
                return change;
            }
            self.filled.notified().await;
        }
    }
}

/// Asks.
pub(super) struct Reader {
    feed: Arc<dyn FeedStore>,
    answers: mpsc::Sender<Answer>,
    changes: Arc<Changes>,
}

impl Reader {
    /// Of a store and a broker. The follower bounds how many questions are open.
    pub(super) fn new(
        feed: Arc<dyn FeedStore>,
        broker: Arc<dyn Broker>,
    ) -> (Self, mpsc::Receiver<Answer>) {
        let (answers, outcome) = mpsc::channel(ANSWERS_MAX);
        let changes = Arc::<Changes>::default();
        tokio::spawn(change(broker, Arc::clone(&changes), answers.clone()));
        (Self { feed, answers, changes }, outcome)
    }

    pub(super) fn subscribe(&self, channels: Vec<Topic>) {
        self.changes.push(Change::Subscribe(channels));
    }

    pub(super) fn unsubscribe(&self, channels: Vec<Topic>) {
        self.changes.push(Change::Unsubscribe(channels));
    }

    /// Asks for heads; of channels with a start, what is after that place is still to be delivered.
    pub(super) fn heads(&self, channels: Vec<Topic>, starts: Vec<(Topic, u64)>) {
        let (feed, answers) = (Arc::clone(&self.feed), self.answers.clone());
        tokio::spawn(async move {
            let answer = heads(&*feed, channels, &starts).await;
            // Fails only when the node has stopped.
            drop(answers.send(answer).await);
        });
    }

    pub(super) fn settled(&self) {
        let (feed, answers) = (Arc::clone(&self.feed), self.answers.clone());
        tokio::spawn(async move {
            // It is asked again with the next beat.
            if let Ok(pos) = feed.settled_pos().await {
                // As above.
                drop(answers.send(Answer::Settled(pos)).await);
            }
        });
    }

    pub(super) fn events(&self, stream: Topic, after: u64, limit: u32) {
        let (feed, answers) = (Arc::clone(&self.feed), self.answers.clone());
        tokio::spawn(async move {
            let answer = events(&*feed, stream, after, limit).await;
            // As above.
            drop(answers.send(answer).await);
        });
    }
}

async fn change(broker: Arc<dyn Broker>, changes: Arc<Changes>, answers: mpsc::Sender<Answer>) {
    while !answers.is_closed() {
        let change = tokio::select! {
            change = changes.next() => change,
            () = answers.closed() => return,
        };
        match change {
            Change::Subscribe(channels) => {
                let confirmed = broker.subscribe(channels.clone()).await;
                drop(answers.send(Answer::Subscribed(channels, confirmed)).await);
            }
            Change::Unsubscribe(channels) => broker.unsubscribe(channels).await,
        }
    }
}

async fn heads(feed: &dyn FeedStore, channels: Vec<Topic>, starts: &[(Topic, u64)]) -> Answer {
    let read = async {
        let mut heads = read_heads(feed, &channels).await?;
        let mut further = Vec::new();
        for (channel, pos) in starts {
            let Some((_, head)) = heads.iter_mut().find(|(stream, _)| stream == channel) else {
                continue;
            };
            let start = seq_at(feed, channel, (*head, *pos)).await?;
            if start < *head {
                further.push((channel.clone(), std::mem::replace(head, start)));
            }
        }
        Ok::<_, StoreError>(Answer::Heads { heads, further })
    };
    match read.await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(%error, "the heads of streams could not be read");
            Answer::HeadsFailed(channels)
        }
    }
}

/// Channels without a stream stand at 0 for ever.
async fn read_heads(
    feed: &dyn FeedStore,
    channels: &[Topic],
) -> Result<Vec<(Topic, u64)>, StoreError> {
    let streams: Vec<_> = channels.iter().map(streams::stream).collect();
    let durable: Vec<_> = streams.iter().flatten().cloned().collect();
    let read = if durable.is_empty() { Vec::new() } else { feed.heads(&durable).await? };
    let mut read = read.into_iter();
    let of = |stream: Option<_>| stream.and_then(|_| read.next()).unwrap_or(0);
    let heads: Vec<u64> = streams.into_iter().map(of).collect();
    Ok(channels.iter().cloned().zip(heads).collect())
}

/// Events looked through for a place; beyond, the stream is heard from there on.
const LOOK_BACK_MAX: u64 = 200;

/// The last `seq` of a stream at or before a place in the log, looked for from its head back.
async fn seq_at(
    feed: &dyn FeedStore,
    channel: &Topic,
    (head, pos): (u64, u64),
) -> Result<u64, StoreError> {
    let Some((tenant, stream)) = streams::stream(channel) else { return Ok(head) };
    let after = head.saturating_sub(LOOK_BACK_MAX);
    let read = feed.stream_events(&tenant, &stream, after, LOOK_BACK_MAX as u32).await?;
    let before = read.events.iter().filter(|event| event.pos <= pos);
    Ok(before.map(|event| event.seq).max().unwrap_or(after))
}

async fn events(feed: &dyn FeedStore, channel: Topic, after: u64, limit: u32) -> Answer {
    let Some((tenant, stream)) = streams::stream(&channel) else {
        return Answer::Events { stream: channel, events: Vec::new(), head: 0, gap: false };
    };
    match feed.stream_events(&tenant, &stream, after, limit).await {
        Ok(read) => Answer::Events {
            stream: channel,
            events: read.events,
            head: read.head_seq,
            gap: read.gap,
        },
        Err(error) => {
            tracing::warn!(%error, %channel, "missed events could not be read");
            Answer::EventsFailed(channel)
        }
    }
}
