//! The `bundle` command.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use bundle::build::BuildError;
use bundle::cli::{Cli, Command, GlobalArgs, PlanArgs};
use bundle::error::{Failure, FileError};
use bundle::select::{Selection, select};
use bundle::settings::Workspace;
use bundle::ui::{Ui, report};
use bundle::{build, plan, platform};

fn main() -> ExitCode {
    let result = Cli::parse().with_environment().map_err(Failure::from).and_then(|cli| {
        let ui = Ui::new(cli.global.quiet, cli.global.verbose);
        match &cli.command {
            Command::Build(args) => build::run(&cli.global, args, ui).map(|()| ExitCode::SUCCESS),
            Command::Plan(args) => run_plan(&cli.global, args),
            Command::Platforms => Ok(print(&platforms()).map(|()| ExitCode::SUCCESS)?),
        }
    });
    result.unwrap_or_else(|failure| {
        report(&failure);
        ExitCode::from(failure.exit_status as u8)
    })
}

fn run_plan(global: &GlobalArgs, args: &PlanArgs) -> Result<ExitCode, Failure> {
    let workspace = Workspace::find(global.project.as_deref().unwrap_or(Path::new(".")), &args.selection)?;
    // Not needed, but wrong ones are better known early.
    workspace.mirrors(&global.mirrors)?;
    let unit = workspace.plan_unit(args)?;
    let roots: Vec<_> = unit.apps.iter().map(|app| app.roots.clone()).collect();
    let selections: Vec<Selection> =
        unit.targets.iter().map(|&target| select(&workspace.lock.lock, &roots, target)).collect::<Result<_, _>>()?;
    if args.json {
        let apps: Vec<&str> = unit.apps.iter().map(|app| app.name.as_str()).collect();
        print(&plan::json(&workspace.lock, &apps, &selections))?;
    } else {
        for selection in &selections {
            print(&plan::table(selection))?;
        }
    }
    let unfit: Vec<_> = selections.into_iter().filter_map(|selection| selection.misfits).collect();
    if unfit.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(BuildError::unfit(&unfit).into())
}

fn platforms() -> String {
    let listed = platform::listed();
    let width = listed.iter().map(|(platform, _)| platform.to_string().len()).max().unwrap_or_default();
    let mut text = String::new();
    for (platform, meaning) in listed {
        let _ = writeln!(text, "{:width$}  {meaning}", platform.to_string());
    }
    let _ = writeln!(text, "{:width$}  this machine: its architecture and C library", "native");
    text
}

/// Prints to standard output. A reader that has gone away is no error; a full disk is.
fn print(text: &str) -> Result<(), FileError> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(FileError::during("write to standard output")(error))
        }
        _ => Ok(()),
    }
}
