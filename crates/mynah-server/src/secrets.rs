//! Secrets that a development installation makes for itself and keeps in its data folder.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use mynah_domain::ports::IdSource;

use crate::config::Hidden;
use crate::system::CombIds;

/// File of the token key inside the data folder.
const FILE: &str = "jwt-secret";

/// The key kept in the data folder, made at the first start; readable by the owner only.
///
/// # Errors
/// [`io::Error`] when the file can be neither read nor made.
pub fn kept_jwt_secret(data_dir: &Path) -> io::Result<Hidden> {
    let path = data_dir.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(Hidden::new(&text)),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let secret = CombIds.secret();
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    Ok(Hidden::new(&secret))
}
