//! Corrections that depend on two dihedral angles, interpolated on a periodic grid.
use super::dihedrals::angle;
use super::terms::Form;
use caloron_engine::{SpecError, Vec3};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Energies on an n x n grid of (φ, ψ) = (2π i/n, 2π j/n), continued by bicubic patches whose slopes come from periodic
/// cubic splines.
///
/// Source: A. D. MacKerell, M. Feig, C. L. Brooks, J. Comput. Chem. 25, 1400 (2004), doi:10.1002/jcc.20065.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    n: usize,
    /// Value, ∂φ, ∂ψ, ∂φ∂ψ (in units of a grid step) at [i + n j].
    knots: Vec<[f64; 4]>,
}

impl Map {
    /// From the energies at [i + n j], i along φ and j along ψ, eV.
    ///
    /// # Errors
    /// When the number of energies is not n² with n of at least 3, or one is not finite.
    pub fn new(n: usize, energies: &[f64]) -> Result<Self, SpecError> {
        if n < 3 || energies.len() != n * n || energies.iter().any(|e| !e.is_finite()) {
            let message = format!(
                "a map of {n} x {n} points needs {} finite energies and n >= 3; there are {}",
                n * n,
                energies.len()
            );
            return Err(SpecError::new("", message));
        }
        let along = |values: &dyn Fn(usize, usize) -> f64, turned: bool| {
            let mut out = vec![0.0; n * n];
            for j in 0..n {
                let row: Vec<f64> =
                    (0..n).map(|i| if turned { values(j, i) } else { values(i, j) }).collect();
                for (i, s) in periodic_slopes(&row).into_iter().enumerate() {
                    out[if turned { j + n * i } else { i + n * j }] = s;
                }
            }
            out
        };
        let first = along(&|i, j| energies[i + n * j], false);
        let second = along(&|i, j| energies[i + n * j], true);
        let both = along(&|i, j| first[i + n * j], true);
        let knots = (0..n * n).map(|k| [energies[k], first[k], second[k], both[k]]).collect();
        Ok(Self { n, knots })
    }
    /// Points along one direction.
    pub fn points(&self) -> usize {
        self.n
    }
    /// Energy and its derivatives with respect to φ and ψ (rad).
    pub fn at(&self, phi: f64, psi: f64) -> (f64, [f64; 2]) {
        let scale = self.n as f64 / TAU;
        let place = |x: f64| {
            let u = (x * scale).rem_euclid(self.n as f64);
            let k = (u.floor() as usize).min(self.n - 1);
            (k, (k + 1) % self.n, u - k as f64)
        };
        let ((i, i1, s), (j, j1, t)) = (place(phi), place(psi));
        let (hs, ht) = (hermite(s), hermite(t));
        let (mut u, mut du) = (0.0, [0.0; 2]);
        for (a, i) in [i, i1].into_iter().enumerate() {
            for (b, j) in [j, j1].into_iter().enumerate() {
                let [f, fx, fy, fxy] = self.knots[i + self.n * j];
                for (c, (vs, ds)) in [(f, fx), (fy, fxy)].into_iter().enumerate() {
                    let (p, dp) = ht[2 * c + b];
                    let (value, dvalue) = hs[a];
                    let (slope, dslope) = hs[2 + a];
                    u += p * (value * vs + slope * ds);
                    du[0] += p * (dvalue * vs + dslope * ds);
                    du[1] += dp * (value * vs + slope * ds);
                }
            }
        }
        (u, du.map(|d| d * scale))
    }
}

/// The cubic Hermite functions at t with their derivatives: of the values at 0 and 1, then of the slopes at 0 and 1.
fn hermite(t: f64) -> [(f64, f64); 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        (2.0 * t3 - 3.0 * t2 + 1.0, 6.0 * t2 - 6.0 * t),
        (3.0 * t2 - 2.0 * t3, 6.0 * t - 6.0 * t2),
        (t3 - 2.0 * t2 + t, 3.0 * t2 - 4.0 * t + 1.0),
        (t3 - t2, 3.0 * t2 - 2.0 * t),
    ]
}

/// Slopes at the knots of the periodic cubic spline with unit steps: s[k-1] + 4 s[k] + s[k+1] = 3 (y[k+1] - y[k-1]).
fn periodic_slopes(y: &[f64]) -> Vec<f64> {
    let n = y.len();
    let right: Vec<f64> = (0..n).map(|k| 3.0 * (y[(k + 1) % n] - y[(k + n - 1) % n])).collect();
    // a cyclic system as a tridiagonal one and a correction (Sherman and Morrison)
    let solve = |mut d: Vec<f64>| {
        let mut diagonal = vec![4.0; n];
        diagonal[0] = 4.0 + 4.0;
        diagonal[n - 1] = 4.0 + 0.25;
        for k in 1..n {
            let m = 1.0 / diagonal[k - 1];
            diagonal[k] -= m;
            d[k] -= m * d[k - 1];
        }
        d[n - 1] /= diagonal[n - 1];
        for k in (0..n - 1).rev() {
            d[k] = (d[k] - d[k + 1]) / diagonal[k];
        }
        d
    };
    let mut corner = vec![0.0; n];
    corner[0] = -4.0;
    corner[n - 1] = 1.0;
    let (x, z) = (solve(right), solve(corner));
    let factor = (x[0] - 0.25 * x[n - 1]) / (1.0 + z[0] - 0.25 * z[n - 1]);
    x.iter().zip(&z).map(|(x, z)| x - factor * z).collect()
}

/// Two dihedral angles, of the first and of the last four of eight atoms, on a map.
#[derive(Clone, Debug)]
pub struct CmapForm(pub Arc<Map>);

impl Form<8> for CmapForm {
    fn evaluate(&self, r: &[Vec3; 8]) -> (f64, [Vec3; 8]) {
        let (phi, a) = angle(&[r[0], r[1], r[2], r[3]]);
        let (psi, b) = angle(&[r[4], r[5], r[6], r[7]]);
        let (u, slope) = self.0.at(phi, psi);
        (u, std::array::from_fn(|k| if k < 4 { a[k] * -slope[0] } else { b[k - 4] * -slope[1] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surface_goes_through_its_points_and_is_smooth() {
        let n = 24;
        let f = |x: f64, y: f64| (x + 0.3).sin() * (2.0 * y).cos() + 0.2 * (x - y).cos();
        let at = |k: usize| TAU * k as f64 / n as f64;
        let energies: Vec<f64> = (0..n * n).map(|k| f(at(k % n), at(k / n))).collect();
        let map = Map::new(n, &energies).unwrap();
        for k in 0..n * n {
            assert!((map.at(at(k % n), at(k / n)).0 - energies[k]).abs() < 1e-14);
        }
        for k in 0..500 {
            let (x, y) = (0.0137 * f64::from(k) - 3.0, 0.31 * f64::from(k) - 2.0);
            let (u, [dx, dy]) = map.at(x, y);
            assert!((u - f(x, y)).abs() < 2e-3, "{u} {}", f(x, y));
            let h = 1e-6;
            let along = |a: f64, b: f64| (map.at(x + a, y + b).0 - map.at(x - a, y - b).0) / (2.0 * h);
            assert!((along(h, 0.0) - dx).abs() < 1e-7 && (along(0.0, h) - dy).abs() < 1e-7);
        }
        assert!(Map::new(4, &energies).is_err());
    }
}
