//! FIRE: molecular dynamics that is steered downhill.
use super::minimizer::Place;
use super::{Coordinates, add_scaled, dot};
use crate::{Archive, ArchiveError, Ctx, EngineError, parallel};

/// The fast inertial relaxation engine, in the form of FIRE 2.0.
///
/// With F = -∂H/∂q, unit masses and semi-implicit Euler steps: v ← v + Δt F, v ← (1 - α) v + α |v| F/|F|,
/// q ← q + Δt v. While P = F · v > 0 for more than `delay` steps, Δt grows by `grow` and α falls by `fade`; at
/// P ≤ 0 the last half step is taken back, v = 0, Δt shrinks by `shrink` and α is reset.
/// Sources: Bitzek, Koskinen, Gähler, Moseler, Gumbsch, Phys. Rev. Lett. 97, 170201 (2006),
/// doi:10.1103/PhysRevLett.97.170201; Guénolé et al., Comput. Mater. Sci. 175, 109584 (2020),
/// doi:10.1016/j.commatsci.2020.109584.
#[derive(Clone, Debug)]
pub struct Fire {
    max_step: f64,
    v: Vec<f64>,
    dt: f64,
    alpha: f64,
    downhill: u64,
    steps: u64,
}

/// First time step, Å sqrt(u/eV) for a mass of 1 u.
const START: f64 = 0.1;
const LONGEST: f64 = 10.0 * START;
const SHORTEST: f64 = 0.02 * START;
const DELAY: u64 = 20;
const GROW: f64 = 1.1;
const SHRINK: f64 = 0.5;
const ALPHA: f64 = 0.25;
const FADE: f64 = 0.99;

impl Fire {
    /// FIRE with a largest move per step, Å.
    pub fn new(max_step: f64) -> Self {
        Self { max_step, v: Vec::new(), dt: START, alpha: ALPHA, downhill: 0, steps: 0 }
    }
    /// One step; always moves.
    pub(super) fn step(
        &mut self,
        ctx: &mut Ctx<'_>,
        coordinates: &mut Coordinates,
        place: &mut Place,
    ) -> Result<bool, EngineError> {
        let Place { q, gradient: g, point } = place;
        self.v.resize(q.len(), 0.0);
        let power = -dot(g, &self.v);
        let at_rest = self.v.iter().all(|v| *v == 0.0);
        if power > 0.0 {
            self.downhill += 1;
            if self.downhill > DELAY {
                self.dt = (self.dt * GROW).min(LONGEST);
                self.alpha *= FADE;
            }
        } else if !at_rest {
            self.downhill = 0;
            if self.steps >= DELAY && self.dt * SHRINK >= SHORTEST {
                self.dt *= SHRINK;
            }
            self.alpha = ALPHA;
            // back by half a step, no further than the last one went
            let back = self.limited(coordinates);
            add_scaled(q, -0.5 * back, &self.v);
            self.v.fill(0.0);
            *point = coordinates.evaluate(ctx, q, g)?;
        }
        add_scaled(&mut self.v, -self.dt, g);
        let (vv, gg) = (dot(&self.v, &self.v), dot(g, g));
        if gg > 0.0 {
            let (keep, turn) = (1.0 - self.alpha, -self.alpha * (vv / gg).sqrt());
            parallel::for_each_mut(&mut self.v, |i, v| *v = keep * *v + turn * g[i]);
        }
        let dt = self.limited(coordinates);
        add_scaled(q, dt, &self.v);
        *point = coordinates.evaluate(ctx, q, g)?;
        self.steps += 1;
        Ok(true)
    }
    /// The time step, shortened so that nothing moves further than allowed.
    fn limited(&self, coordinates: &Coordinates) -> f64 {
        let fastest = coordinates.longest(&self.v);
        if fastest * self.dt > self.max_step { self.max_step / fastest } else { self.dt }
    }
    pub(super) fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.f64_vec(&mut self.v)?;
        archive.f64(&mut self.dt)?;
        archive.f64(&mut self.alpha)?;
        archive.u64(&mut self.downhill)?;
        archive.u64(&mut self.steps)
    }
}
