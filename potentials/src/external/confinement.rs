//! Spherical and cylindrical confinement.
use super::{Axis, Form, OneBody, Place, Profile, Term, positive, profile::Curve, select, vector};
use crate::BuildContext;
use caloron_engine::quantity::Length;
use caloron_engine::{Potential, Quantity, SpecError, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// A sphere or cylinder that keeps atoms inside: E(d) is the profile at the distance d = R - ρ from the surface, ρ
/// being the distance from the centre or the axis. It stays where it is when the cell changes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Confinement {
    /// Shape.
    pub shape: Shape,
    /// How the surface acts.
    pub profile: Profile,
    /// Group it acts on; default all atoms.
    pub group: Option<String>,
}

/// Shape of a confinement.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Shape {
    /// A sphere.
    Sphere {
        /// Centre.
        center: [Quantity<Length>; 3],
        /// Radius.
        radius: Quantity<Length>,
    },
    /// A cylinder along a Cartesian axis.
    Cylinder {
        /// Its axis: x, y or z.
        axis: Axis,
        /// A point on the axis.
        center: [Quantity<Length>; 3],
        /// Radius.
        radius: Quantity<Length>,
    },
}

struct Surface {
    center: Vec3,
    /// 1 for the directions that count, 0 along the axis of a cylinder.
    directions: Vec3,
    radius: f64,
    curve: Curve,
    citations: Vec<&'static str>,
}

impl Form for Surface {
    const NAME: &'static str = "confinement";
    fn term(&self, place: &Place<'_>) -> Option<Term> {
        let d = (place.position - self.center).component_mul(&self.directions);
        let rho = d.norm();
        let (energy, push) = self.curve.at(self.radius - rho)?;
        // at the centre the directions cancel
        let force = if rho > 0.0 { d * (-push / rho) } else { Vec3::zeros() };
        Some(Term { energy, force, arm: place.position })
    }
    fn undefined(&self) -> &'static str {
        "an atom is outside the confining surface"
    }
    fn citations(&self) -> Vec<&'static str> {
        self.citations.clone()
    }
}

impl Confinement {
    /// The confinement.
    ///
    /// # Errors
    /// When a parameter is not positive or the group is unknown.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<impl Potential + use<>, SpecError> {
        let (key, center, radius, axis) = match &self.shape {
            Shape::Sphere { center, radius } => ("sphere", center, radius, None),
            Shape::Cylinder { axis, center, radius } => ("cylinder", center, radius, Some(axis.index())),
        };
        let radius = positive("radius", *radius).map_err(|e| e.within(key).within("shape"))?;
        let mut directions = Vec3::repeat(1.0);
        if let Some(a) = axis {
            directions[a] = 0.0;
        }
        let curve = self.profile.build().map_err(|e| e.within("profile"))?;
        let atoms = select(context.system, self.group.as_deref())?;
        let (center, citations) = (vector(*center), self.profile.citations());
        Ok(OneBody::new(Surface { center, directions, radius, curve, citations }, atoms))
    }
}
