//! Payload templates: JSON with field references, compiled once, rendered by copying bytes.
//!
//! In a vocabulary file a template is a TOML value:
//! * a string `$field` is replaced by that field's value (`null` when it has none),
//! * a string `@shape` by the named shape of the same file,
//! * a key that ends in `?` is left out when its value is a field without value,
//! * `{ "$each" = "list", "$as" = <template> }` renders a template for each entry of a list,
//! * `{ "$with" = "@shape", … }` starts with the members of a shape; own ones of a name replace them,
//! * `{ "$map" = "field", word = "WORD", … }` translates a word,
//! * everything else is literal. `$$` and `@@` start a literal `$` or `@`, `$$` also in a key.

use super::field::{Field, List, Scope};

/// One step of rendering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Copy these bytes.
    Literal(Box<[u8]>),
    /// Write a field's value, or `null`.
    Value(Field),
    /// Write `,"key":value` when the field has a value.
    Member {
        /// `,"key":`
        key: Box<[u8]>,
        /// The field.
        field: Field,
    },
    /// Write `,"key":…` when the object behind `when` is there.
    MemberIf {
        /// `,"key":`
        key: Box<[u8]>,
        /// The field that decides.
        when: Field,
        /// What to write.
        template: Template,
    },
    /// Write an array.
    Each {
        /// Of what.
        list: List,
        /// Each entry.
        template: Template,
    },
    /// Write another word for a word.
    Map {
        /// The field.
        field: Field,
        /// From word to JSON text.
        words: Vec<(String, Box<[u8]>)>,
    },
    /// The outbound spelling of the event in scope: its first argument.
    EventArgument,
    /// The outbound spelling of the event in scope: its name.
    EventName,
}

/// A compiled template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    ops: Vec<Op>,
}

impl Template {
    /// Puts steps together, joining literals that touch.
    pub fn new(ops: impl IntoIterator<Item = Op>) -> Self {
        let mut joined: Vec<Op> = Vec::new();
        for op in ops {
            match (joined.last_mut(), op) {
                (Some(Op::Literal(before)), Op::Literal(more)) => {
                    let mut all = std::mem::take(before).into_vec();
                    all.extend_from_slice(&more);
                    *before = all.into();
                }
                (_, op) => joined.push(op),
            }
        }
        Self { ops: joined }
    }

    /// The steps.
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// All fields used, for validation.
    pub fn fields(&self, on: &mut dyn FnMut(Field)) {
        for op in &self.ops {
            match op {
                Op::Value(f) | Op::Member { field: f, .. } | Op::Map { field: f, .. } => on(*f),
                Op::MemberIf { when, template, .. } => {
                    on(*when);
                    template.fields(on);
                }
                Op::Literal(_) | Op::Each { .. } | Op::EventArgument | Op::EventName => {}
            }
        }
    }

    /// Appends the JSON text for what is in scope.
    pub fn render(&self, scope: &Scope<'_>, out: &mut Vec<u8>) {
        for op in &self.ops {
            match op {
                Op::Literal(bytes) => out.extend_from_slice(bytes),
                Op::Value(field) => {
                    if !scope.write(*field, out) {
                        out.extend_from_slice(b"null");
                    }
                }
                Op::Member { key, field } => {
                    let start = out.len();
                    out.extend_from_slice(key);
                    if !scope.write(*field, out) {
                        out.truncate(start);
                    }
                }
                Op::MemberIf { key, when, template } => {
                    let start = out.len();
                    let there = scope.write(*when, out);
                    out.truncate(start);
                    if there {
                        out.extend_from_slice(key);
                        template.render(scope, out);
                    }
                }
                Op::Each { list, template } => write_each(scope, *list, template, out),
                Op::Map { field, words } => write_mapped(scope, *field, words, out),
                Op::EventArgument => scope.write_event_argument(out),
                Op::EventName => scope.write_event_name(out),
            }
        }
    }
}

fn write_each(scope: &Scope<'_>, list: List, template: &Template, out: &mut Vec<u8>) {
    out.push(b'[');
    let mut first = true;
    scope.each(list, &mut |entry| {
        if !first {
            out.push(b',');
        }
        first = false;
        template.render(entry, out);
    });
    out.push(b']');
}

fn write_mapped(scope: &Scope<'_>, field: Field, words: &[(String, Box<[u8]>)], out: &mut Vec<u8>) {
    let start = out.len();
    if !scope.write(field, out) {
        out.extend_from_slice(b"null");
        return;
    }
    let written = out.get(start..).unwrap_or_default();
    let word = written.strip_prefix(b"\"").and_then(|w| w.strip_suffix(b"\""));
    let hit = word.and_then(|w| words.iter().find(|(from, _)| from.as_bytes() == w));
    if let Some((_, to)) = hit {
        out.truncate(start);
        out.extend_from_slice(to);
    }
}
