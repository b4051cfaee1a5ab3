//! Overdamped Langevin dynamics.
use crate::{Ctx, EngineError, Op, Schedule, Stream, parallel};

/// Sub-step of the random numbers: no place in a step reaches it, so no other operator uses the same ones.
const PLACE: u32 = 0x00FF_FFFF;

/// Overdamped Langevin dynamics "D", the high-friction limit of BAOAB by Leimkuhler and Matthews:
///
/// r' = r + f dt/(m γ) + sqrt(2 kT dt/(m γ)) (R_n + R_{n+1})/2,
///
/// so that each normal number R_n serves two steps. Averages of functions of positions have an error of order dt²
/// (exact for a harmonic well), against dt for Euler-Maruyama.
///
/// γ -> `friction` (inverse time, so that the mobility of an atom is 1/(m γ)), kT -> `kt`.
/// Velocities are no dynamic variables here: they are set to fresh Maxwell-Boltzmann numbers, sqrt(kT/m) R_{n+1},
/// so a reported temperature tests the noise only and the pressure has its ideal part on average. There is no
/// conserved quantity.
///
/// Source: Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34 (2013), doi:10.1093/amrx/abs010.
pub struct Brownian {
    kt: Schedule,
    friction: f64,
}

impl Brownian {
    /// From the thermal energy and the friction.
    pub const fn new(kt: Schedule, friction: f64) -> Self {
        Self { kt, friction }
    }
}

impl Op for Brownian {
    fn symbol(&self) -> &'static str {
        "D"
    }
    fn apply(&mut self, ctx: &mut Ctx<'_>, dt: f64) -> Result<(), EngineError> {
        let (rng, step) = (ctx.rng, ctx.state.step);
        let inverse_mass = ctx.system.inverse_masses();
        let kt = self.kt.at(ctx.progress);
        let mobility = dt / self.friction;
        let (state, out) = ctx.forces()?;
        let force = &out.forces;
        let (positions, velocities) = state.phase_mut();
        parallel::for_each_mut2(positions, velocities, |i, r, v| {
            if inverse_mass[i] == 0.0 {
                return;
            }
            // the same number at the end of a step and at the start of the next: keyed by the step alone
            let now = rng.noise3(Stream::Langevin, step, PLACE, i as u64);
            let next = rng.noise3(Stream::Langevin, step + 1, PLACE, i as u64);
            let noise = (2.0 * kt * mobility * inverse_mass[i]).sqrt();
            *r += force[i] * (mobility * inverse_mass[i]) + (now + next) * (0.5 * noise);
            *v = next * (kt * inverse_mass[i]).sqrt();
        });
        Ok(())
    }
    fn conserves_momentum(&self) -> bool {
        false
    }
}
