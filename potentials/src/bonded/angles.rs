//! Interactions of three atoms i-j-k, functions of the angle at j.
use super::expression::Bound;
use super::terms::Form;
use caloron_engine::Vec3;

/// A function u(θ) of the angle of three atoms, θ in [0, π].
#[derive(Clone, Debug, PartialEq)]
pub enum AngleForm {
    /// u = k (θ - θ0)² / 2.
    Harmonic {
        /// k, eV/rad².
        k: f64,
        /// θ0, rad.
        theta0: f64,
    },
    /// u = k (cos θ - cos θ0)² / 2 (GROMOS-96).
    CosineSquared {
        /// k, eV.
        k: f64,
        /// cos θ0.
        cos0: f64,
    },
    /// u = k (1 + cos θ).
    Cosine {
        /// k, eV.
        k: f64,
    },
    /// u = Σ_n c_n (θ - θ0)^n, n = 0..=4 (class II and quartic angles).
    Quartic {
        /// θ0, rad.
        theta0: f64,
        /// c_n, eV/radⁿ.
        c: [f64; 5],
    },
    /// Any function of θ, as a text of the force field says.
    Expression(Bound),
}

impl AngleForm {
    /// u and u'(θ), or u and du/d(cos θ): whichever the form is smooth in.
    fn at(&self, theta: f64, cos: f64) -> (f64, Slope) {
        match self {
            Self::Harmonic { k, theta0 } => {
                let x = theta - theta0;
                (0.5 * k * x * x, Slope::Angle(k * x))
            }
            Self::CosineSquared { k, cos0 } => {
                let x = cos - cos0;
                (0.5 * k * x * x, Slope::Cosine(k * x))
            }
            Self::Cosine { k } => (k * (1.0 + cos), Slope::Cosine(*k)),
            Self::Quartic { theta0, c } => {
                let x = theta - theta0;
                let u = c.iter().rev().fold(0.0, |s, c| s * x + c);
                let slope = (1..5).rev().fold(0.0, |s, n| s * x + n as f64 * c[n]);
                (u, Slope::Angle(slope))
            }
            Self::Expression(f) => {
                let (u, slope) = f.at(theta);
                (u, Slope::Angle(slope))
            }
        }
    }
}

enum Slope {
    Angle(f64),
    Cosine(f64),
}

impl Form<3> for AngleForm {
    /// Where the atoms lie on a line (sin θ = 0) the direction of the force of a form with u'(θ) ≠ 0 is undefined; it
    /// is then 0, the mean over all directions.
    fn evaluate(&self, r: &[Vec3; 3]) -> (f64, [Vec3; 3]) {
        let (a, b) = (r[0] - r[1], r[2] - r[1]);
        let (la, lb) = (a.norm(), b.norm());
        if la == 0.0 || lb == 0.0 {
            return (self.at(0.0, 1.0).0, [Vec3::zeros(); 3]);
        }
        let (a, b) = (a / la, b / lb);
        let (cos, sin) = (a.dot(&b).clamp(-1.0, 1.0), a.cross(&b).norm());
        let (u, slope) = self.at(sin.atan2(cos), cos);
        // du/d(cos θ) = -u'(θ) / sin θ
        let g = match slope {
            Slope::Cosine(g) => g,
            Slope::Angle(_) if sin == 0.0 => 0.0,
            Slope::Angle(s) => -s / sin,
        };
        let fa = (b - a * cos) * (-g / la);
        let fb = (a - b * cos) * (-g / lb);
        (u, [fa, -(fa + fb), fb])
    }
}
