//! The Yukawa potential.
use super::{Pair, PairFunction, Parameters, Truncation, Unlisted, check};
use crate::BuildContext;
use crate::simd::Lanes;
use caloron_engine::SpecError;
use caloron_engine::quantity::{EnergyLength, InverseLength, Length, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;

/// Yukawa (screened Coulomb): u(r) = A exp(-κ r)/r.
///
/// H. Yukawa, Proc. Phys.-Math. Soc. Jpn. 17, 48 (1935), doi:10.11429/ppmsj1919.17.0_48.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Yukawa {
    /// Cutoff of pairs that state none of their own.
    pub cutoff: Quantity<Length>,
    /// What happens at the cutoff; default `force_shifted`.
    pub truncation: Option<Truncation>,
    /// Adds energy and pressure of a homogeneous fluid beyond the cutoff; default false.
    #[serde(default)]
    pub tail_correction: bool,
    /// Inverse screening length κ of all pairs.
    pub kappa: Quantity<InverseLength>,
    /// Parameters of pairs of species.
    pub pairs: Vec<YukawaPair>,
    /// What pairs without parameters do; default `error`.
    #[serde(default)]
    pub unlisted_pairs: Unlisted,
}

/// Yukawa parameters of a pair of species.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct YukawaPair {
    /// The two species, in any order.
    pub species: [String; 2],
    /// Strength A; negative for attraction.
    pub a: Quantity<EnergyLength>,
    /// Cutoff of this pair; default that of the table.
    pub cutoff: Option<Quantity<Length>>,
}

/// The function; coefficients A, κ.
pub struct Function;

impl PairFunction<2> for Function {
    const NAME: &'static str = "yukawa";
    #[inline(always)]
    fn eval<V: Lanes>(&self, c: &[V; 2], r2: V) -> (V, V) {
        let r = r2.sqrt();
        let inverse = V::splat(1.0) / r;
        let u = c[0] * (-(c[1] * r)).exp() * inverse;
        (u, u * (c[1] + inverse) * inverse)
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["H. Yukawa, Proc. Phys.-Math. Soc. Jpn. 17, 48 (1935), doi:10.11429/ppmsj1919.17.0_48"]
    }
}

impl Yukawa {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a value is out of range or a pair has no parameters.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Pair<Function, 2>, SpecError> {
        let cutoff = check::positive("cutoff", self.cutoff)?;
        let kappa = check::non_negative("kappa", self.kappa)?;
        let parameters = Parameters::listed(Function::NAME, context.system, &self.pairs, |p| {
            Ok((&p.species, [p.a.internal(), kappa], check::cutoff(p.cutoff, cutoff)?))
        })?;
        let kind = self.truncation.unwrap_or(Truncation::ForceShifted);
        let table = parameters.build(&Function, kind, self.unlisted_pairs)?;
        Pair::new(Function, table, self.tail_correction)
    }
}
