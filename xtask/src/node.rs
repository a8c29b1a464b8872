//! Node packages: `npm ci` only when the lock changed, scripts only when they exist.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::workspace::find_program;

/// The oldest Node that the web application's bundler runs on.
const NODE_MIN: (u32, u32) = (20, 19);

/// Fails, saying what to install, unless a usable Node and npm are on the PATH.
pub(crate) fn require_node() -> Result<()> {
    for program in ["node", "npm"] {
        if find_program(program).is_none() {
            bail!(
                "`{program}` was not found: install Node.js 20.19 or newer with npm \
                 (https://nodejs.org, or `apt-get install nodejs npm` where that is new enough)"
            );
        }
    }
    let version = process::capture(Command::new("node").arg("--version"))?;
    match major_and_minor(version.trim()) {
        Some(found) if found >= NODE_MIN => Ok(()),
        Some(_) => bail!("Node {} is too old: install 20.19 or newer", version.trim()),
        None => bail!("`node --version` printed `{}`, not a version", version.trim()),
    }
}

/// `v20.11.1` is (20, 11).
fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// A folder with `package.json` and `package-lock.json`.
pub(crate) struct Package {
    folder: PathBuf,
}

impl Package {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn exists(&self) -> bool {
        self.folder.join("package.json").is_file()
    }

    /// `npm` with arguments, in the folder.
    pub(crate) fn npm(&self, args: &[&str]) -> Command {
        let mut command = Command::new("npm");
        command.current_dir(&self.folder).args(args);
        command
    }

    /// Installs the locked packages unless the very same lock file is installed already.
    pub(crate) fn install(&self) -> Result<()> {
        let lock = self.folder.join("package-lock.json");
        let stamp = self.folder.join("node_modules").join(".installed-lock.json");
        let locked = fs::read(&lock).with_context(|| {
            format!("cannot read {}: run `npm install` there and commit it", lock.display())
        })?;
        if fs::read(&stamp).is_ok_and(|installed| installed == locked) {
            println!("    packages of {} are up to date", self.folder.display());
            return Ok(());
        }
        process::run(&mut self.npm(&["ci", "--no-audit", "--no-fund"]))?;
        // A lock without packages leaves no folder behind.
        fs::create_dir_all(self.folder.join("node_modules"))?;
        fs::write(&stamp, locked).with_context(|| format!("cannot write {}", stamp.display()))
    }
}

/// The newest change time below a folder, leaving out what is built or installed.
pub(crate) fn newest_source(folder: &Path) -> Result<std::time::SystemTime> {
    let mut newest = std::time::SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if ["node_modules", "dist", "coverage"].iter().any(|built| name == *built) {
            continue;
        }
        let metadata = entry.metadata()?;
        let changed =
            if metadata.is_dir() { newest_source(&entry.path())? } else { metadata.modified()? };
        newest = newest.max(changed);
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        assert_eq!(major_and_minor("v20.11.1"), Some((20, 11)));
        assert_eq!(major_and_minor("20.11.1"), None);
        assert!(major_and_minor("v22.1.0") > Some(NODE_MIN));
    }

    #[test]
    fn built_files_do_not_count_as_sources() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("src/main.ts"), "").unwrap();
        let before = newest_source(folder.path()).unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_mins(1);
        fs::create_dir_all(folder.path().join("dist")).unwrap();
        let built = fs::File::create(folder.path().join("dist/index.html")).unwrap();
        built.set_modified(later).unwrap();
        assert_eq!(newest_source(folder.path()).unwrap(), before);
        let source = fs::File::create(folder.path().join("src/new.ts")).unwrap();
        source.set_modified(later).unwrap();
        assert_eq!(newest_source(folder.path()).unwrap(), later);
    }

    #[test]
    fn the_same_lock_is_not_installed_twice() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("node_modules")).unwrap();
        fs::write(folder.path().join("package-lock.json"), "{}").unwrap();
        fs::write(folder.path().join("node_modules/.installed-lock.json"), "{}").unwrap();
        Package::new(folder.path().to_path_buf()).install().unwrap();
    }

    #[test]
    fn a_missing_lock_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = Package::new(folder.path().to_path_buf()).install().unwrap_err();
        assert!(format!("{error:#}").contains("npm install"));
    }
}
