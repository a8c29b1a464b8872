//! From a client's event to a [`Command`]: field paths compiled from a vocabulary file.
//!
//! A path is `$<argument>` followed by `.<key>` steps: `$0.roomId` is member `roomId` of the first
//! argument, `$0` the first argument itself (`joinRoom("r1")`). Arguments are read lazily: only the
//! members a path names are looked at, and `metadata` stays the client's own bytes.

use std::borrow::Cow;
use std::fmt;

use mynah_domain::message::{Draft, Position};
use mynah_domain::room::{RoomKind, Visibility};
use mynah_domain::{MessageId, RoomId, UserId};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::command::{Command, CommandKind, Violation};
use super::template::Template;

/// Most rooms in one `sync` request.
pub const SYNC_ROOMS_MAX: usize = 500;
/// Most arguments of one event; a path names one of them.
const ARGUMENTS_MAX: usize = 64;
/// Most users in one list of a request.
pub const USERS_MAX: usize = 500;

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path into the arguments.
    Path {
        /// Which argument, from 0.
        argument: usize,
        /// Member names to follow.
        keys: Vec<String>,
    },
    /// The same value at every call, as JSON.
    Constant(Box<str>),
}

impl Source {
    /// Reads `$0.roomId`; `None` when the text is no path.
    pub fn parse_path(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('$')?.split('.');
        let argument = parts.next().filter(|n| n.bytes().all(|b| b.is_ascii_digit()))?;
        let argument = argument.parse().ok().filter(|n| *n < ARGUMENTS_MAX)?;
        let keys: Vec<String> = parts.map(str::to_owned).collect();
        if keys.iter().any(String::is_empty) { None } else { Some(Self::Path { argument, keys }) }
    }

    /// How a client would call this place.
    fn label(&self) -> Option<String> {
        match self {
            Self::Path { keys, .. } if !keys.is_empty() => Some(keys.join(".")),
            Self::Path { .. } | Self::Constant(_) => None,
        }
    }
}

/// One inbound event of a vocabulary.
#[derive(Debug, Clone)]
pub struct InboundRule {
    /// What it asks for.
    pub command: CommandKind,
    /// Where each input comes from, first match wins.
    pub inputs: Vec<(&'static str, Vec<Source>)>,
    /// Answer to a client that asked for an acknowledgement.
    pub ack: Template,
}

/// An object whose members are not looked into.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((key, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    members.push((key.0, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The arguments of one event while its rule reads them.
struct Arguments<'a> {
    raw: &'a [&'a str],
    first: Option<Members<'a>>,
}

impl<'a> Arguments<'a> {
    fn new(raw: &'a [&'a str]) -> Self {
        let first = raw.first().and_then(|v| serde_json::from_str(v).ok());
        Self { raw, first }
    }

    fn find(&self, argument: usize, keys: &[String]) -> Option<&'a str> {
        let Some((first_key, rest)) = keys.split_first() else {
            return self.raw.get(argument).copied().filter(|v| *v != "null");
        };
        let mut value = if argument == 0 {
            member(self.first.as_ref()?, first_key)?
        } else {
            member(&serde_json::from_str(self.raw.get(argument)?).ok()?, first_key)?
        };
        for key in rest {
            value = member(&serde_json::from_str(value).ok()?, key)?;
        }
        Some(value).filter(|v| *v != "null")
    }
}

fn member<'a>(members: &Members<'a>, key: &str) -> Option<&'a str> {
    // The last of repeated keys counts, as in JavaScript.
    members.0.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.get())
}

/// Collects inputs and what is wrong with them.
struct Reader<'r, 'a> {
    rule: &'r InboundRule,
    arguments: Arguments<'a>,
    violations: Vec<Violation>,
}

impl InboundRule {
    /// Reads a command out of an event's arguments.
    ///
    /// # Errors
    /// Every violation found, in the order of the command's inputs.
    pub fn read(&self, arguments: &[&str]) -> Result<Command, Vec<Violation>> {
        let arguments = Arguments::new(arguments);
        let mut reader = Reader { rule: self, arguments, violations: Vec::new() };
        let command = reader.command();
        match command {
            Some(command) if reader.violations.is_empty() => Ok(command),
            Some(_) | None => Err(reader.violations),
        }
    }
}

impl Reader<'_, '_> {
    fn command(&mut self) -> Option<Command> {
        Some(match self.rule.command {
            CommandKind::SendMessage => {
                let room = self.room();
                let draft = self.draft();
                Command::SendMessage { room: room?, draft: draft? }
            }
            CommandKind::EditMessage => {
                let message = self.message();
                let content = self.text("content");
                Command::EditMessage { message: message?, content: content? }
            }
            CommandKind::DeleteMessage => Command::DeleteMessage { message: self.message()? },
            CommandKind::JoinRoom => Command::JoinRoom { room: self.room()? },
            CommandKind::LeaveRoom => Command::LeaveRoom { room: self.room()? },
            CommandKind::CreateRoom => self.create_room()?,
            CommandKind::InviteMember => {
                let (room, user) = (self.room(), self.user());
                Command::InviteMember { room: room?, user: user? }
            }
            CommandKind::KickMember => {
                let (room, user) = (self.room(), self.user());
                Command::KickMember { room: room?, user: user? }
            }
            CommandKind::MarkRead => self.mark_read(),
            CommandKind::Typing => {
                let (room, is_typing) = (self.room(), self.boolean("is_typing"));
                Command::Typing { room: room?, is_typing: is_typing? }
            }
            CommandKind::QueryPresence => {
                let (asked, users) = (self.find("users").is_some(), self.ids("users"));
                let room = self.room_if_given();
                if !asked && room.is_none() {
                    self.missing("users");
                }
                Command::QueryPresence { users, room }
            }
            CommandKind::Sync => {
                let (since, epoch) = (self.since(), self.text_if_given("epoch"));
                Command::Sync { since: since?, epoch }
            }
            CommandKind::Authenticate => {
                let (token, user) = (self.text("token"), self.text_if_given("user"));
                Command::Authenticate { token: token?, user }
            }
            CommandKind::Ping => Command::Ping,
        })
    }

    fn draft(&mut self) -> Option<Draft> {
        let content = self.text("content");
        let kind = self.text_if_given("kind");
        let metadata = self.find("metadata").map(str::to_owned);
        let reply_to = self.text_if_given("reply_to");
        let reply_to = reply_to.and_then(|id| self.parsed("reply_to", MessageId::parse(&id)));
        let client_id = self.text_or_number("client_id");
        Some(Draft { content: content?, kind, metadata, reply_to, client_id })
    }

    fn create_room(&mut self) -> Option<Command> {
        let name = self.text("name");
        let kind = match self.text_if_given("kind") {
            None => Some(RoomKind::Group),
            Some(word) => self.known("kind", RoomKind::from_word(&word.to_lowercase())),
        };
        let visibility = match self.text_if_given("visibility") {
            None => None,
            Some(word) => self.known("visibility", Visibility::from_word(&word.to_lowercase())),
        };
        let topic = self.text_if_given("topic");
        let members = self.ids("members");
        Some(Command::CreateRoom { name: name?, kind: kind?, visibility, topic, members })
    }

    fn mark_read(&mut self) -> Command {
        let room = self.room_if_given();
        let message = self.text_if_given("message");
        let message = message.and_then(|id| self.parsed("message", MessageId::parse(&id)));
        let to = match message {
            Some(id) => Some(Position::Message(id)),
            None => match self.number("number") {
                Some(n) => Some(Position::Number(n)),
                None => self.number("seq").map(Position::Seq),
            },
        };
        // What was given and is wrong has been said already.
        if self.find("room").is_none() && self.find("message").is_none() {
            self.missing("room");
        }
        Command::MarkRead { room, to }
    }

    fn since(&mut self) -> Option<Vec<(RoomId, u64)>> {
        let raw = self.required("since")?;
        let members: Result<Members<'_>, _> = serde_json::from_str(&raw);
        let Ok(members) = members else {
            self.wrong("since", "type", "must be an object of last seq by room id");
            return None;
        };
        if members.0.len() > SYNC_ROOMS_MAX {
            self.wrong("since", "too_big", &format!("must have at most {SYNC_ROOMS_MAX} rooms"));
            return None;
        }
        let mut since: Vec<(RoomId, u64)> = Vec::with_capacity(members.0.len());
        for (room, seq) in members.0 {
            let (Ok(room), Ok(seq)) = (RoomId::parse(&room), serde_json::from_str(seq.get()))
            else {
                self.wrong("since", "type", "must hold a whole number for each room id");
                return None;
            };
            // As in JavaScript, and so that no room is answered twice.
            match since.iter_mut().find(|(known, _)| *known == room) {
                Some(known) => known.1 = seq,
                None => since.push((room, seq)),
            }
        }
        Some(since)
    }

    fn sources(&self, input: &str) -> &[Source] {
        let found = self.rule.inputs.iter().find(|(name, _)| *name == input);
        found.map_or(&[], |(_, sources)| sources)
    }

    fn value<'s>(&'s self, source: &'s Source) -> Option<&'s str> {
        match source {
            Source::Path { argument, keys } => self.arguments.find(*argument, keys),
            Source::Constant(json) => Some(json),
        }
    }

    fn find(&self, input: &str) -> Option<&str> {
        self.sources(input).iter().find_map(|source| self.value(source))
    }

    /// The name under which the client knows an input: the one it used, else the first one.
    fn label(&self, input: &str) -> String {
        let sources = self.sources(input);
        let used = sources.iter().find(|source| self.value(source).is_some());
        used.and_then(Source::label)
            .or_else(|| sources.iter().find_map(Source::label))
            .unwrap_or_else(|| input.to_owned())
    }

    fn wrong(&mut self, input: &str, code: &'static str, rule: &str) {
        let path = self.label(input);
        let message = format!("{path} {rule}");
        self.violations.push(Violation { path, code, message });
    }

    fn missing(&mut self, input: &str) {
        self.wrong(input, "required", "should not be empty");
    }

    fn required(&mut self, input: &str) -> Option<String> {
        let found = self.find(input).map(str::to_owned);
        if found.is_none() {
            self.missing(input);
        }
        found
    }

    fn text(&mut self, input: &str) -> Option<String> {
        match self.find(input) {
            None => {
                self.missing(input);
                None
            }
            Some(_) => self.text_if_given(input),
        }
    }

    fn text_if_given(&mut self, input: &str) -> Option<String> {
        let text = serde_json::from_str::<Text<'_>>(self.find(input)?)
            .ok()
            .map(|text| text.0.into_owned());
        if text.is_none() {
            self.wrong(input, "type", "must be a string");
        }
        text
    }

    /// Client ids may be counters or `Date.now() + Math.random()`.
    fn text_or_number(&mut self, input: &str) -> Option<String> {
        let raw = self.find(input)?;
        if raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return Some(raw.to_owned());
        }
        self.text_if_given(input)
    }

    fn number(&mut self, input: &str) -> Option<u64> {
        let number = serde_json::from_str(self.find(input)?).ok();
        if number.is_none() {
            self.wrong(input, "type", "must be a whole number not below 0");
        }
        number
    }

    fn boolean(&mut self, input: &str) -> Option<bool> {
        let Some(raw) = self.find(input) else {
            self.missing(input);
            return None;
        };
        let value = serde_json::from_str(raw).ok();
        if value.is_none() {
            self.wrong(input, "type", "must be a boolean value");
        }
        value
    }

    fn ids(&mut self, input: &str) -> Vec<UserId> {
        let parsed: Option<Vec<UserId>> = {
            let Some(raw) = self.find(input) else { return Vec::new() };
            serde_json::from_str::<Vec<Text<'_>>>(raw)
                .ok()
                .and_then(|texts| texts.iter().map(|t| UserId::parse(&t.0).ok()).collect())
        };
        match parsed {
            Some(ids) if ids.len() <= USERS_MAX => ids,
            Some(_) => {
                self.wrong(input, "too_big", &format!("must have at most {USERS_MAX} entries"));
                Vec::new()
            }
            None => {
                self.wrong(input, "type", "must be an array of ids");
                Vec::new()
            }
        }
    }

    fn room(&mut self) -> Option<RoomId> {
        let text = self.text("room")?;
        self.parsed("room", RoomId::parse(&text))
    }

    fn room_if_given(&mut self) -> Option<RoomId> {
        let text = self.text_if_given("room")?;
        self.parsed("room", RoomId::parse(&text))
    }

    fn message(&mut self) -> Option<MessageId> {
        let text = self.text("message")?;
        self.parsed("message", MessageId::parse(&text))
    }

    fn user(&mut self) -> Option<UserId> {
        let text = self.text("user")?;
        self.parsed("user", UserId::parse(&text))
    }

    fn parsed<T, E>(&mut self, input: &str, result: Result<T, E>) -> Option<T> {
        if result.is_err() {
            self.wrong(input, "format", "must be an id");
        }
        result.ok()
    }

    fn known<T>(&mut self, input: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.wrong(input, "enum", "must be one of the known words");
        }
        value
    }
}
