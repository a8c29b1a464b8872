//! Apps of a Soketi installation: from its configuration file or from its table.
//!
//! Done again, it updates: the source has the say over settings, limits and webhooks, and over the secret
//! of its key; tenant, name and keys that were made here since stay.

use std::io::Read as _;

use anyhow::Context as _;
use mynah_domain::app::{App, AppError};
use mynah_domain::{AppId, TenantId, Timestamp};
use mynah_store::soketi;
use serde_json::{Map, Value};

use super::describe::describe;
use super::{Desk, From, Outcome};
use crate::config::soketi::app::{SoketiApp, missing, read_app};
use crate::config::soketi::apps_of_file;
use crate::config::{Config, Stage, well_known};

/// How to import.
pub(super) struct Wish {
    pub(super) table: String,
    pub(super) default_app: Option<String>,
    pub(super) dry_run: bool,
}

pub(super) async fn import(config: &Config, from: From, wish: Wish) -> anyhow::Result<Outcome> {
    let (rows, source) = rows(from, &wish.table).await?;
    let desk = if wish.dry_run { Desk::look(config)? } else { Some(Desk::open(config)?) };
    let is_alone = rows.len() == 1 && is_empty(desk.as_ref(), config).await?;
    let mut import = Import {
        now: desk.as_ref().map_or(Timestamp(0), |desk| desk.now),
        desk,
        is_strict: config.env == Stage::Production,
        is_alone,
        wish,
        said: vec![format!("{} in {source}\n", counted(rows.len()))],
        tally: Tally::default(),
    };
    for (row, number) in rows.iter().zip(1..) {
        import.row(row, number).await?;
    }
    Ok(import.finish())
}

fn counted(apps: usize) -> String {
    if apps == 1 { "1 app".to_owned() } else { format!("{apps} apps") }
}

async fn rows(from: From, table: &str) -> anyhow::Result<(Vec<Map<String, Value>>, String)> {
    if let Some(path) = from.soketi_config {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
        return Ok((apps_of_file(&name, &text)?, name));
    }
    let mut url = from.database.unwrap_or_default();
    if url == "-" {
        url.clear();
        std::io::stdin().read_to_string(&mut url).context("cannot read standard input")?;
    }
    Ok((
        soketi::read_apps(url.trim(), table, from.database_ca.as_deref()).await?,
        format!("table {table}"),
    ))
}

async fn is_empty(desk: Option<&Desk>, config: &Config) -> anyhow::Result<bool> {
    let stored = match desk {
        Some(desk) => !desk.store.apps(0, 1).await?.items.is_empty(),
        None => false,
    };
    Ok(config.pusher.apps.is_empty() && !stored)
}

#[derive(Default)]
struct Tally {
    made: usize,
    updated: usize,
    unchanged: usize,
    left_out: usize,
}

struct Import {
    /// Nothing where nothing is stored and nothing shall be.
    desk: Option<Desk>,
    now: Timestamp,
    /// Refuses secrets that everybody knows.
    is_strict: bool,
    /// The only app of the installation.
    is_alone: bool,
    wish: Wish,
    said: Vec<String>,
    tally: Tally,
}

impl Import {
    async fn row(&mut self, row: &Map<String, Value>, number: usize) -> anyhow::Result<()> {
        let read = read_app(row);
        let missing = missing(row);
        if !missing.is_empty() {
            let fields = missing.join(" and no ");
            self.leave_out(&format!("app {number} has no {fields}"), &read);
            return Ok(());
        }
        let named = format!("app {}", read.app.id);
        let vital = |problem: &String| {
            let field = problem.split(' ').next().unwrap_or_default();
            ["id", "key", "secret", "AppId", "AppKey", "AppSecret"].contains(&field)
        };
        if read.problems.iter().any(vital) {
            self.leave_out(&named, &read);
            return Ok(());
        }
        let stored = self.stored(&read.app.id).await?;
        let is_default = self.is_alone || self.wish.default_app.as_ref() == Some(&read.app.id);
        let tenant = is_default.then(TenantId::single);
        let app = match read.app.to_app(|| tenant) {
            Ok(app) => merged(app, stored.clone(), self.now),
            Err(problem) => {
                let problem = problem.split_once(": ").map_or(&*problem, |(_, rest)| rest);
                self.leave_out(&format!("{named}: {problem}"), &read);
                return Ok(());
            }
        };
        let weak = well_known(&app);
        if self.is_strict
            && let Some(problem) = weak.first()
        {
            self.leave_out(&format!("{named}: {problem}"), &read);
            return Ok(());
        }
        match self.keep(app, stored).await {
            Ok((done, app)) => {
                self.said.push(format!("{named}: {done}\n{}", describe(&app, self.now)));
                self.say(&read);
                for problem in weak {
                    self.line(&format!("attention: {problem}"));
                }
                if self.desk.as_ref().is_some_and(|desk| desk.hides(&app)) {
                    self.line("attention: a configured app has its id or tenant and hides it");
                }
            }
            Err(AppError::Store(error)) => return Err(error.into()),
            Err(error) => self.leave_out(&format!("{named}: {error}"), &read),
        }
        Ok(())
    }

    async fn stored(&self, id: &str) -> anyhow::Result<Option<App>> {
        match &self.desk {
            Some(desk) => Ok(desk.store.app(&AppId::trusted(id)).await?),
            None => Ok(None),
        }
    }

    /// What was done, and the app as it is now.
    async fn keep(
        &mut self,
        app: App,
        stored: Option<App>,
    ) -> Result<(&'static str, App), AppError> {
        let is_new = stored.is_none();
        if stored.as_ref() == Some(&app) {
            self.tally.unchanged += 1;
            return Ok(("unchanged", app));
        }
        app.check()?;
        let app = App { updated_at: self.now, ..app };
        let kept = match &self.desk {
            Some(desk) if self.wish.dry_run => {
                free(desk, &app).await?;
                app
            }
            Some(desk) if is_new => desk.store.create_app(app).await?,
            Some(desk) => desk.store.replace_app(app).await?,
            None => app,
        };
        let done = if is_new { &mut self.tally.made } else { &mut self.tally.updated };
        *done += 1;
        Ok((if is_new { "new" } else { "updated" }, kept))
    }

    fn leave_out(&mut self, what: &str, read: &SoketiApp) {
        self.tally.left_out += 1;
        self.said.push(format!("{what}: left out\n"));
        self.say(read);
    }

    fn say(&mut self, read: &SoketiApp) {
        for said in read.problems.iter().chain(&read.remarks) {
            self.line(&format!("not taken: {said}"));
        }
        if !read.says_client_events {
            self.line("attention: it does not say whether clients may send events: here they may");
        }
    }

    fn line(&mut self, line: &str) {
        self.said.push(format!("  {line}\n"));
    }

    fn finish(mut self) -> Outcome {
        let Tally { made, updated, unchanged, left_out } = self.tally;
        let would = if self.wish.dry_run { "nothing was written; it would be: " } else { "" };
        self.said.push(format!(
            "{would}{made} made, {updated} updated, {unchanged} unchanged, {left_out} left out\n"
        ));
        Outcome { text: self.said.concat(), is_complete: left_out == 0 }
    }
}

/// Whether the store would take an app.
async fn free(desk: &Desk, app: &App) -> Result<(), AppError> {
    let is_other = |found: Option<App>| found.is_some_and(|found| found.id != app.id);
    if is_other(desk.store.app_of_tenant(&app.tenant).await?) {
        return Err(AppError::Taken { field: "tenant" });
    }
    for key in &app.keys {
        if is_other(desk.store.app_of_key(&key.key).await?) {
            return Err(AppError::Taken { field: "key" });
        }
    }
    Ok(())
}

/// An app of the source, over what is stored of it.
fn merged(app: App, stored: Option<App>, now: Timestamp) -> App {
    let mut keys = app.keys;
    for key in &mut keys {
        key.created_at = now;
    }
    let Some(stored) = stored else {
        return App { keys, created_at: now, updated_at: now, ..app };
    };
    let mut own = stored.keys;
    for key in keys {
        match own.iter_mut().find(|earlier| earlier.key == key.key) {
            Some(earlier) => earlier.secret = key.secret,
            None => own.insert(0, key),
        }
    }
    let is_named = app.name != app.id.as_str();
    App {
        name: if is_named { app.name } else { stored.name },
        keys: own,
        tenant: stored.tenant,
        created_at: stored.created_at,
        updated_at: stored.updated_at,
        version: stored.version,
        subscription_counts: stored.subscription_counts,
        ..app
    }
}
