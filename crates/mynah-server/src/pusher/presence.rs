//! Who is in a presence channel: users, each counted once whatever the number of sockets and nodes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mynah_hub::Frame;
use mynah_protocol::pusher::encode;
use mynah_protocol::pusher::presence::{Member, roster};
use serde_json::value::RawValue;

use super::frames;
use crate::cluster::people::Membership;

/// What a member brings along.
type Info = Option<Box<RawValue>>;

/// The members of one channel.
#[derive(Default)]
pub(super) struct Presence {
    members: HashMap<Arc<str>, Here>,
    /// Who is here by another door.
    at_home: HashSet<Arc<str>>,
    arrivals: u64,
    /// How many members are on this node.
    local: usize,
    /// What a newcomer is told; made again when somebody came or left.
    succeeded: Option<Frame>,
}

/// One member.
struct Here {
    info: Info,
    sockets: u32,
    /// Counts the members as they come.
    arrival: u64,
    /// Set while no socket is left and the member may still come back.
    fading: Option<u64>,
}

impl Here {
    /// Whether this node has the member. If not, another has: nobody else is on the list.
    fn is_local(&self) -> bool {
        self.sockets > 0 || self.fading.is_some()
    }
}

/// What a socket's coming changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The member is new.
    First(Arc<str>),
    /// The member is new on this node.
    Local(Arc<str>),
    /// The member was there, or had just gone.
    Again(Arc<str>),
}

impl Came {
    pub(super) fn user_id(&self) -> &Arc<str> {
        match self {
            Self::First(id) | Self::Local(id) | Self::Again(id) => id,
        }
    }
}

/// From where a member has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// From everywhere.
    Everywhere,
    /// From this node; another has the member.
    Here,
}

impl Presence {
    /// Nobody here; these elsewhere.
    pub(super) fn with(others: &[Membership]) -> Self {
        let mut presence = Self::default();
        for member in others {
            presence.elsewhere(member, true);
        }
        presence
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether no member is on this node.
    pub(super) fn is_deserted(&self) -> bool {
        self.local == 0
    }

    /// How many are here by another door.
    pub(super) fn at_home_count(&self) -> u64 {
        self.at_home.len() as u64
    }

    /// Other nodes have a member, or none of them has; `true` if the list has changed by it.
    pub(super) fn elsewhere(&mut self, member: &Membership, is_there: bool) -> bool {
        if let Some(here) = self.members.get(&member.user_id) {
            return !here.is_local() && !is_there && self.remove(&member.user_id);
        }
        if is_there {
            let info = member.info.as_deref().map(RawValue::to_owned);
            self.insert(Arc::clone(&member.user_id), info, 0);
        }
        is_there
    }

    fn insert(&mut self, id: Arc<str>, info: Info, sockets: u32) {
        let here = Here { info, sockets, arrival: self.arrivals, fading: None };
        self.arrivals += 1;
        self.members.insert(id, here);
        self.succeeded = None;
    }

    /// A socket of a member came. `None`: the member is new and there are `members_max`.
    pub(super) fn came(&mut self, member: &Member, members_max: usize) -> Option<Came> {
        if let Some((id, _)) = self.members.get_key_value(member.user_id.as_str()) {
            let id = Arc::clone(id);
            let here = self.members.get_mut(&id)?;
            let was_local = here.is_local();
            here.sockets = here.sockets.saturating_add(1);
            if here.fading.take().is_some()
                && !is_same(here.info.as_deref(), member.user_info.as_deref())
            {
                here.info.clone_from(&member.user_info);
                self.succeeded = None;
            }
            if !was_local {
                self.local += 1;
                return Some(Came::Local(id));
            }
            return Some(Came::Again(id));
        }
        if self.members.len() >= members_max {
            return None;
        }
        let id: Arc<str> = member.user_id.as_str().into();
        self.insert(Arc::clone(&id), member.user_info.clone(), 1);
        self.local += 1;
        Some(Came::First(id))
    }

    /// A socket of a member left of its own will; from where the member left with it, if so. `is_last` is
    /// asked then whether no other node has the member.
    pub(super) fn left(&mut self, user_id: &str, is_last: impl FnOnce() -> bool) -> Option<Gone> {
        let here = self.members.get_mut(user_id).filter(|here| here.is_local())?;
        here.sockets = here.sockets.saturating_sub(1);
        let leaves = here.sockets == 0 && here.fading.is_none();
        leaves.then(|| self.remove_local(user_id, is_last()))
    }

    /// A socket of a member is gone; `true` if it was the last: then [`Self::faded`] ends the
    /// membership if nobody comes before.
    pub(super) fn lost(&mut self, user_id: &str, ticket: u64) -> bool {
        let Some(here) = self.members.get_mut(user_id) else { return false };
        let fades = here.sockets == 1 && here.fading.is_none();
        here.sockets = here.sockets.saturating_sub(1);
        if fades {
            here.fading = Some(ticket);
        }
        fades
    }

    /// The time to come back is over; from where the member left, if so. `is_last` as above.
    pub(super) fn faded(
        &mut self,
        user_id: &str,
        ticket: u64,
        is_last: impl FnOnce() -> bool,
    ) -> Option<Gone> {
        let here = self.members.get_mut(user_id).filter(|here| here.fading == Some(ticket))?;
        here.fading = None;
        Some(self.remove_local(user_id, is_last()))
    }

    /// A member whose last socket here is gone leaves.
    fn remove_local(&mut self, user_id: &str, is_last: bool) -> Gone {
        self.local = self.local.saturating_sub(1);
        if !is_last {
            return Gone::Here;
        }
        self.remove(user_id);
        Gone::Everywhere
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
        assert_eq!(presence.left("a", || true), None, "one socket is left");
        assert_eq!(presence.left("a", || true), Some(Gone::Everywhere));
        assert_eq!(presence.left("a", || true), None, "nobody leaves twice");
        assert_eq!(ids(&presence), ["b"]);
    }

    #[test]
    fn whoever_comes_back_in_time_never_left() {
        let mut presence = Presence::default();
        presence.came(&member("a", Some("1")), 10);
        assert!(presence.lost("a", 7));
        assert!(!presence.lost("a", 8), "fades once");
        assert_eq!(presence.came(&member("a", Some("2")), 10), Some(Came::Again("a".into())));
        assert_eq!(presence.faded("a", 7, || true), None);
        assert_eq!(presence.all()[0].user_info.as_ref().unwrap().get(), "2");
        assert!(presence.lost("a", 9));
        assert_eq!(presence.faded("a", 7, || true), None, "an earlier absence");
        assert_eq!(presence.faded("a", 9, || true), Some(Gone::Everywhere));
        assert!(presence.is_deserted());
        assert_eq!(presence.len(), 0);
    }

    fn elsewhere(id: &str) -> Membership {
        let (app, channel) = (mynah_domain::AppId::trusted("app"), "presence-x".into());
        Membership { app, channel, user_id: id.into(), info: None }
    }

    #[test]
    fn a_member_is_there_as_long_as_any_node_has_it() {
        let mut presence = Presence::with(&[elsewhere("a")]);
        assert!(presence.is_deserted());
        assert_eq!(presence.came(&member("a", None), 1), Some(Came::Local("a".into())));
        assert!(!presence.elsewhere(&elsewhere("a"), false), "still here");
        assert!(presence.elsewhere(&elsewhere("b"), true));
        assert_eq!(presence.left("a", || false), Some(Gone::Here));
        assert_eq!(presence.left("a", || true), None);
        assert!(presence.is_deserted());
        assert_eq!(ids(&presence), ["a", "b"]);
        assert!(presence.elsewhere(&elsewhere("a"), false));
        assert!(!presence.elsewhere(&elsewhere("a"), false));
        presence.came(&member("b", None), 1);
        assert!(presence.lost("b", 1));
        assert!(!presence.elsewhere(&elsewhere("b"), false), "may come back");
        assert_eq!(presence.faded("b", 1, || true), Some(Gone::Everywhere));
        assert_eq!(presence.len(), 0);
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
        presence.left("b", || true);
        assert!(presence.succeeded("presence-x").len() < frame.len());
    }
}
