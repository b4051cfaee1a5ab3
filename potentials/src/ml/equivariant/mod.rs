//! Rotation-equivariant pieces that MACE, SevenNet and their kin share, in the conventions of the e3nn library.
//!
//! A feature is a sum of blocks `mul x l p`: `mul` copies of the 2l + 1 components of degree l, which get the sign p under
//! inversion. Everything here is e3nn's real basis: the components of degree l are ordered m = −l…l with **y as polar
//! axis**, so that those of degree 1 are (x, y, z).
pub mod irreps;
pub mod spherical_harmonics;
pub(crate) mod weights;
pub mod wigner;

pub use irreps::{Irrep, Irreps, Path};
pub use spherical_harmonics::SphericalHarmonics;
pub use wigner::{Convention, wigner_3j};

/// An activation function times the constant that gives it unit second moment for normally distributed arguments, as
/// e3nn's `normalize2mom` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x σ(x).
    Silu,
    /// tanh x.
    Tanh,
    /// |x|.
    Abs,
    /// σ(x).
    Sigmoid,
    /// ln(1 + e^x) − ln 2.
    ShiftedSoftplus,
    /// x.
    Identity,
}

impl Activation {
    /// By the last part of the name of the function in a file: `torch.nn.functional.silu`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.rsplit('.').next().unwrap_or(name) {
            "silu" | "SiLU" => Self::Silu,
            "tanh" | "Tanh" => Self::Tanh,
            "abs" => Self::Abs,
            "sigmoid" | "Sigmoid" => Self::Sigmoid,
            "ShiftedSoftPlus" | "shifted_softplus" | "ssp" => Self::ShiftedSoftplus,
            _ => return None,
        })
    }
    /// The constant of e3nn: ⟨f(x)²⟩^(−1/2) over a million normally distributed numbers, which e3nn draws once with a fixed seed.
    pub fn constant(self) -> f64 {
        match self {
            Self::Silu => 1.679_176_792_398_941_8,
            Self::Tanh => 1.593_733_447_259_269_5,
            Self::Abs => 1.001_110_600_838_467,
            Self::Sigmoid => 1.846_705_534_215_476_3,
            Self::ShiftedSoftplus => 1.878_204_668_541_552,
            Self::Identity => 1.0,
        }
    }
    /// f(x) and f'(x), without the constant.
    #[inline]
    pub fn eval(self, x: f64) -> (f64, f64) {
        match self {
            Self::Silu => {
                let s = 1.0 / (1.0 + (-x).exp());
                (x * s, s * (1.0 + x * (1.0 - s)))
            }
            Self::Tanh => {
                let t = x.tanh();
                (t, 1.0 - t * t)
            }
            Self::Abs => (x.abs(), x.signum()),
            Self::Sigmoid => {
                let s = 1.0 / (1.0 + (-x).exp());
                (s, s * (1.0 - s))
            }
            Self::ShiftedSoftplus => {
                let softplus = x.max(0.0) + (-x.abs()).exp().ln_1p();
                (softplus - std::f64::consts::LN_2, 1.0 / (1.0 + (-x).exp()))
            }
            Self::Identity => (x, 1.0),
        }
    }
}
