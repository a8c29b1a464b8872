//! `mynah doctor`: looks at everything an installation stands on and says what to do, in plain sentences.
//!
//! It changes nothing but what a probe must write, and shows no secret: addresses are told without user names,
//! passwords and parameters.

mod broker;
mod data;
mod door;
mod postgres;
mod report;
mod settings;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Loaded;

pub use report::{Finding, Grade, Report};

/// What to look at beside the installation itself.
#[derive(Debug, Clone, Default)]
pub struct DoctorOptions {
    /// The address that clients use, behind proxies.
    pub url: Option<String>,
    /// Leaves out what takes longer than some seconds.
    pub quick: bool,
}

/// Looks at everything.
pub async fn run(loaded: &Loaded, options: &DoctorOptions, report: &mut Report) {
    let config = &loaded.config;
    settings::check(loaded, report);
    data::folder(config, report);
    if config.store.url.is_empty() {
        data::sqlite(config, report).await;
    } else {
        postgres::check(config, report).await;
    }
    broker::check(config, report).await;
    match &options.url {
        Some(url) => door::check(config, url, options.quick, report).await,
        None => report
            .skipped("public url", "say --url https://… to see what a proxy in front lets through"),
    }
}

/// Whether the server of this configuration takes traffic, for the health check of a container: asks its own
/// port for `/readyz`.
///
/// # Errors
/// Why not.
pub async fn health(config: &crate::config::Config) -> Result<(), String> {
    let host = match config.server.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "[::1]",
        host => host,
    };
    let site = wire::Site::parse(&format!("http://{host}:{}", config.server.port))?;
    let answer = tokio::time::timeout(Duration::from_secs(5), site.get("/readyz")).await;
    let answer = answer.map_err(|_late| "no answer within 5 s".to_owned())??;
    if answer.status == 200 { Ok(()) } else { Err(format!("/readyz answers {}", answer.status)) }
}

/// Where data is kept: a default that a flag replaces.
pub fn with_data_dir(mut loaded: Loaded, data_dir: Option<PathBuf>) -> Loaded {
    if let Some(data_dir) = data_dir {
        loaded.config.server.data_dir = data_dir;
    }
    loaded
}
