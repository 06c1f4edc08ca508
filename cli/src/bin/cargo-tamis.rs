//! The command `cargo tamis`: cargo passes its own name of the subcommand first, which is dropped here.
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().collect();
    if args.get(1).is_some_and(|a| a == "tamis") {
        args.remove(1);
    }
    tamis_cli::main(args)
}
