//! Which deformations of the cell are free, and the stress it is held against.
use crate::{Cell, Mat3, Schedule, VOIGT};
use schemars::JsonSchema;
use serde::Deserialize;

/// Which deformations of the cell a barostat may make. All keep the lattice from rotating: the velocity gradient is
/// a symmetric matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CellMode {
    /// All directions by the same factor: the shape stays. For liquids and gases.
    #[default]
    Isotropic,
    /// x and y by the same factor, z by another. For membranes and surfaces normal to z.
    SemiIsotropic,
    /// x, y and z each by its own factor; angles of a rectangular cell stay. For crystals with right angles; the shape
    /// of a liquid has no restoring force and wanders until the cell is too flat.
    Anisotropic,
    /// Lengths and angles. For any crystal, not for liquids (see `anisotropic`).
    Triclinic,
}

/// A Cartesian axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// First.
    X,
    /// Second.
    Y,
    /// Third.
    Z,
}

impl CellMode {
    /// The free strains as symmetric matrices E_k with tr(E_k E_l) = δ_kl, without those that stretch or shear a
    /// fixed axis. Empty when nothing is left.
    pub fn basis(self, fixed: &[Axis]) -> Vec<Mat3> {
        let e = |i: usize, j: usize| {
            let mut m = Mat3::zeros();
            m[(i, j)] = 1.0;
            m
        };
        let root = std::f64::consts::FRAC_1_SQRT_2;
        let all = match self {
            Self::Isotropic => vec![Mat3::identity() / 3f64.sqrt()],
            Self::SemiIsotropic => vec![(e(0, 0) + e(1, 1)) * root, e(2, 2)],
            Self::Anisotropic => vec![e(0, 0), e(1, 1), e(2, 2)],
            Self::Triclinic => vec![
                e(0, 0),
                e(1, 1),
                e(2, 2),
                (e(1, 2) + e(2, 1)) * root,
                (e(0, 2) + e(2, 0)) * root,
                (e(0, 1) + e(1, 0)) * root,
            ],
        };
        let touches = |m: &Mat3| fixed.iter().any(|&axis| m.row(axis as usize).iter().any(|x| *x != 0.0));
        all.into_iter().filter(|m| !touches(m)).collect()
    }
}

/// A component of the pressure that a barostat keeps: tr(W P) for the pressure tensor P and weights W.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldPressure {
    /// [`HeldPressure::WHOLE`] for the pressure itself; else the indices of the component, `xx` to `xy`, or `xx+yy` for the mean of two.
    pub name: &'static str,
    /// Weights W, symmetric.
    pub weights: Mat3,
    /// What it is kept at, eV/Å³; `None` where the mean is only near to it: components of a tension other than a pressure,
    /// which is true for the cell of the start alone (see [`external_energy`]).
    pub target: Option<Schedule>,
}

impl HeldPressure {
    /// Name of the pressure itself.
    pub const WHOLE: &str = "P";
    /// True for components that are kept apart.
    pub fn is_apart(held: &[Self]) -> bool {
        held.iter().any(|h| h.name != Self::WHOLE)
    }
}

impl CellMode {
    /// What a barostat of this mode keeps, of a pressure tensor.
    pub fn held(self, fixed: &[Axis], target: &Target) -> Vec<HeldPressure> {
        let (start, end) = (target.at(0.0), target.at(1.0));
        let same = |s: &Mat3| *s == Mat3::identity() * s[(0, 0)];
        let hydrostatic = same(&start) && same(&end);
        let component = |e: Mat3| {
            let weights = e / e.sum();
            let mut parts = VOIGT.into_iter().filter(|(a, b, _)| e[(*a, *b)] != 0.0).map(|c| c.2);
            let name = match (self, parts.next(), parts.next()) {
                (Self::Isotropic, ..) => HeldPressure::WHOLE,
                (_, Some(name), None) => name,
                _ => "xx+yy",
            };
            let at = |s: &Mat3| (weights * s).trace();
            let target = hydrostatic.then(|| Schedule { start: at(&start), end: at(&end) });
            HeldPressure { name, weights, target }
        };
        self.basis(fixed).into_iter().map(component).collect()
    }
}

/// exp of a symmetric matrix; exact zeros stay zero for diagonal ones.
pub fn exp_symmetric(m: &Mat3) -> Mat3 {
    if m[(0, 1)] == 0.0 && m[(0, 2)] == 0.0 && m[(1, 2)] == 0.0 {
        return Mat3::from_diagonal(&m.diagonal().map(f64::exp));
    }
    let eigen = m.symmetric_eigen();
    let q = eigen.eigenvectors;
    q * Mat3::from_diagonal(&eigen.eigenvalues.map(f64::exp)) * q.transpose()
}

/// The pressure tensor a cell is held against: components xx, yy, zz, yz, xz, xy, positive under compression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target(pub [Schedule; 6]);

impl Target {
    /// The same pressure from all sides.
    pub const fn pressure(p: Schedule) -> Self {
        let zero = Schedule::constant(0.0);
        Self([p, p, p, zero, zero, zero])
    }
    /// The tensor at a fraction of the stage.
    pub fn at(&self, progress: f64) -> Mat3 {
        let [xx, yy, zz, yz, xz, xy] = self.0.map(|s| s.at(progress));
        Mat3::new(xx, xy, xz, xy, yy, yz, xz, yz, zz)
    }
}

/// Energy of the surroundings that press on a cell, for the pressure tensor S:
///
/// E(h) = P V + V₀ tr((S - P 1) ε), P = tr S / 3, ε = (Fᵀ F - 1)/2, F = h h₀⁻¹,
///
/// so that the shape is held by a fixed thermodynamic tension relative to the reference cell h₀ (the cell when the
/// barostat first acts) and the energy is a function of the cell alone. S is the true stress at h₀.
///
/// Source: Parrinello and Rahman, J. Appl. Phys. 52, 7182 (1981), doi:10.1063/1.328693.
pub fn external_energy(cell: &Cell, reference: &Mat3, s: &Mat3) -> f64 {
    let p = s.trace() / 3.0;
    let shape = s - Mat3::identity() * p;
    let hydrostatic = p * cell.volume();
    if shape == Mat3::zeros() {
        return hydrostatic;
    }
    let f = cell.matrix() * reference.try_inverse().unwrap_or_else(Mat3::identity);
    let strain = (f.transpose() * f - Mat3::identity()) * 0.5;
    hydrostatic + reference.determinant().abs() * (shape * strain).trace()
}

/// Derivative of [`external_energy`] by a symmetric strain applied from the left, h -> (1 + dε) h.
pub fn external_gradient(cell: &Cell, reference: &Mat3, s: &Mat3) -> Mat3 {
    let p = s.trace() / 3.0;
    let shape = s - Mat3::identity() * p;
    let hydrostatic = Mat3::identity() * (p * cell.volume());
    if shape == Mat3::zeros() {
        return hydrostatic;
    }
    let f = cell.matrix() * reference.try_inverse().unwrap_or_else(Mat3::identity);
    hydrostatic + f * shape * f.transpose() * reference.determinant().abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_basis_is_orthonormal_and_fixed_axes_stay() {
        for mode in [CellMode::Isotropic, CellMode::SemiIsotropic, CellMode::Anisotropic, CellMode::Triclinic]
        {
            let basis = mode.basis(&[]);
            for (k, a) in basis.iter().enumerate() {
                for (l, b) in basis.iter().enumerate() {
                    let expected = if k == l { 1.0 } else { 0.0 };
                    assert!(((a * b).trace() - expected).abs() < 1e-15);
                }
            }
        }
        assert_eq!(CellMode::Triclinic.basis(&[Axis::Z]).len(), 3);
        assert_eq!(CellMode::SemiIsotropic.basis(&[Axis::Z]).len(), 1);
        assert!(CellMode::Isotropic.basis(&[Axis::X]).is_empty());
    }

    #[test]
    fn a_mode_keeps_its_own_components() {
        let names = |mode: CellMode, fixed: &[Axis]| -> Vec<&str> {
            mode.held(fixed, &Target::pressure(Schedule::constant(2.0))).iter().map(|h| h.name).collect()
        };
        assert_eq!(names(CellMode::Isotropic, &[]), ["P"]);
        assert_eq!(names(CellMode::SemiIsotropic, &[]), ["xx+yy", "zz"]);
        assert_eq!(names(CellMode::Anisotropic, &[Axis::Y]), ["xx", "zz"]);
        assert_eq!(names(CellMode::Triclinic, &[]), ["xx", "yy", "zz", "yz", "xz", "xy"]);
        let p = Mat3::new(1.0, 6.0, 5.0, 6.0, 2.0, 4.0, 5.0, 4.0, 3.0);
        let means = |mode: CellMode| -> Vec<f64> {
            let held = mode.held(&[], &Target::pressure(Schedule { start: 2.0, end: 3.0 }));
            held.iter().map(|h| (h.weights * p).trace()).collect()
        };
        assert!((means(CellMode::Isotropic)[0] - 2.0).abs() < 1e-15);
        assert!(means(CellMode::SemiIsotropic).iter().zip([1.5, 3.0]).all(|(a, b)| (a - b).abs() < 1e-15));
        let all = means(CellMode::Triclinic);
        assert!(
            all.iter().zip([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).all(|(a, b)| (a - b).abs() < 1e-14),
            "{all:?}"
        );
        // a shear has no pressure to be kept at but 0, and a tension of its own is not compared
        let held = CellMode::Triclinic.held(&[], &Target::pressure(Schedule { start: 2.0, end: 3.0 }));
        let target = |k: usize| held[k].target.map(|t: Schedule| [t.start, t.end]);
        assert_eq!((target(0), target(3)), (Some([2.0, 3.0]), Some([0.0, 0.0])));
        let mut tension = Target::pressure(Schedule::constant(2.0));
        tension.0[0] = Schedule::constant(1.0);
        assert!(CellMode::Anisotropic.held(&[], &tension).iter().all(|h| h.target.is_none()));
    }

    #[test]
    fn the_gradient_is_that_of_the_energy() {
        let reference = Mat3::new(4.0, 0.5, 0.2, 0.0, 5.0, -0.3, 0.0, 0.0, 6.0);
        let cell = Cell::from_matrix(
            Mat3::new(1.1, 0.05, 0.0, 0.02, 0.9, 0.01, 0.0, 0.1, 1.0) * reference,
            [true; 3],
        )
        .unwrap();
        let s = Mat3::new(0.3, 0.1, -0.2, 0.1, 0.5, 0.05, -0.2, 0.05, -0.1);
        let gradient = external_gradient(&cell, &reference, &s);
        for e in CellMode::Triclinic.basis(&[]) {
            let energy = |x: f64| {
                let moved = cell.deformed(&exp_symmetric(&(e * x))).unwrap();
                external_energy(&moved, &reference, &s)
            };
            let numeric = (energy(1e-5) - energy(-1e-5)) / 2e-5;
            assert!((numeric - (e * gradient).trace()).abs() < 1e-7, "{numeric}");
        }
    }
}
