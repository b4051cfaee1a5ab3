//! What can go wrong while a simulation runs.
use crate::{ArchiveError, CellError, PotentialError};

/// An error from outside the engine: an observer, a file.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Failure of an evaluation, a step or an observer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A potential refused the geometry or what was asked of it.
    #[error(transparent)]
    Potential(#[from] PotentialError),
    /// The cell became impossible.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// A checkpoint does not fit the run.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The simulation left the physical domain.
    #[error("step {step}: {cause}")]
    Diverged {
        /// Step at which it was seen.
        step: u64,
        /// What was seen.
        cause: Divergence,
    },
    /// An operator cannot act on this state (for example an infinite cell under a barostat).
    #[error("{operator}: {reason}")]
    Operator {
        /// Name of the operator.
        operator: &'static str,
        /// Why.
        reason: String,
    },
    /// An observer failed, most often because a file could not be written.
    #[error("step {step}: `{name}` failed")]
    Observer {
        /// Step of the frame.
        step: u64,
        /// Name of the observer.
        name: String,
        /// Cause.
        #[source]
        source: BoxError,
    },
}

/// The ways a run diverges.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Divergence {
    /// NaN or infinite potential energy.
    #[error("the potential energy is {0}")]
    Energy(f64),
    /// NaN, infinite or too large force.
    #[error("the force on atom {atom} is {force:.4e} (limit {limit:e})")]
    Force {
        /// Atom index, from 0.
        atom: usize,
        /// Magnitude.
        force: f64,
        /// Allowed magnitude.
        limit: f64,
    },
    /// Too hot.
    #[error("the temperature is {temperature:.6e} (limit {limit:e})")]
    Temperature {
        /// Instantaneous temperature, in reported units.
        temperature: f64,
        /// Allowed temperature.
        limit: f64,
    },
    /// A constraint that cannot be kept: the step is far too large, atoms overlap, or constraints contradict each other.
    #[error("the constraint between atoms {} and {} cannot be kept (relative error {error:.1e})", atoms[0], atoms[1])]
    Constraint {
        /// Atom indices, from 0.
        atoms: [usize; 2],
        /// Relative error where the solver gave up; NaN when it could not even begin.
        error: f64,
    },
    /// An atom moved too far in one step.
    #[error("atom {atom} moved {distance:.4} in one step (limit {limit})")]
    Displacement {
        /// Atom index, from 0.
        atom: usize,
        /// Distance moved.
        distance: f64,
        /// Allowed distance.
        limit: f64,
    },
}

/// The candidate nearest to `word`, if it is near enough to be a misspelling.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (score, best) = candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase()), c))
        .min_by_key(|(d, _)| *d)?;
    (score <= 1.max(word.chars().count() / 3)).then_some(best)
}

/// A value in an input file that parses but cannot be built: which key (relative to the table the spec was read
/// from, such as `thermostat.bussi.relaxation`), what is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct SpecError {
    /// Dotted path of keys and `[index]`es, empty for the table itself.
    pub key: String,
    /// What is wrong, with the value.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl SpecError {
    /// An error at a key.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), hint: None }
    }
    /// With advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// The same error seen from the table that holds `key`.
    #[must_use]
    pub fn within(mut self, key: &str) -> Self {
        self.key = match self.key.as_str() {
            "" => key.to_owned(),
            inner if inner.starts_with('[') => format!("{key}{inner}"),
            inner => format!("{key}.{inner}"),
        };
        self
    }
}
