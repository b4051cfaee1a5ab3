//! `caloron eval STRUCTURES --potential FILE.toml`
use super::Threads;
use super::structures::{Item, Structures, too_close};
use crate::{Failure, frames};
use caloron_engine::{Properties, UnitSystem};
use caloron_io::Frame;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Structures, trajectory, or a folder of them
    structures: PathBuf,
    /// File with the `[[potential]]` tables of an input file
    #[arg(long, short, value_name = "FILE.toml")]
    potential: PathBuf,
    /// Write every frame with its energy, forces, stress and energies of the atoms; numbers keep all their digits
    #[arg(long, short, value_name = "OUT.extxyz")]
    output: Option<PathBuf>,
    /// Replace an existing output file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    threads: Threads,
}

/// A frame with its results, and the line of the table.
struct Evaluated {
    frame: Frame,
    line: String,
    warning: Option<String>,
}

pub(super) fn execute(a: &Arguments) -> Result<(), Failure> {
    a.threads.apply(None)?;
    let mut structures = Structures::open(&a.structures, &a.potential)?;
    let units = structures.units();
    let mut results = structures.results(a.output.as_deref(), a.force, &a.potential)?;
    say!("{}{}", header(units), structures.file_heading());
    let result = structures.for_each(evaluate, |done: Evaluated| {
        say!("{}", done.line);
        if let Some(warning) = &done.warning {
            eprintln!("warning: {warning}");
        }
        results.write(&done.frame)
    });
    results.end(result)
}

fn header(units: UnitSystem) -> String {
    let (e, l, p) = (units.energy_label(), units.length_label(), units.pressure_label());
    format!(
        "{:>7} {:>8} {:>24} {:>24} {:>16} {:>18}",
        "frame",
        "atoms",
        format!("energy/{e}"),
        format!("energy/atom/{e}"),
        format!("fmax/{e}/{l}"),
        format!("pressure/{p}")
    )
}

fn evaluate(item: &mut Item<'_>) -> Result<Evaluated, Failure> {
    let units = item.units;
    let (system, state) = (item.system.clone(), item.state.clone());
    let want = Properties::ENERGY
        | Properties::FORCES
        | item.evaluator.provides() & (Properties::VIRIAL | Properties::ATOM_ENERGIES | Properties::EXTRAS);
    let mut frame = item.result();
    let outputs = item
        .evaluator
        .ensure(&system, &state, want, want)
        .map_err(|e| Failure::simulation(format!("{}: {e}", item.label)))?;
    let fmax = outputs.forces.iter().map(|f| f.norm()).fold(0.0, f64::max);
    let virial = want.contains(Properties::VIRIAL);
    frames::set_outputs(&mut frame, &state, outputs, true, virial);
    let pressure = (virial && state.cell().is_fully_periodic())
        .then(|| outputs.virial.trace() / (3.0 * state.cell().volume()) / units.pressure());
    let line = format!(
        "{:>7} {:>8} {:>24} {:>24} {:>16.8} {:>18}{}",
        item.index,
        system.len(),
        format!("{:?}", outputs.energy),
        format!("{:.15}", outputs.energy / system.len() as f64),
        fmax,
        pressure.map_or("-".to_owned(), |p| format!("{p:.8}")),
        item.file_column()
    );
    let warning = too_close(&system, item.evaluator, &state).map(|w| format!("{}: {w}", item.label));
    Ok(Evaluated { frame, line, warning })
}
