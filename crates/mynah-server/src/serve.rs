//! `mynah serve`: from configuration to a running server, and to its end.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::{Config, Stage};
use crate::wiring::build;
use crate::{drain, listener, secrets};

/// How long requests that are being answered may take after the last connection is gone.
const LAST_ANSWERS: Duration = Duration::from_millis(250);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// A sentence that says which setting, file or port is wrong and what to do.
pub async fn serve(mut config: Config) -> anyhow::Result<()> {
    let problems = config.problems();
    if !problems.is_empty() {
        let lines: Vec<String> =
            problems.iter().map(|p| format!("  {} {}", p.entry, p.text)).collect();
        anyhow::bail!("the configuration forbids a start:\n{}", lines.join("\n"));
    }
    let data_dir = config.server.data_dir.clone();
    prepare(&data_dir)?;
    if config.auth.jwt_secret.is_empty() && config.env == Stage::Development {
        config.auth.jwt_secret = secrets::kept_jwt_secret(&data_dir)
            .with_context(|| format!("cannot keep a secret in {}", data_dir.display()))?;
    }
    if config.auth.encryption_key.is_empty() && config.env == Stage::Development {
        config.auth.encryption_key = secrets::kept_encryption_key(&data_dir)
            .with_context(|| format!("cannot keep a secret in {}", data_dir.display()))?;
    }
    let public = listen(&config.server.host, config.server.port, "server.port (PORT)").await?;
    let admin = listen(&config.admin.host, config.admin.port, "admin.port").await?;
    let built = build(&config, &data_dir)?;
    built.begin().await?;
    announce(&config, &public)?;
    let (stop, stopped) = watch::channel(false);
    let most = config.limits.connections_max;
    let serving =
        tokio::spawn(listener::serve(public, built.public.clone(), most, stopped.clone()));
    let watching = tokio::spawn(listener::serve(admin, built.admin.clone(), 1_000, stopped));
    wait_for_signal().await?;
    tracing::info!("stopping: no new connections, asking the open ones to leave");
    built.house.health.drain();
    tokio::select! {
        () = drain::drain(&built.hub, Duration::from_secs(config.server.drain_s)) => {}
        again = wait_for_signal() => {
            again?;
            tracing::warn!("told to stop again: closing all connections at once");
            drain::cut(&built.hub).await;
        }
    }
    stop.send_replace(true);
    let answers =
        tokio::time::timeout(LAST_ANSWERS, async { drop(tokio::join!(serving, watching)) });
    if answers.await.is_err() {
        tracing::warn!("requests were cut off while they were being answered");
    }
    tokio::task::spawn_blocking(move || built.store.close()).await?;
    tracing::info!("stopped");
    Ok(())
}

fn prepare(data_dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(data_dir).with_context(|| {
        format!(
            "cannot make the data folder {}: choose another with server.data_dir (MYNAH_DATA_DIR)",
            data_dir.display()
        )
    })
}

async fn listen(host: &str, port: u16, entry: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind((host, port)).await;
    listener.with_context(|| format!("cannot listen on {host}:{port}: choose another {entry}"))
}

#[expect(clippy::print_stdout, reason = "the one line a person at the terminal waits for")]
fn announce(config: &Config, listener: &TcpListener) -> anyhow::Result<()> {
    let port = listener.local_addr()?.port();
    println!(
        "Mynah is ready: open http://localhost:{port} and register; data is kept in {}",
        config.server.data_dir.display()
    );
    Ok(())
}

async fn wait_for_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
