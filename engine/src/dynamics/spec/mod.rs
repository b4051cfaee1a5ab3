//! What an input file says about molecular dynamics, and the samplers built from it.
mod barostat;
mod npt;
mod ramp;
mod thermostat;

pub use barostat::{
    BarostatSpec, CellRescaleSpec, MonteCarloBarostatSpec, MtkSpec, StressSpec, WeakBarostatSpec,
};
pub use npt::{NphSpec, NptSpec};
pub use ramp::Ramp;
pub use thermostat::{AndersenSpec, BerendsenSpec, BussiSpec, LangevinSpec, NoseHooverSpec, ThermostatSpec};

use super::kick_drift::MAX_GROUPS;
use super::respa::Respa;
use super::{Brownian, Project, RemoveMomentum};
use crate::quantity::{Quantity, Rate, Temperature, Time};
use crate::sampler::MolecularDynamics;
use crate::units::FEMTOSECOND;
use crate::{Op, SpecError, Splitting, State, System, UnitSystem};
use schemars::JsonSchema;
use serde::Deserialize;

/// Constant energy: velocity Verlet (notation BAB).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NveSpec {
    /// Time step.
    pub timestep: Quantity<Time>,
    /// Multiple time steps. Default: one time step for all forces.
    pub respa: Option<RespaSpec>,
    /// Removal of the motion of the whole system. Default: none.
    pub remove_momentum: Option<RemoveMomentumSpec>,
}

/// Constant temperature and cell.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NvtSpec {
    /// Temperature, or a ramp `{ from = "300 K", to = "600 K" }` over the stage.
    pub temperature: Ramp<Temperature>,
    /// Time step.
    pub timestep: Quantity<Time>,
    /// What keeps the temperature.
    pub thermostat: ThermostatSpec,
    /// Multiple time steps; the thermostat then acts around the outer step. Default: one time step for all forces.
    pub respa: Option<RespaSpec>,
    /// Removal of the motion of the whole system. Default: none.
    pub remove_momentum: Option<RemoveMomentumSpec>,
}

/// Overdamped Langevin dynamics (Leimkuhler and Matthews).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BrownianSpec {
    /// Temperature, or a ramp over the stage.
    pub temperature: Ramp<Temperature>,
    /// Time step.
    pub timestep: Quantity<Time>,
    /// Friction γ, an inverse time: an atom moves with the mobility 1/(m γ).
    pub friction: Quantity<Rate>,
}

/// Multiple time steps by force groups (r-RESPA). Potentials name their group; 0 is the slowest.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RespaSpec {
    /// Steps of each faster group within one step of the group before it: `[4]` kicks group 1 four times per time
    /// step, `[4, 2]` kicks group 2 eight times.
    pub inner: Vec<u32>,
}

/// Removal of the motion of the whole system.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveMomentumSpec {
    /// At every n-th step. Default 1.
    pub every: Option<u64>,
    /// Also the rotation about the centre of mass (open systems alone). Default false.
    pub angular: Option<bool>,
}

/// Where in a step a thermostat stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between two half drifts, for a full step.
    Middle,
    /// After the step, for a full step: it counts its heat exactly and samples the velocities exactly.
    End,
    /// Half a step on both sides.
    Around,
}

/// A value above zero.
fn positive<D: crate::quantity::Dimension>(
    value: Quantity<D>,
    key: &str,
    name: &str,
) -> Result<f64, SpecError> {
    let x = value.internal();
    if x > 0.0 {
        return Ok(x);
    }
    Err(SpecError::new(key, format!("the {name} must be above 0")))
}

/// The largest time step that anything known is stable with, internal units, the largest without a warning and the smallest without.
fn time_step_limits(units: UnitSystem) -> (f64, f64, f64) {
    match units {
        UnitSystem::Physical => (200.0 * FEMTOSECOND, 20.0 * FEMTOSECOND, 1e-3 * FEMTOSECOND),
        UnitSystem::Lj => (0.5, 0.05, 1e-6),
    }
}

fn time_step(value: Quantity<Time>, units: UnitSystem) -> Result<f64, SpecError> {
    let dt = positive(value, "timestep", "time step")?;
    let (largest, ..) = time_step_limits(units);
    if dt > largest {
        let text = time_text(dt, units);
        let hint = match units {
            UnitSystem::Physical => "usual are 0.5 fs (flexible molecules) to 5 fs (heavy atoms)",
            UnitSystem::Lj => "usual is 0.001 to 0.01",
        };
        return Err(SpecError::new("timestep", format!("a time step of {text} is far too long")).hint(hint));
    }
    Ok(dt)
}

fn time_text(dt: f64, units: UnitSystem) -> String {
    match units {
        UnitSystem::Physical if dt < 1e-3 * FEMTOSECOND => format!("{:.1e} fs", dt / FEMTOSECOND),
        UnitSystem::Physical => format!("{:.4} fs", dt / FEMTOSECOND),
        UnitSystem::Lj if dt < 1e-3 => format!("{dt:.1e}"),
        UnitSystem::Lj => format!("{dt:.4}"),
    }
}

fn time_step_warnings(value: Quantity<Time>, units: UnitSystem) -> Vec<String> {
    let dt = value.internal();
    let (_, long, short) = time_step_limits(units);
    let text = time_text(dt, units);
    if dt < short {
        return vec![format!("timestep: {text} is far shorter than any motion of atoms; check its unit")];
    }
    if dt <= long {
        return Vec::new();
    }
    vec![format!(
        "timestep: {text} is longer than anything usual for atoms; watch the drift of the conserved quantity"
    )]
}

/// Atoms that can move and nothing the operators cannot do.
fn check_system(system: &System) -> Result<(), SpecError> {
    if system.len() == system.fixed() {
        return Err(SpecError::new("", "no atom can move").hint("the system is empty or all atoms are fixed"));
    }
    if system.degrees_of_freedom(false) == 0 {
        return Err(SpecError::new("", "the constraints leave no degree of freedom"));
    }
    check_bodies(system)
}

/// Rigid bodies move as a whole or not at all.
pub(crate) fn check_bodies(system: &System) -> Result<(), SpecError> {
    let fixed = |a: &&u32| system.is_fixed(**a as usize);
    let held = system.topology().rigid_bodies().iter().find_map(|b| b.atoms.iter().find(fixed));
    if let Some(a) = held {
        return Err(SpecError::new("", format!("atom {a} is fixed and in a rigid body"))
            .hint("fix no atom of a rigid body, or leave the body out and fix all its atoms"));
    }
    Ok(())
}

impl RespaSpec {
    fn build(&self) -> Result<Respa, SpecError> {
        let bad = |message: String| SpecError::new("inner", message).within("respa");
        if self.inner.is_empty() || self.inner.len() >= MAX_GROUPS {
            return Err(bad(format!(
                "`inner` has {} levels; it takes 1 to {}",
                self.inner.len(),
                MAX_GROUPS - 1
            )));
        }
        if let Some(n) = self.inner.iter().find(|n| !(1..=1000).contains(*n)) {
            return Err(bad(format!("{n} inner steps: it takes 1 to 1000")));
        }
        let total: u64 = self.inner.iter().map(|&n| u64::from(n)).product();
        if total > 100_000 {
            return Err(bad(format!("{total} innermost steps in one time step")));
        }
        Ok(Respa::new(self.inner.clone()))
    }
}

impl RemoveMomentumSpec {
    fn build(&self, system: &System, state: &State, local: bool) -> Result<RemoveMomentum, SpecError> {
        let every = self.every.unwrap_or(1);
        let angular = self.angular.unwrap_or(false);
        let error = |key: &str, message: &str, hint: &str| {
            Err(SpecError::new(key, message).hint(hint).within("remove_momentum"))
        };
        if every == 0 {
            return error("every", "`every` must be at least 1", "1 removes at each step");
        }
        if local && every != 1 {
            let message = "this thermostat feeds the centre of mass in each step, so its degrees of freedom would change \
                           from step to step";
            return error("every", message, "use `every = 1`, or no removal at all");
        }
        if system.fixed() > 0 {
            let hint = "remove `remove_momentum`: fixed atoms hold the system in place";
            return error("", "the motion of the whole system cannot be removed beside fixed atoms", hint);
        }
        if angular && !state.cell().is_open() {
            let hint = "periodic images do not rotate: use `angular = false`";
            return error("angular", "the angular momentum of a periodic system is not defined", hint);
        }
        Ok(RemoveMomentum::new(every, angular))
    }
}

/// Core, thermostat and removal of momentum put together.
fn compose(
    system: &System,
    dt: f64,
    respa: Option<&RespaSpec>,
    thermostat: Option<(Box<dyn Op>, Place)>,
    after: Vec<Box<dyn Op>>,
    removal: Option<RemoveMomentum>,
) -> Result<MolecularDynamics, SpecError> {
    let respa = respa.map(RespaSpec::build).transpose()?;
    let multiple = respa.is_some();
    let core = respa.unwrap_or_else(|| Respa::new(Vec::new()));
    let (mut ops, mut schedule) = (core.operators(), core.schedule());
    let mut label = multiple.then(|| core.notation());
    let tied = !system.solver().is_empty();
    let projection = ops.len();
    if tied {
        ops.push(Box::new(Project));
        schedule.push((projection, 1.0));
        label = label.map(|l| format!("{l} R"));
    }
    if let Some((op, place)) = thermostat {
        let (t, symbol) = (ops.len(), op.symbol());
        ops.push(op);
        let around = |schedule: &mut Vec<(usize, f64)>| {
            schedule.insert(0, (t, 0.5));
            schedule.push((t, 0.5));
        };
        match place {
            Place::Middle if !multiple => {
                schedule = vec![(0, 0.5), (1, 0.5), (t, 1.0), (1, 0.5), (0, 0.5)];
                schedule.extend(tied.then_some((projection, 1.0)));
            }
            Place::Middle | Place::Around => {
                around(&mut schedule);
                label = label.map(|l| format!("{symbol} {l} {symbol}"));
            }
            Place::End => {
                schedule.push((t, 1.0));
                label = label.map(|l| format!("{l} {symbol}"));
            }
        }
    }
    let removal = removal.map(|op| Box::new(op) as Box<dyn Op>);
    for op in after.into_iter().chain(removal) {
        label = label.map(|l| format!("{l} {}", op.symbol()));
        schedule.push((ops.len(), 1.0));
        ops.push(op);
    }
    let mut splitting = Splitting::new(ops, schedule);
    if let Some(label) = label {
        splitting = splitting.labelled(label);
    }
    Ok(MolecularDynamics { dt, splitting, conserves: true })
}

impl NveSpec {
    /// The sampler for a system.
    ///
    /// # Errors
    /// When a value is out of range or does not fit the system.
    pub fn build(
        &self,
        system: &System,
        state: &State,
        units: UnitSystem,
    ) -> Result<MolecularDynamics, SpecError> {
        check_system(system)?;
        let dt = time_step(self.timestep, units)?;
        let removal = self.remove_momentum.as_ref().map(|r| r.build(system, state, false)).transpose()?;
        compose(system, dt, self.respa.as_ref(), None, Vec::new(), removal)
    }
    /// What the user should know.
    pub fn warnings(&self, units: UnitSystem) -> Vec<String> {
        time_step_warnings(self.timestep, units)
    }
    /// Papers to cite.
    pub fn cite(&self) -> Vec<&'static str> {
        let mut papers = vec![VELOCITY_VERLET];
        papers.extend(self.respa.as_ref().map(|_| RESPA));
        papers
    }
}

impl NvtSpec {
    /// The sampler for a system.
    ///
    /// # Errors
    /// When a value is out of range or does not fit the system.
    pub fn build(
        &self,
        system: &System,
        state: &State,
        units: UnitSystem,
    ) -> Result<MolecularDynamics, SpecError> {
        check_system(system)?;
        let dt = time_step(self.timestep, units)?;
        let zero = !matches!(self.thermostat, ThermostatSpec::NoseHoover(_));
        let kt = self.temperature.thermal(units.boltzmann(), zero)?;
        let thermostat = self.thermostat.build(kt, dt)?;
        let local = self.thermostat.is_local();
        let removal = self.remove_momentum.as_ref().map(|r| r.build(system, state, local)).transpose()?;
        compose(system, dt, self.respa.as_ref(), Some(thermostat), Vec::new(), removal)
    }
    /// What the user should know.
    pub fn warnings(&self, units: UnitSystem) -> Vec<String> {
        let mut warnings = time_step_warnings(self.timestep, units);
        warnings.extend(self.thermostat.warnings());
        warnings
    }
    /// Papers to cite.
    pub fn cite(&self) -> Vec<&'static str> {
        let mut papers = self.thermostat.cite();
        papers.extend(self.respa.as_ref().map(|_| RESPA));
        papers
    }
}

impl BrownianSpec {
    /// The sampler for a system.
    ///
    /// # Errors
    /// When a value is out of range or does not fit the system.
    pub fn build(
        &self,
        system: &System,
        _state: &State,
        units: UnitSystem,
    ) -> Result<MolecularDynamics, SpecError> {
        check_system(system)?;
        if system.constraints() > 0 {
            let message = format!("Brownian dynamics does not keep the {} constraints", system.constraints());
            return Err(SpecError::new("", message)
                .hint("use `nvt` with a Langevin thermostat, or leave the constraints out"));
        }
        let dt = positive(self.timestep, "timestep", "time step")?;
        let friction = positive(self.friction, "friction", "friction")?;
        let kt = self.temperature.thermal(units.boltzmann(), true)?;
        let splitting = Splitting::new(vec![Box::new(Brownian::new(kt, friction))], vec![(0, 1.0)]);
        Ok(MolecularDynamics { dt, splitting, conserves: false })
    }
    /// What the user should know.
    pub fn warnings(&self, _units: UnitSystem) -> Vec<String> {
        let text = "brownian: velocities are random numbers of the bath, so the reported temperature tests nothing; there is \
                    no conserved quantity";
        vec![text.into()]
    }
    /// Papers to cite.
    pub fn cite(&self) -> Vec<&'static str> {
        vec![
            "B. Leimkuhler and C. Matthews, Appl. Math. Res. Express 2013, 34 (2013), doi:10.1093/amrx/abs010",
        ]
    }
}

const VELOCITY_VERLET: &str = "W. C. Swope, H. C. Andersen, P. H. Berens and K. R. Wilson, J. Chem. Phys. 76, 637 (1982), doi:10.1063/1.442716";
const RESPA: &str =
    "M. Tuckerman, B. J. Berne and G. J. Martyna, J. Chem. Phys. 97, 1990 (1992), doi:10.1063/1.463137";

#[cfg(test)]
mod tests;
