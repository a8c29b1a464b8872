//! Who may be present on nodes, and how nodes say so to each other: compact JSON. What cannot be read is
//! nothing.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use mynah_domain::{AppId, TenantId, Timestamp, UserId};
use mynah_hub::cluster::{Delta, Digest, Part};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What is present on a node or is not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// A user of the chat.
    User(TenantId, UserId),
    /// A user that has signed in over Pusher.
    SignedIn(AppId, Arc<str>),
    /// A Pusher channel, as somebody is subscribed.
    Channel(AppId, Arc<str>),
    /// A member of a presence channel.
    Member(Membership),
}

/// A member of a presence channel. Two are the same whatever they say of themselves.
#[derive(Debug, Clone)]
pub struct Membership {
    /// Of which app.
    pub app: AppId,
    /// Which channel.
    pub channel: Arc<str>,
    /// Who.
    pub user_id: Arc<str>,
    /// What the others see, as JSON.
    pub info: Option<Arc<RawValue>>,
}

impl Membership {
    fn id(&self) -> (&AppId, &str, &str) {
        (&self.app, &self.channel, &self.user_id)
    }
}

impl PartialEq for Membership {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Membership {}

impl Hash for Membership {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

/// FNV-1a over the kind and the parts, each ended by a byte that is in no text.
pub(super) fn fingerprint(who: &Who) -> u64 {
    let (kind, parts): (u8, [&str; 3]) = match who {
        Who::User(tenant, user) => (b'u', [tenant.as_str(), user.as_str(), ""]),
        Who::SignedIn(app, user) => (b's', [app.as_str(), user, ""]),
        Who::Channel(app, channel) => (b'c', [app.as_str(), channel, ""]),
        Who::Member(member) => (b'm', [member.app.as_str(), &member.channel, &member.user_id]),
    };
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    [kind].into_iter().chain(bytes).fold(0xcbf2_9ce4_8422_2325, step)
}

#[derive(Serialize, Deserialize)]
enum WhoBody {
    #[serde(rename = "u")]
    User(String, String),
    #[serde(rename = "s")]
    SignedIn(String, String),
    #[serde(rename = "c")]
    Channel(String, String),
    #[serde(rename = "m")]
    Member(String, String, String, Option<Box<RawValue>>),
}

impl WhoBody {
    fn of(who: &Who) -> Self {
        match who {
            Who::User(tenant, user) => Self::User(tenant.to_string(), user.to_string()),
            Who::SignedIn(app, user) => Self::SignedIn(app.to_string(), user.to_string()),
            Who::Channel(app, channel) => Self::Channel(app.to_string(), channel.to_string()),
            Who::Member(Membership { app, channel, user_id, info }) => {
                let info = info.as_deref().map(RawValue::to_owned);
                Self::Member(app.to_string(), channel.to_string(), user_id.to_string(), info)
            }
        }
    }

    fn read(self) -> Option<Who> {
        Some(match self {
            Self::User(tenant, user) => {
                Who::User(TenantId::parse(&tenant).ok()?, UserId::parse(&user).ok()?)
            }
            Self::SignedIn(app, user) => Who::SignedIn(AppId::parse(&app).ok()?, user.into()),
            Self::Channel(app, channel) => Who::Channel(AppId::parse(&app).ok()?, channel.into()),
            Self::Member(app, channel, user_id, info) => Who::Member(Membership {
                app: AppId::parse(&app).ok()?,
                channel: channel.into(),
                user_id: user_id.into(),
                info: info.map(Arc::from),
            }),
        })
    }
}

/// How a change came about, as the node says on which it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Passing {
    /// As far as that node knew nobody else had it: that node tells whoever else must know.
    pub(super) is_sole: bool,
    /// When a user was last there, in milliseconds.
    pub(super) at: Option<i64>,
}

impl Passing {
    pub(super) fn last_seen(self) -> Option<Timestamp> {
        self.at.map(Timestamp)
    }
}

/// What nodes say to each other of who is where.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Delta(Delta<Who>, Passing),
    Digest(Digest),
    /// The node of this slot and epoch is asked for a snapshot.
    Ask(u16, u64),
    Part(Part<Who>),
}

#[derive(Serialize, Deserialize)]
enum SaidBody {
    Delta { number: u64, came: Vec<WhoBody>, went: Vec<WhoBody>, passing: Passing },
    Digest { number: u64, count: u64, xor: u64 },
    Ask { slot: u16, epoch: u64 },
    Part { number: u64, part: u32, last: bool, keys: Vec<WhoBody> },
}

fn bodies(all: &[Who]) -> Vec<WhoBody> {
    all.iter().map(WhoBody::of).collect()
}

fn read_all(all: Vec<WhoBody>) -> Option<Vec<Who>> {
    all.into_iter().map(WhoBody::read).collect()
}

impl Said {
    /// Spells it.
    pub(super) fn body(&self) -> Vec<u8> {
        let body = match self {
            Self::Delta(Delta { number, came, went }, passing) => SaidBody::Delta {
                number: *number,
                came: bodies(came),
                went: bodies(went),
                passing: *passing,
            },
            Self::Digest(Digest { number, count, xor }) => {
                SaidBody::Digest { number: *number, count: *count, xor: *xor }
            }
            Self::Ask(slot, epoch) => SaidBody::Ask { slot: *slot, epoch: *epoch },
            Self::Part(Part { number, part, last, keys }) => {
                SaidBody::Part { number: *number, part: *part, last: *last, keys: bodies(keys) }
            }
        };
        serde_json::to_vec(&body).expect("bodies are made of texts and numbers")
    }

    /// Reads it.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        Some(match serde_json::from_slice(body).ok()? {
            SaidBody::Delta { number, came, went, passing } => {
                let delta = Delta { number, came: read_all(came)?, went: read_all(went)? };
                Self::Delta(delta, passing)
            }
            SaidBody::Digest { number, count, xor } => Self::Digest(Digest { number, count, xor }),
            SaidBody::Ask { slot, epoch } => Self::Ask(slot, epoch),
            SaidBody::Part { number, part, last, keys } => {
                Self::Part(Part { number, part, last, keys: read_all(keys)? })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn everybody() -> Vec<Who> {
        let app = AppId::trusted("app");
        let info = RawValue::from_string(r#"{"name":"Ann"}"#.to_owned()).unwrap();
        let member = |info: Option<Arc<RawValue>>| {
            let app = app.clone();
            Who::Member(Membership {
                app,
                channel: "presence-x".into(),
                user_id: "ann".into(),
                info,
            })
        };
        vec![
            Who::User(TenantId::trusted("t"), UserId::trusted("ann")),
            Who::SignedIn(app.clone(), "ann".into()),
            Who::Channel(app.clone(), "ann".into()),
            member(Some(info.into())),
            member(None),
        ]
    }

    #[test]
    fn what_is_said_arrives() {
        let all = everybody();
        let passing = Passing { is_sole: true, at: Some(5) };
        let delta = Delta { number: 7, came: all.clone(), went: all.clone() };
        let part = Part { number: 1, part: 2, last: true, keys: all.clone() };
        for said in [
            Said::Delta(delta, passing),
            Said::Digest(Digest { number: 1, count: 2, xor: u64::MAX }),
            Said::Ask(3, u64::MAX),
            Said::Part(part),
        ] {
            assert_eq!(Said::read(&said.body()), Some(said));
        }
        let Some(Said::Part(Part { keys, .. })) =
            Said::read(&Said::Part(Part { number: 1, part: 0, last: true, keys: all }).body())
        else {
            panic!("a part")
        };
        let Some(Who::Member(member)) = keys.get(3) else { panic!("a member") };
        assert_eq!(member.info.as_ref().unwrap().get(), r#"{"name":"Ann"}"#);
    }

    #[test]
    fn fingerprints_tell_apart_what_equality_does() {
        let all = everybody();
        for (n, one) in all.iter().enumerate() {
            for other in &all[n + 1..] {
                assert_eq!(
                    one == other,
                    fingerprint(one) == fingerprint(other),
                    "{one:?} {other:?}"
                );
            }
        }
        let app = AppId::trusted("a");
        let of = |user: &str| fingerprint(&Who::SignedIn(app.clone(), user.into()));
        assert_ne!(of(""), of("\u{0}"));
    }

    proptest! {
        #[test]
        fn garbage_is_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
            prop_assert!(Said::read(&bytes).is_none());
            prop_assert!(Said::read(text.as_bytes()).is_none());
        }
    }
}
