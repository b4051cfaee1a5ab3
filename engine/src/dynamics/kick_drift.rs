//! The exact flows of the potential and of the kinetic energy: kick and drift.
//!
//! `[Kick, Drift, Kick]` with parts 1/2, 1, 1/2 is velocity Verlet.
//! Source: Verlet, Phys. Rev. 159, 98 (1967), doi:10.1103/PhysRev.159.98; Swope, Andersen, Berens and Wilson,
//! J. Chem. Phys. 76, 637 (1982), doi:10.1063/1.442716.
use crate::{Ctx, EngineError, Op, Properties, State, System, parallel};

/// Kick "B": v += f dt / m, with the forces of the present geometry. Atoms with inverse mass 0 stay at rest.
pub struct Kick {
    group: Option<u8>,
    groups: usize,
}

const GROUP_SYMBOLS: [&str; 8] = ["B0", "B1", "B2", "B3", "B4", "B5", "B6", "B7"];
/// Force groups a multiple-time-step scheme can tell apart.
pub const MAX_GROUPS: usize = GROUP_SYMBOLS.len();

impl Kick {
    /// With the total force.
    pub const fn new() -> Self {
        Self { group: None, groups: 0 }
    }
    /// With the force of one of `groups` force groups.
    ///
    /// # Panics
    /// When `group` is not below `groups`, or `groups` exceeds [`MAX_GROUPS`].
    pub fn with_group(group: u8, groups: usize) -> Self {
        assert!(usize::from(group) < groups && groups <= MAX_GROUPS);
        Self { group: Some(group), groups }
    }
}

impl Default for Kick {
    fn default() -> Self {
        Self::new()
    }
}

impl Op for Kick {
    fn symbol(&self) -> &'static str {
        self.group.map_or("B", |g| GROUP_SYMBOLS[usize::from(g)])
    }
    fn apply(&mut self, ctx: &mut Ctx<'_>, dt: f64) -> Result<(), EngineError> {
        let inverse_mass = ctx.system.inverse_masses();
        let (state, out) = match self.group {
            None => ctx.forces()?,
            Some(group) => {
                let found = ctx.evaluator.groups();
                if found != self.groups {
                    let reason = format!(
                        "the multiple-time-step scheme has {} force groups and the potentials have {found}; every \
                         group from 0 (slowest) up must be used by a potential",
                        self.groups
                    );
                    return Err(EngineError::Operator { operator: "respa", reason });
                }
                let need = Properties::ENERGY | Properties::FORCES;
                let out = ctx.evaluator.ensure_group(ctx.system, ctx.state, group, need, ctx.want)?;
                (&mut *ctx.state, out)
            }
        };
        let force = &out.forces;
        parallel::for_each_mut(state.velocities_mut(), |i, v| *v += force[i] * (dt * inverse_mass[i]));
        Ok(())
    }
}

/// Drift "A": r += v dt; with constraints and rigid bodies on their manifold (see [`crate::constraints`]).
#[derive(Default)]
pub struct Drift;

impl Op for Drift {
    fn symbol(&self) -> &'static str {
        "A"
    }
    fn apply(&mut self, ctx: &mut Ctx<'_>, dt: f64) -> Result<(), EngineError> {
        let (solver, step) = (ctx.system.solver(), ctx.state.step);
        let (positions, velocities) = ctx.state.phase_mut();
        if !solver.is_empty() {
            return solver.drift(positions, velocities, dt).map_err(|e| e.at(step));
        }
        let velocities = &*velocities;
        parallel::for_each_mut(positions, |i, r| *r += velocities[i] * dt);
        Ok(())
    }
}

/// Projection "R" of the velocities onto the constraints, which kicks leave (RATTLE). Drifts need none before them; it
/// stands where kinetic energies count, at the end of a step.
#[derive(Default)]
pub struct Project;

impl Op for Project {
    fn symbol(&self) -> &'static str {
        "R"
    }
    fn apply(&mut self, ctx: &mut Ctx<'_>, _dt: f64) -> Result<(), EngineError> {
        project(ctx.system, ctx.state)
    }
}

/// Projects the velocities of a state onto its constraints.
///
/// # Errors
/// `Diverged` when constraints depend on each other.
pub fn project(system: &System, state: &mut State) -> Result<(), EngineError> {
    let (solver, step) = (system.solver(), state.step);
    let (positions, velocities) = state.positions_and_velocities_mut();
    solver.project(positions, velocities).map_err(|e| e.at(step))
}
