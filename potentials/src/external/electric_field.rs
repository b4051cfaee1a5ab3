//! A uniform electric field.
use super::{Form, OneBody, Place, Term, periodic_warning, select, vector};
use crate::BuildContext;
use caloron_engine::quantity::ElectricField as FieldUnit;
use caloron_engine::{Potential, Quantity, SpecError, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// E = -Σ_i q_i E · r_i for the charges of the atoms. The field is the applied one; along periodic directions it is the
/// macroscopic field of tin-foil electrostatics.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElectricField {
    /// The field E: x, y, z.
    pub field: [Quantity<FieldUnit>; 3],
    /// Group it acts on; default all atoms.
    pub group: Option<String>,
}

struct Uniform {
    field: Vec3,
    warnings: Vec<String>,
}

impl Form for Uniform {
    const NAME: &'static str = "electric_field";
    fn term(&self, place: &Place<'_>) -> Option<Term> {
        let force = self.field * place.system.charges()[place.atom];
        Some(Term { energy: -force.dot(&place.position), force, arm: place.position })
    }
    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

impl ElectricField {
    /// The field.
    ///
    /// # Errors
    /// When the field is zero, no atom it acts on has a charge, or the group is unknown.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<impl Potential + use<>, SpecError> {
        let field = vector(self.field);
        if field == Vec3::zeros() {
            return Err(SpecError::new("field", "all components are 0"));
        }
        let atoms = select(context.system, self.group.as_deref())?;
        let charges = context.system.charges();
        if atoms.iter().all(|&i| charges[i as usize] == 0.0) {
            return Err(SpecError::new("", "no atom that the field acts on has a charge")
                .hint("give charges in the structure or under [system]"));
        }
        let warnings = periodic_warning("electric_field", &field, context.cell);
        Ok(OneBody::new(Uniform { field, warnings }, atoms))
    }
}
