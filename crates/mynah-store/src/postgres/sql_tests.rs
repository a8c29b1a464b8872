//! Every statement names its tables in full, whatever the search path is.

use super::sql;

#[test]
fn every_table_is_named_with_its_schema() {
    let mut statements = 0;
    for (name, text) in sql::all() {
        statements += 1;
        let words: Vec<&str> = text.split_whitespace().collect();
        for pair in words.windows(2) {
            let names_table = matches!(pair, ["FROM" | "JOIN" | "INTO" | "UPDATE", _]);
            let other = ["(", "UNNEST", "SET", "OF", "SKIP", "clock_timestamp", "NO", "LATERAL"];
            let is_other = other.iter().any(|start| pair[1].starts_with(start));
            let fits = !names_table
                || is_other
                || ["mynah.", "pg_catalog."].iter().any(|schema| pair[1].starts_with(schema));
            assert!(fits, "{name}: {pair:?}");
        }
    }
    assert!(statements > 100, "the registry is not empty");
}
