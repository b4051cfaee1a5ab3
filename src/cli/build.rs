//! `caloron build INPUT.toml -o OUT`
use super::{Threads, in_pool, output};
use crate::input::{InputFile, hashed};
use crate::provenance::{Origin, sha256};
use crate::{Failure, frames, run};
use caloron_engine::UnitSystem;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Input file; its `[system]` is enough
    input: PathBuf,
    /// File to write; the format follows from its name
    #[arg(long, short, value_name = "OUT.extxyz")]
    output: PathBuf,
    /// Move atoms into the cell, molecules as a whole
    #[arg(long)]
    wrap: bool,
    /// Replace an existing output file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    threads: Threads,
}

pub(super) fn execute(a: &Arguments) -> Result<(), Failure> {
    let file = InputFile::read(&a.input)?;
    a.threads.apply(file.document.threads)?;
    in_pool(|| build(&file, a))
}

fn build(file: &InputFile, a: &Arguments) -> Result<(), Failure> {
    let units = UnitSystem::from(file.document.units);
    let start = file.build_system()?;
    let (system, state) = (&start.system, &start.state);
    let mut frame = frames::template(system);
    frames::set_names(&mut frame, system);
    frames::set_state(&mut frame, state, false);
    (frame.step, frame.time) = (None, None);
    if a.wrap {
        frames::wrap(&mut frame, system);
    }
    if state.velocities().iter().any(|v| v.norm_squared() > 0.0) {
        frames::set_velocities(&mut frame, state);
    }
    let inputs = start.files.iter().chain([&a.input]).map(PathBuf::as_path);
    let mut written = output::Structures::create(&a.output, a.force, inputs, units)?;
    written.write(&frame, || {
        let files = hashed(start.files.clone()).map_err(|e| Failure::input(e.message))?;
        let origin = Origin {
            title: file.document.title.as_deref().unwrap_or_default(),
            input: Some(&a.input),
            input_sha256: &sha256(file.source.text().as_bytes()),
            seed: Some(file.document.seed.unwrap_or(0)),
            units: units.name(),
            files: &files,
            ..Origin::default()
        };
        Ok(origin.pairs())
    })?;
    written.complete()?;
    say!("atoms    {}", system.len());
    for (k, s) in system.species().iter().enumerate() {
        let n = system.types().iter().filter(|t| usize::from(**t) == k).count();
        say!("  {:<6} {n}", s.symbol);
    }
    say!("cell     {}", run::cell_text(state.cell(), units));
    for (name, count) in &start.molecules {
        say!("molecule {name:<8} {count}");
    }
    for note in &start.notes {
        say!("note: {note}");
    }
    for warning in &start.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(())
}
