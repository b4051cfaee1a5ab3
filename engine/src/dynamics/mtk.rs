//! The barostat of Martyna, Tobias and Klein.
use super::cell_modes::{Axis, CellMode, Target};
use super::flexible_cell::{CellBath, FlexibleCell};
use super::nose_hoover::{Chain, ChainSettings};
use crate::{Op, Schedule};

/// Constant pressure by an inertial cell: the equations of [`super::flexible_cell`] with A = (a/N) Σ m v², mass
/// W = (N + 3) kT τ² / 3 for each free strain, and a Nosé-Hoover chain on the cell. Together with a thermostat on the
/// atoms it samples the isothermal-isobaric ensemble; without chain and thermostat the enthalpy is constant.
///
/// Conserved: K + U + E(h) + Σ p_k²/(2 W) + chains.
///
/// τ -> `relaxation` (about 1 ps, several times that of the thermostat), N -> degrees of freedom. The strain rate is a
/// symmetric matrix, so the lattice does not rotate.
///
/// Source: Martyna, Tobias and Klein, J. Chem. Phys. 101, 4177 (1994), doi:10.1063/1.467468; Martyna, Tuckerman, Tobias
/// and Klein, Mol. Phys. 87, 1117 (1996), doi:10.1080/00268979600100761; Tuckerman, Alejandre, López-Rendón, Jochim and
/// Martyna, J. Phys. A 39, 5629 (2006), doi:10.1088/0305-4470/39/19/S18.
pub fn mtk(
    relaxation: f64,
    chain: Option<ChainSettings>,
    free: (CellMode, &[Axis]),
    target: Target,
    kt: Schedule,
    center: Option<Box<dyn Op>>,
) -> FlexibleCell {
    let bath = CellBath::Inertia { relaxation, chain: chain.map(Chain::new) };
    FlexibleCell::new(free.0.basis(free.1), target, kt, bath, center)
}
