//! `pusher:subscribe` and `pusher:unsubscribe`.

use mynah_protocol::pusher::presence::{Member, MemberError, MemberLimits, parse_channel_data};
use mynah_protocol::pusher::signature::Auth;
use mynah_protocol::pusher::{ChannelKind, ChannelName, ChannelNameError, CloseCode, encode};

use super::channels::Subscription;
use super::chat::{ChatChannels, Claim, Ending, SessionRef, SubscribeRefused};
use super::frames;
use super::joining::NotIn;
use super::socket::{Closing, Socket};

/// Most channels of one connection.
const SUBSCRIPTIONS_MAX: usize = 5_000;

/// Up to so many places are made one by one.
const USUAL_SUBSCRIPTIONS: usize = 4;

/// A channel that a socket is in.
pub(super) struct Subscribed {
    pub(super) channel: ChannelName,
    pub(super) subscription: Subscription,
    pub(super) claim: Option<Box<Claim>>,
}

/// Why a subscription is refused, in the words of Soketi where it has any.
struct Refused {
    kind: &'static str,
    error: String,
    status: u16,
}

/// Nobody can say now who may do what.
pub(super) const UNDECIDED: Closing =
    Closing { code: CloseCode::OverCapacity, reason: "the store could not be asked" };

/// Why a socket is not in a channel.
enum NotEntered {
    Refused(Refused),
    /// Nobody can say now whether it may be.
    Undecided,
}

impl<E: Into<Refused>> From<E> for NotEntered {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

impl From<SubscribeRefused> for NotEntered {
    fn from(error: SubscribeRefused) -> Self {
        match error {
            SubscribeRefused::Undecided => Self::Undecided,
            SubscribeRefused::Forbidden(error) => {
                Self::Refused(Refused { kind: "AuthError", error, status: 403 })
            }
            SubscribeRefused::Broken => {
                let error = error.to_string();
                Self::Refused(Refused { kind: "AuthError", error, status: 503 })
            }
        }
    }
}

impl Refused {
    fn unauthorised() -> Self {
        let error = "The connection is unauthorized.".to_owned();
        Self { kind: "AuthError", error, status: 401 }
    }

    fn limit(error: impl Into<String>, status: u16) -> Self {
        Self { kind: "LimitReached", error: error.into(), status }
    }
}

impl From<ChannelNameError> for Refused {
    fn from(error: ChannelNameError) -> Self {
        match error {
            ChannelNameError::TooLong { .. } => Self::limit(error.to_string(), 4009),
            ChannelNameError::Empty | ChannelNameError::Characters => {
                Self { kind: "InvalidChannel", error: error.to_string(), status: 400 }
            }
        }
    }
}

impl From<MemberError> for Refused {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::InfoTooLarge { .. } => Self::limit(error.to_string(), 4301),
            MemberError::NotAnObject
            | MemberError::NoUser
            | MemberError::InvalidUser
            | MemberError::InvalidWatchlist
            | MemberError::WatchlistTooLong { .. } => {
                Self { kind: "AuthError", error: error.to_string(), status: 401 }
            }
        }
    }
}

impl From<NotIn> for Refused {
    fn from(reason: NotIn) -> Self {
        match reason {
            NotIn::TooManyMembers => Self::limit(
                "The maximum members per presence channel limit was reached",
                CloseCode::OverCapacity.code(),
            ),
            NotIn::TooManyChannels => {
                Self::limit("There are too many channels.", CloseCode::OverCapacity.code())
            }
        }
    }
}

impl Socket {
    /// Subscribes, or tells why not. A subscription that nobody can decide ends the connection instead, with
    /// a code that brings the client back: no library asks again for a channel that was refused.
    pub(super) async fn subscribe(
        &mut self,
        channel: &str,
        auth: Option<&str>,
        channel_data: Option<&str>,
    ) -> Result<(), Closing> {
        if auth.is_some() {
            self.read_app_again().await?;
        }
        match self.enter(channel, auth, channel_data).await {
            Ok(()) => Ok(()),
            Err(NotEntered::Refused(Refused { kind, error, status })) => {
                let frame = frames::text(|out| {
                    encode::subscription_error(channel, kind, &error, status, out);
                });
                self.send(frame).await;
                Ok(())
            }
            Err(NotEntered::Undecided) => Err(UNDECIDED),
        }
    }

    async fn enter(
        &mut self,
        channel: &str,
        auth: Option<&str>,
        channel_data: Option<&str>,
    ) -> Result<(), NotEntered> {
        let current = self.app.current();
        let name = ChannelName::parse(channel, current.limits.channel_name_chars_max)?;
        let member = self.authorise(&name, auth, channel_data)?;
        if let Ok(place) = self.place_of(name.as_str()) {
            let same = self.subscriptions.get(place).is_some_and(|known| {
                let user_id = known.subscription.user_id.as_deref();
                user_id == member.as_ref().map(|member| member.user_id.as_str())
            });
            if same {
                self.answer_again(place).await;
                return Ok(());
            }
            // Another member on the same socket: the first one leaves.
            self.leave(place).await;
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            let error =
                format!("A connection can subscribe to {SUBSCRIPTIONS_MAX} channels at most.");
            return Err(Refused::limit(error, CloseCode::ClientEventRefused.code()).into());
        }
        let claim = self.claim(&name, member.as_ref()).await?;
        let session = claim.as_ref().map(|_| self.session(&name));
        if let (Some(chat), Some(claim), Some(session)) = (&self.door.chat, &claim, &session) {
            chat.entering(session, claim).await;
        }
        let channels = self.door.channels.clone();
        let joined = match member {
            Some(member) => channels.join_presence(&self.app, &name, (Some(self.id), member)).await,
            None if name.is_cache() => channels.join_cache(&self.app, &name, self.id).await,
            None => channels.join_plain(&self.app, &name, self.id).await,
        };
        if let (Some(chat), Some(claim), Some(session)) = (&self.door.chat, &claim, &session) {
            chat.subscribed(session, claim).await;
            if joined.is_err() {
                chat.ended(session, claim, Ending::Left).await;
            }
        }
        let subscription = joined?;
        let place = self.place_of(name.as_str()).unwrap_or_else(|place| place);
        if self.subscriptions.len() < USUAL_SUBSCRIPTIONS {
            // Most sockets have few, and there are many sockets.
            self.subscriptions.reserve_exact(1);
        }
        self.subscriptions.insert(place, Subscribed { channel: name, subscription, claim });
        Ok(())
    }

    /// Whether this socket may subscribe, and as which member of a presence channel.
    fn authorise(
        &self,
        name: &ChannelName,
        auth: Option<&str>,
        channel_data: Option<&str>,
    ) -> Result<Option<Member>, Refused> {
        let signed = |data| self.is_signed(name, auth, data);
        match name.kind() {
            ChannelKind::Public => Ok(None),
            ChannelKind::User => {
                let user = self.user.as_ref().map(|user| &*user.id);
                let is_own = user.is_some() && user == name.user_id();
                is_own.then_some(None).ok_or_else(Refused::unauthorised)
            }
            ChannelKind::Private | ChannelKind::Encrypted => {
                let is_signed = signed(None) || channel_data.is_some() && signed(channel_data);
                is_signed.then_some(None).ok_or_else(Refused::unauthorised)
            }
            ChannelKind::Presence => {
                if !signed(channel_data) {
                    return Err(Refused::unauthorised());
                }
                match (channel_data, &self.user) {
                    (Some(data), _) => {
                        let user_info_bytes_max =
                            self.app.current().limits.presence_member_bytes_max;
                        let limits =
                            MemberLimits { user_info_bytes_max, ..MemberLimits::default() };
                        Ok(Some(parse_channel_data(data, &limits)?))
                    }
                    // pusher-js leaves it to the server who has signed in.
                    (None, Some(user)) => Ok(Some(user.member())),
                    (None, None) => Err(Refused::unauthorised()),
                }
            }
        }
    }

    fn is_signed(
        &self,
        channel: &ChannelName,
        auth: Option<&str>,
        channel_data: Option<&str>,
    ) -> bool {
        let Some(auth) = auth.and_then(Auth::split) else { return false };
        let current = self.app.current();
        let key = current.app.key(auth.key, self.door.clock.now());
        key.is_some_and(|key| {
            auth.signs_channel(key.secret.expose(), self.socket_id, channel, channel_data)
        })
    }

    async fn claim(
        &self,
        name: &ChannelName,
        member: Option<&Member>,
    ) -> Result<Option<Box<Claim>>, SubscribeRefused> {
        let Some(chat) = &self.door.chat else { return Ok(None) };
        let user = self.user.as_ref().map(|user| &*user.id);
        let who = member.map(|member| member.user_id.as_str()).or(user);
        let app = &self.app.current().app;
        let claim = self.patiently(chat, || chat.claim(app, name, who)).await;
        claim.map(|claim| claim.map(Box::new))
    }

    /// Asks the chat until its store answers, while there is patience.
    pub(super) async fn patiently<T, F: Future<Output = Result<T, SubscribeRefused>>>(
        &self,
        chat: &ChatChannels,
        ask: impl Fn() -> F,
    ) -> Result<T, SubscribeRefused> {
        let patience = chat.patience();
        loop {
            match patience.within(ask()).await.unwrap_or(Err(SubscribeRefused::Undecided)) {
                Err(SubscribeRefused::Undecided)
                    if !self.pulse.is_over() && patience.ask_again().await =>
                {
                    // It is not the peer who is silent.
                    self.pulse.beat();
                }
                answer => return answer,
            }
        }
    }

    pub(super) fn session(&self, name: &ChannelName) -> SessionRef {
        SessionRef {
            id: self.id,
            socket_id: self.socket_id,
            topic: self.app.topic(name.as_str()),
            hub: self.door.channels.hub().clone(),
        }
    }

    pub(super) fn place_of(&self, name: &str) -> Result<usize, usize> {
        self.subscriptions.binary_search_by(|known| known.channel.as_str().cmp(name))
    }

    /// Subscribing again changes nothing and is answered like the first time.
    async fn answer_again(&self, place: usize) {
        let Some(known) = self.subscriptions.get(place) else { return };
        self.door.channels.succeed_again(&self.app, &known.channel, self.id).await;
    }

    /// Leaves a channel, if the socket is in it.
    pub(super) async fn unsubscribe(&mut self, channel: &str) {
        if let Ok(place) = self.place_of(channel) {
            self.leave(place).await;
        }
    }

    async fn leave(&mut self, place: usize) {
        let Subscribed { channel, subscription, claim } = self.subscriptions.remove(place);
        let channels = &self.door.channels;
        channels.unsubscribe(self.id, &subscription).await;
        channels.leave(&self.app, &channel, &subscription).await;
        if let (Some(chat), Some(claim)) = (&self.door.chat, claim) {
            chat.ended(&self.session(&channel), &claim, Ending::Left).await;
        }
    }

    /// Leaves all channels because the connection is over.
    pub(super) async fn leave_all(&mut self, how: Ending) {
        for Subscribed { channel, subscription, claim } in std::mem::take(&mut self.subscriptions) {
            self.door.channels.lose(&self.app, &channel, &subscription);
            if let (Some(chat), Some(claim)) = (&self.door.chat, claim) {
                chat.ended(&self.session(&channel), &claim, how).await;
            }
        }
    }
}
