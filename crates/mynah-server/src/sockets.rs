//! Live connections, as the other doors see them.

use std::sync::Arc;

use mynah_domain::{SessionFamily, TenantId, Timestamp, UserId};
use mynah_hub::{CloseEach, CloseReason, Frame, Hub, LazyFrames};
use mynah_protocol::{engine_io, socket_io, websocket};

use crate::dialects::Dialects;
use crate::topics;
use crate::vocabulary::field::Subject;

/// Handle on the live connections.
#[derive(Clone)]
pub struct Sockets {
    hub: Hub,
    goodbye: Arc<LazyFrames>,
}

impl Sockets {
    /// Handle on the connections of a hub.
    pub fn new(hub: Hub, dialects: &Dialects) -> Self {
        let goodbye = goodbye(dialects);
        Self { hub, goodbye: LazyFrames::new(move |_| Some(goodbye.clone())) }
    }

    /// Ends every connection of a sign-in that was revoked, so that the client library stays away.
    pub async fn end_sign_in(&self, family: &SessionFamily) {
        self.hub.close_topic(&topics::sign_in(family), self.close(), None).await;
    }

    /// Ends every connection of a user, so that the client library stays away.
    pub async fn end_user(&self, tenant: &TenantId, user: &UserId) {
        for topic in [topics::user_everywhere(tenant, user), topics::user_by_room(tenant, user)] {
            self.hub.close_topic(&topic, self.close(), None).await;
        }
    }

    fn close(&self) -> CloseEach {
        let last = Some(Arc::clone(&self.goodbye));
        CloseEach { reason: CloseReason::Named(SIGNED_OUT), last }
    }
}

/// What ends a connection from our side.
const SIGNED_OUT: &str = "signed out";

/// `session.closed` in every dialect that spells it (clients ignore other vocabularies' events), a DISCONNECT
/// packet for each namespace (the stock client does not reconnect after one, and ignores
/// those of namespaces it is not in), then the end of the transport.
fn goodbye(dialects: &Dialects) -> Frame {
    let vocabularies: Vec<_> = dialects.vocabularies().iter().collect();
    let mut namespaces: Vec<&String> = vocabularies.iter().flat_map(|v| &v.namespaces).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let (mut stream, mut polled) = (Vec::new(), Vec::new());
    for dialect in dialects.all() {
        let subject = Subject::Closing(SIGNED_OUT);
        if let Some(news) = dialects.frame(dialect, "session.closed", subject, Timestamp(0)) {
            stream.extend_from_slice(news.stream());
            engine_io::append_packet(news.packet(), &mut polled);
        }
    }
    for namespace in namespaces {
        let mut packet = Vec::new();
        socket_io::disconnect(namespace, &mut packet);
        websocket::encode(websocket::OpCode::Text, &packet, &mut stream);
        engine_io::append_packet(&packet, &mut polled);
    }
    websocket::encode_close(1000, "", &mut stream);
    engine_io::append_packet(engine_io::CLOSE.as_bytes(), &mut polled);
    Frame::new(stream.into(), polled.into())
}
