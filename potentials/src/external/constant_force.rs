//! The same force on every atom.
use super::{Form, OneBody, Place, Term, periodic_warning, select, vector};
use crate::BuildContext;
use caloron_engine::quantity::Force;
use caloron_engine::{Potential, Quantity, SpecError, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// E = -Σ_i F · r_i: a force F on each atom, as in driven flow. The conserved quantity of a run includes its work.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConstantForce {
    /// F on each atom: x, y, z.
    pub force: [Quantity<Force>; 3],
    /// Group it acts on; default all atoms.
    pub group: Option<String>,
}

struct Uniform {
    force: Vec3,
    warnings: Vec<String>,
}

impl Form for Uniform {
    const NAME: &'static str = "constant_force";
    fn term(&self, place: &Place<'_>) -> Option<Term> {
        let force = self.force;
        Some(Term { energy: -force.dot(&place.position), force, arm: place.position })
    }
    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

impl ConstantForce {
    /// The force.
    ///
    /// # Errors
    /// When the force is zero or the group is unknown.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<impl Potential + use<>, SpecError> {
        let force = vector(self.force);
        if force == Vec3::zeros() {
            return Err(SpecError::new("force", "all components are 0"));
        }
        let atoms = select(context.system, self.group.as_deref())?;
        let warnings = periodic_warning("constant_force", &force, context.cell);
        Ok(OneBody::new(Uniform { force, warnings }, atoms))
    }
}
