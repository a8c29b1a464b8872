//! What is searched for, as it was typed.

use crate::text::{InvalidText, at_most};

use super::words::{Word, words};

/// Characters of a query.
pub const QUERY_CHARS_MAX: usize = 256;
/// Words and phrases of a query.
pub const TERMS_MAX: usize = 16;

/// Words that stand next to each other, in this order; often just one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    words: Vec<String>,
    is_beginning: bool,
}

impl Term {
    /// The words, as [`indexed_words`](super::indexed_words) spells them; at least one.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether the last word may go on.
    pub fn is_beginning(&self) -> bool {
        self.is_beginning
    }

    /// Whether these words are the term.
    fn is(&self, found: &[Word]) -> bool {
        let Some((last, before)) = self.words.split_last() else { return false };
        let Some((end, start)) = found.split_last() else { return false };
        let goes_on = self.is_beginning && end.key.starts_with(last.as_str());
        (goes_on || end.key == *last) && start.iter().map(|word| &word.key).eq(before)
    }

    /// Where it stands among the words of a text.
    pub(super) fn places<'a>(&'a self, text: &'a [Word]) -> impl Iterator<Item = &'a [Word]> {
        text.windows(self.words.len().max(1)).filter(|found| self.is(found))
    }
}

/// What a text must have and must not have.
///
/// ```
/// use mynah_domain::search::Query;
/// let query = Query::parse(r#""rolling restart" -draft nod"#)?;
/// assert!(query.matches("After the Rolling-Restart all nodes are back"));
/// assert!(!query.matches("Draft: a rolling restart of the nodes"));
/// # Ok::<(), mynah_domain::text::InvalidText>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    wanted: Vec<Term>,
    unwanted: Vec<Term>,
}

impl Query {
    /// Reads a query: words, of which all must be there, `"phrases"` and `-excluded` ones. The last word, if it is
    /// neither quoted nor excluded and has two letters, may be the beginning of one.
    ///
    /// # Errors
    /// [`InvalidText`] naming `q`: nothing to search for, longer than [`QUERY_CHARS_MAX`] characters, or more than
    /// [`TERMS_MAX`] terms.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        at_most("q", text, QUERY_CHARS_MAX)?;
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (typed, after) = Typed::split(rest);
            rest = after.trim_start();
            let words: Vec<String> = words(typed.text).map(|word| word.key).collect();
            if words.is_empty() {
                continue;
            }
            let is_long = words.last().is_some_and(|last| last.chars().count() > 1);
            let is_plain = !typed.is_quoted && !typed.is_excluded;
            let is_beginning = rest.is_empty() && is_plain && is_long;
            let terms = if typed.is_excluded { &mut unwanted } else { &mut wanted };
            terms.push(Term { words, is_beginning });
        }
        let malformed = |problem| Err(InvalidText::Malformed { field: "q", problem });
        match (wanted.len(), unwanted.len()) {
            (0, 0) => Err(InvalidText::Empty { field: "q" }),
            (0, _) => malformed("must name a word that is not excluded"),
            (some, others) if some + others > TERMS_MAX => {
                malformed("must have at most 16 words and phrases")
            }
            _ => Ok(Self { wanted, unwanted }),
        }
    }

    /// What must be there; at least one term.
    pub fn wanted(&self) -> &[Term] {
        &self.wanted
    }

    /// What must not be there.
    pub fn unwanted(&self) -> &[Term] {
        &self.unwanted
    }

    /// Whether a text has all that is wanted and nothing that is not.
    pub fn matches(&self, text: &str) -> bool {
        self.fits(&words(text).collect::<Vec<_>>())
    }

    pub(super) fn fits(&self, text: &[Word]) -> bool {
        let has = |term: &Term| term.places(text).next().is_some();
        self.wanted.iter().all(has) && !self.unwanted.iter().any(has)
    }
}

/// One piece of a query.
struct Typed<'a> {
    text: &'a str,
    is_quoted: bool,
    is_excluded: bool,
}

impl<'a> Typed<'a> {
    /// The first piece of a text that does not begin with white space, and the rest.
    fn split(text: &'a str) -> (Self, &'a str) {
        let without_sign = text.strip_prefix('-');
        let is_excluded = without_sign.is_some();
        let text = without_sign.unwrap_or(text);
        let is_quote = |c| matches!(c, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}');
        let (text, after, is_quoted) = if let Some(quoted) = text.strip_prefix(is_quote) {
            let (text, after) = quoted.split_once(is_quote).unwrap_or((quoted, ""));
            (text, after, true)
        } else {
            let end = text.find(|c: char| c.is_whitespace() || is_quote(c));
            let (text, after) = text.split_at(end.unwrap_or(text.len()));
            (text, after, false)
        };
        (Self { text, is_quoted, is_excluded }, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str) -> (Vec<String>, Vec<String>) {
        let query = Query::parse(text).expect(text);
        let spell = |term: &Term| {
            format!("{}{}", term.words.join("+"), if term.is_beginning { "*" } else { "" })
        };
        (query.wanted.iter().map(spell).collect(), query.unwanted.iter().map(spell).collect())
    }

    #[test]
    fn queries_are_read_as_they_are_typed() {
        for (typed, wanted, unwanted) in [
            ("Hello", vec!["hello*"], vec![]),
            ("  hello   wor ", vec!["hello", "wor*"], vec![]),
            (r#""New York" -draft pi"#, vec!["new+york", "pi*"], vec!["draft"]),
            (r#"pi "new york""#, vec!["pi", "new+york"], vec![]),
            (r#"a -"b c" -d"#, vec!["a"], vec!["b+c", "d"]),
            ("e-mail", vec!["e+mail*"], vec![]),
            ("“a clause”", vec!["a+clause"], vec![]),
            (r#"x"y z"w"#, vec!["x", "y+z", "w"], vec![]),
            (r#"x"y z"vw"#, vec!["x", "y+z", "vw*"], vec![]),
            (r#""never closed"#, vec!["never+closed"], vec![]),
            ("ok !!! - --", vec!["ok"], vec![]),
        ] {
            assert_eq!(spelled(typed), spelled_out(&wanted, &unwanted), "{typed}");
        }
    }

    fn spelled_out(wanted: &[&str], unwanted: &[&str]) -> (Vec<String>, Vec<String>) {
        let own = |terms: &[&str]| terms.iter().map(|&term| term.to_owned()).collect();
        (own(wanted), own(unwanted))
    }

    #[test]
    fn queries_without_anything_to_find_are_refused() {
        for empty in ["", "   ", "!?", "\"\"", "-"] {
            assert_eq!(Query::parse(empty), Err(InvalidText::Empty { field: "q" }), "{empty:?}");
        }
        for bad in ["-only", &"a ".repeat(17)] {
            let refused = Query::parse(bad).unwrap_err();
            assert!(matches!(refused, InvalidText::Malformed { field: "q", .. }), "{refused:?}");
        }
        assert!(Query::parse(&"a ".repeat(16)).is_ok());
        let refused = Query::parse(&"ä".repeat(257)).unwrap_err();
        assert_eq!(refused, InvalidText::TooLong { field: "q", length: 257, max: 256 });
    }

    #[test]
    fn all_words_must_be_there_in_any_order() {
        let matches = |query: &str, text: &str| Query::parse(query).expect(query).matches(text);
        assert!(matches("wor hello", "Hello, wor!") && matches("hello wor", "World: hello"));
        assert!(!matches("wor hello", "Hello, world"), "only the last word may go on");
        assert!(!matches("hello", "hell") && !matches("h", "hell"));
        assert!(matches("\"a b\"", "b a b") && !matches("\"a b\"", "b a c b"));
        assert!(!matches("\"new yo\"", "new york"), "what is quoted is whole");
        assert!(matches("new-yo", "in New York"));
        assert!(!matches("a -b", "a b") && matches("a -b", "a bc"));
        assert!(matches("京都", "東京都へ") && !matches("\"京東\"", "東京"));
    }
}
