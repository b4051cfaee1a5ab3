//! The universal potential of Ziegler, Biersack and Littmark.
use super::{Pair, PairFunction, Parameters, Truncation, Unlisted, check};
use crate::BuildContext;
use crate::simd::Lanes;
use caloron_engine::quantity::{Length, Quantity};
use caloron_engine::units::COULOMB;
use caloron_engine::{SpecError, UnitSystem};
use schemars::JsonSchema;
use serde::Deserialize;

/// Ziegler-Biersack-Littmark screened nuclear repulsion: u(r) = Z₁ Z₂ e²/(4πε₀ r) Φ(r/a) with
/// a = 0.46850 Å/(Z₁^0.23 + Z₂^0.23) and Φ(x) = 0.18175 e^(-3.19980 x) + 0.50986 e^(-0.94229 x) +
/// 0.28022 e^(-0.40290 x) + 0.02817 e^(-0.20162 x).
///
/// Between `inner` and `cutoff` a polynomial is added to the force (truncation `force_switch`), as LAMMPS does. All
/// species need an atomic number. J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in
/// Matter, vol. 1 (Pergamon, 1985).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Zbl {
    /// Radius at which switching to zero begins.
    pub inner: Quantity<Length>,
    /// Radius beyond which there is nothing.
    pub cutoff: Quantity<Length>,
    /// The pairs of species that repel each other; default all.
    pub pairs: Option<Vec<[String; 2]>>,
}

/// The function; coefficients Z₁ Z₂ e²/(4πε₀) and 1/a.
pub struct Function;

const AMPLITUDES: [f64; 4] = [0.02817, 0.28022, 0.50986, 0.18175];
const RATES: [f64; 4] = [0.20162, 0.40290, 0.94229, 3.19980];

impl PairFunction<2> for Function {
    const NAME: &'static str = "zbl";
    #[inline(always)]
    fn eval<V: Lanes>(&self, c: &[V; 2], r2: V) -> (V, V) {
        let r = r2.sqrt();
        let inverse = V::splat(1.0) / r;
        let x = r * c[1];
        let (mut phi, mut slope) = (V::splat(0.0), V::splat(0.0));
        for k in 0..4 {
            let e = V::splat(AMPLITUDES[k]) * (V::splat(-RATES[k]) * x).exp();
            phi = phi + e;
            slope = V::splat(RATES[k]).mul_add(e, slope);
        }
        let coulomb = c[0] * inverse;
        (coulomb * phi, coulomb * (phi * inverse + slope * c[1]) * inverse)
    }
    fn citations(&self) -> Vec<&'static str> {
        vec![
            "J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in Matter, vol. 1 (1985)",
        ]
    }
}

impl Zbl {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a radius is out of range, a species is no element, or units are reduced.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Pair<Function, 2>, SpecError> {
        if context.units == UnitSystem::Lj {
            return Err(SpecError::new("", "the nuclear repulsion has no meaning in reduced units"));
        }
        let cutoff = check::positive("cutoff", self.cutoff)?;
        check::non_negative("inner", self.inner)?;
        let species = context.system.species();
        let mut parameters = Parameters::new(Function::NAME, context.system);
        let listed: Vec<usize> =
            self.pairs.iter().flatten().flatten().filter_map(|name| parameters.index(name)).collect();
        for (i, a) in species.iter().enumerate() {
            for (j, b) in species.iter().enumerate().skip(i) {
                let chosen = self.pairs.as_ref().is_none_or(|pairs| {
                    pairs.iter().any(|[x, y]| {
                        (*x == a.symbol && *y == b.symbol) || (*x == b.symbol && *y == a.symbol)
                    })
                });
                if !chosen {
                    continue;
                }
                let charge = |s: &caloron_engine::Species| {
                    s.number.map(f64::from).ok_or_else(|| {
                        SpecError::new(
                            "pairs",
                            format!("the species {} is no element: its nuclear charge is unknown", s.symbol),
                        )
                        .hint("list the pairs that ZBL is for in `pairs`")
                    })
                };
                let (za, zb) = (charge(a)?, charge(b)?);
                let range = 0.46850 / (za.powf(0.23) + zb.powf(0.23));
                parameters.put(i, j, [COULOMB * za * zb, 1.0 / range], cutoff);
            }
        }
        if self.pairs.is_some() && listed.is_empty() {
            return Err(SpecError::new("pairs", "none of the species listed is in the system"));
        }
        let kind = Truncation::ForceSwitch { inner: self.inner };
        kind.check(cutoff).map_err(|e| SpecError { key: "inner".into(), ..e })?;
        let table = parameters.build(&Function, kind, Unlisted::Ignore)?;
        Pair::new(Function, table, false)
    }
}
