//! Sends that a client may repeat without saying so.
//!
//! socket.io-client with `retries` sends an event again when its acknowledgement does not come in time, or
//! after a reconnect. Versions from 4.6.1 number every try anew, so the number alone does not tell a repeat
//! from a second message with the same text. What does: the client had not been answered. A send without a
//! client id of its own therefore gets one made of who sent it, its number and its content, and a later equal
//! send takes the id of an earlier one
//!
//! * whose message the client has not seen, as the place it recovers from shows (its own copy comes before
//!   the answer), in the first seconds of the connection, when the library repeats what it has waiting;
//! * that was begun on the same connection some time ago and is not, or only just now, answered.
//!
//! Equal messages sent on purpose follow an answer, or one another within moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mynah_domain::event::{Event, Fact};
use mynah_domain::message::SESSION_CLIENT_ID_MARK;

use crate::recovery::Origin;
use crate::socket_io::Incoming;

/// How long after a reconnect an equal send is taken for a repeat.
const AFTER_RECONNECT: Duration = Duration::from_secs(10);
/// From when on an equal send beside an unanswered one is taken for a repeat.
const SLOW: Duration = Duration::from_millis(500);
/// How long a slow answer may be on its way while the client repeats.
const AFTER_SLOW_ANSWER: Duration = Duration::from_secs(5);
/// Sends remembered for one socket; beyond, the oldest is forgotten.
const REMEMBERED_MAX: usize = 128;

/// When a send was answered, in milliseconds after it began; 0 before.
pub(super) type Answered = Arc<AtomicU64>;

#[derive(Debug)]
enum Since {
    /// The client came back without having seen it.
    Unseen(Instant),
    /// It was begun on this connection.
    Begun(Instant, Answered),
}

#[derive(Debug)]
struct Sent {
    print: u64,
    client_id: String,
    since: Since,
}

/// The sends of one socket that may come again.
#[derive(Debug, Default)]
pub(super) struct Retries(Vec<Sent>);

/// The id and the content's fingerprint of a send.
pub(super) struct Derived {
    print: u64,
    client_id: String,
}

/// The id of a send that has none of its own.
pub(super) fn derive(origin: Origin, number: u64, incoming: &Incoming) -> Derived {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    context.update(incoming.event.as_bytes());
    context.update(b"\n");
    context.update(incoming.arguments.joined().as_bytes());
    let digest = context.finish();
    let print = digest.as_ref().first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    let client_id = format!("{SESSION_CLIENT_ID_MARK}{origin}.{number}.{print:016x}");
    Derived { print, client_id }
}

impl Retries {
    /// Those of the events a client missed that it sent itself.
    pub(super) fn unseen(origin: Origin, missed: &[Event], now: Instant) -> Self {
        let own = format!("{SESSION_CLIENT_ID_MARK}{origin}.");
        let sent = missed.iter().filter_map(|event| {
            let Fact::MessageCreated { message } = &event.fact else { return None };
            let client_id = message.client_id.as_ref().filter(|id| id.starts_with(&own))?;
            let print = u64::from_str_radix(client_id.rsplit('.').next()?, 16).ok()?;
            Some(Sent { print, client_id: client_id.clone(), since: Since::Unseen(now) })
        });
        Self(sent.take(REMEMBERED_MAX).collect())
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id for a send: that of the earlier one if it repeats one. Tell the counter when it is answered.
    pub(super) fn id_for(&mut self, derived: Derived, now: Instant) -> (String, Answered) {
        self.0.retain(|sent| sent.may_come_again(now));
        let Derived { print, client_id } = derived;
        let known = self.0.iter().position(|sent| sent.print == print && sent.is_repeated(now));
        let client_id = match known {
            Some(at) => self.0.swap_remove(at).client_id,
            None => client_id,
        };
        if self.0.len() >= REMEMBERED_MAX {
            self.0.remove(0);
        }
        let answered = Answered::default();
        let since = Since::Begun(now, Arc::clone(&answered));
        self.0.push(Sent { print, client_id: client_id.clone(), since });
        (client_id, answered)
    }
}

impl Sent {
    fn may_come_again(&self, now: Instant) -> bool {
        match &self.since {
            Since::Unseen(at) => now.duration_since(*at) < AFTER_RECONNECT,
            Since::Begun(at, answered) => match answered.load(Ordering::Acquire) {
                0 => true,
                after_ms => {
                    let took = Duration::from_millis(after_ms);
                    took >= SLOW && now.duration_since(*at) < took + AFTER_SLOW_ANSWER
                }
            },
        }
    }

    fn is_repeated(&self, now: Instant) -> bool {
        match &self.since {
            Since::Unseen(_) => true,
            Since::Begun(at, _) => now.duration_since(*at) >= SLOW,
        }
    }
}

/// Notes that a send which began at `began` is answered.
pub(super) fn answered(answered: &Answered, began: Instant) {
    let after_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    answered.store(after_ms, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use mynah_domain::Timestamp;
    use mynah_protocol::socket_io::{Decoder, Limits, Packet};

    use super::*;
    use crate::recovery::Recovery;

    fn incoming(content: &str) -> Incoming {
        let packet = format!("21[\"sendMessage\",{{\"content\":\"{content}\"}}]");
        let packet = Decoder::new(Limits::default()).text(&packet).unwrap().unwrap();
        let Packet::Event { args, id, .. } = packet else { panic!() };
        let event = "sendMessage".to_owned();
        Incoming { event, arguments: args, attachments: Vec::new(), ack: id }
    }

    fn origin() -> Origin {
        Recovery::issue(None, 0, Timestamp(0)).origin
    }

    #[test]
    fn the_same_number_and_content_is_the_same_send() {
        let origin = origin();
        let id = |number, text| derive(origin, number, &incoming(text)).client_id;
        assert_eq!(id(3, "hi"), id(3, "hi"));
        assert_ne!(id(3, "hi"), id(4, "hi"));
        assert_ne!(id(3, "hi"), id(3, "ho"), "a number used for two things");
    }

    #[test]
    fn equal_messages_on_purpose_stay_two() {
        let (origin, mut retries, now) = (origin(), Retries::default(), Instant::now());
        let (first, answer) = retries.id_for(derive(origin, 1, &incoming("ok")), now);
        let (second, _) = retries.id_for(derive(origin, 2, &incoming("ok")), now);
        assert_ne!(first, second, "sent in one go");
        answer.store(3, Ordering::Release);
        let later = now + Duration::from_secs(30);
        let mut retries = Retries(retries.0.drain(..1).collect());
        let (third, _) = retries.id_for(derive(origin, 3, &incoming("ok")), later);
        assert_ne!(first, third, "after the answer");
    }

    #[test]
    fn a_send_without_answer_is_repeated() {
        let (origin, mut retries, now) = (origin(), Retries::default(), Instant::now());
        let (first, answer) = retries.id_for(derive(origin, 1, &incoming("ok")), now);
        let later = now + Duration::from_secs(2);
        let (again, _) = retries.id_for(derive(origin, 2, &incoming("ok")), later);
        assert_eq!(first, again);
        let (other, _) = retries.id_for(derive(origin, 3, &incoming("no")), later);
        assert_ne!(first, other);
        answer.store(2_500, Ordering::Release);
        let crossing = now + Duration::from_secs(3);
        let (crossed, _) = retries.id_for(derive(origin, 4, &incoming("ok")), crossing);
        assert_eq!(first, crossed, "the answer was on its way");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (origin, mut retries, now) = (origin(), Retries::default(), Instant::now());
        for number in 0..1_000 {
            drop(retries.id_for(derive(origin, number, &incoming(&number.to_string())), now));
        }
        assert_eq!(retries.0.len(), REMEMBERED_MAX);
    }
}
