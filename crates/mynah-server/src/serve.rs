//! `mynah serve`: from configuration to a running server, and to its end.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::cluster::membership::Usurped;
use crate::config::{self, Config};
use crate::listener::Stage;
use crate::wiring::{Built, Clustered, build};
use crate::{drain, listener, secrets};

/// How long requests that are being answered may take after the last connection is gone, at least.
const LAST_ANSWERS: Duration = Duration::from_millis(250);
/// Most connections of operators, on each of their listeners.
const OPERATORS_MAX: usize = 1_000;

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
    raise_file_limit();
    let data_dir = config.server.data_dir.clone();
    prepare(&data_dir)?;
    if config.auth.jwt_secret.is_empty() && config.env == config::Stage::Development {
        config.auth.jwt_secret = secrets::kept_jwt_secret(&data_dir)
            .with_context(|| format!("cannot keep a secret in {}", data_dir.display()))?;
    }
    if config.auth.encryption_key.is_empty() && config.env == config::Stage::Development {
        config.auth.encryption_key = secrets::kept_encryption_key(&data_dir)
            .with_context(|| format!("cannot keep a secret in {}", data_dir.display()))?;
    }
    let public = listen(&config.server.host, config.server.port, "server.port (PORT)").await?;
    let admin = listen(&config.admin.host, config.admin.port, "admin.port").await?;
    let pusher = PusherListeners::open(&config).await?;
    config.server.port = public.local_addr()?.port();
    let mut built = build(&config, &data_dir).await?;
    built.begin().await?;
    announce(&config, &public)?;
    let (stage, stages) = watch::channel(Stage::Open);
    let most = config.limits.connections_max;
    let mut serving = JoinSet::new();
    for (listener, router, most) in [
        (Some(public), Some(built.public.clone()), most),
        (Some(admin), Some(built.admin.clone()), OPERATORS_MAX),
        (pusher.own, built.pusher.clone(), most),
        (pusher.metrics, built.pusher_metrics.clone(), OPERATORS_MAX),
    ] {
        if let Some((listener, router)) = listener.zip(router) {
            serving.spawn(listener::serve(listener, router, most, stages.clone()));
        }
    }
    let usurped = wait_for_end(built.cluster.as_mut()).await?;
    stage.send_replace(Stage::Closing);
    if usurped.is_none() {
        announce_end(&built, Duration::from_secs(config.server.drain_delay_s)).await?;
    }
    tracing::info!("stopping: no new connections, asking the open ones to leave");
    built.house.health.drain();
    let over = Instant::now() + Duration::from_secs(config.server.drain_s);
    tokio::select! {
        () = drain::drain(&built.hub, Duration::from_secs(config.server.drain_s)) => {}
        again = wait_for_signal() => {
            again?;
            tracing::warn!("told to stop again: closing all connections at once");
            drain::cut(&built.hub).await;
        }
    }
    stage.send_replace(Stage::Closed);
    let answers = async { while serving.join_next().await.is_some() {} };
    if timeout_at(over.max(Instant::now() + LAST_ANSWERS), answers).await.is_err() {
        tracing::warn!("requests were cut off while they were being answered");
    }
    built.leave().await;
    built.stores.close().await;
    tracing::info!("stopped");
    usurped.map_or(Ok(()), |usurped| Err(usurped.into()))
}

/// Says that the end is near and serves as before, until those who send traffic have noticed. A second signal
/// ends the wait.
async fn announce_end(built: &Built, delay: Duration) -> anyhow::Result<()> {
    built.house.health.leave();
    if delay.is_zero() {
        return Ok(());
    }
    tracing::info!(?delay, "stopping soon: /readyz says so, requests are still taken");
    tokio::select! {
        () = tokio::time::sleep(delay) => Ok(()),
        again = wait_for_signal() => again,
    }
}

/// The listeners that only Pusher's clients, back ends and operators use.
struct PusherListeners {
    own: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl PusherListeners {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let (settings, host) = (&config.pusher, &config.server.host);
        let is_own = |port: &u16| *port != config.server.port || *port == 0;
        let own = match settings.port.filter(is_own) {
            Some(port) if settings.enabled => {
                let listener = listen(host, port, "pusher.port (SOKETI_PORT)").await?;
                let address = listener.local_addr()?;
                tracing::info!(%address, "Pusher clients and back ends are answered here, too");
                Some(listener)
            }
            Some(_) | None => None,
        };
        let metrics = match settings.metrics_port {
            Some(port) if settings.enabled => {
                let host = settings.metrics_host.as_ref().unwrap_or(host);
                let entry = "pusher.metrics_port (SOKETI_METRICS_SERVER_PORT)";
                Some(listen(host, port, entry).await?)
            }
            Some(_) | None => None,
        };
        Ok(Self { own, metrics })
    }
}

/// As many open files as the system lets this process have: each connection is one.
fn raise_file_limit() {
    let limits = getrlimit(Resource::Nofile);
    if limits.current == limits.maximum {
        return;
    }
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, allowed = ?limits.current, "the limit of open files stays as it is");
    }
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

/// Waits for the signal to stop, or until another process takes this node's place.
async fn wait_for_end(cluster: Option<&mut Clustered>) -> anyhow::Result<Option<Usurped>> {
    let usurped = async {
        match cluster {
            Some(cluster) => cluster.usurped().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        signal = wait_for_signal() => signal.map(|()| None),
        usurped = usurped => {
            tracing::error!(%usurped, "stopping");
            Ok(Some(usurped))
        }
    }
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
