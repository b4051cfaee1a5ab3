//! Compares what was recorded with what was asked.
use super::recorder::{Members, Recorder, parts};
use super::{
    Cause, Component, Conservation, GroupTemperature, Judgement, Measured, Minimum, Rate, Suspect, Verdict,
};
use crate::dynamics::HeldPressure;
use crate::minimize::{Outcome, Summary};
use crate::statistics::Mean;
use crate::{Schedule, System, UnitSystem, VOIGT};

/// What a stage was, as far as its verdict depends on it.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// Name of the stage.
    pub stage: String,
    /// Notation of the sampler.
    pub sampler: String,
    /// Unit system of the report.
    pub units: UnitSystem,
    /// Steps done in the stage.
    pub steps: u64,
    /// Time step, internal units.
    pub time_step: Option<f64>,
    /// Target k_B T, eV; `None` without a thermostat.
    pub temperature: Option<Schedule>,
    /// Components of the pressure that a barostat keeps; empty without one.
    pub held: Vec<HeldPressure>,
    /// False when velocities mean nothing (Brownian motion, Monte Carlo, a minimiser).
    pub has_velocities: bool,
    /// False for a thermostat or barostat of weak coupling.
    pub samples_ensemble: bool,
    /// True when the energy of an interaction jumps at its cutoff.
    pub truncated: bool,
    /// True when forces are computed in single precision.
    pub single_precision: bool,
    /// For a minimiser: how it ended.
    pub minimization: Option<Summary>,
    /// Wall time of the stage, s.
    pub wall_seconds: Option<f64>,
    /// Limits other than the usual ones.
    pub thresholds: Thresholds,
}

/// Limits of the drift that a user may change; `None` for those of the module's table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// Drift that warns, kT per ns (reduced: per τ) and degree of freedom.
    pub drift_warn: Option<f64>,
    /// Drift that fails, same unit; ten times `drift_warn` when that alone is given.
    pub drift_fail: Option<f64>,
}

/// Part of the stage that means leave out.
const SKIP: f64 = 0.2;

/// The verdict of a recorded stage.
pub fn judge(recorder: &Recorder, system: &System, c: &Circumstances) -> Verdict {
    let units = c.units;
    let mut v = Verdict {
        stage: c.stage.clone(),
        sampler: c.sampler.clone(),
        judgement: Judgement::NotJudged,
        steps: c.steps,
        time: c.time_step.map(|dt| dt * c.steps as f64 / units.time()),
        time_unit: units.time_label(),
        samples: recorder.samples(),
        atoms: system.len(),
        conservation: None,
        temperature: None,
        pressure: None,
        stress: Vec::new(),
        potential_energy: None,
        volume: None,
        equipartition: Vec::new(),
        minimum: None,
        rate: rate(system, c),
        suspects: Vec::new(),
        notes: Vec::new(),
    };
    if let Some(s) = &c.minimization {
        minimum(&mut v, s, c);
        return v;
    }
    if recorder.samples() == 0 {
        v.judgement = Judgement::TooShort;
        let reason = format!(
            "the stage of {} steps ended before its first sample (one every {} steps)",
            c.steps,
            recorder.every()
        );
        v.suspects.push(Suspect { cause: Cause::TooShort, reason });
        return v;
    }
    averages(&mut v, recorder, system, c);
    if c.has_velocities {
        temperatures(&mut v, recorder, system, c);
        pressure(&mut v, recorder, system, c);
    }
    conservation(&mut v, recorder, c);
    let conserved = v.conservation.iter().flat_map(|x| [x.judgement, x.fluctuation_judgement]);
    let means = v.means().map(|x| x.judgement);
    let groups = v.equipartition.iter().map(|g| g.temperature.judgement);
    v.judgement = conserved.chain(means).chain(groups).fold(Judgement::NotJudged, Judgement::with);
    suspects(&mut v, recorder, c);
    v
}

fn minimum(v: &mut Verdict, s: &Summary, c: &Circumstances) {
    let converged = s.outcome == Outcome::Converged;
    v.judgement = if converged { Judgement::Pass } else { Judgement::Warn };
    let m = Minimum {
        converged,
        end: Minimum::end(s.outcome).into(),
        iterations: s.iterations,
        fmax: s.point.fmax,
        fmax_limit: s.goal.fmax,
        smax: s.point.smax,
        energy: s.point.energy,
        units: [c.units.length_label(), c.units.energy_label()],
    };
    if !converged {
        let advice = match s.outcome {
            Outcome::Stalled => {
                "the limit may lie below the precision of the potential, or its energy jumps at the cutoff"
            }
            _ => "allow more iterations, or accept the forces that remain",
        };
        let reason = format!("the minimisation {} with fmax {:.3e}; {advice}", m.end, m.fmax);
        v.suspects.push(Suspect { cause: Cause::NotConverged, reason });
    }
    v.minimum = Some(m);
}

fn rate(system: &System, c: &Circumstances) -> Option<Rate> {
    let seconds = c.wall_seconds.filter(|s| *s > 0.0)?;
    let steps_per_second = c.steps as f64 / seconds;
    let (scale, unit) = match c.units {
        UnitSystem::Physical => (1e3, "ns/day"),
        UnitSystem::Lj => (1.0, "tau/day"),
    };
    Some(Rate {
        seconds,
        steps_per_second,
        atom_steps_per_second: steps_per_second * system.len() as f64,
        time_per_day: c.time_step.map(|dt| dt / c.units.time() / scale * steps_per_second * 86_400.0),
        unit,
    })
}

/// A mean in a reported unit, not judged.
fn measured(mean: Mean, scale: f64, unit: impl Into<String>) -> Measured {
    Measured {
        mean: mean.value * scale,
        error: mean.error * scale,
        resolved: mean.resolved,
        target: None,
        z: None,
        unit: unit.into(),
        judgement: Judgement::NotJudged,
    }
}

impl Verdict {
    /// Means of the whole system that have a target.
    fn means(&self) -> impl Iterator<Item = &Measured> {
        let stress = self.stress.iter().map(|x| &x.stress);
        self.temperature.iter().chain(&self.pressure).chain(stress)
    }
}

impl Measured {
    /// Compares with a target: `warn` and `fail` are deviations that matter.
    fn against(mut self, target: f64, warn: f64, fail: f64) -> Self {
        let deviation = (self.mean - target).abs();
        self.target = Some(target);
        self.z = (self.error > 0.0 && self.error.is_finite()).then(|| (self.mean - target) / self.error);
        // an unresolved error is a lower bound
        let error = if self.resolved { self.error } else { 3.0 * self.error };
        self.judgement = if !error.is_finite() || !deviation.is_finite() {
            Judgement::TooShort
        } else if deviation + 2.0 * error <= warn {
            Judgement::Pass
        } else if deviation > fail && deviation > 5.0 * error {
            Judgement::Fail
        } else if deviation > warn && deviation > 3.0 * error {
            Judgement::Warn
        } else if error <= fail {
            Judgement::Pass
        } else {
            Judgement::TooShort
        };
        self
    }
}

fn averages(v: &mut Verdict, recorder: &Recorder, system: &System, c: &Circumstances) {
    let per_atom = 1.0 / system.len().max(1) as f64;
    let (energy, length) = (c.units.energy_label(), c.units.length_label());
    v.potential_energy = Some(measured(recorder.potential.mean(SKIP), per_atom, format!("{energy}/atom")));
    if recorder.volume.variance() > 0.0 {
        v.volume = Some(measured(recorder.volume.mean(SKIP), per_atom, format!("{length}^3/atom")));
    }
    let [a, b] = recorder.potential.halves(SKIP);
    let error = a.error.hypot(b.error);
    let kt = mean_kt(recorder);
    let shift = (b.value - a.value) * per_atom;
    if a.resolved && b.resolved && (b.value - a.value).abs() > 4.0 * error && shift.abs() > 0.02 * kt {
        v.notes.push(format!(
            "the potential energy moved by {shift:+.3e} {energy}/atom between the halves of the stage: \
             the system was still relaxing"
        ));
    }
}

/// Mean k_B T of the recorded stage, eV.
fn mean_kt(recorder: &Recorder) -> f64 {
    let dof = recorder.degrees_of_freedom;
    if dof > 0.0 { 2.0 * recorder.kinetic.mean(SKIP).value / dof } else { 0.0 }
}

fn temperatures(v: &mut Verdict, recorder: &Recorder, system: &System, c: &Circumstances) {
    let dof = recorder.degrees_of_freedom;
    if dof <= 0.0 {
        return;
    }
    let (k_b, label) = (c.units.boltzmann(), c.units.temperature_label());
    let all = measured(recorder.kinetic.mean(SKIP), 2.0 / (dof * k_b), label);
    let reference = all.mean;
    v.temperature = Some(match c.temperature {
        Some(t) if t.is_constant() && t.start > 0.0 => {
            let target = t.start / k_b;
            all.against(target, 0.01 * target, 0.05 * target)
        }
        _ => all,
    });
    // with the total momentum kept at zero a part has 3 Σ (1 - m/M) degrees of freedom
    let inverse = system.inverse_masses();
    let m = system.masses();
    let mobile = |i: usize| if inverse[i] != 0.0 { 1.0 } else { 0.0 };
    let free = system.degrees_of_freedom(false) as f64;
    let total: f64 = m.iter().sum();
    let lost = if dof + 2.5 < free { 1.0 / total } else { 0.0 };
    for (part, series) in parts(system).iter().zip(&recorder.groups) {
        let centers = 3.0 * system.solver().units().len() as f64 - (free - dof).clamp(0.0, 3.0);
        let own = match part.atoms {
            Members::Centers => centers,
            Members::Within => dof - centers,
            _ => 3.0 * part.atoms.sum(system, |i| mobile(i) * (1.0 - m[i] * lost)),
        };
        let atoms = part.atoms.sum(system, mobile) as usize;
        let t = measured(series.mean(SKIP), 2.0 / (own * k_b), label);
        let mut temperature = t.against(reference, 0.01 * reference, 0.05 * reference);
        if temperature.judgement == Judgement::TooShort {
            // small groups are noisy; that alone makes no run too short
            temperature.judgement = Judgement::NotJudged;
        }
        v.equipartition.push(GroupTemperature { name: part.name.to_owned(), atoms, temperature });
    }
}

fn pressure(v: &mut Verdict, recorder: &Recorder, system: &System, c: &Circumstances) {
    if recorder.pressure.is_empty() {
        return;
    }
    let unit = c.units.pressure();
    let p = measured(recorder.pressure.mean(SKIP), 1.0 / unit, c.units.pressure_label());
    let volume = recorder.volume.mean(SKIP).value;
    let ideal = system.solver().units().len() as f64 * mean_kt(recorder) / volume / unit;
    // means in units of the report and of the sign of a stress, where that is asked for
    let compare = |m: Measured, sign: f64, target: Option<Schedule>| match target.filter(|t| t.is_constant())
    {
        // no negative zero
        Some(t) => m.against(sign * t.start / unit + 0.0, 0.05 * ideal, 0.25 * ideal),
        None => m,
    };
    if !HeldPressure::is_apart(&c.held) {
        v.pressure = Some(compare(p, 1.0, c.held.first().and_then(|h| h.target)));
        return;
    }
    v.pressure = Some(p);
    for held in &c.held {
        let parts = VOIGT.iter().zip(&recorder.tensor).filter(|((a, b, _), _)| held.weights[(*a, *b)] != 0.0);
        let parts: Vec<Mean> = parts.map(|(_, series)| series.mean(SKIP)).collect();
        let over = |f: fn(&Mean) -> f64| parts.iter().map(f).sum::<f64>() / parts.len() as f64;
        // the error of a mean of components is at most the mean of their errors
        let mean = Mean {
            value: -over(|m| m.value),
            error: over(|m| m.error),
            resolved: parts.iter().all(|m| m.resolved),
            ..Mean::default()
        };
        let m = measured(mean, 1.0 / unit, c.units.pressure_label());
        v.stress.push(Component { name: held.name, stress: compare(m, -1.0, held.target) });
    }
}

/// Limits of the drift per dof in k_B T per reported drift time (ns, or τ).
fn drift_limits(units: UnitSystem) -> (f64, f64, &'static str, f64) {
    match units {
        UnitSystem::Physical => (1e-3, 1e-1, "kT/ns/dof", 1e3 * units.time()),
        UnitSystem::Lj => (2e-6, 2e-4, "kT/tau/dof", units.time()),
    }
}

fn conservation(v: &mut Verdict, recorder: &Recorder, c: &Circumstances) {
    let (kt, dof) = (mean_kt(recorder), recorder.degrees_of_freedom);
    let Some(dt) = c.time_step.filter(|_| !recorder.conserved.is_empty() && kt > 0.0) else {
        return;
    };
    let (warn, fail, unit, time) = drift_limits(c.units);
    let own = c.thresholds;
    let fail = own.drift_fail.or(own.drift_warn.map(|w| 10.0 * w)).unwrap_or(fail);
    let warn = own.drift_warn.unwrap_or(warn);
    let d = recorder.conserved.drift();
    let scale = time / (dt * recorder.every() as f64 * kt * dof);
    let (drift, error) = (d.value * scale, d.error * scale);
    let size = drift.abs();
    let judgement = if !error.is_finite() || !drift.is_finite() {
        Judgement::TooShort
    } else if size - 2.0 * error > fail {
        Judgement::Fail
    } else if size - 2.0 * error > warn {
        Judgement::Warn
    } else if size + 2.0 * error <= 2.0 * warn {
        Judgement::Pass
    } else {
        Judgement::TooShort
    };
    // variance about the line: that of the line itself is slope² n²/12
    let n = recorder.conserved.len() as f64;
    let line = if d.value.is_finite() { (d.value * n).powi(2) / 12.0 } else { 0.0 };
    let rms = (recorder.conserved.variance() - line).max(0.0).sqrt();
    let kinetic = recorder.kinetic.variance().sqrt();
    let fluctuation_ratio = (kinetic > 0.0 && n >= 20.0).then(|| rms / kinetic);
    let fluctuation_judgement = match fluctuation_ratio {
        // a random walk grows without bound: its size says nothing about the step
        Some(_) if !d.resolved => Judgement::NotJudged,
        Some(r) if r > 0.5 => Judgement::Fail,
        Some(r) if r > 0.2 => Judgement::Warn,
        Some(_) => Judgement::Pass,
        None => Judgement::NotJudged,
    };
    v.conservation = Some(Conservation {
        drift,
        error,
        warn_above: warn,
        fail_above: fail,
        unit: unit.into(),
        fluctuation_kt: rms / kt,
        fluctuation_ratio,
        judgement,
        fluctuation_judgement,
    });
}

fn suspects(v: &mut Verdict, recorder: &Recorder, c: &Circumstances) {
    let units = c.units;
    let step = c.time_step.map(|dt| format!("{:.4} {}", dt / units.time(), units.time_label()));
    let step = step.unwrap_or_else(|| "a step".into());
    let mean_fault = v.means().any(|m| m.judgement.is_fault())
        || v.equipartition.iter().any(|g| g.temperature.judgement.is_fault());
    let mut add = |cause, reason: String| v.suspects.push(Suspect { cause, reason });
    let conserved = v.conservation.as_ref();
    let ratio = conserved.and_then(|x| x.fluctuation_ratio).unwrap_or(0.0);
    let energy_fault =
        conserved.is_some_and(|x| x.judgement.is_fault() || x.fluctuation_judgement.is_fault());
    let large_step = ratio > 0.1;
    let heats = conserved.is_some_and(|x| x.drift > 0.0);
    if (energy_fault || mean_fault) && large_step {
        // errors of second order: the ratio falls with the square of the step
        let factor = (0.03 / ratio).sqrt();
        add(
            Cause::TimeStep,
            format!(
                "the time step ({step}) is too large: the conserved quantity fluctuates by {:.0} % of the kinetic \
                 energy; try a step {:.1} times smaller",
                100.0 * ratio,
                1.0 / factor
            ),
        );
    }
    if energy_fault && c.truncated {
        add(
            Cause::Truncation,
            format!(
                "an interaction ends with a jump of its energy at the cutoff, which makes the energy {}; \
                 use a shifted force or a switched cutoff",
                if heats { "rise" } else { "wander" }
            ),
        );
    }
    if energy_fault && c.single_precision {
        let what = if large_step { "may not be" } else { "is not" };
        add(
            Cause::Precision,
            format!(
                "forces are computed in single precision, which {what} enough for the drift that is asked for: use \
                 `precision = \"f64\"`, or allow more with `[verdict] drift_warn`"
            ),
        );
    }
    if energy_fault && !large_step && !c.truncated && !c.single_precision {
        add(
            Cause::NeighborList,
            "the short-time fluctuation is small and no interaction is truncated: halve the time step; if the \
             drift does not fall fourfold, suspect a missed rebuild of the neighbour list (raise the skin) or \
             forces that are not the derivative of the energy (`caloron check` tests them)"
                .into(),
        );
    }
    if mean_fault && !c.samples_ensemble {
        add(
            Cause::NoEnsemble,
            "weak coupling (Berendsen) samples no ensemble: use `bussi`, `langevin` or `nose_hoover` for \
             temperature and `cell_rescale` or `mtk` for pressure"
                .into(),
        );
    } else if mean_fault && !large_step {
        add(
            Cause::NotEquilibrated,
            "the mean differs from its target by more than its error, while the energy is conserved: the system \
             was probably not in equilibrium; put an equilibration stage before, or use a shorter relaxation time"
                .into(),
        );
    }
    if v.judgement == Judgement::TooShort {
        let drift = conserved.filter(|x| x.judgement == Judgement::TooShort);
        let reason = match drift {
            Some(x) if x.error.is_finite() && x.error > 0.0 => {
                // the error of a slope falls with the power 3/2 of the length
                let factor = (4.0 * x.error / x.warn_above).powf(2.0 / 3.0).max(2.0);
                format!(
                    "the drift is known to ± {:.1e} {}, its limit is {:.0e}; about {:.0} times the steps would tell",
                    x.error, x.unit, x.warn_above, factor
                )
            }
            _ => format!("{} samples are not enough for error bars", recorder.samples()),
        };
        add(Cause::TooShort, reason);
    }
}
