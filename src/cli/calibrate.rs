//! `caloron model calibrate LABELLED --potential FILE.toml -o OUT.json`
use super::Threads;
use super::output::Output;
use super::structures::{Item, Structures};
use crate::Failure;
use crate::input::PotentialFile;
use caloron_engine::Properties;
use caloron_engine::watch::{ENERGY_SPREAD, FORCE_SPREAD};
use caloron_potentials::PotentialSpec;
use caloron_potentials::ml::committee::Calibration;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Structures with reference energies and forces that the members were not fitted to
    structures: PathBuf,
    /// File with a `[[potential]]` table that holds the committee
    #[arg(long, short, value_name = "FILE.toml")]
    potential: PathBuf,
    /// File to write; name it as `calibration` of the committee
    #[arg(long, short, value_name = "OUT.json")]
    output: PathBuf,
    /// Replace an existing output file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    threads: Threads,
}

/// Sums over a structure: squared errors and squared spreads of forces and of the energy for each atom.
struct Sums {
    atoms: usize,
    force: [f64; 2],
    energy: [f64; 2],
}

pub(super) fn execute(a: &Arguments) -> Result<(), Failure> {
    a.threads.apply(None)?;
    let members = members(&PotentialFile::read(&a.potential)?)?;
    let mut structures = Structures::open(&a.structures, &a.potential)?;
    let output = Output::new(&a.output, a.force, structures.files().chain([a.potential.as_path()]))?;
    let (mut force, mut energy) = ([0.0; 2], [0.0; 2]);
    let (mut count, mut atoms) = (0, 0);
    structures.for_each(compare, |s: Sums| {
        for k in 0..2 {
            force[k] += s.force[k];
            energy[k] += s.energy[k];
        }
        count += 1;
        atoms += s.atoms;
        Ok(())
    })?;
    let factor = |what: &str, [error, spread]: [f64; 2]| {
        if spread > 0.0 && error > 0.0 {
            return Ok((error / spread).sqrt());
        }
        Err(Failure::input(format!(
            "the errors or spreads of the {what} are all zero: there is nothing to compare"
        ))
        .hint("give structures with reference energies and forces, and members that differ"))
    };
    let calibration = Calibration {
        force_factor: factor("forces", force)?,
        energy_factor: factor("energies", energy)?,
        members,
        structures: count,
        atoms,
    };
    let text = serde_json::to_string_pretty(&calibration).map_err(|e| Failure::other(e.to_string()))?;
    output.write(&(text + "\n"))?;
    say!(
        "{count} structures, {atoms} atoms: spreads of forces times {:.4}, of energies times {:.4}",
        calibration.force_factor,
        calibration.energy_factor
    );
    Ok(())
}

/// Number of members of the one committee of a potential file, which must not be calibrated yet.
fn members(file: &PotentialFile) -> Result<usize, Failure> {
    let mut committees = file.document.potential.iter().filter_map(|t| match &t.term {
        PotentialSpec::Committee(c) => Some(c),
        _ => None,
    });
    let (Some(committee), None) = (committees.next(), committees.next()) else {
        return Err(Failure::input("the potential file must hold one committee")
            .hint("add a [[potential]] with a table [potential.committee]"));
    };
    if committee.calibration.is_some() {
        return Err(Failure::input("the committee is calibrated already")
            .hint("remove `calibration` from the potential file"));
    }
    Ok(committee.members.len())
}

fn compare(item: &mut Item<'_>) -> Result<Sums, Failure> {
    let label = item.label.clone();
    let missing = |what: &str| {
        Failure::input(format!("{label}: the structure has no reference {what}"))
            .hint("an extended XYZ file holds `energy=...` and a column `forces`")
    };
    let reference = item.frame.forces.as_ref().ok_or_else(|| missing("forces"))?;
    let energy = item.frame.energy.ok_or_else(|| missing("energy"))?;
    let want = Properties::ENERGY | Properties::FORCES | Properties::EXTRAS;
    let (system, state) = (item.system.clone(), item.state.clone());
    let outputs = item
        .evaluator
        .ensure(&system, &state, want, want)
        .map_err(|e| Failure::simulation(format!("{label}: {e}")))?;
    let extra = |name: &str| outputs.extras.iter().find(|e| e.spec.name == name).map(|e| &e.values[..]);
    let (Some(spread), Some(&[energy_spread])) = (extra(FORCE_SPREAD), extra(ENERGY_SPREAD)) else {
        return Err(Failure::other("the committee reports no spread"));
    };
    let atoms = system.len();
    let errors = outputs.forces.iter().zip(reference).map(|(f, r)| (f - r).norm_squared());
    let energy_error = (outputs.energy - energy) / atoms as f64;
    Ok(Sums {
        atoms,
        force: [errors.sum(), spread.iter().map(|s| s * s).sum()],
        energy: [energy_error * energy_error, energy_spread * energy_spread],
    })
}
