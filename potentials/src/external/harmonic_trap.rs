//! A harmonic well around a point.
use super::{Form, OneBody, Place, Term, select, spring, stiffness, vector};
use crate::BuildContext;
use caloron_engine::quantity::{ForceConstant, Length};
use caloron_engine::{Potential, Quantity, SpecError, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// E = ½ Σ_i Σ_a k_a (r_ia - c_a)², a = x, y, z: independent oscillators around a centre c that is fixed in space.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HarmonicTrap {
    /// c; default the origin.
    pub center: Option<[Quantity<Length>; 3]>,
    /// k for all axes.
    pub force_constant: Option<Quantity<ForceConstant>>,
    /// k for x, y and z instead; 0 leaves an axis free.
    pub force_constants: Option<[Quantity<ForceConstant>; 3]>,
    /// Group it acts on; default all atoms.
    pub group: Option<String>,
}

struct Well {
    center: Vec3,
    k: Vec3,
}

impl Form for Well {
    const NAME: &'static str = "harmonic_trap";
    fn term(&self, place: &Place<'_>) -> Option<Term> {
        let term = spring(&self.k, place.position - self.center);
        Some(Term { arm: place.position, ..term })
    }
}

impl HarmonicTrap {
    /// The trap.
    ///
    /// # Errors
    /// When a force constant is missing or negative or the group is unknown.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<impl Potential + use<>, SpecError> {
        let k = stiffness(self.force_constant, self.force_constants)?;
        let center = self.center.map_or_else(Vec3::zeros, vector);
        Ok(OneBody::new(Well { center, k }, select(context.system, self.group.as_deref())?))
    }
}
