//! A spring between two atoms or the centres of two groups.
use super::{positive, select};
use crate::BuildContext;
use caloron_engine::quantity::{ForceConstant, Length};
use caloron_engine::{
    Input, Outputs, Potential, PotentialError, Properties, Quantity, SpecError, System, Vec3,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// E = ½ k (|d| - d₀)², d being the shortest vector between two centres of mass over all periodic images.
///
/// Centres are those of the unwrapped positions, so a group must be whole in the structure file. The force on an atom
/// is its share m_i/M of that on the centre. The virial is d ⊗ F₂. At |d| = 0 the direction is undefined and the force is 0.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DistanceRestraint {
    /// One end: `{ atom = 0 }` or `{ group = "name" }`.
    pub first: End,
    /// The other end.
    pub second: End,
    /// k.
    pub force_constant: Quantity<ForceConstant>,
    /// d₀; 0 pulls the centres together.
    pub distance: Quantity<Length>,
}

/// An end of a distance restraint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// An atom by number, from 0.
    Atom(u32),
    /// The centre of mass of a group.
    Group(String),
}

/// Atoms with their shares of the mass.
struct Body {
    atoms: Vec<u32>,
    shares: Vec<f64>,
}

struct Spring {
    bodies: [Body; 2],
    k: f64,
    length: f64,
}

impl End {
    fn build(&self, system: &System) -> Result<Body, SpecError> {
        let atoms = match self {
            Self::Atom(i) if (*i as usize) < system.len() => vec![*i],
            Self::Atom(i) => {
                return Err(SpecError::new(
                    "atom",
                    format!("there is no atom {i}: the structure has {} (counted from 0)", system.len()),
                ));
            }
            Self::Group(name) => select(system, Some(name))?,
        };
        let total: f64 = atoms.iter().map(|&i| system.masses()[i as usize]).sum();
        let shares = atoms.iter().map(|&i| system.masses()[i as usize] / total).collect();
        Ok(Body { atoms, shares })
    }
}

impl Body {
    fn members(&self) -> impl Iterator<Item = (usize, f64)> {
        self.atoms.iter().zip(&self.shares).map(|(&i, &w)| (i as usize, w))
    }
    fn center(&self, positions: &[Vec3]) -> Vec3 {
        self.members().fold(Vec3::zeros(), |c, (i, w)| c + positions[i] * w)
    }
}

impl Potential for Spring {
    fn name(&self) -> &'static str {
        "distance_restraint"
    }
    fn cutoff(&self) -> Option<f64> {
        None
    }
    fn compute(&mut self, x: Input<'_>, want: Properties, out: &mut Outputs) -> Result<(), PotentialError> {
        let [first, second] = &self.bodies;
        let d = x.cell.shortest(&first.center(x.positions), &second.center(x.positions));
        let length = d.norm();
        let stretch = length - self.length;
        let energy = 0.5 * self.k * stretch * stretch;
        let force = if length > 0.0 { d * (-self.k * stretch / length) } else { Vec3::zeros() };
        let w = d * force.transpose();
        out.energy += energy;
        if want.contains(Properties::VIRIAL) {
            out.virial += w;
        }
        for (body, sign) in [(first, -1.0), (second, 1.0)] {
            for (i, share) in body.members() {
                if want.contains(Properties::FORCES) {
                    out.forces[i] += force * (sign * share);
                }
                if want.contains(Properties::ATOM_ENERGIES) {
                    out.atom_energies[i] += 0.5 * share * energy;
                }
                if want.contains(Properties::ATOM_VIRIALS) {
                    out.atom_virials[i] += w * (0.5 * share);
                }
            }
        }
        Ok(())
    }
    fn breaks_symmetry(&self) -> bool {
        // it singles out atoms; translations and rotations stay symmetries
        false
    }
}

impl DistanceRestraint {
    /// The spring.
    ///
    /// # Errors
    /// When k is not positive, the distance negative, an end unknown, or both ends share atoms.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<impl Potential + use<>, SpecError> {
        let k = positive("force_constant", self.force_constant)?;
        let length = self.distance.internal();
        if length < 0.0 {
            return Err(SpecError::new("distance", format!("the distance cannot be negative: {length}")));
        }
        let first = self.first.build(context.system).map_err(|e| e.within("first"))?;
        let second = self.second.build(context.system).map_err(|e| e.within("second"))?;
        if let Some(i) = first.atoms.iter().find(|i| second.atoms.contains(i)) {
            return Err(SpecError::new("second", format!("atom {i} belongs to both ends")));
        }
        Ok(Spring { bodies: [first, second], k, length })
    }
}
