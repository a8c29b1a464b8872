//! Arguments of an event or acknowledgement.

use std::ops::Range;

/// Arguments as raw JSON: validated text, not parsed.
///
/// One allocation for up to one argument, two for more. As in JSON itself, `"\ud800"` without
/// its partner is accepted; parsing it into a Rust string fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// From the first byte of the first argument to the last byte of the last.
    joined: Box<str>,
    /// Where each argument lies in `joined`; empty if there are fewer than two.
    spans: Box<[Range<usize>]>,
}

impl Args {
    /// Number of arguments.
    pub fn len(&self) -> usize {
        match (self.joined.is_empty(), self.spans.len()) {
            (true, _) => 0,
            (false, 0) => 1,
            (false, spans) => spans,
        }
    }

    /// True without arguments.
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty()
    }

    /// JSON text of one argument.
    pub fn get(&self, index: usize) -> Option<&str> {
        match self.spans.get(index) {
            Some(span) => self.joined.get(span.clone()),
            None if index == 0 && self.len() == 1 => Some(&self.joined),
            None => None,
        }
    }

    /// JSON text of the first argument, the only one most events have.
    pub fn first(&self) -> Option<&str> {
        self.get(0)
    }

    /// JSON texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// All arguments as written, separated by commas, e.g. `1,"2"`; empty without any. Fits the
    /// `args` of the encoders as one element.
    pub fn joined(&self) -> &str {
        &self.joined
    }
}

/// Collects where the arguments lie in a packet.
#[derive(Debug, Default)]
pub(super) struct Spans {
    first: Option<Range<usize>>,
    all: Vec<Range<usize>>,
    end: usize,
}

impl Spans {
    pub(super) fn push(&mut self, span: Range<usize>) {
        self.end = span.end;
        let Some(first) = &self.first else {
            self.first = Some(span);
            return;
        };
        if self.all.is_empty() {
            self.all.push(first.clone());
        }
        self.all.push(span);
    }

    /// Cuts the arguments out of `text`, to which the spans refer.
    pub(super) fn cut(mut self, text: &str) -> Args {
        let Some(first) = self.first else { return Args::default() };
        for span in &mut self.all {
            *span = span.start - first.start..span.end - first.start;
        }
        let joined = text.get(first.start..self.end).unwrap_or_default().into();
        Args { joined, spans: self.all.into_boxed_slice() }
    }
}
