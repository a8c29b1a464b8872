//! From polling to WebSocket: probe, pause, take over. If the WebSocket dies first, polling goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use mynah_hub::CloseReason;
use mynah_protocol::engine_io;
use mynah_protocol::websocket::deflate::Agreement;
use mynah_protocol::websocket::{self, Message, OpCode};

use super::deflate::is_compact;
use super::line::Line;
use super::meanwhile::Input;
use super::registry::PollSession;
use super::stream::{Pump, Reader, tune};
use super::{Application, Edge, polling};
use crate::frames;

/// How often a waiting poll is ended while an upgrade is under way (engine.io does the same).
const NUDGE_EVERY: Duration = Duration::from_millis(100);

/// A WebSocket that names a session.
pub(super) async fn serve<A: Application>(
    edge: Arc<Edge<A>>,
    pending: OnUpgrade,
    sid: String,
    agreement: Option<Agreement>,
) {
    let (limits, deflate) = (edge.options.websocket_limits(), agreement.is_some());
    let taken = Reader::take_over(pending, limits, deflate).await;
    let Some((mut reader, mut early)) = taken else { return };
    tune(&reader.socket);
    let session = edge.registry.find(&sid);
    let free = session.filter(|s| !s.probing.swap(true, Ordering::AcqRel));
    let Some(session) = free else {
        let mut bytes = Vec::new();
        websocket::encode_close(1000, "", &mut bytes);
        reader.write(&bytes).await;
        return;
    };
    let mut messages = Vec::new();
    let limit = edge.options.upgrade_timeout;
    let probe = async {
        reader.decode(&mut early, &mut messages).ok()?;
        probe(&edge, &session, &mut reader, &mut messages).await
    };
    if tokio::time::timeout(limit, probe).await != Ok(Some(())) {
        session.probing.store(false, Ordering::Release);
        return;
    }
    // Without a state the session is over. Its client polls no more: what was said last goes out here.
    let state = session.state.lock().await.take();
    session.set_upgraded(&edge.options.traffic);
    let socket = Arc::clone(&reader.socket);
    let Line { id, revision, ref pulse } = session.line;
    let line = Line { id, revision, pulse: pulse.clone() };
    drop(session);
    let upgraded = edge.hub.upgrade(id, socket, is_compact(agreement), frames::noop()).await;
    match (upgraded, state) {
        (Ok(()), Some(state)) => {
            let input = Input { messages, outcome: Ok(()) };
            Pump { edge, line, reader }.run(state, input).await;
        }
        (Ok(()), None) => {
            reader.discard().await;
            edge.hub.detach(id, CloseReason::PeerGone).await;
        }
        (Err(_), Some(state)) => edge.app.closed(state).await,
        (Err(_), None) => {}
    }
}

/// Waits for `2probe`, answers `3probe`, waits for `5`. What follows it stays in `messages`.
async fn probe<A: Application>(
    edge: &Arc<Edge<A>>,
    session: &PollSession<A>,
    reader: &mut Reader,
    messages: &mut Vec<Message>,
) -> Option<()> {
    expect(reader, messages, engine_io::PING_PROBE).await?;
    let mut answer = Vec::new();
    websocket::encode(OpCode::Text, engine_io::PONG_PROBE.as_bytes(), &mut answer);
    reader.write(&answer).await;
    let mut nudges = tokio::time::interval(NUDGE_EVERY);
    loop {
        tokio::select! {
            got = expect(reader, messages, engine_io::UPGRADE) => return got,
            _ = nudges.tick() => polling::nudge(edge, session).await,
        }
    }
}

/// Takes the next message, which must be this text packet. May be dropped and called again.
async fn expect(reader: &mut Reader, messages: &mut Vec<Message>, packet: &str) -> Option<()> {
    while messages.is_empty() {
        reader.read(messages).await.ok()?;
    }
    let first = messages.remove(0);
    (first == Message::Text(packet.to_owned())).then_some(())
}
