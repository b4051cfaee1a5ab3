//! `caloron schema`
use crate::Failure;
use crate::input::Document;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

pub(super) fn execute(_: &Arguments) -> Result<(), Failure> {
    let schema = schemars::schema_for!(Document);
    let json = serde_json::to_string_pretty(&schema).map_err(|e| Failure::other(e.to_string()))?;
    println!("{json}");
    Ok(())
}
