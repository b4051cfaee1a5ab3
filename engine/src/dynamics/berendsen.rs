//! Weak coupling of the kinetic energy to a bath.
use super::bussi::{at_rest, rescale};
use crate::sampler::kinetic_energy;
use crate::{Archive, ArchiveError, Ctx, EngineError, Op, Schedule, State, System};

/// Weak coupling "W" (Berendsen thermostat): the exact solution over dt of dK/dt = (K̄ - K)/τ with K̄ = N kT / 2,
/// K' = K̄ + (K - K̄) exp(-dt/τ), by one factor for all velocities.
///
/// It samples no known ensemble: fluctuations of the kinetic energy are too small, and slow modes collect energy
/// (flying ice cube). Good for relaxing a start; the stochastic velocity rescaling is as gentle and canonical.
///
/// Source: Berendsen, Postma, van Gunsteren, DiNola and Haak, J. Chem. Phys. 81, 3684 (1984),
/// doi:10.1063/1.448118.
pub struct Berendsen {
    kt: Schedule,
    relaxation: f64,
    given: f64,
}

impl Berendsen {
    /// From the thermal energy and the relaxation time.
    pub const fn new(kt: Schedule, relaxation: f64) -> Self {
        Self { kt, relaxation, given: 0.0 }
    }
}

impl Op for Berendsen {
    fn symbol(&self) -> &'static str {
        "W"
    }
    fn apply(&mut self, ctx: &mut Ctx<'_>, dt: f64) -> Result<(), EngineError> {
        let target = 0.5 * ctx.degrees_of_freedom * self.kt.at(ctx.progress);
        let kinetic = kinetic_energy(ctx.system, ctx.state);
        if kinetic == 0.0 {
            return if target == 0.0 { Ok(()) } else { Err(at_rest("berendsen")) };
        }
        let next = target + (kinetic - target) * (-dt / self.relaxation).exp();
        self.given += rescale(ctx.state, kinetic, (next / kinetic).sqrt());
        Ok(())
    }
    fn samples_ensemble(&self) -> bool {
        false
    }
    fn bath_energy(&self, _system: &System, _state: &State) -> f64 {
        -self.given
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("berendsen")?;
        archive.f64(&mut self.given)
    }
}
