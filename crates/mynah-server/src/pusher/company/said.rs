//! What nodes say to each other of Pusher channels: a line of JSON, and after an event's the text of the frame
//! that clients get. What cannot be read is nothing.

use std::time::Duration;

use mynah_domain::AppId;
use mynah_protocol::pusher::{ChannelName, SocketId};
use serde::{Deserialize, Serialize};

/// What is said.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Said {
    /// An event; the frame's text follows.
    Event(Event),
    /// All sockets of a signed-in user are closed.
    Terminate { app: String, user: String },
    /// Everybody is asked, and answers on a channel of the asker.
    Ask { id: u64, reply: String, app: String, question: Question },
    /// The answer to a question.
    Answer { id: u64, answer: Answer },
}

/// An event of a channel.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) app: String,
    pub(super) channel: String,
    /// The socket that does not get it.
    pub(super) except: Option<String>,
    /// A newer one takes its place where it still waits.
    pub(super) fades: bool,
    /// Name and data, where they are remembered.
    pub(super) kept: Option<(String, String)>,
}

/// What a node is asked of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Question {
    /// Which channels of this prefix have subscriptions.
    Channels { prefix: String },
    /// What is known of a channel.
    Channel { name: String },
    /// How many sockets are open.
    Connections,
}

/// What a node answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    Channels { channels: Vec<(String, Here)>, is_whole: bool },
    Channel { here: Here, kept: Option<Kept> },
    Connections(u64),
}

/// Who is in a channel on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Here {
    /// Subscriptions of sockets.
    pub(super) sockets: u64,
    /// Members by another door, whom every node that shows them shows.
    pub(super) at_home: u64,
}

/// The last event of a cache channel.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) data: String,
    pub(super) age_ms: u64,
    /// The frame's text.
    pub(super) text: String,
}

impl Kept {
    pub(super) fn age(&self) -> Duration {
        Duration::from_millis(self.age_ms)
    }
}

impl Event {
    /// Its channel; `None` if it is none.
    pub(super) fn place(&self) -> Option<(AppId, ChannelName)> {
        let app = AppId::parse(&self.app).ok()?;
        Some((app, ChannelName::parse(&self.channel, usize::MAX).ok()?))
    }

    /// The socket that does not get it.
    pub(super) fn excepted(&self) -> Option<SocketId> {
        self.except.as_ref()?.parse().ok()
    }
}

impl Said {
    /// Spells it, with the text of an event's frame.
    pub(super) fn body(&self, text: &[u8]) -> Vec<u8> {
        let mut body = serde_json::to_vec(self).expect("what is said is made of texts and numbers");
        if !text.is_empty() {
            body.push(b'\n');
            body.extend_from_slice(text);
        }
        body
    }

    /// Reads it, and the text of an event's frame.
    pub(super) fn read(body: &[u8]) -> Option<(Self, &str)> {
        let (line, text) = match body.iter().position(|byte| *byte == b'\n') {
            Some(place) => (body.get(..place)?, body.get(place + 1..)?),
            None => (body, &[][..]),
        };
        Some((serde_json::from_slice(line).ok()?, std::str::from_utf8(text).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_said_arrives() {
        let event = Said::Event(Event {
            app: "shop".to_owned(),
            channel: "news".to_owned(),
            except: Some("1.2".to_owned()),
            fades: false,
            kept: Some(("a\nb".to_owned(), "{}".to_owned())),
        });
        let text = "{\"event\":\"a\\nb\"}\n";
        assert_eq!(Said::read(&event.body(text.as_bytes())), Some((event, text)));
        let here = Here { sockets: 3, at_home: 1 };
        let kept =
            Kept { name: "a".to_owned(), data: "b".to_owned(), age_ms: 5, text: "{}".to_owned() };
        for said in [
            Said::Terminate { app: "shop".to_owned(), user: "ann".to_owned() },
            Said::Ask {
                id: 1,
                reply: "a:1".to_owned(),
                app: "shop".to_owned(),
                question: Question::Channels { prefix: String::new() },
            },
            Said::Answer { id: 1, answer: Answer::Channel { here, kept: Some(kept) } },
            Said::Answer { id: 2, answer: Answer::Connections(7) },
        ] {
            assert_eq!(Said::read(&said.body(b"")), Some((said, "")));
        }
    }

    proptest! {
        #[test]
        fn garbage_is_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
            prop_assert!(Said::read(&bytes).is_none());
            prop_assert!(Said::read(text.as_bytes()).is_none());
        }
    }
}
