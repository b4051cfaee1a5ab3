//! The commands of the program, one file each.
use crate::Failure;
use clap::{Parser, Subcommand};
use std::fmt;
use std::io::{ErrorKind, Write};

/// Prints a line to standard output.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::print_line(format_args!($($text)*))
    };
}

mod bench;
mod build;
mod calibrate;
mod check;
mod cite;
mod convert;
mod eval;
mod gate;
mod model;
mod output;
mod relax;
mod resume;
mod run;
mod schema;
mod structures;

/// Molecular dynamics and Monte Carlo from an input file.
///
/// Exit status: 0 done; 2 the input is wrong; 3 the simulation failed; 1 anything else.
#[derive(Debug, Parser)]
#[command(name = "caloron", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run all stages of an input file
    Run(run::Arguments),
    /// Write the structure that the `[system]` of an input file makes
    Build(build::Arguments),
    /// Do everything but run: parse, build, test the potential's physics, forecast memory and time
    Check(check::Arguments),
    /// Continue a stopped or crashed run, to exactly the result of an uninterrupted one
    Resume(resume::Arguments),
    /// Energy, forces and stress of every structure in a file
    Eval(eval::Arguments),
    /// Minimise the energy of every structure in a file
    Relax(relax::Arguments),
    /// Time an input without writing files; one line of JSON on standard output
    Bench(bench::Arguments),
    /// Convert a structure or trajectory between formats
    Convert(convert::Arguments),
    /// Describe trained models, and convert them to Caloron's own form
    Model(model::Arguments),
    /// Print the JSON schema of input files
    Schema(schema::Arguments),
    /// Print what to cite for the methods an input uses
    Cite(cite::Arguments),
}

/// Parses the arguments of the process and runs the command.
///
/// # Errors
/// The failure that the process reports; clap ends the process itself for wrong arguments (status 2).
pub fn main() -> Result<(), Failure> {
    match Arguments::parse().command {
        Command::Run(a) => run::execute(&a),
        Command::Build(a) => build::execute(&a),
        Command::Check(a) => check::execute(&a),
        Command::Resume(a) => resume::execute(&a),
        Command::Eval(a) => eval::execute(&a),
        Command::Relax(a) => relax::execute(&a),
        Command::Bench(a) => bench::execute(&a),
        Command::Convert(a) => convert::execute(&a),
        Command::Model(a) => model::execute(&a),
        Command::Schema(a) => schema::execute(&a),
        Command::Cite(a) => cite::execute(&a),
    }
}

/// The option that sets the number of threads.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Threads {
    /// Number of threads; all cores when not given. The results have the same bits for any number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Threads {
    /// Sets the size of the thread pool; `otherwise` is what the input file asks for.
    pub(crate) fn apply(self, otherwise: Option<usize>) -> Result<usize, Failure> {
        let n = self.threads.map(usize::from).or(otherwise).unwrap_or(0);
        rayon::ThreadPoolBuilder::new()
            .num_threads(n)
            .stack_size(16 << 20)
            .build_global()
            .map_err(|e| Failure::other(format!("cannot start {n} threads: {e}")))?;
        Ok(rayon::current_num_threads())
    }
}

/// Does work on a thread of the pool. Parallel loops started there need no thread to be woken for the loop itself,
/// which a step of a small system would feel.
pub(crate) fn in_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| work())
}

/// See [`say`]. Where nobody reads any more (`caloron cite | head -1`), the program is done.
fn print_line(text: fmt::Arguments<'_>) {
    if let Err(e) = writeln!(std::io::stdout().lock(), "{text}") {
        if e.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("error: writing to standard output: {e}");
        std::process::exit(1);
    }
}
