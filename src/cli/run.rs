//! `caloron run INPUT.toml`
use super::{Threads, in_pool};
use crate::Failure;
use crate::input::InputFile;
use crate::run::{Options, Session};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Input file
    input: PathBuf,
    /// Output directory; the name of the input without its extension when not given. Never overwritten.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print nothing but warnings, the verdict and errors
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    threads: Threads,
}

pub(super) fn execute(a: &Arguments) -> Result<(), Failure> {
    let file = InputFile::read(&a.input)?;
    let threads = a.threads.apply(file.document.threads)?;
    let directory = a.out.clone().unwrap_or_else(|| a.input.with_extension(""));
    let options = Options { quiet: a.quiet, threads };
    in_pool(|| Session::start(file.build()?, &directory, options)?.execute())
}
