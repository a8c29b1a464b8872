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
//! * whose message is the last thing the client has seen, so that the answer may be lost, in the same time,
//!   if it is the very next one by number;
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
    /// The client came back, and it is the last it has seen.
    SeenLast(Instant),
    /// It was begun on this connection.
    Begun(Instant, Answered),
}

#[derive(Debug)]
struct Sent {
    print: u64,
    number: u64,
    client_id: String,
    since: Since,
}

/// The sends of one socket that may come again.
#[derive(Debug, Default)]
pub(super) struct Retries(Vec<Sent>);

/// The id and the content's fingerprint of a send.
pub(super) struct Derived {
    print: u64,
    number: u64,
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
    Derived { print, number, client_id }
}

/// What the client id of a message says that a client object sent without one.
fn read_derived(origin: Origin, event: &Event) -> Option<Derived> {
    let Fact::MessageCreated { message } = &event.fact else { return None };
    let client_id = message.client_id.as_ref()?;
    let own = client_id.strip_prefix(SESSION_CLIENT_ID_MARK)?;
    let (number, print) = own.strip_prefix(&format!("{origin}."))?.split_once('.')?;
    let print = u64::from_str_radix(print, 16).ok()?;
    Some(Derived { print, number: number.parse().ok()?, client_id: client_id.clone() })
}

impl Retries {
    /// Those of the events a client missed that it sent itself, and the last one it has seen, if so.
    pub(super) fn of_missed(
        origin: Origin,
        (seen_last, missed): (Option<&Event>, &[Event]),
        now: Instant,
    ) -> Self {
        let as_sent = |event, since| {
            let Derived { print, number, client_id } = read_derived(origin, event)?;
            Some(Sent { print, number, client_id, since })
        };
        let last = seen_last.and_then(|event| as_sent(event, Since::SeenLast(now)));
        let missed = missed.iter().filter_map(|event| as_sent(event, Since::Unseen(now)));
        Self(last.into_iter().chain(missed).take(REMEMBERED_MAX).collect())
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id for a send: that of the earlier one if it repeats one. Tell the counter when it is answered.
    pub(super) fn id_for(&mut self, derived: Derived, now: Instant) -> (String, Answered) {
        self.0.retain(|sent| sent.may_come_again(now));
        let Derived { print, number, client_id } = derived;
        let is_known = |sent: &Sent| sent.print == print && sent.is_repeated(number, now);
        let known = self.0.iter().position(is_known);
        let client_id = match known {
            Some(at) => self.0.swap_remove(at).client_id,
            None => client_id,
        };
        if self.0.len() >= REMEMBERED_MAX {
            self.0.remove(0);
        }
        let answered = Answered::default();
        let since = Since::Begun(now, Arc::clone(&answered));
        self.0.push(Sent { print, number, client_id: client_id.clone(), since });
        (client_id, answered)
    }
}

impl Sent {
    fn may_come_again(&self, now: Instant) -> bool {
        match &self.since {
            Since::Unseen(at) | Since::SeenLast(at) => now.duration_since(*at) < AFTER_RECONNECT,
            Since::Begun(at, answered) => match answered.load(Ordering::Acquire) {
                0 => true,
                after_ms => {
                    let took = Duration::from_millis(after_ms);
                    took >= SLOW && now.duration_since(*at) < took + AFTER_SLOW_ANSWER
                }
            },
        }
    }

    fn is_repeated(&self, number: u64, now: Instant) -> bool {
        match &self.since {
            Since::Unseen(_) => true,
            Since::SeenLast(_) => number <= self.number + 1,
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

    fn stored(origin: Origin, number: u64, text: &str) -> Event {
        use mynah_domain::event::Stream;
        use mynah_domain::message::Message;
        use mynah_domain::room::Profile;
        use mynah_domain::{MessageId, RoomId, TenantId, UserId};
        let (tenant, room) = (TenantId::single(), RoomId::trusted("r"));
        let sender = Profile {
            id: UserId::trusted("ann"),
            username: "ann".to_owned(),
            name: "Ann".to_owned(),
        };
        let message = Message {
            id: MessageId::trusted("m"),
            tenant: tenant.clone(),
            room: room.clone(),
            seq: 1,
            number: 1,
            sender: Arc::new(sender),
            kind: "text".to_owned(),
            content: text.to_owned(),
            metadata: None,
            reply_to: None,
            client_id: Some(derive(origin, number, &incoming(text)).client_id),
            edit_count: 0,
            edited_at: None,
            deleted_at: None,
            created_at: Timestamp(0),
        };
        Event {
            origin: 0,
            pos: 1,
            stream: Stream::Room(room),
            seq: 1,
            tenant,
            actor: None,
            at: Timestamp(0),
            fact: Fact::MessageCreated { message: Arc::new(message) },
        }
    }

    #[test]
    fn what_was_missed_is_repeated_once_for_a_while() {
        let (origin, other, now) =
            (origin(), Recovery::issue(None, 0, Timestamp(0)).origin, Instant::now());
        let missed = [stored(origin, 7, "ok"), stored(other, 3, "no")];
        let retries = || Retries::of_missed(origin, (None, &missed), now);
        let first = derive(origin, 7, &incoming("ok")).client_id;
        let mut known = retries();
        assert_eq!(known.id_for(derive(origin, 9, &incoming("ok")), now).0, first);
        assert_ne!(known.id_for(derive(origin, 10, &incoming("ok")), now).0, first);
        let theirs = derive(other, 3, &incoming("no")).client_id;
        assert_ne!(known.id_for(derive(origin, 11, &incoming("no")), now).0, theirs);
        let late = now + AFTER_RECONNECT;
        assert_ne!(retries().id_for(derive(origin, 9, &incoming("ok")), late).0, first);
    }

    #[test]
    fn the_last_that_was_seen_is_repeated_only_by_the_very_next() {
        let (origin, now) = (origin(), Instant::now());
        let seen = stored(origin, 7, "ok");
        let retries = || Retries::of_missed(origin, (Some(&seen), &[]), now);
        let first = derive(origin, 7, &incoming("ok")).client_id;
        assert_eq!(retries().id_for(derive(origin, 8, &incoming("ok")), now).0, first);
        assert_ne!(retries().id_for(derive(origin, 9, &incoming("ok")), now).0, first);
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
