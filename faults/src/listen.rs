//! Listeners: what each heard of each room, in the order in which it came.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::dice::Dice;
use crate::socket::{Heard, Socket};

const OPEN_LIMIT: Duration = Duration::from_secs(5);
const TRY_AGAIN: Duration = Duration::from_millis(60);
/// A listener that leaves on its own stays this long on average.
const STAY_MEAN: Duration = Duration::from_secs(2);

/// What a listener does when its connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Never comes back: whatever it hears came over one connection.
    Stays,
    /// Comes back, and says what it has heard.
    Returns,
    /// Comes back, and leaves on its own now and then.
    Roams,
}

/// One durable event as heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) seq: u64,
    /// Of the message, if the event made one.
    pub(crate) message: Option<String>,
}

/// What a listener knows of a room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hearing {
    /// The head when it first connected: it hears what comes after.
    pub(crate) base: u64,
    pub(crate) items: Vec<Item>,
    pub(crate) last: u64,
    /// Told that events up to a seq cannot be told one by one: from and to.
    pub(crate) told_to_read: Vec<(u64, u64)>,
    /// Longest time between two events, and when the last one came.
    pub(crate) longest: Duration,
    pub(crate) last_at: Option<Instant>,
}

/// All that a listener has noted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) rooms: Vec<Hearing>,
    /// Heard again.
    pub(crate) doubled: u64,
    /// Heard out of turn: a number was passed over, or came late.
    pub(crate) misplaced: u64,
    pub(crate) examples: Vec<String>,
    /// Its user's id, as the server names it.
    pub(crate) user_id: String,
    /// How often it was connected.
    pub(crate) connections: u64,
    pub(crate) is_connected: bool,
    /// Why its connection ended last.
    pub(crate) last_end: String,
}

/// A running listener.
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) home: usize,
    pub(crate) habit: Habit,
    pub(crate) notes: Arc<Mutex<Notes>>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where and as whom somebody listens.
pub(crate) struct Seat {
    pub(crate) name: String,
    pub(crate) token: String,
    /// Addresses to try in turn, its own node first.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) home: usize,
    pub(crate) habit: Habit,
    pub(crate) rooms: Vec<String>,
    pub(crate) seed: u64,
}

impl Listener {
    pub(crate) fn start(seat: Seat) -> Self {
        let rooms = seat.rooms.iter().map(|_| Hearing::default()).collect();
        let notes = Arc::new(Mutex::new(Notes { rooms, ..Notes::default() }));
        let (name, home, habit) = (seat.name.clone(), seat.home, seat.habit);
        let task = tokio::spawn(run(seat, Arc::clone(&notes)));
        Self { name, home, habit, notes, task }
    }

    pub(crate) fn was_connected(&self) -> bool {
        self.notes.lock().connections > 0
    }

    /// Whether it has heard all rooms up to these heads.
    pub(crate) fn has_heard(&self, heads: &[u64]) -> bool {
        let notes = self.notes.lock();
        notes.rooms.iter().zip(heads).all(|(room, head)| room.last >= *head)
    }

    /// Whether it is a listener that can be expected to hear everything.
    pub(crate) fn is_bound_to_hear(&self) -> bool {
        self.habit != Habit::Stays || self.notes.lock().is_connected
    }

    /// Begins to measure silences anew.
    pub(crate) fn mark(&self) {
        for room in &mut self.notes.lock().rooms {
            room.longest = Duration::ZERO;
            room.last_at = Some(Instant::now());
        }
    }

    /// Longest time without an event in a room, up to now.
    pub(crate) fn silence(&self, room: usize) -> Duration {
        let notes = self.notes.lock();
        let hearing = notes.rooms.get(room);
        hearing.map_or(Duration::ZERO, |hearing| {
            let open = hearing.last_at.map_or(Duration::ZERO, |at| at.elapsed());
            hearing.longest.max(open)
        })
    }
}

async fn run(seat: Seat, notes: Arc<Mutex<Notes>>) {
    let mut dice = Dice::new(seat.seed);
    let mut addresses = seat.addresses.iter().cycle();
    loop {
        let since = since(&seat, &notes);
        let Some(address) = addresses.next() else { return };
        let mut leave_at = Instant::now() + Duration::from_hours(24);
        if seat.habit == Habit::Roams {
            leave_at = Instant::now() + dice.up_to(2 * STAY_MEAN);
        }
        let ended = tokio::select! {
            end = listen(*address, &seat, &since, &notes) => end.err().map(|e| format!("{e:#}")),
            () = sleep_until(leave_at) => None,
        };
        let was_connected = notes.lock().end(ended);
        if seat.habit == Habit::Stays && was_connected {
            return;
        }
        sleep(TRY_AGAIN).await;
    }
}

/// Last seq per room, for the rooms of which something is known.
fn since(seat: &Seat, notes: &Mutex<Notes>) -> Value {
    let notes = notes.lock();
    let known = notes.connections > 0;
    let pairs = seat.rooms.iter().zip(&notes.rooms).filter(|_| known);
    Value::Object(
        pairs.map(|(id, room)| (id.clone(), Value::from(room.last))).collect::<Map<_, _>>(),
    )
}

async fn listen(
    address: SocketAddr,
    seat: &Seat,
    since: &Value,
    notes: &Mutex<Notes>,
) -> anyhow::Result<()> {
    let (mut socket, ready) = Socket::open(address, &seat.token, since, OPEN_LIMIT).await?;
    notes.lock().welcome(seat, &ready);
    loop {
        if let Heard::Event { name, body } = socket.next().await? {
            notes.lock().hear(seat, &name, &body);
        }
    }
}

impl Notes {
    /// Notes the end of a connection; whether there was one.
    fn end(&mut self, why: Option<String>) -> bool {
        self.last_end = why.unwrap_or_else(|| "left".to_owned());
        std::mem::take(&mut self.is_connected)
    }

    fn welcome(&mut self, seat: &Seat, ready: &Value) {
        let heads = ready.get("rooms").and_then(Value::as_array);
        if self.connections == 0 {
            for head in heads.into_iter().flatten() {
                let id = head.get("id").and_then(Value::as_str).unwrap_or_default();
                let seq = head.get("seq").and_then(Value::as_u64).unwrap_or_default();
                let index = seat.rooms.iter().position(|room| room == id);
                if let Some(room) = index.and_then(|index| self.rooms.get_mut(index)) {
                    (room.base, room.last) = (seq, seq);
                }
            }
        }
        let user_id = ready.get("userId").and_then(Value::as_str).unwrap_or_default();
        user_id.clone_into(&mut self.user_id);
        self.connections += 1;
        self.is_connected = true;
    }

    fn hear(&mut self, seat: &Seat, name: &str, event: &Value) {
        let room = event.get("roomId").and_then(Value::as_str);
        let seq = event.get("seq").and_then(Value::as_u64);
        let (Some(room), Some(seq)) = (room, seq) else { return };
        let Some(index) = seat.rooms.iter().position(|id| id == room) else { return };
        let Some(hearing) = self.rooms.get_mut(index) else { return };
        if name == "room.resync" {
            hearing.told_to_read.push((hearing.last, seq));
            hearing.last = hearing.last.max(seq);
            return;
        }
        // State without a place in the log, such as a read receipt.
        if event.get("pos").is_none() {
            return;
        }
        let now = Instant::now();
        if let Some(at) = hearing.last_at {
            hearing.longest = hearing.longest.max(now - at);
        }
        hearing.last_at = Some(now);
        let expected = hearing.last + 1;
        if seq != expected {
            let is_known = seq <= hearing.base || hearing.items.iter().any(|item| item.seq == seq);
            let what = if is_known { "again" } else { "out of turn" };
            if is_known {
                self.doubled += 1;
            } else {
                self.misplaced += 1;
            }
            let text = format!("{}: {seq} {what}, {expected} expected, in room {index}", seat.name);
            self.examples.push(text);
            if is_known {
                return;
            }
        }
        let message = event.get("data").and_then(|data| data.get("id")).and_then(Value::as_str);
        let message = message.filter(|_| name == "message.created").map(str::to_owned);
        hearing.items.push(Item { seq, message });
        hearing.last = hearing.last.max(seq);
    }
}

/// Connects many users at once, who only stay; ends them when dropped.
pub(crate) struct Crowd {
    pub(crate) members: Vec<Listener>,
}

impl Crowd {
    /// How many are connected now.
    pub(crate) fn connected(&self) -> usize {
        self.members.iter().filter(|member| member.notes.lock().is_connected).count()
    }

    /// How many connections were made in all.
    pub(crate) fn connections(&self) -> u64 {
        self.members.iter().map(|member| member.notes.lock().connections).sum()
    }
}

/// Runs futures side by side and waits for all.
pub(crate) async fn side_by_side<T: Send + 'static>(
    jobs: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let mut set: JoinSet<T> = jobs.into_iter().collect();
    let mut done = Vec::new();
    while let Some(result) = set.join_next().await {
        done.extend(result);
    }
    done
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seat() -> Seat {
        Seat {
            name: "a".to_owned(),
            token: String::new(),
            addresses: Vec::new(),
            home: 0,
            habit: Habit::Returns,
            rooms: vec!["r".to_owned()],
            seed: 0,
        }
    }

    /// What is noted of `events`, heard by somebody who was welcomed at seq 3.
    fn noted(events: &[(&str, u64)]) -> Notes {
        let mut notes = Notes { rooms: vec![Hearing::default()], ..Notes::default() };
        notes.welcome(&seat(), &json!({ "userId": "u", "rooms": [{ "id": "r", "seq": 3 }] }));
        for (name, seq) in events {
            let mut event =
                json!({ "roomId": "r", "seq": seq, "data": { "id": format!("m{seq}") } });
            if *name != "room.resync" && *name != "receipt.read" {
                event["pos"] = json!("1");
            }
            notes.hear(&seat(), name, &event);
        }
        notes
    }

    const CREATED: &str = "message.created";

    #[test]
    fn what_comes_in_turn_is_noted() {
        let notes = noted(&[(CREATED, 4), ("member.joined", 5), ("receipt.read", 2), (CREATED, 6)]);
        let seqs: Vec<u64> = notes.rooms[0].items.iter().map(|item| item.seq).collect();
        assert_eq!((seqs, notes.rooms[0].last, notes.rooms[0].base), (vec![4, 5, 6], 6, 3));
        assert_eq!(notes.rooms[0].items[0].message.as_deref(), Some("m4"));
        assert_eq!(notes.rooms[0].items[1].message, None);
        assert_eq!((notes.doubled, notes.misplaced), (0, 0));
    }

    #[test]
    fn repeats_and_holes_are_told_apart() {
        let notes = noted(&[(CREATED, 4), (CREATED, 4), (CREATED, 2)]);
        assert_eq!((notes.doubled, notes.misplaced, notes.rooms[0].items.len()), (2, 0, 1));
        // A hole, and what was missing late: both are out of turn, nothing is heard twice.
        let notes = noted(&[(CREATED, 5), (CREATED, 4), (CREATED, 6)]);
        assert_eq!((notes.doubled, notes.misplaced, notes.rooms[0].items.len()), (0, 2, 3));
    }

    #[test]
    fn who_is_told_to_read_goes_on_from_there() {
        let notes = noted(&[(CREATED, 4), ("room.resync", 90), (CREATED, 91)]);
        assert_eq!(notes.rooms[0].told_to_read, [(4, 90)]);
        assert_eq!((notes.doubled, notes.misplaced, notes.rooms[0].last), (0, 0, 91));
    }
}
