//! What nodes send each other and clients, as bytes.

use bytes::Bytes;
use mynah_hub::cluster::{Beat, Delta, Digest, Envelope, Frontier, Part};

use super::store::{Lease, Message, Stored};

/// What one node says to others.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    /// An event, with or without its payload.
    Event {
        seq: u64,
        pos: u64,
        message: Option<Message>,
    },
    Beat(Beat),
    Digest(Digest),
    Delta(Delta<u32>),
    Part(Part<u32>),
    /// Tell me who is with you: to this slot.
    Ask(u16),
}

const EVENT: u8 = 1;
const HINT: u8 = 2;
const BEAT: u8 = 3;
const DIGEST: u8 = 4;
const DELTA: u8 = 5;
const PART: u8 = 6;
const ASK: u8 = 7;

fn put(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn keys(keys: &[u32]) -> Vec<u64> {
    keys.iter().map(|key| u64::from(*key)).collect()
}

impl Word {
    pub(super) fn encode(&self, lease: Lease) -> Bytes {
        let mut body = Vec::new();
        let kind = match self {
            Self::Event { seq, pos, message: Some(Message { sender, number, room }) } => {
                put(&mut body, &[*seq, *pos, u64::from(*sender), u64::from(*number), *room as u64]);
                EVENT
            }
            Self::Event { seq, pos, message: None } => {
                put(&mut body, &[*seq, *pos]);
                HINT
            }
            Self::Beat(beat) => {
                beat.encode(&mut body);
                BEAT
            }
            Self::Digest(digest) => {
                put(&mut body, &[digest.number, digest.count, digest.xor]);
                DIGEST
            }
            Self::Delta(delta) => {
                put(&mut body, &[delta.number, delta.came.len() as u64]);
                put(&mut body, &keys(&delta.came));
                put(&mut body, &keys(&delta.went));
                DELTA
            }
            Self::Part(part) => {
                put(&mut body, &[part.number, u64::from(part.part), u64::from(part.last)]);
                put(&mut body, &keys(&part.keys));
                PART
            }
            Self::Ask(slot) => {
                put(&mut body, &[u64::from(*slot)]);
                ASK
            }
        };
        let Lease { slot, epoch } = lease;
        Envelope { kind, slot, epoch, body: body.into() }.to_bytes()
    }

    pub(super) fn decode(kind: u8, body: &[u8]) -> Option<Self> {
        if kind == BEAT {
            return Beat::decode(body).ok().map(Self::Beat);
        }
        let numbers: Vec<u64> = body
            .chunks_exact(8)
            .filter_map(|chunk| Some(u64::from_le_bytes(chunk.try_into().ok()?)))
            .collect();
        let keys = |from: &[u64]| from.iter().map(|key| *key as u32).collect::<Vec<u32>>();
        Some(match (kind, numbers.as_slice()) {
            (EVENT, &[seq, pos, sender, number, room]) => {
                let (sender, number, room) = (sender as u32, number as u32, room as usize);
                Self::Event { seq, pos, message: Some(Message { sender, number, room }) }
            }
            (HINT, &[seq, pos]) => Self::Event { seq, pos, message: None },
            (DIGEST, &[number, count, xor]) => Self::Digest(Digest { number, count, xor }),
            (DELTA, [number, came, rest @ ..]) => {
                let (came, went) = rest.split_at_checked(*came as usize)?;
                Self::Delta(Delta { number: *number, came: keys(came), went: keys(went) })
            }
            (PART, [number, part, last, rest @ ..]) => Self::Part(Part {
                number: *number,
                part: *part as u32,
                last: *last == 1,
                keys: keys(rest),
            }),
            (ASK, &[slot]) => Self::Ask(slot as u16),
            _ => return None,
        })
    }
}

/// What a client reads.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) room: usize,
    pub(super) seq: u64,
    pub(super) message: Message,
    /// What the node had delivered when it delivered this; history comes without.
    pub(super) place: Option<Frontier>,
}

pub(super) fn line(stored: &Stored, place: Option<&Frontier>) -> Bytes {
    use std::fmt::Write as _;
    let Message { sender, number, room } = stored.message;
    let mut text = format!("{room} {} {sender} {number}", stored.seq);
    if let Some(place) = place {
        let _infallible = write!(text, " {}", place.base());
        for (origin, pos) in place.iter() {
            let _infallible = write!(text, " {origin} {pos}");
        }
    }
    text.push('\n');
    text.into()
}

pub(super) fn read_line(text: &str) -> Option<Line> {
    let numbers: Vec<u64> = text.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [room, seq, sender, number, rest @ ..] = numbers.as_slice() else { return None };
    let room = *room as usize;
    let message = Message { sender: *sender as u32, number: *number as u32, room };
    let place = rest.split_first().map(|(base, origins)| {
        let mut place = Frontier::new(*base);
        for pair in origins.chunks_exact(2) {
            place.raise(pair[0] as u16, pair[1]);
        }
        place
    });
    Some(Line { room, seq: *seq, message, place })
}
