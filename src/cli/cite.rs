//! `caloron cite INPUT.toml`
use crate::Failure;
use crate::input::InputFile;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Input file
    input: PathBuf,
}

pub(super) fn execute(a: &Arguments) -> Result<(), Failure> {
    let plan = InputFile::read(&a.input)?.build()?;
    say!("Caloron {} (this program)", env!("CARGO_PKG_VERSION"));
    for citation in plan.citations {
        say!("{citation}");
    }
    Ok(())
}
