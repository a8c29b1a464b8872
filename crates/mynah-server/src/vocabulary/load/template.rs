//! Compiles payload templates out of a vocabulary file.

use std::ops::Range;

use toml_edit::{Item, TableLike, Value};

use super::{Reader, Result, key_span};
use crate::vocabulary::field::{FIELDS, Field, Group, List};
use crate::vocabulary::template::{Op, Template};

/// Where in a file something stands, and what may be named there.
#[derive(Clone, Copy)]
pub(super) struct Place<'g> {
    groups: &'g [Group],
    event_spelling: bool,
    depth: u8,
}

/// Shapes may name shapes this deep.
const SHAPE_DEPTH_MAX: u8 = 8;

/// An object's members: name, whether it may be left out, and template.
type Members<'t> = Vec<(&'t str, bool, &'t Item)>;

impl<'a> Reader<'a> {
    pub(super) fn template(&self, item: &Item, place: Place<'_>) -> Result<Template> {
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

    pub(super) fn value(&self, value: &Value, place: Place<'_>) -> Result<Vec<Op>> {
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
        let mut members = Members::new();
        self.collect_members(table, place.depth, &mut members)?;
        let (optional, always): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|(_, optional, _)| *optional);
        if always.is_empty() && !optional.is_empty() {
            return self.error(span, "an object needs a member that is always there");
        }
        let mut ops = vec![literal("{")];
        for (i, (name, _, item)) in always.into_iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            ops.push(literal(format!("{comma}{}:", json_string(name))));
            ops.extend(self.item(item, place)?);
        }
        for (name, _, item) in optional {
            ops.push(self.optional_member(name, item, place)?);
        }
        ops.push(literal("}"));
        Ok(ops)
    }

    /// Members of an object, those of the shape named by `$with` first; own ones take their place.
    fn collect_members<'t>(
        &self,
        table: &'t dyn TableLike,
        depth: u8,
        members: &mut Members<'t>,
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
        let mut own: Vec<&str> = Vec::new();
        for (key, item) in table.iter().filter(|(key, _)| *key != "$with") {
            let (name, optional) = self.member_name(table, key)?;
            if own.contains(&name) {
                return self.error(key_span(table, key), format!("{name} is there twice"));
            }
            own.push(name);
            match members.iter_mut().find(|(known, _, _)| *known == name) {
                Some(known) => *known = (name, optional, item),
                None => members.push((name, optional, item)),
            }
        }
        Ok(())
    }

    /// `name?` may be left out; `$$name` is a member called `$name`.
    fn member_name<'t>(&self, table: &dyn TableLike, key: &'t str) -> Result<(&'t str, bool)> {
        let (name, optional) = key.strip_suffix('?').map_or((key, false), |name| (name, true));
        if name.is_empty() {
            return self.error(key_span(table, key), "a member needs a name");
        }
        match name.strip_prefix('$') {
            None => Ok((name, optional)),
            Some(rest) if rest.starts_with('$') => Ok((rest, optional)),
            Some(_) => self.error(
                key_span(table, key),
                format!(
                    "unknown instruction {key}; known: $each with $as, $map, $with; \
                     a member of that name is written ${key}"
                ),
            ),
        }
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
    pub(super) fn of(groups: &'g [Group]) -> Self {
        Self { groups, event_spelling: false, depth: 0 }
    }
}

fn literal(text: impl Into<String>) -> Op {
    Op::Literal(text.into().into_bytes().into())
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
