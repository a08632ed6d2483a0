//! The `bundle` command.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use bundle::build::BuildError;
use bundle::cli::{Cli, Command, GlobalArgs, PlanArgs};
use bundle::error::{ExitStatus, Failure};
use bundle::select::{Selection, select};
use bundle::settings::Workspace;
use bundle::ui::{Ui, report};
use bundle::{build, plan, platform};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(cli.global.quiet, cli.global.verbose);
    let result = match &cli.command {
        Command::Build(args) => build::run(&cli.global, args, ui).map(|()| ExitCode::SUCCESS),
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
    let selections: Vec<Selection> =
        unit.targets.iter().map(|&target| select(&workspace.lock.lock, &roots, target)).collect::<Result<_, _>>()?;
    if args.json {
        let apps: Vec<&str> = unit.apps.iter().map(|app| app.name.as_str()).collect();
        print(&plan::json(&workspace.lock, &apps, &selections));
    } else {
        for selection in &selections {
            print(&plan::table(selection));
        }
    }
    for selection in selections.iter().filter(|selection| !selection.problems.is_empty()) {
        report(&BuildError::unfit([selection]).into());
    }
    let fits = selections.iter().all(|selection| selection.problems.is_empty());
    Ok(if fits { ExitCode::SUCCESS } else { ExitCode::from(ExitStatus::Unfit as u8) })
}

fn print_platforms() {
    let listed = platform::listed();
    let width = listed.iter().map(|(platform, _)| platform.to_string().len()).max().unwrap_or_default();
    for (platform, meaning) in listed {
        print(&format!("{:width$}  {meaning}\n", platform.to_string()));
    }
    print(&format!("{:width$}  this machine: its architecture and C library\n", "native"));
}

/// A reader that has gone away is no error.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
