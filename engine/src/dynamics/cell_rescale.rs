//! Stochastic cell rescaling, and weak coupling of the cell.
use super::cell_modes::{Axis, CellMode, Target};
use super::flexible_cell::{CellBath, FlexibleCell};
use crate::{Op, Schedule};

/// Settings of a first-order barostat.
#[derive(Clone, Debug, PartialEq)]
pub struct Rescaling {
    /// Relaxation time τ of the volume.
    pub relaxation: f64,
    /// Isothermal compressibility β; only β/τ enters, and only the rate depends on it, not the ensemble.
    pub compressibility: f64,
    /// Free deformations.
    pub mode: CellMode,
    /// Axes that keep their length.
    pub fixed: Vec<Axis>,
}

/// Stochastic cell rescaling: the strain coordinates q_k of the cell (ε = Σ q_k E_k) follow the overdamped equation
///
/// dq_k = D/kT tr(E_k G) dt + sqrt(2 D) dW_k,  D = β kT / (3 V₀ τ),
///
/// with G of [`super::flexible_cell`] and velocities scaled inversely to positions; in the isotropic case
/// d ln V = (β/τ)(P_int - P + kT/V) (V/V₀) dt + noise. It samples the isothermal-isobaric ensemble and relaxes without
/// oscillation. Discretised like the high-friction limit of BAOAB: a momentum for each strain, drawn anew in the middle
/// of each step. That is symmetric in time, and what the fresh momenta bring is heat, so there is a conserved effective
/// energy (its fluctuation is of first order in dt/τ).
///
/// β -> `compressibility`, τ -> `relaxation`. V₀ is the volume at the start of the stage: against the published
/// equation, which has V there, only the rate differs, by V/V₀.
///
/// Source: Bernetti and Bussi, J. Chem. Phys. 153, 114107 (2020), doi:10.1063/5.0020514; anisotropic: Del Tatto, Raiteri,
/// Bernetti and Bussi, Appl. Sci. 12, 1139 (2022), doi:10.3390/app12031139.
pub fn cell_rescale(
    settings: &Rescaling,
    target: Target,
    kt: Schedule,
    center: Option<Box<dyn Op>>,
) -> FlexibleCell {
    build(settings, target, kt, center, true)
}

/// Weak coupling of the cell to a pressure: the equation of [`cell_rescale`] without its noise. Relaxes a start; the
/// fluctuations of the volume are wrong and no ensemble is sampled.
///
/// Source: Berendsen, Postma, van Gunsteren, DiNola and Haak, J. Chem. Phys. 81, 3684 (1984),
/// doi:10.1063/1.448118; with velocities scaled inversely to positions.
pub fn weak_coupling(
    settings: &Rescaling,
    target: Target,
    kt: Schedule,
    center: Option<Box<dyn Op>>,
) -> FlexibleCell {
    build(settings, target, kt, center, false)
}

fn build(
    settings: &Rescaling,
    target: Target,
    kt: Schedule,
    center: Option<Box<dyn Op>>,
    noise: bool,
) -> FlexibleCell {
    let bath = CellBath::Refresh {
        relaxation: settings.relaxation,
        compressibility: settings.compressibility,
        noise,
    };
    FlexibleCell::new(settings.mode.basis(&settings.fixed), target, kt, bath, center)
}
