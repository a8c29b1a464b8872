//! Pusher channels on several nodes.
//!
//! What is published goes to every node with subscribers: the broker's channel is the hub's topic. Members of
//! presence channels, signed-in users and, of apps with webhooks, occupied channels are known everywhere by
//! [`Crowd`]. How many subscriptions there are, and what a cache channel remembers, is asked of all nodes when
//! somebody wants to know.

mod hearing;
mod said;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mynah_domain::AppId;
use mynah_domain::ports::FeedStore;
use mynah_hub::{Frame, Topic};
use mynah_protocol::pusher::presence::Member;
use mynah_protocol::pusher::{ChannelName, SocketId};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use self::said::{Answer, Event, Here, Question, Said};
use super::cache::Kept;
use super::channels::{ChannelInfo, Channels};
use crate::apps::Apps;
use crate::cluster::interests::Interests;
use crate::cluster::people::{Crowd, Membership, Who};
use crate::cluster::voice::Voice;
use crate::cluster::wire::Kind;

/// How long answers are waited for; who asks is told what is known then.
const PATIENCE: Duration = Duration::from_millis(500);
/// Questions that wait for answers at once; one more is answered by this node alone.
const QUESTIONS_MAX: usize = 10_000;

struct Inner {
    voice: Voice,
    crowd: Crowd,
    interests: Interests,
    apps: Apps,
    feed: Arc<dyn FeedStore>,
    /// Where answers come.
    replies: Topic,
    questions: Mutex<HashMap<u64, mpsc::Sender<Answer>>>,
    asked: AtomicU64,
    partial: AtomicU64,
}

/// The other nodes, as channels see them; clones share it.
#[derive(Clone)]
pub struct Company(Arc<Inner>);

/// A broker's channel is heard as long as this is kept.
pub(super) struct Listening {
    interests: Interests,
    topic: Topic,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.interests.unwant(&self.topic);
    }
}

impl Company {
    /// Of a node that speaks and knows who is where. Apps are looked up where a node tells their back ends
    /// that never had a socket of theirs, streams are read where a room came to be elsewhere.
    pub fn new(
        (voice, crowd, interests): (Voice, Crowd, Interests),
        apps: Apps,
        feed: Arc<dyn FeedStore>,
    ) -> Self {
        // Without randomness answers to others are heard too, and belong to no question.
        let name = [getrandom::u64(), getrandom::u64()].map(Result::unwrap_or_default);
        let replies = Topic::new(format!("a:{:016x}{:016x}", name[0], name[1]));
        interests.want(replies.clone());
        Self(Arc::new(Inner {
            voice,
            crowd,
            interests,
            apps,
            feed,
            replies,
            questions: Mutex::default(),
            asked: AtomicU64::new(0),
            partial: AtomicU64::new(0),
        }))
    }

    /// Whether there are other nodes.
    pub(super) fn is_there(&self) -> bool {
        self.0.crowd.company() > 0
    }

    pub(super) fn interests(&self) -> &Interests {
        &self.0.interests
    }

    pub(super) fn feed(&self) -> &dyn FeedStore {
        &*self.0.feed
    }

    pub(super) fn crowd(&self) -> &Crowd {
        &self.0.crowd
    }

    /// Hears what other nodes say in a topic, from when this returns.
    pub(super) async fn listen(&self, topic: &Topic) -> Listening {
        let interests = self.0.interests.clone();
        interests.want(topic.clone());
        let listening = Listening { interests, topic: topic.clone() };
        listening.interests.heard(std::slice::from_ref(topic)).await;
        listening
    }

    /// Asks all nodes; gives what came in time.
    async fn ask(&self, app: &AppId, question: Question) -> Vec<Answer> {
        let nodes = self.0.crowd.company();
        if nodes == 0 {
            return Vec::new();
        }
        self.0.interests.heard(std::slice::from_ref(&self.0.replies)).await;
        let (sender, mut incoming) = mpsc::channel(nodes);
        let id = self.0.asked.fetch_add(1, Ordering::Relaxed);
        let Some(_open) = Open::new(&self.0, id, sender) else {
            self.count_partial();
            return Vec::new();
        };
        let reply = self.0.replies.to_string();
        let asked = Said::Ask { id, reply, app: app.to_string(), question };
        self.0.voice.call(Kind::Channel, asked.body(b""));
        let until = Instant::now() + PATIENCE;
        let mut answers = Vec::with_capacity(nodes);
        while answers.len() < nodes
            && let Ok(Some(answer)) = timeout_at(until, incoming.recv()).await
        {
            answers.push(answer);
        }
        if answers.len() < nodes {
            self.count_partial();
        }
        answers
    }

    fn count_partial(&self) {
        self.0.partial.fetch_add(1, Ordering::Relaxed);
    }

    fn answered(&self, id: u64, answer: Answer) {
        if let Some(asker) = self.0.questions.lock().get(&id) {
            // Fails when more answer than were there to be asked.
            drop(asker.try_send(answer));
        }
    }
}

/// A question, until it is answered or nobody wants to know any more.
struct Open<'a>(&'a Inner, u64);

impl<'a> Open<'a> {
    /// `None`: there are too many.
    fn new(inner: &'a Inner, id: u64, sender: mpsc::Sender<Answer>) -> Option<Self> {
        let mut questions = inner.questions.lock();
        if questions.len() >= QUESTIONS_MAX {
            return None;
        }
        questions.insert(id, sender);
        Some(Self(inner, id))
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.questions.lock().remove(&self.1);
    }
}

/// The text of a finished frame.
fn text_of(frame: &Frame) -> &[u8] {
    let bytes = frame.stream();
    let header = match bytes.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        Some(_) | None => 2,
    };
    bytes.get(header..).unwrap_or_default()
}

impl Channels {
    /// What the other nodes are asked and told by, if there may be any.
    pub(super) fn company(&self) -> Option<&Company> {
        self.shared().company.get()
    }

    /// How often a question was not answered by all nodes in time.
    pub fn partial_answers(&self) -> u64 {
        self.company().map_or(0, |company| company.0.partial.load(Ordering::Relaxed))
    }

    /// Takes other nodes into account from now on.
    pub fn connect(&self, company: Company) {
        drop(self.shared().company.set(company));
    }

    /// The other nodes, if there are any.
    pub(super) fn others(&self) -> Option<&Company> {
        self.company().filter(|company| company.is_there())
    }

    /// Hears a topic from everywhere as long as the answer is kept.
    pub(super) async fn listen(&self, topic: &Topic) -> Option<Listening> {
        match self.company() {
            Some(company) => Some(company.listen(topic).await),
            None => None,
        }
    }

    /// Gives a frame to the nodes with subscribers of a channel. `fades`: a newer one takes its place.
    pub(super) fn spread(
        &self,
        (app, channel): (&AppId, &ChannelName),
        frame: &Frame,
        (except, fades): (Option<SocketId>, bool),
        kept: Option<(&str, &str)>,
    ) {
        let Some(company) = self.company() else { return };
        let topic = crate::pusher::topic(app, channel.as_str());
        company.0.voice.say(&topic, Kind::Channel, || {
            let event = Event {
                app: app.to_string(),
                channel: channel.as_str().to_owned(),
                except: except.map(|id| id.to_string()),
                fades,
                kept: kept.map(|(name, data)| (name.to_owned(), data.to_owned())),
            };
            Said::Event(event).body(text_of(frame))
        });
    }

    /// Makes the other nodes close the sockets of a signed-in user.
    pub(super) fn terminate_elsewhere(&self, app: &AppId, user: &str) {
        if let Some(company) = self.company() {
            let said = Said::Terminate { app: app.to_string(), user: user.to_owned() };
            company.0.voice.call(Kind::Channel, said.body(b""));
        }
    }

    /// What is known of a channel on all nodes; `None` if nobody has subscribed and nothing is remembered.
    pub async fn channel_everywhere(&self, app: &AppId, name: &str) -> Option<ChannelInfo> {
        let Some(company) = self.others() else { return self.channel(app, name) };
        let (here, is_member) = self.here(app, name);
        let answers = company.ask(app, Question::Channel { name: name.to_owned() }).await;
        let mut all = Sum::new(here);
        for answer in answers {
            if let Answer::Channel { here, kept } = answer {
                all.add(here);
                self.keep_newer(app, name, kept);
            }
        }
        let info = ChannelInfo {
            subscriptions: all.total(),
            ..self.channel(app, name).unwrap_or_default()
        };
        let users = if is_member { info.users } else { self.users_elsewhere(app, name) };
        let is_known = info.subscriptions > 0 || info.cache.is_some();
        is_known.then_some(ChannelInfo { users, ..info })
    }

    /// Members on other nodes of a channel that nobody here is in.
    fn users_elsewhere(&self, app: &AppId, name: &str) -> Option<u64> {
        let members = self.company()?.crowd().members_elsewhere(app, name).len() as u64;
        (members > 0).then_some(members)
    }

    /// The channels with subscriptions on any node whose names start with `prefix`.
    pub async fn occupied_everywhere(
        &self,
        app: &AppId,
        prefix: &str,
    ) -> Vec<(String, ChannelInfo)> {
        let here = self.occupied(app, prefix);
        let Some(company) = self.others() else { return here };
        let answers = company.ask(app, Question::Channels { prefix: prefix.to_owned() }).await;
        let mut sums: HashMap<String, Sum> = HashMap::new();
        for (name, _) in here {
            let (here, _) = self.here(app, &name);
            sums.insert(name, Sum::new(here));
        }
        for answer in answers {
            let Answer::Channels { channels, is_whole } = answer else { continue };
            if !is_whole {
                company.count_partial();
            }
            for (name, here) in channels {
                sums.entry(name).or_default().add(here);
            }
        }
        let info = |(name, sum): (String, Sum)| {
            let known = self.channel(app, &name).and_then(|known| known.users);
            let users = known.or_else(|| self.users_elsewhere(app, &name));
            (name, ChannelInfo { subscriptions: sum.total(), users, cache: None })
        };
        sums.into_iter().map(info).collect()
    }

    /// Open sockets of an app on all nodes.
    pub async fn connections_everywhere(&self, app: &AppId) -> u64 {
        let here = self.connections(app);
        let Some(company) = self.others() else { return here };
        let answers = company.ask(app, Question::Connections).await;
        let others = answers.into_iter().map(|answer| match answer {
            Answer::Connections(count) => count,
            Answer::Channels { .. } | Answer::Channel { .. } => 0,
        });
        here + others.sum::<u64>()
    }

    /// Asks what a cache channel remembers before the first subscriber here is told.
    pub(super) async fn recall(&self, app: &AppId, name: &ChannelName) {
        let Some(company) = self.others().filter(|_| name.is_cache()) else { return };
        if self.here(app, name.as_str()).0.sockets > 0 {
            return;
        }
        let question = Question::Channel { name: name.as_str().to_owned() };
        for answer in company.ask(app, question).await {
            if let Answer::Channel { kept, .. } = answer {
                self.keep_newer(app, name.as_str(), kept);
            }
        }
    }

    fn keep_newer(&self, app: &AppId, name: &str, kept: Option<said::Kept>) {
        let Some(kept) = kept else { return };
        let topic = crate::pusher::topic(app, name);
        let frame = super::frames::text(|out| out.extend_from_slice(kept.text.as_bytes()));
        let kept = Kept::aged((kept.name.as_str(), kept.data.as_str()), kept.age(), frame);
        self.cache().keep_newer(topic, kept);
    }

    /// Who is in a channel here, and whether it is a presence channel with somebody in it.
    fn here(&self, app: &AppId, name: &str) -> (Here, bool) {
        let Some(app) = self.known(app) else { return (Here::default(), false) };
        app.with_channel(name, |channel| {
            let at_home = channel.presence.as_ref().map(|presence| presence.at_home_count());
            let here = Here { sockets: channel.sockets, at_home: at_home.unwrap_or(0) };
            (here, at_home.is_some())
        })
        .unwrap_or_default()
    }

    /// Members of a presence channel on other nodes.
    pub(super) fn members_elsewhere(&self, app: &AppId, channel: &str) -> Vec<Membership> {
        self.company()
            .map(|company| company.crowd().members_elsewhere(app, channel))
            .unwrap_or_default()
    }

    /// The same, as they are told.
    pub(super) fn listed_elsewhere(&self, app: &AppId, channel: &str) -> Vec<Member> {
        let member = |member: Membership| Member {
            user_id: member.user_id.to_string(),
            user_info: member.info.map(|info| (*info).to_owned()),
        };
        self.members_elsewhere(app, channel).into_iter().map(member).collect()
    }
}

/// Subscriptions on several nodes. Members by another door are the same on all.
#[derive(Default)]
struct Sum {
    sockets: u64,
    at_home: u64,
}

impl Sum {
    fn new(here: Here) -> Self {
        let mut sum = Self::default();
        sum.add(here);
        sum
    }

    fn add(&mut self, here: Here) {
        self.sockets += here.sockets.saturating_sub(here.at_home);
        self.at_home = self.at_home.max(here.at_home);
    }

    fn total(&self) -> u64 {
        self.sockets + self.at_home
    }
}

/// A signed-in user, as other nodes are told.
pub(super) fn signed_in(app: &AppId, user_id: &Arc<str>) -> Who {
    Who::SignedIn(app.clone(), Arc::clone(user_id))
}
