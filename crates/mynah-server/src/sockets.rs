//! Live connections, as the other doors see them.

use std::sync::Arc;

use mynah_domain::{SessionFamily, TenantId, Timestamp, UserId};
use mynah_hub::{CloseEach, CloseReason, Dialect, Frame, Hub, LazyFrames};
use mynah_protocol::{engine_io, socket_io, websocket};

use crate::cluster::voice::Voice;
use crate::cluster::wire::Control;
use crate::dialects::Dialects;
use crate::identity::Identity;
use crate::topics;
use crate::vocabulary::field::Subject;

/// Handle on the live connections.
#[derive(Clone)]
pub struct Sockets {
    hub: Hub,
    dialects: Arc<Dialects>,
    identity: Arc<Identity>,
    voice: Option<Voice>,
}

impl Sockets {
    /// Handle on the connections of a hub, and with a voice on those of the other nodes.
    pub fn new(
        hub: Hub,
        dialects: Arc<Dialects>,
        identity: Arc<Identity>,
        voice: Option<Voice>,
    ) -> Self {
        Self { hub, dialects, identity, voice }
    }

    /// Ends every connection of a sign-in that was revoked, on every node, so that the client library stays
    /// away, and refuses its tokens from now on.
    pub async fn end_sign_in(&self, family: &SessionFamily) {
        self.command(Control::EndSignIn(family.clone())).await;
    }

    /// Ends every connection of a user, on every node, so that the client library stays away.
    pub async fn end_user(&self, tenant: &TenantId, user: &UserId) {
        self.command(Control::EndUser(tenant.clone(), user.clone())).await;
    }

    /// Forgets a user's profile and role after a change, on every node.
    pub async fn forget_user(&self, tenant: &TenantId, user: &UserId) {
        self.command(Control::ForgetUser(tenant.clone(), user.clone())).await;
    }

    async fn command(&self, control: Control) {
        if let Some(voice) = &self.voice {
            voice.command(&control);
        }
        self.obey(control).await;
    }

    /// Does here what every node does.
    pub async fn obey(&self, control: Control) {
        match control {
            Control::EndSignIn(family) => {
                self.identity.forget_sign_in(&family);
                self.close_sign_in(&family).await;
            }
            Control::EndUser(tenant, user) => self.close_user(&tenant, &user).await,
            Control::ForgetUser(tenant, user) => self.identity.forget_user(&tenant, &user),
        }
    }

    async fn close_sign_in(&self, family: &SessionFamily) {
        self.hub.close_topic(&topics::sign_in(family), self.close(), None).await;
    }

    async fn close_user(&self, tenant: &TenantId, user: &UserId) {
        for topic in [topics::user_everywhere(tenant, user), topics::user_by_room(tenant, user)] {
            self.hub.close_topic(&topic, self.close(), None).await;
        }
    }

    fn close(&self) -> CloseEach {
        let dialects = Arc::clone(&self.dialects);
        let last = Some(LazyFrames::new(move |dialect| goodbye(&dialects, dialect)));
        CloseEach { reason: CloseReason::Named(SIGNED_OUT), last }
    }
}

/// What ends a connection from our side.
const SIGNED_OUT: &str = "signed out";

/// `session.closed`, a DISCONNECT packet for each namespace (the stock client does not reconnect after one, and
/// ignores those of namespaces it is not in), then the end of the transport. Over polling that end is not said
/// in the same breath: clients would act on it first.
fn goodbye(dialects: &Dialects, dialect: Dialect) -> Option<Frame> {
    let (wire, namespace) = dialects.link(dialect)?;
    let mut frames = Vec::new();
    let spoken = (Subject::Closing(SIGNED_OUT), None);
    frames.extend(dialects.frame(dialect, "session.closed", spoken, Timestamp(0)));
    let rules = dialects.vocabularies().iter().flat_map(|vocabulary| &vocabulary.namespaces);
    let fixed = rules.filter(|rule| !rule.name.is_pattern()).map(|rule| rule.name.as_str());
    let mut namespaces: Vec<&str> = fixed.chain([&*namespace]).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    frames.extend(namespaces.into_iter().map(|namespace| {
        let mut packet = Vec::new();
        socket_io::disconnect(namespace, &mut packet);
        wire.frame(&packet)
    }));
    let (mut stream, mut polled) = (Vec::new(), Vec::new());
    for frame in frames {
        stream.extend_from_slice(frame.stream());
        engine_io::append_packet(frame.packet(), &mut polled);
    }
    websocket::encode_close(1000, "", &mut stream);
    Some(Frame::new(stream.into(), polled.into()))
}
