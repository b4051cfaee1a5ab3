//! Springs that hold atoms where they are.
use super::{Form, OneBody, Place, Reference, References, Term, select, spring, stiffness};
use crate::BuildContext;
use caloron_engine::quantity::ForceConstant;
use caloron_engine::{Potential, Quantity, SpecError, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// E = ½ Σ_i Σ_a k_a (r_ia - r⁰_ia)², a = x, y, z.
///
/// The reference points r⁰ keep their fractional coordinates: when the cell changes they scale with it, so the restraint
/// does not resist a barostat and its virial Σ (r - r⁰) ⊗ f does not depend on the origin.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PositionRestraint {
    /// k for all axes.
    pub force_constant: Option<Quantity<ForceConstant>>,
    /// k for x, y and z instead; 0 leaves an axis free.
    pub force_constants: Option<[Quantity<ForceConstant>; 3]>,
    /// Where atoms are held; default `"initial"`, where each is at the start of the run.
    pub reference: Option<Reference>,
    /// Group it acts on; default all atoms.
    pub group: Option<String>,
}

struct Springs {
    k: Vec3,
    references: References,
}

impl Form for Springs {
    const NAME: &'static str = "position_restraint";
    fn term(&self, place: &Place<'_>) -> Option<Term> {
        Some(spring(&self.k, self.references.displacement(place)))
    }
}

impl PositionRestraint {
    /// The restraint.
    ///
    /// # Errors
    /// When a force constant is missing or negative or the group is unknown.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<impl Potential + use<>, SpecError> {
        let k = stiffness(self.force_constant, self.force_constants)?;
        let atoms = select(context.system, self.group.as_deref())?;
        let references = References::new(self.reference.as_ref(), &atoms, context.positions, context.cell);
        Ok(OneBody::new(Springs { k, references }, atoms))
    }
}
