//! Systems that are periodic in two directions.
use caloron_engine::{Cell, Mat3, Outputs, Properties, Vec3};
use std::f64::consts::PI;

/// A slab is repeated along its normal with much vacuum, and the interaction between the layers, which is that of
/// their dipoles, is taken away:
///
/// E_slab = (2 π k_e / V) [M² - Q Σ q_i z_i² - Q² L²/12], M = Σ q_i z_i,
///
/// z along the normal, L the distance of the layers, V the volume of the extended cell.
///
/// Sources: I.-C. Yeh, M. L. Berkowitz, J. Chem. Phys. 111, 3155 (1999), doi:10.1063/1.479595; for charged slabs
/// V. Ballenegger, A. Arnold, J. J. Cerdà, J. Chem. Phys. 131, 094107 (2009), doi:10.1063/1.3216473.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slab {
    factor: f64,
}

/// The cell of the repeated slab.
pub(crate) struct Extended {
    pub h: Mat3,
    pub h_inv: Mat3,
    /// How many times the cell of the system each lattice vector is.
    pub stretch: [f64; 3],
    normal: Vec3,
    distance: f64,
}

impl Slab {
    /// Layers `factor` heights of the cell apart.
    pub(crate) fn new(factor: f64) -> Self {
        Self { factor }
    }
    /// The extended cell, or why there is none.
    pub(crate) fn extend(&self, cell: &Cell, positions: &[Vec3], cutoff: f64) -> Result<Extended, String> {
        let open = cell.periodic().iter().position(|p| !p).unwrap_or(2);
        let (a, b) = (cell.vector((open + 1) % 3), cell.vector((open + 2) % 3));
        let cross = a.cross(&b);
        let normal = cross / cross.norm();
        let height = cell.vector(open).dot(&normal).abs();
        let (low, high) = positions
            .iter()
            .map(|r| r.dot(&normal))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), z| (l.min(z), h.max(z)));
        let thickness = (high - low).max(0.0);
        if thickness > height {
            return Err(format!(
                "the slab is {thickness:.3} thick but the cell is only {height:.3} high in the direction that is not \
                 periodic: give the cell a third vector that is longer than the slab"
            ));
        }
        let distance = self.factor * height;
        let a_b = a.norm().max(b.norm());
        let gap = distance - thickness;
        if gap < cutoff || gap < a_b {
            return Err(format!(
                "only {gap:.3} of vacuum would be between the repeated slabs, which needs more than the cutoff \
                 ({cutoff:.3}) and the lattice vectors of the slab ({a_b:.3}): give the cell a longer third vector"
            ));
        }
        let mut columns = [a, a, a];
        columns[(open + 1) % 3] = a;
        columns[(open + 2) % 3] = b;
        // the third vector deforms with the cell; a shift of the layers in their plane does not matter
        columns[open] = self.factor * cell.vector(open);
        let h = Mat3::from_columns(&columns);
        let h_inv = h.try_inverse().ok_or("the lattice vectors are linearly dependent")?;
        let mut stretch = [1.0; 3];
        stretch[open] = self.factor;
        Ok(Extended { h, h_inv, stretch, normal, distance })
    }
}

impl Extended {
    pub(crate) fn add_dipole_term(
        &self,
        positions: &[Vec3],
        charges: &[f64],
        constant: f64,
        want: Properties,
        out: &mut Outputs,
    ) {
        let z = |i: usize| positions[i].dot(&self.normal);
        let (mut total, mut dipole, mut second) = (0.0, 0.0, 0.0);
        for (i, q) in charges.iter().enumerate() {
            total += q;
            dipole += q * z(i);
            second += q * z(i) * z(i);
        }
        let factor = 2.0 * PI * constant / self.h.determinant().abs();
        let l2 = self.distance * self.distance / 12.0;
        let energy = factor * (dipole * dipole - total * second - total * total * l2);
        // z scales with the strain along the normal, V with the trace
        let shape = Mat3::identity() - 2.0 * self.normal * self.normal.transpose();
        out.energy += energy;
        if want.contains(Properties::VIRIAL) {
            out.virial += energy * shape;
        }
        for (i, &q) in charges.iter().enumerate() {
            if want.contains(Properties::FORCES) {
                out.forces[i] -= 2.0 * factor * q * (dipole - total * z(i)) * self.normal;
            }
            let own = factor * q * (dipole * z(i) - total * z(i) * z(i) - total * l2);
            if want.contains(Properties::ATOM_ENERGIES) {
                out.atom_energies[i] += own;
            }
            if want.contains(Properties::ATOM_VIRIALS) {
                out.atom_virials[i] += own * shape;
            }
        }
    }
}
