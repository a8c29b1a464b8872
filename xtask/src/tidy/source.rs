//! Rust text made fit for plain searching: comments and literals blanked, test code marked.

/// One Rust file.
pub(super) struct Source {
    pub(super) path: String,
    /// The text with comments and the content of literals replaced by spaces, line for line.
    pub(super) code: String,
    /// The whole file is test code.
    pub(super) is_test: bool,
    /// For each line, whether it belongs to an item under `#[cfg(test)]`.
    test_lines: Vec<bool>,
    /// Modules declared as `#[cfg(test)] mod name;`.
    test_modules: Vec<String>,
}

/// A line of code with its number, counted from 1.
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) code: &'a str,
    pub(super) is_test: bool,
}

impl Source {
    /// Reads the text of `path`, which is relative to the root.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let mut test_lines = vec![false; code.lines().count()];
        let mut test_modules = Vec::new();
        for item in test_items(&code) {
            let (start, end) = (line_of(&code, item.start), line_of(&code, item.end));
            for line in test_lines.iter_mut().take(end).skip(start - 1) {
                *line = true;
            }
            test_modules.extend(item.module);
        }
        let is_test = is_test_path(path);
        Self { path: path.to_owned(), code, is_test, test_lines, test_modules }
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let marked = self.code.lines().zip(&self.test_lines).enumerate();
        marked.map(|(index, (code, in_test_item))| Line {
            number: index + 1,
            code,
            is_test: self.is_test || *in_test_item,
        })
    }

    /// `mynah-hub` for `crates/mynah-hub/src/lib.rs`; `xtask` for `xtask/src/main.rs`.
    pub(super) fn package(&self) -> &str {
        let mut folders = self.path.split('/');
        match folders.next() {
            Some("crates") => folders.next().unwrap_or_default(),
            other => other.unwrap_or_default(),
        }
    }
}

/// `tests/`, `src/tests.rs`, `src/door/tests/…`.
fn is_test_path(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Marks the files that another file declares as test modules.
pub(super) fn mark_test_files(sources: &mut [Source]) {
    let mut stems = Vec::new();
    for source in sources.iter() {
        let folder = module_folder(&source.path);
        stems.extend(source.test_modules.iter().map(|name| format!("{folder}/{name}")));
    }
    for source in sources {
        source.is_test |= stems.iter().any(|stem| {
            source
                .path
                .strip_prefix(stem.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
    }
}

/// Where the modules of a file are: `src` for `src/lib.rs`, `src/a` for `src/a.rs`.
fn module_folder(path: &str) -> &str {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let root = ["/lib", "/main"].iter().find_map(|name| stem.strip_suffix(name));
    root.unwrap_or(stem)
}

/// The number of the line that holds byte `offset`, counted from 1.
pub(super) fn line_of(code: &str, offset: usize) -> usize {
    code.get(..offset).unwrap_or(code).matches('\n').count() + 1
}

/// Names and keywords of a piece of code, in order.
pub(super) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !is_word(c)).filter(|word| !word.is_empty())
}

pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The offsets at which `pattern` stands and does not continue a name to its left.
pub(super) fn occurrences<'a>(code: &'a str, pattern: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(pattern).map(|(offset, _)| offset).filter(move |offset| {
        !code.get(..*offset).and_then(|left| left.chars().next_back()).is_some_and(is_word)
    })
}

/// The text between the first `{` after `offset` and its partner, with the offset of its start.
pub(super) fn block(code: &str, offset: usize) -> Option<(usize, &str)> {
    let tail = code.get(offset..)?;
    let open = offset + tail.find('{')? + 1;
    let body = code.get(open..)?;
    let mut depth = 1_u32;
    for (position, character) in body.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((open, body.get(..position)?));
        }
    }
    None
}

struct TestItem {
    start: usize,
    end: usize,
    module: Option<String>,
}

/// The items that only exist in test builds.
fn test_items(code: &str) -> Vec<TestItem> {
    let mut items: Vec<TestItem> = Vec::new();
    for (start, _) in code.match_indices("#[cfg(") {
        let attribute = code.get(start..).and_then(|rest| rest.split(']').next()).unwrap_or("");
        let only_tests = attribute.starts_with("#[cfg(test)") || attribute.contains("all(test,");
        if only_tests && items.last().is_none_or(|last| last.end < start) {
            items.push(item_at(code, start, start + attribute.len() + 1));
        }
    }
    items
}

/// The item whose first attribute is at `start` and whose remaining text begins at `body`.
fn item_at(code: &str, start: usize, body: usize) -> TestItem {
    let mut depth = 0_i32;
    for (position, character) in code.get(body..).unwrap_or("").char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => {
                let end = block(code, body + position)
                    .map_or(code.len(), |(open, inner)| open + inner.len());
                return TestItem { start, end, module: None };
            }
            ';' if depth == 0 => {
                let item = code.get(body..body + position).unwrap_or("");
                let mut names = words(item).skip_while(|word| *word != "mod").skip(1);
                let module = names.next().map(str::to_owned);
                return TestItem { start, end: body + position, module };
            }
            _ => {}
        }
    }
    TestItem { start, end: code.len(), module: None }
}

/// Replaces comments and the content of literals by spaces, keeping every line where it is.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let continues_name = code.chars().next_back().is_some_and(is_word);
        let length = literal_length(rest, continues_name);
        let (taken, left) = rest.split_at(length.unwrap_or(first.len_utf8()));
        if length.is_some() {
            code.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            code.push_str(taken);
        }
        rest = left;
    }
    code
}

/// The length of the comment or literal that `rest` begins with.
fn literal_length(rest: &str, continues_name: bool) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment_length(rest));
    }
    if rest.starts_with('"') {
        return Some(quoted_length(rest, '"'));
    }
    if let Some(inner) = rest.strip_prefix('\'') {
        let mut characters = inner.chars();
        let first = characters.next()?;
        let is_literal = first == '\\' || characters.next() == Some('\'');
        return is_literal.then(|| quoted_length(rest, '\''));
    }
    if continues_name { None } else { raw_string_length(rest) }
}

/// `"…"` or `'…'` with escapes.
fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (position, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return position + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, `br"…"`.
fn raw_string_length(rest: &str) -> Option<usize> {
    let after_r = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let inner = after_r.trim_start_matches('#');
    let hashes = after_r.len() - inner.len();
    let content = inner.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = content.find(&end).map_or(content.len(), |at| at + end.len());
    Some(rest.len() - content.len() + length)
}

/// `/* … /* … */ … */`.
fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0_u32;
    let mut position = 0;
    while let Some(tail) = rest.get(position..) {
        if tail.starts_with("/*") {
            depth += 1;
            position += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return position;
            }
        } else if let Some(character) = tail.chars().next() {
            position += character.len_utf8();
        } else {
            break;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squeezed(text: &str) -> String {
        blank(text).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn blanks_comments_and_literals_only() {
        assert_eq!(squeezed("a /* x /* y */ z */ b // c\nd"), "a b d");
        assert_eq!(squeezed(r#"f("env::var \" x", 'y', '\'', '"')"#), "f( , , , )");
        assert_eq!(squeezed("let x = r#\"a\"b\"#; let y = br\"\\\"; z"), "let x = ; let y = ; z");
        assert_eq!(squeezed("fn f<'a>(x: &'a str) {} // 'q"), "fn f<'a>(x: &'a str) {}");
        assert_eq!(squeezed("for\"s\" r\"t\""), "for");
    }

    #[test]
    fn blanking_keeps_line_numbers() {
        let code = blank("/* 1\n2\n*/ a\n\"x\ny\" b // ä\nc");
        assert_eq!(code.lines().map(str::trim).collect::<Vec<_>>(), ["", "", "a", "", "b", "c"]);
    }

    fn marked(text: &str) -> Vec<usize> {
        let source = Source::new("crates/a/src/lib.rs", text);
        source.lines().filter(|line| line.is_test).map(|line| line.number).collect()
    }

    #[test]
    fn marks_test_items() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { {} }\n}\nfn c() {}\n";
        assert_eq!(marked(text), [2, 3, 4, 5]);
        let text = "#[cfg(test)]\n#[rustfmt::skip]\nfn a(x: [u8; 2]) {\n}\nfn b() {}\n";
        assert_eq!(marked(text), [1, 2, 3, 4]);
        assert_eq!(marked("#[cfg(feature = \"test\")]\nfn a() {}\n"), [0; 0]);
    }

    #[test]
    fn marks_files_declared_as_test_modules() {
        let mut sources = [
            Source::new("crates/a/src/lib.rs", "#[cfg(test)]\nmod pair;\nmod room;\n"),
            Source::new("crates/a/src/pair.rs", ""),
            Source::new("crates/a/src/pair/clock.rs", ""),
            Source::new("crates/a/src/pairing.rs", ""),
            Source::new("crates/a/src/room.rs", "#[cfg(test)]\nmod checks;\n"),
            Source::new("crates/a/src/room/checks.rs", ""),
            Source::new("crates/a/tests/send.rs", ""),
        ];
        mark_test_files(&mut sources);
        let tests = sources.iter().filter(|source| source.is_test).map(|s| s.path.as_str());
        let expected = [
            "crates/a/src/pair.rs",
            "crates/a/src/pair/clock.rs",
            "crates/a/src/room/checks.rs",
            "crates/a/tests/send.rs",
        ];
        assert_eq!(tests.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn finds_the_block_of_an_item() {
        assert_eq!(block("trait A { fn b() { } } c", 0), Some((9, " fn b() { } ")));
        assert_eq!(block("trait A;", 0), None);
    }
}
