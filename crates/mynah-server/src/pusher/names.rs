//! Names of the channels that belong to the chat, as the clients of the `thread` vocabulary spell them.
//!
//! A name tells a shape, not a right: who may subscribe is decided elsewhere. Ids may hold the
//! characters that separate them, so a name is read with the tenant at hand, and a thread key in every
//! way it can be split.

use std::fmt;

/// A channel of the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChatChannel<'a> {
    /// `presence-tenant.TENANT.thread.KEY`: the conversation of two users; see [`pairs`].
    Thread {
        /// Whose.
        tenant: &'a str,
        /// Both users' ids, as the client joined them.
        key: &'a str,
    },
    /// `presence-tenant.TENANT.online`: who of the tenant is there.
    Online {
        /// Whose.
        tenant: &'a str,
    },
    /// `private-scheduled.TENANT.USER`: what becomes of a user's scheduled messages.
    Scheduled {
        /// Whose.
        tenant: &'a str,
        /// The user's id.
        user: &'a str,
    },
    /// `private-tenant.TENANT.notifications`.
    Notifications {
        /// Whose.
        tenant: &'a str,
    },
    /// `private-tenant.TENANT.tickets`.
    Tickets {
        /// Whose.
        tenant: &'a str,
    },
    /// `private-whatsapp.SESSION`, or `whatsapp.SESSION` for everybody who knows it.
    Whatsapp {
        /// The bridge's session.
        session: &'a str,
        /// Whether it is the one without a prefix.
        is_public: bool,
    },
}

impl<'a> ChatChannel<'a> {
    /// What a name is to the chat; `None` for all others, which are plain channels. `home` is the
    /// tenant of the app that was asked: ids with dots are read right for that one. A name may tell
    /// another tenant all the same.
    pub fn parse(name: &'a str, home: &str) -> Option<Self> {
        if let Some(rest) = name.strip_prefix("presence-tenant.") {
            let (tenant, rest) = split(rest, home, &[".thread.", ".online"])?;
            return match rest {
                "online" => Some(Self::Online { tenant }),
                _ => Some(Self::Thread { tenant, key: rest.strip_prefix("thread.")? }),
            };
        }
        if let Some(rest) = name.strip_prefix("private-tenant.") {
            let (tenant, rest) = split(rest, home, &[".notifications", ".tickets"])?;
            return match rest {
                "notifications" => Some(Self::Notifications { tenant }),
                "tickets" => Some(Self::Tickets { tenant }),
                _ => None,
            };
        }
        if let Some(rest) = name.strip_prefix("private-scheduled.") {
            let (tenant, user) = split(rest, home, &["."])?;
            return (!user.is_empty()).then_some(Self::Scheduled { tenant, user });
        }
        let is_public = name.starts_with("whatsapp.");
        let session = name.strip_prefix("private-").unwrap_or(name).strip_prefix("whatsapp.")?;
        (!session.is_empty()).then_some(Self::Whatsapp { session, is_public })
    }

    /// The tenant it names; WhatsApp sessions name none.
    pub fn tenant(&self) -> Option<&'a str> {
        match *self {
            Self::Thread { tenant, .. }
            | Self::Online { tenant }
            | Self::Scheduled { tenant, .. }
            | Self::Notifications { tenant }
            | Self::Tickets { tenant } => Some(tenant),
            Self::Whatsapp { .. } => None,
        }
    }
}

impl fmt::Display for ChatChannel<'_> {
    /// The channel's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread { tenant, key } => write!(f, "presence-tenant.{tenant}.thread.{key}"),
            Self::Online { tenant } => write!(f, "presence-tenant.{tenant}.online"),
            Self::Scheduled { tenant, user } => write!(f, "private-scheduled.{tenant}.{user}"),
            Self::Notifications { tenant } => write!(f, "private-tenant.{tenant}.notifications"),
            Self::Tickets { tenant } => write!(f, "private-tenant.{tenant}.tickets"),
            Self::Whatsapp { session, is_public: true } => write!(f, "whatsapp.{session}"),
            Self::Whatsapp { session, is_public: false } => {
                write!(f, "private-whatsapp.{session}")
            }
        }
    }
}

/// The tenant and what follows its dot: `home` if the text starts with that, else up to the first of
/// `markers`, each of which starts with the dot.
fn split<'a>(text: &'a str, home: &str, markers: &[&str]) -> Option<(&'a str, &'a str)> {
    let of_home = text.strip_prefix(home).and_then(|rest| rest.strip_prefix('.'));
    let at = match of_home {
        Some(_) => home.len(),
        None => markers.iter().filter_map(|marker| text.find(marker)).min()?,
    };
    let (tenant, rest) = (text.get(..at)?, text.get(at + 1..)?);
    (!tenant.is_empty()).then_some((tenant, rest))
}

/// The two users that a thread key can mean: it is split at every `--`, because ids may hold one.
/// The order of the two says nothing: clients sort by their language's rules. Nothing is said about
/// whether there are such users.
///
/// `a--b` gives (`a`, `b`); `a---b` gives (`a`, `-b`) and (`a-`, `b`).
pub fn pairs(key: &str) -> impl Iterator<Item = (&str, &str)> {
    (0..key.len()).filter_map(|at| {
        let (left, right) = (key.get(..at)?, key.get(at..)?.strip_prefix("--")?);
        (!left.is_empty() && !right.is_empty()).then_some((left, right))
    })
}

/// With whom `me` talks in a thread of this key: at most two users, and none if `me` is not in it.
pub fn peers<'a>(key: &'a str, me: &str) -> impl Iterator<Item = &'a str> {
    let after = key.strip_prefix(me).and_then(|rest| rest.strip_prefix("--"));
    let before = key.strip_suffix(me).and_then(|rest| rest.strip_suffix("--"));
    let before = before.filter(|&peer| Some(peer) != after);
    [after, before].into_iter().flatten().filter(|peer| !peer.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "acme";

    fn read(name: &str) -> Option<ChatChannel<'_>> {
        ChatChannel::parse(name, HOME)
    }

    #[test]
    fn every_shape_is_read_and_written_alike() {
        for (name, channel) in [
            (
                "presence-tenant.acme.thread.u1--u2",
                ChatChannel::Thread { tenant: HOME, key: "u1--u2" },
            ),
            ("presence-tenant.acme.online", ChatChannel::Online { tenant: HOME }),
            ("private-scheduled.acme.u.1", ChatChannel::Scheduled { tenant: HOME, user: "u.1" }),
            ("private-tenant.acme.notifications", ChatChannel::Notifications { tenant: HOME }),
            ("private-tenant.acme.tickets", ChatChannel::Tickets { tenant: HOME }),
            ("whatsapp.s1", ChatChannel::Whatsapp { session: "s1", is_public: true }),
            ("private-whatsapp.s.1", ChatChannel::Whatsapp { session: "s.1", is_public: false }),
        ] {
            assert_eq!(read(name), Some(channel), "{name}");
            assert_eq!(channel.to_string(), name);
        }
    }

    #[test]
    fn other_names_are_plain_channels() {
        for name in [
            "",
            "news",
            "private-news",
            "presence-tenant.acme",
            "presence-tenant.acme.",
            "presence-tenant.acme.onlinex",
            "presence-tenant..online",
            "presence-tenant.online",
            "private-tenant.acme.online",
            "private-tenant.acme.thread.u1--u2",
            "presence-tenant.acme.tickets",
            "private-scheduled.acme",
            "private-scheduled.acme.",
            "private-scheduled..u1",
            "whatsapp.",
            "private-whatsapp.",
            "presence-whatsapp.s1",
            "private-private-whatsapp.s1",
            "my-presence-tenant.acme.online",
            "private-encrypted-tenant.acme.tickets",
            "presence-cache-tenant.acme.online",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
    }

    #[test]
    fn tenants_and_ids_may_hold_dots() {
        let thread = |tenant, key| Some(ChatChannel::Thread { tenant, key });
        assert_eq!(
            read("presence-tenant.acme.thread.a.online--b.thread.c"),
            thread("acme", "a.online--b.thread.c")
        );
        // Of another tenant, as far as its shape tells.
        assert_eq!(read("presence-tenant.a.b.thread.c--d"), thread("a.b", "c--d"));
        assert_eq!(
            ChatChannel::parse("private-scheduled.a.b.c", "a.b"),
            Some(ChatChannel::Scheduled { tenant: "a.b", user: "c" })
        );
        assert_eq!(
            ChatChannel::parse("presence-tenant.a.thread.b.online", "a.thread.b"),
            Some(ChatChannel::Online { tenant: "a.thread.b" })
        );
        // A tenant whose name begins like ours is another.
        let of = |name| read(name).and_then(|channel| channel.tenant());
        assert_eq!(of("presence-tenant.acme2.online"), Some("acme2"));
        assert_eq!(of("private-tenant.acmetickets.tickets"), Some("acmetickets"));
    }

    #[test]
    fn a_key_is_split_in_every_way() {
        let all = |key| pairs(key).collect::<Vec<_>>();
        assert_eq!(all("a--b"), [("a", "b")]);
        assert_eq!(all("a---b"), [("a", "-b"), ("a-", "b")]);
        assert_eq!(all("a--b--c"), [("a", "b--c"), ("a--b", "c")]);
        for bad in ["", "--", "a--", "--b", "a-b", "ab"] {
            assert_eq!(all(bad), [], "{bad}");
        }
        assert_eq!(all("ä--ü"), [("ä", "ü")]);
    }

    #[test]
    fn who_asks_is_one_of_the_two() {
        let with = |key, me| peers(key, me).collect::<Vec<_>>();
        assert_eq!(with("a--b", "a"), ["b"]);
        assert_eq!(with("a--b", "b"), ["a"]);
        assert_eq!(with("a--b", "c"), [""; 0]);
        assert_eq!(with("a--a", "a"), ["a"]);
        assert_eq!(with("a--b--a", "a"), ["b--a", "a--b"]);
        assert_eq!(with("a--b--c", "b"), [""; 0]);
        assert_eq!(with("a--b--c", "a--b"), ["c"]);
        assert_eq!(with("--a", "a"), [""; 0]);
        assert_eq!(with("a--", "a"), [""; 0]);
        assert_eq!(with("xa--b", "a"), [""; 0]);
        // Whatever `peers` says is one of `pairs`.
        for key in ["a--b", "a---b", "a--b--a", "a--a", "-a--a-"] {
            for me in ["a", "b", "-b", "a-", "-a", "a--b", "b--a"] {
                for peer in peers(key, me) {
                    let found = pairs(key).any(|pair| pair == (me, peer) || pair == (peer, me));
                    assert!(found, "{key} {me} {peer}");
                }
            }
        }
    }
}
