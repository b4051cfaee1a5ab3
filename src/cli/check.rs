//! `caloron check INPUT.toml`
use super::{Threads, in_pool};
use crate::input::{InputFile, OutputPlan, Plan};
use crate::run::{self, StageRun, clock, short};
use crate::{Failure, frames};
use caloron_engine::units::FEMTOSECOND;
use caloron_engine::{Simulation, State, System, UnitSystem};
use caloron_io::WriteOptions;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Input file
    input: PathBuf,
    /// Leave out the physics gate
    #[arg(long)]
    no_gate: bool,
    #[command(flatten)]
    threads: Threads,
}

/// Wall time spent on timing steps.
const TIMING: Duration = Duration::from_millis(1500);

pub(super) fn execute(a: &Arguments) -> Result<(), Failure> {
    let file = InputFile::read(&a.input)?;
    let threads = a.threads.apply(file.document.threads)?;
    in_pool(|| check(&file, threads, !a.no_gate))
}

fn check(file: &InputFile, threads: usize, gated: bool) -> Result<(), Failure> {
    let mut plan = file.build()?;
    describe(&plan, threads);
    for warning in &plan.warnings {
        say!("  warning: {warning}");
    }
    let gate = if gated { super::gate::run(&mut plan) } else { Ok(()) };
    let output = plan.output.clone();
    let units = plan.units;
    let (system, state) = (plan.system.clone(), plan.state.clone());
    let mut stages: Vec<StageRun> = Vec::new();
    let mut simulation =
        Simulation::new(plan.system, plan.state, plan.evaluator, plan.seed).guarded(plan.guard);
    stages.extend(plan.stages.into_iter().map(StageRun::from));
    let rate = time(&mut simulation, &mut stages)?;
    forecast(&simulation, &stages, rate);
    files(&output, &stages, &system, &state, units);
    gate
}

fn describe(plan: &Plan, threads: usize) {
    say!("{}", plan.title.as_deref().unwrap_or("untitled"));
    say!("  units        {}", plan.units.name());
    say!("  seed         {}", plan.seed);
    say!("  threads      {threads}");
    say!("  atoms        {}", plan.system.len());
    for (k, s) in plan.system.species().iter().enumerate() {
        let n = plan.system.types().iter().filter(|t| usize::from(**t) == k).count();
        say!("    {:<10} {n} atoms, mass {}", s.symbol, s.mass);
    }
    if plan.system.fixed() > 0 {
        say!("    fixed      {} atoms", plan.system.fixed());
    }
    if plan.system.constraints() > 0 {
        let k = plan.system.solver().kinds();
        say!(
            "    tied       {} degrees of freedom: {} rigid three-site molecules, {} small and {} large clusters, {} rigid bodies",
            plan.system.constraints(),
            k.waters,
            k.small,
            k.large,
            k.bodies
        );
    }
    for (name, atoms) in plan.system.groups() {
        say!("    group      `{name}`, {} atoms", atoms.len());
    }
    say!("  cell         {}", run::cell_text(plan.state.cell(), plan.units));
    for (name, p) in plan.potentials.iter().zip(plan.evaluator.potentials()) {
        match p.cutoff() {
            Some(c) => say!("  potential    {name}, cutoff {c} {}", plan.units.length_label()),
            None => say!("  potential    {name}"),
        }
        p.describe().iter().for_each(|line| say!("    {line}"));
    }
    for (k, stage) in plan.stages.iter().enumerate() {
        let mut text = format!("{}, {} ({})", stage.name, stage.ensemble.name, stage.sampler.notation());
        text += &format!(", {} steps", stage.steps);
        if let Some(dt) = stage.sampler.time_step() {
            let (unit, label) = match plan.units {
                UnitSystem::Physical => (FEMTOSECOND, "fs"),
                UnitSystem::Lj => (1.0, "tau"),
            };
            text += &format!(
                " of {:.6} {label}, {:.6} {} in all",
                dt / unit,
                dt * stage.steps as f64 / plan.units.time(),
                plan.units.time_label()
            );
        }
        say!("  stage {}      {text}", k + 1);
    }
    for note in &plan.notes {
        say!("  note: {note}");
    }
}

/// Steps per second of the first stage, from a short run on a copy of the state.
fn time(simulation: &mut Simulation, stages: &mut [StageRun]) -> Result<f64, Failure> {
    let Some(first) = stages.first_mut() else { return Ok(0.0) };
    let stage = &mut first.stage;
    let failed = |e| run::simulation_failure(&e);
    simulation.open(stage, &mut []).map_err(failed)?;
    simulation.step(stage, &mut []).map_err(failed)?;
    let start = Instant::now();
    let mut steps = 0u64;
    while start.elapsed() < TIMING && steps < stage.steps {
        simulation.step(stage, &mut []).map_err(failed)?;
        steps += 1;
    }
    Ok(steps.max(1) as f64 / start.elapsed().as_secs_f64())
}

fn forecast(simulation: &Simulation, stages: &[StageRun], rate: f64) {
    say!("forecast, from a short run of the first stage");
    let atoms = simulation.system.len() as f64;
    say!("  rate         {} steps/s, {} atom-steps/s", short(rate), short(rate * atoms));
    let mut total = 0.0;
    for s in stages {
        let seconds = s.stage.steps as f64 / rate;
        total += seconds;
        let most = if s.stage.sampler.minimization().is_some() { "at most " } else { "" };
        say!("  {:<12} {most}{}", s.stage.name, clock(seconds));
    }
    say!("  all stages   {}", clock(total));
    for list in simulation.evaluator.lists() {
        let (backend, reason) = list.backend();
        say!("  neighbours   {backend:?} ({reason})");
    }
    if let Some(bytes) = run::peak_memory() {
        say!("  memory       {} MB", bytes / 1_000_000);
    }
}

/// What will be written, with sizes from frames that are really encoded.
fn files(output: &OutputPlan, stages: &[StageRun], system: &System, state: &State, units: UnitSystem) {
    say!("files, in the output directory");
    let frames_of = |every: u64, change: fn(&StageRun) -> Option<u64>| -> u64 {
        // an interval of 0 writes nothing in its stage
        let each = stages.iter().filter_map(|s| s.stage.steps.checked_div(change(s).unwrap_or(every)));
        1 + each.sum::<u64>()
    };
    for t in &output.trajectories {
        let n = frames_of(t.every, |s| s.output.trajectory_every);
        let mut frame = frames::template(system);
        frames::set_state(&mut frame, state, t.wrap);
        if t.velocities {
            frames::set_velocities(&mut frame, state);
        }
        if t.forces {
            frame.forces = Some(state.velocities().to_vec());
        }
        let size = frame_size(&frame, t.format, units)
            .map_or("size unknown".to_owned(), |b| format!("{} MB", short(b as f64 * n as f64 / 1e6)));
        say!("  {:<20} {}, {n} frames, {size}", t.file.display(), t.format);
    }
    if let Some(t) = &output.thermo {
        let n = frames_of(t.every, |s| s.output.thermo_every);
        say!("  {:<20} {n} lines", t.file.display());
    }
    let checkpoint = 48.0 * system.len() as f64 * 1.5 / 1e6;
    say!(
        "  {:<20} {} of about {} MB, every {}",
        "*.checkpoint",
        output.checkpoints_kept,
        short(checkpoint),
        clock(output.checkpoint_every.as_secs_f64())
    );
    say!("  {:<20} verdict of every stage", "verdict.json");
    say!("  {:<20} copy of the input and where it came from", "input.toml run.json");
    say!("  {:<20} what is printed", output.log.display());
}

/// Bytes of one frame: two are written into a temporary file and the first is taken off.
fn frame_size(frame: &caloron_io::Frame, format: caloron_io::Format, units: UnitSystem) -> Option<u64> {
    let extension = format.extensions().first()?;
    let path = std::env::temp_dir().join(format!("caloron-check-{}.{extension}", std::process::id()));
    let options = WriteOptions { units, ..WriteOptions::default() };
    let measure = || -> Result<u64, caloron_io::IoError> {
        let mut writer = caloron_io::create(&path, format, &options)?;
        writer.write(frame)?;
        let one = writer.sync()?.bytes;
        writer.write(frame)?;
        Ok(writer.sync()?.bytes - one)
    };
    let size = measure().ok();
    let _ = std::fs::remove_file(&path);
    size
}
