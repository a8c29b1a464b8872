//! Several nodes in one process, each with a door of its own.

use mynah_cluster::{InProcess, Limits as BrokerLimits};
use mynah_domain::NodeId;
use mynah_domain::app::WebhookRule;
use mynah_domain::node::NodeLease;
use mynah_domain::ports::Commit;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;
use crate::cluster::directory::Directory;
use crate::cluster::node::{Inputs, Node, Parts};
use crate::cluster::people::{Crowd, Who};
use crate::cluster::voice::Voice;
use crate::dialects::Dialects;
use crate::dispatch::Dispatcher;
use crate::ears::Ears;
use crate::pusher::Company;
use crate::recovery::Reached;
use crate::test_world::{Silence, World};
use crate::vocabulary::Vocabularies;

/// A node; it dies with this.
struct Member {
    house: House,
    crowd: Crowd,
    /// The node runs as long as it may still store something.
    commits: mpsc::Sender<Commit>,
    voice: Voice,
    _world: Arc<World>,
}

/// An app that wants to be told everything.
fn told() -> App {
    let rule = WebhookRule {
        url: "https://hooks.example/x".to_owned(),
        headers: Vec::new(),
        kinds: Vec::new(),
        channel_starts_with: None,
        channel_ends_with: None,
    };
    App { webhooks: vec![rule], subscription_counts: true, ..app("shop") }
}

impl Member {
    async fn join(slot: u16, bus: &InProcess) -> Self {
        let interests = Interests::default();
        let house = House::heard_by(vec![told()], |_| {}, Some(interests.clone())).await;
        let world = World::new();
        let known = world.house();
        let (broker, events) = bus.join(BrokerLimits::default());
        let voice = Voice::new(broker);
        let id = NodeId::trusted(format!("n{slot}"));
        let lease = NodeLease { id, slot, epoch: 1, address: String::new() };
        voice.speak_as(&lease, Instant::now() + Duration::from_hours(1));
        let crowd = Crowd::new(voice.clone());
        let apps = Apps::configured(vec![told()], Arc::clone(&world.clock) as _);
        let ways = (voice.clone(), crowd.clone(), interests.clone());
        house.channels.connect(Company::new(ways, apps, Arc::new(Silence)));
        let dialects = Dialects::new(Vocabularies::load(&[], "native").unwrap(), false).unwrap();
        let dispatcher = Dispatcher {
            hub: house.channels.hub().clone(),
            dialects,
            live: known.live.clone(),
            dispatched: Arc::default(),
            relay: None,
            hears_from: None,
            head: watch::channel(0).0,
        };
        let parts = Parts {
            dispatcher,
            voice: voice.clone(),
            directory: Directory::default(),
            interests,
            reached: Reached::default(),
            feed: Arc::new(Silence),
        };
        let (node, words, stats) = Node::new(parts, 0);
        let (commits, queue) = mpsc::channel(1);
        tokio::spawn(node.run(Inputs { commits: queue, broker: events }));
        let ears = Ears {
            live: known.live,
            sockets: known.sockets,
            crowd: crowd.clone(),
            channels: house.channels.clone(),
            stats,
        };
        tokio::spawn(ears.listen(words));
        Self { house, crowd, commits, voice, _world: world }
    }

    /// What the others see of a kill: silence.
    fn die(&self) {
        self.voice.fall_silent();
    }

    async fn signed_in(&self, user_data: &str) -> Client {
        let mut client = self.house.client().await;
        client.sign_in(user_data).await;
        client.find("pusher:signin_success").await;
        client
    }

    fn notes(&self) -> Vec<Happening> {
        self.house.notes.take()
    }

    /// Members of a channel, as this node sees it.
    fn members(&self, channel: &str) -> Vec<String> {
        let app = &self.house.app().id;
        let members = self.house.channels.members(app, channel).unwrap_or_default();
        let mut ids: Vec<_> = members.into_iter().map(|member| member.user_id).collect();
        ids.sort();
        ids
    }
}

/// Nodes that know each other.
async fn members<const N: usize>(bus: &InProcess) -> [Member; N] {
    let mut all = Vec::new();
    for slot in 1..=N as u16 {
        all.push(Member::join(slot, bus).await);
    }
    until(|| all.iter().all(|member| member.crowd.company() == N - 1)).await;
    all.try_into().ok().unwrap()
}

const ANN: &str = r#"{"user_id":"ann","user_info":{"name":"Ann"}}"#;
const BOB: &str = r#"{"user_id":"bob"}"#;
const EVE: &str = r#"{"user_id":"eve"}"#;

fn channel_of(what: &Happening) -> (&'static str, String) {
    match what {
        Happening::ChannelOccupied { channel } => ("occupied", channel.to_string()),
        Happening::ChannelVacated { channel } => ("vacated", channel.to_string()),
        Happening::MemberAdded { user_id, .. } => ("added", user_id.to_string()),
        Happening::MemberRemoved { user_id, .. } => ("removed", user_id.to_string()),
        Happening::ClientEvent { event, .. } => ("client", event.clone()),
        Happening::CacheMiss { channel } => ("miss", channel.to_string()),
        Happening::SubscriptionCount { count, .. } => ("count", count.to_string()),
    }
}

/// What back ends are told by all, counts aside.
fn told_by(all: &[Member]) -> Vec<String> {
    let notes = all.iter().flat_map(Member::notes).collect::<Vec<_>>();
    let told = notes.iter().map(channel_of).filter(|(kind, _)| *kind != "count");
    told.map(|(kind, what)| format!("{kind} {what}")).collect()
}

#[tokio::test]
async fn an_event_reaches_the_sockets_of_all_nodes_in_order() {
    let [one, two] = members(&InProcess::new()).await;
    let mut here = one.house.client().await;
    let mut there = two.house.client().await;
    for client in [&mut here, &mut there] {
        client.join("news", None).await;
    }
    for n in 0..50 {
        one.house.publish("news", &format!("e{n}"), "{}").await;
    }
    let except = Some(there.socket_id());
    one.house.publish_except("news", "not-there", "{}", except).await;
    two.house.publish_except("news", "not-here", "{}", Some(here.socket_id())).await;
    one.house.publish("news", "end", r#"{"a":"b\nc"}"#).await;
    let mut heard = Vec::new();
    loop {
        let frame = there.next().await;
        let event = frame["event"].as_str().unwrap().to_owned();
        let is_end = event == "end";
        if is_end {
            assert_eq!(frame["data"], r#"{"a":"b\nc"}"#);
        }
        heard.push(event);
        if is_end {
            break;
        }
    }
    heard.retain(|event| !event.starts_with("pusher_internal:"));
    let sent: Vec<String> = (0..50).map(|n| format!("e{n}")).collect();
    let of_one: Vec<_> =
        heard.iter().filter(|e| *e != "not-here" && *e != "end").cloned().collect();
    assert_eq!(of_one, sent);
    here.find("end").await;
    assert!(!here.heard().await.contains(&"not-here".to_owned()));
}

#[tokio::test]
async fn clients_hear_each_other_over_nodes() {
    let [one, two] = members(&InProcess::new()).await;
    let mut ann = one.house.client().await;
    let mut bob = two.house.client().await;
    ann.join("presence-x", Some(ANN)).await;
    bob.join("presence-x", Some(BOB)).await;
    ann.find("pusher_internal:member_added").await;
    ann.send(json!({ "event": "client-hello", "channel": "presence-x", "data": { "n": 1 } })).await;
    let heard = bob.find("client-hello").await;
    assert_eq!((&heard["data"]["n"], &heard["user_id"]), (&json!(1), &json!("ann")));
    assert_eq!(ann.heard().await, [""; 0], "not the sender");
}

#[tokio::test]
async fn a_presence_channel_has_the_members_of_all_nodes() {
    let all: [Member; 3] = members(&InProcess::new()).await;
    let [one, two, three] = &all;
    let mut ann = one.house.client().await;
    ann.join("presence-x", Some(ANN)).await;
    until(|| two.members("presence-x") == ["ann"]).await;
    let mut bob = two.house.client().await;
    let told = bob.join("presence-x", Some(BOB)).await;
    assert_eq!(told["presence"]["count"], 2);
    assert_eq!(told["presence"]["hash"]["ann"], json!({ "name": "Ann" }));
    let added = data(&ann.find("pusher_internal:member_added").await);
    assert_eq!(added["user_id"], "bob");
    // Another tab on another node is nobody new.
    until(|| three.members("presence-x") == ["ann", "bob"]).await;
    let mut tab = three.house.client().await;
    tab.join("presence-x", Some(ANN)).await;
    let mut eve = one.house.client().await;
    eve.join("presence-x", Some(EVE)).await;
    bob.find("pusher_internal:member_added").await;
    ann.unsubscribe("presence-x").await;
    ann.settled().await;
    tab.send(json!({ "event": "client-still", "channel": "presence-x", "data": {} })).await;
    let seen = bob.next().await;
    assert_eq!(seen["event"], "client-still", "ann has not gone: {seen}");
    assert_eq!(eve.next().await["event"], "client-still", "where she was, too");
    tab.unsubscribe("presence-x").await;
    for client in [&mut bob, &mut eve] {
        let removed = data(&client.find("pusher_internal:member_removed").await);
        assert_eq!(removed["user_id"], "ann");
    }
    until(|| all.iter().all(|member| member.members("presence-x") == ["bob", "eve"])).await;
    let mut told = told_by(&all);
    told.sort();
    assert_eq!(
        told,
        [
            "added ann",
            "added bob",
            "added eve",
            "client client-still",
            "occupied presence-x",
            "removed ann",
        ],
        "once each"
    );
}

#[tokio::test]
async fn back_ends_are_told_once_that_a_channel_is_occupied_and_vacated() {
    let all: [Member; 2] = members(&InProcess::new()).await;
    let [one, two] = &all;
    let mut here = one.house.client().await;
    let mut there = two.house.client().await;
    here.join("news", None).await;
    let occupied = Who::Channel(one.house.app().id.clone(), "news".into());
    until(|| two.crowd.is_elsewhere(&occupied)).await;
    there.join("news", None).await;
    until(|| one.crowd.is_elsewhere(&occupied)).await;
    assert_eq!(told_by(&all), ["occupied news"]);
    here.unsubscribe("news").await;
    until(|| !two.crowd.is_elsewhere(&occupied)).await;
    assert_eq!(told_by(&all), [""; 0]);
    there.unsubscribe("news").await;
    until(|| !one.crowd.is_elsewhere(&occupied)).await;
    assert_eq!(told_by(&all), ["vacated news"]);
}

#[tokio::test]
async fn questions_are_answered_for_all_nodes() {
    let [one, two] = members(&InProcess::new()).await;
    let mut here = one.house.client().await;
    let mut there = two.house.client().await;
    for client in [&mut here, &mut there] {
        client.join("news", None).await;
    }
    there.join("presence-x", Some(ANN)).await;
    until(|| one.members("presence-x") == ["ann"]).await;
    let (channels, app) = (&one.house.channels, &one.house.app().id);
    assert_eq!(channels.channel_everywhere(app, "news").await.unwrap().subscriptions, 2);
    let seen = channels.channel_everywhere(app, "presence-x").await.unwrap();
    assert_eq!((seen.subscriptions, seen.users), (1, Some(1)));
    assert_eq!(channels.channel_everywhere(app, "nothing").await, None);
    assert_eq!(channels.connections_everywhere(app).await, 2);
    let mut all = channels.occupied_everywhere(app, "").await;
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let all: Vec<_> = all.iter().map(|(name, info)| (name.as_str(), info.subscriptions)).collect();
    assert_eq!(all, [("news", 2), ("presence-x", 1)]);
    assert_eq!(channels.partial_answers(), 0);
    two.die();
    assert_eq!(channels.channel_everywhere(app, "news").await.unwrap().subscriptions, 1);
    assert_eq!(channels.partial_answers(), 1);
}

#[tokio::test]
async fn subscribers_are_told_how_many_they_are_on_all_nodes() {
    let [one, two] = members(&InProcess::new()).await;
    let mut here = one.house.client().await;
    here.join("news", None).await;
    let mut there = two.house.client().await;
    there.join("news", None).await;
    loop {
        let told = data(&here.find("pusher_internal:subscription_count").await);
        if told["subscription_count"] == 2 {
            break;
        }
    }
}

#[tokio::test]
async fn a_cache_channel_remembers_over_nodes() {
    let [one, two] = members(&InProcess::new()).await;
    one.house.publish("cache-news", "first", "{}").await;
    let mut there = two.house.client().await;
    there.join("cache-news", None).await;
    assert_eq!(there.next().await["event"], "first");
    there.unsubscribe("cache-news").await;
    one.house.publish("cache-news", "second", "{}").await;
    there.settled().await;
    let mut later = two.house.client().await;
    later.join("cache-news", None).await;
    assert_eq!(later.next().await["event"], "second", "not what the node had heard before");
    two.house.publish("cache-news", "third", "{}").await;
    let app = &one.house.app().id;
    let known = one.house.channels.channel_everywhere(app, "cache-news").await.unwrap();
    assert_eq!(known.cache.unwrap().name.as_ref(), "third");
}

#[tokio::test]
async fn a_users_connections_end_and_a_users_events_arrive_on_all_nodes() {
    let [one, two] = members(&InProcess::new()).await;
    let mut there = two.signed_in(r#"{"id":"ada"}"#).await;
    there.join("#server-to-user-ada", None).await;
    one.house.publish("#server-to-user-ada", "invoice", "{}").await;
    there.find("invoice").await;
    one.house.channels.terminate_user(&one.house.app().id, "ada").await;
    assert_eq!(there.end().await.0, Some(4009));
}

#[tokio::test]
async fn a_watchlist_tells_of_users_on_other_nodes() {
    let [one, two] = members(&InProcess::new()).await;
    let watchlist = r#"{"id":"ada","watchlist":["friend"]}"#;
    let mut ada = one.signed_in(watchlist).await;
    let told = data(&ada.find("pusher_internal:watchlist_events").await);
    assert_eq!(told["events"][0]["name"], "offline");
    let friend = two.signed_in(r#"{"id":"friend"}"#).await;
    let told = data(&ada.find("pusher_internal:watchlist_events").await);
    assert_eq!(told["events"][0]["name"], "online");
    // A tab here, while the other is there, is nothing new; the last one counts.
    let tab = one.signed_in(r#"{"id":"friend"}"#).await;
    friend.close().await;
    tab.close().await;
    let told = data(&ada.find("pusher_internal:watchlist_events").await);
    assert_eq!(told["events"][0], json!({ "name": "offline", "user_ids": ["friend"] }));
    let mut late = two.signed_in(watchlist).await;
    let told = data(&late.find("pusher_internal:watchlist_events").await);
    assert_eq!(told["events"][0]["name"], "offline");
}

#[tokio::test]
async fn the_members_of_a_dead_node_go() {
    let all: [Member; 3] = members(&InProcess::new()).await;
    let [one, two, three] = &all;
    let mut ann = three.house.client().await;
    ann.join("presence-x", Some(ANN)).await;
    until(|| two.members("presence-x") == ["ann"]).await;
    let mut bob = two.house.client().await;
    bob.join("presence-x", Some(BOB)).await;
    until(|| one.members("presence-x") == ["ann", "bob"]).await;
    told_by(&all);
    three.die();
    for member in [one, two] {
        member.crowd.node_gone(3, 1);
    }
    let removed = data(&bob.find("pusher_internal:member_removed").await);
    assert_eq!(removed["user_id"], "ann");
    until(|| one.members("presence-x") == ["bob"]).await;
    tokio::task::yield_now().await;
    assert_eq!(two.notes(), [], "it is not the first of those that live");
    until(|| one.notes().iter().map(channel_of).any(|told| told == ("removed", "ann".to_owned())))
        .await;
    assert!(one.commits.capacity() > 0);
}
