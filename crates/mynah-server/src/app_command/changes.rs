//! Making, showing and changing apps.

use mynah_domain::app::{App, AppError, AppKey, AppSecret};
use mynah_domain::ports::IdSource as _;
use mynah_domain::{AppId, TenantId, Timestamp};
use serde_json::json;

use super::describe::{describe, moment, to_json};
use super::{Desk, Form, Settings, Span};
use crate::system::{CombIds, random};

/// Tries at a change that others come in between of.
const TRIES: u32 = 5;

/// A key as hosted services make them: 20 hexadecimal digits.
fn new_key() -> String {
    format!("{:020x}", u128::from_be_bytes(random::<16>()) >> 48)
}

pub(super) async fn create(
    desk: &Desk,
    (id, tenant): (Option<String>, Option<String>),
    settings: Settings,
    form: Form,
) -> anyhow::Result<String> {
    let id = id.unwrap_or_else(|| CombIds.id(desk.now));
    let id = AppId::parse(id.trim()).map_err(|error| anyhow::anyhow!("--id: {error}"))?;
    anyhow::ensure!(
        desk.configured.iter().all(|app| app.id != id),
        "app {id} is configured already: choose another --id"
    );
    let tenant = match tenant {
        Some(tenant) => {
            TenantId::parse(tenant.trim()).map_err(|error| anyhow::anyhow!("--tenant: {error}"))?
        }
        None if is_first(desk).await? => TenantId::single(),
        None => TenantId::trusted(id.as_str()),
    };
    anyhow::ensure!(
        desk.configured.iter().all(|app| app.tenant != tenant),
        "tenant {tenant} has a configured app already: choose another --tenant"
    );
    let secret = CombIds.secret();
    let key = AppKey {
        key: new_key(),
        secret: AppSecret::new(secret.clone()),
        created_at: desk.now,
        expires_at: None,
    };
    let mut app = App::new(id, tenant, key);
    settings.apply(&mut app);
    let made = desk.store.create_app(app).await?;
    Ok(with_secret("made", &made, &secret, form))
}

async fn is_first(desk: &Desk) -> anyhow::Result<bool> {
    Ok(desk.configured.is_empty() && desk.store.apps(0, 1).await?.items.is_empty())
}

/// The one time that a secret is shown.
fn with_secret(done: &str, app: &App, secret: &str, form: Form) -> String {
    let key = app.keys.first().map_or("", |key| key.key.as_str());
    let (id, tenant) = (app.id.as_str(), app.tenant.as_str());
    if form.json {
        let shown = json!({ "id": id, "tenant": tenant, "key": key, "secret": secret });
        return format!("{shown}\n");
    }
    format!(
        "{done}: app {id} of tenant {tenant}\n  key     {key}\n  secret  {secret}\n\
         The secret is shown this once: keep it now.\n"
    )
}

pub(super) async fn list(desk: &Desk, form: Form) -> anyhow::Result<String> {
    let stored = desk.all().await?;
    let configured = desk.configured.iter().map(|app| (app, "configured"));
    let kept = stored.iter().map(|app| {
        let place = if desk.hides(app) { "hidden by a configured app" } else { "stored" };
        (app, place)
    });
    let all: Vec<(&App, &str)> = configured.chain(kept).collect();
    if form.json {
        let list: Vec<_> = all.iter().map(|(app, place)| to_json(app, place, desk.now)).collect();
        return Ok(format!("{}\n", serde_json::Value::from(list)));
    }
    if all.is_empty() {
        return Ok("there is no app yet: make one with `mynah app create`\n".to_owned());
    }
    let longest = |part: &dyn Fn(&App) -> usize, least: usize| {
        all.iter().map(|(app, _)| part(app)).max().unwrap_or(0).max(least)
    };
    let wide = longest(&|app| app.id.as_str().chars().count(), 2);
    let tenants = longest(&|app| app.tenant.as_str().chars().count(), 6);
    let line = |id: &str, tenant: &str, state: &str, place: &str| {
        format!("{id:wide$}  {tenant:tenants$}  {state:8}  {place}\n")
    };
    let mut lines = vec![line("ID", "TENANT", "STATE", "FROM")];
    for (app, place) in all {
        let state = if app.is_enabled { "enabled" } else { "disabled" };
        lines.push(line(app.id.as_str(), app.tenant.as_str(), state, place));
    }
    Ok(lines.concat())
}

pub(super) async fn show(desk: &Desk, id: &str, form: Form) -> anyhow::Result<String> {
    let configured = desk.configured.iter().find(|app| app.id.as_str() == id);
    let (app, place) = match configured {
        Some(app) => (app.clone(), "configured"),
        None => (desk.find(id).await?, "stored"),
    };
    if form.json {
        return Ok(format!("{}\n", to_json(&app, place, desk.now)));
    }
    Ok(format!("app {id} ({place})\n{}", describe(&app, desk.now)))
}

pub(super) async fn set(desk: &Desk, id: &str, settings: &Settings) -> anyhow::Result<String> {
    let changed = change(desk, id, |app| {
        settings.clone().apply(app);
        Ok(())
    });
    Ok(format!("changed: app {id}\n{}", describe(&changed.await?, desk.now)))
}

pub(super) async fn rotate(
    desk: &Desk,
    id: &str,
    old: Option<Span>,
    form: Form,
) -> anyhow::Result<String> {
    let (key, secret) = (new_key(), CombIds.secret());
    let changed = change(desk, id, |app| {
        app.rotate(key.clone(), AppSecret::new(secret.clone()), desk.now, old.map(Span::ms))?;
        Ok(())
    });
    let changed = changed.await?;
    let mut lines = vec![with_secret("new key", &changed, &secret, form)];
    for earlier in changed.keys.iter().skip(1).filter(|_| !form.json) {
        let until = ending(earlier.expires_at, &format!("`mynah app expire {id} {}`", earlier.key));
        lines.push(format!("Key {} stays valid {until}.\n", earlier.key));
    }
    Ok(lines.concat())
}

fn ending(at: Option<Timestamp>, command: &str) -> String {
    at.map_or_else(|| format!("until {command}"), |at| format!("until {}", moment(at)))
}

pub(super) async fn expire(
    desk: &Desk,
    id: &str,
    key: &str,
    after: Span,
) -> anyhow::Result<String> {
    let end = desk.now.plus_ms(after.ms());
    let changed = change(desk, id, |app| {
        anyhow::ensure!(app.expire_key(key, end), "app {id} has no key {key}");
        anyhow::ensure!(
            app.newest_key(end).is_some(),
            "{key} is the last key of app {id}: give it another with `mynah app rotate {id}`, or switch \
             it off with `mynah app disable {id}`"
        );
        app.updated_at = desk.now;
        Ok(())
    });
    let changed = changed.await?;
    let ends = changed.keys.iter().find(|own| own.key == key).and_then(|own| own.expires_at);
    Ok(format!("key {key} of app {id} ends at {}\n", moment(ends.unwrap_or(end))))
}

pub(super) async fn switch(desk: &Desk, id: &str, is_enabled: bool) -> anyhow::Result<String> {
    let changed = change(desk, id, |app| {
        app.is_enabled = is_enabled;
        Ok(())
    });
    let word = if changed.await?.is_enabled { "enabled" } else { "disabled" };
    Ok(format!("{word}: app {id}\n"))
}

/// Reads an app, changes it, and does so again when somebody else was faster.
async fn change(
    desk: &Desk,
    id: &str,
    how: impl Fn(&mut App) -> anyhow::Result<()>,
) -> anyhow::Result<App> {
    for _ in 0..TRIES {
        let mut app = desk.find(id).await?;
        how(&mut app)?;
        app.updated_at = desk.now;
        match desk.store.replace_app(app).await {
            Err(AppError::Changed) => {}
            Ok(changed) => return Ok(changed),
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("app {id} is being changed by somebody else all the time: try again")
}
