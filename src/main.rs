//! The command line program: parses arguments, runs one command, reports failures with their exit status.
use std::process::ExitCode;

fn main() -> ExitCode {
    match caloron::cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.status())
        }
    }
}
