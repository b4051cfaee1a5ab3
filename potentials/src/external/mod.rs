//! External potentials: what acts on single atoms from outside, and a spring between two groups.
//!
//! Energies are functions of the unwrapped positions, so an atom that leaves through a periodic boundary keeps
//! its restraint and gains no energy from a jump. The virial is always W = Σ r ⊗ f = -∂E/∂strain of that energy when
//! all positions scale about the origin. For restraints to references that follow the cell, and for springs between
//! groups, that does not depend on the origin. For what is fixed in space (walls, traps, fields) it does: it holds
//! the push of the walls and the work of the field, so that a barostat or a cell relaxation stays consistent
//! with the energy, but the pressure along a direction in which such a force acts is no property of the
//! material. Where that matters the potential says so in its warnings.
pub mod confinement;
pub mod constant_force;
pub mod distance_restraint;
pub mod electric_field;
pub mod flat_bottom;
pub mod gravity;
pub mod harmonic_trap;
pub mod position_restraint;
pub mod profile;
#[cfg(test)]
mod tests;
pub mod wall;

pub use confinement::Confinement;
pub use constant_force::ConstantForce;
pub use distance_restraint::DistanceRestraint;
pub use electric_field::ElectricField;
pub use flat_bottom::FlatBottom;
pub use gravity::Gravity;
pub use harmonic_trap::HarmonicTrap;
pub use position_restraint::PositionRestraint;
pub use profile::Profile;
pub use wall::Wall;

use caloron_engine::quantity::{Dimension, ForceConstant, Length};
use caloron_engine::{
    Cell, Input, Outputs, Potential, PotentialError, Properties, Quantity, SpecError, System, Vec3, parallel,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// A Cartesian axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// x.
    X,
    /// y.
    Y,
    /// z.
    Z,
}

impl Axis {
    /// 0, 1 or 2.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What acts on one atom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    pub energy: f64,
    pub force: Vec3,
    /// The vector that multiplies the force in the virial.
    pub arm: Vec3,
}

/// Where and to which atom a form is applied.
pub(crate) struct Place<'a> {
    pub system: &'a System,
    pub cell: &'a Cell,
    /// Index of the atom.
    pub atom: usize,
    /// Index within the selection.
    pub index: usize,
    pub position: Vec3,
}

/// A potential that is a sum over single atoms.
pub(crate) trait Form: Send + Sync + 'static {
    /// Name for messages.
    const NAME: &'static str;
    /// Energy and force on an atom; `None` where the form is not defined.
    fn term(&self, place: &Place<'_>) -> Option<Term>;
    /// Why it is not defined there.
    fn undefined(&self) -> &'static str {
        "the energy is not defined there"
    }
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
    fn citations(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// Sum of a form over selected atoms.
pub(crate) struct OneBody<F> {
    form: F,
    atoms: Vec<u32>,
    terms: Vec<Option<Term>>,
}

impl<F: Form> OneBody<F> {
    fn new(form: F, atoms: Vec<u32>) -> Self {
        let terms = vec![None; atoms.len()];
        Self { form, atoms, terms }
    }
}

impl<F: Form> Potential for OneBody<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }
    fn cutoff(&self) -> Option<f64> {
        None
    }
    fn compute(&mut self, x: Input<'_>, want: Properties, out: &mut Outputs) -> Result<(), PotentialError> {
        let (form, atoms) = (&self.form, &self.atoms);
        parallel::for_each_mut(&mut self.terms, |index, term| {
            let atom = atoms[index] as usize;
            let position = x.positions[atom];
            *term = form.term(&Place { system: x.system, cell: x.cell, atom, index, position });
        });
        for (&atom, term) in atoms.iter().zip(&self.terms) {
            let i = atom as usize;
            let Some(Term { energy, force, arm }) = *term else {
                let r = x.positions[i];
                let reason = format!("{} (atom {i} at {:.4} {:.4} {:.4})", form.undefined(), r.x, r.y, r.z);
                return Err(PotentialError::Geometry { potential: F::NAME, reason });
            };
            out.energy += energy;
            if want.contains(Properties::FORCES) {
                out.forces[i] += force;
            }
            if want.contains(Properties::ATOM_ENERGIES) {
                out.atom_energies[i] += energy;
            }
            if want.intersects(Properties::VIRIAL | Properties::ATOM_VIRIALS) {
                let w = arm * force.transpose();
                if want.contains(Properties::VIRIAL) {
                    out.virial += w;
                }
                if want.contains(Properties::ATOM_VIRIALS) {
                    out.atom_virials[i] += w;
                }
            }
        }
        Ok(())
    }
    fn breaks_symmetry(&self) -> bool {
        true
    }
    fn warnings(&self) -> Vec<String> {
        self.form.warnings()
    }
    fn citations(&self) -> Vec<&'static str> {
        self.form.citations()
    }
}

/// The atoms of a group, or all.
fn select(system: &System, group: Option<&str>) -> Result<Vec<u32>, SpecError> {
    let Some(name) = group else {
        return Ok((0..system.len() as u32).collect());
    };
    match system.group(name) {
        Some([]) => Err(SpecError::new("group", format!("group `{name}` has no atoms"))),
        Some(atoms) => Ok(atoms.to_vec()),
        None => {
            let names: Vec<&str> = system.groups().keys().map(String::as_str).collect();
            let hint = match caloron_engine::error::nearest(name, names.iter().copied()) {
                Some(n) => format!("did you mean `{n}`?"),
                None if names.is_empty() => {
                    "define it in [system]: `groups = { NAME = { species = [\"Ar\"] } }`".into()
                }
                None => format!("groups of this input: {}", names.join(", ")),
            };
            Err(SpecError::new("group", format!("there is no group `{name}`")).hint(hint))
        }
    }
}

/// A positive value.
fn positive<D: Dimension>(key: &str, value: Quantity<D>) -> Result<f64, SpecError> {
    let v = value.internal();
    if v > 0.0 && v.is_finite() {
        Ok(v)
    } else {
        Err(SpecError::new(key, format!("{key} must be positive, not {v}")))
    }
}

/// A vector of quantities as numbers.
fn vector<D: Dimension>(v: [Quantity<D>; 3]) -> Vec3 {
    Vec3::from(v.map(Quantity::internal))
}

/// The force constants along x, y and z from the two ways to write them.
fn stiffness(
    one: Option<Quantity<ForceConstant>>,
    three: Option<[Quantity<ForceConstant>; 3]>,
) -> Result<Vec3, SpecError> {
    let k = match (one, three) {
        (Some(_), Some(_)) => {
            return Err(SpecError::new(
                "force_constants",
                "both force_constant and force_constants are given",
            )
            .hint("keep one: a single value for all axes, or three for x, y and z"));
        }
        (None, None) => {
            return Err(SpecError::new("force_constant", "no force constant is given")
                .hint("write force_constant, or force_constants for x, y and z"));
        }
        (Some(k), None) => Vec3::repeat(positive("force_constant", k)?),
        (None, Some(k)) => vector(k),
    };
    if let Some(bad) = (0..3).find(|&a| k[a] < 0.0) {
        let key = format!("force_constants[{bad}]");
        return Err(SpecError::new(key, format!("a force constant cannot be negative: {}", k[bad]))
            .hint("0 leaves an axis free"));
    }
    if k == Vec3::zeros() {
        return Err(SpecError::new("force_constants", "all force constants are 0"));
    }
    Ok(k)
}

/// E = ½ Σ_a k_a d_a² for a displacement d.
fn spring(k: &Vec3, d: Vec3) -> Term {
    let force = -k.component_mul(&d);
    Term { energy: -0.5 * force.dot(&d), force, arm: d }
}

/// Where restraints hold atoms.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// Where the atom is at the start of the run.
    #[default]
    Initial,
    /// One point for all atoms.
    Point([Quantity<Length>; 3]),
}

/// Reference points in fractional coordinates of the cell at the start: they follow the cell.
#[derive(Clone, Debug)]
struct References {
    fractional: Vec<Vec3>,
}

impl References {
    fn new(reference: Option<&Reference>, atoms: &[u32], positions: &[Vec3], cell: &Cell) -> Self {
        let fractional = match reference.unwrap_or(&Reference::Initial) {
            Reference::Initial => atoms.iter().map(|&i| cell.fractional(&positions[i as usize])).collect(),
            Reference::Point(p) => vec![cell.fractional(&vector(*p))],
        };
        Self { fractional }
    }
    /// From the reference to the atom.
    fn displacement(&self, place: &Place<'_>) -> Vec3 {
        let s = self.fractional.get(place.index).unwrap_or(&self.fractional[0]);
        place.position - place.cell.cartesian(s)
    }
}

/// A warning when a force that does not repeat acts along a periodic direction.
fn periodic_warning(name: &str, along: &Vec3, cell: &Cell) -> Vec<String> {
    let s = cell.inverse() * along;
    let periodic = cell.periodic();
    let acts = (0..3).any(|k| periodic[k] && s[k].abs() > 1e-12 * s.amax());
    if !acts {
        return Vec::new();
    }
    vec![format!(
        "{name} acts along a periodic direction: its energy follows the unwrapped positions, and the pressure \
         contains r ⊗ f of this force, which depends on the origin and on how far atoms have travelled"
    )]
}
