//! What both doors know of a session, and what a packet does.

use mynah_hub::{Class, Close, CloseReason, Dialect, Pulse, SessionId};
use mynah_protocol::engine_io::{self, Packet};

use super::{Application, Edge, Refused, Revision};
use crate::frames;

/// Only the newest unsent answer to a ping is kept, so unread ones cannot pile up.
const PONG: Class = Class::Ephemeral { key: u64::MAX - 1 };

impl Revision {
    /// Whose keepalive and farewell the sessions get, see [`super::engine_rules`].
    pub(super) fn rules(self) -> Dialect {
        match self {
            Self::V4 => Dialect(0),
            Self::V3 => Dialect(1),
        }
    }
}

/// The end of a session when the server goes: its client reconnects, to whoever answers then.
pub(super) fn leave() -> Close {
    let last = Some(frames::close(1012, "server restarting"));
    Close { reason: CloseReason::Named("server shutting down"), last }
}

/// A session, whatever its transport.
pub(super) struct Line {
    /// Its session in the hub.
    pub(super) id: SessionId,
    /// Signs of life, and its end.
    pub(super) pulse: Pulse,
    /// What it speaks.
    pub(super) revision: Revision,
}

/// Whether a session goes on after a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It does.
    GoesOn,
    /// The peer said goodbye.
    Closes,
}

impl Line {
    /// Acts on one packet.
    pub(super) async fn take<A: Application>(
        &self,
        edge: &Edge<A>,
        session: &mut A::Session,
        packet: Packet<'_>,
    ) -> Result<After, Refused> {
        let is_v3 = self.revision == Revision::V3;
        if is_v3 {
            self.pulse.beat();
        }
        match packet {
            Packet::Text(text) => edge.app.text(session, text).await?,
            Packet::Binary(bytes) => edge.app.binary(session, bytes).await?,
            Packet::Pong(_) if !is_v3 => self.pulse.beat(),
            Packet::Ping(_) if is_v3 => {
                let pong = frames::text(engine_io::PONG.as_bytes());
                edge.hub.send(self.id, pong, PONG).await;
            }
            Packet::Ping(_) | Packet::Pong(_) => {
                return Err(Refused("invalid heartbeat direction"));
            }
            Packet::Noop => {}
            Packet::Close => return Ok(After::Closes),
            Packet::Open(_) | Packet::Upgrade => return Err(Refused("packet of a server")),
        }
        Ok(After::GoesOn)
    }
}
