//! Sizes: files, ports, state handed to doors.

use super::Violation;
use super::source::{Source, block, line_of, occurrences, words};

const FILE_LINES_MAX: usize = 600;
const PORT_METHODS_MAX: usize = 10;
const STATE_FIELDS_MAX: usize = 10;
const OPTION_FIELDS_MAX: usize = 8;

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut violations: Vec<Violation> = file_size(source).into_iter().collect();
    let in_ports = source.path.contains("/ports/") || source.path.ends_with("/ports.rs");
    if in_ports && !source.is_test {
        violations.extend(ports(source));
        violations.extend(wide_structs(source, "Options", OPTION_FIELDS_MAX));
    }
    if source.package() == "mynah-server" {
        violations.extend(wide_structs(source, "State", STATE_FIELDS_MAX));
    }
    violations
}

fn file_size(source: &Source) -> Option<Violation> {
    let lines = source.lines().filter(|line| !line.is_test).count();
    (lines > FILE_LINES_MAX).then(|| too_long(&source.path, lines))
}

/// TypeScript and JavaScript files, which are not otherwise read here.
pub(super) fn check_script(path: &str, text: &str) -> Option<Violation> {
    let is_made = text.lines().take(3).any(|line| line.to_lowercase().contains("generated"));
    let is_test = path.contains(".test.");
    let lines = text.lines().count();
    (!is_made && !is_test && lines > FILE_LINES_MAX).then(|| too_long(path, lines))
}

fn too_long(path: &str, lines: usize) -> Violation {
    Violation {
        path: path.to_owned(),
        line: FILE_LINES_MAX,
        rule: "file size",
        problem: format!("{lines} lines outside tests, at most {FILE_LINES_MAX}"),
        fix: "split it by what changes together",
    }
}

fn ports(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (offset, name, body) in items(&source.code, "trait ") {
        let methods = depth_zero(body).filter(|line| words(line).any(|w| w == "fn")).count();
        if methods > PORT_METHODS_MAX {
            violations.push(Violation {
                path: source.path.clone(),
                line: line_of(&source.code, offset),
                rule: "port size",
                problem: format!("port {name} has {methods} methods, at most {PORT_METHODS_MAX}"),
                fix: "split it by who needs it",
            });
        }
    }
    violations
}

fn wide_structs(source: &Source, suffix: &str, fields_max: usize) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (offset, name, body) in items(&source.code, "struct ") {
        let fields = depth_zero(body).filter(|line| is_field(line)).count();
        if name.ends_with(suffix) && fields > fields_max {
            violations.push(Violation {
                path: source.path.clone(),
                line: line_of(&source.code, offset),
                rule: "struct size",
                problem: format!("{name} has {fields} fields, at most {fields_max}"),
                fix: "give each user the few it needs",
            });
        }
    }
    violations
}

/// Items with a block: offset, name, text of the block.
fn items<'a>(code: &'a str, keyword: &'a str) -> impl Iterator<Item = (usize, &'a str, &'a str)> {
    occurrences(code, keyword).filter_map(move |offset| {
        let tail = code.get(offset + keyword.len()..)?;
        let name = words(tail).next()?;
        // `struct A;` and `struct A(B);` have none: the next block is another item's.
        let (open, body) = block(code, offset)?;
        let head = code.get(offset..open)?;
        (!head.contains(';')).then_some((offset, name, body))
    })
}

/// The lines of a block that are not inside an inner block.
fn depth_zero(body: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    body.lines().filter(move |line| {
        let outside = depth == 0;
        depth += line.matches('{').count();
        depth = depth.saturating_sub(line.matches('}').count());
        outside
    })
}

/// `name: Type,` or `pub(crate) name: Type,`.
fn is_field(line: &str) -> bool {
    line.split_once(':').is_some_and(|(left, right)| {
        !right.starts_with(':') && words(left).next().is_some() && !left.contains(['<', '#', ','])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Source::new(path, text)).into_iter().map(|found| found.rule).collect()
    }

    #[test]
    fn long_files_are_found_without_their_tests() {
        let long = "fn a() {}\n".repeat(601);
        assert_eq!(rules("crates/a/src/lib.rs", &long), ["file size"]);
        assert!(rules("crates/a/tests/lib.rs", &long).is_empty());
        let mut tested = "fn a() {}\n".repeat(590);
        tested.push_str("#[cfg(test)]\nmod tests {\n");
        tested.push_str(&"    fn b() {}\n".repeat(50));
        tested.push_str("}\n");
        assert!(rules("crates/a/src/lib.rs", &tested).is_empty());
    }

    #[test]
    fn long_scripts_are_found() {
        let long = "let a;\n".repeat(601);
        assert!(check_script("web/src/a.tsx", &long).is_some());
        assert!(check_script("web/src/a.test.tsx", &long).is_none());
        assert!(check_script("web/src/a.ts", &format!("// Generated\n{long}")).is_none());
    }

    fn port(methods: usize) -> String {
        let method = "    async fn a(&self) -> u8 {\n        fn inner() {}\n        1\n    }\n";
        format!("pub trait Rooms: Send {{\n{}}}\n", method.repeat(methods))
    }

    #[test]
    fn wide_ports_are_found() {
        assert!(rules("crates/a/src/ports.rs", &port(10)).is_empty());
        assert_eq!(rules("crates/a/src/ports.rs", &port(11)), ["port size"]);
        assert!(rules("crates/a/src/room.rs", &port(11)).is_empty());
    }

    #[test]
    fn wide_state_is_found() {
        let state = |fields: usize| {
            let fields = "    #[expect(x)]\n    pub a: Option<b::C>,\n".repeat(fields);
            format!("struct Unit;\npub struct EdgeState<T: A> {{\n{fields}}}\n")
        };
        assert!(rules("crates/mynah-server/src/edge.rs", &state(10)).is_empty());
        assert_eq!(rules("crates/mynah-server/src/edge.rs", &state(11)), ["struct size"]);
    }
}
