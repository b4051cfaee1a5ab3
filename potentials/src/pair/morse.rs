//! The Morse potential.
use super::{Pair, PairFunction, Parameters, Truncation, Unlisted, check};
use crate::BuildContext;
use crate::simd::Lanes;
use caloron_engine::SpecError;
use caloron_engine::quantity::{Energy, InverseLength, Length, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;

/// Morse: u(r) = D [exp(-2α(r - r₀)) - 2 exp(-α(r - r₀))].
///
/// P. M. Morse, Phys. Rev. 34, 57 (1929), doi:10.1103/PhysRev.34.57.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Morse {
    /// Cutoff of pairs that state none of their own.
    pub cutoff: Quantity<Length>,
    /// What happens at the cutoff; default `force_shifted`.
    pub truncation: Option<Truncation>,
    /// Adds energy and pressure of a homogeneous fluid beyond the cutoff; default false.
    #[serde(default)]
    pub tail_correction: bool,
    /// Parameters of pairs of species.
    pub pairs: Vec<MorsePair>,
    /// What pairs without parameters do; default `error`.
    #[serde(default)]
    pub unlisted_pairs: Unlisted,
}

/// Morse parameters of a pair of species.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MorsePair {
    /// The two species, in any order.
    pub species: [String; 2],
    /// Depth D of the well.
    pub depth: Quantity<Energy>,
    /// Inverse width α of the well.
    pub alpha: Quantity<InverseLength>,
    /// Distance r₀ of the minimum.
    pub r0: Quantity<Length>,
    /// Cutoff of this pair; default that of the table.
    pub cutoff: Option<Quantity<Length>>,
}

/// The function; coefficients D, α, r₀.
#[derive(Clone, Copy, Debug)]
pub struct Function;

impl PairFunction<3> for Function {
    const NAME: &'static str = "morse";
    #[inline(always)]
    fn eval<V: Lanes>(&self, c: &[V; 3], r2: V) -> (V, V) {
        let r = r2.sqrt();
        let e = (c[1] * (c[2] - r)).exp();
        let de = c[0] * e;
        (de * (e - V::splat(2.0)), V::splat(2.0) * c[1] * de * (e - V::splat(1.0)) / r)
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["P. M. Morse, Phys. Rev. 34, 57 (1929), doi:10.1103/PhysRev.34.57"]
    }
}

impl Morse {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a value is out of range or a pair has no parameters.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Pair<Function, 3>, SpecError> {
        let cutoff = check::positive("cutoff", self.cutoff)?;
        let parameters = Parameters::listed(Function::NAME, context.system, &self.pairs, |p| {
            let depth = check::non_negative("depth", p.depth)?;
            let alpha = check::positive("alpha", p.alpha)?;
            let r0 = check::non_negative("r0", p.r0)?;
            Ok((&p.species, [depth, alpha, r0], check::cutoff(p.cutoff, cutoff)?))
        })?;
        let kind = self.truncation.unwrap_or(Truncation::ForceShifted);
        let table = parameters.build(&Function, kind, self.unlisted_pairs)?;
        Pair::new(Function, table, self.tail_correction)
    }
}
