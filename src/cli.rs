//! The command line as it is typed: parsed here, made sense of in `settings`.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};

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
    /// The project: a directory with `pyproject.toml`, or one below it
    #[arg(long, global = true, value_name = "DIR", default_value = ".", env = "BUNDLE_PROJECT")]
    pub project: PathBuf,
    /// Where downloads and built wheels are kept [default: $XDG_CACHE_HOME/bundle-build or ~/.cache/bundle-build]
    #[arg(long, global = true, value_name = "DIR", env = "BUNDLE_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Use only what is in the cache
    #[arg(long, global = true, env = "BUNDLE_OFFLINE", value_parser = FalseyValueParser::new())]
    pub offline: bool,
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
    /// Apps of `[tool.bundle.apps]`, or workspace members [default: every configured app, else the project]
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,
    /// Platform to build for, e.g. x86_64-manylinux2014; may be repeated; see `bundle platforms`
    #[arg(long = "platform", value_name = "PLATFORM", env = "BUNDLE_PLATFORM", value_delimiter = ',')]
    pub platforms: Vec<String>,
    /// Python to build for: 3.11 stands for every 3.11.z, 3.11.9 for exactly that, 3.13t for free-threaded
    #[arg(long, value_name = "VERSION", env = "BUNDLE_PYTHON_VERSION")]
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
    /// The file to write [default: dist/<app>, with several platforms dist/<app>-<platform>]; with several apps,
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
    /// Downloads at once
    #[arg(short, long, value_name = "N", default_value = "16", env = "BUNDLE_JOBS",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
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
