//! One run: a state, what drives it and what looks at it.
use crate::guard::{Limits, Motion};
use crate::observe::{Flow, Frame, Observer};
use crate::sampler::{Progress, kinetic_energy};
use crate::velocities::MaxwellBoltzmann;
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
    /// Velocities that are drawn before the first step; `None` goes on with those there are.
    pub velocities: Option<MaxwellBoltzmann>,
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
    /// What counts as diverged; `None` checks nothing but the energy.
    pub limits: Option<Limits>,
    good: Option<State>,
    /// Mass of the heaviest atom, u.
    heaviest: f64,
}

/// Which observers see a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Showing {
    /// All: the frame before the first step of a stage.
    Opening,
    /// Those that are due.
    Due,
    /// All: the frame after the last step of a stage.
    Closing,
}

/// Steps between the copies of the state that a diverging run falls back to.
const GOOD_EVERY: u64 = 10;

impl Simulation {
    /// A run at its beginning.
    pub fn new(system: Arc<System>, state: State, evaluator: Evaluator, seed: u64) -> Self {
        let rng = Streams { seed };
        let heaviest = system.masses().iter().copied().fold(0.0, f64::max);
        Self { system, state, evaluator, rng, stage: 0, stage_step: 0, limits: None, good: None, heaviest }
    }
    /// The same with limits beyond which a step is an error.
    #[must_use]
    pub fn guarded(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }
    /// The last state within the limits, at most a few steps old.
    pub fn last_good(&self) -> Option<&State> {
        self.good.as_ref()
    }
    /// Degrees of freedom of the kinetic energy in a stage.
    pub fn degrees_of_freedom(&self, stage: &Stage) -> f64 {
        stage.sampler.degrees_of_freedom(&self.system, stage.momentum_removed)
    }
    /// Draws the velocities that the stage asks for and shows the state, before any step of the stage, to all observers.
    ///
    /// # Errors
    /// When the evaluation or an observer fails, or the state is beyond the limits already.
    pub fn open(
        &mut self,
        stage: &mut Stage,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Flow, EngineError> {
        if let Some(velocities) = &stage.velocities {
            // number 0 is the start of the run
            let draw = self.stage as u64 + 1;
            let drawn = velocities.draw(&self.system, self.state.positions(), self.rng, draw);
            let drawn =
                drawn.map_err(|e| EngineError::Operator { operator: "velocities", reason: e.to_string() })?;
            self.state.velocities_mut().copy_from_slice(&drawn);
        }
        self.state.place_virtual_sites(&self.system);
        let flow = self.show(stage, observers, Showing::Opening)?;
        self.good = None;
        self.guard(stage)?;
        Ok(flow)
    }
    /// Shows the state to the observers that are due at its step, as [`Simulation::step`] does: for a run that was stopped
    /// between the two.
    ///
    /// # Errors
    /// When the evaluation or an observer fails.
    pub fn show_again(
        &mut self,
        stage: &mut Stage,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Flow, EngineError> {
        self.show(stage, observers, Showing::Due)
    }
    /// Shows the state after the last step of a stage to all of some observers, whether they are due or not.
    ///
    /// # Errors
    /// When the evaluation or an observer fails.
    pub fn close(
        &mut self,
        stage: &mut Stage,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), EngineError> {
        self.show(stage, observers, Showing::Closing).map(|_| ())
    }
    /// One step, and the observers that are due after it.
    ///
    /// # Errors
    /// When an evaluation, an operator or an observer fails.
    pub fn step(
        &mut self,
        stage: &mut Stage,
        observers: &mut [&mut dyn Observer],
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
        self.state.place_virtual_sites(&self.system);
        self.stage_step += 1;
        self.guard(stage)?;
        let flow = self.show(stage, observers, Showing::Due)?;
        Ok(if progress == Progress::Finished { Flow::Stop } else { flow })
    }
    fn show(
        &mut self,
        stage: &mut Stage,
        observers: &mut [&mut dyn Observer],
        showing: Showing,
    ) -> Result<Flow, EngineError> {
        let step = self.state.step;
        let all = showing != Showing::Due;
        if !all && !observers.iter().any(|o| o.due(step)) {
            return Ok(Flow::Continue);
        }
        let want = observers
            .iter()
            .filter(|o| all || o.due(step))
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
            opening: showing == Showing::Opening,
        };
        let mut flow = Flow::Continue;
        for o in observers.iter_mut().filter(|o| all || o.due(step)) {
            let name = o.name().to_owned();
            let seen = o.observe(&frame).map_err(|source| EngineError::Observer { step, name, source })?;
            if seen == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        Ok(flow)
    }
    /// Tests the state against the limits; every few steps also the motion since the last copy, which it renews.
    fn guard(&mut self, stage: &Stage) -> Result<(), EngineError> {
        let Some(limits) = self.limits else { return Ok(()) };
        let sampler = &stage.sampler;
        // a minimiser and a Monte Carlo move are no dynamics: only their numbers must be finite
        let dynamics = sampler.time_step().is_some();
        let limits = if dynamics { limits } else { Limits::finite_only(limits.units) };
        // velocities that are no motion say nothing of the next step: positions are compared after each
        let full = self.stage_step.is_multiple_of(GOOD_EVERY) || dynamics && !sampler.has_velocities();
        let motion = Motion {
            system: &self.system,
            heaviest: self.heaviest,
            degrees_of_freedom: self.degrees_of_freedom(stage),
            time_step: sampler.time_step().filter(|_| sampler.has_velocities()),
        };
        let need = Properties::ENERGY | Properties::FORCES;
        let outputs = self.evaluator.ensure(&self.system, &self.state, need, sampler.needs())?;
        let earlier = self.good.as_ref().filter(|_| full && dynamics);
        limits
            .check(&self.state, outputs, dynamics.then_some(motion), earlier)
            .map_err(|cause| EngineError::Diverged { step: self.state.step, cause })?;
        if full {
            match &mut self.good {
                Some(good) => good.copy_from(&self.state),
                None => self.good = Some(self.state.clone()),
            }
        }
        Ok(())
    }
    /// Saves or restores state, neighbour lists and the place in the run. The sampler of the stage is archived
    /// by the caller, who knows which one it is.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("simulation")?;
        self.good = None;
        let mut stage = self.stage as u64;
        archive.u64(&mut stage)?;
        self.stage = stage as usize;
        archive.u64(&mut self.stage_step)?;
        archive.u64(&mut self.rng.seed)?;
        self.state.archive(archive)?;
        self.evaluator.archive(archive)
    }
}

fn wanted(observers: &[&mut dyn Observer], step: u64) -> Properties {
    observers.iter().filter(|o| o.due(step)).fold(Properties::empty(), |p, o| p | o.needs())
}
