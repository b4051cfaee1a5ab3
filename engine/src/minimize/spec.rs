//! What an input file says about a minimisation.
use super::{Component, Coordinates, Deformation, Fire, Goal, Lbfgs, Minimizer};
use crate::dynamics::spec::check_bodies;
use crate::quantity::{Force, Length, Pressure};
use crate::{Cell, Quantity, SpecError, System, UnitSystem};
use schemars::JsonSchema;
use serde::Deserialize;

/// Energy minimisation: `[stage.minimize]`. Velocities become zero; fixed atoms stay where they are; constraints and rigid
/// bodies are kept (forces are those along them).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MinimizeSpec {
    /// Algorithm; default `lbfgs`.
    pub method: Option<MethodSpec>,
    /// Done when no mobile atom feels a larger force than this.
    pub fmax: Quantity<Force>,
    /// Largest number of iterations; default 10000.
    pub steps: Option<u64>,
    /// Largest move of an atom in one iteration; default 0.2 Å, in reduced units 0.1.
    pub max_step: Option<Quantity<Length>>,
    /// Relaxes the cell too; without it the cell stays.
    pub cell: Option<CellSpec>,
}

/// Algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MethodSpec {
    /// Quasi-Newton with limited memory and a line search: fewest force evaluations.
    #[default]
    Lbfgs,
    /// Steered molecular dynamics (FIRE 2.0): slower, very robust far from a minimum.
    Fire,
}

/// A variable cell.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellSpec {
    /// Pressure to relax to, positive for compression; default 0.
    pub pressure: Option<Quantity<Pressure>>,
    /// Done when no free stress component differs from the target by more than this; default 0.01 GPa, in reduced
    /// units 0.0001.
    pub smax: Option<Quantity<Pressure>>,
    /// What of the cell may change; default `"full"`.
    pub deform: Option<DeformSpec>,
}

/// How the cell may change. It never rotates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeformSpec {
    /// Lengths and angles.
    #[default]
    Full,
    /// The volume alone; shape kept.
    Isotropic,
    /// The lengths of a, b and c; angles kept.
    Lengths,
    /// Only these components of the deformation, along Cartesian axes: `{ components = ["zz"] }`.
    Components(Vec<Component>),
}

impl MinimizeSpec {
    /// The minimiser for a system in its cell.
    ///
    /// # Errors
    /// When a limit is not positive, or the cell cannot relax: it is not fully periodic, or atoms are fixed.
    pub fn build(&self, system: &System, cell: &Cell, units: UnitSystem) -> Result<Minimizer, SpecError> {
        let goal = Goal {
            fmax: positive("fmax", self.fmax.internal())?,
            smax: self.smax(units)?,
            steps: self.steps.unwrap_or(10_000),
        };
        if goal.steps == 0 {
            return Err(SpecError::new("steps", "steps must be at least 1"));
        }
        let default = if units == UnitSystem::Lj { 0.1 } else { 0.2 };
        let max_step = positive("max_step", self.max_step.map_or(default, Quantity::internal))?;
        check_bodies(system)?;
        let mut coordinates = match &self.cell {
            None => Coordinates::fixed_cell(system.len()),
            Some(spec) => spec.coordinates(system, cell).map_err(|e| e.within("cell"))?,
        };
        if system.constraints() > 0 {
            coordinates = coordinates.constrained(system);
        }
        Ok(match self.method.unwrap_or_default() {
            MethodSpec::Fire => Minimizer::fire(coordinates, Fire::new(max_step), goal),
            MethodSpec::Lbfgs => Minimizer::lbfgs(coordinates, Lbfgs::new(max_step), goal),
        })
    }
    /// Papers to cite.
    pub fn cite(&self) -> Vec<&'static str> {
        match self.method.unwrap_or_default() {
            MethodSpec::Lbfgs => {
                vec!["D. C. Liu and J. Nocedal, Math. Program. 45, 503 (1989), doi:10.1007/BF01589116"]
            }
            MethodSpec::Fire => vec![
                "E. Bitzek, P. Koskinen, F. Gähler, M. Moseler and P. Gumbsch, Phys. Rev. Lett. 97, 170201 (2006), \
                 doi:10.1103/PhysRevLett.97.170201",
                "J. Guénolé et al., Comput. Mater. Sci. 175, 109584 (2020), doi:10.1016/j.commatsci.2020.109584",
            ],
        }
    }
    fn smax(&self, units: UnitSystem) -> Result<f64, SpecError> {
        let default = if units == UnitSystem::Lj { 1e-4 } else { 100.0 * crate::units::BAR };
        let given = self.cell.as_ref().and_then(|c| c.smax);
        positive("cell.smax", given.map_or(default, Quantity::internal))
    }
}

impl CellSpec {
    fn coordinates(&self, system: &System, cell: &Cell) -> Result<Coordinates, SpecError> {
        if !cell.is_fully_periodic() {
            return Err(SpecError::new("", "only a cell that is periodic in all directions can relax")
                .hint("remove `cell` to relax the atoms alone"));
        }
        if system.fixed() > 0 {
            let text = format!("the cell cannot relax while {} atoms are fixed", system.fixed());
            return Err(SpecError::new("", text)
                .hint("a deformation of the cell would move them: free them or remove `cell`"));
        }
        let deformation = match self.deform.clone().unwrap_or_default() {
            DeformSpec::Full => Deformation::Components(Component::ALL.to_vec()),
            DeformSpec::Isotropic => Deformation::Isotropic,
            DeformSpec::Lengths => Deformation::Lengths,
            DeformSpec::Components(list) => {
                if list.is_empty() {
                    return Err(SpecError::new("deform.components", "no component is named")
                        .hint("name some of xx, yy, zz, yz, xz, xy, or remove `cell`"));
                }
                if let Some(k) = (1..list.len()).find(|&k| list[..k].contains(&list[k])) {
                    let key = format!("deform.components[{k}]");
                    return Err(SpecError::new(key, "this component is named twice"));
                }
                Deformation::Components(list)
            }
        };
        let pressure = self.pressure.map_or(0.0, Quantity::internal);
        Ok(Coordinates::variable_cell(system.len(), cell, deformation, pressure))
    }
}

fn positive(key: &str, value: f64) -> Result<f64, SpecError> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(SpecError::new(key, format!("{key} must be positive, not {value}")))
    }
}
