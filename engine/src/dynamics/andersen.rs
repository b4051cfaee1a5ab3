//! Random collisions with a bath.
use super::kick_drift::project;
use crate::sampler::kinetic_energy;
use crate::{Archive, ArchiveError, Ctx, EngineError, Op, Schedule, State, Stream, System, parallel};

/// Andersen collisions "C": within dt each atom takes with probability 1 - exp(-ν dt) a new velocity from the
/// Maxwell-Boltzmann distribution, v = sqrt(kT / m) R.
///
/// ν -> `rate`, kT -> `kt`. Atoms that constraints tie together collide together, and what they get is projected onto the
/// constraints. Correct canonical sampling; transport coefficients and time correlations are destroyed.
///
/// Source: Andersen, J. Chem. Phys. 72, 2384 (1980), doi:10.1063/1.439486.
pub struct Andersen {
    kt: Schedule,
    rate: f64,
    given: f64,
}

impl Andersen {
    /// From the thermal energy and the collision rate of an atom (inverse time).
    pub const fn new(kt: Schedule, rate: f64) -> Self {
        Self { kt, rate, given: 0.0 }
    }
}

impl Op for Andersen {
    fn symbol(&self) -> &'static str {
        "C"
    }
    fn apply(&mut self, ctx: &mut Ctx<'_>, dt: f64) -> Result<(), EngineError> {
        let (rng, step, substep) = (ctx.rng, ctx.state.step, ctx.substep);
        let (mass, inverse_mass) = (ctx.system.masses(), ctx.system.inverse_masses());
        let kt = self.kt.at(ctx.progress);
        let probability = -(-self.rate * dt).exp_m1();
        let solver = ctx.system.solver();
        let tied = !solver.is_empty();
        let before = if tied { kinetic_energy(ctx.system, ctx.state) } else { 0.0 };
        let units = solver.units();
        let given = parallel::sum_mut(ctx.state.velocities_mut(), 0.0, |i, v| {
            // one number for the decision, the same for all atoms of a rigid unit, two calls for three normal numbers
            let [u, _] = rng.uniform2(Stream::Andersen, step, substep, 3 * units.first(i) as u64);
            let index = 3 * i as u64;
            if inverse_mass[i] == 0.0 || u >= probability {
                return 0.0;
            }
            let before = v.norm_squared();
            let [x, y] = rng.normal2(Stream::Andersen, step, substep, index + 1);
            let [z, _] = rng.normal2(Stream::Andersen, step, substep, index + 2);
            *v = crate::Vec3::new(x, y, z) * (kt * inverse_mass[i]).sqrt();
            0.5 * mass[i] * (v.norm_squared() - before)
        });
        if tied {
            project(ctx.system, ctx.state)?;
            self.given += kinetic_energy(ctx.system, ctx.state) - before;
        } else {
            self.given += given;
        }
        Ok(())
    }
    fn conserves_momentum(&self) -> bool {
        false
    }
    fn bath_energy(&self, _system: &System, _state: &State) -> f64 {
        -self.given
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("andersen")?;
        archive.f64(&mut self.given)
    }
}
