//! What a front end needs before it opens its Pusher socket: where to connect, and signatures for channels
//! and for signing in.
//!
//! The app that answers is that of the caller's tenant, or of the default tenant if that has none. Secrets
//! sign and are never shown. A signature is made without reading the store, but for a member's name, which
//! is remembered for some seconds: when ten thousand clients reconnect, each asks for each of its channels.

mod refusals;

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use moka::sync::Cache;
use mynah_domain::account::{AccountError, Accounts};
use mynah_domain::app::{App, AppKey};
use mynah_domain::permission::Actor;
use mynah_domain::ports::{Clock, StoreError};
use mynah_domain::{TenantId, UserId};
use mynah_protocol::pusher::{ChannelKind, ChannelName, SocketId, signature};
use serde::Serialize;

use crate::apps::{Apps, Limits};
use crate::config::PusherConfig;
use crate::identity::{Identified, IdentityError, Verifiers};
use crate::pusher::{ChannelPolicy, NoAccess, NotGranted};
use crate::rate::RateLimits;

pub use refusals::Late;
use refusals::Refusals;

const MEMBERS_MAX: u64 = 100_000;
const MEMBER_TTL: Duration = Duration::from_secs(10);

/// What it stands on.
pub struct RealtimeParts {
    /// Whose keys sign.
    pub apps: Apps,
    /// Names and addresses of members.
    pub accounts: Accounts,
    /// Who is asking.
    pub verifiers: Verifiers,
    /// How often somebody may be refused without delay.
    pub limits: Arc<RateLimits>,
    /// Which keys are valid.
    pub clock: Arc<dyn Clock>,
    /// The Pusher door's settings.
    pub settings: PusherConfig,
}

struct Inner {
    parts: RealtimeParts,
    policy: ChannelPolicy,
    /// `user_info` of users.
    members: Cache<(TenantId, UserId), Arc<str>>,
    refusals: Refusals,
}

/// Handle on it; cloning copies the handle. Without apps (the default) it is switched off.
#[derive(Clone, Default)]
pub struct Realtime(Option<Arc<Inner>>);

/// Why a caller gets nothing.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Switched off, or the tenant has no app that serves.
    #[error("Realtime is switched off.")]
    Off,
    /// The request says too little or the wrong thing; the text says what.
    #[error("{0}")]
    Input(String),
    /// Nobody knows who is asking.
    #[error("{0}")]
    Unidentified(IdentityError),
    /// The caller is known, and may not.
    #[error(transparent)]
    NoAccess(#[from] NoAccess),
    /// It cannot be known now.
    #[error("Realtime is unavailable now; try again shortly.")]
    Unavailable,
    /// Asking again changes nothing; the log says why.
    #[error("Realtime cannot answer this: something that is stored is wrong.")]
    Broken,
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a realtime call cannot be answered");
        if error.may_pass() { Self::Unavailable } else { Self::Broken }
    }
}

impl From<NotGranted> for Refused {
    fn from(error: NotGranted) -> Self {
        match error {
            NotGranted::NoAccess(why) => why.into(),
            NotGranted::Store(error) => error.into(),
        }
    }
}

impl From<IdentityError> for Refused {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Unavailable => Self::Unavailable,
            IdentityError::Missing
            | IdentityError::Malformed
            | IdentityError::Expired
            | IdentityError::BadSignature
            | IdentityError::Revoked
            | IdentityError::UnknownUser => Self::Unidentified(error),
        }
    }
}

/// The app that answers a tenant, and the key with which it does.
pub struct Face {
    app: Arc<App>,
    key: AppKey,
}

impl Face {
    /// The app's id.
    pub fn app_id(&self) -> &str {
        self.app.id.as_str()
    }

    /// What clients connect with.
    pub fn key(&self) -> &str {
        &self.key.key
    }
}

/// What a client presents when it subscribes: `{"auth":"KEY:SIGNATURE"}`, and for a presence channel
/// `"channel_data":"{\"user_id\":…,\"user_info\":…}"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grant {
    auth: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_data: Option<String>,
}

/// What a client presents when it signs in: `{"auth":"KEY:SIGNATURE","user_data":"{\"id\":…}"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignIn {
    auth: String,
    user_data: String,
}

impl Realtime {
    /// Stands on these parts; switched off if the door is.
    pub fn new(parts: RealtimeParts) -> Self {
        if !parts.settings.enabled {
            return Self::default();
        }
        let members = Cache::builder().max_capacity(MEMBERS_MAX).time_to_live(MEMBER_TTL).build();
        let refusals = Refusals::new(Arc::clone(&parts.limits));
        let policy = ChannelPolicy::new(parts.accounts.clone());
        Self(Some(Arc::new(Inner { parts, policy, members, refusals })))
    }

    /// The settings of the door; `None` if it is switched off.
    pub fn settings(&self) -> Option<&PusherConfig> {
        self.0.as_ref().map(|inner| &inner.parts.settings)
    }

    /// Who is asking.
    ///
    /// # Errors
    /// [`Refused::Unidentified`], [`Refused::Unavailable`], [`Refused::Off`].
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Identified, Refused> {
        Ok(self.inner()?.parts.verifiers.identify(headers).await?)
    }

    /// The app that answers a tenant.
    ///
    /// # Errors
    /// [`Refused::Off`], [`Refused::Unavailable`].
    pub async fn face(&self, tenant: &TenantId) -> Result<Face, Refused> {
        let parts = &self.inner()?.parts;
        let app = match parts.apps.of_tenant(tenant).await? {
            Some(app) => app,
            None => parts.apps.of_tenant(&TenantId::single()).await?.ok_or(Refused::Off)?,
        };
        let now = parts.clock.now();
        let key = app.newest_key(now).filter(|_| app.is_enabled).cloned().ok_or(Refused::Off)?;
        Ok(Face { app, key })
    }

    /// Lets a socket subscribe to a channel.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn authorise(
        &self,
        face: &Face,
        who: &Identified,
        socket_id: SocketId,
        channel: &str,
    ) -> Result<Grant, Refused> {
        let inner = self.inner()?;
        let limits = Limits::of(&face.app, &inner.parts.settings);
        let channel = ChannelName::parse(channel, limits.channel_name_chars_max)
            .map_err(|error| Refused::Input(error.to_string()))?;
        inner.policy.may_subscribe(&who.actor, &channel).await?;
        let channel_data = match channel.kind() {
            ChannelKind::Presence => Some(inner.person("user_id", &who.actor).await?),
            ChannelKind::Public
            | ChannelKind::Private
            | ChannelKind::Encrypted
            | ChannelKind::User => None,
        };
        let secret = face.key.secret.expose();
        let data = channel_data.as_deref();
        let signature = signature::channel(secret, socket_id, &channel, data);
        Ok(Grant { auth: format!("{}:{signature}", face.key.key), channel_data })
    }

    /// Lets a socket sign in as its user.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn sign_in(
        &self,
        face: &Face,
        who: &Identified,
        socket_id: SocketId,
    ) -> Result<SignIn, Refused> {
        let user_data = self.inner()?.person("id", &who.actor).await?;
        let signature = signature::user(face.key.secret.expose(), socket_id, &user_data);
        Ok(SignIn { auth: format!("{}:{signature}", face.key.key), user_data })
    }

    /// Notes that a caller was refused. Whoever is so too often waits here for a while; see [`Late`].
    pub async fn refused(&self, caller: &str) -> Option<Late> {
        self.0.as_ref()?.refusals.note(caller).await
    }

    /// Forgets what is remembered of apps and members, and says what that was.
    pub fn clear(&self) -> &'static [&'static str] {
        let Some(inner) = &self.0 else { return &[] };
        inner.parts.apps.clear();
        inner.members.invalidate_all();
        inner.policy.clear();
        &["apps", "realtime.config", "realtime.members"]
    }

    fn inner(&self) -> Result<&Inner, Refused> {
        self.0.as_deref().ok_or(Refused::Off)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserInfo<'a> {
    name: &'a str,
    email: Option<&'a str>,
    role: &'static str,
    tenant_id: &'a str,
}

impl Inner {
    /// `{"user_id":"…","user_info":{"name","email","role","tenantId"}}`, with the id under this name.
    async fn person(&self, id_name: &str, actor: &Actor) -> Result<String, Refused> {
        let info = self.info(actor).await?;
        let id = json(actor.user.as_str())?;
        Ok(format!("{{\"{id_name}\":{id},\"user_info\":{info}}}"))
    }

    async fn info(&self, actor: &Actor) -> Result<Arc<str>, Refused> {
        let key = (actor.tenant.clone(), actor.user.clone());
        if let Some(info) = self.members.get(&key) {
            return Ok(info);
        }
        let user = match self.parts.accounts.user(&key.0, &key.1).await {
            Ok(user) => user,
            Err(AccountError::Store(error)) => return Err(error.into()),
            Err(_missing) => return Err(IdentityError::UnknownUser.into()),
        };
        let info: Arc<str> = json(&UserInfo {
            name: &user.name,
            email: user.email.as_deref(),
            role: user.role.as_str(),
            tenant_id: user.tenant.as_str(),
        })?
        .into();
        self.members.insert(key, Arc::clone(&info));
        Ok(info)
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, Refused> {
    serde_json::to_string(value).map_err(|error| {
        tracing::error!(%error, "a member cannot be written as JSON");
        Refused::Broken
    })
}
