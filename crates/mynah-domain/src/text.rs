//! Rules for texts that people type.

/// A text that breaks a rule; `field` is the canonical name of what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Nothing but white space where something is needed.
    #[error("{field} must not be empty")]
    Empty {
        /// Which input.
        field: &'static str,
    },
    /// More bytes than allowed.
    #[error("{field} must be shorter than or equal to {max} characters")]
    TooLong {
        /// Which input.
        field: &'static str,
        /// Length found, in characters.
        length: usize,
        /// Most characters allowed.
        max: usize,
    },
    /// Fewer characters than needed.
    #[error("{field} must be longer than or equal to {min} characters")]
    TooShort {
        /// Which input.
        field: &'static str,
        /// Fewest characters allowed.
        min: usize,
    },
    /// Wrong form (an address without `@`, a name with spaces …).
    #[error("{field} {problem}")]
    Malformed {
        /// Which input.
        field: &'static str,
        /// What is wrong, as the end of a sentence that starts with the field's name.
        problem: &'static str,
    },
}

impl InvalidText {
    /// The canonical name of the input that broke the rule.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Empty { field }
            | Self::TooLong { field, .. }
            | Self::TooShort { field, .. }
            | Self::Malformed { field, .. } => field,
        }
    }
}

/// Checks a text that must hold something and at most `max` characters.
///
/// # Errors
/// [`InvalidText`] naming `field`.
pub fn required(field: &'static str, text: &str, max: usize) -> Result<(), InvalidText> {
    if text.trim().is_empty() {
        return Err(InvalidText::Empty { field });
    }
    at_most(field, text, max)
}

/// Checks a text that may be empty but has at most `max` characters.
///
/// # Errors
/// [`InvalidText::TooLong`].
pub fn at_most(field: &'static str, text: &str, max: usize) -> Result<(), InvalidText> {
    // Bytes bound characters from above, so the common case counts nothing.
    if text.len() <= max {
        return Ok(());
    }
    let length = text.chars().count();
    if length > max { Err(InvalidText::TooLong { field, length, max }) } else { Ok(()) }
}
