//! Long random lives of many sessions: nothing leaks, nothing is told twice, order holds.

use std::collections::HashMap;

use super::*;

const TOPICS: u64 = 10;

/// A small generator with a fixed seed, so that a failure repeats.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

struct Life {
    house: House,
    dice: Dice,
    now: u64,
    seqs: [u64; TOPICS as usize],
    live: Vec<(SessionId, Option<FakeSocket>, Pulse)>,
    sockets: Vec<FakeSocket>,
    polls: Vec<oneshot::Receiver<PollAnswer>>,
    drains: Vec<oneshot::Receiver<()>>,
    begun: usize,
}

impl Life {
    fn new(seed: u64) -> Self {
        let keepalive = Keepalive {
            interval: Duration::from_millis(300),
            timeout: Duration::from_millis(200),
            spread: Duration::from_millis(50),
            probe: frame("p"),
            probing: Probing::Always,
        };
        let farewell = Some(Farewell::new(|_| Some(frame("bye"))));
        let rules = DialectRules { keepalive: Some(keepalive), farewell };
        let limits = Limits { queue_bytes_max: 120, queue_frames_max: 20, ..Limits::default() };
        Self {
            house: House::new(limits, rules),
            dice: Dice(seed),
            now: 0,
            seqs: [0; TOPICS as usize],
            live: Vec::new(),
            sockets: Vec::new(),
            polls: Vec::new(),
            drains: Vec::new(),
            begun: 0,
        }
    }

    fn begin(&mut self) {
        let pulse = Pulse::default();
        self.begun += 1;
        if self.dice.roll(4) == 0 {
            let id = self.house.attach(Link::Polling, pulse.clone());
            self.live.push((id, None, pulse));
        } else {
            let socket = FakeSocket::new(self.dice.roll(500) as usize);
            let id = self.house.attach(stream(&socket), pulse.clone());
            self.sockets.push(socket.clone());
            self.live.push((id, Some(socket), pulse));
        }
    }

    fn publish(&mut self) {
        let topic = self.dice.roll(TOPICS);
        let name = format!("t{topic}");
        if self.dice.roll(3) == 0 {
            let key = self.dice.roll(4);
            self.house.state(&name, key, "s");
        } else {
            let seq = &mut self.seqs[topic as usize];
            *seq += 1;
            let seq = *seq;
            let frames = LazyFrames::new(move |to| Some(frame(&format!("{}.{topic}:{seq}", to.0))));
            let publication = publication(&name, Some(seq), Class::Durable, "");
            self.house.shard.publish(&Publication { frames, ..publication });
        }
    }

    fn step(&mut self) {
        let choice = self.dice.roll(24);
        if choice < 10 {
            self.publish();
            return;
        }
        if self.live.len() < 40 && (choice == 10 || self.live.is_empty()) {
            self.begin();
            return;
        }
        let which = self.dice.roll(self.live.len() as u64) as usize;
        let (id, socket, pulse) = self.live[which].clone();
        let topic = Topic::new(format!("t{}", self.dice.roll(TOPICS)));
        let dialect = Dialect(self.dice.roll(2) as u8);
        let shard = &mut self.house.shard;
        match choice {
            11..=12 => shard.subscribe(id, dialect, &topic),
            13 => drop(shard.hold(id, dialect)),
            14 => shard.resume(id, dialect, &[(topic, self.dice.roll(20))]),
            15 => shard.unsubscribe(id, dialect, &topic),
            16 => {
                shard.send(id, frame("d"), Class::Durable);
                let answer = self.house.drained(id);
                self.drains.push(answer);
            }
            17 | 18 => {
                if let Some(socket) = socket {
                    socket.give_room(self.dice.roll(400) as usize);
                }
            }
            19 => pulse.beat(),
            20 => {
                let answer = self.house.poll(id);
                if self.dice.roll(3) > 0 {
                    self.polls.push(answer);
                }
            }
            21 => {
                let socket = FakeSocket::new(200);
                if shard.upgrade(id, (socket.clone(), false), &frame("6")).is_ok() {
                    self.sockets.push(socket.clone());
                    self.live[which].1 = Some(socket);
                }
            }
            22 => {
                if self.dice.roll(2) == 0 {
                    self.house.close(id, Some(frame("bye")));
                    assert!(pulse.is_over());
                    // The peer's end comes now, later or never.
                    if self.dice.roll(3) > 0 {
                        return;
                    }
                } else {
                    self.house.shard.detach(id, CloseReason::PeerGone);
                }
                self.live.swap_remove(which);
            }
            _ => {
                self.now += self.dice.roll(60);
                self.house.shard.advance(self.now);
                self.house.flush();
            }
        }
    }
}

/// Frames are whole (but for the last) and each topic's numbers rise in each dialect.
fn check_order(text: &str) {
    let mut last: HashMap<&str, u64> = HashMap::new();
    let whole = text.rfind('>').map_or("", |end| &text[..=end]);
    for frame in whole.split_inclusive('>') {
        let inner = frame.strip_prefix('<').and_then(|f| f.strip_suffix('>')).expect(text);
        assert!(!inner.contains('<'), "torn frame in {text}");
        if let Some((topic, seq)) = inner.split_once(':') {
            let seq = seq.parse().expect(text);
            let before = last.insert(topic, seq).unwrap_or(0);
            assert!(before < seq, "topic {topic} after {before} in {text}");
        }
    }
}

#[test]
fn nothing_leaks_and_every_end_is_told_once() {
    let mut sum = HubStats::default();
    for seed in 1..=40_u64 {
        let mut life = Life::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for _ in 0..4_000 {
            life.step();
        }
        for (id, ..) in std::mem::take(&mut life.live) {
            life.house.shard.detach(id, CloseReason::PeerGone);
        }
        let later = life.now + 10_000;
        life.house.shard.advance(later);
        life.house.flush();
        let stats = life.house.stats();
        let left = (stats.sessions, stats.topics, stats.subscriptions, stats.queued_frames);
        assert_eq!((left, stats.queued_bytes), ((0, 0, 0, 0), 0), "seed {seed}");
        assert_eq!((stats.kept_frames, stats.kept_bytes), (0, 0), "seed {seed}");
        let causes = stats.closed_slow
            + stats.closed_ping_timeout
            + stats.closed_link_failed
            + stats.closed_poll_overlap
            + stats.closed_peer_gone
            + stats.closed_named;
        assert_eq!((causes, stats.closed), (life.begun as u64, life.begun as u64));
        assert_eq!(life.house.shard.next_deadline(), None);
        let mut told: HashMap<SessionId, Vec<bool>> = HashMap::new();
        for (id, reason) in life.house.ends() {
            told.entry(id).or_default().push(reason.is_some());
        }
        assert_eq!(told.len(), life.begun);
        assert!(told.values().all(|told| *told == [true, false]), "closed, then ended");
        assert!(life.house.shard.paced.is_empty());
        for drain in &mut life.drains {
            assert_ne!(drain.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        }
        for socket in &life.sockets {
            assert_eq!(socket.shutdowns().last(), Some(&Shutdown::Both));
            check_order(&socket.text());
        }
        sum.add(&stats);
    }
    let rough = [
        sum.closed_slow,
        sum.closed_ping_timeout,
        sum.dropped_ephemeral,
        sum.dropped_duplicates,
        sum.polls_answered,
    ];
    assert!(rough.iter().all(|&count| count > 50), "the lives were too easy: {rough:?}");
}
