//! Samples a stage in bounded memory.
use crate::dynamics::HeldPressure;
use crate::error::BoxError;
use crate::observe::{Flow, Frame, Interval};
use crate::statistics::Series;
use crate::{Archive, ArchiveError, Observer, Properties, System, VOIGT, parallel};

/// Groups at most whose temperature is followed.
const GROUPS: usize = 12;

/// A species or a named group whose temperature is followed.
pub(super) struct Part<'a> {
    pub name: &'a str,
    pub atoms: Members<'a>,
}

/// What belongs to a part.
#[derive(Clone, Copy)]
pub(super) enum Members<'a> {
    Species(u16),
    Group(&'a [u32]),
    /// The motion of the centres of mass of rigid units.
    Centers,
    /// The motion about those centres.
    Within,
}

impl Members<'_> {
    /// Sum of `term(i)` over the members.
    pub fn sum(self, system: &System, term: impl Fn(usize) -> f64 + Sync) -> f64 {
        match self {
            Self::Species(s) => {
                let types = system.types();
                parallel::sum(types.len(), 0.0, |i| if types[i] == s { term(i) } else { 0.0 })
            }
            Self::Group(atoms) => parallel::sum(atoms.len(), 0.0, |k| term(atoms[k] as usize)),
            Self::Centers | Self::Within => parallel::sum(system.len(), 0.0, term),
        }
    }
    /// Kinetic energy, of the total `kinetic`.
    fn kinetic(self, frame: &Frame<'_>) -> f64 {
        let (m, v) = (frame.system.masses(), frame.state.velocities());
        let centers = || 0.5 * frame.system.solver().units().kinetic(m, v).trace();
        match self {
            Self::Centers => centers(),
            Self::Within => frame.kinetic - centers(),
            _ => self.sum(frame.system, |i| 0.5 * m[i] * v[i].norm_squared()),
        }
    }
}

/// The parts of a system that should share one temperature: its species when there are several, and named groups
/// that are not everything. With constraints, whose degrees of freedom cannot be assigned to atoms, the motion of the
/// centres of mass of rigid units and the motion about them.
pub(super) fn parts(system: &System) -> Vec<Part<'_>> {
    if system.constraints() > 0 {
        let within = system.degrees_of_freedom(false) > 3 * system.solver().units().len();
        if system.fixed() > 0 || !within {
            return Vec::new();
        }
        return vec![
            Part { name: "unit centres", atoms: Members::Centers },
            Part { name: "within units", atoms: Members::Within },
        ];
    }
    let species = (0u16..).zip(system.species()).map(|(k, s)| (s.symbol.as_str(), Members::Species(k)));
    let groups = system.groups().iter().map(|(name, atoms)| (name.as_str(), Members::Group(atoms)));
    let inverse = system.inverse_masses();
    let mobile = |i: usize| if inverse[i] != 0.0 { 1.0 } else { 0.0 };
    let all = parallel::sum(system.len(), 0.0, mobile);
    species
        .chain(groups)
        .filter(|(_, atoms)| {
            let n = atoms.sum(system, mobile);
            n > 0.0 && n < all
        })
        .take(GROUPS)
        .map(|(name, atoms)| Part { name, atoms })
        .collect()
}

/// Observer that records what a verdict needs, every few steps.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    interval: Interval,
    with_virial: bool,
    /// Whether the stage keeps components of the pressure apart.
    with_components: bool,
    pub(super) steps: u64,
    pub(super) degrees_of_freedom: f64,
    pub(super) conserved: Series,
    pub(super) kinetic: Series,
    pub(super) potential: Series,
    pub(super) pressure: Series,
    /// Components of the pressure in the order of [`VOIGT`], where they are kept apart.
    pub(super) tensor: [Series; 6],
    pub(super) volume: Series,
    pub(super) groups: Vec<Series>,
}

impl Recorder {
    /// A recorder that samples every `every` steps, with pressure if all potentials provide the virial (see
    /// [`Evaluator::provides`](crate::Evaluator::provides)).
    pub fn new(every: u64, provides: Properties) -> Self {
        let with_virial = provides.contains(Properties::VIRIAL);
        let interval = Interval { every: every.max(1), origin: 0 };
        Self { interval, with_virial, ..Self::default() }
    }
    /// Steps between samples.
    pub fn every(&self) -> u64 {
        self.interval.every
    }
    /// A stage begins at this step, or goes on after a restart; `held` is what its barostat keeps.
    pub fn set_stage(&mut self, origin: u64, held: &[HeldPressure]) {
        self.interval.origin = origin;
        self.with_components = HeldPressure::is_apart(held);
    }
    /// Samples of the present stage.
    pub fn samples(&self) -> u64 {
        self.kinetic.len()
    }
    /// Forgets everything: a new stage begins.
    pub fn clear(&mut self) {
        let Self { interval, with_virial, with_components, .. } = *self;
        *self = Self { interval, with_virial, with_components, ..Self::default() };
    }
    /// Drift of the conserved quantity so far, eV per step, with its error; `None` without one or with too few samples.
    pub fn drift(&self) -> Option<(f64, f64)> {
        let d = self.conserved.drift();
        let n = self.interval.every as f64;
        d.error.is_finite().then_some((d.value / n, d.error / n))
    }
    /// Takes a sample.
    pub fn record(&mut self, frame: &Frame<'_>) {
        let (system, state) = (frame.system, frame.state);
        self.steps = frame.stage_step;
        self.degrees_of_freedom = frame.degrees_of_freedom;
        self.kinetic.push(frame.kinetic);
        self.potential.push(frame.outputs.energy);
        if let Some(h) = frame.conserved {
            self.conserved.push(h);
        }
        if state.cell().is_fully_periodic() {
            self.volume.push(state.cell().volume());
        }
        if let Some(p) = frame.pressure().filter(|_| self.with_virial) {
            self.pressure.push(p);
        }
        if self.with_virial
            && self.with_components
            && let Some(p) = frame.pressure_tensor()
        {
            for (series, (a, b, _)) in self.tensor.iter_mut().zip(VOIGT) {
                series.push(p[(a, b)]);
            }
        }
        let parts = parts(system);
        self.groups.resize_with(parts.len(), Series::default);
        for (series, part) in self.groups.iter_mut().zip(&parts) {
            series.push(part.atoms.kinetic(frame));
        }
    }
    /// Saves or restores everything.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn save(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("recorder")?;
        archive.u64(&mut self.interval.every)?;
        archive.u64(&mut self.steps)?;
        archive.f64(&mut self.degrees_of_freedom)?;
        let mut n = self.groups.len() as u64;
        archive.u64(&mut n)?;
        if n > GROUPS as u64 {
            return Err(ArchiveError::Invalid { section: "recorder".into() });
        }
        self.groups.resize_with(n as usize, Series::default);
        let Self { conserved, kinetic, potential, pressure, tensor, volume, groups, .. } = self;
        let fixed = [conserved, kinetic, potential, pressure, volume];
        fixed.into_iter().chain(tensor).chain(groups).try_for_each(|s| s.archive(archive))
    }
}

impl Observer for Recorder {
    fn name(&self) -> &str {
        "verdict"
    }
    fn due(&self, step: u64) -> bool {
        self.interval.is_due(step)
    }
    fn needs(&self) -> Properties {
        if self.with_virial { Properties::ENERGY | Properties::VIRIAL } else { Properties::ENERGY }
    }
    /// Samples the frame; the opening frame of a stage clears instead, so that the samples are equally spaced.
    fn observe(&mut self, frame: &Frame<'_>) -> Result<Flow, BoxError> {
        if frame.opening {
            self.clear();
        } else {
            self.record(frame);
        }
        Ok(Flow::Continue)
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), BoxError> {
        Ok(self.save(archive)?)
    }
}
