//! Stochastic velocity rescaling.
use crate::sampler::kinetic_energy;
use crate::{Archive, ArchiveError, Ctx, EngineError, Op, Schedule, State, Stream, System, parallel};

/// Stochastic velocity rescaling "V" (Bussi thermostat, canonical sampling through velocity rescaling, CSVR):
/// the exact solution over dt of
///
/// dK = (K̄ - K) dt/τ + 2 sqrt(K K̄ / N) dW/sqrt(τ),  K̄ = N kT / 2,
///
/// by one factor α for all velocities:
/// α² = c + (1 - c) K̄/(N K) (R² + χ²(N-1)) + 2 R sqrt(c (1 - c) K̄/(N K)), c = exp(-dt/τ),
/// with the sign of R + sqrt(c N K / ((1 - c) K̄)).
///
/// N -> degrees of freedom of the context (any number >= 1), kT -> `kt`, τ -> `relaxation`.
///
/// Source: Bussi, Donadio and Parrinello, J. Chem. Phys. 126, 014101 (2007), doi:10.1063/1.2408420 (appendix);
/// sign of α: Bussi and Parrinello, Comput. Phys. Commun. 179, 26 (2008), doi:10.1016/j.cpc.2008.01.006.
pub struct Bussi {
    kt: Schedule,
    relaxation: f64,
    given: f64,
}

impl Bussi {
    /// From the thermal energy and the relaxation time.
    pub const fn new(kt: Schedule, relaxation: f64) -> Self {
        Self { kt, relaxation, given: 0.0 }
    }
}

/// Multiplies all velocities; returns the kinetic energy gained.
pub(super) fn rescale(state: &mut State, kinetic: f64, factor: f64) -> f64 {
    parallel::for_each_mut(state.velocities_mut(), |_, v| *v *= factor);
    kinetic * (factor * factor - 1.0)
}

/// The error of a thermostat that multiplies velocities when there is nothing to multiply.
pub(super) fn at_rest(operator: &'static str) -> EngineError {
    let reason =
        "all velocities are zero and this thermostat can only rescale them; give initial velocities".into();
    EngineError::Operator { operator, reason }
}

impl Op for Bussi {
    fn symbol(&self) -> &'static str {
        "V"
    }
    fn apply(&mut self, ctx: &mut Ctx<'_>, dt: f64) -> Result<(), EngineError> {
        let n = ctx.degrees_of_freedom;
        if n < 1.0 {
            return Ok(());
        }
        let target = 0.5 * self.kt.at(ctx.progress); // K̄ / N
        let kinetic = kinetic_energy(ctx.system, ctx.state);
        if kinetic == 0.0 {
            return if target == 0.0 { Ok(()) } else { Err(at_rest("bussi")) };
        }
        let mut numbers = ctx.rng.sequence(Stream::Bussi, ctx.state.step, ctx.substep);
        let c = (-dt / self.relaxation).exp();
        let spread = -(-dt / self.relaxation).exp_m1() * target / kinetic; // (1 - c) K̄ / (N K)
        let r = numbers.normal();
        let squares = r * r + numbers.chi_squared(n - 1.0);
        let squared = c + spread * squares + 2.0 * r * (c * spread).sqrt();
        let sign = if r * spread.sqrt() + c.sqrt() < 0.0 { -1.0 } else { 1.0 };
        self.given += rescale(ctx.state, kinetic, sign * squared.max(0.0).sqrt());
        Ok(())
    }
    fn bath_energy(&self, _system: &System, _state: &State) -> f64 {
        -self.given
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("bussi")?;
        archive.f64(&mut self.given)
    }
}
