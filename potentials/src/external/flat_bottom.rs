//! Restraints that act only outside a sphere.
use super::{Form, OneBody, Place, Reference, References, Term, positive, select};
use crate::BuildContext;
use caloron_engine::quantity::{ForceConstant, Length};
use caloron_engine::{Potential, Quantity, SpecError, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// E = ½ k (|r - r⁰| - R)² where |r - r⁰| > R, else 0, for each atom.
///
/// The reference points r⁰ scale with the cell as those of a position restraint; R does not.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlatBottom {
    /// k.
    pub force_constant: Quantity<ForceConstant>,
    /// R, the distance up to which an atom moves freely.
    pub radius: Quantity<Length>,
    /// Centre of the free region; default `"initial"`, where each atom is at the start of the run.
    pub reference: Option<Reference>,
    /// Group it acts on; default all atoms.
    pub group: Option<String>,
}

struct Free {
    k: f64,
    radius: f64,
    references: References,
}

impl Form for Free {
    const NAME: &'static str = "flat_bottom";
    fn term(&self, place: &Place<'_>) -> Option<Term> {
        let d = self.references.displacement(place);
        let length = d.norm();
        let beyond = length - self.radius;
        if beyond <= 0.0 {
            return Some(Term { energy: 0.0, force: Vec3::zeros(), arm: d });
        }
        Some(Term { energy: 0.5 * self.k * beyond * beyond, force: d * (-self.k * beyond / length), arm: d })
    }
}

impl FlatBottom {
    /// The restraint.
    ///
    /// # Errors
    /// When a parameter is not positive or the group is unknown.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<impl Potential + use<>, SpecError> {
        let k = positive("force_constant", self.force_constant)?;
        let radius = positive("radius", self.radius)?;
        let atoms = select(context.system, self.group.as_deref())?;
        let references = References::new(self.reference.as_ref(), &atoms, context.positions, context.cell);
        Ok(OneBody::new(Free { k, radius, references }, atoms))
    }
}
