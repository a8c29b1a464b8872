//! What the node asks of store and broker, without waiting for the answers.

use std::collections::VecDeque;
use std::sync::Arc;

use mynah_domain::event::Event;
use mynah_domain::ports::FeedStore;
use mynah_hub::{Broker, Topic};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::streams;

/// What came of a question.
pub(super) enum Answer {
    /// The broker has confirmed these channels, or cannot.
    Subscribed(Vec<Topic>, bool),
    /// Where streams stand.
    Heads(Vec<(Topic, u64)>),
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

    pub(super) fn heads(&self, channels: Vec<Topic>) {
        let (feed, answers) = (Arc::clone(&self.feed), self.answers.clone());
        tokio::spawn(async move {
            let answer = heads(&*feed, channels).await;
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

/// Channels without a stream stand at 0 for ever.
async fn heads(feed: &dyn FeedStore, channels: Vec<Topic>) -> Answer {
    let streams: Vec<_> = channels.iter().map(streams::stream).collect();
    let durable: Vec<_> = streams.iter().flatten().cloned().collect();
    let read = if durable.is_empty() { Ok(Vec::new()) } else { feed.heads(&durable).await };
    match read {
        Ok(read) => {
            let mut read = read.into_iter();
            let of = |stream: Option<_>| stream.and_then(|_| read.next()).unwrap_or(0);
            let heads: Vec<u64> = streams.into_iter().map(of).collect();
            Answer::Heads(channels.into_iter().zip(heads).collect())
        }
        Err(error) => {
            tracing::warn!(%error, "the heads of streams could not be read");
            Answer::HeadsFailed(channels)
        }
    }
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
