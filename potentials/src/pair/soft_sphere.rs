//! The soft-sphere potential.
use super::{Pair, PairFunction, Parameters, Truncation, Unlisted, check};
use crate::BuildContext;
use crate::simd::Lanes;
use caloron_engine::SpecError;
use caloron_engine::quantity::{Energy, Length, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;

/// Soft spheres (inverse power): u(r) = ε (σ/r)ⁿ.
///
/// W. G. Hoover et al., J. Chem. Phys. 52, 4931 (1970), doi:10.1063/1.1672728.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SoftSphere {
    /// Cutoff of pairs that state none of their own.
    pub cutoff: Quantity<Length>,
    /// What happens at the cutoff; default `force_shifted`.
    pub truncation: Option<Truncation>,
    /// Adds energy and pressure of a homogeneous fluid beyond the cutoff; default false.
    #[serde(default)]
    pub tail_correction: bool,
    /// Exponent n of all pairs.
    pub n: f64,
    /// Parameters of pairs of species.
    pub pairs: Vec<SoftSpherePair>,
    /// What pairs without parameters do; default `error`.
    #[serde(default)]
    pub unlisted_pairs: Unlisted,
}

/// Soft-sphere parameters of a pair of species.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SoftSpherePair {
    /// The two species, in any order.
    pub species: [String; 2],
    /// Energy ε at the distance σ.
    pub epsilon: Quantity<Energy>,
    /// Diameter σ.
    pub sigma: Quantity<Length>,
    /// Cutoff of this pair; default that of the table.
    pub cutoff: Option<Quantity<Length>>,
}

/// The function; coefficients ε, ln σ, n.
pub struct Function;

impl PairFunction<3> for Function {
    const NAME: &'static str = "soft_sphere";
    #[inline(always)]
    fn eval<V: Lanes>(&self, c: &[V; 3], r2: V) -> (V, V) {
        let u = c[0] * (c[2] * (c[1] - V::splat(0.5) * r2.ln())).exp();
        (u, c[2] * u / r2)
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["W. G. Hoover et al., J. Chem. Phys. 52, 4931 (1970), doi:10.1063/1.1672728"]
    }
}

impl SoftSphere {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a value is out of range or a pair has no parameters.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Pair<Function, 3>, SpecError> {
        let cutoff = check::positive("cutoff", self.cutoff)?;
        if !(self.n.is_finite() && self.n > 0.0) {
            return Err(SpecError::new("n", format!("the exponent must be above zero, not {}", self.n)));
        }
        let parameters = Parameters::listed(Function::NAME, context.system, &self.pairs, |p| {
            let epsilon = check::non_negative("epsilon", p.epsilon)?;
            let sigma = check::positive("sigma", p.sigma)?;
            Ok((&p.species, [epsilon, sigma.ln(), self.n], check::cutoff(p.cutoff, cutoff)?))
        })?;
        let kind = self.truncation.unwrap_or(Truncation::ForceShifted);
        let table = parameters.build(&Function, kind, self.unlisted_pairs)?;
        Pair::new(Function, table, self.tail_correction)
    }
}
