//! The verdict of a stage: did it do what it was asked to, and can its numbers be trusted?
//!
//! A [`Recorder`] samples a run in bounded memory; [`judge`] compares with what the stage aimed at. Statistical and
//! practical size both count: a deviation is a fault when it is larger than its error bar allows *and* large enough
//! to matter; a run too short to tell gets neither pass nor fail.
//!
//! | quantity | warn above | fail above | significance |
//! |---|---|---|---|
//! | drift of the conserved quantity | 10⁻³ kT/ns/dof (2·10⁻⁶ kT/τ/dof) | 10⁻¹ (2·10⁻⁴) | 2 σ |
//! | its fluctuation over that of the kinetic energy | 0.2 | 0.5 | - |
//! | temperature, also of species and groups | 1 % | 5 % | 3 σ, 5 σ |
//! | pressure, in units of ρ k_B T | 0.05 | 0.25 | 3 σ, 5 σ |
//!
//! A drift of 10⁻³ kT/ns/dof heats an isolated system by 0.2 % in a nanosecond. Means leave out the first fifth of
//! the stage; their errors are block averages.
mod judge;
mod recorder;
mod report;
#[cfg(test)]
mod tests;

pub use judge::{Circumstances, Thresholds, judge};
pub use recorder::Recorder;

use crate::minimize::Outcome;
use serde::Serialize;

/// Result of one check, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// As it should be.
    Pass,
    /// A deviation that should be looked at.
    Warn,
    /// Wrong.
    Fail,
    /// The error bars are larger than what would matter.
    TooShort,
    /// There is nothing to compare with.
    NotJudged,
}

impl Judgement {
    /// The judgement of several checks together: the worst; too short only when nothing is wrong.
    fn with(self, other: Self) -> Self {
        let rank = |j| match j {
            Self::NotJudged => 0,
            Self::Pass => 1,
            Self::TooShort => 2,
            Self::Warn => 3,
            Self::Fail => 4,
        };
        if rank(other) > rank(self) { other } else { self }
    }
    fn is_fault(self) -> bool {
        matches!(self, Self::Warn | Self::Fail)
    }
}

/// A mean with its error and, where there is one, its target. All in the unit that is named.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Mean.
    pub mean: f64,
    /// Standard error.
    pub error: f64,
    /// False when the error is only a lower bound (correlations longer than the stage).
    pub resolved: bool,
    /// What it should be.
    pub target: Option<f64>,
    /// (mean - target) / error.
    pub z: Option<f64>,
    /// Unit.
    pub unit: String,
    /// Judgement.
    pub judgement: Judgement,
}

/// Drift and fluctuation of the conserved quantity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conservation {
    /// Drift.
    pub drift: f64,
    /// Its standard error.
    pub error: f64,
    /// Drift above which there is a warning.
    pub warn_above: f64,
    /// Drift above which the stage fails.
    pub fail_above: f64,
    /// Unit of the four: kT/ns/dof or kT/tau/dof.
    pub unit: String,
    /// Root mean square about the line of the drift, in k_B T of the whole system.
    pub fluctuation_kt: f64,
    /// The same over the standard deviation of the kinetic energy.
    pub fluctuation_ratio: Option<f64>,
    /// Judgement of the drift.
    pub judgement: Judgement,
    /// Judgement of the fluctuation.
    pub fluctuation_judgement: Judgement,
}

/// Temperature of a species or group against that of all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupTemperature {
    /// Name of the species or group.
    pub name: String,
    /// Number of mobile atoms.
    pub atoms: usize,
    /// Its temperature; the target is the temperature of the whole system.
    pub temperature: Measured,
}

/// A component of the stress that a barostat keeps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Component {
    /// `xx` to `xy`; `xx+yy` is the mean of the two.
    pub name: &'static str,
    /// Mean, positive under tension.
    pub stress: Measured,
}

/// End of a minimisation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Minimum {
    /// True when forces and stress are below their limits.
    pub converged: bool,
    /// Why it ended, in words.
    pub end: String,
    /// Iterations.
    pub iterations: u64,
    /// Largest force, eV/Å.
    pub fmax: f64,
    /// Its limit.
    pub fmax_limit: f64,
    /// Largest residual stress, eV/Å³; 0 for a fixed cell.
    pub smax: f64,
    /// Potential energy, eV.
    pub energy: f64,
    /// Units of length and energy, which those of force and stress follow from.
    pub units: [&'static str; 2],
}

impl Minimum {
    fn end(outcome: Outcome) -> &'static str {
        match outcome {
            Outcome::Converged => "converged",
            Outcome::Running => "stopped before its goal",
            Outcome::StepLimit => "used up its iterations",
            Outcome::Stalled => "stalled: no step lowers the energy any more",
        }
    }
}

/// How fast it ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Wall time, s.
    pub seconds: f64,
    /// Steps per second.
    pub steps_per_second: f64,
    /// Atoms times steps per second.
    pub atom_steps_per_second: f64,
    /// Simulated time per day: ns, or τ.
    pub time_per_day: Option<f64>,
    /// `ns/day` or `tau/day`.
    pub unit: &'static str,
}

/// What is probably behind a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The time step is too large for the fastest motion.
    TimeStep,
    /// The energy jumps where pairs cross the cutoff.
    Truncation,
    /// Pairs enter the cutoff before the neighbour list knows them.
    NeighborList,
    /// Forces in single precision.
    Precision,
    /// The thermostat or barostat samples no ensemble.
    NoEnsemble,
    /// The system has not reached equilibrium.
    NotEquilibrated,
    /// The error bars are too large to tell.
    TooShort,
    /// The minimisation did not reach its goal.
    NotConverged,
}

/// A cause with the reasons for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suspect {
    /// What.
    pub cause: Cause,
    /// Why, with numbers, and what to do.
    pub reason: String,
}

/// The verdict of a stage. Serialises for machines; `Display` is for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Name of the stage.
    pub stage: String,
    /// The sampler, for example `BAOAB`.
    pub sampler: String,
    /// All checks together.
    pub judgement: Judgement,
    /// Steps of the stage.
    pub steps: u64,
    /// Simulated time, ps or τ.
    pub time: Option<f64>,
    /// Unit of the time.
    pub time_unit: &'static str,
    /// Samples taken.
    pub samples: u64,
    /// Number of atoms.
    pub atoms: usize,
    /// Conserved quantity; `None` when the sampler has none.
    pub conservation: Option<Conservation>,
    /// Temperature.
    pub temperature: Option<Measured>,
    /// Pressure.
    pub pressure: Option<Measured>,
    /// Components of the stress (positive under tension) that a barostat keeps apart.
    pub stress: Vec<Component>,
    /// Potential energy per atom.
    pub potential_energy: Option<Measured>,
    /// Volume per atom, for periodic cells.
    pub volume: Option<Measured>,
    /// Temperatures of species and groups.
    pub equipartition: Vec<GroupTemperature>,
    /// End of a minimisation.
    pub minimum: Option<Minimum>,
    /// Speed.
    pub rate: Option<Rate>,
    /// What is probably wrong.
    pub suspects: Vec<Suspect>,
    /// What else a user should know.
    pub notes: Vec<String>,
}
