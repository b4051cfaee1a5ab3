//! Constant pressure.
use super::barostat::{self, MTK, Surroundings};
use super::{BarostatSpec, Place, Ramp, RemoveMomentumSpec, StressSpec, ThermostatSpec};
use super::{check_system, compose, time_step, time_step_warnings};
use crate::dynamics::{Axis, CellMode, HeldPressure};
use crate::quantity::{Pressure, Quantity, Temperature, Time};
use crate::sampler::MolecularDynamics;
use crate::{Op, SpecError, Splitting, State, System, UnitSystem};
use schemars::JsonSchema;
use serde::Deserialize;

/// Constant temperature and pressure. Give `pressure` or `stress`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NptSpec {
    /// Temperature, or a ramp `{ from = "300 K", to = "600 K" }` over the stage.
    pub temperature: Ramp<Temperature>,
    /// Pressure, or a ramp.
    pub pressure: Option<Ramp<Pressure>>,
    /// Stress by components, instead of the pressure.
    pub stress: Option<StressSpec>,
    /// Time step.
    pub timestep: Quantity<Time>,
    /// What keeps the temperature.
    pub thermostat: ThermostatSpec,
    /// What keeps the pressure.
    pub barostat: BarostatSpec,
    /// Removal of the motion of the whole system. Default: none.
    pub remove_momentum: Option<RemoveMomentumSpec>,
}

/// Constant enthalpy and pressure: the inertial cell of Martyna, Tobias and Klein without thermostats. Give `pressure` or
/// `stress`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NphSpec {
    /// Temperature that is expected; it sets the inertia of the cell and nothing else.
    pub temperature: Quantity<Temperature>,
    /// Pressure, or a ramp.
    pub pressure: Option<Ramp<Pressure>>,
    /// Stress by components, instead of the pressure.
    pub stress: Option<StressSpec>,
    /// Time step.
    pub timestep: Quantity<Time>,
    /// Time scale τ of the cell; sets its mass (N + 3) kT τ² / 3. At least 20 time steps.
    pub relaxation: Quantity<Time>,
    /// Which deformations are free. Default isotropic.
    pub mode: Option<CellMode>,
    /// Axes that keep their length (for modes that treat them apart). Default: none.
    pub fixed: Option<Vec<Axis>>,
    /// Removal of the motion of the whole system. Default: none.
    pub remove_momentum: Option<RemoveMomentumSpec>,
}

impl NptSpec {
    /// The sampler for a system.
    ///
    /// # Errors
    /// When a value is out of range or does not fit the system, above all a cell that is not periodic throughout.
    pub fn build(
        &self,
        system: &System,
        state: &State,
        units: UnitSystem,
    ) -> Result<MolecularDynamics, SpecError> {
        check_system(system)?;
        barostat::check(system, state)?;
        let dt = time_step(self.timestep, units)?;
        let kt = self.temperature.thermal(units.boltzmann(), false)?;
        let target = barostat::target(self.pressure.as_ref(), self.stress.as_ref(), self.barostat.mode())?;
        let (thermostat, place) = self.thermostat.build(kt, dt)?;
        let local = self.thermostat.is_local();
        let removal = self.remove_momentum.as_ref().map(|r| r.build(system, state, local)).transpose()?;
        let surroundings = Surroundings { target, kt, dt, units };
        if matches!(self.barostat, BarostatSpec::MonteCarlo(_)) {
            let moves = self.barostat.build(&surroundings, None)?;
            return compose(system, dt, None, Some((thermostat, place)), vec![moves], removal);
        }
        let (center, outside) =
            if place == Place::Middle { (Some(thermostat), None) } else { (None, Some(thermostat)) };
        let core = self.barostat.build(&surroundings, center)?;
        Ok(around_core(dt, core, outside.map(|op| (op, place)), removal.map(|r| Box::new(r) as Box<dyn Op>)))
    }
    /// The components of the pressure that are kept.
    ///
    /// # Errors
    /// When neither or both of `pressure` and `stress` are given, or they do not fit the barostat.
    pub fn held(&self) -> Result<Vec<HeldPressure>, SpecError> {
        let mode = self.barostat.mode();
        let target = barostat::target(self.pressure.as_ref(), self.stress.as_ref(), mode)?;
        Ok(mode.held(self.barostat.fixed(), &target))
    }
    /// What the user should know.
    pub fn warnings(&self, units: UnitSystem) -> Vec<String> {
        let mut warnings = time_step_warnings(self.timestep, units);
        warnings.extend(self.thermostat.warnings());
        warnings.extend(self.barostat.warnings());
        warnings
    }
    /// Papers to cite.
    pub fn cite(&self) -> Vec<&'static str> {
        let mut papers = self.thermostat.cite();
        for paper in self.barostat.cite() {
            if !papers.contains(&paper) {
                papers.push(paper);
            }
        }
        papers
    }
}

impl NphSpec {
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
        barostat::check(system, state)?;
        let dt = time_step(self.timestep, units)?;
        let mode = self.mode.unwrap_or_default();
        let kt = Ramp::constant(self.temperature).thermal(units.boltzmann(), false)?;
        let target = barostat::target(self.pressure.as_ref(), self.stress.as_ref(), mode)?;
        let removal = self.remove_momentum.as_ref().map(|r| r.build(system, state, false)).transpose()?;
        let surroundings = Surroundings { target, kt, dt, units };
        let core = barostat::isenthalpic(self.relaxation, mode, self.fixed.as_ref(), &surroundings)?;
        Ok(around_core(dt, core, None, removal.map(|r| Box::new(r) as Box<dyn Op>)))
    }
    /// The components of the pressure that are kept.
    ///
    /// # Errors
    /// When neither or both of `pressure` and `stress` are given, or they do not fit the mode.
    pub fn held(&self) -> Result<Vec<HeldPressure>, SpecError> {
        let mode = self.mode.unwrap_or_default();
        let target = barostat::target(self.pressure.as_ref(), self.stress.as_ref(), mode)?;
        Ok(mode.held(self.fixed.as_deref().unwrap_or(&[]), &target))
    }
    /// What the user should know.
    pub fn warnings(&self, units: UnitSystem) -> Vec<String> {
        time_step_warnings(self.timestep, units)
    }
    /// Papers to cite.
    pub fn cite(&self) -> Vec<&'static str> {
        MTK.to_vec()
    }
}

/// A step that is one operator, with a thermostat around or after it.
fn around_core(
    dt: f64,
    core: Box<dyn Op>,
    thermostat: Option<(Box<dyn Op>, Place)>,
    removal: Option<Box<dyn Op>>,
) -> MolecularDynamics {
    let (mut ops, mut schedule) = (vec![core], vec![(0, 1.0)]);
    if let Some((op, place)) = thermostat {
        ops.push(op);
        match place {
            Place::Around => schedule = vec![(1, 0.5), (0, 1.0), (1, 0.5)],
            Place::Middle | Place::End => schedule.push((1, 1.0)),
        }
    }
    if let Some(op) = removal {
        schedule.push((ops.len(), 1.0));
        ops.push(op);
    }
    MolecularDynamics { dt, splitting: Splitting::new(ops, schedule), conserves: true }
}
