//! Monte Carlo moves of the cell.
use crate::constraints::Units;
use crate::dynamics::cell_modes::{Target, exp_symmetric, external_energy};
use crate::state::Geometry;
use crate::{
    Archive, ArchiveError, Ctx, EngineError, Mat3, Op, Properties, Schedule, State, Stream, System, Vec3,
};

/// Settings of the moves.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumeMoves {
    /// A move at every n-th step.
    pub every: u64,
    /// Largest change of ln V in a move, at the start.
    pub step: f64,
    /// Number of moves during which the step adapts to an acceptance of one half; then it stays, because moves whose
    /// size follows the past are not reversible.
    pub adapt: u64,
}

/// Monte Carlo barostat "P": at every n-th step the cell is stretched along one of its free strains, chosen at random,
/// with the centres of mass of all molecules, which keep their shape (atoms where nothing is bonded; rigid units where a
/// bonded network has no end), by a change of ln V uniform in [-δ, δ]; the move is accepted with probability
///
/// min(1, exp(-(ΔU + ΔE)/kT + (n + 1) ln(V'/V))),
///
/// where E is the energy of the surroundings ([`external_energy`], P V for a pressure), n the number of molecules, and the
/// 1 comes from steps that are uniform in ln V. Velocities are left alone, the virial is not needed, and a refused move
/// returns to the kept results of the old geometry, so that each move costs one evaluation.
///
/// Source: McDonald, Mol. Phys. 23, 41 (1972), doi:10.1080/00268977200100031; beside dynamics: Chow and Ferguson, Comput.
/// Phys. Commun. 91, 283 (1995), doi:10.1016/0010-4655(95)00059-O.
pub struct MonteCarloBarostat {
    /// Free strains, scaled so that each changes ln V by its amplitude.
    strains: Vec<Mat3>,
    target: Target,
    kt: Schedule,
    moves: VolumeMoves,
    delta: f64,
    tried: u64,
    accepted: u64,
    recent: [u64; 2],
    reference: Mat3,
    started: bool,
    exchanged: f64,
    kept: Geometry,
    /// What moves as a whole: molecules, or rigid units where a molecule has no end.
    units: Option<Units>,
    by_molecules: bool,
    centers: Vec<Vec3>,
}

/// Moves between two changes of the step size.
const BATCH: u64 = 10;

impl MonteCarloBarostat {
    /// From the free strains (each must change the volume), the pressure tensor, the thermal energy and the settings.
    ///
    /// # Panics
    /// When no strain is free or one keeps the volume.
    pub fn new(basis: &[Mat3], target: Target, kt: Schedule, moves: VolumeMoves) -> Self {
        assert!(!basis.is_empty() && basis.iter().all(|e| e.trace() > 0.0));
        Self {
            strains: basis.iter().map(|e| e / e.trace()).collect(),
            target,
            kt,
            delta: moves.step,
            moves,
            tried: 0,
            accepted: 0,
            recent: [0; 2],
            reference: Mat3::identity(),
            started: false,
            exchanged: 0.0,
            kept: Geometry::default(),
            units: None,
            by_molecules: false,
            centers: Vec::new(),
        }
    }
    /// Moves tried and accepted.
    pub fn acceptance(&self) -> (u64, u64) {
        (self.tried, self.accepted)
    }
    /// Present largest change of ln V.
    pub fn step(&self) -> f64 {
        self.delta
    }
    fn adapt(&mut self, accepted: bool) {
        self.tried += 1;
        self.accepted += u64::from(accepted);
        if self.tried > self.moves.adapt {
            return;
        }
        self.recent[0] += 1;
        self.recent[1] += u64::from(accepted);
        if self.recent[0] == BATCH {
            let rate = self.recent[1] as f64 / BATCH as f64;
            self.delta = (self.delta * (0.5 + rate)).clamp(1e-8, 0.3);
            self.recent = [0; 2];
        }
    }
}

impl Op for MonteCarloBarostat {
    fn symbol(&self) -> &'static str {
        "P"
    }
    fn apply(&mut self, ctx: &mut Ctx<'_>, _dt: f64) -> Result<(), EngineError> {
        if !ctx.state.step.is_multiple_of(self.moves.every) {
            return Ok(());
        }
        if !self.started {
            self.started = true;
            self.reference = *ctx.state.cell().matrix();
            let topology = ctx.system.topology();
            let connected = topology.molecules().len() < topology.len();
            self.by_molecules = connected && !topology.is_endless(ctx.state.positions(), ctx.state.cell());
        }
        let (topology, by_molecules) = (ctx.system.topology(), self.by_molecules);
        let units = self.units.get_or_insert_with(|| match by_molecules {
            true => Units::new(topology, topology.molecules(), ctx.system.masses()),
            false => ctx.system.solver().units().clone(),
        });
        let need = Properties::ENERGY | Properties::FORCES;
        let mut numbers = ctx.rng.sequence(Stream::MonteCarloBarostat, ctx.state.step, ctx.substep);
        let choice = (numbers.uniform() * self.strains.len() as f64) as usize;
        let log_volume = self.delta * (2.0 * numbers.uniform() - 1.0);
        let threshold = numbers.uniform().ln();
        let pressure = self.target.at(ctx.progress);
        let surroundings = |s: &State| external_energy(s.cell(), &self.reference, &pressure);

        let (state, out) = ctx.outputs(need)?;
        let before = out.energy;
        let outside = surroundings(state);
        let stretch = exp_symmetric(&(self.strains[choice] * log_volume));
        let cell = state.cell().deformed(&stretch)?;
        state.keep_geometry(&mut self.kept);
        ctx.evaluator.keep();
        units.scale(&stretch, ctx.state.positions_mut(), &mut self.centers);
        ctx.state.set_cell(cell);

        // an energy that is not finite (overlapping atoms) is a refusal, not a failure
        let trial = match ctx.outputs(need) {
            Ok((state, out)) => Some((out.energy - before, surroundings(state) - outside)),
            Err(EngineError::Diverged { .. }) => None,
            Err(other) => return Err(other),
        };
        let gain = (units.len() as f64 + 1.0) * log_volume;
        let kt = self.kt.at(ctx.progress);
        let accepted = trial.is_some_and(|(energy, work)| threshold < gain - (energy + work) / kt);
        if accepted {
            self.exchanged += trial.map_or(0.0, |t| t.0);
        } else {
            ctx.state.restore_geometry(&mut self.kept);
            ctx.evaluator.restore();
        }
        self.adapt(accepted);
        Ok(())
    }
    fn bath_energy(&self, _system: &System, _state: &State) -> f64 {
        -self.exchanged
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("monte_carlo_barostat")?;
        archive.bool(&mut self.started)?;
        archive.bool(&mut self.by_molecules)?;
        archive.mat3(&mut self.reference)?;
        archive.f64(&mut self.delta)?;
        archive.f64(&mut self.exchanged)?;
        let [done, good] = &mut self.recent;
        [&mut self.tried, &mut self.accepted, done, good].into_iter().try_for_each(|x| archive.u64(x))
    }
}
