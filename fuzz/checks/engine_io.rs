//! Polling bodies: no panic, bounded packets, and what was read is written again alike.

use mynah_protocol::engine_io::{
    Packet, append_packet, decode_open, decode_payload, encode_binary, encode_text,
};

const PACKETS_MAX: usize = 100;

/// Judges one input.
pub(crate) fn check(body: &[u8]) {
    let results: Vec<_> = decode_payload(body, PACKETS_MAX).collect();
    assert!((1..=PACKETS_MAX).contains(&results.len()));
    let (Some(last), packets) = (results.last(), results.len() - 1) else { return };
    assert!(results.iter().take(packets).all(Result::is_ok), "nothing after an error");
    if last.is_err() {
        return;
    }

    let mut again = Vec::new();
    for packet in results.iter().flatten() {
        let mut one = Vec::new();
        match packet {
            Packet::Text(text) => encode_text(text, &mut one),
            Packet::Binary(bytes) => encode_binary(bytes, &mut one),
            Packet::Ping(payload) | Packet::Pong(payload) | Packet::Open(payload) => {
                drop(decode_open(payload));
                one.push(b'0' + packet.kind() as u8);
                one.extend_from_slice(payload.as_bytes());
            }
            Packet::Close | Packet::Upgrade | Packet::Noop => one.push(b'0' + packet.kind() as u8),
        }
        append_packet(&one, &mut again);
    }
    assert_eq!(decode_payload(&again, PACKETS_MAX).collect::<Vec<_>>(), results);
}
