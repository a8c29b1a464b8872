//! Strict JSON validation (RFC 8259) in one pass, without recursion, allocation or parsed values.

/// Deepest nesting the scanner can track.
pub(crate) const DEPTH_MAX: u32 = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// Not JSON; the byte offset where it shows.
    Syntax(usize),
    TooDeep,
    TooManyKeys,
}

/// A cursor over one JSON text.
///
/// Depth and the number of object keys count over all values read, so a caller that opens the
/// outermost array itself (see [`Self::enter`]) gets the limits of the whole text.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
    depth_max: u32,
    keys_left: u32,
}

impl<'a> Scanner<'a> {
    /// `depth_max` is capped at [`DEPTH_MAX`].
    pub(crate) fn new(text: &'a str, depth_max: u32, keys_max: u32) -> Self {
        let depth_max = depth_max.min(DEPTH_MAX);
        Self { bytes: text.as_bytes(), at: 0, depth: 0, depth_max, keys_left: keys_max }
    }

    /// Offset of the next unread byte.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(crate) fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// The error for the current position.
    pub(crate) fn syntax(&self) -> JsonError {
        JsonError::Syntax(self.at)
    }

    /// Steps over an opening bracket.
    pub(crate) fn enter(&mut self) -> Result<(), JsonError> {
        if self.depth >= self.depth_max {
            return Err(JsonError::TooDeep);
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Requires that only whitespace is left.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        self.skip_whitespace();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.syntax()) }
    }

    /// Reads one value; the cursor must stand on its first byte and is left behind its last.
    pub(crate) fn value(&mut self) -> Result<(), JsonError> {
        let outer_depth = self.depth;
        // One bit per open container, the innermost lowest: 1 for an object, 0 for an array.
        let mut objects: u128 = 0;
        loop {
            let is_opened = match self.peek() {
                Some(b'{') => {
                    self.enter()?;
                    objects = objects << 1 | 1;
                    self.opened_object()?
                }
                Some(b'[') => {
                    self.enter()?;
                    objects <<= 1;
                    self.skip_whitespace();
                    self.peek() != Some(b']')
                }
                Some(_) => {
                    self.scalar()?;
                    false
                }
                None => return Err(self.syntax()),
            };
            if !is_opened && !self.after_value(outer_depth, &mut objects)? {
                return Ok(());
            }
            self.skip_whitespace();
        }
    }

    /// After `{`: true with the first key read, false in front of `}`.
    fn opened_object(&mut self) -> Result<bool, JsonError> {
        self.skip_whitespace();
        if self.peek() == Some(b'}') {
            return Ok(false);
        }
        self.key()?;
        Ok(true)
    }

    /// Closes containers; true if another value must follow, false if the outermost value is
    /// complete.
    fn after_value(&mut self, outer_depth: u32, objects: &mut u128) -> Result<bool, JsonError> {
        while self.depth > outer_depth {
            self.skip_whitespace();
            let in_object = *objects & 1 == 1;
            match (self.peek(), in_object) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.skip_whitespace();
                    self.key()?;
                    return Ok(true);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    self.depth -= 1;
                    *objects >>= 1;
                }
                _ => return Err(self.syntax()),
            }
        }
        Ok(false)
    }

    fn key(&mut self) -> Result<(), JsonError> {
        self.keys_left = self.keys_left.checked_sub(1).ok_or(JsonError::TooManyKeys)?;
        if self.peek() != Some(b'"') {
            return Err(self.syntax());
        }
        self.string()?;
        self.skip_whitespace();
        if self.eat(b':') { Ok(()) } else { Err(self.syntax()) }
    }

    fn scalar(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => Err(self.syntax()),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            self.at += plain_len(rest);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.syntax()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
                        return Err(self.syntax());
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.syntax()),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.syntax()) }
    }
}

/// Length of the part of a string in front of a quote, backslash or control character.
///
/// Whole blocks are tested without an early exit or short circuit, which compilers turn into
/// vector code: six times as fast on long strings as byte by byte.
#[expect(clippy::needless_bitwise_bool, reason = "a short circuit prevents vector code")]
fn plain_len(bytes: &[u8]) -> usize {
    let is_special = |byte: &u8| (*byte == b'"') | (*byte == b'\\') | (*byte < 0x20);
    let (blocks, _) = bytes.as_chunks::<16>();
    let is_plain =
        |block: &&[u8; 16]| !block.iter().fold(false, |found, byte| found | is_special(byte));
    let start = blocks.iter().take_while(is_plain).count() * 16;
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// Appends `text` as a JSON string with its quotes.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing a string to a Vec cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(text: &str, depth_max: u32, keys_max: u32) -> Result<(), JsonError> {
        let mut scanner = Scanner::new(text, depth_max, keys_max);
        scanner.skip_whitespace();
        scanner.value()?;
        scanner.end()
    }

    fn is_valid(text: &str) -> bool {
        scan(text, 100, 1000).is_ok()
    }

    #[test]
    fn accepts_json_and_only_json() {
        for text in [
            "0",
            "-0",
            "1.5e+3",
            "1E-2",
            "\"\"",
            r#""\u00e9\n""#,
            "[]",
            "{}",
            " [ 1 , [ ] ] ",
            r#"{"a":{"b":[null,true,false]},"c":"d"}"#,
            r#""\ud800""#,
            "\"é\"",
        ] {
            assert!(is_valid(text), "{text}");
        }
        for text in [
            "",
            " ",
            "01",
            "-",
            "1.",
            "1e",
            ".5",
            "+1",
            "tru",
            "nul",
            "True",
            "\"",
            "\"\n\"",
            r#""\x""#,
            r#""\u12g4""#,
            "[",
            "]",
            "[1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "}",
            "{1:2}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1]"#,
            "[1}",
            "1 2",
            "[]]",
            "NaN",
            "'a'",
        ] {
            assert!(!is_valid(text), "{text}");
        }
    }

    #[test]
    fn depth_and_keys_are_limited() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(scan(&nested(64), 64, 0), Ok(()));
        assert_eq!(scan(&nested(65), 64, 0), Err(JsonError::TooDeep));
        assert_eq!(scan(&"[".repeat(500_000), 64, 0), Err(JsonError::TooDeep));
        assert_eq!(scan(&nested(128), 1000, 0), Ok(()));
        assert_eq!(scan(&nested(129), 1000, 0), Err(JsonError::TooDeep));
        assert_eq!(scan(r#"[{"a":1},{"b":2}]"#, 64, 2), Ok(()));
        assert_eq!(scan(r#"[{"a":1},{"b":{"c":2}}]"#, 64, 2), Err(JsonError::TooManyKeys));
    }

    #[test]
    fn mixed_containers_close_in_order_at_full_depth() {
        let open = r#"{"a":["#.repeat(64);
        let close = "]}".repeat(64);
        assert_eq!(scan(&format!("{open}{close}"), 128, 64), Ok(()));
        assert!(scan(&format!("{open}{}", "}]".repeat(64)), 128, 64).is_err());
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_long_strings(
            head in "[ -~é]{0,40}", middle in r#"["\\u0a\x00-\x20]{0,3}"#, tail in "[ !#-\\[\\]-~é]{0,40}",
        ) {
            let text = format!("\"{head}{middle}{tail}\"");
            let expected = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(is_valid(&text), expected);
            let plain = format!("\"{tail}{tail}\"");
            prop_assert!(is_valid(&plain));
        }

        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}:,"\\0-9a1eEtrufalsn\-+. ]{0,24}"#) {
            let expected = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(is_valid(&text), expected);
        }

        #[test]
        fn agrees_with_serde_json_on_damaged_documents(
            cut in 0usize..80, insert in r#"[\[\]{}:,"\\0a ]{0,2}"#,
        ) {
            let mut text = r#"{"a":[1,-2.5e3,{"b":"c\"\u0041é"},[],{}],"d":true,"e":null}"#.to_owned();
            let at = text.floor_char_boundary(cut);
            text.insert_str(at, &insert);
            prop_assert_eq!(
                is_valid(&text), serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok()
            );
            let at = text.floor_char_boundary(cut);
            text.remove(at.min(text.len() - 1));
            prop_assert_eq!(
                is_valid(&text), serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok()
            );
        }
    }
}
