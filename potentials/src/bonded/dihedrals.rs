//! Interactions of four atoms i-j-k-l, functions of the angle between the planes ijk and jkl.
use super::expression::Bound;
use super::terms::Form;
use caloron_engine::Vec3;
use std::f64::consts::{PI, TAU};

/// A function u(φ) of the dihedral angle φ in (-π, π]: 0 for cis, ±π for trans, positive when l turns clockwise seen
/// along j-k (IUPAC).
#[derive(Clone, Debug, PartialEq)]
pub enum DihedralForm {
    /// u = k (1 + cos(n φ - φ0)).
    Periodic {
        /// k, eV.
        k: f64,
        /// n.
        n: u32,
        /// φ0, rad.
        phase: f64,
    },
    /// u = Σ_n c_n cosⁿ(ψ), n = 0..=5, ψ = φ - π: Ryckaert-Bellemans, 0 for trans.
    ///
    /// Source: J.-P. Ryckaert, A. Bellemans, Chem. Phys. Lett. 30, 123 (1975), doi:10.1016/0009-2614(75)85513-8.
    RyckaertBellemans {
        /// c_n, eV.
        c: [f64; 6],
    },
    /// u = V1 (1 + cos φ)/2 + V2 (1 - cos 2φ)/2 + V3 (1 + cos 3φ)/2 + V4 (1 - cos 4φ)/2 (OPLS).
    Fourier {
        /// V1 to V4, eV.
        v: [f64; 4],
    },
    /// u = k (φ - φ0)² / 2, the difference taken within [-π, π] (impropers).
    Harmonic {
        /// k, eV/rad².
        k: f64,
        /// φ0, rad.
        phi0: f64,
    },
    /// u = k (|φ| - φ0)² / 2: the angle between the planes without its sign (LAMMPS `improper_style harmonic`). Where
    /// φ0 is neither 0 nor π the slope jumps at φ = 0 or π.
    HarmonicUnsigned {
        /// k, eV/rad².
        k: f64,
        /// φ0, rad, in [0, π].
        phi0: f64,
    },
    /// Any function of φ, as a text of the force field says.
    Expression(Bound),
}

/// An angle difference within [-π, π].
pub(super) fn wrapped(x: f64) -> f64 {
    x - TAU * (x / TAU).round()
}

impl DihedralForm {
    /// u and u'(φ).
    pub fn at(&self, phi: f64) -> (f64, f64) {
        match self {
            Self::Periodic { k, n, phase } => {
                let n = f64::from(*n);
                let (sin, cos) = (n * phi - phase).sin_cos();
                (k * (1.0 + cos), -k * n * sin)
            }
            Self::RyckaertBellemans { c } => {
                let (sin, cos) = (phi - PI).sin_cos();
                let u = c.iter().rev().fold(0.0, |s, c| s * cos + c);
                let slope = (1..6).rev().fold(0.0, |s, n| s * cos + n as f64 * c[n]);
                (u, -slope * sin)
            }
            Self::Fourier { v } => {
                let (mut u, mut slope) = (0.0, 0.0);
                for (n, v) in (1..=4).zip(v) {
                    let sign = if n % 2 == 1 { 0.5 } else { -0.5 };
                    let (sin, cos) = (f64::from(n) * phi).sin_cos();
                    u += v * (0.5 + sign * cos);
                    slope -= v * sign * f64::from(n) * sin;
                }
                (u, slope)
            }
            Self::Harmonic { k, phi0 } => {
                let x = wrapped(phi - phi0);
                (0.5 * k * x * x, k * x)
            }
            Self::HarmonicUnsigned { k, phi0 } => {
                let x = phi.abs() - phi0;
                (0.5 * k * x * x, k * x * phi.signum())
            }
            Self::Expression(f) => f.at(phi),
        }
    }
}

/// The dihedral angle of four atoms and its derivatives with respect to their positions.
///
/// Where three of the atoms lie on a line the angle is not defined: it is then 0 with derivatives 0.
///
/// Source: A. Blondel, M. Karplus, J. Comput. Chem. 17, 1132 (1996).
pub(super) fn angle(r: &[Vec3; 4]) -> (f64, [Vec3; 4]) {
    let (f, g, h) = (r[0] - r[1], r[1] - r[2], r[3] - r[2]);
    let (a, b) = (f.cross(&g), h.cross(&g));
    let (a2, b2, g2) = (a.norm_squared(), b.norm_squared(), g.norm_squared());
    if a2 == 0.0 || b2 == 0.0 {
        return (0.0, [Vec3::zeros(); 4]);
    }
    let length = g2.sqrt();
    let phi = (b.cross(&a).dot(&g) / length).atan2(a.dot(&b));
    let (da, db) = (a * (-length / a2), b * (length / b2));
    let (ta, tb) = (a * (f.dot(&g) / (a2 * length)), b * (h.dot(&g) / (b2 * length)));
    (phi, [da, ta - tb - da, tb - ta - db, db])
}

impl Form<4> for DihedralForm {
    fn evaluate(&self, r: &[Vec3; 4]) -> (f64, [Vec3; 4]) {
        let (phi, slopes) = angle(r);
        let (u, slope) = self.at(phi);
        (u, slopes.map(|d| d * -slope))
    }
}
