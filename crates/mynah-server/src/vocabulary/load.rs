//! Reads and compiles a vocabulary file; every error says file, line and column.

use std::collections::HashMap;
use std::ops::Range;

use mynah_protocol::socket_io::is_reserved_event;
use toml_edit::{Document, Item, TableLike, Value};

use super::command::CommandKind;
use super::field::Group;
use super::inbound::{InboundRule, Source};
use super::template::Template;
use super::{Audience, ErrorRule, OutboundRule, UnknownEvent, Vocabulary};

mod namespaces;
mod template;

use template::Place;

/// A vocabulary file that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", place(file, *line, *column))]
pub struct VocabularyError {
    /// Which file.
    pub file: String,
    /// Line, from 1; 0 when the problem is in no file.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong and what would be right.
    pub problem: String,
}

fn place(file: &str, line: usize, column: usize) -> String {
    if line == 0 { String::new() } else { format!("{file}:{line}:{column}: ") }
}

/// What facts a vocabulary may spell, with the groups of fields in scope; `true`: it comes from a socket that can be left out.
const OUTBOUND: &[(&str, &[Group], bool)] = &[
    ("room.created", &[Group::Event, Group::Room, Group::RoomId], false),
    ("room.updated", &[Group::Event, Group::Room, Group::RoomId], false),
    ("room.deleted", &[Group::Event, Group::RoomId], false),
    ("member.joined", &[Group::Event, Group::RoomId, Group::User, Group::Member], false),
    ("member.invited", &[Group::Event, Group::RoomId, Group::User, Group::Member], false),
    ("member.left", &[Group::Event, Group::RoomId, Group::Member], false),
    ("member.role_changed", &[Group::Event, Group::RoomId, Group::Member], false),
    ("message.created", &[Group::Event, Group::Message, Group::RoomId, Group::Thread], false),
    ("message.updated", &[Group::Event, Group::Message, Group::RoomId, Group::Thread], false),
    ("message.deleted", &[Group::Event, Group::Deleted, Group::RoomId, Group::Thread], false),
    ("room.added", &[Group::Event, Group::Room, Group::User, Group::Member, Group::RoomId], false),
    ("room.removed", &[Group::Event, Group::RoomId, Group::Member], false),
    ("room.invited", &[Group::Event, Group::Room, Group::RoomId], false),
    ("typing", &[Group::RoomId, Group::User, Group::Typing, Group::Thread], true),
    ("presence", &[Group::Presence], false),
    ("receipt.read", &[Group::RoomId, Group::Read, Group::Thread], false),
    ("connection.ready", &[Group::Session, Group::User], false),
    ("connection.error", &[Group::Error], false),
    ("room.opened", &[Group::Room, Group::RoomId], false),
    ("room.history", &[Group::RoomId, Group::History], false),
    ("room.resync", &[Group::Room, Group::RoomId, Group::Thread], false),
    ("session.expiring", &[Group::Expiry], false),
    ("session.closed", &[Group::Ending], false),
];

/// Groups of fields that the acknowledgement of a command may name.
fn ack_groups(command: CommandKind) -> &'static [Group] {
    match command {
        CommandKind::SendMessage => &[Group::Message, Group::RoomId, Group::Sent],
        CommandKind::EditMessage => &[Group::Message, Group::RoomId],
        CommandKind::DeleteMessage => &[Group::Message, Group::RoomId, Group::Deleted],
        CommandKind::JoinRoom | CommandKind::CreateRoom => &[Group::Room, Group::RoomId],
        CommandKind::LeaveRoom | CommandKind::Typing => &[Group::RoomId],
        CommandKind::InviteMember | CommandKind::KickMember => &[Group::RoomId, Group::Member],
        CommandKind::MarkRead => &[Group::RoomId, Group::Read],
        CommandKind::QueryPresence => &[Group::Presences],
        CommandKind::Sync => &[Group::Sync],
        CommandKind::Authenticate => &[Group::Expiry],
        CommandKind::Ping => &[],
    }
}

type Result<T> = std::result::Result<T, VocabularyError>;

/// Compiles one file.
///
/// # Errors
/// [`VocabularyError`] at the first thing that is wrong.
pub fn compile(file: &str, text: &str) -> Result<Vocabulary> {
    let document = Document::parse(text).map_err(|error| {
        let (line, column) = line_column(text, error.span().map_or(0, |s| s.start));
        VocabularyError { file: file.to_owned(), line, column, problem: error.message().to_owned() }
    })?;
    let root: &dyn TableLike = document.as_table();
    let mut reader = Reader { file, text, shapes: None };
    reader.known_keys(root, &KEYS)?;
    reader.shapes = reader.section(root, "shapes")?.map(|shapes| shapes.table);
    reader.vocabulary(&Section { table: root, key: None })
}

/// What may stand at the top of a file.
const KEYS: [&str; 10] = [
    "id",
    "description",
    "protocol",
    "namespaces",
    "auto_join",
    "unknown_event",
    "shapes",
    "in",
    "out",
    "error",
];

fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    shapes: Option<&'a dyn TableLike>,
}

/// A table and where its name stands.
struct Section<'a> {
    table: &'a dyn TableLike,
    key: Option<Range<usize>>,
}

fn key_span(table: &dyn TableLike, key: &str) -> Option<Range<usize>> {
    table.key(key).and_then(toml_edit::Key::span)
}

impl<'a> Reader<'a> {
    fn error<T>(&self, span: Option<Range<usize>>, problem: impl Into<String>) -> Result<T> {
        let (line, column) = line_column(self.text, span.map_or(0, |s| s.start));
        Err(VocabularyError { file: self.file.to_owned(), line, column, problem: problem.into() })
    }

    fn known_keys(&self, table: &dyn TableLike, known: &[&str]) -> Result<()> {
        for (key, item) in table.iter() {
            if !known.contains(&key) {
                let span = key_span(table, key).or_else(|| item.span());
                return self
                    .error(span, format!("unknown key {key:?}; known here: {}", known.join(", ")));
            }
        }
        Ok(())
    }

    fn text_of(&self, item: &'a Item, what: &str) -> Result<&'a str> {
        match item.as_str() {
            Some(text) => Ok(text),
            None => self.error(item.span(), format!("{what} must be a string")),
        }
    }

    /// A member that is a table, if it is there.
    fn section(&self, table: &'a dyn TableLike, name: &str) -> Result<Option<Section<'a>>> {
        let Some(item) = table.get(name) else { return Ok(None) };
        let key = key_span(table, name);
        match item.as_table_like() {
            Some(table) => Ok(Some(Section { table, key })),
            None => self.error(key, format!("{name} must be a table")),
        }
    }

    /// The tables of a table, with their names.
    fn sections(&self, root: &'a dyn TableLike, name: &str) -> Result<Vec<(&'a str, Section<'a>)>> {
        let Some(Section { table, .. }) = self.section(root, name)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (name, _) in table.iter() {
            found.extend(self.section(table, name)?.map(|section| (name, section)));
        }
        Ok(found)
    }

    fn required(&self, section: &Section<'a>, key: &str) -> Result<&'a Item> {
        match section.table.get(key) {
            Some(item) => Ok(item),
            None => self.error(section.key.clone(), format!("{key:?} is missing")),
        }
    }

    /// The name of an event for clients.
    fn event_name(&self, item: &'a Item) -> Result<String> {
        let name = self.text_of(item, "event")?;
        if name.is_empty() || is_reserved_event(name) {
            return self.error(item.span(), format!("{name:?} cannot be an event's name"));
        }
        Ok(name.to_owned())
    }

    fn vocabulary(&self, file: &Section<'a>) -> Result<Vocabulary> {
        let root = file.table;
        if let Some(item) = root.get("description") {
            self.text_of(item, "description")?;
        }
        let id_item = self.required(file, "id")?;
        let id = self.text_of(id_item, "id")?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if id.is_empty() || id.len() > 32 || !id.chars().all(plain) {
            return self.error(id_item.span(), "id must be 1 to 32 of a-z, 0-9, - and _");
        }
        Ok(Vocabulary {
            id: id.to_owned(),
            namespaces: if self.is_of_pusher(root)? { Vec::new() } else { self.namespaces(file)? },
            auto_join: match root.get("auto_join") {
                None => false,
                Some(item) => match item.as_bool() {
                    Some(value) => value,
                    None => return self.error(item.span(), "auto_join must be true or false"),
                },
            },
            unknown_event: match root.get("unknown_event") {
                None => UnknownEvent::Silent,
                Some(item) => match item.as_str() {
                    Some("silent") => UnknownEvent::Silent,
                    Some("refuse") => UnknownEvent::Refuse,
                    _ => {
                        return self.error(item.span(), "unknown_event must be silent or refuse");
                    }
                },
            },
            inbound: self.inbound(root)?,
            outbound: self.outbound(root)?,
            error: self.error_rule(file)?,
        })
    }

    /// `protocol = "pusher"`: spoken on channels, in no namespace.
    fn is_of_pusher(&self, root: &'a dyn TableLike) -> Result<bool> {
        let Some(item) = root.get("protocol") else { return Ok(false) };
        match (item.as_str(), root.get("namespaces")) {
            (Some("socket.io"), _) => Ok(false),
            (Some("pusher"), None) => Ok(true),
            (Some("pusher"), Some(namespaces)) => {
                self.error(namespaces.span(), "a vocabulary of Pusher clients has no namespaces")
            }
            _ => self.error(item.span(), "protocol must be \"socket.io\" or \"pusher\""),
        }
    }

    fn inbound(&self, root: &'a dyn TableLike) -> Result<HashMap<String, InboundRule>> {
        let mut rules = HashMap::new();
        for (event, section) in self.sections(root, "in")? {
            if event.is_empty() || is_reserved_event(event) {
                return self.error(section.key, format!("clients cannot send an event {event:?}"));
            }
            rules.insert(event.to_owned(), self.inbound_rule(&section)?);
        }
        Ok(rules)
    }

    fn inbound_rule(&self, section: &Section<'a>) -> Result<InboundRule> {
        let table = section.table;
        let command_item = self.required(section, "command")?;
        let name = self.text_of(command_item, "command")?;
        let Some((_, command)) = CommandKind::NAMES.iter().find(|(n, _)| *n == name) else {
            let known: Vec<&str> = CommandKind::NAMES.iter().map(|(n, _)| *n).collect();
            let problem = format!("unknown command {name:?}; known: {}", known.join(", "));
            return self.error(command_item.span(), problem);
        };
        let known = command.inputs();
        let mut keys: Vec<&str> = vec!["command", "ack"];
        keys.extend(known.iter().map(|(input, _)| *input));
        self.known_keys(table, &keys)?;
        let mut inputs = Vec::new();
        for (input, required) in known {
            match table.get(input) {
                Some(item) => inputs.push((*input, self.sources(item)?)),
                None if *required => {
                    let problem = format!("{name} needs {input:?}, e.g. {input} = \"$0.{input}\"");
                    return self.error(command_item.span(), problem);
                }
                None => {}
            }
        }
        let groups = ack_groups(*command);
        let ack = self.template(self.required(section, "ack")?, Place::of(groups))?;
        Ok(InboundRule { command: *command, inputs, ack })
    }

    fn sources(&self, item: &Item) -> Result<Vec<Source>> {
        let Some(value) = item.as_value() else {
            return self.error(item.span(), "must be a path such as \"$0.roomId\"");
        };
        match value {
            Value::Array(array) if array.is_empty() => {
                self.error(value.span(), "at least one path is needed")
            }
            Value::Array(array) => array.iter().map(|v| self.source(v)).collect(),
            Value::String(_)
            | Value::Boolean(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Datetime(_)
            | Value::InlineTable(_) => Ok(vec![self.source(value)?]),
        }
    }

    fn source(&self, value: &Value) -> Result<Source> {
        match value {
            Value::String(text) => {
                let path = Source::parse_path(text.value());
                path.map_or_else(
                    || {
                        let problem =
                            format!("{:?} is no path such as \"$0.roomId\"", text.value());
                        self.error(value.span(), problem)
                    },
                    Ok,
                )
            }
            Value::Boolean(b) => Ok(Source::Constant(b.value().to_string().into())),
            Value::Integer(n) => Ok(Source::Constant(n.value().to_string().into())),
            Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::InlineTable(_) => {
                self.error(value.span(), "must be a path, a boolean or a whole number")
            }
        }
    }

    fn outbound(&self, root: &'a dyn TableLike) -> Result<HashMap<&'static str, OutboundRule>> {
        let mut rules = HashMap::new();
        for (fact, section) in self.sections(root, "out")? {
            let found = OUTBOUND.iter().find(|(name, _, _)| *name == fact);
            let Some((name, groups, has_origin)) = found else {
                let known: Vec<&str> = OUTBOUND.iter().map(|(n, _, _)| *n).collect();
                let problem = format!("unknown fact {fact:?}; known: {}", known.join(", "));
                return self.error(section.key, problem);
            };
            rules.insert(*name, self.outbound_rule(&section, groups, *has_origin)?);
        }
        Ok(rules)
    }

    fn outbound_rule(
        &self,
        section: &Section<'a>,
        groups: &[Group],
        has_origin: bool,
    ) -> Result<OutboundRule> {
        let table = section.table;
        self.known_keys(table, &["event", "audience", "args"])?;
        let event = self.event_name(self.required(section, "event")?)?;
        let audience = match table.get("audience") {
            None => Audience::Room,
            Some(item) => match item.as_str() {
                Some("room") => Audience::Room,
                Some("others") if has_origin => Audience::Others,
                Some("others") => {
                    return self.error(
                        item.span(),
                        "only typing comes from a socket that can be left out",
                    );
                }
                _ => return self.error(item.span(), "audience must be room or others"),
            },
        };
        let args = self.required(section, "args")?;
        let Some(array) = args.as_array() else {
            return self.error(args.span(), "args must be an array of templates");
        };
        let place = Place::of(groups);
        let arguments = array.iter().map(|v| self.value(v, place).map(Template::new));
        Ok(OutboundRule { event, audience, arguments: arguments.collect::<Result<_>>()? })
    }

    fn error_rule(&self, file: &Section<'a>) -> Result<ErrorRule> {
        let Some(section) = self.section(file.table, "error")? else {
            return self.error(None, "the table [error] is missing");
        };
        let table = section.table;
        self.known_keys(table, &["ack", "event", "arg"])?;
        let place = Place::of(&[Group::Error]);
        let ack = self.template(self.required(&section, "ack")?, place)?;
        let event = match (table.get("event"), table.get("arg")) {
            (None, None) => None,
            (None, Some(_)) => return self.error(key_span(table, "arg"), "\"event\" is missing"),
            (Some(item), _) => {
                let name = self.event_name(item)?;
                Some((name, self.template(self.required(&section, "arg")?, place)?))
            }
        };
        Ok(ErrorRule { ack, event })
    }
}
