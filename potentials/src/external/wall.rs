//! Planar walls.
use super::{Axis, Form, OneBody, Place, Profile, Term, profile::Curve, select};
use crate::BuildContext;
use caloron_engine::quantity::Length;
use caloron_engine::{Potential, Quantity, SpecError, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// Planes perpendicular to a Cartesian axis that keep atoms above `low` and below `high`. They stay where they are
/// when the cell changes.
///
/// E(d) is the profile at the distance d = r_axis - low, or high - r_axis, or the sum for both.
/// Source of the 9-3 form: Steele, Surf. Sci. 36, 317 (1973), doi:10.1016/0039-6028(73)90264-1.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wall {
    /// Normal of the wall: x, y or z.
    pub axis: Axis,
    /// Position of a wall that keeps atoms above it.
    pub low: Option<Quantity<Length>>,
    /// Position of a wall that keeps atoms below it.
    pub high: Option<Quantity<Length>>,
    /// How the walls act.
    pub profile: Profile,
    /// Group it acts on; default all atoms.
    pub group: Option<String>,
}

struct Planes {
    axis: usize,
    low: Option<f64>,
    high: Option<f64>,
    curve: Curve,
    warnings: Vec<String>,
    citations: Vec<&'static str>,
}

impl Form for Planes {
    const NAME: &'static str = "wall";
    fn term(&self, place: &Place<'_>) -> Option<Term> {
        let x = place.position[self.axis];
        let (mut energy, mut force) = (0.0, Vec3::zeros());
        if let Some(low) = self.low {
            let (e, f) = self.curve.at(x - low)?;
            energy += e;
            force[self.axis] += f;
        }
        if let Some(high) = self.high {
            let (e, f) = self.curve.at(high - x)?;
            energy += e;
            force[self.axis] -= f;
        }
        Some(Term { energy, force, arm: place.position })
    }
    fn undefined(&self) -> &'static str {
        "an atom is behind a wall"
    }
    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
    fn citations(&self) -> Vec<&'static str> {
        self.citations.clone()
    }
}

impl Wall {
    /// The walls.
    ///
    /// # Errors
    /// When no wall is placed, they are in the wrong order, a parameter is not positive or the group is unknown.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<impl Potential + use<>, SpecError> {
        let (low, high) = (self.low.map(Quantity::internal), self.high.map(Quantity::internal));
        match (low, high) {
            (None, None) => {
                return Err(SpecError::new("", "the wall has no position").hint("give `low`, `high` or both"));
            }
            (Some(l), Some(h)) if l >= h => {
                return Err(SpecError::new("high", format!("high ({h}) must lie above low ({l})")));
            }
            _ => {}
        }
        let axis = self.axis.index();
        let curve = self.profile.build().map_err(|e| e.within("profile"))?;
        let cell = context.cell;
        let crossing = (0..3).any(|k| cell.periodic()[k] && cell.vector(k)[axis].abs() > 1e-9);
        let warnings = if crossing {
            vec![format!(
                "the wall is perpendicular to {:?}, along which the cell repeats: atoms still see each other \
                 through the boundary, and the pressure contains the push of the wall; make that direction \
                 not periodic or leave more than a cutoff of vacuum",
                self.axis
            )]
        } else {
            Vec::new()
        };
        let atoms = select(context.system, self.group.as_deref())?;
        Ok(OneBody::new(
            Planes { axis, low, high, curve, warnings, citations: self.profile.citations() },
            atoms,
        ))
    }
}
