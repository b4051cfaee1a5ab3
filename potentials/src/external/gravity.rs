//! Uniform gravity.
use super::{Form, OneBody, Place, Term, periodic_warning, select, vector};
use crate::BuildContext;
use caloron_engine::quantity::Acceleration;
use caloron_engine::{Potential, Quantity, SpecError, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// E = -Σ_i m_i g · r_i.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gravity {
    /// g, the acceleration: x, y, z.
    pub acceleration: [Quantity<Acceleration>; 3],
    /// Group it acts on; default all atoms.
    pub group: Option<String>,
}

struct Uniform {
    acceleration: Vec3,
    warnings: Vec<String>,
}

impl Form for Uniform {
    const NAME: &'static str = "gravity";
    fn term(&self, place: &Place<'_>) -> Option<Term> {
        let force = self.acceleration * place.system.masses()[place.atom];
        Some(Term { energy: -force.dot(&place.position), force, arm: place.position })
    }
    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

impl Gravity {
    /// The field.
    ///
    /// # Errors
    /// When the acceleration is zero or the group is unknown.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<impl Potential + use<>, SpecError> {
        let acceleration = vector(self.acceleration);
        if acceleration == Vec3::zeros() {
            return Err(SpecError::new("acceleration", "all components are 0"));
        }
        let atoms = select(context.system, self.group.as_deref())?;
        let warnings = periodic_warning("gravity", &acceleration, context.cell);
        Ok(OneBody::new(Uniform { acceleration, warnings }, atoms))
    }
}
