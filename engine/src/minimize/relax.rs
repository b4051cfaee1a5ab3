//! A minimisation from start to end.
use super::{MinimizeSpec, Outcome, Point};
use crate::sampler::Progress;
use crate::{
    Ctx, EngineError, Evaluator, Properties, Sampler, SpecError, State, Streams, System, UnitSystem,
};

/// The end of a minimisation.
#[derive(Clone, Debug)]
pub struct Relaxation {
    /// Positions and cell at the minimum; velocities zero.
    pub state: State,
    /// Iterations.
    pub steps: u64,
    /// Evaluations of the potential.
    pub evaluations: u64,
    /// True when forces and stress are below their limits.
    pub converged: bool,
    /// Why it ended.
    pub outcome: Outcome,
    /// Largest force on a mobile atom, eV/Å.
    pub fmax: f64,
    /// Largest residual stress among the free components, eV/Å³; 0 for a fixed cell.
    pub smax: f64,
    /// Potential energy, eV.
    pub energy: f64,
    /// Energy plus target pressure times volume, eV.
    pub enthalpy: f64,
}

/// One iteration, as a caller sees it.
#[derive(Clone, Copy, Debug)]
pub struct Iteration<'a> {
    /// Iterations done, 0 at the start.
    pub step: u64,
    /// Energy, enthalpy, largest force and stress.
    pub point: Point,
    /// The geometry.
    pub state: &'a State,
}

/// Why a minimisation could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelaxError {
    /// What was asked cannot be built.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// An evaluation failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Minimises energy or enthalpy from `state`, calling `on_step` after every iteration; it ends early when that
/// returns false (then `converged` is false and the outcome `Running`).
///
/// # Errors
/// When the spec does not fit the system or an evaluation fails.
pub fn relax(
    system: &System,
    mut state: State,
    evaluator: &mut Evaluator,
    spec: &MinimizeSpec,
    units: UnitSystem,
    mut on_step: impl FnMut(Iteration<'_>) -> bool,
) -> Result<Relaxation, RelaxError> {
    let mut minimizer = spec.build(system, state.cell(), units)?;
    let before = evaluator.evaluations();
    loop {
        let mut ctx = Ctx {
            system,
            state: &mut state,
            evaluator,
            rng: Streams { seed: 0 },
            want: Properties::empty(),
            substep: 0,
            progress: 0.0,
            degrees_of_freedom: 0.0,
        };
        let progress = minimizer.advance(&mut ctx)?;
        state.place_virtual_sites(system);
        let (step, point) = (minimizer.iterations(), minimizer.point());
        let go_on = on_step(Iteration { step, point, state: &state });
        if progress == Progress::Finished || !go_on {
            let outcome = minimizer.outcome();
            return Ok(Relaxation {
                steps: step,
                evaluations: evaluator.evaluations() - before,
                converged: outcome == Outcome::Converged,
                outcome,
                fmax: point.fmax,
                smax: point.smax,
                energy: point.energy,
                enthalpy: point.enthalpy,
                state,
            });
        }
    }
}
