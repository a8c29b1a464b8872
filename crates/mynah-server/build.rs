//! Puts the web page into the binary: each file of `web/dist`, compressed once and for all.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

const PAGE: &str = "../../web/dist";

fn main() -> Result<(), Box<dyn Error>> {
    let page = Path::new(PAGE);
    let is_built = page.exists();
    println!("cargo::rerun-if-changed={}", if is_built { PAGE } else { "build.rs" });
    let mut files = Vec::new();
    if is_built {
        collect(page, &mut files)?;
    }
    files.sort();
    let folder = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut table = String::from("[");
    for (number, file) in files.iter().enumerate() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&fs::read(file)?)?;
        fs::write(folder.join(format!("{number}.gz")), encoder.finish()?)?;
        let path = file.strip_prefix(page)?.to_str().ok_or("the name of a file is no text")?;
        writeln!(
            table,
            "Embedded {{ path: {path:?}, gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{number}.gz\")) }},"
        )?;
    }
    fs::write(folder.join("page.rs"), table + "]")?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
