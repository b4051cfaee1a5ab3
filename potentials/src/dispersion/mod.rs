//! The D3 correction for London dispersion, on top of any other potential.
//!
//! E = −Σ_{i<j} C₆^{ij} \[s₆ g₆(r) + 3 s₈ (Q_i Q_j)^{½} g₈(r)\] + E₃, Q = ½ Z^{½} ⟨r⁴⟩/⟨r²⟩, with
//! - zero damping g_n = r⁻ⁿ/(1 + 6 (r/(s_rn R₀))^{−α_n}), α₆ = 14, α₈ = 16, or
//! - Becke-Johnson damping g_n = 1/(rⁿ + Rⁿ), R = a₁ (3 (Q_i Q_j)^{½})^{½} + a₂.
//!
//! C₆^{ij} = Σ_ab w_a^i w_b^j C₆(a, b) over reference systems a, b of the two elements, w_a^i = e^{−4 (N_i − N_a)²}/Σ_{a'} e^{−4 (N_i − N_{a'})²}, where
//! N_i = Σ_j 1/(1 + e^{−16 (R_ij^cov/r_ij − 1)}) is the coordination number with R^cov = 4/3 (R_i + R_j).
//!
//! E₃ = Σ_{i<j<k} (C₆^{ij} C₆^{ik} C₆^{jk})^{½} (3 cos θ_i cos θ_j cos θ_k + 1)/(r_ij r_ik r_jk)³ · 1/(1 + 6 (r̄/(4/3 R̄₀))^{−16}) with
//! geometric means r̄ and R̄₀, when `three_body` is set (in atomic units).
//!
//! Sources: Grimme, Antony, Ehrlich and Krieg, J. Chem. Phys. 132, 154104 (2010), doi 10.1063/1.3382344; Grimme, Ehrlich and
//! Goerigk, J. Comput. Chem. 32, 1456 (2011), doi 10.1002/jcc.21759.
mod functionals;
mod kernel;
mod reference;

use crate::BuildContext;
use crate::pair::check;
use caloron_engine::error::nearest;
use caloron_engine::quantity::{Length, Quantity};
use caloron_engine::{SpecError, UnitSystem, elements, units};
pub use kernel::D3;
use kernel::{Damping, Model, PairTerm};
use reference::Tables;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How the correction vanishes for close atoms.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum D3Damping {
    /// To zero (2010).
    Zero,
    /// To a constant, after Becke and Johnson (2011).
    Bj,
}

/// D3 correction for London dispersion: adds what a density functional or a model trained on it lacks.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct D3Spec {
    /// Damping of close atoms.
    pub damping: D3Damping,
    /// Density functional whose published parameters are taken, such as `"pbe"`; instead of `s8` and the radii.
    #[serde(default)]
    pub functional: Option<String>,
    /// Scale s₆ of the r⁻⁶ term; default 1 (without `functional`).
    #[serde(default)]
    pub s6: Option<f64>,
    /// Scale s₈ of the r⁻⁸ term.
    #[serde(default)]
    pub s8: Option<f64>,
    /// Scale of the radius of the r⁻⁶ term, for zero damping.
    #[serde(default)]
    pub s_r6: Option<f64>,
    /// Scale of the radius of the r⁻⁸ term, for zero damping; default 1.
    #[serde(default)]
    pub s_r8: Option<f64>,
    /// a₁, the share of the radius in proportion to (C₈/C₆)^½, for Becke-Johnson damping.
    #[serde(default)]
    pub a1: Option<f64>,
    /// a₂, the constant share of the radius, for Becke-Johnson damping; published values are in bohr.
    #[serde(default)]
    pub a2: Option<Quantity<Length>>,
    /// Adds the Axilrod-Teller-Muto energy of triples. Its cost grows with the square of the neighbours within
    /// `three_body_cutoff`.
    #[serde(default)]
    pub three_body: bool,
    /// Cutoff of pairs; default 60 bohr, beyond which little is left.
    #[serde(default)]
    pub cutoff: Option<Quantity<Length>>,
    /// Cutoff of coordination numbers; default 40 bohr, or `cutoff` if that is shorter.
    #[serde(default)]
    pub coordination_cutoff: Option<Quantity<Length>>,
    /// Cutoff of the three distances of triples; default 40 bohr, or `cutoff` if that is shorter.
    #[serde(default)]
    pub three_body_cutoff: Option<Quantity<Length>>,
    /// Element of a species that is not named after it, such as `{ OW = "O" }`.
    #[serde(default)]
    pub elements: Option<BTreeMap<String, String>>,
}

impl D3Spec {
    /// The correction for a system.
    ///
    /// # Errors
    /// When parameters are missing or contradict each other, or a species is no element from H to Pu.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<D3, SpecError> {
        if context.units != UnitSystem::Physical {
            return Err(SpecError::new("", "D3 needs physical units; reduced units know no elements"));
        }
        let bohr = units::BOHR;
        let [s6, s8, one, two] = self.parameters()?;
        let damping = match self.damping {
            D3Damping::Zero => Damping::Zero { s_r6: one, s_r8: two },
            D3Damping::Bj => Damping::BeckeJohnson { a1: one, a2: two * bohr },
        };
        let length = |key: &str, x: Option<Quantity<Length>>| x.map(|x| check::positive(key, x)).transpose();
        let cutoff = length("cutoff", self.cutoff)?.unwrap_or(60.0 * bohr);
        let short = cutoff.min(40.0 * bohr);
        let counting = length("coordination_cutoff", self.coordination_cutoff)?.unwrap_or(short);
        let triples = length("three_body_cutoff", self.three_body_cutoff)?;
        if triples.is_some() && !self.three_body {
            return Err(SpecError::new(
                "three_body_cutoff",
                "there are no triples without `three_body = true`",
            ));
        }
        let triples = if self.three_body { triples.unwrap_or(short) } else { 0.0 };
        let found = self.elements(context)?;
        let tables = Tables::get();
        // C₈/C₆ = 3 q_i q_j
        let q: Vec<f64> = found
            .iter()
            .map(|&e| (0.5 * tables.r4_over_r2[e] * ((e + 1) as f64).sqrt()).sqrt() * bohr)
            .collect();
        let mut pairs = Vec::new();
        for (i, &a) in found.iter().enumerate() {
            for (j, &b) in found.iter().enumerate() {
                pairs.push(PairTerm {
                    covalent: 4.0 / 3.0 * (tables.covalent[a] + tables.covalent[b]),
                    radius: tables.radius(a, b),
                    ratio: 3.0 * q[i] * q[j],
                    c6: tables.c6(a, b).map(|row| row.map(|x| x * units::HARTREE * bohr.powi(6))),
                });
            }
        }
        let references = found.iter().map(|&e| tables.coordination(e).to_vec()).collect();
        let note = match damping {
            Damping::Zero { s_r6, s_r8 } => {
                format!("d3 with zero damping: s6 {s6}, s8 {s8}, s_r6 {s_r6}, s_r8 {s_r8}")
            }
            Damping::BeckeJohnson { a1, .. } => {
                format!("d3 with Becke-Johnson damping: s6 {s6}, s8 {s8}, a1 {a1}, a2 {two} bohr")
            }
        };
        let cutoffs = [cutoff, counting, triples].map(|c| c * c);
        Ok(D3::new(Model { s6, s8, damping, cutoffs }, references, pairs, vec![note]))
    }
    /// s₆, s₈ and the two of the damping (a₂ in bohr).
    fn parameters(&self) -> Result<functionals::Parameters, SpecError> {
        let bj = self.damping == D3Damping::Bj;
        let a2 = self.a2.map(|x| x.internal() / units::BOHR);
        let given = [
            ("s6", self.s6),
            ("s8", self.s8),
            ("s_r6", self.s_r6),
            ("s_r8", self.s_r8),
            ("a1", self.a1),
            ("a2", a2),
        ];
        let foreign = if bj { ["s_r6", "s_r8"] } else { ["a1", "a2"] };
        for (key, value) in given {
            if value.is_some_and(|x| !x.is_finite()) {
                return Err(SpecError::new(key, "must be finite"));
            }
            if value.is_some() && self.functional.is_some() {
                return Err(SpecError::new(key, "the parameters come from `functional` already")
                    .hint("leave either of them out"));
            }
            if value.is_some() && foreign.contains(&key) {
                let damping = if bj { "bj" } else { "zero" };
                return Err(SpecError::new(key, format!("is no parameter of `damping = \"{damping}\"`")));
            }
        }
        if let Some(name) = &self.functional {
            let Some(both) = functionals::find(name) else {
                let error = SpecError::new("functional", format!("there are no parameters for `{name}`"));
                return Err(match nearest(name, functionals::names()) {
                    Some(near) => {
                        error.hint(format!("did you mean `{near}`? Or give s8 and the radii yourself"))
                    }
                    None => error.hint(format!(
                        "known are {}; or give s8 and the radii yourself",
                        functionals::names().collect::<Vec<_>>().join(", ")
                    )),
                });
            };
            return both[usize::from(bj)].ok_or_else(|| {
                let (damping, other) = if bj { ("bj", "zero") } else { ("zero", "bj") };
                SpecError::new(
                    "functional",
                    format!("`{name}` has no parameters for `damping = \"{damping}\"`"),
                )
                .hint(format!("it has some for \"{other}\""))
            });
        }
        let need = |key: &str, value: Option<f64>| {
            value.ok_or_else(|| {
                SpecError::new(key, "is missing").hint("or name a functional, such as `functional = \"pbe\"`")
            })
        };
        let (s6, s8) = (self.s6.unwrap_or(1.0), need("s8", self.s8)?);
        if bj {
            Ok([s6, s8, need("a1", self.a1)?, need("a2", a2)?])
        } else {
            Ok([s6, s8, need("s_r6", self.s_r6)?, self.s_r8.unwrap_or(1.0)])
        }
    }
    /// The elements of the species, hydrogen being 0.
    fn elements(&self, context: &BuildContext<'_>) -> Result<Vec<usize>, SpecError> {
        let species = context.system.species();
        if let Some(wrong) =
            self.elements.iter().flat_map(|m| m.keys()).find(|k| species.iter().all(|s| s.symbol != **k))
        {
            let names: Vec<&str> = species.iter().map(|s| s.symbol.as_str()).collect();
            return Err(SpecError::new(
                format!("elements.{wrong}"),
                format!("no atom is of species `{wrong}`"),
            )
            .hint(format!("the species are {}", names.join(", "))));
        }
        let mut found = Vec::new();
        for s in species {
            let alias = self.elements.as_ref().and_then(|m| m.get(&s.symbol));
            let number = match alias {
                Some(name) => elements::atomic_number(name),
                None => s.number,
            };
            match number.map(usize::from) {
                Some(z) if (1..=reference::ELEMENTS).contains(&z) => found.push(z - 1),
                _ => {
                    let name = alias.unwrap_or(&s.symbol);
                    let key = alias.map_or_else(String::new, |_| format!("elements.{}", s.symbol));
                    return Err(SpecError::new(key, format!("D3 has no coefficients for `{name}`")).hint(format!(
                        "it knows the elements from H to Pu; name that of a species with `elements = {{ {} = \"...\" }}`",
                        s.symbol
                    )));
                }
            }
        }
        Ok(found)
    }
}
