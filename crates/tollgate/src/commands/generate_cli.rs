//! The command line of `generate`, `apply-plan` and `day-one`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgGroup, Command};

/// The three commands.
pub(crate) fn commands() -> Vec<Command> {
    let generate = making(Command::new("generate"))
        .about("Makes a starter app from a description; on an app that exists it writes only a plan")
        .arg(Arg::new("project").value_name("PROJECT").help("Its name: a directory below the root"))
        .arg(switch("example", "Prints a working description"))
        .arg(switch("autogenerate", "Prints the migrations and the commands it would come to, and does nothing else"));
    let apply = Command::new("apply-plan")
        .about("Shows the plan of an app, or carries it out; whole or not at all")
        .args_conflicts_with_subcommands(true)
        .arg(root().global(true))
        .arg(Arg::new("project").value_name("PROJECT").help("The app"))
        .arg(switch("dry-run", "Touches nothing (the default); exit code 2 with changes, 3 with conflicts"))
        .arg(switch("apply", "Writes; a conflict stays as it is, with the new text beside it"))
        .arg(switch("undo", "Takes the last change back"))
        .group(ArgGroup::new("what").args(["dry-run", "apply", "undo"]))
        .subcommand(resolve());
    let day_one = making(Command::new("day-one"))
        .about("Makes an app, runs its tests and shows how it would be deployed")
        .arg(Arg::new("project").value_name("PROJECT").required(true).help("Its name"));
    vec![generate, apply, day_one]
}

fn resolve() -> Command {
    Command::new("resolve")
        .about("Decides a conflict")
        .arg(Arg::new("project").value_name("PROJECT").required(true).help("The app"))
        .arg(Arg::new("conflict").value_name("CONFLICT").required(true).help("c1, or the path"))
        .arg(switch("ours", "Your file stays"))
        .arg(switch("theirs", "The new text takes its place"))
        .arg(switch("markers", "Both go into the file, between markers"))
        .arg(switch("merged", "The file is right as it is now"))
        .group(ArgGroup::new("how").args(["ours", "theirs", "markers", "merged"]).required(true))
}

fn making(command: Command) -> Command {
    let path = || clap::value_parser!(PathBuf);
    command
        .arg(Arg::new("spec").long("spec").value_name("FILE").value_parser(path()).help("The description"))
        .arg(Arg::new("template").long("template").value_name("NAME").help("rust-axum (the default) or py-fastapi"))
        .arg(root())
}

fn root() -> Arg {
    let help = "Where the apps are [default: production_projects]";
    Arg::new("root").long("root").value_name("DIR").value_parser(clap::value_parser!(PathBuf)).help(help)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}
