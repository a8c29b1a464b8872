//! Two modules of one crate that use each other are one module.

use std::collections::BTreeMap;

use super::Violation;
use super::source::{Source, occurrences, words};

/// Modules that may be used both ways, with the reason.
const BOTH_WAYS: [(&str, &str); 1] = [
    // Use cases call ports, and ports speak of the nouns beside the use cases.
    ("crates/mynah-domain", "ports"),
];

/// Uses of one top-level module by another: (crate folder, user, used) to the first place.
type Uses = BTreeMap<(String, String, String), (String, usize)>;

pub(super) fn check(sources: &[Source]) -> Vec<Violation> {
    let uses = collect(sources);
    let mut violations = Vec::new();
    for ((folder, user, used), (path, line)) in &uses {
        let is_meant = |(f, m): &(&str, &str)| f == folder && (m == user || m == used);
        if BOTH_WAYS.iter().any(is_meant) {
            continue;
        }
        let back = (folder.clone(), used.clone(), user.clone());
        let Some((other_path, other_line)) = uses.get(&back).filter(|_| user < used) else {
            continue;
        };
        violations.push(Violation {
            path: path.clone(),
            line: *line,
            rule: "module cycle",
            problem: format!(
                "`{user}` uses `{used}`, which uses `{user}` ({other_path}:{other_line})"
            ),
            fix: "move what both need into a third module, or pass it in",
        });
    }
    violations
}

fn collect(sources: &[Source]) -> Uses {
    let mut uses = Uses::new();
    for source in sources {
        let Some((folder, module)) = top_module(&source.path).filter(|_| !source.is_test) else {
            continue;
        };
        let is_top = source.path.ends_with(&format!("src/{module}.rs"));
        for line in source.lines().filter(|line| !line.is_test) {
            let mut paths = targets(line.code, "crate::");
            if is_top {
                paths.extend(targets(line.code, "super::"));
            }
            for used in paths {
                let known = sources.iter().any(|other| {
                    top_module(&other.path).is_some_and(|(f, m)| f == folder && m == used)
                });
                if known && used != module {
                    let key = (folder.to_owned(), module.to_owned(), used.to_owned());
                    uses.entry(key).or_insert_with(|| (source.path.clone(), line.number));
                }
            }
        }
    }
    uses
}

/// The crate's folder and the top-level module that a file belongs to; none for the crate's root.
fn top_module(path: &str) -> Option<(&str, &str)> {
    let (folder, inside) = path.split_once("/src/")?;
    let module = inside.split('/').next()?;
    let module = module.strip_suffix(".rs").unwrap_or(module);
    (!["lib", "main", "bin"].contains(&module)).then_some((folder, module))
}

/// The first names after each `prefix`, also those of `prefix{a, b::c}`.
fn targets<'a>(line: &'a str, prefix: &'a str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for offset in occurrences(line, prefix) {
        let rest = line.get(offset + prefix.len()..).unwrap_or("");
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group.split(',').filter_map(|part| words(part).next())),
            None => names.extend(words(rest).next()),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycles(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(path, text)).collect();
        check(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn finds_modules_that_use_each_other() {
        let found = cycles(&[
            ("crates/a/src/queue.rs", "use crate::{topic::Topic, frame};\n"),
            ("crates/a/src/topic/index.rs", "\nuse crate::queue::Queue;\n"),
            ("crates/a/src/frame.rs", ""),
        ]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/a/src/queue.rs:1:"), "{found:?}");
        assert!(found[0].contains("crates/a/src/topic/index.rs:2"), "{found:?}");
    }

    #[test]
    fn ports_may_speak_of_nouns() {
        let found = cycles(&[
            ("crates/mynah-domain/src/ports.rs", "use crate::chat::ChatError;\n"),
            ("crates/mynah-domain/src/chat.rs", "use crate::ports::RoomStore;\n"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn one_way_tests_and_other_crates_are_no_cycle() {
        let found = cycles(&[
            ("crates/a/src/queue.rs", "use super::topic::Topic;\n"),
            ("crates/a/src/topic.rs", "#[cfg(test)]\nmod tests {\n use crate::queue;\n}\n"),
            ("crates/b/src/topic.rs", "use crate::queue::Queue;\n"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }
}
