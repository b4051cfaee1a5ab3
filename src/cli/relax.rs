//! `caloron relax STRUCTURES --potential FILE.toml`
use super::Threads;
use super::structures::{Item, Structures, too_close};
use crate::{Failure, frames};
use caloron_engine::minimize::{CellSpec, DeformSpec, MethodSpec, MinimizeSpec, relax};
use caloron_engine::quantity::{Dimension, Force, Pressure};
use caloron_engine::{Properties, Quantity, UnitSystem};
use caloron_io::{Frame, Value};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Structures to relax, or a folder of them
    structures: PathBuf,
    /// File with the `[[potential]]` tables of an input file
    #[arg(long, short, value_name = "FILE.toml")]
    potential: PathBuf,
    /// Relax the cell too
    #[arg(long)]
    cell: bool,
    /// What of the cell may change
    #[arg(long, value_enum, default_value_t = Deform::Full, requires = "cell")]
    deform: Deform,
    /// Pressure to relax to: eV/Å³, or with a unit such as "1 GPa"
    #[arg(long, default_value = "0", requires = "cell", allow_hyphen_values = true)]
    pressure: String,
    /// Done when no atom feels a larger force: eV/Å, or with a unit
    #[arg(long, default_value = "0.01")]
    fmax: String,
    /// Done when no stress component differs more from the target: eV/Å³, or with a unit
    #[arg(long, requires = "cell")]
    smax: Option<String>,
    /// Algorithm
    #[arg(long, value_enum, default_value_t = Method::Lbfgs)]
    method: Method,
    /// Largest number of iterations
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    steps: u64,
    /// Write the relaxed structures with energy, forces and stress
    #[arg(long, short, value_name = "OUT.extxyz")]
    output: Option<PathBuf>,
    /// Replace an existing output file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    threads: Threads,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Method {
    Lbfgs,
    Fire,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Deform {
    Full,
    Isotropic,
    Lengths,
}

/// A number in internal units, or a quantity with its unit.
fn quantity<D: Dimension>(text: &str, option: &str) -> Result<Quantity<D>, Failure> {
    match text.trim().parse::<f64>() {
        Ok(x) if x.is_finite() => Ok(Quantity::new(x)),
        _ => text.parse().map_err(|e| Failure::input(format!("--{option}: {e}"))),
    }
}

struct Relaxed {
    frame: Frame,
    line: String,
    warning: Option<String>,
    converged: bool,
}

pub(super) fn execute(a: &Arguments) -> Result<(), Failure> {
    a.threads.apply(None)?;
    let cell = CellSpec {
        pressure: Some(quantity::<Pressure>(&a.pressure, "pressure")?),
        smax: a.smax.as_deref().map(|s| quantity::<Pressure>(s, "smax")).transpose()?,
        deform: Some(match a.deform {
            Deform::Full => DeformSpec::Full,
            Deform::Isotropic => DeformSpec::Isotropic,
            Deform::Lengths => DeformSpec::Lengths,
        }),
    };
    let spec = MinimizeSpec {
        method: Some(match a.method {
            Method::Lbfgs => MethodSpec::Lbfgs,
            Method::Fire => MethodSpec::Fire,
        }),
        fmax: quantity::<Force>(&a.fmax, "fmax")?,
        steps: Some(a.steps),
        max_step: None,
        cell: a.cell.then_some(cell),
    };
    let mut structures = Structures::open(&a.structures, &a.potential)?;
    let units = structures.units();
    let mut results = structures.results(a.output.as_deref(), a.force, &a.potential)?;
    say!("{}{}", header(units), structures.file_heading());
    let mut unconverged = 0;
    let result = structures.for_each(
        |item| minimize(item, &spec),
        |done: Relaxed| {
            say!("{}", done.line);
            if let Some(warning) = &done.warning {
                eprintln!("warning: {warning}");
            }
            unconverged += u64::from(!done.converged);
            results.write(&done.frame)
        },
    );
    results.end(result)?;
    match unconverged {
        0 => Ok(()),
        n => Err(Failure::simulation(format!("{n} structures did not converge"))
            .hint("allow more iterations with `--steps`, or a larger `--fmax`")),
    }
}

fn header(units: UnitSystem) -> String {
    let (e, l, p) = (units.energy_label(), units.length_label(), units.pressure_label());
    format!(
        "{:>7} {:>8} {:>22} {:>14} {:>14} {:>14} {:>7} {:>7}  outcome",
        "frame",
        "atoms",
        format!("energy/{e}"),
        format!("fmax/{e}/{l}"),
        format!("smax/{p}"),
        format!("volume/{l}^3"),
        "steps",
        "evals"
    )
}

fn minimize(item: &mut Item<'_>, spec: &MinimizeSpec) -> Result<Relaxed, Failure> {
    let (units, index, label) = (item.units, item.index, item.label.clone());
    let system = item.system.clone();
    let end =
        relax(&system, item.state.clone(), item.evaluator, spec, units, |_| true).map_err(|e| match e {
            caloron_engine::minimize::RelaxError::Spec(e) => {
                let failure = Failure::input(format!("{label}: {}", e.message));
                match e.hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
            e => Failure::simulation(format!("{label}: {e}")),
        })?;
    let want = Properties::ENERGY
        | Properties::FORCES
        | item.evaluator.provides() & (Properties::VIRIAL | Properties::ATOM_ENERGIES | Properties::EXTRAS);
    let mut frame = item.result();
    let outputs = item
        .evaluator
        .ensure(&system, &end.state, want, want)
        .map_err(|e| Failure::simulation(format!("{label}: {e}")))?;
    let (step, time) = (frame.step, frame.time);
    frames::set_state(&mut frame, &end.state, false);
    (frame.step, frame.time, frame.velocities) = (step, time, None);
    frames::set_outputs(&mut frame, &end.state, outputs, true, want.contains(Properties::VIRIAL));
    frame.info.insert("converged", Value::Bool(end.converged));
    let cell = end.state.cell();
    let line = format!(
        "{index:>7} {:>8} {:>22.12} {:>14.6e} {:>14} {:>14} {:>7} {:>7}  {:?}{}",
        system.len(),
        end.energy,
        end.fmax,
        spec.cell.as_ref().map_or("-".to_owned(), |_| format!("{:.6e}", end.smax / units.pressure())),
        if cell.is_fully_periodic() { format!("{:.6}", cell.volume()) } else { "-".to_owned() },
        end.steps,
        end.evaluations,
        end.outcome,
        item.file_column()
    );
    let warning = too_close(&system, item.evaluator, &end.state).map(|w| format!("{label}, relaxed: {w}"));
    Ok(Relaxed { frame, line, warning, converged: end.converged })
}
