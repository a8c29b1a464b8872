//! A plain WebSocket echo over the same reader and framing, for suites that test WebSockets alone.

use axum::extract::Request;
use axum::response::Response;
use mynah_protocol::websocket::{self, Message, OpCode};

use super::handshake::{accept, refuse_handshake, switching_protocols};
use super::stream::{Ending, Reader, tune};

/// Answers an upgrade request and sends every message back until the peer closes.
pub fn respond(mut request: Request, message_bytes_max: usize) -> Response {
    let key = match accept(&request) {
        Ok(key) => key,
        Err(error) => return refuse_handshake(error),
    };
    let pending = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Some((mut reader, mut early)) = Reader::take_over(pending, message_bytes_max).await
        else {
            return;
        };
        tune(&reader.socket);
        let mut messages = Vec::new();
        let mut outcome = reader.decode(&mut early, &mut messages);
        loop {
            let mut answer = Vec::new();
            let closed = messages.drain(..).any(|message| answer_to(message, &mut answer));
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
    switching_protocols(&key)
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
