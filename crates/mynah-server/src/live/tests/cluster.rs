//! Who is online when there are several nodes.

use std::time::Duration;

use mynah_cluster::{InProcess, Limits};
use mynah_domain::NodeId;
use mynah_domain::node::NodeLease;
use mynah_domain::ports::Commit;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::*;
use crate::cluster::directory::Directory;
use crate::cluster::interests::Interests;
use crate::cluster::node::{Inputs, Node, Parts};
use crate::cluster::people::Crowd;
use crate::cluster::voice::Voice;
use crate::config::PusherConfig;
use crate::dispatch::Dispatcher;
use crate::ears::Ears;
use crate::pusher::Channels;
use crate::recovery::Reached;
use crate::test_world::Silence;

/// A node on a store that all share.
struct Member {
    house: House,
    voice: Voice,
    /// The node runs as long as it may still store something.
    _commits: mpsc::Sender<Commit>,
}

impl Member {
    fn join(slot: u16, world: &Arc<World>, bus: &InProcess) -> Self {
        let interests = Interests::default();
        let hub = Hub::watched(HubConfig::default(), Arc::new(interests.clone()));
        let house = House::on(Arc::clone(world), hub.clone());
        let known = world.house();
        let (broker, events) = bus.join(Limits::default());
        let voice = Voice::new(broker);
        let id = NodeId::trusted(format!("n{slot}"));
        let lease = NodeLease { id, slot, epoch: 1, address: String::new() };
        voice.speak_as(&lease, Instant::now() + Duration::from_hours(1));
        let crowd = Crowd::new(voice.clone());
        house.live.connect(voice.clone(), crowd.clone());
        let dialects = Dialects::new(Vocabularies::load(&[], "native").unwrap(), false).unwrap();
        let dispatcher = Dispatcher {
            hub: hub.clone(),
            dialects,
            live: house.live.clone(),
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
        let channels = Channels::new(hub, &PusherConfig::default());
        let (live, sockets) = (house.live.clone(), known.sockets);
        tokio::spawn(Ears { live, sockets, crowd, channels, stats }.listen(words));
        Self { house, voice, _commits: commits }
    }

    fn came(&self) {
        self.house.live.came(&House::actor(), None);
    }

    fn went(&self) {
        self.house.live.went(&House::actor());
    }

    fn is_online(&self) -> bool {
        let presence = self.house.live.presence(&TenantId::single(), &ann());
        let listed = self.house.live.online(&TenantId::single(), 10);
        let is_online = presence.status == PresenceStatus::Online;
        assert_eq!(listed == [ann()], is_online);
        is_online
    }

    /// What a session was told of her since the last time: `+` online, `-` offline.
    async fn told(&self, id: SessionId) -> String {
        let heard = self.house.heard(id).await;
        let mut told = String::new();
        for event in heard.split(r#""presence""#).skip(1) {
            told.push(if event.contains("online") { '+' } else { '-' });
        }
        told
    }
}

/// Three nodes with a session on each that hears ann's room.
async fn three(bus: &InProcess) -> ([Member; 3], [SessionId; 3]) {
    let world = World::new();
    let all = [1, 2, 3].map(|slot| Member::join(slot, &world, bus));
    let [one, two, three] = &all;
    let room = topics::room(&one.house.room("room", 2).await);
    pass(2_500).await;
    let mut ids = Vec::new();
    for member in [one, two, three] {
        ids.push(member.house.hears(room.clone()).await);
    }
    pass(500).await;
    (all, ids.try_into().unwrap())
}

/// Lets time pass, in which everybody gets a turn.
async fn pass(ms: u64) {
    for _ in 0..ms / 100 {
        tokio::time::advance(Duration::from_millis(100)).await;
        for _ in 0..30 {
            tokio::task::yield_now().await;
        }
    }
}

async fn told(all: &[Member; 3], ids: [SessionId; 3]) -> [String; 3] {
    let [one, two, three] = all;
    [one.told(ids[0]).await, two.told(ids[1]).await, three.told(ids[2]).await]
}

#[tokio::test(start_paused = true)]
async fn a_user_is_online_from_the_first_node_to_the_last() {
    let (all, ids) = three(&InProcess::new()).await;
    all[0].came();
    pass(500).await;
    assert!(all.iter().all(Member::is_online));
    assert_eq!(told(&all, ids).await, ["+"; 3]);
    // To another node and back again: nobody needs to know.
    all[1].came();
    all[0].went();
    pass(10_000).await;
    all[0].came();
    all[1].went();
    pass(10_000).await;
    assert!(all.iter().all(Member::is_online));
    assert_eq!(told(&all, ids).await, [""; 3]);
    all[0].went();
    pass(6_000).await;
    assert!(!all.iter().any(Member::is_online));
    assert_eq!(told(&all, ids).await, ["-"; 3]);
    let live = &all[2].house.live;
    assert!(live.presence(&TenantId::single(), &ann()).last_seen.is_some(), "known elsewhere too");
}

#[tokio::test(start_paused = true)]
async fn a_dead_nodes_users_go_within_the_lease_and_its_successor_tells() {
    let (all, ids) = three(&InProcess::new()).await;
    all[2].came();
    pass(500).await;
    told(&all, ids).await;
    all[2].voice.fall_silent();
    pass(14_000).await;
    assert!(all[0].is_online(), "it may come back");
    pass(3_000).await;
    assert!(!all[0].is_online() && !all[1].is_online());
    let [one, two, _] = told(&all, ids).await;
    assert_eq!([one, two], ["-"; 2]);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_before_it_is_known_is_shown_when_it_is() {
    let (all, ids) = three(&InProcess::new()).await;
    all[2].came();
    pass(500).await;
    told(&all, ids).await;
    let status = PresenceStatus::Offline;
    let presence = crate::live::Presence { user: ann(), status, last_seen: None };
    let (room, tenant) = (RoomId::parse("room").unwrap(), TenantId::single());
    let early = crate::cluster::wire::Told::Presence { room, tenant, presence };
    all[0].house.live.heard(early.clone()).await;
    pass(1_000).await;
    assert_eq!(all[0].told(ids[0]).await, "", "she is there");
    all[2].voice.fall_silent();
    pass(14_000).await;
    all[1].house.live.heard(early).await;
    pass(3_000).await;
    assert_eq!(told(&all, ids).await[1], "-");
    assert_eq!(all[0].house.live.0.state.lock().doubtful.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_on_another_node_was_never_gone() {
    let (all, ids) = three(&InProcess::new()).await;
    all[0].came();
    pass(500).await;
    told(&all, ids).await;
    all[0].voice.fall_silent();
    pass(3_000).await;
    all[1].came();
    pass(20_000).await;
    assert!(all[1].is_online() && all[2].is_online());
    let [_, two, three] = told(&all, ids).await;
    assert_eq!([two, three], [""; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_cut_shorter_than_the_lease_is_not_noticed() {
    let bus = InProcess::new();
    let (all, ids) = three(&bus).await;
    for member in &all[1..] {
        member.came();
        pass(500).await;
    }
    told(&all, ids).await;
    bus.cut();
    pass(10_000).await;
    assert!(all.iter().all(Member::is_online));
    bus.mend();
    pass(20_000).await;
    assert!(all.iter().all(Member::is_online));
    assert_eq!(told(&all, ids).await, [""; 3]);
    // Longer, and each node is alone for a while: online again when it is over.
    bus.cut();
    pass(20_000).await;
    assert!(!all[0].is_online());
    assert_eq!(told(&all, ids).await[0], "-");
    bus.mend();
    pass(5_000).await;
    assert!(all.iter().all(Member::is_online));
    assert_eq!(told(&all, ids).await[0], "+");
}

#[tokio::test(start_paused = true)]
async fn when_the_last_two_go_at_the_same_time_everybody_hears_of_it() {
    let (all, ids) = three(&InProcess::new()).await;
    for member in &all[1..] {
        member.came();
        pass(500).await;
    }
    told(&all, ids).await;
    for member in &all[1..] {
        member.went();
    }
    pass(7_000).await;
    assert!(!all.iter().any(Member::is_online));
    for told in told(&all, ids).await {
        assert!(told == "-" || told == "--", "{told}");
    }
}
