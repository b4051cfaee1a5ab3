//! One run: a state, what drives it and what looks at it.
use crate::observe::{Flow, Frame, Observer};
use crate::sampler::{Progress, kinetic_energy};
use crate::{
    Archive, ArchiveError, Ctx, EngineError, Evaluator, Properties, Sampler, State, Streams, System,
};
use std::sync::Arc;

/// A part of a run with its own sampler.
pub struct Stage {
    /// Name in reports.
    pub name: String,
    /// Number of steps (for a minimiser: at most).
    pub steps: u64,
    /// What advances the state.
    pub sampler: Box<dyn Sampler>,
    /// True when the total momentum is zero and stays zero, so that it holds no kinetic energy.
    pub momentum_removed: bool,
}

/// System, state and evaluator with their place in the run.
pub struct Simulation {
    /// What is fixed.
    pub system: Arc<System>,
    /// What moves.
    pub state: State,
    /// Energies and forces.
    pub evaluator: Evaluator,
    /// Random numbers.
    pub rng: Streams,
    /// Index of the present stage.
    pub stage: usize,
    /// Steps done in the present stage.
    pub stage_step: u64,
}

impl Simulation {
    /// A run at its beginning.
    pub fn new(system: Arc<System>, state: State, evaluator: Evaluator, seed: u64) -> Self {
        Self { system, state, evaluator, rng: Streams { seed }, stage: 0, stage_step: 0 }
    }
    /// Degrees of freedom of the kinetic energy in a stage.
    pub fn degrees_of_freedom(&self, stage: &Stage) -> f64 {
        stage.sampler.degrees_of_freedom(&self.system, stage.momentum_removed)
    }
    /// Shows the present state, before any step of the stage, to all observers.
    ///
    /// # Errors
    /// When the evaluation or an observer fails.
    pub fn open(
        &mut self,
        stage: &mut Stage,
        observers: &mut [Box<dyn Observer>],
    ) -> Result<Flow, EngineError> {
        self.show(stage, observers, true)
    }
    /// One step, and the observers that are due after it.
    ///
    /// # Errors
    /// When an evaluation, an operator or an observer fails.
    pub fn step(
        &mut self,
        stage: &mut Stage,
        observers: &mut [Box<dyn Observer>],
    ) -> Result<Flow, EngineError> {
        let next = self.state.step + 1;
        let want = wanted(observers, next) | stage.sampler.needs();
        let degrees_of_freedom = self.degrees_of_freedom(stage);
        let mut ctx = Ctx {
            system: &self.system,
            state: &mut self.state,
            evaluator: &mut self.evaluator,
            rng: self.rng,
            want,
            substep: 0,
            progress: (self.stage_step as f64 + 0.5) / stage.steps.max(1) as f64,
            degrees_of_freedom,
        };
        let progress = stage.sampler.advance(&mut ctx)?;
        self.stage_step += 1;
        let flow = self.show(stage, observers, false)?;
        Ok(if progress == Progress::Finished { Flow::Stop } else { flow })
    }
    fn show(
        &mut self,
        stage: &mut Stage,
        observers: &mut [Box<dyn Observer>],
        opening: bool,
    ) -> Result<Flow, EngineError> {
        let step = self.state.step;
        let due = |o: &dyn Observer| opening || o.due(step);
        if !observers.iter().any(|o| due(o.as_ref())) {
            return Ok(Flow::Continue);
        }
        let want = observers
            .iter()
            .filter(|o| due(o.as_ref()))
            .fold(Properties::ENERGY | Properties::FORCES, |p, o| p | o.needs());
        let degrees_of_freedom = self.degrees_of_freedom(stage);
        let kinetic = kinetic_energy(&self.system, &self.state);
        let bath = stage.sampler.bath_energy(&self.system, &self.state);
        let outputs = self.evaluator.ensure(&self.system, &self.state, want, want | stage.sampler.needs())?;
        let frame = Frame {
            system: &self.system,
            state: &self.state,
            outputs,
            kinetic,
            degrees_of_freedom,
            conserved: bath.map(|b| kinetic + outputs.energy + b),
            stage: self.stage,
            stage_step: self.stage_step,
            opening,
        };
        let mut flow = Flow::Continue;
        for o in observers.iter_mut().filter(|o| opening || o.due(step)) {
            let name = o.name().to_owned();
            let seen = o.observe(&frame).map_err(|source| EngineError::Observer { step, name, source })?;
            if seen == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        Ok(flow)
    }
    /// Saves or restores state, neighbour lists and the place in the run. The sampler of the stage is archived
    /// by the caller, who knows which one it is.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("simulation")?;
        let mut stage = self.stage as u64;
        archive.u64(&mut stage)?;
        self.stage = stage as usize;
        archive.u64(&mut self.stage_step)?;
        archive.u64(&mut self.rng.seed)?;
        self.state.archive(archive)?;
        self.evaluator.archive(archive)
    }
}

fn wanted(observers: &[Box<dyn Observer>], step: u64) -> Properties {
    observers.iter().filter(|o| o.due(step)).fold(Properties::empty(), |p, o| p | o.needs())
}
