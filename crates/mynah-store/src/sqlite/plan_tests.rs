//! No statement may read a table from end to end.

use super::{SqliteOptions, connect, migrate, sql};

#[test]
fn every_statement_finds_its_rows_by_index() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join(connect::FILE_NAME);
    let mut conn = connect::writer(&path, &SqliteOptions::default()).expect("open");
    migrate::run(&path, &mut conn).expect("migrate");
    for (name, text) in sql::ALL {
        let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {text}")).expect(name);
        let blanks = vec![rusqlite::types::Null; explain.parameter_count()];
        let steps: Vec<String> = explain
            .query_map(rusqlite::params_from_iter(blanks), |row| row.get(3))
            .expect(name)
            .collect::<Result<_, _>>()
            .expect(name);
        // The index of words looks its rows up by words (M) or by rowid (=).
        let by_words =
            |s: &str| s.contains("VIRTUAL TABLE INDEX") && (s.contains(":M") || s.ends_with(":="));
        let is_scan = |s: &&String| s.starts_with("SCAN") && !by_words(s);
        let scan = steps.iter().find(|s| is_scan(s) || s.contains("AUTOMATIC"));
        assert_eq!(scan, None, "{name} reads a whole table: {steps:?}");
    }
    assert!(sql::ALL.len() > 50, "the registry is not empty");
}
