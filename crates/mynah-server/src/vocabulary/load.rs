//! Reads and compiles a vocabulary file; every error says file, line and column.

use std::collections::HashMap;
use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

use super::command::CommandKind;
use super::field::{FIELDS, Field, Group, List};
use super::inbound::{InboundRule, Source};
use super::template::{Op, Template};
use super::{Audience, ErrorRule, OutboundRule, UnknownEvent, Vocabulary};

/// A vocabulary file that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {problem}")]
pub struct VocabularyError {
    /// Which file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// What facts a vocabulary may spell, with the groups of fields in scope; `true`: state, not an event.
const OUTBOUND: &[(&str, &[Group], bool)] = &[
    ("room.created", &[Group::Event, Group::Room, Group::RoomId], false),
    ("room.updated", &[Group::Event, Group::Room, Group::RoomId], false),
    ("room.deleted", &[Group::Event, Group::RoomId], false),
    ("member.joined", &[Group::Event, Group::RoomId, Group::User, Group::Member], false),
    ("member.invited", &[Group::Event, Group::RoomId, Group::User, Group::Member], false),
    ("member.left", &[Group::Event, Group::RoomId, Group::Member], false),
    ("member.role_changed", &[Group::Event, Group::RoomId, Group::Member], false),
    ("message.created", &[Group::Event, Group::Message, Group::RoomId], false),
    ("message.updated", &[Group::Event, Group::Message, Group::RoomId], false),
    ("message.deleted", &[Group::Event, Group::Deleted, Group::RoomId], false),
    ("room.added", &[Group::Event, Group::Room, Group::User, Group::Member, Group::RoomId], false),
    ("room.removed", &[Group::Event, Group::RoomId, Group::Member], false),
    ("room.invited", &[Group::Event, Group::Room, Group::RoomId], false),
    ("typing", &[Group::RoomId, Group::User, Group::Typing], true),
    ("presence", &[Group::Presence], true),
    ("receipt.read", &[Group::RoomId, Group::Read], true),
    ("connection.ready", &[Group::Session, Group::User], true),
    ("room.opened", &[Group::Room, Group::RoomId], true),
    ("room.history", &[Group::RoomId, Group::History], true),
    ("room.resync", &[Group::Room, Group::RoomId], true),
    ("session.expiring", &[Group::Session], true),
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
        CommandKind::QueryPresence => &[Group::Presence],
        CommandKind::Sync => &[Group::Sync],
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
    let reader = Reader { file, text, shapes: table_in(root, "shapes") };
    reader.known_keys(
        root,
        &[
            "id",
            "description",
            "namespaces",
            "auto_join",
            "unknown_event",
            "shapes",
            "in",
            "out",
            "error",
        ],
    )?;
    reader.vocabulary(root)
}

fn table_in<'a>(table: &'a dyn TableLike, key: &str) -> Option<&'a dyn TableLike> {
    table.get(key).and_then(Item::as_table_like)
}

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

/// Where in a file something stands, and what may be named there.
#[derive(Clone, Copy)]
struct Place<'g> {
    groups: &'g [Group],
    event_spelling: bool,
    depth: u8,
}

/// Shapes may name shapes this deep.
const SHAPE_DEPTH_MAX: u8 = 8;

impl<'a> Reader<'a> {
    fn error<T>(&self, span: Option<Range<usize>>, problem: impl Into<String>) -> Result<T> {
        let (line, column) = line_column(self.text, span.map_or(0, |s| s.start));
        Err(VocabularyError { file: self.file.to_owned(), line, column, problem: problem.into() })
    }

    fn known_keys(&self, table: &dyn TableLike, known: &[&str]) -> Result<()> {
        for (key, item) in table.iter() {
            if !known.contains(&key) {
                let span = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
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

    fn required(&self, table: &'a dyn TableLike, key: &str) -> Result<&'a Item> {
        match table.get(key) {
            Some(item) => Ok(item),
            None => self.error(None, format!("{key:?} is missing")),
        }
    }

    fn vocabulary(&self, root: &'a dyn TableLike) -> Result<Vocabulary> {
        let id_item = self.required(root, "id")?;
        let id = self.text_of(id_item, "id")?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if id.is_empty() || id.len() > 32 || !id.chars().all(plain) {
            return self.error(id_item.span(), "id must be 1 to 32 of a-z, 0-9, - and _");
        }
        Ok(Vocabulary {
            id: id.to_owned(),
            namespaces: self.namespaces(root)?,
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
            error: self.error_rule(root)?,
        })
    }

    fn namespaces(&self, root: &'a dyn TableLike) -> Result<Vec<String>> {
        let item = self.required(root, "namespaces")?;
        let Some(array) = item.as_array() else {
            return self.error(item.span(), "namespaces must be an array such as [\"/\"]");
        };
        let mut names = Vec::new();
        for value in array {
            match value.as_str() {
                Some(name) if name.starts_with('/') && !name.contains([',', '?']) => {
                    names.push(name.to_owned());
                }
                _ => return self.error(value.span(), "a namespace is a string that starts with /"),
            }
        }
        if names.is_empty() {
            return self.error(item.span(), "at least one namespace is needed");
        }
        Ok(names)
    }

    fn inbound(&self, root: &'a dyn TableLike) -> Result<HashMap<String, InboundRule>> {
        let mut rules = HashMap::new();
        let Some(table) = table_in(root, "in") else { return Ok(rules) };
        for (event, item) in table.iter() {
            let Some(rule) = item.as_table_like() else {
                return self.error(item.span(), format!("in.{event} must be a table"));
            };
            rules.insert(event.to_owned(), self.inbound_rule(rule)?);
        }
        Ok(rules)
    }

    fn inbound_rule(&self, table: &'a dyn TableLike) -> Result<InboundRule> {
        let command_item = self.required(table, "command")?;
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
        let ack = self.template(self.required(table, "ack")?, Place::of(groups))?;
        Ok(InboundRule { command: *command, inputs, ack })
    }

    fn sources(&self, item: &Item) -> Result<Vec<Source>> {
        let Some(value) = item.as_value() else {
            return self.error(item.span(), "must be a path such as \"$0.roomId\"");
        };
        match value {
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
        let Some(table) = table_in(root, "out") else { return Ok(rules) };
        for (fact, item) in table.iter() {
            let span = table.key(fact).and_then(toml_edit::Key::span);
            let Some((name, groups, is_state)) = OUTBOUND.iter().find(|(n, _, _)| *n == fact)
            else {
                let known: Vec<&str> = OUTBOUND.iter().map(|(n, _, _)| *n).collect();
                let problem = format!("unknown fact {fact:?}; known: {}", known.join(", "));
                return self.error(span, problem);
            };
            let Some(rule) = item.as_table_like() else {
                return self.error(span, format!("out.{fact:?} must be a table"));
            };
            rules.insert(*name, self.outbound_rule(rule, groups, *is_state)?);
        }
        Ok(rules)
    }

    fn outbound_rule(
        &self,
        table: &'a dyn TableLike,
        groups: &[Group],
        is_state: bool,
    ) -> Result<OutboundRule> {
        self.known_keys(table, &["event", "audience", "args"])?;
        let event = self.text_of(self.required(table, "event")?, "event")?.to_owned();
        let audience = match table.get("audience") {
            None => Audience::Room,
            Some(item) => match item.as_str() {
                Some("room") => Audience::Room,
                Some("others") if is_state => Audience::Others,
                Some("others") => {
                    return self
                        .error(item.span(), "a durable event always reaches the whole room");
                }
                _ => return self.error(item.span(), "audience must be room or others"),
            },
        };
        let args = self.required(table, "args")?;
        let Some(array) = args.as_array() else {
            return self.error(args.span(), "args must be an array of templates");
        };
        let place = Place::of(groups);
        let arguments = array.iter().map(|v| self.value(v, place).map(Template::new));
        Ok(OutboundRule { event, audience, arguments: arguments.collect::<Result<_>>()? })
    }

    fn error_rule(&self, root: &'a dyn TableLike) -> Result<ErrorRule> {
        let Some(table) = table_in(root, "error") else {
            return self.error(None, "the table [error] is missing");
        };
        self.known_keys(table, &["ack", "event", "arg"])?;
        let place = Place::of(&[Group::Error]);
        let ack = self.template(self.required(table, "ack")?, place)?;
        let event = match table.get("event") {
            None => None,
            Some(item) => {
                let name = self.text_of(item, "event")?.to_owned();
                Some((name, self.template(self.required(table, "arg")?, place)?))
            }
        };
        Ok(ErrorRule { ack, event })
    }

    fn template(&self, item: &Item, place: Place<'_>) -> Result<Template> {
        self.item(item, place).map(Template::new)
    }

    fn item(&self, item: &Item, place: Place<'_>) -> Result<Vec<Op>> {
        if let Some(value) = item.as_value() {
            return self.value(value, place);
        }
        match item.as_table_like() {
            Some(table) => self.object(table, item.span(), place),
            None => self.error(item.span(), "must be a value"),
        }
    }

    fn value(&self, value: &Value, place: Place<'_>) -> Result<Vec<Op>> {
        match value {
            Value::String(text) => self.text_value(text.value(), value.span(), place),
            Value::Integer(n) => Ok(vec![literal(n.value().to_string())]),
            Value::Float(n) => Ok(vec![literal(n.value().to_string())]),
            Value::Boolean(b) => Ok(vec![literal(b.value().to_string())]),
            Value::Datetime(_) => self.error(value.span(), "write times as strings"),
            Value::Array(array) => {
                let mut ops = vec![literal("[")];
                for (i, entry) in array.iter().enumerate() {
                    if i > 0 {
                        ops.push(literal(","));
                    }
                    ops.extend(self.value(entry, place)?);
                }
                ops.push(literal("]"));
                Ok(ops)
            }
            Value::InlineTable(table) => self.object(table, value.span(), place),
        }
    }

    fn text_value(
        &self,
        text: &str,
        span: Option<Range<usize>>,
        place: Place<'_>,
    ) -> Result<Vec<Op>> {
        if let Some(rest) = text.strip_prefix('$').filter(|rest| !rest.starts_with('$')) {
            return match rest {
                "event" if place.event_spelling => Ok(vec![Op::EventArgument]),
                "event.name" if place.event_spelling => Ok(vec![Op::EventName]),
                _ => Ok(vec![Op::Value(self.field(rest, span, place)?)]),
            };
        }
        if let Some(name) = text.strip_prefix('@').filter(|rest| !rest.starts_with('@')) {
            return self.shape(name, span, place);
        }
        let plain = if text.starts_with("$$") || text.starts_with("@@") {
            text.get(1..).unwrap_or("")
        } else {
            text
        };
        Ok(vec![literal(json_string(plain))])
    }

    fn shape(&self, name: &str, span: Option<Range<usize>>, place: Place<'_>) -> Result<Vec<Op>> {
        if place.depth >= SHAPE_DEPTH_MAX {
            return self.error(span, format!("shape {name:?} contains itself"));
        }
        match self.shapes.and_then(|shapes| shapes.get(name)) {
            Some(item) => self.item(item, Place { depth: place.depth + 1, ..place }),
            None => self.error(span, format!("there is no shape {name:?} under [shapes]")),
        }
    }

    fn field(&self, name: &str, span: Option<Range<usize>>, place: Place<'_>) -> Result<Field> {
        let Some((_, field, group)) = FIELDS.iter().find(|(n, _, _)| *n == name) else {
            return self.error(span, format!("unknown field ${name}"));
        };
        if *group == Group::Always || place.groups.contains(group) {
            return Ok(*field);
        }
        let here = |g: &Group| place.groups.contains(g) || *g == Group::Always;
        let known: Vec<&str> = FIELDS.iter().filter(|f| here(&f.2)).map(|f| f.0).collect();
        self.error(span, format!("${name} is not known here; known: {}", known.join(", ")))
    }

    fn object(
        &self,
        table: &dyn TableLike,
        span: Option<Range<usize>>,
        place: Place<'_>,
    ) -> Result<Vec<Op>> {
        if let Some(list) = table.get("$each") {
            return self.each(list, table, place);
        }
        if let Some(field) = table.get("$map") {
            return self.map(field, table, place);
        }
        let mut members = Vec::new();
        self.collect_members(table, place.depth, &mut members)?;
        let (optional, always): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|(key, _)| key.ends_with('?'));
        if always.is_empty() && !optional.is_empty() {
            return self.error(span, "an object needs a member that is always there");
        }
        let mut ops = vec![literal("{")];
        for (i, (key, item)) in always.into_iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            ops.push(literal(format!("{comma}{}:", json_string(key))));
            ops.extend(self.item(item, place)?);
        }
        for (key, item) in optional {
            let name = key.trim_end_matches('?');
            ops.push(self.optional_member(name, item, place)?);
        }
        ops.push(literal("}"));
        Ok(ops)
    }

    /// Members of an object, those of the shape named by `$with` first.
    fn collect_members<'t>(
        &self,
        table: &'t dyn TableLike,
        depth: u8,
        members: &mut Vec<(&'t str, &'t Item)>,
    ) -> Result<()>
    where
        'a: 't,
    {
        if let Some(with) = table.get("$with") {
            let name = with.as_str().and_then(|text| text.strip_prefix('@')).unwrap_or("");
            let shape = self.shapes.and_then(|shapes| shapes.get(name)?.as_table_like());
            match shape {
                Some(shape) if depth < SHAPE_DEPTH_MAX => {
                    self.collect_members(shape, depth + 1, members)?;
                }
                Some(_) => {
                    return self.error(with.span(), format!("shape {name:?} contains itself"));
                }
                None => {
                    let problem = format!("$with must name an object under [shapes], not {name:?}");
                    return self.error(with.span(), problem);
                }
            }
        }
        members.extend(table.iter().filter(|(key, _)| *key != "$with"));
        Ok(())
    }

    fn optional_member(&self, name: &str, item: &Item, place: Place<'_>) -> Result<Op> {
        let key = format!(",{}:", json_string(name)).into_bytes().into();
        let ops = self.item(item, place)?;
        if let [Op::Value(field)] = ops.as_slice() {
            return Ok(Op::Member { key, field: *field });
        }
        let template = Template::new(ops);
        let mut when = None;
        template.fields(&mut |field| {
            when.get_or_insert(field);
        });
        match when {
            Some(when) => Ok(Op::MemberIf { key, when, template }),
            None => self.error(item.span(), format!("{name}? is always there: drop the ?")),
        }
    }

    fn each(&self, list: &Item, table: &dyn TableLike, place: Place<'_>) -> Result<Vec<Op>> {
        self.known_keys(table, &["$each", "$as"])?;
        let name = list.as_str().unwrap_or("");
        let found = List::NAMES.iter().find(|(n, _, _, _)| *n == name);
        let Some((_, kind, _, entry)) = found.filter(|(_, _, g, _)| place.groups.contains(g))
        else {
            return self.error(list.span(), format!("there is no list {name:?} here"));
        };
        let Some(entry_template) = table.get("$as") else {
            return self.error(list.span(), "$each needs $as, the template of an entry");
        };
        let mut groups = entry.to_vec();
        groups.push(Group::RoomId);
        let event_spelling = *kind == List::SyncEvents;
        let place = Place { groups: &groups, event_spelling, depth: place.depth };
        let template = self.template(entry_template, place)?;
        Ok(vec![Op::Each { list: *kind, template }])
    }

    fn map(&self, field: &Item, table: &dyn TableLike, place: Place<'_>) -> Result<Vec<Op>> {
        let name = field.as_str().unwrap_or("");
        let field = self.field(name.trim_start_matches('$'), field.span(), place)?;
        let mut words = Vec::new();
        for (from, to) in table.iter().filter(|(key, _)| *key != "$map") {
            let to = self.text_of(to, "the other word")?;
            words.push((from.to_owned(), json_string(to).into_bytes().into()));
        }
        Ok(vec![Op::Map { field, words }])
    }
}

impl<'g> Place<'g> {
    fn of(groups: &'g [Group]) -> Self {
        Self { groups, event_spelling: false, depth: 0 }
    }
}

fn literal(text: impl Into<String>) -> Op {
    Op::Literal(text.into().into_bytes().into())
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
