//! The long-range part of lattice sums of the dispersion.
use super::model::Mesh;
use crate::electrostatics::{PmeSum, Reciprocal, Waves};
use caloron_engine::{Input, Outputs, Properties};

/// The dispersion -Σ c_i c_j/r⁶ of all pairs and images beyond what the real-space part holds, by particle-mesh Ewald,
/// with the energy β⁶/12 Σ c_i² that takes an atom's interaction with itself away.
///
/// Source: U. Essmann et al., J. Chem. Phys. 103, 8577 (1995), doi:10.1063/1.470117; C. L. Wennberg, T. Murtola, B. Hess,
/// E. Lindahl, J. Chem. Theory Comput. 9, 3527 (2013), doi:10.1021/ct400140n.
pub(super) struct DispersionSum {
    sum: PmeSum<f64>,
    beta: f64,
    /// sqrt(c6) of each atom.
    coefficients: Vec<f64>,
}

impl DispersionSum {
    pub fn new(mesh: Mesh, coefficients: Vec<f64>) -> Self {
        let sum = PmeSum::dispersion(mesh.alpha, mesh.grid, mesh.order);
        Self { sum, beta: mesh.alpha, coefficients }
    }
    pub fn add(&mut self, input: &Input<'_>, want: Properties, out: &mut Outputs) {
        let own = self.beta.powi(6) / 12.0;
        out.energy += own * self.coefficients.iter().map(|c| c * c).sum::<f64>();
        if want.contains(Properties::ATOM_ENERGIES) {
            for (e, c) in out.atom_energies.iter_mut().zip(&self.coefficients) {
                *e += own * c * c;
            }
        }
        let (h, h_inv) = (input.cell.matrix(), input.cell.inverse());
        let waves =
            Waves { h, h_inv, stretch: [1.0; 3], positions: input.positions, charges: &self.coefficients };
        self.sum.add(&waves, want, out);
    }
    pub fn describe(&self) -> String {
        format!("dispersion: beta = {:.6} 1/length, {}", self.beta, self.sum.describe())
    }
}
