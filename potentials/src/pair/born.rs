//! The Born-Mayer-Huggins potential.
use super::buckingham::warn_of_collapse;
use super::{Pair, PairFunction, Parameters, Truncation, Unlisted, check};
use crate::BuildContext;
use crate::simd::Lanes;
use caloron_engine::SpecError;
use caloron_engine::quantity::{Energy, EnergyLength6, EnergyLength8, Length, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;

/// Born-Mayer-Huggins: u(r) = A exp((σ - r)/ρ) - C/r⁶ - D/r⁸.
///
/// D is positive for attraction, as in the papers; the sign of D in LAMMPS is the opposite.
/// M. P. Tosi, F. G. Fumi, J. Phys. Chem. Solids 25, 45 (1964), doi:10.1016/0022-3697(64)90160-X.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Born {
    /// Cutoff of pairs that state none of their own.
    pub cutoff: Quantity<Length>,
    /// What happens at the cutoff; default `force_shifted`.
    pub truncation: Option<Truncation>,
    /// Adds energy and pressure of a homogeneous fluid beyond the cutoff; default false.
    #[serde(default)]
    pub tail_correction: bool,
    /// Parameters of pairs of species.
    pub pairs: Vec<BornPair>,
    /// What pairs without parameters do; default `error`.
    #[serde(default)]
    pub unlisted_pairs: Unlisted,
}

/// Born-Mayer-Huggins parameters of a pair of species.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BornPair {
    /// The two species, in any order.
    pub species: [String; 2],
    /// Strength A of the repulsion.
    pub a: Quantity<Energy>,
    /// Range ρ of the repulsion.
    pub rho: Quantity<Length>,
    /// Distance σ at which the repulsion is A.
    pub sigma: Quantity<Length>,
    /// Dipole-dipole dispersion coefficient C.
    pub c: Quantity<EnergyLength6>,
    /// Dipole-quadrupole dispersion coefficient D.
    pub d: Quantity<EnergyLength8>,
    /// Cutoff of this pair; default that of the table.
    pub cutoff: Option<Quantity<Length>>,
}

/// The function; coefficients A, 1/ρ, σ, C, D.
#[derive(Clone, Copy, Debug)]
pub struct Function;

impl PairFunction<5> for Function {
    const NAME: &'static str = "born";
    #[inline(always)]
    fn eval<V: Lanes>(&self, c: &[V; 5], r2: V) -> (V, V) {
        let r = r2.sqrt();
        let inverse = V::splat(1.0) / r2;
        let repulsion = c[0] * ((c[2] - r) * c[1]).exp();
        let s = inverse * inverse * inverse;
        let (six, eight) = (c[3] * s, c[4] * s * inverse);
        let slope = c[1] * repulsion * r;
        let g = (slope - V::splat(6.0) * six - V::splat(8.0) * eight) * inverse;
        (repulsion - six - eight, g)
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["M. P. Tosi, F. G. Fumi, J. Phys. Chem. Solids 25, 45 (1964), doi:10.1016/0022-3697(64)90160-X"]
    }
}

impl Born {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a value is out of range or a pair has no parameters.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Pair<Function, 5>, SpecError> {
        let cutoff = check::positive("cutoff", self.cutoff)?;
        let parameters = Parameters::listed(Function::NAME, context.system, &self.pairs, |p| {
            let a = check::non_negative("a", p.a)?;
            let rho = check::positive("rho", p.rho)?;
            let sigma = check::non_negative("sigma", p.sigma)?;
            let c = check::non_negative("c", p.c)?;
            let d = check::non_negative("d", p.d)?;
            Ok((&p.species, [a, 1.0 / rho, sigma, c, d], check::cutoff(p.cutoff, cutoff)?))
        })?;
        let kind = self.truncation.unwrap_or(Truncation::ForceShifted);
        let table = parameters.build(&Function, kind, self.unlisted_pairs)?;
        let pair = Pair::new(Function, table, self.tail_correction)?;
        Ok(warn_of_collapse(pair, context, cutoff))
    }
}
