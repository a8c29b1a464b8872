//! Crowds that hear each other when the test lets them.

use mynah_cluster::{InProcess, Limits};
use mynah_domain::NodeId;
use mynah_domain::node::NodeLease;
use mynah_hub::BrokerEvent;
use mynah_hub::cluster::Envelope;
use tokio::sync::mpsc;

use super::*;

struct Node {
    slot: u16,
    crowd: Crowd,
    events: mpsc::Receiver<BrokerEvent>,
}

impl Node {
    async fn join(slot: u16, bus: &InProcess) -> Self {
        let (broker, events) = bus.join(Limits::default());
        assert!(broker.subscribe(vec![streams::common()]).await);
        let voice = Voice::new(broker);
        let id = NodeId::trusted(format!("n{slot}"));
        let lease = NodeLease { id, slot, epoch: 1, address: String::new() };
        voice.speak_as(&lease, Instant::now() + Duration::from_hours(1));
        voice.set_company(true);
        let crowd = Crowd::new(voice);
        tokio::spawn(crowd.clone().keep());
        Self { slot, crowd, events }
    }

    /// Hears what has come; `true` if that was anything.
    fn hear(&mut self) -> bool {
        let mut any = false;
        while let Ok(event) = self.events.try_recv() {
            let BrokerEvent::Message { payload, .. } = event else { continue };
            for envelope in Envelope::all(payload) {
                let Envelope { slot, epoch, body, .. } = envelope.unwrap();
                if slot != self.slot {
                    any = true;
                    self.crowd.heard((slot, epoch), &body).unwrap();
                }
            }
        }
        any
    }

    /// All news: `came`, `went`, `denied` or `owed`, with `!` where this node tells.
    fn news(&self) -> Vec<String> {
        let news = std::mem::take(&mut self.crowd.0.state.lock().news);
        let spelled = news.into_iter().map(|news| {
            let word = match (news.is_there, news.is_change) {
                (true, true) => "came",
                (false, true) => "went",
                (true, false) => "denied",
                (false, false) => "owed",
            };
            let Who::User(_, user) = news.who else { panic!("a user") };
            format!("{user} {word}{}", if news.is_ours { "!" } else { "" })
        });
        spelled.collect()
    }
}

/// Lets everybody hear everything.
async fn carry(nodes: &mut [Node]) {
    // The digest of the next second finds what was missed; asking and answering take their turns.
    tokio::time::advance(Duration::from_millis(1_100)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    while nodes.iter_mut().any(Node::hear) {}
}

async fn nodes(bus: &InProcess, count: u16) -> Vec<Node> {
    let mut nodes = Vec::new();
    for slot in 1..=count {
        nodes.push(Node::join(slot, bus).await);
    }
    for node in &nodes {
        let slot = node.slot;
        (1..=count).filter(|other| *other != slot).for_each(|other| node.crowd.node_came(other));
    }
    carry(&mut nodes).await;
    nodes
}

fn user(id: &str) -> Who {
    Who::User(TenantId::trusted("t"), UserId::trusted(id))
}

const NOTHING: [&str; 0] = [];

#[tokio::test(start_paused = true)]
async fn the_first_and_the_last_node_tell() {
    let mut all = nodes(&InProcess::new(), 3).await;
    assert!(all[0].crowd.came(user("ann")));
    carry(&mut all).await;
    assert!(!all[1].crowd.came(user("ann")), "told already");
    carry(&mut all).await;
    assert_eq!(all[0].news(), NOTHING);
    for node in &all[1..] {
        assert_eq!(node.news(), ["ann came"]);
        assert!(node.crowd.is_elsewhere(&user("ann")));
        assert_eq!(node.crowd.users_elsewhere(&TenantId::trusted("t"), 10).len(), 1);
    }
    assert!(!all[0].crowd.went(&user("ann"), None), "moved, not gone");
    carry(&mut all).await;
    assert!(all.iter().all(|node| node.news().is_empty()));
    assert!(all[1].crowd.went(&user("ann"), Some(Timestamp(5))));
    carry(&mut all).await;
    let last_seen = |node: &Node| node.crowd.0.state.lock().news.front().unwrap().last_seen;
    assert_eq!(last_seen(&all[2]), Some(Timestamp(5)));
    assert_eq!(all[1].news(), NOTHING);
    assert_eq!([all[0].news(), all[2].news()].concat(), ["ann went"; 2]);
}

#[tokio::test(start_paused = true)]
async fn when_two_lose_the_last_at_the_same_time_one_tells() {
    let mut all = nodes(&InProcess::new(), 3).await;
    for node in &all[1..] {
        node.crowd.came(user("ann"));
    }
    carry(&mut all).await;
    for node in &all {
        node.news();
    }
    for node in &all[1..] {
        assert!(!node.crowd.went(&user("ann"), None), "it thinks that the other has her");
    }
    carry(&mut all).await;
    assert_eq!(all[0].news(), ["ann went!"], "the lowest slot, which never had her");
    assert_eq!([all[1].news(), all[2].news()].concat(), ["ann went"; 2]);
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_another_node_tells_the_contrary_is_told_again() {
    let mut all = nodes(&InProcess::new(), 2).await;
    all[0].crowd.came(user("ann"));
    carry(&mut all).await;
    all[1].news();
    assert!(all[0].crowd.went(&user("ann"), None));
    assert!(!all[1].crowd.came(user("ann")), "as far as it knows she was there");
    carry(&mut all).await;
    assert_eq!(all[1].news(), ["ann denied!"]);
    assert!(all[0].crowd.is_elsewhere(&user("ann")));
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_node_had_goes_once_and_its_return_is_told() {
    let bus = InProcess::new();
    let mut all = nodes(&bus, 3).await;
    all[2].crowd.came(user("ann"));
    all[2].crowd.came(user("bob"));
    all[1].crowd.came(user("bob"));
    carry(&mut all).await;
    for node in &all {
        node.news();
    }
    for node in &all[..2] {
        node.crowd.node_gone(3, 1);
    }
    assert_eq!(all[0].news(), ["ann went!"], "bob is on another node");
    assert_eq!(all[1].news(), ["ann went"]);
    // It was only cut off.
    for node in &all[..2] {
        node.crowd.node_came(3);
    }
    carry(&mut all).await;
    assert_eq!(all[0].news(), ["ann came!"]);
    assert_eq!(all[1].news(), ["ann came"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_node_owed_its_successor_tells() {
    let mut all = nodes(&InProcess::new(), 3).await;
    all[2].crowd.came(user("ann"));
    carry(&mut all).await;
    all[1].news();
    all[1].crowd.node_gone(3, 1);
    assert_eq!(all[1].news(), ["ann went"], "the first node is to tell");
    all[1].crowd.node_gone(1, 1);
    assert_eq!(all[1].news(), ["ann owed!"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_made_up_for_and_a_short_cut_is_no_change() {
    let bus = InProcess::new();
    let mut all = nodes(&bus, 2).await;
    all[0].crowd.came(user("ann"));
    carry(&mut all).await;
    assert_eq!(all[1].news(), ["ann came"]);
    bus.cut();
    all[0].crowd.came(user("bob"));
    all[0].crowd.came(user("eve"));
    all[0].crowd.went(&user("eve"), None);
    carry(&mut all).await;
    bus.mend();
    for _ in 0..3 {
        carry(&mut all).await;
    }
    assert_eq!(all[1].news(), ["bob came"], "ann was there all the time");
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_learns_who_is_there_with_all_they_brought() {
    let bus = InProcess::new();
    let mut all = nodes(&bus, 1).await;
    let info = serde_json::value::RawValue::from_string(r#"{"name":"Ann"}"#.to_owned()).unwrap();
    for n in 0..450 {
        let member = Membership {
            app: AppId::trusted("app"),
            channel: "presence-x".into(),
            user_id: format!("u{n:03}").into(),
            info: Some(info.clone().into()),
        };
        all[0].crowd.came(Who::Member(member));
    }
    all.push(Node::join(2, &bus).await);
    all[0].crowd.node_came(2);
    all[1].crowd.node_came(1);
    for _ in 0..3 {
        carry(&mut all).await;
    }
    let members = all[1].crowd.members_elsewhere(&AppId::trusted("app"), "presence-x");
    assert_eq!(members.len(), 450);
    assert_eq!(members[7].user_id.as_ref(), "u007");
    assert_eq!(members[7].info.as_ref().unwrap().get(), r#"{"name":"Ann"}"#);
    all[1].crowd.node_gone(1, 1);
    assert_eq!(all[1].crowd.members_elsewhere(&AppId::trusted("app"), "presence-x").len(), 0);
    assert!(all[1].crowd.0.state.lock().members.is_empty());
}
