//! `caloron check INPUT.toml`
use super::{Threads, in_pool};
use crate::input::{InputFile, OutputPlan, Plan};
use crate::run::{self, StageRun, clock, short};
use crate::{Failure, frames};
use caloron_engine::units::FEMTOSECOND;
use caloron_engine::{EngineError, Flow, Simulation, Stage, State, System, UnitSystem};
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

/// Wall time spent on timing steps, of all stages together.
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
    let timings = time(&mut simulation, &mut stages)?;
    forecast(&simulation, &stages, &timings);
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

/// How fast a stage goes.
struct Timing {
    /// Steps per second.
    rate: f64,
    /// Why it is not a measurement of this stage.
    reason: Option<&'static str>,
}

/// The rate of every stage, from a few steps of each, one after the other, on a copy of the state.
fn time(simulation: &mut Simulation, stages: &mut [StageRun]) -> Result<Vec<Timing>, Failure> {
    let mut timings: Vec<Timing> = Vec::new();
    let share = TIMING / stages.len().max(1) as u32;
    for (k, run) in stages.iter_mut().enumerate() {
        let before = simulation.state.clone();
        (simulation.stage, simulation.stage_step) = (k, 0);
        match rate(simulation, &mut run.stage, share) {
            Ok(rate) => timings.push(Timing { rate, reason: None }),
            // the stages before were cut short: a structure that they did not relax is not what this one will begin with
            Err(EngineError::Diverged { .. }) if k > 0 => {
                simulation.state = before;
                let rate = timings.last().map_or(0.0, |t| t.rate);
                let reason = "as the stage before, which was too short here for this one to begin";
                timings.push(Timing { rate, reason: Some(reason) });
            }
            Err(e) => return Err(run::simulation_failure(&e)),
        }
    }
    Ok(timings)
}

/// Steps per second of a stage: at least one step, which is not the first unless that ends the stage.
fn rate(simulation: &mut Simulation, stage: &mut Stage, share: Duration) -> Result<f64, EngineError> {
    simulation.open(stage, &mut [])?;
    let mut start = Instant::now();
    let mut flow = simulation.step(stage, &mut [])?;
    let mut steps = 1u64;
    if flow == Flow::Continue && stage.steps > 1 {
        (start, steps) = (Instant::now(), 0);
    }
    while flow == Flow::Continue
        && simulation.stage_step < stage.steps
        && (steps == 0 || start.elapsed() < share)
    {
        flow = simulation.step(stage, &mut [])?;
        steps += 1;
    }
    Ok(steps as f64 / start.elapsed().as_secs_f64().max(1e-9))
}

fn forecast(simulation: &Simulation, stages: &[StageRun], timings: &[Timing]) {
    say!("forecast, from a few steps of every stage");
    let atoms = simulation.system.len() as f64;
    let mut total = 0.0;
    for (s, t) in stages.iter().zip(timings) {
        let seconds = if t.rate > 0.0 { s.stage.steps as f64 / t.rate } else { 0.0 };
        total += seconds;
        let most = if s.stage.sampler.minimization().is_some() { "at most " } else { "" };
        let what = if most.is_empty() { "steps" } else { "iterations" };
        let reason = t.reason.map_or(String::new(), |r| format!(" ({r})"));
        say!(
            "  {:<12} {} {what}/s, {} atom-{what}/s, {most}{}{reason}",
            s.stage.name,
            short(t.rate),
            short(t.rate * atoms),
            clock(seconds)
        );
    }
    say!("  all stages   {}", clock(total));
    for list in simulation.evaluator.lists() {
        let (backend, reason) = list.backend();
        say!("  neighbours   {backend:?} ({reason})");
    }
    if let Some(bytes) = run::peak_memory() {
        say!(
            "  memory       {} MB, the most that this check held: the gate and these steps",
            bytes / 1_000_000
        );
    }
}

/// What will be written, with sizes from frames that are really encoded.
fn files(output: &OutputPlan, stages: &[StageRun], system: &System, state: &State, units: UnitSystem) {
    say!("files, in the output directory");
    let lines_of = |s: &StageRun, every: u64| s.stage.steps.checked_div(every).unwrap_or(0);
    // an interval of 0 writes nothing in its stage; else the last frame is written in any case
    let frames_of = |s: &StageRun, every: u64| match every {
        0 => 0,
        every => s.stage.steps.div_ceil(every),
    };
    for t in &output.trajectories {
        let own = |s: &StageRun| s.output.trajectory_every.unwrap_or(t.every);
        let n = 1 + stages.iter().map(|s| frames_of(s, own(s))).sum::<u64>();
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
        let own = |s: &StageRun| s.output.thermo_every.unwrap_or(t.every);
        let n = 1 + stages.iter().map(|s| lines_of(s, own(s))).sum::<u64>();
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
