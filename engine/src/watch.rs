//! The watch over runs with learned potentials: signs that a model is used outside of what it was fitted to.
//!
//! Nothing here changes a trajectory. After every step are tested
//!
//! - distances of atoms (see [`crate::domain`]),
//! - the spread of the forces of a committee, by atom,
//! - in dynamics, jumps. Temperature: T(n) > f T(n − 10) for steps n, with a rise beyond ten standard deviations √(2/dof) T of the
//!   canonical distribution. Potential energy: |U(n) − U(n − 1)| > f σ, where σ² is the mean square of such changes over the last
//!   hundred steps or so. Both begin after the first 50 steps of a stage, in which a start relaxes. A model that leaves its domain typically finds a spurious minimum, and both jump within a vibration.
use crate::domain::{Distances, FRACTION};
use crate::quantity::Force;
use crate::{Archive, ArchiveError, Evaluator, Frame, Quantity, SpecError, System, UnitSystem, parallel};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;

/// Name of the extra that holds the spread of the force on each atom of a committee, eV/Å.
pub const FORCE_SPREAD: &str = "force_spread";
/// Name of the extra that holds the spread of the energy of a committee, eV/atom.
pub const ENERGY_SPREAD: &str = "energy_spread";

/// Steps over which the temperature is compared.
const LAG: usize = 10;
/// Steps before jumps are looked for.
const BEGINNING: u64 = 50;
/// Weight of a step in the running mean square of energy changes.
const WEIGHT: f64 = 0.01;
/// Standard deviations that a jump of the temperature must exceed.
const DEVIATIONS: f64 = 10.0;

/// What is done about a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing; it is not looked for.
    Off,
    /// A warning with what was seen, and where.
    #[default]
    Warn,
    /// A warning, and the frame is added to the file of saved frames, to be labelled.
    Save,
    /// The frame is saved and the run stops (exit status 3).
    Stop,
}

/// Atoms that are closer than a model has seen.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DistanceSpec {
    /// What is done; default "warn".
    #[serde(default)]
    pub action: Action,
    /// Where the model file does not state the shortest distance in the training data: the fraction of the sum of covalent radii
    /// that takes its place. Default 0.6.
    pub fraction: Option<f64>,
}

/// Members of a committee that disagree.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpreadSpec {
    /// What is done; default "warn".
    #[serde(default)]
    pub action: Action,
    /// Spread of the force on an atom; default 0.5 eV/Å.
    pub limit: Option<Quantity<Force>>,
}

/// Jumps within few steps. The first 50 steps of every stage are not watched: a start relaxes, heat flows in, and there is nothing
/// usual yet to compare with. The limits of `[guard]` and the distances hold there too.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JumpSpec {
    /// What is done; default "warn".
    #[serde(default)]
    pub action: Action,
    /// What counts as a jump. Temperature: rise by this factor within 10 steps, default 2. Energy: a change in one step of so many
    /// times the usual one, default 10.
    pub factor: Option<f64>,
}

/// Frames saved to be labelled.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SavedFramesSpec {
    /// Extended XYZ file in the output folder; default `uncertain.extxyz`.
    pub file: Option<PathBuf>,
    /// Steps between two saved frames at least; default 100.
    pub spacing: Option<u64>,
    /// Frames saved at most; default 1000.
    pub most: Option<u64>,
}

/// What is watched while a learned potential drives a run, and what is done about it: `[guard.learned]`. Nothing here changes a
/// trajectory; other potentials are not watched.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchSpec {
    /// Atoms closer than in the training data of the model.
    #[serde(default)]
    pub distance: DistanceSpec,
    /// Spread of the forces of a committee.
    #[serde(default)]
    pub force_spread: SpreadSpec,
    /// A temperature that rises within a few steps.
    #[serde(default)]
    pub temperature_jump: JumpSpec,
    /// A potential energy that changes in one step by many times the usual.
    #[serde(default)]
    pub energy_jump: JumpSpec,
    /// Where frames are saved.
    #[serde(default)]
    pub frames: SavedFramesSpec,
}

/// The settings of a watch, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Actions in the order of [`Kind`].
    pub actions: [Action; 4],
    /// Fraction of covalent radii.
    pub fraction: f64,
    /// Spread of forces, eV/Å.
    pub spread: f64,
    /// Factor of the temperature.
    pub temperature: f64,
    /// Factor of the energy.
    pub energy: f64,
    /// File of saved frames.
    pub file: PathBuf,
    /// Steps between saved frames.
    pub spacing: u64,
    /// Saved frames at most.
    pub most: u64,
}

impl WatchSpec {
    /// Checks the settings; errors are relative to `[guard.learned]`.
    ///
    /// # Errors
    /// When a number makes no sense.
    pub fn build(&self) -> Result<Settings, SpecError> {
        let above = |key: &str, value: Option<f64>, default: f64, least: f64| match value {
            Some(v) if !(v > least && v.is_finite()) => {
                Err(SpecError::new(key, format!("expected a number above {least}, not {v}"))
                    .hint(format!("the default is {default}")))
            }
            v => Ok(v.unwrap_or(default)),
        };
        let fraction = above("distance.fraction", self.distance.fraction, FRACTION, 0.0)?;
        if fraction > 1.5 {
            return Err(SpecError::new(
                "distance.fraction",
                format!("{fraction} of the sum of covalent radii is longer than bonds are"),
            )
            .hint("bonds lie between 0.77 and 1.1 of it; the default is 0.6"));
        }
        if self.frames.spacing == Some(0) {
            return Err(SpecError::new("frames.spacing", "`spacing` counts steps and must be at least 1")
                .hint("the default is 100"));
        }
        if self.frames.most == Some(0) {
            return Err(SpecError::new("frames.most", "no frame could be saved")
                .hint("choose the action \"warn\" to save none"));
        }
        Ok(Settings {
            actions: [
                self.distance.action,
                self.force_spread.action,
                self.temperature_jump.action,
                self.energy_jump.action,
            ],
            fraction,
            spread: above("force_spread.limit", self.force_spread.limit.map(Quantity::internal), 0.5, 0.0)?,
            temperature: above("temperature_jump.factor", self.temperature_jump.factor, 2.0, 1.0)?,
            energy: above("energy_jump.factor", self.energy_jump.factor, 10.0, 1.0)?,
            file: self.frames.file.clone().unwrap_or_else(|| "uncertain.extxyz".into()),
            spacing: self.frames.spacing.unwrap_or(100),
            most: self.frames.most.unwrap_or(1000),
        })
    }
}

/// What a watch can find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Atoms too close.
    Distance,
    /// A committee that disagrees.
    Spread,
    /// A jump of the temperature.
    Temperature,
    /// A jump of the energy.
    Energy,
}

impl Kind {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Distance, Self::Spread, Self::Temperature, Self::Energy];
    /// Name in saved frames and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Distance => "distance",
            Self::Spread => "force_spread",
            Self::Temperature => "temperature_jump",
            Self::Energy => "energy_jump",
        }
    }
}

/// Something found at a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// How far beyond the limit, as a ratio above 1.
    pub severity: f64,
    /// What was seen, and where.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Looks at every step.
pub struct Watch {
    settings: Settings,
    distances: Option<Distances>,
    committee: bool,
    units: UnitSystem,
    dynamics: bool,
    /// Steps of the stage that were seen.
    seen: u64,
    energy: f64,
    mean_square: f64,
    temperatures: [f64; LAG],
}

impl Watch {
    /// For the learned potentials and committees among the interactions; `None` when there is none, or nothing is to be watched.
    pub fn new(
        settings: Settings,
        system: &System,
        evaluator: &Evaluator,
        units: UnitSystem,
    ) -> Option<Self> {
        let committee = has_committee(evaluator);
        let domains: Vec<_> = evaluator.potentials().filter_map(|p| p.domain()).collect();
        let idle = settings.actions.iter().all(|a| *a == Action::Off);
        if idle || !committee && domains.is_empty() {
            return None;
        }
        let distances = match settings.actions[Kind::Distance as usize] {
            Action::Off => None,
            _ => Distances::new(system, domains.into_iter(), settings.fraction),
        };
        let committee = committee && settings.actions[Kind::Spread as usize] != Action::Off;
        Some(Self {
            settings,
            distances,
            committee,
            units,
            dynamics: false,
            seen: 0,
            energy: 0.0,
            mean_square: 0.0,
            temperatures: [0.0; LAG],
        })
    }
    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
    /// True when it needs the extras.
    pub fn needs_extras(&self) -> bool {
        self.committee
    }
    /// Forgets what it knows of the stage before; jumps are looked for in dynamics alone.
    pub fn begin_stage(&mut self, dynamics: bool) {
        (self.dynamics, self.seen, self.mean_square) = (dynamics, 0, 0.0);
    }
    /// A stage that goes on after a restart.
    pub fn continue_stage(&mut self, dynamics: bool) {
        self.dynamics = dynamics;
    }
    /// Looks at a frame and calls `report` for everything found.
    pub fn look(&mut self, frame: &Frame<'_>, mut report: impl FnMut(Finding)) {
        let (step, system, state) = (frame.state.step, frame.system, frame.state);
        if let Some(distances) = &mut self.distances
            && let Some(found) = distances.worst(system, state.positions(), state.cell())
        {
            let message = format!("step {step}: {found}");
            report(Finding { kind: Kind::Distance, severity: found.limit / found.distance, message });
        }
        if self.committee
            && let Some((atom, spread)) = largest_force_spread(frame)
            && spread > self.settings.spread
        {
            let unit = format!("{}/{}", self.units.energy_label(), self.units.length_label());
            let message = format!(
                "step {step}: the members of the committee differ by {spread:.3} {unit} in the force on atom {atom} ({}), limit {} {unit}",
                system.symbol(atom),
                self.settings.spread
            );
            report(Finding { kind: Kind::Spread, severity: spread / self.settings.spread, message });
        }
        if self.dynamics {
            self.jumps(frame, report);
        }
    }
    fn jumps(&mut self, frame: &Frame<'_>, mut report: impl FnMut(Finding)) {
        let (step, energy) = (frame.state.step, frame.outputs.energy);
        let temperature = frame.kt() / self.units.boltzmann();
        let slot = (self.seen % LAG as u64) as usize;
        let before = self.temperatures[slot];
        let change = energy - self.energy;
        let Settings { actions, temperature: factor, energy: times, .. } = &self.settings;
        if self.seen > BEGINNING {
            let (t, e, l) =
                (self.units.temperature_label(), self.units.energy_label(), self.units.length_label());
            let watched = |k: Kind| actions[k as usize] != Action::Off;
            let noise = DEVIATIONS * (2.0 / frame.degrees_of_freedom.max(1.0)).sqrt() * before;
            if watched(Kind::Temperature) && temperature > factor * before && temperature - before > noise {
                let v = frame.state.velocities();
                let m = frame.system.masses();
                let hottest = parallel::largest(v.len(), |i| m[i] * v[i].norm_squared()).map_or(0, |h| h.0);
                let message = format!(
                    "step {step}: the temperature rose from {before:.4} {t} to {temperature:.4} {t} within {LAG} steps; the fastest atom is {hottest} ({})",
                    frame.system.symbol(hottest)
                );
                let severity = temperature / (factor * before);
                report(Finding { kind: Kind::Temperature, severity, message });
            }
            let usual = self.mean_square.sqrt();
            if watched(Kind::Energy) && change.abs() > times * usual && usual > 0.0 {
                let f = &frame.outputs.forces;
                let (atom, square) = parallel::largest(f.len(), |i| f[i].norm_squared()).unwrap_or((0, 0.0));
                let message = format!(
                    "step {step}: the potential energy changed by {change:.4} {e} in one step, {:.0} times what it usually does; the largest force, {:.2} {e}/{l}, is on atom {atom} ({})",
                    change.abs() / usual,
                    square.sqrt(),
                    frame.system.symbol(atom)
                );
                let severity = change.abs() / (times * usual);
                report(Finding { kind: Kind::Energy, severity, message });
            }
        }
        if self.seen > 0 {
            // an average of what there is at first
            let weight = WEIGHT.max(1.0 / self.seen as f64);
            self.mean_square += weight * (change * change - self.mean_square);
        }
        (self.energy, self.temperatures[slot]) = (energy, temperature);
        self.seen += 1;
    }
    /// Saves or restores what it remembers.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("watch")?;
        archive.u64(&mut self.seen)?;
        archive.f64(&mut self.energy)?;
        archive.f64(&mut self.mean_square)?;
        archive.f64s(&mut self.temperatures)
    }
}

/// True when an interaction reports the spread of a committee.
pub fn has_committee(evaluator: &Evaluator) -> bool {
    evaluator.potentials().any(|p| p.extras().iter().any(|e| e.name == FORCE_SPREAD))
}

/// The atom with the largest spread of its force, and the spread, eV/Å; `None` when extras were not computed.
pub fn largest_force_spread(frame: &Frame<'_>) -> Option<(usize, f64)> {
    let all = frame.outputs.extras.iter().filter(|e| e.spec.name == FORCE_SPREAD);
    all.filter_map(|e| parallel::largest(e.values.len(), |i| e.values[i])).fold(None, |best, found| {
        if best.is_some_and(|(_, s): (_, f64)| s >= found.1) { best } else { Some(found) }
    })
}

/// The spread of the energy, eV/atom; of several committees the largest.
pub fn energy_spread(frame: &Frame<'_>) -> Option<f64> {
    let all = frame.outputs.extras.iter().filter(|e| e.spec.name == ENERGY_SPREAD);
    all.filter_map(|e| e.values.first().copied()).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::{Extra, ExtraSpec, Scope};
    use crate::{Cell, Outputs, Species, State, Vec3};

    static SPREAD: ExtraSpec =
        ExtraSpec { name: FORCE_SPREAD, scope: Scope::Atom, components: 1, unit: "eV/Å" };

    struct Scene {
        system: System,
        state: State,
        outputs: Outputs,
        kinetic: f64,
    }

    impl Scene {
        fn new() -> Self {
            let si = Species { symbol: "Si".into(), number: Some(14), mass: 28.0 };
            let n = 1000;
            let positions = (0..n).map(|i| Vec3::new(3.0 * f64::from(i), 0.0, 0.0)).collect();
            let system = System::new(vec![si], vec![0; n as usize]);
            let state = State::at_rest(positions, Cell::open());
            let mut outputs = Outputs { forces: vec![Vec3::zeros(); system.len()], ..Outputs::default() };
            outputs.extras = vec![Extra { spec: &SPREAD, values: vec![0.0; system.len()] }];
            Self { system, state, outputs, kinetic: 40.0 }
        }
        fn look(&mut self, watch: &mut Watch) -> Vec<Finding> {
            self.state.step += 1;
            let degrees_of_freedom = 3.0 * self.system.len() as f64;
            let frame = Frame {
                system: &self.system,
                state: &self.state,
                outputs: &self.outputs,
                kinetic: self.kinetic,
                degrees_of_freedom,
                conserved: None,
                stage: 0,
                stage_step: self.state.step,
                opening: false,
            };
            let mut all = Vec::new();
            watch.look(&frame, |f| all.push(f));
            all
        }
    }

    fn watch() -> Watch {
        Watch {
            settings: WatchSpec::default().build().unwrap(),
            distances: None,
            committee: true,
            units: UnitSystem::Physical,
            dynamics: true,
            seen: 0,
            energy: 0.0,
            mean_square: 0.0,
            temperatures: [0.0; LAG],
        }
    }

    /// Steps of a quiet oscillation, then a jump.
    #[test]
    fn jumps_are_found_and_oscillations_are_not() {
        let (mut scene, mut watch) = (Scene::new(), watch());
        let wave = |k: i32| (0.3 * f64::from(k)).sin();
        for k in 0..400 {
            scene.outputs.energy = -5.0 + wave(k);
            scene.kinetic = 40.0 - wave(k);
            assert_eq!(scene.look(&mut watch), vec![], "{k}");
        }
        // another watch goes on from the archive of this one
        let mut archive = Archive::writer();
        watch.archive(&mut archive).unwrap();
        let mut other = self::watch();
        other.archive(&mut Archive::reader(archive.into_bytes())).unwrap();
        scene.outputs.energy -= 50.0;
        scene.kinetic += 50.0;
        scene.outputs.forces[7].x = 20.0;
        scene.state.velocities_mut()[9].y = 3.0;
        let found = scene.look(&mut watch);
        scene.state.step -= 1;
        assert_eq!(scene.look(&mut other), found);
        let kinds: Vec<Kind> = found.iter().map(|f| f.kind).collect();
        assert_eq!(kinds, [Kind::Temperature, Kind::Energy]);
        assert!(found[0].message.contains("step 401: the temperature rose from"), "{}", found[0]);
        assert!(found[0].message.contains("fastest atom is 9 (Si)"), "{}", found[0]);
        assert!(found[1].message.contains("20.00 eV/Å, is on atom 7 (Si)"), "{}", found[1]);
        // what happens in the next stage is not compared with this one
        watch.begin_stage(true);
        scene.outputs.energy = 1e3;
        assert_eq!(scene.look(&mut watch), vec![]);
    }

    #[test]
    fn a_committee_that_disagrees_is_found_with_its_atom() {
        let (mut scene, mut watch) = (Scene::new(), watch());
        scene.outputs.extras[0].values[42] = 0.49;
        assert_eq!(scene.look(&mut watch), vec![]);
        scene.outputs.extras[0].values[41] = 0.75;
        let found = scene.look(&mut watch);
        assert_eq!((found.len(), found[0].kind, found[0].severity), (1, Kind::Spread, 1.5));
        assert!(
            found[0].message.contains("differ by 0.750 eV/Å in the force on atom 41 (Si)"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn wrong_settings_are_refused() {
        let refused = |spec: WatchSpec| spec.build().unwrap_err().key;
        let distance = DistanceSpec { fraction: Some(3.0), ..DistanceSpec::default() };
        assert_eq!(refused(WatchSpec { distance, ..WatchSpec::default() }), "distance.fraction");
        let jump = JumpSpec { factor: Some(1.0), ..JumpSpec::default() };
        assert_eq!(refused(WatchSpec { energy_jump: jump, ..WatchSpec::default() }), "energy_jump.factor");
        let frames = SavedFramesSpec { spacing: Some(0), ..SavedFramesSpec::default() };
        assert_eq!(refused(WatchSpec { frames, ..WatchSpec::default() }), "frames.spacing");
    }
}
