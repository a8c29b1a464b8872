//! Socket.IO messages: no panic, arguments are JSON within the limits, and what was read is
//! written again alike.
//!
//! Input: messages divided by byte 0xFF; those that are not UTF-8 are binary messages.

use bytes::Bytes;
use mynah_protocol::socket_io::{self, Args, BinaryHead, Decoder, EventName, Limits, Packet};

const LIMITS: Limits =
    Limits { attachments_max: 4, args_max: 8, depth_max: 16, keys_max: 16, message_bytes_max: 64 };

fn check_args(args: &Args) {
    assert!(args.len() <= LIMITS.args_max as usize);
    assert_eq!(args.iter().count(), args.len());
    for arg in args.iter() {
        serde_json::from_str::<&serde_json::value::RawValue>(arg).expect("valid JSON");
    }
}

fn encode(packet: &Packet) -> Option<Vec<u8>> {
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

fn check_packet(packet: Packet) {
    let mut bytes = 0;
    if let Packet::Event { args, attachments, .. } | Packet::Ack { args, attachments, .. } = &packet
    {
        check_args(args);
        assert!(attachments.len() <= LIMITS.attachments_max as usize);
        bytes = attachments.iter().map(Bytes::len).sum();
    }
    assert!(bytes <= LIMITS.message_bytes_max);

    let Some(out) = encode(&packet) else { return };
    let text = std::str::from_utf8(&out).expect("text").strip_prefix('4').expect("a message");
    let mut decoder = Decoder::new(LIMITS);
    let mut again = decoder.text(text).expect("own packet");
    if let Packet::Event { attachments, .. } | Packet::Ack { attachments, .. } = &packet {
        for attachment in attachments {
            again = decoder.binary(attachment.clone()).expect("own attachment");
        }
    }
    assert_eq!(again, Some(packet));
}

/// Judges one input.
pub(crate) fn check(data: &[u8]) {
    let mut decoder = Decoder::new(LIMITS);
    for message in data.split(|byte| *byte == 0xFF) {
        let result = match std::str::from_utf8(message) {
            Ok(text) => decoder.text(text),
            Err(_) => decoder.binary(Bytes::copy_from_slice(message)),
        };
        match result {
            Ok(Some(packet)) => check_packet(packet),
            Ok(None) => assert!(decoder.is_mid_packet()),
            Err(_) => return,
        }
    }
}
