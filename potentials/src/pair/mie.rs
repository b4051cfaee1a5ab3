//! The Mie potential.
use super::{Pair, PairFunction, Parameters, Truncation, Unlisted, check};
use crate::BuildContext;
use crate::simd::Lanes;
use caloron_engine::SpecError;
use caloron_engine::quantity::{Energy, Length, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;

/// Mie (n-m): u(r) = C ε [(σ/r)ⁿ - (σ/r)ᵐ] with C = n/(n-m) (n/m)^(m/(n-m)), so that ε is the depth.
///
/// G. Mie, Ann. Phys. 316, 657 (1903), doi:10.1002/andp.19033160802.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mie {
    /// Cutoff of pairs that state none of their own.
    pub cutoff: Quantity<Length>,
    /// What happens at the cutoff; default `force_shifted`.
    pub truncation: Option<Truncation>,
    /// Adds energy and pressure of a homogeneous fluid beyond the cutoff; default false.
    #[serde(default)]
    pub tail_correction: bool,
    /// Parameters of pairs of species.
    pub pairs: Vec<MiePair>,
    /// What pairs without parameters do; default `error`.
    #[serde(default)]
    pub unlisted_pairs: Unlisted,
}

/// Mie parameters of a pair of species.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MiePair {
    /// The two species, in any order.
    pub species: [String; 2],
    /// Depth ε of the well.
    pub epsilon: Quantity<Energy>,
    /// Distance σ at which the energy is zero.
    pub sigma: Quantity<Length>,
    /// Exponent n of the repulsion.
    pub n: f64,
    /// Exponent m of the attraction, below n.
    pub m: f64,
    /// Cutoff of this pair; default that of the table.
    pub cutoff: Option<Quantity<Length>>,
}

/// The function; coefficients C ε, ln σ, n, m.
#[derive(Clone, Copy, Debug)]
pub struct Function;

/// The coefficients of ε, σ, n and m.
pub(super) fn coefficients(epsilon: f64, sigma: f64, n: f64, m: f64) -> [f64; 4] {
    [n / (n - m) * (n / m).powf(m / (n - m)) * epsilon, sigma.ln(), n, m]
}

impl PairFunction<4> for Function {
    const NAME: &'static str = "mie";
    #[inline(always)]
    fn eval<V: Lanes>(&self, c: &[V; 4], r2: V) -> (V, V) {
        // (σ/r)ⁿ = exp(n (ln σ - ln r))
        let l = c[1] - V::splat(0.5) * r2.ln();
        let (repulsion, attraction) = (c[0] * (c[2] * l).exp(), c[0] * (c[3] * l).exp());
        (repulsion - attraction, (c[2] * repulsion - c[3] * attraction) / r2)
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["G. Mie, Ann. Phys. 316, 657 (1903), doi:10.1002/andp.19033160802"]
    }
}

impl Mie {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a value is out of range or a pair has no parameters.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Pair<Function, 4>, SpecError> {
        let cutoff = check::positive("cutoff", self.cutoff)?;
        let parameters = Parameters::listed(Function::NAME, context.system, &self.pairs, |p| {
            let epsilon = check::non_negative("epsilon", p.epsilon)?;
            let sigma = check::positive("sigma", p.sigma)?;
            let (n, m) = (p.n, p.m);
            if !(n.is_finite() && m > 0.0 && n > m) {
                let message = format!("the exponents must satisfy n > m > 0, not n = {n}, m = {m}");
                return Err(SpecError::new("n", message));
            }
            Ok((&p.species, coefficients(epsilon, sigma, n, m), check::cutoff(p.cutoff, cutoff)?))
        })?;
        let kind = self.truncation.unwrap_or(Truncation::ForceShifted);
        let table = parameters.build(&Function, kind, self.unlisted_pairs)?;
        Pair::new(Function, table, self.tail_correction)
    }
}
