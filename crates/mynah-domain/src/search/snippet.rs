//! The part of a text that shows why it was found.

use std::ops::Range;

use super::query::Query;
use super::words::{Word, words};

/// Characters of a snippet, the ellipses aside.
pub const SNIPPET_CHARS_MAX: usize = 160;
/// Characters shown before the first match.
const LEAD_CHARS: usize = 40;
/// Matches that are marked at most.
pub const MATCHES_MAX: usize = 32;

/// A part of a text with what was found in it.
///
/// It is text, never markup: who shows it marks the ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// At most [`SNIPPET_CHARS_MAX`] characters; `…` where the text goes on.
    pub text: String,
    /// What was found, ascending and apart from each other, in UTF-16 units of `text`, as JavaScript counts.
    pub matches: Vec<Range<usize>>,
}

/// Why a text was found, and how well it fits: above 0, at most 1.
pub(super) fn explain(query: &Query, text: &str) -> Option<(Snippet, f64)> {
    let words: Vec<Word> = words(text).collect();
    if !query.fits(&words) {
        return None;
    }
    let mut found = Vec::new();
    let mut score = 0.0;
    for term in query.wanted() {
        let before = found.len();
        for place in term.places(&words) {
            if let (Some(first), Some(last)) = (place.first(), place.last()) {
                found.push(first.start..last.end);
            }
        }
        score += weight(found.len() - before, words.len());
    }
    Some((cut(text, joined(found)), score / query.wanted().len() as f64))
}

/// More is better, but ever less so, and counts for more in a short text: the saturation of BM25 with k = 1.2 and
/// b = 0.75, for texts of 20 words on average, as a part of what it tends to.
fn weight(times: usize, words: usize) -> f64 {
    let (times, words) = (times as f64, words as f64);
    times / (times + 1.2 * (0.25 + 0.75 * words / 20.0))
}

/// Ascending, those that touch as one.
fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// Cuts a text around its first match.
fn cut(text: &str, found: Vec<Range<usize>>) -> Snippet {
    let first = found.first().map_or(0, |range| range.start);
    let window = window(text, first);
    let part = text.get(window.clone()).unwrap_or_default();
    let lead = if window.start > 0 { "…" } else { "" };
    let tail = if window.end < text.len() { "…" } else { "" };
    let inside = |range: Range<usize>| {
        let clipped = range.start.max(window.start)..range.end.min(window.end);
        (clipped.start < clipped.end).then_some(clipped)
    };
    let mut place = Place { part, bytes: 0, units: lead.encode_utf16().count() };
    let mut matches = Vec::new();
    for range in found.into_iter().filter_map(inside).take(MATCHES_MAX) {
        let start = place.units_at(range.start - window.start);
        matches.push(start..place.units_at(range.end - window.start));
    }
    Snippet { text: format!("{lead}{part}{tail}"), matches }
}

/// Bytes of a text that are shown: from a little before `first`, at the beginning of a word if there is one.
fn window(text: &str, first: usize) -> Range<usize> {
    let (before, after) = text.split_at_checked(first).unwrap_or(("", text));
    let mut start = before.char_indices().rev().nth(LEAD_CHARS).map_or(0, |(at, _)| at);
    if start > 0 {
        let lead = before.get(start..).unwrap_or_default();
        let space = lead.char_indices().find(|(_, c)| c.is_whitespace());
        start = space.map_or(start, |(at, c)| start + at + c.len_utf8());
    }
    let shown = before.get(start..).unwrap_or_default().chars().count();
    let left = SNIPPET_CHARS_MAX.saturating_sub(shown);
    let end = after.char_indices().nth(left).map_or(text.len(), |(at, _)| first + at);
    start..end
}

/// Counts on through a text.
struct Place<'a> {
    part: &'a str,
    bytes: usize,
    units: usize,
}

impl Place<'_> {
    fn units_at(&mut self, bytes: usize) -> usize {
        let between = self.part.get(self.bytes..bytes).unwrap_or_default();
        self.units += between.encode_utf16().count();
        self.bytes = bytes;
        self.units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snippet(query: &str, text: &str) -> Snippet {
        explain(&Query::parse(query).expect(query), text).expect("it fits").0
    }

    /// What the ranges mark, counted as JavaScript does.
    fn marked(snippet: &Snippet) -> Vec<String> {
        let units: Vec<u16> = snippet.text.encode_utf16().collect();
        snippet.matches.iter().map(|r| String::from_utf16_lossy(&units[r.clone()])).collect()
    }

    #[test]
    fn a_short_text_is_shown_whole() {
        let found = snippet("\"new york\"", "😀 New York: Hello, hell <b>new</b> york");
        assert_eq!(found.text, "😀 New York: Hello, hell <b>new</b> york");
        assert_eq!(marked(&found), ["New York"]);
        assert_eq!(found.matches[0], 3..11, "an emoji counts two");
        let found = snippet("york hell", "New York: Hello, hell <b>new</b> york");
        assert_eq!(marked(&found), ["York", "Hello", "hell", "york"]);
    }

    #[test]
    fn a_long_text_is_cut_around_the_first_match() {
        let text = format!("{} needle {}", "häy ".repeat(100), "stack ".repeat(100));
        let found = snippet("needle", &text);
        assert_eq!(marked(&found), ["needle"]);
        assert!(found.text.starts_with("…häy ") && found.text.ends_with('…'), "{}", found.text);
        assert_eq!(found.text.chars().count(), SNIPPET_CHARS_MAX + 2);
        let found = snippet("häy", &text);
        assert!(found.text.starts_with("häy häy") && found.matches.len() == MATCHES_MAX);
    }

    #[test]
    fn endless_words_are_cut_as_well() {
        let text = format!("{}é x {}", "ü".repeat(5_000), "é".repeat(5_000));
        let found = snippet("x", &text);
        assert_eq!(marked(&found), ["x"]);
        assert_eq!(found.text.chars().count(), SNIPPET_CHARS_MAX + 2);
        let found = snippet(&"u".repeat(64), &text);
        assert_eq!(found.text.chars().count(), SNIPPET_CHARS_MAX + 1);
        assert_eq!(found.matches.first(), Some(&(0..SNIPPET_CHARS_MAX)));
    }

    #[test]
    fn more_matches_in_a_shorter_text_score_higher() {
        let query = Query::parse("tea").expect("a query");
        let score = |text: &str| explain(&query, text).expect("it fits").1;
        let long = format!("tea {}", "and so on ".repeat(50));
        assert!(score("tea tea") > score("tea"));
        assert!(score("tea") > score("tea and cake") && score("tea and cake") > score(&long));
        assert!(score(&long) > 0.0 && score(&"tea ".repeat(9_000)) <= 1.0);
        assert!(explain(&query, "coffee").is_none());
    }
}
