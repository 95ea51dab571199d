//! The command line: one file per command, over control's functions. The only place that prints.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line prints")]

mod apply;
mod asking;
mod backtest;
mod burst;
mod context;
mod demo;
mod doctor;
mod explain;
mod history;
mod init;
mod local;
mod outcome;
mod pause;
mod plan;
mod progress;
mod replay;
mod resume;
mod run;
mod schema;
mod signals;
mod status;
mod validate;
mod worker;

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::telemetry::{self, LogForm};

/// Exit code of a failure.
const FAILURE: u8 = 1;
/// Exit code, with `--detailed-exitcode`, of a plan that has changes.
const CHANGES: u8 = 2;
/// Exit code of a command line that cannot be understood (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

/// GitOps for scale: a git repository declares services, replicas and policy; merging deploys.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// How log lines look: text on a terminal, JSON elsewhere, unless given.
    #[arg(
        long,
        global = true,
        value_enum,
        env = "TIDEGATE_LOG_FORMAT",
        hide_env_values = true,
        help_heading = "Logging"
    )]
    log_format: Option<LogFormat>,
    /// What is logged, in the form of RUST_LOG: `info`, `debug`, `tidegate::git=debug`.
    #[arg(
        long,
        global = true,
        env = "TIDEGATE_LOG",
        hide_env_values = true,
        help_heading = "Logging"
    )]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a spec and show every finding at once.
    Validate(validate::ValidateArgs),
    /// Show what applying the spec would do. Changes nothing.
    Plan(plan::PlanArgs),
    /// Apply the spec once, publish the outcome, and exit.
    Apply(apply::ApplyArgs),
    /// Run the controller: poll, plan, apply and record until stopped.
    Run(run::RunArgs),
    /// Show what the status branch says.
    Status(status::StatusArgs),
    /// Raise the least count of a service for a time, or end that before its time.
    Burst(burst::BurstArgs),
    /// Let nothing change the count of a service for a time.
    Pause(pause::PauseArgs),
    /// End the pauses of a service before their time.
    Resume(resume::ResumeArgs),
    /// Show what changed, what did not, and why.
    History(history::HistoryArgs),
    /// Say why the count of a service is what it is: sentences, then every stage of deciding.
    Explain(explain::ExplainArgs),
    /// Make recorded decisions again, and show any that comes out otherwise.
    Replay(replay::ReplayArgs),
    /// Try a policy on recorded signals, before it is merged. Changes nothing.
    ///
    /// Recorded signals are replayed through the policy of a service with the controller's own decision
    /// code, whether or not the policy is in force. A file has rows of `epoch_seconds,value`: what was
    /// measured over the step that ends at the stamp. A value is held until the next row is missed. Signals
    /// are replayed as they were recorded (open loop): one that depends on the replicas, as a mean processor
    /// load does, shows the replicas of then; a load of requests does not, so its replay is exact.
    ///
    /// In place of files, --prometheus asks a metric source for the past, and --recorded reads what the
    /// controller recorded; a file given for a signal comes first.
    Backtest(Box<backtest::BacktestArgs>),
    /// Print a JSON Schema, for editors and other tools.
    Schema(schema::SchemaArgs),
    /// Check repository, providers, clock and permissions, and say what to do.
    Doctor(doctor::DoctorArgs),
    /// Write a commented starter spec and configuration.
    Init(init::InitArgs),
    /// See it work, with nothing installed: a spec repository, a controller and replicas in a temporary
    /// folder.
    Demo(demo::DemoArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Supervise one replica. Started by the process provider.
    #[command(hide = true)]
    Supervise {
        /// The replica's folder.
        folder: std::path::PathBuf,
    },
    /// A small HTTP worker to try things with.
    #[command(hide = true)]
    Worker(worker::WorkerArgs),
}

/// Which form a result is printed in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For a page.
    Markdown,
}

/// The configuration file.
#[derive(Debug, Clone, Args)]
struct ConfigArg {
    /// The controller's configuration.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "tidegate.yaml",
        env = "TIDEGATE_CONFIG",
        hide_env_values = true
    )]
    config: std::path::PathBuf,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_asked_for = !error.use_stderr();
            // The terminal may be gone; there is nobody left to tell.
            let _printed = error.print();
            return if is_asked_for { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    // A supervisor has no terminal and no logs of its own.
    if let Command::Supervise { folder } = &cli.command {
        return crate::providers::process::supervisor::run(folder);
    }
    let form = match cli.log_format {
        Some(LogFormat::Text) => LogForm::Text,
        Some(LogFormat::Json) => LogForm::Json,
        None if context::is_terminal() => LogForm::Text,
        None => LogForm::Json,
    };
    let default = match cli.command {
        Command::Run(_) => "tidegate=info,warn",
        // Where nobody watches the progress, every action is logged.
        Command::Apply(_) if !context::is_terminal() => "tidegate=info,warn",
        // The demo tells its own story, in which a refusal is expected.
        Command::Demo(_) => "off",
        _ => "warn",
    };
    telemetry::start(form, cli.log.as_deref(), default);
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(FAILURE)
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Validate(args) => validate::validate(&args),
        Command::Plan(args) => context::block_on(plan::plan(args)),
        Command::Apply(args) => context::block_on(apply::apply(args)),
        Command::Run(args) => context::block_on(run::run(args)),
        Command::Status(args) => context::block_on(status::status(args)),
        Command::Burst(args) => burst::burst(args),
        Command::Pause(args) => pause::pause(args),
        Command::Resume(args) => resume::resume(args),
        Command::History(args) => history::history(args),
        Command::Explain(args) => context::block_on(explain::explain(args)),
        Command::Replay(args) => replay::replay(args),
        Command::Backtest(args) => context::block_on(backtest::backtest(args)),
        Command::Schema(args) => schema::schema(&args),
        Command::Doctor(args) => context::block_on(doctor::doctor(args)),
        Command::Init(args) => init::init(&args),
        Command::Demo(args) => context::block_on(demo::demo(args)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "tidegate", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Supervise { folder } => Ok(crate::providers::process::supervisor::run(&folder)),
        Command::Worker(args) => Ok(worker::worker(&args)),
    }
}

/// The reference of all commands and options, as one text: committed, and compared by a test.
#[must_use]
pub fn reference() -> String {
    fn add(out: &mut String, command: &mut clap::Command) {
        // Known once the command line was built: with the names of the commands above it.
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
        let _ = write!(out, "## {name}\n\n```text\n{}```\n\n", command.render_long_help());
        let subcommands: Vec<String> = command
            .get_subcommands()
            .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
            .map(|sub| sub.get_name().to_owned())
            .collect();
        for sub in subcommands {
            if let Some(sub) = command.find_subcommand_mut(&sub) {
                add(out, sub);
            }
        }
    }
    let mut out = String::from("# The command line\n\n");
    let mut command = Cli::command().term_width(100);
    command.build();
    add(&mut out, &mut command);
    out
}
