//! The command line as it is typed: parsed here, made sense of in `settings`.

#![expect(clippy::doc_markdown, reason = "the comments are the text of `--help`, which is not Markdown")]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::error::{Diagnose, ExitStatus};
use crate::packaging::{ExtraName, GroupName, PackageName};

const EXIT_STATUSES: &str = "\
Exit status:
  0  done
  2  the command line cannot be understood
  3  the project, its configuration or its lock cannot be used
  4  nothing in the lock fits the target
  5  the network failed, or was needed with --offline
  6  bytes are not what they were promised to be
  7  local code could not be built
  8  the file system refused";

/// Turn a locked Python project into one executable file per app.
#[derive(Debug, Parser)]
#[command(name = "bundle", version, after_help = EXIT_STATUSES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// The project: a directory with `pyproject.toml`, or one below it [env: BUNDLE_PROJECT] [default: .]
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Where downloads and built wheels are kept [env: BUNDLE_CACHE_DIR] [default: $XDG_CACHE_HOME/bundle-build or
    /// ~/.cache/bundle-build]
    #[arg(long, global = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Use only what is in the cache [env: BUNDLE_OFFLINE]
    #[arg(long, global = true)]
    pub offline: bool,
    /// Give up on a server that sends nothing for so long [env: BUNDLE_HTTP_TIMEOUT] [default: 30]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub http_timeout: Option<u64>,
    /// Ask the URL TO for whatever is below the URL FROM; TO may be a directory, file:///DIR; may be repeated; the
    /// longest FROM wins [env: BUNDLE_MIRROR, separated by commas]
    #[arg(long = "mirror", global = true, value_name = "FROM=TO")]
    pub mirrors: Vec<String>,
    /// Print nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say what is decided and why
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an executable file per app
    Build(BuildArgs),
    /// Show what would be packed and why, without downloading anything
    Plan(PlanArgs),
    /// List the platforms that can be built for
    Platforms,
}

/// Which apps, and for what.
#[derive(Debug, Args)]
pub struct SelectionArgs {
    /// Apps of `[tool.bundle.apps]`, or workspace members [default: `build` takes every configured app, else the
    /// project; `plan` takes the project; several are planned together, as in one file]
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,
    /// The lock to read, under any name [env: BUNDLE_LOCK] [default: the one beside the project, or beside the
    /// workspace that it is a member of]
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// Use the lock as it is, even if it does not match `pyproject.toml` any more [env: BUNDLE_FROZEN]
    #[arg(long)]
    pub frozen: bool,
    /// Platform to build for, e.g. x86_64-manylinux2014; may be repeated; see `bundle platforms`
    /// [env: BUNDLE_PLATFORM, separated by commas]
    #[arg(long = "platform", value_name = "PLATFORM", value_delimiter = ',')]
    pub platforms: Vec<String>,
    /// Python to build for: 3.11 stands for every 3.11.z, 3.11.9 for exactly that, 3.13t for free-threaded
    /// [env: BUNDLE_PYTHON_VERSION]
    #[arg(long, value_name = "VERSION")]
    pub python: Option<String>,
    /// Pack this project of the lock; may be repeated
    #[arg(long = "package", value_name = "NAME")]
    pub packages: Vec<PackageName>,
    /// Pack every member of the workspace
    #[arg(long, conflicts_with = "packages")]
    pub all_packages: bool,
    /// Include an optional dependency of the projects; may be repeated
    #[arg(long = "extra", value_name = "NAME")]
    pub extras: Vec<ExtraName>,
    /// Include all their optional dependencies
    #[arg(long, conflicts_with = "extras")]
    pub all_extras: bool,
    /// Include a dependency group of the projects; may be repeated
    #[arg(long = "group", value_name = "NAME")]
    pub groups: Vec<GroupName>,
    /// Include the groups that `uv sync` installs by default
    #[arg(long)]
    pub default_groups: bool,
    /// Include all dependency groups
    #[arg(long, conflicts_with = "groups")]
    pub all_groups: bool,
}

/// Arguments of `bundle build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Which apps, and for what.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// The file to write [default: dist/APP, with several platforms dist/APP-PLATFORM]; with several apps,
    /// one file that holds them all
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Start this console script of any packed distribution
    #[arg(long, value_name = "NAME", group = "entry")]
    pub script: Option<String>,
    /// Start by calling this function
    #[arg(long, value_name = "MODULE:ATTRIBUTE", group = "entry")]
    pub entry_point: Option<String>,
    /// Start this module, as `python -m` does
    #[arg(long, value_name = "MODULE", group = "entry")]
    pub module: Option<String>,
    /// Downloads at once [env: BUNDLE_JOBS] [default: 16]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// Let packages overwrite each other's files whose path in the artifact matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub allow_overwrite: Vec<String>,
}

/// Arguments of `bundle plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Which apps, and for what.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Print one JSON document instead of a table
    #[arg(long)]
    pub json: bool,
}

/// A `BUNDLE_…` variable with a value that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` is `{value}`, expected {expected}")]
pub struct VariableError {
    name: &'static str,
    value: String,
    expected: &'static str,
}

impl Diagnose for VariableError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(format!("correct it, or unset it: `env -u {} bundle …`", self.name))
    }
}

impl Cli {
    /// Fills what the command line leaves open from `BUNDLE_…` variables; an empty one counts as unset.
    pub fn with_environment(mut self) -> Result<Self, VariableError> {
        let global = &mut self.global;
        global.project = global.project.take().or_else(|| variable_os("BUNDLE_PROJECT").map(PathBuf::from));
        global.cache_dir = global.cache_dir.take().or_else(|| variable_os("BUNDLE_CACHE_DIR").map(PathBuf::from));
        global.offline |= switch("BUNDLE_OFFLINE");
        global.http_timeout = match global.http_timeout {
            None => number("BUNDLE_HTTP_TIMEOUT", 1..=u64::MAX, "a number of seconds")?,
            given => given,
        };
        let selection = match &mut self.command {
            Command::Build(args) => {
                if args.jobs.is_none() {
                    let jobs = number("BUNDLE_JOBS", 1..=256, "a number from 1 to 256")?;
                    args.jobs = jobs.and_then(|jobs| u16::try_from(jobs).ok());
                }
                &mut args.selection
            }
            Command::Plan(args) => &mut args.selection,
            Command::Platforms => return Ok(self),
        };
        if selection.platforms.is_empty() {
            let listed = variable("BUNDLE_PLATFORM").unwrap_or_default();
            selection.platforms =
                listed.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        }
        selection.python = selection.python.take().or_else(|| variable("BUNDLE_PYTHON_VERSION"));
        selection.lock = selection.lock.take().or_else(|| variable_os("BUNDLE_LOCK").map(PathBuf::from));
        selection.frozen |= switch("BUNDLE_FROZEN");
        Ok(self)
    }
}

fn variable_os(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn variable(name: &str) -> Option<String> {
    variable_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Whether a variable is set to anything but a word for no.
fn switch(name: &str) -> bool {
    variable(name).is_some_and(|value| !["0", "false", "no", "off"].iter().any(|no| value.eq_ignore_ascii_case(no)))
}

fn number(
    name: &'static str,
    range: std::ops::RangeInclusive<u64>,
    expected: &'static str,
) -> Result<Option<u64>, VariableError> {
    let Some(value) = variable(name) else { return Ok(None) };
    match value.parse() {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => Err(VariableError { name, value, expected }),
    }
}
