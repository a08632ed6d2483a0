//! The `bundle` command.

use std::io::Write as _;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Parser as _;

use bundle::cli::{Cli, Command, GlobalArgs, PlanArgs};
use bundle::error::{ExitStatus, Failure};
use bundle::select::{Selection, select};
use bundle::settings::Workspace;
use bundle::{plan, platform};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Build(_) => todo!(),
        Command::Plan(args) => run_plan(&cli.global, args),
        Command::Platforms => {
            print_platforms();
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|failure| {
        report(&failure);
        ExitCode::from(failure.exit_status as u8)
    })
}

fn run_plan(global: &GlobalArgs, args: &PlanArgs) -> Result<ExitCode, Failure> {
    let workspace = Workspace::find(&global.project)?;
    let unit = workspace.plan_unit(args)?;
    let roots: Vec<_> = unit.apps.iter().map(|app| app.roots.clone()).collect();
    let selections: Vec<Selection> = unit
        .targets
        .iter()
        .map(|&target| select(&workspace.lock.lock, &roots, target))
        .collect::<Result<_, _>>()?;
    if args.json {
        let apps: Vec<&str> = unit.apps.iter().map(|app| app.name.as_str()).collect();
        print(&plan::json(&workspace.lock, &apps, &selections));
    } else {
        for selection in &selections {
            print(&plan::table(selection));
        }
    }
    let fits = selections.iter().all(|selection| selection.problems.is_empty());
    Ok(if fits { ExitCode::SUCCESS } else { ExitCode::from(ExitStatus::Unfit as u8) })
}

fn print_platforms() {}

fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn report(failure: &Failure) {
    eprintln!("error: {failure}");
    for cause in failure.causes() {
        eprintln!("  caused by: {cause}");
    }
    if let Some(hint) = &failure.hint {
        eprintln!("hint: {hint}");
    }
}
