//! A plain WebSocket echo over the same reader and framing, for suites that test WebSockets alone.

use axum::extract::Request;
use axum::response::Response;
use mynah_protocol::websocket::deflate::{self, Agreement};
use mynah_protocol::websocket::{self, Limits, Message, OpCode};

use super::deflate::agree;
use super::handshake::{accept, refuse_handshake, switching_protocols};
use super::stream::{Ending, Reader, tune};

/// Answers an upgrade request and sends every message back until the peer closes, compressed if
/// `deflate` is on, the peer offers it and the message becomes smaller.
pub fn respond(mut request: Request, limits: Limits, deflate: bool) -> Response {
    let key = match accept(&request) {
        Ok(key) => key,
        Err(error) => return refuse_handshake(error),
    };
    let agreement = agree(request.headers(), deflate);
    let pending = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let taken = Reader::take_over(pending, limits, agreement.is_some()).await;
        let Some((mut reader, mut early)) = taken else { return };
        tune(&reader.socket);
        let mut messages = Vec::new();
        let mut outcome = reader.decode(&mut early, &mut messages);
        loop {
            let mut answer = Vec::new();
            let closed = messages.drain(..).any(|message| answer_to(message, &mut answer));
            if let Some(smaller) = agreement.and_then(|agreement| compact(&answer, agreement)) {
                answer = smaller;
            }
            if let Err(Ending::Broken { code, .. }) = outcome {
                websocket::encode_close(code, "", &mut answer);
            }
            reader.write(&answer).await;
            if closed || outcome.is_err() {
                return;
            }
            outcome = reader.read(&mut messages).await;
        }
    });
    switching_protocols(&key, agreement)
}

fn compact(frames: &[u8], agreement: Agreement) -> Option<Vec<u8>> {
    deflate::compact(frames, 0, agreement.window_bits()).map(Vec::from)
}

/// Appends the answer; `true` after a close.
fn answer_to(message: Message, out: &mut Vec<u8>) -> bool {
    match message {
        Message::Text(text) => websocket::encode(OpCode::Text, text.as_bytes(), out),
        Message::Binary(bytes) => websocket::encode(OpCode::Binary, &bytes, out),
        Message::Ping(payload) => websocket::encode(OpCode::Pong, &payload, out),
        Message::Pong(_) => {}
        Message::Close { code: Some(code), reason } => {
            websocket::encode_close(code, &reason, out);
            return true;
        }
        Message::Close { code: None, .. } => {
            websocket::encode(OpCode::Close, &[], out);
            return true;
        }
    }
    false
}
