//! `mynah app`: apps in the store, made and changed from the command line, also while the server runs.
//!
//! A running server sees a change within `pusher.app_cache_ttl_s`, or when its cache is cleared. Secrets
//! are printed once, when they are made.

mod changes;
mod describe;
mod import;
mod span;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use mynah_domain::app::App;
use mynah_domain::ports::{AppStore, Clock as _};
use mynah_domain::{AppId, Timestamp};
use mynah_store::sqlite::{FILE_NAME, SqliteStore};

use crate::apps::SealedApps;
use crate::config::{Config, Stage};
use crate::secrets;
use crate::system::SystemClock;

pub use span::Span;

/// What `mynah app` is to do.
#[derive(Debug, Subcommand)]
pub enum AppCommand {
    /// Make an app and print its key and secret.
    Create {
        /// Its id, as in /apps/ID/events; made up when not given.
        #[arg(long)]
        id: Option<String>,
        /// The tenant whose face it is: that of the first app is `default`, of others the app's id.
        #[arg(long)]
        tenant: Option<String>,
        /// What is set.
        #[command(flatten)]
        settings: Settings,
        /// How it is printed.
        #[command(flatten)]
        form: Form,
    },
    /// List all apps.
    List {
        /// How it is printed.
        #[command(flatten)]
        form: Form,
    },
    /// Show an app without its secrets.
    Show {
        /// Its id.
        id: String,
        /// How it is printed.
        #[command(flatten)]
        form: Form,
    },
    /// Change an app's settings.
    Set {
        /// Its id.
        id: String,
        /// What is set.
        #[command(flatten)]
        settings: Settings,
    },
    /// Give an app a new key, which signs from now on, and print it with its secret.
    Rotate {
        /// The app's id.
        id: String,
        /// How long earlier keys stay valid (24h, 30m, 7d, 0s); without it, until they are expired.
        #[arg(long)]
        expire_old_after: Option<Span>,
        /// How it is printed.
        #[command(flatten)]
        form: Form,
    },
    /// End a key.
    Expire {
        /// The app's id.
        id: String,
        /// The key.
        key: String,
        /// After how long (24h, 30m, 7d); at once when not given.
        #[arg(long, default_value = "0s")]
        after: Span,
    },
    /// Refuse an app's sockets and HTTP calls.
    Disable {
        /// Its id.
        id: String,
    },
    /// Serve an app again.
    Enable {
        /// Its id.
        id: String,
    },
    /// Take over the apps of a Soketi installation; doing it again updates them.
    Import {
        /// Where from.
        #[command(flatten)]
        from: From,
        /// Name of the table, with its schema if need be.
        #[arg(long, default_value = "apps")]
        table: String,
        /// Which app is the face of tenant `default`; a single one is it unasked.
        #[arg(long)]
        default_app: Option<String>,
        /// Say what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Where apps are imported from.
#[derive(Debug, Args)]
pub struct From {
    /// Soketi's configuration file (JSON).
    #[arg(long, required_unless_present = "database", conflicts_with = "database")]
    soketi_config: Option<PathBuf>,
    /// The database with Soketi's table: postgres://user:password@host/name or mysql://…; `-` reads the
    /// address from standard input, so that no password stands in the list of processes.
    #[arg(long)]
    database: Option<String>,
    /// Certificate authorities (PEM) to trust where the address asks for an encrypted connection
    /// (?sslmode=require, ?require_ssl=true).
    #[arg(long, requires = "database")]
    database_ca: Option<PathBuf>,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Form {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What can be set of an app; `none` lifts a limit.
#[derive(Debug, Clone, Default, Args)]
pub struct Settings {
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// Whether clients may send events to each other (true or false).
    #[arg(long, value_name = "BOOL")]
    client_events: Option<bool>,
    /// Whether sockets must sign in.
    #[arg(long, value_name = "BOOL")]
    user_authentication: Option<bool>,
    /// Whether subscribers are told how many they are.
    #[arg(long, value_name = "BOOL")]
    subscription_counts: Option<bool>,
    /// Open sockets.
    #[arg(long, value_name = "N|none", value_parser = limit::<u64>)]
    connections_max: Option<Limit<u64>>,
    /// Events published by HTTP, in each second.
    #[arg(long, value_name = "N|none", value_parser = limit::<u32>)]
    backend_events_per_s: Option<Limit<u32>>,
    /// Events of one socket, in each second.
    #[arg(long, value_name = "N|none", value_parser = limit::<u32>)]
    client_events_per_s: Option<Limit<u32>>,
    /// Reading HTTP calls, in each second.
    #[arg(long, value_name = "N|none", value_parser = limit::<u32>)]
    reads_per_s: Option<Limit<u32>>,
}

/// A limit to set: a number, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit<N>(Option<N>);

fn limit<N: std::str::FromStr>(text: &str) -> Result<Limit<N>, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => match text.parse() {
            Ok(number) => Ok(Limit(Some(number))),
            Err(_number) => Err("must be a whole number or none".to_owned()),
        },
    }
}

impl Settings {
    fn apply(self, app: &mut App) {
        let Self { name, client_events, user_authentication, subscription_counts, .. } = self;
        app.name = name.unwrap_or_else(|| std::mem::take(&mut app.name));
        app.client_events = client_events.unwrap_or(app.client_events);
        app.user_authentication = user_authentication.unwrap_or(app.user_authentication);
        app.subscription_counts = subscription_counts.unwrap_or(app.subscription_counts);
        let own = &mut app.limits;
        own.connections_max = self.connections_max.map_or(own.connections_max, |limit| limit.0);
        own.backend_events_per_s =
            self.backend_events_per_s.map_or(own.backend_events_per_s, |limit| limit.0);
        own.client_events_per_s =
            self.client_events_per_s.map_or(own.client_events_per_s, |limit| limit.0);
        own.reads_per_s = self.reads_per_s.map_or(own.reads_per_s, |limit| limit.0);
    }
}

/// What a command has to say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// For standard output.
    pub text: String,
    /// Whether all that was asked for was done.
    pub is_complete: bool,
}

impl Outcome {
    fn complete(text: String) -> Self {
        Self { text, is_complete: true }
    }
}

/// Does it.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub async fn run(command: AppCommand, config: &Config) -> anyhow::Result<Outcome> {
    let desk = || Desk::open(config);
    let text = match command {
        AppCommand::Create { id, tenant, settings, form } => {
            changes::create(&desk()?, (id, tenant), settings, form).await?
        }
        AppCommand::List { form } => changes::list(&desk()?, form).await?,
        AppCommand::Show { id, form } => changes::show(&desk()?, &id, form).await?,
        AppCommand::Set { id, settings } => changes::set(&desk()?, &id, &settings).await?,
        AppCommand::Rotate { id, expire_old_after, form } => {
            changes::rotate(&desk()?, &id, expire_old_after, form).await?
        }
        AppCommand::Expire { id, key, after } => {
            changes::expire(&desk()?, &id, &key, after).await?
        }
        AppCommand::Disable { id } => changes::switch(&desk()?, &id, false).await?,
        AppCommand::Enable { id } => changes::switch(&desk()?, &id, true).await?,
        AppCommand::Import { from, table, default_app, dry_run } => {
            let wish = import::Wish { table, default_app, dry_run };
            return import::import(config, from, wish).await;
        }
    };
    Ok(Outcome::complete(text))
}

/// What commands work with.
struct Desk {
    store: Arc<dyn AppStore>,
    /// Apps of the configuration: not to be changed here.
    configured: Vec<App>,
    now: Timestamp,
}

impl Desk {
    fn open(config: &Config) -> anyhow::Result<Self> {
        let data_dir = &config.server.data_dir;
        std::fs::create_dir_all(data_dir)
            .with_context(|| format!("cannot make the data folder {}", data_dir.display()))?;
        let mut key = config.auth.encryption_key.clone();
        if key.is_empty() {
            anyhow::ensure!(
                config.env == Stage::Development,
                "auth.encryption_key is missing: set MYNAH_AUTH__ENCRYPTION_KEY to at least 32 random \
                 bytes, for the server and for this command alike"
            );
            key = secrets::kept_encryption_key(data_dir)
                .with_context(|| format!("cannot keep a secret in {}", data_dir.display()))?;
        }
        let store = SqliteStore::open_apps(data_dir)?;
        let configured = config.pusher.configured_apps().into_iter().filter_map(Result::ok);
        Ok(Self {
            store: Arc::new(SealedApps::new(store, &key)),
            configured: configured.collect(),
            now: SystemClock.now(),
        })
    }

    /// As [`Self::open`], but makes nothing: `None` where nothing is stored yet.
    fn look(config: &Config) -> anyhow::Result<Option<Self>> {
        let is_there = config.server.data_dir.join(FILE_NAME).exists();
        is_there.then(|| Self::open(config)).transpose()
    }

    /// A stored app.
    async fn find(&self, id: &str) -> anyhow::Result<App> {
        let configured = self.configured.iter().any(|app| app.id.as_str() == id);
        if let Some(app) = self.store.app(&AppId::trusted(id)).await? {
            return Ok(app);
        }
        anyhow::ensure!(
            !configured,
            "app {id} is configured (mynah.toml, or Soketi's file or names): change it there"
        );
        anyhow::bail!("there is no app {id}: `mynah app list` shows all")
    }

    /// All stored apps.
    async fn all(&self) -> anyhow::Result<Vec<App>> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = self.store.apps(after, 500).await?;
            all.extend(page.items);
            match page.next {
                Some(next) => after = next,
                None => return Ok(all),
            }
        }
    }

    /// Whether a configured app hides a stored one.
    fn hides(&self, app: &App) -> bool {
        self.configured.iter().any(|own| own.id == app.id || own.tenant == app.tenant)
    }
}
