//! `pusher:signin`: whose socket it is.

use std::sync::Arc;
use std::time::Duration;

use mynah_domain::permission::Actor;
use mynah_hub::{Close, CloseReason, Topic};
use mynah_protocol::pusher::presence::{Member, MemberError, MemberLimits, parse_user_data};
use mynah_protocol::pusher::signature::Auth;
use mynah_protocol::pusher::{CloseCode, encode};
use serde_json::value::RawValue;

use super::chat::SubscribeRefused;
use super::frames;
use super::socket::{Closing, Socket};
use super::subscribing::UNDECIDED;

/// The user of a socket.
pub(super) struct SignedIn {
    pub(super) id: Arc<str>,
    info: Option<Box<RawValue>>,
    /// Who it is in the house.
    actor: Option<Actor>,
    /// Of whose comings and goings it hears.
    watches: Vec<Topic>,
}

impl SignedIn {
    /// The user as a member of a presence channel.
    pub(super) fn member(&self) -> Member {
        Member { user_id: self.id.to_string(), user_info: self.info.clone() }
    }
}

const UNAUTHORISED: Closing = Closing { code: CloseCode::Unauthorised, reason: "unauthorised" };

impl Socket {
    /// Reads the app again, whose keys may have changed since the socket came.
    pub(super) async fn read_app_again(&self) -> Result<(), Closing> {
        match self.door.apps.by_id(self.app.id.as_str()).await {
            Ok(Some(app)) if app.is_enabled => {
                self.door.channels.app(&app);
                Ok(())
            }
            Ok(_) => Err(Closing { code: CloseCode::AppDisabled, reason: "app disabled" }),
            Err(error) => {
                // What was read before still holds.
                tracing::warn!(%error, "an app could not be read again");
                Ok(())
            }
        }
    }

    /// Where the app wants to know its users, a socket that does not sign in is closed.
    pub(super) fn expect_sign_in(&mut self) {
        if !self.app.current().app.user_authentication {
            return;
        }
        let wait = self.door.channels.config().user_authentication_timeout_s;
        let (hub, id) = (self.door.channels.hub().clone(), self.id);
        let chat = self.door.chat.clone();
        let key = self.door.deadlines.after(Duration::from_secs(wait.into()), move || async move {
            // Nobody could sign in then, and after 4009 libraries stay away.
            let is_away = matches!(&chat, Some(chat) if chat.store_is_away().await);
            let code = if is_away { CloseCode::OverCapacity } else { CloseCode::Unauthorised };
            let last = Some(frames::goodbye(code));
            hub.close(id, Close { reason: CloseReason::Named("not signed in"), last }).await;
        });
        self.sign_in_by = Some(key);
    }

    /// Takes note of whose socket it is, or closes it, as Soketi does.
    pub(super) async fn sign_in(&mut self, auth: &str, user_data: &str) -> Result<(), Closing> {
        self.read_app_again().await?;
        let auth = Auth::split(auth).ok_or(UNAUTHORISED)?;
        let current = self.app.current();
        let key = current.app.key(auth.key, self.door.clock.now()).ok_or(UNAUTHORISED)?;
        if !auth.signs_user(key.secret.expose(), self.socket_id, user_data) {
            return Err(UNAUTHORISED);
        }
        let user_info_bytes_max = current.limits.presence_member_bytes_max;
        let limits = MemberLimits { user_info_bytes_max, ..MemberLimits::default() };
        let user = match parse_user_data(user_data, &limits) {
            Ok(user) => user,
            Err(error) => {
                self.complain(Some(code_of(error)), &error.to_string()).await;
                return Ok(());
            }
        };
        let id: Arc<str> = match &self.user {
            Some(known) if *known.id == *user.id => Arc::clone(&known.id),
            Some(_) => {
                let text = "The socket has signed in as another user.";
                self.complain(Some(CloseCode::Unauthorised.code()), text).await;
                return Ok(());
            }
            None => user.id.as_str().into(),
        };
        if let Some(deadline) = self.sign_in_by.take() {
            self.door.deadlines.cancel(deadline);
        }
        let actor = match &self.door.chat {
            Some(chat) if self.user.is_none() => {
                let signed_in = self.patiently(chat, || chat.signed_in(&current.app, &id)).await;
                match signed_in {
                    Ok(actor) => actor,
                    Err(SubscribeRefused::Undecided) => return Err(UNDECIDED),
                    // Who cannot take part in the chat may still be a user of the app.
                    Err(SubscribeRefused::Forbidden(_) | SubscribeRefused::Broken) => None,
                }
            }
            Some(_) | None => None,
        };
        self.send(frames::text(|out| encode::signin_success(user_data, out))).await;
        let channels = self.door.channels.clone();
        if self.user.is_none() {
            channels.person_came(&self.app, &id, self.id).await;
            let (info, watches) = (user.user_info, Vec::new());
            self.user = Some(Box::new(SignedIn { id, info, actor, watches }));
        }
        if let Some(known) = &mut self.user {
            let before = std::mem::take(&mut known.watches);
            known.watches = channels.watch(&self.app, (self.id, before), &user.watchlist).await;
        }
        Ok(())
    }

    /// The connection is over.
    pub(super) fn sign_out(&mut self) {
        if let Some(deadline) = self.sign_in_by.take() {
            self.door.deadlines.cancel(deadline);
        }
        let Some(user) = self.user.take() else { return };
        self.door.channels.person_went(&self.app, &user.id);
        if let (Some(chat), Some(actor)) = (&self.door.chat, &user.actor) {
            chat.signed_out(actor);
        }
    }
}

fn code_of(error: MemberError) -> u16 {
    match error {
        MemberError::WatchlistTooLong { .. } => CloseCode::WatchlistTooLong.code(),
        MemberError::NotAnObject
        | MemberError::NoUser
        | MemberError::InvalidUser
        | MemberError::InfoTooLarge { .. }
        | MemberError::InvalidWatchlist => CloseCode::Unauthorised.code(),
    }
}
