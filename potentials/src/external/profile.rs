//! Energy as a function of the distance from a wall.
use super::positive;
use caloron_engine::quantity::{Energy, ForceConstant, Length};
use caloron_engine::{Quantity, SpecError};
use schemars::JsonSchema;
use serde::Deserialize;

/// How a wall acts on an atom at a distance d (positive on the allowed side).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Profile {
    /// E = k d²/2 for d < 0: pushes back what has passed the wall.
    Harmonic {
        /// k.
        force_constant: Quantity<ForceConstant>,
    },
    /// E = ε [2/15 (σ/d)⁹ - (σ/d)³], shifted to 0 at the cutoff: a half space of Lennard-Jones particles.
    Lj93 {
        /// ε.
        epsilon: Quantity<Energy>,
        /// σ.
        sigma: Quantity<Length>,
        /// Distance beyond which the wall does not act; at (2/5)^(1/6) σ the wall is purely repulsive.
        cutoff: Quantity<Length>,
    },
    /// E = 4 ε [(σ/d)¹² - (σ/d)⁶], shifted to 0 at the cutoff.
    Lj126 {
        /// ε.
        epsilon: Quantity<Energy>,
        /// σ.
        sigma: Quantity<Length>,
        /// Distance beyond which the wall does not act.
        cutoff: Quantity<Length>,
    },
    /// The repulsive part of 12-6: cut and shifted at its minimum 2^(1/6) σ.
    Wca {
        /// ε.
        epsilon: Quantity<Energy>,
        /// σ.
        sigma: Quantity<Length>,
    },
}

/// A profile with checked numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Curve {
    Harmonic {
        k: f64,
    },
    /// E = a (σ/d)^p - b (σ/d)^q - shift within the cutoff.
    Powers {
        a: f64,
        b: f64,
        p: i32,
        q: i32,
        sigma: f64,
        cutoff: f64,
        shift: f64,
    },
}

impl Profile {
    /// Papers to cite.
    pub(crate) fn citations(&self) -> Vec<&'static str> {
        match self {
            Self::Lj93 { .. } => {
                vec!["W. A. Steele, Surf. Sci. 36, 317 (1973), doi:10.1016/0039-6028(73)90264-1"]
            }
            Self::Wca { .. } => vec![
                "J. D. Weeks, D. Chandler and H. C. Andersen, J. Chem. Phys. 54, 5237 (1971), doi:10.1063/1.1674820",
            ],
            Self::Harmonic { .. } | Self::Lj126 { .. } => Vec::new(),
        }
    }
    /// Checks the numbers.
    pub(crate) fn build(&self) -> Result<Curve, SpecError> {
        let powers = |a: f64, b: f64, p: i32, q: i32, sigma: f64, cutoff: f64| {
            let x = sigma / cutoff;
            Curve::Powers { a, b, p, q, sigma, cutoff, shift: a * x.powi(p) - b * x.powi(q) }
        };
        Ok(match self {
            Self::Harmonic { force_constant } => Curve::Harmonic {
                k: positive("force_constant", *force_constant).map_err(|e| e.within("harmonic"))?,
            },
            Self::Lj93 { epsilon, sigma, cutoff } => {
                let at = |e: SpecError| e.within("lj93");
                let e = positive("epsilon", *epsilon).map_err(at)?;
                let (s, c) =
                    (positive("sigma", *sigma).map_err(at)?, positive("cutoff", *cutoff).map_err(at)?);
                powers(e * 2.0 / 15.0, e, 9, 3, s, c)
            }
            Self::Lj126 { epsilon, sigma, cutoff } => {
                let at = |e: SpecError| e.within("lj126");
                let e = positive("epsilon", *epsilon).map_err(at)?;
                let (s, c) =
                    (positive("sigma", *sigma).map_err(at)?, positive("cutoff", *cutoff).map_err(at)?);
                powers(4.0 * e, 4.0 * e, 12, 6, s, c)
            }
            Self::Wca { epsilon, sigma } => {
                let at = |e: SpecError| e.within("wca");
                let (e, s) =
                    (positive("epsilon", *epsilon).map_err(at)?, positive("sigma", *sigma).map_err(at)?);
                powers(4.0 * e, 4.0 * e, 12, 6, s, s * 2f64.powf(1.0 / 6.0))
            }
        })
    }
}

impl Curve {
    /// E and -dE/dd at a distance; `None` on the wrong side of a wall that cannot be passed.
    pub(crate) fn at(&self, d: f64) -> Option<(f64, f64)> {
        match *self {
            Self::Harmonic { k } => Some(if d < 0.0 { (0.5 * k * d * d, -k * d) } else { (0.0, 0.0) }),
            Self::Powers { .. } if d <= 0.0 || d.is_nan() => None,
            Self::Powers { a, b, p, q, sigma, cutoff, shift } => Some(if d < cutoff {
                let x = sigma / d;
                let (u, v) = (a * x.powi(p), b * x.powi(q));
                (u - v - shift, (f64::from(p) * u - f64::from(q) * v) / d)
            } else {
                (0.0, 0.0)
            }),
        }
    }
}
