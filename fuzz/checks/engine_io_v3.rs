//! Polling bodies of revision 3: no panic, bounded packets, and messages are written again alike.
//!
//! Input: one byte, odd for a binary body, then the body.

use bytes::Bytes;
use mynah_protocol::engine_io::{DecodeError, Packet, encode_binary, encode_text};
use mynah_protocol::engine_io_v3::{Body, decode_binary_payload, decode_payload, encode_payload};

const PACKETS_MAX: usize = 100;

type Decoded<'a> = Vec<Result<Packet<'a>, DecodeError>>;

fn check_packets(packets: &Decoded<'_>) {
    assert!(packets.len() <= PACKETS_MAX + 1);
    assert!(packets.iter().rev().skip(1).all(Result::is_ok), "nothing after an error");
    let messages: Vec<&Packet<'_>> = packets
        .iter()
        .flatten()
        .filter(|packet| matches!(packet, Packet::Binary(_)) || is_plain_text(packet))
        .collect();
    if messages.is_empty() {
        return;
    }
    let encoded: Vec<Vec<u8>> = messages
        .iter()
        .map(|packet| {
            let mut out = Vec::new();
            if let Packet::Text(text) = packet {
                encode_text(text, &mut out);
            } else if let Packet::Binary(bytes) = packet {
                encode_binary(bytes, &mut out);
            }
            out
        })
        .collect();
    for raw in [false, true] {
        match encode_payload(encoded.iter().map(Vec::as_slice), raw) {
            Body::Text(body) => {
                let again: Decoded<'_> = decode_payload(body.as_bytes(), PACKETS_MAX).collect();
                assert!(
                    again.iter().map(|packet| packet.as_ref()).eq(messages.iter().copied().map(Ok))
                );
            }
            Body::Binary(body) => {
                let body = Bytes::from(body);
                let again: Decoded<'_> = decode_binary_payload(&body, PACKETS_MAX).collect();
                assert!(
                    again.iter().map(|packet| packet.as_ref()).eq(messages.iter().copied().map(Ok))
                );
            }
        }
    }
}

/// Text that revision 4, in which we write first, can carry.
fn is_plain_text(packet: &Packet<'_>) -> bool {
    matches!(packet, Packet::Text(text) if !text.contains('\u{1e}'))
}

/// Judges one input.
pub(crate) fn check(data: &[u8]) {
    let [kind, body @ ..] = data else { return };
    if kind % 2 == 0 {
        check_packets(&decode_payload(body, PACKETS_MAX).collect());
    } else {
        let body = Bytes::copy_from_slice(body);
        check_packets(&decode_binary_payload(&body, PACKETS_MAX).collect());
    }
}
