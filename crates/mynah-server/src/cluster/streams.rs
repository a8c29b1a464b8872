//! Streams by the names of their channels.

use mynah_domain::event::{Event, Stream};
use mynah_domain::{RoomId, TenantId, UserId};
use mynah_hub::Topic;

use crate::topics;

/// The channel that every node hears.
pub fn common() -> Topic {
    Topic::new("all")
}

/// The channel of a stream.
pub fn channel(tenant: &TenantId, stream: &Stream) -> Topic {
    match stream {
        Stream::Room(room) => topics::room(room),
        Stream::User(user) => inbox(tenant, user),
    }
}

/// The channel of an event.
pub fn channel_of(event: &Event) -> Topic {
    channel(&event.tenant, &event.stream)
}

fn inbox(tenant: &TenantId, user: &UserId) -> Topic {
    Topic::new(format!("i:{}", topics::person(tenant, user)))
}

/// The channel that a topic of the hub is fed from; `None` for topics that only this node knows. Sign-ins are
/// ended by a word to all nodes.
pub fn feeding(topic: &Topic) -> Option<Topic> {
    let (kind, rest) = topic.as_str().split_once(':')?;
    match kind {
        "r" | "p" => Some(topic.clone()),
        "u" | "v" => Some(Topic::new(format!("i:{rest}"))),
        _ => None,
    }
}

/// The topics of the hub that a channel feeds.
pub fn fed_by(channel: &Topic) -> Vec<Topic> {
    match channel.as_str().strip_prefix("i:") {
        Some(person) => vec![Topic::new(format!("u:{person}")), Topic::new(format!("v:{person}"))],
        None => vec![channel.clone()],
    }
}

/// The stream behind a channel; `None` if nothing durable is said there.
pub fn stream(channel: &Topic) -> Option<(TenantId, Stream)> {
    let (kind, rest) = channel.as_str().split_once(':')?;
    match kind {
        "r" => Some((TenantId::single(), Stream::Room(RoomId::trusted(rest)))),
        "i" => {
            let (tenant, user) = topics::read_person(rest)?;
            Some((tenant, Stream::User(user)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_topics_of_a_user_are_fed_from_the_inbox() {
        let (tenant, user) = (TenantId::trusted("t:1"), UserId::trusted("a:b"));
        let inbox = channel(&tenant, &Stream::User(user.clone()));
        for topic in [topics::user_everywhere(&tenant, &user), topics::user_by_room(&tenant, &user)]
        {
            assert_eq!(feeding(&topic), Some(inbox.clone()));
            assert!(fed_by(&inbox).contains(&topic));
        }
        assert_eq!(stream(&inbox), Some((tenant, Stream::User(user))));
    }

    #[test]
    fn rooms_are_their_own_channels_and_the_rest_is_local() {
        let room = RoomId::trusted("r:1");
        let topic = topics::room(&room);
        assert_eq!(feeding(&topic), Some(topic.clone()));
        assert_eq!(stream(&topic).map(|(_, stream)| stream), Some(Stream::Room(room)));
        assert_eq!(feeding(&Topic::new("f:family")), None);
        assert_eq!(stream(&common()), None);
    }
}
