//! What is wrong with an entry, in words for the person who wrote it.

use figment::Error;
use figment::error::{Actual, Kind};

/// One line for each wrong entry: where it stands, its name, what was given and what would be right.
pub(super) fn explain(error: Error) -> String {
    let lines: Vec<String> = error.into_iter().map(|error| one(&error)).collect();
    lines.join("\n")
}

fn one(error: &Error) -> String {
    let source = match &error.metadata {
        Some(metadata) => format!("{}: ", metadata.name),
        None => String::new(),
    };
    let entry = error.path.join(".");
    let is_secret =
        matches!(&*entry, "auth.jwt_secret" | "auth.encryption_key" | "admin_ui.password_hash")
            || entry.starts_with("pusher.apps");
    let problem = match &error.kind {
        Kind::UnknownField(name, known) => return unknown(&source, error, name, known),
        Kind::InvalidType(given, wanted) | Kind::InvalidValue(given, wanted) => {
            let given = if is_secret { "something else".to_owned() } else { shown(given) };
            format!("must be {}, not {given}", kind_of(wanted))
        }
        Kind::UnknownVariant(given, known) => {
            format!("must be one of {}, not {given:?}", known.join(", "))
        }
        Kind::Message(text) => text.trim_end().to_owned(),
        Kind::ISizeOutOfRange(number) => format!("cannot be {number}"),
        Kind::USizeOutOfRange(number) => format!("cannot be {number}"),
        Kind::InvalidLength(..)
        | Kind::MissingField(_)
        | Kind::DuplicateField(_)
        | Kind::Unsupported(_)
        | Kind::UnsupportedKey(..) => error.kind.to_string(),
    };
    if entry.is_empty() {
        format!("{source}{problem}")
    } else {
        format!("{source}{entry} {problem}")
    }
}

fn unknown(source: &str, error: &Error, name: &str, known: &[&str]) -> String {
    let mut path = error.path.clone();
    if path.last().is_none_or(|last| last != name) {
        path.push(name.to_owned());
    }
    let known = known.join(", ");
    format!("{source}{} is not an entry; known here: {known}", path.join("."))
}

fn shown(given: &Actual) -> String {
    match given {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => value.to_string(),
        Actual::Signed(value) => value.to_string(),
        Actual::Float(value) => value.to_string(),
        Actual::Char(value) => format!("{value:?}"),
        Actual::Str(value) => format!("{value:?}"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a section".to_owned(),
        Actual::Bytes(_)
        | Actual::Unit
        | Actual::Option
        | Actual::NewtypeStruct
        | Actual::Enum
        | Actual::UnitVariant
        | Actual::NewtypeVariant
        | Actual::TupleVariant
        | Actual::StructVariant
        | Actual::Other(_) => given.to_string(),
    }
}

/// The words of serde for a type, for people.
fn kind_of(wanted: &str) -> &str {
    match wanted {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0",
        "bool" | "a boolean" => "true or false",
        "string" | "a string" | "path string" => "a text",
        "a sequence" | "sequence" => "a list",
        _ if wanted.starts_with("struct ") => "a section",
        _ => wanted,
    }
}
