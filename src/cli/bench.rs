//! `caloron bench INPUT.toml`
use super::{Threads, in_pool};
use crate::input::InputFile;
use crate::{Failure, run};
use caloron_engine::{Simulation, UnitSystem, units::FEMTOSECOND};
use caloron_potentials::simd::counted;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Input file; its first stage is timed
    input: PathBuf,
    /// Number of steps; those of the stage when not given
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    #[command(flatten)]
    threads: Threads,
}

#[derive(Debug, Serialize)]
struct Line {
    program: &'static str,
    version: &'static str,
    atoms: usize,
    steps: u64,
    threads: usize,
    loop_seconds: f64,
    atom_steps_per_second: f64,
    ns_per_day: Option<f64>,
    neighbor_builds: u64,
    neighbor_seconds: f64,
    peak_rss_bytes: Option<u64>,
    /// Of vector kernels, in a program that counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations_per_step: Option<f64>,
}

pub(super) fn execute(a: &Arguments) -> Result<(), Failure> {
    let file = InputFile::read(&a.input)?;
    let threads = a.threads.apply(file.document.threads)?;
    in_pool(|| time(&file, a.steps, threads))
}

fn time(file: &InputFile, steps: Option<u64>, threads: usize) -> Result<(), Failure> {
    let plan = file.build()?;
    let Some(first) = plan.stages.into_iter().next() else {
        return Err(Failure::input("the input has no stage to time"));
    };
    let mut stage = first.into_stage();
    stage.steps = steps.unwrap_or(stage.steps);
    let mut simulation =
        Simulation::new(plan.system, plan.state, plan.evaluator, plan.seed).guarded(plan.guard);
    let failed = |e| run::simulation_failure(&e);
    // the first evaluation, with the first neighbour list, is set-up
    simulation.open(&mut stage, &mut []).map_err(failed)?;
    let (builds, search) = neighbor_work(&simulation);
    let operations = counted();
    let start = Instant::now();
    for _ in 0..stage.steps {
        simulation.step(&mut stage, &mut []).map_err(failed)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let (builds_after, search_after) = neighbor_work(&simulation);
    let dt = stage.sampler.time_step().filter(|_| plan.units == UnitSystem::Physical);
    let line = Line {
        program: "caloron",
        version: env!("CARGO_PKG_VERSION"),
        atoms: simulation.system.len(),
        steps: stage.steps,
        threads,
        loop_seconds: seconds,
        atom_steps_per_second: simulation.system.len() as f64 * stage.steps as f64 / seconds,
        ns_per_day: dt.map(|dt| stage.steps as f64 * dt / FEMTOSECOND * 1e-6 / seconds * 86400.0),
        neighbor_builds: builds_after - builds,
        neighbor_seconds: search_after - search,
        peak_rss_bytes: run::peak_memory(),
        operations_per_step: operations
            .zip(counted())
            .map(|(before, after)| (after - before) as f64 / stage.steps as f64),
    };
    let json = serde_json::to_string(&line).map_err(|e| Failure::other(e.to_string()))?;
    say!("{json}");
    Ok(())
}

/// Builds of all neighbour lists so far and the seconds they took.
fn neighbor_work(simulation: &Simulation) -> (u64, f64) {
    let lists = simulation.evaluator.lists();
    (lists.iter().map(|l| l.builds()).sum(), lists.iter().map(|l| l.build_seconds()).sum())
}
