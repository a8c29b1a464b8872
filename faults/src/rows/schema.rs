//! F21, F22: a schema half made, and one from the future.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mynah_testkit::programs::{Mynah, MynahSetup, Postgres};
use mynah_testkit::proxy::{Mode, Proxy, Way};
use serde_json::json;
use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::dice::Dice;
use crate::http::Http;
use crate::outcome::{Check, Outcome};
use crate::plan::Plan;
use crate::site::{Site, StoreKind, environment, local};
use crate::token;

const CALL_LIMIT: Duration = Duration::from_secs(10);
/// What a node sends to an empty database while it migrates, at most.
const MIGRATION_BYTES: u64 = 40_000;
const MIGRATION_TIME: Duration = Duration::from_millis(80);

/// A node on a database of its own name inside the site's PostgreSQL, or on SQLite.
fn setup(site: &Site, database: Option<(&Postgres, u16, &str)>) -> MynahSetup {
    let mut environment = environment();
    if let Some((postgres, port, name)) = database {
        environment.push(("DATABASE_URL".to_owned(), postgres.url_of(port, name)));
    }
    MynahSetup { binary: site.setup.binary.clone(), environment }
}

/// F21.
pub(crate) async fn killed_while_migrating(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let mut outcome = Outcome::without_load();
    let mut dice = Dice::new(plan.seed);
    let rounds = plan.rounds(3, 30);
    let mut broken = Vec::new();
    for round in 0..rounds {
        let played = if plan.setup.store == StoreKind::Postgres {
            half_migrated_postgres(site, &mut dice, (round, rounds)).await
        } else {
            half_migrated_sqlite(site, &mut dice).await
        };
        outcome.faults += 1;
        broken.extend(played.err().map(|error| format!("{error:#}")));
    }
    let seen = broken.join("; ");
    outcome.checks.push(Check::must("the next start finishes", broken.is_empty(), seen));
    if plan.setup.store == StoreKind::Postgres {
        let both = two_at_once(site).await;
        outcome.faults += 1;
        let seen = both.as_ref().map_or_else(|error| format!("{error:#}"), |()| String::new());
        outcome.checks.push(Check::must(
            "two nodes that start at once both serve",
            both.is_ok(),
            seen,
        ));
    }
    Ok(outcome)
}

async fn half_migrated_sqlite(site: &Site, dice: &mut Dice) -> Result<()> {
    let mut node = block_in_place(|| Mynah::launch(setup(site, None)))?;
    sleep(dice.up_to(MIGRATION_TIME)).await;
    block_in_place(|| node.restart())?;
    serves(&node).await
}

async fn half_migrated_postgres(
    site: &Site,
    dice: &mut Dice,
    (round, rounds): (usize, usize),
) -> Result<()> {
    let postgres = site.database.as_ref().context("no database")?;
    let name = format!("half{}_{round}", dice.below(1_000_000));
    block_in_place(|| postgres.query(&format!("CREATE DATABASE {name}")))?;
    let proxy = Proxy::new();
    let port = proxy.listen(local(postgres.port())).await?.port();
    // All lengths, evenly and with chance: each cuts another statement.
    let step = MIGRATION_BYTES / rounds as u64;
    let k = round as u64 * step + dice.below(step);
    proxy.set(Mode::DropAfter(Way::Up, k as usize));
    let setup = setup(site, Some((postgres, port, &name)));
    let mut node = block_in_place(|| Mynah::launch(setup))?;
    let cut = async {
        while proxy.traffic().ended == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    // A node that has said all it had to say was not cut: it is killed all the same.
    drop(tokio::time::timeout(Duration::from_secs(3), cut).await);
    block_in_place(|| node.kill())?;
    proxy.set(Mode::Pass);
    block_in_place(|| node.restart())?;
    serves(&node).await?;
    drop(node);
    block_in_place(|| postgres.query(&format!("DROP DATABASE {name} WITH (FORCE)")))?;
    Ok(())
}

async fn two_at_once(site: &Site) -> Result<()> {
    let postgres = site.database.as_ref().context("no database")?;
    block_in_place(|| postgres.query("CREATE DATABASE twice"))?;
    let setup = setup(site, Some((postgres, postgres.port(), "twice")));
    let (mut one, mut two) =
        block_in_place(|| anyhow::Ok((Mynah::launch(setup.clone())?, Mynah::launch(setup)?)))?;
    block_in_place(|| one.wait_ready().and_then(|()| two.wait_ready()))?;
    serves(&one).await?;
    serves(&two).await?;
    drop((one, two));
    block_in_place(|| postgres.query("DROP DATABASE twice WITH (FORCE)"))?;
    Ok(())
}

/// Makes a room and sends a message.
async fn serves(node: &Mynah) -> Result<()> {
    let mut http = Http::new(local(node.port()), &token::sign("serves"));
    let body = json!({ "name": "after", "kind": "channel", "visibility": "public" }).to_string();
    let room = http.call("POST", "/v1/rooms", Some(body), CALL_LIMIT).await?.ok("a room")?;
    let id = room.get("id").and_then(serde_json::Value::as_str).context("no id")?;
    let path = format!("/v1/rooms/{id}/messages");
    let body = json!({ "content": "hello" }).to_string();
    http.call("POST", &path, Some(body), CALL_LIMIT).await?.ok("a message")?;
    Ok(())
}

/// F22.
pub(crate) async fn newer(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let mut outcome = Outcome::without_load();
    let is_postgres = plan.setup.store == StoreKind::Postgres;
    if is_postgres {
        let postgres = site.database.as_ref().context("no database")?;
        block_in_place(|| postgres.query("CREATE DATABASE future"))?;
    }
    let postgres = site.database.as_ref().filter(|_| is_postgres);
    let setup = setup(site, postgres.map(|postgres| (postgres, postgres.port(), "future")));
    let mut node = block_in_place(|| Mynah::start(setup.clone()))?;
    serves(&node).await?;
    block_in_place(|| node.kill())?;
    let base = Base { postgres, folder: node.data_dir() };
    block_in_place(|| base.run(if is_postgres { FUTURE } else { FUTURE_FILE }))?;
    let before = block_in_place(|| base.content())?;
    let lines = node.log().len();
    block_in_place(|| node.relaunch())?;
    outcome.faults += 1;
    let status = block_in_place(|| node.wait(Duration::from_secs(30)))?;
    let said = node.log().get(lines..).unwrap_or_default().trim().to_owned();
    let refused = status.is_some_and(|status| !status.success());
    outcome.checks.push(Check::must(
        "the older program refuses to start",
        refused,
        format!("{status:?}"),
    ));
    let is_clear = said.lines().any(|line| {
        let line = line.to_lowercase();
        line.contains("9999") || line.contains("newer")
    });
    outcome.checks.push(Check::must("it says why", is_clear, said));
    block_in_place(|| node.kill())?;
    let after = block_in_place(|| base.content())?;
    outcome.checks.push(Check::must("it writes nothing", before == after, String::new()));
    drop(node);
    if let Some(postgres) = base.postgres {
        block_in_place(|| postgres.query("DROP DATABASE future WITH (FORCE)"))?;
    }
    Ok(outcome)
}

const FUTURE: &str = "INSERT INTO migrations (version, name, checksum) \
                      SELECT 9999, '9999_future', checksum FROM migrations LIMIT 1";
/// SQLite keeps the number in the head of the file.
const FUTURE_FILE: &str = "PRAGMA user_version = 9999";
const TABLES: &str = "SELECT 'migrations', count(*), max(version) FROM migrations \
                      UNION ALL SELECT 'events', count(*), max(pos) FROM events \
                      UNION ALL SELECT 'rooms', count(*), max(id) FROM rooms \
                      UNION ALL SELECT 'users', count(*), max(id) FROM users \
                      UNION ALL SELECT 'messages', count(*), max(number) FROM messages ORDER BY 1";

/// A database, reached beside Mynah.
struct Base<'a> {
    postgres: Option<&'a Postgres>,
    folder: PathBuf,
}

impl Base<'_> {
    fn run(&self, sql: &str) -> Result<String> {
        match self.postgres {
            Some(postgres) => in_postgres(postgres, "future", sql),
            None => in_file(&self.folder, sql),
        }
    }

    fn content(&self) -> Result<String> {
        self.run(TABLES)
    }
}

/// Runs SQL on Mynah's tables in a database.
pub(crate) fn in_postgres(postgres: &Postgres, name: &str, sql: &str) -> Result<String> {
    Ok(postgres.query_in(name, &format!("SET search_path TO mynah, public; {sql}"))?)
}

/// Runs SQL on the SQLite file in a data folder.
pub(crate) fn in_file(folder: &std::path::Path, sql: &str) -> Result<String> {
    let mut files = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let file = files.find(|path| path.extension().is_some_and(|end| end == "sqlite3"));
    let file = file.with_context(|| format!("no database in {}", folder.display()))?;
    let output = Command::new("sqlite3")
        .args(["-cmd", ".timeout 10000"])
        .arg(file)
        .arg(sql)
        .output()
        .context("sqlite3 is missing")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
