//! Velocities drawn from the Maxwell-Boltzmann distribution.
use crate::{Stream, Streams, System, Vec3};

/// Velocities v = √(k_B T/m) times standard normal numbers, without what would change a constrained distance, scaled so that the
/// temperature of the degrees of freedom is exactly T.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxwellBoltzmann {
    /// k_B T, eV.
    pub kt: f64,
    /// Seed of its own, in place of that of the run.
    pub seed: Option<u64>,
    /// Takes out the velocity of the centre of mass; without effect beside fixed atoms.
    pub remove_momentum: bool,
}

/// Why velocities cannot be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VelocityError {
    /// Constraints that contradict or repeat each other.
    #[error("the constraint of atoms {} and {} depends on other constraints", .0[0], .0[1])]
    Dependent([usize; 2]),
    /// Nothing can move.
    #[error("no degree of freedom is left to carry a temperature")]
    NoFreedom,
}

impl MaxwellBoltzmann {
    /// True when the total momentum of what it draws is zero.
    pub fn is_at_rest(&self, system: &System) -> bool {
        self.kt == 0.0 || self.remove_momentum && system.fixed() == 0
    }
    /// Draws velocities. `rng` belongs to the run; draws of different numbers `draw` are independent.
    ///
    /// # Errors
    /// When nothing can move, or constraints depend on each other.
    pub fn draw(
        &self,
        system: &System,
        positions: &[Vec3],
        rng: Streams,
        draw: u64,
    ) -> Result<Vec<Vec3>, VelocityError> {
        let random = Streams { seed: self.seed.unwrap_or(rng.seed) };
        let mut v: Vec<Vec3> = (0..system.len())
            .map(|i| {
                let scale = (self.kt * system.inverse_masses()[i]).sqrt();
                scale * random.normal3(Stream::Velocities, draw, 0, i as u64)
            })
            .collect();
        let removed = self.remove_momentum && system.fixed() == 0;
        if removed {
            let center = momentum(system, &v) / system.masses().iter().sum::<f64>();
            v.iter_mut().for_each(|v| *v -= center);
        }
        project(system, positions, &mut v)?;
        let freedom = system.degrees_of_freedom(removed) as f64;
        if self.kt == 0.0 {
            return Ok(v);
        }
        let kinetic: f64 = v.iter().zip(system.masses()).map(|(v, m)| 0.5 * m * v.norm_squared()).sum();
        if freedom == 0.0 || kinetic <= 0.0 {
            return Err(VelocityError::NoFreedom);
        }
        let scale = (0.5 * freedom * self.kt / kinetic).sqrt();
        v.iter_mut().for_each(|v| *v *= scale);
        Ok(v)
    }
}

/// Takes out what would change a constrained distance; the total momentum stays.
///
/// # Errors
/// When constraints depend on each other.
pub fn project(system: &System, positions: &[Vec3], v: &mut [Vec3]) -> Result<(), VelocityError> {
    system.solver().project(positions, v).map_err(|e| VelocityError::Dependent(e.atoms))?;
    system.topology().virtual_sites().iter().for_each(|s| v[s.site as usize] = Vec3::zeros());
    Ok(())
}

/// Total momentum Σ m v.
pub fn momentum(system: &System, v: &[Vec3]) -> Vec3 {
    v.iter().zip(system.masses()).fold(Vec3::zeros(), |p, (v, m)| p + *m * v)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Species;

    fn draw(fixed: &[u32], remove_momentum: bool, number: u64) -> (System, Vec<Vec3>) {
        let species =
            [("A", 1.0), ("B", 40.0)].map(|(s, mass)| Species { symbol: s.into(), number: None, mass });
        let mut system = System::new(species.to_vec(), (0..1000).map(|i| i % 2).collect());
        system.fix(fixed);
        let what = MaxwellBoltzmann { kt: 1.5, seed: Some(3), remove_momentum };
        let v = what.draw(&system, &[], Streams { seed: 0 }, number).unwrap();
        (system, v)
    }

    #[test]
    fn the_temperature_is_exact() {
        for (fixed, remove) in [(&[][..], true), (&[][..], false), (&[0, 7][..], true)] {
            let (system, v) = draw(fixed, remove, 0);
            let kinetic: f64 = v.iter().zip(system.masses()).map(|(v, m)| 0.5 * m * v.norm_squared()).sum();
            let t = 2.0 * kinetic / system.degrees_of_freedom(remove) as f64;
            assert!((t - 1.5).abs() < 1e-12, "{t}");
            assert!(fixed.iter().all(|&i| v[i as usize] == Vec3::zeros()));
            if remove && fixed.is_empty() {
                assert!(momentum(&system, &v).norm() < 1e-10);
            }
        }
    }

    #[test]
    fn draws_of_different_numbers_are_independent() {
        let (a, b) = (draw(&[], true, 1).1, draw(&[], true, 2).1);
        let correlation: f64 = a.iter().zip(&b).map(|(a, b)| a.dot(b)).sum::<f64>()
            / a.iter().map(|a| a.norm_squared()).sum::<f64>();
        assert!(correlation.abs() < 0.1, "{correlation}");
        assert_eq!(a, draw(&[], true, 1).1);
    }

    #[test]
    fn the_distribution_is_maxwell_boltzmann() {
        let (system, v) = draw(&[], true, 0);
        for species in 0..2u16 {
            let of = |f: &dyn Fn(f64) -> f64| {
                let x: Vec<f64> = (0..1000usize)
                    .filter(|&i| system.types()[i] == species)
                    .flat_map(|i| {
                        v[i].iter()
                            .map(|x| f(x * system.masses()[i].sqrt() / 1.5f64.sqrt()))
                            .collect::<Vec<_>>()
                    })
                    .collect();
                x.iter().sum::<f64>() / x.len() as f64
            };
            // 1500 standard normal numbers: moments 0, 1, 3 within five standard errors
            assert!(of(&|x| x).abs() < 5.0 / 1500f64.sqrt());
            assert!((of(&|x| x * x) - 1.0).abs() < 5.0 * (2.0 / 1500.0f64).sqrt());
            assert!((of(&|x| x.powi(4)) - 3.0).abs() < 5.0 * (96.0 / 1500.0f64).sqrt());
        }
    }
}
