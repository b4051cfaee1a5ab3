//! Langevin dynamics: the exact Ornstein-Uhlenbeck flow of the velocities and its splittings.
use super::kick_drift::project;
use crate::sampler::kinetic_energy;
use crate::{Archive, ArchiveError, Ctx, EngineError, Op, Schedule, State, Stream, System, parallel};

/// Ornstein-Uhlenbeck "O": the exact solution of dv = -γ v dt + sqrt(2 γ kT / m) dW,
///
/// v' = c v + sqrt(kT (1 - c²) / m) R with c = exp(-γ dt) and standard normal R.
///
/// γ -> `friction`, kT -> `kt`. With constraints the result is projected onto them, which gives their Maxwell
/// distribution (Lelièvre, Rousset and Stoltz, Math. Comput. 81, 2071 (2012), doi:10.1090/S0025-5718-2012-02594-4). The energy it gives to the atoms is counted, so that kinetic + potential + bath
/// energy drifts only by the error of the other flows (the effective energy of Bussi and Parrinello).
///
/// Source: Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013), doi:10.1063/1.4802990 (BAOAB);
/// Bussi and Parrinello, Phys. Rev. E 75, 056707 (2007), doi:10.1103/PhysRevE.75.056707 (OBABO, effective energy).
pub struct OrnsteinUhlenbeck {
    kt: Schedule,
    friction: f64,
    given: f64,
}

impl OrnsteinUhlenbeck {
    /// From the thermal energy and the friction (inverse time).
    pub const fn new(kt: Schedule, friction: f64) -> Self {
        Self { kt, friction, given: 0.0 }
    }
}

impl Op for OrnsteinUhlenbeck {
    fn symbol(&self) -> &'static str {
        "O"
    }
    fn apply(&mut self, ctx: &mut Ctx<'_>, dt: f64) -> Result<(), EngineError> {
        let (rng, step, substep) = (ctx.rng, ctx.state.step, ctx.substep);
        let (mass, inverse_mass) = (ctx.system.masses(), ctx.system.inverse_masses());
        let c = (-self.friction * dt).exp();
        // 1 - c² without cancellation for small γ dt
        let noise = self.kt.at(ctx.progress) * -(-2.0 * self.friction * dt).exp_m1();
        let tied = !ctx.system.solver().is_empty();
        let before = if tied {
            project(ctx.system, ctx.state)?;
            kinetic_energy(ctx.system, ctx.state)
        } else {
            0.0
        };
        let given = parallel::sum_mut(ctx.state.velocities_mut(), 0.0, |i, v| {
            if inverse_mass[i] == 0.0 {
                return 0.0;
            }
            let before = v.norm_squared();
            *v *= c;
            if noise > 0.0 {
                *v +=
                    rng.noise3(Stream::Langevin, step, substep, i as u64) * (noise * inverse_mass[i]).sqrt();
            }
            0.5 * mass[i] * (v.norm_squared() - before)
        });
        if tied {
            // the noise of independent atoms, projected, is that of the constrained system
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
        archive.section("langevin")?;
        archive.f64(&mut self.given)
    }
}
