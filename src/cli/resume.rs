//! `caloron resume DIR`
use super::{Threads, in_pool};
use crate::Failure;
use crate::run::{Options, Session};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Output directory of the run
    directory: PathBuf,
    /// Print nothing but warnings, the verdict and errors
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    threads: Threads,
}

pub(super) fn execute(a: &Arguments) -> Result<(), Failure> {
    let threads = a.threads.apply(None)?;
    let options = Options { quiet: a.quiet, threads };
    in_pool(|| Session::resume(&a.directory, options)?.execute())
}
