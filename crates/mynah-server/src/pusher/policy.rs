//! Who may subscribe to the chat's channels.

use std::time::Duration;

use moka::sync::Cache;
use mynah_domain::account::{AccountError, Accounts};
use mynah_domain::permission::{Actor, STAFF};
use mynah_domain::ports::StoreError;
use mynah_domain::room::Role;
use mynah_domain::{TenantId, UserId};
use mynah_protocol::pusher::{ChannelKind, ChannelName};

use super::names::{ChatChannel, pairs, peers};

/// Ways to read a thread key that are looked into; one that can be read in more names no thread.
const PAIRS_MAX: usize = 8;

const USERS_MAX: u64 = 100_000;
const USER_TTL: Duration = Duration::from_secs(10);

/// Why somebody who is known may not subscribe; a sentence for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoAccess {
    /// A channel for everybody.
    #[error("This channel is public: subscribe without authorization.")]
    Public,
    /// `#server-to-user-…`.
    #[error("Sign in to hear this channel.")]
    User,
    /// Not a channel of the chat: whoever uses it signs for it with the app's secret.
    #[error("This channel does not belong to the chat: the app's own back end must sign for it.")]
    Plain,
    /// `private-encrypted-…`.
    #[error("Encrypted channels need a master key, and this app has none.")]
    Encrypted,
    /// Of another tenant.
    #[error("This channel belongs to another tenant.")]
    Foreign,
    /// Of other users.
    #[error("This channel belongs to other users.")]
    NotYours,
    /// For staff only.
    #[error("This channel is for the tenant's staff.")]
    Staff,
    /// A thread key that can mean several pairs.
    #[error("This thread key can mean more than one pair of users.")]
    Ambiguous,
}

/// Why a subscription is not granted.
#[derive(Debug, thiserror::Error)]
pub enum NotGranted {
    /// It may not be.
    #[error(transparent)]
    NoAccess(#[from] NoAccess),
    /// It cannot be known now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Decides who may subscribe; cloning copies handles.
#[derive(Clone)]
pub struct ChannelPolicy {
    accounts: Accounts,
    /// Who exists; asked only for thread keys that can be read in several ways.
    users: Cache<(TenantId, UserId), bool>,
}

impl ChannelPolicy {
    /// Decides with these accounts.
    pub fn new(accounts: Accounts) -> Self {
        let users = Cache::builder().max_capacity(USERS_MAX).time_to_live(USER_TTL).build();
        Self { accounts, users }
    }

    /// Whether somebody may subscribe to a channel that the house would sign for. Nothing is read for it,
    /// except for thread keys that can be read in several ways.
    ///
    /// # Errors
    /// [`NotGranted`].
    pub async fn may_subscribe(
        &self,
        actor: &Actor,
        channel: &ChannelName,
    ) -> Result<(), NotGranted> {
        match channel.kind() {
            ChannelKind::Public => return Err(NoAccess::Public.into()),
            ChannelKind::User => return Err(NoAccess::User.into()),
            ChannelKind::Encrypted => return Err(NoAccess::Encrypted.into()),
            ChannelKind::Private | ChannelKind::Presence => {}
        }
        let home = actor.tenant.as_str();
        let chat = ChatChannel::parse(channel.as_str(), home).ok_or(NoAccess::Plain)?;
        if chat.tenant().is_some_and(|tenant| tenant != home) {
            return Err(NoAccess::Foreign.into());
        }
        let me = actor.user.as_str();
        match chat {
            ChatChannel::Thread { key, .. } => self.may_enter_thread(actor, key).await,
            ChatChannel::Online { .. } => Ok(()),
            ChatChannel::Scheduled { user, .. } if user == me => Ok(()),
            ChatChannel::Scheduled { .. } => Err(NoAccess::NotYours.into()),
            ChatChannel::Notifications { .. }
            | ChatChannel::Tickets { .. }
            | ChatChannel::Whatsapp { .. } => {
                if is_staff(actor) {
                    Ok(())
                } else {
                    Err(NoAccess::Staff.into())
                }
            }
        }
    }

    async fn may_enter_thread(&self, actor: &Actor, key: &str) -> Result<(), NotGranted> {
        let me = actor.user.as_str();
        if !is_staff(actor) && peers(key, me).next().is_none() {
            return Err(NoAccess::NotYours.into());
        }
        let (one, other) = self.pair(&actor.tenant, key).await?;
        if is_staff(actor) || one.as_str() == me || other.as_str() == me {
            Ok(())
        } else {
            Err(NoAccess::NotYours.into())
        }
    }

    /// The two users of a thread, in the order of the key. Where a key can be read in several ways, it is the
    /// only one whose users exist; where in one, nobody is looked up.
    ///
    /// # Errors
    /// [`NoAccess::NotYours`] if it names nobody, [`NoAccess::Ambiguous`], [`NotGranted::Store`].
    pub async fn pair(&self, tenant: &TenantId, key: &str) -> Result<(UserId, UserId), NotGranted> {
        let read = |(one, other)| Some((UserId::parse(one).ok()?, UserId::parse(other).ok()?));
        let mut ways: Vec<_> = pairs(key).filter_map(read).take(PAIRS_MAX + 1).collect();
        if ways.len() > PAIRS_MAX {
            return Err(NoAccess::Ambiguous.into());
        }
        if ways.len() == 1 {
            return ways.pop().ok_or_else(|| NoAccess::NotYours.into());
        }
        let mut found = None;
        for (one, other) in ways {
            if self.exists(tenant, &one).await? && self.exists(tenant, &other).await? {
                if found.is_some() {
                    return Err(NoAccess::Ambiguous.into());
                }
                found = Some((one, other));
            }
        }
        found.ok_or_else(|| NoAccess::NotYours.into())
    }

    async fn exists(&self, tenant: &TenantId, user: &UserId) -> Result<bool, StoreError> {
        let key = (tenant.clone(), user.clone());
        if let Some(known) = self.users.get(&key) {
            return Ok(known);
        }
        let known = match self.accounts.user(tenant, user).await {
            Ok(_) => true,
            Err(AccountError::Store(error)) => return Err(error),
            Err(_missing) => false,
        };
        self.users.insert(key, known);
        Ok(known)
    }

    /// Forgets who exists.
    pub fn clear(&self) {
        self.users.invalidate_all();
    }
}

pub(super) fn is_staff(actor: &Actor) -> bool {
    actor.role >= STAFF && actor.role != Role::Nobody
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::test_world::World;

    struct Door {
        world: Arc<World>,
        policy: ChannelPolicy,
    }

    impl Door {
        fn new() -> Self {
            let world = World::new();
            let policy = ChannelPolicy::new(world.house().accounts);
            Self { world, policy }
        }

        async fn user(&self, id: &str) {
            let accounts = self.world.house().accounts;
            accounts.provision(&TenantId::single(), &UserId::trusted(id), None).await.unwrap();
        }

        async fn asks(&self, user: &str, role: Role, channel: &str) -> Result<(), NoAccess> {
            let user = UserId::trusted(user);
            let actor = Actor { tenant: TenantId::single(), user, role };
            let channel = ChannelName::parse(channel, 200).unwrap();
            match self.policy.may_subscribe(&actor, &channel).await {
                Ok(()) => Ok(()),
                Err(NotGranted::NoAccess(why)) => Err(why),
                Err(NotGranted::Store(error)) => panic!("{error}"),
            }
        }
    }

    #[tokio::test]
    async fn each_shape_has_its_rule() {
        use NoAccess as No;
        let door = Door::new();
        let before = door.world.store.calls();
        for (channel, member, staff) in [
            ("presence-tenant.default.thread.ada--bo", Ok(()), Ok(())),
            ("presence-tenant.default.thread.bo--ada", Ok(()), Ok(())),
            ("presence-tenant.default.thread.bo--cy", Err(No::NotYours), Ok(())),
            ("presence-tenant.default.thread.ada", Err(No::NotYours), Err(No::NotYours)),
            ("presence-tenant.default.thread.", Err(No::NotYours), Err(No::NotYours)),
            ("presence-tenant.other.thread.ada--bo", Err(No::Foreign), Err(No::Foreign)),
            ("presence-tenant.default.online", Ok(()), Ok(())),
            ("presence-tenant.other.online", Err(No::Foreign), Err(No::Foreign)),
            ("private-scheduled.default.ada", Ok(()), Err(No::NotYours)),
            ("private-scheduled.default.bo", Err(No::NotYours), Err(No::NotYours)),
            ("private-scheduled.other.ada", Err(No::Foreign), Err(No::Foreign)),
            ("private-tenant.default.notifications", Err(No::Staff), Ok(())),
            ("private-tenant.default.tickets", Err(No::Staff), Ok(())),
            ("private-tenant.other.tickets", Err(No::Foreign), Err(No::Foreign)),
            ("private-whatsapp.session1", Err(No::Staff), Ok(())),
            ("whatsapp.session1", Err(No::Public), Err(No::Public)),
            ("news", Err(No::Public), Err(No::Public)),
            ("private-news", Err(No::Plain), Err(No::Plain)),
            ("presence-news", Err(No::Plain), Err(No::Plain)),
            ("private-encrypted-news", Err(No::Encrypted), Err(No::Encrypted)),
            ("#server-to-user-ada", Err(No::User), Err(No::User)),
        ] {
            assert_eq!(door.asks("ada", Role::Member, channel).await, member, "{channel}");
            assert_eq!(door.asks("mod", Role::Moderator, channel).await, staff, "{channel}");
            // A rank that nobody holds opens nothing.
            let nobody = door.asks("none", Role::Nobody, channel).await;
            assert!(nobody.is_err() || channel.ends_with("default.online"), "{channel}");
        }
        assert_eq!(door.world.store.calls(), before, "nothing is read for it");
    }

    #[tokio::test]
    async fn a_key_of_several_readings_is_of_those_who_exist() {
        let door = Door::new();
        let thread = "presence-tenant.default.thread.a--b--c";
        assert_eq!(door.asks("a", Role::Member, thread).await, Err(NoAccess::NotYours));
        for id in ["a--b", "c"] {
            door.user(id).await;
        }
        door.policy.clear();
        // `a` could read the key as its own, but there is no `b--c`.
        assert_eq!(door.asks("a", Role::Member, thread).await, Err(NoAccess::NotYours));
        assert_eq!(door.asks("a--b", Role::Member, thread).await, Ok(()));
        assert_eq!(door.asks("c", Role::Member, thread).await, Ok(()));
        for id in ["a", "b--c"] {
            door.user(id).await;
        }
        door.policy.clear();
        for id in ["a", "a--b", "c", "b--c"] {
            assert_eq!(door.asks(id, Role::Member, thread).await, Err(NoAccess::Ambiguous));
        }
    }

    #[tokio::test]
    async fn a_key_of_very_many_readings_names_nobody() {
        let door = Door::new();
        let key = ["x"; 20].join("--");
        let before = door.world.store.calls();
        let thread = format!("presence-tenant.default.thread.{key}");
        assert_eq!(door.asks("x", Role::Member, &thread).await, Err(NoAccess::Ambiguous));
        assert_eq!(door.world.store.calls(), before);
    }
}
