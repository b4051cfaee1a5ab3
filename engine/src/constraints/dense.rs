//! Small clusters of coupled constraints by Newton's method with a dense matrix (M-SHAKE).
use super::{Broken, Pair, Worst};
use crate::Vec3;

/// Constraints of a cluster at most.
pub const MAX: usize = 8;
const ATOMS: usize = MAX + 1;
/// Newton's method converges quadratically: a step that needs more is hopeless.
const ITERATIONS: usize = 30;
/// Pivots below this part of their diagonal mean that a constraint depends on the others.
const SINGULAR: f64 = 1e-11;

type Matrix = [[f64; MAX]; MAX];

/// A cluster: its atoms by their places in the block, its pairs by their places in `atoms`.
#[derive(Clone, Debug)]
pub struct Small {
    atoms: [u32; ATOMS],
    inverse: [f64; ATOMS],
    pairs: [Pair; MAX],
    m: usize,
    n: usize,
}

impl Small {
    /// From the places of the atoms in the block (ascending) and the pairs of such places.
    pub fn new(members: &[u32], pairs: &[Pair], inverse: &[f64]) -> Self {
        let mut this = Self {
            atoms: [0; ATOMS],
            inverse: [0.0; ATOMS],
            pairs: [Pair { i: 0, j: 0, d2: 1.0 }; MAX],
            m: members.len(),
            n: pairs.len(),
        };
        this.atoms[..members.len()].copy_from_slice(members);
        let place = |a: u32| members.iter().position(|&b| b == a).unwrap_or_default() as u32;
        for (to, p) in this.pairs.iter_mut().zip(pairs) {
            *to = Pair { i: place(p.i), j: place(p.j), d2: p.d2 };
        }
        for (w, &a) in this.inverse.iter_mut().zip(members) {
            *w = inverse[a as usize];
        }
        this
    }
    fn load(&self, from: &[Vec3]) -> [Vec3; ATOMS] {
        let mut x = [Vec3::zeros(); ATOMS];
        for k in 0..self.m {
            x[k] = from[self.atoms[k] as usize];
        }
        x
    }
    fn differences(&self, x: &[Vec3; ATOMS]) -> [Vec3; MAX] {
        let mut d = [Vec3::zeros(); MAX];
        for (d, p) in d.iter_mut().zip(&self.pairs[..self.n]) {
            *d = x[p.i as usize] - x[p.j as usize];
        }
        d
    }
    fn broken(&self, k: usize, error: f64) -> Broken {
        let p = &self.pairs[k];
        Broken { atoms: [p.i, p.j].map(|a| self.atoms[a as usize] as usize), error }
    }
    /// Adds M⁻¹ Σ x_k ∇σ_k for gradients along `s`.
    fn push(&self, r: &mut [Vec3; ATOMS], s: &[Vec3; MAX], x: &[f64; MAX]) {
        for k in 0..self.n {
            let p = &self.pairs[k];
            r[p.i as usize] += s[k] * (x[k] * self.inverse[p.i as usize]);
            r[p.j as usize] -= s[k] * (x[k] * self.inverse[p.j as usize]);
        }
    }
    /// Brings `r` to the distances along the gradients `s`.
    fn solve(&self, r: &mut [Vec3; ATOMS], s: &[Vec3; MAX], tolerance: f64) -> Result<(), Broken> {
        let mut worst = Worst::UNKNOWN;
        for _ in 0..ITERATIONS {
            let d = self.differences(r);
            let mut x = [0.0; MAX];
            worst = Worst::default();
            for k in 0..self.n {
                x[k] = -worst.add(k, &self.pairs[k], &d[k]);
            }
            if worst.error <= tolerance {
                return Ok(());
            }
            if !worst.error.is_finite() {
                break;
            }
            let mut a: Matrix = [[0.0; MAX]; MAX];
            for k in 0..self.n {
                for l in 0..self.n {
                    a[k][l] = self.pairs[k].coupling(&self.pairs[l], &self.inverse) * d[k].dot(&s[l]);
                }
            }
            eliminate(&mut a, &mut x, self.n).map_err(|k| self.broken(k, worst.error))?;
            self.push(r, s, &x);
        }
        Err(self.broken(worst.pair, worst.error))
    }
    /// See [`super::Constraints::drift`].
    pub fn drift(&self, r: &mut [Vec3], v: &mut [Vec3], dt: f64, tolerance: f64) -> Result<(), Broken> {
        let old = self.load(r);
        let s = self.differences(&old);
        let mut new = self.load(v);
        for k in 0..self.m {
            new[k] = old[k] + new[k] * dt;
        }
        self.solve(&mut new, &s, tolerance)?;
        for k in 0..self.m {
            let a = self.atoms[k] as usize;
            v[a] = (new[k] - old[k]) / dt;
            r[a] = new[k];
        }
        Ok(())
    }
    /// See [`super::Constraints::project`].
    pub fn project(&self, r: &[Vec3], v: &mut [Vec3]) -> Result<(), Broken> {
        let s = self.differences(&self.load(r));
        let mut u = self.load(v);
        let du = self.differences(&u);
        let mut a: Matrix = [[0.0; MAX]; MAX];
        let mut x = [0.0; MAX];
        for k in 0..self.n {
            x[k] = -s[k].dot(&du[k]);
            for l in 0..self.n {
                a[k][l] = self.pairs[k].coupling(&self.pairs[l], &self.inverse) * s[k].dot(&s[l]);
            }
        }
        eliminate(&mut a, &mut x, self.n).map_err(|k| self.broken(k, f64::NAN))?;
        self.push(&mut u, &s, &x);
        for k in 0..self.m {
            v[self.atoms[k] as usize] = u[k];
        }
        Ok(())
    }
    /// See [`super::Constraints::constrain`].
    pub fn constrain(&self, r: &mut [Vec3], tolerance: f64) -> Result<(), Broken> {
        let mut x = self.load(r);
        let s = self.differences(&x);
        self.solve(&mut x, &s, tolerance)?;
        for k in 0..self.m {
            r[self.atoms[k] as usize] = x[k];
        }
        Ok(())
    }
}

/// Solves a x = b in place for the leading n rows; the matrix is symmetric and positive definite but for the turn of the
/// bonds within a step, so no pivoting is needed. The error is the row whose constraint depends on those before.
fn eliminate(a: &mut Matrix, b: &mut [f64; MAX], n: usize) -> Result<(), usize> {
    for k in 0..n {
        let diagonal = a[k][k];
        for l in 0..k {
            let f = a[k][l];
            for c in l + 1..n {
                a[k][c] -= f * a[l][c];
            }
            b[k] -= f * b[l];
        }
        let pivot = a[k][k];
        if pivot.is_nan() || pivot.abs() <= SINGULAR * diagonal.abs() {
            return Err(k);
        }
        let inverse = 1.0 / pivot;
        for c in k + 1..n {
            a[k][c] *= inverse;
        }
        b[k] *= inverse;
    }
    for k in (0..n).rev() {
        for c in k + 1..n {
            b[k] -= a[k][c] * b[c];
        }
    }
    Ok(())
}
