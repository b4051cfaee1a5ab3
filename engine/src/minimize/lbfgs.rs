//! L-BFGS: quasi-Newton steps from the last gradients, with a step limit and a backtracking line search.
use super::minimizer::Place;
use super::{Coordinates, add_scaled, dot};
use crate::{Archive, ArchiveError, Ctx, EngineError, parallel};

/// A step s = q' - q with the change y of the gradient along it and 1/(s · y).
#[derive(Clone, Debug, Default)]
struct Pair {
    s: Vec<f64>,
    y: Vec<f64>,
    rho: f64,
}

/// Limited-memory BFGS.
///
/// The direction d = -B g comes from the two-loop recursion over the last `PAIRS` pairs. The step t d starts at t = 1,
/// shortened so that nothing moves further than `max_step`, and is accepted when
/// the enthalpy falls enough (Armijo, 10⁻⁴), or when it does not rise beyond rounding and the slope along d shrank
/// (the approximate Wolfe condition of Hager and Zhang, which still works where energy differences drown in
/// rounding); else t is shortened by interpolating the slope. A geometry that a potential
/// refuses counts as a rise. After some shortenings a fall of the gradient norm suffices, so that energy jumps of
/// a truncated potential cannot block the way.
/// Sources: Liu, Nocedal, Math. Program. 45, 503 (1989), doi:10.1007/BF01589116; Hager, Zhang, SIAM J. Optim. 16,
/// 170 (2005), doi:10.1137/030601880.
#[derive(Clone, Debug)]
pub struct Lbfgs {
    max_step: f64,
    /// Oldest first.
    pairs: Vec<Pair>,
    spare: Vec<Pair>,
    /// Step per gradient without memory, Å²/eV.
    first: f64,
    direction: Vec<f64>,
    trial: Vec<f64>,
    trial_gradient: Vec<f64>,
}

const PAIRS: usize = 20;
/// Without memory a step is gradient / 70 eV/Å², the stiffness of a stiff bond.
const STIFFNESS: f64 = 70.0;
const TRIALS: usize = 16;
const ARMIJO: f64 = 1e-4;

impl Lbfgs {
    /// L-BFGS with a largest move per iteration, Å.
    pub fn new(max_step: f64) -> Self {
        Self {
            max_step,
            pairs: Vec::with_capacity(PAIRS),
            spare: Vec::with_capacity(PAIRS),
            first: 1.0 / STIFFNESS,
            direction: Vec::new(),
            trial: Vec::new(),
            trial_gradient: Vec::new(),
        }
    }
    /// One iteration; false when no step improves anything, with the state back where it was.
    pub(super) fn step(
        &mut self,
        ctx: &mut Ctx<'_>,
        coordinates: &mut Coordinates,
        place: &mut Place,
    ) -> Result<bool, EngineError> {
        let n = place.q.len();
        for v in [&mut self.direction, &mut self.trial, &mut self.trial_gradient] {
            v.resize(n, 0.0);
        }
        loop {
            self.find_direction(&place.gradient);
            let longest = coordinates.longest(&self.direction);
            if longest > self.max_step {
                let scale = self.max_step / longest;
                parallel::for_each_mut(&mut self.direction, |_, d| *d *= scale);
            }
            if let Some(t) = self.search(ctx, coordinates, place)? {
                self.remember((!coordinates.is_constrained()).then_some(t), place);
                return Ok(true);
            }
            if self.pairs.is_empty() {
                // leave the state at the best point
                place.point = coordinates.evaluate(ctx, &mut place.q, &mut place.gradient)?;
                return Ok(false);
            }
            self.forget();
        }
    }
    fn forget(&mut self) {
        self.spare.append(&mut self.pairs);
    }
    /// d = -B g by the two-loop recursion; falls back to steepest descent when that leads uphill.
    fn find_direction(&mut self, g: &[f64]) {
        let mut alpha = [0.0; PAIRS];
        let d = &mut self.direction;
        parallel::for_each_mut(d, |i, d| *d = -g[i]);
        for (k, p) in self.pairs.iter().enumerate().rev() {
            alpha[k] = p.rho * dot(&p.s, d);
            add_scaled(d, -alpha[k], &p.y);
        }
        let scale = self.pairs.last().map_or(self.first, |p| 1.0 / (p.rho * dot(&p.y, &p.y)));
        parallel::for_each_mut(d, |_, d| *d *= scale);
        for (k, p) in self.pairs.iter().enumerate() {
            let beta = p.rho * dot(&p.y, d);
            add_scaled(d, alpha[k] - beta, &p.s);
        }
        let slope = dot(d, g);
        if slope.is_nan() || slope >= 0.0 {
            self.forget();
            let first = self.first;
            parallel::for_each_mut(&mut self.direction, |i, d| *d = -first * g[i]);
        }
    }
    /// Moves `place` along the direction and returns the accepted t; leaves the old gradient in `trial_gradient`.
    fn search(
        &mut self,
        ctx: &mut Ctx<'_>,
        coordinates: &mut Coordinates,
        place: &mut Place,
    ) -> Result<Option<f64>, EngineError> {
        let (h, slope) = (place.point.enthalpy, dot(&self.direction, &place.gradient));
        let norm = dot(&place.gradient, &place.gradient);
        let rounding = 1e-13 * (h.abs() + place.q.len() as f64 * f64::EPSILON);
        let mut t = 1.0;
        for k in 0..TRIALS {
            let (q, d) = (&place.q, &self.direction);
            parallel::for_each_mut(&mut self.trial, |i, x| *x = q[i] + t * d[i]);
            let found = match coordinates.evaluate(ctx, &mut self.trial, &mut self.trial_gradient) {
                Ok(point) => Some(point),
                // a wall: shorten, and report it only when even a tiny step fails
                Err(e) if k + 1 == TRIALS => return Err(e),
                Err(EngineError::Potential(_) | EngineError::Cell(_) | EngineError::Diverged { .. }) => None,
                Err(e) => return Err(e),
            };
            let mut shorter = 0.1;
            if let Some(point) = found {
                let rise = point.enthalpy - h;
                let new_slope = dot(d, &self.trial_gradient);
                let enough = rise <= ARMIJO * t * slope;
                let flat = rise <= rounding && new_slope <= (2.0 * ARMIJO - 1.0) * slope;
                let calmer = k >= 4 && dot(&self.trial_gradient, &self.trial_gradient) < norm;
                if enough || flat || calmer {
                    std::mem::swap(&mut place.q, &mut self.trial);
                    std::mem::swap(&mut place.gradient, &mut self.trial_gradient);
                    place.point = point;
                    return Ok(Some(t));
                }
                if new_slope > 0.0 {
                    shorter = (slope / (slope - new_slope)).clamp(0.1, 0.5);
                }
            }
            t *= shorter;
        }
        Ok(None)
    }
    /// Keeps the pair of the step t d, or of what constraints made of it; `trial` and `trial_gradient` are what was before it.
    fn remember(&mut self, t: Option<f64>, place: &Place) {
        let (q, g) = (&place.q, &place.gradient);
        let mut pair = if self.pairs.len() == PAIRS {
            self.pairs.remove(0)
        } else {
            self.spare.pop().unwrap_or_default()
        };
        pair.s.resize(g.len(), 0.0);
        pair.y.resize(g.len(), 0.0);
        let (d, before, old) = (&self.direction, &self.trial, &self.trial_gradient);
        match t {
            Some(t) => parallel::for_each_mut(&mut pair.s, |i, s| *s = t * d[i]),
            None => parallel::for_each_mut(&mut pair.s, |i, s| *s = q[i] - before[i]),
        }
        parallel::for_each_mut(&mut pair.y, |i, y| *y = g[i] - old[i]);
        let (sy, ss, yy) = (dot(&pair.s, &pair.y), dot(&pair.s, &pair.s), dot(&pair.y, &pair.y));
        if sy > 1e-9 * (ss * yy).sqrt() {
            pair.rho = 1.0 / sy;
            self.pairs.push(pair);
        } else {
            // negative curvature: the quadratic model is wrong here, go on with longer plain steps
            self.spare.push(pair);
            self.forget();
            self.first = (2.0 * self.first).min(1e3 / STIFFNESS);
        }
    }
    pub(super) fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.f64(&mut self.first)?;
        let mut n = self.pairs.len() as u64;
        archive.u64(&mut n)?;
        if n > PAIRS as u64 {
            return Err(ArchiveError::Invalid { section: "pairs".into() });
        }
        self.pairs.resize(n as usize, Pair::default());
        for p in &mut self.pairs {
            archive.f64_vec(&mut p.s)?;
            archive.f64_vec(&mut p.y)?;
            archive.f64(&mut p.rho)?;
        }
        Ok(())
    }
}
