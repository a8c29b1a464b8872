//! Words that name nothing.

use super::Violation;
use super::source::{Source, words};

const EMPTY_WORDS: [&str; 13] = [
    "manager",
    "managers",
    "helper",
    "helpers",
    "util",
    "utils",
    "utility",
    "utilities",
    "common",
    "shared",
    "impl",
    "dto",
    "dtos",
];
const FIX: &str = "say what it does or holds";
const RULE: &str = "empty name";

/// File and folder names of Rust, TypeScript and JavaScript sources.
pub(super) fn check_paths(files: &[String]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for path in files {
        let is_source = [".rs", ".ts", ".tsx", ".js", ".mjs"].iter().any(|end| path.ends_with(end));
        let mut parts = path.split(['/', '_', '-', '.']);
        if let Some(word) = parts.find(|word| is_source && has_empty_word(word)) {
            let problem = format!("a file or folder is called `{word}`");
            violations.push(Violation {
                path: path.clone(),
                line: 1,
                rule: RULE,
                problem,
                fix: FIX,
            });
        }
    }
    violations
}

/// Types, traits and modules that the code declares.
pub(super) fn check_types(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for line in source.lines() {
        let mut previous = "";
        for word in words(line.code) {
            let declares = ["struct", "enum", "trait", "type", "union", "mod"].contains(&previous);
            if declares && has_empty_word(word) {
                violations.push(Violation {
                    path: source.path.clone(),
                    line: line.number,
                    rule: RULE,
                    problem: format!("`{word}` is declared"),
                    fix: FIX,
                });
            }
            previous = word;
        }
    }
    violations
}

/// Whether a part of a `CamelCase` or `snake_case` name is on the list.
fn has_empty_word(name: &str) -> bool {
    let mut part = String::new();
    let mut parts = Vec::new();
    for character in name.chars() {
        if character == '_' || character.is_uppercase() {
            parts.push(std::mem::take(&mut part));
        }
        if character != '_' {
            part.extend(character.to_lowercase());
        }
    }
    parts.push(part);
    // DTO in capitals falls apart into letters above.
    let whole = name.to_lowercase();
    parts.iter().any(|part| EMPTY_WORDS.contains(&part.as_str()))
        || EMPTY_WORDS.contains(&whole.as_str())
        || name.ends_with("DTO")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_empty_words_in_names() {
        for name in [
            "RoomManager",
            "ManagerOfRooms",
            "StoreImpl",
            "MessageDto",
            "MessageDTO",
            "time_utils",
            "SharedState",
        ] {
            assert!(has_empty_word(name), "{name}");
        }
        for name in ["Room", "Implied", "Communal", "Utilisation", "Managed", "Uncommon"] {
            assert!(!has_empty_word(name), "{name}");
        }
    }

    #[test]
    fn finds_them_in_paths_of_sources() {
        let files = [
            "crates/a/src/helpers.rs",
            "crates/a/tests/common/clock.rs",
            "web/src/date-utils.ts",
            "docs/common.md",
            "web/src/useManager.ts",
            "crates/a/src/room.rs",
        ];
        let files: Vec<String> = files.map(str::to_owned).to_vec();
        let found: Vec<String> = check_paths(&files).into_iter().map(|v| v.path).collect();
        assert_eq!(found, [&files[0], &files[1], &files[2], &files[4]].map(String::as_str));
    }

    #[test]
    fn finds_them_in_declarations() {
        let text = "pub struct RoomManager;\nimpl Room {}\nuse a::SharedThing;\npub(crate) trait ClockHelper {}\n";
        let found = check_types(&Source::new("crates/a/src/lib.rs", text));
        assert_eq!(found.iter().map(|v| v.line).collect::<Vec<_>>(), [1, 4]);
    }
}
