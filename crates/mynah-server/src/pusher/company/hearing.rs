//! What follows from what other nodes say.

use std::sync::Arc;

use bytes::Bytes;
use mynah_domain::AppId;
use mynah_hub::{Class, LazyFrames, Publication, Topic};
use mynah_protocol::pusher::ChannelName;

use super::said::{self, Answer, Event, Question, Said};
use crate::cluster::people::{Membership, News, Who};
use crate::cluster::wire::Kind;
use crate::pusher::cache::Kept;
use crate::pusher::channels::Channels;
use crate::pusher::frames;
use crate::pusher::happening::Happening;
use crate::pusher::registry::AppState;

/// Bytes of names in one answer: what a broker takes in one message.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// What a channel costs in an answer beside its name.
const ANSWER_OVERHEAD: usize = 40;

impl Channels {
    /// Another node said something; `None` if it cannot be understood.
    pub async fn heard(&self, body: Bytes) -> Option<()> {
        let (said, text) = Said::read(&body)?;
        match said {
            Said::Event(event) => self.event_heard(&event, text).await?,
            Said::Terminate { app, user } => {
                self.terminate_here(&AppId::parse(&app).ok()?, &user).await;
            }
            Said::Ask { id, reply, app, question } => {
                let answer = self.answer(&AppId::parse(&app).ok()?, question);
                let company = self.company()?;
                let said = || Said::Answer { id, answer }.body(b"");
                company.0.voice.say(&Topic::new(reply), Kind::Channel, said);
            }
            Said::Answer { id, answer } => self.company()?.answered(id, answer),
        }
        Some(())
    }

    async fn event_heard(&self, event: &Event, text: &str) -> Option<()> {
        let (app, channel) = event.place()?;
        let Some(app) = self.known(&app) else { return Some(()) };
        let frame = frames::text(|out| out.extend_from_slice(text.as_bytes()));
        let topic = app.topic(channel.as_str());
        let passed = match &event.kept {
            Some((name, data)) => {
                let passed = self.gates().pass(topic.as_str()).await;
                let kept = Kept::aged((name, data), std::time::Duration::ZERO, frame.clone());
                self.cache().keep(topic, kept);
                Some(passed)
            }
            None => None,
        };
        if let Some((topic, sockets)) = app.audience(channel.as_str()) {
            app.counters.sent(sockets, frame.len());
            let class = if event.fades {
                Class::Ephemeral { key: self.fingerprint(&topic) }
            } else {
                Class::Durable
            };
            let except = event.excepted().map(|id| self.session(id));
            let frames = LazyFrames::new(move |_| Some(frame.clone()));
            let publication = Publication { topic, seq: None, pos: None, class, except, frames };
            self.hub().publish(publication).await;
        }
        drop(passed);
        Some(())
    }

    fn answer(&self, app: &AppId, question: Question) -> Answer {
        match question {
            Question::Connections => Answer::Connections(self.connections(app)),
            Question::Channel { name } => {
                let kept = self.cache().get(&crate::pusher::topic(app, &name));
                let kept = kept.map(|kept| said::Kept {
                    name: kept.name().to_owned(),
                    data: kept.data().to_owned(),
                    age_ms: kept.age().as_millis() as u64,
                    text: String::from_utf8_lossy(super::text_of(&kept.frame)).into_owned(),
                });
                Answer::Channel { here: self.here(app, &name).0, kept }
            }
            Question::Channels { prefix } => {
                let mut bytes = 0;
                let mut channels = Vec::new();
                let mut is_whole = true;
                for (name, _) in self.occupied(app, &prefix) {
                    bytes += name.len() + ANSWER_OVERHEAD;
                    if bytes > ANSWER_BYTES_MAX {
                        is_whole = false;
                        break;
                    }
                    let (here, _) = self.here(app, &name);
                    channels.push((name, here));
                }
                Answer::Channels { channels, is_whole }
            }
        }
    }

    /// Something came or went elsewhere.
    pub async fn learned(&self, news: News) {
        match &news.who {
            Who::SignedIn(app, user_id) => self.person_learned(app, user_id, &news).await,
            Who::Member(member) => self.member_learned(member, &news).await,
            Who::Channel(app, channel) => {
                if news.is_ours {
                    let channel = Arc::clone(channel);
                    let what = if news.is_there {
                        Happening::ChannelOccupied { channel }
                    } else {
                        Happening::ChannelVacated { channel }
                    };
                    self.tell_of(app, what).await;
                }
            }
            Who::User(..) => {}
        }
    }

    /// Those who watch a user are told what is so now.
    async fn person_learned(&self, app: &AppId, user_id: &Arc<str>, news: &News) {
        let Some(app) = self.known(app).filter(|_| news.is_change) else { return };
        let topic = app.watch_topic(user_id);
        let passed = self.gates().pass(topic.as_str()).await;
        if app.is_online(user_id) == news.is_there {
            self.announce_person(&topic, user_id, news.is_there).await;
        }
        drop(passed);
    }

    async fn member_learned(&self, member: &Membership, news: &News) {
        let Membership { app, channel, user_id, .. } = member;
        if news.is_change
            && let Some(app) = self.known(app)
            && let Ok(name) = ChannelName::parse(channel, usize::MAX)
        {
            self.member_passed(&app, &name, member).await;
        }
        if news.is_ours {
            let (channel, user_id) = (Arc::clone(channel), Arc::clone(user_id));
            let what = if news.is_there {
                Happening::MemberAdded { channel, user_id }
            } else {
                Happening::MemberRemoved { channel, user_id }
            };
            self.tell_of(app, what).await;
        }
    }

    /// Shows those in a presence channel here whether a member is in it elsewhere, as it is now.
    async fn member_passed(&self, app: &Arc<AppState>, name: &ChannelName, member: &Membership) {
        let Some(company) = self.company() else { return };
        let topic = app.topic(name.as_str());
        let passed = self.gates().pass(topic.as_str()).await;
        let is_there = company.crowd().is_elsewhere(&Who::Member(member.clone()));
        let changed = app.with_channel(name.as_str(), |channel| {
            let presence = channel.presence.as_mut()?;
            let is_new = presence.elsewhere(member, is_there);
            is_new.then_some(channel.sockets)
        });
        if let Some(Some(audience @ 1..)) = changed {
            let frame = if is_there {
                let info = member.info.as_deref();
                frames::member_added(name.as_str(), &member.user_id, info)
            } else {
                frames::member_removed(name.as_str(), &member.user_id)
            };
            app.counters.sent(audience, frame.len());
            self.fan_out(&topic, frame, Class::Durable, None).await;
        }
        drop(passed);
    }

    /// Tells the back ends of an app, of which there may never have been a socket here.
    async fn tell_of(&self, app: &AppId, what: Happening) {
        let Some(company) = self.company() else { return };
        match company.0.apps.by_id(app.as_str()).await {
            Ok(Some(app)) => self.app(&app).tell(what),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "back ends were not told what another node had to tell");
            }
        }
    }
}
