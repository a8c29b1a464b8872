//! Long-polling: one waiting GET, one POST at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use mynah_hub::{Class, Close, CloseReason, Link, NewSession, Pulse, SessionEvents};
use mynah_protocol::engine_io::{Packet, RequestError};
use tokio::sync::oneshot;

use super::handshake::refuse;
use super::line::{After, Line};
use super::poll_style::{PollStyle, Posted};
use super::registry::PollSession;
use super::{Application, Edge, Handshake, Peer, Refused};
use crate::bodies::{self, BodyError};
use crate::coding::Coding;
use crate::frames;

/// Begins a session over polling.
pub(super) async fn open<A: Application>(
    edge: &Arc<Edge<A>>,
    handshake: Arc<Handshake>,
    style: PollStyle,
) -> Response {
    let pulse = Pulse::default();
    let events: Arc<dyn SessionEvents> = Arc::clone(&edge.registry) as _;
    let revision = handshake.revision;
    let dialect = revision.rules();
    let new = NewSession { dialect, link: Link::Polling, events, pulse: pulse.clone() };
    let Ok(id) = edge.hub.attach(new).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response();
    };
    edge.options.traffic.opened_polling();
    let sid = edge.options.session_id();
    let open = edge.open_frame(&sid, &["websocket"]).packet().clone();
    let peer = Peer { id, hub: edge.hub.clone(), pulse: pulse.clone(), handshake };
    let line = Line { id, pulse, revision };
    let session = Arc::new(PollSession::new(sid, line, style, edge.app.opened(peer)));
    if !edge.registry.enter(&session) {
        session.leave_polling(&edge.options.traffic);
        if let Some(state) = session.state.lock().await.take() {
            edge.app.closed(state).await;
        }
        return refuse(RequestError::BadRequest);
    }
    // A task of its own: a client that gives its request up must not stop it half-way.
    match tokio::spawn(begin(Arc::clone(edge), Arc::clone(&session))).await {
        Ok(Ok(())) => {
            let mut answer = session.style.answer(&[open], None);
            let cookie = edge.options.cookie.as_ref();
            if let Some(value) = cookie.and_then(|cookie| cookie.value(&session.sid)) {
                answer.headers_mut().insert(header::SET_COOKIE, value);
            }
            answer
        }
        Ok(Err(Refused(why))) => end(edge, &session, why).await,
        Err(_panicked) => end(edge, &session, "internal error").await,
    }
}

async fn begin<A: Application>(
    edge: Arc<Edge<A>>,
    session: Arc<PollSession<A>>,
) -> Result<(), Refused> {
    match session.state.lock().await.as_mut() {
        Some(state) => edge.app.begun(state).await,
        None => Err(Refused("session over")),
    }
}

/// Ends the session when a waiting GET is given up by its client.
struct AbortGuard<A: Application> {
    edge: Arc<Edge<A>>,
    session: Arc<PollSession<A>>,
    armed: bool,
}

impl<A: Application> Drop for AbortGuard<A> {
    fn drop(&mut self) {
        if self.armed {
            let (hub, id) = (self.edge.hub.clone(), self.session.line.id);
            tokio::spawn(async move { hub.detach(id, CloseReason::PeerGone).await });
        }
    }
}

/// A GET: waits until there is something to say.
pub(super) async fn get<A: Application>(
    edge: &Arc<Edge<A>>,
    session: &Arc<PollSession<A>>,
    coding: Option<Coding>,
) -> Response {
    let (reply, waiting) = oneshot::channel();
    let (edge, session) = (Arc::clone(edge), Arc::clone(session));
    let mut guard =
        AbortGuard { edge: Arc::clone(&edge), session: Arc::clone(&session), armed: true };
    edge.hub.poll(session.line.id, reply).await;
    let polled = waiting.await;
    guard.armed = false;
    let Ok(polled) = polled else { return refuse(RequestError::BadRequest) };
    edge.options.traffic.polled(polled.packets.iter().map(|packet| packet.len() + 1).sum());
    session.style.answer(&polled.packets, coding)
}

/// Clears the mark of a POST being worked on.
struct Posting<A: Application>(Arc<PollSession<A>>);

impl<A: Application> Drop for Posting<A> {
    fn drop(&mut self) {
        self.0.posting.store(false, Ordering::Release);
    }
}

/// A POST: the client's packets.
pub(super) async fn post<A: Application>(
    edge: &Arc<Edge<A>>,
    session: &Arc<PollSession<A>>,
    request: Request,
) -> Response {
    if session.posting.swap(true, Ordering::AcqRel) {
        return end(edge, session, "overlapping post").await;
    }
    let posting = Posting(Arc::clone(session));
    let max = edge.options.max_payload;
    let (parts, body) = request.into_parts();
    let body = match bodies::whole(&parts.headers, body, max).await {
        Ok(body) => body,
        Err(BodyError::TooLarge) => return too_large(edge, session).await,
        Err(BodyError::Broken) => return end(edge, session, "broken body").await,
    };
    let posted = match session.style.posted(&parts.headers, body) {
        Ok(posted) => posted,
        Err(Refused(why)) => return end(edge, session, why).await,
    };
    // A task of its own: a client that gives its request up must not stop a command half-way.
    match tokio::spawn(work(Arc::clone(edge), posting, posted)).await {
        Ok(response) => response,
        Err(_panicked) => end(edge, session, "internal error").await,
    }
}

/// Acts on the packets of a POST.
async fn work<A: Application>(edge: Arc<Edge<A>>, posting: Posting<A>, posted: Posted) -> Response {
    let session = &posting.0;
    let mut state = session.state.lock().await;
    let Some(state) = state.as_mut() else { return refuse(RequestError::BadRequest) };
    if let Err(Refused(why)) = take_packets(&edge, session, state, &posted).await {
        return end(&edge, session, why).await;
    }
    let headers = [(header::CONTENT_TYPE, "text/html"), (header::CACHE_CONTROL, "no-store")];
    (headers, "ok").into_response()
}

async fn take_packets<A: Application>(
    edge: &Arc<Edge<A>>,
    session: &Arc<PollSession<A>>,
    state: &mut A::Session,
    posted: &Posted,
) -> Result<(), Refused> {
    let app = &edge.app;
    let mut outcome = Ok(());
    let mut messages = 0;
    for packet in posted.packets(edge.options.packets_per_poll_max) {
        messages += u64::from(packet.as_ref().is_ok_and(Packet::is_message));
        let taken = match packet {
            _ if session.line.pulse.is_over() => Err(Refused("session over")),
            Ok(packet) => session.line.take(edge, state, packet).await,
            Err(_) => Err(Refused("parse error")),
        };
        if taken == Ok(After::Closes) {
            let last = Some(frames::noop());
            let reason = CloseReason::Named("transport close");
            edge.registry.forget(session);
            edge.hub.close(session.line.id, Close { reason, last }).await;
            break;
        }
        outcome = taken.map(|_| ());
        if outcome.is_err() {
            break;
        }
        while app.in_flight(state) >= super::IN_FLIGHT_MAX {
            if let Some(reply) = app.next_reply(state).await {
                app.deliver(state, reply).await;
            }
        }
    }
    edge.options.traffic.received(messages, posted.len() as u64);
    while app.in_flight(state) > 0 {
        let Some(reply) = app.next_reply(state).await else { break };
        app.deliver(state, reply).await;
    }
    outcome
}

async fn end<A: Application>(
    edge: &Arc<Edge<A>>,
    session: &Arc<PollSession<A>>,
    why: &'static str,
) -> Response {
    let last = Some(frames::close(1000, ""));
    edge.registry.forget(session);
    edge.hub.close(session.line.id, Close { reason: CloseReason::Named(why), last }).await;
    refuse(RequestError::BadRequest)
}

async fn too_large<A: Application>(edge: &Arc<Edge<A>>, session: &Arc<PollSession<A>>) -> Response {
    let last = Some(frames::close(1009, ""));
    let reason = CloseReason::Named("body too large");
    edge.registry.forget(session);
    edge.hub.close(session.line.id, Close { reason, last }).await;
    let close = [(header::CONNECTION, "close")];
    (StatusCode::PAYLOAD_TOO_LARGE, close).into_response()
}

/// Ends a waiting poll, so that a client in the middle of an upgrade stops polling.
pub(super) async fn nudge<A: Application>(edge: &Edge<A>, session: &PollSession<A>) {
    edge.hub.send(session.line.id, frames::noop(), Class::Ephemeral { key: u64::MAX }).await;
}
