//! How packets are spelled on a connection: the generation of the client and its parser.

use bytes::Bytes;
use mynah_hub::Frame;
use mynah_protocol::socket_io;

use crate::engine_io::Revision;
use crate::frames;

/// How a client's library writes packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parser {
    /// `socket.io-parser`: JSON text, binary data in messages of its own.
    Json,
    /// `socket.io-msgpack-parser`: each packet one binary message.
    Msgpack,
}

/// The spelling of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wire {
    /// Revision of Engine.IO; 3 means a Socket.IO v2 client.
    pub revision: Revision,
    /// Its parser.
    pub parser: Parser,
}

impl Wire {
    /// Every spelling.
    pub const ALL: [Self; 4] = [
        Self { revision: Revision::V4, parser: Parser::Json },
        Self { revision: Revision::V4, parser: Parser::Msgpack },
        Self { revision: Revision::V3, parser: Parser::Json },
        Self { revision: Revision::V3, parser: Parser::Msgpack },
    ];

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        let v2 = usize::from(self.revision == Revision::V3);
        2 * v2 + usize::from(self.parser == Parser::Msgpack)
    }

    /// Whether the client's library can ask for what it missed (socket.io-client 4.6 and later; older ones of
    /// revision 4 ignore the offer).
    pub fn recovers(self) -> bool {
        self.revision == Revision::V4
    }

    /// The frame of a packet that was written as Engine.IO text, e.g. `42["newMessage",{…}]`. For a
    /// msgpack client it is translated, so that each word is rendered once for all spellings' sake.
    pub fn frame(self, packet: &[u8]) -> Frame {
        match (self.parser, self.revision) {
            (Parser::Json, _) => frames::text(packet),
            (Parser::Msgpack, revision) => {
                let message = socket_io::msgpack::transcode(packet).unwrap_or_default();
                binary(revision, &message)
            }
        }
    }

    /// The frame of a packet with binary data, e.g. `451-["photo",{"_placeholder":true,"num":0}]`.
    pub fn frame_with(self, packet: &[u8], attachments: &[Bytes]) -> Frame {
        if attachments.is_empty() {
            return self.frame(packet);
        }
        match (self.parser, self.revision) {
            (Parser::Json, Revision::V4) => frames::text_with_attachments(packet, attachments),
            (Parser::Json, Revision::V3) => frames::text_with_attachments_v3(packet, attachments),
            (Parser::Msgpack, revision) => {
                let message = socket_io::msgpack::transcode_with(packet, attachments);
                binary(revision, &message.unwrap_or_default())
            }
        }
    }
}

fn binary(revision: Revision, message: &[u8]) -> Frame {
    match revision {
        Revision::V4 => frames::binary(message),
        Revision::V3 => frames::binary_v3(message),
    }
}
