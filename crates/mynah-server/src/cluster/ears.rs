//! What a node does when others speak of anything but events.

use std::time::Duration;

use mynah_domain::ports::{AccountStore, Clock};
use std::sync::Arc;
use tokio::sync::mpsc;

use super::interests::Interests;
use super::node::Word;
use super::voice::Voice;
use crate::live::Live;
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
}

impl Ears {
    /// Acts on one word after the other.
    pub async fn listen(self, mut words: mpsc::Receiver<Word>) {
        while let Some(word) = words.recv().await {
            match word {
                Word::Told(told) => self.live.heard(told).await,
                Word::Control(control) => self.sockets.obey(control).await,
                Word::Channel(..) | Word::People(..) | Word::NodeCame(_) | Word::NodeGone(_) => {}
            }
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
                        sockets.obey(super::wire::Control::EndSignIn(family)).await;
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
