//! Soketi's configuration, as it is: its environment names and its JSON file become entries of ours.
//!
//! As Soketi does: values are trimmed, those of the environment are read as JSON where they are JSON, the
//! environment wins over the file, null and empty texts mean the default, and `DEFAULT_APP_*` is the first
//! app of the list. What has no meaning here is said with the reason; unknown names are said, too.

pub mod app;
mod options;
mod values;

use std::collections::HashMap;

use figment::value::Value as Entry;
use serde_json::{Map, Value};

use self::app::{plain, read_app};
use self::options::{Known, Means, OPTIONS};
use self::values::{count, flag, is_unset, limit, number, text};
use super::load::ConfigError;
use super::pusher::AppConfig;

const PREFIX: &str = "SOKETI_";
const APPS: &str = "appManager.array.apps";
/// What a lifetime without end becomes, in seconds.
const LONGEST_S: u64 = 86_400;

/// What was read.
#[derive(Default)]
pub(super) struct Soketi {
    /// Whether anything of Soketi's is set.
    pub(super) is_used: bool,
    /// Whether the port of metrics is wanted.
    pub(super) metrics: bool,
    /// Entries with where they come from.
    pub(super) entries: Vec<(String, &'static str, Entry)>,
    /// Apps.
    pub(super) apps: Vec<AppConfig>,
    /// Sentences for the log.
    pub(super) remarks: Vec<String>,
}

/// Reads Soketi's file (its name and text) and the environment, which wins.
pub(super) fn read(
    files: &[(String, String)],
    environment: &[(String, String)],
) -> Result<Soketi, ConfigError> {
    let mut reader = Reader::default();
    for (name, text) in files {
        reader.file(name, text)?;
    }
    for (name, value) in environment {
        if let Some(rest) = name.strip_prefix(PREFIX)
            && !value.trim().is_empty()
        {
            reader.variable(name, rest, value.trim());
        }
    }
    reader.finish()
}

/// The apps of a Soketi configuration file (its name and text), as they stand there.
///
/// # Errors
/// [`ConfigError`] when the file is none, or its list of apps no list of objects.
pub fn apps_of_file(name: &str, text: &str) -> Result<Vec<Map<String, Value>>, ConfigError> {
    let mut reader = Reader::default();
    reader.file(name, text)?;
    // What is wrong with other options is no matter here.
    let wrong = reader.wrong.into_iter().find(|problem| problem.contains(APPS));
    match wrong {
        Some(problem) => Err(ConfigError::Entry(problem)),
        None => Ok(reader.apps.unwrap_or_default()),
    }
}

/// What is being read.
#[derive(Default)]
struct Reader {
    read: Soketi,
    /// The fields of each app, once any is said.
    apps: Option<Vec<Map<String, Value>>>,
    /// Where a field of an app was said.
    origins: HashMap<(usize, String), String>,
    /// Where the list of apps was said.
    list: String,
    /// Names without effect, by reason.
    idle: Vec<(&'static str, Vec<String>)>,
    unknown: Vec<String>,
    wrong: Vec<String>,
}

impl Reader {
    fn file(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let wrong = |problem: String| ConfigError::Entry(format!("{name}: {problem}"));
        let options: Value = serde_json::from_str(text).map_err(|error| {
            wrong(format!("is not the JSON of a Soketi configuration: {error}"))
        })?;
        let Value::Object(options) = options else {
            return Err(wrong("must hold an object, as a Soketi configuration does".to_owned()));
        };
        self.read.is_used = true;
        for (path, value) in options {
            self.option(name, &path, value);
        }
        Ok(())
    }

    /// An option of a file, or a section of options.
    fn option(&mut self, file: &str, path: &str, value: Value) {
        if is_unset(&value) {
            return;
        }
        let source = format!("{file}: {path}");
        let is_in = |known: &&Known| is_within(path, known.path) && known.name.is_empty();
        let found = OPTIONS.iter().find(|known| known.path == path);
        if let Some(known) = found.or_else(|| OPTIONS.iter().find(is_in)) {
            return self.take(&source, known, path, value);
        }
        match value {
            Value::Object(section) if OPTIONS.iter().any(|known| is_within(known.path, path)) => {
                for (name, value) in section {
                    self.option(file, &format!("{path}.{name}"), value);
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => self.unknown.push(source),
        }
    }

    fn variable(&mut self, name: &str, rest: &str, value: &str) {
        self.read.is_used = true;
        let known = OPTIONS.iter().find(|known| !known.name.is_empty() && known.name == rest);
        let Some(known) = known else {
            self.unknown.push(name.to_owned());
            return;
        };
        let value = match serde_json::from_str(value) {
            // A key of digits is no number.
            Ok(Value::Number(_) | Value::Bool(_) | Value::Null) if is_text(known) => value.into(),
            Ok(parsed) => parsed,
            Err(_text) => value.into(),
        };
        if !is_unset(&value) {
            self.take(name, known, known.path, value);
        }
    }

    fn take(&mut self, source: &str, known: &Known, path: &str, value: Value) {
        if let Err(problem) = self.try_take(source, known, path, value) {
            self.wrong.push(format!("{source}: {problem}"));
        }
    }

    fn try_take(
        &mut self,
        source: &str,
        known: &Known,
        path: &str,
        value: Value,
    ) -> Result<(), String> {
        let small = u64::from(u32::MAX);
        let (entry, value) = match known.means {
            Means::Text(entry) => (entry, Entry::from(text(&value)?)),
            Means::Prefix(entry) => (entry, Entry::from(prefix(&text(&value)?))),
            Means::Flag(entry) => (entry, Entry::from(flag(&value)?)),
            Means::Number(entry) => (entry, whole(number(&value)?)),
            Means::Seconds(entry) => (entry, Entry::from(count(&value, 0.001, small)?)),
            Means::Bytes(entry) => (entry, Entry::from(count(&value, 1_024.0, small)?)),
            Means::Lifetime(entry) => {
                (entry, Entry::from(limit(&value, 1.0, small)?.unwrap_or(LONGEST_S)))
            }
            Means::LogAll => {
                if !flag(&value)? {
                    return Ok(());
                }
                ("log.level", Entry::from("debug"))
            }
            Means::Metrics => {
                self.read.metrics = flag(&value)?;
                return Ok(());
            }
            Means::App => return self.app(source, path, value),
            Means::Nothing(reason) => return self.without_effect(source, reason),
            Means::NothingBeyond(harmless, reason) => {
                let given =
                    if let Value::Bool(flag) = value { Ok(flag.to_string()) } else { text(&value) };
                let is_harmless = given.is_ok_and(|given| harmless.contains(&given.as_str()));
                return if is_harmless { Ok(()) } else { self.without_effect(source, reason) };
            }
        };
        self.read.entries.push((source.to_owned(), entry, value));
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "what became of an option, like its siblings")]
    fn without_effect(&mut self, source: &str, reason: &'static str) -> Result<(), String> {
        match self.idle.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(source.to_owned()),
            None => self.idle.push((reason, vec![source.to_owned()])),
        }
        Ok(())
    }

    /// The list of apps, or `….0.key` of one.
    fn app(&mut self, source: &str, path: &str, value: Value) -> Result<(), String> {
        if path == APPS {
            let Value::Array(list) = value else { return Err("must be a list of apps".to_owned()) };
            let object = |app| match app {
                Value::Object(fields) => Ok(fields),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_) => Err("must hold objects".to_owned()),
            };
            self.apps = Some(list.into_iter().map(object).collect::<Result<_, _>>()?);
            self.origins.clear();
            source.clone_into(&mut self.list);
            return Ok(());
        }
        let place = path.strip_prefix(APPS).and_then(|rest| rest.strip_prefix('.'));
        let (index, field) =
            place.and_then(|rest| rest.split_once('.')).ok_or("is no field of an app")?;
        let index: usize = index.parse().map_err(|_word| "is no field of an app".to_owned())?;
        let apps = self.apps.get_or_insert_with(|| vec![Map::new()]);
        if index == apps.len() {
            apps.push(Map::new());
        }
        let app = apps.get_mut(index).ok_or("names an app beyond the end of the list")?;
        app.retain(|name, _| plain(name) != plain(field));
        app.insert(field.to_owned(), value);
        self.origins.insert((index, plain(field)), source.to_owned());
        Ok(())
    }

    fn finish(mut self) -> Result<Soketi, ConfigError> {
        for (index, fields) in std::mem::take(&mut self.apps).into_iter().flatten().enumerate() {
            let read = read_app(&fields);
            for problem in read.problems {
                let field = problem.split([' ', '[', ':']).next().unwrap_or_default();
                let origin = self.origins.get(&(index, plain(field)));
                let place = || format!("{}.{index}", self.list);
                self.wrong.push(format!("{}: {problem}", origin.cloned().unwrap_or_else(place)));
            }
            let id = &read.app.id;
            let remark = |said: &String| format!("Soketi's app {id:?}: {said}");
            self.read.remarks.extend(read.remarks.iter().map(remark));
            if !read.says_client_events {
                self.read.remarks.push(format!(
                    "Soketi's app {id:?} does not say whether clients may send events: here they may \
                     (SOKETI_DEFAULT_APP_ENABLE_CLIENT_MESSAGES, enableClientMessages)"
                ));
            }
            self.read.apps.push(read.app);
        }
        if !self.wrong.is_empty() {
            return Err(ConfigError::Entry(self.wrong.join("\n")));
        }
        for (reason, names) in self.idle {
            self.read.remarks.push(format!("without effect here: {} ({reason})", names.join(", ")));
        }
        if !self.unknown.is_empty() {
            let names = self.unknown.join(", ");
            self.read
                .remarks
                .push(format!("without effect: {names} (unknown to Soketi and to Mynah)"));
        }
        Ok(self.read)
    }
}

/// Whether a dotted path lies inside a section.
fn is_within(path: &str, section: &str) -> bool {
    path.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')) && !section.is_empty()
}

/// Whether an option is a text even where it looks like a number.
fn is_text(known: &Known) -> bool {
    let field = known.path.rsplit('.').next().unwrap_or_default();
    match known.means {
        Means::Text(_) | Means::Prefix(_) => true,
        Means::App => matches!(field, "id" | "key" | "secret"),
        Means::Flag(_)
        | Means::Number(_)
        | Means::Seconds(_)
        | Means::Bytes(_)
        | Means::Lifetime(_)
        | Means::LogAll
        | Means::Metrics
        | Means::Nothing(_)
        | Means::NothingBeyond(..) => false,
    }
}

/// `/ws`, `ws` and `/ws/` are `/ws`.
fn prefix(text: &str) -> String {
    match text.trim_matches('/') {
        "" => String::new(),
        inner => format!("/{inner}"),
    }
}

fn whole(number: f64) -> Entry {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        Entry::from(number as i64)
    } else {
        Entry::from(number)
    }
}

#[cfg(test)]
mod tests;
