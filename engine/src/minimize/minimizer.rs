//! The sampler that drives a minimisation.
use super::{Coordinates, Fire, Lbfgs, Point};
use crate::sampler::Progress;
use crate::{Archive, ArchiveError, Ctx, EngineError, Properties, Sampler, State, System, Vec3};

/// When a minimisation is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// Largest force that may remain on a mobile atom, eV/Å.
    pub fmax: f64,
    /// Largest stress that may remain, eV/Å³; of meaning only with a variable cell.
    pub smax: f64,
    /// Largest number of iterations.
    pub steps: u64,
}

/// How a minimisation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not finished.
    Running,
    /// Forces and stress are below their limits.
    Converged,
    /// The largest number of iterations was reached.
    StepLimit,
    /// No step along the forces lowers the energy or the forces any more: the limit is below the precision of the
    /// potential, or its forces are not the derivative of its energy (a truncated potential).
    Stalled,
}

/// What a report says about a minimisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How it stands.
    pub outcome: Outcome,
    /// Iterations done.
    pub iterations: u64,
    /// What it aims at.
    pub goal: Goal,
    /// Energy, largest force and stress where it is.
    pub point: Point,
}

/// The algorithm.
pub(super) enum Method {
    Fire(Fire),
    Lbfgs(Lbfgs),
}

/// What both algorithms share: where the minimisation is.
#[derive(Default)]
pub(super) struct Place {
    pub q: Vec<f64>,
    pub gradient: Vec<f64>,
    pub point: Point,
}

/// A minimisation as a sampler. The velocities of the state become zero when it starts.
///
/// One step is one iteration: for FIRE one evaluation, for L-BFGS as many as its line search takes (mostly one).
pub struct Minimizer {
    method: Method,
    coordinates: Coordinates,
    goal: Goal,
    place: Place,
    started: bool,
    iterations: u64,
    outcome: Outcome,
}

impl Minimizer {
    /// A minimisation by FIRE.
    pub fn fire(coordinates: Coordinates, fire: Fire, goal: Goal) -> Self {
        Self::new(Method::Fire(fire), coordinates, goal)
    }
    /// A minimisation by L-BFGS.
    pub fn lbfgs(coordinates: Coordinates, lbfgs: Lbfgs, goal: Goal) -> Self {
        Self::new(Method::Lbfgs(lbfgs), coordinates, goal)
    }
    fn new(method: Method, coordinates: Coordinates, goal: Goal) -> Self {
        let place = Place::default();
        Self { method, coordinates, goal, place, started: false, iterations: 0, outcome: Outcome::Running }
    }
    /// How it stands.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }
    /// Energy, largest force and stress where it is.
    pub fn point(&self) -> Point {
        self.place.point
    }
    /// Iterations done.
    pub fn iterations(&self) -> u64 {
        self.iterations
    }
    fn judge(&mut self) -> Progress {
        let p = self.place.point;
        if p.fmax <= self.goal.fmax && p.smax <= self.goal.smax {
            self.outcome = Outcome::Converged;
        } else if self.outcome == Outcome::Running && self.iterations >= self.goal.steps {
            self.outcome = Outcome::StepLimit;
        }
        if self.outcome == Outcome::Running { Progress::Running } else { Progress::Finished }
    }
    fn start(&mut self, ctx: &mut Ctx<'_>) -> Result<(), EngineError> {
        ctx.state.velocities_mut().fill(Vec3::zeros());
        self.coordinates.restart(ctx.state.cell());
        self.coordinates.read(ctx.state.positions(), &mut self.place.q);
        self.place.gradient = vec![0.0; self.place.q.len()];
        self.place.point = self.coordinates.evaluate(ctx, &mut self.place.q, &mut self.place.gradient)?;
        self.started = true;
        Ok(())
    }
}

impl Sampler for Minimizer {
    fn notation(&self) -> String {
        match self.method {
            Method::Fire(_) => "FIRE".into(),
            Method::Lbfgs(_) => "L-BFGS".into(),
        }
    }
    /// One iteration. Returns `Finished` when forces and stress are below their limits, when the iterations are
    /// used up, or when nothing improves any more; [`Minimizer::outcome`] tells which. A state that is
    /// converged at the start is left as it is; the step that found it so counts as no iteration.
    fn advance(&mut self, ctx: &mut Ctx<'_>) -> Result<Progress, EngineError> {
        if !self.started {
            self.start(ctx)?;
            if self.judge() == Progress::Finished {
                ctx.state.step += 1;
                return Ok(Progress::Finished);
            }
        }
        if self.outcome != Outcome::Running {
            return Ok(Progress::Finished);
        }
        let moved = match &mut self.method {
            Method::Fire(fire) => fire.step(ctx, &mut self.coordinates, &mut self.place)?,
            Method::Lbfgs(lbfgs) => lbfgs.step(ctx, &mut self.coordinates, &mut self.place)?,
        };
        if !moved {
            self.outcome = Outcome::Stalled;
        }
        self.iterations += 1;
        ctx.state.step += 1;
        Ok(self.judge())
    }
    fn needs(&self) -> Properties {
        self.coordinates.needs()
    }
    fn time_step(&self) -> Option<f64> {
        None
    }
    fn conserves_momentum(&self) -> bool {
        false
    }
    fn bath_energy(&self, _system: &System, _state: &State) -> Option<f64> {
        None
    }
    fn minimization(&self) -> Option<Summary> {
        let Self { outcome, iterations, goal, .. } = *self;
        Some(Summary { outcome, iterations, goal, point: self.place.point })
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section(&self.notation())?;
        self.coordinates.archive(archive)?;
        archive.bool(&mut self.started)?;
        archive.u64(&mut self.iterations)?;
        let mut outcome = match self.outcome {
            Outcome::Running => 0,
            Outcome::Converged => 1,
            Outcome::StepLimit => 2,
            Outcome::Stalled => 3,
        };
        archive.u64(&mut outcome)?;
        self.outcome = match outcome {
            0 => Outcome::Running,
            1 => Outcome::Converged,
            2 => Outcome::StepLimit,
            3 => Outcome::Stalled,
            _ => return Err(ArchiveError::Invalid { section: "outcome".into() }),
        };
        let Place { q, gradient, point } = &mut self.place;
        archive.f64_vec(q)?;
        archive.f64_vec(gradient)?;
        for x in [&mut point.energy, &mut point.enthalpy, &mut point.fmax, &mut point.smax] {
            archive.f64(x)?;
        }
        if archive.is_reading() && self.started && q.len() != self.coordinates.len() {
            return Err(ArchiveError::Invalid { section: "coordinates".into() });
        }
        match &mut self.method {
            Method::Fire(fire) => fire.archive(archive),
            Method::Lbfgs(lbfgs) => lbfgs.archive(archive),
        }
    }
}
