//! Reading JSON bodies field by field, so that every broken rule is reported at once.
//!
//! Unknown fields are ignored; nothing but what a form asks for has an effect.

use std::collections::BTreeMap;

use mynah_domain::UserId;
use mynah_domain::id::InvalidId;
use mynah_domain::text::InvalidText;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::error::{ApiError, InputError};

/// Deepest nesting of client JSON that is kept verbatim.
const DEPTH_MAX: usize = 64;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Violation {
    /// Where, dotted: `memberIds.2`.
    pub(crate) path: String,
    /// `required`, `invalid_type`, `too_small`, `too_big` or `invalid_value`.
    pub(crate) code: &'static str,
    /// A sentence that starts with the path.
    pub(crate) message: String,
}

impl Violation {
    /// From a text rule of the domain.
    pub(crate) fn of(text: &InvalidText) -> Self {
        let code = match text {
            InvalidText::Empty { .. } | InvalidText::TooShort { .. } => "too_small",
            InvalidText::TooLong { .. } => "too_big",
            InvalidText::Malformed { .. } => "invalid_value",
        };
        Self { path: text.field().to_owned(), code, message: text.to_string() }
    }
}

/// A body that can be read.
pub(crate) trait Form: Sized {
    /// Most bytes of the body.
    const BYTES_MAX: usize = 64 * 1024;
    /// Whether no body at all is as good as `{}`.
    const MAY_BE_ABSENT: bool = false;

    /// Takes the fields; what is returned counts only when no rule was broken.
    fn read(fields: &mut Fields<'_>) -> Self;
}

/// The fields of one JSON object.
pub(crate) struct Fields<'a> {
    members: BTreeMap<String, &'a RawValue>,
    violations: Vec<Violation>,
    #[cfg(test)]
    pub(crate) asked: std::collections::BTreeSet<&'static str>,
}

/// Reads a body as a form.
///
/// # Errors
/// [`InputError::MalformedJson`] with line and column, [`InputError::Violations`].
pub(crate) fn read_form<F: Form>(body: &[u8]) -> Result<F, ApiError> {
    let body = if body.is_empty() && F::MAY_BE_ABSENT { b"{}" } else { body };
    let mut fields = Fields::parse(body)?;
    let form = F::read(&mut fields);
    fields.done()?;
    Ok(form)
}

impl<'a> Fields<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, InputError> {
        let malformed = |error: serde_json::Error| {
            if error.is_data() {
                InputError::MalformedJson("the body must be a JSON object".to_owned())
            } else {
                InputError::MalformedJson(format!("the body is not valid JSON: {error}"))
            }
        };
        let members = serde_json::from_slice(body).map_err(malformed)?;
        Ok(Self {
            members,
            violations: Vec::new(),
            #[cfg(test)]
            asked: std::collections::BTreeSet::new(),
        })
    }

    pub(crate) fn done(self) -> Result<(), InputError> {
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(InputError::Violations(self.violations))
        }
    }

    /// Reports a broken rule; `problem` ends a sentence that starts with the path.
    pub(crate) fn refuse(&mut self, path: impl Into<String>, code: &'static str, problem: &str) {
        let path = path.into();
        let message = format!("{path} {problem}");
        self.violations.push(Violation { path, code, message });
    }

    /// Reports what a rule of the domain says; at most one report per field.
    pub(crate) fn rule(&mut self, checked: Result<(), InvalidText>) {
        if let Err(text) = checked
            && !self.violations.iter().any(|v| v.path == text.field())
        {
            self.violations.push(Violation::of(&text));
        }
    }

    fn take<T: Deserialize<'a>>(&mut self, name: &'static str, must: &str) -> Option<T> {
        #[cfg(test)]
        self.asked.insert(name);
        let raw = self.members.get(name).copied().filter(|raw| raw.get() != "null")?;
        let value = serde_json::from_str(raw.get()).ok();
        if value.is_none() {
            self.refuse(name, "invalid_type", must);
        }
        value
    }

    /// Whether the field is there and not `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|raw| raw.get() != "null")
    }

    /// An optional text.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.take(name, "must be a string")
    }

    /// A text that must be there.
    pub(crate) fn needed_text(&mut self, name: &'static str) -> String {
        if !self.has(name) {
            self.refuse(name, "required", "must be a string");
        }
        self.text(name).unwrap_or_default()
    }

    /// An optional whole number.
    pub(crate) fn number(&mut self, name: &'static str) -> Option<u64> {
        self.take(name, "must be an integer number")
    }

    /// A truth value that must be there.
    pub(crate) fn needed_flag(&mut self, name: &'static str) -> bool {
        if !self.has(name) {
            self.refuse(name, "required", "must be a boolean value");
        }
        self.take(name, "must be a boolean value").unwrap_or_default()
    }

    /// One of a fixed set of words, in any case.
    pub(crate) fn word<T>(
        &mut self,
        name: &'static str,
        read: fn(&str) -> Option<T>,
        words: &str,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = read(&text.to_ascii_lowercase());
        if value.is_none() {
            let problem = format!("must be one of the following values: {words}");
            self.refuse(name, "invalid_value", &problem);
        }
        value
    }

    /// An optional id.
    pub(crate) fn id<T>(
        &mut self,
        name: &'static str,
        read: fn(&str) -> Result<T, InvalidId>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let id = read(&text).ok();
        if id.is_none() {
            self.refuse(name, "invalid_value", "must be an id");
        }
        id
    }

    /// A user's id that must be there.
    pub(crate) fn needed_user(&mut self, name: &'static str) -> UserId {
        if !self.has(name) {
            self.refuse(name, "required", "must be an id");
        }
        self.id(name, UserId::parse).unwrap_or_else(|| UserId::trusted(""))
    }

    /// A list of users' ids; absent is empty.
    pub(crate) fn users(&mut self, name: &'static str, max: usize) -> Vec<UserId> {
        let texts: Vec<&RawValue> = self.take(name, "must be an array").unwrap_or_default();
        if texts.len() > max {
            let problem = format!("must contain no more than {max} elements");
            self.refuse(name, "too_big", &problem);
            return Vec::new();
        }
        let mut users = Vec::with_capacity(texts.len());
        for (place, raw) in texts.into_iter().enumerate() {
            let text = serde_json::from_str::<String>(raw.get()).ok();
            match text.and_then(|text| UserId::parse(&text).ok()) {
                Some(user) => users.push(user),
                None => self.refuse(format!("{name}.{place}"), "invalid_value", "must be an id"),
            }
        }
        users
    }

    /// Any JSON, kept exactly as it came.
    pub(crate) fn verbatim(&mut self, name: &'static str) -> Option<String> {
        let raw: &RawValue = self.take(name, "must be JSON")?;
        if depth(raw.get()) > DEPTH_MAX {
            let problem = format!("must not be nested deeper than {DEPTH_MAX} levels");
            self.refuse(name, "too_big", &problem);
        }
        Some(raw.get().to_owned())
    }
}

/// Nesting of valid JSON text.
fn depth(json: &str) -> usize {
    let (mut deepest, mut now, mut in_text, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' if !in_text => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_texts() {
        for (json, levels) in
            [("1", 0), ("[]", 1), (r#"{"a":[{"b":"]]"}]}"#, 3), (r#"["\"[[[["]"#, 1)]
        {
            assert_eq!(depth(json), levels, "{json}");
        }
    }

    #[test]
    fn malformed_bodies_name_the_position() {
        for (body, part) in [
            (r#"{"a":}"#, "line 1 column 6"),
            ("", "line 1 column 0"),
            ("[1]", "must be a JSON object"),
            ("{\"a\":1}\n x", "line 2 column 2"),
        ] {
            let Err(InputError::MalformedJson(text)) = Fields::parse(body.as_bytes()).map(|_| ())
            else {
                panic!("{body} was taken");
            };
            assert!(text.contains(part), "{text}");
        }
    }
}
