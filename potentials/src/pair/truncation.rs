//! What happens to a pair potential at its cutoff.
use super::PairFunction;
use crate::simd::{LANES, Lanes, Portable};
use caloron_engine::SpecError;
use caloron_engine::quantity::{Length, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;

/// How a pair potential u(r) ends at its cutoff r_c.
///
/// Only the last five give continuous forces, which molecular dynamics needs to conserve energy.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Truncation {
    /// u(r) up to r_c, 0 beyond: the energy jumps. For comparison with published numbers and Monte Carlo.
    Truncated,
    /// u(r) - u(r_c): the energy is continuous, the force jumps.
    EnergyShifted,
    /// u(r) - u(r_c) - (r - r_c) u'(r_c): energy and force are continuous (the default).
    ForceShifted,
    /// u(r) S(x) with x = (r - inner)/(r_c - inner) and S = 1 - 10 x³ + 15 x⁴ - 6 x⁵, so that energy, force and its
    /// derivative are continuous at both ends and nothing changes below `inner`.
    Switch {
        /// Radius at which switching begins.
        inner: Quantity<Length>,
    },
    /// u(r) S(r) with S = (r_c² - r²)² (r_c² + 2 r² - 3 inner²) / (r_c² - inner²)³ beyond `inner`: the switch of CHARMM
    /// and X-PLOR; energy and force are continuous (Brooks et al., J. Comput. Chem. 4, 187 (1983),
    /// doi:10.1002/jcc.540040211).
    CharmmSwitch {
        /// Radius at which switching begins.
        inner: Quantity<Length>,
    },
    /// A polynomial added to the force from `inner` on makes force and its derivative vanish at r_c; below `inner`
    /// the energy is shifted by a constant. S(r) = A d³/3 + B d⁴/4 + C with d = max(0, r - inner)
    /// (van der Spoel & van Maaren, J. Chem. Theory Comput. 2, 1 (2006), doi:10.1021/ct0502256).
    ForceSwitch {
        /// Radius at which switching begins.
        inner: Quantity<Length>,
    },
    /// The force is replaced by the cubic polynomial in r that joins it smoothly at `inner` and vanishes with its
    /// derivative at r_c; the energy follows from it and is 0 at r_c.
    ForceSpline {
        /// Radius at which the polynomial begins.
        inner: Quantity<Length>,
    },
}

impl Truncation {
    /// True when the force is continuous.
    pub fn is_smooth(self) -> bool {
        !matches!(self, Self::Truncated | Self::EnergyShifted)
    }
    /// The inner radius, where there is one.
    pub fn inner(self) -> Option<f64> {
        match self {
            Self::Switch { inner }
            | Self::CharmmSwitch { inner }
            | Self::ForceSwitch { inner }
            | Self::ForceSpline { inner } => Some(inner.internal()),
            _ => None,
        }
    }
    /// Checks the inner radius against a cutoff.
    ///
    /// # Errors
    /// When it is negative or not below the cutoff.
    pub fn check(self, cutoff: f64) -> Result<(), SpecError> {
        match self.inner() {
            Some(inner) if !(0.0..cutoff).contains(&inner) => Err(SpecError::new(
                "truncation",
                format!("the inner radius {inner} is not between 0 and the cutoff {cutoff} of a pair"),
            )
            .hint("begin switching at about 0.8 to 0.9 of the shortest cutoff")),
            _ => Ok(()),
        }
    }
}

/// Numbers per pair that [`apply`] uses: r_c², then what the kind of truncation needs.
pub(super) const NUMBERS: usize = 8;

/// Value and -u'/r of a pair function at eight radii.
fn at<const K: usize, F: PairFunction<K>>(f: &F, c: &[f64; K], r: [f64; LANES]) -> [[f64; LANES]; 2] {
    let c = c.map(Portable::splat);
    let (u, g) = f.eval(&c, Portable::from_array(r.map(|r| r * r)));
    [u.to_array(), g.to_array()]
}

/// u(r), and -u'(r).
pub(super) fn energy_force<const K: usize, F: PairFunction<K>>(f: &F, c: &[f64; K], r: f64) -> (f64, f64) {
    let [u, g] = at(f, c, [r; LANES]);
    (u[0], g[0] * r)
}

/// Derivative of the force -u' at r, from eight points (relative error about 1e-13).
fn force_derivative<const K: usize, F: PairFunction<K>>(f: &F, c: &[f64; K], r: f64) -> f64 {
    let h = 0.002 * r;
    let points = [1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0, -4.0].map(|k| r + k * h);
    let [_, g] = at(f, c, points);
    let force: [f64; LANES] = std::array::from_fn(|k| g[k] * points[k]);
    let weights = [4.0 / 5.0, -1.0 / 5.0, 4.0 / 105.0, -1.0 / 280.0];
    (0..4).map(|k| weights[k] * (force[2 * k] - force[2 * k + 1])).sum::<f64>() / h
}

/// The numbers of a pair.
pub(super) fn numbers<const K: usize, F: PairFunction<K>>(
    kind: Truncation,
    f: &F,
    c: &[f64; K],
    rc: f64,
) -> [f64; NUMBERS] {
    let mut n = [0.0; NUMBERS];
    n[0] = rc * rc;
    let (u, force) = energy_force(f, c, rc);
    match kind {
        Truncation::Truncated => {}
        Truncation::EnergyShifted => n[1] = -u,
        // u + n1 + n2 r
        Truncation::ForceShifted => {
            n[1] = -u - rc * force;
            n[2] = force;
        }
        Truncation::Switch { inner } => {
            n[1] = inner.internal();
            n[2] = 1.0 / (rc - n[1]);
        }
        Truncation::CharmmSwitch { inner } => {
            n[1] = inner.internal().powi(2);
            n[2] = (n[0] - n[1]).powi(-3);
        }
        Truncation::ForceSwitch { inner } => {
            let inner = inner.internal();
            let (t, first, second) = (rc - inner, -force, -force_derivative(f, c, rc));
            let a = (-3.0 * first + t * second) / (t * t);
            let b = (2.0 * first - t * second) / (t * t * t);
            n[1] = -u + 0.5 * t * first - t * t * second / 12.0;
            n[2] = inner;
            n[3] = a;
            n[4] = b;
        }
        Truncation::ForceSpline { inner } => {
            let inner = inner.internal();
            let t = rc - inner;
            let (u, c1) = energy_force(f, c, inner);
            let c2 = force_derivative(f, c, inner);
            let c3 = -(3.0 / (t * t)) * (c1 + 2.0 / 3.0 * c2 * t);
            let c4 = -(1.0 / (3.0 * t * t)) * (c2 + 2.0 * c3 * t);
            // the energy at the inner radius, from the integral of the force up to the cutoff
            let e = t * (c1 + t * (c2 / 2.0 + t * (c3 / 3.0 + t * c4 / 4.0)));
            n[1] = inner;
            n[2] = e - u;
            n[3] = e;
            n[4..8].copy_from_slice(&[c1, c2, c3, c4]);
        }
    }
    n
}

/// Applies the truncation to u and g = -u'/r.
#[inline(always)]
pub(super) fn apply<V: Lanes>(kind: Truncation, n: &[V; NUMBERS], r2: V, u: V, g: V) -> (V, V) {
    let zero = V::splat(0.0);
    match kind {
        Truncation::Truncated | Truncation::EnergyShifted => (u + n[1], g),
        Truncation::ForceShifted => {
            let r = r2.sqrt();
            (u + n[2].mul_add(r, n[1]), g - n[2] / r)
        }
        Truncation::Switch { .. } => {
            let r = r2.sqrt();
            let x = V::splat(1.0).min(zero.max((r - n[1]) * n[2]));
            let y = V::splat(1.0) - x;
            let cube = x * x * x;
            let s = V::splat(1.0) - cube * (V::splat(10.0) + x * (V::splat(6.0) * x - V::splat(15.0)));
            // S' = -30 x² (1 - x)²
            let slope = V::splat(-30.0) * (x * x) * (y * y) * n[2];
            (u * s, g * s - u * slope / r)
        }
        Truncation::CharmmSwitch { .. } => {
            let y = n[1].max(r2);
            let (a, b) = (n[0] - y, y - n[1]);
            // dS/dr² = -6 (r_c² - r²) (r² - inner²) / (r_c² - inner²)³
            let s = a * a * (a + V::splat(3.0) * b) * n[2];
            (u * s, g * s + V::splat(12.0) * u * (a * b * n[2]))
        }
        Truncation::ForceSwitch { .. } => {
            let r = r2.sqrt();
            let d = zero.max(r - n[2]);
            let d2 = d * d;
            let third = V::splat(1.0 / 3.0) * n[3] + V::splat(0.25) * n[4] * d;
            (u + (n[1] + d2 * d * third), g - d2 * (n[3] + n[4] * d) / r)
        }
        Truncation::ForceSpline { .. } => {
            let r = r2.sqrt();
            let d = r - n[1];
            let inside = d.lt(zero);
            let force = n[4] + d * (n[5] + d * (n[6] + d * n[7]));
            let half = V::splat(0.5) * n[5];
            let integral =
                d * (n[4] + d * (half + d * (V::splat(1.0 / 3.0) * n[6] + V::splat(0.25) * n[7] * d)));
            (V::select(inside, u + n[2], n[3] - integral), V::select(inside, g, force / r))
        }
    }
}
