//! Who is in a presence channel: users, each counted once whatever the number of sockets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mynah_hub::Frame;
use mynah_protocol::pusher::encode;
use mynah_protocol::pusher::presence::{Member, roster};
use serde_json::value::RawValue;

use super::frames;

/// The members of one channel.
#[derive(Default)]
pub(super) struct Presence {
    members: HashMap<Arc<str>, Here>,
    /// Who is here by another door.
    at_home: HashSet<Arc<str>>,
    arrivals: u64,
    /// What a newcomer is told; made again when somebody came or left.
    succeeded: Option<Frame>,
}

/// One member.
struct Here {
    info: Option<Box<RawValue>>,
    sockets: u32,
    /// Counts the members as they come.
    arrival: u64,
    /// Set while no socket is left and the member may still come back.
    fading: Option<u64>,
}

/// What a socket's coming changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The member is new.
    First(Arc<str>),
    /// The member was there, or had just gone.
    Again(Arc<str>),
}

impl Came {
    pub(super) fn user_id(&self) -> &Arc<str> {
        match self {
            Self::First(id) | Self::Again(id) => id,
        }
    }
}

impl Presence {
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A socket of a member came. `None`: the member is new and there are `members_max`.
    pub(super) fn came(&mut self, member: &Member, members_max: usize) -> Option<Came> {
        if let Some((id, _)) = self.members.get_key_value(member.user_id.as_str()) {
            let id = Arc::clone(id);
            let here = self.members.get_mut(&id)?;
            here.sockets = here.sockets.saturating_add(1);
            if here.fading.take().is_some()
                && !is_same(here.info.as_deref(), member.user_info.as_deref())
            {
                here.info.clone_from(&member.user_info);
                self.succeeded = None;
            }
            return Some(Came::Again(id));
        }
        if self.members.len() >= members_max {
            return None;
        }
        let id: Arc<str> = member.user_id.as_str().into();
        let here = Here {
            info: member.user_info.clone(),
            sockets: 1,
            arrival: self.arrivals,
            fading: None,
        };
        self.arrivals += 1;
        self.members.insert(Arc::clone(&id), here);
        self.succeeded = None;
        Some(Came::First(id))
    }

    /// A socket of a member left of its own will; `true` if the member left with it.
    pub(super) fn left(&mut self, user_id: &str) -> bool {
        let Some(here) = self.members.get_mut(user_id) else { return false };
        here.sockets = here.sockets.saturating_sub(1);
        here.sockets == 0 && here.fading.is_none() && self.remove(user_id)
    }

    /// A socket of a member is gone; `true` if it was the last: then [`Self::faded`] ends the
    /// membership if nobody comes before.
    pub(super) fn lost(&mut self, user_id: &str, ticket: u64) -> bool {
        let Some(here) = self.members.get_mut(user_id) else { return false };
        here.sockets = here.sockets.saturating_sub(1);
        let fades = here.sockets == 0 && here.fading.is_none();
        if fades {
            here.fading = Some(ticket);
        }
        fades
    }

    /// The time to come back is over; `true` if the member left.
    pub(super) fn faded(&mut self, user_id: &str, ticket: u64) -> bool {
        let fades = self.members.get(user_id).is_some_and(|here| here.fading == Some(ticket));
        fades && self.remove(user_id)
    }

    /// A member came by another door.
    pub(super) fn came_home(&mut self, user_id: &Arc<str>) {
        self.at_home.insert(Arc::clone(user_id));
    }

    /// Whether a member is here by another door.
    pub(super) fn is_at_home(&self, user_id: &str) -> bool {
        self.at_home.contains(user_id)
    }

    /// Who is here by another door.
    pub(super) fn at_home(&self) -> Vec<Arc<str>> {
        self.at_home.iter().cloned().collect()
    }

    /// A member went by another door; `None` if none was here.
    pub(super) fn left_home(&mut self, user_id: &str) -> Option<Arc<str>> {
        self.at_home.take(user_id)
    }

    fn remove(&mut self, user_id: &str) -> bool {
        self.succeeded = None;
        self.members.remove(user_id).is_some()
    }

    /// Everybody, in the order of arrival.
    pub(super) fn all(&self) -> Vec<Member> {
        let member = |(id, info): (&str, Option<&RawValue>)| Member {
            user_id: id.to_owned(),
            user_info: info.map(RawValue::to_owned),
        };
        self.in_order().into_iter().map(member).collect()
    }

    fn in_order(&self) -> Vec<(&str, Option<&RawValue>)> {
        let mut all: Vec<_> = self.members.iter().collect();
        all.sort_unstable_by_key(|(_, here)| here.arrival);
        all.into_iter().map(|(id, here)| (&**id, here.info.as_deref())).collect()
    }

    /// `subscription_succeeded` with everybody; one frame for all who come while nothing changes.
    pub(super) fn succeeded(&mut self, channel: &str) -> Frame {
        if let Some(frame) = &self.succeeded {
            return frame.clone();
        }
        let roster = roster(self.in_order());
        let frame = frames::text(|out| encode::subscription_succeeded(channel, Some(&roster), out));
        self.succeeded = Some(frame.clone());
        frame
    }
}

fn is_same(one: Option<&RawValue>, other: Option<&RawValue>) -> bool {
    one.map(RawValue::get) == other.map(RawValue::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, info: Option<&str>) -> Member {
        let user_info = info.map(|text| RawValue::from_string(text.to_owned()).unwrap());
        Member { user_id: id.to_owned(), user_info }
    }

    fn ids(presence: &Presence) -> Vec<String> {
        presence.all().into_iter().map(|member| member.user_id).collect()
    }

    #[test]
    fn a_member_is_there_from_the_first_socket_to_the_last() {
        let mut presence = Presence::default();
        assert_eq!(presence.came(&member("a", None), 10), Some(Came::First("a".into())));
        assert_eq!(presence.came(&member("a", None), 10), Some(Came::Again("a".into())));
        presence.came(&member("b", None), 10);
        assert_eq!(ids(&presence), ["a", "b"]);
        assert!(!presence.left("a"), "one socket is left");
        assert!(presence.left("a"));
        assert!(!presence.left("a"), "nobody leaves twice");
        assert_eq!(ids(&presence), ["b"]);
    }

    #[test]
    fn whoever_comes_back_in_time_never_left() {
        let mut presence = Presence::default();
        presence.came(&member("a", Some("1")), 10);
        assert!(presence.lost("a", 7));
        assert!(!presence.lost("a", 8), "fades once");
        assert_eq!(presence.came(&member("a", Some("2")), 10), Some(Came::Again("a".into())));
        assert!(!presence.faded("a", 7));
        assert_eq!(presence.all()[0].user_info.as_ref().unwrap().get(), "2");
        assert!(presence.lost("a", 9));
        assert!(!presence.faded("a", 7), "an earlier absence");
        assert!(presence.faded("a", 9));
        assert!(presence.is_empty());
    }

    #[test]
    fn the_ceiling_is_for_new_members() {
        let mut presence = Presence::default();
        presence.came(&member("a", None), 2);
        presence.came(&member("b", None), 2);
        assert_eq!(presence.came(&member("c", None), 2), None);
        assert_eq!(presence.came(&member("b", None), 2), Some(Came::Again("b".into())));
        assert_eq!(presence.len(), 2);
    }

    #[test]
    fn the_list_is_made_once_for_each_membership() {
        let mut presence = Presence::default();
        presence.came(&member("a", None), 10);
        presence.came(&member("b", Some("{}")), 10);
        let frame = presence.succeeded("presence-x");
        let text = String::from_utf8_lossy(frame.stream()).into_owned();
        assert!(text.contains(r#"\"ids\":[\"a\",\"b\"]"#), "{text}");
        assert!(text.contains(r#"\"hash\":{\"a\":null,\"b\":{}},\"count\":2"#), "{text}");
        presence.came(&member("a", None), 10);
        let again = presence.succeeded("presence-x");
        assert_eq!(again.stream().as_ptr(), frame.stream().as_ptr());
        presence.left("b");
        assert!(presence.succeeded("presence-x").len() < frame.len());
    }
}
