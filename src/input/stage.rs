//! The stages of a run: `[[stage]]`.
use caloron_engine::minimize::MinimizeSpec;
use caloron_engine::quantity::Time;
use caloron_engine::simulation::Stage;
use caloron_engine::{Cell, Quantity, Sampler, Schedule, SpecError, System, UnitSystem};
use schemars::JsonSchema;
use serde::Deserialize;

/// A part of the run. Give exactly one of the tables that say what is done.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageSpec {
    /// Name, different for every stage.
    pub name: String,
    /// Number of steps. Give `steps` or `duration`; a minimisation has its own limit.
    pub steps: Option<u64>,
    /// Simulated time, a multiple of the time step (rounded to the nearest number of steps).
    pub duration: Option<Quantity<Time>>,
    /// Minimises the energy.
    pub minimize: Option<MinimizeSpec>,
    /// Takes out the velocity of the centre of mass before the first step; default false.
    #[serde(default)]
    pub remove_momentum: bool,
    /// Steps between two removals of the velocity of the centre of mass; default never.
    pub remove_momentum_every: Option<u64>,
    /// Other output than `[output]` says, for this stage.
    pub output: Option<StageOutputSpec>,
}

/// Changes of the output for one stage.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageOutputSpec {
    /// Steps between frames of all trajectories; 0 writes none in this stage.
    pub trajectory_every: Option<u64>,
    /// Steps between lines of the table; 0 writes none in this stage.
    pub thermo_every: Option<u64>,
}

/// What a stage samples, for reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// `NVE`, `NVT`, `NPT`, `Brownian` or `minimisation`.
    pub name: &'static str,
    /// Target temperature, K or reduced.
    pub temperature: Option<Schedule>,
    /// Target pressure, internal units.
    pub pressure: Option<Schedule>,
}

/// A stage, ready to run.
pub struct StagePlan {
    /// Name.
    pub name: String,
    /// Number of steps (for a minimisation: at most).
    pub steps: u64,
    /// What advances the state.
    pub sampler: Box<dyn Sampler>,
    /// What it samples.
    pub ensemble: Ensemble,
    /// True when the total momentum is zero and stays zero.
    pub momentum_removed: bool,
    /// Takes out the velocity of the centre of mass before the first step.
    pub remove_momentum: bool,
    /// Steps between two removals of the velocity of the centre of mass.
    pub remove_momentum_every: Option<u64>,
    /// Changes of the output.
    pub output: StageOutputSpec,
}

impl StagePlan {
    /// The stage as the engine runs it.
    pub fn into_stage(self) -> Stage {
        let Self { name, steps, sampler, momentum_removed, .. } = self;
        Stage { name, steps, sampler, momentum_removed }
    }
}

/// What the specs of dynamics are built against.
pub(crate) struct StageContext<'a> {
    pub system: &'a System,
    pub cell: &'a Cell,
    pub units: UnitSystem,
    /// True when the total momentum is zero before this stage.
    pub at_rest: bool,
    /// True when an interaction depends on absolute positions, so that it changes the total momentum.
    pub external: bool,
}

impl StageSpec {
    /// The stage; errors are relative to its table.
    pub(crate) fn build(
        &self,
        context: &StageContext<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<StagePlan, SpecError> {
        let kinds = [("minimize", self.minimize.is_some())];
        let given: Vec<&str> = kinds.iter().filter(|k| k.1).map(|k| k.0).collect();
        let list = kinds.map(|k| k.0).join(", ");
        let key = match given[..] {
            [one] => one,
            [] => {
                return Err(SpecError::new("", format!("the stage `{}` does not say what is done", self.name))
                    .hint(format!("add one table of {list}, such as [stage.nve]")));
            }
            [first, second, ..] => {
                return Err(SpecError::new(second, format!("the stage has `{first}` and `{second}`"))
                    .hint("make them two stages"));
            }
        };
        let (sampler, ensemble) = self.sampler(context).map_err(|e| e.within(key))?;
        let steps = self.steps(sampler.as_ref())?;
        if let Some(dt) = sampler.time_step() {
            check_time_step(&format!("{key}.timestep"), dt, context.units, warnings)?;
        }
        if self.remove_momentum_every == Some(0) {
            return Err(SpecError::new("remove_momentum_every", "`remove_momentum_every` counts steps: at least 1")
                .hint("leave it out to never remove"));
        }
        let kept = sampler.conserves_momentum() && !context.external && context.system.fixed() == 0;
        let removes = self.remove_momentum || self.remove_momentum_every.is_some();
        if removes && context.system.fixed() > 0 {
            warnings.push(format!("stage `{}`: with fixed atoms no momentum is removed", self.name));
        }
        let momentum_removed = kept && (context.at_rest || removes);
        if kept && !momentum_removed && self.minimize.is_none() {
            warnings.push(format!(
                "stage `{}`: the centre of mass moves and keeps its velocity; `remove_momentum = true` takes it out",
                self.name
            ));
        }
        Ok(StagePlan {
            name: self.name.clone(),
            steps,
            sampler,
            ensemble,
            momentum_removed,
            remove_momentum: self.remove_momentum,
            remove_momentum_every: self.remove_momentum_every,
            output: self.output.clone().unwrap_or_default(),
        })
    }
    fn sampler(&self, context: &StageContext<'_>) -> Result<(Box<dyn Sampler>, Ensemble), SpecError> {
        if let Some(spec) = &self.minimize {
            let minimizer = spec.build(context.system, context.cell, context.units)?;
            let pressure = spec.cell.as_ref().and_then(|c| c.pressure);
            let ensemble = Ensemble {
                name: "minimisation",
                temperature: None,
                pressure: pressure.map(|p| Schedule::constant(p.internal())),
            };
            return Ok((Box::new(minimizer), ensemble));
        }
        unreachable!("one of the tables is given")
    }
    fn steps(&self, sampler: &dyn Sampler) -> Result<u64, SpecError> {
        if let Some(spec) = &self.minimize {
            for (key, given) in [("steps", self.steps.is_some()), ("duration", self.duration.is_some())] {
                if given {
                    return Err(SpecError::new(key, "the limit of a minimisation stands in its own table")
                        .hint("write `steps` under [stage.minimize]"));
                }
            }
            return Ok(spec.steps.unwrap_or(10_000));
        }
        let steps = match (self.steps, self.duration) {
            (Some(n), None) => n,
            (None, Some(t)) => {
                let dt = sampler.time_step().ok_or_else(|| {
                    SpecError::new("duration", "the steps of this stage have no time").hint("give `steps`")
                })?;
                let n = (t.internal() / dt).round();
                if !(1.0..1e18).contains(&n) {
                    return Err(SpecError::new("duration", "the duration is not at least one time step")
                        .hint("give a longer one, or `steps`"));
                }
                n as u64
            }
            (Some(_), Some(_)) => {
                return Err(SpecError::new("duration", "`steps` and `duration` are both given")
                    .hint("keep one of them"));
            }
            (None, None) => {
                return Err(SpecError::new("", format!("the stage `{}` has no length", self.name))
                    .hint("add `steps = ...` or `duration = \"...\"`"));
            }
        };
        if steps == 0 {
            return Err(SpecError::new("steps", "a stage has at least 1 step").hint("remove the stage to skip it"));
        }
        Ok(steps)
    }
}

/// Time steps that no simulation has are errors, doubtful ones warnings.
fn check_time_step(key: &str, dt: f64, units: UnitSystem, warnings: &mut Vec<String>) -> Result<(), SpecError> {
    use caloron_engine::units::FEMTOSECOND;
    // limits in internal time: bond vibrations of about 10 fs and of 0.1 reduced units
    let (unit, label, absurd, large, usual) = match units {
        UnitSystem::Physical => (FEMTOSECOND, "fs", 200.0, 20.0, "0.5 fs to 5 fs"),
        UnitSystem::Lj => (1.0, "time units", 1.0, 0.02, "0.001 to 0.01"),
    };
    let value = dt / unit;
    if !(dt > 0.0 && dt.is_finite()) {
        return Err(SpecError::new(key, "the time step must be positive").hint(format!("usual values are {usual}")));
    }
    if value > absurd {
        return Err(SpecError::new(key, format!("a time step of {value} {label} is absurd (limit {absurd} {label})"))
            .hint(format!("usual values are {usual}; check the unit")));
    }
    if value > large {
        warnings.push(format!("{key}: {value} {label} is a large time step; usual values are {usual}"));
    }
    Ok(())
}
