//! The Buckingham potential.
use super::{Pair, PairFunction, Parameters, Truncation, Unlisted, check};
use crate::BuildContext;
use crate::simd::Lanes;
use caloron_engine::SpecError;
use caloron_engine::quantity::{Energy, EnergyLength6, Length, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;

/// Buckingham (exp-6): u(r) = A exp(-r/ρ) - C/r⁶.
///
/// With C > 0 the energy falls to minus infinity below the maximum at small r; a warning says where that is.
/// R. A. Buckingham, Proc. R. Soc. A 168, 264 (1938), doi:10.1098/rspa.1938.0173.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Buckingham {
    /// Cutoff of pairs that state none of their own.
    pub cutoff: Quantity<Length>,
    /// What happens at the cutoff; default `force_shifted`.
    pub truncation: Option<Truncation>,
    /// Adds energy and pressure of a homogeneous fluid beyond the cutoff; default false.
    #[serde(default)]
    pub tail_correction: bool,
    /// Parameters of pairs of species.
    pub pairs: Vec<BuckinghamPair>,
    /// What pairs without parameters do; default `error`.
    #[serde(default)]
    pub unlisted_pairs: Unlisted,
}

/// Buckingham parameters of a pair of species.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuckinghamPair {
    /// The two species, in any order.
    pub species: [String; 2],
    /// Strength A of the repulsion.
    pub a: Quantity<Energy>,
    /// Range ρ of the repulsion.
    pub rho: Quantity<Length>,
    /// Dispersion coefficient C.
    pub c: Quantity<EnergyLength6>,
    /// Cutoff of this pair; default that of the table.
    pub cutoff: Option<Quantity<Length>>,
}

/// The function; coefficients A, -1/ρ, C.
#[derive(Clone, Copy, Debug)]
pub struct Function;

impl PairFunction<3> for Function {
    const NAME: &'static str = "buckingham";
    #[inline(always)]
    fn eval<V: Lanes>(&self, c: &[V; 3], r2: V) -> (V, V) {
        let r = r2.sqrt();
        let inverse = V::splat(1.0) / r2;
        let repulsion = c[0] * (c[1] * r).exp();
        let dispersion = c[2] * (inverse * inverse * inverse);
        // -u'/r = A/ρ exp(-r/ρ)/r - 6 C/r⁸, and 1/r = r/r²
        let slope = c[1] * repulsion * r;
        (repulsion - dispersion, -(slope + V::splat(6.0) * dispersion) * inverse)
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["R. A. Buckingham, Proc. R. Soc. A 168, 264 (1938), doi:10.1098/rspa.1938.0173"]
    }
}

/// The distance of the maximum of a pair energy that is attractive at short range, searched in (0, end).
pub(super) fn barrier<F: PairFunction<K>, const K: usize>(
    pair: &Pair<F, K>,
    species: [usize; 2],
    end: f64,
) -> Option<f64> {
    let force = |k: usize| pair.energy_force(species, end * k as f64 / 2000.0).map(|f| f.1);
    let first = force(20)?;
    (first < 0.0)
        .then(|| (21..2000).find(|&k| force(k).is_some_and(|f| f > 0.0)))?
        .map(|k| end * k as f64 / 2000.0)
}

/// Adds a warning for every pair whose energy falls below a maximum at short range.
pub(super) fn warn_of_collapse<F: PairFunction<K>, const K: usize>(
    mut pair: Pair<F, K>,
    context: &BuildContext<'_>,
    end: f64,
) -> Pair<F, K> {
    let species = context.system.species();
    for i in 0..species.len() {
        for j in i..species.len() {
            if let Some(r) = barrier(&pair, [i, j], end) {
                let (a, b) = (&species[i].symbol, &species[j].symbol);
                let name = F::NAME;
                pair = pair.with_warning(format!(
                    "{name}: {a}-{b} closer than about {r:.3} collapse, as the dispersion outweighs the repulsion there"
                ));
            }
        }
    }
    pair
}

impl Buckingham {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a value is out of range or a pair has no parameters.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Pair<Function, 3>, SpecError> {
        let cutoff = check::positive("cutoff", self.cutoff)?;
        let parameters = Parameters::listed(Function::NAME, context.system, &self.pairs, |p| {
            let a = check::non_negative("a", p.a)?;
            let rho = check::positive("rho", p.rho)?;
            let c = check::non_negative("c", p.c)?;
            Ok((&p.species, [a, -1.0 / rho, c], check::cutoff(p.cutoff, cutoff)?))
        })?;
        let kind = self.truncation.unwrap_or(Truncation::ForceShifted);
        let table = parameters.build(&Function, kind, self.unlisted_pairs)?;
        let pair = Pair::new(Function, table, self.tail_correction)?;
        Ok(warn_of_collapse(pair, context, cutoff))
    }
}
