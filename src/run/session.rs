//! A run from its first step, or from a checkpoint, to its verdict.
use super::checkpoint::{CheckpointError, Store};
use super::directory::{self, Lock, Record};
use super::guard::{Guard, OutsideDomain};
use super::place::Rescue;
use super::report::Report;
use super::stage::StageRun;
use super::terminal::Terminal;
use super::thermo::Thermo;
use super::trajectory::{Trajectories, Trajectory};
use super::{Options, signals, simulation_failure};
use crate::failure::chain;
use crate::input::{InputFile, Plan, Source};
use crate::{Failure, frames};
use caloron_engine::error::BoxError;
use caloron_engine::minimize::Outcome;
use caloron_engine::watch::{Watch, has_committee};
use caloron_engine::{Archive, EngineError, Flow, Observer, Properties, Simulation, UnitSystem, guard};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A run with everything it writes.
pub struct Session {
    simulation: Simulation,
    stages: Vec<StageRun>,
    units: UnitSystem,
    outputs: Outputs,
    directory: PathBuf,
    store: Store,
    checkpoint_every: Duration,
    checkpoint_steps: Option<u64>,
    last_checkpoint: Instant,
    /// True when a file could not be written after the present step: its frame is still to be shown.
    unseen: bool,
    /// Held while the run goes.
    _lock: Lock,
}

/// The observers of a run.
struct Outputs {
    thermo: Option<Thermo>,
    trajectories: Trajectories,
    report: Report,
    terminal: Terminal,
    guard: Option<Guard>,
}

impl Outputs {
    fn observers(&mut self) -> [&mut dyn Observer; 5] {
        [&mut self.thermo, &mut self.trajectories, &mut self.report, &mut self.terminal, &mut self.guard]
    }
    /// Shows what the guard has to say.
    fn warn(&mut self) {
        for message in self.guard.iter_mut().flat_map(Guard::take_messages) {
            self.terminal.warn(&message);
        }
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), BoxError> {
        archive.section("outputs")?;
        self.observers().into_iter().try_for_each(|o| o.archive(archive))
    }
    fn finish(&mut self) -> Result<(), BoxError> {
        self.observers().into_iter().try_for_each(Observer::finish)
    }
}

/// How a stage ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Interrupted,
}

impl Session {
    /// A new run in a new output directory.
    ///
    /// # Errors
    /// When the directory exists or a file cannot be created.
    pub fn start(plan: Plan, directory: &Path, options: Options) -> Result<Self, Failure> {
        let record = Record::of(&plan)?;
        let lock = directory::create(directory, &plan.provenance.input, &record)?;
        let mut session = Self::assemble(plan, directory, &record, options, false, lock)?;
        // before the first step, so that a run that is killed at any moment can be resumed
        session.checkpoint()?;
        Ok(session)
    }

    /// The run of an output directory, at its newest usable checkpoint.
    ///
    /// # Errors
    /// When there is none, or the input or a file it names was changed.
    pub fn resume(directory: &Path, options: Options) -> Result<Self, Failure> {
        let (text, record, lock) = directory::open(directory)?;
        let source = Source::new(record.input.display().to_string(), text);
        let home = record.input.parent().unwrap_or(Path::new("")).to_owned();
        let plan = InputFile::parse(source, home)?.build()?;
        let store = Store::new(directory, plan.output.checkpoints_kept);
        let (payload, file, damaged) = store.newest().map_err(|e| checkpoint_failure(&e))?;
        for message in damaged {
            eprintln!("warning: {message}; using the one before");
        }
        let mut session = Self::assemble(plan, directory, &record, options, true, lock)?;
        session.archive(&mut Archive::reader(payload)).map_err(|e| {
            Failure::other(format!("cannot resume from `{}`: {}", file.display(), chain(e.as_ref())))
        })?;
        if session.simulation.stage >= session.stages.len() {
            session.outputs.terminal.report(&format!(
                "`{}` is complete: {} stages, {} steps; nothing is left to do",
                directory.display(),
                session.stages.len(),
                session.simulation.state.step
            ));
            return Ok(session);
        }
        session.outputs.terminal.print(&format!(
            "resuming `{}` at step {} (stage {} of {})",
            directory.display(),
            session.simulation.state.step,
            session.simulation.stage + 1,
            session.stages.len(),
        ));
        Ok(session)
    }

    fn assemble(
        plan: Plan,
        directory: &Path,
        record: &Record,
        options: Options,
        reopen: bool,
        lock: Lock,
    ) -> Result<Self, Failure> {
        let failed = |e: BoxError| Failure::other(chain(e.as_ref()));
        let committee = has_committee(&plan.evaluator);
        let log = directory.join(&plan.output.log);
        let terminal = Terminal::new(plan.units, options.quiet, committee, &log)
            .map_err(|e| Failure::other(format!("cannot write the log: {e}")))?;
        if !reopen {
            terminal.banner(&plan, options.threads);
        }
        for warning in &plan.warnings {
            terminal.warn(warning);
        }
        let thermo = match &plan.output.thermo {
            None => None,
            Some(t) => {
                let open = if reopen { Thermo::reopen } else { Thermo::create };
                Some(open(&directory.join(&t.file), t.every, &t.columns, plan.units).map_err(failed)?)
            }
        };
        let mut trajectories = Trajectories::default();
        for t in &plan.output.trajectories {
            let mut one = Trajectory::new(t, directory, record, plan.units, &plan.system);
            if !reopen {
                one.create().map_err(failed)?;
            }
            trajectories.0.push(one);
        }
        let watch = Watch::new(plan.watch, &plan.system, &plan.evaluator, plan.units);
        let guard = watch.map(|w| Guard::new(w, directory, record, plan.units, &plan.system));
        let grid = plan.output.thermo.as_ref().map_or(20, |t| t.every);
        let simulation =
            Simulation::new(plan.system, plan.state, plan.evaluator, plan.seed).guarded(plan.guard);
        let report = Report::new(directory, plan.units, plan.verdict, grid, &simulation);
        Ok(Self {
            outputs: Outputs { thermo, trajectories, report, terminal, guard },
            store: Store::new(directory, plan.output.checkpoints_kept),
            checkpoint_every: plan.output.checkpoint_every,
            checkpoint_steps: plan.output.checkpoint_steps,
            last_checkpoint: Instant::now(),
            unseen: false,
            simulation,
            stages: plan.stages.into_iter().map(StageRun::from).collect(),
            units: plan.units,
            directory: directory.to_owned(),
            _lock: lock,
        })
    }

    /// Runs what is left of all stages.
    ///
    /// # Errors
    /// When the simulation diverges, a file cannot be written, or the verdict of a stage is a failure.
    pub fn execute(mut self) -> Result<(), Failure> {
        signals::listen();
        if self.simulation.stage >= self.stages.len() {
            return Ok(());
        }
        while self.simulation.stage < self.stages.len() {
            if self.run_stage()? == End::Interrupted {
                return Err(self.interrupted());
            }
        }
        self.outputs.finish().map_err(|e| Failure::other(chain(e.as_ref())))?;
        self.checkpoint()?;
        let shown = self.directory.display();
        self.outputs.terminal.print(&format!("\nfiles are in `{shown}`"));
        Ok(())
    }

    fn run_stage(&mut self) -> Result<End, Failure> {
        let k = self.simulation.stage;
        let end = self.drive(k);
        self.outputs.terminal.end();
        if end? == End::Interrupted {
            return Ok(End::Interrupted);
        }
        let Outputs { report, terminal, guard, .. } = &mut self.outputs;
        for line in guard.iter().flat_map(Guard::summary) {
            terminal.report(&line);
        }
        report.end_stage(&self.simulation, &self.stages[k], terminal)?;
        self.simulation.stage += 1;
        self.simulation.stage_step = 0;
        self.checkpoint()?;
        Ok(End::Complete)
    }

    /// Steps through a stage until it is done or the user asks to stop.
    fn drive(&mut self, k: usize) -> Result<End, Failure> {
        let plan = &mut self.stages[k];
        let origin = self.simulation.state.step - self.simulation.stage_step;
        if let Some(thermo) = &mut self.outputs.thermo {
            thermo.set_stage(plan.output.thermo_every, origin);
        }
        self.outputs.trajectories.set_stage(plan.output.trajectory_every, origin);
        self.outputs.report.set_stage(origin, &plan.ensemble);
        self.outputs.terminal.begin(plan, k, &self.simulation);
        if let Some(guard) = &mut self.outputs.guard {
            guard.begin_stage(plan.stage.sampler.time_step().is_some(), self.simulation.stage_step > 0);
        }
        if self.simulation.stage_step == 0 {
            self.outputs.report.begin_stage();
            // files hold the start of the run once; later stages begin where the one before ended
            let mut all = self.outputs.observers();
            let watching = if k == 0 { &mut all[..] } else { &mut all[2..] };
            let opened = self.simulation.open(&mut plan.stage, watching);
            self.outputs.warn();
            opened.map_err(|e| self.failure(&e))?;
        }
        let mut flow = Flow::Continue;
        if std::mem::take(&mut self.unseen) {
            let shown = self.simulation.show_again(&mut self.stages[k].stage, &mut self.outputs.observers());
            self.outputs.warn();
            flow = shown.map_err(|e| self.failed_step(&e))?;
        }
        // a minimisation that ended before a restart has no further step
        let ended =
            |s: &StageRun| s.stage.sampler.minimization().is_some_and(|m| m.outcome != Outcome::Running);
        while flow == Flow::Continue
            && self.simulation.stage_step < self.stages[k].stage.steps
            && !ended(&self.stages[k])
        {
            let step = self.simulation.step(&mut self.stages[k].stage, &mut self.outputs.observers());
            self.outputs.warn();
            flow = step.map_err(|e| self.failed_step(&e))?;
            self.outputs.terminal.tick(&self.simulation);
            let stop = signals::stop_requested();
            if stop || self.checkpoint_due() {
                self.checkpoint()?;
            }
            if stop {
                return Ok(End::Interrupted);
            }
        }
        if let Some(mut closing) = self.outputs.trajectories.closing(self.simulation.state.step) {
            let closed = self.simulation.close(&mut self.stages[k].stage, &mut [&mut closing]);
            closed.map_err(|e| self.failure(&e))?;
        }
        Ok(End::Complete)
    }

    fn checkpoint_due(&self) -> bool {
        let step = self.simulation.state.step;
        self.checkpoint_steps.is_some_and(|n| step.is_multiple_of(n))
            || self.last_checkpoint.elapsed() >= self.checkpoint_every
    }

    /// Brings all files to disk and writes a checkpoint that goes with them.
    fn checkpoint(&mut self) -> Result<(), Failure> {
        let mut archive = Archive::writer();
        let saved = self.archive(&mut archive).map_err(|e| chain(e.as_ref())).and_then(|()| {
            let saved = self.store.save(self.simulation.state.step, &archive.into_bytes());
            saved.map_err(|e| chain(&e))
        });
        if let Err(message) = saved {
            self.rescue(None);
            return Err(Failure::other(message).hint(self.usable()));
        }
        self.last_checkpoint = Instant::now();
        Ok(())
    }

    /// Tries to save the present step although an output file cannot be written: what could not be written goes into the
    /// checkpoint. `again` is the step whose frame not all files have.
    fn rescue(&mut self, again: Option<u64>) {
        self.set_rescue(Some(Rescue { again }));
        self.unseen = again.is_some();
        let mut archive = Archive::writer();
        let archived = self.archive(&mut archive).map_err(|e| chain(e.as_ref()));
        let step = self.simulation.state.step;
        let saved = archived
            .and_then(|()| self.store.save_instead(step, &archive.into_bytes()).map_err(|e| chain(&e)));
        if let Err(message) = saved {
            eprintln!("warning: step {step} could not be saved: {message}");
        }
        self.unseen = false;
        self.set_rescue(None);
    }
    fn set_rescue(&mut self, rescue: Option<Rescue>) {
        let Outputs { thermo, trajectories, .. } = &mut self.outputs;
        trajectories.set_rescue(rescue);
        thermo.iter_mut().for_each(|t| t.set_rescue(rescue));
    }

    /// Which checkpoint a run that failed goes on from, and how.
    fn usable(&self) -> String {
        let newest = self.store.list().ok().and_then(|all| all.into_iter().next());
        let Some((step, _)) = newest else { return "there is no checkpoint: start the run anew".to_owned() };
        let shown = self.directory.display();
        let lost = self.simulation.state.step.saturating_sub(step);
        let again = if lost == 0 { String::new() } else { format!("; {lost} steps are computed again") };
        format!("the checkpoint of step {step} is usable: `caloron resume {shown}` continues from it{again}")
    }

    /// A step failed. If it is complete and only a file could not be written, it is saved.
    fn failed_step(&mut self, error: &EngineError) -> Failure {
        // the table and the trajectories come first: the other observers have not seen the frame yet
        if let EngineError::Observer { step, name, .. } = error
            && matches!(name.as_str(), "thermo" | "trajectory")
        {
            self.rescue(Some(*step));
        }
        self.failure(error)
    }

    /// Saves or restores everything the rest of the run depends on.
    fn archive(&mut self, archive: &mut Archive) -> Result<(), BoxError> {
        archive.section("caloron run")?;
        archive.bool(&mut self.unseen)?;
        self.simulation.archive(archive)?;
        if let Some(plan) = self.stages.get_mut(self.simulation.stage) {
            archive.section(&plan.stage.name)?;
            plan.stage.sampler.archive(archive)?;
        }
        self.outputs.archive(archive)
    }

    fn interrupted(&self) -> Failure {
        let step = self.simulation.state.step;
        Failure::other(format!("stopped by the user at step {step}; a checkpoint was written"))
            .hint(format!("`caloron resume {}` continues exactly where it stopped", self.directory.display()))
    }

    /// What a failed step means for the user. A divergence is described, with the last good and the bad structure
    /// written beside the other files.
    fn failure(&mut self, error: &EngineError) -> Failure {
        // what was written so far stays readable; the checkpoint before is the one to go back to
        let _ = self.outputs.finish();
        if let EngineError::Observer { source, .. } = error
            && let Some(outside) = source.downcast_ref::<OutsideDomain>()
        {
            return Failure::simulation(format!("the potential is used outside of its domain\n{outside}"))
                .hint(format!(
                    "the frame is in `{}`; `[guard.learned]` says what stops a run",
                    outside.frames.display()
                ));
        }
        let EngineError::Diverged { cause, .. } = error else {
            return simulation_failure(error).hint(self.usable());
        };
        let dt = self.stages[self.simulation.stage].stage.sampler.time_step();
        let Simulation { system, state, evaluator, .. } = &mut self.simulation;
        let outputs = evaluator.ensure(system, state, Properties::FORCES, Properties::empty()).ok();
        let text = guard::describe(cause, system, state, outputs, dt, self.units);
        let mut written = Vec::new();
        let good = self.simulation.last_good().map(|s| (s, "last-good.extxyz"));
        for (state, name) in good.into_iter().chain([(&self.simulation.state, "diverged.extxyz")]) {
            let mut frame = frames::template(&self.simulation.system);
            frames::set_state(&mut frame, state, false);
            frames::set_velocities(&mut frame, state);
            match frames::write_one(&frame, &self.directory.join(name), self.units) {
                Ok(()) => {
                    written.push(format!("`{}` (step {})", self.directory.join(name).display(), state.step))
                }
                Err(e) => eprintln!("warning: {}", chain(&e)),
            }
        }
        Failure::simulation(format!("the simulation diverged\n{text}")).hint(format!(
            "look at {}; then use a shorter time step, or minimise first",
            written.join(" and ")
        ))
    }
}

fn checkpoint_failure(e: &CheckpointError) -> Failure {
    match e {
        CheckpointError::None { .. } => {
            Failure::input(e.to_string()).hint("start the run anew in another directory")
        }
        _ => Failure::other(chain(e)),
    }
}
