//! The files of the checkout, without what is built, installed or stored.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

const SKIPPED: [&str; 9] =
    [".git", ".tools", "node_modules", "target", "dist", "data", "corpus", "artifacts", "coverage"];

/// All files below `root` as paths with `/`, sorted.
pub(super) fn list(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            // A folder of sources may well be called data; only the one at the top is the store's.
            let is_source = name == "data" && !prefix.is_empty();
            if is_source || !SKIPPED.contains(&name.as_str()) {
                collect(&entry.path(), &format!("{prefix}{name}/"), files)?;
            }
        } else if kind.is_file() {
            files.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}
