//! Operators, their composition into a step, and the interface of everything that advances a state.
use crate::{
    Archive, ArchiveError, EngineError, Evaluator, Outputs, Properties, State, Streams, System, parallel,
};

/// What an operator works on.
pub struct Ctx<'a> {
    /// What is fixed.
    pub system: &'a System,
    /// What moves.
    pub state: &'a mut State,
    /// Energies and forces.
    pub evaluator: &'a mut Evaluator,
    /// Random numbers.
    pub rng: Streams,
    /// What observers want at the end of this step.
    pub want: Properties,
    /// Position within the step, different for every application of an operator: the key of its random numbers.
    pub substep: u32,
    /// Fraction of the stage that is done, from 0 to 1: the argument of ramps.
    pub progress: f64,
    /// Degrees of freedom of the kinetic energy (see [`System::degrees_of_freedom`]).
    pub degrees_of_freedom: f64,
}

impl Ctx<'_> {
    /// State and forces of the present geometry.
    ///
    /// # Errors
    /// When the evaluation fails.
    pub fn forces(&mut self) -> Result<(&mut State, &Outputs), EngineError> {
        self.outputs(Properties::ENERGY | Properties::FORCES)
    }
    /// State and outputs of the present geometry, at least those in `need`.
    ///
    /// # Errors
    /// When the evaluation fails.
    pub fn outputs(&mut self, need: Properties) -> Result<(&mut State, &Outputs), EngineError> {
        let out = self.evaluator.ensure(self.system, self.state, need, self.want)?;
        Ok((self.state, out))
    }
}

/// Kinetic energy Σ m v²/2, eV.
pub fn kinetic_energy(system: &System, state: &State) -> f64 {
    let (m, v) = (system.masses(), state.velocities());
    parallel::sum(m.len(), 0.0, |i| 0.5 * m[i] * v[i].norm_squared())
}

/// A value that moves linearly from the start to the end of a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Value at the start.
    pub start: f64,
    /// Value at the end.
    pub end: f64,
}

impl Schedule {
    /// A constant.
    pub const fn constant(value: f64) -> Self {
        Self { start: value, end: value }
    }
    /// The value at a fraction of the stage.
    pub fn at(self, progress: f64) -> f64 {
        if self.start == self.end { self.start } else { self.start + (self.end - self.start) * progress }
    }
    /// True when it does not change.
    pub fn is_constant(self) -> bool {
        self.start == self.end
    }
}

/// One exponential of an operator splitting: a kick, a drift, a thermostat.
pub trait Op: Send {
    /// Letter in the notation of the splitting.
    fn symbol(&self) -> &'static str;
    /// Advances by `dt` (a part of the time step).
    ///
    /// # Errors
    /// When an evaluation fails or the state left the domain of the operator.
    fn apply(&mut self, ctx: &mut Ctx<'_>, dt: f64) -> Result<(), EngineError>;
    /// What it needs computed beyond energy and forces at the end of a step.
    fn needs(&self) -> Properties {
        Properties::empty()
    }
    /// False when it changes the total momentum, so that the centre of mass has 3 degrees of freedom.
    fn conserves_momentum(&self) -> bool {
        true
    }
    /// Degrees of freedom it holds at zero beyond the total momentum that a conserving dynamics keeps: 3 for a
    /// removal of the centre-of-mass motion, 6 with the rotation.
    fn removed_degrees(&self) -> usize {
        0
    }
    /// What this operator adds to kinetic and potential energy in the conserved quantity: energy given to a
    /// bath, energy of extended variables, pressure times volume.
    fn bath_energy(&self, _system: &System, _state: &State) -> f64 {
        0.0
    }
    /// False for weak coupling, which samples no ensemble.
    fn samples_ensemble(&self) -> bool {
        true
    }
    /// Saves or restores everything it remembers.
    ///
    /// # Errors
    /// When the archive does not fit.
    fn archive(&mut self, _archive: &mut Archive) -> Result<(), ArchiveError> {
        Ok(())
    }
}

/// A sequence of operators with the part of the time step each takes.
pub struct Splitting {
    ops: Vec<Box<dyn Op>>,
    schedule: Vec<(usize, f64)>,
    label: Option<String>,
}

impl Splitting {
    /// `outer` at half a step, in order, around `center` at a full step, then `outer` again in reverse:
    /// a symmetric product, second order in the time step.
    pub fn symmetric(outer: Vec<Box<dyn Op>>, center: Box<dyn Op>) -> Self {
        let n = outer.len();
        let mut schedule: Vec<_> = (0..n).map(|k| (k, 0.5)).collect();
        schedule.push((n, 1.0));
        schedule.extend((0..n).rev().map(|k| (k, 0.5)));
        let mut ops = outer;
        ops.push(center);
        Self { ops, schedule, label: None }
    }
    /// Any schedule of (operator index, part of the time step).
    ///
    /// # Panics
    /// When an index is out of range.
    pub fn new(ops: Vec<Box<dyn Op>>, schedule: Vec<(usize, f64)>) -> Self {
        assert!(schedule.iter().all(|s| s.0 < ops.len()));
        Self { ops, schedule, label: None }
    }
    /// With a name for a schedule too long to spell out (nested multiple time steps).
    #[must_use]
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
    /// The letters of a step, for example `BAOAB`.
    pub fn notation(&self) -> String {
        if let Some(label) = &self.label {
            return label.clone();
        }
        self.schedule.iter().map(|&(k, _)| self.ops[k].symbol()).collect()
    }
    /// The order of a step: (operator index, part of the time step).
    pub fn places(&self) -> &[(usize, f64)] {
        &self.schedule
    }
    /// The operators.
    pub fn ops(&self) -> impl Iterator<Item = &dyn Op> {
        self.ops.iter().map(AsRef::as_ref)
    }
    /// One step of length `dt`.
    ///
    /// # Errors
    /// When an operator fails.
    pub fn apply(&mut self, ctx: &mut Ctx<'_>, dt: f64) -> Result<(), EngineError> {
        for (place, &(k, part)) in self.schedule.iter().enumerate() {
            ctx.substep = place as u32;
            self.ops[k].apply(ctx, part * dt)?;
        }
        Ok(())
    }
    /// Saves or restores all operators.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section(&self.notation())?;
        self.ops.iter_mut().try_for_each(|op| op.archive(archive))
    }
}

/// Advances a state: molecular dynamics, Monte Carlo, a minimiser.
pub trait Sampler: Send {
    /// What a report calls it, for example `BAOAB`.
    fn notation(&self) -> String;
    /// One step; increments `state.step`.
    ///
    /// # Errors
    /// When an evaluation fails.
    fn advance(&mut self, ctx: &mut Ctx<'_>) -> Result<Progress, EngineError>;
    /// What it needs computed at the end of every step.
    fn needs(&self) -> Properties;
    /// Time step, internal units; `None` when steps have no time.
    fn time_step(&self) -> Option<f64>;
    /// True when the total momentum stays what it is.
    fn conserves_momentum(&self) -> bool;
    /// Degrees of freedom of the kinetic energy under this sampler. `momentum_removed`: the total momentum is zero
    /// at the start and the potential does not change it (see [`crate::Potential::breaks_symmetry`]).
    fn degrees_of_freedom(&self, system: &System, momentum_removed: bool) -> f64 {
        system.degrees_of_freedom(momentum_removed && self.conserves_momentum()) as f64
    }
    /// What is added to kinetic and potential energy in the conserved quantity; `None` when there is none
    /// (a minimiser, Brownian motion, a sampler that is known not to conserve).
    fn bath_energy(&self, system: &System, state: &State) -> Option<f64>;
    /// False when the velocities mean nothing (overdamped motion, Monte Carlo, a minimiser).
    fn has_velocities(&self) -> bool {
        self.time_step().is_some()
    }
    /// False when a part of it samples no ensemble (weak coupling).
    fn samples_ensemble(&self) -> bool {
        true
    }
    /// How a minimisation stands; `None` for everything else.
    fn minimization(&self) -> Option<crate::minimize::Summary> {
        None
    }
    /// Saves or restores everything it remembers.
    ///
    /// # Errors
    /// When the archive does not fit.
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError>;
}

/// Whether a sampler wants to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Go on.
    Running,
    /// It reached its goal (a minimiser converged).
    Finished,
}

/// Molecular dynamics: a splitting applied with a fixed time step.
pub struct MolecularDynamics {
    /// Time step, internal units.
    pub dt: f64,
    /// The operators of a step.
    pub splitting: Splitting,
    /// False when the dynamics has no conserved quantity by construction (overdamped motion).
    pub conserves: bool,
}

impl Sampler for MolecularDynamics {
    fn notation(&self) -> String {
        self.splitting.notation()
    }
    fn advance(&mut self, ctx: &mut Ctx<'_>) -> Result<Progress, EngineError> {
        ctx.want |= self.needs();
        self.splitting.apply(ctx, self.dt)?;
        ctx.state.step += 1;
        ctx.state.time += self.dt;
        Ok(Progress::Running)
    }
    fn needs(&self) -> Properties {
        self.splitting.ops().fold(Properties::ENERGY | Properties::FORCES, |p, op| p | op.needs())
    }
    fn time_step(&self) -> Option<f64> {
        Some(self.dt)
    }
    fn conserves_momentum(&self) -> bool {
        self.splitting.ops().all(Op::conserves_momentum)
    }
    fn degrees_of_freedom(&self, system: &System, momentum_removed: bool) -> f64 {
        let kept = usize::from(momentum_removed && self.conserves_momentum() && system.fixed() == 0) * 3;
        let removed = self.splitting.ops().map(Op::removed_degrees).max().unwrap_or(0);
        system.degrees_of_freedom(false).saturating_sub(kept.max(removed)) as f64
    }
    fn bath_energy(&self, system: &System, state: &State) -> Option<f64> {
        self.conserves.then(|| self.splitting.ops().map(|op| op.bath_energy(system, state)).sum())
    }
    fn has_velocities(&self) -> bool {
        self.conserves
    }
    fn samples_ensemble(&self) -> bool {
        self.splitting.ops().all(Op::samples_ensemble)
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        self.splitting.archive(archive)
    }
}
