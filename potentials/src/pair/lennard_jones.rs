//! The Lennard-Jones potential.
use super::mixing::Mixing;
use super::{Job, Pair, PairFunction, Parameters, Truncation, Unlisted, check};
use crate::BuildContext;
use crate::simd::Lanes;
use caloron_engine::SpecError;
use caloron_engine::quantity::{Energy, Length, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;

/// Lennard-Jones: u(r) = 4ε [(σ/r)¹² - (σ/r)⁶].
///
/// J. E. Jones, Proc. R. Soc. A 106, 463 (1924), doi:10.1098/rspa.1924.0082.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LennardJones {
    /// Cutoff of pairs that state none of their own.
    pub cutoff: Quantity<Length>,
    /// What happens at the cutoff; default `force_shifted`.
    pub truncation: Option<Truncation>,
    /// Adds energy and pressure of a homogeneous fluid beyond the cutoff; default false. Only with `truncated` or
    /// `energy_shifted`, in cells that are periodic in all directions.
    #[serde(default)]
    pub tail_correction: bool,
    /// Parameters of pairs of species; they go before what `species` and `mixing` give.
    #[serde(default)]
    pub pairs: Vec<LennardJonesPair>,
    /// Parameters of species, for `mixing`.
    #[serde(default)]
    pub species: Vec<LennardJonesSpecies>,
    /// How parameters of unlike pairs follow from those of the species.
    pub mixing: Option<Mixing>,
    /// What pairs without parameters do; default `error`.
    #[serde(default)]
    pub unlisted_pairs: Unlisted,
}

/// Lennard-Jones parameters of a pair of species.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LennardJonesPair {
    /// The two species, in any order.
    pub species: [String; 2],
    /// Depth ε of the well.
    pub epsilon: Quantity<Energy>,
    /// Distance σ at which the energy is zero.
    pub sigma: Quantity<Length>,
    /// Cutoff of this pair; default that of the table.
    pub cutoff: Option<Quantity<Length>>,
}

/// Lennard-Jones parameters of a species.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LennardJonesSpecies {
    /// Name of the species.
    pub name: String,
    /// Depth ε of the well between two atoms of it.
    pub epsilon: Quantity<Energy>,
    /// Distance σ at which their energy is zero.
    pub sigma: Quantity<Length>,
}

/// The function; coefficients 48 ε σ¹², -24 ε σ⁶, 4 ε σ¹², -4 ε σ⁶.
#[derive(Clone, Copy, Debug)]
pub struct Function;

/// The coefficients of ε and σ.
pub fn coefficients(epsilon: f64, sigma: f64) -> [f64; 4] {
    let s6 = sigma.powi(6);
    let (c12, c6) = (4.0 * epsilon * s6 * s6, 4.0 * epsilon * s6);
    [12.0 * c12, -6.0 * c6, c12, -c6]
}

impl PairFunction<4> for Function {
    const NAME: &'static str = "lennard_jones";
    #[inline(always)]
    fn eval<V: Lanes>(&self, c: &[V; 4], r2: V) -> (V, V) {
        let inverse = V::splat(1.0) / r2;
        let s = inverse * inverse * inverse;
        (c[2].mul_add(s, c[3]) * s, c[0].mul_add(s, c[1]) * s * inverse)
    }
    fn run(job: Job<'_, Self, 4>) {
        job.specialized();
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["J. E. Jones, Proc. R. Soc. A 106, 463 (1924), doi:10.1098/rspa.1924.0082"]
    }
}

/// Parameters of ε-σ forms from explicit pairs and from mixed species.
pub(super) fn mixed<const K: usize>(
    parameters: &mut Parameters<K>,
    species: &[LennardJonesSpecies],
    mixing: Option<Mixing>,
    build: impl Fn(f64, f64) -> ([f64; K], f64),
) -> Result<(), SpecError> {
    let mut known: Vec<(usize, (f64, f64))> = Vec::new();
    for (k, s) in species.iter().enumerate() {
        let key = |e: SpecError| e.within(&format!("species[{k}]"));
        let epsilon = check::non_negative("epsilon", s.epsilon).map_err(key)?;
        let sigma = check::positive("sigma", s.sigma).map_err(key)?;
        if let Some(i) = parameters.index(&s.name) {
            if known.iter().any(|(j, _)| *j == i) {
                let message = format!("the species {} is listed twice", s.name);
                return Err(key(SpecError::new("name", message)));
            }
            known.push((i, (epsilon, sigma)));
        }
    }
    for (a, (i, pa)) in known.iter().enumerate() {
        for (j, pb) in &known[a..] {
            let (epsilon, sigma) = match mixing {
                _ if parameters.has(*i, *j) => continue,
                Some(rule) => rule.mix(*pa, *pb),
                None if i == j => *pa,
                None => continue,
            };
            let (c, cutoff) = build(epsilon, sigma);
            parameters.put(*i, *j, c, cutoff);
        }
    }
    Ok(())
}

impl LennardJones {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a value is out of range or a pair has no parameters.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Pair<Function, 4>, SpecError> {
        let cutoff = check::positive("cutoff", self.cutoff)?;
        let mut parameters = Parameters::listed(Function::NAME, context.system, &self.pairs, |p| {
            let epsilon = check::non_negative("epsilon", p.epsilon)?;
            let sigma = check::positive("sigma", p.sigma)?;
            Ok((&p.species, coefficients(epsilon, sigma), check::cutoff(p.cutoff, cutoff)?))
        })?;
        mixed(&mut parameters, &self.species, self.mixing, |e, s| (coefficients(e, s), cutoff))?;
        let kind = self.truncation.unwrap_or(Truncation::ForceShifted);
        let table = parameters.build(&Function, kind, self.unlisted_pairs)?;
        Pair::new(Function, table, self.tail_correction)
    }
}
