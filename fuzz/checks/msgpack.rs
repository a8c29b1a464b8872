//! Socket.IO packets as MessagePack: no panic, arguments are JSON within the limits, and what was
//! read is written again alike; text packets become messages that are read.
//!
//! Input: a binary message, or a text packet if it begins with `4`.

use mynah_protocol::socket_io::{self, BinaryHead, Decoder, EventName, Limits, Packet, msgpack};
use serde_json::value::RawValue;

const LIMITS: Limits = Limits {
    attachments_max: 4,
    args_max: 8,
    depth_max: 16,
    keys_max: 16,
    message_bytes_max: 4096,
};

/// What any packet within [`LIMITS`] keeps to when its numbers are spelled in another way.
const WIDE: Limits = Limits {
    attachments_max: 1000,
    args_max: 10_000,
    depth_max: 128,
    keys_max: 100_000,
    message_bytes_max: 10_000_000,
};

/// The packet as text; `None` if our encoders have no spelling for it.
fn text(packet: &Packet) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match packet {
        Packet::Connect { nsp, auth } => socket_io::connect_request(nsp, auth.as_deref(), &mut out),
        Packet::Disconnect { nsp } => socket_io::disconnect(nsp, &mut out),
        Packet::Event { nsp, id, event: EventName::Text(name), args, attachments } => {
            let head = BinaryHead { nsp, id: *id, attachments: attachments.len() };
            match attachments.len() {
                0 => socket_io::event(nsp, *id, name, &[args.joined()], &mut out),
                _ => socket_io::binary_event(head, name, &[args.joined()], &mut out),
            }
        }
        Packet::Ack { nsp, id, args, attachments } => {
            let head = BinaryHead { nsp, id: Some(*id), attachments: attachments.len() };
            match attachments.len() {
                0 => socket_io::ack(nsp, *id, &[args.joined()], &mut out),
                _ => socket_io::binary_ack(head, &[args.joined()], &mut out),
            }
        }
        Packet::Event { .. } | Packet::ConnectError { .. } => return None,
    }
    Some(out)
}

/// The packet after a way through its text and a message.
fn again(packet: &Packet) -> Option<Packet> {
    let attachments = match packet {
        Packet::Event { attachments, .. } | Packet::Ack { attachments, .. } => &attachments[..],
        Packet::Connect { .. } | Packet::Disconnect { .. } | Packet::ConnectError { .. } => &[],
    };
    let message = msgpack::transcode_with(&text(packet)?, attachments).expect("own packet");
    Some(msgpack::decode(&message, &WIDE).expect("own message"))
}

fn check_packet(packet: &Packet) {
    if let Packet::Event { args, attachments, .. } | Packet::Ack { args, attachments, .. } = packet
    {
        assert!(args.len() <= LIMITS.args_max as usize);
        assert!(args.joined().len() <= LIMITS.message_bytes_max);
        assert!(attachments.len() <= LIMITS.attachments_max as usize);
        for arg in args.iter() {
            serde_json::from_str::<&RawValue>(arg).expect("valid JSON");
        }
        // Objects that look like placeholders become attachments.
        if args.joined().matches("_placeholder").count() != attachments.len() {
            return;
        }
    }
    // The second text has all numbers in their plain form.
    if let Some(second) = again(packet) {
        assert_eq!(again(&second), Some(second));
    }
}

/// Judges one input.
pub(crate) fn check(data: &[u8]) {
    if let Ok(packet) = msgpack::decode(data, &LIMITS) {
        check_packet(&packet);
    }
    if let Some(message) = msgpack::transcode(data) {
        let found = msgpack::decode(&message, &WIDE).expect("own message");
        let text = std::str::from_utf8(data).expect("a text packet").get(1..).unwrap_or_default();
        let expected = Decoder::new(WIDE).text(text).expect("a packet").expect("a whole one");
        assert_eq!(found.nsp(), expected.nsp());
        assert_eq!(std::mem::discriminant(&found), std::mem::discriminant(&expected));
        if let (Packet::Event { args, .. }, Packet::Event { args: of_text, .. })
        | (Packet::Ack { args, .. }, Packet::Ack { args: of_text, .. }) = (&found, &expected)
        {
            assert_eq!(args.len(), of_text.len());
        }
    }
}
