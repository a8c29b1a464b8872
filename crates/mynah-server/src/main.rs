//! The binary `mynah`: a chat backend for Socket.IO and REST clients.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mynah_server::app_command::{self, AppCommand};
use mynah_server::backup_command::{self, Progress};
use mynah_server::config::{self, Config, Loaded, LogFormat};
use mynah_server::doctor::{self, DoctorOptions, Report};
use mynah_server::pusher::webhooks::command::{self as webhook_command, WebhookCommand};
use mynah_server::{serve, wiring};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A chat backend in one binary, for the front ends you already have.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// Configuration file; without it, `mynah.toml` is read when it exists.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve {
        /// Port to listen on (default 4000).
        #[arg(long)]
        port: Option<u16>,
        /// Folder for database and generated secrets (default ./data).
        #[arg(long)]
        data_dir: Option<PathBuf>,
    },
    /// Manage apps: what Pusher clients and back ends sign in to.
    App {
        /// Folder of the database (default ./data).
        #[arg(long, global = true)]
        data_dir: Option<PathBuf>,
        #[command(subcommand)]
        what: AppCommand,
    },
    /// Deal with webhooks that were given up, also while the server runs.
    Webhook {
        /// Folder of the database (default ./data).
        #[arg(long, global = true)]
        data_dir: Option<PathBuf>,
        #[command(subcommand)]
        what: WebhookCommand,
    },
    /// Copy the SQLite database to a file, also while the server runs.
    Backup {
        /// File to write; it is there when it is whole and checked.
        #[arg(long)]
        to: PathBuf,
        /// Replace the file if it exists.
        #[arg(long)]
        force: bool,
        /// Folder of the database (default ./data).
        #[arg(long)]
        data_dir: Option<PathBuf>,
    },
    /// Put a backup in the place of the SQLite database; the server must not run.
    Restore {
        /// The backup.
        #[arg(long)]
        from: PathBuf,
        /// Folder of the database (default ./data).
        #[arg(long)]
        data_dir: Option<PathBuf>,
    },
    /// Look at everything the server stands on, and say what to do.
    Doctor {
        /// The address that clients use, e.g. `https://chat.example.com`: shows what a proxy lets through.
        #[arg(long)]
        url: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Leave out what takes long.
        #[arg(long)]
        quick: bool,
        /// Only ask the server on this machine whether it takes traffic; says nothing when it does.
        #[arg(long, conflicts_with_all = ["url", "json"])]
        health: bool,
        /// Folder of the database (default ./data).
        #[arg(long)]
        data_dir: Option<PathBuf>,
    },
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say whether the server would start, and why not.
    Check,
    /// Print the effective configuration, secrets hidden.
    Print,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("mynah: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let loaded = config::load(cli.config.as_deref(), &config::environment())?;
    let mut config = loaded.config;
    match cli.command {
        Command::Serve { port, data_dir } => {
            config.server.port = port.unwrap_or(config.server.port);
            config.server.data_dir = data_dir.unwrap_or(config.server.data_dir);
            start_log(&config)?;
            for remark in loaded.remarks {
                tracing::warn!("{remark}");
            }
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(serve::serve(config))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::App { data_dir, what } => {
            config.server.data_dir = data_dir.unwrap_or(config.server.data_dir);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let outcome = runtime.block_on(app_command::run(what, &config))?;
            show(&outcome.text);
            Ok(if outcome.is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Webhook { data_dir, what } => {
            let data_dir = data_dir.unwrap_or(config.server.data_dir);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            show(&runtime.block_on(webhook_command::run(&data_dir, what))?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor { url, json, quick, health, data_dir } => {
            let loaded = doctor::with_data_dir(Loaded { config, ..loaded }, data_dir);
            let options = DoctorOptions { url, quick };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(examine(&loaded, &options, (json, health)))
        }
        Command::Backup { to, force, data_dir } => {
            backup_command::check(&config)?;
            let data_dir = data_dir.unwrap_or(config.server.data_dir);
            show(&backup_command::back_up(&data_dir, &to, force, &mut Progress::new(say))?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Restore { from, data_dir } => {
            backup_command::check(&config)?;
            let data_dir = data_dir.unwrap_or(config.server.data_dir);
            show(&backup_command::restore(&from, &data_dir, &mut Progress::new(say))?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Config { what: ConfigCommand::Print } => {
            show(&toml::to_string_pretty(&config)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Config { what: ConfigCommand::Check } => {
            for remark in &loaded.remarks {
                say(remark);
            }
            Ok(check(&config))
        }
    }
}

async fn examine(
    loaded: &Loaded,
    options: &DoctorOptions,
    (json, health): (bool, bool),
) -> anyhow::Result<ExitCode> {
    if health {
        doctor::health(&loaded.config).await.map_err(anyhow::Error::msg)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut report = Report::new((!json).then_some(|line| show(&format!("{line}\n"))));
    doctor::run(loaded, options, &mut report).await;
    if json {
        show(&format!("{}\n", report.json()?));
    }
    Ok(if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says everything that forbids a start.
fn check(config: &Config) -> ExitCode {
    let problems = config.problems();
    for problem in &problems {
        say(&format!("{} {}", problem.entry, problem.text));
    }
    let vocabularies = wiring::dialects(config);
    if let Err(error) = &vocabularies {
        say(&format!("{error:#}"));
    }
    let broker = wiring::check_broker(config);
    if let Err(error) = &broker
        && problems.is_empty()
    {
        say(&format!("{error:#}"));
    }
    if problems.is_empty() && vocabularies.is_ok() && broker.is_ok() {
        show("the configuration is fine\n");
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    let directives = config.log.level.split(',').map(str::trim).filter(|text| !text.is_empty());
    let filter: Targets = directives.collect::<Vec<_>>().join(",").parse()?;
    let colours = std::io::stderr().is_terminal();
    let log = fmt::layer().with_ansi(colours).with_writer(std::io::stderr);
    let log = match config.log.format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().boxed(),
    };
    tracing_subscriber::registry().with(log).with(filter).init();
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's result")]
fn show(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "the command's failure, before there is a log")]
fn say(text: &str) {
    eprintln!("{text}");
}
