//! What a node does when others speak of anything but events.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mynah_domain::ports::{AccountStore, Clock};
use tokio::sync::mpsc;

use crate::cluster::interests::Interests;
use crate::cluster::node::{NodeStats, Word};
use crate::cluster::people::{Crowd, Who};
use crate::cluster::voice::Voice;
use crate::cluster::wire::Control;
use crate::live::Live;
use crate::pusher::Channels;
use crate::sockets::Sockets;

/// How often sign-ins are compared with the store: a word that was lost is made up for.
const SIGN_INS_EVERY: Duration = Duration::from_secs(30);
/// The same while the broker is down, when no word comes.
const SIGN_INS_EVERY_WHEN_DEAF: Duration = Duration::from_secs(5);
/// Sign-ins asked for at once.
const SIGN_INS_MAX: usize = 1_000;

/// Who acts on what is said.
pub struct Ears {
    /// Typing, receipts, presence.
    pub live: Live,
    /// Connections.
    pub sockets: Sockets,
    /// Who is where.
    pub crowd: Crowd,
    /// Pusher channels.
    pub channels: Channels,
    /// Where what cannot be read is counted.
    pub stats: Arc<NodeStats>,
}

impl Ears {
    /// Acts on one word after the other.
    pub async fn listen(self, mut words: mpsc::Receiver<Word>) {
        let news =
            tokio::spawn(tell_news(self.crowd.clone(), self.live.clone(), self.channels.clone()));
        let digests = tokio::spawn(self.crowd.clone().keep());
        while let Some(word) = words.recv().await {
            if self.act(word).await.is_none() {
                self.stats.garbage.fetch_add(1, Ordering::Relaxed);
            }
        }
        news.abort();
        digests.abort();
    }

    /// `None`: it cannot be understood.
    async fn act(&self, word: Word) -> Option<()> {
        match word {
            Word::Told(told) => self.live.heard(told).await,
            Word::Control(control) => self.sockets.obey(control).await,
            Word::Channel(_, body) => return self.channels.heard(body).await,
            Word::People(from, body) => {
                self.crowd.room().await;
                return self.crowd.heard(from, &body);
            }
            Word::NodeCame(slot) => self.crowd.node_came(slot),
            Word::NodeGone(slot, epoch) => self.crowd.node_gone(slot, epoch),
        }
        Some(())
    }
}

/// Passes on who came and went, in order, to those whom it concerns.
async fn tell_news(crowd: Crowd, live: Live, channels: Channels) {
    loop {
        let news = crowd.next_news().await;
        match news.who.clone() {
            Who::User(tenant, user) => live.learned((tenant, user), &news).await,
            Who::SignedIn(..) | Who::Channel(..) | Who::Member(_) => channels.learned(news).await,
        }
    }
}

/// Ends the connections of sign-ins that were ended elsewhere without a word of it coming here.
pub async fn watch_sign_ins(
    (interests, voice): (Interests, Voice),
    (accounts, clock): (Arc<dyn AccountStore>, Arc<dyn Clock>),
    sockets: Sockets,
) {
    let mut since = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(SIGN_INS_EVERY_WHEN_DEAF).await;
        if voice.broker().stats().is_up && since.elapsed() < SIGN_INS_EVERY {
            continue;
        }
        since = tokio::time::Instant::now();
        for some in interests.sign_ins().chunks(SIGN_INS_MAX) {
            match accounts.ended_sessions(some, clock.now()).await {
                Ok(ended) => {
                    for family in ended {
                        sockets.obey(Control::EndSignIn(family)).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "sign-ins could not be compared with the store");
                    break;
                }
            }
        }
    }
}
