//! `caloron schema`
use crate::Failure;
use crate::input;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

pub(super) fn execute(_: &Arguments) -> Result<(), Failure> {
    say!("{}", input::schema_text().trim_end());
    Ok(())
}
