//! Publishing: `events` and `batch_events`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use futures_util::future::join_all;
use mynah_domain::AppId;
use mynah_domain::app::App;
use mynah_protocol::pusher::ChannelName;
use mynah_protocol::pusher::http::{
    BodyError, Event, EventLimits, Info, decode_batch, decode_event,
};
use serde::Serialize;

use super::admit::{Caller, EventWindow};
use super::once::Entry;
use super::reads::Attributes;
use super::refusal::Refusal;
use super::windows::Left;
use super::{Answer, PusherApi};
use crate::apps::Limits;
use crate::pusher::{ChannelEvent, Channels};

/// Names that clients take for the server's own words. Pusher refuses all that start with `pusher`.
const RESERVED: [&str; 2] = ["pusher:", "pusher_internal:"];

/// `{"ok":true}`, with what was asked of the channels.
#[derive(Serialize)]
struct Published<'a> {
    ok: bool,
    #[serde(flatten)]
    told: Told<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Nothing {},
    Event {
        channels: BTreeMap<&'a str, Attributes>,
    },
    /// One object for each event.
    Batch {
        batch: Vec<BatchItem<'a>>,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum BatchItem<'a> {
    /// Of its only channel; empty if nothing was asked.
    One(Attributes),
    /// Of an event to several channels, which Pusher does not know in batches.
    More { channels: BTreeMap<&'a str, Attributes> },
}

/// What is told of the channels of an event, for the answer.
struct Asked {
    channels: Vec<ChannelName>,
    info: Info,
}

impl PusherApi {
    /// `POST /apps/ID/events`
    pub(super) async fn events(&self, caller: &Caller) -> Result<Answer, Refusal> {
        let event = decode_event(&caller.body, &event_limits(&caller.limits))?;
        check_name(&event)?;
        let asked = Asked::of(&event);
        let (left, replayed) = self.publish(caller, vec![event]).await?;
        let told = if asked.info.is_empty() {
            Told::Nothing {}
        } else {
            Told::Event { channels: self.told(&caller.app.id, &asked).await }
        };
        Ok(Answer { replayed, ..Answer::new(&Published { ok: true, told }, left) })
    }

    /// `POST /apps/ID/batch_events`
    pub(super) async fn batch_events(&self, caller: &Caller) -> Result<Answer, Refusal> {
        let events = decode_batch(&caller.body, &event_limits(&caller.limits))?;
        events.iter().try_for_each(check_name)?;
        let asked: Vec<Asked> = events.iter().map(Asked::of).collect();
        let (left, replayed) = self.publish(caller, events).await?;
        let told = if asked.iter().all(|asked| asked.info.is_empty()) {
            Told::Nothing {}
        } else {
            let told = asked.iter().map(|asked| self.told_in_batch(&caller.app.id, asked));
            Told::Batch { batch: join_all(told).await }
        };
        Ok(Answer { replayed, ..Answer::new(&Published { ok: true, told }, left) })
    }

    /// Publishes all events, in their order, or none; `true` if an earlier request with the same
    /// idempotency key had done so. What has begun goes on even if the caller hangs up.
    async fn publish(
        &self,
        caller: &Caller,
        events: Vec<Event>,
    ) -> Result<(Option<Left>, bool), Refusal> {
        let work = Work {
            channels: self.channels.clone(),
            app: Arc::clone(&caller.app),
            events,
            window: caller.window(),
        };
        let done = match self.0.once.entry(caller)? {
            Some(entry) => tokio::spawn(work.once(entry)).await,
            None => tokio::spawn(async { Ok((work.run().await?, false)) }).await,
        };
        done.unwrap_or_else(|error| {
            tracing::error!(%error, "publishing ended early");
            Err(Refusal::failed())
        })
    }

    async fn told<'a>(&self, app: &AppId, asked: &'a Asked) -> BTreeMap<&'a str, Attributes> {
        // At once: other nodes may be asked about each.
        let told = asked
            .channels
            .iter()
            .map(async |channel| (channel.as_str(), self.known(app, channel, asked).await));
        join_all(told).await.into_iter().collect()
    }

    async fn told_in_batch<'a>(&self, app: &AppId, asked: &'a Asked) -> BatchItem<'a> {
        match asked.channels.as_slice() {
            [] => BatchItem::One(Attributes::default()),
            [channel] => BatchItem::One(self.known(app, channel, asked).await),
            _ => BatchItem::More { channels: self.told(app, asked).await },
        }
    }

    async fn known(&self, app: &AppId, channel: &ChannelName, asked: &Asked) -> Attributes {
        let known = self.channels.channel_everywhere(app, channel.as_str()).await;
        Attributes::asked(channel, asked.info, &known.unwrap_or_default())
    }
}

impl Asked {
    /// Of an event without `info` nothing is asked, of any channel.
    fn of(event: &Event) -> Self {
        let channels = if event.info.is_empty() { Vec::new() } else { event.channels.clone() };
        Self { channels, info: event.info }
    }
}

/// What is left to do when everything is checked but the app's limit.
struct Work {
    channels: Channels,
    app: Arc<App>,
    events: Vec<Event>,
    window: EventWindow,
}

impl Work {
    /// Only the first of equal requests publishes, and only it is counted.
    async fn once(self, entry: Arc<Entry>) -> Result<(Option<Left>, bool), Refusal> {
        let mut done = None;
        let first = async {
            done = Some(Box::pin(self.run()).await?);
            Ok::<_, Refusal>(())
        };
        entry.published.get_or_try_init(|| first).await?;
        Ok(done.map_or((None, true), |left| (left, false)))
    }

    async fn run(self) -> Result<Option<Left>, Refusal> {
        let events = self.events.iter().map(|event| event.channels.len()).sum();
        let left = self.window.take(events)?;
        for event in self.events {
            let Event { name, data, mut channels, socket_id, info: _ } = event;
            let last = channels.pop();
            for channel in channels {
                let event = ChannelEvent::new(channel, name.clone(), data.clone());
                let event = ChannelEvent { except: socket_id, ..event };
                self.channels.publish(&self.app, event).await;
            }
            if let Some(channel) = last {
                let event =
                    ChannelEvent { except: socket_id, ..ChannelEvent::new(channel, name, data) };
                self.channels.publish(&self.app, event).await;
            }
        }
        Ok(left)
    }
}

fn check_name(event: &Event) -> Result<(), Refusal> {
    if RESERVED.iter().any(|reserved| event.name.starts_with(reserved)) {
        let text = "Event names that start with pusher: or pusher_internal: are reserved.";
        return Err(Refusal::bad(text));
    }
    Ok(())
}

fn event_limits(limits: &Limits) -> EventLimits {
    EventLimits {
        channel_name_chars_max: limits.channel_name_chars_max,
        event_channels_max: limits.event_channels_max,
        event_name_chars_max: limits.event_name_chars_max,
        event_bytes_max: limits.event_bytes_max,
        batch_max: limits.batch_max,
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self::new(status, error.to_string())
    }
}
