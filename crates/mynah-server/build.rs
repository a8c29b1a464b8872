//! Builds the binary anew when the web page inside it changes.

fn main() {
    let page = "../../web/dist";
    let watched = if std::path::Path::new(page).exists() { page } else { "build.rs" };
    println!("cargo::rerun-if-changed={watched}");
}
