//! `mynah webhook …`: dead letters, looked at and dealt with beside a running server.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use mynah_domain::AppId;
use mynah_domain::outbox::{DeadLetters, Delivery, DeliveryId, DeliveryState};
use mynah_domain::ports::{Clock as _, OutboxStore};
use mynah_store::sqlite::{FILE_NAME, SqliteStore};

use crate::system::SystemClock;
use crate::time_text::TimeText;

/// Which dead letters a command is about.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// The number that `mynah webhook list` shows.
    pub id: Option<u64>,
    /// All of one app.
    #[arg(long)]
    pub app: Option<String>,
    /// All of them.
    #[arg(long)]
    pub all: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
pub enum WebhookCommand {
    /// Show webhooks that were given up, oldest first, and what waits.
    List {
        /// Only those of one app.
        #[arg(long)]
        app: Option<String>,
        /// Only those after this number.
        #[arg(long)]
        after: Option<u64>,
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Show one JSON object a line, with the event itself.
        #[arg(long)]
        json: bool,
    },
    /// Try webhooks again that were given up.
    Retry(Which),
    /// Delete webhooks that were given up.
    Drop(Which),
}

/// Does it and says what was done.
///
/// # Errors
/// The database cannot be opened or read.
pub async fn run(data_dir: &Path, command: WebhookCommand) -> anyhow::Result<String> {
    if !data_dir.join(FILE_NAME).exists() {
        return Ok(format!("there is no database in {}\n", data_dir.display()));
    }
    let store = SqliteStore::open_outbox(data_dir)
        .with_context(|| format!("cannot open the database in {}", data_dir.display()))?;
    match command {
        WebhookCommand::List { app, after, limit, json } => {
            let app = app.map(AppId::trusted);
            let after = after.map(DeliveryId);
            let dead = store.dead_letters(app.as_ref(), after, limit).await?;
            if json {
                return Ok(dead.iter().map(line_of_json).collect());
            }
            list(&store, &dead, limit).await
        }
        WebhookCommand::Retry(which) => {
            let count = store.revive(&which.letters(), SystemClock.now()).await?;
            Ok(format!("{count} wait again; a running server takes them up within 15 seconds\n"))
        }
        WebhookCommand::Drop(which) => {
            Ok(format!("{} deleted\n", store.discard(&which.letters()).await?))
        }
    }
}

impl Which {
    fn letters(self) -> DeadLetters {
        match (self.id, self.app) {
            (Some(id), _) => DeadLetters::One(DeliveryId(id)),
            (None, Some(app)) => DeadLetters::Of(AppId::trusted(app)),
            (None, None) => DeadLetters::All,
        }
    }
}

async fn list(
    store: &Arc<dyn OutboxStore>,
    dead: &[Delivery],
    limit: u32,
) -> anyhow::Result<String> {
    let mut text = String::new();
    for letter in dead {
        let name = field(&letter.event, "name");
        writeln!(
            text,
            "{}  {}  {}  {} of {}  {}  {}",
            letter.id.0,
            TimeText::of(died_at(letter)).as_str(),
            letter.endpoint.app,
            name.as_deref().unwrap_or("event"),
            letter.order_key,
            letter.endpoint.url,
            letter.last_error.as_deref().unwrap_or("")
        )?;
    }
    if dead.len() as u64 == u64::from(limit)
        && let Some(last) = dead.last()
    {
        writeln!(text, "there may be more: --after {}", last.id.0)?;
    }
    for count in store.counts().await?.into_iter().filter(|c| c.pending + c.dead > 0) {
        let (app, pending, dead) = (count.app, count.pending, count.dead);
        writeln!(text, "app {app}: {pending} waiting, {dead} given up")?;
    }
    Ok(if text.is_empty() { "nothing waits and nothing was given up\n".to_owned() } else { text })
}

fn died_at(letter: &Delivery) -> mynah_domain::Timestamp {
    match letter.state {
        DeliveryState::Dead { at } | DeliveryState::Pending { next_at: at } => at,
    }
}

fn field(event: &str, name: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(event).ok()?;
    event.get(name)?.as_str().map(str::to_owned)
}

fn line_of_json(letter: &Delivery) -> String {
    let event: serde_json::Value = serde_json::from_str(&letter.event).unwrap_or_default();
    let line = serde_json::json!({
        "id": letter.id.0,
        "app": letter.endpoint.app.as_str(),
        "url": &*letter.endpoint.url,
        "event": event,
        "createdAt": TimeText::of(letter.created_at).as_str(),
        "diedAt": TimeText::of(died_at(letter)).as_str(),
        "attempts": letter.attempts,
        "error": letter.last_error,
    });
    format!("{line}\n")
}
