//! Real solid harmonics of a direction, without normalisation, as NEP uses them.
//!
//! For a unit vector (x, y, z): Y_l0 = P_l0(z), and for m > 0 the pair Y_lm = P_lm(z) (Re, Im) (x + i y)^m. P_lm is the m-th derivative
//! of the Legendre polynomial P_l over its common factor λ_lm, so that its coefficients are whole numbers without common
//! divisor. With C_lm = (2l + 1)/(4π) (l − m)!/(l + m)! λ_lm², doubled for m > 0,
//!
//! Σ_m C_lm Y_lm(u) Y_lm(v) = (2l + 1)/(4π) P_l(u·v).
use crate::simd::Lanes;
use std::f64::consts::PI;

/// P_lm(z) = z^odd Σ_j c_j z^2j.
#[derive(Clone, Debug)]
struct Polynomial {
    m: usize,
    odd: bool,
    coefficients: Vec<f64>,
    /// Place of the first component.
    at: usize,
}

/// The harmonics of l = 1 to `l_max`; components are ordered by l, then m = 0, Re 1, Im 1, Re 2, ...
#[derive(Clone, Debug)]
pub(super) struct Harmonics {
    polynomials: Vec<Polynomial>,
    l_max: usize,
    /// C_lm of every component.
    pub weights: Vec<f64>,
    /// l − 1 of every component.
    pub degree: Vec<usize>,
}

/// Highest degree.
pub(super) const L_MAX: usize = 8;

fn factorial(n: usize) -> f64 {
    (1..=n).map(|k| k as f64).product()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Coefficients of 2^l d^m P_l/dz^m by the power of z.
fn legendre(l: usize, m: usize) -> Vec<i64> {
    let mut c = vec![0_i64; l + 1];
    for k in 0..=l / 2 {
        let value = factorial(2 * l - 2 * k) / (factorial(k) * factorial(l - k) * factorial(l - 2 * k));
        c[l - 2 * k] = if k % 2 == 0 { value.round() as i64 } else { -(value.round() as i64) };
    }
    for _ in 0..m {
        c = c.iter().enumerate().skip(1).map(|(p, x)| p as i64 * x).collect();
    }
    c
}

impl Harmonics {
    pub fn new(l_max: usize) -> Self {
        let mut new = Self { polynomials: Vec::new(), l_max, weights: Vec::new(), degree: Vec::new() };
        for l in 1..=l_max {
            for m in 0..=l {
                let c = legendre(l, m);
                let common = c.iter().fold(0, |g, x| gcd(g, x.unsigned_abs()));
                let odd = (l - m) % 2 == 1;
                let coefficients: Vec<f64> =
                    c.iter().skip(usize::from(odd)).step_by(2).map(|x| (x / common as i64) as f64).collect();
                let lambda = common as f64 / (1_u64 << l) as f64;
                let weight =
                    (2 * l + 1) as f64 / (4.0 * PI) * factorial(l - m) / factorial(l + m) * lambda * lambda;
                new.polynomials.push(Polynomial { m, odd, coefficients, at: new.weights.len() });
                for _ in 0..if m == 0 { 1 } else { 2 } {
                    new.weights.push(if m == 0 { weight } else { 2.0 * weight });
                    new.degree.push(l - 1);
                }
            }
        }
        new
    }
    /// Number of components.
    pub fn len(&self) -> usize {
        self.weights.len()
    }
    /// The components for eight unit vectors.
    #[inline(always)]
    pub fn values<V: Lanes>(&self, [x, y, z]: [V; 3], mut set: impl FnMut(usize, V)) {
        let (re, im) = self.powers(x, y);
        let zz = z * z;
        for p in &self.polynomials {
            let value = p.value(z, zz);
            if p.m == 0 {
                set(p.at, value);
            } else {
                set(p.at, value * re[p.m]);
                set(p.at + 1, value * im[p.m]);
            }
        }
    }
    /// Σ_c b_c ∇Y_c, with x, y, z as if they were independent.
    #[inline(always)]
    pub fn gradient<V: Lanes>(&self, [x, y, z]: [V; 3], bar: impl Fn(usize) -> V) -> [V; 3] {
        let (re, im) = self.powers(x, y);
        let zz = z * z;
        let mut g = [V::splat(0.0); 3];
        for p in &self.polynomials {
            let slope = p.slope(z, zz);
            if p.m == 0 {
                g[2] = slope.mul_add(bar(p.at), g[2]);
                continue;
            }
            let (a, b) = (bar(p.at), bar(p.at + 1));
            let value = p.value(z, zz) * V::splat(p.m as f64);
            let (lower_re, lower_im) = (re[p.m - 1], im[p.m - 1]);
            g[0] = value.mul_add(a * lower_re + b * lower_im, g[0]);
            g[1] = value.mul_add(b * lower_re - a * lower_im, g[1]);
            g[2] = slope.mul_add(a * re[p.m] + b * im[p.m], g[2]);
        }
        g
    }
    /// Re and Im of (x + i y)^m.
    #[inline(always)]
    fn powers<V: Lanes>(&self, x: V, y: V) -> ([V; L_MAX + 1], [V; L_MAX + 1]) {
        let (mut re, mut im) = ([V::splat(1.0); L_MAX + 1], [V::splat(0.0); L_MAX + 1]);
        for m in 1..=self.l_max {
            re[m] = re[m - 1] * x - im[m - 1] * y;
            im[m] = re[m - 1] * y + im[m - 1] * x;
        }
        (re, im)
    }
}

impl Polynomial {
    #[inline(always)]
    fn value<V: Lanes>(&self, z: V, zz: V) -> V {
        let mut sum = V::splat(0.0);
        for c in self.coefficients.iter().rev() {
            sum = sum.mul_add(zz, V::splat(*c));
        }
        if self.odd { sum * z } else { sum }
    }
    #[inline(always)]
    fn slope<V: Lanes>(&self, z: V, zz: V) -> V {
        let first = usize::from(self.odd);
        let mut sum = V::splat(0.0);
        for (j, c) in self.coefficients.iter().enumerate().rev() {
            let power = 2 * j + first;
            if power > 0 {
                sum = sum.mul_add(zz, V::splat(power as f64 * c));
            }
        }
        // without the constant, the sum of even powers begins with z
        if self.odd { sum } else { sum * z }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;

    #[test]
    fn weights_are_those_of_the_publication() {
        let h = Harmonics::new(4);
        let listed = [
            0.238_732_414_637_843,
            2.0 * 0.119_366_207_318_922,
            2.0 * 0.119_366_207_318_922,
            0.099_471_839_432_435,
            2.0 * 0.596_831_036_594_608,
            2.0 * 0.596_831_036_594_608,
            2.0 * 0.149_207_759_148_652,
        ];
        for (a, b) in h.weights.iter().zip(listed) {
            assert!((a - b).abs() < 1e-14, "{a} {b}");
        }
        assert!((h.weights[15] - 0.011_190_581_936_149).abs() < 1e-15);
        assert!((h.weights[23] - 2.0 * 0.195_835_183_882_606).abs() < 1e-14);
    }

    #[test]
    fn sums_over_m_are_legendre_polynomials_and_gradients_are_derivatives() {
        let h = Harmonics::new(L_MAX);
        let unit = |t: f64, p: f64| [t.sin() * p.cos(), t.sin() * p.sin(), t.cos()];
        let values = |v: [f64; 3]| {
            let mut out = vec![0.0; h.len()];
            h.values(v.map(Portable::splat), |c, y| out[c] = y.to_array()[0]);
            out
        };
        let (u, v) = (unit(0.7, 1.9), unit(2.1, -0.4));
        let cos = u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
        let (a, b) = (values(u), values(v));
        for l in 1..=L_MAX {
            let p: f64 = legendre(l, 0).iter().enumerate().map(|(k, c)| *c as f64 * cos.powi(k as i32)).sum();
            let expected = (2 * l + 1) as f64 / (4.0 * PI) * p / (1_u64 << l) as f64;
            let terms = (0..h.len()).filter(|c| h.degree[*c] == l - 1);
            let sum: f64 = terms.map(|c| h.weights[c] * a[c] * b[c]).sum();
            assert!((sum - expected).abs() < 1e-12, "l = {l}: {sum} {expected}");
        }
        for c in 0..h.len() {
            let one = |k: usize| Portable::splat(f64::from(u8::from(k == c)));
            let g = h.gradient(u.map(Portable::splat), one).map(|x| x.to_array()[0]);
            for k in 0..3 {
                let step = |s: f64| {
                    let mut moved = u;
                    moved[k] += s;
                    values(moved)[c]
                };
                let numeric = (step(1e-5) - step(-1e-5)) / 2e-5;
                assert!((numeric - g[k]).abs() < 1e-6 * (1.0 + numeric.abs()), "{c} {k}: {numeric} {}", g[k]);
            }
        }
    }
}
