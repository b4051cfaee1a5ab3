//! Velocity Verlet with a cell that moves: the common core of stochastic cell rescaling and of the barostat of
//! Martyna, Tobias and Klein.
//!
//! Variables: positions r, velocities v, cell h, and one momentum p_k for each free strain E_k (see [`super::CellMode`]).
//! With the strain rate η = Σ p_k E_k / W the equations of motion are
//!
//! dh/dt = η h,  dr/dt = v + η r,  dv/dt = f/m - η v [- (a/N) tr(η) v],
//! dp_k/dt = tr(E_k G),  G = Σ m v ⊗ v + Σ r ⊗ f - ∂E/∂ε + A 1,
//!
//! where E is the energy of the surroundings ([`external_energy`]). The isothermal-isobaric ensemble has the measure
//! V dμ(h), with μ invariant under h -> F h; A 1 = a kT supplies the factor V. In the form of Martyna, Tobias and
//! Klein A = (a/N) Σ m v², and the term in brackets appears. a = 1 + (missing momentum)/3 corrects for the 3 degrees of
//! freedom N lacks when the total momentum is zero, so that the mean volume of an ideal gas is exactly (n + 1) kT / P.
//!
//! With constraints or rigid bodies m, v, r and f are those of the centres of mass of rigid units (see
//! [`crate::constraints::Units`]), N is three times their number, less 3 when the total momentum is zero, and the drifts
//! keep the constraints.
//!
//! Each part below is integrated exactly, in the symmetric order B A S O S A B: kick (v and p), drift (with the kinetic
//! part of the force on the cell), scaling (r, v, h by matrix exponentials), a thermostat in the centre. There is one
//! evaluation per step.
use super::cell_modes::{Target, exp_symmetric, external_energy, external_gradient};
use super::kick_drift::project;
use super::nose_hoover::Chain;
use crate::{
    Archive, ArchiveError, Ctx, EngineError, Mat3, Op, Outputs, Properties, Schedule, State, Stream, System,
    Vec3, parallel,
};

/// What the momenta of the cell are coupled to.
pub enum CellBath {
    /// Drawn anew in the middle of each step: the motion of the cell is overdamped.
    Refresh {
        /// Relaxation time of the volume.
        relaxation: f64,
        /// Isothermal compressibility of the substance (an estimate sets the rate alone).
        compressibility: f64,
        /// False for no noise at all (weak coupling), which samples no ensemble.
        noise: bool,
    },
    /// Inertia, with an optional Nosé-Hoover chain.
    Inertia {
        /// Time scale of the oscillation of the cell.
        relaxation: f64,
        /// Thermostat of the cell; without it and without one for the atoms the enthalpy is constant.
        chain: Option<Chain>,
    },
}

/// A step of velocity Verlet for atoms and cell.
pub struct FlexibleCell {
    basis: Vec<Mat3>,
    target: Target,
    kt: Schedule,
    bath: CellBath,
    center: Option<Box<dyn Op>>,
    momenta: Vec<f64>,
    mass: f64,
    reference: Mat3,
    started: bool,
    /// The pressure tensor and a kT of the last step.
    last: (Mat3, f64),
    exchanged: f64,
    work: f64,
    centers: Vec<Vec3>,
}

/// Largest change of a cell direction in half a step that is still credible.
const LARGEST_STRAIN: f64 = 0.1;

impl FlexibleCell {
    /// From the free strains, the pressure tensor, the thermal energy, the bath of the cell and a thermostat for the
    /// centre of the step.
    ///
    /// # Panics
    /// When no strain is free.
    pub fn new(
        basis: Vec<Mat3>,
        target: Target,
        kt: Schedule,
        bath: CellBath,
        center: Option<Box<dyn Op>>,
    ) -> Self {
        assert!(!basis.is_empty());
        let momenta = vec![0.0; basis.len()];
        let last = (target.at(0.0), 0.0);
        Self {
            basis,
            target,
            kt,
            bath,
            center,
            momenta,
            mass: 0.0,
            reference: Mat3::identity(),
            started: false,
            last,
            exchanged: 0.0,
            work: 0.0,
            centers: Vec::new(),
        }
    }
    /// Energy of the surroundings, with the factor of the measure where it is not in the motion of the atoms.
    fn surroundings(&self, cell: &crate::Cell) -> f64 {
        if !self.started {
            return external_energy(cell, cell.matrix(), &self.last.0);
        }
        let ratio = cell.volume() / self.reference.determinant().abs();
        external_energy(cell, &self.reference, &self.last.0) - self.last.1 * ratio.ln()
    }
    fn cell_kinetic(&self) -> f64 {
        if self.mass > 0.0 {
            self.momenta.iter().map(|p| p * p).sum::<f64>() / (2.0 * self.mass)
        } else {
            0.0
        }
    }
    /// Sets mass and reference at the first step and follows ramps.
    fn prepare(&mut self, ctx: &Ctx<'_>, dt: f64, measure: f64) {
        let kt = self.kt.at(ctx.progress);
        let weight = match self.bath {
            CellBath::Refresh { noise: true, .. } => measure * kt,
            _ => 0.0,
        };
        let cell = ctx.state.cell();
        if !self.started {
            let before = self.surroundings(cell);
            self.started = true;
            self.reference = *cell.matrix();
            self.last = (self.target.at(ctx.progress), weight);
            self.mass = match self.bath {
                CellBath::Refresh { relaxation, compressibility, .. } => {
                    1.5 * cell.volume() * relaxation * dt / compressibility
                }
                CellBath::Inertia { relaxation, .. } => {
                    (ctx.degrees_of_freedom + 3.0) * kt * relaxation * relaxation / 3.0
                }
            };
            self.work -= self.surroundings(cell) - before;
        } else {
            let next = (self.target.at(ctx.progress), weight);
            if next != self.last {
                let before = self.surroundings(cell);
                self.last = next;
                self.work -= self.surroundings(cell) - before;
            }
        }
    }
    /// The bath of the cell in the middle of a step.
    fn refresh(&mut self, ctx: &Ctx<'_>) {
        if let CellBath::Refresh { noise, .. } = self.bath {
            self.exchanged -= self.cell_kinetic();
            self.momenta.fill(0.0);
            if noise {
                let mut numbers = ctx.rng.sequence(Stream::CellRescale, ctx.state.step, ctx.substep);
                let spread = (self.mass * self.kt.at(ctx.progress)).sqrt();
                self.momenta.iter_mut().for_each(|p| *p = spread * numbers.normal());
            }
            self.exchanged += self.cell_kinetic();
        }
    }
    /// Half a step of the chain of the cell.
    fn half_chain(&mut self, kt: f64, dt: f64) {
        let twice = 2.0 * self.cell_kinetic();
        if let CellBath::Inertia { chain: Some(chain), .. } = &mut self.bath {
            let factor = chain.advance(twice, self.momenta.len() as f64, kt, 0.5 * dt);
            self.momenta.iter_mut().for_each(|p| *p *= factor);
        }
    }
    /// Half a kick of the cell by `kinetic` = Σ m v ⊗ v, the virial and the surroundings.
    fn kick_cell(&mut self, cell: &crate::Cell, kinetic: &Mat3, virial: &Mat3, feedback: f64, dt: f64) {
        let extra = self.last.1 + feedback * kinetic.trace();
        let force = kinetic + virial + Mat3::identity() * extra
            - external_gradient(cell, &self.reference, &self.last.0);
        for (p, e) in self.momenta.iter_mut().zip(&self.basis) {
            *p += 0.5 * dt * (e * force).trace();
        }
    }
    /// Factors of positions and velocities after the cell moved for `dt`.
    fn scaling(&self, dt: f64, feedback: f64) -> Result<(Mat3, Mat3), EngineError> {
        let zero = Mat3::zeros();
        let strain =
            self.momenta.iter().zip(&self.basis).fold(zero, |s, (p, e)| s + e * (p * dt / self.mass));
        let largest = strain.iter().fold(0.0, |m: f64, x| if x.is_nan() { f64::NAN } else { m.max(x.abs()) });
        if largest.is_nan() || largest > LARGEST_STRAIN {
            let reason = format!(
                "the cell would change by {:.0} % in half a step: the pressure is far from its target or the \
                 relaxation time too short; relax the structure first or couple more slowly",
                100.0 * largest
            );
            return Err(EngineError::Operator { operator: "barostat", reason });
        }
        let shrink = -strain - Mat3::identity() * (feedback * strain.trace());
        Ok((exp_symmetric(&strain), exp_symmetric(&shrink)))
    }
}

/// Half a kick of the atoms; returns Σ m v ⊗ v of the rigid units after it.
fn kick_atoms(system: &System, state: &mut State, forces: &[Vec3], dt: f64) -> Mat3 {
    let (mass, inverse_mass) = (system.masses(), system.inverse_masses());
    let of_atoms = parallel::sum_mut(state.velocities_mut(), Mat3::zeros(), |i, v| {
        *v += forces[i] * (0.5 * dt * inverse_mass[i]);
        *v * v.transpose() * mass[i]
    });
    let units = system.solver().units();
    if units.are_atoms() { of_atoms } else { units.kinetic(mass, state.velocities()) }
}

/// The virial of the rigid units.
fn unit_virial(system: &System, state: &State, out: &Outputs) -> Mat3 {
    let units = system.solver().units();
    if units.are_atoms() {
        return out.virial;
    }
    out.virial - units.internal_virial(state.positions(), &out.forces)
}

impl Op for FlexibleCell {
    fn symbol(&self) -> &'static str {
        match self.center.as_ref().map(|op| op.symbol()) {
            None => "BASAB",
            Some("O") => "BASOSAB",
            Some(_) => "BAS*SAB",
        }
    }
    fn apply(&mut self, ctx: &mut Ctx<'_>, dt: f64) -> Result<(), EngineError> {
        let need = Properties::ENERGY | Properties::FORCES | Properties::VIRIAL;
        let system = ctx.system;
        let units = system.solver().units();
        let missing = (system.degrees_of_freedom(false) as f64 - ctx.degrees_of_freedom).clamp(0.0, 3.0);
        let n = 3.0 * units.len() as f64 - missing;
        let measure = 1.0 + missing / 3.0;
        let feedback = match self.bath {
            CellBath::Inertia { .. } => measure / n,
            CellBath::Refresh { .. } => 0.0,
        };
        self.prepare(ctx, dt, measure);
        let kt = self.kt.at(ctx.progress);
        self.half_chain(kt, dt);

        let (state, out) = ctx.outputs(need)?;
        let kinetic = kick_atoms(system, state, &out.forces, dt);
        let virial = unit_virial(system, state, out);
        self.kick_cell(state.cell(), &kinetic, &virial, feedback, dt);

        let (grow, shrink) = self.scaling(0.5 * dt, feedback)?;
        self.refresh(ctx);
        let (grow2, shrink2) = self.scaling(0.5 * dt, feedback)?;
        let cell = ctx.state.cell().deformed(&grow)?.deformed(&grow2)?;
        let (positions, velocities) = ctx.state.phase_mut();
        let solver = system.solver();
        if !solver.is_empty() {
            let step = ctx.state.step;
            let (r, v) = ctx.state.phase_mut();
            solver.drift(r, v, 0.5 * dt).map_err(|e| e.at(step))?;
            units.scale(&grow, r, &mut self.centers);
            units.scale(&shrink, v, &mut self.centers);
            if let Some(center) = &mut self.center {
                center.apply(ctx, dt)?;
            }
            let (r, v) = ctx.state.phase_mut();
            units.scale(&shrink2, v, &mut self.centers);
            units.scale(&grow2, r, &mut self.centers);
            solver.drift(r, v, 0.5 * dt).map_err(|e| e.at(step))?;
        } else if let Some(center) = &mut self.center {
            parallel::for_each_mut2(positions, velocities, |_, r, v| {
                *r = grow * (*r + *v * (0.5 * dt));
                *v = shrink * *v;
            });
            center.apply(ctx, dt)?;
            let (positions, velocities) = ctx.state.phase_mut();
            parallel::for_each_mut2(positions, velocities, |_, r, v| {
                *v = shrink2 * *v;
                *r = grow2 * *r + *v * (0.5 * dt);
            });
        } else {
            let (grow, shrink) = (grow2 * grow, shrink2 * shrink);
            parallel::for_each_mut2(positions, velocities, |_, r, v| {
                *r = grow * (*r + *v * (0.5 * dt));
                *v = shrink * *v;
                *r += *v * (0.5 * dt);
            });
        }
        ctx.state.set_cell(cell);

        let kinetic = units.kinetic(system.masses(), ctx.state.velocities());
        let (state, out) = ctx.outputs(need)?;
        let virial = unit_virial(system, state, out);
        self.kick_cell(state.cell(), &kinetic, &virial, feedback, dt);
        let inverse_mass = system.inverse_masses();
        let force = &out.forces;
        parallel::for_each_mut(state.velocities_mut(), |i, v| *v += force[i] * (0.5 * dt * inverse_mass[i]));
        project(system, state)?;
        self.half_chain(kt, dt);
        Ok(())
    }
    fn needs(&self) -> Properties {
        Properties::VIRIAL
    }
    fn conserves_momentum(&self) -> bool {
        self.center.as_ref().is_none_or(|op| op.conserves_momentum())
    }
    fn bath_energy(&self, system: &System, state: &State) -> f64 {
        let chain = match &self.bath {
            CellBath::Inertia { chain: Some(chain), .. } => chain.energy(),
            _ => 0.0,
        };
        let center = self.center.as_ref().map_or(0.0, |op| op.bath_energy(system, state));
        self.surroundings(state.cell()) + self.cell_kinetic() + chain + center - self.exchanged + self.work
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("flexible_cell")?;
        let n = self.momenta.len();
        archive.f64_vec(&mut self.momenta)?;
        if self.momenta.len() != n {
            return Err(ArchiveError::Invalid { section: "flexible_cell".into() });
        }
        archive.bool(&mut self.started)?;
        archive.mat3(&mut self.reference)?;
        archive.mat3(&mut self.last.0)?;
        for x in [&mut self.mass, &mut self.last.1, &mut self.exchanged, &mut self.work] {
            archive.f64(x)?;
        }
        if let CellBath::Inertia { chain: Some(chain), .. } = &mut self.bath {
            chain.archive(archive)?;
        }
        self.center.as_mut().map_or(Ok(()), |op| op.archive(archive))
    }
}
