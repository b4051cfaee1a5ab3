//! The Weeks-Chandler-Andersen potential.
use super::lennard_jones::{LennardJonesSpecies, coefficients, mixed};
use super::mixing::Mixing;
use super::{Pair, PairFunction, Parameters, Truncation, Unlisted, check, lennard_jones};
use crate::BuildContext;
use crate::simd::Lanes;
use caloron_engine::SpecError;
use caloron_engine::quantity::{Energy, Length, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;

/// Weeks-Chandler-Andersen: the repulsive part of Lennard-Jones, u(r) = 4ε [(σ/r)¹² - (σ/r)⁶] + ε up to the minimum
/// at 2^(1/6) σ and 0 beyond. Energy and force are continuous.
///
/// J. D. Weeks, D. Chandler, H. C. Andersen, J. Chem. Phys. 54, 5237 (1971), doi:10.1063/1.1674820.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wca {
    /// Parameters of pairs of species; they go before what `species` and `mixing` give.
    #[serde(default)]
    pub pairs: Vec<WcaPair>,
    /// Parameters of species, for `mixing`.
    #[serde(default)]
    pub species: Vec<LennardJonesSpecies>,
    /// How parameters of unlike pairs follow from those of the species.
    pub mixing: Option<Mixing>,
    /// What pairs without parameters do; default `error`.
    #[serde(default)]
    pub unlisted_pairs: Unlisted,
}

/// Weeks-Chandler-Andersen parameters of a pair of species.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WcaPair {
    /// The two species, in any order.
    pub species: [String; 2],
    /// Energy ε at the distance σ.
    pub epsilon: Quantity<Energy>,
    /// Diameter σ.
    pub sigma: Quantity<Length>,
}

/// The function: that of Lennard-Jones.
pub struct Function;

impl PairFunction<4> for Function {
    const NAME: &'static str = "wca";
    #[inline(always)]
    fn eval<V: Lanes>(&self, c: &[V; 4], r2: V) -> (V, V) {
        lennard_jones::Function.eval(c, r2)
    }
    fn citations(&self) -> Vec<&'static str> {
        vec![
            "J. D. Weeks, D. Chandler, H. C. Andersen, J. Chem. Phys. 54, 5237 (1971), doi:10.1063/1.1674820",
        ]
    }
}

impl Wca {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a value is out of range or a pair has no parameters.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Pair<Function, 4>, SpecError> {
        let minimum = |sigma: f64| 2f64.powf(1.0 / 6.0) * sigma;
        let mut parameters = Parameters::listed(Function::NAME, context.system, &self.pairs, |p| {
            let epsilon = check::non_negative("epsilon", p.epsilon)?;
            let sigma = check::positive("sigma", p.sigma)?;
            Ok((&p.species, coefficients(epsilon, sigma), minimum(sigma)))
        })?;
        mixed(&mut parameters, &self.species, self.mixing, |e, s| (coefficients(e, s), minimum(s)))?;
        let table = parameters.build(&Function, Truncation::EnergyShifted, self.unlisted_pairs)?;
        // at the minimum the force is zero, so that the shift leaves it continuous
        Ok(Pair::new(Function, table, false)?.without_warnings())
    }
}
