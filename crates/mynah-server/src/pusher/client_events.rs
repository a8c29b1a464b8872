//! `client-…`: what clients say to each other.

use mynah_hub::Class;
use mynah_protocol::pusher::{CloseCode, FrameError, encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::chat::Fate;
use super::frames;
use super::happening::Happening;
use super::socket::Socket;

/// Why a client event is refused.
const NOT_ENABLED: &str = "The app does not have client messaging enabled.";
const WRONG_KIND: &str =
    "Client events are only possible on private and presence channels, encrypted ones excepted.";
const NOT_SUBSCRIBED: &str = "The socket is not subscribed to the channel of the client event.";
const TOO_MANY: &str = "The rate limit for sending client events exceeded the quota.";

/// The channel that a refused client event names, if it names one.
fn channel_of(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        channel: String,
    }
    serde_json::from_str::<Named>(text).ok().map(|named| named.channel)
}

impl Socket {
    /// Passes an event on to the others in a channel, or tells why not.
    pub(super) async fn client_event(&mut self, event: String, channel: &str, data: &RawValue) {
        if let Err(why) = self.relay(event, channel, data).await {
            self.refuse_event(channel, &why).await;
        }
    }

    async fn refuse_event(&self, channel: &str, why: &str) {
        let code = CloseCode::ClientEventRefused.code();
        self.send(frames::channel_error(channel, code, why)).await;
    }

    /// Tells what was wrong with a frame that could not be read.
    pub(super) async fn refuse_frame(&self, text: &str, error: FrameError) {
        let is_event = error.code() == Some(CloseCode::ClientEventRefused.code());
        match channel_of(text).filter(|_| is_event) {
            Some(channel) => self.refuse_event(&channel, &error.to_string()).await,
            None => self.complain(error.code(), &error.to_string()).await,
        }
    }

    async fn relay(&mut self, event: String, channel: &str, data: &RawValue) -> Result<(), String> {
        let current = self.app.current();
        if !current.app.client_events {
            return Err(NOT_ENABLED.to_owned());
        }
        let place = self.place_of(channel);
        let Some(known) = place.ok().and_then(|place| self.subscriptions.get(place)) else {
            return Err(NOT_SUBSCRIBED.to_owned());
        };
        let name = known.channel.clone();
        if !name.kind().takes_client_events() {
            return Err(WRONG_KIND.to_owned());
        }
        let (topic, user_id) =
            (known.subscription.topic.clone(), known.subscription.user_id.clone());
        if !self.may_send(current.limits.client_events_per_s) {
            return Err(TOO_MANY.to_owned());
        }
        let fate = match (&self.door.chat, self.claim_on(channel)) {
            (Some(chat), Some(claim)) => {
                chat.client_event(&self.session(&name), claim, &event, data).await
            }
            _ => Fate::Relay(data.get().to_owned()),
        };
        let data = match fate {
            Fate::Relay(data) => data,
            Fate::Swallow => return Ok(()),
            Fate::Refuse(why) => return Err(why),
        };
        let frame = frames::text(|out| {
            encode::client_event(&event, name.as_str(), &data, user_id.as_deref(), out);
        });
        let sockets = self.app.audience(name.as_str()).map_or(0, |(_, sockets)| sockets);
        self.app.counters.sent(sockets.saturating_sub(1), frame.len());
        let place = (&self.app.id, &name);
        self.door.channels.spread(place, &frame, (Some(self.socket_id), false), None);
        self.door.channels.fan_out(&topic, frame, Class::Durable, Some(self.id)).await;
        let (channel, socket_id) = (name.shared(), self.socket_id.to_string());
        self.app.tell(Happening::ClientEvent { channel, event, data, socket_id, user_id });
        Ok(())
    }

    fn claim_on(&self, channel: &str) -> Option<&super::chat::Claim> {
        let place = self.place_of(channel).ok()?;
        self.subscriptions.get(place)?.claim.as_deref()
    }

    /// Counts an event in the running second.
    fn may_send(&mut self, per_s: Option<u32>) -> bool {
        let Some(per_s) = per_s else { return true };
        let second = self.door.channels.second();
        let (window, count) = self.window;
        let count = if window == second { count } else { 0 };
        let may = count < per_s;
        self.window = (second, count + u32::from(may));
        may
    }
}
