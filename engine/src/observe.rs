//! Observers: what looks at a run without touching it.
use crate::error::BoxError;
use crate::{Archive, Mat3, Outputs, Properties, State, System};

/// What an observer sees at the end of a step.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// What is fixed.
    pub system: &'a System,
    /// Positions, velocities, cell, step and time.
    pub state: &'a State,
    /// At least what the observer needs.
    pub outputs: &'a Outputs,
    /// Kinetic energy, eV.
    pub kinetic: f64,
    /// Degrees of freedom of the kinetic energy.
    pub degrees_of_freedom: f64,
    /// The conserved quantity of the ensemble, eV; `None` when the sampler has none.
    pub conserved: Option<f64>,
    /// Index of the stage.
    pub stage: usize,
    /// Steps done in this stage.
    pub stage_step: u64,
    /// True for the frame before the first step of a stage.
    pub opening: bool,
}

impl Frame<'_> {
    /// Kinetic temperature k_B T = 2 K / dof, eV; 0 without degrees of freedom.
    pub fn kt(&self) -> f64 {
        if self.degrees_of_freedom > 0.0 { 2.0 * self.kinetic / self.degrees_of_freedom } else { 0.0 }
    }
    /// Pressure P = (2 K + tr W) / 3 V, eV/Å³; `None` unless the cell is fully periodic. With constraints that of rigid
    /// units, as [`Frame::pressure_tensor`].
    pub fn pressure(&self) -> Option<f64> {
        let cell = self.state.cell();
        if !cell.is_fully_periodic() {
            return None;
        }
        if !self.system.solver().units().are_atoms() {
            return self.pressure_tensor().map(|p| p.trace() / 3.0);
        }
        Some((2.0 * self.kinetic + self.outputs.virial.trace()) / (3.0 * cell.volume()))
    }
    /// The virial that goes with the pressure, eV: with constraints that of rigid units.
    pub fn virial(&self) -> Mat3 {
        let units = self.system.solver().units();
        if units.are_atoms() {
            return self.outputs.virial;
        }
        self.outputs.virial - units.internal_virial(self.state.positions(), &self.outputs.forces)
    }
    /// Pressure tensor (Σ m v ⊗ v + W) / V, symmetric, eV/Å³; `None` unless the cell is fully periodic. With constraints
    /// the sum is over rigid units and W their virial (see [`crate::constraints::Units`]), which needs no forces of
    /// constraints and has the same mean.
    pub fn pressure_tensor(&self) -> Option<Mat3> {
        let cell = self.state.cell();
        cell.is_fully_periodic().then(|| {
            let units = self.system.solver().units();
            let kinetic = units.kinetic(self.system.masses(), self.state.velocities());
            let w = self.virial();
            (kinetic + (w + w.transpose()) * 0.5) / cell.volume()
        })
    }
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Go on.
    Continue,
    /// End the stage here.
    Stop,
}

/// Steps at which an observer is due: every so many from the start of a stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interval {
    /// Steps from one to the next; 0: never.
    pub every: u64,
    /// Step that they are counted from: the start of the stage.
    pub origin: u64,
}

impl Interval {
    /// True when it is due at a step of the run.
    pub fn is_due(self, step: u64) -> bool {
        self.every > 0 && step.saturating_sub(self.origin).is_multiple_of(self.every)
    }
}

/// Looks at a run at regular steps. An error stops the run.
pub trait Observer {
    /// Name for messages.
    fn name(&self) -> &str;
    /// True when it wants to see the frame at this step (counted over the whole run).
    fn due(&self, step: u64) -> bool;
    /// What it needs computed.
    fn needs(&self) -> Properties;
    /// Takes what it wants from a frame.
    ///
    /// # Errors
    /// Anything that must stop the run, most often a file that cannot be written.
    fn observe(&mut self, frame: &Frame<'_>) -> Result<Flow, BoxError>;
    /// Called while a checkpoint is made or restored. Writing: bring everything to disk and save the place
    /// in the file. Reading: restore it and cut the file back to that place.
    ///
    /// # Errors
    /// When a file cannot be brought to disk or cut back.
    fn archive(&mut self, _archive: &mut Archive) -> Result<(), BoxError> {
        Ok(())
    }
    /// Called once at the end of the run.
    ///
    /// # Errors
    /// When a file cannot be completed.
    fn finish(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// An observer that may be absent.
impl<T: Observer> Observer for Option<T> {
    fn name(&self) -> &str {
        self.as_ref().map_or("", T::name)
    }
    fn due(&self, step: u64) -> bool {
        self.as_ref().is_some_and(|o| o.due(step))
    }
    fn needs(&self) -> Properties {
        self.as_ref().map_or(Properties::empty(), T::needs)
    }
    fn observe(&mut self, frame: &Frame<'_>) -> Result<Flow, BoxError> {
        self.as_mut().map_or(Ok(Flow::Continue), |o| o.observe(frame))
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), BoxError> {
        self.as_mut().map_or(Ok(()), |o| o.archive(archive))
    }
    fn finish(&mut self) -> Result<(), BoxError> {
        self.as_mut().map_or(Ok(()), T::finish)
    }
}
