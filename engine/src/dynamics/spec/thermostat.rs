//! Thermostats of an input file.
use super::{Place, positive};
use crate::dynamics::{
    Andersen, Berendsen, Bussi, ChainSettings, CompositionOrder, NoseHoover, OrnsteinUhlenbeck,
};
use crate::quantity::{Quantity, Rate, Time};
use crate::{Op, Schedule, SpecError};
use schemars::JsonSchema;
use serde::Deserialize;

/// What keeps the temperature.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ThermostatSpec {
    /// Langevin dynamics (BAOAB): friction and noise on every atom. Canonical, robust, for any system.
    Langevin(LangevinSpec),
    /// Nosé-Hoover chain: deterministic, canonical where the system is ergodic.
    NoseHoover(NoseHooverSpec),
    /// Stochastic velocity rescaling: canonical, hardly disturbs the dynamics.
    Bussi(BussiSpec),
    /// Collisions with a bath: canonical, destroys transport.
    Andersen(AndersenSpec),
    /// Weak coupling: relaxes a start, samples no ensemble.
    Berendsen(BerendsenSpec),
}

/// Langevin dynamics.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LangevinSpec {
    /// Friction, an inverse time: velocities forget themselves within 1/friction. 1 1/ps is usual in solution.
    pub friction: Quantity<Rate>,
}

/// Nosé-Hoover chain.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoseHooverSpec {
    /// Relaxation time τ; sets the masses N kT τ² and kT τ². At least 10 time steps.
    pub relaxation: Quantity<Time>,
    /// Number of thermostats in the chain, 1 to 20. Default 3.
    pub chain: Option<usize>,
    /// Order of the Suzuki-Yoshida composition: 2, 4 or 6. Default 4.
    pub order: Option<u32>,
    /// Repetitions of the composition in a step, 1 to 100. Default 1.
    pub repetitions: Option<usize>,
}

/// Stochastic velocity rescaling.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BussiSpec {
    /// Relaxation time of the kinetic energy; 0.1 ps is usual.
    pub relaxation: Quantity<Time>,
}

/// Andersen collisions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AndersenSpec {
    /// Collisions of an atom per time.
    pub rate: Quantity<Rate>,
}

/// Weak coupling.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BerendsenSpec {
    /// Relaxation time of the kinetic energy.
    pub relaxation: Quantity<Time>,
}

/// A relaxation time of at least `steps` time steps.
pub(super) fn relaxation(time: Quantity<Time>, dt: f64, steps: f64) -> Result<f64, SpecError> {
    let tau = positive(time, "relaxation", "relaxation time")?;
    if tau < steps * dt * (1.0 - 1e-9) {
        let message = format!("the relaxation time is {:.3} time steps; it needs at least {steps}", tau / dt);
        return Err(
            SpecError::new("relaxation", message).hint("use a longer relaxation time or a shorter time step")
        );
    }
    Ok(tau)
}

/// A rate that does little within one step.
fn rate(value: Quantity<Rate>, key: &str, name: &str, dt: f64) -> Result<f64, SpecError> {
    let rate = positive(value, key, name)?;
    if rate * dt > 1.0 {
        let message = format!("the {name} times the time step is {:.3}, above 1", rate * dt);
        let hint = format!("use a smaller {name}, or Brownian dynamics for overdamped motion");
        return Err(SpecError::new(key, message).hint(hint));
    }
    Ok(rate)
}

fn within(value: usize, key: &str, low: usize, high: usize) -> Result<usize, SpecError> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(SpecError::new(key, format!("`{key}` is {value}; it goes from {low} to {high}")))
}

impl ThermostatSpec {
    /// True when it multiplies velocities, so that it can do nothing with zeros.
    pub fn needs_motion(&self) -> bool {
        matches!(self, Self::NoseHoover(_) | Self::Bussi(_) | Self::Berendsen(_))
    }
}

impl NoseHooverSpec {
    /// Settings of the chain for a time step.
    pub(super) fn settings(&self, dt: f64) -> Result<ChainSettings, SpecError> {
        let order = match self.order.unwrap_or(4) {
            2 => CompositionOrder::Second,
            4 => CompositionOrder::Fourth,
            6 => CompositionOrder::Sixth,
            other => {
                let message = format!("no composition of order {other} is known here");
                return Err(SpecError::new("order", message).hint("use 2, 4 or 6"));
            }
        };
        Ok(ChainSettings {
            relaxation: relaxation(self.relaxation, dt, 10.0)?,
            length: within(self.chain.unwrap_or(3), "chain", 1, 20)?,
            order,
            repetitions: within(self.repetitions.unwrap_or(1), "repetitions", 1, 100)?,
        })
    }
}

impl ThermostatSpec {
    /// The operator for a thermal energy and a time step, and where in a step it stands.
    pub(super) fn build(&self, kt: Schedule, dt: f64) -> Result<(Box<dyn Op>, Place), SpecError> {
        let result: Result<(Box<dyn Op>, Place), SpecError> = match self {
            Self::Langevin(s) => rate(s.friction, "friction", "friction", dt)
                .map(|g| (Box::new(OrnsteinUhlenbeck::new(kt, g)) as Box<dyn Op>, Place::Middle)),
            Self::NoseHoover(s) => s
                .settings(dt)
                .map(|settings| (Box::new(NoseHoover::new(kt, settings)) as Box<dyn Op>, Place::Around)),
            Self::Bussi(s) => relaxation(s.relaxation, dt, 1.0)
                .map(|tau| (Box::new(Bussi::new(kt, tau)) as Box<dyn Op>, Place::End)),
            Self::Andersen(s) => rate(s.rate, "rate", "collision rate", dt)
                .map(|nu| (Box::new(Andersen::new(kt, nu)) as Box<dyn Op>, Place::End)),
            Self::Berendsen(s) => relaxation(s.relaxation, dt, 1.0)
                .map(|tau| (Box::new(Berendsen::new(kt, tau)) as Box<dyn Op>, Place::End)),
        };
        result.map_err(|e| e.within(self.name()).within("thermostat"))
    }
    /// Key of the variant.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Langevin(_) => "langevin",
            Self::NoseHoover(_) => "nose_hoover",
            Self::Bussi(_) => "bussi",
            Self::Andersen(_) => "andersen",
            Self::Berendsen(_) => "berendsen",
        }
    }
    /// True when every atom is coupled on its own, which changes the total momentum.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Langevin(_) | Self::Andersen(_))
    }
    /// Papers to cite.
    pub fn cite(&self) -> Vec<&'static str> {
        match self {
            Self::Langevin(_) => {
                vec![
                    "B. Leimkuhler and C. Matthews, J. Chem. Phys. 138, 174102 (2013), doi:10.1063/1.4802990",
                ]
            }
            Self::NoseHoover(_) => vec![
                "G. J. Martyna, M. L. Klein and M. Tuckerman, J. Chem. Phys. 97, 2635 (1992), doi:10.1063/1.463940",
                "G. J. Martyna, M. E. Tuckerman, D. J. Tobias and M. L. Klein, Mol. Phys. 87, 1117 (1996), doi:10.1080/00268979600100761",
                "H. Yoshida, Phys. Lett. A 150, 262 (1990), doi:10.1016/0375-9601(90)90092-3",
            ],
            Self::Bussi(_) => vec![
                "G. Bussi, D. Donadio and M. Parrinello, J. Chem. Phys. 126, 014101 (2007), doi:10.1063/1.2408420",
            ],
            Self::Andersen(_) => vec!["H. C. Andersen, J. Chem. Phys. 72, 2384 (1980), doi:10.1063/1.439486"],
            Self::Berendsen(_) => vec![
                "H. J. C. Berendsen, J. P. M. Postma, W. F. van Gunsteren, A. DiNola and J. R. Haak, J. Chem. Phys. 81, 3684 (1984), doi:10.1063/1.448118",
            ],
        }
    }
    /// What the user should know.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Berendsen(_) => vec![
                "thermostat.berendsen: weak coupling samples no known ensemble and can freeze internal motion; use `bussi` for production"
                    .into(),
            ],
            Self::NoseHoover(s) if s.chain == Some(1) => vec![
                "thermostat.nose_hoover: a single thermostat is not ergodic for small or stiff systems; `chain = 3` is safer"
                    .into(),
            ],
            Self::Andersen(_) => vec![
                "thermostat.andersen: collisions destroy time correlations; diffusion and viscosity of this stage have no meaning"
                    .into(),
            ],
            _ => Vec::new(),
        }
    }
}
