//! Removal of the motion of the whole system.
use crate::{Archive, ArchiveError, Ctx, EngineError, Mat3, Op, State, System, Vec3, parallel};

/// Removal "M" of the centre-of-mass velocity, and on request of the rotation about the centre of mass, at every
/// n-th step: v_i -= P / M, then v_i -= ω x (r_i - R) with ω = I⁻¹ L.
///
/// P -> total momentum, M -> total mass, R -> centre of mass, L -> angular momentum, I -> inertia tensor (its
/// pseudo-inverse, for linear molecules). Rotation makes sense for open systems alone. Without fixed atoms.
pub struct RemoveMomentum {
    every: u64,
    angular: bool,
    removed: f64,
}

impl RemoveMomentum {
    /// At every `every`-th step (at least 1).
    pub fn new(every: u64, angular: bool) -> Self {
        Self { every: every.max(1), angular, removed: 0.0 }
    }
}

/// Sets the total momentum to zero; returns the kinetic energy removed. Does nothing when atoms are fixed.
pub fn remove_linear(system: &System, state: &mut State) -> f64 {
    if system.fixed() > 0 || state.is_empty() {
        return 0.0;
    }
    let m = system.masses();
    let mass = parallel::sum(m.len(), 0.0, |i| m[i]);
    let v = state.velocities();
    let momentum = parallel::sum(m.len(), Vec3::zeros(), |i| v[i] * m[i]);
    let drift = momentum / mass;
    parallel::for_each_mut(state.velocities_mut(), |_, v| *v -= drift);
    0.5 * momentum.norm_squared() / mass
}

/// Sets the angular momentum about the centre of mass to zero; returns the kinetic energy removed. Does nothing
/// when atoms are fixed.
pub fn remove_angular(system: &System, state: &mut State) -> f64 {
    if system.fixed() > 0 || state.is_empty() {
        return 0.0;
    }
    let m = system.masses();
    let n = m.len();
    let (r, v) = (state.positions(), state.velocities());
    let mass = parallel::sum(n, 0.0, |i| m[i]);
    let center = parallel::sum(n, Vec3::zeros(), |i| r[i] * m[i]) / mass;
    let angular = parallel::sum(n, Vec3::zeros(), |i| (r[i] - center).cross(&v[i]) * m[i]);
    let inertia = parallel::sum(n, Mat3::zeros(), |i| {
        let d = r[i] - center;
        (Mat3::identity() * d.norm_squared() - d * d.transpose()) * m[i]
    });
    let eigen = inertia.symmetric_eigen();
    let largest = eigen.eigenvalues.amax();
    let omega = (0..3)
        .filter(|&k| eigen.eigenvalues[k] > 1e-10 * largest)
        .map(|k| {
            eigen.eigenvectors.column(k) * (eigen.eigenvectors.column(k).dot(&angular) / eigen.eigenvalues[k])
        })
        .fold(Vec3::zeros(), |s, x| s + x);
    let (positions, velocities) = state.positions_and_velocities_mut();
    parallel::for_each_mut(velocities, |i, v| *v -= omega.cross(&(positions[i] - center)));
    0.5 * omega.dot(&angular)
}

impl Op for RemoveMomentum {
    fn symbol(&self) -> &'static str {
        "M"
    }
    fn apply(&mut self, ctx: &mut Ctx<'_>, _dt: f64) -> Result<(), EngineError> {
        if ctx.state.step.is_multiple_of(self.every) {
            self.removed += remove_linear(ctx.system, ctx.state);
            if self.angular {
                self.removed += remove_angular(ctx.system, ctx.state);
            }
        }
        Ok(())
    }
    fn removed_degrees(&self) -> usize {
        if self.angular { 6 } else { 3 }
    }
    fn bath_energy(&self, _system: &System, _state: &State) -> f64 {
        self.removed
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("remove_momentum")?;
        archive.f64(&mut self.removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::kinetic_energy;
    use crate::{Cell, Species, Stream, Streams};

    #[test]
    fn momentum_and_rotation_vanish_and_their_energy_is_counted() {
        let rng = Streams { seed: 3 };
        let species = vec![Species { symbol: "X".into(), number: None, mass: 2.0 }];
        let mut system = System::new(species, vec![0; 12]);
        system.set_masses((0..12).map(|i| 1.0 + 0.3 * f64::from(i)).collect());
        let random = |s| (0..12).map(|i| rng.normal3(Stream::Test, s, 0, i)).collect::<Vec<_>>();
        let mut state = State::new(random(0), random(1), Cell::open());
        let before = kinetic_energy(&system, &state);
        let mut removed = remove_linear(&system, &mut state);
        removed += remove_angular(&system, &mut state);
        assert!((before - removed - kinetic_energy(&system, &state)).abs() < 1e-12 * before);
        assert!(removed > 0.01 * before);
        assert!(remove_linear(&system, &mut state).abs() + remove_angular(&system, &mut state).abs() < 1e-25);
    }
}
