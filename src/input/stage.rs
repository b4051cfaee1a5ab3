//! The stages of a run: `[[stage]]`.
use super::velocities::{VelocityDraw, refused};
use caloron_engine::dynamics::HeldPressure;
use caloron_engine::dynamics::spec::{
    BrownianSpec, NphSpec, NptSpec, NveSpec, NvtSpec, RemoveMomentumSpec, RespaSpec, ThermostatSpec,
};
use caloron_engine::minimize::MinimizeSpec;
use caloron_engine::quantity::Time;
use caloron_engine::simulation::Stage;
use caloron_engine::velocities::MaxwellBoltzmann;
use caloron_engine::{Quantity, Sampler, Schedule, SpecError, State, Streams, System, UnitSystem};
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
    /// Constant energy.
    pub nve: Option<NveSpec>,
    /// Constant temperature.
    pub nvt: Option<NvtSpec>,
    /// Constant temperature and pressure.
    pub npt: Option<NptSpec>,
    /// Constant enthalpy and pressure.
    pub nph: Option<NphSpec>,
    /// Overdamped motion in a bath.
    pub brownian: Option<BrownianSpec>,
    /// Minimises the energy.
    pub minimize: Option<MinimizeSpec>,
    /// Velocities that are drawn before the first step, in place of those the stage before left (a minimisation leaves none).
    /// Default: none are drawn.
    pub velocities: Option<VelocityDraw>,
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
    /// `NVE`, `NVT`, `NPT`, `NPH`, `Brownian` or `minimisation`.
    pub name: &'static str,
    /// Target temperature, K or reduced.
    pub temperature: Option<Schedule>,
    /// Components of the pressure that a barostat keeps.
    pub held: Vec<HeldPressure>,
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
    /// Velocities that are drawn before the first step.
    pub velocities: Option<MaxwellBoltzmann>,
    /// Papers to cite.
    pub citations: Vec<&'static str>,
    /// Changes of the output.
    pub output: StageOutputSpec,
}

impl StagePlan {
    /// The stage as the engine runs it.
    pub fn into_stage(self) -> Stage {
        let Self { name, steps, sampler, momentum_removed, velocities, .. } = self;
        Stage { name, steps, sampler, momentum_removed, velocities }
    }
}

/// What the specs of dynamics are built against.
pub(crate) struct StageContext<'a> {
    pub system: &'a System,
    pub state: &'a State,
    pub units: UnitSystem,
    /// Number of force groups of the interactions.
    pub groups: usize,
    /// True when the total momentum is zero before this stage.
    pub at_rest: bool,
    /// True when all velocities are zero before this stage.
    pub still: bool,
    /// True when an interaction depends on absolute positions, so that it changes the total momentum.
    pub external: bool,
}

/// What a stage does, built.
struct Built {
    sampler: Box<dyn Sampler>,
    ensemble: Ensemble,
    warnings: Vec<String>,
    citations: Vec<&'static str>,
}

impl StageSpec {
    /// The stage; errors are relative to its table.
    pub(crate) fn build(
        &self,
        context: &StageContext<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<StagePlan, SpecError> {
        let (key, built) = self.sampler(context)?;
        let Built { sampler, ensemble, warnings: of_sampler, citations } = built;
        warnings.extend(of_sampler.into_iter().map(|w| format!("stage `{}`: {w}", self.name)));
        let steps = self.steps(sampler.as_ref())?;
        self.check_force_groups(context.groups).map_err(|e| e.within(key))?;
        let removal = self.removal();
        let every = removal.map(|r| r.every.unwrap_or(1));
        let kept = sampler.conserves_momentum() && !context.external && context.system.fixed() == 0;
        let velocities = self.drawn(context).map_err(|e| e.within("velocities"))?;
        let at_rest = velocities.map_or(context.at_rest, |v| v.is_at_rest(context.system));
        let still = velocities.map_or(context.still, |v| v.kt == 0.0);
        if let Some(thermostat) = self.thermostat().filter(|t| still && t.needs_motion()) {
            warnings.extend(self.refuse_stillness(key, thermostat)?);
        }
        let momentum_removed = every == Some(1) || kept && (at_rest || every.is_some());
        if kept && !momentum_removed && self.minimize.is_none() {
            warnings.push(format!(
                "stage `{}`: the centre of mass moves and keeps its velocity; `remove_momentum = {{}}` in \
                 [stage.{key}] takes it out",
                self.name
            ));
        }
        Ok(StagePlan {
            name: self.name.clone(),
            steps,
            sampler,
            ensemble,
            momentum_removed,
            velocities,
            citations,
            output: self.output.clone().unwrap_or_default(),
        })
    }
    /// The velocities that the stage draws; errors are relative to `velocities`.
    fn drawn(&self, context: &StageContext<'_>) -> Result<Option<MaxwellBoltzmann>, SpecError> {
        let Some(spec) = &self.velocities else { return Ok(None) };
        let idle = if self.minimize.is_some() {
            Some("a minimisation sets all velocities to zero")
        } else {
            self.brownian.as_ref().map(|_| "overdamped motion has no velocities")
        };
        if let Some(reason) = idle {
            return Err(SpecError::new("", reason)
                .hint("leave `velocities` out; a later stage of molecular dynamics can draw them"));
        }
        let draw = spec.build(context.units)?;
        // what cannot be drawn there cannot be drawn later
        draw.draw(context.system, context.state.positions(), Streams { seed: 0 }, 0).map_err(refused)?;
        Ok(Some(draw))
    }
    fn thermostat(&self) -> Option<&ThermostatSpec> {
        let nvt = self.nvt.as_ref().map(|s| &s.thermostat);
        nvt.or(self.npt.as_ref().map(|s| &s.thermostat))
    }
    /// A thermostat that multiplies velocities cannot begin with zeros, and makes heat of rounding errors where forces are zero.
    fn refuse_stillness(&self, key: &str, thermostat: &ThermostatSpec) -> Result<Option<String>, SpecError> {
        let hint = "draw velocities before the stage: `velocities = { temperature = ... }` in its [[stage]]";
        if matches!(thermostat, ThermostatSpec::NoseHoover(_)) {
            let message =
                "all velocities are zero when the stage begins, and this thermostat can only rescale them";
            return Err(SpecError::new(format!("{key}.thermostat"), message).hint(hint));
        }
        Ok(Some(format!(
            "stage `{}`: all velocities are zero when it begins, and its thermostat rescales what the first forces make of them; {hint}",
            self.name
        )))
    }
    fn removal(&self) -> Option<&RemoveMomentumSpec> {
        let nve = self.nve.as_ref().and_then(|s| s.remove_momentum.as_ref());
        let nvt = self.nvt.as_ref().and_then(|s| s.remove_momentum.as_ref());
        let npt = self.npt.as_ref().and_then(|s| s.remove_momentum.as_ref());
        let nph = self.nph.as_ref().and_then(|s| s.remove_momentum.as_ref());
        nve.or(nvt).or(npt).or(nph)
    }
    /// The levels of multiple time steps and the force groups of the interactions belong together.
    fn check_force_groups(&self, groups: usize) -> Result<(), SpecError> {
        let respa: Option<&RespaSpec> = self
            .nve
            .as_ref()
            .and_then(|s| s.respa.as_ref())
            .or(self.nvt.as_ref().and_then(|s| s.respa.as_ref()));
        let Some(respa) = respa else { return Ok(()) };
        if respa.inner.len() + 1 == groups {
            return Ok(());
        }
        let levels = respa.inner.len() + 1;
        Err(SpecError::new(
            "respa.inner",
            format!("this makes {levels} time steps for {groups} force groups"),
        )
        .hint("give every faster [[potential]] its `force_group`, and `inner` one number for each of them"))
    }
    /// The one table that says what is done, built, with its key.
    fn sampler(&self, context: &StageContext<'_>) -> Result<(&'static str, Built), SpecError> {
        let kinds: [(&'static str, Option<Result<Built, SpecError>>); 6] = [
            ("nve", self.nve.as_ref().map(|s| build_nve(s, context))),
            ("nvt", self.nvt.as_ref().map(|s| build_nvt(s, context))),
            ("npt", self.npt.as_ref().map(|s| build_npt(s, context))),
            ("nph", self.nph.as_ref().map(|s| build_nph(s, context))),
            ("brownian", self.brownian.as_ref().map(|s| build_brownian(s, context))),
            ("minimize", self.minimize.as_ref().map(|s| build_minimize(s, context))),
        ];
        let names = kinds.each_ref().map(|k| k.0).join(", ");
        let mut given = kinds.into_iter().filter_map(|(key, built)| Some((key, built?)));
        let Some((key, built)) = given.next() else {
            return Err(SpecError::new("", format!("the stage `{}` does not say what is done", self.name))
                .hint(format!("add one table of {names}, such as [stage.nve]")));
        };
        if let Some((second, _)) = given.next() {
            return Err(SpecError::new(second, format!("the stage has `{key}` and `{second}`"))
                .hint("make them two stages"));
        }
        Ok((key, built.map_err(|e| e.within(key))?))
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
                if n < 1.0 {
                    return Err(SpecError::new("duration", "the duration is shorter than one time step")
                        .hint("give a longer one, or `steps`"));
                }
                if n > 1e15 {
                    return Err(SpecError::new("duration", format!("the duration makes {n:e} steps"))
                        .hint("check its unit; no run makes more than 1e15 steps"));
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
            return Err(
                SpecError::new("steps", "a stage has at least 1 step").hint("remove the stage to skip it")
            );
        }
        Ok(steps)
    }
}

fn build_nve(spec: &NveSpec, c: &StageContext<'_>) -> Result<Built, SpecError> {
    Ok(Built {
        sampler: Box::new(spec.build(c.system, c.state, c.units)?),
        ensemble: Ensemble { name: "NVE", temperature: None, held: Vec::new() },
        warnings: spec.warnings(c.units),
        citations: spec.cite(),
    })
}

fn build_nvt(spec: &NvtSpec, c: &StageContext<'_>) -> Result<Built, SpecError> {
    Ok(Built {
        sampler: Box::new(spec.build(c.system, c.state, c.units)?),
        ensemble: Ensemble {
            name: "NVT",
            temperature: Some(spec.temperature.schedule(1.0)),
            held: Vec::new(),
        },
        warnings: spec.warnings(c.units),
        citations: spec.cite(),
    })
}

fn build_npt(spec: &NptSpec, c: &StageContext<'_>) -> Result<Built, SpecError> {
    Ok(Built {
        sampler: Box::new(spec.build(c.system, c.state, c.units)?),
        ensemble: Ensemble {
            name: "NPT",
            temperature: Some(spec.temperature.schedule(1.0)),
            held: spec.held()?,
        },
        warnings: spec.warnings(c.units),
        citations: spec.cite(),
    })
}

fn build_nph(spec: &NphSpec, c: &StageContext<'_>) -> Result<Built, SpecError> {
    Ok(Built {
        sampler: Box::new(spec.build(c.system, c.state, c.units)?),
        ensemble: Ensemble { name: "NPH", temperature: None, held: spec.held()? },
        warnings: spec.warnings(c.units),
        citations: spec.cite(),
    })
}

fn build_brownian(spec: &BrownianSpec, c: &StageContext<'_>) -> Result<Built, SpecError> {
    let temperature = Some(spec.temperature.schedule(1.0));
    Ok(Built {
        sampler: Box::new(spec.build(c.system, c.state, c.units)?),
        ensemble: Ensemble { name: "Brownian", temperature, held: Vec::new() },
        warnings: spec.warnings(c.units),
        citations: spec.cite(),
    })
}

fn build_minimize(spec: &MinimizeSpec, c: &StageContext<'_>) -> Result<Built, SpecError> {
    Ok(Built {
        sampler: Box::new(spec.build(c.system, c.state.cell(), c.units)?),
        ensemble: Ensemble { name: "minimisation", temperature: None, held: Vec::new() },
        warnings: Vec::new(),
        citations: spec.cite(),
    })
}
