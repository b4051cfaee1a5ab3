//! Interactions of two bonded atoms, functions of their distance.
use super::expression::Bound;
use super::terms::Form;
use caloron_engine::Vec3;

/// A function u(r) of the distance of two atoms.
#[derive(Clone, Debug, PartialEq)]
pub enum BondForm {
    /// u = k (r - r0)² / 2.
    Harmonic {
        /// k, eV/Å².
        k: f64,
        /// r0, Å.
        r0: f64,
    },
    /// u = c2 x² + c3 x³ + c4 x⁴, x = r - r0 (class II and cubic bonds).
    Quartic {
        /// r0, Å.
        r0: f64,
        /// c2, c3, c4 in eV/Å², eV/Å³, eV/Å⁴.
        c: [f64; 3],
    },
    /// u = k (r² - r0²)² / 4 (GROMOS-96).
    Squared {
        /// k, eV/Å⁴.
        k: f64,
        /// r0, Å.
        r0: f64,
    },
    /// u = D (1 - exp(-a (r - r0)))².
    ///
    /// Source: P. M. Morse, Phys. Rev. 34, 57 (1929), doi:10.1103/PhysRev.34.57.
    Morse {
        /// D, eV.
        depth: f64,
        /// a, 1/Å.
        a: f64,
        /// r0, Å.
        r0: f64,
    },
    /// Any function, as a text of the force field says.
    Expression(Bound),
}

impl BondForm {
    /// u and u'.
    pub fn at(&self, r: f64) -> (f64, f64) {
        match self {
            Self::Harmonic { k, r0 } => {
                let x = r - r0;
                (0.5 * k * x * x, k * x)
            }
            Self::Quartic { r0, c: [c2, c3, c4] } => {
                let x = r - r0;
                (x * x * (c2 + x * (c3 + x * c4)), x * (2.0 * c2 + x * (3.0 * c3 + x * 4.0 * c4)))
            }
            Self::Squared { k, r0 } => {
                let x = r * r - r0 * r0;
                (0.25 * k * x * x, k * x * r)
            }
            Self::Morse { depth, a, r0 } => {
                let e = (-a * (r - r0)).exp();
                (depth * (1.0 - e) * (1.0 - e), 2.0 * depth * a * e * (1.0 - e))
            }
            Self::Expression(f) => f.at(r),
        }
    }
}

impl Form<2> for BondForm {
    fn evaluate(&self, r: &[Vec3; 2]) -> (f64, [Vec3; 2]) {
        let d = r[1];
        let length = d.norm();
        let (u, slope) = self.at(length);
        // two atoms in one place: no direction, no force
        let f = if length > 0.0 { d * (slope / length) } else { Vec3::zeros() };
        (u, [f, -f])
    }
}
