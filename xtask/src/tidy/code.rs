//! Rules on single lines of Rust code.

use super::Violation;
use super::source::{Line, Source, occurrences};

const CONFIGURATION: &str = "crates/mynah-server/src/config";
/// Programs of the house and of the load tests read their environment as programs do.
const OWN_PROGRAMS: [&str; 2] = ["xtask", "benches"];

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    if source.path.ends_with("/mod.rs") {
        violations.push(violation(
            source,
            1,
            "mod.rs",
            "a module in a file called mod.rs",
            "name it folder.rs beside the folder",
        ));
    }
    for line in source.lines() {
        violations.extend(environment(source, &line));
        violations.extend(profile(source, &line));
        violations.extend(ignored(source, &line));
        violations.extend(sleep(source, &line));
    }
    violations
}

fn violation(
    source: &Source,
    line: usize,
    rule: &'static str,
    problem: &str,
    fix: &'static str,
) -> Violation {
    Violation { path: source.path.clone(), line, rule, problem: problem.to_owned(), fix }
}

fn environment(source: &Source, line: &Line<'_>) -> Option<Violation> {
    let may_read = source.path.starts_with(CONFIGURATION)
        || OWN_PROGRAMS.contains(&source.package())
        || source.path.ends_with("/build.rs");
    let reads = ["env::var", "env::vars", "env::set_var", "env::remove_var"]
        .iter()
        .any(|call| occurrences(line.code, call).next().is_some());
    (reads && !may_read).then(|| {
        violation(
            source,
            line.number,
            "environment",
            "the environment is used outside the configuration",
            "read it in crates/mynah-server/src/config and pass the value",
        )
    })
}

fn profile(source: &Source, line: &Line<'_>) -> Option<Violation> {
    line.code.contains("debug_assertions").then(|| {
        violation(
            source,
            line.number,
            "build profile",
            "behaviour depends on the build profile",
            "make it configuration, or do it always",
        )
    })
}

fn ignored(source: &Source, line: &Line<'_>) -> Option<Violation> {
    ["#[ignore]", "#[ignore ", "#[ignore=", ", ignore)]"]
        .iter()
        .any(|a| line.code.contains(a))
        .then(|| {
            violation(
                source,
                line.number,
                "ignored test",
                "an ignored test",
                "mend it or delete it",
            )
        })
}

fn sleep(source: &Source, line: &Line<'_>) -> Option<Violation> {
    let sleeps = ["sleep(", "sleep_until(", "sleep_ms("]
        .iter()
        .any(|call| occurrences(line.code, call).next().is_some());
    (line.is_test && sleeps && source.package() != "mynah-testkit").then(|| {
        violation(
            source,
            line.number,
            "sleep",
            "a test waits for time to pass",
            "wait for the event, or move the paused or manual clock",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        check(&Source::new(path, text)).into_iter().map(|found| (found.line, found.rule)).collect()
    }

    #[test]
    fn only_the_configuration_reads_the_environment() {
        let text = "fn f() {\n    std::env::var_os(\"X\");\n}\n";
        assert_eq!(rules("crates/mynah-store/src/lib.rs", text), [(2, "environment")]);
        assert_eq!(rules("crates/mynah-server/src/wiring.rs", text), [(2, "environment")]);
        assert_eq!(rules("crates/mynah-server/src/config/load.rs", text), []);
        assert_eq!(rules("crates/mynah-server/src/config.rs", text), []);
        assert_eq!(rules("xtask/src/run.rs", text), []);
        assert_eq!(rules("crates/mynah-store/src/lib.rs", "// env::var(\"X\")\n"), []);
    }

    #[test]
    fn behaviour_does_not_depend_on_the_profile() {
        let text = "fn f() -> bool {\n    cfg!(debug_assertions)\n}\n";
        assert_eq!(rules("crates/mynah-hub/src/lib.rs", text), [(2, "build profile")]);
    }

    #[test]
    fn no_test_is_ignored() {
        let path = "crates/mynah-hub/tests/a.rs";
        assert_eq!(rules(path, "#[test]\n#[ignore]\nfn a() {}\n"), [(2, "ignored test")]);
        assert_eq!(rules(path, "#[ignore = \"slow\"]\nfn a() {}\n"), [(1, "ignored test")]);
        assert_eq!(rules(path, "#[serde(ignore_case)]\nfn a() {}\n"), []);
    }

    #[test]
    fn tests_do_not_sleep() {
        let call = "    tokio::time::sleep(DELAY).await;\n";
        let path = "crates/mynah-hub/src/lib.rs";
        assert_eq!(rules(path, &format!("fn f() {{\n{call}}}\n")), []);
        let test = format!("#[cfg(test)]\nmod tests {{\n{call}}}\n");
        assert_eq!(rules(path, &test), [(3, "sleep")]);
        assert_eq!(
            rules("crates/mynah-hub/tests/a.rs", "use std::thread;\nthread::sleep(D);"),
            [(2, "sleep")]
        );
        assert_eq!(rules("crates/mynah-testkit/src/lib.rs", &test), []);
        assert_eq!(rules("crates/mynah-hub/tests/a.rs", "oversleep(D);"), []);
    }

    #[test]
    fn no_mod_rs() {
        assert_eq!(rules("crates/mynah-hub/src/queue/mod.rs", ""), [(1, "mod.rs")]);
    }
}
