//! Secrets that a development installation makes for itself and keeps in its data folder.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use mynah_domain::ports::IdSource;

use crate::config::Hidden;
use crate::system::CombIds;

/// The key of access tokens kept in the data folder, made at the first start; readable by the owner only.
///
/// # Errors
/// [`io::Error`] when the file can be neither read nor made.
pub fn kept_jwt_secret(data_dir: &Path) -> io::Result<Hidden> {
    kept(data_dir, "jwt-secret")
}

/// The key that seals what the store keeps of other secrets, likewise.
///
/// # Errors
/// [`io::Error`] when the file can be neither read nor made.
pub fn kept_encryption_key(data_dir: &Path) -> io::Result<Hidden> {
    kept(data_dir, "encryption-key")
}

fn kept(data_dir: &Path, name: &str) -> io::Result<Hidden> {
    let path = data_dir.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(Hidden::new(&text)),
        // Left by a crash; nothing was made with it.
        Ok(_) => std::fs::remove_file(&path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let made = data_dir.join(format!("{name}.{}", CombIds.secret()));
    write(&made, &CombIds.secret())?;
    // Server and command may start at once: the first to link its file has made the secret of both.
    let linked = std::fs::hard_link(&made, &path);
    std::fs::remove_file(&made)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => std::fs::read_to_string(&path).map(|text| Hidden::new(&text)),
    }
}

fn write(path: &Path, secret: &str) -> io::Result<()> {
    let mut open = std::fs::OpenOptions::new();
    let mut file = open.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_readable_by_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let made: Vec<_> = std::thread::scope(|scope| {
            let make = || scope.spawn(|| kept_encryption_key(folder.path()).unwrap());
            let threads: Vec<_> = (0..8).map(|_| make()).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.iter().all(|secret| *secret == made[0]) && made[0].expose().len() >= 32);
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 1, "nothing is left behind");
        assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(kept_jwt_secret(folder.path()).unwrap(), made[0]);
    }

    #[test]
    fn an_empty_file_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("jwt-secret"), "\n").unwrap();
        let made = kept_jwt_secret(folder.path()).unwrap();
        assert!(!made.is_empty());
        assert_eq!(kept_jwt_secret(folder.path()).unwrap(), made);
    }
}
