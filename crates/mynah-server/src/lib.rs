//! The doors of Mynah.
pub mod time_text;
pub mod vocabulary;
