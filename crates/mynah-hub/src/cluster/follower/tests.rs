//! A follower between a broker and a store that are played by hand.

use super::*;

mod frontiers;
mod healing;
mod settling;

/// What comes out, short: `deliver r 5`, `read r 2+10`, …
fn drain(follower: &mut Follower<u64>) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(action) = follower.next_action() {
        out.push(match action {
            Action::Subscribe(names) => format!("subscribe {}", join(&names)),
            Action::Unsubscribe(names) => format!("unsubscribe {}", join(&names)),
            Action::ReadHeads(names) => format!("heads {}", join(&names)),
            Action::ReadEvents { stream, after, limit } => format!("read {stream} {after}+{limit}"),
            Action::Deliver(item) => format!("deliver {} {}", item.stream, item.seq),
            Action::Resync(stream) => format!("resync {stream}"),
            Action::Settled(stream) => format!("settled {stream}"),
        });
    }
    out
}

fn join(names: &[Topic]) -> String {
    names.iter().map(Topic::as_str).collect::<Vec<_>>().join(",")
}

fn topic(name: &str) -> Topic {
    Topic::new(name)
}

const NOTHING: [&str; 0] = [];

/// An item whose `pos` is its event.
fn item(stream: &str, seq: u64, pos: u64, origin: u16) -> Item<u64> {
    Item { stream: topic(stream), seq, pos, origin, event: pos }
}

struct House {
    follower: Follower<u64>,
    now: u64,
}

impl House {
    /// With a broker, and following nothing.
    fn new() -> Self {
        Self::with(FollowerConfig::default())
    }

    fn with(config: FollowerConfig) -> Self {
        let mut follower = Follower::new(config, 0);
        follower.broker_up(0);
        Self { follower, now: 0 }
    }

    /// Follows `stream`, whose head is `head`.
    fn following(mut self, stream: &str, head: u64) -> Self {
        self.follower.want(self.now, &topic(stream));
        assert_eq!(self.out(), [format!("subscribe {stream}")]);
        self.follower.subscribed(self.now, &[topic(stream)], true);
        assert_eq!(self.out(), [format!("heads {stream}")]);
        self.heads(&[(stream, head)]);
        assert_eq!(self.out(), [format!("settled {stream}")]);
        self
    }

    fn out(&mut self) -> Vec<String> {
        drain(&mut self.follower)
    }

    fn heads(&mut self, heads: &[(&str, u64)]) {
        let heads = heads.iter().map(|(name, head)| (topic(name), *head)).collect();
        self.follower.heads(self.now, heads);
    }

    fn heard(&mut self, from: u16, stream: &str, seq: u64, pos: u64) -> Vec<String> {
        self.follower.heard(self.now, from, &topic(stream), seq, pos, Some(pos));
        self.out()
    }

    /// Without its payload.
    fn hinted(&mut self, from: u16, stream: &str, seq: u64, pos: u64) -> Vec<String> {
        self.follower.heard(self.now, from, &topic(stream), seq, pos, None);
        self.out()
    }

    fn own(&mut self, stream: &str, seq: u64, pos: u64) -> Vec<String> {
        self.follower.own(self.now, item(stream, seq, pos, 1));
        self.out()
    }

    /// The store's answer.
    fn read(&mut self, stream: &str, items: &[(u64, u64, u16)], head: u64) -> Vec<String> {
        let items =
            items.iter().map(|(seq, pos, origin)| item(stream, *seq, *pos, *origin)).collect();
        self.follower.events(self.now, &topic(stream), items, head, false);
        self.out()
    }

    fn beat(&mut self, from: u16, (since, pos): (u64, u64), heads: &[(&str, u64)]) -> Vec<String> {
        let heads = heads.iter().map(|(name, seq)| (fingerprint(name), *seq)).collect();
        let beat = Beat { pos, since, heads, ..Beat::default() };
        self.follower.beat_heard(self.now, from, &beat);
        self.out()
    }

    /// A first beat of a node: heads are compared once.
    fn met(mut self, from: u16) -> Self {
        assert_eq!(self.beat(from, (0, 0), &[]), NOTHING);
        self
    }

    fn after(&mut self, ms: u64) -> Vec<String> {
        let end = self.now + ms;
        let mut out = Vec::new();
        while let Some(tick) = self.follower.next_tick().filter(|tick| *tick <= end) {
            self.now = tick.max(self.now);
            self.follower.tick(self.now);
            out.append(&mut self.out());
        }
        self.now = end;
        out
    }

    fn place(&self, origin: u16) -> u64 {
        self.follower.frontier().of(origin)
    }
}
